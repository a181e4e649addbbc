"""Packing: pure tensor code against slow and obvious Python."""

from __future__ import annotations

import statistics
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mistudio_widgets import packing
from mistudio_widgets.errors import InvalidRequestError
from mistudio_widgets.packing import Affixes

documents = st.lists(st.lists(st.integers(10, 99), max_size=12), max_size=8)
affixes = st.builds(
    Affixes,
    prefix=st.lists(st.integers(1, 2), max_size=2).map(tuple),
    suffix=st.lists(st.integers(3, 4), max_size=2).map(tuple),
    separator=st.none() | st.just(5),
)


def _flat(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.tensor([token for text in texts for token in text], dtype=torch.int32)
    return ids, torch.tensor([len(text) for text in texts], dtype=torch.int64)


def _slow_stream(texts: list[list[int]], around: Affixes, *, continues: bool = False) -> list[int]:
    stream: list[int] = []
    for number, text in enumerate(texts):
        if around.separator is not None and (number or continues):
            stream.append(around.separator)
        stream += [*around.prefix, *text, *around.suffix]
    return stream


@given(documents, affixes, st.booleans())
def test_documents_join_as_a_loop_would(texts, around, continues):
    ids, lengths = _flat(texts)
    stream = packing.join_documents(ids, lengths, around, continues=continues)
    assert stream.dtype == torch.int32
    assert stream.tolist() == _slow_stream(texts, around, continues=continues)
    if not continues:
        assert len(stream) == around.stream_length(len(texts), len(ids))


@given(documents, affixes, st.integers(0, 80))
def test_documents_are_found_again_in_the_kept_stream(texts, around, num_kept):
    _, lengths = _flat(texts)
    stream = _slow_stream(texts, around)[:num_kept]
    starts, sizes = packing.place_documents(lengths, around, first=0, num_kept=num_kept)
    position = 0
    for text, start, size in zip(texts, starts.tolist(), sizes.tolist(), strict=True):
        whole = [*around.prefix, *text, *around.suffix]
        assert start == min(position, num_kept)
        assert stream[start : start + size] == whole[: max(num_kept - position, 0)]
        position += len(whole) + around.num_between


@given(st.integers(0, 60), st.integers(1, 12), st.integers(0, 10), st.booleans(), st.booleans())
def test_a_plan_says_what_a_loop_over_windows_finds(total, length, stride, has_begin, drop_tail):
    if stride + has_begin >= length:
        return
    plan = packing.plan_packed(
        total, max_length=length, stride=stride, has_begin=has_begin, drop_tail=drop_tail
    )
    width = length - has_begin
    windows, start = [], 0
    while total and (not windows or windows[-1][-1] < total - 1):
        windows.append(range(start, min(start + width, total)))
        start += width - stride
    if drop_tail:
        windows = [window for window in windows if len(window) == width]
    covered = {position for window in windows for position in window}
    assert plan.num_sequences == len(windows)
    assert plan.num_kept == len(covered)
    assert plan.num_tail == total - len(covered)
    assert plan.num_repeated == sum(map(len, windows)) - len(covered)
    assert plan.num_padding == sum(width - len(window) for window in windows)


@given(st.integers(0, 40), st.integers(1, 9), st.data())
def test_windows_are_cut_where_slices_would_be(total, width, data):
    step = data.draw(st.integers(1, width))
    stream = torch.arange(total, dtype=torch.int32)
    windows, rest = packing.cut_windows(stream, width, step)
    expected = [list(range(s, s + width)) for s in range(0, total - width + 1, step)]
    assert windows.tolist() == expected
    assert rest.tolist() == list(range(len(expected) * step, total))


def test_the_begin_token_stands_in_front_of_every_row():
    windows = torch.tensor([[1, 2], [3, 4]], dtype=torch.int32)
    assert packing.begin_rows(windows, 9).tolist() == [[9, 1, 2], [9, 3, 4]]
    assert packing.begin_rows(windows, None).tolist() == windows.tolist()


@given(documents, st.none() | st.integers(1, 6), st.integers(0, 5))
def test_documents_are_split_as_a_loop_would(texts, room, stride):
    if room is None or stride >= room:
        stride = 0
    expected = []
    for number, text in enumerate(texts):
        start = 0
        while True:
            stop = len(text) if room is None else min(start + room, len(text))
            expected.append((number, text[start:stop]))
            if not stride or stop == len(text):
                break
            start += room - stride
    ids, lengths = _flat(texts)
    chunks = packing.split_documents(lengths, room=room, stride=stride)
    flat = packing.gather_chunks(ids, chunks.starts, chunks.lengths)
    parts = [part.tolist() for part in flat.split(chunks.lengths.tolist())] if texts else []
    assert list(zip(chunks.documents.tolist(), parts, strict=True)) == expected


def test_sequences_are_filled_on_the_right_and_masked():
    flat = torch.tensor([7, 8, 9], dtype=torch.int32)
    rows, mask = packing.pad_sequences(flat, torch.tensor([2, 0, 1]), 3, fill=5)
    assert rows.tolist() == [[7, 8, 5], [5, 5, 5], [9, 5, 5]]
    assert mask.tolist() == [[True, True, False], [False] * 3, [True, False, False]]
    assert rows.dtype == torch.int32


@given(st.lists(st.lists(st.integers(0, 1500), max_size=20), min_size=1, max_size=4))
def test_a_summary_equals_the_standard_librarys(parts):
    counts = packing.merge_lengths(
        [packing.count_lengths(torch.tensor(part, dtype=torch.int64)) for part in parts]
    )
    summary = packing.summarize_lengths(counts)
    lengths = [length for part in parts for length in part]
    if not lengths:
        assert (summary.average, summary.median, summary.shortest, summary.longest) == (0, 0, 0, 0)
        return
    assert summary.average == pytest.approx(statistics.fmean(lengths))
    assert summary.median == statistics.median(lengths)
    assert (summary.shortest, summary.longest) == (min(lengths), max(lengths))
    for bucket in summary.histogram:
        high = bucket.max or 10**9
        assert bucket.count == sum(bucket.min <= length < high for length in lengths)
        assert bucket.percentage == pytest.approx(100 * bucket.count / len(lengths))


def test_the_histogram_has_the_designs_buckets():
    summary = packing.summarize_lengths(packing.count_lengths(torch.tensor([99, 100, 1000])))
    assert [(bucket.range, bucket.count) for bucket in summary.histogram] == [
        ("0-100", 1),
        ("100-200", 1),
        ("200-400", 0),
        ("400-600", 0),
        ("600-800", 0),
        ("800-1000", 0),
        ("1000+", 1),
    ]


def test_ids_are_counted_over_the_whole_vocabulary():
    counts = packing.count_tokens(torch.tensor([[1, 1], [3, 0]], dtype=torch.int32), 5)
    assert counts.tolist() == [1, 2, 0, 1, 0]
    assert packing.sum_counts([counts, counts]).tolist() == [2, 4, 0, 2, 0]
    assert packing.sum_counts([]).tolist() == []


def test_a_device_that_torch_does_not_have_is_refused():
    assert packing.resolve_device("cpu") == "cpu"
    assert packing.resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    for device in ("cuda:99", "abacus"):
        with pytest.raises(InvalidRequestError) as caught:
            packing.resolve_device(device)
        assert caught.value.field == "device"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_as_the_cpu():
    ids = torch.randint(0, 50, (10_000,), dtype=torch.int32)
    lengths = torch.full((100,), 100)
    around = Affixes((1, 2), (3,), 4)
    on_cpu = packing.join_documents(ids, lengths, around)
    on_cuda = packing.join_documents(ids.cuda(), lengths.cuda(), around)
    assert torch.equal(on_cpu, on_cuda.cpu())
    chunks = packing.split_documents(lengths.cuda(), room=30, stride=7)
    flat = packing.gather_chunks(ids.cuda(), chunks.starts, chunks.lengths)
    rows, mask = packing.pad_sequences(flat, chunks.lengths, 40, 0)
    cpu_chunks = packing.split_documents(lengths, room=30, stride=7)
    cpu_flat = packing.gather_chunks(ids, cpu_chunks.starts, cpu_chunks.lengths)
    expected_rows, expected_mask = packing.pad_sequences(cpu_flat, cpu_chunks.lengths, 40, 0)
    assert torch.equal(rows.cpu(), expected_rows)
    assert torch.equal(mask.cpu(), expected_mask)


def test_one_thread_is_the_callers_own_affair():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with packing.one_thread():
            assert torch.get_num_threads() == 1
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(torch.get_num_threads).result() == 3
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
