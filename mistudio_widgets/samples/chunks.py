"""Some pages of a large column chunk, read as if they were a Parquet file of their own.

pyarrow reads row groups whole. A column chunk is a row of pages, each of about 1 MB and
readable by itself: where they lie is told by their headers. The pages that hold the wanted rows,
behind a footer that says no more than that, are a Parquet file, which pyarrow reads with all its
care for types and encodings.

Only columns without lists: in a list, a value's number is not its row.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import thrift
from .filemap import Part, Rows

_MAGIC: Final = b"PAR1"
_HEADER_BYTES: Final = 512
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
# rows that lie apart mean a page each, 1 or 2 ms of unpacking
_HALVED_BYTES: Final = 4 * 2**20
_THREADS: Final = 2
_KEPT_CHUNKS: Final = 512
_KEPT_FILES: Final = 64
_TYPES: Final = {
    name: number
    for number, name in enumerate(
        (
            "BOOLEAN",
            "INT32",
            "INT64",
            "INT96",
            "FLOAT",
            "DOUBLE",
            "BYTE_ARRAY",
            "FIXED_LEN_BYTE_ARRAY",
        )
    )
}
# 5 is read as either kind of LZ4
_CODECS: Final = {"UNCOMPRESSED": 0, "SNAPPY": 1, "GZIP": 2, "BROTLI": 4, "LZ4": 5, "ZSTD": 6}


class CannotCutError(Exception):
    """The file's pages cannot be read one by one."""


@dataclass(frozen=True)
class _Element:
    """One element of a Parquet schema, as it is written."""

    name: bytes
    repetition: int
    num_children: int
    written: bytes


@dataclass(frozen=True)
class _Leaf:
    """A column of values: its number, and the elements from its field down to it."""

    number: int
    path: tuple[_Element, ...]


@dataclass(frozen=True)
class _Footer:
    """A file's footer, and the leaves of each field of its schema."""

    metadata: pq.FileMetaData
    fields: tuple[tuple[_Leaf, ...], ...]


@dataclass(frozen=True)
class _Pages:
    """The pages of a column chunk.

    Attributes
    ----------
    dictionary : bytes
        The dictionary page, or nothing.
    starts, ends : int64, shape (n_pages,)
        Where in the file the pages of data lie, headers included.
    sizes : int64, shape (n_pages,)
        Uncompressed, headers included.
    first_rows : int64, shape (n_pages + 1,)
        Row of the group that each begins with.
    """

    dictionary: bytes
    starts: Rows
    ends: Rows
    sizes: Rows
    first_rows: Rows


class PageReader:
    """Reads rows from large row groups; remembers where pages lie.

    *Threads:* any.
    """

    def __init__(self) -> None:
        self._is_closed = False
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mistudio-pages")
        self._lock = threading.Lock()
        self._footers: OrderedDict[Any, _Footer] = OrderedDict()
        self._chunks: OrderedDict[Any, _Pages] = OrderedDict()

    def close(self) -> None:
        """End the threads; what is read from now on is read by the caller's alone."""
        self._is_closed = True
        self._threads.shutdown(wait=False)

    def read(self, part: Part, numbers: Rows) -> pa.Table:
        """Return rows of a file, ascending.

        Raises
        ------
        CannotCutError
            Another way has to read this file, or say what is wrong with it.
        """
        try:
            descriptor = os.open(part.path, os.O_RDONLY)
        except OSError as error:
            raise CannotCutError from error
        try:
            footer = self._footer(part, descriptor)
            pieces = []
            for group in range(len(part.group_rows) - 1):
                first, end = part.group_rows[group : group + 2]
                inside = numbers[(numbers >= first) & (numbers < end)] - first
                if len(inside):
                    columns = [
                        self._field(descriptor, part, footer, leaves, group, inside)
                        for leaves in footer.fields
                    ]
                    columns = [
                        column if column.type == kind else column.cast(kind)
                        for column, kind in zip(columns, part.schema.types, strict=True)
                    ]
                    pieces.append(
                        pa.Table.from_arrays(columns, schema=part.schema.remove_metadata())
                    )
            return pa.concat_tables(pieces)
        except (pa.ArrowException, ValueError, IndexError, KeyError, OSError) as error:
            raise CannotCutError from error
        finally:
            os.close(descriptor)

    def _footer(self, part: Part, descriptor: int) -> _Footer:
        key = (part.path, part.stamp)
        with self._lock:
            if key in self._footers:
                self._footers.move_to_end(key)
                return self._footers[key]
        footer = _read_footer(part, descriptor)
        with self._lock:
            self._footers[key] = footer
            while len(self._footers) > _KEPT_FILES:
                self._footers.popitem(last=False)
        return footer

    def _field(  # noqa: PLR0917 -- the parts of one question
        self,
        descriptor: int,
        part: Part,
        footer: _Footer,
        leaves: tuple[_Leaf, ...],
        group: int,
        rows: Rows,
    ) -> pa.Array:
        arrays = []
        for leaf in leaves:
            chunk = footer.metadata.row_group(group).column(leaf.number)
            key = (part.path, part.stamp, group, leaf.number)
            pages = self._pages(key, descriptor, chunk)
            read = partial(_read_leaf, descriptor, footer, leaf, chunk, pages)
            if _num_bytes(pages, rows) > _HALVED_BYTES and not self._is_closed:
                halves = self._threads.map(read, np.array_split(rows, 2))
                arrays.append(pa.concat_arrays(halves))
            else:
                arrays.append(read(rows))
        return _joined(arrays)

    def _pages(self, key: Any, descriptor: int, chunk: pq.ColumnChunkMetaData) -> _Pages:
        with self._lock:
            if key in self._chunks:
                self._chunks.move_to_end(key)
                return self._chunks[key]
        pages = _find_pages(descriptor, chunk)
        with self._lock:
            self._chunks[key] = pages
            while len(self._chunks) > _KEPT_CHUNKS:
                self._chunks.popitem(last=False)
        return pages


