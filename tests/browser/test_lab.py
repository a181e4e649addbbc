"""The product in real JupyterLab, in a real browser, as its user meets it."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from playwright.sync_api import Page, expect

from mistudio_widgets import DatasetManager

from .pages import (
    card,
    cell_errors,
    expect_status,
    open_notebook,
    part,
    reload,
    restart_kernel,
    run_all,
    run_in_kernel,
    save,
    wait_until_idle,
)
from .servers import Server

pytestmark = pytest.mark.browser

STDLIB = "Python standard library"
STORIES = "roneneldan/TinyStories"


def _open_panel(page: Page, lab: Server) -> None:
    open_notebook(page, lab, "Datasets.ipynb")
    run_all(page)
    part(page, "panel.title").wait_for()


def _open_tokenization(page: Page, title: str) -> None:
    card(page, title).get_by_text(title, exact=True).click()
    page.get_by_role("tab", name="Tokenization").click()


def test_quickstart_from_files_to_tokens_and_all_again(page: Page, lab: Server) -> None:
    open_notebook(page, lab, "Quickstart.ipynb")
    run_all(page)
    page.evaluate("() => { document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0 }")
    part(page, "panel.title").wait_for()
    expect_status(page, STDLIB, "Processing")
    expect(part(card(page, STDLIB), "progress.track")).to_have_attribute("role", "progressbar")
    expect_status(page, STDLIB, "Tokenizing", 120)
    expect(part(card(page, STDLIB), "progress.caption")).to_contain_text("%")
    expect_status(page, STDLIB, "Ready", 120)
    expect(part(card(page, STDLIB), "chip.tokenized")).to_have_count(2, timeout=60_000)
    expect(part(card(page, STDLIB), "chip.tokenized")).to_contain_text(
        ["quickstart• per sample 256", "quickstart• packed 512"]
    )
    expect_status(page, STORIES, "Error", 60)
    expect(part(card(page, STORIES), "error.box")).to_contain_text("hub")
    wait_until_idle(page)
    assert cell_errors(page) == []
    samples = part(card(page, STDLIB), "card.samples").inner_text()

    restart_kernel(page)
    run_all(page)
    wait_until_idle(page)
    assert cell_errors(page) == []
    page.evaluate("() => { document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0 }")
    expect_status(page, STDLIB, "Ready")
    expect(part(page, "card")).to_have_count(2)
    expect(part(card(page, STDLIB), "chip.tokenized")).to_have_count(2)
    expect(part(card(page, STDLIB), "card.samples")).to_have_text(samples)


def test_tokenize_from_the_browser(
    page: Page, lab: Server, outside: DatasetManager, long_text: Path, tokenizer_path: Path
) -> None:
    _open_panel(page, lab)
    outside.import_files(long_text.parent, name="Long text", sample_by="paragraph").wait(120)
    expect_status(page, "Long text", "Ready", 10)
    _open_tokenization(page, "Long text")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tokenizer", exact=True).fill(str(tokenizer_path))
    dialog.get_by_label(re.compile("Max Sequence Length")).fill("128")
    part(dialog, "apply.button").click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect_status(page, "Long text", "Tokenizing", 20)
    expect(part(card(page, "Long text"), "progress.caption")).to_contain_text("/s", timeout=60_000)
    expect_status(page, "Long text", "Ready", 200)
    expect(part(card(page, "Long text"), "chip.tokenized")).to_have_count(1)
    (dataset,) = outside.list_datasets(search="Long text").items
    (record,) = outside.list_tokenizations(dataset.id)
    assert outside.load_tokens(record.id, "train")["input_ids"].shape[1] == 128


def test_cancel_from_the_browser_while_a_cell_is_running(
    page: Page, lab: Server, outside: DatasetManager, tokenizer_path: Path
) -> None:
    (dataset,) = outside.list_datasets(search="Long text").items
    open_notebook(page, lab, "Busy.ipynb")
    run_all(page)
    part(page, "panel.title").wait_for()
    _open_tokenization(page, "Long text")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tokenizer", exact=True).fill(str(tokenizer_path))
    dialog.get_by_label(re.compile("Max Sequence Length")).fill("64")
    part(dialog, "apply.button").click()
    page.keyboard.press("Escape")
    expect_status(page, "Long text", "Tokenizing", 20)
    part(card(page, "Long text"), "card.cancel").click()
    expect_status(page, "Long text", "Ready", 20)
    prompts = page.locator(".jp-Notebook .jp-InputPrompt").all_inner_texts()
    assert any("*" in prompt for prompt in prompts), "a cell had to be running all the time"
    expect(part(card(page, "Long text"), "chip.tokenized")).to_have_count(1)
    assert len(outside.list_tokenizations(dataset.id)) == 1
    assert outside.jobs() == []


def test_delete_asks_first_and_names_what_goes(
    page: Page, lab: Server, outside: DatasetManager, tmp_path: Path
) -> None:
    path = tmp_path / "few.txt"
    path.write_text("one\ntwo\n")
    record = outside.import_files(path, name="To be deleted").wait(60)
    _open_panel(page, lab)
    part(card(page, "To be deleted"), "card.delete").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("To be deleted")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(card(page, "To be deleted")).to_be_visible()
    part(card(page, "To be deleted"), "card.delete").click()
    part(dialog, "delete.confirm").click()
    expect(card(page, "To be deleted")).to_have_count(0)
    assert outside.list_datasets(search="To be deleted").total == 0
    assert not (lab.data_dir / "datasets" / record.id).exists()


def test_import_from_the_browser_and_bad_input_is_told(
    page: Page, lab: Server, tmp_path: Path
) -> None:
    _open_panel(page, lab)
    path = tmp_path / "numbers.csv"
    path.write_text("a,b\n1,2\n")
    part(page, "form.switch").get_by_text("Import local files").click()
    paths = part(page, "form.input.paths")
    paths.fill(str(tmp_path / "missing.txt"))
    part(page, "form.button").click()
    expect(part(page, "form.card")).to_contain_text("missing.txt")
    expect(paths).to_have_value(str(tmp_path / "missing.txt"))
    paths.fill(str(path))
    part(page, "form.input.name").fill("Numbers")
    part(page, "form.button").click()
    expect_status(page, "Numbers", "Error", 20)
    expect(paths).to_have_value("")
    box = part(card(page, "Numbers"), "error.box")
    expect(box).to_contain_text("numbers.csv")
    path.write_text("a,text\n1,hello\n")
    part(card(page, "Numbers"), "card.retry").click()
    expect_status(page, "Numbers", "Ready", 20)
    expect(box).to_have_count(0)


def test_offline_the_card_says_so(page: Page, lab: Server) -> None:
    _open_panel(page, lab)
    repository = page.get_by_label(re.compile("HuggingFace Dataset ID"))
    repository.fill("somebody/something")
    repository.press("Enter")
    expect_status(page, "somebody/something", "Error", 30)
    expect(repository).to_have_value("")
    expect(part(card(page, "somebody/something"), "error.box")).to_contain_text("reach")


def test_a_reload_shows_the_truth_again(
    page: Page, lab: Server, outside: DatasetManager, long_text: Path
) -> None:
    _open_panel(page, lab)
    save(page)
    job = outside.import_files(long_text, name="Reloaded")
    expect_status(page, "Reloaded", "Processing", 10)
    reload(page, "Datasets.ipynb")
    part(page, "panel.title").wait_for(timeout=60_000)
    expect(card(page, "Reloaded")).to_be_visible(timeout=20_000)
    job.wait(120)
    expect_status(page, "Reloaded", "Ready", 20)
    outside.delete_dataset(job.dataset_id)
    expect(card(page, "Reloaded")).to_have_count(0)


def test_two_views_show_the_same(page: Page, lab: Server, outside: DatasetManager) -> None:
    _open_panel(page, lab)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:create-output-view')")
    expect(part(page, "panel.title")).to_have_count(2)
    names = part(page, "panel.root").nth(0).locator("[data-part~='card.title']")
    others = part(page, "panel.root").nth(1).locator("[data-part~='card.title']")
    expect(names).to_have_count(outside.list_datasets().total)
    assert names.all_inner_texts() == others.all_inner_texts()


def _import(page: Page, path: Path, name: str) -> None:
    path.write_text("one\ntwo\n")
    run_in_kernel(page, f"panel.manager.import_files({str(path)!r}, name={name!r}).wait()")


def test_a_page_tells_once_what_happened_above_all_dialogs(
    page: Page, lab: Server, outside: DatasetManager, tmp_path: Path
) -> None:
    _open_panel(page, lab)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:create-output-view')")
    expect(part(page, "panel.title")).to_have_count(2)
    _import(page, tmp_path / "once.txt", "Told once")
    expect(part(page, "toast")).to_have_text(["Told once is ready: 2 samples"])
    part(page, "panel.root").nth(1).locator("[data-part~='card.delete']").first.click()
    expect(page.get_by_role("alertdialog")).to_be_visible()
    _import(page, tmp_path / "above.txt", "Told above")
    toast = part(page, "toast").filter(has_text="Told above")
    expect(toast).to_have_count(1)
    page.keyboard.press("Escape")
    for name in ("Told once", "Told above"):
        (found,) = outside.list_datasets(search=name).items
        outside.delete_dataset(found.id)


def test_a_toast_can_be_dismissed_while_a_dialog_is_open(
    page: Page, lab: Server, outside: DatasetManager, tmp_path: Path
) -> None:
    _open_panel(page, lab)
    _import(page, tmp_path / "first.txt", "Opened")
    card(page, "Opened").get_by_text("Opened", exact=True).click()
    part(page, "toast").filter(has_text="Opened").get_by_label("Dismiss").click()
    _import(page, tmp_path / "second.txt", "Dismissed")
    toast = part(page, "toast").filter(has_text="Dismissed")
    toast.get_by_label("Dismiss").click()
    expect(toast).to_have_count(0)
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    for name in ("Opened", "Dismissed"):
        (found,) = outside.list_datasets(search=name).items
        outside.delete_dataset(found.id)


def test_a_cell_run_again_leaves_no_threads_behind(page: Page, lab: Server) -> None:
    _open_panel(page, lab)
    wait_until_idle(page)
    count = (
        "import threading; print([thread.name.partition('_')[0] for thread in"
        " threading.enumerate()].count('mistudio-publish'))"
    )
    manager = "print(id(panel.manager), panel.manager.is_closed)"
    run_in_kernel(page, "shown = panel")
    before = run_in_kernel(page, manager)
    for _ in range(10):
        run_all(page)
        wait_until_idle(page)
    assert run_in_kernel(page, manager) == before
    expect(part(page, "panel.title")).to_have_count(1)
    # the ping of a view that is gone may have brought its panel back: it rests again
    for _ in range(60):
        if run_in_kernel(page, count).split() == ["1"]:
            break
        page.wait_for_timeout(500)
    assert run_in_kernel(page, count).split() == ["1"]
    # a view that is still there brings its panel back
    run_in_kernel(
        page,
        "shown._on_message(shown, {'kind': 'ping', 'request_id': 'x'}, [])",
    )
    assert run_in_kernel(page, count).split() == ["2"]


def test_a_narrow_card_has_room_for_its_title(
    page: Page, lab: Server, outside: DatasetManager, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": 1200, "height": 1100})
    path = tmp_path / "title.txt"
    path.write_text("one\n")
    record = outside.import_files(path, name="Python standard texts").wait(60)
    _open_panel(page, lab)
    title = part(card(page, "Python standard texts"), "card.title")
    expect(title).to_have_attribute("title", "Python standard texts")
    assert title.evaluate("node => node.scrollWidth <= node.clientWidth")
    outside.delete_dataset(record.id)


# What is wider than its place, but for texts in fields and those that end with an ellipsis.
_STICKING_OUT = """node => [...node.querySelectorAll(":not(input)")]
  .filter(inner => inner.clientWidth > 0 && inner.scrollWidth > inner.clientWidth + 1)
  .filter(inner => getComputedStyle(inner).textOverflow !== "ellipsis")
  .map(inner => (inner.dataset.part ?? inner.className) + ": " + inner.textContent)
