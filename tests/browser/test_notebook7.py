"""The panel in Notebook 7, which is JupyterLab's parts in a page of its own for each notebook."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .looks import EXPLAINED, Looks
from .pages import card, cell_errors, expect_status, part, run_all, wait_until_idle, wait_until_open
from .servers import Server, start_notebook

pytestmark = pytest.mark.browser

NAME = "In Notebook 7"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_notebook(tmp_path_factory.mktemp("notebook"))
    yield server
    server.stop()


def _read_looks(looks: Looks) -> list[str]:
    """Return what of all that is visible is unlike the mock."""
    looks.read()
    return [
        f"{name} {prop}: {told}"
        for (name, prop), told in looks.differences().items()
        if prop and (name, prop) not in EXPLAINED
    ]


def test_from_files_to_samples_and_all_gone_again(
    page: Page, notebook: Server, tmp_path: Path
) -> None:
    page.goto(notebook.url.replace("/tree", "/notebooks/Datasets.ipynb"))
    wait_until_open(page)
    run_all(page)
    part(page, "empty").wait_for(timeout=60_000)
    looks = Looks(page)
    assert _read_looks(looks) == []

    cells = "window.jupyterapp.shell.currentWidget.content.model.cells.length"
    before = page.evaluate(cells)
    repository = page.get_by_label(re.compile("HuggingFace Dataset ID"))
    repository.click()
    page.keyboard.type("ddxabzm")
    expect(repository).to_have_value("ddxabzm")
    assert page.evaluate(cells) == before
    repository.fill("")

    path = tmp_path / "few.txt"
    path.write_text("one\ntwo\nthree\n")
    part(page, "form.switch").click()
    part(page, "form.input.paths").fill(str(path))
    part(page, "form.input.name").fill(NAME)
    part(page, "form.input.name").press("Enter")
    expect_status(page, NAME, "Ready", 30)
    part(page, "form.switch").click()
    card(page, NAME).get_by_role("button", name=NAME).click()
    dialog = page.get_by_role("dialog", name=NAME)
    expect(part(dialog, "overview.file")).to_have_count(1)
    assert _read_looks(looks) == []
    # over all of the page, whatever the outputs around it trap
    assert dialog.bounding_box() == {"x": 0, "y": 0, **(page.viewport_size or {})}
    dialog.get_by_role("tab", name="samples").click()
    expect(part(dialog, "sample.text")).to_have_text(["one", "two", "three"])
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    part(card(page, NAME), "card.delete").click()
    part(page, "delete.confirm").click()
    expect(card(page, NAME)).to_have_count(0)
    wait_until_idle(page)
    assert cell_errors(page) == []
