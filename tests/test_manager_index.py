"""The full-text index of a dataset as the manager builds, keeps and removes it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import (
    InsufficientDiskSpaceError,
    InUseError,
    InvalidRequestError,
    JobCancelled,
    NotFoundError,
    ReadOnlyError,
    StorageError,
)
from mistudio_widgets.jobs import Job
from mistudio_widgets.manager import index_work, indexing
from mistudio_widgets.records import DatasetRecord, Event


def write_lines(path: Path, num_lines: int = 50) -> Path:
    path.write_text("".join(f"line {n} of words\n" for n in range(num_lines)))
    return path


@pytest.fixture
def dataset(manager: DatasetManager, tmp_path: Path) -> DatasetRecord:
    record: DatasetRecord = manager.import_files(write_lines(tmp_path / "a.txt")).wait()
    return record


def folder_of(manager: DatasetManager, dataset_id: str) -> Path:
    return manager.data_dir / "datasets" / dataset_id


def is_indexed(manager: DatasetManager, dataset_id: str) -> bool:
    folder = folder_of(manager, dataset_id)
    assert not (folder / "text_index.partial").exists()
    return (folder / "text_index" / "index.json").exists()


def index_job(manager: DatasetManager, dataset_id: str, before: Job | None = None) -> Job:
    """Wait for the job that builds an index unasked, another one than ``before``."""
    changed = threading.Event()
    stop = manager.watch(changed.set)
    try:
        while True:
            changed.clear()
            for row in manager.jobs(active=False):
                is_new = before is None or row.id != before.id
                if row.kind == "index" and row.dataset_id == dataset_id and is_new:
                    return manager.job(row.id)
            assert changed.wait(60), "no index was built"
    finally:
        stop()


class Held:
    """Holds builds at their first batch until they are let go on, or cancelled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        real = index_work.all_texts

        def held(files: object) -> Iterator[object]:
            for item in real(files):  # type: ignore[arg-type]
                self.reached.set()
                assert self.go_on.wait(60)
                yield item

        monkeypatch.setattr(index_work, "all_texts", held)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    made = Held(monkeypatch)
    yield made
    made.go_on.set()


def test_an_index_is_built_and_removed(manager: DatasetManager, dataset: DatasetRecord) -> None:
    before = manager.storage().used_bytes
    job = manager.build_index(dataset.id)
    assert job.wait(60) is None
    assert is_indexed(manager, dataset.id)
    status = manager.index_status(dataset.id)
    assert (status.is_ready, status.can_be_built) == (True, True)
    assert status.size_bytes > 0
    snapshot = next(row for row in manager.jobs(active=False) if row.kind == "index")
    assert (snapshot.state, snapshot.progress, snapshot.automatic) == ("succeeded", 100, False)
    assert manager.storage().used_bytes > before
    assert manager.delete_index(dataset.id) > 0
    assert not is_indexed(manager, dataset.id)
    assert manager.delete_index(dataset.id) == 0
    status = manager.index_status(dataset.id)
    assert (status.is_ready, status.can_be_built, status.size_bytes) == (False, True, 0)
    assert list((manager.data_dir / "staging").iterdir()) == []


