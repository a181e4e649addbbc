"""What every record has in common."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from ..errors import InvalidRequestError

DATASET_ID_PATTERN = r"^ds_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
TOKENIZATION_ID_PATTERN = r"^tok_[0-9a-f]{16}$"
JOB_ID_PATTERN = r"^job_[0-9a-f]{32}$"

DatasetId = Annotated[str, StringConstraints(pattern=DATASET_ID_PATTERN)]
TokenizationId = Annotated[str, StringConstraints(pattern=TOKENIZATION_ID_PATTERN)]
JobId = Annotated[str, StringConstraints(pattern=JOB_ID_PATTERN)]

PageItem = TypeVar("PageItem")


class Record(BaseModel):
    """A value: frozen, compared by its fields, and closed to unknown ones."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        # what is sent always has all fields: the front end need not guess
        json_schema_serialization_defaults_required=True,
    )


def new_dataset_id() -> str:
    """Return a fresh dataset id, ``ds_`` and a random UUID."""
    return f"ds_{uuid.uuid4()}"


def new_job_id() -> str:
    """Return a fresh job id, ``job_`` and 32 hex digits."""
    return f"job_{uuid.uuid4().hex}"


def utc_now() -> datetime:
    """Return the time now, aware, in UTC."""
    return datetime.now(UTC)


def _as_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("that time has no year in UTC") from error


UtcDatetime = Annotated[datetime, AfterValidator(_as_utc)]


def invalid_request(error: ValidationError, *, what: str) -> InvalidRequestError:
    """Turn pydantic's report into one sentence about its first fault."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidRequestError):
        return cause
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "there is no such field"
    where = f"{what}: {field}" if field else what
    return InvalidRequestError(f"{where}: {reason}.", field=field or what)
