"""The tabs that look into a dataset, in real JupyterLab, with real text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from mistudio_widgets import DatasetManager

from .pages import card, open_notebook, part, run_all, style
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


FACTS = {
    "samples": {
        "samples.search": {
            "background-color": "rgb(15, 23, 42)",
            "border-top-color": "rgb(51, 65, 85)",
            "border-top-left-radius": "8px",
            "padding-left": "16px",
            "height": "42px",
        },
        "samples.select": {"background-color": "rgb(15, 23, 42)", "height": "42px"},
        "samples.filters": {"display": "flex", "column-gap": "12px", "height": "42px"},
        "sample.card": {
            "background-color": "rgba(30, 41, 59, 0.3)",
            "border-top-left-radius": "8px",
            "padding-top": "16px",
        },
        "sample.meta.id": {"color": "rgb(100, 116, 139)", "font-size": "12px"},
        "sample.actions": {"display": "flex", "column-gap": "8px", "height": "16px"},
        "sample.button.copy": {"color": "rgb(148, 163, 184)", "width": "16px"},
        "sample.text": {"color": "rgb(203, 213, 225)", "font-size": "14px", "line-height": "20px"},
        "sample.meta.footer": {"color": "rgb(100, 116, 139)", "margin-top": "8px"},
        "pagination.text": {"color": "rgb(148, 163, 184)", "font-size": "14px"},
        "pagination.buttons": {"display": "flex", "column-gap": "8px"},
        "pagination.button": {
            "background-color": "rgb(30, 41, 59)",
            "padding-left": "12px",
            "padding-top": "4px",
            "border-top-left-radius": "4px",
        },
    },
    "tokenization": {
        "preview.title": {"font-weight": "600", "margin-bottom": "12px"},
        "preview.button": {"background-color": "rgb(51, 65, 85)", "height": "40px"},
        "preview.result": {"background-color": "rgba(30, 41, 59, 0.3)", "padding-top": "16px"},
        "preview.chips": {"column-gap": "4px", "flex-wrap": "wrap"},
        "preview.count": {"color": "rgb(148, 163, 184)", "font-size": "12px"},
        "token.chip.regular": {
            "background-color": "rgba(51, 65, 85, 0.5)",
            "color": "rgb(203, 213, 225)",
            "border-top-color": "rgb(71, 85, 105)",
            "font-size": "12px",
            "padding-left": "8px",
        },
        "attention.mask.box": {
            "background-color": "rgba(15, 23, 42, 0.5)",
            "border-top-color": "rgb(51, 65, 85)",
            "padding-top": "12px",
            "max-height": "128px",
        },
        "attention.mask.one": {
            "background-color": "rgba(16, 185, 129, 0.2)",
            "color": "rgb(110, 231, 183)",
            "width": "24px",
            "height": "24px",
        },
    },
    "statistics": {
        "stats.grid": {"display": "grid", "column-gap": "16px"},
        "stats.metric.card": {"background-color": "rgba(30, 41, 59, 0.3)", "height": "88px"},
        "stats.metric.label": {"color": "rgb(148, 163, 184)", "margin-bottom": "4px"},
        "stats.metric.value.emerald": {"color": "rgb(52, 211, 153)", "font-size": "24px"},
        "stats.metric.value.blue": {"color": "rgb(96, 165, 250)"},
        "stats.metric.value.purple": {"color": "rgb(192, 132, 252)"},
        "stats.metric.value.yellow": {"color": "rgb(250, 204, 21)", "font-weight": "700"},
        "histogram.card": {
            "background-color": "rgba(15, 23, 42, 0.5)",
            "border-top-color": "rgb(30, 41, 59)",
            "padding-top": "24px",
            "margin-top": "24px",
        },
        "histogram.row": {"column-gap": "12px", "height": "32px"},
        "histogram.label": {"width": "96px", "font-size": "14px"},
        "histogram.track": {
            "background-color": "rgb(30, 41, 59)",
            "border-top-left-radius": "4px",
            "height": "32px",
        },
        "histogram.bar.max": {
            "background-image": "linear-gradient(to right, rgb(16, 185, 129), rgb(52, 211, 153))",
            "padding-right": "8px",
        },
        "histogram.bar.count": {"font-size": "12px", "font-weight": "500"},
        "histogram.summary": {"color": "rgb(148, 163, 184)", "margin-top": "16px"},
        "split.tile": {"background-color": "rgba(30, 41, 59, 0.3)", "padding-top": "16px"},
        "split.value.train": {"color": "rgb(52, 211, 153)", "font-size": "24px"},
        "split.value.validation": {"color": "rgb(96, 165, 250)"},
        "split.value.test": {"color": "rgb(192, 132, 252)"},
        "split.percent": {"color": "rgb(100, 116, 139)", "margin-top": "4px"},
    },
}


@pytest.mark.parametrize("tab", FACTS)
def test_the_tabs_look_as_the_mock_does(dialog: Locator, tab: str) -> None:
    page = _open(dialog, tab)
    # what is hovered looks different
    page.mouse.move(2, 2)
    for name, facts in FACTS[tab].items():
        element = dialog.get_by_role("tabpanel").locator(f'[data-part~="{name}"]').first
        element.wait_for()
        assert style(element, *facts) == facts, name


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
