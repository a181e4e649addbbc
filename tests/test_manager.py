"""The Python API, on real files, real threads and a real catalog."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mistudio_widgets import DatasetManager, TokenizationSettings
from mistudio_widgets.errors import (
    AlreadyExistsError,
    CorruptFileError,
    InterruptedJobError,
    InUseError,
    InvalidRequestError,
    JobCancelled,
    MalformedFileError,
    MiStudioError,
    NotFoundError,
    ReadOnlyError,
    TokenizationError,
)
from mistudio_widgets.records import DatasetRecord, Event, new_dataset_id

TEXTS = [f"Sample {number}: the quick brown fox.\n" for number in range(100)]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(TEXTS))
    return path


@pytest.fixture
def dataset(manager: DatasetManager, text_file: Path) -> DatasetRecord:
    record: DatasetRecord = manager.import_files(text_file).wait(60)
    return record


def _slow_file(tmp_path: Path) -> Path:
    """A file whose import takes a second."""
    path = tmp_path / "slow.jsonl"
    path.write_text('{"text": "x"}\n' * 2_000_000)
    return path


def test_an_import_is_a_row_at_once_and_ready_in_the_end(
    manager: DatasetManager, text_file: Path
) -> None:
    job = manager.import_files(text_file, name="My texts")
    assert manager.get_dataset(job.dataset_id).name == "My texts"
    record = job.wait(60)
    assert record.status == "ready"
    assert (record.num_samples, record.split_info) == (100, {"train": 100})
    assert (record.text_column, record.progress, record.source) == ("text", 100, "local")
    assert record.metadata.schema_ is not None
    assert record.metadata.download is not None
    assert record.metadata.download.num_files == 1
    shown = manager.get_dataset(record.id)
    assert shown.file_path is not None
    assert Path(shown.file_path).is_dir()
    assert manager.list_datasets().items == (shown,)
    assert manager.jobs() == []
    assert [job.state for job in manager.jobs(active=False)] == ["succeeded"]


def test_what_was_imported_can_be_loaded(manager: DatasetManager, dataset: DatasetRecord) -> None:
    loaded = manager.load(dataset.id, "train")
    assert loaded["text"] == [text.rstrip("\n") for text in TEXTS]
    assert set(manager.load(dataset.id)) == {"train"}
    with pytest.raises(InvalidRequestError, match="There is train"):
        manager.load(dataset.id, "test")


def test_the_files_of_a_dataset_are_listed_with_their_hashes(
    manager: DatasetManager, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.txt").write_text("one\ntwo\n")
    job = manager.import_files({split: tmp_path / f"{split}.txt" for split in ("train", "test")})
    job.wait(60)
    folder = manager.data_dir / "datasets" / job.dataset_id
    page = manager.list_files(job.dataset_id)
    assert (page.total, page.limit, page.offset) == (2, 50, 0)
    assert {file.split: file.num_rows for file in page.items} == {"train": 2, "test": 2}
    for file in page.items:
        content = (folder / file.path).read_bytes()
        assert (file.size_bytes, file.sha256) == (len(content), sha256(content).hexdigest())
    assert manager.list_files(job.dataset_id, limit=1, offset=1).items == page.items[1:]
    with pytest.raises(InvalidRequestError, match="limit"):
        manager.list_files(job.dataset_id, limit=101)
    failed = manager.import_dataset(pa.table({"number": [1]}), name="No text")
    assert failed.wait_until_ended(60)
    with pytest.raises(InvalidRequestError, match="is error, not ready"):
        manager.list_files(failed.dataset_id)


def test_a_name_comes_from_the_paths(manager: DatasetManager, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "b.txt").write_text("b")
    jobs = {
        "corpus": manager.import_files(folder),
        "a": manager.import_files(folder / "a.txt"),
        "a and 1 more": manager.import_files([folder / "a.txt", folder / "b.txt"]),
    }
    assert manager.import_files(folder / "*.txt").wait(60).name == "corpus"
    for name, job in jobs.items():
        assert job.wait(60).name == name


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"paths": "/nowhere/at/all.txt"}, "paths"),
        ({"paths": []}, "paths"),
        ({"splits": {"train": 0.5}}, "splits"),
        ({"sample_by": "word"}, "sample_by"),
        ({"name": " "}, "name"),
        ({"name": "x" * 501}, "name"),
        ({"tokenize": {"tokenizer": "x", "stride": 600}}, "stride"),
    ],
)
def test_a_bad_import_is_refused_and_leaves_no_row(
    manager: DatasetManager, text_file: Path, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        manager.import_files(**{"paths": text_file, **given})
    assert caught.value.field == field
    assert manager.list_datasets().total == 0


def test_a_failed_import_keeps_its_row_and_can_be_tried_again(
    manager: DatasetManager, tmp_path: Path
) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"text": "a"}\n{"text": \n')
    job = manager.import_files(path)
    with pytest.raises(MalformedFileError) as caught:
        job.wait(60)
    assert caught.value.line == 2
    record = manager.get_dataset(job.dataset_id)
    assert (record.status, record.error_code) == ("error", "malformed_file")
    assert "broken.jsonl" in (record.error_message or "")
    assert record.hint
    assert list((manager.data_dir / "staging").iterdir()) == []
    assert list((manager.data_dir / "datasets").iterdir()) == []
    with pytest.raises(InvalidRequestError, match="not ready"):
        manager.tokenize(record.id, tokenizer="gpt2")
    path.write_text('{"text": "a"}\n{"text": "b"}\n')
    again = manager.retry(record.id).wait(60)
    assert (again.id, again.status, again.num_samples, again.error_message) == (
        record.id,
        "ready",
        2,
        None,
    )
    assert manager.retry(record.id).wait(0).id == record.id


def test_a_table_is_imported_from_memory(manager: DatasetManager) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"n": [1, 2], "text": ["a", "b"]})
    record = manager.import_dataset(frame, name="frame", split="validation").wait(60)
    assert (record.source, record.split_info) == ("custom", {"validation": 2})
    assert manager.load(record.id, "validation")["n"] == [1, 2]
    with pytest.raises(InvalidRequestError) as caught:
        manager.import_dataset(42, name="no table")
    assert caught.value.field == "data"


def test_a_table_that_failed_cannot_be_retried(manager: DatasetManager) -> None:
    pa = pytest.importorskip("pyarrow")
    job = manager.import_dataset(pa.table({"n": [1]}), name="no text")
    with pytest.raises(MiStudioError):
        job.wait(60)
    with pytest.raises(InvalidRequestError, match="not known any more"):
        manager.retry(job.dataset_id)
    assert manager.delete_dataset(job.dataset_id) == 0


def test_tokenizing_2000_stdlib_files_gives_their_texts_back(
    manager: DatasetManager, stdlib_files: list[Path], tokenizer_path: Path
) -> None:
    from tokenizers import Tokenizer

    job = manager.import_files([*stdlib_files], name="stdlib", sample_by="document")
    dataset = job.wait(120)
    assert dataset.num_samples == len(stdlib_files)
    record = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=512).wait(240)
    tokens = manager.load_tokens(record.id, "train")
    ids = tokens["input_ids"]
    assert (ids.dtype, ids.shape) == (__import__("torch").int32, (record.num_sequences, 512))
    accounting = record.accounting
    assert accounting is not None
    assert (
        accounting.tokens_in + accounting.tokens_inserted + accounting.tokens_repeated
        == accounting.tokens_kept + accounting.tokens_truncated + accounting.tokens_tail
    )
    assert accounting.tokens_kept == record.num_tokens
    assert ids.numel() == accounting.tokens_kept + accounting.tokens_padding
    assert record.padding_share == accounting.tokens_padding / ids.numel() > 0
    assert (record.truncated_share, record.dropped_share) == (0, 0)

    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    separator = tokenizer.token_to_id("<|endoftext|>")
    stream = ids.flatten()[: record.num_tokens].tolist()
    documents: list[list[int]] = [[]]
    for token in stream:
        if token == separator:
            documents.append([])
        else:
            documents[-1].append(token)
    texts = tokenizer.decode_batch(documents, skip_special_tokens=False)
    originals = [
        path.read_text("utf-8-sig", newline="") if False else path.read_bytes().decode("utf-8-sig")
        for path in sorted(stdlib_files)
    ]
    if any("<|endoftext|>" in text for text in originals):
        texts, originals = ["".join(texts)], ["".join(originals).replace("<|endoftext|>", "")]
    assert texts == originals


def test_the_same_tokenization_is_found_not_made_again(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    first = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60)
    settings = TokenizationSettings(tokenizer=str(tokenizer_path))
    again = manager.tokenize(dataset.id, settings)
    assert again.state == "succeeded"
    assert again.wait(0).id == first.id
    folder_named = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path.parent)).wait(60)
    assert folder_named.id == first.id, "the same tokenizer under another path"
    other = manager.tokenize(dataset.id, settings, max_length=64).wait(60)
    assert other.id != first.id
    assert [item.id for item in manager.list_tokenizations(dataset.id)] == [other.id, first.id]
    shown = manager.get_dataset(dataset.id)
    assert (shown.num_tokens, shown.num_tokenizations) == (other.num_tokens, 2)
    assert shown.tokenized_path is not None
    assert shown.tokenized_path.endswith(other.id)
    assert shown.metadata.tokenization is not None
    assert shown.metadata.tokenization.max_length == 64
    assert shown.metadata.download is not None


def test_a_receipt_holds_the_whole_record(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    record = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60)
    folder = manager.data_dir / "datasets" / dataset.id / "tokenized"
    assert sorted(path.name for path in folder.iterdir()) == [record.id]
    names = sorted(path.name for path in (folder / record.id).iterdir())
    assert names == ["lengths_train.npy", "receipt.json", "train.pt"]
    receipt = manager._parts.storage.read_receipt(dataset.id, record.id)
    assert receipt.tokenization == record
    assert {file.path for file in receipt.files} == {"lengths_train.npy", "train.pt"}
    manifest = manager._parts.storage.read_manifest(dataset.id)
    assert manifest.dataset.name == dataset.name


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"tokenizer": "/no/such/tokenizer.json"}, "tokenizer"),
        ({"tokenizer": "not a name at all!"}, "tokenizer"),
        ({"tokenizer": "gpt2", "splits": ["nope"]}, "splits"),
        ({"tokenizer": "gpt2", "text_column": "nope"}, "text_column"),
        ({"tokenizer": "gpt2", "engine": "magic"}, "engine"),
        ({"tokenizer": "gpt2", "nonsense": 1}, "nonsense"),
    ],
)
def test_a_bad_tokenization_is_refused_and_leaves_no_row(
    manager: DatasetManager, dataset: DatasetRecord, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        manager.tokenize(dataset.id, **options)
    assert caught.value.field == field
    assert manager.list_tokenizations(dataset.id) == []


def test_settings_of_a_wrong_kind_are_refused(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    with pytest.raises(InvalidRequestError, match="must be TokenizationSettings"):
        manager.tokenize(dataset.id, "gpt2")  # type: ignore[arg-type]


def test_a_failed_tokenization_leaves_the_dataset_ready(
    manager: DatasetManager, dataset: DatasetRecord, text_file: Path, tokenizer_path: Path
) -> None:
    job = manager.tokenize(dataset.id, tokenizer=str(text_file))
    with pytest.raises(TokenizationError, match=r"texts\.txt"):
        job.wait(60)
    (record,) = manager.list_tokenizations(dataset.id)
    assert record.status == "error"
    assert record.hint
    assert manager.get_dataset(dataset.id).status == "ready"
    with pytest.raises(InvalidRequestError, match="is error"):
        manager.load_tokens(record.id, "train")
    assert manager.delete_tokenization(record.id) == 0
    assert manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60).status == "ready"


def test_tokens_of_an_unknown_split_or_a_lost_file_are_named(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    record = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60)
    with pytest.raises(InvalidRequestError, match="There is train"):
        manager.load_tokens(record.id, "test")
    folder = manager.data_dir / "datasets" / dataset.id / "tokenized" / record.id
    (folder / "train.pt").write_bytes(b"no tensor")
    with pytest.raises(CorruptFileError, match=r"train\.pt"):
        manager.load_tokens(record.id, "train")
    first = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=7).wait(60)
    assert manager.delete_tokenization(first.id) > 0
    with pytest.raises(NotFoundError):
        manager.get_tokenization(first.id)
    left = manager.get_dataset(dataset.id).metadata.tokenization
    assert left is not None
    assert left.tokenization_id == record.id
    manager.delete_tokenization(record.id)
    shown = manager.get_dataset(dataset.id)
    assert (shown.metadata.tokenization, shown.num_tokens) == (None, None)


def test_tokenization_follows_an_import_by_itself(
    manager: DatasetManager, text_file: Path, tokenizer_path: Path
) -> None:
    completed = threading.Event()
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)
        if event.event == "completed" and event.kind == "tokenize":
            completed.set()

    manager.subscribe(note)
    job = manager.import_files(text_file, tokenize={"tokenizer": str(tokenizer_path)})
    job.wait(60)
    assert completed.wait(60)
    (record,) = manager.list_tokenizations(job.dataset_id)
    assert record.status == "ready"
    last = events[-1]
    assert last.event == "completed"
    assert (last.num_samples, last.num_tokens) == (100, record.num_tokens)


def test_a_failing_follow_up_is_told(manager: DatasetManager, text_file: Path) -> None:
    failed = threading.Event()
    manager.subscribe(lambda event: failed.set() if event.event == "error" else None)
    job = manager.import_files(text_file, tokenize={"tokenizer": "x", "text_column": "nope"})
    assert job.wait(60).status == "ready"
    assert failed.wait(10)
    (refused,) = manager.list_tokenizations(job.dataset_id)
    assert (refused.status, refused.error_code) == ("error", "invalid_request")
    assert "nope" in str(refused.error_message)


@pytest.mark.parametrize("tokenizer", ["/nope", "x" * 4000, "~/nope/tokenizer.json", "a\0b"])
def test_a_follow_up_that_cannot_be_is_refused_at_once(
    manager: DatasetManager, text_file: Path, tokenizer: str
) -> None:
    for attempt in (
        lambda: manager.import_files(text_file, tokenize={"tokenizer": tokenizer}),
        lambda: manager.download("a/b", tokenize={"tokenizer": tokenizer}),
        lambda: manager.import_dataset(
            pa.table({"text": ["a"]}), name="a", tokenize={"tokenizer": tokenizer}
        ),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            attempt()
        assert caught.value.field == "tokenizer"
        assert len(str(caught.value)) < 500
    assert manager.list_datasets().total == 0


def test_splits_of_an_import_are_shares(manager: DatasetManager, text_file: Path) -> None:
    with pytest.raises(InvalidRequestError, match="split=") as caught:
        manager.import_files(text_file, splits="train")  # type: ignore[arg-type]
    assert caught.value.field == "splits"


def test_one_split_to_tokenize_may_be_a_name() -> None:
    assert TokenizationSettings(tokenizer="x", splits="train").splits == ("train",)  # type: ignore[arg-type]


def test_splits_and_files_without_rows_load(manager: DatasetManager, tmp_path: Path) -> None:
    empty, full = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), empty)
    pq.write_table(pa.table({"text": ["x"]}), full)
    record = manager.import_files({"train": [empty, full], "test": empty}).wait(60)
    loaded = manager.load(record.id)
    assert loaded["train"]["text"] == ["x"]
    assert (loaded["test"].num_rows, loaded["test"].column_names) == (0, ["text"])


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_file_is_named_when_it_is_loaded(
    manager: DatasetManager, dataset: DatasetRecord, damage: str
) -> None:
    (path,) = Path(str(manager.get_dataset(dataset.id).file_path)).rglob("*.parquet")
    if damage == "truncate":
        os.truncate(path, 100)
    else:
        path.unlink()
    with pytest.raises(CorruptFileError, match=path.name):
        manager.load(dataset.id, "train")


def test_a_cancelled_import_leaves_nothing(manager: DatasetManager, tmp_path: Path) -> None:
    path = _slow_file(tmp_path)
    job = manager.import_files(path)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(60)
    assert manager.list_datasets().total == 0
    assert list((manager.data_dir / "staging").iterdir()) == []
    assert list((manager.data_dir / "datasets").iterdir()) == []
    assert manager.jobs(active=False) == []


def test_what_is_in_use_is_not_deleted(manager: DatasetManager, tmp_path: Path) -> None:
    path = _slow_file(tmp_path)
    job = manager.import_files(path)
    with pytest.raises(InUseError) as caught:
        manager.delete_dataset(job.dataset_id)
    assert job.id in caught.value.by[0]
    with pytest.raises(InUseError):
        manager.retry(job.dataset_id)
    assert manager.get_dataset(job.dataset_id).in_use_by == (f"import {job.id}",)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(60)


def test_deleting_frees_everything(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    record = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60)
    assert manager.delete_dataset(dataset.id) > (record.size_bytes or 0)
    assert manager.list_datasets().total == 0
    assert list((manager.data_dir / "datasets").iterdir()) == []
    for gone in (manager.get_dataset, manager.delete_dataset, manager.list_tokenizations):
        with pytest.raises(NotFoundError):
            gone(dataset.id)
    with pytest.raises(NotFoundError):
        manager.delete_tokenization(record.id)


def test_events_tell_of_progress_and_end(manager: DatasetManager, tmp_path: Path) -> None:
    path = _slow_file(tmp_path)
    events: list[Event] = []
    unsubscribe = manager.subscribe(events.append)
    job = manager.import_files(path)
    job.wait(120)
    unsubscribe()
    ticks = [event for event in events if event.event == "download_progress"]
    assert ticks
    assert all(event.dataset_id == job.dataset_id for event in events)
    assert sorted(t.progress for t in ticks) == [t.progress for t in ticks]
    before = len(events)
    manager.import_files(tmp_path / "*.jsonl").wait(120)
    assert len(events) == before


def test_a_failing_subscriber_harms_nobody(manager: DatasetManager, text_file: Path) -> None:
    def broken(_event: Event) -> None:
        raise RuntimeError

    manager.subscribe(broken)
    manager.watch(lambda: 1 / 0)
    assert manager.import_files(text_file).wait(60).status == "ready"


def test_lists_are_paged_and_filtered(manager: DatasetManager, text_file: Path) -> None:
    for name in ("alpha", "beta", "gamma"):
        manager.import_files(text_file, name=name).wait(60)
    assert [d.name for d in manager.list_datasets().items] == ["gamma", "beta", "alpha"]
    page = manager.list_datasets(limit=1, offset=1)
    assert ([d.name for d in page.items], page.total) == (["beta"], 3)
    assert [d.name for d in manager.list_datasets(search="AL").items] == ["alpha"]
    assert manager.list_datasets(status="error").total == 0
    assert manager.list_datasets(source="local").total == 3
    for wrong in ({"limit": 0}, {"limit": 101}, {"offset": -1}):
        with pytest.raises(InvalidRequestError):
            manager.list_datasets(**wrong)


def test_a_read_only_manager_changes_nothing(
    manager: DatasetManager, dataset: DatasetRecord, text_file: Path, tokenizer_path: Path
) -> None:
    tokenization = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60)
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        shown = reader.get_dataset(dataset.id)
        assert (shown.name, shown.file_path, shown.tokenized_path) == (dataset.name, None, None)
        assert reader.storage().data_dir is None
        assert reader.load_tokens(tokenization.id, "train")["input_ids"].shape[1] == 512
        writes = [
            lambda: reader.import_files(text_file),
            lambda: reader.import_dataset(None, name="x"),
            lambda: reader.download("a/b"),
            lambda: reader.plan_download("a/b"),
            lambda: reader.retry(dataset.id),
            lambda: reader.delete_dataset(dataset.id),
            lambda: reader.tokenize(dataset.id, tokenizer="x"),
            lambda: reader.delete_tokenization(tokenization.id),
            reader.cleanup,
            lambda: reader.job("job_" + "0" * 32),
        ]
        for write in writes:
            with pytest.raises(ReadOnlyError):
                write()
        assert "read-only" in repr(reader)
        (seen,) = reader.list_tokenizations(dataset.id)
        assert seen.settings.tokenizer == seen.tokenizer_name == tokenizer_path.parent.name
    assert manager.get_dataset(dataset.id).status == "ready"


@pytest.mark.parametrize("variable", ["VOILA_KERNEL_ID", "VOILA_PREHEAT"])
def test_under_voila_a_manager_is_read_only_whatever_is_asked(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with DatasetManager(data_dir, read_only=False) as reader:
        assert reader.read_only
        assert reader.list_datasets().total == 0
        with pytest.raises(ReadOnlyError):
            reader.import_files("/etc/hostname")
    assert not data_dir.exists()


def test_a_second_manager_sees_what_the_first_does(
    manager: DatasetManager, text_file: Path
) -> None:
    with DatasetManager(manager.data_dir) as second:
        changed = threading.Event()
        second.watch(changed.set)
        job = manager.import_files(text_file)
        assert changed.wait(10)
        job.wait(60)
        assert second.get_dataset(job.dataset_id).status == "ready"
        with pytest.raises(NotFoundError, match="in this process"):
            second.job(job.id)
        assert manager.job(job.id) is job


def test_strangers_see_names_not_folders(manager: DatasetManager, tmp_path: Path) -> None:
    path = tmp_path / "no text.csv"
    path.write_text("a,b\n1,2\n")
    job = manager.import_files(path)
    with pytest.raises(MiStudioError):
        job.wait(60)
    assert "no text.csv" in (manager.get_dataset(job.dataset_id).error_message or "")
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        message = reader.get_dataset(job.dataset_id).error_message or ""
        assert "no text.csv" in message
        assert str(tmp_path) not in message


def test_the_same_tokenizer_with_another_eos_is_another_tokenization(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "renamed"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(tokenizer_path.read_bytes())
    (folder / "tokenizer_config.json").write_text('{"eos_token": "!"}')
    plain = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path)).wait(60)
    other = manager.tokenize(dataset.id, tokenizer=str(folder)).wait(60)
    assert plain.id != other.id
    assert plain.content_sha256 != other.content_sha256
    assert other.tokenizer_name == "renamed"
    first, second = (manager.load_tokens(r.id, "train")["input_ids"] for r in (plain, other))
    assert not first.equal(second)


def test_closing_leaves_interrupted_what_ran(data_dir: Path, tmp_path: Path) -> None:
    path = _slow_file(tmp_path)
    manager = DatasetManager(data_dir)
    job = manager.import_files(path)
    manager.close()
    with pytest.raises(InterruptedJobError):
        job.wait(0)
    with DatasetManager(data_dir) as again:
        record = again.get_dataset(job.dataset_id)
        assert (record.status, record.error_code) == ("error", "interrupted")
        assert again.retry(record.id).wait(120).status == "ready"
    with pytest.raises(MiStudioError):
        manager.import_files(path)


KILLED = """
import sys
from mistudio_widgets import DatasetManager
manager = DatasetManager(sys.argv[1])
job = manager.import_files(sys.argv[2])
while job.snapshot().done == 0:
    pass
