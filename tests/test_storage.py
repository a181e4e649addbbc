from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from small_disk import small_disk

from mistudio_widgets.errors import (
    CorruptFileError,
    InsufficientDiskSpaceError,
    InvalidRequestError,
    JobCancelled,
    StorageError,
)
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import (
    DataFile,
    DatasetRecord,
    Manifest,
    new_dataset_id,
    new_job_id,
    utc_now,
)
from mistudio_widgets.storage import (
    Storage,
    default_data_dir,
    disk_errors,
    format_bytes,
    remove_tree,
    sha256_of,
    tree_bytes,
    write_atomic,
)

TOK = "tok_0123456789abcdef"


@pytest.fixture
def storage(data_dir: Path) -> Storage:
    return Storage(data_dir)


def _manifest(dataset_id: str) -> Manifest:
    now = utc_now()
    dataset = DatasetRecord(
        id=dataset_id, name="x", source="local", status="ready", created_at=now, updated_at=now
    )
    file = DataFile(path="raw/a.parquet", split="train", size_bytes=3, sha256="0", num_rows=1)
    return Manifest(dataset=dataset, files=(file,))


def _staged(storage: Storage) -> Path:
    raw = storage.staging_dir(new_job_id()) / "raw"
    raw.mkdir(parents=True)
    (raw / "a.parquet").write_bytes(b"abc")
    return raw


@pytest.mark.parametrize(
    "name", ["..", "ds_..", "/etc", "ds_" + "a" * 36, "", "ds_x\0", "DS_" + "0" * 36]
)
def test_no_id_leads_out_of_the_data_folder(storage: Storage, name: str) -> None:
    with pytest.raises(InvalidRequestError):
        storage.dataset_dir(name)
    with pytest.raises(InvalidRequestError):
        storage.tokenization_dir(new_dataset_id(), name)
    with pytest.raises(InvalidRequestError):
        storage.staging_dir(name)


def test_a_symlink_under_a_valid_name_is_refused(storage: Storage, tmp_path: Path) -> None:
    dataset_id = new_dataset_id()
    (storage.root / "datasets" / dataset_id).symlink_to(tmp_path)
    with pytest.raises(StorageError, match="leads out"):
        storage.dataset_dir(dataset_id)


def test_a_dataset_appears_whole(storage: Storage) -> None:
    dataset_id = new_dataset_id()
    manifest = _manifest(dataset_id)
    storage.publish_dataset(_staged(storage), manifest)
    assert (storage.raw_dir(dataset_id) / "a.parquet").read_bytes() == b"abc"
    assert storage.read_manifest(dataset_id) == manifest
    assert list(storage.dataset_ids()) == [dataset_id]


def test_publishing_again_replaces_what_was_there(storage: Storage) -> None:
    dataset_id = new_dataset_id()
    storage.publish_dataset(_staged(storage), _manifest(dataset_id))
    raw = _staged(storage)
    (raw / "a.parquet").write_bytes(b"new")
    storage.publish_dataset(raw, _manifest(dataset_id))
    assert (storage.raw_dir(dataset_id) / "a.parquet").read_bytes() == b"new"


@pytest.mark.parametrize("text", ["", "{", '{"format": 2}', "[]"])
def test_a_damaged_manifest_is_named(storage: Storage, text: str) -> None:
    dataset_id = new_dataset_id()
    with pytest.raises(CorruptFileError, match="missing"):
        storage.read_manifest(dataset_id)
    folder = storage.dataset_dir(dataset_id)
    folder.mkdir()
    (folder / "manifest.json").write_text(text)
    with pytest.raises(CorruptFileError, match=r"manifest\.json"):
        storage.read_manifest(dataset_id)