def _read_footer(part: Part, descriptor: int) -> _Footer:
    metadata = pq.read_metadata(part.path)
    size = metadata.serialized_size
    content = os.pread(descriptor, size, part.stamp[1] - size - 8)
    elements = _read_elements(content)
    if any(element.repetition == 2 for element in elements):
        raise CannotCutError
    fields = []
    place, number = 1, 0
    for _ in range(elements[0].num_children):
        leaves, place, number = _leaves(elements, place, number, ())
        fields.append(leaves)
    if number != metadata.num_columns or len(fields) != len(part.schema):
        raise CannotCutError
    return _Footer(metadata, tuple(fields))


def _read_elements(content: bytes) -> list[_Element]:
    """Read the schema, which is the footer's second field."""
    reader = thrift.Reader(content)
    for number, kind in reader.fields():
        if number == 2 and kind == thrift.LIST:
            return [_read_element(reader) for _ in reader.items()]
        reader.skip(kind)
    raise ValueError("a footer without a schema")


def _read_element(reader: thrift.Reader) -> _Element:
    start = reader.position
    name, repetition, num_children = b"", 0, 0
    for number, kind in reader.fields():
        if number == 3:
            repetition = reader.integer()
        elif number == 4:
            name = reader.binary()
        elif number == 5:
            num_children = reader.integer()
        else:
            reader.skip(kind)
    written = reader.content[start : reader.position]
    return _Element(name, repetition, num_children, written)


def _leaves(
    elements: list[_Element], place: int, number: int, above: tuple[_Element, ...]
) -> tuple[tuple[_Leaf, ...], int, int]:
    path = (*above, elements[place])
    place += 1
    if not path[-1].num_children:
        return (_Leaf(number, path),), place, number + 1
    found: tuple[_Leaf, ...] = ()
    for _ in range(path[-1].num_children):
        leaves, place, number = _leaves(elements, place, number, path)
        found += leaves
    return found, place, number


def _find_pages(descriptor: int, chunk: pq.ColumnChunkMetaData) -> _Pages:
    """Go from header to header; the pages between them are not read."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
        start = min(start, chunk.dictionary_page_offset)
    end = start + chunk.total_compressed_size
    dictionary = b""
    found: list[tuple[int, int, int, int]] = []
    while start < end and (not found or found[-1][3] < chunk.num_values):
        kind, header_bytes, packed, unpacked, num_values = _read_header(descriptor, start, end)
        stop = start + header_bytes + packed
        if stop > end:
            raise ValueError("a page beyond its chunk")
        if kind == _DICTIONARY_PAGE:
            dictionary = os.pread(descriptor, stop - start, start)
        elif kind in (_DATA_PAGE, _DATA_PAGE_V2):
            before = found[-1][3] if found else 0
            found.append((start, stop, header_bytes + unpacked, before + num_values))
        start = stop
    table = np.array(found, dtype=np.int64).reshape(-1, 4)
    if not len(table) or table[-1, 3] != chunk.num_values:
        raise ValueError("pages are missing")
    first_rows = np.concatenate([[0], table[:, 3]])
    return _Pages(dictionary, table[:, 0], table[:, 1], table[:, 2], first_rows)


def _read_header(descriptor: int, start: int, end: int) -> tuple[int, int, int, int, int]:
    """Return a page's kind, and the sizes of its header and of itself, packed and not."""
    size = _HEADER_BYTES
    while True:
        # statistics in it may be of any length
        reader = thrift.Reader(os.pread(descriptor, min(size, end - start), start))
        try:
            numbers = dict.fromkeys((1, 2, 3), -1)
            num_values = 0
            for number, kind in reader.fields():
                if number in numbers:
                    numbers[number] = reader.integer()
                elif number in (5, 8) and kind == thrift.STRUCT:
                    num_values = _first_number(reader)
                else:
                    reader.skip(kind)
        except IndexError:
            if size >= end - start:
                raise
            size *= 8
        else:
            if min(numbers.values()) < 0:
                raise ValueError("a page without a size")
            return numbers[1], reader.position, numbers[3], numbers[2], num_values


