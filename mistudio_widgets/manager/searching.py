"""Which rows a search finds: by the index where it is fresh, else by reading; remembered."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import samples
from ..errors import InterruptedJobError
from ..progress import Progress
from .scanning import Scan, StoppedError

_KEPT_INDEXES: Final = 4
_KEPT_RESULTS: Final = 32
_KEPT_BYTES: Final = 64 * 2**20
_UNATTENDED: Final = 2
_LOOK_S: Final = 0.05

_Rows = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]

_log = logging.getLogger(__name__)


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
    ready in between. Where an index cannot be read, the texts are.

    Parameters
    ----------
    on_damaged : callable
        Told of datasets whose index is damaged.

    *Threads:* any; searches do not wait for each other.
    """

    def __init__(self, on_damaged: Callable[[str], None] = lambda _: None) -> None:
        self._on_damaged = on_damaged
        self._lock = threading.Lock()
        self._indexes: OrderedDict[str, _OpenIndex] = OrderedDict()
        self._results: OrderedDict[_Key, Scan | samples.Ranking] = OrderedDict()
        self._is_closed = False

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
        InterruptedJobError
            Closed, also while this search was read.

        *Cancellation:* within a batch of texts; a search that nobody else waits for ends with it.
        """
        first_row = searched.files.span(searched.split).start
        by_reading = False
        while True:
            result = self._result(searched, query, is_first=offset == 0, by_reading=by_reading)
            try:
                if isinstance(result, Scan):
                    return _page_of_scan(
                        result, first_row, offset, limit, mask, exact_total, progress
                    )
                return _page_of_ranking(result, first_row, offset, limit, mask)
            except samples.CannotSayError as error:
                self._look_again(searched, error)
                self._drop(searched, query, result)
                by_reading = True
            except StoppedError:
                # for others' sake, between our finding it and our waiting for it
                self._drop(searched, query, result)
            except BaseException:
                if isinstance(result, Scan) and result.is_over:
                    self._drop(searched, query, result)
                raise

    def forget(self, dataset_id: str) -> None:
        """Let go of a dataset that changes or goes."""
        with self._lock:
            self._indexes.pop(dataset_id, None)
            for key in [key for key in self._results if key.dataset_id == dataset_id]:
                result = self._results.pop(key)
                if isinstance(result, Scan):
                    result.stop()

    def close(self) -> None:
        """Stop reading, and refuse what is asked from now on."""
        with self._lock:
            self._is_closed = True
            ids = {key.dataset_id for key in self._results}
        for dataset_id in ids:
            self.forget(dataset_id)

    def _result(
        self, searched: Searched, query: samples.Query, *, is_first: bool, by_reading: bool
    ) -> Scan | samples.Ranking:
        key = _key(searched, query)
        with self._lock:
            known = self._results.get(key)
            is_kept = not is_first and not (by_reading and isinstance(known, samples.Ranking))
            if known is not None and is_kept:
                self._results.move_to_end(key)
                return known
        ranking = None if by_reading else self._ranking(searched, query)
        with self._lock:
            if self._is_closed:
                raise InterruptedJobError(
                    "The manager is closed.", hint="Make a new DatasetManager."
                )
            known = self._results.get(key)
            if ranking is not None:
                if isinstance(known, Scan):
                    known.stop_if_unattended()
                result: Scan | samples.Ranking = ranking
            else:
                result = (
                    known
                    if isinstance(known, Scan)
                    else Scan(searched.files, searched.split, query)
                )
            self._results[key] = result
            self._results.move_to_end(key)
            self._trim()
            return result

    def _trim(self) -> None:
        scans = [result for result in self._results.values() if isinstance(result, Scan)]
        unattended = [scan for scan in scans[:-1] if scan.is_unattended]
        for scan in unattended[: max(len(unattended) - _UNATTENDED + 1, 0)]:
            scan.stop_if_unattended()
        for key, result in list(self._results.items()):
            if isinstance(result, Scan) and result.was_stopped:
                del self._results[key]
        while len(self._results) > 1 and (
            len(self._results) > _KEPT_RESULTS
            or sum(result.num_bytes for result in self._results.values()) > _KEPT_BYTES
        ):
            _, oldest = self._results.popitem(last=False)
            if isinstance(oldest, Scan):
                oldest.stop_if_unattended()

    def _drop(
        self, searched: Searched, query: samples.Query, result: Scan | samples.Ranking
    ) -> None:
        key = _key(searched, query)
        with self._lock:
            if self._results.get(key) is result:
                del self._results[key]

    def _ranking(self, searched: Searched, query: samples.Query) -> samples.Ranking | None:
        index = self._index(searched)
        if index is None:
            return None
        with self._lock:
            known = self._results.get(_key(searched, query))
        # asked again within other lengths, say: what it has fetched is still good
        if isinstance(known, samples.Ranking) and index.has_ranked(known):
            return known
        span = None if searched.split is None else searched.files.span(searched.split)
        try:
            return index.search(query, span)
        except samples.CannotSayError as error:
            self._look_again(searched, error)
            return None

    def _look_again(self, searched: Searched, error: samples.CannotSayError) -> None:
        """Have the index opened anew, and looked over, where a question broke off."""
        if isinstance(error, samples.BrokenOffError):
            with self._lock:
                self._indexes.pop(searched.dataset_id, None)

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
        try:
            index = samples.open_index(searched.index_dir, searched.receipt)
            if index is None:
                return None
        except samples.DamagedIndexError:
            _log.warning("the text index of %s is damaged", searched.dataset_id)
            # once: whoever cannot have it built again goes on without it
            index = None
            self._on_damaged(searched.dataset_id)
        with self._lock:
            self._indexes[searched.dataset_id] = _OpenIndex(stamp, searched.receipt, index)
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
    opened: samples.TextIndex | None


def _key(searched: Searched, query: samples.Query) -> _Key:
    return _Key(searched.dataset_id, searched.receipt, searched.split, query)


def _page_of_scan(  # noqa: PLR0917 -- the parts of a question
    scan: Scan,
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
        return Found(ranking.page(offset, limit), ranking.total)
    hits = ranking.all()
    kept = hits[mask[hits - first_row]]
    return Found(kept[offset : offset + limit], len(kept))
