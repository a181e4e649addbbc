"""Batches to Parquet files that other readers, and our own pages, are quick with."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InsufficientDiskSpaceError, StorageError, UnsupportedFormatError, shown_path
from ..progress import Progress
from .division import Division
from .results import ImportedFile
from .schema import align, described, pieces, stored

_GROUP_BYTES: Final = 16 << 20
# a page of samples decodes a whole row group: 10 ms with 100k rows, 50 ms with a million
_GROUP_ROWS: Final = 100_000
_FILE_BYTES: Final = 500 << 20
# one fsync at the end of a file would hold up a cancel for as long as the disk needs for 500 MB
_SYNC_BYTES: Final = 64 << 20


class DatasetWriter:
    """Writes the splits of one dataset into a folder, as ``{split}-00000.parquet`` and so on.

    Parameters
    ----------
    splits : tuple of str
        Each gets at least one file, with no rows if none come.
    check_space : callable
        Called with the number of bytes before they are written; raises when the disk is full.
    """

    def __init__(
        self,
        into: Path,
        schema: pa.Schema,
        text_column: str,
        splits: tuple[str, ...],
        *,
        division: Division | None = None,
        check_space: Callable[[int], None],
    ) -> None:
        self._schema = stored(schema)
        self._division = division
        self._splits = {
            split: _SplitWriter(into, split, self._schema, text_column, check_space)
            for split in (division.splits if division else splits)
        }
        self._undivided = _Pending()

    def add(self, split: str, batch: pa.RecordBatch) -> None:
        """Take rows of any schema that can be cast to the dataset's."""
        for piece in pieces(align(batch, self._schema)):
            if self._division is None:
                self._splits[split].add(piece)
            else:
                self._undivided.add(piece)
                if self._undivided.is_full:
                    self._divide()

    def _divide(self) -> None:
        assert self._division is not None
        table = self._undivided.take(self._schema)
        chosen = self._division.assign(table.num_rows)
        for index, writer in enumerate(self._splits.values()):
            rows = np.flatnonzero(chosen == index)
            if len(rows):
                writer.add_table(table.take(pa.array(rows)))

    def close(self, progress: Progress) -> tuple[ImportedFile, ...]:
        """Write what is left, make it durable, and return the files in order."""
        if self._division is not None:
            self._divide()
        progress.start("finishing", total=len(self._splits), unit="files", share=0.1)
        for writer in self._splits.values():
            writer.close()
            progress.advance()
        return tuple(file for writer in self._splits.values() for file in writer.files)

    def discard(self) -> None:
        """Remove everything that was written; for a conversion that failed or starts over."""
        for writer in self._splits.values():
            writer.discard()


class _Pending:
    """Rows that wait until they make a row group."""

    def __init__(self) -> None:
        self.num_rows = 0
        self._batches: list[pa.RecordBatch] = []
        self._num_bytes = 0

    @property
    def is_full(self) -> bool:
        return self._num_bytes >= _GROUP_BYTES or self.num_rows >= _GROUP_ROWS

    def add(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self.num_rows += batch.num_rows
        self._num_bytes += batch.nbytes

    def take(self, schema: pa.Schema) -> pa.Table:
        table = pa.Table.from_batches(self._batches, schema)
        self._batches, self.num_rows, self._num_bytes = [], 0, 0
        return table


class _SplitWriter:
    def __init__(
        self,
        into: Path,
        split: str,
        schema: pa.Schema,
        text_column: str,
        check_space: Callable[[int], None],
    ) -> None:
        self.files: list[ImportedFile] = []
        self._into = into
        self._split = split
        self._schema = schema
        self._text_column = text_column
        self._check_space = check_space
        self._pending = _Pending()
        self._open: _OpenFile | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        self._pending.add(batch)
        if self._pending.is_full:
            self._flush()

    def add_table(self, table: pa.Table) -> None:
        for batch in table.to_batches():
            self.add(batch)

    def close(self) -> None:
        if self._pending.num_rows or (not self.files and self._open is None):
            self._flush()
        self._finish_file()

    def discard(self) -> None:
        if self._open is not None:
            self._open.discard()
            self._open = None
        for file in self.files:
            file.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        table = self._pending.take(self._schema)
        self._check_space(table.nbytes)
        with disk_errors(self._into, table.nbytes):
            if self._open is None:
                path = self._into / f"{self._split}-{len(self.files):05d}.parquet"
                self._open = _OpenFile(path, self._schema, self._text_column)
            self._open.write(table)
        del table
        # the pool keeps what it was given: 164 MB over idle instead of 125 for 1 MB rows
        pa.default_memory_pool().release_unused()
        if self._open.num_bytes >= _FILE_BYTES:
            self._finish_file()

    def _finish_file(self) -> None:
        if self._open is None:
            return
        with disk_errors(self._into, 0):
            self._open.close()
        self.files.append(ImportedFile(self._open.path, self._split, self._open.num_rows))
        self._open = None


class _OpenFile:
    """A Parquet file that is being written."""

    def __init__(self, path: Path, schema: pa.Schema, text_column: str) -> None:
        self.path = path
        self.num_rows = 0
        self._synced_bytes = 0
        others = [name for name in schema.names if name != text_column]
        self._file: BinaryIO = path.open("wb")
        try:
            self._writer = pq.ParquetWriter(
                self._file,
                schema,
                compression="zstd",
                compression_level=1,
                # texts hardly repeat: a dictionary is built, found too large and thrown away
                use_dictionary=others or False,
                write_statistics=others or False,
            )
        except pa.ArrowNotImplementedError as error:
            self._file.close()
            path.unlink()
            raise UnsupportedFormatError(
                f"A column has a type that Parquet cannot hold: {described(schema)}.",
                path=shown_path(path),
                hint="Cast it to text or numbers first.",
            ) from error

    @property
    def num_bytes(self) -> int:
        return self._file.tell()

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=_GROUP_ROWS)
        self.num_rows += table.num_rows
        if self.num_bytes - self._synced_bytes >= _SYNC_BYTES:
            self._sync()

    def close(self) -> None:
        self._writer.close()
        self._sync()
        self._file.close()

    def discard(self) -> None:
        # closing writes the footer, which fails again on a disk that is full
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):
            self._writer.close()
        self._writer.is_open = False
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced_bytes = self.num_bytes


@contextlib.contextmanager
def disk_errors(into: Path, num_bytes: int) -> Iterator[None]:
    """Say what went wrong when something was written into the folder."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"The import could not be written to {shown_path(into)}: "
                f"{error.strerror or error}.",
                hint="Check the disk and the permissions of the data folder.",
            ) from error
        raise InsufficientDiskSpaceError(
            f"The disk of {shown_path(into)} filled up during the import.",
            required_bytes=num_bytes,
            available_bytes=shutil.disk_usage(into).free,
            hint="Free some space, or set MISTUDIO_DATA_DIR to a larger disk, and retry.",
        ) from error