def _first_number(reader: thrift.Reader) -> int:
    found = 0
    for number, kind in reader.fields():
        if number == 1:
            found = reader.integer()
        else:
            reader.skip(kind)
    return found


def _num_bytes(pages: _Pages, rows: Rows) -> int:
    """Return how much must be unpacked for these rows."""
    return int(pages.sizes[_pages_of(pages, rows)].sum())


def _pages_of(pages: _Pages, rows: Rows) -> Rows:
    return np.unique(np.searchsorted(pages.first_rows, rows, side="right") - 1)


def _read_leaf(  # noqa: PLR0917 -- the parts of one question
    descriptor: int,
    footer: _Footer,
    leaf: _Leaf,
    chunk: pq.ColumnChunkMetaData,
    pages: _Pages,
    rows: Rows,
) -> pa.Array:
    """Return the values of rows of a group, below the structs that they stand in."""
    wanted = _pages_of(pages, rows)
    content = [
        os.pread(descriptor, int(pages.ends[page] - pages.starts[page]), int(pages.starts[page]))
        for page in wanted
    ]
    counts = pages.first_rows[wanted + 1] - pages.first_rows[wanted]
    small = _small_file(
        footer, leaf, chunk, pages.dictionary, content, int(counts.sum()), pages.sizes[wanted]
    )
    with pq.ParquetFile(pa.BufferReader(small)) as file:
        column = file.read(use_threads=False).column(0).combine_chunks()
    firsts = np.cumsum(counts) - counts
    page = np.searchsorted(wanted, np.searchsorted(pages.first_rows, rows, side="right") - 1)
    places = rows - pages.first_rows[wanted[page]] + firsts[page]
    return column.take(pa.array(places))


def _small_file(  # noqa: PLR0917 -- the parts of a file
    footer: _Footer,
    leaf: _Leaf,
    chunk: pq.ColumnChunkMetaData,
    dictionary: bytes,
    pages: list[bytes],
    num_rows: int,
    sizes: Rows,
) -> bytes:
    body = b"".join([dictionary, *pages])
    first = len(_MAGIC)
    rows = thrift.integer(num_rows)
    unpacked = thrift.integer(int(sizes.sum()) + len(dictionary))
    path = thrift.a_list(thrift.BINARY, [thrift.binary(element.name) for element in leaf.path])
    described = [
        (1, thrift.I32, thrift.integer(_TYPES[chunk.physical_type])),
        # pages name their own encodings
        (2, thrift.LIST, thrift.a_list(thrift.I32, [thrift.integer(0)])),
        (3, thrift.LIST, path),
        (4, thrift.I32, thrift.integer(_CODECS[chunk.compression])),
        (5, thrift.I64, rows),
        (6, thrift.I64, unpacked),
        (7, thrift.I64, thrift.integer(len(body))),
        (9, thrift.I64, thrift.integer(first + len(dictionary))),
    ]
    if dictionary:
        described.append((11, thrift.I64, thrift.integer(first)))
    column = thrift.a_struct(
        (2, thrift.I64, thrift.integer(first)), (3, thrift.STRUCT, thrift.a_struct(*described))
    )
    group = thrift.a_struct(
        (1, thrift.LIST, thrift.a_list(thrift.STRUCT, [column])),
        (2, thrift.I64, unpacked),
        (3, thrift.I64, rows),
    )
    root = _a_group(b"schema", None)
    groups = [_a_group(element.name, element.repetition) for element in leaf.path[:-1]]
    schema = [root, *groups, leaf.path[-1].written]
    written = thrift.a_struct(
        (1, thrift.I32, thrift.integer(2)),
        (2, thrift.LIST, thrift.a_list(thrift.STRUCT, schema)),
        (3, thrift.I64, rows),
        (4, thrift.LIST, thrift.a_list(thrift.STRUCT, [group])),
        (6, thrift.BINARY, thrift.binary((footer.metadata.created_by or "").encode())),
    )
    return b"".join([_MAGIC, body, written, len(written).to_bytes(4, "little"), _MAGIC])


def _a_group(name: bytes, repetition: int | None) -> bytes:
    fields = [(4, thrift.BINARY, thrift.binary(name)), (5, thrift.I32, thrift.integer(1))]
    if repetition is not None:
        fields.insert(0, (3, thrift.I32, thrift.integer(repetition)))
    return thrift.a_struct(*fields)


def _joined(arrays: list[pa.Array]) -> pa.Array:
    """Put structs of one field each together, which are the same struct's."""
    kind = arrays[0].type
    if not pa.types.is_struct(kind):
        return arrays[0]
    fields: dict[str, list[pa.Array]] = {}
    for array in arrays:
        fields.setdefault(array.type.field(0).name, []).append(array.field(0))
    joined = [_joined(found) for found in fields.values()]
    return pa.StructArray.from_arrays(
        joined,
        fields=[pa.field(name, array.type) for name, array in zip(fields, joined, strict=True)],
        mask=arrays[0].is_null(),
    )
