"""Take the pictures of this folder anew: the panel in JupyterLab, on real text and a real download.

python docs/take_pictures.py
"""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import Locator, Page, expect, sync_playwright

DOCS = Path(__file__).parent
REPOSITORY = DOCS.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from hub_server import HubServer  # noqa: E402 -- found only now
from trained_tokenizers import byte_level  # noqa: E402

from tests.browser import pages, servers  # noqa: E402

LIBRARY = "python/standard-library"
TESTS = "python/test-suite"
NOTEBOOK = "Datasets.ipynb"
CARD = """---
configs:
- config_name: default
  data_files:
  - {split: train, path: train.parquet}
  - {split: validation, path: validation.parquet}
  - {split: test, path: test.parquet}
---
The sources of Python's standard library, one sample for each paragraph of code: what stands
between two empty lines. Real text with real structure, for tokenizers and sparse autoencoders.
"""


def main() -> None:
    """Fill a folder, open a notebook on it and look at every tab."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        hub = stack.enter_context(HubServer())
        os.environ["HF_ENDPOINT"] = hub.url
        tokenizer = _fill(hub, folder)
        lab = servers.start_lab(folder / "lab", hub_url=hub.url)
        stack.callback(lab.stop)
        page = stack.enter_context(_page())
        pages.open_notebook(page, lab, NOTEBOOK)
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        pages.run_all(page)
        pages.part(page, "empty").wait_for(timeout=60_000)
        _prepare(page, hub, tokenizer, folder)
        _take(page, tokenizer)


def _fill(hub: HubServer, folder: Path) -> Path:
    """Put the repositories on the hub; return a tokenizer that was trained on their text."""
    root = Path(sysconfig.get_paths()["stdlib"])
    texts = _rows(path for path in sorted(root.glob("*.py")))
    files = {"README.md": CARD.encode(), "train.parquet": _parquet(texts[:-1500])}
    files["validation.parquet"] = _parquet(texts[-1500:-500])
    files["test.parquet"] = _parquet(texts[-500:])
    hub.add("dataset", LIBRARY, files)
    tests = _rows(path for path in sorted(root.rglob("test_*.py")))
    hub.add("dataset", TESTS, {"train.parquet": _parquet(tests or texts)})
    hub.add("dataset", "python/private-notes", {"train.parquet": _parquet(texts[:10])}, gated=True)
    return _train(texts, folder / "stdlib-8k" / "tokenizer.json")


def _rows(paths: Iterator[Path]) -> list[dict[str, str]]:
    return [
        {"text": paragraph, "source": path.name}
        for path in paths
        for paragraph in path.read_text("utf-8", errors="replace").split("\n\n")
        if paragraph.strip()
    ]


def _parquet(rows: list[dict[str, str]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


def _train(rows: list[dict[str, str]], path: Path) -> Path:
    path.parent.mkdir(parents=True)
    byte_level((row["text"] for row in rows), 8192).save(str(path))
    return path


@contextmanager
def _page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=servers.chromium_path(), args=pages.CHROMIUM_ARGS
        )
        page = browser.new_context(viewport={"width": 1400, "height": 1560}).new_page()
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def _prepare(page: Page, hub: HubServer, tokenizer: Path, folder: Path) -> None:
    """Make a dataset in every status."""
    corpus = folder / "notes.csv"
    corpus.write_text("number\n1\n")
    code = f"""
dataset = panel.manager.download({LIBRARY!r}, hf_token=False).wait()
panel.manager.tokenize(dataset.id, tokenizer={str(tokenizer)!r}, max_length=512).wait()
panel.manager.tokenize(dataset.id, tokenizer={str(tokenizer)!r}, max_length=256,
                       mode="per_sample").wait()
panel.manager.import_files({str(corpus)!r}, name="notes.csv").wait_until_ended(60)
"""
    pages.run_in_kernel(page, code)
    hub.throttle = 400_000
    pages.run_in_kernel(page, f"job = panel.manager.download({TESTS!r}, hf_token=False)")


def _take(page: Page, tokenizer: Path) -> None:
    for name in (LIBRARY, TESTS, "notes.csv"):
        pages.card(page, name).wait_for()
    caption = pages.part(pages.card(page, TESTS), "progress.caption")
    expect(caption).to_contain_text("left", timeout=60_000)
    _dismiss(page)
    page.mouse.move(2, 700)
    page.screenshot(path=DOCS / "panel-lab.png")
    page.set_viewport_size({"width": 1280, "height": 900})

    pages.card(page, LIBRARY).get_by_role("button", name=LIBRARY).click()
    dialog = page.get_by_role("dialog")
    expect(pages.part(dialog, "overview.file")).to_have_count(3)
    expect(pages.part(dialog, "stat.value.purple")).to_have_text("8,192")
    _shoot(page, "panel-overview")

    tab = _open(dialog, "samples")
    pages.part(tab, "samples.search").fill("yield")
    pages.part(tab, "sample.highlight").first.wait_for()
    short = pages.part(tab, "sample.card").filter(has_text="__await__")
    pages.part(short, "sample.button.expand").click()
    pages.part(short, "sample.button.tokens").click()
    pages.part(short, "sample.chips").wait_for()
    pages.part(tab, "samples.search").blur()
    tab.evaluate("node => { node.scrollTop = 0 }")
    _shoot(page, "panel-samples")

    tab = _open(dialog, "tokenization")
    tab.get_by_label("Tokenizer", exact=True).fill(str(tokenizer))
    pages.part(tab, "preview.textarea").fill("def scale(self, by: float) -> Self:")
    pages.part(tab, "preview.result").wait_for()
    pages.part(tab, "preview.section").evaluate("node => node.scrollIntoView({block: 'start'})")
    _shoot(page, "panel-tokenization")

    tab = _open(dialog, "statistics")
    expect(pages.part(tab, "histogram.card")).to_have_count(2)
    _shoot(page, "panel-statistics")


def _open(dialog: Locator, name: str) -> Locator:
    dialog.get_by_role("tab", name=name).click()
    shown = dialog.get_by_role("tabpanel", name=name)
    shown.wait_for()
    return shown


def _dismiss(page: Page) -> None:
    """Close what stands before the panel: our own messages, and JupyterLab's question."""
    news = page.get_by_role("button", name="No", exact=True)
    news.click()
    expect(news).to_have_count(0)
    toasts = pages.part(page, "toast")
    while toasts.count():
        toasts.first.get_by_label("Dismiss").click()


def _shoot(page: Page, name: str) -> None:
    page.wait_for_timeout(500)
    pages.part(page, "modal.panel").screenshot(path=DOCS / f"{name}.png")


if __name__ == "__main__":
    main()
