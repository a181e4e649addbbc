"""Rows by their numbers, from anywhere in files of any size.

Columns without lists are read page by page (`chunks`). Where a file has lists, DuckDB skips what
lies before a row without unpacking it. It takes some files for something else (names that differ
by case alone, times of nanoseconds) or not at all (text that is not UTF-8); those are read by
pyarrow, which has to begin at the row group's start.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import duckdb
import numpy as np
import pyarrow as pa

from ..progress import Progress
from ..records import Cell
from .cells import row_cells
from .chunks import PageReader
from .filemap import FileMap, Part, Rows, batch_rows, is_text, reading
from .footers import CannotCutError
from .two_threads import map_in_two_threads

_CONFIG: Final = {
    "memory_limit": "256MB",
    "threads": "2",
    "temp_directory": "",
    "enable_external_file_cache": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# else it reads whole column chunks ahead: 20 ms and not 10 for a page of a large row group
_NO_PREFETCHING: Final = "SET disable_parquet_prefetching = true"
_ROW_NUMBER: Final = "file_row_number"
_GLOB: Final = frozenset("*?[]{}")
_PORTION_BYTES: Final = 32 * 2**20

ShownT = TypeVar("ShownT")


@dataclass(frozen=True)
class Row:
    """One row as it is read.

    Attributes
    ----------
    row : int
        Within its split.
    text : str or None
        The whole text.
    columns : dict
        The other columns, and the text column when it is not plain text.
    """

    split: str
    row: int
    text: str | None
    columns: dict[str, Cell]


class RowReader:
    """Reads rows; holds a DuckDB instance from the first read until `close`.

    *Threads:* any number at once.
    """

    def __init__(self) -> None:
        self._pages = PageReader()
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._made_in = 0
        self._inherited: list[duckdb.DuckDBPyConnection] = []

    def close(self) -> None:
        """Let go of the instance."""
        with self._lock:
            if self._connection is not None and self._made_in == os.getpid():
                self._connection.close()
            self._connection = None

    def read(
        self,
        files: FileMap,
        rows: Sequence[tuple[str, int]],
        show: Callable[[Row], ShownT],
        progress: Progress,
    ) -> list[ShownT]:
        """Return what ``show`` makes of rows, in the order they are asked for.

        Some rows are held at a time, however long they are: about 32 MB of a file, or one page of
        it, and two files at once.

        Parameters
        ----------
        files : FileMap
        rows : sequence of (split, row)
            Rows within their splits, each of which is there.
        show : callable
            Called in two threads.

        Raises
        ------
        CorruptFileError
            A file is gone, was replaced, or cannot be read.

        *Cancellation:* between rows.
        """
        wanted: dict[tuple[str, int], tuple[Part, set[int]]] = {}
        for split, row in rows:
            part, place = files.file_of(split, row)
            wanted.setdefault((split, part.first_row), (part, set()))[1].add(place)

        def read(
            one: tuple[tuple[str, int], tuple[Part, set[int]]],
        ) -> dict[tuple[str, int], ShownT]:
            (split, first_row), (part, places) = one
            progress.check()
            part.check()
            numbers = np.array(sorted(places), dtype=np.int64)
            found = self._rows(part, numbers, files, progress)
            return {
                (split, first_row + number): show(Row(split, first_row + number, text, cells))
                for number, (text, cells) in zip(numbers.tolist(), found, strict=True)
            }

        found: dict[tuple[str, int], ShownT] = {}
        for some in map_in_two_threads(read, list(wanted.items())):
            found |= some
        return [found[key] for key in rows]

    def _rows(
        self, part: Part, numbers: Rows, files: FileMap, progress: Progress
    ) -> Iterator[tuple[str | None, dict[str, Cell]]]:
        for table in self._tables(part, numbers, progress):
            for row in _rows(table, files):
                progress.check()
                yield row
            # not while the next one is read
            del table

    def _tables(self, part: Part, numbers: Rows, progress: Progress) -> Iterator[pa.Table]:
        """Read rows of a file, ascending, some at a time."""
        for way in (self._pages.read, self._skip):
            with suppress(CannotCutError, duckdb.Error, pa.ArrowException):
                for table in way(part, numbers):
                    numbers = numbers[len(table) :]
                    yield table
                    del table
            if not len(numbers):
                return
            progress.check()
        # whatever it was, this way reads it or says what is wrong
        yield from read_from_start(part, numbers, progress)

    def _skip(self, part: Part, numbers: Rows) -> Iterator[pa.Table]:
        if not is_like_duckdb(part):
            return
        average = int(part.group_bytes.sum()) // max(part.num_rows, 1)
        size = max(_PORTION_BYTES // max(average, 1), 1)
        for start in range(0, len(numbers), size):
            with self._cursor() as cursor:
                table = read_skipping(cursor, part, numbers[start : start + size])
            yield table
            del table

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is not None and self._made_in != os.getpid():
                # kept, not destroyed: the threads that would be joined are not in this process
                self._inherited.append(self._connection)
                self._connection = None
            if self._connection is None:
                self._connection = duckdb.connect(":memory:", config=dict(_CONFIG))
                self._connection.execute(_NO_PREFETCHING)
                self._made_in = os.getpid()
            return self._connection.cursor()


def _rows(table: pa.Table, files: FileMap) -> Iterator[tuple[str | None, dict[str, Cell]]]:
    names = list(table.column_names)
    columns = [column.combine_chunks() for column in table.columns]
    texts: pa.Array = pa.nulls(len(table), pa.large_string())
    if files.text_column in names:
        place = names.index(files.text_column)
        texts = files.as_texts(columns[place])
        if is_plain_text(columns[place].type):
            del names[place], columns[place]
    for number in range(len(table)):
        cells = row_cells(names, [column[number] for column in columns])
        yield texts[number].as_py(), cells


def is_plain_text(kind: pa.DataType) -> bool:
    """Tell whether a text column shows all of itself as its text."""
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def is_like_duckdb(part: Part) -> bool:
    """Tell whether DuckDB reads the file's values as they are."""
    names = [name.lower() for name in part.schema.names]
    is_unique = len(set(names)) == len(names) and _ROW_NUMBER not in names and "" not in names
    is_path = not _GLOB & set(str(part.path))
    return is_unique and is_path and all(map(_is_like_duckdb, part.schema.types))


