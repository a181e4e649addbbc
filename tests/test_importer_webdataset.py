"""Webdataset archives: what `datasets` reads from them, and what can be wrong with one."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from importer_fixtures import measure, write

from mistudio_widgets.errors import (
    InvalidRequestError,
    JobCancelled,
    MalformedFileError,
    MiStudioError,
    StorageError,
    UnsupportedFormatError,
)
from mistudio_widgets.importer import check_paths, import_files, webdataset
from mistudio_widgets.importer.archives import NotUsable
from mistudio_widgets.importer.sources import Source
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import ImportRequest

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
BYTES = datasets.Value("binary")
JPG = b"\xff\xd8\xff\x00"


def tar(*members: tuple[str | tarfile.TarInfo, str | bytes], **options: Any) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", **options) as archive:
        for given_name, content in members:
            data = content.encode() if isinstance(content, str) else content
            info = (
                given_name
                if isinstance(given_name, tarfile.TarInfo)
                else tarfile.TarInfo(given_name)
            )
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def captions(count: int, text: str = "text number {}") -> list[tuple[str, str | bytes]]:
    members: list[tuple[str, str | bytes]] = []
    for number in range(count):
        members.append((f"{number:06}.jpg", JPG))
        members.append((f"{number:06}.txt", text.format(number)))
        members.append((f"{number:06}.json", json.dumps({"url": f"u/{number}", "width": number})))
    return members


# samples and columns


@pytest.mark.parametrize("compression", COMPRESS)
def test_members_of_one_key_are_a_sample(src, run, compression):
    path = write(src / f"a.tar{compression}", COMPRESS[compression](tar(*captions(3))))
    imported = run(path)
    assert imported.table().to_pylist() == [
        {"__key__": f"{n:06}", "txt": f"text number {n}", "url": f"u/{n}", "width": n}
        for n in range(3)
    ]
    assert imported.result.text_column == "txt"
    assert imported.result.columns["__key__"] == "string"
    assert imported.result.skipped == (f"{path.name}: 3 .jpg members, not text",)
    assert imported.result.source_bytes == path.stat().st_size


@pytest.fixture
def theirs(tmp_path) -> Callable[[list[Path]], list[dict[str, Any]]]:
    """What `datasets` reads, without bytes and without local paths."""

    def load(paths: list[Path]) -> list[dict[str, Any]]:
        loaded = datasets.load_dataset(
            "webdataset",
            data_files={"train": [str(path) for path in paths]},
            split="train",
            cache_dir=str(tmp_path / "cache"),
        )
        left_out = [name for name, feature in loaded.features.items() if feature == BYTES]
        rows = loaded.remove_columns(["__url__", *left_out]).to_list()
        for row in rows:
            row.update(row.pop("json", None) or {})
        return rows

    return load


def test_reads_what_datasets_reads(src, run, theirs):
    noise = random.Random(5)
    for shard in range(3):
        members: list[tuple[str, str | bytes]] = []
        for number in range(200):
            key = f"./part.{shard}/{shard}{number:04}"
            words = " ".join(noise.choice(("ä", "sea", "\n", "  ", "😀")) for _ in range(9))
            members.append((f"{key}.bin", JPG))
            members.append((f"{key}.en.txt", words))
            members.append((f"{key}.transcript", f"{words}\r\n"))
            members.append((f"{key}.txt.gz", gzip.compress(words.encode())))
            members.append((f"{key}.cls", f"{number}\n"))
            members.append((f"{key}.json", json.dumps({"n": number / 4, "l": [words]})))
            members.append((f"part.{shard}/.hidden.txt", "hidden"))
            members.append((f"__MACOSX/__{number}.txt", "hidden"))
            members.append((f"part.{shard}/README", "no field"))
        write(src / f"{shard}.tar", tar(*members))
    rows = run(src).table().to_pylist()
    assert len(rows) == 600
    assert rows == theirs(sorted(src.iterdir()))


def test_keys_that_are_no_neighbours_are_samples_of_their_own(src, run, theirs):
    path = write(src / "a.tar", tar(("a.txt", "1"), ("b.txt", "2"), ("a.txt", "3")))
    rows = run(path).table().to_pylist()
    assert [(row["__key__"], row["txt"]) for row in rows] == [("a", "1"), ("b", "2"), ("a", "3")]
    assert rows == theirs([path])


def test_names_are_only_names(src, run, theirs, tmp_path):
    link = tarfile.TarInfo("l.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    folder = tarfile.TarInfo("d.txt/")
    folder.type = tarfile.DIRTYPE
    names = ("../../up.txt", "/etc/root.txt", "./here.txt", "x" * 300 + ".txt", "b\nc.txt")
    path = write(src / "a.tar", tar((link, ""), (folder, ""), *((name, name) for name in names)))
    rows = run(path).table().to_pylist()
    assert [row["txt"] for row in rows] == list(names)
    assert [row["__key__"] for row in rows] == [name.removesuffix(".txt") for name in names]
    assert [found.name for found in tmp_path.rglob("*.txt")] == []
    assert rows == theirs([path])


def test_a_name_that_is_not_utf8_is_replaced_but_still_a_key_of_its_own(src, run):
    first, second = (tarfile.TarInfo(f"k{os.fsdecode(byte)}.txt") for byte in (b"\xfe", b"\xff"))
    members = ((first, "1"), (second, "2"))
    rows = run(write(src / "a.tar", tar(*members, format=tarfile.GNU_FORMAT))).table().to_pylist()
    assert rows == [{"__key__": "k\ufffd", "txt": "1"}, {"__key__": "k\ufffd", "txt": "2"}]


def test_a_first_name_may_start_like_a_byte_order_mark(src, run):
    data = tar(("\ufeffa.txt", "x"), format=tarfile.GNU_FORMAT)
    assert run(write(src / "a.tar", data)).table()["__key__"].to_pylist() == ["\ufeffa"]


def test_an_archive_that_is_compressed_but_does_not_say_so_is_read(src, run, theirs):
    path = write(src / "a.tar", gzip.compress(tar(("a.txt", "x"))))
    assert run(path).table().to_pylist() == theirs([path])


@pytest.mark.parametrize("compression", COMPRESS)
def test_members_may_be_compressed(src, run, compression):
    name, text = f"a.txt{compression}", "ä" * 3_000_000
    path = write(src / "a.tar", tar((name, COMPRESS[compression](text.encode()))))
    imported = run(path)
    assert imported.result.text_column == f"txt{compression}"
    assert imported.texts() == [text]


def test_a_byte_order_mark_is_dropped(src, run):
    members = (("a.txt", "\ufeffx"), ("a.json", '\ufeff{"k": "y"}'))
    assert run(write(src / "a.tar", tar(*members))).table().to_pylist() == [
        {"__key__": "a", "txt": "x", "k": "y"}
    ]


def test_numbers_are_numbers_and_text_where_one_is_not(src, run):
    ints = tar(("a.txt", "x"), ("a.cls", "007\n"), ("b.txt", "y"))
    write(src / "a.tar", ints)
    rows = [{"__key__": "a", "txt": "x", "cls": 7}, {"__key__": "b", "txt": "y", "cls": None}]
    assert run(src).table().to_pylist() == rows
    members = (("c.txt", "z"), ("c.cls", "cat\n"), ("d.txt", ""), ("d.cls", "9" * 20))
    write(src / "b.tar", tar(*members))
    assert run(src).table()["cls"].to_pylist() == ["007", None, "cat", "9" * 20]
    write(src / "b.tar", tar(*((f"{n}.cls", f"{n}") for n in range(9_000)), ("x.cls", "x")))
    assert run(src).table()["cls"].to_pylist() == ["007", None, *map(str, range(9_000)), "x"]


def test_fields_may_be_missing_and_come_later(src, run):
    members = [(f"{n}.txt", "x" * 1_000) for n in range(30_000)]
    last = (("y.md", "late"), ("z.json", '{"n": 1}'))
    write(src / "a.tar", tar(("first.jpg", JPG), *members, *last))
    write(src / "b.tar", tar(("b.caption", "other")))
    table = run(src).table()
    assert table.num_rows == 30_004
    assert table.slice(30_001).to_pylist() == [
        {"__key__": "y", "txt": None, "md": "late", "n": None, "caption": None},
        {"__key__": "z", "txt": None, "md": None, "n": 1, "caption": None},
        {"__key__": "b", "txt": None, "md": None, "n": None, "caption": "other"},
    ]
    assert table["txt"][0].as_py() is None


def test_text_that_starts_after_many_other_members_is_found(src, run):
    members = [(f"{n}.jpg", os.urandom(2 << 20)) for n in range(12)]
    path = write(src / "a.tar", tar(*members, ("t.txt", "text")))
    assert run(path).texts() == [None] * 12 + ["text"]


def test_keys_of_json_become_columns(src, run):
    members = (
        ("a.json", '{"caption": "c", "__key__": "k", "__url__": "u", "d": {"e": [1]}, "n": null}'),
        ("a.meta.json", '{"caption": "m"}'),
        ("a.list.json", '["x"]'),
        ("b.json", "{}"),
        ("b.list.json", '["y", "z"]'),
    )
    path = write(src / "a.tar", tar(*members))
    assert run(path).table().to_pylist() == [
        {
            "__key__": "a",
            "caption": "c",
            "d": {"e": [1]},
            "n": None,
            "meta.caption": "m",
            "list.json": ["x"],
        },
        {
            "__key__": "b",
            "caption": None,
            "d": None,
            "n": None,
            "meta.caption": None,
            "list.json": ["y", "z"],
        },
    ]
    assert run(path).texts() == ["c", None]
    assert run(path, text_column="meta.caption").texts() == ["m", None]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("id", "md", "txt", "text"), "text"),
        (("md", "txt"), "txt"),
        (("transcript", "md"), "transcript"),
    ],
)
def test_finds_the_text_column_which_is_never_the_key(src, run, fields, expected):
    path = write(src / "a.tar", tar(*((f"a.{name}", "1") for name in fields)))
    assert run(path).result.text_column == expected


def test_the_key_is_never_the_text_of_other_tables_either(src, fails):
    path = write(src / "a.jsonl", '{"__key__": "a", "n": 1}')
    assert "no column of text" in fails(MalformedFileError, path).message


def test_a_huge_text_stays_whole(src, run):
    long = "ä" * 20_000_000
    path = write(src / "a.tar", tar(("a.txt", "short"), ("b.txt", long), ("c.txt", "end")))
    assert run(path).texts() == ["short", long, "end"]


# which files


def test_folders_and_globs_find_archives(src, run):
    write(src / "s" / "b.tar", tar(("b.txt", "b")))
    write(src / "a.TAR", tar(("a.txt", "a")))
    assert run(src).texts() == ["a", "b"]
    assert run(f"{src}/**/*.tar").texts() == ["b"]
    assert run({"train": src / "a.TAR", "test": src / "s"}).texts("test") == ["b"]


def test_found_archives_without_text_are_skipped(src, run):
    write(src / "a.tar", tar(("a.jpg", JPG)))
    write(src / "b.tar", b"no archive" * 1_000)
    write(src / "c.tar", tar())
    write(src / "d.tar", b"")
    write(src / "e.tar.gz", b"not compressed")
    write(src / "f.tar", tar(*((f"{n}.jpg", os.urandom(3 << 20)) for n in range(8)), ("t.txt", "")))
    write(src / "notes.md", "text")
    imported = run(src)
    assert imported.texts() == ["text"]
    assert imported.result.skipped == (
        "d.tar: empty",
        "a.tar: no text in its samples",
        "b.tar: not a tar archive",
        "c.tar: no samples",
        "e.tar.gz: not a tar archive",
        "f.tar: no text in its samples",
    )


def test_a_found_archive_with_text_among_other_text_is_named(src, fails):
    write(src / "a.tar", tar(("a.txt", "a")))
    write(src / "notes.md", "text")
    error = fails(MalformedFileError, src)
    assert "notes.md is text" in error.message
    assert "a.tar is a table" in error.message


def test_an_archive_and_another_table_need_the_same_columns(src, run, fails):
    write(src / "a.tar", tar(("a.txt", "a")))
    write(src / "b.csv", "txt\nb\n")
    assert "'__key__'" in fails(MalformedFileError, src).message
    write(src / "b.csv", "txt,__key__\nb,k\n")
    assert run(src).texts() == ["a", "b"]


def test_sample_by_is_refused(src, fails):
    path = write(src / "a.tar", tar(("a.txt", "a")))
    assert fails(InvalidRequestError, path, sample_by="line").field == "sample_by"


def test_a_text_column_that_is_not_there_is_refused(src, fails):
    path = write(src / "a.tar", tar(("a.txt", "a")))
    assert fails(InvalidRequestError, path, text_column="md").field == "text_column"


def test_what_is_left_out_is_counted_by_extension(src, run):
    members = [(f"x{n}.e{n}", b"") for n in range(120)]
    path = write(src / "a.tar", tar(("a.txt", "a"), ("Makefile", ""), *members))
    skipped = run(path).result.skipped
    assert len(skipped) == 100
    assert skipped[0] == "a.tar: 22 other members, not text"
    assert skipped[1] == "a.tar: 1 .e0 members, not text"


@pytest.mark.parametrize("names", [("data[1].csv", "data1.csv"), ("a*.csv", "ab.csv"), ("?.csv",)])
def test_names_that_look_like_globs_are_taken_literally(src, run, names):
    for name in names:
        write(src / "x[ab]" / name, f"text\n{name}\n")
    request = {"train": (str(src / "x[ab]" / names[0]),)}
    assert run(request).texts() == [names[0]]


# bad input


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_truncated_archive_is_refused(src, fails, compression):
    noise = [(f"{n}.txt", os.urandom(1_000).hex()) for n in range(100)]
    whole = COMPRESS[compression](tar(*noise))
    for part in (0.01, 0.5, 0.8):
        path = write(src / f"a.tar{compression}", whole[: int(len(whole) * part)])
        error = fails(MiStudioError, path)
        assert isinstance(error, MalformedFileError | UnsupportedFormatError)
        assert path.name in error.message
        assert "cut off" in error.hint


def test_an_archive_cut_off_in_any_block_is_refused_naming_the_place(src, fails):
    whole = tar(("a.txt", "x" * 600), ("b.txt", "y" * 600), ("c.txt", "z"))
    messages = {}
    for at in (100, 700, 1_200, 1_600, 2_000, 2_200, 3_300):
        error = fails(MiStudioError, write(src / "a.tar", whole[:at]))
        messages[at] = error.message.partition("a.tar ")[2]
    assert messages == {
        100: "is not a tar archive.",
        700: "is damaged in 'a.txt': unexpected end of data.",
        1_200: "is damaged after 'a.txt': unexpected end of data.",
        1_600: "is damaged after 'a.txt': truncated header.",
        2_000: "is damaged after 'a.txt': truncated header.",
        2_200: "is damaged in 'b.txt': unexpected end of data.",
        3_300: "is damaged after 'b.txt': truncated header.",
    }


def test_an_archive_without_its_end_is_refused(src, run, fails):
    whole = tar(("a.txt", "x"), ("b.txt", "y"))
    for at in (4 * 512, 4 * 512 + 10):
        error = fails(MalformedFileError, write(src / "a.tar", whole[:at]))
        assert "after 'b.txt'" in error.message
    assert run(write(src / "a.tar", whole[: 5 * 512])).texts() == ["x", "y"]


def test_a_damaged_header_is_refused(src, fails):
    data = bytearray(tar(("a.txt", "x"), ("b.txt", "y"), ("c.txt", "z")))
    data[2 * 512 + 150] ^= 1
    error = fails(MalformedFileError, write(src / "a.tar", data))
    assert "after 'a.txt': bad checksum" in error.message


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(src, fails, kind):
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 5 << 30
    data = tar(("a.txt", "x"))[:1024] + header.tobuf(tarfile.GNU_FORMAT)
    assert "size" in fails(MalformedFileError, write(src / "a.tar", data)).message


def test_a_negative_size_is_refused(src, fails):
    header = tarfile.TarInfo("b.txt")
    buf = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    buf[124:136] = b"\xff" * 10 + b"\xfe\x00"
    buf[148:156] = b" " * 8
    buf[148:156] = b"%06o\0 " % sum(buf)
    path = write(src / "a.tar", tar(("a.txt", "x"))[:1024] + buf)
    assert "size" in fails(MalformedFileError, path).message


def test_what_is_no_archive_is_refused(src, fails):
    for data in (b"PK\x03\x04", b"text " * 1_000, os.urandom(10_000)):
        error = fails(UnsupportedFormatError, write(src / "a.tar", data))
        assert "a.tar is not a tar archive" in error.message


def test_an_archive_without_samples_is_refused(src, fails):
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    for data in (tar(), tar((folder, "")), tar(("README", "x"), (".hidden.txt", "y"))):
        assert "no samples" in fails(MalformedFileError, write(src / "a.tar", data)).message
    assert "is empty" in fails(MalformedFileError, write(src / "a.tar", b"")).message


def test_an_archive_without_text_says_what_it_has(src, fails):
    path = write(src / "a.tar", tar(("s/1.jpg", JPG), ("s/1.cls", "5"), ("s/1.json", '{"n": 1}')))
    error = fails(UnsupportedFormatError, path)
    assert "'s/1', has the fields 'cls', 'jpg', 'json'" in error.message
    assert ".txt" in error.hint


@pytest.mark.parametrize(
    ("members", "parts"),
    [
        ([("a.txt", b"caf\xe9")], ["'a.txt'", "not UTF-8"]),
        ([("a.txt", b"x"), ("b.txt", b"\xff"), ("c.txt", b"")], ["'b.txt'", "not UTF-8"]),
        ([("a.txt", b"x"), ("a.id", b"\xff")], ["'a.id'", "not UTF-8"]),
        ([("a.txt", "x"), ("a.jpg", JPG), ("a.jpg", JPG)], ["'a.jpg'", "twice"]),
        ([("a.json", '{"text": "x",\n}')], ["'a.json'", "not JSON", "line 2, character 1"]),
        ([("a.json", b'{"text": "\xed\xa0\x80"}')], ["'a.json'", "not UTF-8"]),
        ([("a.json", '{"text": "\\ud800"}')], ["'a.json'", "surrogate"]),
        ([("a.json", "[" * 100_000)], ["'a.json'", "not JSON"]),
        ([("a.json", b"")], ["'a.json'", "not JSON"]),
        ([("a.json", '{"a":' * 300 + "1" + "}" * 300)], ["'a.json'", "deeper than 200"]),
        ([("a.txt", "x"), ("a.json", '{"txt": "y"}')], ["'a.json'", "column 'txt'"]),
        ([("a.json", '{"txt": "y"}'), ("b.txt", "x")], ["'b.txt'", "column 'txt'"]),
        ([("a.json", '{"k": "y"}'), ("a.jsn", '{"k": "y"}')], ["'a.jsn'", "field 'json'"]),
        ([("a.txt.gz", b"no gzip")], ["'a.txt.gz'", "decompressed"]),
        ([("a.txt.gz", gzip.compress(os.urandom(999))[:500])], ["'a.txt.gz'", "decompressed"]),
        ([("a.txt.zst", b"no zstd")], ["'a.txt.zst'", "decompressed"]),
        ([(f"{n}.{n}.txt", "x") for n in range(1_001)], ["'999.999.txt'", "1,000 columns"]),
        ([(f"a.{n}.jpg", "x") for n in range(10_001)], ["'a.10000.jpg'", "10,000 members"]),
    ],
)
def test_what_is_wrong_with_a_member_is_said_with_its_name(src, fails, members, parts):
    error = fails(MalformedFileError, write(src / "b.tar", tar(*members)))
    for part in ("b.tar", *parts):
        assert part in error.message
    assert error.path.endswith("b.tar")


@pytest.mark.parametrize(
    ("limit", "name", "compress"),
    [
        ("SAMPLE_LIMIT_BYTES", "a.txt", bytes),
        ("SAMPLE_LIMIT_BYTES", "a.txt.gz", gzip.compress),
        ("_JSON_LIMIT_BYTES", "a.json", bytes),
    ],
)
def test_a_huge_member_is_refused_with_its_name(src, fails, monkeypatch, limit, name, compress):
    monkeypatch.setattr(f"mistudio_widgets.importer.webdataset.{limit}", 3 << 20)
    path = write(src / "a.tar", tar((name, compress(b"x" * (4 << 20)))))
    error = fails(MalformedFileError, path)
    assert repr(name) in error.message
    assert "too large" in error.message


def test_a_sample_of_many_texts_has_the_same_limit(src, fails, monkeypatch):
    monkeypatch.setattr("mistudio_widgets.importer.webdataset.SAMPLE_LIMIT_BYTES", 3 << 20)
    members = [(f"a.{n}.txt", "x" * (1 << 20)) for n in range(4)]
    assert "'a.2.txt'" in fails(MalformedFileError, write(src / "a.tar", tar(*members))).message


@pytest.mark.parametrize("compression", [None, "gz"])
def test_an_archive_that_vanishes_during_the_import_is_named(src, compression):
    source = Source(src / "a.tar", "train", "a.tar", "webdataset", compression, ".tar", True, 9)
    with pytest.raises(MalformedFileError, match=r"a\.tar is no longer there"):
        webdataset.read_schema(source, lambda _: None)


def test_a_disk_that_fails_is_not_taken_for_a_damaged_member(src):
    whole = tar(("a.txt.gz", gzip.compress(os.urandom(5 << 20))))
    path = write(src / "a.tar", whole)
    source = Source(path, "train", "a.tar", "webdataset", None, ".tar", True, len(whole))
    num_reads = 0

    def fail(_: int) -> None:
        nonlocal num_reads
        num_reads += 1
        if num_reads > 20:
            raise StorageError("a.tar cannot be read: I/O error.", hint="Check the disk.")

    with pytest.raises(StorageError):
        webdataset.read_schema(source, fail)


def test_an_archive_that_becomes_another_file_meanwhile_is_refused(src):
    path = write(src / "a.tar", b"other" * 1_000)
    source = Source(path, "train", "a.tar", "webdataset", None, ".tar", True, 5_000)
    with pytest.raises(NotUsable):
        webdataset.read_schema(source, lambda _: None)
    with pytest.raises(UnsupportedFormatError):
        list(webdataset.read_batches(source, pa.schema([]), lambda _: None, webdataset.Counter()))


@given(
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_any_damage_ends_in_an_error_of_ours_or_in_samples(tmp_path_factory, damage, layout):
    long = "k" * 200
    data = bytearray(
        tar((f"{long}1.txt", "x"), (f"{long}2.json", '{"a": "b"}'), ("ä.txt", "y"), format=layout)
    )
    for at, value in damage:
        data[at % len(data)] = value
    folder = tmp_path_factory.mktemp("damaged")
    path = write(folder / "a.tar", data)
    (folder / "into").mkdir()
    with contextlib.suppress(MalformedFileError, UnsupportedFormatError):
        import_files(
            ImportRequest(paths=check_paths(path)),
            folder / "into",
            progress=Progress(),
            check_space=lambda _: None,
        )
    assert sorted(file.suffix for file in (folder / "into").iterdir()) in ([], [".parquet"])


# progress, cancelling, size


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", ["{}.txt", "{}.jpg", "{}.txt.zst"])
def test_cancelling_in_the_middle_leaves_nothing(src, into, name, compression):
    members = []
    for number in range(200):
        data = os.urandom(50_000).hex().encode()
        member = name.format(number)
        members.append((member, zstandard.compress(data) if name.endswith("zst") else data))
    whole = tar(("a.txt", "x"), *members)
    path = write(src / f"a.tar{compression}", COMPRESS[compression](whole))
    seen: list[int] = []

    class Stopped(Progress):
        def advance(self, units: int = 1, **options: Any) -> None:
            super().advance(units, **options)
            state = self.state()
            assert (state.phase, state.unit) == ("reading", "bytes")
            seen.append(state.done)
            if state.done >= path.stat().st_size // 2:
                self.cancel()

    with pytest.raises(JobCancelled):
        import_files(
            ImportRequest(paths=check_paths(path)),
            into,
            progress=Stopped(),
            check_space=lambda _: None,
        )
    assert seen[-1] < path.stat().st_size
    assert list(into.iterdir()) == []


def test_progress_counts_all_bytes(src, run):
    path = write(src / "a.tar", tar(*captions(500)))
    done: list[int] = []

    class Watched(Progress):
        def advance(self, units: int = 1, **options: Any) -> None:
            super().advance(units, **options)
            if self.state().phase == "reading":
                done.append(self.state().done)

    run(path, Watched())
    assert done == sorted(done)
    assert done[-1] == path.stat().st_size


def test_memory_does_not_grow_with_the_archive(src, into):
    path = src / "a.tar"
    text = ("lorem ipsum " * 90_000)[: 1 << 20].encode()
    with tarfile.open(path, "w") as archive:
        for number in range(400):
            for field, data in (("jpg", text), ("txt", text), ("json", b'{"k": "v"}')):
                info = tarfile.TarInfo(f"{number}.{field}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    num_rows, mib = measure(path, into)
    path.unlink()
    assert num_rows == 400
    assert mib < 256


def test_many_small_samples_take_little_memory(src, into):
    members = [(f"{n:07}.txt", "x") for n in range(60_000)]
    num_rows, mib = measure(write(src / "a.tar", tar(*members)), into)
    assert num_rows == 60_000
    assert mib < 256
