"""Which rows a search finds: by the index where it is fresh, else by reading; remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import samples
from ..errors import JobCancelled
from ..progress import Progress

_KEPT_INDEXES: Final = 4
_KEPT_RESULTS: Final = 32
_KEPT_BYTES: Final = 64 * 2**20
_UNATTENDED: Final = 2
_LOOK_S: Final = 0.05

_Rows = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


class Found(NamedTuple):
    """A page of what was found.

    Attributes
    ----------
    rows : int64
        Rows of the whole dataset, in the order in which they are shown.
    total : int or None
        How many there are in all; None while they are still counted.
    """

    rows: _Rows
    total: int | None


@dataclass(frozen=True)
class Searched:
    """What is searched.

    Attributes
    ----------
    receipt : IndexReceipt
        What its index must have been made of.
    split : str or None
        None: all splits.
    """

    dataset_id: str
    files: samples.FileMap
    index_dir: Path
    receipt: samples.IndexReceipt
    split: str | None


class Searching:
    """Searches datasets, and remembers the last results.

    Later pages of a search keep the order in which its first page came, also when the index is
    ready in between.

    *Threads:* any; searches do not wait for each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._indexes: OrderedDict[str, _OpenIndex] = OrderedDict()
        self._results: OrderedDict[_Key, _Scan | samples.Ranking] = OrderedDict()

    def find(
        self,
        searched: Searched,
        query: samples.Query,
        *,
        offset: int,
        limit: int,
        mask: _Mask | None = None,
        exact_total: bool = True,
        progress: Progress,
    ) -> Found:
        """Return a page of the rows that match.

        Parameters
        ----------
        query : Query
            One that asks for something.
        mask : bool, shape (rows of the split, or of all)
            Only these rows.
        exact_total : bool
            False: return as soon as the page is known, and go on counting.

        Raises
        ------
        CorruptFileError
            A file is gone or damaged.

        *Cancellation:* within a batch of texts; a search that nobody else waits for ends with it.
        """
        first_row = searched.files.span(searched.split).start
        while True:
            result = self._result(searched, query, is_first=offset == 0)
            try:
                if isinstance(result, _Scan):
                    return _page_of_scan(
                        result, first_row, offset, limit, mask, exact_total, progress
                    )
                return _page_of_ranking(result, first_row, offset, limit, mask)
            except _StoppedError:
                # for others' sake, between our finding it and our waiting for it
                self._drop(searched, query, result)
            except BaseException:
                if isinstance(result, _Scan) and result.is_over:
                    self._drop(searched, query, result)
                raise

    def forget(self, dataset_id: str) -> None:
        """Let go of a dataset that changes or goes."""
        with self._lock:
            self._indexes.pop(dataset_id, None)
            for key in [key for key in self._results if key.dataset_id == dataset_id]:
                result = self._results.pop(key)
                if isinstance(result, _Scan):
                    result.stop()

    def close(self) -> None:
        """Stop reading."""
        with self._lock:
            ids = {key.dataset_id for key in self._results}
        for dataset_id in ids:
            self.forget(dataset_id)

    def _result(
        self, searched: Searched, query: samples.Query, *, is_first: bool
    ) -> _Scan | samples.Ranking:
        key = _key(searched, query)
        with self._lock:
            known = self._results.get(key)
            if known is not None and not is_first:
                self._results.move_to_end(key)
                return known
        ranking = self._ranking(searched, query)
        with self._lock:
            known = self._results.get(key)
            if ranking is not None:
                if isinstance(known, _Scan):
                    known.stop_if_unattended()
                result: _Scan | samples.Ranking = ranking
            else:
                result = known if isinstance(known, _Scan) else _Scan(searched, query)
            self._results[key] = result
            self._results.move_to_end(key)
            self._trim()
            return result

    def _trim(self) -> None:
        scans = [result for result in self._results.values() if isinstance(result, _Scan)]
        unattended = [scan for scan in scans[:-1] if scan.is_unattended]
        for scan in unattended[: max(len(unattended) - _UNATTENDED + 1, 0)]:
            scan.stop_if_unattended()
        for key, result in list(self._results.items()):
            if isinstance(result, _Scan) and result.was_stopped:
                del self._results[key]
        while len(self._results) > 1 and (
            len(self._results) > _KEPT_RESULTS
            or sum(result.num_bytes for result in self._results.values()) > _KEPT_BYTES
        ):
            _, oldest = self._results.popitem(last=False)
            if isinstance(oldest, _Scan):
                oldest.stop_if_unattended()

    def _drop(
        self, searched: Searched, query: samples.Query, result: _Scan | samples.Ranking
    ) -> None:
        key = _key(searched, query)
        with self._lock:
            if self._results.get(key) is result:
                del self._results[key]

    def _ranking(self, searched: Searched, query: samples.Query) -> samples.Ranking | None:
        index = self._index(searched)
        if index is None:
            return None
        span = None if searched.split is None else searched.files.span(searched.split)
        try:
            return index.search(query, span)
        except samples.CannotSayError:
            return None

    def _index(self, searched: Searched) -> samples.TextIndex | None:
        stamp = samples.index_stamp(searched.index_dir)
        with self._lock:
            known = self._indexes.get(searched.dataset_id)
            if known is not None:
                if (known.stamp, known.receipt) == (stamp, searched.receipt):
                    self._indexes.move_to_end(searched.dataset_id)
                    return known.opened
                del self._indexes[searched.dataset_id]
        if stamp is None:
            return None
        index = samples.open_index(searched.index_dir, searched.receipt)
        if index is not None:
            with self._lock:
                opened = _OpenIndex(stamp, searched.receipt, index)
                self._indexes[searched.dataset_id] = opened
                while len(self._indexes) > _KEPT_INDEXES:
                    self._indexes.popitem(last=False)
        return index