def _is_like_duckdb(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        names = [field.name.lower() for field in kind]
        is_named = len(set(names)) == len(names) and "" not in names
        return is_named and all(_is_like_duckdb(field.type) for field in kind)
    if pa.types.is_decimal(kind):
        return bool(kind.precision <= 38)
    if pa.types.is_time(kind) or pa.types.is_timestamp(kind):
        # its times have microseconds
        return bool(kind.unit != "ns")
    # a key that comes twice is an error to it
    is_odd = isinstance(kind, pa.BaseExtensionType) or pa.types.is_map(kind)
    if pa.types.is_nested(kind) and not is_odd:
        return _is_like_duckdb(kind.value_type)
    return not is_odd and not pa.types.is_null(kind)


def read_skipping(cursor: duckdb.DuckDBPyConnection, part: Part, numbers: Rows) -> pa.Table:
    """Read rows of a file, ascending, with DuckDB; its errors and pyarrow's mean that it cannot."""
    first, last = int(numbers[0]), int(numbers[-1])
    if last - first + 1 == len(numbers):
        condition = f"{_ROW_NUMBER} BETWEEN {first} AND {last}"
    else:
        condition = f"{_ROW_NUMBER} IN ({', '.join(map(str, numbers.tolist()))})"
    path = str(part.path).replace("'", "''")
    table = cursor.sql(
        f"SELECT *, {_ROW_NUMBER} FROM read_parquet('{path}') WHERE {condition}"  # noqa: S608
    ).to_arrow_table()
    order = np.argsort(table.column(table.num_columns - 1).to_numpy())
    if len(order) != len(numbers):
        raise pa.ArrowInvalid(f"{len(order)} rows of {len(numbers)}")
    columns = [
        _as_stored(column.combine_chunks(), kind).take(order)
        for column, kind in zip(table.columns[:-1], part.schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=part.schema.remove_metadata())


def _as_stored(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Give values the type that the file's schema names: a duration comes as an integer."""
    return array if array.type == kind else array.cast(kind)


def read_from_start(part: Part, numbers: Rows, progress: Progress) -> Iterator[pa.Table]:
    """Read rows of a file, ascending, with pyarrow."""
    with reading(part.path) as file:
        for group in range(file.num_row_groups):
            first, end = (int(row) for row in part.group_rows[group : group + 2])
            inside = numbers[(numbers >= first) & (numbers < end)]
            if not len(inside):
                continue
            size = batch_rows(part, group, int(part.group_bytes[group]))
            for batch in file.iter_batches(size, row_groups=[group], use_threads=False):
                progress.check()
                here = inside[(inside >= first) & (inside < first + len(batch))]
                if len(here):
                    yield pa.Table.from_batches([batch]).take(pa.array(here - first))
                first += len(batch)
                if first > inside[-1]:
                    break
