"""The thread that has indexes built unasked, while nothing else runs."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from weakref import WeakMethod

from ..errors import InUseError, MiStudioError
from ..jobs import Job

QUIET_S: Final = 2.0
"""How long nothing may have run before an index is built unasked."""

_LOOK_S: Final = 0.2

_log = logging.getLogger(__name__)


class AutoIndexer:
    """Has the datasets of a manager indexed, one after another.

    At its start it looks for what an earlier process left without an index.

    Parameters
    ----------
    find : bound method
        Returns the datasets that wait for an index.
    start : bound method
        Starts the index of a dataset; None when it is to have none.
    is_at_work : bound method
        Whether the manager has something else to do.

    *Threads:* one of its own; it ends with `close`, or when the manager is gone, which it does
    not keep alive.
    """

    def __init__(
        self,
        find: Callable[[], list[str]],
        start: Callable[[str], Job | None],
        is_at_work: Callable[[], bool],
    ) -> None:
        self._find = WeakMethod(find)
        self._start = WeakMethod(start)
        self._is_at_work = WeakMethod(is_at_work)
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        threading.Thread(target=self._run, name="mistudio-auto-index", daemon=True).start()

    def add(self, dataset_id: str) -> None:
        """Index a dataset when there is time."""
        with self._lock:
            self._waiting[dataset_id] = None
        self._wake.set()

    def close(self) -> None:
        """Start nothing any more."""
        self._stop.set()
        self._wake.set()

    def _run(self) -> None:
        try:
            if self._wait_for_quiet():
                self._look()
                while self._wait_for_next():
                    while (dataset_id := self._next()) is not None and self._wait_for_quiet():
                        self._index(dataset_id)
        except Exception:  # noqa: BLE001 -- the edge of a thread
            _log.exception("indexes are built no more of their own accord")

    def _look(self) -> None:
        find = self._find()
        try:
            for dataset_id in find() if find is not None else ():
                self.add(dataset_id)
        except MiStudioError as error:
            _log.warning("could not look for datasets without an index: %s", error)

    def _wait_for_next(self) -> bool:
        """Wait until there is something to do; False at the end."""
        # now and then, to see whether the manager is gone
        while not self._wake.wait(60):
            if self._find() is None:
                return False
        self._wake.clear()
        return not self._stop.is_set()

    def _next(self) -> str | None:
        with self._lock:
            return self._waiting.popitem(last=False)[0] if self._waiting else None

    def _wait_for_quiet(self) -> bool:
        """Wait until nothing has run for a while; False at the end."""
        quiet_s = 0.0
        while quiet_s < QUIET_S:
            if self._stop.wait(_LOOK_S):
                return False
            is_at_work = self._is_at_work()
            if is_at_work is None:
                return False
            quiet_s = 0.0 if is_at_work() else quiet_s + _LOOK_S
            del is_at_work
        return True

    def _index(self, dataset_id: str) -> None:
        start = self._start()
        try:
            job = start(dataset_id) if start is not None else None
        except InUseError:
            # another manager builds it
            return
        except MiStudioError as error:
            _log.info("%s gets no index of its own accord: %s", dataset_id, error)
            return
        del start
        while job is not None and not self._stop.is_set():
            if job.wait_until_ended(_LOOK_S):
                return
