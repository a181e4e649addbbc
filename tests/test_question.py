"""Questions about what is deleted while they are answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import CorruptFileError, NotFoundError
from mistudio_widgets.storage import Storage


@pytest.mark.parametrize("of", ["dataset", "tokenization"])
def test_what_is_deleted_in_the_middle_is_not_found_and_not_damaged(
    manager: DatasetManager,
    tmp_path: Path,
    tokenizer_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    of: str,
) -> None:
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    dataset = manager.import_files(tmp_path / "texts.txt").wait(60)
    made = manager.tokenize(dataset.id, tokenizer=tokenizer_path, max_length=8).wait(60)
    moved, go_on = threading.Event(), threading.Event()
    real = getattr(Storage, f"trash_{of}")

    def move_and_rest(*args: Any) -> Path:
        trash: Path = real(*args)
        moved.set()
        assert go_on.wait(60)
        return trash

    monkeypatch.setattr(Storage, f"trash_{of}", move_and_rest)
    with DatasetManager(manager.data_dir, read_only=True) as reader, ThreadPoolExecutor() as pool:
        questions: list[Callable[[], object]] = [
            lambda: reader.sample_tokens(made.id, "train", 0),
            lambda: reader.load_tokens(tokenization_id=made.id, split="train"),
            lambda: reader.sequence_samples(made.id, "train", 0),
        ]
        if of == "dataset":
            questions += [
                lambda: reader.samples(dataset.id),
                lambda: reader.column_statistics(dataset.id),
                lambda: reader.load(dataset.id),
                lambda: reader.preview_tokens(dataset_id=dataset.id, tokenizer=tokenizer_path),
            ]
        reader.get_dataset(dataset.id)
        reader.get_tokenization(made.id)
        subject = dataset.id if of == "dataset" else made.id
        ending = pool.submit(getattr(manager, f"delete_{of}"), subject)
        assert moved.wait(60)
        asked = [pool.submit(question) for question in questions]
        go_on.set()
        ending.result(60)
        for answer in asked:
            with pytest.raises(NotFoundError, match=f"no {of}|no tokenization"):
                answer.result(60)


def test_where_the_newest_tokenization_goes_meanwhile_the_one_before_it_counts(
    manager: DatasetManager,
    tmp_path: Path,
    tokenizer_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "texts.txt").write_text("one two three four\nfive\n")
    dataset = manager.import_files(tmp_path / "texts.txt").wait(60)
    for length in (8, 16):
        made = manager.tokenize(dataset.id, tokenizer=tokenizer_path, max_length=length).wait(60)
    moved, go_on = threading.Event(), threading.Event()
    real = Storage.trash_tokenization

    def move_and_rest(*args: Any) -> Any:
        trash = real(*args)
        moved.set()
        assert go_on.wait(60)
        return trash

    monkeypatch.setattr(Storage, "trash_tokenization", move_and_rest)
    with DatasetManager(manager.data_dir, read_only=True) as reader, ThreadPoolExecutor() as pool:
        assert reader.list_tokenizations(dataset.id)[0].id == made.id
        ending = pool.submit(manager.delete_tokenization, made.id)
        assert moved.wait(60)
        asked = pool.submit(reader.samples, dataset.id, min_tokens=2)
        go_on.set()
        ending.result(60)
        assert asked.result(60).total == 2


def test_what_is_damaged_is_not_called_deleted(manager: DatasetManager, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    dataset = manager.import_files(tmp_path / "texts.txt").wait(60)
    for path in (manager.data_dir / "datasets" / dataset.id).rglob("*.parquet"):
        path.unlink()
    with pytest.raises(CorruptFileError):
        manager.samples(dataset.id)
