"""Counts of ids and of lengths, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ..records import HistogramBucket

HISTOGRAM_EDGES: Final = (0, 100, 200, 400, 600, 800, 1000)


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
