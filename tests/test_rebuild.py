"""A catalog made anew from manifests and receipts."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from crash.damage import facts_of
from hub_server import HubServer
from test_manager_downloads import FILES, REPO

from mistudio_widgets import DatasetManager, importer, tokenization
from mistudio_widgets.errors import (
    CatalogDamagedError,
    CatalogVersionError,
    InUseError,
    InvalidRequestError,
    ReadOnlyError,
    StorageError,
)
from mistudio_widgets.manager.notes import note_job
from mistudio_widgets.records import DatasetRecord, new_dataset_id


@pytest.fixture
def dataset(manager: DatasetManager, tmp_path: Path) -> DatasetRecord:
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\n")
    record: DatasetRecord = manager.import_files(path, name="Zürich 東京").wait(60)
    return record


def _lose_catalog(data_dir: Path) -> None:
    for path in data_dir.glob("catalog.duckdb*"):
        path.unlink()


def _cut_catalog(data_dir: Path) -> None:
    catalog = data_dir / "catalog.duckdb"
    catalog.write_bytes(catalog.read_bytes()[:4000])


def _a_folder(catalog: Path) -> None:
    catalog.mkdir()
    (catalog / "kept").write_text("what somebody put there")


def _a_pipe(catalog: Path) -> None:
    os.mkfifo(catalog)


def _a_loop(catalog: Path) -> None:
    catalog.symlink_to(catalog.name)


def _without_tables(catalog: Path) -> None:
    duckdb.connect(str(catalog)).close()


def _empty(catalog: Path) -> None:
    catalog.write_bytes(b"")


@pytest.mark.parametrize("lay", [_a_folder, _a_pipe, _a_loop, _without_tables, _empty])
def test_what_lies_in_a_catalogs_place_hides_no_dataset(
    manager: DatasetManager, dataset: DatasetRecord, lay: Callable[[Path], None]
) -> None:
    manager.close()
    _lose_catalog(manager.data_dir)
    lay(manager.data_dir / "catalog.duckdb")
    with DatasetManager(manager.data_dir) as other:
        assert [found.id for found in other.list_datasets().items] == [dataset.id]
    # nothing that lay there is lost
    if lay is _a_folder:
        (kept,) = manager.data_dir.glob("damaged/*/catalog.duckdb/kept")
        assert kept.read_text() == "what somebody put there"


class _Held:
    """Work that stops in its middle until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        real: Callable[..., Any] = getattr(module, name)

        def held(*args: Any, **options: Any) -> Any:
            self.reached.set()
            assert self.go_on.wait(60)
            return real(*args, **options)

        monkeypatch.setattr(module, name, held)


@pytest.mark.parametrize("lose", [_lose_catalog, _cut_catalog])
def test_an_import_of_a_living_manager_goes_on_under_a_new_catalog(
    manager: DatasetManager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lose: Callable[[Path], None],
) -> None:
    (tmp_path / "long.txt").write_text("one\ntwo\n")
    held = _Held(monkeypatch, importer, "import_files")
    job = manager.import_files(tmp_path / "long.txt", name="long")
    assert held.reached.wait(60)
    lose(manager.data_dir)
    with DatasetManager(manager.data_dir) as other:
        assert [found.id for found in other.jobs()] == [job.id]
        assert other.get_dataset(job.dataset_id).status == "processing"
        assert other.cleanup() == 0
        assert (manager.data_dir / "staging" / job.id / "raw").is_dir()
        held.go_on.set()
        assert job.wait(60).num_samples == 2
        assert other.get_dataset(job.dataset_id) == manager.get_dataset(job.dataset_id)
        states = {found.id: found.state for found in other.jobs(active=False)}
        assert states[job.id] == "succeeded"


def test_a_cleanup_between_the_loss_and_the_taking_up_leaves_what_lives(
    manager: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "long.txt").write_text("one\ntwo\n")
    held = _Held(monkeypatch, importer, "import_files")
    with DatasetManager(manager.data_dir) as other:
        job = manager.import_files(tmp_path / "long.txt")
        assert held.reached.wait(60)
        _lose_catalog(manager.data_dir)
        other._parts.catalog.open_whole()
        other.cleanup()
        held.go_on.set()
        assert job.wait(60).num_samples == 2


