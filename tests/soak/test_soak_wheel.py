"""The wheel in a bare virtual environment, without Node, in JupyterLab."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from browser.pages import CHROMIUM_ARGS, open_notebook, part, run_all
from browser.servers import REPOSITORY, chromium_path, start_lab
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.soak


def test_a_wheel_shows_the_panel_without_node(tmp_path: Path) -> None:
    nothing = tmp_path / "bin"
    nothing.mkdir()
    without_node = {**os.environ, "PATH": str(nothing)}
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path),
         str(REPOSITORY)],
        env=without_node, check=True, timeout=200,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    bare = tmp_path / "venv"
    venv.create(bare, with_pip=True)
    python = bare / "bin" / "python"
    constraints = REPOSITORY / "constraints.txt"
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints),
         f"{wheel}[lab]"],
        env=without_node, check=True, timeout=900,
    )  # fmt: skip
    lab = start_lab(tmp_path / "lab", python=python)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium_path(), args=CHROMIUM_ARGS
            )
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            open_notebook(page, lab, "Datasets.ipynb")
            run_all(page)
            part(page, "panel.title").wait_for(timeout=60_000)
            part(page, "empty").wait_for()
            browser.close()
    finally:
        lab.stop()
