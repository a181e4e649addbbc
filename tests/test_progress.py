from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistudio_widgets.errors import JobCancelled
from mistudio_widgets.progress import Progress


def test_every_check_raises_once_cancelled() -> None:
    progress = Progress()
    progress.start("reading", total=2, unit="bytes")
    progress.advance(1)
    progress.cancel()
    for check in (progress.check, progress.advance, lambda: progress.wait(10)):
        with pytest.raises(JobCancelled):
            check()
    assert progress.is_cancelled
    assert progress.state().phase == "reading"


def test_wait_ends_when_another_thread_cancels() -> None:
    progress = Progress()
    started, raised = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        try:
            progress.wait(60)
        except JobCancelled:
            raised.set()

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait(10)
    progress.cancel()
    thread.join(10)
    assert raised.is_set()


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.one_of(st.none(), st.integers(1, 50))),
        min_size=1,
        max_size=6,
    )
)
def test_the_fraction_never_goes_back_and_never_passes_one(
    phases: list[tuple[int, int | None]],
) -> None:
    progress = Progress()
    last = 0.0
    for steps, total in phases:
        progress.start("phase", total=total, unit="rows", share=1 / len(phases))
        for _ in range(steps):
            progress.advance()
            now = progress.state().fraction
            assert last <= now <= 1.0
            last = now


def test_a_finished_phase_gives_its_whole_share() -> None:
    progress = Progress()
    progress.start("a", total=10, unit="rows", share=0.25)
    progress.start("b", total=10, unit="rows", share=0.75)
    assert progress.state().fraction == pytest.approx(0.25)
    progress.advance(10)
    assert progress.state().fraction == pytest.approx(1.0)


def test_speed_and_time_left_come_from_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("mistudio_widgets.progress.time.monotonic", lambda: now[0])
    progress = Progress()
    progress.start("reading", total=1000, unit="bytes")
    assert progress.state().per_s is None
    for _ in range(10):
        now[0] += 1.0
        progress.advance(50)
    state = progress.state()
    assert state.per_s == pytest.approx(50)
    assert state.eta_s == pytest.approx(10)


def test_what_has_stopped_has_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("mistudio_widgets.progress.time.monotonic", lambda: now[0])
    progress = Progress()
    progress.start("fetching", total=1000, unit="bytes")
    for _ in range(8):
        now[0] += 1.0
        progress.advance(50)
    now[0] += 2.0
    assert 0 < (progress.state().per_s or 0) < 50
    now[0] += 4.0
    assert progress.state().per_s is None
    assert progress.state().eta_s is None


def test_what_was_there_before_is_done_but_is_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("mistudio_widgets.progress.time.monotonic", lambda: now[0])
    progress = Progress()
    progress.start("downloading", total=1000, unit="bytes")
    for _ in range(30):
        now[0] += 1.0
        progress.advance(20, measured=False)
    state = progress.state()
    assert (state.done, state.per_s, state.eta_s) == (600, None, None)
    # the half minute before does not make it look slow
    now[0] += 1.0
    progress.advance(40)
    assert progress.state().per_s == pytest.approx(40)
    # nor does more of it, found in between, make it look fast
    progress.advance(260, measured=False)
    state = progress.state()
    assert state.per_s == pytest.approx(40)
    assert (state.done, state.fraction) == (900, pytest.approx(0.9))
    assert state.eta_s == pytest.approx(100 / 40)


def test_the_next_phase_measures_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("mistudio_widgets.progress.time.monotonic", lambda: now[0])
    progress = Progress()
    for speed in (10, 500):
        progress.start("reading", total=1000, unit="bytes")
        now[0] += 1.0
        progress.advance(speed)
        assert progress.state().per_s == pytest.approx(speed)
