"""JSON files to batches: one object per line, an array of objects, or objects in a row.

Lines go through pyarrow, which stops at what it cannot convert without saying where. From there
they are read one by one: that either names the line that is broken or finds a type that fits.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any, Final

import ijson
import pyarrow as pa
import pyarrow.json as pajson
from ijson.common import JSONError, ObjectBuilder
from ijson.utils import sendable_list

from ..errors import MalformedFileError
from .schema import SchemaChanged, as_text, check_unique_columns, unify
from .sources import Source
from .streams import OnRead, SourceStream
from .text import blank, no_rows

_BLOCK_BYTES: Final = (2 << 20, 8 << 20, 64 << 20)
# Python objects take about ten times their text
SLOW_BATCH_BYTES: Final = 2 << 20
_FIRST_LINE_BYTES: Final = 64 << 20
_FOREIGN: Final = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    UnicodeDecodeError,
    RecursionError,
)
DEPTH_LIMIT: Final = 200
TOO_DEEP: Final = f"nested deeper than {DEPTH_LIMIT} levels"
DEPTH_CHANGES: Final = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
# ijson ships no types
JSON_OBJECT: Final[Any] = ObjectBuilder

Row = dict[str, Any]


class NotJson(Exception):  # noqa: N818 -- a signal: the caller knows the place
    """A value cannot be read."""


def read_schema(source: Source, on_read: OnRead) -> pa.Schema:
    """Return columns and types as the file's first rows suggest them."""
    if _layout(source, on_read) == "lines":
        schema = _first_block_schema(source, on_read)
        if schema is not None:
            check_unique_columns(schema, source.shown)
            return schema
    first = next(_slow_batches(source, None, on_read), None)
    if first is None:
        raise no_rows(source)
    return first.schema


def read_batches(source: Source, schema: pa.Schema, on_read: OnRead) -> Iterator[pa.RecordBatch]:
    """Yield the rows with the columns and types of ``schema``.

    Raises
    ------
    SchemaChanged
        When a value does not fit its column's type, or a row has a new key.
    MalformedFileError
        With the line, for what is not JSON.
    """
    num_rows = 0
    if _layout(source, on_read) == "lines":
        for block_bytes in _BLOCK_BYTES:
            try:
                for batch in _skipping(
                    _fast_batches(source, schema, block_bytes, on_read), num_rows
                ):
                    yield batch
                    num_rows += batch.num_rows
            except _FOREIGN as error:
                if "straddl" in str(error):
                    continue
                break
            return
    yield from _skipping(_slow_batches(source, schema, on_read), num_rows)


def _skipping(batches: Iterator[pa.RecordBatch], num_rows: int) -> Iterator[pa.RecordBatch]:
    """Leave out the rows that were given before another way of reading was tried."""
    for batch in batches:
        fresh = batch.slice(min(num_rows, batch.num_rows))
        num_rows -= batch.num_rows - fresh.num_rows
        if fresh.num_rows:
            yield fresh


def _layout(source: Source, on_read: OnRead) -> str:
    """Tell "array", "lines" or "objects" (each over several lines) from how the file starts."""
    if source.kind == "jsonl":
        return "lines"
    num_bytes = 0
    with SourceStream(source, on_read) as stream:
        reader = io.BufferedReader(stream, 1 << 16)
        while line := reader.readline(_FIRST_LINE_BYTES):
            num_bytes += len(line)
            if text := line.strip():
                if text.startswith(b"["):
                    return "array"
                return "lines" if _is_object(text) else "objects"
    raise blank(source, num_bytes=num_bytes)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _first_block_schema(source: Source, on_read: OnRead) -> pa.Schema | None:
    for block_bytes in _BLOCK_BYTES:
        with SourceStream(source, on_read) as stream:
            try:
                for block in _blocks(stream, block_bytes):
                    found = _parse_block(block, None).schema
                    return pa.schema([field.with_type(_untimed(field.type)) for field in found])
            except _FOREIGN:
                continue
    return None


