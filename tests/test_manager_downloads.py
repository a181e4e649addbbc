"""Downloads that stop and go on: paused, cancelled, damaged, limited, asked for twice."""

from __future__ import annotations

import io
import itertools
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_fixtures import READER_TOKEN
from hub_repos import Blob
from hub_server import HubServer
from small_disk import fill, small_disk

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import (
    AlreadyExistsError,
    CorruptFileError,
    InsufficientDiskSpaceError,
    InterruptedJobError,
    InUseError,
    InvalidRequestError,
    JobCancelled,
    NotFoundError,
    RepoNotFoundError,
)
from mistudio_widgets.jobs import Job
from mistudio_widgets.records import DatasetRecord, Event, new_job_id

REPO = "acme/large"
SLOW = 1_500_000


def _parquet(seed: int, num_bytes: int) -> bytes:
    noise = random.Random(seed)
    texts = [noise.randbytes(500).hex() for _ in range(num_bytes // 1000)]
    file = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), file, compression="none", use_dictionary=False)
    return file.getvalue()


FILES = {
    "data/train-00000-of-00002.parquet": _parquet(1, 2_000_000),
    "data/train-00001-of-00002.parquet": _parquet(2, 2_000_000),
    "data/test-00000-of-00001.parquet": _parquet(3, 300_000),
}


@pytest.fixture
def large(hub: HubServer) -> HubServer:
    hub.add("dataset", REPO, FILES)
    return hub


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _begun(manager: DatasetManager, hub: HubServer) -> Job:
    """A download that is under way and would take some seconds more."""
    hub.throttle = SLOW // 3
    job = manager.download(REPO)
    _until(lambda: job.snapshot().done > 300_000)
    return job


def _paused(manager: DatasetManager, hub: HubServer) -> Job:
    job = _begun(manager, hub)
    job.pause()
    _until(lambda: job.state == "paused")
    hub.throttle = None
    return job


def _assert_whole(manager: DatasetManager, dataset_id: str) -> None:
    folder = manager.data_dir / "datasets" / dataset_id
    assert {
        str(path.relative_to(folder / "raw")): path.read_bytes()
        for path in (folder / "raw").rglob("*.parquet")
    } == FILES
    assert {path.name for path in folder.iterdir()} == {"raw", "manifest.json"}
    assert list((manager.data_dir / "staging").iterdir()) == []


def _fetched_files(hub: HubServer) -> list[str]:
    names = {request.path.rpartition("/")[2] for request in hub.requests if request.method == "GET"}
    return sorted(name for name in names if name.endswith(".parquet"))


def test_a_paused_download_goes_on_where_it_was(manager: DatasetManager, large: HubServer) -> None:
    job = _paused(manager, large)
    record = manager.get_dataset(job.dataset_id)
    assert (record.status, record.in_use_by) == ("downloading", ())
    assert 0 < record.progress < 100
    (shown,) = manager.jobs()
    assert (shown.id, shown.paused, shown.per_s) == (job.id, True, None)
    fetched = shown.done
    large.requests.clear()
    assert manager.retry(job.dataset_id) is job
    assert job.wait(60).status == "ready"
    assert any(request.range for request in large.requests)
    assert fetched > 300_000
    _assert_whole(manager, job.dataset_id)
    assert manager.jobs() == []


def test_progress_moves_at_least_twice_a_second_on_a_slow_link(
    manager: DatasetManager, large: HubServer
) -> None:
    told: list[tuple[float, int]] = []

    def note(event: Event) -> None:
        if event.event == "download_progress" and event.bytes_per_s and event.eta_s:
            told.append((time.monotonic(), event.bytes_downloaded))

    # for each of the three files
    large.throttle = 500_000 // 3
    manager.subscribe(note)
    job = manager.download(REPO)
    _until(lambda: bool(told) and told[-1][0] - told[0][0] > 2)
    job.cancel()
    pauses = [later[0] - earlier[0] for earlier, later in itertools.pairwise(told)]
    assert sorted(pauses)[len(pauses) // 2] < 0.5
    counts = [done for _, done in told]
    assert counts == sorted(counts)


def test_nothing_is_written_while_a_download_is_paused(
    manager: DatasetManager, large: HubServer
) -> None:
    job = _paused(manager, large)
    folder = manager.data_dir / "datasets" / job.dataset_id / "partial"

    def state() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}

    before = state()
    assert before
    time.sleep(0.5)
    assert state() == before
    assert not [thread for thread in threading.enumerate() if job.id in thread.name]


