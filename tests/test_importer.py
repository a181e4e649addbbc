from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from importer_fixtures import Imported, measure, write
from small_disk import small_disk

from mistudio_widgets.errors import (
    InsufficientDiskSpaceError,
    InvalidRequestError,
    JobCancelled,
    MalformedFileError,
    StorageError,
    UnsupportedFormatError,
)
from mistudio_widgets.importer import (
    check_paths,
    check_table,
    describe_parquet,
    import_files,
    import_table,
)
from mistudio_widgets.importer.division import Division
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import ImportRequest

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
ROWS = [{"text": f"sample {i} äöü", "id": i} for i in range(50)]


def as_bytes(kind: str, table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    match kind:
        case "csv" | "CSV":
            pacsv.write_csv(table, sink)
        case "tsv":
            pacsv.write_csv(table, sink, pacsv.WriteOptions(delimiter="\t"))
        case "json":
            return json.dumps(table.to_pylist(), indent=1).encode()
        case "jsonl" | "ndjson":
            return "".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode()
        case "parquet":
            pq.write_table(table, sink)
        case "arrow":
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=7)
        case "feather":
            feather.write_feather(table, sink, chunksize=7)
    return sink.getvalue().to_pybytes()


# formats


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize(
    "kind", ["csv", "CSV", "tsv", "json", "jsonl", "ndjson", "parquet", "arrow", "feather"]
)
def test_reads_tables_of_every_format_and_compression(src, run, kind, compression):
    data = as_bytes(kind, pa.Table.from_pylist(ROWS))
    path = write(src / f"data.{kind}{compression}", COMPRESS[compression](data))
    imported = run(path)
    assert imported.table().to_pylist() == ROWS
    assert imported.result.columns == {"text": "string", "id": "int64"}
    assert imported.result.text_column == "text"
    assert imported.result.source_bytes == path.stat().st_size
    assert imported.result.num_source_files == 1


@pytest.mark.parametrize("compression", COMPRESS)
def test_reads_text_of_every_compression(src, run, compression):
    lines = write(src / f"a.txt{compression}", COMPRESS[compression](b"one\r\n\ntwo\n  three"))
    imported = run(lines)
    assert imported.table().to_pylist() == [
        {"text": text, "path": f"a.txt{compression}"} for text in ("one", "two", "  three")
    ]


def test_reads_json_with_one_object_per_line_and_pretty_printed_objects(src, run, tmp_path):
    lines = write(src / "a.json", '\n{"text": "x", "n": {"k": [1]}}\n\n{"text": "y", "n": null}\n')
    assert run(lines).table().to_pylist() == [
        {"text": "x", "n": {"k": [1]}},
        {"text": "y", "n": None},
    ]


def test_reads_pretty_printed_json_objects(src, run):
    path = write(src / "a.json", '{\n "text": "x",\n "f": 1.5\n}\n{\n "text": "y",\n "f": 2}\n')
    assert run(path).table().to_pylist() == [{"text": "x", "f": 1.5}, {"text": "y", "f": 2.0}]


def test_drops_byte_order_marks(src, run):
    mark = b"\xef\xbb\xbf"
    write(src / "t" / "a.md", mark + "é".encode())
    write(src / "c" / "a.csv", mark + b"text\nx\n")
    write(src / "j" / "a.jsonl", mark + b'{"text": "x"}\n')
    assert run(src / "t").texts() == ["é"]
    assert run(src / "c").texts() == ["x"]
    assert run(src / "j").texts() == ["x"]


def test_reads_csv_with_quoted_line_ends_and_quotes(src, run):
    path = write(src / "a.csv", 'text,id\r\n"a\nb, ""c""",1\r\n5" disk,2\n"",3\n')
    assert run(path).table().to_pylist() == [
        {"text": 'a\nb, "c"', "id": 1},
        {"text": '5" disk', "id": 2},
        {"text": "", "id": 3},
    ]


def test_json_text_that_looks_like_a_date_stays_text(src, run):
    path = write(src / "a.jsonl", '{"text": "2020-01-01", "d": ["2020-01-01"]}\n')
    assert run(path).table().to_pylist() == [{"text": "2020-01-01", "d": ["2020-01-01"]}]


@pytest.mark.parametrize(
    ("name", "sample_by", "expected"),
    [
        ("a.txt", None, ["one", "two ", "three", "four"]),
        ("a.py", None, ["one\r\ntwo \n\n \nthree\n\n\nfour\n"]),
        ("a.txt", "document", ["one\r\ntwo \n\n \nthree\n\n\nfour\n"]),
        ("a.py", "line", ["one", "two ", "three", "four"]),
        ("a.py", "paragraph", ["one\r\ntwo ", "three", "four"]),
    ],
)
def test_sample_by(src, run, name, sample_by, expected):
    path = write(src / name, "one\r\ntwo \n\n \nthree\n\n\nfour\n")
    assert run(path, sample_by=sample_by).texts() == expected


@pytest.mark.parametrize("sample_by", ["line", "paragraph", "document"])
def test_samples_longer_than_a_chunk_stay_whole(src, run, sample_by):
    long = "ä" * 3_000_000
    assert run(write(src / "a.txt", long + "\n\nshort"), sample_by=sample_by).texts() == (
        [long + "\n\nshort"] if sample_by == "document" else [long, "short"]
    )


