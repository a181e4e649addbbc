"""Searching by the index: the same rows as a scan, ranked; built whole or not at all."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_reference import TEXTS, plainly_matches, searches_in, written

from mistudio_widgets.errors import InsufficientDiskSpaceError, JobCancelled, StorageError
from mistudio_widgets.progress import Progress
from mistudio_widgets.samples.index import (
    CannotSayError,
    DamagedIndexError,
    IndexReceipt,
    TextIndex,
    open_index,
)
from mistudio_widgets.samples.index_build import build_index
from mistudio_widgets.samples.query import parse
from mistudio_widgets.samples.scan import matches

RECEIPT = IndexReceipt(files=("train:3:ab",), text_column="text")


def batches(texts: Sequence[str | None], size: int = 1000) -> Iterator[tuple[int, pa.Array]]:
    for start in range(0, len(texts), size):
        yield start, pa.array(texts[start : start + size], pa.large_string())


def build(folder: Path, texts: Sequence[str | None], *, size: int = 1000) -> TextIndex:
    folder.mkdir(parents=True)
    build_index(
        batches(texts, size), folder, RECEIPT, progress=Progress(), check_space=lambda _: None
    )
    index = open_index(folder, RECEIPT)
    assert index is not None
    return index


def rows(index: TextIndex, search: str, span: range | None = None) -> list[int]:
    ranking = index.search(parse(search), span)
    found = ranking.all().tolist()
    assert len(found) == ranking.total
    return found


def walk(index: TextIndex, search: str, page: int) -> list[int]:
    """Return all rows, fetched page by page, each with a ranking of its own."""
    found: list[int] = []
    while True:
        ranking = index.search(parse(search))
        more = ranking.page(len(found), page)
        if not len(more):
            return found
        found += more.tolist()


@settings(max_examples=40)
@given(st.data())
def test_index_scan_and_reference_find_the_same_rows(data: st.DataObject) -> None:
    texts = data.draw(TEXTS)
    folder = Path(tempfile.mkdtemp())
    try:
        index = build(folder / "index", texts, size=5)
        for _ in range(6):
            search = data.draw(searches_in(texts))
            query = parse(written(search))
            wanted = [n for n, text in enumerate(texts) if plainly_matches(search, text)]
            assert matches(pa.array(texts), query).nonzero()[0].tolist() == wanted
            assert sorted(rows(index, written(search))) == wanted
    finally:
        shutil.rmtree(folder)


def test_best_first_and_equal_ones_in_row_order(tmp_path: Path) -> None:
    texts = ["cat dog mouse", "cat", "dog", "cat cat cat", "cat", None]
    index = build(tmp_path / "index", texts)
    assert rows(index, "cat") == [3, 1, 4, 0]
    assert rows(index, "ca*") == [0, 1, 3, 4]
    assert rows(index, "-cat") == [2, 5]
    assert rows(index, "cat OR dog")[-1] == 4


def test_pages_have_each_hit_once_also_among_thousands_of_equal_ones(tmp_path: Path) -> None:
    texts = [f"even {n}" if n % 2 == 0 else "odd odd" for n in range(6000)]
    texts += ["odd"] * 3000
    index = build(tmp_path / "index", texts)
    for search, total in (("odd", 6000), ("even", 3000), ("e*", 3000), ("-even", 6000)):
        found = rows(index, search)
        assert walk(index, search, 777) == found
        assert len(set(found)) == total
    assert rows(index, "odd") == sorted(rows(index, "odd odd"), key=lambda n: (n >= 6000, n))


def test_a_page_from_anywhere_is_that_part_of_the_whole_order(tmp_path: Path) -> None:
    chance = random.Random(0)
    texts = [
        f"odd {'odd ' * chance.randrange(9)}{'even ' * chance.randrange(3)}" for _ in range(20_000)
    ]
    index = build(tmp_path / "index", texts)
    for search in ("odd", "odd even", '"odd even"', "odd OR even OR none", "odd -even", "o*"):
        whole = rows(index, search)
        offsets = [0, len(whole) - 5, len(whole), *(chance.randrange(20_000) for _ in range(20))]
        walked = index.search(parse(search))
        for offset in offsets:
            wanted = whole[offset : offset + 20]
            assert index.search(parse(search)).page(offset, 20).tolist() == wanted
            assert walked.page(offset, 20).tolist() == wanted


def test_a_page_from_anywhere_fetches_no_more_than_its_neighbours(tmp_path: Path) -> None:
    texts = ["odd " * (number % 100 + 1) for number in range(20_000)]
    ranking = build(tmp_path / "index", texts).search(parse("odd"))
    assert len(ranking.page(10_000, 20)) == 20
    assert ranking.num_bytes < 8 * 5000


def test_only_the_rows_of_a_split(tmp_path: Path) -> None:
    index = build(tmp_path / "index", ["a", "b", "a", "a b"])
    assert rows(index, "a", range(1, 3)) == [2]
    assert sorted(rows(index, "a", range(4))) == [0, 2, 3]
    assert rows(index, "a", range(2, 2)) == []
    assert rows(index, "-a", range(1, 4)) == [1]


def test_long_words_and_what_only_a_scan_can_say(tmp_path: Path) -> None:
    long = "x" * 70_000
    index = build(tmp_path / "index", [long, long + "y", "é" * 40_000, "x"])
    assert rows(index, long) == [0]
    assert rows(index, long + "y") == [1]
    assert rows(index, "É" * 40_000) == [2]
    assert rows(index, "x*") == [0, 1, 3]
    assert rows(index, "x" * 255 + "*") == [0, 1]
    with pytest.raises(CannotSayError):
        index.search(parse("x" * 256 + "*"))


def test_a_prefix_in_a_phrase_is_found_or_left_to_a_scan(tmp_path: Path) -> None:
    texts = [f"the w{n}" for n in range(20_000)]
    index = build(tmp_path / "index", texts)
    assert sorted(rows(index, '"the w1999*"')) == [1999, *range(19990, 20000)]
    with pytest.raises(CannotSayError):
        index.search(parse('"the w*"'))


def test_large_texts_do_not_pile_up_and_are_found(tmp_path: Path) -> None:
    texts = [("word " * 500_000) + f"n{n}" for n in range(12)]
    index = build(tmp_path / "index", texts, size=1)
    assert rows(index, "n7") == [7]
    assert sorted(rows(index, "word")) == list(range(12))


@pytest.mark.parametrize(
    "change", [{"files": ("train:3:cd",)}, {"text_column": "other"}, {"unicode_version": "1.0"}]
)
def test_an_index_of_something_else_is_stale(tmp_path: Path, change: dict[str, object]) -> None:
    build(tmp_path / "index", ["a"])
    assert open_index(tmp_path / "index", RECEIPT.model_copy(update=change)) is None


def test_an_index_without_a_receipt_is_none(tmp_path: Path) -> None:
    assert open_index(tmp_path / "missing", RECEIPT) is None
    build(tmp_path / "index", ["a"])
    (tmp_path / "index" / "index.json").unlink()
    assert open_index(tmp_path / "index", RECEIPT) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: None,
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: bytes([content[0] ^ 1]) + content[1:],
    ],
    ids=["gone", "empty", "short", "long", "a bit"],
)
def test_damage_to_any_file_is_seen(
    tmp_path: Path, damage: Callable[[bytes], bytes | None]
) -> None:
    folder = tmp_path / "index"
    build(folder, ["a b", "b"])
    paths = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name != "index.json"
    ]
    assert len(paths) > 5
    for path in paths:
        content = path.read_bytes()
        damaged = damage(content)
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        with pytest.raises(DamagedIndexError):
            open_index(folder, RECEIPT)
        path.write_bytes(content)
    assert open_index(folder, RECEIPT) is not None


@pytest.mark.parametrize("sums", ["{", "[]", '{"meta.json": 5}', '{"../meta.json": [1, 2]}'])
def test_sums_that_are_none_are_damage(tmp_path: Path, sums: str) -> None:
    build(tmp_path / "index", ["a"])
    (tmp_path / "index" / "sums.json").write_text(sums)
    with pytest.raises(DamagedIndexError):
        open_index(tmp_path / "index", RECEIPT)


def test_an_open_index_answers_after_its_folder_is_gone(tmp_path: Path) -> None:
    index = build(tmp_path / "index", ["a b", "b"])
    shutil.rmtree(tmp_path / "index")
    assert rows(index, "b") == [1, 0]


def test_who_may_read_the_folder_may_read_the_index(tmp_path: Path) -> None:
    build(tmp_path / "index", ["a b", "b"])
    mode = (tmp_path / "index").stat().st_mode & 0o666
    files = list((tmp_path / "index").iterdir())
    assert {path.name for path in files if path.stat().st_mode & 0o666 != mode} == set()
    assert len(files) > 3


def test_a_cancelled_build_leaves_no_receipt(tmp_path: Path) -> None:
    progress = Progress()

    def cancelled() -> Iterator[tuple[int, pa.Array]]:
        yield 0, pa.array(["a b c"] * 1000)
        progress.cancel()
        yield 1000, pa.array(["a"])

    with pytest.raises(JobCancelled):
        build_index(cancelled(), tmp_path, RECEIPT, progress=progress, check_space=lambda _: None)
    assert open_index(tmp_path, RECEIPT) is None


def test_a_full_disk_ends_the_build(tmp_path: Path) -> None:
    def full(num_bytes: int) -> None:
        raise InsufficientDiskSpaceError("full", required_bytes=num_bytes, available_bytes=0)

    with pytest.raises(InsufficientDiskSpaceError):
        build_index(batches(["a"]), tmp_path, RECEIPT, progress=Progress(), check_space=full)


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="text index"):
        build_index(
            batches(["a"]),
            tmp_path / "missing",
            RECEIPT,
            progress=Progress(),
            check_space=lambda _: None,
        )
