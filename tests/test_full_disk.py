"""The manager on a disk that other programs have filled to the last byte."""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.full_disk import NUM_ROWS, FullDisk
from hub_server import HubServer
from small_disk import fill, small_disk
from trained_tokenizers import save_byte_level

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import Catalog
from mistudio_widgets.errors import InsufficientDiskSpaceError, MiStudioError, StorageError

TEXTS = [f"text number {number}\n" for number in range(200)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "16m") as folder:
        yield folder


@pytest.fixture
def manager(disk: Path) -> Iterator[DatasetManager]:
    with DatasetManager(disk / "data", device="cpu") as found:
        # the reserve is 2 GiB, more than this disk has
        found._parts.storage.reserve_bytes = 0
        yield found


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(TEXTS))
    return path


def _is_consistent(manager: DatasetManager) -> None:
    assert manager.jobs() == []
    folders = {path.name for path in (manager.data_dir / "datasets").iterdir()}
    ready = {record.id for record in manager.list_datasets(status="ready").items}
    assert folders == ready
    for dataset_id in ready:
        assert manager.load(dataset_id, "train").num_rows == len(TEXTS)


@pytest.mark.parametrize("leave", [0, 4096, 20_000, 100_000, 300_000])
def test_an_import_onto_a_full_disk_ends_in_an_error_row_or_whole(
    manager: DatasetManager, disk: Path, text_file: Path, leave: int
) -> None:
    before = manager.import_files(text_file, name="before").wait(60)
    fill(disk, leave=leave)
    for _ in range(3):
        with contextlib.suppress(InsufficientDiskSpaceError):
            manager.import_files(text_file).wait(60)
    assert manager.get_dataset(before.id).status == "ready"
    _is_consistent(manager)
    for record in manager.list_datasets(status="error").items:
        assert record.error_code == "disk_full"
        manager.delete_dataset(record.id)
    (disk / "filling").unlink()
    assert manager.import_files(text_file).wait(60).status == "ready"
    _is_consistent(manager)


def test_no_work_on_a_full_disk_harms_what_was_there(
    disk: Path, tmp_path: Path, tokenizer_path: Path, hub: HubServer
) -> None:
    source = tmp_path / "many.txt"
    source.write_text("".join(f"text number {n}\n" for n in range(NUM_ROWS)))
    full = FullDisk(disk, source, tokenizer_path, hub)
    full.sweep(20_000)
    for work in ("download", "tokenize", "index"):
        assert full.outcomes[f"{work}: no room"] == 1


def test_deleting_makes_room_on_a_full_disk(
    manager: DatasetManager, disk: Path, text_file: Path, tmp_path: Path
) -> None:
    tokenizer = save_byte_level(tmp_path)
    first = manager.import_files(text_file).wait(60)
    second = manager.import_files(text_file).wait(60)
    made = manager.tokenize(second.id, tokenizer=str(tokenizer), max_length=16).wait(60)
    fill(disk)
    assert manager.delete_tokenization(made.id) > 0
    fill(disk)
    assert manager.delete_dataset(first.id) > 0
    assert [record.id for record in manager.list_datasets().items] == [second.id]
    _is_consistent(manager)


def test_what_fails_on_a_full_disk_is_recorded_without_a_traceback(
    manager: DatasetManager,
    disk: Path,
    text_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fill(disk)
    with caplog.at_level(logging.WARNING), pytest.raises(InsufficientDiskSpaceError):
        manager.import_files(text_file).wait(60)
    record = manager.list_datasets().items[0]
    assert (record.status, record.error_code) == ("error", "disk_full")
    assert not [entry for entry in caplog.records if entry.exc_info]


def test_a_disk_is_low_above_80_percent(manager: DatasetManager, disk: Path) -> None:
    total = shutil.disk_usage(disk).total
    left = manager.data_dir / "staging" / f"job_{'0' * 32}"
    left.mkdir()
    (left / "bytes").write_bytes(bytes(100_000))
    filling = fill(disk, leave=int(0.21 * total))
    assert not manager.storage().is_low
    with filling.open("ab") as file:
        file.write(bytes(int(0.02 * total)))
    report = manager.storage()
    assert (report.is_low, report.reclaimable_bytes) == (True, 100_000)


def test_a_disk_is_low_where_only_the_reserve_is_left(manager: DatasetManager, disk: Path) -> None:
    assert not manager.storage().is_low
    manager._parts.storage.reserve_bytes = shutil.disk_usage(disk).free + 1
    assert manager.storage().is_low


def test_a_manager_opens_on_a_full_disk(disk: Path, text_file: Path) -> None:
    with DatasetManager(disk / "data", device="cpu") as manager:
        manager._parts.storage.reserve_bytes = 0
        made = manager.import_files(text_file).wait(60)
    fill(disk)
    with DatasetManager(disk / "data", device="cpu") as manager:
        assert manager.load(made.id, "train").num_rows == len(TEXTS)


def test_a_new_manager_on_a_full_disk_says_so(disk: Path) -> None:
    fill(disk)
    with pytest.raises(MiStudioError) as caught:
        DatasetManager(disk / "data", device="cpu")
    assert caught.value.code == "disk_full"
    assert caught.value.hint


def test_a_commit_without_room_commits_nothing(disk: Path) -> None:
    catalog = Catalog(disk / "catalog.duckdb")
    version = catalog.version()
    fill(disk)
    (disk / "catalog.spare").unlink()
    fill(disk)
    for _ in range(3):
        with pytest.raises(InsufficientDiskSpaceError), catalog.write() as writer:
            writer._cursor.execute("CREATE TABLE catalog.filling AS SELECT range FROM range(99)")
    assert catalog.version() == version
    (disk / "filling").unlink()
    with catalog.write() as writer:
        writer._cursor.execute("CREATE TABLE catalog.filling AS SELECT range FROM range(99)")
    assert catalog.version() != version


def test_a_disk_that_became_read_only_can_still_be_looked_at(disk: Path, text_file: Path) -> None:
    with DatasetManager(disk / "data", device="cpu") as manager:
        manager._parts.storage.reserve_bytes = 0
        record = manager.import_files(text_file).wait(60)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StorageError, match="Read-only file system") as caught:
        DatasetManager(disk / "data")
    assert "read_only=True" in str(caught.value.hint)
    with DatasetManager(disk / "data", read_only=True) as reader:
        assert reader.get_dataset(record.id).status == "ready"
        assert reader.load(record.id, "train").num_rows == len(TEXTS)
