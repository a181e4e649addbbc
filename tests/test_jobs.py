from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mistudio_widgets.errors import (
    InterruptedJobError,
    InvalidRequestError,
    JobCancelled,
    MiStudioError,
    NotFoundError,
)
from mistudio_widgets.jobs import (
    Job,
    JobRunner,
    Owner,
    ended_job,
    is_owner_alive,
    read_job_file,
)
from mistudio_widgets.records import new_dataset_id

DATASET = new_dataset_id()


@dataclass
class RecordedWork:
    """Work at our own seam: what it does is given, what is done with it is kept."""

    body: Callable[[Job], object]
    undone: list[str] = field(default_factory=list)
    failed: list[MiStudioError] = field(default_factory=list)
    undo_error: Exception | None = None

    def run(self, job: Job) -> object:
        return self.body(job)

    def undo(self, job: Job) -> None:
        self.undone.append(job.id)
        if self.undo_error:
            raise self.undo_error

    def fail(self, job: Job, error: MiStudioError) -> None:
        self.failed.append(error)


class Listener:
    def __init__(self) -> None:
        self.states: list[str] = []
        self.ticked = threading.Event()

    def on_change(self, job: Job) -> None:
        self.states.append(job.state)

    def on_tick(self, jobs: list[Job]) -> None:
        self.ticked.set()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def runner(tmp_path: Path, listener: Listener) -> JobRunner:
    return JobRunner(
        {"import": 1, "tokenize": 2, "download": 1},
        tmp_path,
        on_change=listener.on_change,
        on_tick=listener.on_tick,
    )


@dataclass
class PausedWork(RecordedWork):
    """Work that can be paused."""

    paused: list[str] = field(default_factory=list)
    pause_error: Exception | None = None

    def pause(self, job: Job) -> None:
        self.paused.append(job.id)
        if self.pause_error:
            raise self.pause_error


def _wait_for_state(job: Job, state: str) -> None:
    deadline = time.monotonic() + 10
    while job.state != state:
        assert time.monotonic() < deadline, job.state
        time.sleep(0.005)


def _until_cancelled(started: threading.Event) -> Callable[[Job], object]:
    def body(job: Job) -> object:
        started.set()
        job.progress.wait(60)
        raise AssertionError("was not cancelled")

    return body


def test_a_job_succeeds_and_gives_its_result(runner: JobRunner, listener: Listener) -> None:
    job = Job("import", DATASET)
    assert job.snapshot().state == "queued"
    runner.submit(job, RecordedWork(lambda _job: "result"))
    assert job.wait(10) == "result"
    snapshot = job.snapshot()
    assert (snapshot.state, snapshot.progress) == ("succeeded", 100)
    assert listener.states == ["running", "succeeded"]
    assert runner.active() == []
    assert "succeeded" in repr(job)


def test_a_failure_is_recorded_and_raised(runner: JobRunner) -> None:
    def body(_job: Job) -> object:
        raise NotFoundError("Gone.", hint="Look elsewhere.")

    work = RecordedWork(body)
    job = Job("import", DATASET)
    runner.submit(job, work)
    with pytest.raises(NotFoundError, match="Gone"):
        job.wait(10)
    snapshot = job.snapshot()
    assert (snapshot.state, snapshot.error_code, snapshot.hint) == (
        "failed",
        "not_found",
        "Look elsewhere.",
    )
    assert [error.code for error in work.failed] == ["not_found"]
    assert work.undone == []


def test_an_unexpected_error_becomes_one_of_ours(runner: JobRunner) -> None:
    work = RecordedWork(lambda _job: {}["missing"])
    job = Job("import", DATASET)
    runner.submit(job, work)
    with pytest.raises(MiStudioError, match="KeyError") as caught:
        job.wait(10)
    assert isinstance(caught.value.__cause__, KeyError)


def test_cancelled_means_stopped_and_undone(runner: JobRunner, listener: Listener) -> None:
    started = threading.Event()
    work = RecordedWork(_until_cancelled(started))
    job = Job("import", DATASET)
    runner.submit(job, work)
    assert started.wait(10)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(10)
    assert work.undone == [job.id]
    assert listener.states[0] == "running"
    assert listener.states[-1] == "cancelled"
    job.cancel()
    assert job.state == "cancelled"


def test_a_wrapped_cancel_is_still_a_cancel(runner: JobRunner) -> None:
    started = threading.Event()

    def body(job: Job) -> object:
        started.set()
        try:
            job.progress.wait(60)
        except JobCancelled as error:
            raise RuntimeError("a library wrapped it") from error

    work = RecordedWork(body)
    job = Job("import", DATASET)
    runner.submit(job, work)
    assert started.wait(10)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(10)
    assert work.failed == []


