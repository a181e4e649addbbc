"""Looking into datasets: pages, filters, tokens, sequences, statistics."""

from __future__ import annotations

import random
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mistudio_widgets import DatasetManager, samples
from mistudio_widgets.errors import (
    CorruptFileError,
    InterruptedJobError,
    InvalidRequestError,
    JobCancelled,
    NotFoundError,
)
from mistudio_widgets.manager import looking
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import DatasetRecord, Sample, TokenizationRecord

WORDS = ["the", "a", "of", "Zürich", "東京", "👍", "def", "return", "import", "=", "(", "\n"]


def some_texts(count: int, seed: int) -> list[str | None]:
    chance = random.Random(seed)
    made: list[str | None] = [
        " ".join(chance.choices(WORDS, k=chance.choice([0, 1, 3, 10, 40, 200])))
        for _ in range(count)
    ]
    for number in range(5, count, 50):
        made[number] = None
    return made


TRAIN, TEST = some_texts(400, 1), some_texts(150, 2)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="module")
def shared(home: Path) -> Any:
    with DatasetManager(home / "data", device="cpu") as made:
        yield made


@pytest.fixture(scope="module")
def dataset(shared: DatasetManager, home: Path) -> DatasetRecord:
    paths: dict[str, Any] = {"train": [], "test": []}
    pieces = {"train": [TRAIN[:150], TRAIN[150:]], "test": [TEST]}
    for split, parts in pieces.items():
        for number, texts in enumerate(parts):
            path = home / f"{split}{number}.parquet"
            columns = {"text": texts, "n": list(range(len(texts))), "row": ["r"] * len(texts)}
            pq.write_table(pa.table(columns), path, row_group_size=70)
            paths[split].append(path)
    record: DatasetRecord = shared.import_files(paths, name="texts").wait()
    return record


@pytest.fixture(scope="module")
def tokenized(
    shared: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> TokenizationRecord:
    return tokenize(shared, dataset, tokenizer_path)


def tokenize(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer: Path, **options: Any
) -> TokenizationRecord:
    chosen = {"mode": "per_sample", "max_length": 4096, "skip_invalid": True, **options}
    record: TokenizationRecord = manager.tokenize(
        dataset.id, tokenizer=str(tokenizer), **chosen
    ).wait()
    return record


def every(manager: DatasetManager, dataset_id: str, limit: int = 100, **asked: Any) -> list[Sample]:
    """Walk all pages."""
    found: list[Sample] = []
    while True:
        page = manager.samples(dataset_id, limit=limit, offset=len(found), **asked)
        found += page.items
        if not page.items:
            assert page.total == len(found)
            return found


def test_pages_walked_to_the_end_hold_every_row_once(
    shared: DatasetManager, dataset: DatasetRecord
) -> None:
    found = every(shared, dataset.id, limit=37)
    rows = [("train", row, text) for row, text in enumerate(TRAIN)]
    rows += [("test", row, text) for row, text in enumerate(TEST)]
    assert [(item.split, item.row, item.text) for item in found] == rows
    assert [item.num_chars for item in found] == [
        None if text is None else len(text) for _, _, text in rows
    ]
    assert found[151].columns["n"].value == 1
    assert found[151].columns["row"].value == "r"
    assert set(found[0].columns) == {"n", "row"}
    assert [item.row for item in every(shared, dataset.id, split="test")] == list(range(150))


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    split=st.sampled_from([None, "train", "test"]),
    shortest=st.integers(0, 400) | st.none(),
    longest=st.integers(0, 400) | st.none(),
    limit=st.integers(1, 100),
    offset=st.integers(0, 600),
)
def test_every_filter_equals_brute_force(
    shared: DatasetManager,
    dataset: DatasetRecord,
    tokenized: TokenizationRecord,
    tokenizer_path: Path,
    split: str | None,
    shortest: int | None,
    longest: int | None,
    limit: int,
    offset: int,
) -> None:
    from tokenizers import Tokenizer

    if shortest is not None and longest is not None and shortest > longest:
        shortest, longest = longest, shortest
    reference = Tokenizer.from_file(str(tokenizer_path))
    expected = [
        (name, row, text, None if text is None else len(reference.encode(text).ids))
        for name, texts in (("train", TRAIN), ("test", TEST))
        for row, text in enumerate(texts)
        if split in (None, name)
    ]
    if shortest is not None or longest is not None:
        expected = [
            item
            for item in expected
            if item[3] is not None
            and (shortest or 0) <= item[3]
            and (longest is None or item[3] <= longest)
        ]
    page = shared.samples(
        dataset.id,
        split=split,
        min_tokens=shortest,
        max_tokens=longest,
        limit=limit,
        offset=offset,
        tokenization_id=tokenized.id,
    )
    assert page.total == len(expected)
    shown = [(item.split, item.row, item.text, item.num_tokens) for item in page.items]
    assert shown == expected[offset : offset + limit]


