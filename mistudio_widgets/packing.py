"""From token runs to sequences: pure tensor code on any torch device.

A *stream* is what packing cuts: the documents' ids, each between its template's prefix and
suffix, with a separator between documents. A *window* is a stretch of the stream; a
*sequence* is a row of the result.

    join_documents   documents to stream               cut_windows     stream to windows
    plan_packed      how many windows, what is left    split_documents documents to chunks
    begin_rows, pad_sequences                          windows and chunks to rows and masks
    count_tokens, count_lengths, summarize_lengths     statistics

Nothing here knows files, threads or tokenizers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from .errors import InvalidRequestError
from .records import HistogramBucket

HISTOGRAM_EDGES: Final = (0, 100, 200, 400, 600, 800, 1000)


def resolve_device(device: str) -> str:
    """Return the device to compute on: "auto" is CUDA where torch sees it, else the CPU.

    Raises
    ------
    InvalidRequestError
        When torch cannot use the device.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidRequestError(
            f"device: torch cannot use {device!r} here.",
            field="device",
            hint='Choose "auto" or "cpu".',
        ) from error
    return device


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in the calling thread alone, on the CPU.

    Between two calls torch's helpers wait by spinning: beside busy encoders that was a third of
    all CPU time. Every thread has its own number of helpers, but setting it also sets what
    later threads begin with; that is put right from another thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    other = threading.Thread(target=torch.set_num_threads, args=(before,))
    other.start()
    other.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


@dataclass(frozen=True)
class Chunks:
    """Stretches of documents that become sequences of their own.

    Attributes
    ----------
    documents : Tensor of int64, shape (n_chunks,)
        Which document each comes from, ascending.
    starts, lengths : Tensor of int64, shape (n_chunks,)
        Where in the flat ids each begins, and how many ids it has.
    """

    documents: Tensor
    starts: Tensor
    lengths: Tensor


def split_documents(lengths: Tensor, *, room: int | None, stride: int) -> Chunks:
    """Cut each document into chunks of at most ``room`` ids.

    The chunks are those of transformers' ``return_overflowing_tokens``: with a positive stride
    neighbours share ``stride`` ids, with stride 0 only the first chunk is kept. A document
    without ids is one empty chunk.

    Parameters
    ----------
    lengths : Tensor of int64, shape (n_documents,)
    room : int or None
        None: documents are never cut.
    stride : int
        0 <= stride < room.
    """
    document_starts = torch.cumsum(lengths, dim=0) - lengths
    if room is None or not stride:
        kept = lengths if room is None else lengths.clamp(max=room)
        numbers = torch.arange(lengths.numel(), device=lengths.device)
        return Chunks(numbers, document_starts, kept)
    step = room - stride
    num_chunks = 1 + ((lengths - room).clamp(min=0) + step - 1) // step
    documents = torch.repeat_interleave(num_chunks)
    firsts = torch.cumsum(num_chunks, dim=0) - num_chunks
    within = (torch.arange(documents.numel(), device=lengths.device) - firsts[documents]) * step
    return Chunks(
        documents,
        document_starts[documents] + within,
        (lengths[documents] - within).clamp(max=room),
    )


def gather_chunks(ids: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """Copy the ids of chunks, one chunk after another."""
    ends = torch.cumsum(lengths, dim=0)
    shift = torch.repeat_interleave(starts - (ends - lengths), lengths)
    return ids[torch.arange(shift.numel(), device=ids.device) + shift]


def pad_sequences(flat: Tensor, lengths: Tensor, width: int, fill: int) -> tuple[Tensor, Tensor]:
    """Fill sequences on the right up to ``width``.

    Returns
    -------
    rows : Tensor of int32, shape (n_sequences, width)
    mask : Tensor of bool, shape (n_sequences, width)
        True for real ids.
    """
    mask = torch.arange(width, device=flat.device) < lengths[:, None]
    rows = torch.full(mask.shape, fill, dtype=flat.dtype, device=flat.device)
    rows.masked_scatter_(mask, flat)
    return rows, mask


def sum_by_document(documents: Tensor, values: Tensor, num_documents: int) -> Tensor:
    """Add the values of each document's chunks; int64, shape (num_documents,)."""
    sums = torch.zeros(num_documents, dtype=torch.int64, device=values.device)
    return sums.index_add_(0, documents, values)


def count_tokens(ids: Tensor, num_ids: int) -> Tensor:
    """Count how often each id occurs; int64, shape (num_ids,), on the CPU."""
    return torch.bincount(ids.reshape(-1), minlength=num_ids).cpu()


def sum_counts(parts: Sequence[Tensor]) -> Tensor:
    """Add counts of the same ids up."""
    return torch.stack(list(parts)).sum(dim=0) if parts else torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True)
class LengthCounts:
    """How many samples have which length.

    There are few different lengths (the n-th largest set of different lengths needs n²/2
    tokens), so this stays small whatever the number of samples, and the median is exact.

    Attributes
    ----------
    lengths : Tensor of int64, shape (n_lengths,)
        Ascending, each once.
    counts : Tensor of int64, shape (n_lengths,)
    """

    lengths: Tensor
    counts: Tensor


def no_lengths() -> LengthCounts:
    """Return the counts of nothing."""
    empty = torch.empty(0, dtype=torch.int64)
    return LengthCounts(empty, empty)


def count_lengths(lengths: Tensor) -> LengthCounts:
    """Count samples by their length."""
    values, counts = torch.unique(lengths, return_counts=True)
    return LengthCounts(values.cpu(), counts.cpu())


def merge_lengths(counts: Sequence[LengthCounts]) -> LengthCounts:
    """Add several counts up."""
    lengths = torch.cat([part.lengths for part in counts])
    values, places = torch.unique(lengths, return_inverse=True)
    sums = torch.zeros(values.shape, dtype=torch.int64)
    sums.index_add_(0, places, torch.cat([part.counts for part in counts]))
    return LengthCounts(values, sums)


@dataclass(frozen=True)
class LengthSummary:
    """Tokens per sample; zeros when there are no samples."""

    average: float
    median: float
    shortest: int
    longest: int
    histogram: tuple[HistogramBucket, ...]


def summarize_lengths(counts: LengthCounts) -> LengthSummary:
    """Average, median, extremes and histogram of the lengths."""
    total = int(counts.counts.sum())
    if not total:
        return LengthSummary(0.0, 0.0, 0, 0, _histogram(counts, 0))
    ends = torch.cumsum(counts.counts, dim=0)
    middle = torch.tensor([(total - 1) // 2, total // 2])
    low, high = counts.lengths[torch.searchsorted(ends, middle, right=True)].tolist()
    return LengthSummary(
        average=int((counts.lengths * counts.counts).sum()) / total,
        median=(low + high) / 2,
        shortest=int(counts.lengths[0]),
        longest=int(counts.lengths[-1]),
        histogram=_histogram(counts, total),
    )


def _histogram(counts: LengthCounts, total: int) -> tuple[HistogramBucket, ...]:
    buckets = []
    for low, high in zip(HISTOGRAM_EDGES, (*HISTOGRAM_EDGES[1:], None), strict=True):
        inside = counts.lengths >= low
        if high is not None:
            inside &= counts.lengths < high
        count = int(counts.counts[inside].sum())
        buckets.append(
            HistogramBucket(
                range=f"{low}+" if high is None else f"{low}-{high}",
                min=low,
                max=high,
                count=count,
                percentage=100 * count / total if total else 0.0,
            )
        )
    return tuple(buckets)
