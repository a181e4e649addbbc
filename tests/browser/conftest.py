from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from mistudio_widgets import DatasetManager

from .pages import CHROMIUM_ARGS
from .servers import Server, chromium_path, start_lab, start_voila

_HAS_FAILED = pytest.StashKey[bool]()
_LAB = pytest.StashKey[Server]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_HAS_FAILED] = True
        module = item.getparent(pytest.Module)
        assert module is not None
        module.stash[_HAS_FAILED] = True
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Server]:
    server = pytestconfig.stash[_LAB] = start_lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def _leave_no_failure_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """End what a module's failed tests left to run, and delete what they left to see."""
    yield
    server = request.config.stash.get(_LAB, None)
    if server is None or not request.node.stash.get(_HAS_FAILED, default=False):
        return
    server.shut_kernels_down()
    with DatasetManager(server.data_dir, device="cpu") as manager:
        while records := manager.list_datasets(limit=100).items:
            for record in records:
                manager.delete_dataset(record.id)


@pytest.fixture(scope="session")
def voila(lab: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_voila(tmp_path_factory.mktemp("voila"), lab.data_dir)
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that says what it showed when its test fails."""
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    errors: list[str] = []
    told: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: told.append(f"{message.type}: {message.text}"[:300]))
    yield opened
    if request.node.stash.get(_HAS_FAILED, default=False):
        shown = opened.locator("body").inner_text(timeout=5_000)
        print(f"{opened.url} shows:\n{shown[:3000]}")
        print("its console:", *told[-30:], *errors, sep="\n")
    context.close()
    assert [error for error in errors if "mistudio" in error.lower()] == []


@pytest.fixture
def outside(lab: Server) -> Iterator[DatasetManager]:
    """A manager of another process on the data folder that the notebooks use."""
    with DatasetManager(lab.data_dir, device="cpu") as manager:
        yield manager


@pytest.fixture(scope="session")
def long_text(tmp_path_factory: pytest.TempPathFactory, stdlib_files: list[Path]) -> Path:
    """Enough real text that a job on it can be watched and cancelled."""
    path = tmp_path_factory.mktemp("text") / "long.txt"
    text = "".join(file.read_text("utf-8") for file in stdlib_files)
    with path.open("w") as file:
        while file.tell() < 400_000_000:
            file.write(text)
    return path
