"""The wire between kernel and browser, written once.

Up go the traits (`PanelState`, one trait per field), replies and events; down come requests.
``python -m mistudio_widgets.messages`` prints the JSON schema from which the front end's
``protocol.gen.ts`` is generated.

A request carries the parameter names of the `DatasetManager` method of the same name. It is
validated here, unknown fields refused and sizes capped, before anything happens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.json_schema import models_json_schema

from .errors import ConfigNotFoundError, InvalidRequestError, MiStudioError, SplitNotFoundError
from .records import (
    ColumnStatistics,
    DatasetId,
    DatasetRecord,
    DatasetStatus,
    DownloadPlan,
    Event,
    JobId,
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
    invalid_request,
)

MAX_REQUEST_BYTES: Final = 1_000_000
MAX_REPLY_BYTES: Final = 8_000_000
MAX_CHOICES: Final = 500

RequestId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MAX_SHORT_TEXT: Final = 500
ShortText = Annotated[str, StringConstraints(max_length=MAX_SHORT_TEXT)]
SplitNames = ShortText | Annotated[list[ShortText], Field(min_length=1, max_length=100)]
PathText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
HfToken = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class _Request(Record):
    request_id: RequestId


class ListDatasets(_Request):
    """A page of the catalog."""

    kind: Literal["list_datasets"]
    status: DatasetStatus | None = None
    source: Source | None = None
    search: ShortText | None = None
    limit: int = Field(default=50, ge=1, le=100)
    offset: int = Field(default=0, ge=0)


class GetDataset(_Request):
    """The whole record of one dataset."""

    kind: Literal["get_dataset"]
    dataset_id: DatasetId


class PlanDownload(_Request):
    """What a download would fetch."""

    kind: Literal["plan_download"]
    repo_id: ShortText
    config: ShortText | None = None
    split: SplitNames | None = None
    revision: ShortText | None = None
    hf_token: HfToken | None = Field(default=None, repr=False)


class Download(_Request):
    """Start a download."""

    kind: Literal["download"]
    repo_id: ShortText
    config: ShortText | None = None
    split: SplitNames | None = None
    revision: ShortText | None = None
    hf_token: HfToken | None = Field(default=None, repr=False)
    name: ShortText | None = None
    tokenize: TokenizationSettings | None = None


class ImportFiles(_Request):
    """Start an import of files on the kernel's machine."""

    kind: Literal["import_files"]
    paths: list[PathText] = Field(min_length=1, max_length=1000)
    name: ShortText | None = None
    split: ShortText = "train"
    splits: dict[ShortText, float] | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)
    sample_by: Literal["line", "paragraph", "document"] | None = None
    text_column: ShortText | None = None
    tokenize: TokenizationSettings | None = None


class Retry(_Request):
    """Go on with a dataset that failed."""

    kind: Literal["retry"]
    dataset_id: DatasetId
    hf_token: HfToken | None = Field(default=None, repr=False)


class Pause(_Request):
    """Stop a download and keep what it fetched."""

    kind: Literal["pause"]
    job_id: JobId


class Verify(_Request):
    """Hash every file of a dataset again."""

    kind: Literal["verify"]
    dataset_id: DatasetId


class BuildIndex(_Request):
    """Build the full-text index of a dataset."""

    kind: Literal["build_index"]
    dataset_id: DatasetId


class DeleteIndex(_Request):
    """Remove the full-text index of a dataset."""

    kind: Literal["delete_index"]
    dataset_id: DatasetId


class Cancel(_Request):
    """Stop a job and remove what it wrote."""

    kind: Literal["cancel"]
    job_id: JobId


class DeleteDataset(_Request):
    """Remove a dataset with everything made from it."""

    kind: Literal["delete_dataset"]
    dataset_id: DatasetId


class Tokenize(_Request):
    """Start a tokenization."""

    kind: Literal["tokenize"]
    dataset_id: DatasetId
    settings: TokenizationSettings


class ListTokenizations(_Request):
    """All tokenizations of one dataset, newest first."""

    kind: Literal["list_tokenizations"]
    dataset_id: DatasetId


class DeleteTokenization(_Request):
    """Remove one tokenization."""

    kind: Literal["delete_tokenization"]
    tokenization_id: TokenizationId


class PreviewTokens(_Request):
    """What a text, or a row of a dataset, becomes."""

    kind: Literal["preview_tokens"]
    text: Annotated[str, StringConstraints(max_length=1000)] | None = None
    dataset_id: DatasetId | None = None
    split: ShortText | None = None
    row: int = Field(default=0, ge=0)
    settings: TokenizationSettings


class Samples(_Request):
    """A page of the data. A newer one of the same ``view`` aborts the older."""

    kind: Literal["samples"]
    dataset_id: DatasetId
    split: ShortText | None = None
    search: Annotated[str, StringConstraints(max_length=1000)] | None = None
    min_tokens: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    tokenization_id: TokenizationId | None = None
    limit: int = Field(default=10, ge=1, le=100)
    offset: int = Field(default=0, ge=0)
    exact_total: bool = True
    view: RequestId | None = None


