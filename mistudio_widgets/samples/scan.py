"""Search by reading: every text is looked at, without Python where it can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from .pattern import patterns_of
from .query import Group, Query, Term
from .text import without_nulls

if TYPE_CHECKING:
    import pyarrow as pa

_Mask = npt.NDArray[np.bool_]

# picking rows out costs as much as looking for an expression in them
_DENSE: Final = 0.5


def matches(array: pa.Array, query: Query) -> _Mask:
    """Tell for each row of an array of strings whether it matches; null is an empty text."""
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
    for sieves in zip_longest(*(patterns_of(term).sieves for term in terms)):
        for sieve in filter(None, sieves):
            mask = _among(array, mask, partial(_matched, pattern=sieve))
    for term in terms:
        mask = _among(array, mask, partial(_has, term=term))
    return mask


def _among(array: pa.Array, mask: _Mask, look: Callable[[pa.Array], _Mask]) -> _Mask:
    """Apply ``look`` to the rows of ``mask`` alone."""
    import pyarrow as pa

    count = np.count_nonzero(mask)
    if not count:
        return mask
    if count > _DENSE * len(mask):
        found: _Mask = look(array) & mask
        return found
    found = mask.copy()
    found[mask] = look(array.filter(pa.array(mask)))
    return found


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
