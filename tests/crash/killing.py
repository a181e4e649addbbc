"""Kill a process that imports, tokenizes or indexes, and look at what the next manager makes of it.

A kill comes at a random moment (from outside, by time) or at a random file operation in the data
folder (from inside, just before the operation): the few milliseconds in which things are
published are hit by the second kind only.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import InvalidRequestError
from mistudio_widgets.importer import writer
from mistudio_widgets.tokenization import plan_shards, run, shards

IMPORT_OPTIONS: dict[str, Any] = {"splits": {"train": 0.8, "test": 0.2}, "seed": 7}

CHILD = """
import json, os, signal, sys, threading
from functools import partial
from mistudio_widgets import DatasetManager
from mistudio_widgets.importer import writer
from mistudio_widgets.tokenization import plan_shards, run

# many shards of little data
writer._GROUP_BYTES = 1_000_000
run.plan_shards = partial(plan_shards, shard_bytes=2_000_000)
data_dir, source, tokenizer, options, fatal, does_index = sys.argv[1:]
root = os.path.realpath(data_dir)
fatal = int(fatal)
lock = threading.Lock()
count = 0

def watch(event, args):
    global count
    if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
        return
    path = args[0]
    is_ours = isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(root)
    # inside rmtree a name is relative to a folder's descriptor
    if not is_ours and not (event in ("os.remove", "os.rmdir") and args[-1] != -1):
        return
    with lock:
        count += 1
        if count == fatal:
            name = os.path.relpath(path, root) if is_ours else path
            os.write(1, f"{event} {name}\\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()

sys.addaudithook(watch)
print("started", flush=True)
with DatasetManager(data_dir, device="cpu") as manager:
    rows = manager.list_datasets().items
    if does_index:
        job = manager.build_index(rows[0].id)
    elif tokenizer:
        job = manager.tokenize(rows[0].id, tokenizer=tokenizer, max_length=128, shuffle_seed=3)
    elif rows:
        job = manager.retry(rows[0].id)
    else:
        job = manager.import_files(source, **json.loads(options))
    job.wait()
print("done", count, flush=True)
"""

_IDS = [
    (r"ds_[0-9a-f-]{36}", "DS"),
    (r"tok_[0-9a-f]{16}", "TOK"),
    (r"job_[0-9a-f]{32}", "JOB"),
    (r"[0-9a-f]{32}", "HEX"),
]


def plain(name: str) -> str:
    """Return a path without what differs from run to run."""
    for pattern, word in _IDS:
        name = re.sub(pattern, word, name)
    return name


def layout(data_dir: Path) -> Counter[str]:
    """Return all files of a data folder, ids replaced."""
    found = (path for path in data_dir.rglob("*") if path.is_file())
    return Counter(plain(path.relative_to(data_dir).as_posix()) for path in found)


def check_layout(data_dir: Path, wanted: Counter[str]) -> None:
    """Fail with the files that are too many or missing."""
    found = layout(data_dir)
    assert (found - wanted, wanted - found) == (Counter(), Counter())


def hashes(folder: Path, *patterns: str) -> dict[str, str]:
    """Return the sha256 of the files below a folder."""
    return {
        plain(path.relative_to(folder).as_posix()): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in patterns
        for path in sorted(folder.rglob(pattern))
    }


@dataclass
class Child:
    """How to start the process that is killed; without a tokenizer it imports, or indexes."""

    source: Path
    tokenizer: Path | None = None
    does_index: bool = False

    def start(self, data_dir: Path, fatal: int) -> subprocess.Popen[str]:
        tokenizer = str(self.tokenizer or "")
        options = json.dumps(IMPORT_OPTIONS)
        does_index = "1" if self.does_index else ""
        arguments = [str(data_dir), str(self.source), tokenizer, options, str(fatal), does_index]
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        return process

    def measure(self, data_dir: Path) -> Undisturbed:
        process = self.start(data_dir, 0)
        began = time.monotonic()
        word, count = _rest_of(process).split()
        assert word == "done"
        return Undisturbed(time.monotonic() - began, int(count))


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: seconds, and file operations in the data folder."""

    elapsed_s: float
    num_operations: int


@dataclass
class Kills:
    """Seeded kills, and where they struck."""

    seed: int
    random: random.Random = field(init=False)
    num_by_time: int = 0
    num_by_operation: int = 0
    num_reused: int = 0
    phases: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def total(self) -> int:
        return self.num_by_time + self.num_by_operation

    def strike(
        self,
        child: Child,
        data_dir: Path,
        whole: Undisturbed,
        *,
        by_time: bool,
        within: tuple[float, float] = (0, 1),
    ) -> None:
        """Start the child and kill it, unless it was faster: then it is not counted.

        ``within`` is a part of its file operations.
        """
        if by_time:
            process = child.start(data_dir, 0)
            _end_after(process, self.random.uniform(0, 0.95 * whole.elapsed_s))
            _rest_of(process)
            where = _phase(data_dir)
        else:
            first, last = (int(part * whole.num_operations) for part in within)
            number = self.random.randint(first + 1, last)
            process = child.start(data_dir, number)
            where = "before " + plain(_rest_of(process).strip())
        if process.returncode != -signal.SIGKILL:
            return
        self.phases[where] += 1
        self.num_by_time += by_time
        self.num_by_operation += not by_time

    def report(self, what: str) -> None:
        print(f"\n{what}: {self.num_by_time} kills by time, {self.num_by_operation} by operation")
        print(f"  {self.num_reused} finished shards were used again")
        for where, count in self.phases.most_common():
            print(f"  {count:3d} {where}")


def _rest_of(process: subprocess.Popen[str]) -> str:
    # not communicate(): it would miss what readline() has read ahead
    assert process.stdout is not None
    with process.stdout:
        output = process.stdout.read()
    process.wait(60)
    return output


def _end_after(process: subprocess.Popen[str], seconds: float) -> None:
    assert process.stdout is not None
    select.select([process.stdout], [], [], seconds)
    os.kill(process.pid, signal.SIGKILL)


def _phase(data_dir: Path) -> str:
    for path in data_dir.glob("jobs/job_*.json"):
        return "in phase " + (json.loads(path.read_text())["phase"] or "none yet")
    return "with no progress on disk"


def check_reader(data_dir: Path) -> None:
    """A read-only manager tells no lie about what the dead process was at."""
    with DatasetManager(data_dir, read_only=True) as reader:
        assert reader.jobs() == []
        for dataset in reader.list_datasets().items:
            assert dataset.status in ("ready", "error"), dataset
            for record in reader.list_tokenizations(dataset.id):
                assert record.status in ("ready", "error"), record


def check_writer(manager: DatasetManager) -> None:
    """Nothing is stuck, nothing is half there, nothing unfinished is left lying."""
    root = manager.data_dir
    assert manager.jobs() == []
    assert list((root / "staging").iterdir()) == []
    assert list((root / "jobs").iterdir()) == []
    assert len(list((root / "owners").iterdir())) == 1
    for dataset in manager.list_datasets().items:
        folder = root / "datasets" / dataset.id
        assert (folder / "manifest.json").exists() == (dataset.status == "ready")
        if dataset.status != "ready":
            assert (dataset.status, dataset.error_code) == ("error", "interrupted")
            assert (dataset.error_message or "").startswith("Interrupted at ")
            _is_refused(lambda found=dataset: manager.load(found.id))
        for record in manager.list_tokenizations(dataset.id):
            done = folder / "tokenized" / record.id
            assert (done / "receipt.json").exists() == (record.status == "ready")
            if record.status != "ready":
                assert (record.status, record.error_code) == ("error", "interrupted")
                _is_refused(lambda found=record: manager.load_tokens(found.id, "train"))


def _is_refused(attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except InvalidRequestError:
        return
    raise AssertionError("what is not ready could be loaded")


def kill_imports(source: Path, work_dir: Path, *, count: int, seed: int) -> Kills:
    """Kill imports, each in a fresh data folder; every third one is killed in its retry too."""
    child, kills = Child(source), Kills(seed)
    calm = work_dir / "calm"
    whole = child.measure(calm)
    wanted, wanted_layout = hashes(calm / "datasets", "*.parquet"), layout(calm)
    assert wanted
    number = 0
    while kills.total < count:
        number += 1
        data_dir = work_dir / f"import-{number}"
        for _ in range(2 if number % 3 == 0 else 1):
            kills.strike(child, data_dir, whole, by_time=kills.total % 2 == 0)
        check_reader(data_dir)
        with _small_groups(), DatasetManager(data_dir, device="cpu") as manager:
            check_writer(manager)
            rows = manager.list_datasets().items
            if rows:
                job = manager.retry(rows[0].id)
            else:
                job = manager.import_files(source, **IMPORT_OPTIONS)
            record = job.wait(300)
            assert manager.list_datasets().items == (manager.get_dataset(record.id),)
            assert (record.status, record.error_message) == ("ready", None)
        assert hashes(data_dir / "datasets", "*.parquet") == wanted
        check_layout(data_dir, wanted_layout)
    return kills


def kill_tokenizations(
    source: Path, tokenizer: Path, work_dir: Path, *, count: int, seed: int
) -> Kills:
    """Kill tokenizations of one dataset; every third one is killed again while it resumes."""
    data_dir = work_dir / "tokens"
    Child(source).measure(data_dir)
    child, kills = Child(source, tokenizer), Kills(seed)
    whole = child.measure(data_dir)
    num_shards = sum(
        len(plan_shards({"any": [path]}, "text", shard_bytes=2_000_000))
        for path in data_dir.rglob("raw/*.parquet")
    )
    wanted, wanted_layout = hashes(data_dir / "datasets", "*.pt", "*.npy"), layout(data_dir)
    assert len(wanted) == 4
    _delete_tokenizations(data_dir)
    bare_layout = layout(data_dir)
    # amid the shards, so that some are finished
    kills.strike(child, data_dir, whole, by_time=False, within=(0.65, 0.8))
    number = 0
    while kills.total < count or not number:
        number += 1
        # the first is killed already
        for _ in range(2 if number % 3 == 0 else number > 1):
            kills.strike(child, data_dir, whole, by_time=kills.total % 2 == 0)
        check_reader(data_dir)
        with DatasetManager(data_dir, device="cpu") as manager:
            check_writer(manager)
            dataset = manager.list_datasets().items[0]
            is_ready = any(r.status == "ready" for r in manager.list_tokenizations(dataset.id))
            finished = {path.stem for path in data_dir.rglob("tok_*.partial/shard-*.json")}
            with shards_made() as made:
                record = manager.tokenize(
                    dataset.id, tokenizer=str(tokenizer), max_length=128, shuffle_seed=3
                ).wait(300)
            # every shard once: by the one that was killed, or now
            assert len(made) == len(set(made))
            assert not finished & set(made)
            if not is_ready:
                assert len(finished | set(made)) == num_shards
                kills.num_reused += len(finished)
            assert manager.list_tokenizations(dataset.id) == [record]
            assert record.status == "ready"
        assert hashes(data_dir / "datasets", "*.pt", "*.npy") == wanted
        check_layout(data_dir, wanted_layout)
        _delete_tokenizations(data_dir)
        check_layout(data_dir, bare_layout)
    return kills


@contextmanager
def _small_groups() -> Iterator[None]:
    """Write row groups as small as those of the children."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_GROUP_BYTES", 1_000_000)
        yield


@contextmanager
def shards_made() -> Iterator[list[str]]:
    """Tokenize in the children's shards; note which of them are made, not found."""
    made: list[str] = []
    write_run = shards._write_run

    def note_and_write(shard: shards.Shard, *arguments: Any) -> shards.ShardRun:
        made.append(shard.name)
        return write_run(shard, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "_write_run", note_and_write)
        patch.setattr(run, "plan_shards", partial(plan_shards, shard_bytes=2_000_000))
        yield made


def kill_indexes(source: Path, work_dir: Path, *, count: int, seed: int) -> Kills:
    """Kill builds of one dataset's index; every third one is killed again as it starts over."""
    data_dir = work_dir / "indexes"
    Child(source).measure(data_dir)
    child, kills = Child(source, does_index=True), Kills(seed)
    bare_layout = layout(data_dir)
    whole = child.measure(data_dir)
    wanted = _searches(data_dir)
    assert any(wanted.values())
    _delete_indexes(data_dir)
    number = 0
    while kills.total < count:
        number += 1
        for _ in range(2 if number % 3 == 0 else 1):
            kills.strike(child, data_dir, whole, by_time=kills.total % 2 == 0)
        check_reader(data_dir)
        assert _searches(data_dir) == wanted
        with DatasetManager(data_dir, device="cpu") as manager:
            check_writer(manager)
            (dataset,) = manager.list_datasets().items
            folder = data_dir / "datasets" / dataset.id
            assert not (folder / "text_index.partial").exists()
            manager.build_index(dataset.id).wait(300)
            assert (folder / "text_index" / "index.json").exists()
        assert _searches(data_dir) == wanted
        _delete_indexes(data_dir)
        check_layout(data_dir, bare_layout)
    return kills


def _searches(data_dir: Path) -> dict[str, int | None]:
    """Return how many samples are found, by whatever is there to search with."""
    with DatasetManager(data_dir, read_only=True) as reader:
        (dataset,) = reader.list_datasets().items
        return {
            search: reader.samples(dataset.id, search=search).total
            for search in ("import", "self*", '"return none"', "def -class")
        }


def _delete_indexes(data_dir: Path) -> None:
    with DatasetManager(data_dir, device="cpu") as manager:
        for dataset in manager.list_datasets().items:
            manager.delete_index(dataset.id)
            (data_dir / "datasets" / dataset.id / "text_index.unwanted").unlink()


def _delete_tokenizations(data_dir: Path) -> None:
    with DatasetManager(data_dir, device="cpu") as manager:
        for dataset in manager.list_datasets().items:
            for record in manager.list_tokenizations(dataset.id):
                manager.delete_tokenization(record.id)


def write_source(path: Path, files: list[Path], num_bytes: int) -> Path:
    """Write real text as JSON lines, some bytes of it."""
    written = number = 0
    with path.open("w", encoding="utf-8") as out:
        while written < num_bytes:
            text = files[number % len(files)].read_text("utf-8")
            written += out.write(json.dumps({"n": number, "text": f"{number}\n{text}"}) + "\n")
            number += 1
    return path
