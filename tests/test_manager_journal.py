"""What a data folder's log tells of the work done there: one line for each change of state."""

from __future__ import annotations

import gc
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hub_fixtures import READER_TOKEN, lines, parquet
from hub_server import SIGNATURE, HubServer
from jupyter_client.manager import start_new_kernel
from trained_tokenizers import save_byte_level

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import (
    InterruptedJobError,
    JobCancelled,
    MalformedFileError,
    MiStudioError,
)
from mistudio_widgets.jobs import Job

ROOT = Path(__file__).parent.parent
STATE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z (?P<level>[A-Z]+) +\[\d+\] "
    r"(?P<kind>[a-z]+) (?P<name>'.*'|\".*\") (?P<state>[a-z]+)"
    r"(?: after (?P<seconds>\d+\.\d+) s (?P<before>[a-z]+))?(?P<more>.*) "
    r"\((?P<dataset>ds_[0-9a-f-]{36})(?:, (?P<tokenization>tok_[0-9a-f]{16}))?, "
    r"(?P<job>job_[0-9a-f]{32})\)"
)


def log_of(data_dir: Path) -> list[str]:
    return (data_dir / "logs" / "mistudio.log").read_text().splitlines()


def changes_of(data_dir: Path, job_id: str) -> list[dict[str, str]]:
    found = [STATE.fullmatch(line) for line in log_of(data_dir) if job_id in line]
    assert all(found), [line for line in log_of(data_dir) if job_id in line]
    return [match.groupdict() for match in found if match]


def path_of(data_dir: Path, job: Job) -> list[tuple[str | None, str]]:
    """Return from where to where a job went."""
    return [(change["before"], change["state"]) for change in changes_of(data_dir, job.id)]


DONE = [(None, "queued"), ("queued", "running"), ("running", "succeeded")]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("one line\nand another\n")
    return path


@pytest.fixture
def slow_hub(hub: HubServer) -> Iterator[HubServer]:
    """A hub with a repository that takes seconds to come."""
    hub.add("dataset", "acme/slow-one", {"train.txt": os.urandom(300_000).hex().encode()})
    hub.throttle = 100_000
    yield hub
    hub.throttle = None


def wait_for_state(job: Job, state: str) -> None:
    deadline = time.monotonic() + 30
    while job.state != state:
        assert time.monotonic() < deadline, job
        time.sleep(0.01)


def test_every_kind_of_job_is_told_from_its_beginning_to_its_end(
    manager: DatasetManager, text_file: Path, tmp_path: Path
) -> None:
    imported = manager.import_files(text_file, name="Lines")
    dataset = imported.wait(60)
    made = manager.tokenize(dataset.id, tokenizer=str(save_byte_level(tmp_path)), max_length=2)
    tokens = made.wait(60)
    index, verify = manager.build_index(dataset.id), manager.verify(dataset.id)
    index.wait(60)
    verify.wait(60)
    manager.close()
    for job in (imported, made, index, verify):
        assert path_of(manager.data_dir, job) == DONE
        changes = changes_of(manager.data_dir, job.id)
        assert {change["name"] for change in changes} == {"'Lines'"}
        assert {change["kind"] for change in changes} == {job.kind}
        assert {change["dataset"] for change in changes} == {dataset.id}
        assert {change["level"] for change in changes} == {"INFO"}
        tokenization = tokens.id if job is made else None
        assert {change["tokenization"] for change in changes} == {tokenization}
    ends = [changes_of(manager.data_dir, job.id)[-1]["more"] for job in (imported, made, verify)]
    assert ends[0] == f": 2 samples, {dataset.size_bytes} B"
    assert ends[1].startswith(f": {tokens.num_tokens} tokens in {tokens.num_sequences} sequences")
    assert ends[2].endswith("all whole")


def test_how_long_it_took_is_told(manager: DatasetManager, text_file: Path) -> None:
    class Slow:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            time.sleep(0.4)
            return pa.table({"text": ["a"]}).__arrow_c_stream__(requested_schema)

    started = time.monotonic()
    job = manager.import_dataset(Slow(), name="slow")
    job.wait(60)
    took_s = time.monotonic() - started
    told = changes_of(manager.data_dir, job.id)
    assert 0.39 <= float(told[2]["seconds"]) <= took_s + 0.01
    assert float(told[1]["seconds"]) <= took_s


