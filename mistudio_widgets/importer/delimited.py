"""CSV and TSV files to batches."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from ..errors import MalformedFileError, MiStudioError
from .schema import SchemaChanged, check_unique_columns
from .sources import Source
from .streams import OnRead, SourceStream, arrow_file
from .text import blank, explain_not_text, no_rows

# a row must fit into a block; the next size is tried when one does not. pyarrow reads blocks
# ahead: 130 MB with the first size, 390 MB with the second
_BLOCK_BYTES: Final = (2 << 20, 8 << 20, 64 << 20, 512 << 20)
_LINE_LIMIT_BYTES: Final = 1 << 20
_CONVERSION: Final = re.compile(
    r"In CSV column #(\d+): .*conversion error to (\w+)(?:: invalid value '(.*)')?"
)
# what a double may not hold exactly
_LONG_INTEGER: Final = r"^\s*[+-]?\d{16,}\s*$"
_INTEGER: Final = re.compile(r"\s*[+-]?\d+\s*")
_DELIMITERS: Final = {"csv": ",", "tsv": "\t"}


def read_schema(source: Source, on_read: OnRead) -> pa.Schema:
    """Return columns and types as the file's first block suggests them."""
    for block_bytes in _BLOCK_BYTES:
        with SourceStream(source, on_read) as stream:
            try:
                with _open(stream, source, block_bytes, None) as reader:
                    schema = reader.schema
                schema = _with_exact_integers(source, schema, block_bytes, on_read)
            except (pa.ArrowInvalid, UnicodeDecodeError) as error:
                if _is_too_long(error):
                    continue
                raise _explained(source, error, on_read) from error
        check_unique_columns(schema, source.shown)
        if any(pa.types.is_binary(kind) for kind in schema.types):
            raise explain_not_text(source, on_read)
        # a column that starts empty is text: any value may come later
        return pa.schema(
            [
                field.with_type(pa.string()) if pa.types.is_null(field.type) else field
                for field in schema
            ]
        )
    raise _row_too_long(source, on_read)


def _with_exact_integers(
    source: Source, schema: pa.Schema, block_bytes: int, on_read: OnRead
) -> pa.Schema:
    """Take numbers for doubles only where no long integer would be rounded.

    pyarrow reads an integer beyond 64 bits with a sign as a double: hashes and ids would change.
    As integers they fail later, and then get a type that holds them.
    """
    doubles = [field.name for field in schema if pa.types.is_float64(field.type)]
    if not doubles or len(set(schema.names)) < len(schema.names):
        return schema
    as_text = pa.schema([(name, pa.string()) for name in doubles])
    with (
        SourceStream(source, on_read) as stream,
        _open(stream, source, block_bytes, as_text) as reader,
    ):
        first = next(iter(reader), None)
    if first is None:
        return schema
    for name in doubles:
        if pc.any(pc.match_substring_regex(first.column(name), _LONG_INTEGER)).as_py():
            index = schema.get_field_index(name)
            schema = schema.set(index, schema.field(index).with_type(pa.int64()))
    return schema


def read_batches(source: Source, schema: pa.Schema, on_read: OnRead) -> Iterator[pa.RecordBatch]:
    """Yield the rows with the types of ``schema``.

    Raises
    ------
    SchemaChanged
        When a value does not fit its column's type, with a type that holds it.
    MalformedFileError
        With the line, for a row with a wrong number of fields or bytes that are no UTF-8.
    """
    num_rows = 0
    for block_bytes in _BLOCK_BYTES:
        skip = num_rows
        with SourceStream(source, on_read, count_quotes=True) as stream:
            try:
                with _open(stream, source, block_bytes, schema) as reader:
                    for batch in reader:
                        fresh = batch.slice(min(skip, batch.num_rows))
                        skip -= batch.num_rows - fresh.num_rows
                        num_rows += fresh.num_rows
                        yield fresh
            except pa.ArrowInvalid as error:
                if _is_too_long(error):
                    continue
                raise _changed(source, schema, error, on_read) from error
            if stream.num_quotes % 2:
                _check_quotes_close(source, on_read)
            return
    raise _row_too_long(source, on_read)


@contextmanager
def _open(
    stream: SourceStream, source: Source, block_bytes: int, schema: pa.Schema | None
) -> Iterator[pacsv.CSVStreamingReader]:
    parsing = pacsv.ParseOptions(delimiter=_DELIMITERS[source.kind], newlines_in_values=True)
    with (
        arrow_file(stream) as file,
        pacsv.open_csv(
            file,
            read_options=pacsv.ReadOptions(block_size=block_bytes),
            parse_options=parsing,
            convert_options=pacsv.ConvertOptions(column_types=schema),
        ) as reader,
    ):
        yield reader


