"""Work that several callers ask for and that is done once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYetError
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from ..errors import MiStudioError
from ..progress import Progress

_LOOK_EVERY_S: Final = 0.05

ResultT = TypeVar("ResultT")


@dataclass
class _Running(Generic[ResultT]):
    progress: Progress = field(default_factory=Progress)
    future: Future[ResultT] = field(default_factory=Future)
    num_waiting: int = 0


class SharedWork(Generic[ResultT]):
    """Does one piece of work for all who ask for it meanwhile, in a thread of its own.

    It ends when the last of them is cancelled, or with `close`.

    *Threads:* any.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._running: dict[Hashable, _Running[ResultT]] = {}
        self._is_closed = False

    def ask(
        self, key: Hashable, work: Callable[[Progress], ResultT], progress: Progress
    ) -> ResultT:
        """Return what ``work`` returns, or raise what it raises.

        Parameters
        ----------
        key : hashable
            What it is about; equal keys share one piece of work.
        work : callable
            Gets a Progress of its own.
        progress : Progress
            This caller's.

        *Cancellation:* a caller whose progress is cancelled waits no longer.
        """
        with self._lock:
            if self._is_closed:
                raise MiStudioError("The manager is closed.", hint="Make another one.")
            running = self._running.get(key)
            if running is None or running.progress.is_cancelled:
                running = self._running[key] = _Running()
                threading.Thread(
                    target=self._run, args=(key, running, work), name=self._name, daemon=True
                ).start()
            running.num_waiting += 1
        try:
            return _wait(running.future, progress)
        finally:
            with self._lock:
                running.num_waiting -= 1
                if not running.num_waiting:
                    running.progress.cancel()

    def close(self) -> None:
        """Cancel what runs."""
        with self._lock:
            self._is_closed = True
            for running in self._running.values():
                running.progress.cancel()

    def _run(
        self, key: Hashable, running: _Running[ResultT], work: Callable[[Progress], ResultT]
    ) -> None:
        try:
            result: Any = work(running.progress)
        except BaseException as error:  # noqa: BLE001 -- the callers raise it
            running.future.set_exception(error)
        else:
            running.future.set_result(result)
        finally:
            with self._lock:
                if self._running.get(key) is running:
                    del self._running[key]


def _wait(future: Future[ResultT], progress: Progress) -> ResultT:
    while True:
        progress.check()
        try:
            return future.result(_LOOK_EVERY_S)
        except NotYetError:
            if future.done():
                raise