def test_csv_rows_longer_than_a_block_stay_whole(src, run):
    long = "x" * 20_000_000
    rows = "".join(f"{i},{'y' * 1000}\n" for i in range(10_000))
    path = write(src / "a.csv", f"id,text\n{rows}-1,{long}\n")
    table = run(path).table()
    assert table["id"].to_pylist() == [*range(10_000), -1]
    assert table["text"][-1].as_py() == long


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_first_row_longer_than_a_block_stays_whole(src, run, kind):
    row = {"text": "x" * 5_000_000, "id": 1}
    path = write(src / f"a.{kind}", as_bytes(kind, pa.Table.from_pylist([row])))
    assert run(path).table().to_pylist() == [row]


def test_json_rows_longer_than_a_block_stay_whole(src, run):
    long = "x" * 20_000_000
    rows = "".join(json.dumps({"id": i, "text": "y" * 1000}) + "\n" for i in range(10_000))
    path = write(src / "a.jsonl", rows + json.dumps({"id": -1, "text": long}) + "\n")
    table = run(path).table()
    assert table["id"].to_pylist() == [*range(10_000), -1]
    assert table["text"][-1].as_py() == long


@pytest.mark.parametrize("sample_by", ["line", "paragraph", "document"])
def test_a_sample_beyond_what_arrow_holds_is_refused(src, fails, monkeypatch, sample_by):
    monkeypatch.setattr("mistudio_widgets.importer.text.SAMPLE_LIMIT_BYTES", 3 << 20)
    path = write(src / "a.txt", "short\n\n" + "x" * (8 << 20))
    error = fails(MalformedFileError, path, sample_by=sample_by)
    assert "2 GiB" in error.message


# which files


def test_folders_are_read_in_path_order_without_hidden_files(src, run):
    for name in ("b.txt", "a/z.txt", "a.txt", "a/.hidden", ".git/x.txt", "__pycache__/x.txt"):
        write(src / name, name)
    os.symlink(src, src / "a" / "loop")
    os.symlink(src / "b.txt", src / "same.txt")
    os.symlink(src / "nowhere", src / "dead.txt")
    imported = run([src, src / "a.txt"])
    assert imported.table()["path"].to_pylist() == ["a/z.txt", "a.txt", "b.txt"]
    assert imported.result.skipped == ("dead.txt: a link that leads nowhere",)


def test_globs_match_in_one_folder_or_in_all_below(src, run):
    for name in ("a.md", "s/b.md", "s/t/c.md", "s/t/d.rst", "s/.h/e.md"):
        write(src / name, name)
    assert run(f"{src}/*.md").texts() == ["a.md"]
    assert run(f"{src}/**/*.md").texts() == ["a.md", "s/b.md", "s/t/c.md"]
    assert run(f"{src}/s/**").table()["path"].to_pylist() == ["b.md", "t/c.md", "t/d.rst"]
    assert run(f"{src}/s/**/t/[cd].*").texts() == ["s/t/c.md", "s/t/d.rst"]


def test_names_that_differ_by_case_are_two_files(src, run):
    write(src / "a.txt", "lower")
    write(src / "A.TXT", "upper")
    assert run(src).texts() == ["upper", "lower"]


def test_a_name_that_is_not_utf8_is_replaced_in_the_path_column(src, run):
    write(Path(os.fsdecode(os.fsencode(src) + b"/\xff.txt")), "text")
    assert run(src).table()["path"].to_pylist() == ["\ufffd.txt"]


def test_splits_by_name(src, run):
    write(src / "a.txt", "a1\na2")
    write(src / "b.txt", "b1")
    imported = run({"train": src / "a.txt", "test": [src / "b.txt", src / "a.txt"]})
    assert imported.texts("train") == ["a1", "a2"]
    assert imported.texts("test") == ["a1", "a2", "b1"]
    assert [file.path.name for file in imported.result.files] == [
        "train-00000.parquet",
        "test-00000.parquet",
    ]


def test_check_paths_makes_paths_absolute(src, monkeypatch):
    write(src / "a.txt", "x")
    monkeypatch.chdir(src)
    monkeypatch.setenv("HOME", str(src))
    assert check_paths("a.txt") == {"train": (f"{src}/a.txt",)}
    assert check_paths(["*.txt", Path("~/a.txt")], "test") == {
        "test": (f"{src}/*.txt", f"{src}/a.txt")
    }
    assert check_paths({"x": ".", "y": ("a.txt",)}) == {"x": (str(src),), "y": (f"{src}/a.txt",)}


@pytest.mark.parametrize(
    "paths",
    [
        *("nothing.txt", "*.nothing", "**/x/*.txt", "", "a\0b", "fifo", b"x", 5, None),
        *([], [5], {}, {"train": []}, {"a/b": "x.txt"}, {"": "x.txt"}, {"train": {"x": "y"}}),
    ],
)
def test_check_paths_refuses_at_once(src, monkeypatch, paths):
    os.mkfifo(src / "fifo")
    write(src / "x.txt", "x")
    monkeypatch.chdir(src)
    with pytest.raises(InvalidRequestError) as caught:
        check_paths(paths)
    assert caught.value.field == "paths"
    assert caught.value.hint


def test_check_paths_refuses_a_split_name_that_is_no_file_name(src):
    with pytest.raises(InvalidRequestError) as caught:
        check_paths(src, "../up")
    assert caught.value.field == "split"