class _Key(NamedTuple):
    dataset_id: str
    receipt: samples.IndexReceipt
    split: str | None
    query: samples.Query


class _OpenIndex(NamedTuple):
    stamp: tuple[int, int] | None
    receipt: samples.IndexReceipt
    opened: samples.TextIndex


def _key(searched: Searched, query: samples.Query) -> _Key:
    return _Key(searched.dataset_id, searched.receipt, searched.split, query)


class _StoppedError(Exception):
    """The scan was stopped by somebody else."""


class _Scan:
    """A scan in a thread of its own, which all who ask the same wait for."""

    def __init__(self, searched: Searched, query: samples.Query) -> None:
        self._changed = threading.Condition()
        self._progress = Progress()
        self._hits: list[_Rows] = []
        self._num_hits = 0
        self._num_waiting = 0
        self._is_done = False
        self._error: BaseException | None = None
        threading.Thread(
            target=self._run, args=(searched, query), name="mistudio-search", daemon=True
        ).start()

    @property
    def num_bytes(self) -> int:
        return 8 * self._num_hits

    @property
    def is_over(self) -> bool:
        """Whether it ended without having seen all."""
        return self._error is not None or self.was_stopped

    @property
    def was_stopped(self) -> bool:
        return self._progress.is_cancelled

    @property
    def is_unattended(self) -> bool:
        return not self._num_waiting and not self._is_done

    def stop(self) -> None:
        self._progress.cancel()

    def stop_if_unattended(self) -> None:
        with self._changed:
            if self.is_unattended:
                self._progress.cancel()

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Wait inside; whoever leaves it cancelled, as the last one, ends the scan."""
        with self._changed:
            if self.was_stopped and not self._is_done:
                raise _StoppedError
            self._num_waiting += 1
        is_cancelled = False
        try:
            yield
        except JobCancelled:
            is_cancelled = True
            raise
        finally:
            with self._changed:
                self._num_waiting -= 1
                if is_cancelled and self.is_unattended:
                    self._progress.cancel()

    def more(self, num_hits: int | None, progress: Progress) -> tuple[_Rows, bool]:
        """Wait for ``num_hits`` hits, None for all; return those there are, and if these are all.

        There may be fewer at the end.
        """
        with self._changed:
            while not self._is_done and (num_hits is None or self._num_hits < num_hits):
                progress.check()
                self._changed.wait(_LOOK_S)
            progress.check()
            if self._error is not None:
                raise self._error
            if len(self._hits) > 1:
                self._hits = [np.concatenate(self._hits)]
            return (self._hits[0] if self._hits else np.empty(0, np.int64)), self._is_done

    def _run(self, searched: Searched, query: samples.Query) -> None:
        error: BaseException | None = None
        try:
            for split in [searched.split] if searched.split is not None else searched.files.splits:
                first_row = searched.files.span(split).start
                texts = searched.files.texts(split)
                for batch in samples.scan(texts, query, progress=self._progress):
                    self._add(batch.hits + first_row)
        except JobCancelled:
            error = _StoppedError()
        except BaseException as caught:  # noqa: BLE001 -- the edge of a thread; raised to who waits
            error = caught
        with self._changed:
            self._error = error
            self._is_done = True
            self._changed.notify_all()

    def _add(self, hits: _Rows) -> None:
        if len(hits):
            with self._changed:
                self._hits.append(hits)
                self._num_hits += len(hits)
                self._changed.notify_all()


def _page_of_scan(  # noqa: PLR0917 -- the parts of a question
    scan: _Scan,
    first_row: int,
    offset: int,
    limit: int,
    mask: _Mask | None,
    exact_total: bool,  # noqa: FBT001
    progress: Progress,
) -> Found:
    wanted = offset + limit
    with scan.attended():
        while True:
            hits, is_all = scan.more(None if exact_total else wanted, progress)
            kept = hits if mask is None else hits[mask[hits - first_row]]
            if is_all or len(kept) >= offset + limit:
                return Found(kept[offset : offset + limit], len(kept) if is_all else None)
            wanted = len(hits) + 1


def _page_of_ranking(
    ranking: samples.Ranking, first_row: int, offset: int, limit: int, mask: _Mask | None
) -> Found:
    if mask is None:
        return Found(ranking.first(offset + limit)[offset : offset + limit], ranking.total)
    hits = ranking.all()
    kept = hits[mask[hits - first_row]]
    return Found(kept[offset : offset + limit], len(kept))
