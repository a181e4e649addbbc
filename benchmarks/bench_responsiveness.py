"""How long a cell's ``1+1`` takes in a real kernel while it works: two downloads, one tokenization.

The kernel is an ipykernel of its own, the hub a server on loopback in another process. Each
figure is the time from sending ``1+1`` to its reply, idle and busy in the same kernel. The target
is a delay below 50 ms at the 95th percentile.

    python benchmarks/bench_responsiveness.py [--mb 100] [--rounds 3]
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench_tokenize import make_corpus, train
from setting import machine, table

TESTS = Path(__file__).parent.parent / "tests"
IDLE_PROBES = 200
DOWNLOAD_S = 15

SET_UP = """
import torch, fastokens, datasets
from mistudio_widgets import DatasetManager
manager = DatasetManager({data!r}, hub_endpoint={url!r})
corpus = manager.import_files({parquet!r}, name="corpus").wait()
"""

START = """
jobs = [manager.download(f"bench/{round}-{{n}}", hf_token=False) for n in range(2)]
jobs.append(manager.tokenize(corpus.id, tokenizer={tokenizer!r}, max_length={length}))
"""

STATE = "[job.snapshot().state for job in jobs]"
FINISH = "[job.wait().status for job in jobs]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(Path(chosen.serve[0]), int(chosen.serve[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), chosen.mb, chosen.rounds)


def serve(parquet: Path, rounds: int) -> None:
    sys.path.insert(0, str(TESTS))
    from hub_server import HubServer

    content = parquet.read_bytes()
    with HubServer() as server:
        # as long as the tokenizations take, or so
        server.throttle = len(content) // DOWNLOAD_S
        for number in range(rounds):
            for copy in range(2):
                repo = server.add("dataset", f"bench/{number}-{copy}", {"train.parquet": content})
                assert all(blob.etag for blob in repo.commits[repo.refs["main"]].values())
        print(server.url, flush=True)
        threading.Event().wait()


@contextmanager
def _serving(parquet: Path, rounds: int) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", str(parquet), str(rounds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def _measure(folder: Path, mb: int, rounds: int) -> None:
    from jupyter_client.manager import start_new_kernel

    print(machine())
    parquet, _ = make_corpus(folder, mb * 1_000_000)
    tokenizer = train(folder)
    with _serving(parquet, rounds) as url:
        kernel, client = start_new_kernel()
        try:
            names = {"data": str(folder / "data"), "url": url, "parquet": str(parquet)}
            _run(client, SET_UP.format(**names))
            idle = [_probe(client) for _ in range(IDLE_PROBES)]
            busy: list[float] = []
            for number in range(rounds):
                # another length is another tokenization
                asked = {"tokenizer": str(tokenizer), "length": 512 + number, "round": number}
                _run(client, START.format(**asked))
                busy += _probe_while_running(client)
                print(f"round {number + 1}: {_run(client, FINISH)}")
            _report(idle, busy)
        finally:
            client.stop_channels()
            kernel.shutdown_kernel(now=True)


def _probe_while_running(client: Any) -> list[float]:
    """Probe at random moments, until the tokenization has ended."""
    found: list[float] = []
    while True:
        for _ in range(10):
            time.sleep(random.uniform(0, 0.03))
            found.append(_probe(client))
        if "running" not in _run(client, STATE).split(",")[-1]:
            return found


def _probe(client: Any) -> float:
    started = time.perf_counter()
    _run(client, "1+1")
    return time.perf_counter() - started


def _run(client: Any, code: str) -> str:
    """Run a cell; return the text of its result."""
    shown: list[str] = []

    def note(message: dict[str, Any]) -> None:
        if message["msg_type"] == "execute_result":
            shown.append(message["content"]["data"]["text/plain"])

    reply = client.execute_interactive(code, timeout=300, output_hook=note)
    if reply["content"]["status"] != "ok":
        raise SystemExit("\n".join(reply["content"]["traceback"]))
    return "".join(shown)


def _report(idle: list[float], busy: list[float]) -> None:
    rows = [("1+1 in a cell, ms", "probes", "p50", "p95", "longest")]
    for name, found in (("idle", idle), ("two downloads, one tokenization", busy)):
        milliseconds = [1000 * seconds for seconds in found]
        p95 = statistics.quantiles(milliseconds, n=20, method="inclusive")[-1]
        p50 = statistics.median(milliseconds)
        cells = (f"{p50:.1f}", f"{p95:.1f}", f"{max(milliseconds):.1f}")
        rows.append((name, str(len(found)), *cells))
    print(table(rows))
    delay = float(rows[2][3]) - float(rows[1][3])
    print(f"delay at p95: {delay:.1f} ms (at most 50)")


if __name__ == "__main__":
    main()
