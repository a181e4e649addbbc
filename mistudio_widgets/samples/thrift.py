"""As much of Thrift's compact protocol as Parquet's footers and page headers take.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

I32: Final = 5
I64: Final = 6
BINARY: Final = 8
LIST: Final = 9
STRUCT: Final = 12

_TRUE, _FALSE, _BYTE, _DOUBLE, _SET, _MAP, _UUID = 1, 2, 3, 7, 10, 11, 13
_MAX_DEPTH: Final = 64


class Reader:
    """Reads values one after another.

    What is no Thrift raises `IndexError` (it ends too early) or `ValueError`.
    """

    def __init__(self, content: bytes, position: int = 0) -> None:
        self.content = content
        self.position = position

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and kind of each field of a struct; the caller reads or skips its value."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 15

    def integer(self) -> int:
        """Read an integer of any width but a byte."""
        found = self._varint()
        return (found >> 1) ^ -(found & 1)

    def binary(self) -> bytes:
        """Read bytes."""
        size = self._varint()
        self._move(size)
        return self.content[self.position - size : self.position]

    def items(self) -> Iterator[int]:
        """Yield the kind of each item of a list; the caller reads or skips it."""
        head = self._byte()
        size = head >> 4 if head >> 4 != 15 else self._varint()
        for _ in range(size):
            yield head & 15

    def skip(self, kind: int, depth: int = 0) -> None:  # noqa: C901 -- one for each kind
        """Read over a value."""
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        if kind in (4, I32, I64):
            self._varint()
        elif kind == BINARY:
            self._move(self._varint())
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind in (LIST, _SET):
            for inner in self.items():
                self._skip_item(inner, depth)
        elif kind == _MAP:
            self._skip_map(depth)
        elif kind in (_TRUE, _FALSE):
            pass
        elif kind in (_BYTE, _DOUBLE, _UUID):
            self._move({_BYTE: 1, _DOUBLE: 8, _UUID: 16}[kind])
        else:
            raise ValueError(f"there is no kind {kind}")

    def _skip_map(self, depth: int) -> None:
        size = self._varint()
        kinds = self._byte() if size else 0
        for _ in range(size):
            self._skip_item(kinds >> 4, depth)
            self._skip_item(kinds & 15, depth)

    def _skip_item(self, kind: int, depth: int) -> None:
        # outside of a struct, a boolean takes a byte
        self.skip(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)

    def _byte(self) -> int:
        self.position += 1
        return self.content[self.position - 1]

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found
            if shift > 63:
                raise ValueError("no integer is so long")

    def _move(self, size: int) -> None:
        self.position += size
        if self.position > len(self.content):
            raise IndexError("it ends too early")


def integer(value: int) -> bytes:
    """Write an integer."""
    return _varint((value << 1) ^ (value >> 63))


def binary(content: bytes) -> bytes:
    """Write bytes."""
    return _varint(len(content)) + content


def a_list(kind: int, items: Sequence[bytes]) -> bytes:
    """Write a list of values that are written already."""
    size = len(items)
    head = bytes([size << 4 | kind]) if size < 15 else bytes([0xF0 | kind]) + _varint(size)
    return head + b"".join(items)


def a_struct(*fields: tuple[int, int, bytes]) -> bytes:
    """Write a struct of fields (number, kind, written value) with ascending numbers."""
    written = bytearray()
    before = 0
    for number, kind, value in fields:
        # no struct of Parquet's leaves out more than 15 numbers
        written.append((number - before) << 4 | kind)
        written += value
        before = number
    return bytes(written) + b"\0"


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 128:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
