"""Data and tokenizers that are not as one would wish."""

from __future__ import annotations

import json
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from test_tokenization import invalid_column, load, real_rows, tokenize
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from trained_tokenizers import save_byte_level, save_llama_like, save_word_piece

from mistudio_widgets import DatasetManager, TokenizationSettings
from mistudio_widgets.encoders import Tokenizer, load_tokenizer, recall_tokenizer
from mistudio_widgets.errors import (
    CorruptFileError,
    InvalidRequestError,
    MiStudioError,
    TokenizationError,
)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    root = tmp_path_factory.mktemp("kinds")
    saves = {"byte": save_byte_level, "word": save_word_piece, "llama": save_llama_like}
    return {kind: load_tokenizer(save(root / kind)) for kind, save in saves.items()}


def write(folder: Path, table: pa.Table, name: str = "a.parquet") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name)
    return folder / name


def with_surrogate(kind: str) -> pa.Array:
    """Three rows, bytes that are no text in the second, as text, in a message, in a part."""
    text = invalid_column()
    if kind == "text":
        return text
    role = pa.array(["user"] * 3)
    if kind == "part":
        part = pa.StructArray.from_arrays([text], names=["text"])
        text = pa.ListArray.from_arrays(np.arange(4, dtype=np.int32), part)
    message = pa.StructArray.from_arrays([role, text], names=["role", "content"])
    return pa.ListArray.from_arrays(np.arange(4, dtype=np.int32), message)


@pytest.mark.parametrize("kind", ["text", "message", "part"])
@pytest.mark.parametrize("cleaning", ["off", "safe"])
def test_a_lone_surrogate_is_named_or_dropped(
    tmp_path: Path, kinds: dict[str, Tokenizer], kind: str, cleaning: str
) -> None:
    path = write(tmp_path, pa.table({"text": with_surrogate(kind)}))
    options = {"mode": "per_sample", "cleaning": cleaning}
    with pytest.raises(TokenizationError, match=r"Row 1 of split 'train'.*UTF-8") as caught:
        tokenize(tmp_path / "strict", kinds["byte"], {"train": [path]}, **options)
    assert "skip_invalid" in (caught.value.hint or "")
    result = tokenize(
        tmp_path / "skip", kinds["byte"], {"train": [path]}, skip_invalid=True, **options
    )
    assert result.accounting.samples_dropped == {"not_text": 1}
    assert load(tmp_path / "skip")["sample_rows"].tolist() == [0, 2]


