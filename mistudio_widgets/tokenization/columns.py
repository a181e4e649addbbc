"""Columns of Parquet files that hold texts, whatever their type is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import CorruptFileError, InvalidRequestError, shown_path
from ..importer import conversation_format

_BUFFER_BYTES: Final = 2**20


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file that is read in order; raises `CorruptFileError`."""
    try:
        # with pre_buffer, iter_batches keeps all that it has read; without a buffer of its own it
        # reads the whole column of a row group at once
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptFileError(
            f"{shown_path(path)} cannot be read as Parquet: {error}",
            path=shown_path(path),
            hint="Import or download the dataset again.",
        ) from error


def check_columns(schema: pa.Schema, column: str, pair_column: str | None, path: Path) -> None:
    """Raise `InvalidRequestError` naming the setting whose column does not hold text."""
    _check_column(schema, column, "text_column", path, may_chat=pair_column is None)
    if pair_column is not None:
        _check_column(schema, pair_column, "pair_column", path, may_chat=False)


def _check_column(
    schema: pa.Schema, column: str, field: str, path: Path, *, may_chat: bool
) -> None:
    texts = [
        item.name
        for item in schema
        if _is_text(item.type) or (may_chat and conversation_format(item.type))
    ]
    hint = f"Choose one of {', '.join(texts)}." if texts else "The dataset has no text column."
    if column not in schema.names:
        raise InvalidRequestError(
            f"{field}: {shown_path(path)} has no column {column!r}.",
            field=field,
            hint=hint,
        )
    kind = schema.field(column).type
    if column not in texts:
        raise InvalidRequestError(
            f"{field}: column {column!r} of {shown_path(path)} holds {kind}, not text.",
            field=field,
            hint=hint,
        )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def as_strings(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give columns whose texts are encoded in another way the type of plain strings."""
    columns = [_decoded(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=["text", "pair"][: len(columns)])


def _decoded(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    return column