def test_what_waits_is_told_before_it_runs(data_dir: Path, slow_hub: HubServer) -> None:
    with DatasetManager(data_dir, device="cpu", max_downloads=1) as manager:
        first = manager.download("acme/slow-one")
        second = manager.download("acme/notes")
        wait_for_state(first, "running")
        assert path_of(data_dir, second) == [(None, "queued")]
        second.cancel()
        with pytest.raises(JobCancelled):
            second.wait(60)
    assert path_of(data_dir, second)[1:] == [
        ("queued", "cancelling"),
        ("cancelling", "cancelled"),
    ]
    interrupted = changes_of(data_dir, first.id)[-1]
    assert (interrupted["state"], interrupted["level"]) == ("failed", "WARNING")
    assert ": interrupted: Interrupted at" in interrupted["more"]


def test_a_download_that_is_paused_gone_on_with_and_cancelled(
    manager: DatasetManager, slow_hub: HubServer
) -> None:
    job = manager.download("acme/slow-one")
    wait_for_state(job, "running")
    job.pause()
    wait_for_state(job, "paused")
    again = manager.retry(job.dataset_id)
    wait_for_state(again, "running")
    again.cancel()
    with pytest.raises(JobCancelled):
        again.wait(60)
    assert path_of(manager.data_dir, job) == [
        (None, "queued"),
        ("queued", "running"),
        ("running", "paused"),
        ("paused", "queued"),
        ("queued", "running"),
        ("running", "cancelling"),
        ("cancelling", "cancelled"),
    ]


def test_a_paused_download_that_another_manager_goes_on_with_did_not_fail(
    manager: DatasetManager, slow_hub: HubServer
) -> None:
    job = manager.download("acme/slow-one")
    wait_for_state(job, "running")
    job.pause()
    wait_for_state(job, "paused")
    slow_hub.throttle = None
    with DatasetManager(manager.data_dir, device="cpu") as other:
        other.retry(job.dataset_id).wait(60)
    with pytest.raises(InterruptedJobError):
        job.wait(60)
    assert path_of(manager.data_dir, job) == [
        (None, "queued"),
        ("queued", "running"),
        ("running", "paused"),
        # how long it had been paused the other cannot know
        (None, "queued"),
        ("queued", "running"),
        ("running", "succeeded"),
    ]


