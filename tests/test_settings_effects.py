"""Every field of `TokenizationSettings` does what a user of transformers expects of it.

Each field has one case, which shows that it changes the output, and to what: transformers' own
call on the same samples where transformers has such an option, else a slow and obvious loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from test_tokenization import load, real_rows, slow_packed, tokenize
from trained_tokenizers import save_byte_level, save_llama_like, save_word_piece
from transformers import PreTrainedTokenizerFast

from mistudio_widgets import DatasetManager
from mistudio_widgets.encoders import Tokenizer, load_tokenizer
from mistudio_widgets.errors import InvalidRequestError, TokenizationError
from mistudio_widgets.records import TokenizationSettings
from mistudio_widgets.tokenization import TokenizationResult

TEXTS: Final = [
    "Hello world, hello tokens.",
    "",
    "def f(x):\n    return x\n",
    "Zürich 東京 👍",
    "a b c " * 9,
    "one two three four five six seven eight nine ten",
]
OTHER_TEXTS: Final = [f"{text} and more" for text in TEXTS]


@dataclass
class Bench:
    """Makes tokenizations of one table, and asks transformers for the same."""

    folder: Path
    tokenizers: dict[str, Tokenizer]
    count: int = 0

    def make(
        self,
        kind: str = "word",
        texts: Sequence[Any] = TEXTS,
        *,
        pairs: Sequence[str] | None = None,
        **options: Any,
    ) -> Made:
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        columns = {"text": pa.array(texts, pa.string())}
        if pairs is not None:
            columns["pair"] = pa.array(pairs, pa.string())
        table = pa.table(columns)
        splits = {"train": [folder / "train.parquet"], "test": [folder / "test.parquet"]}
        pq.write_table(table, splits["train"][0])
        pq.write_table(table.slice(0, 2), splits["test"][0])
        result = tokenize(folder, self.tokenizers[kind], splits, **options)
        return Made(folder, result)

    def peer(self, kind: str = "word") -> PreTrainedTokenizerFast:
        tokenizer = self.tokenizers[kind]
        pad = tokenizer.text_of(tokenizer.fill_id)
        return PreTrainedTokenizerFast(tokenizer_file=tokenizer.path, pad_token=pad)

    def bare(self, kind: str = "word", texts: list[str] = TEXTS) -> list[list[int]]:
        ids: list[list[int]] = self.peer(kind)(texts, add_special_tokens=False)["input_ids"]
        return ids

    def packed(self, kind: str = "word", *, begin: int | None = None, **options: Any) -> Any:
        """Return the rows that a loop packs; ``separator`` "auto" is the tokenizer's eos."""
        tokenizer = self.tokenizers[kind]
        separator = options.get("sequence_separator_token", "auto")
        if separator == "auto":
            separator = tokenizer.eos_id
        settings = TokenizationSettings(tokenizer="x", **options)
        around = tokenizer.template if options.get("add_special_tokens") else ((), ())
        assert around is not None
        return slow_packed(self.bare(kind), begin, *around, separator, settings)[0]


@dataclass
class Made:
    folder: Path
    result: TokenizationResult

    @property
    def content(self) -> dict[str, torch.Tensor]:
        return load(self.folder)

    @property
    def rows(self) -> list[list[int]]:
        return real_rows(self.content)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    root = tmp_path_factory.mktemp("kinds")
    kinds = {"byte": save_byte_level, "word": save_word_piece, "llama": save_llama_like}
    return {kind: load_tokenizer(save(root / kind)) for kind, save in kinds.items()}


@pytest.fixture
def bench(tmp_path: Path, tokenizers: dict[str, Tokenizer]) -> Bench:
    return Bench(tmp_path, tokenizers)


PER_SAMPLE: Final = {"mode": "per_sample", "max_length": 10}


def _tokenizer(bench: Bench) -> None:
    made = {kind: bench.make(kind, **PER_SAMPLE).rows for kind in bench.tokenizers}
    for kind, rows in made.items():
        assert rows == bench.peer(kind)(TEXTS, truncation=True, max_length=10)["input_ids"]
    assert made["byte"] != made["word"] != made["llama"]