def test_a_cancel_that_comes_too_late_changes_nothing(runner: JobRunner) -> None:
    going, go_on = threading.Event(), threading.Event()

    def body(_job: Job) -> object:
        going.set()
        assert go_on.wait(10)
        return "published"

    job = Job("import", DATASET)
    runner.submit(job, RecordedWork(body))
    assert going.wait(10)
    job.cancel()
    assert job.state == "cancelling"
    go_on.set()
    assert job.wait(10) == "published"
    assert job.state == "succeeded"


def test_what_could_not_be_undone_is_told(runner: JobRunner) -> None:
    started = threading.Event()
    work = RecordedWork(_until_cancelled(started), undo_error=OSError("disk"))
    job = Job("import", DATASET)
    runner.submit(job, work)
    assert started.wait(10)
    job.cancel()
    with pytest.raises(MiStudioError, match="disk"):
        job.wait(10)


def test_no_more_than_the_limit_run_and_the_rest_wait_in_order(runner: JobRunner) -> None:
    order: list[int] = []
    going, go_on = threading.Event(), threading.Event()

    def first(_job: Job) -> None:
        going.set()
        assert go_on.wait(10)
        order.append(0)

    jobs = [Job("import", DATASET) for _ in range(4)]
    runner.submit(jobs[0], RecordedWork(first))
    assert going.wait(10)
    for number, job in enumerate(jobs[1:], start=1):
        runner.submit(job, RecordedWork(lambda _job, number=number: order.append(number)))
    assert [job.state for job in jobs] == ["running", "queued", "queued", "queued"]
    other_kind = Job("tokenize", DATASET)
    runner.submit(other_kind, RecordedWork(lambda _job: "not behind imports"))
    assert other_kind.wait(10) == "not behind imports"
    go_on.set()
    for job in jobs:
        job.wait(10)
    assert order == [0, 1, 2, 3]


def test_a_waiting_job_is_cancelled_at_once(runner: JobRunner) -> None:
    started = threading.Event()
    running, waiting = Job("import", DATASET), Job("import", DATASET)
    runner.submit(running, RecordedWork(_until_cancelled(started)))
    assert started.wait(10)
    never_run = RecordedWork(lambda _job: pytest.fail("ran"))
    runner.submit(waiting, never_run)
    waiting.cancel()
    with pytest.raises(JobCancelled):
        waiting.wait(10)
    assert never_run.undone == [waiting.id]
    assert running.state == "running"
    running.cancel()


def test_waiting_can_time_out(runner: JobRunner) -> None:
    started = threading.Event()
    job = Job("import", DATASET)
    runner.submit(job, RecordedWork(_until_cancelled(started)))
    with pytest.raises(TimeoutError, match="goes on"):
        job.wait(0.01)
    job.cancel()


def test_progress_is_written_for_other_processes_and_goes_with_the_job(
    runner: JobRunner, listener: Listener, tmp_path: Path
) -> None:
    going = threading.Event()

    def body(job: Job) -> object:
        job.progress.start("reading", total=4, unit="bytes")
        job.progress.advance(1)
        going.set()
        job.progress.wait(60)
        return None

    job = Job("import", DATASET)
    runner.submit(job, RecordedWork(body))
    assert going.wait(10)
    listener.ticked.clear()
    job.progress.advance(1)
    assert listener.ticked.wait(10)
    seen = read_job_file(tmp_path, job.id)
    assert seen is not None
    assert (seen.state, seen.done, seen.progress) == ("running", 2, 50)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(10)
    assert read_job_file(tmp_path, job.id) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}'])
def test_a_damaged_job_file_is_no_job_file(tmp_path: Path, text: str) -> None:
    job = Job("import", DATASET)
    (tmp_path / f"{job.id}.json").write_text(text)
    assert read_job_file(tmp_path, job.id) is None


def test_closing_interrupts_what_runs_and_what_waits(runner: JobRunner) -> None:
    started = threading.Event()
    works = [RecordedWork(_until_cancelled(started)), RecordedWork(lambda _job: None)]
    jobs = [Job("import", DATASET), Job("import", DATASET)]
    for job, work in zip(jobs, works, strict=True):
        runner.submit(job, work)
    assert started.wait(10)
    assert runner.close(10)
    for job, work in zip(jobs, works, strict=True):
        with pytest.raises(InterruptedJobError, match="Retry resumes"):
            job.wait(10)
        assert [error.code for error in work.failed] == ["interrupted"]
        assert work.undone == []
    with pytest.raises(InterruptedJobError, match="closed"):
        runner.submit(Job("import", DATASET), works[0])


