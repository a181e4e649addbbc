"""A handle on background work, and what the work itself has to be."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from ..errors import InvalidRequestError, JobCancelled, MiStudioError
from ..progress import Progress
from ..records import PAUSABLE_KINDS, JobKind, JobSnapshot, JobState, new_job_id, utc_now

_LOOK_S: Final = 1.0


class Work(Protocol):
    """What a job does. Every method is called in the job's own thread, one after another."""

    def run(self, job: Job) -> object:
        """Do it; the value is what `Job.wait` returns. ``job.progress`` counts and cancels."""

    def undo(self, job: Job) -> None:
        """Remove all traces, after a cancel."""

    def fail(self, job: Job, error: MiStudioError) -> None:
        """Record an error."""


@runtime_checkable
class PausableWork(Work, Protocol):
    """Work that can be gone on with by running it again."""

    def pause(self, job: Job) -> None:
        """Record that it waits; what it wrote stays."""


@dataclass(frozen=True)
class End:
    """How a job ended, or only this handle on one that rests or goes on elsewhere."""

    state: JobState
    result: object = None
    error: BaseException | None = None
    is_of_handle: bool = False


@dataclass(frozen=True)
class Change:
    """A job came from one state into another.

    Attributes
    ----------
    before : JobState or None
        None: it is new.
    after_s : float or None
        How long it had been in ``before``; None where another process came into that.
    """

    before: JobState | None
    state: JobState
    after_s: float | None


