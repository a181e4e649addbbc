"""Kill a process that fetches from the hub, and go on with what it left.

A kill comes at a random number of bytes on disk (from outside), or just before or just after one
of the calls that make bytes durable or give them a name (from inside). Each process is a fork of
one that has imported everything.
"""

from __future__ import annotations

import os
import pickle
import random
import re
import select
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub_calls import Impatient, fetched_again
from hub_server import HubServer

from mistudio_widgets.hub import Hub, HubPlan

ROOT = Path(__file__).parents[2]
MAX_AGAIN_BYTES = 8 * 2**20

NURSERY = """
import os, pickle, signal, sys, threading
from pathlib import Path
import huggingface_hub
from mistudio_widgets.hub import Hub
from mistudio_widgets.progress import Progress

huggingface_hub.get_session()
hub = Hub()

def watch(fatal, is_after):
    lock = threading.Lock()
    count = 0

    def watched(name):
        real = getattr(os, name)

        def call(*args, **options):
            nonlocal count
            with lock:
                count += 1
                is_fatal = count == fatal
            try:
                return real(*args, **options) if is_after or not is_fatal else None
            finally:
                if is_fatal:
                    os.write(1, f"{'after' if is_after else 'before'} {name}\\n".encode())
                    os.kill(os.getpid(), signal.SIGKILL)
                    signal.pause()

        setattr(os, name, call)

    for name in ("fsync", "fdatasync", "ftruncate", "link", "mkdir", "replace", "unlink"):
        watched(name)

for line in sys.stdin:
    plan, partial, fatal, is_after = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if pid == 0:
        if int(fatal):
            watch(int(fatal), is_after == "True")
        plan = pickle.loads(Path(plan).read_bytes())
        hub.fetch(plan, Path(partial), hf_token=False, progress=Progress())
        os._exit(0)
    os.write(1, f"pid {pid}\\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(1, f"ended {os.waitstatus_to_exitcode(status)}\\n".encode())
"""


class Nursery:
    """A process that forks one fetch after another."""

    def __init__(self, plan: HubPlan, folder: Path) -> None:
        self._plan_path = folder / "plan.pickle"
        self._plan_path.write_bytes(pickle.dumps(plan))
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._said = b""

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def begin(self, partial: Path, *, fatal: int = 0, is_after: bool = False) -> int:
        """Start a fetch, and return its process id."""
        assert self._process.stdin
        line = f"{self._plan_path}\t{partial}\t{fatal}\t{is_after}\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        return int(self._line(60).removeprefix("pid "))

    def ended(self, wait_s: float) -> str | None:
        """Return how it ended; None if it has not, after so long."""
        where = ""
        while (line := self._line(wait_s)) is not None:
            if line == "ended 0":
                return "finished"
            if line.startswith("ended "):
                assert line == f"ended {-signal.SIGKILL}", line
                return where or "outside"
            where, wait_s = line, 60
        return None

    def _line(self, wait_s: float) -> str | None:
        assert self._process.stdout
        while b"\n" not in self._said:
            if not select.select([self._process.stdout], [], [], wait_s)[0]:
                return None
            came = os.read(self._process.stdout.fileno(), 4096)
            assert came, "the nursery ended"
            self._said += came
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()


@contextmanager
def nursery(plan: HubPlan, folder: Path) -> Iterator[Nursery]:
    made = Nursery(plan, folder)
    try:
        yield made
    finally:
        made.close()


def kill_and_cut(
    hub: HubServer,
    plan: HubPlan,
    contents: dict[str, bytes],
    folder: Path,
    *,
    count: int,
    seed: int,
) -> Counter[str]:
    """Kill a fetch or cut its link ``count`` times at random, then let it finish."""
    draw, partial = random.Random(seed), folder / "partial"
    moments = sorted(draw.sample(range(plan.plan.download_bytes), count))
    done: Counter[str] = Counter()
    hub.reset()
    with nursery(plan, folder) as made:
        for moment in moments:
            hub.throttle = 20_000_000
            if draw.random() < 0.5:
                name = draw.choice(list(contents)).rpartition("/")[2]
                hub.add_fault(name, drop_after=draw.randrange(4_000_000), reset=draw.random() < 0.5)
                done["cut"] += 1
            pid = made.begin(partial)
            while (how := made.ended(0.002)) is None:
                if bytes_on_disk(partial) >= moment:
                    os.kill(pid, signal.SIGKILL)
                    how = made.ended(60)
                    break
            done[str(how)] += 1
    hub.throttle = None
    check_finished(plan, contents, partial)
    for name in contents:
        again = fetched_again(hub, name.rpartition("/")[2])
        assert all(num_bytes <= MAX_AGAIN_BYTES for num_bytes in again), again
    return done


def kill_at_every_failpoint(
    hub: HubServer, plan: HubPlan, contents: dict[str, bytes], folder: Path
) -> Counter[str]:
    """Kill a fetch before and after each of its durable steps, then let it finish."""
    done: Counter[str] = Counter()
    with nursery(plan, folder) as made:
        for is_after in (False, True):
            for fatal in range(1, 1000):
                partial = folder / f"{fatal}{is_after}"
                made.begin(partial, fatal=fatal, is_after=is_after)
                how = made.ended(60)
                hub.reset()
                check_finished(plan, contents, partial)
                if how == "finished":
                    break
                done[str(how)] += 1
    return done


def check_finished(plan: HubPlan, contents: dict[str, bytes], partial: Path) -> None:
    """Fetch what is left, and compare every byte."""
    progress = Impatient()
    got = Hub().fetch(plan, partial, hf_token=False, progress=progress)
    fetched = {file.file.path: file.path.read_bytes() for files in got.values() for file in files}
    assert fetched == contents
    assert progress.state().done == plan.plan.download_bytes
    hashes = {file.content_hash for file in plan.files}
    assert {path.name for path in partial.iterdir()} == {"files", *hashes}


def bytes_on_disk(partial: Path) -> int:
    total = 0
    for path in partial.glob("*"):
        if re.fullmatch(r"[0-9a-f]+(\.part)?", path.name):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                # it got its name between the listing and the look
                continue
    return total
