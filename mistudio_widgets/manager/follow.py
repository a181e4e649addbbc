"""Noticing what other processes change: a stat of the change token and of ``jobs/*.json``."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

from .parts import Parts

POLL_S: Final = 0.1
_LOOK_EVERY: Final = 40
# polls from one change of the catalog to the next that is told: many who write at once must not
# make all who read do nothing else
_REST: Final = 2

_log = logging.getLogger(__name__)


class Follower:
    """Calls listeners whenever what is shown may have changed, from this process or another.

    A look costs a few stats, so it runs ten times a second. Every 4 s the listeners are called
    all the same: a process that died changes no file.

    *Threads:* listeners are called from the follower's thread or from a job's; they must be
    quick and must not raise.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._listeners: dict[int, Callable[[], None]] = {}
        self._next = 0
        self._stop = threading.Event()
        self._is_running = False

    def add(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` from now on; returns what ends that."""
        with self._lock:
            key = self._next
            self._next += 1
            self._listeners[key] = listener
            start = not self._is_running
            self._is_running = True
        if start:
            threading.Thread(target=self._follow, name="mistudio-follower", daemon=True).start()

        def remove() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return remove

    def notify(self) -> None:
        """Tell all listeners now."""
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            try:
                listener()
            except Exception:  # noqa: BLE001 -- one listener must not silence the others
                _log.exception("a listener failed")

    def close(self) -> None:
        """Stop looking; listeners are called for a last time."""
        self._stop.set()
        self.notify()
        with self._lock:
            self._listeners.clear()

    def _follow(self) -> None:
        version, files = self._parts.catalog.version(), self._job_files()
        rounds = told = 0
        while not self._stop.wait(POLL_S):
            rounds += 1
            now, before = self._job_files(), files
            if rounds - told >= _REST and (newer := self._parts.catalog.version()) != version:
                version, told = newer, rounds
            elif now == before and rounds % _LOOK_EVERY:
                continue
            files = now
            self.notify()

    def _job_files(self) -> list[tuple[str, int]]:
        files = []
        try:
            with os.scandir(self._parts.storage.jobs_dir) as entries:
                for entry in entries:
                    if entry.name.endswith(".json") and not entry.name.startswith("."):
                        files.append((entry.name, entry.stat().st_mtime_ns))  # noqa: PERF401
        except OSError:
            # gone between the listing and the stat: the next look sees the truth
            pass
        return sorted(files)