def test_a_paused_download_survives_a_restart(data_dir: Path, large: HubServer) -> None:
    with DatasetManager(data_dir, device="cpu") as first:
        job = _paused(first, large)
        progress = first.get_dataset(job.dataset_id).progress
    with DatasetManager(data_dir, device="cpu") as second:
        record = second.get_dataset(job.dataset_id)
        assert (record.status, record.progress) == ("downloading", progress)
        assert [(shown.id, shown.state) for shown in second.jobs()] == [(job.id, "paused")]
        again = second.retry(job.dataset_id)
        assert again.id == job.id
        assert again.wait(60).status == "ready"
        _assert_whole(second, job.dataset_id)


def test_what_a_dead_process_paused_can_be_cancelled(data_dir: Path, large: HubServer) -> None:
    with DatasetManager(data_dir, device="cpu") as first:
        job = _paused(first, large)
        progress = first.get_dataset(job.dataset_id).progress
    with DatasetManager(data_dir, device="cpu") as second:
        handle = second.job(job.id)
        assert (handle.state, second.jobs()[0].progress) == ("paused", progress)
        assert second.job(job.id) is handle
        handle.cancel()
        with pytest.raises(JobCancelled):
            handle.wait(20)
        assert second.list_datasets().total == 0
        assert list((data_dir / "datasets").iterdir()) == []
        with pytest.raises(NotFoundError):
            second.job(new_job_id())


def test_what_is_there_needs_no_second_room(tmp_path: Path, large: HubServer) -> None:
    needed = sum(map(len, FILES.values()))
    with (
        small_disk(tmp_path / "disk", "32m") as disk,
        DatasetManager(disk / "data", device="cpu") as manager,
    ):
        storage = manager._parts.storage
        storage.reserve_bytes = 0
        job = _paused(manager, large)
        there = sum(path.stat().st_size for path in storage.fetch_dir(job.dataset_id).iterdir())
        assert there > 200_000
        # the catalog may grow by a few blocks
        storage.reserve_bytes = storage.space().free_bytes - needed + 200_000
        assert manager.retry(job.dataset_id).wait(60).status == "ready"
        storage.reserve_bytes = 0
        _damage(storage.raw_dir(job.dataset_id) / "data/train-00001-of-00002.parquet", "flip")
        manager.verify(job.dataset_id).wait(60)
        storage.reserve_bytes = storage.space().free_bytes - 2_500_000
        assert manager.retry(job.dataset_id).wait(60).status == "ready"


def test_a_disk_that_fills_under_a_download_keeps_what_was_fetched(
    tmp_path: Path, large: HubServer
) -> None:
    with (
        small_disk(tmp_path / "disk", "16m") as disk,
        DatasetManager(disk / "data", device="cpu") as manager,
    ):
        manager._parts.storage.reserve_bytes = 0
        job = _begun(manager, large)
        filling = fill(disk)
        with pytest.raises(InsufficientDiskSpaceError):
            job.wait(60)
        record = manager.get_dataset(job.dataset_id)
        assert (record.status, record.error_code) == ("error", "disk_full")
        filling.unlink()
        large.reset()
        assert manager.retry(job.dataset_id).wait(60).status == "ready"
        assert any(request.range for request in large.requests)
        _assert_whole(manager, job.dataset_id)


def test_the_same_request_goes_on_with_a_paused_download(
    manager: DatasetManager, large: HubServer
) -> None:
    job = _paused(manager, large)
    assert manager.download(REPO) is job
    assert job.wait(60).status == "ready"
    assert manager.list_datasets().total == 1


