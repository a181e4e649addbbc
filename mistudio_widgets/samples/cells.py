r"""Any value of a table to plain JSON of bounded size.

Nothing is ever executed or drawn from data: bytes are shown as text, an image by its kind and
size.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Container, Iterator
from typing import Any, Final, Literal

import pyarrow as pa

from ..records import Cell
from .filemap import decode, is_text

MAX_CELL_CHARS: Final = 2_000
"""Characters of JSON that one cell may take."""

MAX_ROW_CHARS: Final = 20_000
"""Characters of JSON that all cells of a row may take together; each then has less."""

_MIN_CELL_CHARS: Final = 40
_MAX_DEPTH: Final = 12
_SHOWN_BYTES: Final = 32
# what a JavaScript number holds exactly
_SAFE_INTEGER: Final = 2**53 - 1

_FORMATS: Final = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"BM", "BMP image"),
    (b"II*\x00", "TIFF image"),
    (b"MM\x00*", "TIFF image"),
    (b"fLaC", "FLAC audio"),
    (b"OggS", "Ogg audio"),
    (b"ID3", "MP3 audio"),
)
_RIFF_FORMATS: Final = {b"WEBP": "WebP image", b"WAVE": "WAV audio"}
_UNITS: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}
_MAX_KEY_CHARS: Final = 200


def row_cells(names: list[str], scalars: list[pa.Scalar]) -> dict[str, Cell]:
    """Return the cells of a row; a name that comes again gets its number."""
    limit = min(MAX_CELL_CHARS, max(MAX_ROW_CHARS // max(len(names), 1), _MIN_CELL_CHARS))
    cells: dict[str, Cell] = {}
    for name, scalar in zip(names, scalars, strict=True):
        cells[_free_name(name, cells)] = cell_of(scalar, limit)
    return cells


def cell_of(scalar: pa.Scalar, max_chars: int = MAX_CELL_CHARS) -> Cell:
    """Return a value as a cell.

    Parameters
    ----------
    scalar : pa.Scalar
    max_chars : int
        Of its JSON, about: a list or object may pass it by its brackets.
    """
    room = _Room(max_chars)
    shown = room.take(scalar, 0)
    size, unit = _size(scalar)
    return Cell(value=shown, size=size, unit=unit, is_cut=room.is_cut)


def _size(scalar: pa.Scalar) -> tuple[int | None, Literal["characters", "bytes", "items"] | None]:
    scalar = _stored(scalar)
    if not scalar.is_valid:
        return None, None
    if is_text(scalar.type):
        return len(decode(scalar.as_buffer().to_pybytes())), "characters"
    if _is_bytes(scalar.type):
        return scalar.as_buffer().size, "bytes"
    if pa.types.is_nested(scalar.type) and not pa.types.is_struct(scalar.type):
        return len(scalar.values), "items"
    return None, None


def _stored(scalar: pa.Scalar) -> pa.Scalar:
    """Return the plain value of an extension type or a dictionary."""
    while scalar.is_valid and isinstance(scalar, (pa.ExtensionScalar, pa.DictionaryScalar)):
        scalar = scalar.value
    return scalar


class _Room:
    """What is left of the characters that a cell may take."""

    def __init__(self, max_chars: int) -> None:
        self.left = max_chars
        self.is_cut = False

    def take(self, scalar: pa.Scalar, depth: int) -> Any:  # noqa: PLR0911 -- one for each kind
        scalar = _stored(scalar)
        if not scalar.is_valid:
            self.left -= 4
            return None
        kind = scalar.type
        if is_text(kind):
            return self._encoded(scalar.as_buffer())
        if _is_bytes(kind):
            return self._bytes(scalar.as_buffer())
        if pa.types.is_nested(kind):
            return self._nested(scalar, depth)
        if pa.types.is_temporal(kind):
            return self._text(_time(scalar))
        value = scalar.as_py()
        is_plain = (
            isinstance(value, bool)
            or (isinstance(value, int) and abs(value) <= _SAFE_INTEGER)
            or (isinstance(value, float) and math.isfinite(value))
        )
        if is_plain:
            self.left -= len(str(value))
            return value
        return self._text(_float_name(value) if isinstance(value, float) else str(value))

    def _encoded(self, content: pa.Buffer) -> str:
        # no character takes more than four bytes; what lies behind need not be read
        head = content.slice(0, min(content.size, 4 * max(self.left, 0) + 4)).to_pybytes()
        text = decode(head)
        if len(head) < content.size:
            text = text[: max(self.left, 0)] + "…"
            self.is_cut = True
        return self._text(text)

    def _text(self, text: str) -> str:
        whole = text
        # escapes make up to six characters of one; what is far too long is not measured
        text = text[: max(self.left, 0)]
        written = len(json.dumps(text)) - 2
        while written > max(self.left, 0) and text:
            text = text[: len(text) * max(self.left, 0) // written]
            written = len(json.dumps(text)) - 2
        self.left -= written
        if len(text) == len(whole):
            return text
        self.is_cut = True
        return text + "…"

    def _bytes(self, content: pa.Buffer) -> str:
        self.is_cut = self.is_cut or content.size > _SHOWN_BYTES
        return self._text(
            shown_bytes(
                content.slice(0, min(content.size, _SHOWN_BYTES)).to_pybytes(), content.size
            )
        )

    def _nested(self, scalar: pa.Scalar, depth: int) -> Any:
        if depth >= _MAX_DEPTH:
            self.is_cut = True
            return "…"
        kind = scalar.type
        if pa.types.is_struct(kind):
            fields = [(field.name, scalar[place]) for place, field in enumerate(kind)]
            return self._object(iter(fields), len(fields), depth)
        if pa.types.is_map(kind):
            pairs = scalar.values
            items = ((self._key(pair[0]), pair[1]) for pair in pairs)
            return self._object(items, len(pairs), depth)
        return self._list(scalar.values, depth)

    def _list(self, items: pa.Array, depth: int) -> list[Any]:
        shown: list[Any] = []
        for item in items:
            if self.left <= 0:
                self.is_cut = True
                shown.append(f"… {len(items) - len(shown):,} more")
                break
            self.left -= 1
            shown.append(self.take(item, depth + 1))
        return shown

    def _object(self, items: Iterator[tuple[str, pa.Scalar]], count: int, depth: int) -> Any:
        shown: dict[str, Any] = {}
        for key, item in items:
            if self.left <= 0:
                self.is_cut = True
                shown["…"] = f"{count - len(shown):,} more"
                break
            name = _free_name(self._text(key), shown)
            shown[name] = self.take(item, depth + 1)
        return shown

    def _key(self, scalar: pa.Scalar) -> str:
        """Return a map's key, which may be of any kind, as text."""
        key = _Room(_MAX_KEY_CHARS).take(scalar, _MAX_DEPTH)
        return key if isinstance(key, str) else json.dumps(key)


