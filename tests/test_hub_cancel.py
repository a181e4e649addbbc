"""A cancel ends every thread, whatever it waits for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hub_calls import Impatient, fetch, noise, our_threads, plan

from mistudio_widgets.errors import HubUnavailableError, JobCancelled
from mistudio_widgets.hub import BandwidthLimit, Hub, _body
from mistudio_widgets.hub._client import RepoClient
from mistudio_widgets.hub._faults import Repo
from mistudio_widgets.hub._fetch import fetch_files
from mistudio_widgets.hub._sockets import Sockets
from mistudio_widgets.progress import Progress

MB = 1_000_000
NAMES = [f"train-{n}.jsonl.gz" for n in range(6)]


@pytest.fixture(autouse=True, params=[1, 1 << 40], ids=["connection", "library"])
def worth_a_connection(request, monkeypatch):
    """Read bodies from the connection itself, as large files are, or through the library."""
    monkeypatch.setattr(_body, "_WORTH_A_CONNECTION_BYTES", request.param)


@pytest.fixture
def found(hub, client):
    hub.add("dataset", "acme/six", {name: noise(2 * MB, seed=n) for n, name in enumerate(NAMES)})
    return plan(client, "acme/six")


class Watched(Progress):
    """Tells when bytes come and when a wait begins."""

    def __init__(self) -> None:
        super().__init__()
        self.moved, self.waiting = threading.Event(), threading.Event()

    def advance(self, units: int = 1, *, measured: bool = True) -> None:
        if units:
            self.moved.set()
        super().advance(units, measured=measured)

    def wait(self, seconds: float) -> None:
        self.waiting.set()
        super().wait(seconds)


@contextmanager
def running(call, *arguments, **options) -> Iterator[Future]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call, *arguments, **options)


def sizes(folder) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def check_it_ends(job: Future, progress: Progress, partial, hub, *, within_s=2.0) -> None:
    progress.cancel()
    with pytest.raises(JobCancelled):
        job.result(within_s)
    assert our_threads() == []
    before = sizes(partial)
    hub.reset()
    assert sizes(partial) == before


@pytest.mark.parametrize(
    "what",
    [{"hang_after": MB}, {"hang_after": 0}, {"gate": None, "origin": "hub"}, {"gate": None}],
)
@pytest.mark.parametrize("has_fetched_before", [False, True])
def test_a_server_that_hangs_does_not_hold_a_cancel_up(
    hub, found, tmp_path, what, has_fetched_before
):
    patient = Hub(hub.url, timeout_s=60)
    if has_fetched_before:
        # so that every request is sent on a connection that is open already
        fetch(patient, found, tmp_path / "before")
    if "gate" in what:
        what = {**what, "gate": threading.Event()}
    faults = [hub.add_fault(name, times=9, **what) for name in NAMES]
    progress = Progress()
    with running(fetch, patient, found, tmp_path / "partial", progress=progress) as job:
        # four of the six are under way at a time
        assert all(fault.struck.wait(10) for fault in faults[:4])
        assert len(our_threads()) >= 4
        check_it_ends(job, progress, tmp_path, hub)


def test_a_slow_link_does_not_hold_a_cancel_up(hub, client, found, tmp_path):
    hub.throttle = 100_000
    progress = Watched()
    with running(fetch, client, found, tmp_path, progress=progress) as job:
        assert progress.moved.wait(10)
        check_it_ends(job, progress, tmp_path, hub)
    assert 0 < progress.state().done < found.plan.download_bytes


def test_a_bandwidth_limit_does_not_hold_a_cancel_up(hub, client, found, tmp_path):
    progress = Watched()
    limit = BandwidthLimit(1000)
    with running(fetch, client, found, tmp_path, progress=progress, limit=limit) as job:
        assert progress.moved.wait(10)
        check_it_ends(job, progress, tmp_path, hub)


def test_a_wait_between_tries_does_not_hold_a_cancel_up(hub, client, found, tmp_path):
    for name in NAMES:
        hub.add_fault(name, status=503, headers={"Retry-After": "60"}, times=9)
    progress = Watched()
    with running(fetch, client, found, tmp_path, progress=progress) as job:
        assert progress.waiting.wait(10)
        check_it_ends(job, progress, tmp_path, hub)


def test_a_host_that_takes_no_connection_does_not_hold_a_cancel_up(hub, found, tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        # a queue of one: who comes later gets no answer at all
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            repo = Repo(f"http://127.0.0.1:{address[1]}", "dataset", "acme/six")
            silent = RepoClient(repo, False, timeout_s=60)
            progress = Progress()
            options = {"limit": BandwidthLimit(), "copies": ()}
            with running(fetch_files, silent, found, tmp_path, progress, **options) as job:
                with pytest.raises(TimeoutError):
                    job.result(0.2)
                # 1.5 s of it are the system's own, and cannot be interrupted
                check_it_ends(job, progress, tmp_path, hub, within_s=5.0)


def test_cancelled_before_it_begins_asks_nothing(hub, client, found, tmp_path):
    progress = Progress()
    progress.cancel()
    hub.reset()
    with pytest.raises(JobCancelled):
        fetch(client, found, tmp_path, progress=progress)
    assert hub.requests == []


def test_what_was_cancelled_can_be_gone_on_with(hub, client, found, tmp_path):
    for name in NAMES:
        hub.add_fault(name, hang_after=MB)
    progress = Watched()
    with running(fetch, client, found, tmp_path, progress=progress) as job:
        while progress.state().done < 2 * MB:
            assert progress.moved.wait(10)
            progress.moved.clear()
        check_it_ends(job, progress, tmp_path, hub)
    left = [path.stat().st_size for path in tmp_path.glob("*.part")]
    assert sum(left) >= 2 * MB
    got = fetch(client, found, tmp_path)["train"]
    assert [path.read_bytes() for path in got] == [noise(2 * MB, seed=n) for n in range(6)]
    starts = sorted(r.start for r in hub.requests if r.origin == "cdn")
    assert starts == sorted([*left, *[0] * (6 - len(left))])


def test_the_download_beside_a_cancelled_one_goes_on(hub, client, found, tmp_path):
    hub.add("dataset", "acme/other", {"train.jsonl.gz": noise(3 * MB, seed=9)})
    other = plan(client, "acme/other")
    faults = [hub.add_fault(name, hang_after=MB, times=9) for name in NAMES]
    beside = hub.add_fault("train.jsonl.gz", hang_after=MB)
    cancelled, progress = Progress(), Impatient()
    with (
        running(fetch, client, other, tmp_path / "other", progress=progress) as going_on,
        running(fetch, client, found, tmp_path / "six", progress=cancelled) as job,
    ):
        assert beside.struck.wait(10)
        assert faults[0].struck.wait(10)
        cancelled.cancel()
        with pytest.raises(JobCancelled):
            job.result(2)
        beside.gate.set()
        (file,) = going_on.result(20)["train"]
    assert file.read_bytes() == noise(3 * MB, seed=9)


def test_an_interrupt_of_the_caller_ends_the_threads_too(hub, client, found, tmp_path):
    faults = [hub.add_fault(name, hang_after=MB, times=9) for name in NAMES]

    class Interrupted(Progress):
        @property
        def is_cancelled(self) -> bool:
            if threading.current_thread() is threading.main_thread() and faults[3].struck.wait(10):
                raise KeyboardInterrupt
            return False

    with pytest.raises(KeyboardInterrupt):
        fetch(client, found, tmp_path, progress=Interrupted())
    assert our_threads() == []


def test_a_client_without_sockets_is_cut_without_harm():
    class Answer:
        extensions: dict[str, object] = {}
        history: tuple[object, ...] = ()

    sockets = Sockets()
    with sockets.reading(Answer()):
        sockets.trace("connection.connect_tcp.complete", {"return_value": None})
        sockets.cut()


def test_a_hang_without_a_cancel_ends_as_unreachable(hub, found, tmp_path):
    impatient = Hub(hub.url, timeout_s=0.2)
    for name in NAMES:
        hub.add_fault(name, gate=threading.Event(), times=99)
    with pytest.raises(HubUnavailableError, match="acme/six"):
        fetch(impatient, found, tmp_path)
    assert our_threads() == []


@pytest.mark.parametrize(
    ("where", "what"),
    [("acme/late-0", {}), ("tokenizer.json", {}), ("tokenizer.json", {"hang_after": 20})],
)
def test_a_tokenizer_that_does_not_come_does_not_hold_a_cancel_up(hub, where, what):
    hub.add("model", "acme/late-0", {"tokenizer.json": noise(MB, seed=1)})
    fault = hub.add_fault(where, times=9, **(what or {"gate": threading.Event()}))
    progress = Progress()
    patient = Hub(hub.url, timeout_s=60)
    with running(patient.fetch_tokenizer, "acme/late-0", progress=progress) as job:
        assert fault.struck.wait(10)
        progress.cancel()
        with pytest.raises(JobCancelled):
            job.result(2.0)
    hub.reset()
    # the library ends once the hub answers, and brings nothing more
    for thread in threading.enumerate():
        if thread.name.startswith("hub-"):
            thread.join(20)
    assert our_threads() == []
    assert patient.cached_tokenizer("acme/late-0") is None
