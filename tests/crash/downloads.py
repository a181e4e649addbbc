"""Cut and kill one download, over and over, and look at what it fetched and what it left.

A stop is a connection that the server cuts, a kill at a random moment, or a kill just before or
after an fsync, a rename, a link or a commit.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from crash.killing import check_reader, check_writer, plain
from hub_server import HubServer

from mistudio_widgets import DatasetManager

REPO = "acme/cut"
MAX_AGAIN_BYTES = 8 * 1024 * 1024
# what a connection holds that the client has not read yet when it is killed
IN_FLIGHT_BYTES = 8 * 1024 * 1024

CHILD = """
import contextlib, os, signal, sys, threading
from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import Catalog

data_dir, repo, fatal = sys.argv[1], sys.argv[2], int(sys.argv[3])
lock = threading.Lock()
count = 0

def point(name):
    global count
    with lock:
        count += 1
        if count == fatal:
            os.write(1, f"{name}\\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()

def watched(name):
    real = getattr(os, name)
    def call(*args, **options):
        shown = args[0] if isinstance(args[0], (str, os.PathLike)) else ""
        point(f"before {name} {os.path.basename(shown)}")
        answer = real(*args, **options)
        point(f"after {name} {os.path.basename(shown)}")
        return answer
    setattr(os, name, call)

for name in ("fsync", "fdatasync", "rename", "replace", "link"):
    watched(name)

class Cursor:
    def __init__(self, real):
        self.real = real
    def execute(self, statement, *given):
        if statement != "COMMIT":
            return self.real.execute(statement, *given)
        point("before commit")
        answer = self.real.execute(statement, *given)
        point("after commit")
        return answer

attached = Catalog._attached

@contextlib.contextmanager
def watching(self, **how):
    with attached(self, **how) as cursor:
        yield Cursor(cursor)

Catalog._attached = watching
print("started", flush=True)
with DatasetManager(data_dir, device="cpu") as manager:
    rows = manager.list_datasets().items
    job = manager.retry(rows[0].id) if rows else manager.download(repo)
    job.wait()
print("done", count, flush=True)
"""


def repository(file_bytes: int) -> dict[str, bytes]:
    """Return the files of a dataset that cannot be compressed, three of them, each so large."""
    files = {}
    for number in range(3):
        noise = random.Random(number)
        texts = [noise.randbytes(2000).hex() for _ in range(file_bytes // 4000)]
        file = io.BytesIO()
        table = pa.table({"text": texts})
        pq.write_table(table, file, compression="none", use_dictionary=False)
        files[f"data/train-{number:05}-of-00003.parquet"] = file.getvalue()
    return files


@dataclass
class Stops:
    """Seeded stops of one download at a time, and where they struck."""

    hub: HubServer
    files: dict[str, bytes]
    seed: int
    random: random.Random = field(init=False)
    phases: Counter[str] = field(default_factory=Counter)
    num_cuts: int = 0
    num_kills: int = 0
    most_again_bytes: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.hub.add("dataset", REPO, self.files)

    @property
    def total(self) -> int:
        return self.num_cuts + self.num_kills

    def download(self, data_dir: Path, num_points: int, count: int) -> None:
        """Download once, with so many stops on the way, and check what came of it."""
        self.hub.reset()
        self.hub.throttle = 20_000_000
        before = self.total
        while self.total - before < count:
            if not self._stop_once(data_dir, num_points):
                break
            check_reader(data_dir)
        self.hub.throttle = None
        with DatasetManager(data_dir, device="cpu") as manager:
            check_writer(manager)
            rows = manager.list_datasets().items
            job = manager.retry(rows[0].id) if rows else manager.download(REPO)
            record = job.wait(120)
            assert (record.status, record.error_message) == ("ready", None)
            assert [row.id for row in manager.list_datasets().items] == [record.id]
            folder = data_dir / "datasets" / record.id
            found = {
                str(path.relative_to(folder / "raw")): path.read_bytes()
                for path in (folder / "raw").rglob("*.parquet")
            }
            assert found == self.files
            assert {path.name for path in folder.iterdir()} == {"raw", "manifest.json"}
        self._check_traffic(self.total - before)

    def _stop_once(self, data_dir: Path, num_points: int) -> bool:
        """Start the child and stop it; False when it was done before."""
        way = self.random.choice(("cut", "time", "point", "point"))
        fatal = self.random.randint(1, num_points) if way == "point" else 0
        if way == "cut":
            self._cut_somewhere()
        process = start(data_dir, fatal)
        if way == "time":
            wait_s = self.random.uniform(0, 1.5)
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=120)
        if way == "cut":
            # a cut is mended by the same process
            assert process.returncode == 0, output
            self.num_cuts += 1
            self.phases["cut"] += 1
            return False
        if process.returncode != -signal.SIGKILL:
            return False
        self.num_kills += 1
        self.phases["at a moment" if way == "time" else plain(_without_numbers(output))] += 1
        return True

    def _cut_somewhere(self) -> None:
        name = self.random.choice(list(self.files))
        self.hub.add_fault(
            name.rpartition("/")[2],
            drop_after=self.random.randint(0, len(self.files[name])),
            reset=self.random.random() < 0.5,
        )

    def _check_traffic(self, num_stops: int) -> None:
        """What was sent beyond the files' size is bounded by the stops."""
        hashes = {
            hashlib.sha256(content).hexdigest(): len(content) for content in self.files.values()
        }
        sent: Counter[str] = Counter()
        for request in self.hub.requests:
            if request.origin == "cdn" and request.method == "GET":
                sent[request.path] += request.sent
        assert len(sent) == len(hashes)
        for path, num_bytes in sent.items():
            size = next(size for name, size in hashes.items() if name in path)
            again = max(num_bytes - size, 0)
            self.most_again_bytes = max(self.most_again_bytes, again // max(num_stops, 1))
            assert again <= num_stops * (MAX_AGAIN_BYTES + IN_FLIGHT_BYTES)

    def report(self) -> None:
        print(
            f"\ndownloads: {self.num_cuts} cuts, {self.num_kills} kills, at most "
            f"{self.most_again_bytes / 2**20:.2f} MiB of a file fetched again for each"
        )
        for where, count in self.phases.most_common():
            print(f"  {count:3d} {where}")


def start(data_dir: Path, fatal: int) -> subprocess.Popen[str]:
    """Start a process that downloads, or goes on with it, and dies at its ``fatal``-th point."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(data_dir), REPO, str(fatal)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def count_points(hub: HubServer, files: dict[str, bytes], data_dir: Path) -> int:
    """Return how many points an undisturbed download passes."""
    hub.add("dataset", REPO, files)
    process = start(data_dir, 0)
    output, _ = process.communicate(timeout=120)
    word, count = output.split()
    assert word == "done"
    return int(count)


def _without_numbers(output: str) -> str:
    return re.sub(r"[0-9a-f]{32,}", "HASH", output.strip())


def stop_downloads(
    hub: HubServer, work_dir: Path, *, count: int, seed: int, file_bytes: int
) -> Stops:
    """Cut and kill until there were ``count`` stops, up to four in each download."""
    files = repository(file_bytes)
    num_points = count_points(hub, files, work_dir / "calm")
    stops = Stops(hub, files, seed)
    number = 0
    while stops.total < count:
        number += 1
        wanted = min(stops.random.randint(1, 4), count - stops.total)
        stops.download(work_dir / f"download-{number}", num_points, wanted)
    return stops
