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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import thrift
from .filemap import Part, Rows
from .footers import CannotCutError, Footer, Leaf, read_footer, small_file
from .two_threads import map_in_two_threads

_HEADER_BYTES: Final = 512
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
# rows that lie apart mean a page each, 1 or 2 ms of unpacking and a few MB while it is read
_PIECE_BYTES: Final = 4 * 2**20
_PORTION_BYTES: Final = 32 * 2**20
_KEPT_CHUNKS: Final = 512
_KEPT_FILES: Final = 64


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

    def of(self, rows: Rows) -> Rows:
        """Return the page that each row lies in."""
        return np.searchsorted(self.first_rows, rows, side="right") - 1


class _Chunk(NamedTuple):
    """The values of one leaf in a row group."""

    leaf: Leaf
    described: pq.ColumnChunkMetaData
    pages: _Pages


class PageReader:
    """Reads rows from large row groups; remembers where pages lie.

    *Threads:* any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._footers: OrderedDict[Any, Footer] = OrderedDict()
        self._chunks: OrderedDict[Any, _Pages] = OrderedDict()

    def read(self, part: Part, numbers: Rows) -> Iterator[pa.Table]:
        """Read rows of a file, ascending, in portions of which about 32 MB are unpacked at once.

        A page is unpacked whole, however large it is.

        Raises
        ------
        CannotCutError
            Another way has to read what is left of them, or say what is wrong with it.
        """
        with _opened(part) as descriptor:
            footer = self._footer(part, descriptor)
            for group in range(len(part.group_rows) - 1):
                first, end = part.group_rows[group : group + 2]
                inside = numbers[(numbers >= first) & (numbers < end)] - first
                if len(inside):
                    chunks = [
                        [self._chunk(descriptor, part, footer, group, leaf) for leaf in leaves]
                        for leaves in footer.fields
                    ]
                    for rows in _portions(chunks, inside):
                        yield _read_rows(descriptor, part, footer, chunks, rows)

    def _footer(self, part: Part, descriptor: int) -> Footer:
        key = (part.path, part.stamp)
        with self._lock:
            if key in self._footers:
                self._footers.move_to_end(key)
                return self._footers[key]
        footer = read_footer(part, descriptor)
        with self._lock:
            self._footers[key] = footer
            while len(self._footers) > _KEPT_FILES:
                self._footers.popitem(last=False)
        return footer

    def _chunk(self, descriptor: int, part: Part, footer: Footer, group: int, leaf: Leaf) -> _Chunk:
        found = footer.metadata.row_group(group).column(leaf.number)
        key = (part.path, part.stamp, group, leaf.number)
        return _Chunk(leaf, found, self._pages(key, descriptor, found))

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


@contextmanager
def _opened(part: Part) -> Iterator[int]:
    """Open a file; whatever goes wrong with it is left to others."""
    try:
        descriptor = os.open(part.path, os.O_RDONLY)
    except OSError as error:
        raise CannotCutError from error
    try:
        yield descriptor
    except (pa.ArrowException, ValueError, IndexError, KeyError, OSError) as error:
        raise CannotCutError from error
    finally:
        os.close(descriptor)


def _portions(chunks: list[list[_Chunk]], rows: Rows) -> list[Rows]:
    """Cut rows of a group into portions that can be read one after another."""
    sizes = np.zeros(len(rows), dtype=np.int64)
    for chunk in chain.from_iterable(chunks):
        sizes += _unpacked(chunk.pages, rows)
    return _cut(rows, sizes, _PORTION_BYTES)


def _unpacked(pages: _Pages, rows: Rows) -> Rows:
    """Return for each row what must be unpacked for it, after those before it."""
    page = pages.of(rows)
    return np.where(np.diff(page, prepend=-1) > 0, pages.sizes[page], 0)


def _cut(rows: Rows, sizes: Rows, num_bytes: int) -> list[Rows]:
    """Cut rows into pieces of about ``num_bytes``, never before one that adds nothing."""
    numbers = (np.cumsum(sizes) - 1) // num_bytes
    return np.split(rows, np.flatnonzero((np.diff(numbers) > 0) & (sizes[1:] > 0)) + 1)


def _read_rows(
    descriptor: int, part: Part, footer: Footer, chunks: list[list[_Chunk]], rows: Rows
) -> pa.Table:
    """Return rows of a group, all columns."""
    columns = []
    for field, kind in zip(chunks, part.schema.types, strict=True):
        read = [_read_chunk(descriptor, footer, chunk, rows) for chunk in field]
        column = _joined(read)
        columns.append(column if column.type == kind else column.cast(kind))
    return pa.Table.from_arrays(columns, schema=part.schema.remove_metadata())


def _read_chunk(descriptor: int, footer: Footer, chunk: _Chunk, rows: Rows) -> pa.Array:
    pieces = _cut(rows, _unpacked(chunk.pages, rows), _PIECE_BYTES)
    return pa.concat_arrays(
        map_in_two_threads(partial(_read_piece, descriptor, footer, chunk), pieces)
    )


def _read_piece(descriptor: int, footer: Footer, chunk: _Chunk, rows: Rows) -> pa.Array:
    """Return the values of rows of a group, below the structs that they stand in."""
    leaf, described, pages = chunk
    page = pages.of(rows)
    wanted = np.unique(page)
    content = [
        os.pread(descriptor, int(pages.ends[page] - pages.starts[page]), int(pages.starts[page]))
        for page in wanted
    ]
    counts = pages.first_rows[wanted + 1] - pages.first_rows[wanted]
    small = small_file(
        footer, leaf, described, pages.dictionary, content, int(counts.sum()), pages.sizes[wanted]
    )
    del content
    firsts = np.cumsum(counts) - counts
    place = np.searchsorted(wanted, page)
    places = rows - pages.first_rows[wanted[place]] + firsts[place]
    size = max(_PORTION_BYTES * int(counts.sum()) // int(pages.sizes[wanted].sum()), 1)
    found = []
    first = 0
    with pq.ParquetFile(pa.BufferReader(small), pre_buffer=False) as file:
        # of very large pages, only what is wanted becomes an array
        for batch in file.iter_batches(size, use_threads=False):
            here = places[(places >= first) & (places < first + len(batch))]
            if len(here):
                found.append(batch.column(0).take(pa.array(here - first)))
            first += len(batch)
    return pa.concat_arrays(found)


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
