"""Where a search stands in the part of a text that is shown."""

from __future__ import annotations

from collections import deque

import pyarrow as pa
import pyarrow.compute as pc

from .pattern import patterns_of
from .query import Query, Term
from .text import Word, words


def first_highlights(text: str, query: Query, num_chars: int) -> list[list[int]]:
    """Return the highlights of a beginning, or, where it has none, from the first hit on.

    Parameters
    ----------
    text : str
        Of any length; what lies before the first hit is looked at word by word only for terms
        that cannot be said as an expression.
    num_chars : int
        How many characters are shown.

    Returns
    -------
    list of [start, end]
        As `Query.highlights` returns them.
    """
    found = query.highlights(text, num_chars)
    if found or len(text) <= num_chars:
        return found
    first = _first_hit(text, query)
    return query.highlights(text, first + num_chars, first) if first is not None else []


def _first_hit(text: str, query: Query) -> int | None:
    """Return where the first hit begins, or the separator before it."""
    alone = pa.array([text], pa.large_string())
    encoded = text.encode()
    firsts = []
    for term in query.required:
        sieves, strict = patterns_of(term)
        at = pc.find_substring_regex(alone, strict or "".join(sieves[:1]))[0].as_py()
        if at < 0:
            continue
        first = _first_by_words(text, term) if strict is None else len(encoded[:at].decode())
        if first is not None:
            firsts.append(first)
    return min(firsts, default=None)


def _first_by_words(text: str, term: Term) -> int | None:
    last: deque[Word] = deque(maxlen=len(term.words))
    for word in words(text):
        last.append(word)
        if term.is_at(last):
            return last[0].start
    return None
