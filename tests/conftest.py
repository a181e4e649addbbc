"""What all tests share: folders, a manager, text, a tokenizer, and no network."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# a loaded machine is slow, and that is no fault of the code
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")

# read when the libraries are imported, so set before anything imports them
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"

pytest.register_assert_rewrite(
    "crash.killing",
    "crash.downloads",
    "crash.hub_killing",
    "crash.damage",
    "crash.full_disk",
    "crash.steps",
)

from hub_fixtures import client, hf_home, hub, hub_server  # noqa: F401 -- these are fixtures
from importer_fixtures import fails, into, run, src  # noqa: F401 -- these are fixtures

if TYPE_CHECKING:
    from mistudio_widgets import DatasetManager


@pytest.fixture(scope="session", autouse=True)
def _private_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's own caches and data out of the tests, and the tests out of them."""
    home = tmp_path_factory.mktemp("home")
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HOME", str(home / "hf"))
    patch.setenv("XDG_DATA_HOME", str(home / "share"))
    patch.delenv("MISTUDIO_DATA_DIR", raising=False)
    patch.delenv("VOILA_KERNEL_ID", raising=False)
    patch.delenv("VOILA_PREHEAT", raising=False)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    real_connect = socket.socket.connect

    def connect(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "unix"
        if host not in ("unix", "127.0.0.1", "::1", "localhost"):
            raise OSError(f"tests must not reach the network: {address!r}")
        real_connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(autouse=True)
def _no_index_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build indexes only where a test asks for them: `index_unasked` takes this back."""
    monkeypatch.setattr("mistudio_widgets.manager.auto_index.QUIET_S", 1e9)


@pytest.fixture
def index_unasked(monkeypatch: pytest.MonkeyPatch, _no_index_unasked: None) -> None:
    """Build indexes unasked, as soon as nothing else runs."""
    monkeypatch.setattr("mistudio_widgets.manager.auto_index.QUIET_S", 0.1)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def manager(data_dir: Path) -> Iterator[DatasetManager]:
    from mistudio_widgets import DatasetManager

    with DatasetManager(data_dir, device="cpu") as made:
        yield made


@pytest.fixture(scope="session")
def stdlib_files() -> list[Path]:
    """2000 source files of the standard library: real text that is on every machine."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [
        path
        for path in sorted(root.rglob("*.py"))
        if "site-packages" not in path.parts and path.stat().st_size > 0 and _is_utf8(path)
    ]
    assert len(files) >= 1500, f"{sys.version} has only {len(files)} sources"
    return files[:2000]


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory, stdlib_files: list[Path]) -> Path:
    """A byte-level BPE, trained on real text in a second."""
    from trained_tokenizers import byte_level

    texts = (path.read_text("utf-8") for path in stdlib_files[:200])
    tokenizer = byte_level(texts, 2000)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    """Fail what is skipped: a skipped test shows nothing. Only ``cuda`` may."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("cuda"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which only the mark cuda may be: {report.longrepr}"
    # a report goes from process to process, and a test may have logged half a surrogate pair
    report.sections = [
        (name, content.encode("utf-8", "backslashreplace").decode())
        for name, content in report.sections
    ]
    return report