def test_a_failure_is_a_warning_that_says_why(manager: DatasetManager, tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    path.write_bytes(b"no parquet")
    job = manager.import_files(path)
    with pytest.raises(MalformedFileError):
        job.wait(60)
    failed = changes_of(manager.data_dir, job.id)[-1]
    assert (failed["level"], failed["state"], failed["before"]) == ("WARNING", "failed", "running")
    assert re.match(r" at \d+\.\d %: malformed_file: .*bad\.parquet", failed["more"])


def test_damage_that_is_found_is_a_warning(manager: DatasetManager, text_file: Path) -> None:
    dataset = manager.import_files(text_file).wait(60)
    (file,) = (manager.data_dir / "datasets" / dataset.id / "raw").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    job = manager.verify(dataset.id)
    assert job.wait(60).damaged
    found = changes_of(manager.data_dir, job.id)[-1]
    assert (found["level"], found["state"]) == ("WARNING", "succeeded")
    assert found["more"].endswith("1 damaged")


def test_what_was_not_expected_comes_with_its_traceback(manager: DatasetManager) -> None:
    class Broken:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            raise ZeroDivisionError("in a foreign library")

    job = manager.import_dataset(Broken(), name="broken")
    with pytest.raises(MiStudioError):
        job.wait(60)
    told = log_of(manager.data_dir)
    (at,) = (n for n, line in enumerate(told) if "something unexpected" in line and job.id in line)
    assert told[at + 1].startswith("    | Traceback")
    assert any("ZeroDivisionError: in a foreign library" in line for line in told[at:])


def test_what_is_deleted_and_held_is_told(
    manager: DatasetManager, text_file: Path, tmp_path: Path
) -> None:
    dataset = manager.import_files(text_file, name="Lines").wait(60)
    made = manager.tokenize(dataset.id, tokenizer=str(save_byte_level(tmp_path))).wait(60)
    manager.build_index(dataset.id).wait(60)
    before = len(log_of(manager.data_dir))
    with manager.hold(dataset.id, by="training tr_1") as hold:
        pass
    hold.release()
    manager.delete_index(dataset.id)
    manager.delete_tokenization(made.id)
    manager.delete_dataset(dataset.id)
    manager.cleanup()
    manager.rebuild()
    told = [line.split("] ", 1)[1] for line in log_of(manager.data_dir)[before:]]
    patterns = [
        rf"dataset 'Lines' held by 'training tr_1' \({dataset.id}\)",
        rf"dataset released by 'training tr_1' after \d+\.\d\d s \({dataset.id}\)",
        rf"index of 'Lines' deleted in \d+\.\d\d s, [\d.]+ KB freed \({dataset.id}\)",
        rf"tokenization .* deleted in .* freed \({dataset.id}, {made.id}\)",
        rf"dataset 'Lines' deleted in \d+\.\d\d s, [\d.]+ K?B freed \({dataset.id}\)",
        r"cleaned up \(index, orphan, partial\) in \d+\.\d\d s, 0 B freed",
        r"catalog rebuilt in \d+\.\d\d s",
    ]
    assert len(told) == len(patterns), told
    for pattern, line in zip(patterns, told, strict=True):
        assert re.fullmatch(pattern, line), line


KILLED = """
import os, sys, time
from mistudio_widgets import DatasetManager
manager = DatasetManager(sys.argv[1], device="cpu", bandwidth_limit=50_000)
job = manager.download("acme/slow-one")
while job.snapshot().progress < 1: time.sleep(0.01)
print(job.id, flush=True)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_could_not_tell_the_next_one_does(
    data_dir: Path, slow_hub: HubServer
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(data_dir)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    job_id = done.stdout.strip()
    assert job_id in done.stderr
    with DatasetManager(data_dir, device="cpu"):
        pass
    told = [line.split("] ", 1)[1] for line in log_of(data_dir) if job_id in line]
    assert len(told) == 3
    assert told[0].startswith("download 'acme/slow-one' queued (")
    assert re.match(r"download 'acme/slow-one' failed: its process ended at \d+\.\d % \(", told[2])
    assert log_of(data_dir)[0].split("] ")[1].startswith(f"opened {data_dir}")
    assert "closed" in log_of(data_dir)[-1]


@pytest.mark.parametrize(
    "name",
    [
        "two\nlines",
        "x' succeeded after 1.00 s running (ds_0)\r\n2026-11-28 00:00:00.000Z INFO    [1] forged",
        "\x1b[31mred\x1b]8;;http://evil\x07",
        "\u202egnp.exe",
        "<script>alert(1)</script> %s %d {0}",
        "n" * 5_000,
    ],
    ids=range(6),
)
def test_a_hostile_name_is_one_name_on_one_line(
    manager: DatasetManager, text_file: Path, name: str
) -> None:
    try:
        job = manager.import_files(text_file, name=name)
    except MiStudioError:
        # refused before anything was done or told
        assert len(log_of(manager.data_dir)) == 1
        return
    job.wait(60)
    assert path_of(manager.data_dir, job) == DONE
    assert len(log_of(manager.data_dir)) == 4
    assert all(line.isprintable() and len(line) < 500 for line in log_of(manager.data_dir))


DOWNLOADS = """
import sys
from mistudio_widgets import DatasetManager, MiStudioError
token = sys.stdin.readline().strip()
with DatasetManager(sys.argv[1], device="cpu") as manager:
    manager.download("acme/log-signed", hf_token=token).wait(120)
    try:
        manager.download("acme/gated", hf_token="hf_" + "wrongToken" * 3).wait(60)
    except MiStudioError:
        print("failed")
"""


def test_no_token_and_no_signature_comes_into_the_log_or_stderr(
    data_dir: Path, hub: HubServer
) -> None:
    files = {"train.parquet": parquet(lines(3))}
    hub.add("dataset", "acme/log-signed", files, gated=True, readers={READER_TOKEN})
    hub.add_fault(".parquet", times=1, status=503, origin="cdn")
    with subprocess.Popen(
        [sys.executable, "-c", DOWNLOADS, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MISTUDIO_LOG_LEVEL": "DEBUG"},
    ) as process:
        stdout, stderr = process.communicate(f"{READER_TOKEN}\n", timeout=120)
    told = "\n".join(log_of(data_dir))
    assert stdout == "failed\n"
    assert "download 'acme/gated' failed" in told
    assert "download 'acme/log-signed' succeeded" in told
    assert [request for request in hub.requests if SIGNATURE in str(request)]
    assert set(told.splitlines()) <= set(stderr.splitlines())
    for secret in (READER_TOKEN, READER_TOKEN[3:], SIGNATURE, "wrongToken", "sig="):
        assert secret not in told
        assert secret not in stderr


def test_the_log_is_left_alone_when_a_manager_cannot_be_made(data_dir: Path) -> None:
    logger = logging.getLogger("mistudio_widgets")
    before = (list(logger.handlers), logger.level, logger.propagate)
    (data_dir / "catalog.version").mkdir(parents=True)
    (data_dir / "catalog.lock").mkdir()
    with pytest.raises(MiStudioError):
        DatasetManager(data_dir, device="cpu")
    assert (list(logger.handlers), logger.level, logger.propagate) == before


def test_a_manager_that_is_forgotten_lets_go_of_the_log(data_dir: Path) -> None:
    logger = logging.getLogger("mistudio_widgets")
    before = (list(logger.handlers), logger.level, logger.propagate)
    manager = DatasetManager(data_dir, device="cpu")
    assert len(logger.handlers) == len(before[0]) + 2
    owner = manager._owner
    del manager
    gc.collect()
    assert (list(logger.handlers), logger.level, logger.propagate) == before
    assert owner is not None
    owner.release()


def test_a_read_only_manager_writes_no_file(manager: DatasetManager, text_file: Path) -> None:
    manager.import_files(text_file).wait(60)
    manager.close()
    before = log_of(manager.data_dir)
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        assert reader.list_datasets().total == 1
        logging.getLogger("mistudio_widgets.somewhere").warning("of the reader")
    assert log_of(manager.data_dir) == before


KERNEL_CELL = """
from mistudio_widgets import DatasetManager
import logging, pathlib
folder = pathlib.Path({folder!r})
manager = DatasetManager(folder / "data", device="cpu")
manager.list_datasets()
if not manager.read_only:
    manager.import_files(folder / "a.txt").wait(60)
    try: manager.import_files(folder / "bad.parquet").wait(60)
    except Exception: pass
logging.getLogger("mistudio_widgets").warning("called forth by the cell")
manager.close()
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("voila", [False, True])
def test_a_kernel_keeps_its_work_out_of_the_cells(
    tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch, voila: bool
) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # with it ipykernel would not capture the process's stderr, as it does for users
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    if voila:
        DatasetManager(tmp_path / "data").close()
        (tmp_path / "data" / "logs" / "mistudio.log").unlink()
        monkeypatch.setenv("VOILA_KERNEL_ID", "1")
    with (tmp_path / "server.log").open("w") as server_log:
        kernel, client = start_new_kernel(stderr=server_log, cwd=str(ROOT))
        streams: list[str] = []

        def hear(message: dict[str, dict[str, str]]) -> None:
            if message["header"]["msg_type"] == "stream":
                streams.append(message["content"]["text"])

        try:
            cell = KERNEL_CELL.format(folder=str(tmp_path))
            reply = client.execute_interactive(cell, timeout=120, output_hook=hear)
            assert reply["content"]["status"] == "ok", reply["content"]
        finally:
            client.stop_channels()
            kernel.shutdown_kernel(now=True)
    told = (tmp_path / "server.log").read_text()
    assert f"opened {tmp_path / 'data'}" in told
    in_cell = "".join(streams)
    if voila:
        assert in_cell == ""
        assert "called forth by the cell" in told
        assert not (tmp_path / "data" / "logs" / "mistudio.log").exists()
    else:
        assert len(in_cell.splitlines()) == 1
        assert in_cell.endswith("called forth by the cell\n")
        assert told.count(" failed after ") == 1
        assert told.count("succeeded") == 1