def _mode(bench: Bench) -> None:
    assert bench.make(max_length=10).rows == bench.packed(max_length=10)
    expected = bench.peer()(TEXTS, truncation=True, max_length=10)["input_ids"]
    assert bench.make(**PER_SAMPLE).rows == expected != bench.packed(max_length=10)


def _max_length(bench: Bench) -> None:
    for length in (5, 9, 64):
        expected = bench.peer()(TEXTS, truncation=True, max_length=length)["input_ids"]
        assert bench.make(mode="per_sample", max_length=length).rows == expected
        made = bench.make(max_length=length)
        assert made.content["input_ids"].shape[1] == length
        assert made.rows == bench.packed(max_length=length)


def _stride(bench: Bench) -> None:
    plain = bench.make(**PER_SAMPLE).rows
    for kind in bench.tokenizers:
        for stride in (1, 5):
            expected = bench.peer(kind)(
                TEXTS, truncation=True, max_length=10, stride=stride, return_overflowing_tokens=True
            )
            made = bench.make(kind, **PER_SAMPLE, stride=stride)
            assert made.rows == expected["input_ids"] != plain
            # which sequence is of which sample
            counts = np.bincount(expected["overflow_to_sample_mapping"], minlength=len(TEXTS))
            starts = np.cumsum([0, *(len(row) for row in made.rows)])[
                np.cumsum([0, *counts.tolist()])
            ]
            assert made.content["sample_starts"].tolist() == starts.tolist()
    options = {"max_length": 10, "stride": 4}
    assert bench.make(**options).rows == bench.packed(**options) != bench.packed(max_length=10)


def _padding(bench: Bench) -> None:
    assert "offsets" in bench.make(**PER_SAMPLE).content
    for kind in bench.tokenizers:
        for padding in ("longest", "max_length"):
            expected = bench.peer(kind)(TEXTS, truncation=True, max_length=40, padding=padding)
            options = {"mode": "per_sample", "max_length": 40, "padding": padding}
            content = bench.make(kind, **options).content
            assert content["input_ids"].tolist() == expected["input_ids"]
            assert content["attention_mask"].tolist() == expected["attention_mask"]


def _truncation(bench: Bench) -> None:
    rows = {}
    for ours, theirs in (
        ("longest_first", "longest_first"),
        ("only_first", "only_first"),
        ("do_not_truncate", False),
    ):
        made = bench.make(**PER_SAMPLE, truncation=ours)
        rows[ours] = made.rows
        length = {"max_length": 10} if theirs else {}
        assert made.rows == bench.peer()(TEXTS, truncation=theirs, **length)["input_ids"]
        is_cut = made.result.accounting.tokens_truncated > 0
        assert is_cut == bool(theirs)
    assert rows["longest_first"] != rows["do_not_truncate"]


def _pair_column(bench: Bench) -> None:
    for kind in bench.tokenizers:
        for truncation in ("longest_first", "only_second"):
            made = bench.make(
                kind,
                pairs=OTHER_TEXTS,
                mode="per_sample",
                max_length=40,
                truncation=truncation,
                pair_column="pair",
            )
            expected = bench.peer(kind)(TEXTS, OTHER_TEXTS, truncation=truncation, max_length=40)
            assert made.rows == expected["input_ids"]
    assert made.rows != bench.make(kind, mode="per_sample", max_length=40).rows


def _add_special_tokens(bench: Bench) -> None:
    for kind in ("word", "llama"):
        for add in (None, True, False):
            made = bench.make(kind, **PER_SAMPLE, add_special_tokens=add)
            expected = bench.peer(kind)(
                TEXTS, truncation=True, max_length=10, add_special_tokens=add is not False
            )
            assert made.rows == expected["input_ids"]
        packed = bench.make(kind, max_length=10, add_special_tokens=True).rows
        assert packed == bench.packed(kind, max_length=10, add_special_tokens=True)
        assert packed != bench.make(kind, max_length=10).rows


def _return_attention_mask(bench: Bench) -> None:
    for wanted in (True, False):
        for options in ({"max_length": 10, "drop_tail": True}, PER_SAMPLE):
            content = bench.make(**options, return_attention_mask=wanted).content
            assert ("attention_mask" in content) == wanted
    masked = bench.make(**PER_SAMPLE, return_attention_mask=True)
    expected = bench.peer()(TEXTS, truncation=True, max_length=10)
    flat = [value for row in expected["attention_mask"] for value in row]
    assert masked.content["attention_mask"].tolist() == flat
    assert "attention_mask" in bench.make(max_length=10).content
    with pytest.raises(TokenizationError, match="drop_tail"):
        bench.make(max_length=10, return_attention_mask=False)


