"""The threads of a panel: one that publishes, and those that answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from ..manager import DatasetManager
from ..messages import Request
from ..progress import Progress
from ..records import Event

# The server lets 1000 comm messages a second through and drops the last ones too.
_PUBLISH_EVERY_S: Final = 0.05
_THREADS: Final = 4
_HUB_THREADS: Final = 2

_log = logging.getLogger(__name__)


class Service:
    """What runs while a panel may be seen.

    Parameters
    ----------
    publish : callable
        Makes known what is true now.
    tell : callable
        Gets every event of the manager.
    answer : callable
        Does a request and sends its one reply. Its progress is cancelled by `abort`.

    *Threads:* every method may be called from any thread, and returns at once.
    """

    def __init__(
        self,
        manager: DatasetManager,
        *,
        publish: Callable[[], None],
        tell: Callable[[Event], None],
        answer: Callable[[Request, Progress], None],
    ) -> None:
        self._publish = publish
        self._answer = answer
        self._lock = threading.Lock()
        self._under_way: list[tuple[str, Progress]] = []
        self._changed = threading.Event()
        self._changed.set()
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mistudio-panel")
        # a hub that does not answer must not keep Pause and Cancel waiting
        self._hub_threads = ThreadPoolExecutor(_HUB_THREADS, thread_name_prefix="mistudio-hub")
        self._ends: list[Callable[[], Any]] = [manager.watch(self.wake), manager.subscribe(tell)]
        threading.Thread(target=self._run, name="mistudio-publish", daemon=True).start()

    def wake(self) -> None:
        """Publish soon."""
        self._changed.set()

    def submit(self, request: Request) -> bool:
        """Answer ``request`` in a thread; returns whether there still are threads."""
        entry = request.request_id, Progress()
        threads = self._hub_threads if request.kind == "plan_download" else self._threads
        with self._lock:
            try:
                threads.submit(self._do, request, entry)
            except RuntimeError:
                return False
            self._under_way.append(entry)
        return True

    def abort(self, request_id: str) -> bool:
        """Cancel a request; returns False when it is answered already, or was never asked."""
        with self._lock:
            found = [progress for known, progress in self._under_way if known == request_id]
        for progress in found:
            progress.cancel()
        return bool(found)

    def end(self, *, abort: bool) -> None:
        """Take no more, and end the threads when what was asked for is answered.

        Parameters
        ----------
        abort : bool
            Nobody waits for answers any more.
        """
        self._stop.set()
        self._changed.set()
        for end in self._ends:
            end()
        for threads in (self._threads, self._hub_threads):
            threads.shutdown(wait=False)
        if abort:
            with self._lock:
                found = [progress for _, progress in self._under_way]
            for progress in found:
                progress.cancel()

    def _do(self, request: Request, entry: tuple[str, Progress]) -> None:
        try:
            self._answer(request, entry[1])
        finally:
            with self._lock:
                self._under_way.remove(entry)

    def _run(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            if self._stop.is_set():
                return
            try:
                self._publish()
            except Exception:  # noqa: BLE001 -- the edge of a thread: the next change tries again
                _log.exception("could not publish")
            self._stop.wait(_PUBLISH_EVERY_S)
