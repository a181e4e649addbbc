"""Where rows lie: splits to files to row groups, and the text column in row order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import CorruptFileError, shown_path

BATCH_BYTES: Final = 4 * 2**20
"""Text that an iteration holds at once, one longer text excepted."""

_MAX_BATCH_ROWS: Final = 65_536
_BUFFER_BYTES: Final = 2**20

Rows = np.ndarray[Any, np.dtype[np.int64]]
Render = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Part:
    """One file of a split.

    Attributes
    ----------
    first_row : int
        Row of the split that its first row is.
    group_rows : int64, shape (n_row_groups + 1,)
        Where its row groups begin, in rows of the file; the last is the number of rows.
    group_bytes, text_bytes : int64, shape (n_row_groups,)
        Uncompressed size of all columns, and of the text column.
    schema : pa.Schema
    stamp : tuple of int
        Time and size of the file when its footer was read.
    """

    path: Path
    first_row: int
    group_rows: Rows
    group_bytes: Rows
    text_bytes: Rows
    schema: pa.Schema
    stamp: tuple[int, int]

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return int(self.group_rows[-1])

    def check(self) -> None:
        """Raise when the file is gone or was replaced since its footer was read."""
        if _stamp(self.path) != self.stamp:
            raise damaged(self.path, "has changed while it was read")


class FileMap:
    """The files of a dataset, as their footers describe them.

    Parameters
    ----------
    splits : mapping of str to sequence of Path
        Parquet files of each split, in order.
    text_column : str or None
    render : callable, optional
        Turns an array of whatever a nested text column holds into an array of texts, null where
        there is none. Default: nested values have no text.

    Raises
    ------
    CorruptFileError
        A file is missing or is no Parquet file.

    *Threads:* any; it never changes.
    """

    def __init__(
        self,
        splits: Mapping[str, Sequence[Path]],
        text_column: str | None,
        *,
        render: Render | None = None,
    ) -> None:
        self.text_column = text_column
        self._render = render
        self.parts: dict[str, tuple[Part, ...]] = {
            split: _parts(paths, text_column) for split, paths in splits.items()
        }
        self.num_rows: dict[str, int] = {
            split: sum(part.num_rows for part in parts) for split, parts in self.parts.items()
        }
        self._firsts: dict[str, Rows] = {
            split: np.array([part.first_row for part in parts], dtype=np.int64)
            for split, parts in self.parts.items()
        }
        ends = np.cumsum([0, *self.num_rows.values()])
        self._starts = dict(zip(self.num_rows, ends[:-1].tolist(), strict=True))
        self.total = int(ends[-1])

    @property
    def is_fresh(self) -> bool:
        """Whether all files are those whose footers were read; costs a stat for each."""
        try:
            for parts in self.parts.values():
                for part in parts:
                    part.check()
        except CorruptFileError:
            return False
        return True

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order."""
        return tuple(self.parts)

    def span(self, split: str | None = None) -> range:
        """Return the global rows of a split, or of all: splits lie one after another."""
        if split is None:
            return range(self.total)
        first = self._starts[split]
        return range(first, first + self.num_rows[split])

    def split_of(self, row: int) -> tuple[str, int]:
        """Return the split of a global row, and the row within it."""
        for split in self.parts:
            span = self.span(split)
            if row in span:
                return split, row - span.start
        raise IndexError(row)

    def file_of(self, split: str, row: int) -> tuple[Part, int]:
        """Return the file of a row of a split, and the row within it."""
        number = int(np.searchsorted(self._firsts[split], row, side="right")) - 1
        part = self.parts[split][number]
        return part, row - part.first_row

    def texts(self, split: str, start_row: int = 0) -> Iterator[tuple[int, pa.Array]]:
        r"""Iterate over the text column in row order, in batches bounded by bytes.

        Yields
        ------
        first_row : int
            Row of the split that the batch begins with.
        texts : pa.Array of large_string
            Null where there is no text. Bytes that are not UTF-8 are written as ``\xed``.

        Raises
        ------
        CorruptFileError
            A file cannot be read as its footer says.
        """
        for part in self.parts[split]:
            if start_row >= part.first_row + part.num_rows:
                continue
            skip = max(start_row - part.first_row, 0)
            for first, array in self._texts_of(part, skip):
                yield part.first_row + first, array

    def as_texts(self, array: pa.Array) -> pa.Array:
        """Return what is shown and searched of values of the text column, as large_string."""
        kind = array.type
        if pa.types.is_dictionary(kind):
            array, kind = array.dictionary_decode(), kind.value_type
        if pa.types.is_nested(kind):
            if self._render is None:
                return pa.nulls(len(array), pa.large_string())
            return self._render(array).cast(pa.large_string())
        if not is_text(kind):
            return pa.nulls(len(array), pa.large_string())
        return readable_texts(array)

    def _texts_of(self, part: Part, skip: int) -> Iterator[tuple[int, pa.Array]]:
        with reading(part.path) as file:
            part.check()
            is_there = self.text_column in part.schema.names
            for group in range(file.num_row_groups):
                first, end = (int(row) for row in part.group_rows[group : group + 2])
                if end <= skip:
                    continue
                if not is_there:
                    first = max(first, skip)
                    yield from _nothing(first, end)
                    continue
                size = batch_rows(part, group, int(part.text_bytes[group]))
                for batch in file.iter_batches(
                    size, row_groups=[group], columns=[self.text_column], use_threads=False
                ):
                    column = batch.column(batch.schema.get_field_index(self.text_column))
                    cut = max(skip - first, 0)
                    if cut < len(column):
                        yield first + cut, self.as_texts(column.slice(cut))
                    first += len(column)


