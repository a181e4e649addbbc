"""The tabs that look into a dataset, in real JupyterLab, with real text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from mistudio_widgets import DatasetManager

from .pages import card, open_notebook, part, run_all
from .servers import Server

pytestmark = pytest.mark.browser

NAME = "Library by paragraph"
SCRIPT = "<script>document.title = 'executed'</script> zebrafish"


@pytest.fixture(scope="module")
def dataset_id(
    lab: Server,
    tmp_path_factory: pytest.TempPathFactory,
    stdlib_files: list[Path],
    tokenizer_path: Path,
) -> Iterator[str]:
    """Paragraphs of the standard library in three splits, tokenized."""
    folder = tmp_path_factory.mktemp("paragraphs")
    texts = [
        {"text": paragraph, "source": file.name, "tags": {"length": len(paragraph)}}
        for file in stdlib_files[:150]
        for paragraph in file.read_text("utf-8").split("\n\n")
        if paragraph.strip()
    ]
    texts[25]["text"] = SCRIPT
    parts = {"train": texts[:-300], "validation": texts[-300:-100], "test": texts[-100:]}
    for split, rows in parts.items():
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with DatasetManager(lab.data_dir, device="cpu") as manager:
        paths = {split: [str(folder / f"{split}.jsonl")] for split in parts}
        record = manager.import_files(paths, name=NAME, text_column="text").wait(120)
        settings = {"tokenizer": str(tokenizer_path), "max_length": 64}
        manager.tokenize(record.id, settings).wait(120)
        manager.build_index(record.id).wait(120)
        yield record.id
        manager.delete_dataset(record.id)


@pytest.fixture(scope="module")
def dialog(browser: Browser, lab: Server, dataset_id: str) -> Iterator[Locator]:
    """The dialog of the dataset, open for all tests of this file."""
    assert dataset_id
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    open_notebook(page, lab, "Datasets.ipynb")
    run_all(page)
    card(page, NAME).get_by_text(NAME, exact=True).click()
    opened = page.get_by_role("dialog")
    opened.wait_for()
    yield opened
    context.close()


def _open(dialog: Locator, tab: str) -> Page:
    dialog.get_by_role("tab", name=tab).click()
    dialog.get_by_role("tabpanel", name=tab).wait_for()
    return dialog.page


def test_samples_are_searched_filtered_and_paged(dialog: Locator) -> None:
    page = _open(dialog, "samples")
    expect(part(dialog, "sample.card")).to_have_count(10)
    expect(part(dialog, "pagination.text")).to_contain_text("Showing 1-10 of")
    expect(part(dialog, "index")).to_contain_text("Searches use an index")
    dialog.get_by_role("button", name="Next").click()
    expect(part(dialog, "pagination.text")).to_contain_text("Showing 11-20 of")
    dialog.get_by_label("Page").fill("3")
    dialog.get_by_label("Page").press("Enter")
    expect(part(dialog, "sample.meta.id").first).to_have_text("Sample #21 • train")
    dialog.get_by_label("Filter by dataset split").select_option("test")
    expect(part(dialog, "pagination.text")).to_have_text("Showing 1-10 of 100")
    dialog.get_by_label("Filter by dataset split").select_option("")
    search = dialog.get_by_label("Search in dataset samples")
    search.press_sequentially("zebrafish")
    expect(part(dialog, "sample.card")).to_have_count(1)
    expect(part(dialog, "sample.highlight")).to_have_text(["zebrafish"])
    expect(part(dialog, "sample.text")).to_have_text(SCRIPT)
    assert page.title() != "executed"
    search.fill("")
    dialog.get_by_label("At least tokens").fill("1000000")
    expect(part(dialog, "pagination.text.nomatch")).to_have_text("Showing 0 of 0")
    dialog.get_by_role("button", name="Clear filters").click()
    expect(part(dialog, "sample.card")).to_have_count(10)


def test_a_sample_is_expanded_copied_and_shown_as_tokens(dialog: Locator) -> None:
    page = _open(dialog, "samples")
    dialog.get_by_label("Search in dataset samples").fill("zebrafish")
    expect(part(dialog, "sample.card")).to_have_count(1)
    part(dialog, "sample.button.copy").click()
    expect(part(dialog, "sample.actions").get_by_role("status")).to_have_text("Copied")
    part(dialog, "sample.button.expand").click()
    expect(part(dialog, "sample.columns")).to_contain_text('"length":')
    part(dialog, "sample.button.tokens").click()
    chips = part(dialog, "sample.chips").get_by_role("listitem")
    expect(chips.first).to_be_visible()
    assert "".join(chips.all_text_contents()) == SCRIPT
    # what only screen readers see must not make the whole dialog scroll
    assert dialog.evaluate("node => node.scrollHeight === node.clientHeight")
    dialog.get_by_label("Search in dataset samples").fill("")
    expect(part(dialog, "sample.card")).to_have_count(10)
    assert page.get_by_role("dialog").count() == 1


def test_a_text_and_a_sample_are_previewed(dialog: Locator) -> None:
    _open(dialog, "tokenization")
    dialog.get_by_label("Mode").select_option("per_sample")
    dialog.get_by_label("Max Sequence Length").fill("16")
    dialog.get_by_label("Padding Strategy").select_option("max_length")
    dialog.get_by_label("Text to preview tokenization").press_sequentially("def f")
    expect(part(dialog, "attention.mask.zero").first).to_be_visible()
    expect(part(dialog, "preview.chips").get_by_role("listitem")).to_have_count(16)
    expect(part(dialog, "preview.count")).to_contain_text("5 characters")
    dialog.get_by_label("A sample of this dataset").check()
    dialog.get_by_label("Sample #").fill("26")
    expect(part(dialog, "preview.count")).to_contain_text(f"{len(SCRIPT)} characters")


def test_statistics_show_what_the_kernel_counted(dialog: Locator) -> None:
    _open(dialog, "statistics")
    expect(part(dialog, "histogram.card")).to_have_count(2, timeout=60_000)
    expect(part(dialog, "stats.metric.value.blue")).to_have_text(re.compile(r"^[\d,]+$"))
    expect(part(dialog, "split.value.test")).to_have_text("100")
    accounting = part(dialog, "stats.accounting")
    came, went = (
        accounting.get_by_text(side, exact=True).locator("xpath=../dd").inner_text()
        for side in ("Came", "Went")
    )
    assert came == went != "0"
    part(dialog, "histogram.row").first.hover()
    expect(part(dialog, "histogram.share").first).to_have_css("opacity", "1")
    dialog.get_by_label("Split", exact=True).select_option("validation")
    expect(part(dialog, "characters")).to_contain_text("200")


def test_what_is_typed_in_stays_where_it_is(dialog: Locator) -> None:
    _open(dialog, "samples")
    search = dialog.get_by_label("Search in dataset samples")
    expect(part(dialog, "sample.card")).to_have_count(10)
    before = search.bounding_box()
    search.fill("nothing-has-this-word")
    part(dialog, "pagination.text.nomatch").wait_for()
    assert search.bounding_box() == before
    search.fill("")
    expect(part(dialog, "sample.card")).to_have_count(10)
    assert search.bounding_box() == before


def test_the_browser_draws_dark_what_it_draws_itself(dialog: Locator) -> None:
    expect(part(dialog, "modal.content").last).to_have_css("color-scheme", "dark")


_FOCUSED = """node => {
  const focused = node.getRootNode().activeElement;
  return (focused.dataset.part ?? "") + " " + focused.textContent;
}"""


def test_a_question_about_a_tokenization_is_closed_alone(
    dialog: Locator, outside: DatasetManager, dataset_id: str, tokenizer_path: Path
) -> None:
    page = _open(dialog, "tokenization")
    settings = {"tokenizer": str(tokenizer_path), "max_length": 32}
    outside.tokenize(dataset_id, settings).wait(120)
    items = part(dialog, "tokenization.item")
    expect(items).to_have_count(2)
    part(items.first, "tokenization.delete").click()
    question = page.get_by_role("alertdialog")
    assert "Keep" in question.evaluate(_FOCUSED)
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    expect(items.first).to_be_visible()
    assert "tokenization.delete" in dialog.evaluate(_FOCUSED)
    page.keyboard.press("Enter")
    part(question, "tokenization.delete.confirm").click()
    expect(question).to_be_hidden()
    expect(items).to_have_count(1)
    assert "Tokenizations (1)" in dialog.evaluate(_FOCUSED)


def test_a_dataset_is_found_among_many(
    dialog: Locator, outside: DatasetManager, tmp_path: Path
) -> None:
    page = dialog.page
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    records = []
    for number in range(6):
        path = tmp_path / f"{number}.txt"
        path.write_text("text\n")
        records.append(outside.import_files(path, name=f"One of many {number}").wait(60))
    expect(part(page, "list.title")).to_have_text(
        f"Your Datasets ({outside.list_datasets().total})"
    )
    part(page, "list.search").fill("of MANY 4")
    expect(part(page, "card.title")).to_have_text(["One of many 4"])
    part(page, "list.status").select_option("error")
    expect(part(page, "list.nomatch")).to_be_visible()
    part(page, "list.status").select_option("")
    expect(part(page, "card")).to_have_count(1)
    # it goes also while the list is filtered
    outside.delete_dataset(records[4].id)
    expect(part(page, "list.nomatch")).to_be_visible()
    part(page, "list.search").fill("")
    expect(part(page, "card")).to_have_count(len(outside.list_datasets().items))
    expect(part(page, "panel.storage")).to_contain_text("free")
    for record in records[:4] + records[5:]:
        outside.delete_dataset(record.id)
