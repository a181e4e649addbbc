"""Work that is done behind its caller, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class Lane:
    """One thread that does what it is given, one after another.

    Hashing and waiting for the disk leave Python's lock, so they take place while more bytes
    arrive.

    Parameters
    ----------
    depth : int
        So many pieces of work may be unfinished; `put` waits when there are more.
    """

    def __init__(self, name: str, *, depth: int) -> None:
        self._name = name
        self._depth = depth
        self._free = threading.Semaphore(depth)
        self._queue: SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def put(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Have ``call`` done later; raises what an earlier piece of work raised."""
        self._free.acquire()
        if self._error is not None:
            self._free.release()
            raise self._error
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._queue.put((call, arguments))

    def drain(self) -> None:
        """Wait until everything is done; raises what a piece of work raised."""
        for _ in range(self._depth):
            self._free.acquire()
        self._free.release(self._depth)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Finish what was given, and end the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            call, arguments = work
            try:
                if self._error is None:
                    call(*arguments)
            except BaseException as error:  # noqa: BLE001 -- raised in the caller's thread
                self._error = error
            finally:
                self._free.release()
