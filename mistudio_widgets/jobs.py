"""Background work: threads, states, cancelling, and who owns what.

`JobRunner` knows nothing of datasets. It is given work as functions and tells of every change
through two callbacks, called without any lock held.

    queued ─> running ─> succeeded
       │         ├────> failed
       └─────────┴─> cancelling ─> cancelled

Cancelled means: the thread has stopped and what it had written is gone.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from .errors import InterruptedJobError, JobCancelled, MiStudioError
from .progress import Progress
from .records import JobKind, JobSnapshot, JobState, new_job_id, utc_now
from .storage import write_atomic

TICK_S: Final = 0.1

_log = logging.getLogger(__name__)


class Owner:
    """A manager's sign of life: a lock that the system frees when the process dies.

    ``flock`` belongs to the open file. ``lockf`` would be lost as soon as any descriptor of the
    file is closed; ``fork`` shares the open file, so children close it.
    """

    def __init__(self, folder: Path) -> None:
        self.id = uuid.uuid4().hex
        self.path = folder / f"{self.id}.lock"
        self._descriptor = self._open_locked()
        _owners.add(self)

    def _open_locked(self) -> int:
        while True:
            descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # a sweep may have taken the file for a dead one's before it was locked
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)

    def release(self) -> None:
        """End this owner and remove its file."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _leave_to_parent(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_owners: weakref.WeakSet[Owner] = weakref.WeakSet()


def _close_inherited() -> None:
    for owner in list(_owners):
        owner._leave_to_parent()  # noqa: SLF001 -- same module


os.register_at_fork(after_in_child=_close_inherited)


