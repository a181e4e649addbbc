"""A file from a hub on loopback to disk: ours against ``curl`` and ``snapshot_download``.

Each figure comes from a fresh process, in rounds that run every contestant once. The hub is a
process of its own that serves the file from memory. Ours verifies the SHA-256 and has made every
byte durable when it ends; so ``curl`` is shown alone, and with ``sync`` and ``sha256sum`` after
it, which is what it takes to get as far. ``snapshot_download`` verifies and syncs nothing.

    python benchmarks/bench_download.py [--mb 500] [--files 1] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
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

from setting import in_child, machine, table

TESTS = Path(__file__).parent.parent / "tests"
REPO_ID = "bench/noise"
NAMES = {
    "curl": "curl",
    "curl_durable": "curl, then sync and sha256sum",
    "snapshot": "huggingface_hub.snapshot_download",
    "ours": "mistudio_widgets",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=500)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        what, *arguments = chosen.child
        CHILDREN[what](*arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), chosen.mb, chosen.files, chosen.rounds)


def _compare(folder: Path, mb: int, num_files: int, rounds: int) -> None:
    print(machine())
    print(f"{num_files} file(s), {mb} MB together, warm in the server's memory")
    _make_files(folder / "files", mb * 1_000_000, num_files)
    with _serving(folder / "files") as url:
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
        for _ in range(rounds):
            for name, found in runs.items():
                out = folder / "out"
                out.mkdir()
                os.sync()
                found.append(_run(name, url, folder / "files", out))
                _check(folder / "files", out)
                shutil.rmtree(out)
    _report(runs, mb)


def _make_files(folder: Path, num_bytes: int, num_files: int) -> None:
    folder.mkdir()
    for number in range(num_files):
        source = random.Random(number)
        left = num_bytes // num_files
        with (folder / f"train-{number}.jsonl.gz").open("wb") as file:
            while left:
                left -= file.write(source.randbytes(min(left, 1_000_000)))


@contextmanager
def _serving(files: Path) -> Iterator[str]:
    command = [sys.executable, __file__, "--child", "serve", str(files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def serve(files: str) -> None:
    sys.path.insert(0, str(TESTS))
    from hub_server import HubServer

    with HubServer() as server:
        contents = {path.name: path.read_bytes() for path in sorted(Path(files).iterdir())}
        repo = server.add("dataset", REPO_ID, contents)
        # hashed before the clock starts
        assert all(blob.etag for blob in repo.commits[repo.refs["main"]].values())
        print(server.url, flush=True)
        threading.Event().wait()


def _run(name: str, url: str, files: Path, out: Path) -> dict[str, Any]:
    if name.startswith("curl"):
        return _run_curl(url, files, out, is_durable=name == "curl_durable")
    home = str(out.parent / "home")
    shutil.rmtree(home, ignore_errors=True)
    environment = {"HF_ENDPOINT": url, "HF_HOME": home, "HF_HUB_OFFLINE": "0"}
    environment |= {"NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1"}
    return in_child(__file__, "--child", name, out, **environment)


def _run_curl(url: str, files: Path, out: Path, *, is_durable: bool) -> dict[str, Any]:
    names = sorted(path.name for path in files.iterdir())
    command = ["curl", "--silent", "--fail", "--location", "--parallel", "--parallel-max", "4"]
    for name in names:
        address = f"{url}/datasets/{REPO_ID}/resolve/main/{name}"
        command += ["--output", str(out / name), address]
    if len(names) == 1:
        command.remove("--parallel")
    started = time.perf_counter()
    # with --parallel it draws a bar even when it should be silent
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    if is_durable:
        paths = [str(out / name) for name in names]
        subprocess.run(["sync", *paths], check=True)
        subprocess.run(["sha256sum", *paths], check=True, stdout=subprocess.DEVNULL)
    return {"elapsed_s": time.perf_counter() - started, "peak_mb": None}


def run_ours(out: str) -> None:
    # imported before the clock starts, as the peer's
    import huggingface_hub  # noqa: F401

    from mistudio_widgets.hub import Hub
    from mistudio_widgets.progress import Progress
    from mistudio_widgets.records import DownloadRequest

    hub = Hub()
    request = DownloadRequest(repo_id=REPO_ID)
    plan = hub.plan(request, hf_token=False, free_bytes=10**12, reserve_bytes=0)
    partial = Path(out) / "partial"
    with _watched() as found:
        got = hub.fetch(plan, partial, hf_token=False, progress=Progress())
    for fetched in got["train"]:
        fetched.path.rename(Path(out) / fetched.file.path)
    print(json.dumps(found))


def run_snapshot(out: str) -> None:
    from huggingface_hub import HfApi, snapshot_download

    # the first request imports and connects
    HfApi().dataset_info(REPO_ID, token=False)
    with _watched() as found:
        snapshot_download(REPO_ID, repo_type="dataset", local_dir=out, token=False, max_workers=4)
    print(json.dumps(found))


@contextmanager
def _watched() -> Iterator[dict[str, Any]]:
    """Measure the time of a block, and its peak of anonymous memory over what there was."""
    found: dict[str, Any] = {}
    ended = threading.Event()
    idle = peak = _anonymous_bytes()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, _anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    yield found
    found["elapsed_s"] = time.perf_counter() - started
    ended.set()
    watcher.join()
    found["peak_mb"] = (peak - idle) / 1e6


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise SystemExit("This system does not tell RssAnon.")


CHILDREN: dict[str, Any] = {"serve": serve, "ours": run_ours, "snapshot": run_snapshot}


def _check(files: Path, out: Path) -> None:
    for path in files.iterdir():
        subprocess.run(["cmp", str(path), str(out / path.name)], check=True)


def _report(runs: dict[str, list[dict[str, Any]]], mb: int) -> None:
    seconds = {
        name: statistics.median(run["elapsed_s"] for run in found) for name, found in runs.items()
    }
    rows = [("", "rounds", "median s", "MB/s", "peak MB over idle", "ours is")]
    for name, found in runs.items():
        peaks = [run["peak_mb"] for run in found if run["peak_mb"] is not None]
        rows.append(
            (
                NAMES[name],
                str(len(found)),
                f"{seconds[name]:.2f}",
                f"{mb / seconds[name]:.0f}",
                f"{max(peaks):.0f}" if peaks else "",
                f"{_ratio(runs, name):.2f}x",
            )
        )
    print(table(rows))
    print(f"ratio to curl: {_ratio(runs, 'curl'):.2f}x")
    print(f"ratio to curl with the same promises: {_ratio(runs, 'curl_durable'):.2f}x")
    print(f"ratio to snapshot_download: {_ratio(runs, 'snapshot'):.2f}x")
    print(f"peak memory over idle: {max(run['peak_mb'] for run in runs['ours']):.0f} MB")


def _ratio(runs: dict[str, list[dict[str, Any]]], name: str) -> float:
    """Return the median, over the rounds, of how many times as fast ours is."""
    pairs = zip(runs[name], runs["ours"], strict=True)
    return statistics.median(peer["elapsed_s"] / ours["elapsed_s"] for peer, ours in pairs)


if __name__ == "__main__":
    main()
