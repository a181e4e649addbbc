"""The free part of a dataset record: what was learnt about it on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from ._base import Record, UtcDatetime, invalid_request


class SchemaMetadata(Record):
    """The columns, and which of them hold text.

    ``text_reason`` says why the dataset's text column was taken; ``conversations`` gives the
    format of each column of conversations, "role/content" or "from/value".
    """

    all_columns: list[str] = []
    text_columns: list[str] = []
    column_info: dict[str, str] = {}
    is_multi_column: bool = False
    text_reason: str | None = None
    conversations: dict[str, str] = {}

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if self.all_columns:
            known = set(self.all_columns)
            strangers = [
                name
                for name in (*self.text_columns, *self.column_info, *self.conversations)
                if name not in known
            ]
            if strangers:
                raise ValueError(f"{strangers[0]!r} is not among all_columns")
        if self.is_multi_column and len(self.text_columns) < 2:
            raise ValueError("is_multi_column needs at least two text_columns")
        return self


class TokenizationMetadata(Record):
    """The newest ready tokenization in short."""

    tokenization_id: str | None = None
    tokenizer_name: str
    text_column_used: str
    max_length: int = Field(ge=1, le=131072)
    stride: int = Field(ge=0)
    num_tokens: int = Field(ge=0)
    avg_seq_length: float = Field(ge=0)
    min_seq_length: int = Field(ge=0)
    max_seq_length: int = Field(ge=0)

    @model_validator(mode="after")
    def _numbers_agree(self) -> Self:
        if self.stride >= self.max_length:
            raise ValueError("stride must be less than max_length")
        if self.max_seq_length < self.min_seq_length:
            raise ValueError("max_seq_length must be >= min_seq_length")
        if not self.min_seq_length <= self.avg_seq_length <= self.max_seq_length:
            raise ValueError("avg_seq_length must lie between min_seq_length and max_seq_length")
        return self


class DownloadMetadata(Record):
    """Where a dataset came from: a hub repository or files on this machine.

    ``skipped_files`` names the first 20 of the files that a folder or glob led to and that
    are not UTF-8 text, and of the kinds of members that were left out of a webdataset;
    ``num_skipped_files`` counts all.
    """

    repo_id: str | None = None
    config: str | None = None
    split: str | None = None
    commit: str | None = None
    num_files: int | None = Field(default=None, ge=0)
    downloaded_bytes: int | None = Field(default=None, ge=0)
    started_at: UtcDatetime | None = None
    finished_at: UtcDatetime | None = None
    num_skipped_files: int | None = Field(default=None, ge=0)
    skipped_files: list[str] | None = Field(default=None, max_length=20)

    @model_validator(mode="after")
    def _times_agree(self) -> Self:
        if self.started_at and self.finished_at and self.finished_at < self.started_at:
            raise ValueError("finished_at must not lie before started_at")
        return self


class DatasetMetadata(Record):
    """All metadata of one dataset; a part is absent until it is known."""

    # ``schema`` is the seed's name for it; BaseModel.schema is long deprecated.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
        serialize_by_alias=True,
        validate_by_alias=True,
    )

    schema_: SchemaMetadata | None = Field(default=None, alias="schema")
    tokenization: TokenizationMetadata | None = None
    download: DownloadMetadata | None = None

    def merged(self, new: Mapping[str, Any]) -> DatasetMetadata:
        """Return this metadata with ``new`` laid over it.

        Mappings are merged key by key at any depth, everything else replaces, and None
        never erases.

        Raises
        ------
        InvalidRequestError
            When the result breaks a rule, such as ``max_seq_length < min_seq_length``.
        """
        old = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            return DatasetMetadata.model_validate(merge_deep(old, new))
        except ValidationError as error:
            raise invalid_request(error, what="metadata") from error


def merge_deep(existing: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``new`` into ``existing`` without touching either; None never erases.

    >>> merge_deep({"a": {"x": 1}, "b": 2}, {"a": {"y": 3}, "b": None})
    {'a': {'x': 1, 'y': 3}, 'b': 2}
    """
    merged = dict(existing)
    for key, value in new.items():
        if value is None:
            continue
        old = merged.get(key)
        if isinstance(value, Mapping):
            merged[key] = merge_deep(old if isinstance(old, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
