"""The documents of a split in output order, read back in chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .files import RawFile, map_array
from .shards import ShardRun

CHUNK_TOKENS: Final = 1_000_000
CHUNK_DOCUMENTS: Final = 250_000

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DocumentChunk:
    """Neighbouring documents.

    Attributes
    ----------
    ids : int32, shape (n_tokens,)
    lengths, rows, firsts : int64, shape (n_documents,)
        Number of ids, row in the split, and ids of the first text, which only of a pair are not
        all.
    """

    ids: npt.NDArray[np.int32]
    lengths: _Ints
    rows: _Ints
    firsts: _Ints


class Documents:
    """The kept documents of one split.

    Parameters
    ----------
    runs : sequence of ShardRun
        In the order of the shards.
    shuffle_seed : int or None
        None: the order of the rows.
    work_dir : Path
        Holds the runs; the order is written beside them.
    name : str
        Prefix of those files, the split's own.
    """

    def __init__(
        self, runs: Sequence[ShardRun], shuffle_seed: int | None, work_dir: Path, name: str
    ) -> None:
        self._runs = runs
        self._work_dir = work_dir
        self._name = name
        self._run_starts = np.cumsum([0, *(run.num_tokens for run in runs)], dtype=np.int64)
        self.num_documents = sum(run.num_documents for run in runs)
        self.num_tokens = int(self._run_starts[-1])
        self.longest = max((run.longest for run in runs), default=0)
        self.is_shuffled = shuffle_seed is not None
        self._index_path = self._write_index()
        if shuffle_seed is not None:
            self._index_path = self._write_shuffled(self._index_path, shuffle_seed)

    def _path(self, kind: str) -> Path:
        return self._work_dir / f"{self._name}.{kind}"

    def _write_index(self) -> Path:
        """Write what the runs' indexes say, and the first id of every document, by row."""
        position = 0
        with RawFile(self._path("index"), np.int64) as index:
            for run in self._runs:
                entries = map_array(self._work_dir / f"{run.name}.index", np.int64).reshape(-1, 3)
                for first in range(0, len(entries), CHUNK_DOCUMENTS):
                    part = entries[first : first + CHUNK_DOCUMENTS]
                    ends = position + np.cumsum(part[:, 0])
                    index.append(np.column_stack([part, ends - part[:, 0]]))
                    position = int(ends[-1])
            index.publish(durable=False)
        return index.path

    def _write_shuffled(self, index_path: Path, seed: int) -> Path:
        """Write the index in an order that ``seed`` alone decides."""
        index = map_array(index_path, np.int64).reshape(-1, 4)
        with RawFile(self._path("order"), np.int64) as numbers:
            for first in range(0, len(index), CHUNK_DOCUMENTS):
                numbers.append(np.arange(first, min(first + CHUNK_DOCUMENTS, len(index))))
            numbers.publish(durable=False)
        order = map_array(numbers.path, np.int64, writable=True)
        np.random.Generator(np.random.PCG64(seed)).shuffle(order)
        with RawFile(self._path("shuffled"), np.int64) as shuffled:
            for first in range(0, len(index), CHUNK_DOCUMENTS):
                shuffled.append(index[order[first : first + CHUNK_DOCUMENTS]])
            shuffled.publish(durable=False)
        return shuffled.path

    def lengths(self) -> Iterator[tuple[_Ints, _Ints]]:
        """Yield the ids of all documents and of their first texts, in output order, in parts."""
        index = map_array(self._index_path, np.int64).reshape(-1, 4)
        for first in range(0, len(index), CHUNK_DOCUMENTS):
            part = np.array(index[first : first + CHUNK_DOCUMENTS])
            yield part[:, 0], part[:, 2]

    def chunks(self) -> Iterator[DocumentChunk]:
        """Yield all documents in output order; a document is never divided."""
        index = map_array(self._index_path, np.int64).reshape(-1, 4)
        for first in range(0, len(index), CHUNK_DOCUMENTS):
            part = np.array(index[first : first + CHUNK_DOCUMENTS])
            numbers = (np.cumsum(part[:, 0]) - 1) // CHUNK_TOKENS
            bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(part)]
            for start, stop in pairwise(bounds):
                lengths, rows, firsts, starts = part[start:stop].T.copy()
                yield DocumentChunk(self._read(starts, lengths), lengths, rows, firsts)

    def _read(self, starts: _Ints, lengths: _Ints) -> npt.NDArray[np.int32]:
        ids = np.empty(int(lengths.sum()), dtype=np.int32)
        if not len(ids):
            return ids
        if not self.is_shuffled:
            self._read_stretch(int(starts[0]), ids)
        else:
            self._read_scattered(starts, lengths, ids)
        return ids

    def _ids_of(self, number: int) -> npt.NDArray[Any]:
        return map_array(self._work_dir / f"{self._runs[number].name}.ids", np.int32)

    def _read_stretch(self, start: int, ids: npt.NDArray[np.int32]) -> None:
        """Fill ``ids`` from one stretch, which may cross runs."""
        filled = 0
        number = int(np.searchsorted(self._run_starts, start, side="right")) - 1
        while filled < len(ids):
            within = start + filled - int(self._run_starts[number])
            part = self._ids_of(number)[within : within + len(ids) - filled]
            ids[filled : filled + len(part)] = part
            filled += len(part)
            number += 1

    def _read_scattered(self, starts: _Ints, lengths: _Ints, ids: npt.NDArray[np.int32]) -> None:
        """Gather documents from wherever they lie, run by run."""
        targets = np.cumsum(lengths) - lengths
        numbers = np.searchsorted(self._run_starts, starts, side="right") - 1
        for number in np.unique(numbers[lengths > 0]).tolist():
            chosen = (numbers == number) & (lengths > 0)
            sources = starts[chosen] - self._run_starts[number]
            sizes = lengths[chosen]
            ids[_ranges(targets[chosen], sizes)] = self._ids_of(number)[_ranges(sources, sizes)]

    def remove_files(self) -> None:
        """Remove what was written beside the runs."""
        for kind in ("index", "order", "shuffled"):
            self._path(kind).unlink(missing_ok=True)


def _ranges(starts: _Ints, sizes: _Ints) -> _Ints:
    """Return start, start + 1, .. start + size - 1 for every start."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - (ends - sizes), sizes) + np.arange(ends[-1])
