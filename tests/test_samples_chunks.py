"""Some pages of a Parquet file, read as a file of their own, hold what the whole file does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_samples_cells import not_utf8
from test_samples_pages import NUM_ROWS, TEXTS, typed_columns

from mistudio_widgets.samples import FileMap, chunks, thrift
from mistudio_widgets.samples.chunks import PageReader
from mistudio_widgets.samples.filemap import Part
from mistudio_widgets.samples.footers import CannotCutError

LISTS = {"list", "map"}


def part_of(path: Path) -> Part:
    return FileMap({"train": [path]}, "text").parts["train"][0]


def read(reader: PageReader, part: Part, numbers: np.ndarray[Any, Any]) -> pa.Table:
    return pa.concat_tables(reader.read(part, numbers))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"version": "1.0"},
        {"data_page_version": "2.0", "data_page_size": 300},
        {"compression": "zstd", "use_dictionary": False},
        {"compression": "lz4", "data_page_size": 300},
        {"compression": "brotli", "write_page_index": True},
        {"compression": "gzip", "data_page_version": "2.0", "data_page_size": 300},
        {"compression": "none", "data_page_size": 64, "write_statistics": False},
        {"dictionary_pagesize_limit": 100, "data_page_size": 100},
        {"store_schema": False},
    ],
    ids=str,
)
def test_pages_hold_what_the_file_does(tmp_path: Path, options: dict[str, Any]) -> None:
    numbers = np.array([0, 3, 4, 199, 200, 201, 350, 499])
    columns = typed_columns(NUM_ROWS)
    if options.get("version") == "1.0":
        # nanoseconds came later
        columns = {name: column for name, column in columns.items() if name not in {"ns", "time"}}
    for name, column in columns.items():
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"text": TEXTS, name: column}), path, row_group_size=200, **options)
        reader, part = PageReader(), part_of(path)
        if name in LISTS:
            with pytest.raises(CannotCutError):
                read(reader, part, numbers)
            continue
        whole = pq.ParquetFile(path).read()
        for _ in range(2):
            found = read(reader, part, numbers)
            assert found.schema.equals(whole.schema.remove_metadata())
            # as text, for NaN equals nothing
            assert str(found.to_pylist()) == str(whole.take(numbers).to_pylist())


def test_many_pages_are_read_by_two_threads(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{number} " * 400 for number in range(9000)]
    pq.write_table(pa.table({"text": texts}), path, data_page_size=100_000, use_dictionary=False)
    reader, part = PageReader(), part_of(path)
    numbers = np.arange(0, 9000, 90)
    for _ in range(2):
        assert read(reader, part, numbers)["text"].to_pylist() == [texts[n] for n in numbers]


def test_a_page_is_unpacked_once_for_all_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{number} " * 1000 for number in range(300)]
    pq.write_table(
        pa.table({"text": texts}), path, data_page_size=100_000, write_batch_size=30,
        use_dictionary=False,
    )  # fmt: skip
    opened: list[int] = []
    small_file = chunks.small_file

    def counted(*given: Any) -> bytes:
        opened.append(len(given[4]))
        return small_file(*given)

    monkeypatch.setattr(chunks, "small_file", counted)
    numbers = np.arange(0, 300, 7)
    expected = [texts[number] for number in numbers]
    assert read(PageReader(), part_of(path), numbers)["text"].to_pylist() == expected
    num_pages = sum(opened)
    assert 5 < num_pages < 20
    # each page is a piece of its own, or all are one
    for num_bytes, pieces in ((1, [1] * num_pages), (2**30, [num_pages])):
        monkeypatch.setattr(chunks, "_PIECE_BYTES", num_bytes)
        opened.clear()
        assert read(PageReader(), part_of(path), numbers)["text"].to_pylist() == expected
        assert opened == pieces
    monkeypatch.setattr(chunks, "_PORTION_BYTES", 1)
    opened.clear()
    portions = list(PageReader().read(part_of(path), numbers))
    assert len(portions) == len(opened) == num_pages
    assert pa.concat_tables(portions)["text"].to_pylist() == expected


def test_nested_structs_with_nulls_at_every_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [
        None if n % 7 == 0 else {"a": None if n % 5 == 0 else {"b": n, "c": None}, "d": str(n)}
        for n in range(300)
    ]
    kind = pa.struct(
        [("a", pa.struct([("b", pa.int64()), ("c", pa.string())])), ("d", pa.string())]
    )
    pq.write_table(pa.table({"x": pa.array(rows, kind)}), path, data_page_size=200)
    numbers = np.arange(0, 300, 3)
    assert read(PageReader(), part_of(path), numbers)["x"].to_pylist() == rows[::3]


def test_text_that_is_not_utf8_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": not_utf8(b"fine", b"\xed\xa0\x80")}), path)
    found = read(PageReader(), part_of(path), np.array([1]))
    assert found["text"].cast(pa.binary()).to_pylist() == [b"\xed\xa0\x80"]


def test_a_damaged_file_is_left_to_others(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"t{n}" * 50 for n in range(1000)]}), path)
    part = part_of(path)
    content = bytearray(path.read_bytes())
    for first in range(4, len(content) - 8, 997):
        damaged = bytearray(content)
        damaged[first : first + 40] = bytes(40)
        path.write_bytes(damaged)
        # it may read other rows right, but never ends in another error
        try:
            read(PageReader(), part, np.array([5, 900]))
        except CannotCutError:
            continue
    path.unlink()
    with pytest.raises(CannotCutError):
        read(PageReader(), part, np.array([5]))


@given(st.binary(max_size=200), st.integers(1, 13))
def test_whatever_is_no_thrift_ends(content: bytes, kind: int) -> None:
    try:
        thrift.Reader(content).skip(kind)
    except (IndexError, ValueError):
        return


@given(st.lists(st.integers(0, 2**62), max_size=40), st.binary(max_size=300))
def test_what_is_written_is_read(numbers: list[int], content: bytes) -> None:
    items = thrift.a_list(thrift.I64, [thrift.integer(number) for number in numbers])
    inner = thrift.a_struct((2, thrift.BINARY, thrift.binary(content)))
    written = thrift.a_struct((1, thrift.LIST, items), (9, thrift.STRUCT, inner))
    skipped = thrift.Reader(written)
    skipped.skip(thrift.STRUCT)
    assert skipped.position == len(written)
    reader = thrift.Reader(written)
    fields = reader.fields()
    assert next(fields) == (1, thrift.LIST)
    assert [reader.integer() for _ in reader.items()] == numbers
    assert next(fields) == (9, thrift.STRUCT)
    assert [(number, reader.binary()) for number, _ in reader.fields()] == [(2, content)]
    assert list(fields) == []
