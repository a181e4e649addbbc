"""What goes up to the browser: the traits, the replies and the errors."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import (
    ConfigNotFoundError,
    InvalidRequestError,
    MiStudioError,
    SplitNotFoundError,
    without_folders,
)
from ..records import (
    ColumnStatistics,
    DataFile,
    DatasetId,
    DatasetRecord,
    DatasetStatus,
    DownloadPlan,
    Event,
    IndexStatus,
    JobSnapshot,
    Page,
    Record,
    Sample,
    SampleSpan,
    Source,
    StorageReport,
    TokenizationId,
    TokenizationRecord,
    TokenizationSettings,
    TokenizationStatus,
    TokenPreview,
    TokenView,
    UtcDatetime,
)
from .requests import MAX_SHORT_TEXT

MAX_REPLY_BYTES: Final = 8_000_000
MAX_CHOICES: Final = 500


class TokenizationChip(Record):
    """A tokenization as a card names it."""

    tokenization_id: TokenizationId
    tokenizer_name: str
    settings: TokenizationSettings
    status: TokenizationStatus
    error_message: str | None
    hint: str | None


class DatasetCard(Record):
    """A dataset as its card shows it: the record without its long fields."""

    id: DatasetId
    name: str
    source: Source
    repo_id: str | None
    config: str | None
    status: DatasetStatus
    progress: float
    error_code: str | None
    error_message: str | None
    hint: str | None
    size_bytes: int | None
    num_samples: int | None
    num_tokens: int | None
    num_skipped_files: int
    text_column: str | None
    tokenizations: tuple[TokenizationChip, ...]
    in_use_by: tuple[str, ...]
    created_at: UtcDatetime
    updated_at: UtcDatetime

    @classmethod
    def of(cls, record: DatasetRecord, chips: tuple[TokenizationChip, ...]) -> DatasetCard:
        """Take from ``record`` what a card shows."""
        download = record.metadata.download
        shared = cls.model_fields.keys() & DatasetRecord.model_fields.keys()
        return cls(
            **{name: getattr(record, name) for name in shared},
            tokenizations=chips,
            num_skipped_files=(download.num_skipped_files or 0) if download else 0,
        )


class ErrorInfo(Record):
    """An error as the panel shows it.

    Attributes
    ----------
    choices : tuple of str
        What could be asked for instead, where the error knows it: the first 500 names.
    """

    code: str
    message: str
    hint: str | None
    field: str | None
    choices: tuple[str, ...]


class PanelState(Record):
    """The traits: whole values, published together.

    Attributes
    ----------
    auto_tokenize : TokenizationSettings or None
        What downloads and imports from the panel are tokenized with when they name nothing;
        None in a read-only panel.
    error : ErrorInfo or None
        Why the rest is out of date; its code is "closed" when nothing will change any more.
    version : str
        Empty until the rest was published once.
    """

    datasets: tuple[DatasetCard, ...]
    total: int
    jobs: tuple[JobSnapshot, ...]
    storage: StorageReport | None
    read_only: bool
    auto_tokenize: TokenizationSettings | None
    error: ErrorInfo | None
    version: str


class Started(Record):
    """A job began; the card can be drawn from this at once."""

    job: JobSnapshot
    dataset: DatasetCard


class Freed(Record):
    """Something was deleted."""

    freed_bytes: int


class Pong(Record):
    """The kernel is alive."""

    version: str


class Aborted(Record):
    """An earlier request was told to end, unless it had its reply already."""

    was_under_way: bool


class Results(Record):
    """What each kind of request is answered with."""

    list_datasets: Page[DatasetCard]
    get_dataset: DatasetRecord
    list_files: Page[DataFile]
    plan_download: DownloadPlan
    download: Started
    import_files: Started
    retry: Started
    pause: JobSnapshot
    verify: Started
    build_index: Started
    delete_index: Freed
    index_status: IndexStatus
    cancel: JobSnapshot
    delete_dataset: Freed
    tokenize: Started
    list_tokenizations: tuple[TokenizationRecord, ...]
    delete_tokenization: Freed
    preview_tokens: TokenPreview
    samples: Page[Sample]
    sample_tokens: TokenView
    sequence_samples: tuple[SampleSpan, ...]
    column_statistics: ColumnStatistics
    storage: StorageReport
    cleanup: Freed
    ping: Pong
    abort: Aborted


class Failure(Record):
    """The answer to a request that could not be done."""

    request_id: str | None
    ok: Literal[False]
    error: ErrorInfo


class Protocol(Record):
    """The root of the schema; never sent."""

    state: PanelState
    results: Results
    failure: Failure
    event: Event


def success(request_id: str, result: Record | tuple[Record, ...]) -> dict[str, Any]:
    """Build the reply to a request that was done."""
    if isinstance(result, Record):
        plain: Any = result.model_dump(mode="json")
    else:
        plain = [item.model_dump(mode="json") for item in result]
    return {"request_id": request_id, "ok": True, "result": plain}


def failure(
    request_id: str | None, error: MiStudioError, *, hidden_root: Path | None = None
) -> dict[str, Any]:
    """Build the reply to a request that could not be done."""
    info = error_info(error, hidden_root=hidden_root)
    return Failure(request_id=request_id, ok=False, error=info).model_dump(mode="json")


def error_info(error: MiStudioError, *, hidden_root: Path | None = None) -> ErrorInfo:
    """Return an error as the panel shows it; ``hidden_root``: no folder, this one least of all."""

    def shown(text: str) -> str:
        return text if hidden_root is None else without_folders(text, hidden_root)

    return ErrorInfo(
        code=error.code,
        message=shown(error.message),
        hint=None if error.hint is None else shown(error.hint),
        field=error.field if isinstance(error, InvalidRequestError) else None,
        choices=_choices(error),
    )


def _choices(error: MiStudioError) -> tuple[str, ...]:
    if not isinstance(error, ConfigNotFoundError | SplitNotFoundError):
        return ()
    can_be_asked = (name for name in error.choices if len(name) <= MAX_SHORT_TEXT)
    return tuple(islice(can_be_asked, MAX_CHOICES))


def cancelled(request_id: str) -> dict[str, Any]:
    """Build the reply to a request that was aborted before it was done."""
    info = ErrorInfo(
        code="cancelled", message="The request was aborted.", hint=None, field=None, choices=()
    )
    return Failure(request_id=request_id, ok=False, error=info).model_dump(mode="json")
