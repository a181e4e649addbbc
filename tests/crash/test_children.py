"""A process is killed and its children live on: they keep nothing of what it held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.killing import check_writer, write_source

from mistudio_widgets import DatasetManager

REOPEN_S, SHOWN_S = 2.0, 5.0

OWNER = """
import os, signal, subprocess, sys, time
from mistudio_widgets import DatasetManager

data_dir, held, source = sys.argv[1:]
manager = DatasetManager(data_dir, device="cpu")
hold = manager.hold(held, by="training tr_1")
job = manager.import_files(source, name="Interrupted")
while not job.snapshot().done:
    time.sleep(0.01)
print(job.dataset_id, flush=True)
sys.stdin.readline()
with manager._parts.catalog.write():
    forked = os.fork()
    if forked == 0:
        signal.pause()
    spawned = subprocess.Popen(["sleep", "600"], close_fds=False)
    print(forked, spawned.pid, flush=True)
    signal.pause()
"""


@pytest.fixture
def source(tmp_path: Path, stdlib_files: list[Path]) -> Path:
    return write_source(tmp_path / "texts.jsonl", stdlib_files, 40_000_000)


@pytest.fixture
def held(data_dir: Path, tmp_path: Path) -> str:
    path = tmp_path / "some.txt"
    path.write_text("one\ntwo\n")
    with DatasetManager(data_dir, device="cpu") as manager:
        dataset_id: str = manager.import_files(path, name="Held").wait(60).id
        return dataset_id


@pytest.fixture
def owner(data_dir: Path, held: str, source: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", OWNER]
    with subprocess.Popen(
        [*command, str(data_dir), held, str(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_children_of_a_killed_process_block_nobody(
    data_dir: Path, held: str, owner: subprocess.Popen[str]
) -> None:
    assert owner.stdin is not None
    assert owner.stdout is not None
    dataset_id = owner.stdout.readline().strip()
    is_shown = threading.Event()
    with DatasetManager(data_dir, read_only=True) as reader:
        assert reader.get_dataset(dataset_id).status == "processing"
        assert reader.get_dataset(held).in_use_by == ("training tr_1",)

        def look() -> None:
            if owner.returncode is not None:
                record = reader.get_dataset(dataset_id)
                if (record.status, record.error_code) == ("error", "interrupted"):
                    is_shown.set()

        reader.watch(look)
        owner.stdin.write("\n")
        owner.stdin.flush()
        children = [int(pid) for pid in owner.stdout.readline().split()]
        try:
            owner.kill()
            owner.wait(10)
            assert is_shown.wait(SHOWN_S)
            assert reader.get_dataset(held).in_use_by == ()
            _check_next(data_dir, dataset_id, held)
            assert all(_is_running(pid) for pid in children)
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)


def _check_next(data_dir: Path, dataset_id: str, held: str) -> None:
    began = time.monotonic()
    with DatasetManager(data_dir, device="cpu") as manager:
        assert time.monotonic() - began < REOPEN_S
        check_writer(manager)
        assert manager.delete_dataset(held) > 0
        assert manager.retry(dataset_id).wait(120).status == "ready"


def _is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return "\nState:\tZ" not in status


_FORKED_WHILE_LOOKING = """
import os, signal, sys
from mistudio_widgets import DatasetManager

manager = DatasetManager(sys.argv[1], device="cpu", read_only=True)
view = manager._view
with view._turn, view._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        assert manager.list_datasets().total == 0
        os._exit(0)
_, status = os.waitpid(child, 0)
print(status)
"""


def test_a_child_forked_during_a_look_can_look_itself(tmp_path: Path) -> None:
    DatasetManager(tmp_path / "data", device="cpu").close()
    command = [sys.executable, "-c", _FORKED_WHILE_LOOKING, str(tmp_path / "data")]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert told.stdout == "0\n"


_FORKED_WHILE_GIVING_WAY = """
import fcntl, importlib, os, signal, sys
from pathlib import Path

busy = importlib.import_module("mistudio_widgets.catalog.busy")
path, real = Path(sys.argv[1]), busy._is_free
children = []

def fork_while_it_is_locked(descriptor):
    answer = real(descriptor)
    children.append(os.fork())
    if children[-1] == 0:
        signal.pause()
    return answer

busy._is_free = fork_while_it_is_locked
busy.let_writers_pass(path)
try:
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free")
finally:
    os.kill(children[0], signal.SIGKILL)
"""


def test_a_child_forked_while_a_reader_gives_way_keeps_no_lock(tmp_path: Path) -> None:
    (tmp_path / "catalog.lock").touch()
    command = [sys.executable, "-c", _FORKED_WHILE_GIVING_WAY, str(tmp_path / "catalog.lock")]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert told.stdout == "free\n"
