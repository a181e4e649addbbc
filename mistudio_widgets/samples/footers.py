"""The footers of Parquet files: what a file's schema is made of, and a footer for a part of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import pyarrow.parquet as pq

from . import thrift
from .filemap import Part, Rows

_MAGIC: Final = b"PAR1"
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
class Element:
    """One element of a Parquet schema, as it is written."""

    name: bytes
    repetition: int
    num_children: int
    written: bytes


@dataclass(frozen=True)
class Leaf:
    """A column of values: its number, and the elements from its field down to it."""

    number: int
    path: tuple[Element, ...]


@dataclass(frozen=True)
class Footer:
    """A file's footer, and the leaves of each field of its schema."""

    metadata: pq.FileMetaData
    fields: tuple[tuple[Leaf, ...], ...]


def read_footer(part: Part, descriptor: int) -> Footer:
    """Read a file's footer; raises `CannotCutError` where the schema has lists."""
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
    return Footer(metadata, tuple(fields))


def _read_elements(content: bytes) -> list[Element]:
    """Read the schema, which is the footer's second field."""
    reader = thrift.Reader(content)
    for number, kind in reader.fields():
        if number == 2 and kind == thrift.LIST:
            return [_read_element(reader) for _ in reader.items()]
        reader.skip(kind)
    raise ValueError("a footer without a schema")


def _read_element(reader: thrift.Reader) -> Element:
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
    return Element(name, repetition, num_children, written)


def _leaves(
    elements: list[Element], place: int, number: int, above: tuple[Element, ...]
) -> tuple[tuple[Leaf, ...], int, int]:
    path = (*above, elements[place])
    place += 1
    if not path[-1].num_children:
        return (Leaf(number, path),), place, number + 1
    found: tuple[Leaf, ...] = ()
    for _ in range(path[-1].num_children):
        leaves, place, number = _leaves(elements, place, number, path)
        found += leaves
    return found, place, number


def small_file(  # noqa: PLR0917 -- the parts of a file
    footer: Footer,
    leaf: Leaf,
    chunk: pq.ColumnChunkMetaData,
    dictionary: bytes,
    pages: list[bytes],
    num_rows: int,
    sizes: Rows,
) -> bytes:
    """Return some pages of a column chunk as a Parquet file with one column.

    Parameters
    ----------
    dictionary : bytes
        The chunk's dictionary page, or nothing.
    pages : list of bytes
        Pages of data as they are, headers included.
    num_rows : int
        How many values they hold.
    sizes : int64, shape (n_pages,)
        Their uncompressed sizes.
    """
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
