"""Events of this manager's jobs, and who is told of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from ..records import (
    DATA_KINDS,
    CompletedEvent,
    DatasetRecord,
    DatasetStatus,
    DownloadProgressEvent,
    ErrorEvent,
    Event,
    JobKind,
    JobSnapshot,
    TokenizationProgressEvent,
    TokenizationRecord,
)

_WHILE: Final[Mapping[JobKind, DatasetStatus]] = {
    "download": "downloading",
    "import": "processing",
    "tokenize": "tokenizing",
    "index": "ready",
    "verify": "ready",
}

_log = logging.getLogger(__name__)


class Announcer:
    """Tells subscribers of events.

    *Threads:* subscribers are called from the jobs' threads, without any lock held.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: dict[int, Callable[[Event], None]] = {}
        self._next = 0

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``callback`` with every event from now on; returns what ends that."""
        with self._lock:
            key = self._next
            self._next += 1
            self._subscribers[key] = callback

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers.pop(key, None)

        return unsubscribe

    def announce(self, event: Event) -> None:
        """Tell all subscribers."""
        with self._lock:
            subscribers = list(self._subscribers.values())
        for callback in subscribers:
            try:
                callback(event)
            except Exception:  # noqa: BLE001 -- one subscriber must not end a job
                _log.exception("a subscriber failed on %s", event.event)

    def close(self) -> None:
        """Tell nobody any more."""
        with self._lock:
            self._subscribers.clear()


def progress_event(job: JobSnapshot) -> Event:
    """Return the tick of a job."""
    if job.kind == "tokenize":
        return TokenizationProgressEvent(
            dataset_id=job.dataset_id,
            job_id=job.id,
            status=_WHILE[job.kind],
            progress=job.progress,
            samples_processed=job.done,
            total_samples=job.total,
            tokens_per_s=None,
            eta_s=job.eta_s,
        )
    return DownloadProgressEvent(
        dataset_id=job.dataset_id,
        job_id=job.id,
        status=_WHILE[job.kind],
        progress=job.progress,
        bytes_downloaded=job.done,
        total_bytes=job.total,
        bytes_per_s=job.per_s,
        eta_s=job.eta_s,
    )


def completed_event(job: JobSnapshot, dataset: DatasetRecord) -> CompletedEvent:
    """Return the good end of a job."""
    return CompletedEvent(
        dataset_id=job.dataset_id,
        job_id=job.id,
        kind=job.kind,
        status=dataset.status,
        num_samples=dataset.num_samples,
        num_tokens=dataset.num_tokens,
        vocab_size=dataset.vocab_size,
    )


def error_event(job: JobSnapshot) -> ErrorEvent:
    """Return the bad end of a job."""
    return ErrorEvent(
        dataset_id=job.dataset_id,
        job_id=job.id,
        kind=job.kind,
        status="error" if job.kind in DATA_KINDS else "ready",
        error_code=job.error_code or "error",
        error_message=job.error_message or "",
        hint=job.hint,
    )


def damage_event(
    job: JobSnapshot, dataset: DatasetRecord, damaged: DatasetRecord | TokenizationRecord
) -> ErrorEvent:
    """Return what a verification says that found damage."""
    return ErrorEvent(
        dataset_id=job.dataset_id,
        job_id=job.id,
        kind=job.kind,
        status=dataset.status,
        error_code=damaged.error_code or "error",
        error_message=damaged.error_message or "",
        hint=damaged.hint,
    )