def test_trash_and_restore_are_one_step_each(storage: Storage) -> None:
    dataset_id = new_dataset_id()
    assert storage.trash_dataset(dataset_id) is None
    storage.publish_dataset(_staged(storage), _manifest(dataset_id))
    trash = storage.trash_dataset(dataset_id)
    assert trash is not None
    assert list(storage.dataset_ids()) == []
    assert list(storage.trashed()) == [(dataset_id, trash)]
    storage.restore(trash, storage.dataset_dir(dataset_id))
    assert storage.read_manifest(dataset_id).dataset.id == dataset_id
    trash = storage.trash_dataset(dataset_id)
    assert trash is not None
    assert remove_tree(trash) > 3
    assert not trash.exists()


def test_the_reserve_is_refused_before_the_first_byte(storage: Storage) -> None:
    storage.check_space(0)
    free = storage.space().free_bytes
    with pytest.raises(InsufficientDiskSpaceError) as caught:
        storage.check_space(free)
    error = caught.value
    assert error.required_bytes == free + storage.space().reserve_bytes
    assert abs(error.available_bytes - free) < 1 << 30
    assert "reserve" in error.message
    assert error.hint


def test_the_reserve_is_the_larger_of_a_share_and_a_floor(storage: Storage) -> None:
    assert storage.reserve(10**9) == 2 * 1024**3
    assert storage.reserve(10**12) == 5 * 10**10
    storage.reserve_bytes = 7
    assert storage.reserve(10**12) == 7


def test_write_atomic_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_full_disk_has_an_error_of_its_own() -> None:
    with (
        pytest.raises(InsufficientDiskSpaceError, match="could not write x"),
        disk_errors("write x"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageError, match="Permission denied"), disk_errors("write x"):
        raise OSError(errno.EACCES, "Permission denied")


def test_hashing_counts_and_cancels(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    progress = Progress()
    progress.start("checking", total=3_000_000, unit="bytes")
    assert sha256_of(path, progress) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert progress.state().done == 3_000_000
    progress.cancel()
    with pytest.raises(JobCancelled):
        sha256_of(path, progress)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", "file is not a folder"),
        ("file/data", "Not a directory"),
        ("with-a-file", "datasets is not a folder"),
        ("loop", "loop is not a folder"),
        ("nul\0", "null byte"),
        ("bytes\udcff", "its name is not UTF-8"),
        ("~nobody-of-this-name/data", "home directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_can_be_no_data_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    Path("with-a-file").mkdir()
    Path("with-a-file/datasets").write_text("")
    with pytest.raises(StorageError, match=reason) as caught:
        Storage(Path(name))
    assert "cannot be used" in caught.value.message
    assert "data_dir" in str(caught.value.hint)
    assert len(str(caught.value)) < 700
    if name not in ("with-a-file", "file/data"):
        with pytest.raises(StorageError, match="cannot be used"):
            Storage(Path(name), read_only=True)


def test_a_disk_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        (disk / "old").mkdir()
        Storage(disk / "used")
        (disk / "used" / "catalog.duckdb").touch()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for name, offers in (("new", False), ("old", False), ("used", True)):
            with pytest.raises(StorageError, match="Read-only file system") as caught:
                Storage(disk / name)
            assert ("read_only=True" in str(caught.value.hint)) == offers
            assert Storage(disk / name, read_only=True).root == disk / name


def test_read_only_makes_no_folder(data_dir: Path) -> None:
    Storage(data_dir, read_only=True)
    assert not data_dir.exists()


def test_the_data_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTUDIO_DATA_DIR", "~/elsewhere")
    assert default_data_dir() == Path("~/elsewhere").expanduser()
    monkeypatch.delenv("MISTUDIO_DATA_DIR")
    assert default_data_dir().name == "mistudio"


def test_sizes_read_as_in_the_panel() -> None:
    assert [format_bytes(n) for n in (0, 1023, 1024, 1536000, 5 * 1024**4, 3000 * 1024**4)] == [
        "0 B", "1023 B", "1 KB", "1.46 MB", "5 TB", "3000 TB",
    ]  # fmt: skip


def test_tree_bytes_counts_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    assert tree_bytes(tmp_path) == 5
    assert tree_bytes(tmp_path / "none") == 0
