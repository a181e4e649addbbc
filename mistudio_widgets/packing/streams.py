"""Documents to a stream, and the stream to windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Affixes:
    """The ids that stand around and between documents.

    Attributes
    ----------
    prefix, suffix : tuple of int
        Before and after each document.
    separator : int or None
        Between two documents.
    middle : tuple of int
        Between the two texts of a pair.
    """

    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    separator: int | None = None
    middle: tuple[int, ...] = ()

    @property
    def num_around(self) -> int:
        """How many ids each document gets."""
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    @property
    def num_between(self) -> int:
        """How many ids stand between two documents: 0 or 1."""
        return 0 if self.separator is None else 1

    def stream_length(self, num_documents: int, num_tokens: int) -> int:
        """Return the length of the stream of so many documents with so many ids in all."""
        between = max(num_documents - 1, 0) * self.num_between
        return num_tokens + num_documents * self.num_around + between


@dataclass(frozen=True)
class PackedPlan:
    """How a stream is cut.

    Attributes
    ----------
    width : int
        Stream ids per sequence: max_length less the begin token.
    step : int
        Stream ids from the start of one sequence to the start of the next.
    num_sequences : int
    num_kept : int
        Stream ids that stand in some sequence.
    num_tail : int
        Stream ids that stand in none.
    num_repeated : int
        Ids that stand in a further sequence because of the stride.
    num_padding : int
        Positions of the last sequence that must be filled.
    """

    width: int
    step: int
    num_sequences: int
    num_kept: int
    num_tail: int
    num_repeated: int
    num_padding: int


def window_size(max_length: int, stride: int, *, has_begin: bool) -> tuple[int, int]:
    """Return the stream ids of a sequence, and those from its start to the next one's."""
    width = max_length - has_begin
    return width, width - stride


def plan_packed(
    num_tokens: int, *, max_length: int, stride: int, has_begin: bool, drop_tail: bool
) -> PackedPlan:
    """Plan the cut of a stream of ``num_tokens`` ids.

    >>> plan_packed(10, max_length=4, stride=0, has_begin=False, drop_tail=False).num_sequences
    3
    """
    width, step = window_size(max_length, stride, has_begin=has_begin)
    num_sequences = _num_windows(num_tokens, width, step)
    end = (num_sequences - 1) * step + width
    if drop_tail and num_sequences and end > num_tokens:
        num_sequences -= 1
        end -= step
    num_kept = min(num_tokens, end) if num_sequences else 0
    return PackedPlan(
        width=width,
        step=step,
        num_sequences=num_sequences,
        num_kept=num_kept,
        num_tail=num_tokens - num_kept,
        num_repeated=max(num_sequences - 1, 0) * stride,
        num_padding=max(end - num_tokens, 0) if num_sequences else 0,
    )


def _num_windows(num_tokens: int, width: int, step: int) -> int:
    if num_tokens > width:
        return 1 + -(-(num_tokens - width) // step)
    return 1 if num_tokens else 0


def join_documents(
    ids: Tensor, lengths: Tensor, affixes: Affixes, *, continues: bool = False
) -> Tensor:
    """Put documents into one stream.

    Parameters
    ----------
    ids : Tensor of int32, shape (n_tokens,)
        The documents' ids, one document after another.
    lengths : Tensor of int64, shape (n_documents,)
    affixes : Affixes
    continues : bool
        Whether documents came before these, so that a separator comes first.

    Returns
    -------
    Tensor of int32, shape (n_stream,)
        ``ids`` itself when there is nothing to insert.
    """
    before = ([] if affixes.separator is None else [affixes.separator]) + list(affixes.prefix)
    after = list(affixes.suffix)
    if not lengths.numel() or not (before or after):
        return ids
    ends = torch.cumsum(lengths + len(before) + len(after), dim=0)
    starts = ends - lengths - len(before) - len(after)
    places = [(starts + position, token) for position, token in enumerate(before)]
    places += [(ends - len(after) + position, token) for position, token in enumerate(after)]
    stream = insert_tokens(ids, places)
    return stream if continues else stream[affixes.num_between :]


def insert_tokens(ids: Tensor, places: Sequence[tuple[Tensor, int]]) -> Tensor:
    """Put tokens between ids.

    Parameters
    ----------
    ids : Tensor of int32, shape (n_tokens,)
    places : sequence of pairs
        Positions in the result (Tensor of int64, shape (n,)), and the token that stands there.

    Returns
    -------
    Tensor of int32, shape (n_tokens + all n,)
    """
    num_ids = len(ids) + sum(len(positions) for positions, _ in places)
    joined = torch.empty(num_ids, dtype=ids.dtype, device=ids.device)
    is_content = torch.ones(joined.shape, dtype=torch.bool, device=ids.device)
    for positions, token in places:
        joined[positions] = token
        is_content[positions] = False
    return joined.masked_scatter_(is_content, ids)


def place_documents(
    lengths: Tensor, affixes: Affixes, *, first: int, num_kept: int
) -> tuple[Tensor, Tensor]:
    """Find where documents lie in the kept part of the stream.

    Parameters
    ----------
    lengths : Tensor of int64, shape (n_documents,)
    affixes : Affixes
    first : int
        Position in the stream of the first document.
    num_kept : int
        Length of the kept stream; what lies behind it is clipped.

    Returns
    -------
    starts, sizes : Tensor of int64, shape (n_documents,)
        Start of each document, and its kept ids with prefix and suffix, without separator.
    """
    sizes = lengths + affixes.num_around
    strides = sizes + affixes.num_between
    starts = first + torch.cumsum(strides, dim=0) - strides
    clipped = starts.clamp(max=num_kept)
    return clipped, (starts + sizes).clamp(max=num_kept) - clipped


def cut_windows(stream: Tensor, width: int, step: int) -> tuple[Tensor, Tensor]:
    """Cut whole windows off the front of a stream.

    Returns
    -------
    windows : Tensor of int32, shape (n_windows, width)
        A view of ``stream``.
    rest : Tensor of int32, shape (n_rest,)
        From the start of the next window on, a view.
    """
    if stream.numel() < width:
        return stream.new_empty((0, width)), stream
    windows = stream.unfold(0, width, step)
    return windows, stream[windows.shape[0] * step :]


def begin_rows(windows: Tensor, begin: int | None) -> Tensor:
    """Copy windows to contiguous rows, with the begin token in front of each."""
    if begin is None:
        return windows.contiguous()
    rows = windows.new_empty((windows.shape[0], windows.shape[1] + 1))
    rows[:, 0] = begin
    rows[:, 1:] = windows
    return rows
