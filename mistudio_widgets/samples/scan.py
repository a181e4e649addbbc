"""Search by reading: every text is looked at, in row order, without Python where it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ..progress import Progress
from .pattern import patterns_of
from .query import Group, Query, Term
from .text import without_nulls

if TYPE_CHECKING:
    import pyarrow as pa

_Rows = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


class ScannedBatch(NamedTuple):
    """What was found in one batch.

    Attributes
    ----------
    hits : int64
        Rows that match, ascending.
    end_row : int
        Rows before this one have been looked at.
    """

    hits: _Rows
    end_row: int


def scan(
    texts: Iterable[tuple[int, pa.Array]], query: Query, *, progress: Progress
) -> Iterator[ScannedBatch]:
    """Look for ``query`` in batches of texts.

    Parameters
    ----------
    texts : iterable of (first row, array of strings)
        Null is an empty text.
    query : Query
    progress : Progress
        Advanced by bytes of text.

    Yields
    ------
    ScannedBatch
        One for each batch, also when it has no hit.

    *Cancellation:* between batches.
    """
    for first_row, array in texts:
        progress.check()
        found = np.flatnonzero(matches(array, query)).astype(np.int64)
        yield ScannedBatch(found + first_row, first_row + len(array))
        progress.advance(array.nbytes)


def matches(array: pa.Array, query: Query) -> _Mask:
    """Tell for each row of an array of strings whether it matches."""
    if query.is_empty:
        return np.ones(len(array), np.bool_)
    array = without_nulls(array)
    mask = np.zeros(len(array), np.bool_)
    for group in query.groups:
        mask |= _among(array, ~mask, partial(_group, group=group))
    return mask


def _group(array: pa.Array, group: Group) -> _Mask:
    mask = _all_of(array, group.required)
    for terms in group.excluded:
        mask &= ~_among(array, mask, partial(_all_of, terms=terms))
    return mask


def _all_of(array: pa.Array, terms: Sequence[Term]) -> _Mask:
    mask = np.ones(len(array), np.bool_)
    # what cannot be there is ruled out before anything is looked at closely
    for term in terms:
        mask = _among(array, mask, partial(_may_have, term=term))
    for term in terms:
        mask = _among(array, mask, partial(_has, term=term))
    return mask


def _among(array: pa.Array, mask: _Mask, look: Callable[[pa.Array], _Mask]) -> _Mask:
    """Apply ``look`` to the rows of ``mask`` alone."""
    import pyarrow as pa

    found = mask.copy()
    if mask.all():
        return look(array)
    if mask.any():
        found[mask] = look(array.filter(pa.array(mask)))
    return found


def _may_have(array: pa.Array, term: Term) -> _Mask:
    return _matched(array, patterns_of(term).loose)


def _has(array: pa.Array, term: Term) -> _Mask:
    strict = patterns_of(term).strict
    if strict is not None:
        return _matched(array, strict)
    alone = Query((Group((term,)),))
    return np.fromiter((alone.matches(text) for text in array.to_pylist()), np.bool_, len(array))


def _matched(array: pa.Array, pattern: str) -> _Mask:
    import pyarrow.compute as pc

    found: _Mask = pc.match_substring_regex(array, pattern).to_numpy(zero_copy_only=False)
    return found