class SampleTokens(_Request):
    """What became of a sample."""

    kind: Literal["sample_tokens"]
    tokenization_id: TokenizationId
    split: ShortText
    row: int = Field(ge=0)


class SequenceSamples(_Request):
    """Which samples stand in a sequence."""

    kind: Literal["sequence_samples"]
    tokenization_id: TokenizationId
    split: ShortText
    sequence: int = Field(ge=0)


class GetColumnStatistics(_Request):
    """What the columns hold; all texts are read at the first question."""

    kind: Literal["column_statistics"]
    dataset_id: DatasetId


class Storage(_Request):
    """The disk under the data folder."""

    kind: Literal["storage"]


class Ping(_Request):
    """A sign of life."""

    kind: Literal["ping"]


class Abort(_Request):
    """Nobody waits for an earlier request any more.

    What can be ended in the middle is ended, what has not begun is not done. The earlier request
    has its own reply all the same: with the error ``cancelled``, or that it was done.
    """

    kind: Literal["abort"]
    aborted_id: RequestId


Request = Annotated[
    ListDatasets
    | GetDataset
    | PlanDownload
    | Download
    | ImportFiles
    | Retry
    | Pause
    | Verify
    | BuildIndex
    | DeleteIndex
    | Cancel
    | DeleteDataset
    | Tokenize
    | ListTokenizations
    | DeleteTokenization
    | PreviewTokens
    | Samples
    | SampleTokens
    | SequenceSamples
    | GetColumnStatistics
    | Storage
    | Ping
    | Abort,
    Field(discriminator="kind"),
]


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


class PanelState(Record):
    """The traits: whole values, published together."""

    datasets: tuple[DatasetCard, ...]
    total: int
    jobs: tuple[JobSnapshot, ...]
    storage: StorageReport | None
    read_only: bool
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
    plan_download: DownloadPlan
    download: Started
    import_files: Started
    retry: Started
    pause: JobSnapshot
    verify: Started
    build_index: Started
    delete_index: Freed
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
    ping: Pong
    abort: Aborted


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


_REQUEST: Final[TypeAdapter[Request]] = TypeAdapter(Request)


def parse_request(content: object) -> Request:
    """Validate a message from the browser.

    Raises
    ------
    InvalidRequestError
        For anything that is not one of the requests above.
    """
    if not isinstance(content, Mapping):
        raise InvalidRequestError("A request must be an object.", field="request")
    try:
        size = len(json.dumps(content))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError("A request must be plain JSON.", field="request") from error
    if size > MAX_REQUEST_BYTES:
        raise InvalidRequestError(
            f"The request has {size} bytes; at most {MAX_REQUEST_BYTES} are taken.",
            field="request",
        )
    try:
        return _REQUEST.validate_python(content)
    except ValidationError as error:
        raise _without_kind(invalid_request(error, what="request")) from error


def _without_kind(error: InvalidRequestError) -> InvalidRequestError:
    # pydantic puts the union's tag in front: "download.repo_id" is the field repo_id
    kind, dot, field = error.field.partition(".")
    if dot and kind in Results.model_fields:
        return InvalidRequestError(
            error.message.replace(f"{kind}.", "", 1), field=field, hint=error.hint
        )
    return error


def request_id_of(content: object) -> str | None:
    """Return the message's id if it has a usable one."""
    value = content.get("request_id") if isinstance(content, Mapping) else None
    return value if isinstance(value, str) and 1 <= len(value) <= 64 else None


def success(request_id: str, result: Record | tuple[Record, ...]) -> dict[str, Any]:
    """Build the reply to a request that was done."""
    if isinstance(result, Record):
        plain: Any = result.model_dump(mode="json")
    else:
        plain = [item.model_dump(mode="json") for item in result]
    return {"request_id": request_id, "ok": True, "result": plain}


def failure(request_id: str | None, error: MiStudioError) -> dict[str, Any]:
    """Build the reply to a request that could not be done."""
    info = ErrorInfo(
        code=error.code,
        message=error.message,
        hint=error.hint,
        field=error.field if isinstance(error, InvalidRequestError) else None,
        choices=_choices(error),
    )
    return Failure(request_id=request_id, ok=False, error=info).model_dump(mode="json")


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


def schema() -> dict[str, Any]:
    """Return the JSON schema of everything above, requests and what goes up in one."""
    _, definitions = models_json_schema(
        [(Protocol, "serialization"), *((model, "validation") for model in _request_models())],
        title="mistudio_widgets protocol",
    )
    defs = definitions["$defs"]
    requests = [{"$ref": f"#/$defs/{model.__name__}"} for model in _request_models()]
    root = dict(defs.pop("Protocol"))
    root["properties"] = {**root["properties"], "request": {"oneOf": requests}}
    root["required"] = [*root["required"], "request"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": defs}


def _request_models() -> list[type[_Request]]:
    return list(_Request.__subclasses__())


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, sort_keys=True))  # noqa: T201 -- its one purpose
