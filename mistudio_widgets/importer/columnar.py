"""Parquet and Arrow files to batches."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import MalformedFileError, MiStudioError, UnsupportedFormatError
from .schema import BATCH_BYTES, check_unique_columns, plain
from .sources import Source, gone
from .streams import OnRead, SourceStream
from .writer import disk_errors

_ARROW_FILE: Final = b"ARROW1"
_FEATHER_V1: Final = b"FEA1"
_BUFFER_BYTES: Final = 1 << 20
_FOREIGN: Final = (pa.ArrowException, OSError, UnicodeDecodeError)


def read_schema(
    source: Source, on_read: OnRead, *, spool: Path, check_space: Callable[[int], None]
) -> pa.Schema:
    """Return the columns that the file names itself."""
    with (
        _local(source, on_read, spool, check_space) as path,
        _errors(source),
        _opened(source, path) as reader,
    ):
        schema = reader.schema_arrow if source.kind == "parquet" else reader.schema
    check_unique_columns(schema, source.shown)
    return plain(schema)


def read_batches(
    source: Source, on_read: OnRead, *, spool: Path, check_space: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows as they are stored, in batches that are bounded by bytes.

    The formats need random access: a compressed file is unpacked to ``spool`` first.
    """
    count_raw = on_read if source.compression else lambda _: on_read(0)
    count_rows = (lambda _: on_read(0)) if source.compression else on_read
    read = _parquet_batches if source.kind == "parquet" else _arrow_batches
    with (
        _local(source, count_raw, spool, check_space) as path,
        _errors(source),
        _opened(source, path) as reader,
    ):
        for batch in read(reader, source.size_bytes, count_rows):
            # strings are not checked by the readers, and would crash later ones
            batch.validate(full=True)
            yield batch


@contextlib.contextmanager
def _local(
    source: Source, on_read: OnRead, spool: Path, check_space: Callable[[int], None]
) -> Iterator[Path]:
    """Give a path with the uncompressed bytes; unpack them for that long."""
    if source.compression is None:
        if not source.path.exists():
            raise gone(source.path)
        yield source.path
        return
    try:
        with SourceStream(source, on_read) as stream, spool.open("wb", buffering=0) as file:
            for number, chunk in enumerate(stream.chunks()):
                if number % 16 == 0:
                    check_space(16 * len(chunk))
                with disk_errors(spool.parent, len(chunk)):
                    file.write(chunk)
        yield spool
    finally:
        spool.unlink(missing_ok=True)


@contextlib.contextmanager
def _errors(source: Source) -> Iterator[None]:
    try:
        yield
    except MiStudioError:
        raise
    except _FOREIGN as error:
        if isinstance(error, FileNotFoundError):
            raise gone(source.path) from error
        raise MalformedFileError(
            f"{source.shown} cannot be read as {source.kind}: {_reason(error)}.",
            path=source.shown,
            hint="It is damaged, cut off or not what its name says; copy or write it again.",
        ) from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".")[:300] if lines else type(error).__name__


@contextlib.contextmanager
def _opened(source: Source, path: Path) -> Iterator[Any]:
    if source.kind == "parquet":
        # pre_buffer keeps what was read; without buffer_size a column chunk is read whole
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            yield file
        return
    with path.open("rb") as start:
        magic = start.read(8)
    if magic.startswith(_FEATHER_V1):
        raise UnsupportedFormatError(
            f"{source.shown} is a Feather file of version 1.",
            path=source.shown,
            hint="Write it again with a current pyarrow or pandas, or as Parquet.",
        )
    # mapped pages are given back by the system, so one batch of many GB takes no memory
    with pa.memory_map(os.fspath(path)) as mapped:
        open_ = pa.ipc.open_file if magic.startswith(_ARROW_FILE) else pa.ipc.open_stream
        with open_(mapped) as reader:
            yield reader


def _parquet_batches(
    file: pq.ParquetFile, num_bytes: int, on_read: OnRead
) -> Iterator[pa.RecordBatch]:
    metadata = file.metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    for index, group in enumerate(groups):
        row_bytes = max(group.total_byte_size // max(group.num_rows, 1), 1)
        batch_rows = min(max(BATCH_BYTES // row_bytes, 1), 1 << 16)
        for batch in file.iter_batches(batch_size=batch_rows, row_groups=[index]):
            on_read(num_bytes * batch.num_rows // max(metadata.num_rows, 1))
            yield batch


def _arrow_batches(reader: Any, num_bytes: int, on_read: OnRead) -> Iterator[pa.RecordBatch]:
    if hasattr(reader, "num_record_batches"):
        count = reader.num_record_batches
        batches = (reader.get_batch(index) for index in range(count))
        for batch in batches:
            on_read(num_bytes // count)
            yield batch
        return
    for batch in reader:
        on_read(min(batch.nbytes, num_bytes))
        yield batch
