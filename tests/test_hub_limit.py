from __future__ import annotations

import threading

import pytest
from hub_calls import fetch, noise, plan
from hypothesis import given
from hypothesis import strategies as st

from mistudio_widgets.errors import InvalidRequestError, JobCancelled
from mistudio_widgets.hub import BandwidthLimit
from mistudio_widgets.progress import Progress


class Clock:
    """Time that passes only when somebody waits, or says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.longest = 0.0

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.longest = max(self.longest, seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("mistudio_widgets.hub._limit.time.monotonic", lambda: made.now)
    return made


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "5MB", float("nan")])
def test_only_a_whole_number_above_zero_is_a_limit(bad):
    with pytest.raises(InvalidRequestError) as caught:
        BandwidthLimit(bad)
    assert caught.value.field == "bandwidth_limit"
    assert "None" in caught.value.hint
    limit = BandwidthLimit(7)
    with pytest.raises(InvalidRequestError):
        limit.bytes_per_s = bad
    assert limit.bytes_per_s == 7


def test_without_a_limit_nobody_waits(clock):
    assert list(BandwidthLimit().portions(10**9, clock.wait)) == [10**9]
    assert clock.now == 1000.0


@pytest.mark.parametrize("rate", [1, 1000, 500_000, 10**9])
def test_so_many_bytes_take_so_long(clock, rate):
    limit = BandwidthLimit(rate)
    for _ in range(50):
        assert sum(limit.portions(rate // 10 + 1, clock.wait)) == rate // 10 + 1
    seconds = 50 * (rate // 10 + 1) / rate
    assert clock.now - 1000 == pytest.approx(seconds, rel=0.06, abs=0.3)


def test_a_pause_saves_up_a_tenth_of_a_second_only(clock):
    limit = BandwidthLimit(1000)
    clock.now += 3600
    list(limit.portions(1000, clock.wait))
    assert clock.now - 4600 >= 0.8


def test_progress_moves_several_times_a_second_even_when_chunks_are_large(clock):
    limit = BandwidthLimit(10_000)
    before = clock.now
    for _ in limit.portions(65_536, clock.wait):
        assert clock.now - before <= 0.25
        before = clock.now


def test_a_change_is_felt_within_a_tenth_of_a_second(clock):
    limit = BandwidthLimit(10)
    portions = limit.portions(1_000_000, clock.wait)
    for _ in range(5):
        next(portions)
    assert clock.longest <= 0.101
    limit.bytes_per_s = 1_000_000
    changed_at = clock.now
    list(portions)
    assert clock.now - changed_at == pytest.approx(1, abs=0.2)
    limit.bytes_per_s = None
    assert list(limit.portions(5, clock.wait)) == [5]


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 300_000)), max_size=20))
def test_every_byte_is_granted_once_whatever_the_limit_becomes(steps):
    clock = Clock()
    limit = BandwidthLimit(10**7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mistudio_widgets.hub._limit.time.monotonic", lambda: clock.now)
        for rate, num_bytes in steps:
            limit.bytes_per_s = rate * 100
            assert sum(limit.portions(num_bytes, clock.wait)) == num_bytes


def test_a_wait_for_the_limit_can_be_ended(clock):
    progress = Progress()
    progress.cancel()
    with pytest.raises(JobCancelled):
        list(BandwidthLimit(1).portions(100, progress.wait))


def test_all_downloads_together_stay_below_one_limit(client, hub, tmp_path, monkeypatch):
    """Four files of two downloads share the time that one of them would take alone."""
    lock, now = threading.Lock(), [0.0]

    class Waiting(Progress):
        def wait(self, seconds: float) -> None:
            with lock:
                now[0] += seconds

    monkeypatch.setattr("mistudio_widgets.hub._limit.time.monotonic", lambda: now[0])
    limit = BandwidthLimit(MB)
    for name in ("one", "two"):
        files = {f"train-{n}.jsonl.gz": noise(MB, seed=n) for n in range(4)}
        hub.add("dataset", f"acme/limited-{name}", files)
    found = [plan(client, f"acme/limited-{name}") for name in ("one", "two")]
    threads = [
        threading.Thread(
            target=fetch,
            args=(client, each, tmp_path / str(number)),
            kwargs={"limit": limit, "progress": Waiting()},
        )
        for number, each in enumerate(found)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # every thread that waits moves this clock on, so it may show more than 8 s, never less
    assert now[0] >= 8 * 0.95
    assert all((tmp_path / str(number) / "files").is_dir() for number in range(2))


MB = 1_000_000
