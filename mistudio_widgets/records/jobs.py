"""Jobs and the events that tell of them."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from ._base import DatasetId, JobId, Record, TokenizationId, UtcDatetime
from .dataset import DatasetStatus

JobKind = Literal["download", "import", "tokenize", "index", "verify"]
JobState = Literal["queued", "running", "paused", "cancelling", "succeeded", "failed", "cancelled"]

ACTIVE_STATES: Final[frozenset[JobState]] = frozenset({"queued", "running", "cancelling"})
"""States that need a living owner; a paused job waits for ``retry``, whoever calls it."""

ALL_KINDS: Final[frozenset[JobKind]] = frozenset(get_args(JobKind))

HOLDING_KINDS: Final[frozenset[JobKind]] = ALL_KINDS - {"index"}
"""Jobs that keep their dataset from being deleted; an index is given up with it."""

DATA_KINDS: Final[frozenset[JobKind]] = frozenset({"download", "import"})
"""Jobs that make a dataset, which is not ready while one of them is unfinished."""

PAUSABLE_KINDS: Final[frozenset[JobKind]] = frozenset({"download"})


class JobSnapshot(Record):
    """One job at one moment.

    Attributes
    ----------
    progress : float
        0..100 over all phases.
    phase, done, total, unit
        The running phase: ``done`` of ``total`` (None: unknown) ``unit``.
    per_s : float or None
        Units per second over the last five seconds.
    eta_s : float or None
        Seconds to the end of the phase.
    automatic : bool
        Whether nobody asked for it: the index that follows a dataset. It tells no events.
    """

    id: JobId
    kind: JobKind
    dataset_id: DatasetId
    tokenization_id: TokenizationId | None = None
    state: JobState
    automatic: bool = False
    progress: float = Field(default=0.0, ge=0, le=100)
    phase: str = ""
    done: int = 0
    total: int | None = None
    unit: str = ""
    per_s: float | None = None
    eta_s: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    hint: str | None = None
    created_at: UtcDatetime

    @property
    def paused(self) -> bool:
        """Whether the job waits for `DatasetManager.retry`."""
        return self.state == "paused"


class DownloadProgressEvent(Record):
    """Bytes of a download arrived, or bytes of an import were read."""

    event: Literal["download_progress"] = "download_progress"
    dataset_id: DatasetId
    job_id: JobId
    status: DatasetStatus
    progress: float
    bytes_downloaded: int
    total_bytes: int | None
    bytes_per_s: float | None
    eta_s: float | None


class TokenizationProgressEvent(Record):
    """Samples were tokenized."""

    event: Literal["tokenization_progress"] = "tokenization_progress"
    dataset_id: DatasetId
    job_id: JobId
    status: DatasetStatus
    progress: float
    samples_processed: int
    total_samples: int | None
    tokens_per_s: float | None
    eta_s: float | None


class CompletedEvent(Record):
    """A job succeeded; what it made is in the catalog."""

    event: Literal["completed"] = "completed"
    dataset_id: DatasetId
    job_id: JobId
    kind: JobKind
    status: DatasetStatus
    num_samples: int | None
    num_tokens: int | None
    vocab_size: int | None


class ErrorEvent(Record):
    """A job failed; the dataset or the tokenization keeps the same message."""

    event: Literal["error"] = "error"
    dataset_id: DatasetId
    job_id: JobId
    kind: JobKind
    status: DatasetStatus
    error_code: str
    error_message: str
    hint: str | None


Event = Annotated[
    DownloadProgressEvent | TokenizationProgressEvent | CompletedEvent | ErrorEvent,
    Field(discriminator="event"),
]