def _threads_of_jobs() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "mistudio-" in thread.name]


def test_closing_waits_for_a_job_that_is_telling_of_its_end(tmp_path: Path) -> None:
    telling, go_on = threading.Event(), threading.Event()

    def tell(job: Job) -> None:
        if job.state == "succeeded":
            telling.set()
            assert go_on.wait(60)

    runner = JobRunner({"import": 1}, tmp_path, on_change=tell, on_tick=lambda _jobs: None)
    job = Job("import", DATASET)
    runner.submit(job, RecordedWork(lambda _job: 1))
    assert telling.wait(60)
    assert runner.active() == []
    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(lambda: (runner.close(60), job.has_ended, _threads_of_jobs()))
        with pytest.raises(TimeoutError):
            closed.result(0.2)
        go_on.set()
        assert closed.result(60) == (True, True, [])


def test_closing_tells_of_a_thread_that_does_not_end(runner: JobRunner) -> None:
    started, go_on = threading.Event(), threading.Event()

    def body(_job: Job) -> None:
        started.set()
        assert go_on.wait(60)

    job = Job("import", DATASET)
    runner.submit(job, RecordedWork(body))
    assert started.wait(60)
    assert not runner.close(0.05)
    assert not job.has_ended
    go_on.set()
    assert job.wait(60) is None
    assert runner.close(60)


def test_a_listener_may_close_the_runner(tmp_path: Path) -> None:
    closed: list[bool] = []

    def tell(job: Job) -> None:
        if job.state == "succeeded":
            closed.append(runner.close(60))

    runner = JobRunner({"import": 1}, tmp_path, on_change=tell, on_tick=lambda _jobs: None)
    job = Job("import", DATASET)
    runner.submit(job, RecordedWork(lambda _job: 1))
    assert job.wait(60) == 1
    assert closed == [True]


@pytest.mark.parametrize("asked", ["pause", "cancel"])
def test_what_was_asked_for_before_closing_is_done(runner: JobRunner, asked: str) -> None:
    started, go_on = threading.Event(), threading.Event()

    def body(job: Job) -> None:
        started.set()
        assert go_on.wait(60)
        job.progress.check()

    work = PausedWork(body)
    job = Job("download", DATASET)
    runner.submit(job, work)
    assert started.wait(60)
    getattr(job, asked)()
    assert not runner.close(0)
    go_on.set()
    assert runner.close(60)
    assert job.has_ended
    assert (work.paused, work.undone) == (([job.id], []) if asked == "pause" else ([], [job.id]))
    assert work.failed == []
    assert runner.find(job.id) is None


def test_a_failing_listener_does_not_end_jobs(tmp_path: Path) -> None:
    def broken(_what: object) -> None:
        raise RuntimeError("listener")

    runner = JobRunner({"import": 1}, tmp_path, on_change=broken, on_tick=broken)
    job = Job("import", DATASET)
    runner.submit(job, RecordedWork(lambda _job: 1))
    assert job.wait(10) == 1


def test_an_ended_job_needs_no_runner() -> None:
    job = ended_job("import", DATASET, "there")
    assert (job.wait(0), job.state, job.has_ended) == ("there", "succeeded", True)