def test_a_tokenization_of_a_living_manager_goes_on_under_a_new_catalog(
    manager: DatasetManager,
    dataset: DatasetRecord,
    tokenizer_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = _Held(monkeypatch, tokenization, "tokenize_splits")
    job = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4)
    assert held.reached.wait(60)
    _lose_catalog(manager.data_dir)
    with DatasetManager(manager.data_dir) as other:
        assert job.id in [found.id for found in other.jobs()]
        (made,) = other.list_tokenizations(dataset.id)
        assert (made.id, made.status) == (job.tokenization_id, "tokenizing")
        assert other.cleanup() == 0
        held.go_on.set()
        assert job.wait(60).status == "ready"
        assert [found.status for found in other.list_tokenizations(dataset.id)] == ["ready"]


def test_a_job_that_ended_without_a_catalog_is_an_error_that_can_be_retried(
    manager: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "long.txt").write_text("one\ntwo\n")
    held = _Held(monkeypatch, importer, "import_files")
    job = manager.import_files(tmp_path / "long.txt")
    assert held.reached.wait(60)
    _cut_catalog(manager.data_dir)
    held.go_on.set()
    with pytest.raises(CatalogDamagedError):
        job.wait(60)
    manager.rebuild()
    assert manager.jobs() == []
    found = manager.get_dataset(job.dataset_id)
    assert (found.status, found.error_code) == ("error", "catalog_damaged")
    assert manager.retry(job.dataset_id).wait(60).status == "ready"


def test_what_was_cancelled_or_deleted_does_not_come_back(
    manager: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "long.txt").write_text("one\ntwo\n")
    made = manager.import_files(tmp_path / "long.txt").wait(60)
    manager.delete_dataset(made.id)
    held = _Held(monkeypatch, importer, "import_files")
    job = manager.import_files(tmp_path / "long.txt")
    assert held.reached.wait(60)
    job.cancel()
    held.go_on.set()
    assert job.wait_until_ended(60)
    assert list((manager.data_dir / "owners").glob("*.json")) == []
    _lose_catalog(manager.data_dir)
    with DatasetManager(manager.data_dir) as other:
        assert (other.list_datasets().total, other.jobs(active=False)) == (0, [])