def test_nul_and_other_controls_are_characters_like_any(
    tmp_path: Path, kinds: dict[str, Tokenizer]
) -> None:
    texts = ["a\x00b", "\x00", "\x00" * 50, "\x1b[0m\x7f\ufffe\U0010ffff"]
    for kind, tokenizer in kinds.items():
        path = write(tmp_path, pa.table({"text": texts}))
        folder = tmp_path / kind
        tokenize(folder, tokenizer, {"train": [path]}, mode="per_sample", add_special_tokens=False)
        expected = [tokenizer.backend.encode(t, add_special_tokens=False).ids for t in texts]
        assert real_rows(load(folder)) == expected
        if kind == "byte":
            assert [tokenizer.decode(row) for row in real_rows(load(folder))] == texts


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2]),
        pa.array([1.5, None]),
        pa.array([True, False]),
        pa.array([b"a", b"b"]),
        pa.array([["a", "b"], []]),
        pa.array([{"role": "user", "content": "a"}] * 2),
        pa.array([[{"role": "user"}], []]),
        pa.array([[{"from": "user", "content": "a"}], []]),
    ],
    ids=lambda values: str(values.type).replace(" ", ""),
)
def test_a_column_that_is_no_text_is_refused_with_what_it_holds(
    tmp_path: Path, kinds: dict[str, Tokenizer], values: pa.Array
) -> None:
    path = write(tmp_path, pa.table({"text": values, "good": ["a", "b"]}))
    with pytest.raises(InvalidRequestError) as caught:
        tokenize(tmp_path, kinds["byte"], {"train": [path]})
    assert caught.value.field == "text_column"
    # Parquet calls the items of lists elements
    assert str(values.type).replace("item:", "element:") in caught.value.message
    assert caught.value.hint == "Choose one of good."
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"max_length": 8}, (0, 8)),
        ({"max_length": 8, "return_attention_mask": True, "shuffle_seed": 1}, (0, 8)),
        ({"mode": "per_sample"}, (0,)),
        ({"mode": "per_sample", "padding": "longest"}, (0, 0)),
        ({"mode": "per_sample", "padding": "max_length", "max_length": 8}, (0, 8)),
        ({"mode": "per_sample", "pair_column": "pair", "cleaning": "safe"}, (0,)),
        ({"mode": "per_sample", "skip_invalid": True, "min_chars": 4}, (0,)),
    ],
)
def test_a_split_or_dataset_without_rows_gives_empty_tensors(
    tmp_path: Path, kinds: dict[str, Tokenizer], options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    schema = pa.schema([("text", pa.string()), ("pair", pa.string())])
    empty = write(tmp_path, schema.empty_table())
    full = write(tmp_path, pa.table({"text": ["some text"], "pair": ["b"]}), "full.parquet")
    for splits in ({"train": [empty]}, {"train": []}, {"train": [empty], "test": [full]}):
        folder = tmp_path / str(len(splits["train"])) / str(len(splits))
        result = tokenize(folder, kinds["word"], splits, **options)
        content = load(folder)
        assert tuple(content["input_ids"].shape) == shape
        assert content["sample_starts"].tolist() == [0]
        train = result.splits["train"]
        assert (train.samples, train.sequences, train.tokens) == (0, 0, 0)
        assert result.num_samples == len(splits) - 1


def test_a_document_of_100_mb_is_one_document(
    tmp_path: Path, kinds: dict[str, Tokenizer], stdlib_files: list[Path]
) -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in stdlib_files[:100])
    text = (source * (100_000_000 // len(source) + 1))[:100_000_000]
    path = write(tmp_path, pa.table({"text": ["first", text, "last"]}))
    del text
    result = tokenize(tmp_path, kinds["byte"], {"train": [path]}, max_length=2048)
    assert result.num_samples == 3
    content = load(tmp_path)
    starts = content["sample_starts"].tolist()
    tokenizer = kinds["byte"]
    flat = content["input_ids"].reshape(-1)
    for start, length in ((starts[1], 2000), (starts[2] - 3001, 3000)):
        assert tokenizer.decode(flat[start : start + length].tolist()) in source * 2
    last = tokenizer.backend.encode("last", add_special_tokens=False).ids
    assert flat[starts[2] : starts[3]].tolist() == last
    assert starts[2] - starts[1] > 10_000_000


def bare_tokenizer(folder: Path, first_id: int = 0) -> Tokenizer:
    """Words without a single special token."""
    vocab = {word: first_id + number for number, word in enumerate(["a", "b", "c", "un"])}
    backend = Backend(models.WordLevel(vocab, unk_token="un"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    return load_tokenizer(folder)


@pytest.mark.parametrize(
    ("options", "field", "what"),
    [
        ({"begin_sequence_token": "bos"}, "begin_sequence_token", "no bos token"),
        ({"begin_sequence_token": "eos"}, "begin_sequence_token", "no eos token"),
        ({"begin_sequence_token": "sep"}, "begin_sequence_token", "no sep token"),
        ({"begin_sequence_token": "[CLS]"}, "begin_sequence_token", "no token '[CLS]'"),
        ({"begin_sequence_token": 4}, "begin_sequence_token", "4 is not an id"),
        ({"begin_sequence_token": -1}, "begin_sequence_token", "-1 is not an id"),
        ({"sequence_separator_token": "eos"}, "sequence_separator_token", "no eos token"),
        ({"sequence_separator_token": 99}, "sequence_separator_token", "99 is not an id"),
    ],
)
def test_a_token_that_the_tokenizer_lacks_is_named_with_what_to_choose(
    tmp_path: Path, options: dict[str, Any], field: str, what: str
) -> None:
    tokenizer = bare_tokenizer(tmp_path / "bare")
    path = write(tmp_path, pa.table({"text": ["a b", "c"]}))
    with pytest.raises(InvalidRequestError) as caught:
        tokenize(tmp_path, tokenizer, {"train": [path]}, **options)
    assert caught.value.field == field
    assert what in caught.value.message
    assert "choose a token's text or id, or None" in (caught.value.hint or "")


@pytest.mark.parametrize("first_id", [0, 3])
def test_without_pad_and_eos_what_fills_is_still_in_the_vocabulary(
    tmp_path: Path, first_id: int
) -> None:
    tokenizer = bare_tokenizer(tmp_path / "bare", first_id)
    path = write(tmp_path, pa.table({"text": ["a b", "c"]}))
    for options in (
        {"max_length": 8},
        {"mode": "per_sample", "padding": "max_length", "max_length": 8},
    ):
        folder = tmp_path / options.get("mode", "packed")
        tokenize(folder, tokenizer, {"train": [path]}, **options)
        content = load(folder)
        assert not content["attention_mask"].all()
        known = set(tokenizer.backend.get_vocab().values())
        assert set(content["input_ids"].unique().tolist()) <= known


def test_without_eos_the_automatic_separator_is_none(tmp_path: Path) -> None:
    tokenizer = bare_tokenizer(tmp_path / "bare")
    path = write(tmp_path, pa.table({"text": ["a b", "c"]}))
    tokenize(tmp_path, tokenizer, {"train": [path]}, max_length=3)
    assert load(tmp_path)["input_ids"].tolist() == [[0, 1, 2]]


def test_a_special_token_that_is_not_in_the_vocabulary_is_no_token(tmp_path: Path) -> None:
    bare_tokenizer(tmp_path / "bare")
    named = {"eos_token": "</s>", "pad_token": {"content": "<pad>"}, "bos_token": "a"}
    (tmp_path / "bare" / "tokenizer_config.json").write_text(json.dumps(named))
    tokenizer = load_tokenizer(tmp_path / "bare")
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, None, None)
    path = write(tmp_path, pa.table({"text": ["b"]}))
    with pytest.raises(InvalidRequestError, match="no eos token") as caught:
        tokenize(tmp_path, tokenizer, {"train": [path]}, sequence_separator_token="eos")
    assert '"bos"' in (caught.value.hint or "")


def test_a_tokenizer_that_changed_while_it_was_used_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    save_byte_level(home)
    tokenizer = load_tokenizer(home)
    path = write(tmp_path, pa.table({"text": ["a b", "c"]}))
    content = json.loads((home / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:10]
    (home / "tokenizer.json").write_text(json.dumps(content))
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(TokenizationError, match="has changed since"),
    ):
        tokenize(tmp_path, tokenizer, {"train": [path]}, executor=pool)
    assert not list((tmp_path / "out").iterdir())


class Meddler(ThreadPoolExecutor):
    """Changes a tokenizer's file when the first shard is tokenized."""

    def __init__(self, path: Path) -> None:
        super().__init__(1)
        self._path = path

    def submit(self, call: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        content = json.loads(self._path.read_text())
        self._path.write_text(json.dumps(content, indent=1))
        return super().submit(call, *arguments, **options)


def test_a_record_never_tells_of_files_that_changed_meanwhile(tmp_path: Path) -> None:
    home = tmp_path / "home"
    save_byte_level(home)
    with (
        Meddler(home / "tokenizer.json") as executor,
        DatasetManager(tmp_path / "data", device="cpu", executor=executor) as manager,
    ):
        dataset = manager.import_dataset(pa.table({"text": ["a b", "c"]}), name="a").wait(60)
        job = manager.tokenize(dataset.id, tokenizer=home)
        with pytest.raises(TokenizationError, match="changed"):
            job.wait(60)
        assert [item.status for item in manager.list_tokenizations(dataset.id)] == ["error"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("begin_sequence_token", True),
        ("sequence_separator_token", False),
        ("max_length", True),
        ("stride", False),
        ("min_chars", True),
        ("shuffle_seed", True),
        ("begin_sequence_token", "\ud800"),
        ("sequence_separator_token", "\ud800x"),
        ("chat_template", "\udfff"),
        ("tokenizer", "\ud800"),
    ],
)
def test_what_is_no_number_and_no_text_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        TokenizationSettings(**{"tokenizer": "t", field: value})
    assert caught.value.field.startswith(field)


@pytest.mark.parametrize("given", [{"text": 5}, {"text": b"a"}, {"row": "0"}, {"row": True}])
def test_a_preview_of_something_else_is_refused(
    manager: DatasetManager, tokenizer_path: Path, given: dict[str, Any]
) -> None:
    text = given.pop("text", None)
    with pytest.raises(InvalidRequestError, match="must be"):
        manager.preview_tokens(text, tokenizer=tokenizer_path, **given)


@pytest.mark.parametrize("damage", ["dict", "list", "object", "longer", "cut"])
def test_tokens_are_loaded_as_the_receipt_says_or_not(
    manager: DatasetManager, tokenizer_path: Path, damage: str
) -> None:
    dataset = manager.import_dataset(pa.table({"text": ["a b", "c"]}), name="a").wait(60)
    record = manager.tokenize(dataset.id, tokenizer=tokenizer_path).wait(60)
    (path,) = manager.data_dir.rglob("train.pt")
    others = {"dict": {"x": 1}, "list": [1], "object": Path("x")}
    if damage in others:
        torch.save(others[damage], path)
    else:
        content = path.read_bytes()
        path.write_bytes(content + b"x" if damage == "longer" else content[:-5])
    with pytest.raises(CorruptFileError, match=r"train\.pt"):
        manager.load_tokens(record.id, "train")


def test_a_tokenizer_that_changed_since_makes_another_tokenization(
    manager: DatasetManager, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    save_byte_level(home)
    dataset = manager.import_dataset(pa.table({"text": ["a b", "c"]}), name="a").wait(60)
    first = manager.tokenize(dataset.id, tokenizer=str(home)).wait(60)
    before = manager.preview_tokens("hello", tokenizer=str(home))
    save_word_piece(home)
    assert manager.tokenize(dataset.id, tokenizer=str(home)).wait(60).id != first.id
    assert manager.preview_tokens("hello", tokenizer=str(home)) != before
    assert recall_tokenizer(home).sha256 != first.tokenizer_sha256
    # what was made before stays what it was
    assert manager.get_tokenization(first.id).tokenizer_sha256 == first.tokenizer_sha256


def test_datasets_without_rows_are_refused_or_tokenized_to_nothing(
    manager: DatasetManager, tmp_path: Path
) -> None:
    with pytest.raises(MiStudioError):
        manager.import_dataset(pa.table({"text": pa.array([], pa.string())}), name="a").wait(60)
    nulls = pa.table({"text": pa.array([None, None], pa.string())})
    dataset = manager.import_dataset(nulls, name="nulls").wait(60)
    path = str(save_byte_level(tmp_path / "home"))
    with pytest.raises(TokenizationError, match="is null"):
        manager.tokenize(dataset.id, tokenizer=path).wait(60)
    with pytest.raises(TokenizationError, match="None of the 2 texts is left"):
        manager.tokenize(dataset.id, tokenizer=path, skip_invalid=True).wait(60)
    assert manager.get_dataset(dataset.id).status == "ready"


def test_what_was_cut_filled_and_dropped_is_told_in_shares(
    manager: DatasetManager, tmp_path: Path
) -> None:
    bare_tokenizer(tmp_path / "bare")
    table = pa.table({"text": ["a b c a", None, "b", "a a"]})
    dataset = manager.import_dataset(table, name="shares").wait(60)
    asked = {"mode": "per_sample", "max_length": 3, "padding": "max_length", "skip_invalid": True}
    record = manager.tokenize(dataset.id, tokenizer=str(tmp_path / "bare"), **asked).wait(60)
    assert (record.truncated_share, record.padding_share) == (1 / 7, 3 / 9)
    assert record.dropped_share == 1 / 4
    waiting = record.model_copy(update={"accounting": None})
    assert (waiting.truncated_share, waiting.padding_share, waiting.dropped_share) == (None,) * 3