def test_an_owner_is_alive_until_it_lets_go(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    assert is_owner_alive(tmp_path, owner.id)
    assert is_owner_alive(tmp_path, owner.id), "two probes must not see each other"
    owner.release()
    owner.release()
    assert not is_owner_alive(tmp_path, owner.id)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_keep_the_owner_alive(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    wait_r, wait_w = os.pipe()
    ready_r, ready_w = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(wait_w)
        os.write(ready_w, b"!")
        os.read(wait_r, 1)
        os._exit(0)
    assert os.read(ready_r, 1) == b"!"
    try:
        os.close(owner._descriptor)
        owner._descriptor = -1
        assert not is_owner_alive(tmp_path, owner.id)
    finally:
        os.close(wait_w)
        for descriptor in (wait_r, ready_r, ready_w):
            os.close(descriptor)
        os.waitpid(child, 0)


def _paused(runner: JobRunner, work: PausedWork, started: threading.Event) -> Job:
    job = Job("download", DATASET)
    runner.submit(job, work)
    assert started.wait(10)
    job.pause()
    _wait_for_state(job, "paused")
    return job


def test_a_paused_job_keeps_its_place_in_line_for_nobody(
    runner: JobRunner, listener: Listener, tmp_path: Path
) -> None:
    started = threading.Event()
    work = PausedWork(_until_cancelled(started))
    job = _paused(runner, work, started)
    assert work.paused == [job.id]
    assert (work.undone, work.failed) == ([], [])
    assert runner.active() == []
    assert runner.find(job.id) is job
    assert job.snapshot().paused
    with pytest.raises(TimeoutError):
        job.wait(0.01)
    assert list(tmp_path.glob("*.json")) == []
    other = Job("download", DATASET)
    runner.submit(other, RecordedWork(lambda _job: "other"))
    assert other.wait(10) == "other"
    assert listener.states[:2] == ["running", "running"]
    assert "paused" in listener.states
    job.pause()
    assert work.paused == [job.id]


def test_a_paused_job_goes_on_when_it_is_submitted_again(runner: JobRunner) -> None:
    started = threading.Event()
    job = _paused(runner, PausedWork(_until_cancelled(started)), started)
    runner.submit(job, PausedWork(lambda _job: "done"))
    assert job.wait(10) == "done"
    assert job.state == "succeeded"


def test_a_queued_job_is_paused_before_it_ran(runner: JobRunner) -> None:
    started = threading.Event()
    first = Job("download", DATASET)
    runner.submit(first, PausedWork(_until_cancelled(started)))
    second, work = Job("download", DATASET), PausedWork(lambda _job: "ran")
    runner.submit(second, work)
    second.pause()
    _wait_for_state(second, "paused")
    assert work.paused == [second.id]
    first.cancel()
    assert first.wait_until_ended(10)
    assert second.state == "paused"


def test_a_paused_job_can_be_cancelled(runner: JobRunner) -> None:
    started = threading.Event()
    work = PausedWork(_until_cancelled(started))
    job = _paused(runner, work, started)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(10)
    assert work.undone == [job.id]
    assert runner.find(job.id) is None


def test_cancel_wins_over_pause(runner: JobRunner) -> None:
    started, go_on = threading.Event(), threading.Event()

    def body(job: Job) -> object:
        started.set()
        go_on.wait(10)
        job.progress.check()
        return None

    work = PausedWork(body)
    job = Job("download", DATASET)
    runner.submit(job, work)
    assert started.wait(10)
    job.pause()
    job.cancel()
    go_on.set()
    with pytest.raises(JobCancelled):
        job.wait(10)
    assert work.undone == [job.id]


def test_a_pause_that_cannot_be_recorded_is_a_failure(runner: JobRunner) -> None:
    started = threading.Event()
    work = PausedWork(_until_cancelled(started), pause_error=NotFoundError("Gone."))
    job = Job("download", DATASET)
    runner.submit(job, work)
    assert started.wait(10)
    job.pause()
    with pytest.raises(NotFoundError):
        job.wait(10)


def test_only_downloads_can_be_paused() -> None:
    with pytest.raises(InvalidRequestError, match="import"):
        Job("import", DATASET).pause()


def test_closing_ends_the_handle_of_a_paused_job_only(runner: JobRunner) -> None:
    started = threading.Event()
    work = PausedWork(_until_cancelled(started))
    job = _paused(runner, work, started)
    assert runner.close(10)
    with pytest.raises(InterruptedJobError):
        job.wait(10)
    assert (work.undone, work.failed) == ([], [])


def test_a_paused_job_of_a_deleted_dataset_is_cancelled(runner: JobRunner) -> None:
    started = threading.Event()
    work = PausedWork(_until_cancelled(started))
    job = _paused(runner, work, started)
    assert runner.paused(DATASET) == [job]
    assert runner.work_of(job.id) is work
    runner.forget_paused("job_of_another")
    assert job.state == "paused"
    runner.forget_paused(job.id)
    with pytest.raises(JobCancelled):
        job.wait(10)
    assert work.undone == []
    assert runner.paused(DATASET) == []


def test_whoever_waits_for_a_paused_job_hears_that_it_is_over(runner: JobRunner) -> None:
    started = threading.Event()
    job = _paused(runner, PausedWork(_until_cancelled(started)), started)
    gone = InterruptedJobError("Another one goes on with it.")
    job.call_while_paused(lambda: runner.forget_paused(job.id, gone))
    with pytest.raises(InterruptedJobError, match="Another"):
        job.wait(10)


def test_a_stop_that_was_asked_for_can_be_awaited(runner: JobRunner) -> None:
    started, go_on = threading.Event(), threading.Event()

    def body(job: Job) -> object:
        started.set()
        go_on.wait(10)
        job.progress.check()
        return None

    job = Job("download", DATASET)
    runner.submit(job, PausedWork(body))
    assert started.wait(10)
    job.wait_until_stopped(10)
    assert job.state == "running"
    job.pause()
    job.wait_until_stopped(0.05)
    assert job.state == "running"
    threading.Timer(0.1, go_on.set).start()
    job.wait_until_stopped(10)
    assert job.state == "paused"
