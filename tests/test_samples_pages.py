"""Rows from anywhere in Parquet files equal what reading everything gives."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_samples_cells import not_utf8

from mistudio_widgets.errors import CorruptFileError, JobCancelled
from mistudio_widgets.progress import Progress
from mistudio_widgets.samples import FileMap, Row, RowReader
from mistudio_widgets.samples.cells import row_cells
from mistudio_widgets.samples.columns import count_duplicates, describe_splits
from mistudio_widgets.samples.lengths import count_characters, rows_within
from mistudio_widgets.samples.pages import is_like_duckdb, read_skipping

NUM_ROWS = 500


def typed_columns(num_rows: int) -> dict[str, pa.Array]:
    numbers = list(range(num_rows))
    day = dt.datetime(2024, 1, 1, 12)  # noqa: DTZ001 -- a column without a zone
    some = [None if number % 7 == 3 else number for number in numbers]
    return {
        "int": pa.array(some, pa.int64()),
        "big": pa.array([2**63 + number for number in numbers], pa.uint64()),
        "half": pa.array([float("nan") if n % 5 else 0.5 for n in numbers], pa.float16()),
        "bytes": pa.array([bytes([n % 256]) * (n % 9) for n in numbers], pa.binary()),
        "fixed": pa.array([n.to_bytes(4, "big") for n in numbers], pa.binary(4)),
        "date": pa.array([day.date()] * num_rows),
        "us": pa.array([day + dt.timedelta(microseconds=n) for n in numbers], pa.timestamp("us")),
        "ns": pa.array(numbers, pa.timestamp("ns")),
        "zoned": pa.array(numbers, pa.timestamp("ms", "America/New_York")),
        "time": pa.array(numbers, pa.time64("ns")),
        "clock": pa.array(numbers, pa.time32("ms")),
        "took": pa.array(numbers, pa.duration("ms")),
        "price": pa.array([decimal.Decimal(n) / 100 for n in numbers], pa.decimal128(20, 2)),
        "huge": pa.array([decimal.Decimal(n) for n in numbers], pa.decimal256(60, 0)),
        "struct": pa.array([{"a": n, "b": {"c": str(n)}} if n % 3 else None for n in numbers]),
        "cases": pa.array([{"a": n, "A": str(n)} for n in numbers]),
        "list": pa.array([[n] * (n % 4) for n in numbers], pa.large_list(pa.int16())),
        "map": pa.array([[("k", n), ("k", n)] for n in numbers], pa.map_(pa.string(), pa.int64())),
        "words": pa.array([f"w{n % 3}" for n in numbers]).dictionary_encode(),
        "null": pa.nulls(num_rows),
        "flag": pa.array([n % 2 == 0 for n in numbers]),
        "image": pa.array([{"bytes": b"GIF89a" + bytes(n % 3), "path": "a.gif"} for n in numbers]),
    }


TEXTS = pa.array([None if n % 50 == 7 else f"text {n} " * (n % 40) for n in range(NUM_ROWS)])


def whole(row: Row) -> Row:
    return row


def brute_force(paths: list[Path], column: str) -> list[tuple[Any, Any]]:
    rows: list[tuple[Any, Any]] = []
    for path in paths:
        table = pq.ParquetFile(path).read()
        names = [name for name in table.column_names if name != column]
        others = [table.column(name).combine_chunks() for name in names]
        texts = table.column(column).to_pylist()
        rows += [
            (text, row_cells(names, [other[number] for other in others]))
            for number, text in enumerate(texts)
        ]
    return rows


@pytest.mark.parametrize("has_list", [False, True])
@pytest.mark.parametrize("name", sorted(typed_columns(1)))
def test_every_type_reads_the_same_by_page_as_in_whole(
    tmp_path: Path, name: str, *, has_list: bool
) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"text": TEXTS, name: typed_columns(NUM_ROWS)[name]})
    if has_list:
        table = table.append_column("beside", pa.array([[n] for n in range(NUM_ROWS)]))
    pq.write_table(table, path, row_group_size=200, data_page_size=500)
    files = FileMap({"train": [path]}, "text")
    asked = [*range(195, 215), 499, 0, 7, 300]
    found = RowReader().read(files, [("train", row) for row in asked], whole, Progress())
    expected = brute_force([path], "text")
    assert [(row.row, row.text, row.columns) for row in found] == [
        (row, *expected[row]) for row in asked
    ]


@pytest.mark.parametrize("beside", ["int", "list", "map"])
def test_only_some_of_many_long_rows_are_held_at_a_time(
    tmp_path: Path, beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("chunks", "pages"):
        monkeypatch.setattr(f"mistudio_widgets.samples.{module}._PORTION_BYTES", 2**21)
    monkeypatch.setattr("mistudio_widgets.samples.filemap.BATCH_BYTES", 2**21)
    texts = [f"{number:07} " * 2**17 for number in range(40)]
    path = tmp_path / "a.parquet"
    table = pa.table({"text": texts, beside: typed_columns(40)[beside]})
    pq.write_table(table, path, row_group_size=20, write_batch_size=1, use_dictionary=False)
    del table
    files = FileMap({"train": [path]}, "text")
    before, held = pa.total_allocated_bytes(), []

    def show(row: Row) -> bool:
        held.append(pa.total_allocated_bytes() - before)
        return row.text == texts[row.row]

    reader = RowReader()
    assert all(reader.read(files, [("train", row) for row in range(40)], show, Progress()))
    assert len(held) == 40
    assert max(held) < 12 * 2**20


def test_plain_types_are_read_by_skipping(tmp_path: Path) -> None:
    columns = typed_columns(NUM_ROWS)
    numbers = np.array([3, 4, 199, 200, 499])
    slow = {"ns", "time", "huge", "cases", "map", "null"}
    for name, column in columns.items():
        path = tmp_path / f"{name}.parquet"
        table = pa.table({"text": TEXTS, name: column})
        pq.write_table(table, path, row_group_size=200)
        part = FileMap({"train": [path]}, "text").parts["train"][0]
        assert is_like_duckdb(part) == (name not in slow), name
        if name not in slow:
            with duckdb.connect(":memory:") as connection:
                found = read_skipping(connection, part, numbers)
            # as text, for NaN equals nothing
            assert str(found.to_pylist()) == str(table.take(numbers).to_pylist())


@settings(max_examples=40)
@given(data=st.data())
def test_any_rows_of_any_files_equal_brute_force(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=4), label="rows per file")
    group = data.draw(st.integers(1, 70), label="rows per group")
    text = st.text() | st.none()
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, size in enumerate(sizes):
            texts = data.draw(st.lists(text, min_size=size, max_size=size))
            extra = (
                {"n": [[row] for row in range(size)]}
                if number % 2
                else {"N": ["x"] * size, "m": [0] * size}
            )
            path = Path(folder) / f"{number}.parquet"
            columns = {"text": pa.array(texts, pa.string()), **extra}
            pq.write_table(pa.table(columns), path, row_group_size=group, data_page_size=64)
            paths.append(path)
        cut = data.draw(st.integers(0, len(paths)))
        files = FileMap({"a": paths[:cut], "b": paths[cut:]}, "text")
        expected = brute_force(paths, "text")
        assert files.total == len(expected)
        if not expected:
            return
        asked = data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=30))
        found = RowReader().read(files, [files.split_of(row) for row in asked], whole, Progress())
        assert [(row.text, row.columns) for row in found] == [expected[row] for row in asked]
        assert [files.span(row.split).start + row.row for row in found] == asked
        start = data.draw(st.integers(0, files.num_rows["b"] + 1))
        read: list[str | None] = []
        for first, texts in files.texts("b", start):
            assert first == start + len(read)
            read += texts.to_pylist()
        assert read == [text for text, _ in expected[files.span("b").start + start :]]


@pytest.mark.parametrize("odd", ["file_row_number", "a.b", "", "Text", "split", "x'y\"z"])
@pytest.mark.parametrize("other", [[1, 2], [[1], [2]]])
def test_columns_of_any_name(tmp_path: Path, odd: str, other: list[Any]) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], odd: other}), path)
    files = FileMap({"train": [path]}, "text")
    found = RowReader().read(files, [("train", 1)], whole, Progress())
    assert found[0].text == "b"
    assert found[0].columns[odd].value == other[1]


def test_a_folder_with_marks_of_a_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "a[b]*'{c}"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["a", "b"], "n": [[1], [2]]}), folder / "x?.parquet")
    files = FileMap({"train": [folder / "x?.parquet"]}, "text")
    assert RowReader().read(files, [("train", 1)], whole, Progress())[0].text == "b"


def test_texts_of_a_large_row_group_are_read_a_little_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [os.urandom(2**19).hex() for _ in range(64)]
    pq.write_table(pa.table({"text": texts}), path, compression="none", use_dictionary=False,
                   write_batch_size=1)  # fmt: skip
    files = FileMap({"train": [path]}, "text")
    before = pa.total_allocated_bytes()
    held = [
        pa.total_allocated_bytes() - before for _, found in files.texts("train") if found.nbytes
    ]
    assert len(held) > 10
    assert max(held) < path.stat().st_size / 3


def test_two_columns_of_one_name_and_no_text_column(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(table, path)
    files = FileMap({"train": [path]}, None)
    found = RowReader().read(files, [("train", 0)], whole, Progress())[0]
    assert found.text is None
    assert {name: cell.value for name, cell in found.columns.items()} == {"x": 1, "x (2)": 2}


def test_a_text_column_that_a_file_lacks_is_null_there(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"text": pa.nulls(2)}), tmp_path / "c.parquet")
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    files = FileMap({"train": paths}, "text")
    assert [(first, found.to_pylist()) for first, found in files.texts("train")] == [
        (0, ["a"]),
        (1, [None, None]),
        (3, [None, None]),
    ]
    assert [first for first, _ in files.texts("train", 2)] == [2, 3]
    found = RowReader().read(files, [("train", 2), ("train", 4)], whole, Progress())
    assert [row.text for row in found] == [None, None]


def test_text_that_is_not_utf8_is_the_same_in_a_page_and_in_a_scan(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    contents = [b"\xed\xa0\x80ok" if number == 700 else b"fine" for number in range(1000)]
    pq.write_table(pa.table({"text": not_utf8(*contents)}), path, row_group_size=600)
    files = FileMap({"train": [path]}, "text")
    asked = [("train", row) for row in (0, 699, 700, 999)]
    shown = [row.text for row in RowReader().read(files, asked, whole, Progress())]
    assert shown == ["fine", "fine", "\\xed\\xa0\\x80ok", "fine"]
    scanned = [text for _, texts in files.texts("train") for text in texts.to_pylist()]
    assert scanned[700] == shown[2]


def test_a_file_that_is_gone_replaced_or_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"t{n}" * 50 for n in range(1000)]}), path)
    files, reader = FileMap({"train": [path]}, "text"), RowReader()
    content = bytearray(path.read_bytes())
    content[100:5000] = bytes(4900)
    stat = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(CorruptFileError, match=r"a\.parquet of the dataset cannot be read"):
        reader.read(files, [("train", 5)], whole, Progress())
    with pytest.raises(CorruptFileError, match=r"a\.parquet of the dataset cannot be read"):
        list(files.texts("train"))
    pq.write_table(pa.table({"text": ["other"]}), path)
    with pytest.raises(CorruptFileError, match="has changed"):
        reader.read(files, [("train", 5)], whole, Progress())
    path.unlink()
    with pytest.raises(CorruptFileError, match="is missing"):
        reader.read(files, [("train", 5)], whole, Progress())
    with pytest.raises(CorruptFileError, match="is missing"):
        list(files.texts("train"))
    path.write_bytes(b"no parquet")
    with pytest.raises(CorruptFileError, match="cannot be read"):
        FileMap({"train": [path]}, "text")


def test_a_cancelled_read_stops(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"]}), path)
    progress = Progress()
    progress.cancel()
    files = FileMap({"train": [path]}, "text")
    with pytest.raises(JobCancelled):
        RowReader().read(files, [("train", 0)], whole, progress)
    with pytest.raises(JobCancelled):
        describe_splits(files, progress)
    with pytest.raises(JobCancelled):
        count_characters(files, "train", progress)


texts = st.lists(st.text(alphabet="ab\u00e9\U0001f44d", max_size=3) | st.none(), max_size=60)


@given(texts, st.integers(0, 4) | st.none(), st.integers(0, 4) | st.none())
def test_statistics_and_length_filters_equal_brute_force(
    found: list[str | None], shortest: int | None, longest: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        pq.write_table(pa.table({"text": pa.array(found, pa.string())}), path)
        files = FileMap({"train": [path]}, "text")
        splits, lengths = describe_splits(files, Progress())
        counted = count_characters(files, "train", Progress())
    assert counted.tolist() == [-1 if text is None else len(text) for text in found]
    assert lengths["train"].tolist() == counted.tolist()
    within = [
        number
        for number, text in enumerate(found)
        if text is not None
        and (shortest is None or len(text) >= shortest)
        and (longest is None or len(text) <= longest)
    ]
    assert np.flatnonzero(rows_within(counted, shortest, longest)).tolist() == within
    there = [text for text in found if text is not None]
    described = splits["train"]
    assert described.num_rows == len(found)
    assert described.num_null == len(found) - len(there)
    assert described.num_empty == there.count("")
    assert described.num_duplicates == len(there) - len(set(there))
    if not there:
        assert described.characters is None
        return
    sizes = sorted(map(len, there))
    characters = described.characters
    assert characters is not None
    assert (characters.min, characters.max) == (sizes[0], sizes[-1])
    assert characters.mean == pytest.approx(sum(sizes) / len(sizes))
    middle = len(sizes) // 2
    assert characters.median == (sizes[middle] + sizes[-middle - 1]) / 2
    assert sum(bucket.count for bucket in characters.histogram) == len(there)


@given(st.lists(st.integers(-5, 5), max_size=50), st.integers(1, 60))
def test_duplicates_are_the_same_in_portions(values: list[int], at_once: int) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(np.array(values, dtype=np.int64).tobytes())
        assert count_duplicates(file, len(values), Progress(), at_once) == len(values) - len(
            set(values)
        )


def test_lengths_fall_into_their_buckets(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    sizes = [0, 99, 100, 199, 200, 9_999, 10_000, 50_000, 60_000]
    pq.write_table(pa.table({"text": ["x" * size for size in sizes]}), path)
    splits, _ = describe_splits(FileMap({"train": [path]}, "text"), Progress())
    characters = splits["train"].characters
    assert characters is not None
    assert {bucket.range: bucket.count for bucket in characters.histogram} == {
        "0-100": 2,
        "100-200": 2,
        "200-500": 1,
        "500-1000": 0,
        "1000-2000": 0,
        "2000-5000": 0,
        "5000-10000": 1,
        "10000-50000": 1,
        "50000+": 2,
    }
