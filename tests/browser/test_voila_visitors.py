"""What strangers can do to a dashboard and learn from it, over Voila's own websocket."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mistudio_widgets import DatasetManager

from .hostile import PROTOCOLS, Hostile, Real, bombard
from .servers import REPOSITORY, Server, start_voila
from .visitor import V1, Visitor

pytestmark = pytest.mark.browser

ANSWER_S = 1.0
SECRET = "hf_" + "Secret" * 6
# the guard: under Voila every manager is read-only
_NO_GUARD = """
import sys
if any("ipykernel_launcher" in word for word in sys.orig_argv):
    import mistudio_widgets.manager.core as core
    core._is_voila = lambda: False
"""


def _lay_out(folder: Path, tokenizer_path: Path) -> tuple[Path, Real]:
    """Make a data folder with a dataset, a tokenization, an index and a failed import."""
    data_dir = folder / "datasets"
    tokenizer = folder / "tokenizer" / "tokenizer.json"
    tokenizer.parent.mkdir(parents=True)
    shutil.copy(tokenizer_path, tokenizer)
    text, broken = folder / "texts" / "some.txt", folder / "texts" / "broken.parquet"
    text.parent.mkdir()
    text.write_text("one two\nthree four\ntrain\n" * 20)
    broken.write_bytes(b"PAR1 is not enough")
    with DatasetManager(data_dir, device="cpu") as manager:
        job = manager.import_files(text, name="Some text")
        record = job.wait(60)
        made = manager.tokenize(record.id, tokenizer=str(tokenizer), max_length=8)
        manager.build_index(record.id).wait(60)
        failed = manager.import_files(broken, name="Broken")
        with pytest.raises(Exception, match=r"broken\.parquet"):
            failed.wait(60)
        real = Real(
            dataset_ids=(record.id, failed.dataset_id),
            tokenization_ids=(made.wait(60).id,),
            job_ids=(job.id, made.id, failed.id),
            tokenizer=str(tokenizer),
            paths=(str(text), str(data_dir)),
        )
    return data_dir, real


def _files(*folders: Path) -> dict[Path, tuple[int, str]]:
    """Return all files with what tells that one was changed."""
    found = {}
    for path in itertools.chain.from_iterable(folder.rglob("*") for folder in folders):
        is_file = path.is_file()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
        found[path] = (path.stat().st_mtime_ns if is_file else 0, digest)
    return found


def _leaks(heard: list[bytes], folder: Path) -> list[bytes]:
    """Return what no visitor may see, with what stands around it."""
    secrets = [
        SECRET, "Traceback", '"traceback"', str(folder), str(REPOSITORY), str(Path.home()),
        sys.prefix, "site-packages", "ipykernel_launcher", 'File \\"',
    ]  # fmt: skip
    pattern = re.compile("|".join(re.escape(secret) for secret in secrets).encode())
    front_end = (REPOSITORY / "mistudio_widgets" / "static" / "widget.js").read_bytes()
    assert not pattern.search(front_end)
    return [
        frame[max(0, hit.start() - 150) : hit.end() + 150]
        for frame in heard
        for hit in [pattern.search(frame)]
        if hit
    ]


def _seconds_to_answer(visitor: Visitor) -> float:
    began = time.monotonic()
    assert visitor.answer({"kind": "list_datasets"}, 10)["result"]["total"] == 2
    return time.monotonic() - began


def _attack(server: Server, laid_out: tuple[Path, Path, Real], count: int) -> None:
    """Send ``count`` messages over each protocol, and see that they came to nothing."""
    folder, data_dir, real = laid_out
    watched = (data_dir, server.notebooks, folder / "texts", folder / "tokenizer")
    before = _files(*watched)
    leaks = []
    for seed, protocol in enumerate(PROTOCOLS):
        visitor = Visitor(server, protocol)
        sent, answered = bombard(visitor, Hostile(real, seed).shots(count))
        assert sent == count
        assert answered >= count // 2
        # the fastest of three: the machine may be busy, the kernel may not be stuck
        assert min(_seconds_to_answer(visitor) for _ in range(3)) < ANSWER_S
        leaks += _leaks(visitor.heard, folder)
        visitor.close()
    assert _files(*watched) == before
    assert leaks == []


@pytest.fixture(scope="module")
def laid_out(
    tmp_path_factory: pytest.TempPathFactory, tokenizer_path: Path
) -> tuple[Path, Path, Real]:
    folder = tmp_path_factory.mktemp("exposed")
    return folder, *_lay_out(folder, tokenizer_path)


@pytest.fixture(scope="module")
def dashboard(laid_out: tuple[Path, Path, Real]) -> Iterator[Server]:
    folder, data_dir, _ = laid_out
    server = start_voila(folder / "server", data_dir, extra_env={"HF_TOKEN": SECRET})
    yield server
    server.stop()


def test_a_thousand_hostile_messages_change_nothing_and_learn_nothing(
    dashboard: Server, laid_out: tuple[Path, Path, Real]
) -> None:
    _attack(dashboard, laid_out, 500)


@pytest.mark.soak
def test_ten_thousand_hostile_messages_change_nothing_and_learn_nothing(
    dashboard: Server, laid_out: tuple[Path, Path, Real]
) -> None:
    _attack(dashboard, laid_out, 5000)


def test_without_the_guard_the_same_messages_do_harm(
    tmp_path: Path, tokenizer_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir, real = _lay_out(tmp_path, tokenizer_path)
    (tmp_path / "patch").mkdir()
    (tmp_path / "patch" / "sitecustomize.py").write_text(_NO_GUARD)
    path = f"{tmp_path / 'patch'}:{REPOSITORY}"
    server = start_voila(tmp_path / "server", data_dir, extra_env={"PYTHONPATH": path})
    before = _files(data_dir)
    try:
        visitor = Visitor(server, V1)
        bombard(visitor, itertools.islice(Hostile(real, 0).shots(500), 60))
        visitor.close()
    finally:
        server.stop()
    assert _files(data_dir) != before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "api/kernels"), ("GET", "api/contents"), ("GET", "api/sessions"),
        ("GET", "api/terminals"), ("GET", "voila/tree"), ("GET", "voila/api/contents/"),
        ("GET", "voila/files/Datasets.ipynb"), ("GET", "voila/files/../voila.json"),
        ("GET", "voila/static/../../../../etc/passwd"), ("GET", "voila/files/x.png"),
        ("POST", "api/kernels"), ("POST", "api/kernels/{kernel_id}/restart"),
        ("POST", "api/kernels/{kernel_id}/interrupt"), ("PUT", "api/contents/x.txt"),
    ],
)  # fmt: skip
def test_no_other_address_gives_anything_away(
    dashboard: Server, laid_out: tuple[Path, Path, Real], method: str, path: str
) -> None:
    kernel_id = "0b3f6a0e-0000-4000-8000-000000000000"
    url = dashboard.url + path.format(kernel_id=kernel_id)
    request = urllib.request.Request(url, method=method, data=b"{}" if method != "GET" else None)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert 400 <= refused.value.code < 500
    assert _leaks([refused.value.read()], laid_out[0]) == []


def test_pages_come_without_sources_from_a_kernel_that_waited(dashboard: Server) -> None:
    visitor = Visitor(dashboard)
    visitor.close()
    assert b"import DatasetsPanel" not in visitor.heard[0]
    # what a kernel logs while it starts is no part of the page
    assert b"vnd.jupyter.stderr" not in visitor.heard[0]
    log = dashboard.log.read_text()
    assert f"Using pre-heated kernel: {visitor.kernel_id}" in log
    assert "Culling kernels with idle durations > 900 seconds" in log


def test_a_notebook_that_fails_shows_no_traceback(tmp_path: Path) -> None:
    no_folder = tmp_path / "secret_name"
    no_folder.write_text("a file where the data folder should be")
    server = start_voila(tmp_path / "server", no_folder)
    try:
        with urllib.request.urlopen(server.url, timeout=90) as page:
            html = page.read()
    finally:
        server.stop()
    assert b"There was an error when executing cell" in html
    assert _leaks([html], tmp_path) == []
