"""What is shown: the catalog's facts with live jobs laid over them.

The catalog never holds a progress tick, and a process that died could not record its end. So a
reader looks at the owners' locks and at ``jobs/*.json``, and shows what is true now.
"""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from ..catalog import Catalog, CatalogReader, HoldRow, JobRow
from ..errors import InterruptedJobError, NotFoundError, without_folders
from ..jobs import Job, interruption, read_job_file
from ..records import (
    DATA_KINDS,
    DATASET_ID_PATTERN,
    HOLDING_KINDS,
    TOKENIZATION_ID_PATTERN,
    DatasetRecord,
    JobSnapshot,
    Page,
    TokenizationRecord,
)
from .checks import check_text
from .parts import Parts, error_fields

_TRUST_S: Final = 5.0
_STALE_ENTRIES: Final = 200

_DELETION_STOPPED: Final = InterruptedJobError(
    "Its deletion was interrupted.", hint="Delete it again; the next start puts it back."
)

FactT = TypeVar("FactT")
_StoredPage = tuple[list[DatasetRecord], int, dict[str, list[TokenizationRecord]]]
ShownT = TypeVar("ShownT", DatasetRecord, TokenizationRecord)


@dataclass(frozen=True)
class Live:
    """The jobs that run, those whose process ended before they did, and those that wait."""

    running: tuple[JobSnapshot, ...]
    interrupted: tuple[JobSnapshot, ...]
    paused: tuple[JobSnapshot, ...] = ()
    holds: tuple[HoldRow, ...] = ()
    moved: frozenset[str] = frozenset()
    """Datasets and tokenizations whose deletion stopped when they were out of sight."""

    def of_dataset(self, dataset_id: str) -> list[JobSnapshot]:
        """Return the running jobs of a dataset."""
        return [job for job in self.running if job.dataset_id == dataset_id]

    @property
    def tokenizing(self) -> frozenset[str]:
        """Datasets that are shown as tokenizing."""
        return frozenset(job.dataset_id for job in self.running if job.kind == "tokenize")

    @property
    def broken(self) -> frozenset[str]:
        """Datasets that are shown as interrupted."""
        jobs = (job.dataset_id for job in self.interrupted if job.kind in DATA_KINDS)
        return frozenset(jobs) | self.moved


class _Look(ExitStack):
    """One look into the catalog for several questions: attached by the first, if any is asked.

    Looks of one view take turns.
    """

    def __init__(self, catalog: Catalog, turn: threading.Lock) -> None:
        super().__init__()
        self._catalog = catalog
        self._turn = turn
        self._has_turn = False
        self._reader: CatalogReader | None = None
        self.version: tuple[int, int] | None = None

    def take_turn(self) -> None:
        """Wait for the looks of others, which may have found what is asked for."""
        if not self._has_turn:
            self.enter_context(self._turn)
            self._has_turn = True

    def reader(self) -> CatalogReader | None:
        """Return who answers; None while there is no catalog yet."""
        if self.version is None:
            # asked before: what is read is of this version or a newer one
            self.version = self._catalog.version()
            self._reader = self.enter_context(self._catalog.read())
        return self._reader


