"""Finding rows for the manager: index or scan, pages, totals, cancelling, what is remembered."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_reference import TEXTS, plainly_matches, searches_in, written

from mistudio_widgets import samples
from mistudio_widgets.errors import CorruptFileError, InterruptedJobError, JobCancelled
from mistudio_widgets.manager.index_work import all_texts
from mistudio_widgets.manager.searching import Found, Searched, Searching
from mistudio_widgets.progress import Progress

ID = "ds_00000000-0000-4000-8000-000000000000"


def searched_in(
    folder: Path, texts: Sequence[str | None], *, split: str | None = None, cut: int = 2
) -> Searched:
    """Write the texts as two splits, of several files and row groups."""
    folder.mkdir(parents=True, exist_ok=True)
    half = (len(texts) + 1) // 2
    splits: dict[str, list[Path]] = {}
    for name, part in (("train", texts[:half]), ("test", texts[half:])):
        splits[name] = []
        for start in range(0, len(part), 3 * cut):
            path = folder / f"{name}{start}.parquet"
            table = pa.table({"text": pa.array(part[start : start + 3 * cut], pa.string())})
            pq.write_table(table, path, row_group_size=cut)
            splits[name].append(path)
    files = samples.FileMap(splits, "text")
    receipt = samples.IndexReceipt(files=(str(folder),), text_column="text")
    return Searched(ID, files, folder / "text_index", receipt, split)


def index(searched: Searched) -> None:
    searched.index_dir.mkdir()
    samples.build_index(
        all_texts(searched.files),
        searched.index_dir,
        searched.receipt,
        progress=Progress(),
        check_space=lambda _: None,
    )


def find(searching: Searching, searched: Searched, search: str, **options: object) -> Found:
    asked = {"offset": 0, "limit": 100, "progress": Progress(), **options}
    return searching.find(searched, samples.parse(search), **asked)  # type: ignore[arg-type]


@pytest.fixture
def searching() -> Iterator[Searching]:
    made = Searching()
    yield made
    made.close()


class Gate:
    """A file map that gives no second batch until it is opened."""

    def __init__(self, searched: Searched) -> None:
        self.asked, self.opened, self.closed = (threading.Event() for _ in range(3))
        real = searched.files.texts

        def texts(split: str, start_row: int = 0) -> Iterator[tuple[int, pa.Array]]:
            self.asked.set()
            try:
                for number, item in enumerate(real(split, start_row)):
                    if number:
                        assert self.opened.wait(60)
                    yield item
            finally:
                self.closed.set()

        searched.files.texts = texts  # type: ignore[method-assign]


@settings(max_examples=15)
@given(st.data())
def test_pages_with_and_without_index_have_each_hit_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    texts = data.draw(TEXTS)
    split = data.draw(st.sampled_from([None, "train", "test"]))
    searched = searched_in(tmp_path_factory.mktemp("d"), texts, split=split)
    span = searched.files.span(split)
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(span), max_size=len(span))), bool
    )
    queries = [
        (search, samples.parse(written(search)))
        for search in data.draw(st.lists(searches_in(texts), min_size=1, max_size=3))
    ]
    for is_indexed in (False, True):
        if is_indexed:
            index(searched)
        searching = Searching()
        for (search, query), chosen in [(q, m) for q in queries for m in (None, mask)]:
            wanted = [
                row
                for row in span
                if plainly_matches(search, texts[row])
                and (chosen is None or chosen[row - span.start])
            ]
            walked: list[int] = []
            while True:
                page = searching.find(
                    searched, query, offset=len(walked), limit=2, mask=chosen, progress=Progress()
                )
                assert page.total == len(wanted)
                if not len(page.rows):
                    break
                walked += page.rows.tolist()
            assert sorted(walked) == wanted
            if not is_indexed:
                assert walked == wanted
        searching.close()


def test_a_page_comes_before_the_count(searching: Searching, tmp_path: Path) -> None:
    searched = searched_in(tmp_path, ["a", "b"] * 20)
    gate = Gate(searched)
    page = find(searching, searched, "a", limit=1, exact_total=False)
    assert (page.rows.tolist(), page.total) == ([0], None)
    gate.opened.set()
    page = find(searching, searched, "a", limit=1, offset=1)
    assert (page.rows.tolist(), page.total) == ([2], 20)
    assert find(searching, searched, "a", limit=1, exact_total=False).total == 20


def test_a_search_that_nobody_waits_for_ends_with_its_cancel(
    searching: Searching, tmp_path: Path
) -> None:
    searched = searched_in(tmp_path, ["a", "b"] * 20)
    gate = Gate(searched)
    progress, ended = Progress(), threading.Event()

    def ask() -> None:
        with pytest.raises(JobCancelled):
            find(searching, searched, "a", progress=progress)
        ended.set()

    threading.Thread(target=ask).start()
    progress.cancel()
    assert ended.wait(60)
    gate.opened.set()
    assert gate.closed.wait(60)
    assert find(searching, searched, "a").total == 20


def test_a_cancel_leaves_the_search_to_others(searching: Searching, tmp_path: Path) -> None:
    searched = searched_in(tmp_path, ["a", "b"] * 20)
    gate = Gate(searched)
    results: list[Found] = []
    other = threading.Thread(target=lambda: results.append(find(searching, searched, "a")))
    other.start()
    progress = Progress()
    progress.cancel()
    with pytest.raises(JobCancelled):
        find(searching, searched, "a", progress=progress)
    gate.opened.set()
    other.join(60)
    assert results[0].total == 20


def test_stretches_read_side_by_side_are_put_in_row_order(
    searching: Searching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mistudio_widgets.manager.scanning._STRETCH_BYTES", 20)
    searched = searched_in(tmp_path, [f"a {n % 3}" for n in range(200)])
    for split in (None, "train", "test"):
        chosen = replace(searched, split=split)
        span = searched.files.span(split)
        wanted = [row for row in span if row % 3 == 1]
        page = find(searching, chosen, "1")
        assert (page.rows.tolist(), page.total) == (wanted, len(wanted))


def test_old_searches_that_only_count_make_room(searching: Searching, tmp_path: Path) -> None:
    searched = searched_in(tmp_path, ["a b c d"] * 40)
    gate = Gate(searched)
    for word in "abcd":
        assert find(searching, searched, word, limit=1, exact_total=False).total is None
    assert sum(not scan.was_stopped for scan in searching._results.values()) <= 3  # type: ignore[union-attr]
    gate.opened.set()
    for word in "abcd":
        assert find(searching, searched, word, limit=1).total == 40


def test_later_pages_keep_the_order_of_the_first(searching: Searching, tmp_path: Path) -> None:
    searched = searched_in(tmp_path, ["x y z", "x", "x x x", "y"])
    first = find(searching, searched, "x", limit=1)
    index(searched)
    rest = find(searching, searched, "x", offset=1)
    assert [*first.rows.tolist(), *rest.rows.tolist()] == [0, 1, 2]
    assert find(searching, searched, "x").rows.tolist() == [2, 1, 0]
    assert find(searching, searched, "x", offset=1).rows.tolist() == [1, 0]


def test_a_search_asked_again_within_other_rows_fetches_nothing(
    searching: Searching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = searched_in(tmp_path, ["x y z", "x", "x x x", "y"])
    index(searched)
    masks = [np.array(mask) for mask in ([1, 1, 0, 1], [0, 1, 1, 1])]
    assert find(searching, searched, "x", mask=masks[0] == 1).rows.tolist() == [1, 0]

    def fetch(*_: object) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr(samples.Ranking, "_fetch", fetch)
    assert find(searching, searched, "x", mask=masks[1] == 1).rows.tolist() == [2, 1]
    assert find(searching, searched, "x").rows.tolist() == [2, 1, 0]
    # another index knows nothing of these
    shutil.rmtree(searched.index_dir)
    index(searched)
    with pytest.raises(AssertionError, match="fetched again"):
        find(searching, searched, "x")


def test_an_index_of_other_texts_is_not_asked(searching: Searching, tmp_path: Path) -> None:
    index(searched_in(tmp_path, ["x"] * 4))
    searched = searched_in(tmp_path, ["y", "y", "y y", "x"])
    stale = Searched(
        ID,
        searched.files,
        searched.index_dir,
        searched.receipt.model_copy(update={"files": ("new",)}),
        None,
    )
    assert find(searching, stale, "y").rows.tolist() == [0, 1, 2]


def test_what_the_index_cannot_say_is_read(searching: Searching, tmp_path: Path) -> None:
    searched = searched_in(tmp_path, ["x" * 300, "x" * 299 + "y", "x"])
    index(searched)
    assert find(searching, searched, "x" * 299 + "*").rows.tolist() == [0, 1]
    assert find(searching, searched, "x" * 300 + "*").rows.tolist() == [0]


def test_a_prefix_too_large_for_the_index_is_read(searching: Searching, tmp_path: Path) -> None:
    # 255 characters, of four bytes each
    searched = searched_in(tmp_path, ["x", "𓀀" * 256, "𓀀" * 254])
    index(searched)
    assert find(searching, searched, "𓀀" * 255 + "*").rows.tolist() == [1]
    assert find(searching, searched, "x -" + "𓀀" * 255 + "*").rows.tolist() == [0]


def test_a_question_that_the_index_breaks_off_is_answered_by_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mistudio_widgets.samples.index._MARGIN", 1)
    searched = searched_in(tmp_path, ["a b", "b", "w a", "", "wa"] * 100, cut=100)
    index(searched)
    told: list[str] = []
    searching = Searching(told.append)
    first = find(searching, searched, "w*", limit=1)
    assert (len(first.rows), first.total) == (1, 200)
    (path,) = searched.index_dir.glob("*.fast")
    with path.open("r+b") as file:
        # in place: the open index has it mapped
        file.write(b"\xff" * path.stat().st_size)
    # a first page, and a later one of a ranking that was found before
    assert find(searching, searched, "a").rows.tolist()[:3] == [0, 2, 5]
    assert find(searching, searched, "w*", offset=198).rows.tolist() == [497, 499]
    assert find(searching, searched, "-w*").total == 300
    assert told == [ID]
    searching.close()


def test_a_damaged_index_is_told_of_once(tmp_path: Path) -> None:
    searched = searched_in(tmp_path, ["x y", "y", "y y", "x"])
    index(searched)
    (searched.index_dir / "meta.json").write_text("{}")
    told: list[str] = []
    searching = Searching(told.append)
    for _ in range(2):
        assert find(searching, searched, "y").rows.tolist() == [0, 1, 2]
        assert find(searching, searched, "x").rows.tolist() == [0, 3]
    assert told == [ID]
    searching.close()


def test_what_is_closed_starts_no_search_and_ends_those_that_run(
    searching: Searching, tmp_path: Path
) -> None:
    searched = searched_in(tmp_path, ["y"] * 8)
    gate = Gate(searched)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(find, searching, searched, "y")
        assert gate.asked.wait(60)
        searching.close()
        gate.opened.set()
        with pytest.raises(InterruptedJobError, match="closed"):
            asked.result(60)
    with pytest.raises(InterruptedJobError, match="closed"):
        find(searching, searched, "z")


def test_a_file_that_vanishes_is_an_error_and_not_remembered(
    searching: Searching, tmp_path: Path
) -> None:
    searched = searched_in(tmp_path, ["x"] * 8)
    path = searched.files.parts["test"][0].path
    content = path.read_bytes()
    stat = path.stat()
    path.unlink()
    with pytest.raises(CorruptFileError):
        find(searching, searched, "x")
    path.write_bytes(content)
    import os

    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert find(searching, searched, "x").total == 8


def test_readers_go_on_while_the_index_is_removed_and_built(
    searching: Searching, tmp_path: Path
) -> None:
    searched = searched_in(tmp_path, [f"w{n % 3}" for n in range(60)])
    stop, problems = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            for word in ("w0", "w1*", "-w2"):
                total = find(searching, searched, word, limit=5).total
                if total != (40 if word == "-w2" else 20):
                    problems.append((word, total))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(5):
        index(searched)
        searched.index_dir.rename(tmp_path / f"trash{number}")
        searching.forget(ID)
    stop.set()
    for reader in readers:
        reader.join(60)
    assert problems == []


def test_what_is_remembered_is_bounded(
    searching: Searching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = searched_in(tmp_path, ["a b c"] * 10)
    monkeypatch.setattr("mistudio_widgets.manager.searching._KEPT_RESULTS", 2)
    for word in "abc":
        find(searching, searched, word)
    assert len(searching._results) == 2
    monkeypatch.setattr("mistudio_widgets.manager.searching._KEPT_BYTES", 10)
    find(searching, searched, "a")
    assert len(searching._results) == 1
