"""What comes down from the browser: one model per kind of request, and their validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from ..errors import InvalidRequestError
from ..records import (
    CLEANUP_KINDS,
    CleanupKind,
    DatasetId,
    DatasetStatus,
    JobId,
    Record,
    Source,
    TokenizationId,
    TokenizationSettings,
    invalid_request,
)

MAX_REQUEST_BYTES: Final = 1_000_000

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


class ListFiles(_Request):
    """A page of the files of one dataset, with their hashes."""

    kind: Literal["list_files"]
    dataset_id: DatasetId
    limit: int = Field(default=50, ge=1, le=100)
    offset: int = Field(default=0, ge=0)


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


class GetIndexStatus(_Request):
    """Whether a search of a dataset has an index."""

    kind: Literal["index_status"]
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


class Cleanup(_Request):
    """Remove what nobody needs any more."""

    kind: Literal["cleanup"]
    kinds: Annotated[tuple[CleanupKind, ...], Field(min_length=1, max_length=3)] = CLEANUP_KINDS
    older_than_days: int = Field(default=0, ge=0, le=36_500)


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
    | ListFiles
    | PlanDownload
    | Download
    | ImportFiles
    | Retry
    | Pause
    | Verify
    | BuildIndex
    | DeleteIndex
    | GetIndexStatus
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
    | Cleanup
    | Ping
    | Abort,
    Field(discriminator="kind"),
]


REQUEST_MODELS: Final[tuple[type[_Request], ...]] = get_args(get_args(Request)[0])
_KINDS: Final = frozenset(
    get_args(model.model_fields["kind"].annotation)[0] for model in REQUEST_MODELS
)
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
        # half a surrogate pair would make every answer that quotes it impossible to send
        size = len(json.dumps(content, ensure_ascii=False).encode())
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
    if dot and kind in _KINDS:
        return InvalidRequestError(
            error.message.replace(f"{kind}.", "", 1), field=field, hint=error.hint
        )
    return error


def request_id_of(content: object) -> str | None:
    """Return the message's id if it has a usable one."""
    value = content.get("request_id") if isinstance(content, Mapping) else None
    if not isinstance(value, str) or not 1 <= len(value) <= 64:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value
