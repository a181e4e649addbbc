"""Every part of the mock in the running panel: in JupyterLab, light and dark, and in Voila."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer
from playwright.sync_api import Browser, Locator, Page, expect

from mistudio_widgets import DatasetManager

from .gallery import (
    DOWNLOADING,
    FAILED,
    PROCESSING,
    READY,
    UNKNOWN,
    Gallery,
    hung,
    paragraphs,
    show_unknown_status,
)
from .looks import EXPLAINED, FACTS, Looks
from .pages import card, expect_status, open_notebook, part, run_all
from .servers import Server, start_voila, write_notebook

pytestmark = pytest.mark.browser

Differences = dict[tuple[str, str], Any]

# Voila only reads: nothing there downloads, imports or tokenizes.
NOT_IN_VOILA = (
    "apply.", "card.delete", "form.", "toggle.", "tokenization.fields", "tokenization.help",
    "tokenization.input", "tokenization.select.", "tokenization.title",
)  # fmt: skip


def _new_page(browser: Browser) -> Page:
    context = browser.new_context(viewport={"width": 1600, "height": 1100})
    page = context.new_page()
    page.set_default_timeout(30_000)
    show_unknown_status(page)
    return page


def _use_theme(page: Page, theme: str) -> None:
    page.evaluate(
        """async theme => {
          await window.jupyterapp.commands.execute("apputils:change-theme", {theme});
        }""",
        theme,
    )
    light = "false" if "Dark" in theme else "true"
    page.locator(f"body[data-jp-theme-light='{light}']").wait_for(state="attached")


def _look_at_list(looks: Looks) -> None:
    page = looks.page
    for title, status in (
        (READY, "Ready"),
        (DOWNLOADING, "Downloading"),
        (PROCESSING, "Processing"),
        (FAILED, "Error"),
        (UNKNOWN, "Archived"),
    ):
        expect_status(page, title, status)
    expect(part(card(page, PROCESSING), "progress.track")).to_be_visible()
    looks.read()
    for title in (DOWNLOADING, PROCESSING, FAILED, UNKNOWN):
        looks.hover(card(page, title))
    for button in part(card(page, READY), "card.delete").all():
        looks.hover(button)


def _look_at_form(looks: Looks) -> None:
    form = part(looks.page, "form.card")
    looks.read("disabled")
    repository = part(form, "form.input.repo")
    looks.focus(repository)
    repository.fill(READY)
    button = part(form, "form.button")
    expect(button).to_be_enabled()
    repository.blur()
    looks.read()
    looks.hover(button)
    looks.focus(button)
    repository.fill("")


def _open(dialog: Locator, tab: str) -> Locator:
    dialog.get_by_role("tab", name=tab).click()
    shown = dialog.get_by_role("tabpanel", name=tab)
    shown.wait_for()
    dialog.page.mouse.move(2, 2)
    return shown


def _look_at_overview(looks: Looks, dialog: Locator) -> None:
    expect(part(dialog, "overview.description.text")).to_contain_text("Sources of a library")
    expect(part(dialog, "stat.value.purple")).to_have_text(re.compile(r"\d"))
    looks.read()
    looks.hover(part(dialog, "modal.close"))
    looks.hover(part(dialog, "tab.inactive").first)


def _look_at_samples(looks: Looks, dialog: Locator) -> None:
    tab = _open(dialog, "samples")
    expect(part(tab, "sample.card")).to_have_count(10)
    looks.read()
    looks.hover(part(tab, "sample.button.copy").first)
    looks.hover(tab.get_by_role("button", name="Next"))
    looks.focus(part(tab, "samples.select"))
    looks.read("disabled")
    first = part(tab, "sample.card").first
    part(first, "sample.button.expand").click()
    looks.page.mouse.move(2, 2)
    part(first, "sample.button.collapse").wait_for()
    looks.read()
    # a tokenizer that is gone leaves ids without texts
    counted = tab.get_by_label("Tokens counted by")
    gone = counted.locator("option", has_text="gone").get_attribute("value")
    counted.select_option(gone)
    part(first, "sample.button.tokens").click()
    part(first, "token.chip").first.wait_for()
    looks.read()
    part(tab, "samples.search").fill("nothing-has-this-word")
    part(tab, "pagination.text.nomatch").wait_for()
    looks.read()
    part(tab, "samples.search").fill("")


def _preview(looks: Looks, tab: Locator) -> None:
    text = part(tab, "preview.textarea")
    looks.focus(text)
    text.fill("def f")
    part(tab, "preview.result").wait_for()
    text.blur()


def _look_at_tokenization(looks: Looks, dialog: Locator, gallery: Gallery) -> None:
    tab = _open(dialog, "tokenization")
    tab.get_by_label("Tokenizer", exact=True).fill(str(gallery.tokenizer))
    looks.read()
    tab.get_by_label("Mode").select_option("per_sample")
    looks.read()
    length = part(tab, "tokenization.input.maxlength")
    length.fill("16")
    tab.get_by_label("Padding Strategy").select_option("max_length")
    _preview(looks, tab)
    part(tab, "attention.mask.zero").first.wait_for()
    looks.read()
    looks.focus(part(tab, "tokenization.input.maxlength"))
    looks.focus(part(tab, "tokenization.select.padding"))
    looks.hover(part(tab, "preview.button"))
    looks.hover(part(tab, "apply.button"))
    looks.catch("apply.button.spinner", "apply.button:disabled")
    part(tab, "apply.button").click()
    looks.read_caught()
    expect(part(tab, "tokenization.item")).to_have_count(3)


def _look_at_statistics(looks: Looks, dialog: Locator) -> None:
    tab = _open(dialog, "statistics")
    expect(part(tab, "histogram.card")).to_have_count(2, timeout=60_000)
    part(tab, "split.value.validation").wait_for()
    looks.read()


def _look_around(page: Page, gallery: Gallery, *, is_read_only: bool = False) -> Looks:
    looks = Looks(page)
    _look_at_list(looks)
    if not is_read_only:
        _look_at_form(looks)
    card(page, READY).get_by_text(READY, exact=True).first.click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    _look_at_overview(looks, dialog)
    _look_at_samples(looks, dialog)
    if is_read_only:
        tab = _open(dialog, "tokenization")
        _preview(looks, tab)
        looks.read()
        looks.focus(part(tab, "tokenization.select"))
        looks.hover(part(tab, "preview.button"))
    else:
        _look_at_tokenization(looks, dialog, gallery)
    _look_at_statistics(looks, dialog)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    return looks


@pytest.fixture(scope="module")
def differences(
    browser: Browser,
    lab: Server,
    hub_server: HubServer,
    stdlib_files: list[Path],
    tokenizer_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Differences]]:
    """What is unlike the mock, by the place where it was seen."""
    folder = tmp_path_factory.mktemp("mock")
    data_dir = folder / "datasets"
    write_notebook(lab.notebooks / "Mock.ipynb", data_dir)
    served = start_voila(folder, data_dir)
    in_lab, in_voila = _new_page(browser), _new_page(browser)
    texts = paragraphs(stdlib_files)
    try:
        with DatasetManager(data_dir, device="cpu") as manager:
            empty: dict[str, Looks] = {}
            open_notebook(in_lab, lab, "Mock.ipynb")
            run_all(in_lab)
            in_voila.goto(served.url)
            for page in (in_lab, in_voila):
                part(page, "empty").wait_for(timeout=60_000)
            themes = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
            for name, theme in themes.items():
                _use_theme(in_lab, theme)
                empty[name] = Looks(in_lab)
            empty["voila"] = Looks(in_voila)
            for looks in empty.values():
                looks.read()
            found = {}
            with hung(manager, hub_server, texts, tokenizer_path, folder) as gallery:
                for name, theme in themes.items():
                    _use_theme(in_lab, theme)
                    found[name] = _look_around(in_lab, gallery)
                found["voila"] = _look_around(in_voila, gallery, is_read_only=True)
                for name, looks in found.items():
                    looks.add(empty[name])
        yield {name: looks.differences() for name, looks in found.items()}
    finally:
        for page in (in_lab, in_voila):
            page.context.close()
        served.stop()


@pytest.mark.parametrize("place", ["light", "dark", "voila"])
def test_nothing_is_unlike_the_mock(differences: dict[str, Differences], place: str) -> None:
    told = differences[place]
    expected = set(EXPLAINED)
    if place == "voila":
        hidden = {name for name in FACTS if name.startswith(NOT_IN_VOILA)}
        expected = {key for key in expected if key[0] not in hidden}
        expected |= {(name, "") for name in hidden}
    unexplained = [
        f"{name} {prop}: {text}"
        for (name, prop), text in told.items()
        if (name, prop) not in expected
    ]
    assert unexplained == []
    assert expected - set(told) == set(), "these are as in the mock, and need no reason"