def test_check_paths_stops_a_glob_at_its_first_match(src, monkeypatch):
    for number in range(5):
        write(src / f"d{number}" / "a.txt", "x")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scandir(path))
    check_paths(f"{src}/**/*.txt")
    assert listed == [str(src), str(src), f"{src}/d0"]


# columns


def test_types_are_unified_over_files(src, run):
    write(src / "a.jsonl", '{"text": "a", "n": 1, "v": null, "w": 1}\n')
    write(src / "b.jsonl", '{"w": "z", "text": "b", "n": 1.5, "v": [1]}\n')
    assert run(src).table().to_pylist() == [
        {"text": "a", "n": 1.0, "v": None, "w": "1"},
        {"text": "b", "n": 1.5, "v": [1], "w": "z"},
    ]


def test_csv_types_widen_when_a_later_row_needs_it(src, run):
    rows = "".join(f"{i},{i},{i % 2 == 0},t\n" for i in range(700_000))
    path = write(src / "a.csv", f"n,s,b,text\n{rows}1.5,7th,maybe,t\n")
    table = run(path).table()
    assert [str(kind) for kind in table.schema.types] == ["double", "string", "string", "string"]
    assert table.slice(699_999).to_pylist() == [
        {"n": 699_999.0, "s": "699999", "b": "False", "text": "t"},
        {"n": 1.5, "s": "7th", "b": "maybe", "text": "t"},
    ]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["18446744073709551557", "12345678901234567891"], "uint64"),
        (["1", "18446744073709551557"], "uint64"),
        (["-1", "18446744073709551557"], "string"),
        (["18446744073709551557", "-1"], "string"),
        (["99999999999999999999", "1"], "string"),
        (["9007199254740993", "1"], "int64"),
        (["1.5", "2"], "double"),
        (["1.5", "", "9007199254740993"], "double"),
    ],
)
def test_csv_integers_stay_exact(src, run, values, kind):
    rows = "".join(f"a text,{value}\n" for value in values)
    table = run(write(src / "a.csv", f"text,id\n{rows}")).table()
    assert str(table.schema.field("id").type) == kind
    if kind != "double":
        assert [str(value) for value in table["id"].to_pylist()] == values


def test_exact_integers_of_several_files_share_a_type(src, run):
    write(src / "a.csv", "text,id\na,-7\n")
    write(src / "b.csv", "text,id\nb,18446744073709551557\n")
    table = run(src).table()
    assert table.sort_by("text")["id"].to_pylist() == ["-7", "18446744073709551557"]


def test_json_types_widen_when_a_later_row_needs_it(src, run):
    filler = "x" * 1000
    first = {"text": filler, "n": 1, "z": None, "m": 1, "d": {"k": 1}}
    last = {"text": "end", "n": 2.5, "z": 7, "m": "x", "d": {"l": "y"}, "new": True}
    lines = [json.dumps(first)] * 10_000 + [json.dumps(last)]
    table = run(write(src / "a.jsonl", "\n".join(lines))).table()
    assert table.num_rows == 10_001
    assert table.slice(9_999).to_pylist() == [
        {**first, "n": 1.0, "m": "1", "d": {"k": 1, "l": None}, "new": None},
        {**last, "d": {"k": None, "l": "y"}},
    ]


def test_a_column_of_nulls_and_empty_objects_can_be_stored(src, run):
    path = write(src / "a.jsonl", '{"text": "a", "n": null, "e": {}}\n')
    assert run(path).table().to_pylist() == [{"text": "a", "n": None, "e": "{}"}]


def test_numbers_beyond_64_bits_become_floats(src, run):
    path = write(src / "a.json", '[{"text": "a", "n": 123456789012345678901234567890}]')
    assert run(path).table()["n"].to_pylist() == [123456789012345678901234567890.0]


def test_arrow_types_become_plain_ones(src, run):
    table = pa.table(
        {
            "text": pa.array(["a", "b"]).dictionary_encode(),
            "l": pa.array(["x", "y"], pa.large_string()),
            "v": pa.array([["x"], []], pa.large_list(pa.string_view())),
            "s": pa.array([{"k": b"1"}, None], pa.struct([("k", pa.large_binary())])),
        }
    )
    imported = run(write(src / "a.arrow", as_bytes("arrow", table)))
    assert imported.result.columns == {
        "text": "string",
        "l": "string",
        "v": "list<item: string>",
        "s": "struct<k: binary>",
    }
    assert imported.table().to_pylist() == table.to_pylist()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["id", "x", "document", "content", "text"], "text"),
        (["x", "document", "content"], "content"),
        (["x", "document"], "document"),
        (["id", "x", "y"], "x"),
    ],
)
def test_finds_the_text_column(src, run, columns, expected):
    row = {name: 1 if name == "id" else "words" for name in columns}
    imported = run(write(src / "a.jsonl", json.dumps(row)))
    assert imported.result.text_column == expected


def test_a_column_that_was_asked_for_wins(src, run):
    path = write(src / "a.jsonl", '{"text": "a", "x": "b"}')
    assert run(path, text_column="x").texts() == ["b"]


@pytest.mark.parametrize("asked", ["nope", "n"])
def test_a_text_column_that_cannot_be_used_is_refused(src, fails, asked):
    path = write(src / "a.csv", "n,text\n1,a\n")
    error = fails(InvalidRequestError, path, text_column=asked)
    assert error.field == "text_column"
    assert "'text' (string)" in error.hint


