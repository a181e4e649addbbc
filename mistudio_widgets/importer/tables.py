"""`import_table`: what is in memory, or streams from another library, to Parquet."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from ..errors import InvalidRequestError
from ..progress import Progress
from .choice import choose_text_column, conversation_columns
from .results import ImportResult
from .schema import BATCH_BYTES, listed, plain, stored, unify
from .sources import check_split_name
from .writer import DatasetWriter

_PANDAS_INDEX: Final = re.compile(r"__index_level_\d+__")
_FOREIGN: Final = (pa.ArrowException, TypeError, ValueError)

Batches = Iterator[pa.RecordBatch]


def check_table(data: object) -> None:
    """Raise `InvalidRequestError` at once for what `import_table` cannot read."""
    if _is_a(data, "DatasetDict"):
        if not data:
            raise _refused("The DatasetDict has no splits.", "Give at least one split.")
        for split, dataset in data.items():  # type: ignore[attr-defined]
            check_split_name(split, "data")
            check_table(dataset)
        return
    if _is_a(data, "Dataset") or hasattr(data, "__arrow_c_stream__"):
        return
    hint = "Give a datasets.Dataset or DatasetDict, or a pyarrow, pandas or polars table."
    if hasattr(data, "collect"):
        hint = "Call .collect() on it first."
    elif _is_a(data, "IterableDataset") or _is_a(data, "IterableDatasetDict"):
        hint = "Load it without streaming, or save it as files and import those."
    raise _refused(f"A {type(data).__name__} cannot be imported.", hint)


def import_table(
    data: object,
    split: str,
    text_column: str | None,
    into: Path,
    *,
    progress: Progress,
    check_space: Callable[[int], None],
) -> ImportResult:
    """Write a table of another library to Parquet.

    Parameters
    ----------
    data : datasets.Dataset, datasets.DatasetDict, or anything with ``__arrow_c_stream__``
        A DatasetDict's own split names win over ``split``. A stream is read once.
    into : Path
        An existing folder; gets ``{split}-00000.parquet`` and so on. After an error nothing of
        this import is left in it.

    Raises
    ------
    InvalidRequestError
        ``field`` is "data" for what cannot be read or has no rows, "text_column" when there is
        no such column of text.

    *Cancellation:* looks after each batch of about 8 MiB.
    """
    check_table(data)
    parts = data.items() if _is_a(data, "DatasetDict") else [(split, data)]  # type: ignore[attr-defined]
    readers = {check_split_name(name, "split"): _reader(part) for name, part in parts}
    schema = _common_schema({name: schema for name, (schema, _, _) in readers.items()})
    chosen = choose_text_column(stored(schema), text_column, _no_text)
    counts = [count for _, count, _ in readers.values()]
    total = None if None in counts else sum(count or 0 for count in counts)
    progress.start("reading", total=total, unit="samples", share=0.9)
    writer = DatasetWriter(into, schema, chosen.column, tuple(readers), check_space=check_space)
    is_done = False
    try:
        for name, (_, _, batches) in readers.items():
            _write(name, batches, writer, progress)
        files = writer.close(progress)
        if not any(file.num_rows for file in files):
            raise _refused("The table has no rows.", "Give a table with at least one row.")
        is_done = True
    finally:
        if not is_done:
            writer.discard()
    return ImportResult(
        files=files,
        columns={field.name: str(field.type) for field in stored(schema)},
        text_column=chosen.column,
        num_source_files=0,
        source_bytes=0,
        skipped=(),
        text_reason=chosen.reason,
        conversations=conversation_columns(stored(schema)),
    )


def _write(split: str, batches: Batches, writer: DatasetWriter, progress: Progress) -> None:
    try:
        for batch in batches:
            batch.validate(full=True)
            writer.add(split, batch)
            progress.advance(batch.num_rows)
    except pa.ArrowException as error:
        raise _refused(f"The table cannot be read: {_reason(error)}.", _COLUMN_HINT) from error


_COLUMN_HINT: Final = "Every column needs values of one type."


def _is_a(data: object, name: str) -> bool:
    """Tell whether it is a class of datasets, without importing datasets for a pandas table."""
    datasets = sys.modules.get("datasets")
    return datasets is not None and isinstance(data, getattr(datasets, name))


def _reader(data: Any) -> tuple[pa.Schema, int | None, Batches]:
    """Return schema, number of rows if known, and the batches."""
    if _is_a(data, "Dataset"):
        schema = plain(data.features.arrow_schema)
        return schema, len(data), _dataset_batches(data)
    try:
        reader = pa.RecordBatchReader.from_stream(data)
    except _FOREIGN as error:
        raise _refused(
            f"A {type(data).__name__} cannot be read as a table: {_reason(error)}.", _COLUMN_HINT
        ) from error
    fields = [field for field in plain(reader.schema) if not _PANDAS_INDEX.fullmatch(field.name)]
    schema = pa.schema(fields, metadata=plain(reader.schema).metadata)
    if len(set(schema.names)) < len(schema.names):
        raise _refused("Two columns have the same name.", "Rename one of them.")
    return schema, _num_rows(data), iter(reader)


def _num_rows(data: Any) -> int | None:
    """Return the number of rows where asking costs nothing; DuckDB would run the query."""
    if type(data).__module__.partition(".")[0] in ("pandas", "polars"):
        return len(data)
    return getattr(data, "num_rows", None)


def _dataset_batches(dataset: Any) -> Batches:
    """Read in Arrow format, which follows the rows that were selected, shuffled or filtered."""
    num_rows = max(len(dataset.data), 1)
    batch_rows = min(max(BATCH_BYTES * num_rows // max(dataset.data.nbytes, 1), 1), 10_000)
    for table in dataset.with_format("arrow").iter(batch_size=batch_rows):
        yield from table.combine_chunks().to_batches()


def _common_schema(schemas: dict[str, pa.Schema]) -> pa.Schema:
    (first_split, schema), *others = schemas.items()
    for split, other in others:
        if set(other.names) != set(schema.names):
            raise _refused(
                f"The columns of split {split!r} ({listed(other.names)}) are not those of "
                f"split {first_split!r} ({listed(schema.names)}).",
                "Import the splits as separate datasets, or give them the same columns.",
            )
        schema = unify(schema, other)
    return schema


def _no_text(columns: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The table has no column of text, only {columns or 'no columns at all'}.",
        field="text_column",
        hint="Add a column of strings.",
    )


def _refused(message: str, hint: str) -> InvalidRequestError:
    return InvalidRequestError(message, field="data", hint=hint)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:300] if lines else type(error).__name__