class View:
    """Answers questions about datasets, tokenizations and jobs.

    What the catalog said is kept until its change token moves, and for 5 s at most: a tick of
    progress then costs no look into the catalog.

    *Threads:* any.
    """

    def __init__(self, parts: Parts, find_local: Callable[[str], Job | None]) -> None:
        self._parts = parts
        self._find_local = find_local
        self.renew_locks()
        self._facts: dict[Hashable, Any] = {}
        self._version: tuple[int, int] | None = None
        self._read_at = 0.0
        _views.add(self)

    def renew_locks(self) -> None:
        """Take new locks: in a forked child nobody would release one that was held."""
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def _look(self) -> _Look:
        return _Look(self._parts.catalog, self._turn)

    def live(self, look: _Look | None = None) -> Live:
        """Return the jobs as they are now."""

        def ask(reader: CatalogReader) -> tuple[list[JobRow], list[HoldRow], list[str]]:
            # while nobody writes: what is moved away then, and has its row, stays so
            moved = [name for name, _ in self._parts.storage.trashed()]
            return reader.unended_jobs(), reader.holds(), moved

        nothing: tuple[list[JobRow], list[HoldRow], list[str]] = ([], [], [])
        rows, holds, moved = self._fact("jobs", ask, nothing, look)
        running, interrupted, paused = [], [], []
        for row in rows:
            job = self._local(row)
            if row.snapshot.state == "paused":
                paused.append(self._paused(row))
            elif job is not None:
                running.append(job.snapshot())
            elif self._parts.is_alive(row):
                running.append(self._from_file(row))
            else:
                interrupted.append(self._from_file(row))
        return Live(
            tuple(running),
            tuple(interrupted),
            tuple(paused),
            tuple(filter(self._parts.is_held, holds)),
            frozenset(filter(self._is_away, moved)),
        )

    def _is_away(self, name: str) -> bool:
        is_dataset = re.fullmatch(DATASET_ID_PATTERN, name)
        return not is_dataset or not self._parts.storage.dataset_dir(name).exists()

    def _paused(self, row: JobRow) -> JobSnapshot:
        job = self._local(row)
        if job is None:
            return row.snapshot
        # a handle of what another process paused has counted nothing
        return job.snapshot().model_copy(update={"progress": row.snapshot.progress})

    def _local(self, row: JobRow) -> Job | None:
        # a job that was paused here may go on elsewhere
        is_mine = row.owner_id == self._parts.owner_id
        return self._find_local(row.snapshot.id) if is_mine else None

    def datasets(
        self,
        *,
        status: str | None = None,
        source: str | None = None,
        search: str | None = None,
        limit: int,
        offset: int,
    ) -> tuple[Page[DatasetRecord], dict[str, list[TokenizationRecord]]]:
        """Return a page of datasets with the tokenizations of each."""
        with self._look() as look:
            live = self.live(look)
            found, total, stored = self._page(
                live, look, status=status, source=source, search=search, limit=limit, offset=offset
            )
        shown = {
            dataset_id: self._shown_tokenizations(records, live)
            for dataset_id, records in stored.items()
        }
        items = tuple(self._shown_dataset(record, shown[record.id], live) for record in found)
        return Page(items=items, total=total, limit=limit, offset=offset), shown

    def _page(
        self,
        live: Live,
        look: _Look,
        *,
        status: str | None,
        source: str | None,
        search: str | None,
        limit: int,
        offset: int,
    ) -> _StoredPage:
        key = ("list", status, source, search, limit, offset, live.tokenizing, live.broken)

        def ask(reader: CatalogReader) -> _StoredPage:
            found, total = reader.list_datasets(
                status=status,
                source=source,
                search=search,
                limit=limit,
                offset=offset,
                tokenizing=live.tokenizing,
                interrupted=live.broken,
            )
            return found, total, reader.tokenizations_of(record.id for record in found)

        nothing: _StoredPage = ([], 0, {})
        return self._fact(key, ask, nothing, look)

    def dataset(self, dataset_id: str) -> DatasetRecord:
        """Return one dataset; raises `NotFoundError`, or for no string `InvalidRequestError`."""
        check_text(dataset_id, "dataset_id", "See list_datasets().")
        live = self.live()

        def ask(reader: CatalogReader) -> tuple[DatasetRecord, list[TokenizationRecord]]:
            return (
                reader.get_dataset(dataset_id),
                reader.tokenizations_of([dataset_id])[dataset_id],
            )

        is_id = re.fullmatch(DATASET_ID_PATTERN, dataset_id)
        found = self._fact(("dataset", dataset_id), ask, None) if is_id else None
        if found is None:
            raise NotFoundError(f"There is no dataset {dataset_id!r}.", hint="See list_datasets().")
        record, stored = found
        return self._shown_dataset(record, self._shown_tokenizations(stored, live), live)

    def tokenizations(self, dataset_id: str) -> list[TokenizationRecord]:
        """Return a dataset's tokenizations, newest first; raises `NotFoundError`."""
        self.dataset(dataset_id)
        live = self.live()
        nothing: list[TokenizationRecord] = []
        stored = self._fact(
            ("tokenizations", dataset_id),
            lambda reader: reader.tokenizations_of([dataset_id])[dataset_id],
            nothing,
        )
        return self._shown_tokenizations(stored, live)

    def tokenization(self, tokenization_id: str) -> TokenizationRecord:
        """Return one tokenization; raises as `dataset` does."""
        check_text(tokenization_id, "tokenization_id", "See list_tokenizations(dataset_id).")

        def ask(reader: CatalogReader) -> TokenizationRecord | None:
            return reader.find_tokenization(tokenization_id)

        live = self.live()
        is_id = re.fullmatch(TOKENIZATION_ID_PATTERN, tokenization_id)
        stored = self._fact(("tokenization", tokenization_id), ask, None) if is_id else None
        if stored is None:
            raise NotFoundError(
                f"There is no tokenization {tokenization_id!r}.",
                hint="See list_tokenizations(dataset_id).",
            )
        return self._shown_tokenizations([stored], live)[0]

    def stored_tokenizations(self) -> list[TokenizationRecord]:
        """Return all ready tokenizations as the catalog has them, paths included."""
        nothing: list[TokenizationRecord] = []
        return self._fact("ready", lambda reader: reader.ready_tokenizations(), nothing)

    def all_jobs(self) -> list[JobSnapshot]:
        """Return every job that the catalog remembers, newest first."""
        nothing: list[JobRow] = []
        rows = self._fact("all jobs", lambda reader: reader.all_jobs(), nothing)
        live = self.live()
        now = {job.id: job for job in live.running}
        for job in live.interrupted:
            now[job.id] = job.model_copy(update={"state": "failed", **_error_of(job)})
        return [now.get(row.snapshot.id, row.snapshot) for row in rows]

    def num_datasets(self) -> int:
        """Return how many datasets there are."""
        return self._fact("count", lambda reader: reader.count_datasets(), 0)

    def _fact(
        self,
        key: Hashable,
        ask: Callable[[CatalogReader], FactT],
        empty: FactT,
        look: _Look | None = None,
    ) -> FactT:
        if (known := self._known(key)) is not None:
            return cast("FactT", known[0])
        with nullcontext(look) if look else self._look() as looking:
            looking.take_turn()
            # several threads want the same after each change: who waited need not ask again
            if (known := self._known(key)) is not None:
                return cast("FactT", known[0])
            reader = looking.reader()
            answer = empty if reader is None else ask(reader)
        with self._lock:
            # a commit in between makes the answer one of an older version
            if looking.version == self._version:
                self._facts[key] = answer
        return answer

    def _known(self, key: Hashable) -> tuple[Any] | None:
        version = self._parts.catalog.version()
        with self._lock:
            is_fresh = version == self._version and time.monotonic() - self._read_at < _TRUST_S
            if not is_fresh or len(self._facts) > _STALE_ENTRIES:
                self._facts.clear()
                self._version = version
                self._read_at = time.monotonic()
            return (self._facts[key],) if key in self._facts else None

    def _from_file(self, row: JobRow) -> JobSnapshot:
        return read_job_file(self._parts.storage.jobs_dir, row.snapshot.id) or row.snapshot

    def _shown_dataset(
        self, record: DatasetRecord, tokenizations: Iterable[TokenizationRecord], live: Live
    ) -> DatasetRecord:
        changes: dict[str, Any] = {}
        tokenizations = list(tokenizations)
        ready = next((item for item in tokenizations if item.status == "ready"), None)
        changes["num_tokenizations"] = sum(item.status == "ready" for item in tokenizations)
        if ready is not None:
            changes["num_tokens"] = ready.num_tokens
            changes["vocab_size"] = ready.vocab_size
            changes["avg_sequence_length"] = ready.avg_seq_length
        if not self._parts.read_only and record.status == "ready":
            changes["file_path"] = str(self._parts.storage.raw_dir(record.id))
            if ready is not None:
                folder = self._parts.storage.tokenization_dir(record.id, ready.id)
                changes["tokenized_path"] = str(folder)
        jobs = live.of_dataset(record.id)
        changes["in_use_by"] = (
            *(f"{job.kind} {job.id}" for job in jobs if job.kind in HOLDING_KINDS),
            *(hold.held_by for hold in live.holds if hold.dataset_id == record.id),
        )
        shown = [job for job in jobs if job.kind in DATA_KINDS or job.kind == "tokenize"]
        if shown:
            changes["progress"] = shown[0].progress
            if record.status == "ready":
                changes["status"] = "tokenizing"
        for job in live.interrupted:
            if job.dataset_id == record.id and job.kind in DATA_KINDS:
                changes |= {"status": "error", "progress": job.progress, **_error_of(job)}
        if record.id in live.moved and record.status == "ready":
            changes |= {"status": "error", **error_fields(_DELETION_STOPPED)}
        return self._without_paths(record.model_copy(update=changes))

    def _shown_tokenizations(
        self, stored: Iterable[TokenizationRecord], live: Live
    ) -> list[TokenizationRecord]:
        running = {job.tokenization_id: job for job in live.running}
        broken = {job.tokenization_id: job for job in live.interrupted}
        shown = []
        for record in stored:
            changes: dict[str, Any] = {}
            if record.status == "ready" and self._is_moved(record, live):
                changes = {"status": "error", **error_fields(_DELETION_STOPPED)}
            if record.status in ("queued", "tokenizing"):
                if record.id in running:
                    changes = {"progress": running[record.id].progress}
                elif record.id in broken:
                    changes = {"status": "error", **_error_of(broken[record.id])}
            if self._parts.read_only:
                changes["settings"] = record.settings.model_copy(
                    update={"tokenizer": record.tokenizer_name}
                )
            shown.append(self._without_paths(record.model_copy(update=changes)))
        return shown

    def _is_moved(self, record: TokenizationRecord, live: Live) -> bool:
        if record.dataset_id in live.moved:
            return True
        storage = self._parts.storage
        return (
            record.id in live.moved
            and not storage.tokenization_dir(record.dataset_id, record.id).exists()
        )

    def _without_paths(self, record: ShownT) -> ShownT:
        """Leave out folders of this machine where strangers may look."""
        if not self._parts.read_only:
            return record
        shown: dict[str, Any] = {
            name: without_folders(text)
            for name in ("error_message", "hint")
            if (text := getattr(record, name)) is not None
        }
        if isinstance(record, DatasetRecord):
            shown["in_use_by"] = tuple(without_folders(name) for name in record.in_use_by)
        return record.model_copy(update=shown)


def _error_of(job: JobSnapshot) -> dict[str, str | None]:
    return error_fields(interruption(job.progress))


_views: weakref.WeakSet[View] = weakref.WeakSet()


def _renew_locks() -> None:
    for view in list(_views):
        view.renew_locks()


os.register_at_fork(after_in_child=_renew_locks)