def test_a_csv_without_text_lists_its_columns(src, fails):
    error = fails(MalformedFileError, write(src / "a.csv", "n,m\n1,2.5\n"))
    assert "a.csv" in error.message
    assert "'n' (int64), 'm' (double)" in error.message
    assert "text_column=" in error.hint


def test_columns_that_differ_name_both_files(src, fails):
    write(src / "a.csv", "text,id\nx,1\n")
    write(src / "b.csv", "text,extra\nx,1\n")
    error = fails(MalformedFileError, src)
    for part in ("a.csv", "b.csv", "'id'", "'extra'"):
        assert part in error.message


def test_text_beside_tables_names_both_files(src, fails):
    write(src / "a.csv", "text,id\nx,1\n")
    write(src / "notes.md", "hello")
    error = fails(MalformedFileError, src)
    for part in ("a.csv", "notes.md", "'id'"):
        assert part in error.message


def test_what_is_no_text_beside_tables_is_skipped(src, run):
    write(src / "a.csv", "text,id\nx,1\n")
    write(src / "logo.png", b"\x89PNG\0")
    write(src / "data.xyz", b"\x00\x01")
    write(src / "b.csv", b"")
    write(src / "empty.md", b"\n")
    assert run(src).result.skipped == (
        "b.csv: empty",
        "data.xyz: not UTF-8 text",
        "empty.md: only empty lines",
        "logo.png: not UTF-8 text",
    )


def test_sample_by_for_tables_is_refused(src, fails):
    error = fails(InvalidRequestError, write(src / "a.csv", "text\nx\n"), sample_by="line")
    assert error.field == "sample_by"


def test_a_column_that_stands_twice_is_refused(src, fails):
    table = pa.table([["a"], ["b"]], names=["text", "text"])
    for kind in ("csv", "parquet", "arrow"):
        path = write(src / f"a.{kind}", as_bytes(kind, table))
        assert "more than one column" in fails(MalformedFileError, path).message


def test_csv_columns_may_stand_in_any_order(src, run):
    rows = "".join(f"{i},t\n" for i in range(500_000))
    write(src / "a.csv", "text,n\nfirst,0\n")
    write(src / "b.csv", f"n,text\n{rows}x,last\n")
    table = run(src).table()
    assert table.slice(0, 2).to_pylist() == [{"text": "first", "n": "0"}, {"text": "t", "n": "0"}]
    assert table.slice(500_001).to_pylist() == [{"text": "last", "n": "x"}]


# bad input


def test_an_empty_file_that_was_asked_for_is_refused(src, fails):
    for name in ("a.txt", "a.md", "a.csv", "a.json", "a.jsonl", "a.parquet", "a.arrow"):
        error = fails(MalformedFileError, write(src / name, b""))
        assert error.path.endswith(name)
        assert "empty" in error.message


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.json", "a.jsonl", "a.txt.gz"])
def test_a_file_of_empty_lines_is_refused(src, fails, name):
    data = b"\n \r\n" * 100_000
    path = write(src / name, gzip.compress(data) if name.endswith("gz") else data)
    assert "only empty lines" in fails(MalformedFileError, path).message


def test_an_empty_folder_is_refused(src, fails):
    assert "src" in fails(MalformedFileError, src).message
    write(src / "a.txt", "x")
    (src / "sub").mkdir()
    assert "sub" in fails(MalformedFileError, [src / "a.txt", src / "sub"]).message


def test_a_folder_without_readable_text_is_refused(src, fails):
    write(src / "a.txt", b"\xff\xfe\x00")
    write(src / "b.bin", b"abc")
    write(src / "c.md", b"")
    error = fails(MalformedFileError, src)
    assert "src has nothing" in error.message
    for part in ("a.txt: not UTF-8 text", "b.bin", "c.md: empty"):
        assert part in error.message


def test_a_binary_file_named_txt_is_refused_with_the_line(src, fails):
    error = fails(UnsupportedFormatError, write(src / "a.txt", b"line\nline\nli\0ne\n"))
    assert error.line == 3
    assert "a.txt" in error.message


def test_invalid_utf8_is_refused_with_the_line(src, fails):
    good = "ä\n".encode() * 1_000_000
    for name in ("a.txt", "a.md", "a.csv"):
        error = fails(MalformedFileError, write(src / name, b"text\n" + good + b"caf\xe9\n" + good))
        assert error.line == 1_000_002
        assert "iconv" in error.hint


def test_a_character_cut_off_at_the_end_is_refused(src, fails):
    assert fails(MalformedFileError, write(src / "a.txt", b"one\ntwo \xc3")).line == 2


def test_utf16_is_named(src, fails):
    error = fails(MalformedFileError, write(src / "a.txt", "hello".encode("utf-16")))
    assert "UTF-16" in error.hint


@pytest.mark.parametrize("name", ["a.zip", "a.pdf", "a.tar.gz"])
def test_known_binary_kinds_are_refused_by_name(src, fails, name):
    error = fails(UnsupportedFormatError, write(src / name, b"PK\x03\x04"))
    assert name in error.message