print(job.dataset_id, flush=True)
sys.stdin.read()
"""


def test_a_killed_process_leaves_no_stuck_row(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "slow.jsonl"
    path.write_text('{"text": "x"}\n' * 20_000_000)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data_dir), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    dataset_id = process.stdout.readline().strip()
    with DatasetManager(data_dir, read_only=True) as reader:
        assert reader.get_dataset(dataset_id).status == "processing"
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        shown = reader.get_dataset(dataset_id)
        assert (shown.status, shown.error_code) == ("error", "interrupted")
        assert (shown.error_message or "").startswith("Interrupted at ")
        assert reader.list_datasets(status="error").total == 1
        assert [job.state for job in reader.jobs(active=False)] == ["failed"]
    assert list((data_dir / "staging").iterdir()) != []
    path.write_text('{"text": "x"}\n')
    with DatasetManager(data_dir) as manager:
        record = manager.get_dataset(dataset_id)
        assert (record.status, record.error_code) == ("error", "interrupted")
        assert list((data_dir / "staging").iterdir()) == []
        assert list((data_dir / "jobs").iterdir()) == []
        assert manager.retry(dataset_id).wait(60).num_samples == 1


def test_downloads_that_are_there_are_not_fetched_again(manager: DatasetManager) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        manager.download("not/a/repo/id")
    assert caught.value.field == "repo_id"
    with pytest.raises(InvalidRequestError):
        manager.download("a/b", tokenize={"tokenizer": "x", "stride": -1})
    assert manager.list_datasets().total == 0


def test_limits_must_be_positive(data_dir: Path) -> None:
    for field in ("max_downloads", "max_tokenizations"):
        with pytest.raises(InvalidRequestError) as caught:
            DatasetManager(data_dir, **{field: 0})
        assert caught.value.field == field


def test_unknown_ids_are_not_found(manager: DatasetManager) -> None:
    with pytest.raises(NotFoundError):
        manager.get_dataset(new_dataset_id())
    with pytest.raises(NotFoundError):
        manager.get_dataset("../../etc/passwd")
    with pytest.raises(NotFoundError):
        manager.tokenize(new_dataset_id(), tokenizer="x")
    assert AlreadyExistsError.code == "already_exists"


def save_unopened_tokenizer(tokenizer_path, folder):
    """Save a tokenizer that this process has not opened."""
    content = json.loads(Path(tokenizer_path).read_text())
    path = folder / "own" / "tokenizer.json"
    path.parent.mkdir()
    path.write_text(
        json.dumps({**content, "version": "1.0"}, indent=1)
        + "\n" * len(list(folder.parent.iterdir()))
    )
    return path


def import_zebras(manager, folder):
    source = folder / "a.jsonl"
    source.write_text("".join(json.dumps({"text": f"a zebra {n}"}) + "\n" for n in range(50)))
    return manager.import_files(source, name="zebras").wait()


def has_the_references_ids(manager, record, tokenizer_path):
    expected = manager.tokenize(
        record.dataset_id, tokenizer=str(tokenizer_path), engine="tokenizers"
    ).wait()
    one, two = (manager.load_tokens(r.id, "train")["input_ids"] for r in (record, expected))
    return one.tolist() == two.tolist()


def test_an_engine_that_errs_on_real_text_is_replaced_by_the_reference(
    manager, tmp_path, tokenizer_path, monkeypatch
):
    """It passes the probes, and fails on a word of this dataset only."""
    from mistudio_widgets.encoders import engines

    path = save_unopened_tokenizer(tokenizer_path, tmp_path)
    opened = engines.OPENERS["fastokens"]

    class ErringOnZebras:
        def __init__(self, path):
            self._right = opened(path)

        def encode(self, texts):
            ids, offsets = self._right.encode(texts)
            return (ids + any("zebra" in text for text in texts)).astype(np.int32), offsets

    monkeypatch.setitem(engines.OPENERS, "fastokens", ErringOnZebras)
    dataset = import_zebras(manager, tmp_path)
    record = manager.tokenize(dataset.id, tokenizer=str(path)).wait()
    assert record.engine == "tokenizers"
    assert has_the_references_ids(manager, record, tokenizer_path)


def test_an_engine_works_while_it_is_proven_and_counts_only_then(
    manager, tmp_path, tokenizer_path, monkeypatch
):
    """It errs on probes, which is found when all of the dataset is encoded."""
    from mistudio_widgets.encoders import engines, probes

    has_encoded = threading.Event()
    opened = engines.OPENERS["fastokens"]

    class ErringOnProbes:
        def __init__(self, path):
            self._right = opened(path)

        def encode(self, texts):
            ids, offsets = self._right.encode(texts)
            if len(texts) == 50:
                has_encoded.set()
                ids = ids + 1
            return ids.astype(np.int32), offsets

    def fail_late(_encoder, tokenizer, _check):
        assert tokenizer.path == str(path)
        assert has_encoded.wait(30)
        return False

    monkeypatch.setitem(engines.OPENERS, "fastokens", ErringOnProbes)
    monkeypatch.setattr(probes, "is_equal_on_probes", fail_late)
    path = save_unopened_tokenizer(tokenizer_path, tmp_path)
    dataset = import_zebras(manager, tmp_path)
    record = manager.tokenize(dataset.id, tokenizer=str(path)).wait()
    assert has_encoded.is_set()
    assert record.engine == "tokenizers"
    assert has_the_references_ids(manager, record, tokenizer_path)
