"""Two notebooks, a script and a dashboard on one data folder, all at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from mistudio_widgets import DatasetManager

from .pages import card, expect_status, open_notebook, part, run_all, run_in_kernel
from .servers import Server

pytestmark = pytest.mark.browser

EACH = 6
# imports and tokenizes in turn, and deletes every other dataset again
_WRITE = """
from collections.abc import Iterator
from pathlib import Path
from mistudio_widgets import DatasetManager
manager = DatasetManager({data_dir!r}, device="cpu")
for number in range({each}):
    record = manager.import_files({text!r}, name=f"{who} {{number}}").wait(120)
    if number % 2:
        manager.tokenize(record.id, tokenizer={tokenizer!r}, max_length=8).wait(120)
    else:
        manager.delete_dataset(record.id)
        manager.import_files({text!r}, name=f"{who} {{number}}").wait(120)
manager.close()
print("done")
"""
_SLOW = """
import sys
from mistudio_widgets import DatasetManager
with DatasetManager({data_dir!r}, device="cpu") as manager:
    job = manager.import_files({text!r}, name="From a script")
    print(job.dataset_id, flush=True)
    job.wait(240)
    sys.stdin.read()
"""


def _script(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def pages(browser: Browser, lab: Server, voila: Server) -> Iterator[list[Page]]:
    """Two notebooks with kernels of their own, and a dashboard."""
    shutil.copy(lab.notebooks / "Datasets.ipynb", lab.notebooks / "Second.ipynb")
    contexts = [browser.new_context(viewport={"width": 1400, "height": 2000}) for _ in range(3)]
    opened = [context.new_page() for context in contexts]
    for page, name in zip(opened, ("Datasets.ipynb", "Second.ipynb"), strict=False):
        page.set_default_timeout(60_000)
        open_notebook(page, lab, name)
        run_all(page)
    opened[2].goto(voila.url)
    for page in opened:
        part(page, "panel.title").wait_for(timeout=60_000)
    yield opened
    for context in contexts:
        context.close()


def _names(page: Page, who: str) -> list[str]:
    shown = part(page, "card.title").all_inner_texts()
    return sorted(name for name in shown if name.startswith(who))


def test_all_see_what_a_script_does_while_it_does_it(
    pages: list[Page], outside: DatasetManager, long_text: Path
) -> None:
    code = _SLOW.format(data_dir=str(outside.data_dir), text=str(long_text))
    with _script(code) as script:
        assert script.stdout is not None
        dataset_id = script.stdout.readline().strip()
        for page in pages:
            expect_status(page, "From a script", "Processing")
            expect(part(card(page, "From a script"), "progress.caption")).to_contain_text("%")
        for page in pages:
            expect_status(page, "From a script", "Ready", 240)
        script.communicate()
    # one that did not make it may delete it, and it goes everywhere
    shown = card(pages[1], "From a script")
    part(shown, "card.delete").click()
    part(pages[1].get_by_role("alertdialog"), "delete.confirm").click()
    for page in pages:
        expect(card(page, "From a script")).to_have_count(0)
    assert not (outside.data_dir / "datasets" / dataset_id).exists()


def test_all_write_and_nothing_is_lost_or_doubled(
    pages: list[Page], outside: DatasetManager, tokenizer_path: Path, tmp_path: Path
) -> None:
    text = tmp_path / "some.txt"
    text.write_text("one two three\n" * 50)
    given = {
        "data_dir": str(outside.data_dir),
        "text": str(text),
        "tokenizer": str(tokenizer_path),
        "each": EACH,
    }
    with _script(_WRITE.format(who="Together C", **given)) as script:
        # in the kernels, beside their panels
        thread = "import threading\nthreading.Thread(target=exec, args=({code!r}, {{}})).start()"
        for page, who, name in (
            (pages[0], "Together A", "Datasets.ipynb"),
            (pages[1], "Together B", "Second.ipynb"),
        ):
            run_in_kernel(page, thread.format(code=_WRITE.format(who=who, **given)), name)
        assert script.communicate(timeout=240)[0] == "done\n"
    expected = [f"Together {who} {number}" for who in "ABC" for number in range(EACH)]
    for page in pages:
        part(page, "list.search").fill("Together")
        expect(part(page, "card")).to_have_count(len(expected), timeout=240_000)
        expect(part(page, "chip.tokenized")).to_have_count(len(expected) // 2, timeout=60_000)
        assert _names(page, "Together") == expected
    found = outside.list_datasets(search="Together", limit=100).items
    assert sorted(record.name for record in found) == expected
    assert {record.status for record in found} == {"ready"}
    assert [outside.verify(record.id).wait(60).damaged for record in found[:3]] == [()] * 3
    folders = {path.name for path in (outside.data_dir / "datasets").iterdir()}
    records = outside.list_datasets(limit=100).items
    # a failed import of another test has a record, and no folder
    ready = {record.id for record in records if record.status == "ready"}
    assert ready <= folders <= {record.id for record in records}
    for record in found:
        outside.delete_dataset(record.id)
    for page in pages:
        expect(part(page, "card")).to_have_count(0)
