"""The array below one key of a JSON file, row by row: what a card's ``field`` asks for."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import ijson
import pyarrow as pa
from ijson.common import JSONError

from .jsons import (
    DEPTH_CHANGES,
    DEPTH_LIMIT,
    JSON_OBJECT,
    SLOW_BATCH_BYTES,
    TOO_DEEP,
    Row,
    batch_of,
    broken,
    floats,
)
from .schema import align, unify
from .sources import Source
from .streams import OnRead, SourceStream

_SCALARS: Final = (str, int, float, bool)


class NoRows(Exception):  # noqa: N818 -- a signal: the library may make a table of it
    """What is below the key is no array of objects, nor of plain values."""


@dataclass(frozen=True)
class Field:
    """Where the rows are.

    Attributes
    ----------
    key : str
        Of the object that the file is.
    column : str
        What the column is called where the rows are plain values.
    encoding, errors : str
        As of `open`.
    """

    key: str
    column: str = "text"
    encoding: str = "utf-8"
    errors: str = "strict"


def read_batches(source: Source, field: Field, on_read: OnRead) -> Iterator[pa.RecordBatch]:
    """Yield the rows, all with the columns and types of the whole file, which is read twice.

    Raises
    ------
    NoRows
        Before the first batch: the file is not JSON to the strict, holds no such key or several,
        or something else below it.
    MalformedFileError
        It is nested too deeply, or holds half of a character.

    *Cancellation:* ``on_read`` is called at least once per MiB and may raise.
    """
    schema: pa.Schema | None = None
    try:
        for batch in _batches(source, field, None, on_read):
            schema = batch.schema if schema is None else unify(schema, batch.schema)
    except (JSONError, UnicodeError) as error:
        raise NoRows(str(error).partition("\n")[0]) from error
    if schema is None:
        raise NoRows("it has no rows")
    for batch in _batches(source, field, schema, on_read):
        yield align(batch, schema)


def _batches(
    source: Source, field: Field, schema: pa.Schema | None, on_read: OnRead
) -> Iterator[pa.RecordBatch]:
    rows: list[Row] = []
    batch_start = 0
    with SourceStream(source, on_read) as stream:
        for row in _rows(source, field, _Utf8(stream, field)):
            rows.append(row)
            if stream.num_bytes - batch_start >= SLOW_BATCH_BYTES:
                yield batch_of(source, rows, schema)
                rows, batch_start = [], stream.num_bytes
    if rows:
        yield batch_of(source, rows, schema)


def _rows(source: Source, field: Field, stream: _Utf8) -> Iterator[Row]:
    kinds: set[bool] = set()
    for value in _values(source, field.key, stream):
        is_object = isinstance(value, dict)
        kinds.add(is_object)
        if len(kinds) > 1 or not (is_object or isinstance(value, _SCALARS)):
            raise NoRows("its rows are neither all objects nor all plain values")
        yield value if is_object else {field.column: value}


def _values(source: Source, key: str, stream: _Utf8) -> Iterator[Any]:
    """Build the values of the array, one at a time."""
    builder, depth = JSON_OBJECT(), 0
    for event, value in _events_below(key, stream):
        builder.event(event, value)
        depth += DEPTH_CHANGES.get(event, 0)
        if depth > DEPTH_LIMIT:
            raise broken(source, None, TOO_DEEP)
        if depth == 0:
            yield floats(builder.value)
            builder = JSON_OBJECT()


def _events_below(key: str, stream: _Utf8) -> Iterator[tuple[str, Any]]:
    """Yield what the array holds, and read the file to its end."""
    depth = times_found = 0
    is_key = is_inside = False
    for event, value in ijson.basic_parse(stream):
        if depth == 0 and event != "start_map":
            raise NoRows("it is no object")
        depth += DEPTH_CHANGES.get(event, 0)
        if is_inside and depth > 1:
            yield event, value
        elif is_inside:
            is_inside = is_key = False
        elif event == "map_key" and depth == 1:
            is_key = value == key
            times_found += is_key
        elif is_key:
            if event != "start_array" or times_found > 1:
                raise NoRows(f"what is below {key!r} is no array, or stands there twice")
            is_inside = True
    if not times_found:
        raise NoRows(f"it has no key {key!r}")


class _Utf8:
    """The file's characters as UTF-8, which is what ijson takes."""

    def __init__(self, stream: SourceStream, field: Field) -> None:
        self._stream = stream
        is_utf8 = codecs.lookup(field.encoding).name == "utf-8" and field.errors == "strict"
        self._decoder = (
            None if is_utf8 else codecs.getincrementaldecoder(field.encoding)(field.errors)
        )

    def read(self, size: int) -> bytes:
        """Read about ``size`` bytes; none only at the end, and where none are asked for."""
        if self._decoder is None or not size:
            return self._stream.read(size)
        while chunk := self._stream.read(size):
            if text := self._decoder.decode(chunk):
                return text.encode()
        return self._decoder.decode(b"", final=True).encode()
