r"""A term as a regular expression of RE2, which reads Arrow's texts without Python.

The expressions say exactly what `samples.query` says: a folded word is spelled out as the
characters that fold to it (an ``s`` as ``s``, ``S`` or the long s; ``ss`` also as ``ß``), and what
separates is the class of all characters that are not ``\w`` in this Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from .query import Term
from .text import CJK_BLOCKS, is_cjk

# what RE2 compiles within its memory, and what spelling out may grow to
_MAX_CHARS: Final = 64
_MAX_WORDS: Final = 8
_MAX_TANGLE: Final = 8

# each may take 150 kB
_KEPT: Final = 64

# a set of letters of ASCII; RE2 looks for a beginning of such at 2 GB/s, for others at 0.5
_PLAIN: Final = re.compile(r"\[(?:\\x\{[0-7]?[0-9a-f]\}-\\x\{[0-7]?[0-9a-f]\})+\]")
_MIN_PLAIN: Final = 3
_NO_ASCII_WORD: Final = "[^0-9A-Za-z_]+"


class Patterns(NamedTuple):
    """Expressions for one term.

    Attributes
    ----------
    sieves : tuple of str
        Each finds every text that has the term, and some that have not; the quickest first.
    strict : str or None
        Finds exactly those that have it; None where that cannot be said.
    """

    sieves: tuple[str, ...]
    strict: str | None


class _Folding(NamedTuple):
    """Which characters of words fold to one character, and to several."""

    single: dict[str, str]
    several: dict[str, str]


@lru_cache(_KEPT)
def patterns_of(term: Term) -> Patterns:
    """Return the expressions for a term."""
    last = len(term.words) - 1
    spelled = [
        _spell(word, is_prefix=term.is_prefix and number == last) if len(word) <= _MAX_CHARS else []
        for number, word in enumerate(term.words)
    ]
    sieves = [_word_sieve(term, spelled)]
    if last:
        sieves.append(_phrase_sieve(term.words, spelled))
    is_short = len(term.words) <= _MAX_WORDS and all(spelled)
    return Patterns(
        tuple(sieve for sieve in sieves if sieve), _strict(term, spelled) if is_short else None
    )


def _word_sieve(term: Term, spelled: list[list[str]]) -> str:
    """Return an expression for the longest word that can be said; empty without one."""
    longest = max(term.words, key=len)
    if len(longest) > _MAX_CHARS:
        # whatever has the word has its beginning
        return "".join(_spell(longest[:_MAX_CHARS], is_prefix=True))
    return _from_plain(max(spelled, key=len))


def _phrase_sieve(words: Sequence[str], spelled: list[list[str]]) -> str:
    """Return an expression for the longest stretch of neighbouring words that can be said."""
    stretches = [[0]]
    for number in range(1, len(words)):
        is_one = spelled[number - 1] and spelled[number] and len(stretches[-1]) < _MAX_WORDS
        if is_one:
            stretches[-1].append(number)
        else:
            stretches.append([number])
    best = max(stretches, key=lambda stretch: sum(len(spelled[number]) for number in stretch))
    sieve = _from_plain(spelled[best[0]])
    for number in best[1:]:
        is_touching = _is_touching(words[number - 1], words[number])
        # the class of what separates takes longer to compile, but bytes of any letter
        # would let most of Chinese through
        sieve += f"{_class(_separators())}*" if is_touching else _NO_ASCII_WORD
        sieve += "".join(spelled[number])
    return sieve


def _from_plain(pieces: list[str]) -> str:
    """Leave out a beginning that RE2 cannot search for as quickly as for letters of ASCII."""
    for number, piece in enumerate(pieces[: -_MIN_PLAIN + 1]):
        if _PLAIN.fullmatch(piece):
            return "".join(pieces[number:])
    return "".join(pieces)


def _strict(term: Term, spelled: list[list[str]]) -> str:
    apart = _class(_separators())
    strict = _edge(term.words[0][0], "^")
    for number, pieces in enumerate(spelled):
        if number:
            is_touching = _is_touching(term.words[number - 1], term.words[number])
            strict += apart + ("*" if is_touching else "+")
        strict += "".join(pieces)
    if not term.is_prefix:
        strict += _edge(term.words[-1][-1], "$")
    return strict


def _is_touching(word: str, after: str) -> bool:
    """Tell whether two words may stand side by side with nothing between them."""
    return is_cjk(word[-1]) or is_cjk(after[0])


def _edge(character: str, end: str) -> str:
    """Return what must stand beside the first or last character of a term."""
    return "" if is_cjk(character) else f"(?:{end}|{_class(_edges())})"


def _spell(word: str, *, is_prefix: bool) -> list[str]:
    """Return what folds to ``word``, or begins with it, in pieces; none if it were too much."""
    pieces = []
    for start, end in _pieces(word, is_prefix=is_prefix):
        if end - start > _MAX_TANGLE:
            return []
        pieces.append(_alternatives(word[start:end], is_last=is_prefix and end == len(word)))
    return pieces


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
    return _either(_ways(piece, is_last=is_last))


def _either(ways: list[str]) -> str:
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def _ways(piece: str, *, is_last: bool) -> list[str]:
    """Return each way, none for what is only ever the end of several (the dot of ``İ``)."""
    if not piece:
        return [""]
    folding = _folding()
    begun = []
    if piece[0] in folding.single:
        begun.append((folding.single[piece[0]], piece[1:]))
    for folded, characters in folding.several.items():
        if piece.startswith(folded):
            begun.append((characters, piece[len(folded) :]))
        elif is_last and folded.startswith(piece):
            begun.append((characters, ""))
    return [
        _set(characters) + _either(ways)
        for characters, rest in begun
        if (ways := _ways(rest, is_last=is_last))
    ]


@cache
def _folding() -> _Folding:
    single: dict[str, str] = {}
    several: dict[str, str] = {}
    # each once: what stands for the surrogates is there two thousand times
    for character in dict.fromkeys("".join(re.findall(r"\w+", _every_character()))):
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
    codes = np.arange(0x110000, dtype="<u4")
    # a letter stands for the surrogates, which no text can have
    codes[0xD800:0xE000] = ord("a")
    return codes.tobytes().decode("utf-32-le")


def _class(ranges: Iterable[tuple[int, int]]) -> str:
    return "[" + "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in ranges) + "]"


def _set(characters: str) -> str:
    codes = (ord(character) for character in characters)
    return _class((code, code) for code in codes)