"""


@pytest.mark.parametrize("width", [400, 480])
def test_a_narrow_window_cuts_nothing_off(
    page: Page, lab: Server, outside: DatasetManager, tokenizer_path: Path, width: int
) -> None:
    texts = ["one two"] * 2000 + ["one two three " * 20] * 185
    record = outside.import_dataset(pa.table({"text": texts}), name="In a narrow window").wait(60)
    for max_length in (64, 128):
        outside.tokenize(record.id, tokenizer=str(tokenizer_path), max_length=max_length).wait(60)
    _open_panel(page, lab)
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.set_viewport_size({"width": width, "height": 900})
    shown = card(page, "In a narrow window")
    expect(part(shown, "chip.tokenized")).to_have_count(2)
    assert shown.evaluate(_STICKING_OUT) == []
    for name in part(shown, "chip.tokenized").locator("bdi").all():
        assert name.evaluate("node => node.offsetWidth <= node.parentElement.clientWidth")
    shown.get_by_text("In a narrow window", exact=True).click()
    dialog = page.get_by_role("dialog")
    for name, seen in (
        ("overview", "stat.value.purple"),
        ("samples", "pagination.row"),
        ("tokenization", "tokenization.item"),
        ("statistics", "histogram.bar.count"),
    ):
        tab = dialog.get_by_role("tab", name=name)
        expect(tab).to_be_in_viewport(ratio=1)
        tab.click()
        part(dialog.get_by_role("tabpanel", name=name), seen).first.wait_for()
        assert dialog.evaluate(_STICKING_OUT) == []
    for count in part(dialog, "histogram.bar").filter(has=page.locator("span")).all():
        assert count.evaluate("node => node.firstElementChild.offsetLeft >= 0")
    page.keyboard.press("Escape")
    outside.delete_dataset(record.id)


def test_typing_never_edits_the_notebook(page: Page, lab: Server) -> None:
    _open_panel(page, lab)
    # The document's cells: the page only holds the elements of those near the window.
    cells = "window.jupyterapp.shell.currentWidget.content.model.cells.length"
    before = page.evaluate(cells)
    repository = page.get_by_label(re.compile("HuggingFace Dataset ID"))
    repository.click()
    page.keyboard.type("ddxabzm")
    expect(repository).to_have_value("ddxabzm")
    assert page.evaluate(cells) == before


def test_enter_begins_a_new_line_and_undo_takes_it_back(page: Page, lab: Server) -> None:
    _open_panel(page, lab)
    part(page, "form.switch").click()
    paths = part(page, "form.input.paths")
    paths.click()
    page.keyboard.type("/first.txt\n/second.txt")
    expect(paths).to_have_value("/first.txt\n/second.txt")
    page.keyboard.press("Control+z")
    expect(paths).not_to_have_value("/first.txt\n/second.txt")
    paths.fill("")


def test_the_kernel_stays_usable_while_jobs_run(
    page: Page, lab: Server, outside: DatasetManager, long_text: Path
) -> None:
    _open_panel(page, lab)
    running = threading.Event()
    stop = outside.watch(running.set)
    job = outside.import_files(long_text, name="Beside")
    assert running.wait(10)
    answer = page.evaluate(
        """async () => {
          const context = window.jupyterapp.shell.currentWidget.context;
          const kernel = context.sessionContext.session.kernel;
          const future = kernel.requestExecute({code: "1+1"});
          const reply = await future.done;
          return reply.content.status;
        }"""
    )
    assert answer == "ok"
    assert job.state == "running"
    job.cancel()
    expect(card(page, "Beside")).to_have_count(0, timeout=20_000)
    stop()


_FOCUSED = """() => {
  let focused = document.activeElement;
  while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  return (focused?.dataset.part ?? "") + " " +
    (focused?.getAttribute("aria-label") ?? focused?.textContent ?? "");
}"""


def _tab_to(page: Page, name: str, key: str = "Tab") -> set[str]:
    """Press Tab until what has this name has the focus; return the names of all on the way."""
    passed: set[str] = set()
    for _ in range(60):
        page.keyboard.press(key)
        focused = page.evaluate(_FOCUSED)
        passed.add(focused)
        if name in focused:
            return passed
    raise AssertionError(f"{name} is not reached, but {sorted(passed)}")


def test_all_is_done_with_the_keyboard(
    page: Page, lab: Server, outside: DatasetManager, tmp_path: Path
) -> None:
    path = tmp_path / "keys.txt"
    path.write_text("one\ntwo\n")
    _open_panel(page, lab)
    part(page, "form.switch").focus()
    page.keyboard.press("Enter")
    _tab_to(page, "form.input.paths")
    page.keyboard.type(str(path))
    _tab_to(page, "form.input.name")
    page.keyboard.type("By keys")
    passed = _tab_to(page, "form.button")
    for field in ("split", "divide", "sampleby", "tokenizer"):
        assert any(f"form.input.{field}" in name for name in passed)
    page.keyboard.press("Enter")
    expect_status(page, "By keys", "Ready", 30)

    _tab_to(page, "By keys")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="By keys")
    expect(dialog).to_be_visible()
    _tab_to(page, "tab.active")
    page.keyboard.press("ArrowRight")
    expect(part(dialog, "sample.card")).to_have_count(2)
    passed = _tab_to(page, "sample.button.expand")
    assert {"samples.search ", "samples.select "} <= {name.split(" ")[0] + " " for name in passed}
    page.keyboard.press("Enter")
    expect(part(dialog, "sample.text.expanded")).to_have_text("one")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert "By keys" in page.evaluate(_FOCUSED)

    _tab_to(page, "card.delete")
    page.keyboard.press("Enter")
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text("By keys")
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    assert "card.delete" in page.evaluate(_FOCUSED)
    page.keyboard.press("Enter")
    _tab_to(page, "delete.confirm")
    page.keyboard.press("Enter")
    expect(card(page, "By keys")).to_have_count(0)
    expect(question).to_be_hidden()
    assert "panel.title" in page.evaluate(_FOCUSED)
    assert outside.list_datasets(search="By keys").total == 0
