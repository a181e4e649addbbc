"""Counters and durations for Prometheus: off unless ``MISTUDIO_METRICS_PORT`` names a port.

They are the process's, whatever managers it has, and are served on 127.0.0.1 alone as long as one
of them lives. While they are off, nothing is counted and prometheus_client is not imported.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args
from weakref import WeakMethod
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from .records import ALL_KINDS, JobKind, JobState

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

HOST: Final = "127.0.0.1"

LIVE_STATES: Final[tuple[JobState, ...]] = ("queued", "running", "paused", "cancelling")

_OPERATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_JOB_BUCKETS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400)
_MAX_SHOWN: Final = 50

Jobs: TypeAlias = Callable[[], Iterable[tuple[JobKind, JobState]]]

_log = logging.getLogger(__name__)


class Meter:
    """What a manager counts with; every method does nothing while metrics are off.

    *Threads:* any.
    """

    def __init__(self, instruments: _Instruments | None = None) -> None:
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
        """Count no more; the last of the process ends the server."""
        if self._is_closed:
            return
        self._is_closed = True
        for forget in self._forget:
            forget()
        if self._on is not None:
            self._on = None
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


class _Instruments:
    """All metrics of the process; labels are kinds, states, phases and names of methods."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

        # not the global one: that is the user's
        self.registry = CollectorRegistry()
        self.live = _LiveJobs()
        self.registry.register(self.live)
        self.jobs = Counter(
            "mistudio_jobs",
            "Jobs that came into a state.",
            ["kind", "state"],
            registry=self.registry,
        )
        for kind in sorted(ALL_KINDS):
            for state in get_args(JobState):
                self.jobs.labels(kind, state)
        self.job_seconds = Histogram(
            "mistudio_job_duration_seconds",
            "How long jobs ran until they succeeded, failed, were cancelled or paused.",
            ["kind", "state"],
            buckets=_JOB_BUCKETS,
            registry=self.registry,
        )
        self.work = {
            unit: Counter(
                f"mistudio_job_{unit}",
                f"{unit.capitalize()} that jobs went through, by phase.",
                ["kind", "phase"],
                registry=self.registry,
            )
            for unit in ("bytes", "samples")
        }
        self.tokens = Counter(
            "mistudio_tokens", "Tokens of tokenizations that were made.", registry=self.registry
        )
        self.catalog_seconds = Histogram(
            "mistudio_catalog_operation_duration_seconds",
            "How long reading and changing the catalog took, waiting included.",
            ["operation"],
            buckets=_OPERATION_BUCKETS,
            registry=self.registry,
        )
        self.query_seconds = Histogram(
            "mistudio_query_duration_seconds",
            "How long questions about the data took that were answered.",
            ["query"],
            buckets=_OPERATION_BUCKETS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)


class _LiveJobs:
    """A gauge that is asked for when somebody scrapes: nothing to keep right, nothing to drift."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = count()
        self._sources: dict[int, WeakMethod[Jobs]] = {}

    def add(self, jobs: Jobs) -> Callable[[], None]:
        """Ask ``jobs`` too; returns what ends that."""
        with self._lock:
            key = next(self._keys)
            self._sources[key] = WeakMethod(jobs)
        return lambda: self._remove(key)

    def _remove(self, key: int) -> None:
        with self._lock:
            self._sources.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count the jobs of all managers; prometheus_client calls it."""
        from prometheus_client.core import GaugeMetricFamily

        with self._lock:
            sources = list(self._sources.values())
        counts = {(kind, state): 0 for kind in sorted(ALL_KINDS) for state in LIVE_STATES}
        for source in sources:
            jobs = source()
            for key in jobs() if jobs is not None else ():
                counts[key] = counts.get(key, 0) + 1
        family = GaugeMetricFamily(
            "mistudio_live_jobs", "Jobs that have not ended.", labels=["kind", "state"]
        )
        for key, number in counts.items():
            family.add_metric(key, number)
        yield family


class _Handler(WSGIRequestHandler):
    """Answers one scrape; who says nothing for a while is cut off."""

    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base's name
        """Log no scrapes."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # later Pythons share a port between processes, and each would see some of the scrapes
    allow_reuse_port = False

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Note that a scrape was broken off; the base would write to stderr."""
        _log.debug("a scrape from %s failed", client_address, exc_info=True)


class _Served:
    """What this process serves, and for how many managers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.num_users = 0
        self.server: _Server | None = None
        # kept between two managers: counters only go up
        self.instruments: _Instruments | None = None


_served = _Served()


def _serve(port: int) -> bool:
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as error:
        _log.warning(
            "metrics are off: port %d of %s cannot be opened (%s); one process can have it, so "
            "set MISTUDIO_METRICS_PORT to another number for this one",
            port,
            HOST,
            error.strerror or error,
        )
        return False
    from prometheus_client import make_wsgi_app

    _served.instruments = _served.instruments or _Instruments()
    server.set_app(make_wsgi_app(_served.instruments.registry))
    _served.server = server
    threading.Thread(target=server.serve_forever, name="mistudio-metrics", daemon=True).start()
    _log.info("metrics are served on http://%s:%d/metrics", HOST, port)
    return True


def _leave() -> None:
    with _served.lock:
        _served.num_users -= 1
        if _served.num_users or _served.server is None:
            return
        server, _served.server = _served.server, None
    server.shutdown()
    server.server_close()


def _leave_to_parent() -> None:
    """Let go of the port in a forked child, which has no thread that serves it."""
    global _served
    if _served.server is not None:
        _served.server.socket.close()
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