@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_a_paused_download_can_be_thrown_away(
    manager: DatasetManager, large: HubServer, how: str
) -> None:
    job = _paused(manager, large)
    if how == "cancel":
        job.cancel()
    else:
        assert manager.delete_dataset(job.dataset_id) > 0
    with pytest.raises(JobCancelled):
        job.wait(20)
    assert manager.list_datasets().total == 0
    assert manager.jobs(active=False) == []
    assert list((manager.data_dir / "datasets").iterdir()) == []


def test_cancelling_stops_and_removes_everything(manager: DatasetManager, large: HubServer) -> None:
    job = _begun(manager, large)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(2)
    assert list((manager.data_dir / "datasets").iterdir()) == []
    assert list((manager.data_dir / "staging").iterdir()) == []
    assert manager.list_datasets().total == 0
    assert not [thread for thread in threading.enumerate() if "fetch" in thread.name]


def test_what_one_manager_paused_another_may_go_on_with(data_dir: Path, large: HubServer) -> None:
    with (
        DatasetManager(data_dir, device="cpu") as first,
        DatasetManager(data_dir, device="cpu") as second,
    ):
        job = _paused(first, large)
        large.throttle = SLOW
        taken = second.retry(job.dataset_id)
        with pytest.raises(InUseError):
            first.retry(job.dataset_id)
        assert [shown.state for shown in first.jobs()] != ["paused"]
        # the first manager's handle is of no use any more, and does no harm
        job.cancel()
        assert taken.wait(60).status == "ready"
        _assert_whole(second, job.dataset_id)


def test_a_file_that_changed_meanwhile_is_started_over(
    manager: DatasetManager, large: HubServer
) -> None:
    job = _paused(manager, large)
    changed = {**FILES, "data/test-00000-of-00001.parquet": _parquet(4, 300_000)}
    repo = large.repo("dataset", REPO)
    assert repo is not None
    commit = repo.commit(changed)
    record = manager.retry(job.dataset_id).wait(60)
    assert record.commit == commit
    folder = manager.data_dir / "datasets" / record.id / "raw"
    for path, content in changed.items():
        assert (folder / path).read_bytes() == content


@pytest.fixture
def downloaded(manager: DatasetManager, large: HubServer) -> DatasetRecord:
    record: DatasetRecord = manager.download(REPO).wait(60)
    large.requests.clear()
    return record


def _damage(path: Path, how: str) -> None:
    if how == "flip":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "truncate":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()


def test_verify_finds_a_whole_dataset_whole(
    manager: DatasetManager, downloaded: DatasetRecord
) -> None:
    job = manager.verify(downloaded.id)
    report = job.wait(60)
    assert (report.num_files, report.damaged) == (3, ())
    assert report.num_bytes == sum(map(len, FILES.values()))
    assert job.snapshot().done == report.num_bytes
    assert manager.get_dataset(downloaded.id).status == "ready"


@pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
def test_damage_is_named_and_exactly_that_is_repaired(
    manager: DatasetManager, large: HubServer, downloaded: DatasetRecord, how: str
) -> None:
    events: list[Event] = []
    manager.subscribe(events.append)
    name = "data/train-00001-of-00002.parquet"
    folder = manager.data_dir / "datasets" / downloaded.id / "raw"
    _damage(folder / name, how)
    report = manager.verify(downloaded.id).wait(60)
    assert report.damaged == (f"raw/{name}",)
    record = manager.get_dataset(downloaded.id)
    assert (record.status, record.error_code) == ("error", "corrupt_file")
    assert name in str(record.error_message)
    assert "Retry" in str(record.hint)
    assert events[-1].event == "error"
    with pytest.raises(InvalidRequestError):
        manager.load(downloaded.id)
    assert manager.retry(downloaded.id).wait(60).status == "ready"
    _assert_whole(manager, downloaded.id)
    content = {request.path for request in large.requests if request.origin == "cdn"}
    assert len(content) == 1
    assert manager.verify(downloaded.id).wait(60).damaged == ()


