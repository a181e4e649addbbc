r"""What a word is: one definition for queries, scans, the index and highlights.

A word is a run of letters, digits and underscores as Python's ``\w+`` finds it, compared
case-folded (`str.casefold`); characters of Chinese, Japanese and Korean (ideographs, kana,
bopomofo, hangul) are words of their own. Everything else separates. What follows from that:

- The run is found first and folded then: ``ß`` is found as ``ss``, ``ﬁne`` as ``fine``, and
  positions are always those of the text as it is.
- Combining marks separate, as they do for ``\w``: a decomposed ``é`` is the word ``e``. Texts are
  not normalised.
- Emoji, NUL and lone surrogates separate as well.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

UNICODE_VERSION: Final = unicodedata.unidata_version
"""The version by which characters are letters; an index holds for one of them."""

MAX_TERM_CHARS: Final = 255
"""A longer word is a term of its beginning and its hash: tantivy drops terms over 65,530 bytes."""

LONG_MARK: Final = "\x01"
"""Stands between the beginning and the hash of a long word; in no word itself."""

CJK_BLOCKS: Final = (
    (0x1100, 0x11FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3035), (0x3038, 0x303C),
    (0x3041, 0x3096), (0x309D, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x3105, 0x312F),
    (0x3131, 0x318E), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0xFF66, 0xFFDC), (0x16FE0, 0x18DFF),
    (0x1AFF0, 0x1B2FF), (0x20000, 0x3FFFD),
)  # fmt: skip
"""Where the characters lie that are words of their own, if they are of words at all."""

_RUN: Final = re.compile(r"\w+")


class Word(NamedTuple):
    """A folded word and where it stands, in code points of the text."""

    text: str
    start: int
    end: int


@cache
def _cjk() -> re.Pattern[str]:
    return re.compile(f"[{''.join(rf'{chr(low)}-{chr(high)}' for low, high in CJK_BLOCKS)}]")


@cache
def _word() -> re.Pattern[str]:
    blocks = _cjk().pattern[1:-1]
    return re.compile(rf"[^\W{blocks}]+|(?=\w)[{blocks}]")


def is_cjk(character: str) -> bool:
    """Tell whether a character of a word is a word of its own."""
    return _cjk().match(character) is not None


def words(text: str, start: int = 0) -> Iterator[Word]:
    """Yield the words of ``text`` from ``start`` on, in order.

    >>> [word.text for word in words("Don't STRASSE straße 東京_1")]
    ['don', 't', 'strasse', 'strasse', '東', '京', '_1']
    """
    for match in _word().finditer(text, start):
        yield Word(match.group().casefold(), match.start(), match.end())


def term_of(word: str) -> str:
    """Return the term by which the index knows a folded word.

    >>> term_of("word"), len(term_of("w" * 100_000))
    ('word', 288)
    """
    if len(word) <= MAX_TERM_CHARS:
        return word
    digest = hashlib.sha256(word.encode()).hexdigest()[:32]
    return f"{word[:MAX_TERM_CHARS]}{LONG_MARK}{digest}"


def terms_of(text: str) -> str:
    """Return the terms of a text, in order, with a space between them."""
    joined = " ".join(_RUN.findall(text)).casefold()
    if not joined.isascii():
        joined = _cjk().sub(r" \g<0> ", joined)
    if len(joined) > MAX_TERM_CHARS:
        terms = joined.split(" ")
        if max(map(len, terms)) > MAX_TERM_CHARS:
            joined = " ".join(map(term_of, terms))
    return joined


def terms_of_rows(array: pa.Array) -> list[str]:
    """Return `terms_of` every row of an array of string or large_string; null is an empty text.

    ASCII, which most text is, is folded a whole array at a time; terms may then have more than
    one space between them.
    """
    array = without_nulls(array)
    offsets, data = _buffers(array)
    if not data.isascii():
        return [
            terms_of(text) if not text.isascii() else _ascii_terms(text)
            for text in array.to_pylist()
        ]
    folded = data.translate(_ascii_fold())
    breaks = np.flatnonzero(np.frombuffer(folded, np.uint8) == ord(" "))
    gaps = np.diff(breaks, prepend=-1, append=len(folded))
    if gaps.size and gaps.max() > MAX_TERM_CHARS:
        return [terms_of(text) for text in array.to_pylist()]
    whole = folded.decode("ascii")
    bounds = (offsets - offsets[0]).tolist()
    return [whole[start:end] for start, end in pairwise(bounds)]


def _ascii_terms(text: str) -> str:
    # short texts have no long words, and most texts of a mixed array are ASCII
    if len(text) <= MAX_TERM_CHARS:
        return text.translate(_ascii_fold_points())
    return terms_of(text)


@cache
def _ascii_fold() -> bytes:
    folded = bytearray(range(256))
    for code in range(128):
        character = chr(code)
        is_word = character.isalnum() or character == "_"
        folded[code] = ord(character.casefold()) if is_word else ord(" ")
    return bytes(folded)


@cache
def _ascii_fold_points() -> dict[int, int]:
    return dict(enumerate(_ascii_fold()[:128]))


def without_nulls(array: pa.Array) -> pa.Array:
    """Return an array of strings in which null is the empty text."""
    import pyarrow.compute as pc

    return pc.fill_null(array, "") if array.null_count else array


def _buffers(array: pa.Array) -> tuple[npt.NDArray[np.integer[Any]], bytes]:
    import pyarrow as pa

    kind: type[np.integer[Any]] = np.int64 if array.type == pa.large_string() else np.int32
    _, offsets_buffer, data = array.buffers()
    if offsets_buffer is None or data is None:
        return np.zeros(len(array) + 1, kind), b""
    size = np.dtype(kind).itemsize
    offsets = np.frombuffer(offsets_buffer, kind, len(array) + 1, array.offset * size)
    used: bytes = data.slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes()
    return offsets, used
