"""What happened, told to the log and to the metrics: the one place that does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..jobs import Change, Job
from ..logs import FOLDER
from ..metrics import Meter
from ..records import (
    ACTIVE_STATES,
    DatasetRecord,
    JobSnapshot,
    JobState,
    TokenizationRecord,
    VerifyReport,
)
from ..storage import format_bytes

_MAX_NAME: Final = 100

_log = logging.getLogger(__name__)


class Journal:
    """One line in the log for each change of state, and one more in a counter.

    Parameters
    ----------
    root : Path
        The data folder, whose log the lines go to.
    meter : Meter

    *Threads:* any.
    """

    def __init__(self, root: Path, meter: Meter) -> None:
        self.meter = meter
        self._to = {FOLDER: root}

    def job_changed(self, job: Job) -> None:
        """Tell what states a job came into since this was last called."""
        job.tell_changes(lambda change: self._tell(job, change))

    def jobs_moved(self, jobs: list[Job]) -> None:
        """Count what jobs did since this was last called."""
        for job in jobs:
            self.meter.count_work(job.kind, job.progress.take_news)

    def recovered(self, job: JobSnapshot, name: str) -> None:
        """Tell the end of a job whose process could not."""
        self.meter.count_job(job.kind, job.state)
        what = _named(job.kind, name)
        ids = _ids(job.dataset_id, job.tokenization_id, job.id)
        if job.state == "succeeded":
            self.info("%s had succeeded when its process ended %s", what, ids)
        else:
            self._write(
                logging.WARNING,
                "%s failed: its process ended at %.1f %% %s",
                what,
                job.progress,
                ids,
            )

    def deleted(self, what: str, name: str, num_bytes: int, seconds: float, *ids: str) -> None:
        """Tell that something is gone."""
        self.info(
            "%s deleted in %s, %s freed %s",
            _named(what, name),
            _seconds(seconds),
            format_bytes(num_bytes),
            _ids(*ids),
        )

    def held(self, name: str, by: str, dataset_id: str) -> None:
        """Tell that somebody needs a dataset."""
        self.info("%s held by %r %s", _named("dataset", name), by, _ids(dataset_id))

    def released(self, by: str, dataset_id: str, seconds: float) -> None:
        """Tell that somebody needs a dataset no more."""
        self.info("dataset released by %r after %s %s", by, _seconds(seconds), _ids(dataset_id))

    def cleaned_up(self, kinds: Sequence[str], num_bytes: int, seconds: float) -> None:
        """Tell that what nobody needs is gone."""
        size, took = format_bytes(num_bytes), _seconds(seconds)
        self.info("cleaned up (%s) in %s, %s freed", ", ".join(kinds), took, size)

    def rebuilt(self, seconds: float) -> None:
        """Tell that the catalog agrees with the disk."""
        self.info("catalog rebuilt in %s", _seconds(seconds))

    def info(self, message: str, *args: object) -> None:
        """Write a line that tells of this data folder."""
        self._write(logging.INFO, message, *args)

    def _write(self, level: int, message: str, *args: object) -> None:
        _log.log(level, message, *args, extra=self._to)

    def _tell(self, job: Job, change: Change) -> None:
        self.jobs_moved([job])
        self.meter.count_job(job.kind, change.state)
        if change.before == "running" and change.after_s is not None:
            until: JobState = "cancelled" if change.state == "cancelling" else change.state
            self.meter.observe_job(job.kind, until, change.after_s)
        snapshot = job.snapshot()
        after = ""
        if change.before is not None and change.after_s is not None:
            after = f" after {_seconds(change.after_s)} {change.before}"
        is_bad = change.state == "failed" or _has_damage(job.result)
        self._write(
            logging.WARNING if is_bad else logging.INFO,
            "%s %s%s%s %s",
            _named(job.kind, job.name),
            change.state,
            after,
            _outcome(change, job, snapshot),
            _ids(job.dataset_id, job.tokenization_id, job.id),
        )


def _named(what: str, name: str) -> str:
    cut = name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + "..."
    return f"{what} {cut!r}"


def _ids(*ids: str | None) -> str:
    return f"({', '.join(known for known in ids if known)})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def _outcome(change: Change, job: Job, snapshot: JobSnapshot) -> str:
    if change.state == "succeeded":
        return _made(job.result)
    if change.before not in ACTIVE_STATES or change.state == "running":
        return ""
    at = f" at {snapshot.progress:.1f} %"
    if change.state == "failed":
        return f"{at}: {snapshot.error_code}: {snapshot.error_message}"
    return "" if change.state == "cancelled" else at


def _made(result: object) -> str:
    if isinstance(result, DatasetRecord):
        return f": {_count(result.num_samples, 'sample')}, {format_bytes(result.size_bytes or 0)}"
    if isinstance(result, TokenizationRecord):
        sequences = _count(result.num_sequences, "sequence")
        return f": {_count(result.num_tokens, 'token')} in {sequences} by {result.engine}"
    if isinstance(result, VerifyReport):
        found = f"{len(result.damaged):,} damaged" if result.damaged else "all whole"
        return f": {_count(result.num_files, 'file')}, {format_bytes(result.num_bytes)}, {found}"
    return ""


def _has_damage(result: object) -> bool:
    return isinstance(result, VerifyReport) and bool(result.damaged)


def _count(number: int | None, what: str) -> str:
    return f"{number or 0:,} {what}" + ("" if number == 1 else "s")
