"""Safe cleaning: what goes, what stays, what is counted."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_tokenization import load, real_rows, tokenize
from trained_tokenizers import save_byte_level

from mistudio_widgets.encoders import load_tokenizer
from mistudio_widgets.tokenization.cleaning import clean_safely


@pytest.mark.parametrize(
    ("text", "expected", "num_changed"),
    [
        ("", "", 0),
        ("plain\n\ttext", "plain\n\ttext", 0),
        ("a\r\nb\rc\x85d\n", "a\nb\nc\nd\n", 3),
        ("a\x00b\x1b[31mc\x7f\x9f", "ab[31mc", 4),
        ("e\u0301 A\u030a \u212b", "\u00e9 \u00c5 \u00c5", 5),
        ("\u1100\u1161\u11a8 \uac00", "\uac01 \uac00", 3),
        # two marks in the wrong order
        ("a\u0301\u0323", "\u1ea1\u0301", 3),
        ("\u09c7\u09be", "\u09cb", 2),
        ("1 < 2 <b>x</b> && [INST] <|im_start|>", "1 < 2 <b>x</b> && [INST] <|im_start|>", 0),
        # NFC would make one character of each of these
        ("<\u0338 >\u0338 =\u0338", "<\u0338 >\u0338 =\u0338", 0),
        ("<\uff5cend\u2581of\u2581it\uff5c>", "<\uff5cend\u2581of\u2581it\uff5c>", 0),
        ("\ufeff\u200d\u2028", "\ufeff\u200d\u2028", 0),
        ("\ufb01 \u00bd \uff21", "\ufb01 \u00bd \uff21", 0),
    ],
)  # fmt: skip
def test_safe_cleaning(text: str, expected: str, num_changed: int) -> None:
    assert clean_safely(text) == (expected, num_changed)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_cleaning_keeps_what_can_be_seen(text: str) -> None:
    clean, num_changed = clean_safely(text)
    assert clean_safely(clean)[0] == clean
    assert (num_changed > 0) == (clean != text)
    assert num_changed <= len(text)
    assert not any(unicodedata.category(c) == "Cc" and c not in "\t\n" for c in clean)
    bare = re.sub("\r\n|\r|\x85", "\n", text)
    bare = "".join(c for c in bare if unicodedata.category(c) != "Cc" or c in "\t\n")
    assert unicodedata.normalize("NFC", clean) == unicodedata.normalize("NFC", bare)
    assert [c for c in clean if c in "<>="] == [c for c in bare if c in "<>="]


@given(st.lists(st.text("<>=|/[]{}()abcZ_&;\n\t \u0301\u0338\u00e9", max_size=8), max_size=8))
def test_ascii_stays_as_it_is(parts: list[str]) -> None:
    text = "|im_start|".join(parts)
    kept = [c for c in text if c.isascii() and not c.isalpha()]
    assert [c for c in clean_safely(text)[0] if c.isascii() and not c.isalpha()] == kept


CHATS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": "Cafe\u0301\r\n"}],
    [{"role": "us\x07er", "content": [{"type": "text", "text": "bell\x07"}]}],
    [{"role": "user", "content": "<|im_start|> stays"}],
]


def test_conversations_are_cleaned_before_they_are_rendered(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(save_byte_level(tmp_path / "tokenizer"))
    for number, chat in enumerate(CHATS):
        pq.write_table(pa.table({"text": [chat]}), tmp_path / f"{number}.parquet")
        folder = tmp_path / str(number)
        result = tokenize(
            folder,
            tokenizer,
            {"train": [tmp_path / f"{number}.parquet"]},
            chat_template="\x0b#{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}",
            cleaning="safe",
            mode="per_sample",
        )
        (row,) = real_rows(load(folder))
        # the template and the roles are as they are
        assert (
            tokenizer.decode(row)
            == (
                "\x0b#userCaf\u00e9\n",
                "\x0b#us\x07erbell",
                "\x0b#user<|im_start|> stays",
            )[number]
        )
        account = result.accounting
        assert (account.samples_cleaned, account.chars_cleaned) == ((1, 3), (1, 1), (0, 0))[number]
