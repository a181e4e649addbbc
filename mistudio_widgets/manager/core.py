"""What all methods of the manager stand on."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .. import __version__
from ..catalog import Catalog, CatalogWriter, JobRow
from ..errors import (
    CorruptFileError,
    InterruptedJobError,
    InUseError,
    MiStudioError,
    NotFoundError,
    shown_path,
)
from ..hub import BandwidthLimit, Hub, redacted
from ..jobs import Job, JobRunner, Owner, Work
from ..logs import open_log
from ..metrics import open_meter
from ..records import (
    ACTIVE_STATES,
    HOLDING_KINDS,
    DatasetRecord,
    DownloadRequest,
    Event,
    ImportRequest,
    IndexRequest,
    JobKind,
    JobSnapshot,
    JobState,
    TokenizationRecord,
)
from ..storage import Storage, default_data_dir, disk_errors
from .checks import whole_number
from .events import Announcer, completed_event, damage_event, error_event, progress_event
from .follow import Follower
from .journal import Journal
from .notes import note_end, note_job
from .parts import Parts
from .recovery import recover
from .taking_up import take_up
from .view import View

_REMEMBERED_JOBS: Final = 200


class Core:
    """What all methods stand on: the parts, the runner, the view, and their lifetime.

    Parameters are those of `DatasetManager`.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | None = None,
        *,
        read_only: bool = False,
        device: str = "auto",
        max_downloads: int = 2,
        max_tokenizations: int = 1,
        bandwidth_limit: int | None = None,
        keep_originals: bool = False,
        executor: Executor | None = None,
        hub_endpoint: str | None = None,
    ) -> None:
        for field, limit in (
            ("max_downloads", max_downloads),
            ("max_tokenizations", max_tokenizations),
        ):
            whole_number(limit, field, least=1)
        self.read_only = read_only or _is_voila()
        self.is_closed = False
        hub, bandwidth = Hub(hub_endpoint), BandwidthLimit(bandwidth_limit)
        storage = Storage(
            Path(data_dir) if data_dir is not None else default_data_dir(),
            read_only=self.read_only,
        )
        self._opened_at = time.monotonic()
        outlets = ExitStack()
        # also where nobody closes the manager, but not at the exit: `_close_at_exit` is first
        self._close_outlets = weakref.finalize(self, outlets.close)
        self._close_outlets.atexit = False
        try:
            outlets.callback(open_log(storage.root, read_only=self.read_only, redact=redacted))
            meter = open_meter()
            outlets.callback(meter.close)
            # before it is owned: one that is refused stays as it was
            catalog = Catalog(
                storage.catalog_path, read_only=self.read_only, observe=meter.observe_catalog
            )
            with disk_errors("open the data folder"):
                self._owner = None if self.read_only else Owner(storage.owners_dir)
            self._parts = Parts(
                storage=storage,
                catalog=catalog,
                hub=hub,
                owner_id=self._owner.id if self._owner else "",
                read_only=self.read_only,
                device=device,
                executor=executor,
                bandwidth=bandwidth,
                keep_originals=keep_originals,
                journal=Journal(storage.root, meter),
            )
            self._start(max_downloads, max_tokenizations)
        except BaseException:
            self._close_outlets()
            raise

    def _start(self, max_downloads: int, max_tokenizations: int) -> None:
        storage, journal = self._parts.storage, self._parts.journal
        mode = ", read-only" if self.read_only else ""
        journal.info("opened %s%s (version %s)", shown_path(storage.root), mode, __version__)
        self._lock = threading.Lock()
        self._announcer = Announcer()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._runner = JobRunner(
            {
                "download": max_downloads,
                "import": max_downloads,
                "tokenize": max_tokenizations,
                "index": 1,
                "verify": 1,
            },
            storage.jobs_dir,
            on_change=self._job_changed,
            on_tick=self._jobs_moved,
        )
        self._view = View(self._parts, self._runner.find)
        self._follower = Follower(self._parts)
        self._hub_folders: dict[str, tuple[float, Path]] = {}
        self._close_at_exit = _close_at_exit(self)
        self._at_close: list[Callable[[], None]] = []
        journal.meter.watch_jobs(self._live_jobs)
        if not self.read_only:
            recover(self._parts)
            take_up(self._parts)
        self._begin()

    def _begin(self) -> None:
        """Start what a manager does of its own accord; ``_at_close`` ends it."""

    def _let_go(self, dataset_id: str) -> None:
        """Keep nothing of a dataset open: it goes, or its index does."""

    def _replace_index(self, dataset_id: str) -> None:
        """Remove an index that was found to be damaged, and have another one built."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        mode = ", read-only" if self.read_only else ""
        return f"<DatasetManager {shown_path(self._parts.storage.root)}{mode}>"

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return self._parts.storage.root

    @property
    def bandwidth_limit(self) -> int | None:
        """Bytes per second that all downloads together may take; None: no limit.

        May be set at any time, also while a download runs.
        """
        return self._parts.bandwidth.bytes_per_s

    @bandwidth_limit.setter
    def bandwidth_limit(self, bytes_per_s: int | None) -> None:
        self._parts.bandwidth.bytes_per_s = bytes_per_s

    def close(self, timeout_s: float = 10) -> None:
        """Stop all jobs and let go of the data folder.

        Jobs that had not ended are recorded as interrupted; `retry` goes on with them.

        Parameters
        ----------
        timeout_s : float
            Seconds to wait for the jobs' threads.
        """
        self.is_closed = True
        for end in self._at_close:
            end()
        self._runner.close(timeout_s)
        self._follower.close()
        self._announcer.close()
        if self._owner is not None:
            self._owner.release()
        self._close_at_exit()
        if self._close_outlets.alive:
            open_s = time.monotonic() - self._opened_at
            self._parts.journal.info(
                "closed %s after %.1f s", shown_path(self._parts.storage.root), open_s
            )
            self._close_outlets()

    def jobs(self, *, active: bool = True) -> list[JobSnapshot]:
        """Return the jobs of all processes that have not ended, or every job remembered."""
        if not active:
            return self._view.all_jobs()
        live = self._view.live()
        return [*live.running, *live.paused]

    def job(self, job_id: str) -> Job:
        """Return a job of this manager by its id.

        Raises
        ------
        NotFoundError
            No such job, or it runs in another process.
        ReadOnlyError
            A read-only manager has no jobs to handle.
        """
        self._parts.must_write("handle jobs")
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise NotFoundError(
                f"There is no job {job_id!r} in this process.",
                hint="A job can be handled only where it was started.",
            )
        return job

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``callback`` with every event of this manager's jobs.

        Returns
        -------
        callable
            Ends the subscription.

        *Threads:* called from the jobs' threads, at most ten times a second for each job.
        """
        return self._announcer.subscribe(callback)

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` whenever lists or progress may have changed, in any process.

        Returns
        -------
        callable
            Ends it.

        *Threads:* called from background threads; must be quick.
        """
        return self._follower.add(callback)

    def _new_job(
        self,
        writer: CatalogWriter,
        kind: JobKind,
        dataset_id: str,
        request: ImportRequest | DownloadRequest | IndexRequest | None,
        tokenization_id: str | None = None,
    ) -> Job:
        self._must_be_open()
        automatic = isinstance(request, IndexRequest) and request.automatic
        name = writer.get_dataset(dataset_id).name
        job = Job(kind, dataset_id, tokenization_id, automatic=automatic, name=name)
        self._parts.own_jobs.add(job.id)
        writer.insert_job(
            JobRow(
                snapshot=job.snapshot(),
                owner_id=self._parts.owner_id,
                request=request.model_dump(mode="json") if request is not None else None,
            )
        )
        return job

    def _must_be_open(self) -> None:
        """Raise `InterruptedJobError` once closed, before anything is written that would stay."""
        if self.is_closed:
            raise InterruptedJobError("The manager is closed.", hint="Make a new DatasetManager.")

    def _submit(self, job: Job, work: Work) -> Job:
        self._remember(job)
        note_job(self._parts, job)
        try:
            self._runner.submit(job, work)
        except MiStudioError as error:
            work.fail(job, error)
            raise
        self._parts.journal.job_changed(job)
        self._follower.notify()
        return job

    def _remember(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.id] = job
            while len(self._jobs) > _REMEMBERED_JOBS:
                self._jobs.popitem(last=False)

    def _must_be_idle(
        self,
        writer: CatalogWriter,
        dataset_id: str,
        what: str,
        kinds: Collection[JobKind] = HOLDING_KINDS,
    ) -> None:
        by = tuple(
            f"{row.snapshot.kind} {row.snapshot.id}"
            for row in writer.active_jobs()
            if row.snapshot.dataset_id == dataset_id
            and row.snapshot.kind in kinds
            and self._parts.is_alive(row)
        )
        if by:
            raise InUseError(
                f"Cannot {what} the dataset while it is in use by {', '.join(by)}.",
                by=by,
                hint="Cancel that job or wait for it.",
            )

    def _job_changed(self, job: Job) -> None:
        self._parts.journal.job_changed(job)
        if job.state == "succeeded":
            self._after_success(job)
        self._follower.notify()
        snapshot = job.snapshot()
        if snapshot.state not in ACTIVE_STATES:
            self._parts.own_jobs.discard(job.id)
            if snapshot.paused:
                note_job(self._parts, job)
            else:
                note_end(self._parts, job)
        if snapshot.automatic:
            return
        if snapshot.state == "failed":
            self._announcer.announce(error_event(snapshot))
        elif snapshot.state == "succeeded":
            with suppress(NotFoundError):
                dataset = self._view.dataset(job.dataset_id)
                damaged = self._damaged(dataset) if job.kind == "verify" else None
                self._announcer.announce(
                    damage_event(snapshot, dataset, damaged)
                    if damaged
                    else completed_event(snapshot, dataset)
                )

    def _damaged(self, dataset: DatasetRecord) -> DatasetRecord | TokenizationRecord | None:
        """Return what a verification found to be damaged: the dataset, else a tokenization."""
        records: list[DatasetRecord | TokenizationRecord]
        records = [dataset, *self._view.tokenizations(dataset.id)]
        return next((item for item in records if item.error_code == CorruptFileError.code), None)

    def _jobs_moved(self, jobs: list[Job]) -> None:
        self._parts.journal.jobs_moved(jobs)
        self._follower.notify()
        for job in jobs:
            if job.kind == "index":
                continue
            self._announcer.announce(progress_event(job.snapshot()))

    def _live_jobs(self) -> list[tuple[JobKind, JobState]]:
        """Return kind and state of this manager's jobs that have not ended."""
        return [(job.kind, job.state) for job in self._runner.live()]

    def _after_success(self, job: Job) -> None:
        """Start what follows a job."""


def _is_voila() -> bool:
    return bool(os.environ.get("VOILA_KERNEL_ID") or os.environ.get("VOILA_PREHEAT"))


def _close_at_exit(manager: Core) -> Callable[[], None]:
    """Close the manager when the process ends in order; returns what takes that back."""
    reference = weakref.ref(manager)

    def close() -> None:
        alive = reference()
        if alive is not None:
            alive.close()

    atexit.register(close)
    return lambda: atexit.unregister(close)