def _free_name(name: str, taken: Container[str]) -> str:
    """Return the name, numbered when it comes again."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _time(scalar: pa.Scalar) -> str:
    """Write a date, time or duration; Python's own types do not hold all of them."""
    kind = scalar.type
    if pa.types.is_interval(kind):
        months, days, nanoseconds = scalar.as_py()
        return f"{months} months, {days} days, {nanoseconds / 1e9:g} s"
    if pa.types.is_duration(kind):
        return _duration(scalar.value, kind.unit)
    try:
        # Arrow writes every digit, and a zone's times in UTC
        written = str(scalar.cast(pa.string()).as_py())
    except pa.ArrowException:
        written = "<"
    # what it cannot write it says so: <value out of range: 1073741824>
    return f"{scalar.value} ({kind})" if "<" in written else written.replace(" ", "T", 1)


def _duration(value: int, unit: str) -> str:
    if unit == "ns":
        micros, nanos = divmod(value, 1000)
        whole = _duration(micros, "us")
        return f"{whole if '.' in whole else f'{whole}.000000'}{nanos:03}" if nanos else whole
    try:
        return str(dt.timedelta(**{_UNITS[unit]: value}))
    except OverflowError:
        return f"{value} {unit}"


def _float_name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def shown_bytes(head: bytes, num_bytes: int) -> str:
    """Return what is shown of bytes: kind and size of a known format, else the first of them.

    >>> shown_bytes(b"GIF89a...", 9)
    'GIF image, 9 bytes'
    """
    count = f"{num_bytes:,} byte{'' if num_bytes == 1 else 's'}"
    for magic, name in _FORMATS:
        if head.startswith(magic):
            return f"{name}, {count}"
    if head[:4] == b"RIFF" and head[8:12] in _RIFF_FORMATS:
        return f"{_RIFF_FORMATS[head[8:12]]}, {count}"
    text = str(head)
    return f"{text[:-1]}…{text[-1]}, {count}" if num_bytes > len(head) else text
