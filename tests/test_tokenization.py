"""Tokenization: Parquet to tensors, against slow and obvious Python."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from trained_tokenizers import save_byte_level, save_llama_like, save_word_piece

from mistudio_widgets import packing
from mistudio_widgets.encoders import Tokenizer, choose_engine, load_tokenizer, open_encoder
from mistudio_widgets.errors import (
    CorruptFileError,
    InsufficientDiskSpaceError,
    InvalidRequestError,
    JobCancelled,
    TokenizationError,
)
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import TokenizationSettings
from mistudio_widgets.tokenization import (
    TextRules,
    TokenizationResult,
    batches,
    content_sha256,
    documents,
    output,
    plan_shards,
    tokenization_id,
    tokenize_shard,
    tokenize_splits,
)

TEXTS = [
    "Hello world, hello tokens.",
    "",
    "def f(x):\n    return x\n",
    "Zürich 東京 👍",
    "a b c " * 9,
]


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> dict[str, Tokenizer]:
    root = tmp_path_factory.mktemp("trained")
    kinds = {"byte": save_byte_level, "word": save_word_piece, "llama": save_llama_like}
    return {kind: load_tokenizer(save(root / kind)) for kind, save in kinds.items()}


def write_parquet(path: Path, texts: list[str | None], *, row_group_size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"text": pa.array(texts, pa.string())})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def tokenize(
    folder: Path,
    tokenizer: Tokenizer,
    files: dict[str, list[Path]],
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    check_space=lambda num_bytes: None,
    column: str = "text",
    **options,
) -> TokenizationResult:
    return tokenize_splits(
        files,
        tokenizer,
        choose_engine(tokenizer),
        TokenizationSettings(tokenizer=tokenizer.path, **options),
        column,
        folder / "work",
        folder / "out",
        device="cpu",
        executor=executor,
        progress=progress or Progress(),
        check_space=check_space,
    )


def load(folder: Path, split: str = "train") -> dict[str, torch.Tensor]:
    return torch.load(folder / "out" / f"{split}.pt", mmap=True, weights_only=True)


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.backend.encode(text, add_special_tokens=False).ids


def slow_packed(texts, begin, prefix, suffix, separator, settings):
    """Pack with lists; return rows of real ids, and the stream that was kept."""
    stream = []
    for number, text in enumerate(texts):
        if number and separator is not None:
            stream.append(separator)
        stream += [*prefix, *text, *suffix]
    head = [] if begin is None else [begin]
    width = settings.max_length - len(head)
    rows, start, end = [], 0, 0
    while end < len(stream):
        window = stream[start : start + width]
        if settings.drop_tail and len(window) < width:
            break
        rows.append(head + window)
        end = start + len(window)
        start += width - settings.stride
    return rows, stream[:end], len(stream) - end


def slow_separate(texts, prefix, suffix, settings):
    """Cut each text with lists; return for each text its rows of real ids."""
    cuts = settings.truncation == "longest_first"
    room = settings.max_length - len(prefix) - len(suffix) if cuts else 10**9
    samples = []
    for text in texts:
        rows, start = [], 0
        while True:
            rows.append([*prefix, *text[start : start + room], *suffix])
            if not settings.stride or start + room >= len(text):
                break
            start += room - settings.stride
        samples.append(rows)
    return samples


def real_rows(content: dict[str, torch.Tensor]) -> list[list[int]]:
    ids = content["input_ids"]
    if "offsets" in content:
        offsets = content["offsets"].tolist()
        return [ids[a:b].tolist() for a, b in zip(offsets, offsets[1:], strict=False)]
    if "attention_mask" not in content:
        return ids.tolist()
    return [
        row[mask.bool()].tolist() for row, mask in zip(ids, content["attention_mask"], strict=True)
    ]


texts_strategy = st.lists(
    st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(TEXTS), max_size=9
)


@pytest.fixture
def small_chunks(monkeypatch):
    """Make chunk, block and shard borders fall everywhere."""
    monkeypatch.setattr(documents, "CHUNK_TOKENS", 7)
    monkeypatch.setattr(documents, "CHUNK_DOCUMENTS", 3)
    monkeypatch.setattr(output, "BLOCK_TOKENS", 11)
    monkeypatch.setattr(batches, "BATCH_BYTES", 16)


@pytest.fixture(scope="module")
def two_threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


# hypothesis calls the body many times with one set of fixtures: each gets a folder of its own
_FIXTURES_ARE_SHARED = hypothesis_settings(max_examples=60, suppress_health_check=list(HealthCheck))


@_FIXTURES_ARE_SHARED
@given(data=st.data(), texts=texts_strategy, kind=st.sampled_from(["byte", "word", "llama"]))
def test_packed_equals_a_loop(
    data, texts, kind, trained, tmp_path_factory, small_chunks, two_threads
):
    folder = tmp_path_factory.mktemp("packed")
    tokenizer = trained[kind]
    length = data.draw(st.integers(3, 24))
    options = {
        "max_length": length,
        "stride": data.draw(st.integers(0, length - 3)),
        "drop_tail": data.draw(st.booleans()),
        "begin_sequence_token": data.draw(st.sampled_from([None, 9])),
        "sequence_separator_token": data.draw(st.sampled_from(["auto", None, 8])),
        "add_special_tokens": data.draw(st.sampled_from([None, True])),
        "shuffle_seed": data.draw(st.sampled_from([None, 3])),
        "return_attention_mask": data.draw(st.sampled_from([None, True])),
    }
    path = write_parquet(folder / "a.parquet", texts, row_group_size=2)
    result = tokenize(folder, tokenizer, {"train": [path]}, executor=two_threads, **options)
    content = load(folder)
    order = content["sample_rows"].tolist() if "sample_rows" in content else range(len(texts))
    assert sorted(order) == list(range(len(texts)))
    settings = TokenizationSettings(tokenizer="x", **options)
    template = tokenizer.template if options["add_special_tokens"] else ((), ())
    separator = options["sequence_separator_token"]
    separator = tokenizer.eos_id if separator == "auto" else separator
    encoded = [ids_of(tokenizer, texts[row]) for row in order]
    rows, stream, tail = slow_packed(
        encoded, options["begin_sequence_token"], *template, separator, settings
    )
    assert content["input_ids"].shape == (len(rows), length)
    assert real_rows(content) == rows
    is_filled = any(len(row) < length for row in rows)
    assert ("attention_mask" in content) == bool(is_filled or options["return_attention_mask"])
    check_samples(folder, content, [[*template[0], *ids, *template[1]] for ids in encoded], stream)
    check_counts(result, rows, tokenizer)
    account = result.accounting
    assert account.tokens_in == sum(map(len, encoded))
    assert account.tokens_tail == tail
    assert account.tokens_truncated == 0
    assert account.tokens_padding == sum(length - len(row) for row in rows)
    begins = len(rows) if options["begin_sequence_token"] else 0
    assert account.tokens_repeated == sum(map(len, rows)) - begins - len(stream)


@_FIXTURES_ARE_SHARED
@given(data=st.data(), texts=texts_strategy, kind=st.sampled_from(["byte", "word", "llama"]))
def test_per_sample_equals_a_loop(
    data, texts, kind, trained, tmp_path_factory, small_chunks, two_threads
):
    folder = tmp_path_factory.mktemp("per_sample")
    tokenizer = trained[kind]
    length = data.draw(st.integers(5, 24))
    truncation = data.draw(st.sampled_from(["longest_first", "do_not_truncate"]))
    cuts = truncation == "longest_first"
    paddings = ["do_not_pad", "longest", "max_length"] if cuts else ["do_not_pad", "longest"]
    options = {
        "mode": "per_sample",
        "max_length": length,
        "truncation": truncation,
        "stride": data.draw(st.integers(0, length - 5)) if cuts else 0,
        "padding": data.draw(st.sampled_from(paddings)),
        "begin_sequence_token": data.draw(st.sampled_from([None, 9, 1])),
        "add_special_tokens": data.draw(st.sampled_from([None, False])),
        "shuffle_seed": data.draw(st.sampled_from([None, 3])),
        "return_attention_mask": data.draw(st.sampled_from([None, True])),
    }
    path = write_parquet(folder / "a.parquet", texts, row_group_size=2)
    result = tokenize(folder, tokenizer, {"train": [path]}, executor=two_threads, **options)
    content = load(folder)
    order = content["sample_rows"].tolist() if "sample_rows" in content else range(len(texts))
    assert sorted(order) == list(range(len(texts)))
    settings = TokenizationSettings(tokenizer="x", **options)
    prefix, suffix = tokenizer.template if options["add_special_tokens"] is None else ((), ())
    begin = options["begin_sequence_token"]
    if begin is not None and prefix[:1] != (begin,):
        prefix = (begin, *prefix)
    encoded = [ids_of(tokenizer, texts[row]) for row in order]
    samples = slow_separate(encoded, prefix, suffix, settings)
    rows = [row for sample in samples for row in sample]
    assert real_rows(content) == rows
    longest = max(map(len, rows), default=0)
    width = {"do_not_pad": None, "longest": longest, "max_length": length}[options["padding"]]
    if width is not None:
        assert content["input_ids"].shape == (len(rows), width)
    is_filled = width is not None and any(len(row) < width for row in rows)
    assert ("attention_mask" in content) == bool(is_filled or options["return_attention_mask"])
    kept = [[token for row in sample for token in row] for sample in samples]
    check_samples(folder, content, kept, [token for sample in kept for token in sample])
    check_counts(result, rows, tokenizer)
    account = result.accounting
    assert account.tokens_in == sum(map(len, encoded))
    assert account.tokens_inserted == len(rows) * len(prefix + suffix)
    assert account.tokens_tail == 0
    assert account.tokens_padding == sum((width or len(row)) - len(row) for row in rows)
    if options["stride"] or not cuts:
        assert account.tokens_truncated == 0


def check_samples(folder, content, samples, stream):
    """Every sample lies in the kept stream where ``sample_starts`` and ``lengths`` say."""
    starts = content["sample_starts"].tolist()
    lengths = np.load(folder / "out" / "lengths_train.npy")
    assert lengths.dtype == np.int64
    assert starts[-1] == len(stream)
    assert len(starts) == len(samples) + 1
    for ids, start, size in zip(samples, starts, lengths.tolist(), strict=False):
        assert stream[start : start + size] == ids[: max(len(stream) - start, 0)]


def check_counts(result: TokenizationResult, rows, tokenizer: Tokenizer):
    flat = [token for row in rows for token in row]
    assert result.num_sequences == len(rows)
    assert result.num_tokens == result.accounting.tokens_kept == len(flat)
    assert result.unique_tokens == len(set(flat))
    assert result.special_tokens == {
        text: flat.count(number)
        for number, text in tokenizer.special_tokens.items()
        if number in flat
    }


@pytest.mark.parametrize("kind", ["byte", "word", "llama"])
@pytest.mark.parametrize(("length", "stride"), [(16, 0), (16, 5), (8, 5), (64, 3)])
@pytest.mark.parametrize("padding", ["do_not_pad", "max_length", "longest"])
def test_per_sample_equals_transformers(tmp_path, trained, kind, length, stride, padding):
    from transformers import PreTrainedTokenizerFast

    tokenizer = trained[kind]
    texts = [*TEXTS, "x " * 200, " ".join(map(str, range(60)))]
    pad = tokenizer.text_of(tokenizer.fill_id)
    peer = PreTrainedTokenizerFast(tokenizer_file=tokenizer.path, pad_token=pad)
    expected = peer(
        texts,
        truncation=True,
        max_length=length,
        stride=stride,
        padding={"do_not_pad": False, "longest": True, "max_length": "max_length"}[padding],
        return_overflowing_tokens=stride > 0,
    )
    path = write_parquet(tmp_path / "a.parquet", texts)
    options = {"mode": "per_sample", "max_length": length, "stride": stride, "padding": padding}
    tokenize(tmp_path, tokenizer, {"train": [path]}, **options)
    content = load(tmp_path)
    if padding == "do_not_pad":
        assert real_rows(content) == expected["input_ids"]
    else:
        assert content["input_ids"].tolist() == expected["input_ids"]
        mask = content.get("attention_mask", torch.ones_like(content["input_ids"]))
        assert mask.tolist() == expected["attention_mask"]


def test_two_thousand_files_come_back_in_order(tmp_path, trained, stdlib_files):
    tokenizer = trained["byte"]
    texts = [path.read_text(encoding="utf-8") for path in stdlib_files]
    path = write_parquet(tmp_path / "a.parquet", texts, row_group_size=100)
    result = tokenize(tmp_path, tokenizer, {"train": [path]}, max_length=512)
    content = load(tmp_path)
    ids = content["input_ids"]
    assert ids.shape == (result.num_sequences, 512)
    assert ids.dtype == torch.int32
    flat = ids.flatten()[: int(content["attention_mask"].sum())]
    starts = content["sample_starts"].tolist()
    lengths = np.load(tmp_path / "out" / "lengths_train.npy").tolist()
    for text, start, size in zip(texts[::20], starts[::20], lengths[::20], strict=False):
        assert tokenizer.decode(flat[start : start + size].tolist()) == text
    assert result.accounting.tokens_in == sum(lengths)
    assert result.avg_seq_length == pytest.approx(np.mean(lengths))
    assert result.median_seq_length == np.median(lengths)
    assert (result.min_seq_length, result.max_seq_length) == (min(lengths), max(lengths))
    assert result.engine == "fastokens"
    assert result.tokens_per_s > 0


def test_splits_are_kept_apart_and_summed(tmp_path, trained):
    splits = {
        "train": [
            write_parquet(tmp_path / "a.parquet", TEXTS),
            write_parquet(tmp_path / "b.parquet", TEXTS[:2]),
        ],
        "test": [write_parquet(tmp_path / "c.parquet", TEXTS[:1])],
        "empty": [write_parquet(tmp_path / "d.parquet", [])],
    }
    result = tokenize(tmp_path, trained["byte"], splits, max_length=8)
    assert list(result.splits) == ["train", "test", "empty"]
    assert [part.samples for part in result.splits.values()] == [7, 1, 0]
    assert result.splits["train"].percentage == pytest.approx(87.5)
    assert sum(part.tokens for part in result.splits.values()) == result.num_tokens
    assert result.num_samples == 8
    assert load(tmp_path, "empty")["input_ids"].shape == (0, 8)
    names = {file.path for file in result.files}
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    for file in result.files:
        content = (tmp_path / "out" / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size_bytes, file.sha256)
    assert result.size_bytes == sum(file.size_bytes for file in result.files)


def test_chosen_splits_only_and_an_unknown_one_is_refused(tmp_path, trained):
    path = write_parquet(tmp_path / "a.parquet", TEXTS)
    splits = {"train": [path], "test": [path]}
    tokenize(tmp_path, trained["byte"], splits, splits=("test",))
    assert not (tmp_path / "out" / "train.pt").exists()
    for wrong in ("tset", "../train"):
        with pytest.raises(InvalidRequestError) as caught:
            tokenize(tmp_path, trained["byte"], {**splits, "../train": [path]}, splits=(wrong,))
        assert caught.value.field == "splits"
        assert "train, test" in caught.value.hint


class _AnyOrder(Executor):
    """Runs what it was given when all of it is there, in an order of its own."""

    def __init__(self, num_tasks: int, seed: int) -> None:
        self._num_tasks, self._random = num_tasks, random.Random(seed)
        self._tasks = []
        self._thread = threading.Thread(target=self._run)

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self._tasks.append((future, partial(fn, *args, **kwargs)))
        if len(self._tasks) == self._num_tasks:
            self._thread.start()
        return future

    def _run(self):
        self._random.shuffle(self._tasks)
        for future, task in self._tasks:
            future.set_result(task())

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._thread.join()


@pytest.mark.parametrize(
    "options",
    [
        {"sequence_separator_token": "eos"},
        {"shuffle_seed": 1, "stride": 8, "max_length": 64},
        {"mode": "per_sample", "padding": "longest"},
        {"mode": "per_sample"},
    ],
)
def test_same_bytes_whoever_makes_the_shards_in_whatever_order(
    tmp_path, trained, stdlib_files, monkeypatch, options
):
    texts = [path.read_text(encoding="utf-8") for path in stdlib_files[:60]]
    splits = {
        "train": [write_parquet(tmp_path / "a.parquet", texts, row_group_size=4)],
        "test": [write_parquet(tmp_path / "b.parquet", texts[:9], row_group_size=4)],
    }
    small = plan_shards(splits, "text", shard_bytes=50_000)
    assert len(small) > 8
    monkeypatch.setattr("mistudio_widgets.tokenization.run.plan_shards", lambda *_, check: small)
    pools = {
        "one": ThreadPoolExecutor(1),
        "two": ThreadPoolExecutor(2),
        "own": None,
        "processes": ProcessPoolExecutor(2, mp_context=get_context("spawn")),
        **{f"order {seed}": _AnyOrder(len(small), seed) for seed in (1, 2)},
    }
    found = {}
    for name, pool in pools.items():
        result = tokenize(tmp_path / name, trained["byte"], splits, executor=pool, **options)
        found[name] = [(file.path, file.sha256) for file in result.files]
        for file in result.files:
            content = (tmp_path / name / "out" / file.path).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file.sha256
        if pool is not None:
            pool.shutdown()
    assert len({tuple(hashes) for hashes in found.values()}) == 1


def test_packing_follows_the_shards(tmp_path, trained, monkeypatch):
    """The first shard is packed before the last one is begun."""
    path = write_parquet(
        tmp_path / "a.parquet", [f"text {n} " * 200 for n in range(12)], row_group_size=4
    )
    small = plan_shards({"train": [path]}, "text", shard_bytes=100)
    monkeypatch.setattr("mistudio_widgets.tokenization.run.plan_shards", lambda *_, check: small)
    packed = threading.Event()
    count = packing.count_tokens

    def count_and_tell(ids, num_ids):
        packed.set()
        return count(ids, num_ids)

    monkeypatch.setattr(packing, "count_tokens", count_and_tell)

    class Waiting(ThreadPoolExecutor):
        def submit(self, fn, shard, *args):
            return super().submit(self._run_after, fn, shard, *args)

        def _run_after(self, fn, shard, *args):
            assert not shard.number or packed.wait(timeout=60)
            return fn(shard, *args)

    with Waiting(1) as pool:
        result = tokenize(tmp_path, trained["byte"], {"train": [path]}, executor=pool)
    assert result.num_samples == 12
    assert set(result.stage_seconds) >= {"read", "load", "encode", "write", "pack", "wait", "save"}


def test_a_seed_decides_the_order(tmp_path, trained):
    path = write_parquet(tmp_path / "a.parquet", [str(number) for number in range(50)])
    orders = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        tokenize(tmp_path / name, trained["byte"], {"train": [path]}, shuffle_seed=seed)
        orders[name] = load(tmp_path / name)["sample_rows"].tolist()
    assert orders["first"] == orders["again"] != orders["other"]
    expected = np.arange(50)
    np.random.Generator(np.random.PCG64(1)).shuffle(expected)
    assert orders["first"] == expected.tolist()


def invalid_column() -> pa.Array:
    """A lone surrogate in the second of three rows; Arrow lets the bytes pass."""
    offsets = pa.py_buffer(np.array([0, 1, 4, 5], dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xed\xa0\x80b")])


def test_what_is_no_text_fails_with_its_row_or_is_dropped_and_counted(tmp_path, trained):
    surrogate = tmp_path / "surrogate.parquet"
    pq.write_table(pa.table({"text": invalid_column()}), surrogate)
    null = write_parquet(tmp_path / "null.parquet", ["a", "b", "c", None])
    for paths, row in (([surrogate], 1), ([null], 3), ([null, surrogate], 3)):
        with pytest.raises(TokenizationError, match=f"Row {row} of split 'train'") as caught:
            tokenize(tmp_path / "strict", trained["byte"], {"train": paths})
        assert "skip_invalid" in caught.value.hint
    result = tokenize(
        tmp_path, trained["byte"], {"train": [null, surrogate]}, skip_invalid=True, min_chars=1
    )
    assert result.accounting.samples_dropped == {"null": 1, "not_text": 1}
    assert load(tmp_path)["sample_rows"].tolist() == [0, 1, 2, 4, 6]


def test_short_texts_are_dropped_and_counted(tmp_path, trained):
    path = write_parquet(tmp_path / "a.parquet", ["", "ab", "東京", "abc"])
    result = tokenize(tmp_path, trained["byte"], {"train": [path]}, min_chars=2)
    assert result.accounting.samples_dropped == {"too_short": 1}
    assert result.num_samples == 3
    assert load(tmp_path)["sample_rows"].tolist() == [1, 2, 3]


def test_nothing_left_to_tokenize_is_an_error(tmp_path, trained):
    path = write_parquet(tmp_path / "a.parquet", ["a", "bc"])
    with pytest.raises(TokenizationError, match=r"None of the 2 texts.*too_short: 2") as caught:
        tokenize(tmp_path, trained["byte"], {"train": [path]}, min_chars=3)
    assert "min_chars" in caught.value.hint


def test_columns_of_other_string_types_are_read(tmp_path, trained):
    expected = None
    columns = {
        "plain": pa.array(TEXTS),
        "large": pa.array(TEXTS, pa.large_string()),
        "view": pa.array(TEXTS, pa.string_view()),
        "coded": pa.array(TEXTS).dictionary_encode(),
    }
    for name, column in columns.items():
        pq.write_table(pa.table({"text": column}), tmp_path / f"{name}.parquet")
        splits = {"train": [tmp_path / f"{name}.parquet"]}
        tokenize(tmp_path / name, trained["byte"], splits, max_length=4)
        ids = load(tmp_path / name)["input_ids"].tolist()
        expected = expected or ids
        assert ids == expected


def test_a_column_that_is_missing_or_no_text_is_refused_with_choices(tmp_path, trained):
    table = pa.table({"text": TEXTS, "number": range(len(TEXTS))})
    pq.write_table(table, tmp_path / "a.parquet")
    for column in ("body", "number"):
        with pytest.raises(InvalidRequestError, match=column) as caught:
            tokenize(tmp_path, trained["byte"], {"train": [tmp_path / "a.parquet"]}, column=column)
        assert caught.value.field == "text_column"
        assert "text" in caught.value.hint


def test_a_damaged_file_is_named(tmp_path, trained):
    path = write_parquet(tmp_path / "a.parquet", ["x" * 50_000])
    content = path.read_bytes()
    for broken in (content[:200], content[:100] + b"\xff" * 2000 + content[2100:]):
        path.write_bytes(broken)
        with pytest.raises(CorruptFileError, match=r"a\.parquet"):
            tokenize(tmp_path, trained["byte"], {"train": [path]})
    assert not list((tmp_path / "work").glob("shard-*"))


@pytest.mark.parametrize(
    ("kind", "options", "error", "words"),
    [
        ("byte", {"begin_sequence_token": "sep"}, InvalidRequestError, "no sep token"),
        ("byte", {"sequence_separator_token": 10**6}, InvalidRequestError, "not an id"),
        ("word", {"add_special_tokens": True, "begin_sequence_token": "bos"}, TokenizationError,
         "stand twice"),
        ("word", {"mode": "per_sample", "max_length": 2}, InvalidRequestError, "no room"),
        ("word", {"mode": "per_sample", "max_length": 8, "stride": 6}, InvalidRequestError,
         "less than the 6"),
        ("byte", {"return_attention_mask": False}, TokenizationError, "drop_tail"),
    ],
)  # fmt: skip
def test_settings_that_a_tokenizer_cannot_serve(tmp_path, trained, kind, options, error, words):
    path = write_parquet(tmp_path / "a.parquet", TEXTS)
    with pytest.raises(error, match=words):
        tokenize(tmp_path, trained[kind], {"train": [path]}, **options)
    assert not list(tmp_path.glob("out/*"))


class _Stopper(Progress):
    """Cancels itself once so many samples are done in a phase."""

    def __init__(self, phase: str, after: int) -> None:
        super().__init__()
        self._stop_at, self._after = phase, after

    def advance(self, units: int = 1, *, measured: bool = True) -> None:
        state = self.state()
        if state.phase == self._stop_at and state.done + units > self._after:
            self.cancel()
        super().advance(units, measured=measured)


@pytest.mark.parametrize(("phase", "after"), [("tokenizing", 12), ("packing", 0), ("saving", 1)])
def test_cancelled_midway_leaves_whole_shards_that_are_reused(
    tmp_path, trained, monkeypatch, phase, after
):
    path = write_parquet(
        tmp_path / "a.parquet", [f"text {n} " * 20 for n in range(40)], row_group_size=4
    )
    splits = {"train": [path]}
    small = plan_shards(splits, "text", shard_bytes=100)
    assert len(small) == 10
    monkeypatch.setattr("mistudio_widgets.tokenization.run.plan_shards", lambda *_, check: small)
    before = threading.active_count()
    with pytest.raises(JobCancelled):
        tokenize(tmp_path, trained["byte"], splits, progress=_Stopper(phase, after))
    assert threading.active_count() == before
    work = tmp_path / "work"
    finished = {file.stem: file.stat().st_mtime_ns for file in work.glob("*.ids")}
    assert finished
    assert {file.stem for file in work.iterdir()} == set(finished)
    (work / "shard-000099.ids.tmp").touch()
    result = tokenize(tmp_path, trained["byte"], splits)
    after_rerun = {file.stem: file.stat().st_mtime_ns for file in work.glob("*.ids")}
    assert finished.items() <= after_rerun.items()
    assert not list(work.glob("*.tmp"))
    fresh = tokenize(tmp_path / "fresh", trained["byte"], splits)
    assert [f.sha256 for f in fresh.files] == [f.sha256 for f in result.files]


def test_cancel_stops_workers_of_an_executor_that_is_not_ours(tmp_path, trained):
    path = write_parquet(tmp_path / "a.parquet", TEXTS * 20)
    progress = Progress()
    progress.cancel()
    with ThreadPoolExecutor(2) as pool:
        with pytest.raises(JobCancelled):
            tokenize(tmp_path, trained["byte"], {"train": [path]}, executor=pool, progress=progress)
        # it is still usable, and idle
        assert pool.submit(len, "abc").result() == 3


def test_only_a_whole_and_matching_shard_is_reused(tmp_path, trained):
    path = write_parquet(tmp_path / "a.parquet", TEXTS)
    spec = choose_engine(trained["byte"])
    work = tmp_path / "work"
    work.mkdir()
    (shard,) = plan_shards({"train": [path]}, "text")
    rules = TextRules()
    first = tokenize_shard(shard, spec, rules, str(work))
    marker = work / "shard-000000.ids"

    def is_made_again(shard=shard, rules=rules, engine="fastokens") -> bool:
        before = marker.stat().st_mtime_ns if marker.exists() else None
        tokenize_shard(shard, replace(spec, engine=engine), rules, str(work))
        return marker.stat().st_mtime_ns != before

    assert not is_made_again()
    assert is_made_again(rules=TextRules(min_chars=1))
    assert is_made_again(shard=replace(shard, first_row=5))
    assert is_made_again()
    marker.write_bytes(marker.read_bytes()[:-4])
    assert is_made_again()
    # the right size, but not the bytes: a power cut can leave that
    marker.write_bytes(bytes(marker.stat().st_size))
    assert is_made_again()
    assert is_made_again(engine="tokenizers")
    assert is_made_again()
    (work / "shard-000000.json").write_text("{")
    assert is_made_again()
    assert tokenize_shard(shard, spec, rules, str(work)) == first
    ids = np.fromfile(marker, dtype=np.int32)
    assert ids.tolist() == open_encoder(spec).encode(TEXTS)[0].tolist()


def test_a_shard_is_bounded_in_bytes_and_covers_every_row_once(tmp_path):
    paths = [
        write_parquet(
            tmp_path / f"{n}.parquet", [f"{n} {i} " * 50 for i in range(100)], row_group_size=10
        )
        for n in range(3)
    ]
    found = plan_shards({"train": paths, "test": paths[:1]}, "text", shard_bytes=10_000)
    assert [shard.number for shard in found] == list(range(len(found)))
    assert len(found) > 8
    for split, total in (("train", 300), ("test", 100)):
        row = 0
        for shard in (shard for shard in found if shard.split == split):
            assert shard.first_row == row
            assert shard.num_bytes <= 10_000
            row += shard.num_rows
        assert row == total


def test_progress_runs_through_its_phases_to_the_end(tmp_path, trained):
    seen = []

    class Watching(Progress):
        def start(self, phase, **kwargs):
            if self.state().phase:
                seen.append(self.state())
            super().start(phase, **kwargs)

    progress = Watching()
    path = write_parquet(tmp_path / "a.parquet", TEXTS * 3)
    tokenize(tmp_path, trained["byte"], {"train": [path]}, progress=progress)
    seen.append(progress.state())
    assert [(state.phase, state.unit, state.done, state.total) for state in seen] == [
        ("tokenizing", "samples", 15, 15),
        ("packing", "samples", 15, 15),
        ("saving", "files", 2, 2),
    ]
    assert [state.fraction for state in seen] == pytest.approx([0.9, 0.95, 1.0])


def test_space_is_asked_for_before_it_is_used(tmp_path, trained):
    asked = []

    def refuse(num_bytes):
        asked.append(num_bytes)
        if len(asked) == 2:
            raise InsufficientDiskSpaceError("full", required_bytes=num_bytes, available_bytes=0)

    path = write_parquet(tmp_path / "a.parquet", ["some text " * 1000])
    with pytest.raises(InsufficientDiskSpaceError):
        tokenize(tmp_path, trained["byte"], {"train": [path]}, check_space=refuse)
    assert asked[0] > 0
    num_ids = len(np.fromfile(tmp_path / "work/shard-000000.ids", np.int32))
    # the last sequence is not full, and asked for by itself
    assert asked[1] >= 4 * (num_ids - 512)
    assert not list((tmp_path / "out").iterdir())
    assert not list((tmp_path / "work").glob("split-*"))


@pytest.mark.parametrize(
    "full", ["work/shard-000000.ids.tmp", "work/split-0.lengths.tmp", "out/train.pt.tmp"]
)
def test_a_full_disk_ends_in_a_clear_error_and_nothing_half_done(
    tmp_path, trained, monkeypatch, full
):
    path = write_parquet(tmp_path / "a.parquet", ["some text " * 5000])
    for name in ("work", "out"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("mistudio_widgets.tokenization.run._sweep", lambda *_: None)
    # writing to this device fails as on a full disk
    (tmp_path / full).symlink_to("/dev/full")
    with pytest.raises(InsufficientDiskSpaceError, match="is full") as caught:
        tokenize(tmp_path, trained["byte"], {"train": [path]})
    assert caught.value.required_bytes > 0
    assert not list((tmp_path / "out").iterdir())
    assert not [p for p in (tmp_path / "work").iterdir() if not p.name.startswith("shard-")]
    result = tokenize(tmp_path, trained["byte"], {"train": [path]})
    assert os.path.getsize(tmp_path / "out" / "train.pt") == result.files[0].size_bytes


def test_an_id_tells_dataset_files_tokenizer_and_settings_apart():
    base = TokenizationSettings(tokenizer="a")
    first = tokenization_id("ds_1", ["f1", "f2"], "t", base)
    assert len(first) == 20
    assert first == tokenization_id("ds_1", ["f1", "f2"], "t", base)
    # where the tokenizer lies does not matter, and neither do defaults that are spelled out
    for same in (
        TokenizationSettings(tokenizer="b"),
        TokenizationSettings(tokenizer="a", max_length=512),
    ):
        assert first == tokenization_id("ds_1", ["f1", "f2"], "t", same)
    others = [
        tokenization_id("ds_2", ["f1", "f2"], "t", base),
        tokenization_id("ds_1", ["f2", "f1"], "t", base),
        tokenization_id("ds_1", ["f1", "f2"], "u", base),
        tokenization_id("ds_1", ["f1", "f2"], "t", TokenizationSettings(tokenizer="a", stride=1)),
    ]
    assert len({first, *others}) == 5
    assert len(content_sha256(["f1"], "t", base)) == 64
