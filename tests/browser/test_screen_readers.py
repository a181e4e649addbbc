"""axe-core on the panel in every state: nothing serious, nothing critical."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hub_server import HubServer
from playwright.sync_api import Browser, Locator, Page, expect

from mistudio_widgets import DatasetManager

from .axe import Checker
from .gallery import DOWNLOADING, FAILED, PROCESSING, READY, Gallery, hung, paragraphs
from .pages import (
    card,
    expect_status,
    open_notebook,
    part,
    restart_kernel,
    run_all,
    run_in_kernel,
)
from .servers import start_lab, start_voila, write_notebook

pytestmark = pytest.mark.browser

NOTEBOOK = "Heard.ipynb"
MOCK = "the mock writes it in slate-500"
PROD = "the product that the mock points to writes it in slate-500"
# Texts that are fainter than WCAG AA wants, and why.
FAINT = {
    "form.button": "the mock writes it in white on emerald-600",
    "apply.button": "the mock writes it in slate-100 on emerald-600",
    "form.help": MOCK,
    "empty.text": MOCK,
    "sample.meta.id": MOCK,
    "sample.meta.footer": MOCK,
    "stat.unit": MOCK,
    "split.percent": MOCK,
    "info.label": PROD,
    "nothing.text": PROD,
    "preview.counter": PROD,
    "preview.legend": PROD,
    "toggle.help": PROD,
    "tokenization.help": PROD,
}
THEMES = ("JupyterLab Light", "JupyterLab Dark")
TABS = ("overview", "samples", "tokenization", "statistics")


def _use_theme(page: Page, theme: str) -> None:
    page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
    )
    light = "false" if "Dark" in theme else "true"
    page.locator(f"body[data-jp-theme-light='{light}']").wait_for(state="attached")
    # it stands before everything while the theme is loaded
    page.locator("#jupyterlab-splash").wait_for(state="detached")


def _new_page(browser: Browser) -> Page:
    # what fades in has no contrast yet; what is below the edge of a dialog would not be looked at
    context = browser.new_context(viewport={"width": 1600, "height": 6000}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(30_000)
    return page


def _check_form(checker: Checker) -> None:
    page = checker.page
    form = part(page, "form.card")
    repository = part(form, "form.input.repo")
    repository.fill(READY)
    expect(part(form, "plan.files")).to_contain_text("3")
    part(form, "form.input.token").fill("hf_secret")
    part(form, "form.reveal").click()
    checker.check("plan of a download")
    part(form, "form.input.token").fill("")
    part(form, "form.input.config").fill("de")
    expect(part(form, "error.box")).to_contain_text("It has")
    checker.check("config that is not there")
    part(form, "form.input.config").fill("")
    repository.fill("no/such/id")
    repository.blur()
    expect(part(form, "form.help").first).to_have_text("Invalid dataset ID format")
    checker.check("invalid repository")
    repository.fill("")
    part(form, "form.switch").click()
    checker.check("import")
    part(form, "form.input.paths").fill("/nowhere/at/all.txt")
    part(form, "form.input.divide").fill("half")
    part(form, "form.button").click()
    part(form, "form.input.divide").fill("")
    part(form, "form.button").click()
    expect(part(form, "error.box")).to_contain_text("all.txt")
    checker.check("import of what is not there")
    part(form, "form.input.paths").fill("")
    part(form, "form.switch").click()


def _check_list(checker: Checker, *, is_read_only: bool) -> None:
    page = checker.page
    for title, status in (
        (READY, "Ready"),
        (DOWNLOADING, "Downloading"),
        (PROCESSING, "Processing"),
        (FAILED, "Error"),
    ):
        expect_status(page, title, status)
    checker.check("list")
    card(page, FAILED).hover()
    checker.check("card under the mouse")
    if not is_read_only:
        part(card(page, DOWNLOADING), "card.pause").hover()
        part(card(page, READY), "card.delete").click()
        page.get_by_role("alertdialog").wait_for()
        checker.check("delete dialog")
        page.keyboard.press("Escape")


def _open(dialog: Locator, tab: str) -> Locator:
    dialog.get_by_role("tab", name=tab).click()
    shown = dialog.get_by_role("tabpanel", name=tab)
    shown.wait_for()
    return shown


def _check_samples(checker: Checker, dialog: Locator) -> None:
    tab = _open(dialog, "samples")
    expect(part(tab, "sample.card")).to_have_count(10)
    checker.check("samples")
    part(tab, "samples.search").fill("import")
    part(tab, "sample.highlight").first.wait_for()
    part(tab, "sample.button.expand").first.click()
    part(tab, "sample.button.tokens").first.click()
    part(tab, "sample.chips").first.wait_for()
    part(tab, "sample.button.copy").first.click()
    checker.check("sample with its tokens")
    part(tab, "samples.search").fill("nothing-has-this-word")
    part(tab, "pagination.text.nomatch").wait_for()
    tab.get_by_label("At least tokens").fill("many")
    checker.check("no sample")
    tab.get_by_role("button", name="Clear filters").click()


def _check_tokenization(checker: Checker, dialog: Locator, gallery: Gallery) -> None:
    tab = _open(dialog, "tokenization")
    tab.get_by_label("Tokenizer", exact=True).fill(str(gallery.tokenizer))
    part(tab, "tokenization.more").locator("summary").click()
    checker.check("tokenization, packed")
    tab.get_by_label("Mode").select_option("per_sample")
    part(tab, "tokenization.input.maxlength").fill("16")
    tab.get_by_label("Padding Strategy").select_option("max_length")
    part(tab, "preview.textarea").fill("def f")
    part(tab, "attention.mask.zero").first.wait_for()
    checker.check("tokenization, previewed")
    part(tab, "tokenization.input.maxlength").fill("0")
    checker.check("tokenization, invalid")
    part(tab, "tokenization.delete").first.click()
    part(checker.page, "tokenization.delete.confirm").wait_for()
    checker.check("tokenization to delete")
    checker.page.keyboard.press("Escape")


def _check_dialog(checker: Checker, gallery: Gallery, *, is_read_only: bool) -> None:
    page = checker.page
    card(page, READY).get_by_text(READY, exact=True).first.click()
    dialog = page.get_by_role("dialog")
    expect(part(dialog, "overview.description.text")).to_contain_text("Sources of a library")
    expect(part(dialog, "stat.value.purple")).to_have_text(re.compile(r"\d"))
    checker.check("overview")
    _check_samples(checker, dialog)
    if is_read_only:
        tab = _open(dialog, "tokenization")
        part(tab, "preview.textarea").fill("def f")
        part(tab, "preview.result").wait_for()
        checker.check("tokenization")
    else:
        _check_tokenization(checker, dialog, gallery)
    tab = _open(dialog, "statistics")
    expect(part(tab, "histogram.card")).to_have_count(2, timeout=60_000)
    checker.check("statistics")
    part(tab, "histogram.row").first.hover()
    checker.check("statistics under the mouse")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    card(page, FAILED).get_by_text(FAILED, exact=True).first.click()
    for name in TABS:
        _open(dialog, name)
        checker.check(f"{name} of a dataset in error")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def _check_quiet(checker: Checker) -> None:
    """Check what is shown before there is anything."""
    checker.check("empty")
    page = checker.page
    full = "{**panel.storage, 'is_low': True, 'reclaimable_bytes': 7 * 10**8}"
    run_in_kernel(page, f"panel.set_trait('storage', {full})", NOTEBOOK)
    part(page, "panel.disk").wait_for()
    checker.check("full disk")
    run_in_kernel(page, "before = panel.version; panel.set_trait('version', '')", NOTEBOOK)
    part(page, "loading").wait_for()
    checker.check("loading")
    run_in_kernel(page, "panel.set_trait('version', before)", NOTEBOOK)
    part(page, "empty").wait_for()


def _check_toasts(checker: Checker) -> None:
    page = checker.page
    imported = "manager.import_dataset(pa.table({{{name!r}: ['told']}}), name='Told').wait()"
    run_in_kernel(page, f"import pyarrow as pa; panel.{imported.format(name='text')}", NOTEBOOK)
    part(page, "toast").first.wait_for()
    checker.check("toast")


def _check_end(checker: Checker) -> None:
    page = checker.page
    run_in_kernel(page, "panel.manager.close()", NOTEBOOK)
    part(page, "panel.error").wait_for()
    checker.check("closed manager")
    restart_kernel(page)
    part(page, "connection.lost").wait_for(timeout=60_000)
    checker.check("lost kernel")


@dataclass(frozen=True)
class Stage:
    """A panel with a dataset in every status, in JupyterLab and in Voila."""

    gallery: Gallery
    checkers: dict[str, Checker]


@pytest.fixture(scope="module")
def stage(
    browser: Browser,
    hub_server: HubServer,
    stdlib_files: list[Path],
    tokenizer_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("heard")
    data_dir = folder / "datasets"
    lab = start_lab(folder / "lab", hub_url=hub_server.url)
    write_notebook(lab.notebooks / NOTEBOOK, data_dir)
    served = start_voila(folder, data_dir)
    in_lab, in_voila = _new_page(browser), _new_page(browser)
    checkers = {
        "JupyterLab Light": Checker(in_lab, FAINT),
        "JupyterLab Dark": Checker(in_lab, FAINT),
        "Voila": Checker(in_voila, FAINT),
    }
    try:
        with DatasetManager(data_dir, device="cpu") as manager:
            open_notebook(in_lab, lab, NOTEBOOK)
            run_all(in_lab)
            in_voila.goto(served.url)
            for page in (in_lab, in_voila):
                part(page, "empty").wait_for(timeout=60_000)
            for theme in THEMES:
                _use_theme(in_lab, theme)
                _check_quiet(checkers[theme])
            checkers["Voila"].check("empty")
            texts = paragraphs(stdlib_files)
            with hung(manager, hub_server, texts, tokenizer_path, folder) as gallery:
                yield Stage(gallery, checkers)
    finally:
        for page in (in_lab, in_voila):
            page.context.close()
        served.stop()
        lab.stop()


@pytest.mark.parametrize("theme", THEMES)
def test_nothing_grave_in_jupyterlab(stage: Stage, theme: str) -> None:
    checker = stage.checkers[theme]
    _use_theme(checker.page, theme)
    _check_form(checker)
    _check_list(checker, is_read_only=False)
    _check_dialog(checker, stage.gallery, is_read_only=False)
    _check_toasts(checker)
    if theme == THEMES[-1]:
        _check_end(checker)
    assert list(map(str, checker.violations)) == []
    assert set(FAINT) - checker.excused == set(), "these need no excuse"


def test_nothing_grave_in_voila(stage: Stage) -> None:
    checker = stage.checkers["Voila"]
    _check_list(checker, is_read_only=True)
    _check_dialog(checker, stage.gallery, is_read_only=True)
    assert list(map(str, checker.violations)) == []
