"""The documents of a split in output order, read back in chunks of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
    lengths, firsts : int64, shape (n_documents,)
        Number of ids of each document, and of its first text, which only of a pair are not all.
    """

    ids: npt.NDArray[np.int32]
    lengths: _Ints
    firsts: _Ints


class Documents:
    """The kept documents of one split.

    Their number, and all that is known of the whole, is there once the last run came: after
    `complete`, or at the end of `chunks`.

    Parameters
    ----------
    runs : iterable of ShardRun
        In the order of the shards, each as soon as it is finished.
    shuffle_seed : int or None
        None: the order of the rows.
    work_dir : Path
        Holds the runs; the order is written beside them.
    name : str
        Prefix of those files, the split's own.
    check : callable
        Called before every chunk; what it raises ends the work.
    """

    def __init__(
        self,
        runs: Iterable[ShardRun],
        shuffle_seed: int | None,
        work_dir: Path,
        name: str,
        *,
        check: Callable[[], None],
    ) -> None:
        self._coming = iter(runs)
        self._runs: list[ShardRun] = []
        self._work_dir = work_dir
        self._name = name
        self._seed = shuffle_seed
        self._check = check
        self._shuffled: Path | None = None

    def _each_run(self) -> Iterator[ShardRun]:
        yield from self._runs
        for run in self._coming:
            self._runs.append(run)
            yield run

    def complete(self) -> None:
        """Wait for the last run."""
        for _ in self._each_run():
            pass

    @property
    def num_documents(self) -> int:
        """How many documents there are."""
        return sum(run.num_documents for run in self._runs)

    @property
    def num_tokens(self) -> int:
        """How many ids they have, special ones of a template not counted."""
        return sum(run.num_tokens for run in self._runs)

    @property
    def longest(self) -> int:
        """Ids of the longest document."""
        return max((run.longest for run in self._runs), default=0)

    @property
    def dropped(self) -> dict[str, int]:
        """How many rows are no documents, by reason."""
        dropped: Counter[str] = Counter()
        for run in self._runs:
            dropped.update(run.dropped)
        return dict(dropped)

    @property
    def cleaned(self) -> dict[str, int]:
        """How many samples and characters cleaning changed."""
        cleaned: Counter[str] = Counter()
        for run in self._runs:
            cleaned.update(run.cleaned)
        return dict(cleaned)

    @property
    def has_rows(self) -> bool:
        """Whether document i is not simply row i."""
        return self._seed is not None or any(self.dropped.values())

    def _firsts(self, index: npt.NDArray[Any]) -> Iterator[int]:
        """Yield where the chunks of an index begin."""
        for first in range(0, len(index), CHUNK_DOCUMENTS):
            self._check()
            yield first

    def _path(self, kind: str) -> Path:
        return self._work_dir / f"{self._name}.{kind}"

    def _index_of(self, run: ShardRun) -> npt.NDArray[Any]:
        return map_array(self._work_dir / f"{run.name}.index", np.int64).reshape(-1, 3)

    def _shuffled_index(self) -> npt.NDArray[Any]:
        """Return what `_write_index` wrote, in an order that the seed decides."""
        if self._shuffled is None:
            assert self._seed is not None
            self.complete()
            self._shuffled = self._write_shuffled(self._write_index(), self._seed)
        return map_array(self._shuffled, np.int64).reshape(-1, 4)

    def _write_index(self) -> Path:
        """Write what the runs' indexes say, and the first id of every document, by row."""
        position = 0
        with RawFile(self._path("index"), np.int64) as index:
            for run in self._runs:
                entries = self._index_of(run)
                for first in self._firsts(entries):
                    part = entries[first : first + CHUNK_DOCUMENTS]
                    ends = position + np.cumsum(part[:, 0])
                    index.append(np.column_stack([part, ends - part[:, 0]]))
                    position = int(ends[-1])
            index.publish()
        return index.path

    def _write_shuffled(self, index_path: Path, seed: int) -> Path:
        """Write the index in an order that ``seed`` alone decides."""
        index = map_array(index_path, np.int64).reshape(-1, 4)
        with RawFile(self._path("order"), np.int64) as numbers:
            for first in self._firsts(index):
                numbers.append(np.arange(first, min(first + CHUNK_DOCUMENTS, len(index))))
            numbers.publish()
        # NumPy shuffles its own kind of array a hundred times faster, without holding the GIL
        order = np.asarray(map_array(numbers.path, np.int64, writable=True))
        np.random.Generator(np.random.PCG64(seed)).shuffle(order)
        with RawFile(self._path("shuffled"), np.int64) as shuffled:
            for first in self._firsts(index):
                shuffled.append(index[order[first : first + CHUNK_DOCUMENTS]])
            shuffled.publish()
        return shuffled.path

    def index(self) -> Iterator[tuple[_Ints, _Ints]]:
        """Yield number of ids and row of all documents, in output order, some at a time."""
        in_order = self._seed is None
        parts = map(self._index_of, self._each_run()) if in_order else [self._shuffled_index()]
        for part in parts:
            for first in self._firsts(part):
                piece = np.array(part[first : first + CHUNK_DOCUMENTS])
                yield piece[:, 0].copy(), piece[:, 1].copy()

    def chunks(self) -> Iterator[DocumentChunk]:
        """Yield all documents in output order; a document is never divided.

        In the order of the rows each run is read as soon as it is there.
        """
        if self._seed is None:
            for run in self._each_run():
                yield from self._chunks_of(run)
            return
        index = self._shuffled_index()
        run_starts = np.cumsum([0, *(run.num_tokens for run in self._runs)], dtype=np.int64)
        for part in self._pieces(index):
            lengths, _, firsts, starts = part.T.copy()
            ids = self._read_scattered(run_starts, starts, lengths)
            yield DocumentChunk(ids, lengths, firsts)

    def _chunks_of(self, run: ShardRun) -> Iterator[DocumentChunk]:
        # reading costs less than the page faults of a mapped file
        with (self._work_dir / f"{run.name}.ids").open("rb", buffering=0) as file:
            for part in self._pieces(self._index_of(run)):
                lengths, _, firsts = part.T.copy()
                ids = np.fromfile(file, np.int32, int(lengths.sum()))
                yield DocumentChunk(ids, lengths, firsts)

    def _pieces(self, index: npt.NDArray[Any]) -> Iterator[_Ints]:
        """Cut an index where documents reach the bounds of a chunk."""
        for first in self._firsts(index):
            part = np.array(index[first : first + CHUNK_DOCUMENTS])
            numbers = (np.cumsum(part[:, 0]) - 1) // CHUNK_TOKENS
            bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(part)]
            for start, stop in pairwise(bounds):
                yield part[start:stop]

    def _ids_of(self, number: int) -> npt.NDArray[Any]:
        return map_array(self._work_dir / f"{self._runs[number].name}.ids", np.int32)

    def _read_scattered(
        self, run_starts: _Ints, starts: _Ints, lengths: _Ints
    ) -> npt.NDArray[np.int32]:
        """Gather documents from wherever they lie, run by run."""
        ids = np.empty(int(lengths.sum()), dtype=np.int32)
        targets = np.cumsum(lengths) - lengths
        numbers = np.searchsorted(run_starts, starts, side="right") - 1
        for number in np.unique(numbers[lengths > 0]).tolist():
            chosen = (numbers == number) & (lengths > 0)
            sources = starts[chosen] - run_starts[number]
            sizes = lengths[chosen]
            ids[_ranges(targets[chosen], sizes)] = self._ids_of(number)[_ranges(sources, sizes)]
        return ids

    def remove_files(self) -> None:
        """Remove what was written beside the runs."""
        for kind in ("index", "order", "shuffled"):
            self._path(kind).unlink(missing_ok=True)


def _ranges(starts: _Ints, sizes: _Ints) -> _Ints:
    """Return start, start + 1, .. start + size - 1 for every start."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - (ends - sizes), sizes) + np.arange(ends[-1])
