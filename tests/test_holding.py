"""Datasets that somebody needs are not deleted, by any process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import (
    InterruptedJobError,
    InUseError,
    InvalidRequestError,
    NotFoundError,
    ReadOnlyError,
)
from mistudio_widgets.records import DatasetRecord, new_dataset_id

CHILD = """
import sys
from mistudio_widgets import DatasetManager
manager = DatasetManager(sys.argv[1])
hold = manager.hold(sys.argv[2], by="training tr_1")
print("held", flush=True)
sys.stdin.readline()
hold.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def dataset(manager: DatasetManager, tmp_path: Path) -> DatasetRecord:
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\n")
    record: DatasetRecord = manager.import_files(path).wait(60)
    return record


@contextmanager
def _holder(manager: DatasetManager, dataset: DatasetRecord) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", CHILD, str(manager.data_dir), dataset.id]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            _hear(process, "held")
            yield process
        finally:
            process.kill()


def _hear(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{word}\n"


def test_a_held_dataset_is_not_deleted_and_names_its_holders(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    with manager.hold(dataset.id, by="training tr_1") as first:
        assert (first.dataset_id, first.by) == (dataset.id, "training tr_1")
        second = manager.hold(dataset.id, " a notebook ")
        with pytest.raises(InUseError, match="training tr_1, a notebook") as caught:
            manager.delete_dataset(dataset.id)
        assert caught.value.by == ("training tr_1", "a notebook")
        with pytest.raises(InUseError):
            manager.delete_tokenization(made.id)
        assert manager.get_dataset(dataset.id).in_use_by == ("training tr_1", "a notebook")
        assert manager.load_tokens(made.id, "train")
        second.release()
        second.release()
        assert manager.get_dataset(dataset.id).in_use_by == ("training tr_1",)
    assert manager.get_dataset(dataset.id).in_use_by == ()
    assert manager.delete_dataset(dataset.id) > 0


def test_another_dataset_than_the_held_one_is_deleted(
    manager: DatasetManager, dataset: DatasetRecord, tmp_path: Path
) -> None:
    other = manager.import_files(tmp_path / "texts.txt").wait(60)
    with manager.hold(dataset.id, by="somebody"):
        assert manager.delete_dataset(other.id) > 0


def test_an_error_inside_releases_too(manager: DatasetManager, dataset: DatasetRecord) -> None:
    with pytest.raises(ZeroDivisionError), manager.hold(dataset.id, by="somebody"):
        _ = 1 / 0
    assert manager.delete_dataset(dataset.id) > 0


def test_another_process_holds_until_it_releases(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    with _holder(manager, dataset) as process:
        with pytest.raises(InUseError) as caught:
            manager.delete_dataset(dataset.id)
        assert caught.value.by == ("training tr_1",)
        with DatasetManager(manager.data_dir, read_only=True) as reader:
            assert reader.get_dataset(dataset.id).in_use_by == ("training tr_1",)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        _hear(process, "released")
        assert manager.delete_dataset(dataset.id) > 0


def test_a_holder_that_was_killed_holds_no_longer(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    with _holder(manager, dataset) as process:
        assert manager.get_dataset(dataset.id).in_use_by == ("training tr_1",)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        assert manager.get_dataset(dataset.id).in_use_by == ()
        with DatasetManager(manager.data_dir) as next_one:
            with next_one._parts.catalog.read() as found:
                assert found is not None
                assert found.holds() == []
            assert next_one.delete_dataset(dataset.id) > 0


def test_a_manager_that_is_closed_holds_no_longer(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    other = DatasetManager(manager.data_dir)
    hold = other.hold(dataset.id, by="a notebook")
    other.close()
    with pytest.raises(InterruptedJobError):
        other.hold(dataset.id, by="a notebook")
    assert manager.delete_dataset(dataset.id) > 0
    hold.release()


def test_what_cannot_be_held_is_refused(manager: DatasetManager, dataset: DatasetRecord) -> None:
    for by in ("", "  ", "x" * 201, None, 7):
        with pytest.raises(InvalidRequestError) as caught:
            manager.hold(dataset.id, by=by)  # type: ignore[arg-type]
        assert caught.value.field == "by"
    with pytest.raises(NotFoundError):
        manager.hold(new_dataset_id(), by="somebody")
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        with pytest.raises(ReadOnlyError):
            reader.hold(dataset.id, by="somebody")
        with manager.hold(dataset.id, by="run of /home/me/secret/train.py"):
            assert reader.get_dataset(dataset.id).in_use_by == ("run of train.py",)
    assert manager.delete_dataset(dataset.id) > 0
