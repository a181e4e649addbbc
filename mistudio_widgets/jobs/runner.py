"""`JobRunner`: threads, places, order, and telling of every change."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ..errors import InterruptedJobError, MiStudioError
from ..records import ACTIVE_STATES, JobKind, JobSnapshot
from ..storage import write_atomic
from .job import End, Job, PausableWork, Work

TICK_S: Final = 0.1

_log = logging.getLogger(__name__)


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
        self._paused: dict[str, tuple[Job, Work]] = {}
        self._queues: dict[JobKind, deque[str]] = {kind: deque() for kind in limits}
        self._free = dict(limits)
        self._threads: set[threading.Thread] = set()
        self._closed = False
        self._ticking = False
        self._stop = threading.Event()

    def submit(self, job: Job, work: Work) -> None:
        """Start ``job``, now or as soon as its kind has a free place; a paused one goes on."""
        job.call_on_stop(lambda: self._stopped(job))
        with self._lock:
            if self._closed:
                raise InterruptedJobError(
                    "The manager is closed.", hint="Make a new DatasetManager."
                )
            if self._paused.pop(job.id, None) is not None:
                job.wake()
            self._active[job.id] = (job, work)
            self._queues[job.kind].append(job.id)
            start_ticker = not self._ticking
            self._ticking = True
        if start_ticker:
            self._spawn("ticker", self._tick_while_active)
        self._start_next(job.kind)

    def active(self) -> list[Job]:
        """Return the jobs of this runner that have not ended, oldest first."""
        with self._lock:
            return [job for job, _ in self._active.values()]

    def live(self) -> list[Job]:
        """Return the jobs of this runner that have not ended, and those that are paused."""
        with self._lock:
            return [job for job, _ in (*self._active.values(), *self._paused.values())]

    def find(self, job_id: str) -> Job | None:
        """Return an active or paused job of this runner."""
        with self._lock:
            entry = self._active.get(job_id) or self._paused.get(job_id)
        return entry[0] if entry else None

    def adopt_paused(self, job: Job, work: Work) -> None:
        """Take a job that was paused by another process."""
        job.call_on_stop(lambda: self._stopped(job))
        with self._lock:
            self._paused[job.id] = (job, work)

    def work_of(self, job_id: str) -> Work | None:
        """Return what a paused job of this runner was doing."""
        with self._lock:
            entry = self._paused.get(job_id)
        return entry[1] if entry else None

    def forget_paused(self, job_id: str, error: MiStudioError | None = None) -> None:
        """End the handle of a paused job, as cancelled or with an error; its work stays undone."""
        with self._lock:
            entry = self._paused.pop(job_id, None)
        if entry is not None:
            end = End("failed", error=error, is_of_handle=True) if error else End("cancelled")
            self._end(entry[0], end)

    def paused(self, dataset_id: str) -> list[Job]:
        """Return the paused jobs of a dataset."""
        with self._lock:
            return [job for job, _ in self._paused.values() if job.dataset_id == dataset_id]

    def close(self, timeout_s: float) -> bool:
        """Stop all jobs, which end as interrupted unless a pause or cancel was asked for before.

        Returns
        -------
        bool
            Whether all threads ended in time, but for the one that calls this; every job has
            its end then.
        """
        with self._lock:
            self._closed = True
            active = list(self._active.values())
            queued = {job_id for queue in self._queues.values() for job_id in queue}
            for queue in self._queues.values():
                queue.clear()
            paused = [job for job, _ in self._paused.values()]
            self._paused.clear()
        for job in paused:
            _leave_paused(job)
        for job, work in active:
            job.interrupt()
            if job.id in queued:
                self._spawn(job.id, self._stop_waiting, job, work)
        deadline = time.monotonic() + timeout_s
        for job, _ in active:
            job.wait_until_ended(max(deadline - time.monotonic(), 0))
        self._stop.set()
        with self._lock:
            # a job that was not active any more may still be telling of its end
            threads = self._threads - {threading.current_thread()}
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in threads)

    def _start_next(self, kind: JobKind) -> None:
        while True:
            with self._lock:
                if not self._queues[kind] or self._free[kind] < 1:
                    return
                job, work = self._active[self._queues[kind].popleft()]
                self._free[kind] -= 1
            self._spawn(job.id, self._run, job, work)

    def _run(self, job: Job, work: Work) -> None:
        try:
            if job.begin():
                self._tell(job)
                end = self._attempt(job, work)
            else:
                end = self._end_of_stopped(job, work)
            if end is not None:
                self._end(job, end)
        finally:
            with self._lock:
                self._free[job.kind] += 1
            self._start_next(job.kind)

    def _attempt(self, job: Job, work: Work) -> End | None:
        """Run; None when the job was paused."""
        try:
            return End("succeeded", result=work.run(job))
        except BaseException as error:  # noqa: BLE001 -- the edge of a thread
            # libraries wrap exceptions: whether this is a stop is told by our flag alone
            if job.progress.is_cancelled:
                return self._end_of_stopped(job, work)
            return self._failed(job, work, _as_our_own(error, job))

    def _end_of_stopped(self, job: Job, work: Work) -> End | None:
        """Stop a job in the way it was asked to; None when it is paused."""
        if job.is_interrupted and not (job.is_pausing or job.state == "cancelling"):
            return self._failed(job, work, _interruption(job))
        if job.is_pausing and isinstance(work, PausableWork):
            try:
                work.pause(job)
            except Exception as error:  # noqa: BLE001 -- the edge of a thread
                return self._failed(job, work, _as_our_own(error, job))
            if self._rest(job, work):
                return None
        return self._undone(job, work)

    def _rest(self, job: Job, work: Work) -> bool:
        with self._lock:
            if not job.rest():
                return False
            del self._active[job.id]
            is_closed = self._closed
            if not is_closed:
                self._paused[job.id] = (job, work)
        (self._folder / f"{job.id}.json").unlink(missing_ok=True)
        self._tell(job)
        if is_closed:
            _leave_paused(job)
        return True

    def _stop_waiting(self, job: Job, work: Work) -> None:
        end = self._end_of_stopped(job, work)
        if end is not None:
            self._end(job, end)

    def _undone(self, job: Job, work: Work) -> End:
        try:
            work.undo(job)
        except Exception as error:  # noqa: BLE001 -- the edge of a thread
            ours = _as_our_own(error, job)
            _log.warning("could not undo %s: %s", job.id, ours)
            return End("failed", error=ours)
        return End("cancelled")

    def _failed(self, job: Job, work: Work, error: MiStudioError) -> End:
        try:
            work.fail(job, error)
        except Exception as another:  # noqa: BLE001 -- the edge of a thread
            _log.warning("could not record the error of %s: %s", job.id, _as_our_own(another, job))
        return End("failed", error=error)

    def _end(self, job: Job, end: End) -> None:
        job.finish(end)
        (self._folder / f"{job.id}.json").unlink(missing_ok=True)
        with self._lock:
            self._active.pop(job.id, None)
        self._tell(job)
        job.release()

    def _stopped(self, job: Job) -> None:
        """Stop a job that has no thread in one of its own; a running one sees it by itself."""
        with self._lock:
            entry = self._paused.pop(job.id, None)
            if entry is not None:
                self._active[job.id] = entry
            elif job.id in self._queues[job.kind]:
                self._queues[job.kind].remove(job.id)
                entry = self._active[job.id]
        if entry is not None:
            self._spawn(job.id, self._stop_waiting, *entry)
        self._tell(job)

    def _spawn(self, name: str, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=f"mistudio-{name}", daemon=True)
        with self._lock:
            self._threads = {known for known in self._threads if known.is_alive()} | {thread}
            thread.start()

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
            # it may have stopped since, and its file been removed
            if job.state not in ACTIVE_STATES:
                path.unlink(missing_ok=True)
        except OSError as error:
            # ten times a second, and told in a better place when it ends the job
            _log.debug("could not write the progress of %s: %s", job.id, error)
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


def _leave_paused(job: Job) -> None:
    """End the handle of a job that stays paused in the catalog."""
    job.finish(End("failed", error=_interruption(job), is_of_handle=True))
    job.release()


def _as_our_own(error: BaseException, job: Job) -> MiStudioError:
    if isinstance(error, MiStudioError):
        return error
    _log.error("something unexpected happened to %s", job.id, exc_info=error)
    ours = MiStudioError(
        f"An unexpected error ended the job: {type(error).__name__}: {error}",
        hint="Please report it with the log.",
    )
    ours.__cause__ = error
    return ours