def test_a_repair_that_is_interrupted_is_not_taken_for_whole(
    data_dir: Path, large: HubServer
) -> None:
    with DatasetManager(data_dir, device="cpu") as first:
        record = first.download(REPO).wait(60)
        folder = first.data_dir / "datasets" / record.id / "raw"
        _damage(folder / "data/train-00001-of-00002.parquet", "flip")
        first.verify(record.id).wait(60)
        large.throttle = 100_000
        first.retry(record.id)
    large.throttle = None
    with DatasetManager(data_dir, device="cpu") as second:
        assert second.get_dataset(record.id).status == "error"
        assert second.retry(record.id).wait(60).status == "ready"
        _assert_whole(second, record.id)


def test_a_damaged_tokenization_is_named_and_made_again(
    manager: DatasetManager, downloaded: DatasetRecord, tokenizer_path: Path
) -> None:
    settings = {"tokenizer": str(tokenizer_path), "max_length": 64}
    made = manager.tokenize(downloaded.id, settings).wait(120)
    folder = manager.data_dir / "datasets" / downloaded.id / "tokenized" / made.id
    content = (folder / "train.pt").read_bytes()
    events: list[Event] = []
    manager.subscribe(events.append)
    _damage(folder / "train.pt", "flip")
    report = manager.verify(downloaded.id).wait(60)
    assert report.damaged == (f"tokenized/{made.id}/train.pt",)
    assert manager.get_dataset(downloaded.id).status == "ready"
    assert manager.get_tokenization(made.id).error_code == "corrupt_file"
    told = next(event for event in events if event.event == "error")
    assert (told.kind, told.status) == ("verify", "ready")
    assert "train.pt" in told.error_message
    assert not [event for event in events if event.event == "completed"]
    assert manager.tokenize(downloaded.id, settings).wait(120).status == "ready"
    assert (folder / "train.pt").read_bytes() == content


def test_a_dataset_is_verified_once_at_a_time(
    manager: DatasetManager, downloaded: DatasetRecord
) -> None:
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(manager.verify(downloaded.id))
        except InUseError:
            answers.append(None)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs = [answer for answer in answers if isinstance(answer, Job)]
    assert jobs
    for job in jobs:
        assert job.wait(60).damaged == ()
    assert manager.get_dataset(downloaded.id).status == "ready"


def test_a_file_that_always_comes_corrupt_ends_in_an_error_that_names_it(
    manager: DatasetManager, large: HubServer
) -> None:
    name = "train-00001-of-00002.parquet"
    large.add_fault(name, times=100, corrupt=True)
    job = manager.download(REPO)
    with pytest.raises(CorruptFileError, match=name):
        job.wait(60)
    record = manager.get_dataset(job.dataset_id)
    assert (record.status, record.error_code) == ("error", "corrupt_file")
    folder = manager.data_dir / "datasets" / job.dataset_id
    assert not (folder / "raw").exists()
    assert not (folder / "manifest.json").exists()
    large.reset()
    assert manager.retry(job.dataset_id).wait(60).status == "ready"
    _assert_whole(manager, job.dataset_id)


def test_of_many_that_ask_at_once_one_downloads(manager: DatasetManager, large: HubServer) -> None:
    jobs: list[Job] = []
    existing: list[str] = []
    start = threading.Barrier(16)

    def ask() -> None:
        start.wait()
        try:
            jobs.append(manager.download(REPO))
        except AlreadyExistsError as error:
            existing.append(error.existing_id)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (job,) = jobs
    assert existing == [job.dataset_id] * 15
    assert job.wait(60).status == "ready"
    assert manager.list_datasets().total == 1


def test_splits_in_another_order_are_the_same_download(
    manager: DatasetManager, large: HubServer
) -> None:
    record = manager.download(REPO, split=["test", "train"]).wait(60)
    for splits in (["train", "test"], ["test", "train"]):
        with pytest.raises(AlreadyExistsError) as caught:
            manager.download(REPO, split=splits)
        assert caught.value.existing_id == record.id
    with pytest.raises(AlreadyExistsError, match="at commit"):
        manager.download(REPO, split=["train", "test"], revision="main").wait(60)
    assert manager.download(REPO, split="test").wait(60).splits == ("test",)


