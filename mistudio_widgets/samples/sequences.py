"""From a sample to its tokens and sequences, and back.

A *kept token* is one that stands in some sequence. Packed sequences are windows over the stream
of kept tokens, which with a stride overlap, each behind its begin token if there is one; the
others hold their kept tokens one after another. Only the pages of a mapped file that a question
is about are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..errors import InvalidRequestError
from ..records import SampleSpan
from .filemap import Rows

_MASK_ROWS: Final = 65_536

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Windows:
    """Packed sequences.

    Attributes
    ----------
    width, step : int
        Stream tokens of a sequence, and from the start of one to that of the next.
    begin : int
        1 when a begin token stands in front, which is no part of the stream.
    """

    width: int
    step: int
    begin: int


@dataclass(frozen=True)
class TokenSplit:
    """One split of a tokenization, from its files.

    Attributes
    ----------
    input_ids : int32, shape (n_sequences, width) or (n_kept,)
    starts : int64, shape (n_samples + 1,)
        Where each sample begins among the kept tokens.
    sizes : int64, shape (n_samples,)
        Kept tokens of each sample, the separator behind it left out.
    rows : int64, shape (n_samples,), or None
        The row of each sample; None: sample i is row i.
    windows : Windows or None
        How packed sequences are cut; None for mode "per_sample".
    offsets : int64, shape (n_sequences + 1,), or None
        Mode "per_sample": where each sequence begins among the kept tokens. None: sequence i is
        sample i.
    """

    split: str
    input_ids: Array
    starts: Rows
    sizes: Rows
    rows: Rows | None
    windows: Windows | None
    offsets: Rows | None

    @property
    def num_sequences(self) -> int:
        """How many sequences the split has."""
        if self.input_ids.ndim == 2:
            return len(self.input_ids)
        return len(self._offsets) - 1

    @property
    def _offsets(self) -> Rows:
        return self.starts if self.offsets is None else self.offsets

    def sample_of(self, row: int) -> int | None:
        """Return which sample a row is; None when it was dropped."""
        if self.rows is None:
            return row if row < len(self.sizes) else None
        found = np.flatnonzero(self.rows == row)
        return int(found[0]) if len(found) else None

    def num_tokens(self, sample: int) -> int:
        """Return how many kept tokens a sample has."""
        return int(self.sizes[sample])

    def ids(self, sample: int, limit: int) -> list[int]:
        """Return the first kept tokens of a sample."""
        first = int(self.starts[sample])
        end = first + min(self.num_tokens(sample), limit)
        if self.input_ids.ndim == 1:
            found = self.input_ids[first:end]
        elif self.windows is not None:
            stream = np.arange(first, end)
            rows = np.minimum(stream // self.windows.step, self.num_sequences - 1)
            places = stream - rows * self.windows.step + self.windows.begin
            found = self.input_ids[rows, places]
        else:
            spans = self.spans(sample, limit)
            pieces = [self.input_ids[span.sequence, span.start : span.end] for span in spans]
            found = np.concatenate([self.input_ids[:0].ravel(), *pieces])[: end - first]
        return [int(token_id) for token_id in found]

    def spans(self, sample: int, limit: int) -> list[SampleSpan]:
        """Return where a sample stands, in the order of the sequences, at most ``limit``."""
        first = int(self.starts[sample])
        end = first + self.num_tokens(sample)
        if end == first:
            return []
        if self.windows is None and self.offsets is None:
            sequences = range(sample, sample + 1)
        elif self.windows is None:
            # an empty sequence begins where the next one does, and holds no token
            low = int(np.searchsorted(self._offsets, first, side="right")) - 1
            high = int(np.searchsorted(self._offsets, end, side="left"))
            sequences = range(low, high)
        else:
            behind = first - self.windows.width + 1
            low = max(-(-behind // self.windows.step), 0)
            sequences = range(low, min((end - 1) // self.windows.step + 1, self.num_sequences))
        return [self._span(sample, sequence) for sequence in sequences[:limit]]

    def samples_in(self, sequence: int) -> list[SampleSpan]:
        """Return what a sequence holds, in the order of its positions.

        Raises
        ------
        InvalidRequestError
            There is no such sequence.
        """
        if not 0 <= sequence < self.num_sequences:
            raise InvalidRequestError(
                f"sequence: split {self.split!r} has no sequence {sequence}.",
                field="sequence",
                hint=f"It has {self.num_sequences:,}, from 0 on.",
            )
        first, end = self._range(sequence)
        if self.windows is None and self.offsets is None:
            samples = range(sequence, sequence + 1)
        else:
            low = int(np.searchsorted(self.starts, first, side="right")) - 1
            high = int(np.searchsorted(self.starts[:-1], end, side="left"))
            samples = range(max(low, 0), high)
        spans = [self._span(sample, sequence) for sample in samples]
        return [span for span in spans if span.end > span.start]

    def _range(self, sequence: int) -> tuple[int, int]:
        """Return the kept tokens of a sequence."""
        if self.windows is None:
            return int(self._offsets[sequence]), int(self._offsets[sequence + 1])
        first = sequence * self.windows.step
        return first, min(first + self.windows.width, int(self.starts[-1]))

    def _span(self, sample: int, sequence: int) -> SampleSpan:
        first, end = self._range(sequence)
        start = int(self.starts[sample])
        begin = self.windows.begin if self.windows is not None else 0
        low = max(start, first)
        high = max(min(start + self.num_tokens(sample), end), low)
        return SampleSpan(
            split=self.split,
            row=sample if self.rows is None else int(self.rows[sample]),
            sequence=sequence,
            start=low - first + begin,
            end=high - first + begin,
            first_token=low - start,
        )


def has_one_sequence_each(tensors: Mapping[str, Array]) -> bool:
    """Tell whether ``{split}.pt`` of mode "per_sample" holds one sequence for each sample."""
    offsets = tensors.get("offsets")
    num_sequences = len(tensors["input_ids"]) if offsets is None else len(offsets) - 1
    return num_sequences == len(tensors["sample_starts"]) - 1


def sum_mask(tensors: Mapping[str, Array], check: Callable[[], None]) -> Rows:
    """Return where padded sequences begin among the kept tokens.

    Parameters
    ----------
    tensors : mapping
        What ``{split}.pt`` holds; without a mask nothing was filled.
    check : callable
        Called now and then; may raise.

    Returns
    -------
    int64, shape (n_sequences + 1,)
    """
    num_sequences, width = tensors["input_ids"].shape
    mask = tensors.get("attention_mask")
    found = np.zeros(num_sequences + 1, dtype=np.int64)
    for first in range(0, num_sequences, _MASK_ROWS):
        part = slice(first, min(first + _MASK_ROWS, num_sequences))
        real = width if mask is None else mask[part].sum(axis=1, dtype=np.int64)
        found[part.start + 1 : part.stop + 1] = real
        check()
    return np.cumsum(found)