def _is_too_long(error: Exception) -> bool:
    return "straddl" in str(error)


def _changed(source: Source, schema: pa.Schema, error: Exception, on_read: OnRead) -> Exception:
    """Widen the column that a value did not fit, as far as needed."""
    found = _CONVERSION.search(str(error))
    if not found or found[2] == "string":
        return _explained(source, error, on_read)
    # pyarrow counts the columns of this file; the schema may have another order
    name = read_schema(source, on_read).names[int(found[1])]
    index = schema.get_field_index(name)
    field = schema.field(index)
    wider = _wider(field.type, found[3] or "")
    return SchemaChanged(schema.set(index, field.with_type(wider)))


def _wider(kind: pa.DataType, value: str) -> pa.DataType:
    """Return the type that holds what ``kind`` holds and ``value`` too, exactly."""
    if not pa.types.is_integer(kind):
        return pa.string()
    if not _INTEGER.fullmatch(value):
        return pa.float64()
    fits = len(value) <= 40 and 0 <= int(value) < 2**64
    return pa.uint64() if fits and pa.types.is_signed_integer(kind) else pa.string()


def _explained(source: Source, error: Exception, on_read: OnRead) -> MiStudioError:
    """Find the line that pyarrow stumbled over."""
    if "UTF8" in str(error) or isinstance(error, UnicodeDecodeError):
        return explain_not_text(source, on_read)
    found = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
    if found:
        line = _find_row(source, on_read, int(found[1]))
        if line is None:
            _check_quotes_close(source, on_read)
        return MalformedFileError(
            f"{source.shown}, line {line or '?'}: "
            f"{found[2]} fields where the header has {found[1]}.",
            path=source.shown,
            line=line,
            hint="Put values that hold the delimiter or a line end between double quotes.",
        )
    if "Empty CSV" in str(error):
        with SourceStream(source, on_read) as stream:
            head = stream.read(_LINE_LIMIT_BYTES)
        if not head.strip():
            return blank(source, num_bytes=len(head))
        return no_rows(source)
    return MalformedFileError(
        f"{source.shown} cannot be read as {source.kind}: {_reason(error)}.",
        path=source.shown,
        hint="Check that it is what its name says.",
    )


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].removeprefix("CSV parse error: ").rstrip(".")


def _row_too_long(source: Source, on_read: OnRead) -> MalformedFileError:
    _check_quotes_close(source, on_read)
    return MalformedFileError(
        f"{source.shown} has a row of more than {_BLOCK_BYTES[-1] >> 20} MiB.",
        path=source.shown,
        hint="Check that its lines end where they should, or split the row.",
    )


def _check_quotes_close(source: Source, on_read: OnRead) -> None:
    line = _find_row(source, on_read, None)
    if line is not None:
        raise MalformedFileError(
            f"{source.shown}, line {line}: a double quote opens a field and is never closed.",
            path=source.shown,
            line=line,
            hint="Close it, or write it twice if it is part of the text.",
        )


def _find_row(source: Source, on_read: OnRead, num_fields: int | None) -> int | None:
    """Return the line of the first row with other than ``num_fields`` fields.

    With None, the line of a row that is still inside quotes when the file ends.
    """
    delimiter = _DELIMITERS[source.kind].encode()
    start, delimiters, is_inside = 1, 0, False
    with SourceStream(source, on_read) as stream:
        reader = io.BufferedReader(stream, _LINE_LIMIT_BYTES)
        line = 1
        while piece := reader.readline():
            more, is_inside = _scan(piece, delimiter, is_inside=is_inside)
            delimiters += more
            line += 1
            if is_inside:
                continue
            if num_fields not in (None, delimiters + 1) and piece.strip(b"\r\n"):
                return start
            start, delimiters = line, 0
    return start if is_inside and num_fields is None else None


def _scan(line: bytes, delimiter: bytes, *, is_inside: bool) -> tuple[int, bool]:
    """Count the delimiters of a line outside quotes; tell whether it ends inside quotes."""
    count, at, is_field_start = 0, 0, not is_inside
    while True:
        if is_field_start and line[at : at + 1] == b'"':
            is_inside, at = True, at + 1
        if is_inside:
            at = line.find(b'"', at) + 1
            if not at:
                return count, True
            # two quotes are one quote of the text
            is_inside = line[at : at + 1] == b'"'
            at += is_inside
            is_field_start = False
            if is_inside:
                continue
        at = line.find(delimiter, at) + 1
        if not at:
            return count, False
        count, is_field_start = count + 1, True