def test_a_closed_manager_starts_nothing_and_leaves_no_row(
    data_dir: Path, large: HubServer
) -> None:
    with DatasetManager(data_dir, device="cpu") as manager:
        ready = manager.download(REPO, split="test").wait(60)
        failed = manager.download("nobody/nothing")
        with pytest.raises(RepoNotFoundError):
            failed.wait(60)
    before = manager.list_datasets().items
    for start in (
        lambda: manager.download("acme/notes"),
        lambda: manager.import_files(__file__),
        lambda: manager.retry(failed.dataset_id),
        lambda: manager.verify(ready.id),
    ):
        with pytest.raises(InterruptedJobError, match="closed"):
            start()
    with DatasetManager(data_dir, device="cpu") as manager:
        assert manager.list_datasets().items == before
        assert manager.jobs() == []


CHILD = """
import json, sys
from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import AlreadyExistsError

data_dir, repo = sys.argv[1:]
with DatasetManager(data_dir, device="cpu") as manager:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        answer = {"made": manager.download(repo).wait(60).id}
    except AlreadyExistsError as error:
        answer = {"existing": error.existing_id}
print(json.dumps(answer), flush=True)
"""


def test_of_two_processes_that_ask_at_once_one_downloads(data_dir: Path, large: HubServer) -> None:
    large.throttle = SLOW
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, data_dir, REPO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    answers: dict[str, str] = {}
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        answers |= json.loads(child.communicate(timeout=60)[0])
    assert answers["made"] == answers["existing"]


def test_the_limit_holds_for_all_and_can_be_lifted(data_dir: Path, large: HubServer) -> None:
    with DatasetManager(data_dir, device="cpu", bandwidth_limit=100_000) as manager:
        assert manager.bandwidth_limit == 100_000
        job = manager.download(REPO)
        _until(lambda: job.snapshot().done > 0)
        started, before = time.monotonic(), job.snapshot().done
        time.sleep(1)
        seconds = time.monotonic() - started
        # one second's worth may have been saved up
        assert job.snapshot().done - before <= 100_000 * (seconds + 1) + 4 * 256 * 1024
        assert job.snapshot().state == "running"
        manager.bandwidth_limit = None
        assert job.wait(60).status == "ready"
        with pytest.raises(InvalidRequestError) as caught:
            manager.bandwidth_limit = 0
        assert caught.value.field == "bandwidth_limit"


@pytest.fixture
def keeping(data_dir: Path) -> Iterator[DatasetManager]:
    with DatasetManager(data_dir, device="cpu", keep_originals=True) as made:
        yield made


def test_originals_are_kept_when_asked_for(keeping: DatasetManager, hub: HubServer) -> None:
    record = keeping.download("acme/notes").wait(60)
    folder = keeping.data_dir / "datasets" / record.id
    repo = hub.repo("dataset", "acme/notes")
    assert repo is not None
    files = repo.commits[repo.refs["main"]]
    kept = {str(path.relative_to(folder / "originals")) for path in _files(folder / "originals")}
    assert kept
    for name in kept:
        assert (folder / "originals" / name).read_bytes() == files[name].content
    assert not (folder / "partial").exists()


