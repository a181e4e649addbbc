from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from mistudio_widgets import DatasetManager

from .pages import CHROMIUM_ARGS
from .servers import Server, chromium_path, start_lab, start_voila


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_ARGS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def voila(lab: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_voila(tmp_path_factory.mktemp("voila"), lab.data_dir)
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
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