def is_owner_alive(folder: Path, owner_id: str, *, remove_dead: bool = False) -> bool:
    """Whether the manager with this id still holds its lock.

    Probed with a shared lock: two exclusive probes would see each other. ``remove_dead`` removes
    the file while that lock is held, so never the file of one that is just being born.
    """
    try:
        descriptor = os.open(folder / f"{owner_id}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if remove_dead:
            (folder / f"{owner_id}.lock").unlink(missing_ok=True)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Work(Protocol):
    """What a job does. Every method is called in the job's own thread, one after another."""

    def run(self, job: Job) -> object:
        """Do it; the value is what `Job.wait` returns. ``job.progress`` counts and cancels."""

    def undo(self, job: Job) -> None:
        """Remove all traces, after a cancel."""

    def fail(self, job: Job, error: MiStudioError) -> None:
        """Record an error."""


@dataclass
class _End:
    state: JobState
    result: object = None
    error: BaseException | None = None


class Job:
    """A handle on background work.

    *Threads:* every method may be called from any thread.
    """

    def __init__(self, kind: JobKind, dataset_id: str, tokenization_id: str | None = None) -> None:
        self.id = new_job_id()
        self.kind: JobKind = kind
        self.dataset_id = dataset_id
        self.tokenization_id = tokenization_id
        self.created_at = utc_now()
        self.progress = Progress()
        self._lock = threading.Lock()
        self._state: JobState = "queued"
        self._end: _End | None = None
        self._interrupted = False
        self._ended = threading.Event()
        self._on_cancel: Callable[[], None] | None = None

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
            progress=100 * fraction,
            phase=counted.phase,
            done=counted.done,
            total=counted.total,
            unit=counted.unit,
            per_s=counted.per_s,
            eta_s=counted.eta_s,
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
            if self._end is not None or self._state not in ("queued", "running"):
                return
            self._state = "cancelling"
        self.progress.cancel()
        if self._on_cancel is not None:
            self._on_cancel()

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
        if not self._ended.wait(timeout_s):
            raise TimeoutError(f"The job did not end within {timeout_s} s; it goes on.")
        assert self._end is not None
        if self._end.state == "cancelled":
            raise JobCancelled
        if self._end.error is not None:
            raise self._end.error
        return self._end.result

    @property
    def has_ended(self) -> bool:
        """Whether `wait` would return or raise at once."""
        return self._ended.is_set()

    @property
    def is_interrupted(self) -> bool:
        """Whether the runner was closed under the job."""
        return self._interrupted

    def _begin(self) -> bool:
        with self._lock:
            if self._state != "queued":
                return False
            self._state = "running"
            return True

    def _interrupt(self) -> None:
        self._interrupted = True
        self.progress.cancel()

    def _finish(self, end: _End) -> None:
        with self._lock:
            self._end = end
            self._state = end.state


def ended_job(
    kind: JobKind, dataset_id: str, result: object, tokenization_id: str | None = None
) -> Job:
    """Return a job that has already succeeded with ``result``."""
    job = Job(kind, dataset_id, tokenization_id)
    job._finish(_End("succeeded", result=result))  # noqa: SLF001 -- same module
    job._ended.set()  # noqa: SLF001 -- same module
    return job


class JobRunner:
    """Runs work in threads, at most so many of a kind at once; more wait in order.

    Parameters
    ----------
    limits : mapping of kind to int
        How many jobs of each kind run at the same time.
    folder : Path
        Where the progress of active jobs is written, at most ten times a second.
    on_change : callable
        Called with a job after each change of state.
    on_tick : callable
        Called with the jobs whose progress moved.
    """

    def __init__(
        self,
        limits: Mapping[JobKind, int],
        folder: Path,
        *,
        on_change: Callable[[Job], None],
        on_tick: Callable[[list[Job]], None],
    ) -> None:
        self._folder = folder
        self._on_change = on_change
        self._on_tick = on_tick
        self._lock = threading.Lock()
        self._active: dict[str, tuple[Job, Work]] = {}
        self._queues: dict[JobKind, deque[str]] = {kind: deque() for kind in limits}
        self._free = dict(limits)
        self._closed = False
        self._ticking = False
        self._stop = threading.Event()

    def submit(self, job: Job, work: Work) -> None:
        """Start ``job``, now or as soon as its kind has a free place."""
        job._on_cancel = lambda: self._cancelled(job)  # noqa: SLF001 -- same module
        with self._lock:
            if self._closed:
                raise InterruptedJobError(
                    "The manager is closed.", hint="Make a new DatasetManager."
                )
            self._active[job.id] = (job, work)
            self._queues[job.kind].append(job.id)
            start_ticker = not self._ticking
            self._ticking = True
        if start_ticker:
            _thread("ticker", self._tick_while_active)
        self._start_next(job.kind)

    def active(self) -> list[Job]:
        """Return the jobs of this runner that have not ended, oldest first."""
        with self._lock:
            return [job for job, _ in self._active.values()]

    def find(self, job_id: str) -> Job | None:
        """Return an active job of this runner."""
        with self._lock:
            entry = self._active.get(job_id)
        return entry[0] if entry else None

    def close(self, timeout_s: float) -> bool:
        """Stop all jobs, which end as interrupted; True when all threads ended in time."""
        with self._lock:
            self._closed = True
            active = list(self._active.values())
            queued = {job_id for queue in self._queues.values() for job_id in queue}
            for queue in self._queues.values():
                queue.clear()
        for job, work in active:
            job._interrupt()  # noqa: SLF001 -- same module
            if job.id in queued:
                _thread(job.id, self._end_queued, job, work)
        deadline = time.monotonic() + timeout_s
        done = all(
            job._ended.wait(max(deadline - time.monotonic(), 0))  # noqa: SLF001 -- same module
            for job, _ in active
        )
        self._stop.set()
        return done

    def _start_next(self, kind: JobKind) -> None:
        while True:
            with self._lock:
                if not self._queues[kind] or self._free[kind] < 1:
                    return
                job, work = self._active[self._queues[kind].popleft()]
                self._free[kind] -= 1
            _thread(job.id, self._run, job, work)

    def _run(self, job: Job, work: Work) -> None:
        try:
            if job._begin():  # noqa: SLF001 -- same module
                self._tell(job)
                self._end(job, self._attempt(job, work))
            else:
                self._end(job, self._undone(job, work))
        finally:
            with self._lock:
                self._free[job.kind] += 1
            self._start_next(job.kind)

    def _attempt(self, job: Job, work: Work) -> _End:
        try:
            return _End("succeeded", result=work.run(job))
        except BaseException as error:  # noqa: BLE001 -- the edge of a thread
            # libraries wrap exceptions: whether this is a cancel is told by our flag alone
            if job.is_interrupted:
                return self._failed(job, work, _interruption(job))
            if job.progress.is_cancelled:
                return self._undone(job, work)
            return self._failed(job, work, _as_our_own(error))

    def _end_queued(self, job: Job, work: Work) -> None:
        if job.is_interrupted:
            self._end(job, self._failed(job, work, _interruption(job)))
        else:
            self._end(job, self._undone(job, work))

    def _undone(self, job: Job, work: Work) -> _End:
        try:
            work.undo(job)
        except Exception as error:  # noqa: BLE001 -- the edge of a thread
            _log.exception("could not undo %s", job.id)
            return _End("failed", error=_as_our_own(error))
        return _End("cancelled")

    def _failed(self, job: Job, work: Work, error: MiStudioError) -> _End:
        try:
            work.fail(job, error)
        except Exception:  # noqa: BLE001 -- the edge of a thread
            _log.exception("could not record the error of %s: %s", job.id, error)
        return _End("failed", error=error)

    def _end(self, job: Job, end: _End) -> None:
        job._finish(end)  # noqa: SLF001 -- same module
        (self._folder / f"{job.id}.json").unlink(missing_ok=True)
        with self._lock:
            self._active.pop(job.id, None)
        self._tell(job)
        job._ended.set()  # noqa: SLF001 -- same module

    def _cancelled(self, job: Job) -> None:
        with self._lock:
            queue = self._queues[job.kind]
            is_queued = job.id in queue
            if is_queued:
                queue.remove(job.id)
            entry = self._active.get(job.id)
        if is_queued and entry is not None:
            _thread(job.id, self._end_queued, *entry)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        try:
            self._on_change(job)
        except Exception:  # noqa: BLE001 -- a listener must not end the job
            _log.exception("a listener failed on %s", job.id)

    def _tick_while_active(self) -> None:
        last: dict[str, JobSnapshot] = {}
        while not self._stop.wait(TICK_S):
            with self._lock:
                jobs = [job for job, _ in self._active.values()]
                if not jobs:
                    self._ticking = False
                    return
            moved = [job for job in jobs if self._write_if_moved(job, last)]
            if moved:
                try:
                    self._on_tick(moved)
                except Exception:  # noqa: BLE001 -- a listener must not end the ticker
                    _log.exception("a listener failed on a tick")

    def _write_if_moved(self, job: Job, last: dict[str, JobSnapshot]) -> bool:
        snapshot = job.snapshot()
        if last.get(job.id) == snapshot:
            return False
        last[job.id] = snapshot
        path = self._folder / f"{job.id}.json"
        try:
            write_atomic(path, snapshot.model_dump_json().encode(), durable=False)
            if job.has_ended:
                path.unlink(missing_ok=True)
        except OSError:
            _log.warning("could not write the progress of %s", job.id, exc_info=True)
        return True


def read_job_file(folder: Path, job_id: str) -> JobSnapshot | None:
    """Read the progress that another process wrote; None when there is none."""
    try:
        return JobSnapshot.model_validate(json.loads((folder / f"{job_id}.json").read_bytes()))
    except (OSError, ValueError):
        return None


def _interruption(job: Job) -> InterruptedJobError:
    return interruption(job.snapshot().progress)


def interruption(progress: float) -> InterruptedJobError:
    """Return the error of a job whose process ended at ``progress`` percent."""
    return InterruptedJobError(
        f"Interrupted at {progress:.1f} %.", hint="Retry resumes from there."
    )


def _as_our_own(error: BaseException) -> MiStudioError:
    if isinstance(error, MiStudioError):
        return error
    _log.error("a job failed unexpectedly", exc_info=error)
    ours = MiStudioError(
        f"An unexpected error ended the job: {type(error).__name__}: {error}",
        hint="Please report it with the log.",
    )
    ours.__cause__ = error
    return ours


def _thread(name: str, target: Callable[..., None], *args: object) -> None:
    threading.Thread(target=target, args=args, name=f"mistudio-{name}", daemon=True).start()