def _begin_sequence_token(bench: Bench) -> None:
    mask = bench.tokenizers["word"].backend.token_to_id("[MASK]")
    for token in ("[MASK]", mask):
        made = bench.make(max_length=10, begin_sequence_token=token)
        assert made.rows == bench.packed(max_length=10, begin=mask)
        assert all(row[0] == mask for row in made.rows)
        bare = bench.make(**PER_SAMPLE, begin_sequence_token=token, add_special_tokens=False)
        assert bare.rows == [[mask, *ids[:9]] for ids in bench.bare()]
    eos = bench.tokenizers["byte"].eos_id
    assert bench.make("byte", max_length=10, begin_sequence_token="eos").rows == bench.packed(
        "byte", max_length=10, begin=eos
    )
    # a begin token that the template has already does not stand twice
    expected = bench.peer()(TEXTS, truncation=True, max_length=10)["input_ids"]
    assert bench.make(**PER_SAMPLE, begin_sequence_token="[CLS]").rows == expected


def _sequence_separator_token(bench: Bench) -> None:
    rows = {}
    for kind in bench.tokenizers:
        for separator in ("auto", None, 8):
            options = {"max_length": 10, "sequence_separator_token": separator}
            rows[kind, separator] = bench.make(kind, **options).rows
            assert rows[kind, separator] == bench.packed(kind, **options)
        assert rows[kind, "auto"] != rows[kind, None] != rows[kind, 8]
    auto = bench.make("byte", max_length=10, sequence_separator_token="<|endoftext|>").rows
    assert auto == rows["byte", "auto"]


def _drop_tail(bench: Bench) -> None:
    rows = {}
    for drop in (True, False):
        made = bench.make(max_length=10, drop_tail=drop)
        rows[drop] = made.rows
        assert rows[drop] == bench.packed(max_length=10, drop_tail=drop)
        assert bool(made.result.accounting.tokens_tail) == drop
        assert bool(made.result.accounting.tokens_padding) != drop
    assert rows[True] == rows[False][:-1]


def _shuffle_seed(bench: Bench) -> None:
    expected = bench.peer()(TEXTS, truncation=True, max_length=10)["input_ids"]
    orders = set()
    for seed in (3, 4):
        order = np.arange(len(TEXTS))
        np.random.Generator(np.random.PCG64(seed)).shuffle(order)
        made = bench.make(**PER_SAMPLE, shuffle_seed=seed)
        assert made.content["sample_rows"].tolist() == order.tolist()
        assert made.rows == [expected[row] for row in order]
        orders.add(tuple(order.tolist()))
    assert len(orders) == 2


def _text_column(bench: Bench) -> None:
    with DatasetManager(bench.folder / "data", device="cpu") as manager:
        table = pa.table({"text": TEXTS, "other": OTHER_TEXTS})
        dataset = manager.import_dataset(table, name="two").wait(60)
        path = bench.tokenizers["word"].path
        rows = {}
        for column in (None, "other"):
            record = manager.tokenize(
                dataset.id, tokenizer=path, text_column=column, **PER_SAMPLE
            ).wait(60)
            assert record.text_column_used == (column or "text")
            rows[column] = real_rows(manager.load_tokens(record.id, "train"))
    peer = bench.peer()
    assert rows[None] == peer(TEXTS, truncation=True, max_length=10)["input_ids"]
    assert rows["other"] == peer(OTHER_TEXTS, truncation=True, max_length=10)["input_ids"]


