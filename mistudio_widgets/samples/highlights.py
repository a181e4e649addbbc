"""Where a search stands in the part of a text that is shown."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from .pattern import patterns_of
from .query import Query


def first_highlights(text: str, query: Query, num_chars: int) -> list[list[int]]:
    """Return the highlights of a beginning, or, where it has none, from the first hit on.

    Parameters
    ----------
    text : str
        Of any length; what lies before the first hit is not looked at word by word.
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
    """Return where the first hit begins, or the separator before it; 0 where that is not known."""
    alone = pa.array([text], pa.large_string())
    firsts = []
    for term in query.required:
        strict = patterns_of(term).strict
        if strict is None:
            return 0
        at = pc.find_substring_regex(alone, strict)[0].as_py()
        if at >= 0:
            firsts.append(at)
    if not firsts:
        return None
    return len(text.encode()[: min(firsts)].decode())
