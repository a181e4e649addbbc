"""`Datasets.ipynb` as a read-only dashboard."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from mistudio_widgets import DatasetManager

from .pages import card, expect_status, part
from .servers import Server

pytestmark = pytest.mark.browser


def test_the_page_is_no_higher_than_the_window(page: Page, voila: Server) -> None:
    # higher than a whole page of datasets, whatever others left there
    page.set_viewport_size({"width": 1400, "height": 10_000})
    page.goto(voila.url)
    part(page, "panel.title").wait_for(timeout=60_000)
    expect(page.get_by_role("heading", name=re.compile("^Datasets"))).to_have_count(1)
    heights = """node => {
      const host = node.getRootNode().host;
      const over = [];
      for (let parent = host; parent; parent = parent.parentElement)
        over.push(parent.scrollHeight - parent.clientHeight);
      return Math.max(...over);
    }"""
    assert part(page, "panel.root").evaluate(heights) == 0


def test_the_dashboard_follows_and_offers_nothing_to_change(
    page: Page, voila: Server, outside: DatasetManager, tmp_path: Path
) -> None:
    page.goto(voila.url)
    part(page, "panel.title").wait_for(timeout=60_000)
    expect(part(page, "panel.readonly")).to_be_visible()
    path = tmp_path / "seen.txt"
    path.write_text("one\ntwo\n")
    record = outside.import_files(path, name="Seen from outside").wait(60)
    expect_status(page, "Seen from outside", "Ready", 10)
    for name in ("form.card", "card.delete", "card.cancel", "card.retry"):
        expect(part(page, name)).to_have_count(0)
    card(page, "Seen from outside").get_by_text("Seen from outside").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(record.id)
    assert str(outside.data_dir) not in dialog.inner_text()
    page.keyboard.press("Escape")
    outside.delete_dataset(record.id)
    expect(card(page, "Seen from outside")).to_have_count(0)


def test_visitors_look_into_a_dataset_and_preview_with_its_tokenizer(
    page: Page, voila: Server, outside: DatasetManager, tmp_path: Path, tokenizer_path: Path
) -> None:
    path = tmp_path / "looked_at.txt"
    path.write_text("def one\ndef two\nclass Three\n")
    record = outside.import_files(path, name="Looked at").wait(60)
    outside.tokenize(record.id, tokenizer=str(tokenizer_path), max_length=8).wait(60)
    page.goto(voila.url)
    expect_status(page, "Looked at", "Ready", 60)
    card(page, "Looked at").get_by_text("Looked at").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("tab", name="Samples").click()
    expect(part(dialog, "sample.card")).to_have_count(3)
    dialog.get_by_label("Search in dataset samples").fill("class")
    expect(part(dialog, "sample.highlight")).to_have_text(["class"])
    expect(part(dialog, "index")).to_be_visible()
    expect(part(dialog, "index").get_by_role("button")).to_have_count(0)
    dialog.get_by_role("tab", name="Tokenization").click()
    expect(part(dialog, "apply.button")).to_have_count(0)
    dialog.get_by_label("Text to preview tokenization").fill("def")
    expect(part(dialog, "preview.count")).to_contain_text("3 characters")
    dialog.get_by_role("tab", name="Statistics").click()
    expect(part(dialog, "histogram.card")).to_have_count(2)
    assert str(tokenizer_path.parent) not in dialog.inner_text()
    outside.delete_dataset(record.id)