def test_found_files_that_are_no_text_are_skipped_and_listed(src, run):
    write(src / "a.txt", "fine\n" * 1_000_000 + "end\n")
    # what is wrong comes after much of it was written
    write(src / "b.txt", b"start\n" * 5_000_000 + b"\xff\n")
    write(src / "c.txt", b"x\0")
    imported = run(src)
    assert imported.result.skipped == ("b.txt: not UTF-8 text", "c.txt: not UTF-8 text")
    assert imported.result.files[0].num_rows == 1_000_001
    assert imported.result.num_source_files == 1


@pytest.mark.parametrize(
    ("name", "data", "line", "reason"),
    [
        (
            "a.jsonl",
            '{"text": "x"}\n' * 9_999 + '{"text": }\n' + '{"text": "x"}\n',
            10_000,
            "value",
        ),
        ("a.json", '{"text": "x"}\n' * 9_999 + '{"text": "x"\n{"text": "x"}', 10_000, "delimiter"),
        ("a.json", "[\n" + '{"text": "x"},\n' * 9_998 + '{"text": x},\n{}]', 10_000, "invalid"),
        ("a.json", '[\n{"text": "x"},\n{"text": "x"\n', 3, "EOF"),
        ("a.json", "[1, 2]", None, "int"),
        ("a.json", "nonsense", 1, "invalid"),
        ("a.jsonl", '{"text": "x"}\n[1]\n', 2, "list"),
        ("a.jsonl", '{"text": "x"}\n{"text": "\\ud800"}\n', 2, "surrogate"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xff"}\n', 2, "UTF-8"),
        ("a.jsonl", "{}\n{}\n", None, "no columns"),
        ("a.json", "[{}, {}]", None, "no keys"),
        ("a.json", '[{"text": ' + "[" * 1_000, None, "nested"),
        ("a.jsonl", '{"text": ' + '{"a": ' * 900 + "1" + "}" * 901, 1, "nested"),
        ("a.jsonl", '{"text": ' + "[" * 100_000 + "\n", 1, "recursion"),
        ("a.jsonl", '{"text": ' + "[" * 3_000 + "]" * 3_000 + "}\n", 1, "recursion"),
    ],
)
def test_broken_json_is_refused_with_the_line_and_the_reason(src, fails, name, data, line, reason):
    error = fails(MalformedFileError, write(src / name, data))
    assert error.line == line
    assert reason in error.message
    assert name in error.message


def test_json_broken_after_much_was_written_is_refused_with_the_line(src, fails):
    good = json.dumps({"text": "x" * 10_000}) + "\n"
    error = fails(MalformedFileError, write(src / "a.jsonl", good * 5_000 + good[:-3] + "\n"))
    assert error.line == 5_001


def test_a_wrong_number_of_fields_is_refused_with_the_line(src, fails):
    data = 'text,id\n"a\nb",1\n\n"c, d",2\n"e",3,4\n'
    error = fails(MalformedFileError, write(src / "a.csv", data))
    assert error.line == 6
    assert "3 fields" in error.message


@pytest.mark.parametrize("num_rows", [1, 600_000])
def test_a_quote_that_is_never_closed_is_refused_with_the_line(src, fails, num_rows):
    data = "text,id\na,1\n" + '"open,2\n' + "a,1\n" * num_rows
    error = fails(MalformedFileError, write(src / "a.csv", data))
    assert error.line == 3


@pytest.mark.parametrize("compression", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_a_truncated_compressed_file_is_refused(src, fails, name, compression):
    rows = [{"text": os.urandom(2000).hex(), "id": i} for i in range(100)]
    table = pa.Table.from_pylist(rows)
    kind = name.removeprefix("a.")
    data = "\n".join(table["text"].to_pylist()).encode() if kind == "txt" else None
    whole = COMPRESS[compression](data or as_bytes(kind, table))
    path = write(src / f"{name}{compression}", whole[: len(whole) // 2])
    error = fails(MalformedFileError, path)
    assert path.name in error.message
    assert "cut off" in error.hint


@pytest.mark.parametrize("compression", [".gz", ".bz2", ".xz", ".zst"])
def test_a_file_that_is_not_compressed_as_named_is_refused(src, fails, compression):
    fails(MalformedFileError, write(src / f"a.txt{compression}", b"plain text" * 10))


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.feather"])
def test_damaged_columnar_files_are_refused(src, fails, name):
    data = as_bytes(name.removeprefix("a."), pa.Table.from_pylist(ROWS))
    assert name in fails(MalformedFileError, write(src / name, data[: len(data) // 2])).message
    assert name in fails(MalformedFileError, write(src / name, b"no table")).message


def test_strings_that_are_not_utf8_in_columnar_files_are_refused(src, fails):
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    for kind in ("arrow", "parquet"):
        path = write(src / f"a.{kind}", as_bytes(kind, pa.table({"text": bad})))
        assert "UTF8" in fails(MalformedFileError, path).message


def test_feather_version_1_is_refused(src, fails):
    fails(UnsupportedFormatError, write(src / "a.feather", b"FEA1" + b"\0" * 100))


def test_tables_without_rows_are_refused(src, fails):
    for name, data in (("a.csv", "text,id\n"), ("a.csv", "text,id"), ("a.json", "[]")):
        assert "no rows" in fails(MalformedFileError, write(src / name, data)).message


def test_a_file_that_vanished_is_named(src, fails):
    path = write(src / "a.txt", "x")
    assert "a.txt" in fails(MalformedFileError, path, before=path.unlink).message


def test_a_file_that_vanishes_during_the_import_is_named(src, into):
    write(src / "a.txt", "word " * 4_000_000)
    last = write(src / "b.txt", "x")

    def vanish(_: int) -> None:
        last.unlink(missing_ok=True)

    with pytest.raises(MalformedFileError, match=r"b\.txt") as caught:
        import_files(
            ImportRequest(paths=check_paths(src)), into, progress=Progress(), check_space=vanish
        )
    assert caught.value.path.endswith("b.txt")
    assert list(into.iterdir()) == []


# writing


def test_big_batches_become_bounded_row_groups(src, run, monkeypatch):
    monkeypatch.setattr("mistudio_widgets.importer.writer._FILE_BYTES", 4 << 20)
    lines = [os.urandom(40_000).hex() for _ in range(400)]
    imported = run(write(src / "a.txt", "\n".join(lines)))
    assert len(imported.result.files) > 1
    assert imported.texts() == lines
    for file in imported.result.files:
        metadata = pq.read_metadata(file.path)
        column = metadata.row_group(0).column(0)
        assert column.compression == "ZSTD"
        assert "RLE_DICTIONARY" not in column.encodings
        for index in range(metadata.num_row_groups):
            assert metadata.row_group(index).total_byte_size < 32 << 20


def test_space_is_asked_for_before_it_is_used(src, into):
    asked: list[int] = []
    path = write(src / "a.txt", ("x" * 999 + "\n") * 40_000)
    import_files(
        ImportRequest(paths=check_paths(path)),
        into,
        progress=Progress(),
        check_space=asked.append,
    )
    assert sum(asked) >= 40_000_000
    assert max(asked) <= 32 << 20


def test_a_refusal_for_space_ends_the_import_with_nothing_left(src, into):
    def refuse(num_bytes: int) -> None:
        raise InsufficientDiskSpaceError("full", required_bytes=num_bytes, available_bytes=0)

    path = write(src / "a.txt", "x")
    with pytest.raises(InsufficientDiskSpaceError):
        import_files(
            ImportRequest(paths=check_paths(path)), into, progress=Progress(), check_space=refuse
        )
    assert list(into.iterdir()) == []


@pytest.mark.parametrize("name", ["a.txt", "a.parquet.gz"])
def test_a_disk_that_fills_up_is_said_and_nothing_is_left(src, tmp_path, name):
    table = pa.table({"text": [os.urandom(5_000).hex() for _ in range(2_000)]})
    data = "\n".join(table["text"].to_pylist()).encode()
    if name == "a.parquet.gz":
        data = gzip.compress(as_bytes("parquet", table), 1)
    path = write(src / name, data)
    with small_disk(tmp_path / "disk") as disk:
        with pytest.raises(InsufficientDiskSpaceError) as caught:
            import_files(
                ImportRequest(paths=check_paths(path)),
                disk,
                progress=Progress(),
                check_space=lambda _: None,
            )
        assert caught.value.hint
        assert 0 <= caught.value.available_bytes < 4 << 20
        assert list(disk.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(src, tmp_path):
    path = write(src / "a.txt", "x")
    with pytest.raises(StorageError):
        import_files(
            ImportRequest(paths=check_paths(path)),
            tmp_path / "missing",
            progress=Progress(),
            check_space=lambda _: None,
        )


# progress and cancelling


def test_progress_ends_complete_and_never_goes_back(src, run):
    rows = "".join(f"{i},t\n" for i in range(1_500_000))
    write(src / "a.csv", f"n,text\n{rows}")
    write(src / "b.csv", f"n,text\n{rows}x,t\n")
    seen: list[float] = []

    class Watched(Progress):
        def advance(self, units: int = 1) -> None:
            super().advance(units)
            seen.append(self.state().fraction)

    progress = Watched()
    run(src, progress)
    assert seen == sorted(seen)
    assert progress.state().fraction == pytest.approx(1.0)
    assert progress.state().phase == "finishing"


def test_progress_counts_source_bytes(src, into):
    path = write(src / "a.txt.gz", gzip.compress(os.urandom(3_000_000).hex().encode()))
    done: dict[str, int] = {}

    class Watched(Progress):
        def advance(self, units: int = 1) -> None:
            super().advance(units)
            state = self.state()
            done[state.phase] = state.done
            if state.phase == "reading":
                assert (state.total, state.unit) == (path.stat().st_size, "bytes")

    import_files(
        ImportRequest(paths=check_paths(path)),
        into,
        progress=Watched(),
        check_space=lambda _: None,
    )
    assert done["reading"] == path.stat().st_size


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_cancelling_in_the_middle_of_a_file_leaves_nothing(src, into, name, compression):
    kind = name.removeprefix("a.")
    table = pa.table({"text": [os.urandom(5_000).hex() for _ in range(3_000)]})
    is_text = kind in ("txt", "md")
    data = "\n".join(table["text"].to_pylist()).encode() if is_text else as_bytes(kind, table)
    if kind == "parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=100)
        data = sink.getvalue().to_pybytes()
    path = write(src / f"{name}{compression}", COMPRESS[compression](data))

    class Stopped(Progress):
        def advance(self, units: int = 1) -> None:
            super().advance(units)
            if self.state().done >= path.stat().st_size // 2:
                self.cancel()

    with pytest.raises(JobCancelled):
        import_files(
            ImportRequest(paths=check_paths(path)),
            into,
            progress=Stopped(),
            check_space=lambda _: None,
        )
    assert list(into.iterdir()) == []


def test_cancelling_while_files_are_listed(src, into):
    write(src / "a.txt", "x")
    progress = Progress()
    progress.cancel()
    with pytest.raises(JobCancelled):
        import_files(
            ImportRequest(paths=check_paths(src)),
            into,
            progress=progress,
            check_space=lambda _: None,
        )


def test_no_thread_of_ours_stays(src, run):
    before = threading.active_count()
    run(write(src / "a.csv", "text\n" + "x\n" * 1_000_000))
    assert threading.active_count() <= before


# dividing


shares = st.lists(st.floats(0.001, 1), min_size=1, max_size=6).map(
    lambda weights: {f"s{i}": weight / sum(weights) for i, weight in enumerate(weights)}
)


@settings(deadline=None, max_examples=60)
@given(shares, st.integers(-(2**40), 2**40), st.lists(st.integers(0, 1500), max_size=6))
def test_every_split_has_its_share_after_every_block(fractions, seed, blocks):
    division, again = Division(fractions, seed), Division(fractions, seed)
    counts = dict.fromkeys(range(len(fractions)), 0)
    total = 0
    for num_rows in blocks:
        chosen = division.assign(num_rows)
        assert chosen.tolist() == again.assign(num_rows).tolist()
        assert len(chosen) == num_rows
        total += num_rows
        for index, share in enumerate(fractions.values()):
            counts[index] += int((chosen == index).sum())
            assert abs(counts[index] - share * total) < 1
    assert sum(counts.values()) == total


def test_another_seed_gives_another_division():
    fractions = {"a": 0.5, "b": 0.5}
    divisions = {tuple(Division(fractions, seed).assign(1000).tolist()) for seed in range(5)}
    assert len(divisions) == 5


def test_divides_all_files_at_random_and_keeps_the_order(src, run):
    for name in "abc":
        write(src / f"{name}.txt", "".join(f"{name}{i:04d}\n" for i in range(1001)))
    imported = run(
        {"x": src / "a.txt", "y": [src / "b.txt", src / "c.txt"]},
        fractions={"train": 0.9, "validation": 0.05, "test": 0.05},
        seed=3,
    )
    texts = {split: imported.texts(split) for split in ("train", "validation", "test")}
    assert {split: len(rows) for split, rows in texts.items()} == {
        "train": 2703,
        "validation": 150,
        "test": 150,
    }
    for rows in texts.values():
        assert rows == sorted(rows)
    everything = [text for rows in texts.values() for text in rows]
    assert sorted(everything) == [f"{name}{i:04d}" for name in "abc" for i in range(1001)]


def test_a_split_that_gets_no_rows_has_an_empty_file(src, run):
    imported = run(write(src / "a.txt", "one"), fractions={"train": 0.9, "test": 0.1})
    assert imported.texts("train") == ["one"]
    assert imported.table("test").num_rows == 0
    assert imported.table("test").schema == imported.table("train").schema


# tables


def imported_table(data: object, into: Path, split="train", text_column=None, progress=None):
    return Imported(
        import_table(
            data,
            split,
            text_column,
            into,
            progress=progress or Progress(),
            check_space=lambda _: None,
        )
    )


def stream_kinds() -> dict[str, Callable[[], object]]:
    import duckdb
    import pandas as pd
    import polars as pl

    table = pa.Table.from_pylist(ROWS)
    return {
        "table": lambda: table,
        "reader": lambda: table.to_reader(max_chunksize=7),
        "pandas": lambda: pd.DataFrame(ROWS, index=[f"row{i}" for i in range(len(ROWS))]),
        "polars": lambda: pl.DataFrame(ROWS),
        "duckdb": lambda: duckdb.from_arrow(table),
    }


@pytest.mark.parametrize("kind", ["table", "reader", "pandas", "polars", "duckdb"])
def test_imports_every_kind_of_table(into, kind):
    data = stream_kinds()[kind]()
    check_table(data)
    imported = imported_table(data, into, "validation")
    assert imported.table("validation").to_pylist() == ROWS
    assert imported.result.columns == {"text": "string", "id": "int64"}
    assert imported.result.files[0].path.name == "validation-00000.parquet"


def test_imports_a_dataset_with_the_rows_it_selects_and_its_features(into):
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    rows = [{"text": f"t{i}", "label": i % 2} for i in range(20)]
    data = datasets.Dataset.from_list(rows, features=features).select([3, 1, 2])
    check_table(data)
    imported = imported_table(data, into)
    assert imported.table().to_pylist() == [rows[3], rows[1], rows[2]]
    assert b"ClassLabel" in imported.table().schema.metadata[b"huggingface"]


def test_a_dataset_dict_brings_its_own_splits(into):
    import datasets

    data = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_dict({"text": ["a", "b"], "n": [1, 2]}),
            "test": datasets.Dataset.from_dict({"text": ["c"], "n": [1.5]}),
        }
    )
    check_table(data)
    imported = imported_table(data, into, "ignored")
    assert imported.table("train").to_pylist() == [{"text": "a", "n": 1.0}, {"text": "b", "n": 2.0}]
    assert imported.table("test").to_pylist() == [{"text": "c", "n": 1.5}]


def test_what_is_no_table_is_refused_at_once():
    import datasets
    import polars as pl

    stream = datasets.Dataset.from_dict({"text": ["a"]}).to_iterable_dataset()
    for data in (5, [{"text": "a"}], pl.LazyFrame({"text": ["a"]}), datasets.DatasetDict()):
        with pytest.raises(InvalidRequestError) as caught:
            check_table(data)
        assert caught.value.field == "data"
        assert caught.value.hint
    with contextlib.suppress(InvalidRequestError):
        check_table(stream)


def test_tables_that_cannot_be_used_are_refused(into):
    import datasets
    import pandas as pd

    mixed = pd.DataFrame({"text": ["a", 1]})
    differing = datasets.DatasetDict(
        {
            "a": datasets.Dataset.from_dict({"text": ["a"]}),
            "b": datasets.Dataset.from_dict({"words": ["a"]}),
        }
    )
    for data, text_column, field in [
        (mixed, None, "data"),
        (differing, None, "data"),
        (pa.table({"text": pa.array([], pa.string())}), None, "data"),
        (pa.table([["a"], ["b"]], names=["text", "text"]), None, "data"),
        (pa.table({"n": [1]}), None, "text_column"),
        (pa.table({"text": ["a"], "n": [1]}), "n", "text_column"),
        (pa.table({"text": ["a"]}), "x", "text_column"),
    ]:
        with pytest.raises(InvalidRequestError) as caught:
            imported_table(data, into, text_column=text_column)
        assert caught.value.field == field
        assert caught.value.hint
        assert list(into.iterdir()) == []


def test_cancelling_a_table_leaves_nothing(into):
    progress = Progress()

    def rows() -> Iterator[pa.RecordBatch]:
        for number in range(100):
            if number == 5:
                progress.cancel()
            yield pa.RecordBatch.from_pydict({"text": ["x" * 1000] * 1000})

    reader = pa.RecordBatchReader.from_batches(pa.schema([("text", pa.string())]), rows())
    with pytest.raises(JobCancelled):
        imported_table(reader, into, progress=progress)
    assert list(into.iterdir()) == []


# describing


def test_describes_parquet_files(src):
    table = pa.table({"n": [1, 2], "content": pa.array(["a", "b"], pa.large_string())})
    paths = {name: src / f"{name}.parquet" for name in "abc"}
    for path in paths.values():
        pq.write_table(table, path)
    result = describe_parquet({"train": [paths["a"], paths["b"]], "test": [paths["c"]]}, None)
    assert [(file.path, file.split, file.num_rows) for file in result.files] == [
        (paths["a"], "train", 2),
        (paths["b"], "train", 2),
        (paths["c"], "test", 2),
    ]
    assert result.columns == {"n": "int64", "content": "string"}
    assert result.text_column == "content"
    assert result.num_source_files == 3
    assert result.source_bytes == sum(path.stat().st_size for path in paths.values())


def test_describing_refuses_what_does_not_fit(src):
    good = src / "good.parquet"
    other = src / "other.parquet"
    pq.write_table(pa.table({"text": ["a"]}), good)
    pq.write_table(pa.table({"n": [1]}), other)
    broken = write(src / "broken.parquet", good.read_bytes()[:-10])
    for paths in ([good, other], [broken], [other], [src / "none.parquet"], []):
        with pytest.raises(MalformedFileError) as caught:
            describe_parquet({"train": paths}, None)
        assert caught.value.hint
    with pytest.raises(InvalidRequestError):
        describe_parquet({"train": [good]}, "nope")


# size


@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv"])
def test_memory_does_not_grow_with_the_file(src, into, kind):
    megabyte = ("lorem ipsum " * 90_000)[: 1 << 20]
    line = {"txt": megabyte, "csv": megabyte, "jsonl": json.dumps({"text": megabyte})}[kind]
    path = src / f"a.{kind}"
    with path.open("w") as file:
        if kind == "csv":
            file.write("text\n")
        for _ in range(600):
            file.write(line + "\n")
    num_rows, mib = measure(path, into)
    path.unlink()
    assert num_rows == 600
    # pyarrow reads ahead, further on a busy machine
    assert mib < 256


def test_ten_million_empty_lines_take_little_memory(src, into):
    path = write(src / "a.txt", b"\n" * 10_000_000 + b"end\n")
    num_rows, mib = measure(path, into)
    assert num_rows == 1
    assert mib < 100


STOPPED = """
import random, sys, threading
from pathlib import Path
from mistudio_widgets.errors import JobCancelled
from mistudio_widgets.importer import check_paths, import_files
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import ImportRequest

source, into = map(Path, sys.argv[1:])
for number in range(40):
    progress = Progress()
    folder = into / str(number)
    folder.mkdir()
    threading.Timer(random.Random(number).uniform(0, 0.05), progress.cancel).start()
    try:
        import_files(
            ImportRequest(paths=check_paths(source)), folder, progress=progress,
            check_space=lambda _: None,
        )
    except JobCancelled:
        print("cancelled")
"""


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_process_ends_after_imports_that_were_cancelled(tmp_path, name):
    line = "x" * 200
    row = f'{{"text": "{line}"}}\n' if name == "a.jsonl" else f"{line},1\n"
    head = "" if name == "a.jsonl" else "text,id\n"
    path = write(tmp_path / name, head + row * 200_000)
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.count("cancelled") > 20
    assert done.stderr == ""