@pytest.mark.parametrize("is_indexed", [False, True])
@pytest.mark.parametrize(
    "search", ["the", "retur*", '"import = ("', "東京 OR zürich", "def -the", "nowhere"]
)
def test_searches_walked_to_the_end_hold_each_hit_once(
    shared: DatasetManager,
    dataset: DatasetRecord,
    tokenized: TokenizationRecord,
    *,
    search: str,
    is_indexed: bool,
) -> None:
    if is_indexed:
        shared.build_index(dataset.id).wait()
    else:
        shared.delete_index(dataset.id)
    query = samples.parse(search)
    for split, shortest, longest in ((None, None, None), ("test", 3, None), (None, 10, 60)):
        asked = {"split": split, "min_tokens": shortest, "max_tokens": longest}
        within = every(shared, dataset.id, tokenization_id=tokenized.id, **asked)
        expected = [(item.split, item.row) for item in within if query.matches(item.text or "")]
        found = every(
            shared, dataset.id, limit=7, tokenization_id=tokenized.id, search=search, **asked
        )
        shown = [(item.split, item.row) for item in found]
        if is_indexed:
            # best first
            assert sorted(shown) == sorted(expected)
            assert len(set(shown)) == len(shown)
        else:
            assert shown == expected
        for item in found:
            assert item.highlights == tuple(map(tuple, query.highlights(item.text or "")))


def test_a_page_of_a_search_need_not_wait_for_the_count(
    manager: DatasetManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"text": [f"word {number % 7}" for number in range(1000)]})
    dataset = manager.import_dataset(table, name="t").wait()
    manager.delete_index(dataset.id)
    go_on = threading.Event()
    real = samples.FileMap.texts

    def slowly(self: samples.FileMap, split: str, start_row: int = 0) -> Any:
        for first, texts in real(self, split, start_row):
            yield first, texts.slice(0, 100)
            assert go_on.wait(60)
            yield first + 100, texts.slice(100)

    monkeypatch.setattr(samples.FileMap, "texts", slowly)
    asked: dict[str, Any] = {"search": "word 3", "limit": 5}
    page = manager.samples(dataset.id, exact_total=False, **asked)
    assert [item.row for item in page.items] == [3, 10, 17, 24, 31]
    assert page.total is None
    go_on.set()
    assert manager.samples(dataset.id, **asked).total == 143
    assert manager.samples(dataset.id, exact_total=False, **asked).total == 143


def test_a_hit_far_behind_is_shown(manager: DatasetManager) -> None:
    text = "é filler " * 5000 + "needle" + " more" * 5000
    dataset = manager.import_dataset(pa.table({"text": [text]}), name="t").wait()
    item = manager.samples(dataset.id, search="NEEDLE").items[0]
    assert item.text is not None
    ((start, end),) = item.highlights
    assert item.text[start:end] == "needle"
    assert item.text == text[item.text_start : item.text_start + 10_000]


@pytest.mark.parametrize(
    "needle",
    ["Nine words are more than Any expression says, DON'T", "Needle" * 20, "ﬀ" * 20],
    ids=["long phrase", "long word", "tangled folding"],
)
def test_a_hit_far_behind_is_shown_whatever_it_is(manager: DatasetManager, needle: str) -> None:
    # what comes first begins as the hit does
    text = "nine words are " + "é filler " * 5000 + needle + " more" * 5000
    dataset = manager.import_dataset(pa.table({"text": [text]}), name="t").wait()
    item = manager.samples(dataset.id, search=f'"{needle.upper()}"').items[0]
    assert item.text is not None
    ((start, end),) = item.highlights
    assert item.text[start:end] == needle
    assert item.text == text[item.text_start : item.text_start + 10_000]