def test_kept_originals_are_verified_and_repaired(
    keeping: DatasetManager, hub: HubServer, tokenizer_path: Path
) -> None:
    names = [f"train-{number}.jsonl" for number in range(3)]
    lines = {name: f'{{"text": "of {name}"}}\n'.encode() * 500 for name in names}
    hub.add("dataset", "acme/kept", {name: Blob(lines[name], is_lfs=True) for name in names})
    record = keeping.download("acme/kept").wait(60)
    made = keeping.tokenize(record.id, tokenizer=str(tokenizer_path), max_length=16).wait(60)
    whole = keeping.verify(record.id).wait(60)
    folder = keeping.data_dir / "datasets" / record.id
    listed = {p.name for p in _files(folder)} - {"manifest.json", "receipt.json"}
    assert (whole.damaged, whole.num_files) == ((), len(listed))
    damaged = folder / "originals" / names[1]
    damaged.write_bytes(lines[names[1]][:-2] + b"\n\n")
    report = keeping.verify(record.id).wait(60)
    assert report.damaged == (f"originals/{names[1]}",)
    assert keeping.get_dataset(record.id).error_code == "corrupt_file"
    hub.requests.clear()
    # another manager, which keeps none of its own
    with DatasetManager(keeping.data_dir, device="cpu") as other:
        assert other.retry(record.id).wait(60).status == "ready"
        fetched = [r.path.rpartition("/")[2] for r in hub.requests if r.origin == "cdn"]
        assert fetched == [names[1]]
        assert {p.name: p.read_bytes() for p in _files(folder / "originals")} == lines
        assert other.verify(record.id).wait(60) == whole
    assert keeping.get_tokenization(made.id).status == "ready"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_users_own_cache_saves_the_fetching(manager: DatasetManager, large: HubServer) -> None:
    from huggingface_hub import hf_hub_download

    name = "data/train-00000-of-00002.parquet"
    cached = Path(hf_hub_download(REPO, name, repo_type="dataset")).resolve()
    large.requests.clear()
    plan = manager.plan_download(REPO)
    assert plan.cached_bytes == len(FILES[name])
    # it is linked
    assert plan.disk_bytes == plan.download_bytes - len(FILES[name])
    record = manager.download(REPO).wait(60)
    _assert_whole(manager, record.id)
    assert len({request.path for request in large.requests if request.origin == "cdn"}) == 2
    raw = manager.data_dir / "datasets" / record.id / "raw" / name
    assert raw.stat().st_ino == cached.stat().st_ino


@pytest.fixture
def damaged(
    manager: DatasetManager, downloaded: DatasetRecord, tokenizer_path: Path
) -> tuple[DatasetRecord, str]:
    """A dataset with a tokenization, that has lost a file."""
    made = manager.tokenize(downloaded.id, tokenizer=str(tokenizer_path), max_length=64).wait(120)
    folder = manager.data_dir / "datasets" / downloaded.id / "raw"
    (folder / "data/train-00001-of-00002.parquet").unlink()
    manager.verify(downloaded.id).wait(60)
    return downloaded, made.id


def test_a_repair_that_is_cancelled_leaves_what_is_there(
    manager: DatasetManager, large: HubServer, damaged: tuple[DatasetRecord, str]
) -> None:
    record, tokenization_id = damaged
    large.throttle = 100_000
    job = manager.retry(record.id)
    _until(lambda: job.snapshot().phase == "downloading" and job.snapshot().per_s is not None)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.wait(20)
    assert manager.get_dataset(record.id).status == "error"
    assert manager.get_tokenization(tokenization_id).status == "ready"
    folder = manager.data_dir / "datasets" / record.id
    assert not (folder / "partial").exists()
    large.throttle = None
    assert manager.retry(record.id).wait(60).status == "ready"
    assert manager.get_tokenization(tokenization_id).status == "ready"
    assert manager.verify(record.id).wait(60).damaged == ()
    assert {path.name for path in folder.iterdir()} == {"raw", "manifest.json", "tokenized"}


def test_a_repair_brings_back_the_same_data_whatever_the_repository_became(
    manager: DatasetManager, large: HubServer, damaged: tuple[DatasetRecord, str]
) -> None:
    record, tokenization_id = damaged
    repo = large.repo("dataset", REPO)
    assert repo is not None
    repo.commit({"data/train-00000-of-00001.parquet": _parquet(9, 100_000)})
    other = manager.download(REPO, revision="main").wait(60)
    repaired = manager.retry(record.id).wait(60)
    assert (repaired.commit, repaired.num_samples) == (record.commit, record.num_samples)
    assert other.commit != repaired.commit
    assert manager.get_tokenization(tokenization_id).status == "ready"
    assert manager.verify(record.id).wait(60).damaged == ()


