"""What is in Parquet files that are used as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import MalformedFileError, shown_path
from .choice import choose_text_column, conversation_columns
from .results import ImportedFile, ImportResult
from .schema import (
    check_same_columns,
    check_unique_columns,
    plain,
    stored,
    unify,
)
from .sources import gone


def describe_parquet(
    files: Mapping[str, Sequence[Path]], text_column: str | None = None
) -> ImportResult:
    """Read the footers of Parquet files: rows per file, common columns, the text column.

    Raises
    ------
    MalformedFileError
        For a file that is no Parquet or is cut off, for columns that are not the same in all
        files, and when no column holds text.
    InvalidRequestError
        ``field`` is "text_column" when there is no such column of text.
    """
    described: list[ImportedFile] = []
    schema: pa.Schema | None = None
    first = ""
    for split, paths in files.items():
        for path in paths:
            num_rows, own = _read_footer(path)
            described.append(ImportedFile(path, split, num_rows))
            if schema is None:
                schema, first = own, shown_path(path)
            else:
                check_same_columns(schema, first, own, shown_path(path))
                schema = unify(schema, own)
    if schema is None:
        raise MalformedFileError(
            "There are no Parquet files.", path="", hint="Choose a config that has data."
        )
    schema = stored(schema)
    chosen = choose_text_column(schema, text_column, lambda columns: _no_text(first, columns))
    return ImportResult(
        files=tuple(described),
        columns={field.name: str(field.type) for field in schema},
        text_column=chosen.column,
        num_source_files=len(described),
        source_bytes=sum(file.path.stat().st_size for file in described),
        skipped=(),
        text_reason=chosen.reason,
        conversations=conversation_columns(schema),
    )


def _read_footer(path: Path) -> tuple[int, pa.Schema]:
    shown = shown_path(path)
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            num_rows, schema = file.metadata.num_rows, file.schema_arrow
    except FileNotFoundError as error:
        raise gone(path) from error
    except (pa.ArrowException, OSError) as error:
        raise MalformedFileError(
            f"{shown} cannot be read as Parquet: {str(error).splitlines()[0].rstrip('.')}.",
            path=shown,
            hint="It is damaged or cut off; fetch or write it again.",
        ) from error
    check_unique_columns(schema, shown)
    return num_rows, plain(schema)


def _no_text(name: str, columns: str) -> MalformedFileError:
    return MalformedFileError(
        f"{name} has no column of text, only {columns or 'no columns at all'}.",
        path=name,
        hint="Choose a config with a column of strings.",
    )
