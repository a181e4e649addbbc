"""A thousand datasets, and names that nobody expected, in real JupyterLab."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, expect

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import Catalog
from mistudio_widgets.records import DatasetRecord, Manifest, new_dataset_id, utc_now

from .pages import card, open_notebook, part, run_all
from .servers import Server, write_notebook

pytestmark = pytest.mark.browser

NAMES = {
    "long": "a-name-without-an-end-" * 22 + "of-500-letters!!",
    "right to left": "مجموعة بيانات • עברית (2)",
    "emoji": "👩🏽‍🚀📚🇪🇺 emoji",
    "markup": "<script>document.title = 'executed'</script><img src=x onerror=alert(1)>",
}
NUM_DATASETS = 1000


@pytest.fixture(scope="module")
def panel(
    browser: Browser, lab: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A panel with all of them, the oddly named first."""
    data_dir = tmp_path_factory.mktemp("many") / "datasets"
    now = utc_now() - timedelta(days=1)
    with DatasetManager(data_dir, device="cpu") as manager:
        with Catalog(manager.data_dir / "catalog.duckdb").write() as writer:
            for number in range(NUM_DATASETS - len(NAMES)):
                made = now - timedelta(seconds=number)
                record = DatasetRecord(
                    id=new_dataset_id(),
                    name=f"Dataset {number}",
                    source="huggingface",
                    repo_id=f"owner{number % 7}/name-{number}",
                    status="ready" if number % 10 else "error",
                    progress=100,
                    size_bytes=number * 1000,
                    num_samples=number,
                    created_at=made,
                    updated_at=made,
                )
                writer.insert_dataset(record)
                folder = manager.data_dir / "datasets" / record.id
                folder.mkdir(parents=True)
                manifest = Manifest(dataset=record, files=())
                (folder / "manifest.json").write_text(manifest.model_dump_json())
        for name in NAMES.values():
            manager.import_dataset(pa.table({"text": [name] * 3}), name=name).wait(60)
    write_notebook(lab.notebooks / "Many.ipynb", data_dir)
    context = browser.new_context(viewport={"width": 1500, "height": 1100})
    page = context.new_page()
    page.set_default_timeout(30_000)
    open_notebook(page, lab, "Many.ipynb")
    run_all(page)
    part(page, "list.title").wait_for()
    yield page
    context.close()


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_is_shown_as_it_is_and_breaks_nothing(panel: Page, kind: str) -> None:
    name = NAMES[kind]
    shown = card(panel, name)
    expect(shown).to_be_visible()
    assert part(panel, "list.grid").evaluate("node => node.scrollWidth <= node.clientWidth")
    # what follows a name keeps its direction, and its place below the title
    source = part(shown, "card.source")
    expect(source).to_have_text("Source: custom")
    assert source.evaluate("node => getComputedStyle(node).direction") == "ltr"

    shown.get_by_role("button", name=name, exact=True).click()
    dialog = panel.get_by_role("dialog", name=name, exact=True)
    expect(part(dialog, "modal.title")).to_have_text(name)
    expect(part(dialog, "modal.close")).to_be_in_viewport()
    dialog.get_by_role("tab", name="samples").click()
    expect(part(dialog, "sample.text")).to_have_text([name] * 3)
    panel.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    part(shown, "card.delete").click()
    question = panel.get_by_role("alertdialog")
    expect(question).to_contain_text(name)
    expect(part(question, "delete.confirm")).to_be_in_viewport()
    panel.keyboard.press("Escape")
    expect(question).to_be_hidden()
    assert panel.title() != "executed"
    assert part(panel, "panel.root").locator("script, img").count() == 0


def test_a_thousand_datasets_are_paged_searched_and_filtered(panel: Page) -> None:
    expect(part(panel, "list.title")).to_have_text("Your Datasets (1,000)")
    expect(part(panel, "card")).to_have_count(50)
    pages = part(panel, "list.pages")
    titles = part(panel, "card.title")
    pages.get_by_role("button", name="Next").click()
    expect(part(pages, "pagination.text")).to_have_text("Showing 51-100 of 1,000")
    expect(titles.first).to_have_text("Dataset 46")
    pages.get_by_label("Page").fill("20")
    pages.get_by_label("Page").press("Enter")
    expect(part(pages, "pagination.text")).to_have_text("Showing 951-1,000 of 1,000")
    expect(titles.last).to_have_text("Dataset 995")
    part(panel, "list.search").fill("dataset 77")
    expect(titles).to_have_text(["Dataset 77", *(f"Dataset {770 + n}" for n in range(10))])
    part(panel, "list.status").select_option("error")
    expect(titles).to_have_text(["Dataset 770"])
    part(panel, "list.search").fill("")
    expect(part(pages, "pagination.text")).to_have_text("Showing 1-50 of 100")
    part(panel, "list.status").select_option("")
    expect(part(pages, "pagination.text")).to_have_text("Showing 1-50 of 1,000")