def _chat_template(bench: Bench) -> None:
    chats = [[{"role": "user", "content": text}] for text in TEXTS]
    peer = bench.peer()
    peer.add_special_tokens({"bos_token": "[CLS]"})
    tokenizer = replace(bench.tokenizers["word"], named_tokens={"bos_token": "[CLS]"})
    templates = [
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}[SEP]{{ m.role }} {{ m.content | upper }}{% endfor %}",
    ]
    rows = []
    for number, template in enumerate(templates):
        folder = bench.folder / f"chat{number}"
        folder.mkdir()
        pq.write_table(pa.table({"text": chats}), folder / "a.parquet")
        tokenize(
            folder,
            tokenizer,
            {"train": [folder / "a.parquet"]},
            mode="per_sample",
            chat_template=template,
        )
        expected = peer.apply_chat_template(chats, chat_template=template, tokenize=True)
        rows.append(real_rows(load(folder)))
        assert rows[-1] == expected["input_ids"]
    assert rows[0] != rows[1]


def _cleaning(bench: Bench) -> None:
    texts = ["Cafe\u0301 <b>a</b>\r\nx", "bell\x07 and NUL\x00", TEXTS[2]]
    clean = ["Caf\u00e9 <b>a</b>\nx", "bell and NUL", TEXTS[2]]
    rows = {}
    for cleaning, same in (("off", texts), ("safe", clean)):
        made = bench.make("byte", texts, **PER_SAMPLE, cleaning=cleaning)
        rows[cleaning] = made.rows
        assert made.rows == bench.peer("byte")(same, truncation=True, max_length=10)["input_ids"]
        # the split "test" has the first two texts again
        account = made.result.accounting
        assert (account.samples_cleaned, account.chars_cleaned) == (
            (4, 10) if cleaning == "safe" else (0, 0)
        )
    assert rows["off"] != rows["safe"]


def _min_chars(bench: Bench) -> None:
    for least in (0, 1, 26, 27):
        made = bench.make(**PER_SAMPLE, min_chars=least)
        kept = [text for text in TEXTS if len(text) >= least]
        assert made.rows == bench.peer()(kept, truncation=True, max_length=10)["input_ids"]
        # the split "test" has the first two texts again
        num_dropped = sum(len(text) < least for text in (*TEXTS, *TEXTS[:2]))
        dropped = {"too_short": num_dropped} if num_dropped else {}
        assert made.result.accounting.samples_dropped == dropped


def _skip_invalid(bench: Bench) -> None:
    texts = [TEXTS[0], None, TEXTS[2]]
    with pytest.raises(TokenizationError, match="Row 1 of split 'train'"):
        bench.make(texts=texts, **PER_SAMPLE)
    made = bench.make(texts=texts, **PER_SAMPLE, skip_invalid=True)
    expected = bench.peer()([TEXTS[0], TEXTS[2]], truncation=True, max_length=10)
    assert made.rows == expected["input_ids"]
    assert made.content["sample_rows"].tolist() == [0, 2]
    assert made.result.accounting.samples_dropped == {"null": 2}


def _splits(bench: Bench) -> None:
    made = bench.make(**PER_SAMPLE, splits=("test",))
    assert sorted(path.name for path in (made.folder / "out").iterdir()) == [
        "lengths_test.npy",
        "test.pt",
    ]
    expected = bench.peer()(TEXTS[:2], truncation=True, max_length=10)["input_ids"]
    assert real_rows(load(made.folder, "test")) == expected
    assert set(bench.make(**PER_SAMPLE).result.splits) == {"train", "test"}
    with pytest.raises(InvalidRequestError, match="no split 'dev'"):
        bench.make(**PER_SAMPLE, splits=("dev",))


CASES: Final[dict[str, Callable[[Bench], None]]] = {
    "tokenizer": _tokenizer,
    "mode": _mode,
    "max_length": _max_length,
    "stride": _stride,
    "padding": _padding,
    "truncation": _truncation,
    "pair_column": _pair_column,
    "add_special_tokens": _add_special_tokens,
    "return_attention_mask": _return_attention_mask,
    "begin_sequence_token": _begin_sequence_token,
    "sequence_separator_token": _sequence_separator_token,
    "drop_tail": _drop_tail,
    "shuffle_seed": _shuffle_seed,
    "text_column": _text_column,
    "chat_template": _chat_template,
    "cleaning": _cleaning,
    "min_chars": _min_chars,
    "skip_invalid": _skip_invalid,
    "splits": _splits,
}


@pytest.mark.parametrize("field", list(TokenizationSettings.model_fields))
def test_a_setting_does_what_it_says(field: str, bench: Bench) -> None:
    assert field in CASES, f"no case shows what {field} does"
    CASES[field](bench)