def test_an_import_that_gives_other_texts_when_repaired_ends_its_tokenizations(
    manager: DatasetManager, tmp_path: Path, tokenizer_path: Path
) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\n")
    record = manager.import_files(path).wait(60)
    made = manager.tokenize(record.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    for change, status in (("", "ready"), ("three\n", "error")):
        (file,) = manager._parts.storage.raw_dir(record.id).rglob("*.parquet")
        _damage(file, "flip")
        manager.verify(record.id).wait(60)
        path.write_text(path.read_text() + change)
        assert manager.retry(record.id).wait(60).status == "ready"
        assert manager.get_tokenization(made.id).status == status
    assert "changed" in str(manager.get_tokenization(made.id).error_message)
    with pytest.raises(InvalidRequestError):
        manager.load_tokens(made.id, "train")


def test_a_pause_may_be_followed_by_a_retry_at_once(
    manager: DatasetManager, large: HubServer
) -> None:
    job = _begun(manager, large)
    large.throttle = None
    job.pause()
    assert manager.retry(job.dataset_id).wait(60).status == "ready"
    again = manager.download(REPO, split="test")
    again.cancel()
    assert manager.download(REPO, split="test").wait(60).status == "ready"


@pytest.mark.parametrize("lost", ["manifest.json", "raw", "", "tokenized", "receipt.json"])
def test_whatever_is_lost_is_found_and_comes_back(
    manager: DatasetManager, downloaded: DatasetRecord, tokenizer_path: Path, lost: str
) -> None:
    settings = {"tokenizer": str(tokenizer_path), "max_length": 64}
    made = manager.tokenize(downloaded.id, settings).wait(120)
    folder = manager.data_dir / "datasets" / downloaded.id
    if lost == "receipt.json":
        (folder / "tokenized" / made.id / lost).write_text("{")
    elif lost == "manifest.json":
        (folder / lost).unlink()
    else:
        shutil.rmtree(folder / lost)
    report = manager.verify(downloaded.id).wait(60)
    assert report.damaged
    if lost in ("tokenized", "receipt.json"):
        assert report.damaged == (f"tokenized/{made.id}/receipt.json",)
        assert manager.get_dataset(downloaded.id).status == "ready"
    else:
        assert manager.get_dataset(downloaded.id).status == "error"
        assert manager.retry(downloaded.id).wait(60).status == "ready"
    assert manager.tokenize(downloaded.id, settings).wait(120).status == "ready"
    assert manager.verify(downloaded.id).wait(60).damaged == ()


def test_the_same_request_may_ask_for_more_of_a_paused_download(
    manager: DatasetManager, large: HubServer, tokenizer_path: Path
) -> None:
    job = _paused(manager, large)
    tokenize = {"tokenizer": str(tokenizer_path), "max_length": 64}
    manager.download(REPO, name="Large", tokenize=tokenize).wait(60)
    assert manager.get_dataset(job.dataset_id).name == "Large"
    _until(lambda: bool(manager.list_tokenizations(job.dataset_id)))
    _until(lambda: manager.jobs() == [])


def test_a_paused_download_keeps_its_token_in_memory(
    manager: DatasetManager, hub: HubServer
) -> None:
    hub.add("dataset", REPO, FILES, private=True, readers={READER_TOKEN})
    hub.throttle = SLOW // 3
    job = manager.download(REPO, hf_token=READER_TOKEN)
    _until(lambda: job.snapshot().done > 100_000)
    job.pause()
    hub.throttle = None
    assert manager.retry(job.dataset_id).wait(60).status == "ready"


def test_whoever_waits_hears_that_another_manager_went_on(data_dir: Path, large: HubServer) -> None:
    with (
        DatasetManager(data_dir, device="cpu") as first,
        DatasetManager(data_dir, device="cpu") as second,
    ):
        job = _paused(first, large)
        second.retry(job.dataset_id).wait(60)
        with pytest.raises(InterruptedJobError, match="Another"):
            job.wait(20)
        second.delete_dataset(job.dataset_id)
        job = _paused(first, large)
        second.delete_dataset(job.dataset_id)
        with pytest.raises(JobCancelled):
            job.wait(20)


@pytest.mark.parametrize(
    ("split", "splits"),
    [
        (None, None), ("all", None), ("", None), (["all"], None), ([" train "], ("train",)),
        (["train", "train"], ("train",)), (["train", "test"], ("train", "test")),
    ],
)  # fmt: skip
def test_splits_may_be_written_in_many_ways(
    manager: DatasetManager, large: HubServer, split: Any, splits: tuple[str, ...] | None
) -> None:
    record = manager.download(REPO, split=split).wait(60)
    assert record.splits == splits
    assert set(record.split_info) == set(splits or ("train", "test"))
