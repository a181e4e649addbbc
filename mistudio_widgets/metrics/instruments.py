"""All metrics of the process; labels are kinds, states, phases and names of methods."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final, TypeAlias, get_args
from weakref import WeakMethod

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ..records import ALL_KINDS, JobKind, JobState

Jobs: TypeAlias = Callable[[], Iterable[tuple[JobKind, JobState]]]

_LIVE_STATES: Final[tuple[JobState, ...]] = ("queued", "running", "paused", "cancelling")
_OPERATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_JOB_BUCKETS: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400)


class Instruments:
    """What is counted, in a registry of our own: the global one is the user's."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.live = LiveJobs()
        self.registry.register(self.live)
        self.jobs = Counter(
            "mistudio_jobs",
            "Jobs that came into a state.",
            ["kind", "state"],
            registry=self.registry,
        )
        # from the beginning: Prometheus cannot tell growth from nothing
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


class LiveJobs(Collector):
    """A gauge that is asked for when somebody scrapes: nothing to keep right, nothing to drift.

    *Threads:* any; `collect` is called from those of the server.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = count()
        self._sources: dict[int, WeakMethod[Jobs]] = {}

    def add(self, jobs: Jobs) -> Callable[[], None]:
        """Ask ``jobs`` too, a bound method that is not kept alive; returns what ends that."""
        with self._lock:
            key = next(self._keys)
            self._sources[key] = WeakMethod(jobs)
        return lambda: self._remove(key)

    def _remove(self, key: int) -> None:
        with self._lock:
            self._sources.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count the jobs of all managers; prometheus_client calls it."""
        with self._lock:
            sources = list(self._sources.values())
        counts = {(kind, state): 0 for kind in sorted(ALL_KINDS) for state in _LIVE_STATES}
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
