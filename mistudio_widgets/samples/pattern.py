r"""A term as a regular expression of RE2, which reads Arrow's texts without Python.

The expressions say exactly what `samples.query` says: a folded word is spelled out as the
characters that fold to it (an ``s`` as ``s``, ``S`` or the long s; ``ss`` also as ``ß``), and what
separates is the class of all characters that are not ``\w`` in this Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple

from .query import Term
from .text import CJK_BLOCKS, is_cjk

# what RE2 compiles within its memory, and what spelling out may grow to
_MAX_CHARS: Final = 64
_MAX_WORDS: Final = 8
_MAX_TANGLE: Final = 8


class Patterns(NamedTuple):
    """Two expressions for one term.

    Attributes
    ----------
    loose : str
        Finds every text that has the term, and some that have not; fast. Empty: finds all.
    strict : str or None
        Finds exactly those that have it; None where that cannot be said.
    """

    loose: str
    strict: str | None


class _Folding(NamedTuple):
    """Which characters of words fold to one character, and to several."""

    single: dict[str, str]
    several: dict[str, str]


@cache
def patterns_of(term: Term) -> Patterns:
    """Return the expressions for a term."""
    is_short = len(term.words) <= _MAX_WORDS and all(len(w) <= _MAX_CHARS for w in term.words)
    if not is_short:
        # whatever has the term has the beginnings of its words
        best = max(term.words, key=len)[:_MAX_CHARS]
        return Patterns(_spell(best, is_prefix=True) or "", None)
    last = len(term.words) - 1
    spelled = [
        _spell(word, is_prefix=term.is_prefix and number == last)
        for number, word in enumerate(term.words)
    ]
    known = [pattern for pattern in spelled if pattern is not None]
    loose = max(known, key=len, default="")
    if len(known) < len(spelled):
        return Patterns(loose, None)
    apart = _class(_separators())
    strict = _edge(term.words[0][0], "^")
    for number, (word, pattern) in enumerate(zip(term.words, known, strict=True)):
        if number:
            touches = is_cjk(word[0]) or is_cjk(term.words[number - 1][-1])
            strict += apart + ("*" if touches else "+")
        strict += pattern
    if not term.is_prefix:
        strict += _edge(term.words[-1][-1], "$")
    return Patterns(loose, strict)


def _edge(character: str, end: str) -> str:
    """Return what must stand beside the first or last character of a term."""
    return "" if is_cjk(character) else f"(?:{end}|{_class(_edges())})"


def _spell(word: str, *, is_prefix: bool) -> str | None:
    """Return what folds to ``word``, or begins with it; None when that would be too much."""
    pieces = []
    for start, end in _pieces(word, is_prefix=is_prefix):
        if end - start > _MAX_TANGLE:
            return None
        pieces.append(_alternatives(word[start:end], is_last=is_prefix and end == len(word)))
    return "".join(pieces)


def _pieces(word: str, *, is_prefix: bool) -> list[tuple[int, int]]:
    """Cut a word where no character of a text can fold to both sides of the cut."""
    cuts = [True] * (len(word) + 1)
    for folded in _folding().several:
        at = word.find(folded)
        while at >= 0:
            cuts[at + 1 : at + len(folded)] = [False] * (len(folded) - 1)
            at = word.find(folded, at + 1)
        for size in range(1, min(len(folded) - 1, len(word)) + 1) if is_prefix else ():
            if word.endswith(folded[:size]):
                at = len(word) - size
                cuts[at + 1 : len(word)] = [False] * (size - 1)
    places = [place for place, is_cut in enumerate(cuts) if is_cut]
    return list(pairwise(places))


def _alternatives(piece: str, *, is_last: bool) -> str:
    """Spell a piece of a word out, whichever way characters fold to it."""
    if not piece:
        return ""
    folding = _folding()
    ways = []
    if piece[0] in folding.single:
        rest = _alternatives(piece[1:], is_last=is_last)
        ways.append(_set(folding.single[piece[0]]) + rest)
    for folded, characters in folding.several.items():
        if piece.startswith(folded):
            rest = _alternatives(piece[len(folded) :], is_last=is_last)
            ways.append(_set(characters) + rest)
        elif is_last and folded.startswith(piece):
            ways.append(_set(characters))
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


@cache
def _folding() -> _Folding:
    single: dict[str, str] = {}
    several: dict[str, str] = {}
    for character in "".join(re.findall(r"\w+", _every_character())):
        folded = character.casefold()
        where = single if len(folded) == 1 else several
        where[folded] = where.get(folded, "") + character
    return _Folding(single, several)


@cache
def _separators() -> tuple[tuple[int, int], ...]:
    found = re.finditer(r"\W+", _every_character())
    return tuple((ord(run.group()[0]), ord(run.group()[-1])) for run in found)


@cache
def _edges() -> tuple[tuple[int, int], ...]:
    return (*_separators(), *CJK_BLOCKS)


def _every_character() -> str:
    # a letter stands for the surrogates, which no text can have
    return "".join("a" if 0xD800 <= code <= 0xDFFF else chr(code) for code in range(0x110000))


def _class(ranges: Iterable[tuple[int, int]]) -> str:
    return "[" + "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in ranges) + "]"


def _set(characters: str) -> str:
    codes = (ord(character) for character in characters)
    return _class((code, code) for code in codes)