def test_a_cancelled_search_ends(manager: DatasetManager, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = manager.import_dataset(pa.table({"text": ["a"]}), name="t").wait()
    manager.delete_index(dataset.id)
    begun, gone = threading.Event(), threading.Event()

    def endless(_self: samples.FileMap, _split: str, _start_row: int = 0) -> Any:
        begun.set()
        try:
            while True:
                yield 0, pa.array(["b"], pa.large_string())
        finally:
            gone.set()

    monkeypatch.setattr(samples.FileMap, "texts", endless)
    progress = Progress()
    threading.Thread(target=lambda: begun.wait(60) and progress.cancel()).start()
    with pytest.raises(JobCancelled):
        manager.samples(dataset.id, search="a", progress=progress)
    assert gone.wait(60)


def test_without_a_tokenization_characters_count(manager: DatasetManager) -> None:
    texts = ["", "é" * 5, "👍" * 6, None, "x" * 7]
    dataset = manager.import_dataset(pa.table({"text": texts}), name="t").wait()
    page = manager.samples(dataset.id, min_tokens=5, max_tokens=6)
    assert [item.row for item in page.items] == [1, 2]
    assert page.total == 2
    assert [item.num_tokens for item in page.items] == [None, None]
    assert [item.row for item in manager.samples(dataset.id, max_tokens=0).items] == [0]


def test_the_newest_ready_tokenization_counts_and_a_chosen_one_wins(
    manager: DatasetManager, tokenizer_path: Path
) -> None:
    table = pa.table({"text": ["a b c d e", "a"]})
    both = {"a": table, "b": table}
    import datasets

    held = datasets.DatasetDict({name: datasets.Dataset(part) for name, part in both.items()})
    dataset = manager.import_dataset(held, name="t").wait()
    whole = tokenize(manager, dataset, tokenizer_path)
    assert [item.num_tokens for item in manager.samples(dataset.id).items] == [5, 1, 5, 1]
    tokenize(manager, dataset, tokenizer_path, max_length=2, splits=["a"])
    assert [item.num_tokens for item in manager.samples(dataset.id).items] == [2, 1, None, None]
    assert manager.samples(dataset.id, min_tokens=2).total == 1
    chosen = manager.samples(dataset.id, min_tokens=2, tokenization_id=whole.id)
    assert [(item.split, item.num_tokens) for item in chosen.items] == [("a", 5), ("b", 5)]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"split": "nonsense"}, "split"),
        ({"split": ["train"]}, "split"),
        ({"tokenization_id": ["a"]}, "tokenization_id"),
        ({"search": 5}, "search"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": None}, "limit"),
        ({"offset": False}, "offset"),
        ({"offset": np.float64(1)}, "offset"),
        ({"min_tokens": True}, "min_tokens"),
        ({"max_tokens": np.True_}, "max_tokens"),
        ({"offset": -1}, "offset"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"min_tokens": 5, "max_tokens": 4}, "min_tokens"),
    ],
)
def test_what_means_nothing_is_refused(
    shared: DatasetManager, dataset: DatasetRecord, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        shared.samples(dataset.id, **asked)
    assert caught.value.field == field


def test_what_is_not_there_is_named(
    shared: DatasetManager, dataset: DatasetRecord, tokenized: TokenizationRecord
) -> None:
    with pytest.raises(NotFoundError):
        shared.samples("ds_00000000-0000-0000-0000-000000000000")
    with pytest.raises(NotFoundError):
        shared.samples(dataset.id, tokenization_id="tok_0000000000000000")
    with pytest.raises(NotFoundError):
        shared.column_statistics("ds_00000000-0000-0000-0000-000000000000")
    other = shared.import_dataset(pa.table({"text": ["a"]}), name="other").wait()
    with pytest.raises(InvalidRequestError, match="another dataset"):
        shared.samples(other.id, tokenization_id=tokenized.id)
    for row in (-1, 400, 2**70):
        with pytest.raises(InvalidRequestError, match="no row"):
            shared.sample_tokens(tokenized.id, "train", row)
    with pytest.raises(InvalidRequestError, match="no split"):
        shared.sample_tokens(tokenized.id, "nonsense", 0)
    for sequence in (-1, 400):
        with pytest.raises(InvalidRequestError, match="no sequence"):
            shared.sequence_samples(tokenized.id, "train", sequence)
    for unknown in ("tok_\ud800", "", "a" * 100_000):
        with pytest.raises(NotFoundError):
            shared.sample_tokens(unknown, "train", 0)


@pytest.mark.parametrize("number", ["1", None, 1.0, True, [1]])
def test_rows_and_sequences_are_whole_numbers(
    shared: DatasetManager,
    dataset: DatasetRecord,
    tokenized: TokenizationRecord,
    tokenizer_path: Path,
    number: Any,
) -> None:
    for field, ask in (
        ("row", lambda: shared.sample_tokens(tokenized.id, "train", number)),
        ("sequence", lambda: shared.sequence_samples(tokenized.id, "train", number)),
        (
            "row",
            lambda: shared.preview_tokens(
                dataset_id=dataset.id, row=number, tokenizer=str(tokenizer_path)
            ),
        ),
        ("limit", lambda: shared.list_datasets(limit=number)),
    ):
        with pytest.raises(InvalidRequestError, match="whole number") as caught:
            ask()
        assert caught.value.field == field


@pytest.mark.parametrize("wrong", [["a"], {"a": 1}, None, 5])
def test_ids_and_splits_are_strings(
    shared: DatasetManager, tokenized: TokenizationRecord, wrong: Any
) -> None:
    for ask in (shared.sample_tokens, shared.sequence_samples):
        with pytest.raises(InvalidRequestError) as caught:
            ask(wrong, "train", 0)
        assert caught.value.field == "tokenization_id"
        with pytest.raises(InvalidRequestError) as caught:
            ask(tokenized.id, wrong, 0)
        assert caught.value.field == "split"
    with pytest.raises(InvalidRequestError) as caught:
        shared.delete_tokenization(wrong)
    assert caught.value.field == "tokenization_id"


def test_numbers_of_numpy_are_numbers(
    shared: DatasetManager,
    dataset: DatasetRecord,
    tokenized: TokenizationRecord,
    tokenizer_path: Path,
) -> None:
    one: Any = np.int64(1)
    plain = shared.samples(dataset.id, limit=1, offset=1, min_tokens=1, max_tokens=1)
    assert plain.total
    asked = {"limit": one, "offset": one, "min_tokens": one, "max_tokens": np.uint8(1)}
    assert shared.samples(dataset.id, **asked) == plain
    searched = shared.samples(dataset.id, search="the", limit=1, offset=1)
    assert searched.items
    assert shared.samples(dataset.id, search="the", limit=one, offset=one) == searched
    assert shared.list_datasets(limit=one, offset=one).limit == 1
    for ask in (shared.sample_tokens, shared.sequence_samples):
        assert ask(tokenized.id, "train", one) == ask(tokenized.id, "train", 1)
    options: Any = {"dataset_id": dataset.id, "tokenizer": str(tokenizer_path)}
    assert shared.preview_tokens(row=one, **options) == shared.preview_tokens(row=1, **options)


def test_a_closed_manager_starts_and_opens_nothing(
    manager: DatasetManager, tokenizer_path: Path
) -> None:
    dataset = manager.import_dataset(pa.table({"text": ["a b"]}), name="t").wait()
    made = tokenize(manager, dataset, tokenizer_path)
    manager.column_statistics(dataset.id)
    manager.close()
    for ask in (
        lambda: manager.samples(dataset.id),
        lambda: manager.samples(dataset.id, search="a"),
        lambda: manager.sample_tokens(made.id, "train", 0),
        lambda: manager.sequence_samples(made.id, "train", 0),
        lambda: manager.preview_tokens("a", tokenizer=str(tokenizer_path)),
        lambda: manager.load_tokens(made.id, "train"),
        lambda: manager.load(dataset.id),
        lambda: manager.column_statistics(dataset.id),
    ):
        with pytest.raises(InterruptedJobError, match="closed"):
            ask()
    assert manager.get_dataset(dataset.id).name == "t"


def test_a_long_text_is_cut_and_its_length_told(manager: DatasetManager) -> None:
    table = pa.table({"text": ["é" * 3_000_000], "other": ["x" * 10_000_000]})
    dataset = manager.import_dataset(table, name="long").wait()
    item = manager.samples(dataset.id).items[0]
    assert item.text == "é" * 10_000
    assert item.num_chars == 3_000_000
    assert item.columns["other"].size == 10_000_000
    assert len(item.model_dump_json()) < 50_000


def test_conversations_are_shown_as_they_are_tokenized_without_a_template(
    manager: DatasetManager,
) -> None:
    chats = [
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
        None,
        [],
    ]
    dataset = manager.import_dataset(pa.table({"messages": chats}), name="chats").wait()
    items = manager.samples(dataset.id).items
    assert [item.text for item in items] == ["user: Hi\n\nassistant: Ho", None, ""]
    assert items[0].columns["messages"].value == chats[0]
    assert manager.samples(dataset.id, min_tokens=5).total == 1
    assert manager.column_statistics(dataset.id).splits["train"].num_null == 1


SETTINGS: dict[str, dict[str, Any]] = {
    "packed": {"mode": "packed", "max_length": 64},
    "packed, begin and stride": {
        "mode": "packed",
        "max_length": 33,
        "stride": 7,
        "begin_sequence_token": "<|endoftext|>",
        "sequence_separator_token": None,
    },
    "packed, tail dropped": {
        "mode": "packed",
        "max_length": 500,
        "drop_tail": True,
        "sequence_separator_token": "<|endoftext|>",
    },
    "packed, shuffled": {
        "mode": "packed",
        "max_length": 16,
        "shuffle_seed": 3,
        "sequence_separator_token": "<|endoftext|>",
    },
    "flat": {"mode": "per_sample", "max_length": 50},
    "flat, stride": {"mode": "per_sample", "max_length": 20, "stride": 5},
    "padded": {"mode": "per_sample", "max_length": 40, "padding": "max_length"},
    "padded, stride": {
        "mode": "per_sample",
        "max_length": 20,
        "stride": 5,
        "padding": "longest",
        "shuffle_seed": 1,
    },
    "short ones dropped": {"mode": "per_sample", "max_length": 50, "min_chars": 8},
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_from_a_sample_to_its_tokens_and_sequences_and_back(
    shared: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path, name: str
) -> None:
    record = tokenize(shared, dataset, tokenizer_path, **SETTINGS[name])
    for split, texts in (("train", TRAIN), ("test", TEST)):
        tensors = {
            key: found.numpy() for key, found in shared.load_tokens(record.id, split).items()
        }
        sequences = rows_of(tensors)
        lengths = np.load(
            shared.data_dir / "datasets" / dataset.id / "tokenized" / record.id
            / f"lengths_{split}.npy"
        )  # fmt: skip
        rows = tensors.get("sample_rows", np.arange(len(lengths))).tolist()
        spans_by_sequence: dict[int, list[Any]] = {}
        dropped = set(range(len(texts))) - set(rows)
        for row in range(len(texts)):
            view = shared.sample_tokens(record.id, split, row)
            assert view.is_dropped == (row in dropped)
            ids = [token.id for token in view.tokens]
            assert len(ids) == view.num_tokens
            if not view.is_dropped:
                assert view.num_tokens == lengths[rows.index(row)]
            covered: set[int] = set()
            for span in view.spans:
                assert (span.split, span.row) == (split, row)
                held = sequences[span.sequence][span.start : span.end]
                assert held == ids[span.first_token : span.first_token + len(held)]
                assert len(held) == span.end - span.start > 0
                covered |= set(range(span.first_token, span.first_token + len(held)))
                spans_by_sequence.setdefault(span.sequence, []).append(span)
            assert covered == set(range(len(ids)))
        for sequence in range(len(sequences)):
            found = shared.sequence_samples(record.id, split, sequence)
            expected = sorted(spans_by_sequence.get(sequence, []), key=lambda span: span.start)
            assert found == expected


def rows_of(tensors: dict[str, Any]) -> list[list[int]]:
    """Return the real tokens of each sequence."""
    ids, mask = tensors["input_ids"], tensors.get("attention_mask")
    if "offsets" in tensors:
        ends = tensors["offsets"].tolist()
        return [ids[low:high].tolist() for low, high in zip(ends, ends[1:], strict=False)]
    if mask is None:
        return [row.tolist() for row in ids]
    return [row[real != 0].tolist() for row, real in zip(ids, mask, strict=True)]


def test_the_tokens_of_a_sample_are_those_of_its_text(
    shared: DatasetManager,
    dataset: DatasetRecord,
    tokenized: TokenizationRecord,
    tokenizer_path: Path,
) -> None:
    from tokenizers import Tokenizer

    reference = Tokenizer.from_file(str(tokenizer_path))
    row, text = next((row, text) for row, text in enumerate(TRAIN) if text and "東" in text)
    view = shared.sample_tokens(tokenized.id, "train", row)
    assert [token.id for token in view.tokens] == reference.encode(text).ids
    assert {token.type for token in view.tokens} == {"regular"}
    # characters of several tokens are shown as bytes
    assert any("\\x" in (token.text or "") for token in view.tokens)
    assert view.tokens[0].text == text[: len(view.tokens[0].text or "")]


def test_tokens_are_shown_by_number_when_the_tokenizer_is_gone(
    manager: DatasetManager, tmp_path: Path, tokenizer_path: Path
) -> None:
    moved = tmp_path / "tokenizer.json"
    shutil.copy(tokenizer_path, moved)
    dataset = manager.import_dataset(pa.table({"text": ["hello"]}), name="t").wait()
    record = tokenize(manager, dataset, moved)
    moved.unlink()
    view = manager.sample_tokens(record.id, "train", 0)
    assert view.tokens
    assert {token.text for token in view.tokens} == {None}


def test_statistics_are_counted_once_and_kept_in_the_catalog(
    home: Path, shared: DatasetManager, dataset: DatasetRecord
) -> None:
    found = shared.column_statistics(dataset.id)
    there = [text for text in TRAIN if text is not None]
    train = found.splits["train"]
    assert (train.num_rows, train.num_null) == (400, 400 - len(there))
    assert train.num_empty == there.count("")
    assert train.num_duplicates == len(there) - len(set(there))
    assert found.columns == dataset.columns
    assert found.text_column == "text"
    raw = shared.data_dir / "datasets" / dataset.id / "raw"
    content = next(raw.rglob("*.parquet"))
    with DatasetManager(home / "data", read_only=True) as reader:
        assert reader.column_statistics(dataset.id) == found
    assert content.exists()


def test_statistics_of_other_content_are_not_those_that_were_kept(
    manager: DatasetManager, data_dir: Path
) -> None:
    dataset = manager.import_dataset(pa.table({"text": ["a", "a"]}), name="t").wait()
    assert manager.column_statistics(dataset.id).splits["train"].num_duplicates == 1
    path = next((data_dir / "datasets" / dataset.id).rglob("*.parquet"))
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    # the same manifest: the catalog answers for what the manifest says
    assert manager.column_statistics(dataset.id).splits["train"].num_duplicates == 1
    manifest = data_dir / "datasets" / dataset.id / "manifest.json"
    from mistudio_widgets.records import Manifest

    known = Manifest.model_validate_json(manifest.read_bytes())
    files = tuple(file.model_copy(update={"sha256": "0" * 64}) for file in known.files)
    manifest.write_text(known.model_copy(update={"files": files}).model_dump_json())
    assert manager.column_statistics(dataset.id).splits["train"].num_duplicates == 0


def test_a_read_only_manager_looks_and_writes_nothing(
    home: Path,
    shared: DatasetManager,
    dataset: DatasetRecord,
    tokenized: TokenizationRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = shared.import_dataset(pa.table({"text": ["a", "b", "a"]}), name="fresh").wait()
    before = shared._parts.catalog.version()
    with DatasetManager(home / "data", read_only=True) as reader:
        assert reader.samples(dataset.id, min_tokens=3, tokenization_id=tokenized.id).items
        view = reader.sample_tokens(tokenized.id, "train", 1)
        assert view == shared.sample_tokens(tokenized.id, "train", 1)
        spans = reader.sequence_samples(tokenized.id, "train", 2)
        assert spans == shared.sequence_samples(tokenized.id, "train", 2)
        counted = reader.column_statistics(other.id)
        assert counted.splits["train"].num_duplicates == 1
        # it reads no text again
        monkeypatch.delattr(samples.FileMap, "texts")
        assert reader.column_statistics(other.id) == counted
    assert shared._parts.catalog.version() == before


def test_a_cancelled_question_ends_and_others_go_on(
    manager: DatasetManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = manager.import_dataset(pa.table({"text": ["a", "b", "a"]}), name="t").wait()
    asked, go_on = threading.Event(), threading.Event()
    describe = manager._describe

    def wait_first(looked: looking.Looked, progress: Progress) -> Any:
        asked.set()
        while not go_on.wait(0.01):
            progress.check()
        return describe(looked, progress)

    monkeypatch.setattr(manager, "_describe", wait_first)
    progresses = [Progress() for _ in range(4)]
    ends: list[Any] = [None] * 4

    def ask(number: int) -> None:
        try:
            ends[number] = manager.column_statistics(dataset.id, progress=progresses[number])
        except JobCancelled as error:
            ends[number] = error

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    assert asked.wait(10)
    progresses[0].cancel()
    threads[0].join(10)
    assert isinstance(ends[0], JobCancelled)
    # while they wait, pages are shown
    assert manager.samples(dataset.id).total == 3
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert ends[1] == ends[2] == ends[3]
    assert ends[1].splits["train"].num_duplicates == 1


def test_work_that_nobody_waits_for_any_more_ends(
    manager: DatasetManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = manager.import_dataset(pa.table({"text": ["a"]}), name="t").wait()
    ended, asked = threading.Event(), threading.Event()

    def never(_looked: looking.Looked, progress: Progress) -> Any:
        asked.set()
        try:
            while True:
                progress.wait(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(manager, "_describe", never)
    progress = Progress()
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            manager.column_statistics(dataset.id, progress=progress)
        except JobCancelled as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(10)
    progress.cancel()
    thread.join(10)
    assert caught
    assert ended.wait(10)


def test_many_threads_see_the_same_pages(shared: DatasetManager, dataset: DatasetRecord) -> None:
    expected = every(shared, dataset.id)
    faults: list[Any] = []

    def walk(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(15):
            offset = chance.randrange(540)
            page = shared.samples(dataset.id, limit=20, offset=offset)
            if list(page.items) != expected[offset : offset + 20]:
                faults.append(offset)

    threads = [threading.Thread(target=walk, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults


def test_files_that_vanish_or_are_damaged_are_named(
    manager: DatasetManager, data_dir: Path, tokenizer_path: Path
) -> None:
    dataset = manager.import_dataset(pa.table({"text": ["a", "b"]}), name="t").wait()
    record = tokenize(manager, dataset, tokenizer_path)
    assert manager.samples(dataset.id).total == 2
    folder = data_dir / "datasets" / dataset.id
    tokens = folder / "tokenized" / record.id
    (tokens / "lengths_train.npy").write_bytes(b"no array")
    with pytest.raises(CorruptFileError, match="lengths_train"):
        manager.samples(dataset.id)
    (tokens / "lengths_train.npy").unlink()
    with pytest.raises(CorruptFileError, match="lengths_train"):
        manager.sample_tokens(record.id, "train", 0)
    (tokens / "train.pt").unlink()
    with pytest.raises(CorruptFileError, match=r"train\.pt of tokenization"):
        manager.load_tokens(record.id, "train")
    path = next(folder.rglob("*.parquet"))
    pq.write_table(pa.table({"text": ["a", "b", "c"]}), path)
    with pytest.raises(CorruptFileError, match="has 3 rows and should have 2"):
        manager.samples(dataset.id)
    path.write_bytes(b"no parquet")
    with pytest.raises(CorruptFileError, match="cannot be read"):
        manager.column_statistics(dataset.id)
    path.unlink()
    with pytest.raises(CorruptFileError, match="is missing"):
        manager.samples(dataset.id)
    (folder / "manifest.json").unlink()
    with pytest.raises(CorruptFileError, match=r"manifest\.json is missing") as caught:
        manager.samples(dataset.id)
    assert str(data_dir) not in caught.value.message
    manager.delete_dataset(dataset.id)
    with pytest.raises(NotFoundError):
        manager.samples(dataset.id)


def test_what_is_kept_is_bounded_and_the_newest_stays() -> None:
    kept: looking.Kept[str] = looking.Kept(10, len)
    for name in ("aaaa", "bbbb", "cc"):
        kept.put(name, name)
    assert kept.get("aaaa") == "aaaa"
    kept.put("dd", "dd")
    assert kept.get("bbbb") is None
    assert kept.get("aaaa") == "aaaa"
    kept.put("large", "x" * 50)
    assert [kept.get(name) for name in ("aaaa", "cc", "dd")] == [None] * 3
    assert kept.get("large") == "x" * 50
