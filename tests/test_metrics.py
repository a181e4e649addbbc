"""Counters and durations, scraped as Prometheus does it, and the dashboard that shows them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub_fixtures import lines, parquet
from hub_server import HubServer
from prometheus_client.parser import text_string_to_metric_families
from trained_tokenizers import save_byte_level

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import InvalidRequestError, MalformedFileError

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "docs" / "grafana.json"

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scrape_text(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        return str(answer.read().decode())


def scrape(port: int) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(scrape_text(port))
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    found = free_port()
    monkeypatch.setenv("MISTUDIO_METRICS_PORT", str(found))
    return found


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("one line\nand another\n" * 100)
    return path


AT_WORK = """
import sys
from mistudio_widgets import DatasetManager
folder, text, tokenizer = sys.argv[1:]
with DatasetManager(folder, device="cpu") as manager:
    dataset = manager.import_files(text, name="a secret name").wait(60)
    made = manager.tokenize(dataset.id, tokenizer=tokenizer, max_length=16).wait(60)
    manager.samples(dataset.id, search="another")
    print(dataset.id, made.id, made.num_tokens, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def process_at_work(folder: Path, text_file: Path, port: int) -> Iterator[tuple[str, ...]]:
    """Run a process that did jobs and waits; yields what it told."""
    tokenizer = str(save_byte_level(folder))
    with subprocess.Popen(
        [sys.executable, "-c", AT_WORK, str(folder / "data"), str(text_file), tokenizer],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MISTUDIO_METRICS_PORT": str(port)},
    ) as process:
        assert process.stdout is not None
        try:
            yield tuple(process.stdout.readline().split())
        finally:
            _, stderr = process.communicate("\n", timeout=60)
            assert process.returncode == 0, stderr


def expressions() -> list[str]:
    """Return all that the dashboard asks Prometheus for."""
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = dashboard["templating"]["list"]
    return asked + [item["query"]["query"] for item in variables if item["type"] == "query"]


def test_the_dashboard_asks_for_exactly_what_a_process_that_did_a_job_serves(
    tmp_path: Path, text_file: Path
) -> None:
    port = free_port()
    with process_at_work(tmp_path, text_file, port):
        text = scrape_text(port)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    labels: dict[str, set[str]] = {}
    for family in families.values():
        for sample in family.samples:
            labels.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    asked = {
        name for text in expressions() for name in re.findall(r"\b(?:mistudio|process)_\w+", text)
    }
    assert asked <= set(labels), "the dashboard asks for what there is not"
    shown = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    ours = {name for name in families if name.startswith("mistudio_")}
    ours -= {name for name in ours if name.endswith("_created")}
    assert ours == {name for name in shown if name.startswith("mistudio_")}
    for text in expressions():
        names = re.findall(r"\b(?:mistudio|process)_\w+", text)
        known = set.union(*(labels[name] for name in names)) | {"le"}
        by = {label for group in re.findall(r"by \(([^)]*)\)", text) for label in group.split(", ")}
        matched = set(re.findall(r"(\w+)=~?\"", text))
        assert by | matched <= known, text
    for text in re.findall(r'"legendFormat": "(.*)"', DASHBOARD.read_text()):
        assert set(re.findall(r"{{(\w+)}}", text)) <= {"job", "instance"}.union(*labels.values())


def test_every_metric_says_what_it_is_and_no_label_names_data(
    tmp_path: Path, text_file: Path
) -> None:
    port = free_port()
    with process_at_work(tmp_path, text_file, port) as (dataset_id, tokenization_id, num_tokens):
        text = scrape_text(port)
        samples = scrape(port)
    labels = {label for _, pairs in samples for _, label in pairs}
    assert not [label for label in labels if not re.fullmatch(r"[a-z_]+|[\d.]+|\+Inf", label)]
    for secret in (dataset_id, tokenization_id, "secret", "a.txt", str(tmp_path)):
        assert secret not in text
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
    assert value(samples, "mistudio_tokens_total") == int(num_tokens)
    assert value(samples, "mistudio_jobs_total", kind="import", state="succeeded") == 1
    assert value(samples, "mistudio_jobs_total", kind="tokenize", state="failed") == 0
    assert ("mistudio_jobs_total", (("kind", "verify"), ("state", "cancelled"))) in samples
    size = text_file.stat().st_size
    assert value(samples, "mistudio_job_bytes_total", kind="import", phase="reading") == size
    counted = value(samples, "mistudio_job_samples_total", kind="tokenize", phase="tokenizing")
    assert counted == 200
    assert value(samples, "mistudio_query_duration_seconds_count", query="samples") == 1
    assert value(samples, "mistudio_query_duration_seconds_count", query="search") == 1
    assert (
        value(samples, "mistudio_catalog_operation_duration_seconds_count", operation="open") == 1
    )
    for operation in ("read", "write"):
        name = "mistudio_catalog_operation_duration_seconds"
        assert value(samples, f"{name}_count", operation=operation) > 3
        assert 0 < value(samples, f"{name}_sum", operation=operation) < 60
    for kind in ("import", "tokenize"):
        name = "mistudio_job_duration_seconds"
        assert value(samples, f"{name}_count", kind=kind, state="succeeded") == 1
        assert 0 < value(samples, f"{name}_sum", kind=kind, state="succeeded") < 120
    assert value(samples, "process_resident_memory_bytes") > 1e6


def test_every_state_is_counted(
    port: int, data_dir: Path, hub: HubServer, tmp_path: Path, text_file: Path
) -> None:
    files = {"train.parquet": parquet(lines(20_000))}
    hub.add("dataset", "acme/counted", files)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with DatasetManager(data_dir, device="cpu") as manager:
        before = scrape(port)
        hub.throttle = 50_000
        job = manager.download("acme/counted")
        while job.snapshot().done == 0:
            job.wait_until_ended(0.02)
        during = scrape(port)
        job.pause()
        job.wait_until_stopped(30)
        while job.state != "paused":
            job.wait_until_ended(0.02)
        paused = scrape(port)
        hub.throttle = None
        manager.retry(job.dataset_id).wait(60)
        with pytest.raises(MalformedFileError):
            manager.import_files(tmp_path / "bad.parquet").wait(60)
        after = scrape(port)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    live = "mistudio_live_jobs"
    assert value(during, live, kind="download", state="running") == 1
    assert value(paused, live, kind="download", state="running") == 0
    assert value(paused, live, kind="download", state="paused") == 1
    assert sum(number for (name, _), number in after.items() if name == live) == 0
    states = {
        state: grown("mistudio_jobs_total", kind="download", state=state)
        for state in ("queued", "running", "paused", "succeeded", "failed", "cancelled")
    }
    assert states == {
        "queued": 2, "running": 2, "paused": 1, "succeeded": 1, "failed": 0, "cancelled": 0
    }  # fmt: skip
    assert grown("mistudio_jobs_total", kind="import", state="failed") == 1
    assert grown("mistudio_job_duration_seconds_count", kind="download", state="paused") == 1
    # no byte twice, though it was paused
    fetched = grown("mistudio_job_bytes_total", kind="download", phase="downloading")
    size = len(files["train.parquet"])
    assert size <= fetched <= size + 1
    moved = value(during, "mistudio_job_bytes_total", kind="download", phase="downloading")
    assert moved < value(after, "mistudio_job_bytes_total", kind="download", phase="downloading")


def test_only_answered_questions_are_timed(
    port: int, manager: DatasetManager, text_file: Path
) -> None:
    dataset = manager.import_files(text_file).wait(60)

    def asked(query: str) -> float:
        return value(scrape(port), "mistudio_query_duration_seconds_count", query=query)

    before = {name: asked(name) for name in ("samples", "search", "list_datasets")}
    manager.samples(dataset.id)
    with pytest.raises(InvalidRequestError):
        manager.samples(dataset.id, split="none")
    manager.list_datasets()
    assert asked("samples") - before["samples"] == 1
    assert asked("search") == before["search"]
    assert asked("list_datasets") - before["list_datasets"] == 1


def test_two_managers_share_an_address_and_their_counters_go_on(
    port: int, tmp_path: Path, text_file: Path
) -> None:
    def imports() -> float:
        return value(scrape(port), "mistudio_jobs_total", kind="import", state="succeeded")

    first = DatasetManager(tmp_path / "first", device="cpu")
    second = DatasetManager(tmp_path / "second", device="cpu")
    before = imports()
    for manager in (first, second):
        manager.import_files(text_file).wait(60)
    assert imports() - before == 2
    first.close()
    first.close()
    assert imports() - before == 2
    second.close()
    assert not is_open(port)
    with DatasetManager(tmp_path / "first", read_only=True):
        assert imports() - before == 2
    assert not is_open(port)
    assert "mistudio-metrics" not in {thread.name for thread in threading.enumerate()}


def test_only_loopback_can_reach_it(port: int, manager: DatasetManager) -> None:
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


def test_off_it_costs_nothing(data_dir: Path, text_file: Path) -> None:
    code = (
        "import sys, threading\nfrom mistudio_widgets import DatasetManager\n"
        "with DatasetManager(sys.argv[1], device='cpu') as manager:\n"
        "    manager.samples(manager.import_files(sys.argv[2]).wait(60).id)\n"
        "    print([t.name for t in threading.enumerate() if 'metrics' in t.name])\n"
        "heavy = ('prometheus_client', 'wsgiref', 'http.server')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "MISTUDIO_METRICS_PORT"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(data_dir), str(text_file)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=60,
    )
    assert done.stdout.split("\n") == ["[]", "[]", ""]


@pytest.mark.parametrize("asked", ["0", "65536", "-1", "9100.0", "http", "٩١٠٠", "1" * 5_000])
def test_what_is_no_port_is_told_and_work_goes_on(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, text_file: Path, asked: str
) -> None:
    monkeypatch.setenv("MISTUDIO_METRICS_PORT", asked)
    with DatasetManager(data_dir, device="cpu") as manager:
        assert manager.import_files(text_file).wait(60).num_samples == 200
    told = (data_dir / "logs" / "mistudio.log").read_text()
    (warning,) = (line for line in told.splitlines() if "WARNING" in line)
    assert "from 1 to 65535" in warning
    assert len(warning) < 300


def test_a_second_process_with_the_same_port_goes_on_without(
    port: int, data_dir: Path, tmp_path: Path, text_file: Path
) -> None:
    with process_at_work(tmp_path, text_file, port):
        with DatasetManager(data_dir, device="cpu") as manager:
            manager.import_files(text_file).wait(60)
        # still the other's
        samples = scrape(port)
        assert value(samples, "mistudio_jobs_total", kind="tokenize", state="succeeded") == 1
        assert value(samples, "mistudio_jobs_total", kind="import", state="succeeded") == 1
    told = (data_dir / "logs" / "mistudio.log").read_text()
    (warning,) = (line for line in told.splitlines() if "WARNING" in line)
    assert f"port {port} of 127.0.0.1 cannot be opened (Address already in use)" in warning
    assert "MISTUDIO_METRICS_PORT" in warning


def test_a_scrape_that_is_broken_off_or_odd_harms_nothing(
    port: int, manager: DatasetManager, capsys: pytest.CaptureFixture[str]
) -> None:
    for sent in (b"", b"GET /metrics HTTP/1.0\r\n\r\n", b"\x00" * 100_000, b"GET " + b"/" * 70_000):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(sent)
    assert value(scrape(port), "process_resident_memory_bytes") > 0
    assert capsys.readouterr().err == ""


def test_a_forked_child_does_not_keep_the_port(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import os, signal, sys\nfrom mistudio_widgets import DatasetManager\n"
        "manager = DatasetManager(sys.argv[1], device='cpu')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    sys.stdin.readline()\n"
        "    os._exit(0)\n"
        "print(child, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "MISTUDIO_METRICS_PORT": str(port)},
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.wait(60)
        os.kill(child, 0)
        assert not is_open(port)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
