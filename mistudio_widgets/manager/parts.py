"""The pieces that the modules of this folder share."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field

from ..catalog import Catalog, HoldRow, JobRow
from ..errors import MiStudioError, ReadOnlyError
from ..hub import BandwidthLimit, Hub
from ..jobs import Job, is_owner_alive
from ..records import JobState
from ..storage import Storage
from .journal import Journal


@dataclass(frozen=True)
class Parts:
    """One data folder and how to work on it."""

    storage: Storage
    catalog: Catalog
    hub: Hub
    owner_id: str
    read_only: bool
    device: str
    executor: Executor | None
    bandwidth: BandwidthLimit
    keep_originals: bool
    journal: Journal
    own_jobs: set[str] = field(default_factory=set)
    """Jobs of this manager that have not ended, from before their rows are committed."""

    own_holds: set[str] = field(default_factory=set)
    """Holds of this manager that were not released, from before their rows are committed."""

    def must_write(self, what: str) -> None:
        """Raise `ReadOnlyError` unless this manager may write."""
        if self.read_only:
            raise ReadOnlyError(
                f"This manager is read-only: it cannot {what}.",
                hint="Use a DatasetManager in a notebook or script of your own.",
            )

    def is_alive(self, row: JobRow) -> bool:
        """Whether somebody still works on a job.

        One of this manager's own may have ended while the catalog was locked by others, and
        could not say so.
        """
        if row.owner_id == self.owner_id:
            return row.snapshot.id in self.own_jobs
        return is_owner_alive(self.storage.owners_dir, row.owner_id)

    def is_held(self, row: HoldRow) -> bool:
        """Whether somebody still holds a dataset: the row of one who died stays behind."""
        if row.owner_id == self.owner_id:
            return row.id in self.own_holds
        return is_owner_alive(self.storage.owners_dir, row.owner_id)

    def record_state(self, job: Job, state: JobState) -> None:
        """Write a job's state into the catalog."""
        with self.catalog.write() as writer:
            writer.update_job(job.snapshot().model_copy(update={"state": state}))


def error_fields(error: MiStudioError) -> dict[str, str | None]:
    """Return the fields by which records and snapshots tell of an error."""
    return {"error_code": error.code, "error_message": error.message, "hint": error.hint}