def readable_texts(array: pa.Array) -> pa.Array:
    """Return strings as large_string, what is not UTF-8 in them written out."""
    texts = array.cast(pa.large_string(), safe=False)
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        values = texts.cast(pa.large_binary()).to_pylist()
        decoded = [None if text is None else decode(text) for text in values]
        return pa.array(decoded, pa.large_string())
    return texts


def decode(content: bytes) -> str:
    r"""Return bytes as text; what is not UTF-8 in them as ``\xed``."""
    return content.decode("utf-8", errors="backslashreplace")


@contextmanager
def reading(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file and map what goes wrong with it.

    Raises
    ------
    CorruptFileError
        It is missing, or not whole.
    """
    try:
        # with pre_buffer, iter_batches keeps all that it has read; without a buffer, it reads the
        # column chunks of a row group whole, and those may have gigabytes
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            yield file
    except FileNotFoundError as error:
        raise damaged(path, "is missing") from error
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, "cannot be read") from error


def _parts(paths: Sequence[Path], text_column: str | None) -> tuple[Part, ...]:
    parts: list[Part] = []
    first_row = 0
    for path in paths:
        stamp = _stamp(path)
        with reading(path) as file:
            schema = file.schema_arrow
            if parts and parts[-1].schema.equals(schema, check_metadata=True):
                schema = parts[-1].schema
            part = _part(file.metadata, schema, path, first_row, text_column, stamp)
        parts.append(part)
        first_row += part.num_rows
    return tuple(parts)


def _part(  # noqa: PLR0917 -- six things, each of its own type
    footer: pq.FileMetaData,
    schema: pa.Schema,
    path: Path,
    first_row: int,
    text_column: str | None,
    stamp: tuple[int, int],
) -> Part:
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    leaves = [
        number
        for number in range(footer.num_columns)
        if footer.schema.column(number).path.split(".")[0] == (text_column or "").split(".")[0]
    ]
    return Part(
        path,
        first_row,
        np.cumsum([0, *(group.num_rows for group in groups)], dtype=np.int64),
        np.array([group.total_byte_size for group in groups], dtype=np.int64),
        np.array([_size(group, leaves) for group in groups], dtype=np.int64),
        schema,
        stamp,
    )


def _size(group: pq.RowGroupMetaData, leaves: list[int]) -> int:
    return sum(int(group.column(leaf).total_uncompressed_size) for leaf in leaves)


def batch_rows(part: Part, group: int, num_bytes: int) -> int:
    """Return how many rows of a row group are read at once, when all have ``num_bytes``."""
    num_rows = int(part.group_rows[group + 1] - part.group_rows[group])
    average = num_bytes // max(num_rows, 1)
    return min(max(BATCH_BYTES // max(average, 1), 1), _MAX_BATCH_ROWS)


def _nothing(first: int, end: int) -> Iterator[tuple[int, pa.Array]]:
    while first < end:
        size = min(end - first, _MAX_BATCH_ROWS)
        yield first, pa.nulls(size, pa.large_string())
        first += size


def is_text(kind: pa.DataType) -> bool:
    """Tell whether values of this type are strings."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise damaged(path, "is missing") from error
    return stat.st_mtime_ns, stat.st_size


def damaged(path: Path, what: str) -> CorruptFileError:
    """Return the error of a file that is not what it was."""
    return CorruptFileError(
        f"{path.name} of the dataset {what}.",
        path=shown_path(path),
        hint="Verify the dataset, then retry.",
    )