def _untimed(kind: pa.DataType) -> pa.DataType:
    """Undo pyarrow's guess that text which looks like a date is one."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_untimed(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_untimed(kind.value_type))
    return kind


def _parse_block(block: bytes, schema: pa.Schema | None) -> pa.Table:
    # from memory and in this thread: pyarrow's streaming reader goes on reading in threads of
    # its own after a cancel, and ends the process with them
    return pajson.read_json(
        pa.BufferReader(block),
        read_options=pajson.ReadOptions(block_size=len(block) + 1, use_threads=False),
        parse_options=pajson.ParseOptions(
            explicit_schema=schema,
            unexpected_field_behavior="infer" if schema is None else "error",
        ),
    )


def _blocks(stream: SourceStream, block_bytes: int) -> Iterator[bytes]:
    """Yield whole lines, about ``block_bytes`` at a time."""
    rest = b""
    while chunk := stream.read(block_bytes):
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if not newline and len(rest) > block_bytes:
            raise pa.ArrowInvalid("an object straddles two blocks")
        if lines.strip():
            yield lines
    if rest.strip():
        yield rest


def _fast_batches(
    source: Source, schema: pa.Schema, block_bytes: int, on_read: OnRead
) -> Iterator[pa.RecordBatch]:
    with SourceStream(source, on_read) as stream:
        for block in _blocks(stream, block_bytes):
            for batch in _parse_block(block, schema).to_batches():
                batch.validate(full=True)
                yield batch


def _slow_batches(
    source: Source, schema: pa.Schema | None, on_read: OnRead
) -> Iterator[pa.RecordBatch]:
    """Read through Python objects; without a schema, each batch has its own."""
    is_lines = _layout(source, on_read) == "lines"
    rows: list[Row] = []
    batch_start = 0
    with SourceStream(source, on_read) as stream:
        given = _line_rows(source, stream) if is_lines else _value_rows(source, stream, on_read)
        for row in given:
            rows.append(row)
            if stream.num_bytes - batch_start >= SLOW_BATCH_BYTES:
                yield batch_of(source, rows, schema)
                rows, batch_start = [], stream.num_bytes
    if rows:
        yield batch_of(source, rows, schema)


def _line_rows(source: Source, stream: SourceStream) -> Iterator[Row]:
    for number, line in enumerate(io.BufferedReader(stream, 1 << 16), start=1):
        if line.isspace():
            continue
        try:
            row = parse(line)
        except NotJson as error:
            raise broken(source, number, str(error)) from error
        yield _checked(source, row, number)


def parse(data: bytes | bytearray) -> Any:
    """Read one value; raises `NotJson` with what is wrong and where."""
    try:
        # from bytes, json would also take UTF-16, and surrogates
        value = json.loads(data.decode("utf-8-sig"))
        # json takes half of a surrogate pair for a character; no encoding can hold it
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise NotJson(f"{error.msg} at {place}character {error.colno}") from error
    except UnicodeDecodeError as error:
        raise NotJson("not UTF-8") from error
    except UnicodeEncodeError as error:
        raise NotJson("half of a surrogate pair (\\ud800 to \\udfff)") from error
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error
    if data.count(b"{") + data.count(b"[") > DEPTH_LIMIT and _is_deep(value):
        raise NotJson(TOO_DEEP)
    return value


def _is_deep(value: Any) -> bool:
    """Tell whether there are more levels than the libraries after us can follow."""
    level = [value]
    for _ in range(DEPTH_LIMIT + 1):
        level = [
            part
            for outer in level
            if isinstance(outer, dict | list)
            for part in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _value_rows(source: Source, stream: SourceStream, on_read: OnRead) -> Iterator[Row]:
    is_array = _layout(source, on_read) == "array"
    values = _values(source, stream, is_array=is_array)
    try:
        for value in values:
            yield _checked(source, floats(value), None)
    except (JSONError, UnicodeDecodeError) as error:
        raise _locate(source, error, on_read, is_array=is_array) from error


def _values(source: Source, stream: SourceStream, *, is_array: bool) -> Iterator[Any]:
    """Build the values of the file or of its array, one at a time.

    ``ijson.items`` would do, but writes the path of every value: 100,000 open brackets take 20 GB.
    """
    base = int(is_array)
    depth = 0
    builder = JSON_OBJECT()
    for event, value in ijson.basic_parse(stream, multiple_values=not is_array):
        change = DEPTH_CHANGES.get(event, 0)
        if depth + min(change, 0) < base:
            depth += change
            continue
        builder.event(event, value)
        depth += change
        if depth > DEPTH_LIMIT:
            raise broken(source, None, TOO_DEEP)
        if depth == base:
            yield builder.value
            builder = JSON_OBJECT()


def floats(value: Any) -> Any:
    """Turn the decimals that ijson gives into floats, as json does."""
    if isinstance(value, dict):
        return {key: floats(part) for key, part in value.items()}
    if isinstance(value, list):
        return [floats(part) for part in value]
    return value if value is None or isinstance(value, str | bool | int) else float(value)


def _checked(source: Source, row: Any, line: int | None) -> Row:
    if isinstance(row, dict):
        return row
    raise broken(source, line, f"a row is a {type(row).__name__}, not an object with columns")


def _locate(
    source: Source, error: Exception, on_read: OnRead, *, is_array: bool
) -> MalformedFileError:
    """Feed the file to the parser line by line until it stumbles again."""
    events = sendable_list()
    parser = ijson.basic_parse_coro(events, multiple_values=not is_array)
    number = 0
    with SourceStream(source, on_read) as stream:
        try:
            for line in io.BufferedReader(stream):
                number += 1
                parser.send(line)
                events.clear()
        except (JSONError, UnicodeDecodeError) as found:
            error = found
    return broken(source, number, str(error).splitlines()[0])


def broken(source: Source, line: int | None, reason: str) -> MalformedFileError:
    """Return the error of a file that cannot be read, with the place where it is known."""
    place = source.shown if line is None else f"{source.shown}, line {line}"
    return MalformedFileError(
        f"{place}: not the JSON that was expected: {reason}.",
        path=source.shown,
        line=line,
        hint="Readable are an array of objects, or one object per line; "
        "correct the file or leave it out.",
    )


def batch_of(source: Source, rows: list[Row], schema: pa.Schema | None) -> pa.RecordBatch:
    """Make a batch with the columns of ``schema``, or of its own; raises `SchemaChanged`."""
    names = dict.fromkeys(schema.names if schema else ())
    for row in rows:
        names.update(dict.fromkeys(row))
    wanted = {field.name: field.type for field in schema} if schema else {}
    try:
        arrays = [build_column([row.get(name) for row in rows], wanted.get(name)) for name in names]
    except UnicodeEncodeError as error:
        raise broken(source, None, "half of a surrogate pair in a text") from error
    found = pa.record_batch(arrays, names=list(names)) if arrays else None
    if found is None:
        raise broken(source, None, "its objects have no keys")
    if schema is None:
        return found
    merged = unify(schema, found.schema)
    if not merged.equals(schema):
        raise SchemaChanged(merged)
    return found


def build_column(values: list[Any], wanted: pa.DataType | None) -> pa.Array:
    """Make a column of the wanted type, or of one that holds all values."""
    if wanted is not None and pa.types.is_string(wanted):
        return pa.array([as_text(value) for value in values], pa.string())
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        known = [value for value in values if value is not None]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
            return pa.array([None if value is None else float(value) for value in values])
        return pa.array([as_text(value) for value in values], pa.string())
