"""What `cleanup` removes, and what it never does."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import JobRow
from mistudio_widgets.errors import InvalidRequestError, ReadOnlyError
from mistudio_widgets.records import (
    CLEANUP_KINDS,
    DatasetRecord,
    JobSnapshot,
    TokenizationRecord,
    new_dataset_id,
    new_job_id,
    utc_now,
)

NUM_BYTES = 10_000
TOK = "tok_0123456789abcdef"


@pytest.fixture
def dataset(manager: DatasetManager, tmp_path: Path) -> DatasetRecord:
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\n")
    record: DatasetRecord = manager.import_files(path).wait(60)
    return record


@pytest.fixture
def folder(manager: DatasetManager, dataset: DatasetRecord) -> Path:
    return manager.data_dir / "datasets" / dataset.id


def _left(folder: Path, *, days: float = 0.0) -> Path:
    """Leave 10,000 bytes that were last touched so many days ago."""
    folder.mkdir(parents=True)
    (folder / "deep").mkdir()
    (folder / "deep" / "bytes").write_bytes(bytes(NUM_BYTES))
    for path in (folder / "deep" / "bytes", folder / "deep", folder):
        os.utime(path, (time.time() - days * 86_400,) * 2)
    return folder


def _fail(manager: DatasetManager, dataset: DatasetRecord) -> None:
    """Make the dataset one that `retry` goes on with."""
    (manager.data_dir / "datasets" / dataset.id / "manifest.json").unlink()
    with manager._parts.catalog.write() as writer:
        writer.update_dataset(dataset.id, status="error")


def _live_job(manager: DatasetManager, **fields: Any) -> None:
    snapshot = JobSnapshot(id=new_job_id(), state="running", created_at=utc_now(), **fields)
    manager._parts.own_jobs.add(snapshot.id)
    with manager._parts.catalog.write() as writer:
        writer.insert_job(JobRow(snapshot, owner_id=manager._parts.owner_id, request=None))


def _unfinished(manager: DatasetManager, dataset: DatasetRecord, tokenizer: Path) -> Path:
    """Make a tokenization that failed, whose shards the next run would use."""
    made: TokenizationRecord = manager.tokenize(dataset.id, tokenizer=str(tokenizer)).wait(60)
    storage = manager._parts.storage
    shutil.rmtree(storage.tokenization_dir(dataset.id, made.id))
    with manager._parts.catalog.write() as writer:
        writer.put_tokenization(made.model_copy(update={"status": "error"}))
    return storage.partial_dir(dataset.id, made.id)


def test_nothing_to_clean_up_frees_nothing(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60)
    manager.build_index(dataset.id).wait(60)
    before = sorted(manager.data_dir.rglob("*"))
    assert manager.storage().reclaimable_bytes == 0
    assert manager.cleanup() == 0
    assert sorted(manager.data_dir.rglob("*")) == before
    assert manager.samples(dataset.id, search="two").total == 1
    assert len(manager.load_tokens(made.id, "train")["input_ids"])


@pytest.mark.parametrize("days", [29.0, 31.0])
def test_what_retry_would_go_on_with_goes_after_30_days(
    manager: DatasetManager, dataset: DatasetRecord, folder: Path, days: float
) -> None:
    _fail(manager, dataset)
    partial = _left(folder / "partial", days=days)
    is_old = days > 30
    assert manager.storage().reclaimable_bytes == NUM_BYTES * is_old
    assert manager.cleanup() == NUM_BYTES * is_old
    assert partial.exists() == (not is_old)


@pytest.mark.parametrize("days", [29.0, 31.0])
def test_shards_that_a_tokenization_would_use_go_after_30_days(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path, days: float
) -> None:
    partial = _left(_unfinished(manager, dataset, tokenizer_path), days=days)
    is_old = days > 30
    assert manager.cleanup() == NUM_BYTES * is_old
    assert partial.exists() == (not is_old)


def test_one_new_file_makes_what_was_fetched_new(
    manager: DatasetManager, dataset: DatasetRecord, folder: Path
) -> None:
    _fail(manager, dataset)
    partial = _left(folder / "partial", days=40)
    now = time.time()
    os.utime(partial / "deep" / "bytes", (now, now))
    assert manager.cleanup() == 0
    assert partial.exists()


def test_what_a_living_job_makes_is_left_however_old(
    manager: DatasetManager, dataset: DatasetRecord, folder: Path, tokenizer_path: Path
) -> None:
    shards = _left(_unfinished(manager, dataset, tokenizer_path), days=99)
    fetched = _left(folder / "partial", days=99)
    index = _left(folder / "text_index.partial", days=99)
    for kind in ("tokenize", "index", "download"):
        _live_job(manager, kind=kind, dataset_id=dataset.id)
    with DatasetManager(manager.data_dir) as another:
        assert another.storage().reclaimable_bytes == 0
        assert another.cleanup() == 0
    assert shards.exists()
    assert fetched.exists()
    assert index.exists()


def test_what_no_record_goes_on_with_goes_at_once(
    manager: DatasetManager, dataset: DatasetRecord, folder: Path
) -> None:
    for path in ("partial", f"tokenized/{TOK}.partial", f"tokenized/{TOK}", "text_index.partial"):
        _left(folder / path)
    orphan = _left(manager.data_dir / "datasets" / new_dataset_id())
    staged = _left(manager.data_dir / "staging" / new_job_id())
    assert manager.storage().reclaimable_bytes == 6 * NUM_BYTES
    assert manager.cleanup() == 6 * NUM_BYTES
    assert {path.name for path in folder.iterdir()} == {"raw", "manifest.json", "tokenized"}
    assert list((folder / "tokenized").iterdir()) == []
    assert not orphan.exists()
    assert not staged.exists()
    assert list((manager.data_dir / "staging").iterdir()) == []
    assert manager.load(dataset.id, "train").num_rows == 2


def test_only_the_kinds_and_ages_that_are_asked_for_go(
    manager: DatasetManager, folder: Path
) -> None:
    fetched = _left(folder / "partial", days=10)
    index = _left(folder / "text_index.partial", days=10)
    orphan = _left(manager.data_dir / "datasets" / new_dataset_id(), days=10)
    assert manager.cleanup(older_than_days=11) == 0
    assert manager.cleanup(["index"], older_than_days=9) == NUM_BYTES
    assert (fetched.exists(), index.exists(), orphan.exists()) == (True, False, True)
    assert manager.cleanup("orphan") == NUM_BYTES
    assert (fetched.exists(), orphan.exists()) == (True, False)
    assert manager.cleanup(("partial",)) == NUM_BYTES
    assert not fetched.exists()


def test_a_folder_that_can_be_taken_up_again_is_no_orphan(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60)
    with manager._parts.catalog.write() as writer:
        writer.delete_tokenization(made.id)
    assert manager.cleanup() == 0
    with manager._parts.catalog.write() as writer:
        writer.delete_dataset(dataset.id)
    assert manager.cleanup() == 0
    assert manager._parts.storage.read_receipt(dataset.id, made.id)


def test_an_index_of_other_texts_goes(
    manager: DatasetManager, dataset: DatasetRecord, folder: Path
) -> None:
    manager.build_index(dataset.id).wait(60)
    receipt = folder / "text_index" / "index.json"
    receipt.write_text(receipt.read_text().replace(dataset.text_column or "", "other"))
    assert manager.cleanup() > 0
    assert not (folder / "text_index").exists()
    assert manager.samples(dataset.id, search="two").total == 1


def test_what_is_linked_elsewhere_is_not_counted(
    manager: DatasetManager, folder: Path, tmp_path: Path
) -> None:
    partial = _left(folder / "partial")
    (partial / "again").hardlink_to(partial / "deep" / "bytes")
    (tmp_path / "cached").write_bytes(bytes(777))
    (partial / "linked").hardlink_to(tmp_path / "cached")
    assert manager.storage().reclaimable_bytes == NUM_BYTES
    assert manager.cleanup() == NUM_BYTES
    assert (tmp_path / "cached").read_bytes() == bytes(777)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kinds": ["raw"]}, "kinds"),
        ({"kinds": "everything"}, "kinds"),
        ({"kinds": None}, "kinds"),
        ({"kinds": 3}, "kinds"),
        ({"kinds": [["partial"]]}, "kinds"),
        ({"older_than_days": -1}, "older_than_days"),
        ({"older_than_days": 1.5}, "older_than_days"),
    ],
)
def test_what_cannot_be_cleaned_up_is_refused(
    manager: DatasetManager, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        manager.cleanup(**given)
    assert caught.value.field == field


def test_a_read_only_manager_neither_measures_nor_cleans_up(
    manager: DatasetManager, folder: Path
) -> None:
    partial = _left(folder / "partial")
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        assert reader.storage().reclaimable_bytes is None
        with pytest.raises(ReadOnlyError):
            reader.cleanup(CLEANUP_KINDS)
    assert partial.exists()