class Job:
    """A handle on background work; ``name`` is the dataset's, for who reads of it.

    *Threads:* every method may be called from any thread.
    """

    def __init__(
        self,
        kind: JobKind,
        dataset_id: str,
        tokenization_id: str | None = None,
        *,
        continued: JobSnapshot | None = None,
        automatic: bool = False,
        name: str = "",
    ) -> None:
        self.id = continued.id if continued else new_job_id()
        self.kind: JobKind = kind
        self.dataset_id = dataset_id
        self.tokenization_id = tokenization_id
        self.created_at = continued.created_at if continued else utc_now()
        self.automatic = automatic
        self.name = name
        self.progress = Progress()
        self._lock = threading.Lock()
        self._state: JobState = continued.state if continued else "queued"
        self._since = None if continued else time.monotonic()
        self._changes = deque[Change]()
        if continued is None:
            self._changes.append(Change(None, self._state, None))
        self._is_telling = False
        self._end: End | None = None
        self._interrupted = False
        self._pausing = False
        self._ended = threading.Event()
        self._on_stop: Callable[[], None] | None = None
        self._while_paused: Callable[[], None] | None = None

    def __repr__(self) -> str:
        snapshot = self.snapshot()
        return f"<Job {self.kind} {self.id} {snapshot.state} {snapshot.progress:.1f} %>"

    @property
    def state(self) -> JobState:
        """Where the job is; see the drawing at the top of this module."""
        return self._state

    def snapshot(self) -> JobSnapshot:
        """Return the job as it is now."""
        counted = self.progress.state()
        error = self._end.error if self._end else None
        fraction = 1.0 if self._state == "succeeded" else counted.fraction
        return JobSnapshot(
            id=self.id,
            kind=self.kind,
            dataset_id=self.dataset_id,
            tokenization_id=self.tokenization_id,
            state=self._state,
            automatic=self.automatic,
            progress=100 * fraction,
            phase=counted.phase,
            done=counted.done,
            total=counted.total,
            unit=counted.unit,
            per_s=counted.per_s if self._state == "running" else None,
            eta_s=counted.eta_s if self._state == "running" else None,
            error_code=error.code if isinstance(error, MiStudioError) else None,
            error_message=error.message if isinstance(error, MiStudioError) else None,
            hint=error.hint if isinstance(error, MiStudioError) else None,
            created_at=self.created_at,
        )

    def cancel(self) -> None:
        """Ask the job to stop and to remove what it wrote; returns at once.

        Does nothing to a job that has ended. The state is ``cancelling`` until it is true.
        """
        with self._lock:
            if self._end is not None or self._state not in ("queued", "running", "paused"):
                return
            self._come_into("cancelling")
            self._pausing = False
        self.progress.cancel()
        if self._on_stop is not None:
            self._on_stop()

    def pause(self) -> None:
        """Ask a download to stop and to keep what it fetched; returns at once.

        `DatasetManager.retry` goes on with it, in this process or a later one. `wait` goes on
        waiting. Does nothing to a job that has ended or waits already.

        Raises
        ------
        InvalidRequestError
            Only downloads can be paused.
        """
        if self.kind not in PAUSABLE_KINDS:
            raise InvalidRequestError(
                f"A job of kind {self.kind} cannot be paused.",
                field="job_id",
                hint="Cancel it, or let it end.",
            )
        with self._lock:
            if self._end is not None or self._state not in ("queued", "running"):
                return
            self._pausing = True
        self.progress.cancel()
        if self._on_stop is not None:
            self._on_stop()

    def wait(self, timeout_s: float | None = None) -> Any:
        """Wait for the end.

        Parameters
        ----------
        timeout_s : float or None
            Seconds; None waits for ever.

        Returns
        -------
        DatasetRecord or TokenizationRecord
            What the job made.

        Raises
        ------
        MiStudioError
            The job's error.
        JobCancelled
            When it was cancelled.
        TimeoutError
            When ``timeout_s`` is up; the job goes on.
        """
        if not self.wait_until_ended(timeout_s):
            raise TimeoutError(f"The job did not end within {timeout_s} s; it goes on.")
        assert self._end is not None
        if self._end.state == "cancelled":
            raise JobCancelled
        if self._end.error is not None:
            raise self._end.error
        return self._end.result

    def wait_until_ended(self, timeout_s: float | None) -> bool:
        """Wait without a result; False when ``timeout_s`` is up."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = _LOOK_S if deadline is None else min(deadline - time.monotonic(), _LOOK_S)
            if self._ended.wait(max(left, 0)):
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            if self._state == "paused" and self._while_paused is not None:
                self._while_paused()

    def wait_until_stopped(self, timeout_s: float) -> None:
        """Wait while a pause or cancel that was asked for is not true yet."""
        deadline = time.monotonic() + timeout_s
        while (self._pausing or self._state == "cancelling") and time.monotonic() < deadline:
            if self._ended.wait(0.02):
                return

    @property
    def result(self) -> object:
        """What the job made; None before its end, and when it made nothing."""
        return self._end.result if self._end else None

    def tell_changes(self, tell: Callable[[Change], None]) -> None:
        """Call ``tell`` with each change of state that was not told yet, in their order.

        *Threads:* one at a time tells, whichever comes first, and also what happens meanwhile.
        """
        while True:
            with self._lock:
                if self._is_telling or not self._changes:
                    return
                self._is_telling = True
                change = self._changes.popleft()
            try:
                tell(change)
            finally:
                with self._lock:
                    self._is_telling = False

    @property
    def has_ended(self) -> bool:
        """Whether `wait` would return or raise at once."""
        return self._ended.is_set()

    @property
    def is_interrupted(self) -> bool:
        """Whether the runner was closed under the job."""
        return self._interrupted

    @property
    def is_pausing(self) -> bool:
        """Whether `pause` was called, and not `cancel` after it."""
        return self._pausing

    def begin(self) -> bool:
        """Go from queued to running; False when it was stopped before. For the runner."""
        with self._lock:
            if self._state != "queued" or self._pausing:
                return False
            self._come_into("running")
            return True

    def rest(self) -> bool:
        """Go to paused; False when it was cancelled meanwhile. For the runner."""
        with self._lock:
            if not self._pausing:
                return False
            self._come_into("paused")
            self._pausing = False
            return True

    def wake(self) -> bool:
        """Go from paused to queued; False when it is not paused. For the runner."""
        with self._lock:
            if self._state != "paused":
                return False
            self._come_into("queued")
            self.progress = Progress()
            return True

    def interrupt(self) -> None:
        """Stop, to be gone on with later. For the runner."""
        self._interrupted = True
        self.progress.cancel()

    def finish(self, end: End) -> None:
        """Take the end; `release` lets those who wait see it. For the runner."""
        with self._lock:
            self._end = end
            self._come_into(end.state)
            if end.is_of_handle:
                # nothing that happened to the job
                self._changes.pop()

    def _come_into(self, state: JobState) -> None:
        now = time.monotonic()
        after_s = None if self._since is None else now - self._since
        self._changes.append(Change(self._state, state, after_s))
        self._state, self._since = state, now

    def release(self) -> None:
        """Let `wait` return. For the runner."""
        self._ended.set()

    def call_while_paused(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` now and then while somebody waits for a paused job."""
        self._while_paused = callback

    def call_on_stop(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when `cancel` or `pause` was pressed. For the runner."""
        self._on_stop = callback


def ended_job(
    kind: JobKind, dataset_id: str, result: object, tokenization_id: str | None = None
) -> Job:
    """Return a job that has already succeeded with ``result``."""
    job = Job(kind, dataset_id, tokenization_id)
    job.finish(End("succeeded", result=result))
    job.release()
    return job
