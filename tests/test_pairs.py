"""Pairs of texts, against transformers' own calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_tokenization import load, real_rows, tokenize
from trained_tokenizers import save_byte_level, save_llama_like, save_word_piece
from transformers import PreTrainedTokenizerFast

from mistudio_widgets.encoders import Tokenizer, load_tokenizer
from mistudio_widgets.errors import InvalidRequestError, TokenizationError
from mistudio_widgets.records import TokenizationSettings
from mistudio_widgets.tokenization import TokenizationResult, batches, documents, output

PAIRS = [
    ("What is it?", "It is a long answer with many words in it, more than fit. " * 3),
    ("", ""),
    ("", "only a second text"),
    ("only a first text", ""),
    ("def f(x): return x " * 9, "Zürich 東京 👍"),
    ("one two three four five six", "one two three four five six"),
]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    root = tmp_path_factory.mktemp("kinds")
    saves = {"byte": save_byte_level, "word": save_word_piece, "llama": save_llama_like}
    return {kind: load_tokenizer(save(root / kind)) for kind, save in saves.items()}


def make(
    folder: Path, tokenizer: Tokenizer, pairs: list[tuple[Any, Any]], **options: Any
) -> TokenizationResult:
    folder.mkdir(parents=True, exist_ok=True)
    firsts, seconds = zip(*pairs, strict=True) if pairs else ((), ())
    table = pa.table(
        {"text": pa.array(firsts, pa.string()), "pair": pa.array(seconds, pa.string())}
    )
    pq.write_table(table, folder / "a.parquet", row_group_size=2)
    return tokenize(
        folder,
        tokenizer,
        {"train": [folder / "a.parquet"]},
        mode="per_sample",
        pair_column="pair",
        **options,
    )


def peer_of(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    pad = tokenizer.text_of(tokenizer.fill_id)
    return PreTrainedTokenizerFast(tokenizer_file=tokenizer.path, pad_token=pad)


def fits(tokenizer: Tokenizer, pair: tuple[str, str], options: dict[str, Any]) -> bool:
    """Tell whether transformers can cut the pair; else it raises, or panics for a stride."""
    lengths = [len(tokenizer.backend.encode(text, add_special_tokens=False)) for text in pair]
    around = sum(map(len, tokenizer.pair_around())) if options["add_special_tokens"] else 0
    room = options["max_length"] - around
    whole = {"only_first": 1, "only_second": 0}.get(options["truncation"])
    if sum(lengths) <= room or whole is None:
        return True
    return lengths[whole] + options["stride"] < room


@hypothesis_settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(
    data=st.data(),
    pairs=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=40)] * 2)
        | st.sampled_from(PAIRS),
        min_size=1,
        max_size=7,
    ),
    kind=st.sampled_from(["byte", "word", "llama"]),
)
def test_pairs_equal_transformers(
    data: st.DataObject,
    pairs: list[tuple[str, str]],
    kind: str,
    kinds: dict[str, Tokenizer],
    tmp_path_factory: pytest.TempPathFactory,
    small_parts: None,
) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    tokenizer = kinds[kind]
    truncation = data.draw(
        st.sampled_from(["longest_first", "only_first", "only_second", "do_not_truncate"])
    )
    cuts = truncation != "do_not_truncate"
    length = data.draw(st.integers(6, 40))
    may_stride = truncation in ("only_first", "only_second")
    options = {
        "max_length": length,
        "truncation": truncation,
        "stride": data.draw(st.integers(0, length - 5)) if may_stride else 0,
        "add_special_tokens": data.draw(st.booleans()),
    }
    padding = data.draw(st.sampled_from(["do_not_pad", "longest", *["max_length"] * cuts]))
    kept = [pair for pair in pairs if fits(tokenizer, pair, options)]
    if not kept:
        return
    expected = peer_of(tokenizer)(
        [first for first, _ in kept],
        [second for _, second in kept],
        truncation=truncation if cuts else False,
        max_length=length if cuts else None,
        stride=options["stride"],
        padding=False if padding == "do_not_pad" else padding,
        add_special_tokens=options["add_special_tokens"],
        return_overflowing_tokens=options["stride"] > 0,
    )
    result = make(folder, tokenizer, pairs, padding=padding, skip_invalid=True, **options)
    content = load(folder)
    if padding == "do_not_pad":
        assert real_rows(content) == expected["input_ids"]
    else:
        mask = content.get("attention_mask", torch.ones_like(content["input_ids"]))
        assert content["input_ids"].tolist() == expected["input_ids"]
        assert mask.tolist() == expected["attention_mask"]
    check_account(result, tokenizer, kept, content, options)
    dropped = {"too_long": len(pairs) - len(kept)} if len(kept) < len(pairs) else {}
    assert result.accounting.samples_dropped == dropped
    assert result.num_samples == len(kept)


def check_account(
    result: TokenizationResult,
    tokenizer: Tokenizer,
    kept: list[tuple[str, str]],
    content: dict[str, torch.Tensor],
    options: dict[str, Any],
) -> None:
    account = result.accounting
    rows = real_rows(content)
    sizes = [
        sum(len(tokenizer.backend.encode(text, add_special_tokens=False)) for text in pair)
        for pair in kept
    ]
    around = sum(map(len, tokenizer.pair_around())) if options["add_special_tokens"] else 0
    assert account.tokens_in == sum(sizes)
    assert account.tokens_inserted == around * len(rows)
    assert account.tokens_kept == sum(map(len, rows)) == int(content["sample_starts"][-1])
    assert account.tokens_padding == content["input_ids"].numel() - account.tokens_kept
    if not options["stride"]:
        cut = options["truncation"] != "do_not_truncate"
        room = options["max_length"] - around if cut else max(sizes, default=0)
        assert account.tokens_truncated == sum(max(size - room, 0) for size in sizes)


@pytest.fixture(scope="module")
def small_parts() -> Any:
    """Make chunk, block and batch borders fall everywhere."""
    patch = pytest.MonkeyPatch()
    patch.setattr(documents, "CHUNK_TOKENS", 7)
    patch.setattr(documents, "CHUNK_DOCUMENTS", 3)
    patch.setattr(output, "BLOCK_TOKENS", 11)
    patch.setattr(batches, "BATCH_BYTES", 16)
    yield
    patch.undo()


def test_shuffled_pairs_stay_together(tmp_path: Path, kinds: dict[str, Tokenizer]) -> None:
    made = {}
    for seed in (None, 3):
        folder = tmp_path / str(seed)
        make(folder, kinds["word"], PAIRS, max_length=20, shuffle_seed=seed)
        made[seed] = load(folder)
    order = made[3]["sample_rows"].tolist()
    plain = real_rows(made[None])
    assert order != sorted(order)
    assert real_rows(made[3]) == [plain[row] for row in order]


def test_a_pair_that_cannot_be_cut_is_named(tmp_path: Path, kinds: dict[str, Tokenizer]) -> None:
    options = {"max_length": 12, "truncation": "only_second"}
    with pytest.raises(TokenizationError, match=r"Row 4 of split 'train'.*stay whole") as caught:
        make(tmp_path, kinds["word"], PAIRS, **options)
    assert "longest_first" in (caught.value.hint or "")


def test_a_null_in_either_column_is_named(tmp_path: Path, kinds: dict[str, Tokenizer]) -> None:
    for row, pair, column in ((1, (None, "b"), "text"), (1, ("a", None), "pair")):
        with pytest.raises(TokenizationError, match=f"Row {row} .*column '{column}' is null"):
            make(tmp_path / column, kinds["word"], [("x", "y"), pair], max_length=12)
        result = make(
            tmp_path / f"{column}-2",
            kinds["word"],
            [("x", "y"), pair],
            max_length=12,
            skip_invalid=True,
        )
        assert result.accounting.samples_dropped == {"null": 1}


def test_min_chars_counts_both_texts(tmp_path: Path, kinds: dict[str, Tokenizer]) -> None:
    pairs = [("ab", "cd"), ("abc", ""), ("", "abcd")]
    result = make(tmp_path, kinds["word"], pairs, max_length=12, min_chars=4)
    assert result.accounting.samples_dropped == {"too_short": 1}
    assert load(tmp_path)["sample_rows"].tolist() == [0, 2]


def test_a_begin_token_stands_once_before_a_pair(
    tmp_path: Path, kinds: dict[str, Tokenizer]
) -> None:
    for token, is_new in (("[CLS]", False), ("[MASK]", True)):
        tokenizer = kinds["word"]
        make(tmp_path / token, tokenizer, PAIRS[:1], max_length=90, begin_sequence_token=token)
        (row,) = real_rows(load(tmp_path / token))
        (expected,) = peer_of(tokenizer)([PAIRS[0][0]], [PAIRS[0][1]])["input_ids"]
        begin = tokenizer.backend.token_to_id(token)
        assert row == ([begin, *expected] if is_new else expected)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"mode": "packed", "pair_column": "b"}, "pair_column"),
        ({"truncation": "only_second"}, "truncation"),
        ({"pair_column": "b", "stride": 4}, "stride"),
        ({"pair_column": "b", "chat_template": "{{ messages }}"}, "chat_template"),
        ({"pair_column": "b", "truncation": "do_not_truncate", "stride": 1}, "stride"),
        ({"pair_column": "b", "truncation": "do_not_truncate", "padding": "max_length"},
         "padding"),
    ],
)  # fmt: skip
def test_conflicting_settings_are_refused_by_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        TokenizationSettings(**{"tokenizer": "a", "mode": "per_sample", **options})
    assert caught.value.field == field


def test_a_pair_column_that_is_not_there_or_no_text_is_refused(
    tmp_path: Path, kinds: dict[str, Tokenizer]
) -> None:
    pq.write_table(pa.table({"text": ["a"], "number": [1]}), tmp_path / "a.parquet")
    for column in ("missing", "number"):
        with pytest.raises(InvalidRequestError, match=column) as caught:
            tokenize(
                tmp_path,
                kinds["word"],
                {"train": [tmp_path / "a.parquet"]},
                mode="per_sample",
                pair_column=column,
            )
        assert caught.value.field == "pair_column"
