"""Cells: any value of a table as plain JSON of bounded size."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistudio_widgets.samples.cells import MAX_CELL_CHARS, MAX_ROW_CHARS, cell_of, row_cells

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def not_utf8(*contents: bytes) -> pa.Array:
    """Strings whose bytes are not UTF-8, as a file may hold them."""
    return pa.Array.from_buffers(
        pa.string(), len(contents), pa.array(contents, pa.binary()).buffers()
    )


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (None, pa.int8(), None),
        (True, pa.bool_(), True),
        (1.5, pa.float16(), 1.5),
        (float("nan"), pa.float64(), "NaN"),
        (float("-inf"), pa.float32(), "-Infinity"),
        (2**53 - 1, pa.int64(), 2**53 - 1),
        (2**53, pa.int64(), "9007199254740992"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (decimal.Decimal("1.50"), pa.decimal128(10, 2), "1.50"),
        (dt.date(2024, 2, 29), pa.date32(), "2024-02-29"),
        (2**30, pa.date32(), "1073741824 (date32[day])"),
        (1234567890123456789, pa.timestamp("ns"), "2009-02-13T23:31:30.123456789"),
        (-(10**16), pa.timestamp("s"), "-10000000000000000 (timestamp[s])"),
        (0, pa.timestamp("ms", "Asia/Tokyo"), "1970-01-01T09:00:00.000+0900"),
        (86_399_999_999_999, pa.time64("ns"), "23:59:59.999999999"),
        (90, pa.duration("s"), "0:01:30"),
        (2**53 + 1, pa.duration("us"), str(dt.timedelta(microseconds=2**53 + 1))),
        (-1_500, pa.duration("ms"), "-1 day, 23:59:58.500000"),
        (1_000_000_001, pa.duration("ns"), "0:00:01.000000001"),
        (2_000, pa.duration("ns"), "0:00:00.000002"),
        (2**62, pa.duration("s"), "4611686018427387904 s"),
        (b"ab\x00", pa.binary(), "b'ab\\x00'"),
        (PNG, pa.binary(), "PNG image, 108 bytes"),
        (b"RIFF\0\0\0\0WAVEfmt ", pa.large_binary(), "WAV audio, 16 bytes"),
        ({"bytes": PNG, "path": "a.png"}, None, {"bytes": "PNG image, 108 bytes", "path": "a.png"}),
        ([("a", 1), ("a", 2)], pa.map_(pa.string(), pa.int8()), {"a": 1, "a (2)": 2}),
        ([(1, None)], pa.map_(pa.int8(), pa.int8()), {"1": None}),
        ([{"a": [float("inf")]}], None, [{"a": ["Infinity"]}]),
        ("<script>alert(1)</script>", pa.string(), "<script>alert(1)</script>"),
    ],
)
def test_values_are_plain_json(value: Any, kind: pa.DataType | None, shown: Any) -> None:
    assert cell_of(pa.scalar(value, kind)).value == shown


def test_a_long_text_is_cut_and_its_length_told() -> None:
    cell = cell_of(pa.scalar("é" * 10_000_000, pa.large_string()))
    assert (cell.size, cell.unit, cell.is_cut) == (10_000_000, "characters", True)
    assert cell.value.startswith("é")
    assert len(cell.value) <= MAX_CELL_CHARS + 1


def test_long_bytes_and_lists_are_cut_and_their_sizes_told() -> None:
    cell = cell_of(pa.scalar(bytes(10_000_000)))
    assert (cell.size, cell.unit, cell.is_cut) == (10_000_000, "bytes", True)
    assert len(cell.value) < 200
    cell = cell_of(pa.array([list(range(100_000))])[0])
    assert (cell.size, cell.unit, cell.is_cut) == (100_000, "items", True)
    assert cell.value[:3] == [0, 1, 2]
    assert cell.value[-1] == f"… {100_000 - len(cell.value) + 1:,} more"


def test_what_is_not_utf8_shows_its_bytes() -> None:
    column = not_utf8(b"\xed\xa0\x80ok", b"fine")
    assert cell_of(column[0]).value == "\\xed\\xa0\\x80ok"
    nested = pa.StructArray.from_arrays([column, column], names=["x", "x"])
    assert cell_of(nested[0]).value == {"x": "\\xed\\xa0\\x80ok", "x (2)": "\\xed\\xa0\\x80ok"}
    assert cell_of(column.dictionary_encode()[1]).value == "fine"


def test_columns_of_one_name_are_all_there() -> None:
    cells = row_cells(["a", "a", "a (2)", "row"], [pa.scalar(number) for number in range(4)])
    assert {name: cell.value for name, cell in cells.items()} == {
        "a": 0,
        "a (2)": 1,
        "a (2) (2)": 2,
        "row": 3,
    }


def test_a_row_of_a_thousand_long_texts_is_bounded() -> None:
    cells = row_cells([f"c{number}" for number in range(1000)], [pa.scalar("x" * 9999)] * 1000)
    assert sum(len(cell.value) for cell in cells.values()) < 3 * MAX_ROW_CHARS


def test_deep_nesting_ends() -> None:
    value: Any = 1
    for _ in range(60):
        value = [value]
    assert cell_of(pa.scalar(value)).is_cut


@given(
    st.lists(st.text(max_size=200) | st.none(), max_size=60) | st.text(max_size=3000),
    st.integers(40, 500),
)
def test_every_cell_is_bounded_and_true_to_the_value(value: Any, limit: int) -> None:
    kind = pa.list_(pa.string()) if isinstance(value, list) else pa.string()
    cell = cell_of(pa.scalar(value, kind), limit)
    written = json.dumps(cell.model_dump(mode="json"), allow_nan=False)
    # each item may add its brackets and a mark where it is cut
    assert len(json.dumps(cell.value)) <= 10 * limit + 100
    assert json.loads(written)["value"] == cell.value
    if not cell.is_cut:
        assert cell.value == value
