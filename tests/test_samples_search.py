"""`DatasetManager.samples` with a search: with and without the index, with all other filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_reference import Search, plainly_matches, searches_in, written

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import InvalidRequestError, JobCancelled
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import DatasetRecord, Sample

WORDS = [
    "Straße",
    "STRASSE",
    "東京都",
    "snake_case",
    "don't",
    "a-b",
    "x" * 300,
    "ﬁne",
    "İx",
    "\0",
    "é",
]
TEXTS = [" ".join((WORDS * 3)[n % 11 : n % 11 + n % 7]) for n in range(90)] + ["", "Straße " * 3]


def import_texts(
    manager: DatasetManager, folder: Path, texts: Sequence[str | None] = TEXTS
) -> DatasetRecord:
    folder.mkdir(parents=True, exist_ok=True)
    half = len(texts) // 2
    paths = {}
    for name, part in (("train", texts[:half]), ("test", texts[half:])):
        paths[name] = folder / f"{name}.parquet"
        table = pa.table({"text": pa.array(part, pa.string()), "n": range(len(part))})
        pq.write_table(table, paths[name], row_group_size=7)
    record: DatasetRecord = manager.import_files(paths).wait(60)
    return record


def walk(
    manager: DatasetManager, dataset_id: str, limit: int = 7, **options: object
) -> list[Sample]:
    found: list[Sample] = []
    while True:
        page = manager.samples(dataset_id, limit=limit, offset=len(found), **options)  # type: ignore[arg-type]
        if not page.items:
            assert page.total == len(found)
            return found
        found += page.items


def places(samples: Sequence[Sample]) -> list[tuple[str, int]]:
    return [(sample.split, sample.row) for sample in samples]


def test_pages_of_a_search_have_each_hit_once_whatever_else_is_asked(
    manager: DatasetManager, tmp_path: Path
) -> None:
    record = import_texts(manager, tmp_path)
    texts = {
        (split, row): text
        for split, part in (("train", TEXTS[:46]), ("test", TEXTS[46:]))
        for row, text in enumerate(part)
    }

    @settings(max_examples=25)
    @given(
        searches_in(TEXTS), st.sampled_from([None, "train", "test"]), st.sampled_from([None, 30])
    )
    def check(search: Search, split: str | None, longest: int | None) -> None:
        wanted = sorted(
            place
            for place, text in texts.items()
            if plainly_matches(search, text)
            and split in (None, place[0])
            and (longest is None or len(text) <= longest)
        )
        found = walk(manager, record.id, search=written(search), split=split, max_tokens=longest)
        assert sorted(places(found)) == wanted
        assert all(
            sample.text == texts[place] for sample, place in zip(found, places(found), strict=True)
        )

    check()
    manager.build_index(record.id).wait(60)
    check()


def test_hits_are_highlighted_and_the_best_come_first(
    manager: DatasetManager, tmp_path: Path
) -> None:
    record = import_texts(manager, tmp_path, ["the cat sat", "a dog", "Cat cat", "dog"])
    in_row_order = manager.samples(record.id, search="cat").items
    assert [sample.row for sample in in_row_order] == [0, 0]
    assert [sample.highlights for sample in in_row_order] == [((4, 7),), ((0, 3), (4, 7))]
    manager.build_index(record.id).wait(60)
    assert [sample.split for sample in manager.samples(record.id, search="cat").items] == [
        "test",
        "train",
    ]


def test_a_blank_search_finds_all(manager: DatasetManager, tmp_path: Path) -> None:
    record = import_texts(manager, tmp_path, ["a", "b"])
    assert manager.samples(record.id, search=" \n").total == 2


@pytest.mark.parametrize("search", ["!?", "\U0001f600", "-", "*", '"', "\u0301"])
def test_a_search_without_words_is_refused(
    manager: DatasetManager, tmp_path: Path, search: str
) -> None:
    record = import_texts(manager, tmp_path, ["a", "b"])
    with pytest.raises(InvalidRequestError, match="no word") as caught:
        manager.samples(record.id, search=search)
    assert caught.value.field == "search"


@pytest.mark.parametrize("search", ["x" * 100_001, 7])
def test_what_is_no_search_is_refused(
    manager: DatasetManager, tmp_path: Path, search: object
) -> None:
    record = import_texts(manager, tmp_path, ["a", "b"])
    with pytest.raises(InvalidRequestError) as caught:
        manager.samples(record.id, search=search)  # type: ignore[arg-type]
    assert caught.value.field == "search"


def test_a_hit_far_behind_is_shown(manager: DatasetManager, tmp_path: Path) -> None:
    record = import_texts(manager, tmp_path, ["word " * 5000 + "needle in it", "b"])
    (sample,) = manager.samples(record.id, search="needle").items
    assert sample.text is not None
    ((start, end),) = sample.highlights
    assert sample.text[start:end] == "needle"
    assert sample.text_start > 0


def test_a_reader_searches_with_the_index_of_another(
    manager: DatasetManager, tmp_path: Path
) -> None:
    record = import_texts(manager, tmp_path, ["x y", "z", "x x", "x"])
    manager.build_index(record.id).wait(60)
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        assert places(reader.samples(record.id, search="x").items) == [
            ("test", 0),
            ("test", 1),
            ("train", 0),
        ]
        manager.delete_index(record.id)
        assert places(reader.samples(record.id, search="x").items) == [
            ("train", 0),
            ("test", 0),
            ("test", 1),
        ]


def test_a_repaired_dataset_is_not_searched_with_the_old_index(
    manager: DatasetManager, tmp_path: Path
) -> None:
    record = import_texts(manager, tmp_path, ["old", "b"])
    manager.build_index(record.id).wait(60)
    assert manager.samples(record.id, search="old").total == 1
    table = pa.table({"text": ["new"], "n": [1]})
    pq.write_table(table, tmp_path / "train.parquet")
    raw = manager.data_dir / "datasets" / record.id / "raw"
    next(raw.rglob("*.parquet")).write_bytes(b"damaged")
    manager.verify(record.id).wait(60)
    manager.retry(record.id).wait(60)
    assert manager.samples(record.id, search="old").total == 0
    assert manager.samples(record.id, search="new").total == 1


def test_a_cancelled_search_ends(manager: DatasetManager, tmp_path: Path) -> None:
    record = import_texts(manager, tmp_path, ["a", "b"])
    progress = Progress()
    progress.cancel()
    with pytest.raises(JobCancelled):
        manager.samples(record.id, search="a", progress=progress)


def test_conversations_are_searched_as_they_are_shown(
    manager: DatasetManager, tmp_path: Path
) -> None:
    chats = [
        [
            {"role": "user", "content": "Where is Paris?"},
            {"role": "assistant", "content": "France."},
        ],
        [{"role": "user", "content": "Hello"}],
    ]
    record = manager.import_dataset(pa.table({"messages": chats}), name="chats").wait(60)
    for _ in range(2):
        (sample,) = manager.samples(record.id, search='france "is paris"').items
        assert sample.row == 0
        assert sample.text is not None
        assert [sample.text[start:end] for start, end in sample.highlights] == [
            "is Paris",
            "France",
        ]
        manager.build_index(record.id).wait(60)


def test_searches_of_conversations_walked_to_the_end_hold_each_hit_once(
    manager: DatasetManager,
) -> None:
    chats = [
        [
            {"role": role, "content": text}
            for role, text in zip(["user", "assistant"], pair, strict=True)
        ]
        for pair in zip(TEXTS, reversed(TEXTS), strict=True)
    ]
    table = pa.table({"messages": [*chats, None, []]})
    record = manager.import_dataset(table, name="chats").wait(60)
    texts = {("train", sample.row): sample.text or "" for sample in walk(manager, record.id)}
    assert len(texts) == len(TEXTS) + 2

    @settings(max_examples=20)
    @given(searches_in(TEXTS))
    def check(search: Search) -> None:
        wanted = sorted(place for place, text in texts.items() if plainly_matches(search, text))
        assert sorted(places(walk(manager, record.id, search=written(search)))) == wanted

    check()
    manager.build_index(record.id).wait(60)
    check()
