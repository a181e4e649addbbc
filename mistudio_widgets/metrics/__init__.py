"""Counters and durations for Prometheus: off unless ``MISTUDIO_METRICS_PORT`` names a port.

They are the process's, whatever managers it has, and are served on 127.0.0.1 alone as long as one
of them lives. While they are off, nothing is counted and nothing below is imported.

instruments   what is counted
server        who answers scrapes
(here)        `Meter`, which a manager counts with
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ..records import JobKind, JobState

if TYPE_CHECKING:
    from .instruments import Instruments, Jobs
    from .server import Server

__all__ = ["Meter", "open_meter"]

_MAX_SHOWN: Final = 50

_log = logging.getLogger(__name__)


class Meter:
    """What a manager counts with; every method does nothing while metrics are off.

    *Threads:* any.
    """

    def __init__(self, instruments: Instruments | None = None) -> None:
        self._on = instruments
        self._forget: list[Callable[[], None]] = []
        self._is_closed = False

    def watch_jobs(self, jobs: Jobs) -> None:
        """Ask ``jobs`` for kind and state of all that have not ended, whenever somebody scrapes.

        Parameters
        ----------
        jobs : bound method
            Its object is not kept alive.
        """
        if self._on is not None:
            self._forget.append(self._on.live.add(jobs))

    def count_job(self, kind: JobKind, state: JobState) -> None:
        """Count that a job came into a state."""
        if self._on is not None:
            self._on.jobs.labels(kind, state).inc()

    def observe_job(self, kind: JobKind, state: JobState, seconds: float) -> None:
        """Count how long a job ran until it came into ``state``."""
        if self._on is not None:
            self._on.job_seconds.labels(kind, state).observe(seconds)

    def count_work(self, kind: JobKind, take: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """Count what a job did; ``take`` gives the news by phase and unit."""
        if self._on is None:
            return
        for (phase, unit), amount in take().items():
            counter = self._on.work.get(unit)
            if counter is not None and amount > 0:
                counter.labels(kind, phase).inc(amount)

    def count_tokens(self, num_tokens: int) -> None:
        """Count the tokens of a tokenization that was made."""
        if self._on is not None:
            self._on.tokens.inc(num_tokens)

    def observe_catalog(self, operation: str, seconds: float) -> None:
        """Count how long reading or changing the catalog took, waiting included."""
        if self._on is not None:
            self._on.catalog_seconds.labels(operation).observe(seconds)

    @contextmanager
    def query(self, name: str) -> Iterator[None]:
        """Count how long the block takes, unless it raises."""
        if self._on is None:
            yield
            return
        started = time.perf_counter()
        yield
        self._on.query_seconds.labels(name).observe(time.perf_counter() - started)

    def close(self) -> None:
        """Need the server no more; the last of the process ends it."""
        if self._is_closed:
            return
        self._is_closed = True
        for forget in self._forget:
            forget()
        if self._on is not None:
            _leave()


def open_meter() -> Meter:
    """Return what to count with; the first of the process starts the server.

    A port that is no port or is taken (by another kernel with the same environment) is told as a
    warning, and metrics are off.
    """
    port = _chosen_port()
    if port is None:
        return Meter()
    with _served.lock:
        if _served.server is None and not _serve(port):
            return Meter()
        _served.num_users += 1
        return Meter(_served.instruments)


class _Served:
    """What this process serves, and for how many managers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.num_users = 0
        self.server: Server | None = None
        # kept between two managers: counters only go up
        self.instruments: Instruments | None = None


_served = _Served()


def _serve(port: int) -> bool:
    from .instruments import Instruments
    from .server import HOST, Server

    _served.instruments = _served.instruments or Instruments()
    try:
        _served.server = Server(port, _served.instruments.registry)
    except OSError as error:
        _log.warning(
            "metrics are off: port %d of %s cannot be opened (%s); one process can have it, so "
            "set MISTUDIO_METRICS_PORT to another number for this one",
            port,
            HOST,
            error.strerror or error,
        )
        return False
    _log.info("metrics are served on http://%s:%d/metrics", HOST, port)
    return True


def _leave() -> None:
    with _served.lock:
        _served.num_users -= 1
        if not _served.num_users and _served.server is not None:
            # within the lock: who opens now finds the port free
            _served.server.end()
            _served.server = None


def _leave_to_parent() -> None:
    global _served
    if _served.server is not None:
        _served.server.leave_to_parent()
    _served = _Served()


os.register_at_fork(after_in_child=_leave_to_parent)


def _chosen_port() -> int | None:
    asked = os.environ.get("MISTUDIO_METRICS_PORT", "").strip()
    if not asked:
        return None
    if asked.isascii() and asked.isdecimal() and 0 < int(asked[:6]) < 2**16:
        return int(asked)
    _log.warning(
        "metrics are off: MISTUDIO_METRICS_PORT is %r, which is no port; set it to a number from "
        "1 to 65535, or to nothing",
        asked[:_MAX_SHOWN],
    )
    return None