def test_an_index_that_is_asked_for_tells_of_its_end(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    events: list[Event] = []
    manager.subscribe(events.append)
    manager.build_index(dataset.id).wait(60)
    assert [(event.event, getattr(event, "kind", None)) for event in events] == [
        ("completed", "index")
    ]


def test_it_is_not_built_twice_at_once(
    manager: DatasetManager, dataset: DatasetRecord, held: Held
) -> None:
    job = manager.build_index(dataset.id)
    assert held.reached.wait(60)
    assert manager.build_index(dataset.id) is job
    with DatasetManager(manager.data_dir) as other, pytest.raises(InUseError):
        other.build_index(dataset.id)
    with DatasetManager(manager.data_dir) as other, pytest.raises(InUseError):
        other.delete_index(dataset.id)
    held.go_on.set()
    job.wait(60)
    assert is_indexed(manager, dataset.id)


def test_a_dataset_is_indexed_unasked_and_nobody_is_told(
    manager: DatasetManager, tmp_path: Path, index_unasked: None
) -> None:
    events: list[Event] = []
    manager.subscribe(events.append)
    record = manager.import_files(write_lines(tmp_path / "a.txt")).wait()
    job = index_job(manager, record.id)
    assert job.wait(60) is None
    assert job.snapshot().automatic
    assert is_indexed(manager, record.id)
    assert {getattr(event, "kind", "import") for event in events} == {"import"}


def test_a_dataset_stays_ready_while_it_is_indexed(
    manager: DatasetManager, dataset: DatasetRecord, held: Held
) -> None:
    job = manager.build_index(dataset.id)
    assert held.reached.wait(60)
    shown = manager.get_dataset(dataset.id)
    assert (shown.status, shown.progress, shown.in_use_by) == ("ready", 100, ())
    assert [row.id for row in manager.jobs()] == [job.id]
    held.go_on.set()
    job.wait(60)


def test_what_an_earlier_process_left_is_indexed(
    data_dir: Path, tmp_path: Path, index_unasked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("mistudio_widgets.manager.auto_index.QUIET_S", 1e9)
        with DatasetManager(data_dir) as manager:
            record = manager.import_files(write_lines(tmp_path / "a.txt")).wait()
    with DatasetManager(data_dir) as manager:
        index_job(manager, record.id).wait(60)
        assert is_indexed(manager, record.id)


def test_large_text_is_indexed_only_when_asked(
    manager: DatasetManager, dataset: DatasetRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "AUTOMATIC_BYTES", 10)
    assert manager._index_if_wanted(dataset.id) is None
    manager.build_index(dataset.id).wait(60)
    assert is_indexed(manager, dataset.id)


def test_what_was_removed_or_cancelled_does_not_come_back_unasked(
    manager: DatasetManager, dataset: DatasetRecord, held: Held
) -> None:
    assert manager._datasets_to_index() == [dataset.id]
    job = manager.build_index(dataset.id)
    assert held.reached.wait(60)
    job.cancel()
    held.go_on.set()
    with pytest.raises(JobCancelled):
        job.wait(60)
    assert not is_indexed(manager, dataset.id)
    assert manager._datasets_to_index() == []
    assert manager._index_if_wanted(dataset.id) is None
    manager.build_index(dataset.id).wait(60)
    manager.delete_index(dataset.id)
    assert manager._datasets_to_index() == []


def test_a_dataset_can_be_deleted_while_it_is_indexed(
    manager: DatasetManager, dataset: DatasetRecord, held: Held
) -> None:
    job = manager.build_index(dataset.id)
    assert held.reached.wait(60)
    releasing = threading.Timer(0.2, held.go_on.set)
    releasing.start()
    assert manager.delete_dataset(dataset.id) > 0
    releasing.join()
    with pytest.raises(JobCancelled):
        job.wait(60)
    assert not folder_of(manager, dataset.id).exists()
    assert manager.jobs(active=False) == []


def test_a_dataset_that_another_process_indexes_can_be_deleted(
    manager: DatasetManager, dataset: DatasetRecord, held: Held
) -> None:
    job = manager.build_index(dataset.id)
    assert held.reached.wait(60)
    with DatasetManager(manager.data_dir) as other:
        other.delete_dataset(dataset.id)
    held.go_on.set()
    with pytest.raises(StorageError, match="text index"):
        job.wait(60)
    assert not folder_of(manager, dataset.id).exists()


def test_closing_gives_an_index_up_and_the_next_manager_starts_over(
    data_dir: Path, tmp_path: Path, held: Held
) -> None:
    with DatasetManager(data_dir) as manager:
        record = manager.import_files(write_lines(tmp_path / "a.txt")).wait()
        manager.build_index(record.id)
        assert held.reached.wait(60)
        threading.Timer(0.2, held.go_on.set).start()
    assert not is_indexed(manager, record.id)
    with DatasetManager(data_dir) as manager:
        (row,) = [row for row in manager.jobs(active=False) if row.kind == "index"]
        assert (row.state, row.error_code) == ("failed", "interrupted")
        assert manager._datasets_to_index() == [record.id]


def test_a_repair_makes_the_index_stale(
    manager: DatasetManager, dataset: DatasetRecord, tmp_path: Path
) -> None:
    manager.build_index(dataset.id).wait(60)
    assert manager._datasets_to_index() == []
    write_lines(tmp_path / "a.txt", 70)
    (file,) = (folder_of(manager, dataset.id) / "raw").rglob("*.parquet")
    file.write_bytes(b"damaged")
    manager.verify(dataset.id).wait(60)
    manager.retry(dataset.id).wait(60)
    assert manager._datasets_to_index() == [dataset.id]
    manager.build_index(dataset.id).wait(60)
    assert manager._datasets_to_index() == []
    receipt = json.loads((folder_of(manager, dataset.id) / "text_index/index.json").read_bytes())
    assert receipt["files"][0].startswith("train:70:")


def test_a_damaged_index_is_built_again_and_readers_read(
    manager: DatasetManager, tmp_path: Path, index_unasked: None
) -> None:
    dataset = manager.import_files(write_lines(tmp_path / "a.txt")).wait()
    job = index_job(manager, dataset.id)
    job.wait(60)
    folder = folder_of(manager, dataset.id) / "text_index"
    (path,) = folder.glob("*.term")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    # a reader can only go on without it
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        assert reader.samples(dataset.id, search="line 7").total == 1
        assert path.exists()
    assert manager.samples(dataset.id, search="line 7").total == 1
    assert index_job(manager, dataset.id, job).wait(60) is None
    assert is_indexed(manager, dataset.id)
    assert not path.exists()
    assert manager.samples(dataset.id, search="line 7").total == 1


def test_no_index_without_room(
    manager: DatasetManager, dataset: DatasetRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager._parts.storage.reserve_bytes = 10**18
    with pytest.raises(InsufficientDiskSpaceError):
        manager._index_if_wanted(dataset.id)
    with pytest.raises(InsufficientDiskSpaceError):
        manager.build_index(dataset.id).wait(60)
    assert not is_indexed(manager, dataset.id)


def test_what_has_no_text_cannot_be_indexed(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    manifest = manager._parts.storage.read_manifest(dataset.id)
    without = manifest.dataset.model_copy(update={"text_column": None})
    manager._parts.storage.write_manifest(manifest.model_copy(update={"dataset": without}))
    assert manager._datasets_to_index() == []
    with pytest.raises(InvalidRequestError, match="text column"):
        manager.build_index(dataset.id)


def test_who_may_only_look_builds_and_removes_nothing(
    data_dir: Path, dataset: DatasetRecord
) -> None:
    with DatasetManager(data_dir, read_only=True) as reader:
        with pytest.raises(ReadOnlyError):
            reader.build_index(dataset.id)
        with pytest.raises(ReadOnlyError):
            reader.delete_index(dataset.id)
        assert not hasattr(reader, "_auto_indexer")


def test_an_unknown_dataset_is_not_found(manager: DatasetManager) -> None:
    for method in (manager.build_index, manager.delete_index):
        with pytest.raises(NotFoundError):
            method("ds_00000000-0000-4000-8000-000000000000")


def test_what_is_built_unasked_waits_for_what_is_urgent(
    manager: DatasetManager, dataset: DatasetRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, is_done = threading.Semaphore(0), threading.Event()

    def is_computing() -> bool:
        asked.release()
        return not is_done.is_set()

    monkeypatch.setattr(manager, "_is_computing", is_computing)
    job = manager._index(dataset.id, automatic=True)
    for _ in range(2):
        assert asked.acquire(timeout=60)
    assert (job.state, job.snapshot().done) == ("running", 0)
    is_done.set()
    job.wait(60)
    assert is_indexed(manager, dataset.id)
