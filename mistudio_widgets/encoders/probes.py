"""The proof that an engine gives the reference's ids."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from .engines import Encoder, ReferenceEncoder, are_equal
from .tokenizer import Tokenizer

_PER_CATEGORY: Final = 64

# planes 0 to 3 hold all letters; the rest is variation selectors, tags and private use
_SCANNED: Final = (range(0x33480), range(0xE0000, 0xE01F0, 8), range(0xF0000, 0xF0010))

# letters younger than the Unicode tables of Python 3.11, which calls them unassigned; engines
# with older tables than the reference's cut words there
_YOUNG_LETTERS: Final = (
    "\u1c89\u1c8a\ua7cb\ua7cd\ua7da\U00010d4a\U00010d70\U00011bc0"
    "\U00016d43\U0001e5d0\U0001e6c1\U0002ebf0\U00031350\U000323b0"
)

_CONTRACTIONS: Final = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "\u2019s", "'x")

# letters of many scripts, each before every contraction: where engines were found to differ
_LETTERS: Final = "aZéßñøłž\u0131ЖяΩω中あ한אعहไ\u0301\u00aaǅ\u1c8a\U0001d400"

_SENTENCES: Final = (
    "",
    " ",
    "\n",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "  leading, trailing  and   inner    spaces     ",
    "tabs\tand\r\nline\nends\r\n\r\n\n\n   \n\t\n end",
    "\u00a0\u2003\u3000\u200b\ufeff\u2028\u2029\u0085 odd spaces \u00a0 x",
    "\x00\x01\x1f\x7f control \x1b[31m",
    "1 12 123 1234 12345 3.14159 1,000,000 0x1F 1e-9 ½ ٣٤٥ ௧௨",
    "Don't can't WE'LL they'Ve I'm he's o'clock ''''s '",
    "def f(x: int) -> str:\n    return f'{x!r}'  # %s\n\n\nclass A:\n\tpass\n",
    "<a href=\"https://example.org/?q=1&r=2#frag\">x</a> {'json': [1, 2.5, null]} \\n \\u0041",
    "Zürich, naïve façade; Ελληνικά και Русский, עברית עם ניקוד שָׁלוֹם, العربية",
    "日本語のテキストとカタカナ、中文文本\uff0c한국어 텍스트 ไทยไม่มีช่องว่าง हिन्दी में",
    "e\u0301 vs \u00e9, \ufb01 ligature, \u212b \u00c5 A\u030a, \u1e9b\u0323, \uff26\uff55\uff4c\uff4c",  # noqa: E501
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇯🇵 ☺️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ✈ ©®™",
    "İstanbul ıIiİ ßẞ ǅ ŉ ﬀ Ω ſ K",  # noqa: RUF001
    "\U0010ffff\ufffd\ufffe\ud7ff\ue000",
    "CamelCaseAndMIXEDcaseHTTPServer snake_case_name kebab-case-name A1b2C3",
    "______ ------ ====== ...... !!!!!! ????? ,,,, ;;;; //////// \\\\\\\\ ######",
)


def is_equal_on_probes(
    encoder: Encoder, tokenizer: Tokenizer, check: Callable[[], None] = lambda: None
) -> bool:
    """Tell whether ``encoder`` gives the reference's ids on every probe."""
    texts = probe_texts(tuple(tokenizer.special_tokens.values()))
    found = encoder.encode(texts)
    check()
    return are_equal(found, ReferenceEncoder(tokenizer.backend).encode(texts))


def probe_texts(special_tokens: tuple[str, ...] = ()) -> list[str]:
    """Return the texts on which an engine must equal the reference, about 200 kB."""
    return [
        *_SENTENCES,
        *_class_texts(),
        *(
            f"x{letter}{ending} {letter}{ending}y"
            for letter in _LETTERS
            for ending in _CONTRACTIONS
        ),
        *_run_texts(),
        *_special_texts(special_tokens),
        _long_text(),
    ]


@lru_cache(maxsize=1)
def _class_texts() -> tuple[str, ...]:
    """Characters of every Unicode class: alone, in words, before contractions, in rows."""
    texts = []
    for characters in _characters_by_class().values():
        texts.append(" ".join(characters))
        texts.append("".join(f" a{c}b{c}{c} {c}1" for c in characters))
        texts.append("".join(characters))
        for number, character in enumerate(characters):
            ending = _CONTRACTIONS[number % len(_CONTRACTIONS)]
            texts.append(f"{character}{ending} x{character}{ending}\n{character}{character}")
    return tuple(texts)


def _characters_by_class() -> dict[str, list[str]]:
    classes: dict[str, list[str]] = defaultdict(list)
    for span in _SCANNED:
        for code in span:
            category = unicodedata.category(chr(code))
            if category != "Cs":
                classes[category].append(chr(code))
    spread = {name: _spread(characters) for name, characters in classes.items()}
    spread["young"] = list(_YOUNG_LETTERS)
    return spread


def _spread(characters: list[str]) -> list[str]:
    """Take the first few, which are the common ones, and some from the whole range."""
    step = max(1, len(characters) // _PER_CATEGORY)
    return list(dict.fromkeys([*characters[:8], *characters[::step]]))


def _run_texts() -> Iterator[str]:
    """Long runs without a place to cut, where engines use other algorithms."""
    for unit in ("a", "A", "é", "中", "\u0301", "👍", " ", "\n", "\t", "=", "0", "ab", " \n", "'s"):
        yield unit * 260
        yield f"x{unit * 33}y {unit}"
    yield "a" * 4000
    yield " " * 4000 + "x"


def _special_texts(special_tokens: tuple[str, ...]) -> Iterator[str]:
    for text in ("<|endoftext|>", "<s>", "</s>", "[CLS]", "[MASK]", *special_tokens[:64]):
        yield f"before {text} after"
        yield f"{text}x{text}{text} {text}\n{text.lower()}{text[:-1]}"


@lru_cache(maxsize=1)
def _long_text() -> str:
    """One text of 100,000 characters: engines may cut or cache long ones."""
    body = "\n".join(_SENTENCES[4:])
    words = " ".join(f"word{number} {number * 7919}" for number in range(200))
    return ((body + words) * 100)[:100_000]
