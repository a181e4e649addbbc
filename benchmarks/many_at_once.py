"""Many who write and read one catalog at once: what `bench_catalog.py` starts and asks.

Each writer adds 1 to the same row, 5 times a second; each reader lists the datasets whenever it
is told of a change. A lost update shows as a count that is too small.

    python benchmarks/many_at_once.py writer|reader|idle|kernel DATA_DIR DATASET_ID SECONDS
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mistudio_widgets import DatasetManager

NUM_WRITERS, NUM_READERS = 4, 6
WRITES_PER_S = 5
_WARM_S = 5.0


@dataclass
class Told:
    """What one of them did, in milliseconds.

    ``seen`` is how long a commit took to be seen by a reader, ``cpu_share`` what the process used
    of one core.
    """

    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cpu_share: float = 0.0


def start(
    roles: Sequence[str], data_dir: Path, dataset_id: str, seconds: float
) -> Callable[[], list[Told]]:
    """Start one process for each role; what is returned waits for them."""
    command = [sys.executable, __file__]
    processes = [
        subprocess.Popen(
            [*command, role, str(data_dir), dataset_id, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for role in roles
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def wait() -> list[Told]:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [Told(**json.loads(process.communicate()[0])) for process in processes]

    return wait


def write(manager: DatasetManager, dataset_id: str, seconds: float, told: Told) -> None:
    """Add 1 to the row at a steady rate, which begins at a moment of its own."""
    catalog = manager._parts.catalog  # noqa: SLF001 -- a write of the smallest kind
    began = time.monotonic() + random.uniform(0, 1 / WRITES_PER_S)
    for turn in range(int(seconds * WRITES_PER_S)):
        time.sleep(max(began + turn / WRITES_PER_S - time.monotonic(), 0))
        started = time.perf_counter()
        try:
            with catalog.write() as writer:
                count = writer.get_dataset(dataset_id).num_samples
                writer.update_dataset(
                    dataset_id, num_samples=count + 1, description=repr(time.time())
                )
        except Exception as error:  # noqa: BLE001 -- counted, whatever it is
            told.errors.append(repr(error))
        else:
            told.writes.append(1000 * (time.perf_counter() - started))


def read(manager: DatasetManager, dataset_id: str, seconds: float, told: Told) -> None:
    """List the datasets after each change, as a panel does."""
    changed = threading.Event()
    end_watch = manager.watch(changed.set)
    until, last = time.monotonic() + seconds, 0
    while (left := until - time.monotonic()) > 0:
        if not changed.wait(left):
            break
        changed.clear()
        started = time.perf_counter()
        try:
            page = manager.list_datasets()
        except Exception as error:  # noqa: BLE001 -- counted, whatever it is
            told.errors.append(repr(error))
            continue
        told.reads.append(1000 * (time.perf_counter() - started))
        (record,) = [row for row in page.items if row.id == dataset_id]
        if record.num_samples < last:
            told.errors.append(f"{record.num_samples} after {last}")
        if record.num_samples > last and record.description:
            told.seen.append(1000 * (time.time() - float(record.description)))
        last = record.num_samples
    end_watch()


def _kernel(data_dir: str, dataset_id: str, seconds: float, told: Told) -> None:
    """Two managers in one process, with the threads of both."""
    with DatasetManager(data_dir) as first, DatasetManager(data_dir) as second:
        _ready()
        managers = (first, second)
        threads = [
            threading.Thread(target=act, args=(managers[number % 2], dataset_id, seconds, told))
            for act, count in ((write, NUM_WRITERS), (read, NUM_READERS))
            for number in range(count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _ready() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def main() -> None:
    role, data_dir, dataset_id, seconds = sys.argv[1], *sys.argv[2:4], float(sys.argv[4])
    told = Told()
    if role == "kernel":
        _kernel(data_dir, dataset_id, seconds, told)
    else:
        with DatasetManager(data_dir, read_only=role != "writer") as manager:
            _ready()
            if role == "idle":
                # the first looks load and warm
                read(manager, dataset_id, _WARM_S, Told())
            began, used = time.monotonic(), time.process_time()
            (write if role == "writer" else read)(manager, dataset_id, seconds, told)
            told.cpu_share = (time.process_time() - used) / (time.monotonic() - began)
    print(json.dumps(asdict(told)))


if __name__ == "__main__":
    main()
