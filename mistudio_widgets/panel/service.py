"""The threads of a panel: one that publishes, and those that answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from ..manager import DatasetManager
from ..messages import Request
from ..progress import Progress
from ..records import Event

# The server lets 1000 comm messages a second through and drops the last ones too.
_PUBLISH_EVERY_S: Final = 0.05
_LOOK_EVERY_S: Final = 5.0
_AGAIN_AFTER_S: Final = 1.0
# what may take long has threads of its own: a hub that does not answer, or a large dataset that
# is read, must not keep Pause and Cancel waiting; a search mostly waits for threads of its own
_THREADS: Final = {"panel": 4, "hub": 2, "previews": 2, "samples": 12, "columns": 2}
_POOLS: Final = {
    "plan_download": "hub",
    "preview_tokens": "previews",
    "samples": "samples",
    "sample_tokens": "samples",
    "sequence_samples": "samples",
    "column_statistics": "columns",
}


class _UnderWay(NamedTuple):
    request_id: str
    view: str | None
    progress: Progress


class Service:
    """What runs while a panel may be seen.

    Parameters
    ----------
    publish : callable
        Makes known what is true now; returns whether it could, and is asked again if not.
    tell : callable
        Gets every event of the manager.
    answer : callable
        Does a request and sends its one reply. Its progress is cancelled by `abort`.
    is_over : callable
        Asked now and then whether nobody looks any more, and ends this if so.

    *Threads:* every method may be called from any thread, and returns at once.
    """

    def __init__(
        self,
        manager: DatasetManager,
        *,
        publish: Callable[[], bool],
        tell: Callable[[Event], None],
        answer: Callable[[Request, Progress], None],
        is_over: Callable[[], bool],
    ) -> None:
        self._is_over = is_over
        self._publish = publish
        self._answer = answer
        self._lock = threading.Lock()
        self._under_way: list[_UnderWay] = []
        self._changed = threading.Event()
        self._changed.set()
        self._stop = threading.Event()
        self._threads = {
            name: ThreadPoolExecutor(count, thread_name_prefix=f"mistudio-{name}")
            for name, count in _THREADS.items()
        }
        self._ends: list[Callable[[], Any]] = [manager.watch(self.wake), manager.subscribe(tell)]
        threading.Thread(target=self._run, name="mistudio-publish", daemon=True).start()

    def wake(self) -> None:
        """Publish soon."""
        self._changed.set()

    def submit(self, request: Request) -> bool:
        """Answer ``request`` in a thread; returns whether there still are threads.

        The older requests of its view, if it names one, are aborted.
        """
        entry = _UnderWay(request.request_id, getattr(request, "view", None), Progress())
        threads = self._threads[_POOLS.get(request.kind, "panel")]
        with self._lock:
            if entry.view is not None:
                for older in self._under_way:
                    if older.view == entry.view:
                        older.progress.cancel()
            try:
                threads.submit(self._do, request, entry)
            except RuntimeError:
                return False
            self._under_way.append(entry)
        return True

    def abort(self, request_id: str) -> bool:
        """Cancel a request; returns False when it is answered already, or was never asked."""
        with self._lock:
            found = [known.progress for known in self._under_way if known.request_id == request_id]
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
        for threads in self._threads.values():
            threads.shutdown(wait=False)
        if abort:
            with self._lock:
                found = [known.progress for known in self._under_way]
            for progress in found:
                progress.cancel()

    def _do(self, request: Request, entry: _UnderWay) -> None:
        try:
            self._answer(request, entry.progress)
        finally:
            with self._lock:
                self._under_way.remove(entry)

    def _run(self) -> None:
        while True:
            is_changed = self._changed.wait(_LOOK_EVERY_S)
            if self._stop.is_set() or self._is_over():
                return
            if not is_changed:
                continue
            self._changed.clear()
            if self._publish():
                self._stop.wait(_PUBLISH_EVERY_S)
            else:
                self._stop.wait(_AGAIN_AFTER_S)
                self._changed.set()