def test_a_deletion_by_another_takes_the_notes_along(
    manager: DatasetManager, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    job = manager.import_files(tmp_path / "a.txt")
    job.wait(60)
    # as one whose job rests
    note_job(manager._parts, job)
    assert list((manager.data_dir / "owners").glob(f"*.{job.id}.json"))
    with DatasetManager(manager.data_dir) as other:
        other.delete_dataset(job.dataset_id)
    assert not list((manager.data_dir / "owners").glob("*.json"))
    with DatasetManager(manager.data_dir) as other:
        assert other.list_datasets().total == 0


def test_a_hold_outlives_the_catalog(manager: DatasetManager, dataset: DatasetRecord) -> None:
    hold = manager.hold(dataset.id, by="training tr_1")
    _lose_catalog(manager.data_dir)
    with DatasetManager(manager.data_dir) as other:
        assert other.get_dataset(dataset.id).in_use_by == ("training tr_1",)
        with pytest.raises(InUseError) as caught:
            other.delete_dataset(dataset.id)
        assert caught.value.by == ("training tr_1",)
        hold.release()
        _lose_catalog(manager.data_dir)
        other.rebuild()
        assert other.get_dataset(dataset.id).in_use_by == ()
        assert other.delete_dataset(dataset.id) > 0


def test_a_hold_of_one_that_died_does_not_outlive_the_catalog(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    owners = manager.data_dir / "owners"
    hold = manager.hold(dataset.id, by="training tr_1")
    (note,) = owners.glob(f"*.{hold._row.id}.json")
    dead = owners / note.name.replace(manager._parts.owner_id, "0" * 32)
    dead.write_text(note.read_text().replace(manager._parts.owner_id, "0" * 32))
    hold.release()
    _lose_catalog(manager.data_dir)
    with DatasetManager(manager.data_dir) as other:
        assert other.get_dataset(dataset.id).in_use_by == ()
        assert not dead.exists()


def test_a_damaged_catalog_is_rebuilt_under_a_living_manager(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    before = facts_of(manager.get_dataset(dataset.id))
    catalog = manager.data_dir / "catalog.duckdb"
    catalog.write_bytes(catalog.read_bytes()[:20_000])
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        with pytest.raises(CatalogDamagedError) as caught:
            reader.list_datasets()
        assert "rebuild()" in str(caught.value.hint)
        report = manager.rebuild()
        assert (report.datasets, report.tokenizations) == ((dataset.id,), (made.id,))
        assert report.damaged == ()
        assert report.set_aside is not None
        assert (Path(report.set_aside) / "catalog.duckdb").stat().st_size == 20_000
        assert reader.list_datasets().total == 1
    assert facts_of(manager.get_dataset(dataset.id)) == before
    assert manager.get_tokenization(made.id) == made
    assert manager.cleanup() == 0


def test_a_whole_catalog_is_kept(manager: DatasetManager, dataset: DatasetRecord) -> None:
    before = manager.get_dataset(dataset.id)
    report = manager.rebuild()
    assert (report.datasets, report.damaged, report.set_aside) == ((), (), None)
    assert manager.get_dataset(dataset.id) == before
    assert len(manager.jobs(active=False)) == 1


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_catalog_is_refused_and_left_as_it_is(
    manager: DatasetManager, dataset: DatasetRecord, read_only: bool
) -> None:
    with manager._parts.catalog.write() as writer:
        writer._cursor.execute("INSERT INTO catalog.schema_version VALUES (9, now()::TIMESTAMP)")
    before = (manager.data_dir / "catalog.duckdb").read_bytes()
    with pytest.raises(CatalogVersionError, match="version 9; this package knows") as caught:
        DatasetManager(manager.data_dir, read_only=read_only).list_datasets()
    assert "Upgrade mistudio_widgets" in str(caught.value.hint)
    assert (manager.data_dir / "catalog.duckdb").read_bytes() == before
    assert len(list((manager.data_dir / "owners").glob("*.lock"))) == 1
    assert not (manager.data_dir / "damaged").exists()


def test_a_lost_catalog_is_told_of(
    data_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    with DatasetManager(data_dir) as manager:
        manager.import_files(tmp_path / "a.txt").wait(60)
    _lose_catalog(data_dir)
    with caplog.at_level(logging.WARNING), DatasetManager(data_dir) as manager:
        assert manager.list_datasets().total == 1
    assert "1 datasets and 0 tokenizations" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING), DatasetManager(data_dir):
        assert caplog.text == ""


def test_what_is_not_whole_comes_back_as_an_error(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    folder = manager.data_dir / "datasets" / dataset.id
    (file,) = (folder / "raw").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    (folder / "tokenized" / made.id / "train.pt").unlink()
    _lose_catalog(manager.data_dir)
    report = manager.rebuild()
    assert (report.datasets, report.tokenizations) == ((dataset.id,), ())
    assert report.damaged == (dataset.id,)
    found = manager.get_dataset(dataset.id)
    assert (found.name, found.status, found.error_code) == (dataset.name, "error", "corrupt_file")
    with pytest.raises(InvalidRequestError):
        manager.load(dataset.id)


@pytest.mark.parametrize("content", [b"\xff{", b"", b"[]", b"null", b"{}", None, "folder", "loop"])
def test_what_does_not_tell_what_it_was_is_shown_and_kept(
    manager: DatasetManager,
    dataset: DatasetRecord,
    caplog: pytest.LogCaptureFixture,
    content: bytes | str | None,
) -> None:
    folder = manager.data_dir / "datasets" / dataset.id
    (folder / "manifest.json").unlink()
    if isinstance(content, bytes):
        (folder / "manifest.json").write_bytes(content)
    elif content == "folder":
        (folder / "manifest.json").mkdir()
    elif content == "loop":
        (folder / "manifest.json").symlink_to("manifest.json")
    (file,) = (folder / "raw").iterdir()
    _lose_catalog(manager.data_dir)
    manager._parts.catalog.open_whole()
    assert manager.cleanup() == 0
    with caplog.at_level(logging.WARNING):
        assert manager.rebuild().damaged == (dataset.id,)
    assert dataset.id in caplog.text
    found = manager.get_dataset(dataset.id)
    assert (found.status, found.error_code) == ("error", "corrupt_file")
    assert manager.storage().reclaimable_bytes == 0
    assert manager.cleanup() == 0
    assert file.exists()
    assert manager.rebuild().damaged == ()
    with pytest.raises(InvalidRequestError):
        manager.retry(dataset.id)
    assert manager.delete_dataset(dataset.id) > 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_samples", 2**63),
        ("num_samples", -5),
        ("size_bytes", 2**64),
        ("created_at", "0001-01-01T00:00:00+14:00"),
        ("status", "downloading"),
    ],
)
def test_one_impossible_manifest_keeps_nobody_out(
    manager: DatasetManager, dataset: DatasetRecord, tmp_path: Path, key: str, value: object
) -> None:
    bad = manager.import_files(tmp_path / "texts.txt").wait(60)
    path = manager.data_dir / "datasets" / bad.id / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["dataset"][key] = value
    path.write_text(json.dumps(manifest))
    _lose_catalog(manager.data_dir)
    with DatasetManager(manager.data_dir) as other:
        assert other.get_dataset(dataset.id).status == "ready"
        assert other.get_dataset(bad.id).error_code == "corrupt_file"
        assert other.jobs() == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("created_at", "9999-12-31T23:59:59-10:00"),
        ("num_tokens", 10**30),
        ("status", "tokenizing"),
    ],
)
def test_one_impossible_receipt_keeps_nobody_out(
    manager: DatasetManager,
    dataset: DatasetRecord,
    tokenizer_path: Path,
    caplog: pytest.LogCaptureFixture,
    key: str,
    value: object,
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    folder = manager._parts.storage.tokenization_dir(dataset.id, made.id)
    receipt = json.loads((folder / "receipt.json").read_text())
    receipt["tokenization"][key] = value
    (folder / "receipt.json").write_text(json.dumps(receipt))
    _lose_catalog(manager.data_dir)
    with caplog.at_level(logging.WARNING), DatasetManager(manager.data_dir) as other:
        assert other.get_dataset(dataset.id).status == "ready"
        assert other.list_tokenizations(dataset.id) == []
    assert made.id in caplog.text


def test_what_was_under_repair_comes_back_as_an_error(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    manager._parts.storage.set_manifest_aside(dataset.id)
    _lose_catalog(manager.data_dir)
    assert manager.rebuild().damaged == (dataset.id,)
    assert manager.get_dataset(dataset.id).status == "error"


def test_what_the_catalog_calls_ready_and_is_gone_is_an_error(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    shutil.rmtree(manager.data_dir / "datasets" / dataset.id)
    report = manager.rebuild()
    assert report.damaged == (dataset.id, made.id)
    assert manager.get_dataset(dataset.id).error_code == "corrupt_file"
    assert manager.get_tokenization(made.id).status == "error"
    assert manager.rebuild().damaged == ()
    manager.delete_dataset(dataset.id)


def test_a_folder_under_another_id_is_not_taken_up(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    folder = manager.data_dir / "datasets"
    shutil.copytree(folder / dataset.id, folder / new_dataset_id())
    (folder / new_dataset_id()).mkdir()
    assert manager.rebuild().datasets == ()
    assert manager.list_datasets().total == 1


def test_a_download_that_was_taken_up_can_be_repaired(
    manager: DatasetManager, hub: HubServer
) -> None:
    hub.add("dataset", REPO, FILES)
    made = manager.download(REPO, split="test").wait(60)
    (file,) = (manager.data_dir / "datasets" / made.id / "raw").rglob("*.parquet")
    _lose_catalog(manager.data_dir)
    assert manager.rebuild().datasets == (made.id,)
    content = file.read_bytes()
    file.write_bytes(bytes(len(content)))
    assert manager.verify(made.id).wait(60).damaged
    assert manager.retry(made.id).wait(60).status == "ready"
    assert file.read_bytes() == content


def test_a_catalog_that_is_gone_is_not_an_empty_one(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    with DatasetManager(manager.data_dir, read_only=True) as before:
        _lose_catalog(manager.data_dir)
        with DatasetManager(manager.data_dir, read_only=True) as reader:
            for asked in (before, reader, manager):
                with pytest.raises(CatalogDamagedError, match=r"catalog\.duckdb is missing"):
                    asked.list_datasets()
            assert manager.rebuild().datasets == (dataset.id,)
            assert reader.list_datasets().total == before.list_datasets().total == 1


def test_a_folder_that_is_gone_is_told_of_and_not_made_anew(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    moved = manager.data_dir.rename(manager.data_dir.with_name("moved"))
    for ask in (manager.list_datasets, manager.storage, manager.cleanup, manager.rebuild):
        with pytest.raises(StorageError):
            ask()
    assert not manager.data_dir.exists()
    with DatasetManager(moved) as other:
        assert other.get_dataset(dataset.id).status == "ready"


def test_a_read_only_manager_rebuilds_nothing(data_dir: Path) -> None:
    DatasetManager(data_dir).close()
    with DatasetManager(data_dir, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.rebuild()
