"""Names, cards, columns, files and rows that try to run or to get out of the data folder."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import HubServer
from playwright.sync_api import Browser, Page, expect

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import MiStudioError

from .hostile_text import texts
from .pages import open_notebook, part, run_all, run_in_kernel
from .servers import Server, start_voila

pytestmark = pytest.mark.browser

TEXTS = texts(500)
NAMES, CARDS = TEXTS[:50], TEXTS[:70:2]
COLUMNS, FILES, ROWS = TEXTS[50:80], TEXTS[:80], TEXTS[::2]
MEMBERS = TEXTS[:55]
assert sum(map(len, (NAMES, CARDS, COLUMNS, FILES, ROWS, MEMBERS))) >= 500

# all elements, those in shadow roots too
_SUSPECTS = """() => {
  const LOADING = ["href", "xlink:href", "src", "srcdoc", "action", "formaction", "data"];
  const found = [];
  const walk = root => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) walk(node.shadowRoot);
      if (!(root instanceof ShadowRoot)) continue;
      if (["SCRIPT", "IFRAME", "IMG", "OBJECT", "VIDEO", "LINK", "BASE"].includes(node.tagName))
        found.push(node.tagName);
      for (const {name, value} of node.attributes)
        if (name.startsWith("on") || (LOADING.includes(name) && !/^https?:/.test(value)))
          found.push(name + "=" + value);
    }
  };
  walk(document);
  return found;
}"""


def _parquet(columns: dict[str, list[str]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def _archives(folder: Path) -> list[Path]:
    """Write a tar and a zip whose members have hostile names."""
    tar, zipped = folder / "slip.tar", folder / "slip.zip"
    with tarfile.open(tar, "w") as archive:
        for number, name in enumerate(MEMBERS):
            info = tarfile.TarInfo(f"{name.replace(chr(0), '')}{number}.txt")
            info.size = 4
            archive.addfile(info, io.BytesIO(b"text"))
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with zipfile.ZipFile(zipped, "w") as bundle:
        for number, name in enumerate(MEMBERS):
            bundle.writestr(f"{name.replace(chr(0), '')}{number}.txt", "text")
    return [tar, zipped]


def _named_files(folder: Path) -> Iterator[Path]:
    for number, name in enumerate(FILES):
        path = folder / f"{name.replace('/', '_').replace(chr(0), '')[:100]}{number}.txt"
        path.write_text("text\n")
        yield path


def _everything_under(folder: Path, but: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if but not in (path, *path.parents)}


def _fill(manager: DatasetManager, hub: HubServer, folder: Path) -> int:
    """Make datasets of all of them; returns how many were taken."""
    plain = folder / "plain.txt"
    plain.write_text("text\n")
    jobs = [manager.import_files(plain, name=name) for name in NAMES]
    rows = {"text": ROWS, **{name: [name] * len(ROWS) for name in COLUMNS}}
    jobs.append(manager.import_dataset(pa.table(rows), name="Rows"))
    for number, text in enumerate(CARDS):
        data = _parquet({"text": [text]})
        hub.add("dataset", f"acme/card-{number}", {"README.md": text.encode(), "a.parquet": data})
        jobs.append(manager.download(f"acme/card-{number}"))
    jobs.append(manager.import_files(list(_named_files(folder)), name="Files"))
    done = 0
    for job in jobs:
        assert job.wait(120).status == "ready"
        done += 1
    for archive in _archives(folder):
        # what is refused leaves an error to look at
        try:
            manager.import_files(archive).wait(60)
        except MiStudioError:
            continue
    return done


def test_five_hundred_hostile_texts_run_nothing_and_stay_inside(
    browser: Browser, hub: HubServer, tmp_path: Path
) -> None:
    sources, data_dir = tmp_path / "in" / "sources", tmp_path / "in" / "datasets"
    sources.mkdir(parents=True)
    with DatasetManager(data_dir, device="cpu") as manager:
        before = _everything_under(tmp_path, data_dir)
        assert _fill(manager, hub, sources) == len(NAMES) + len(CARDS) + 2
        found = _everything_under(tmp_path, data_dir) - before
        assert {path for path in found if path.parent != sources} == set()
        assert not list(Path("/tmp").glob("mistudio-escaped*"))
    server = start_voila(tmp_path / "server", data_dir)
    try:
        _look_at_all(browser, server)
    finally:
        server.stop()


def test_hostile_names_run_nothing_in_toasts_and_dialogs(
    page: Page, lab: Server, outside: DatasetManager, tmp_path: Path
) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("text\n")
    names = TEXTS[:40:5]
    page.set_viewport_size({"width": 1400, "height": 2500})
    open_notebook(page, lab, "Datasets.ipynb")
    run_all(page)
    part(page, "panel.title").wait_for()
    run_in_kernel(
        page,
        f"for name in {names!r}: panel.manager.import_files({str(path)!r}, name=name).wait(60)",
    )
    part(page, "toast").first.wait_for()
    assert page.evaluate(_SUSPECTS) == []
    part(page, "card.delete").first.click()
    page.get_by_role("alertdialog").wait_for()
    assert page.evaluate(_SUSPECTS) == []
    part(page.get_by_role("alertdialog"), "delete.confirm").click()
    expect(page.get_by_role("alertdialog")).to_be_hidden()
    assert page.evaluate("() => window.ran") is None
    for record in outside.list_datasets(limit=100).items:
        if record.name in names:
            outside.delete_dataset(record.id)


def _look_at_all(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 1300})
    page = context.new_page()
    page.set_default_timeout(30_000)
    told: list[Any] = []
    page.on("dialog", lambda dialog: (told.append(dialog.message), dialog.dismiss()))
    page.on("popup", lambda popup: told.append(popup.url))
    context.on("request", lambda request: _is_ours(request.url, server) or told.append(request.url))
    # Voila's own template wants two files from networks for them
    context.route(re.compile(r"^https://cdn"), lambda route: route.abort())
    page.goto(server.url)
    part(page, "panel.title").wait_for(timeout=60_000)
    part(page, "card").first.wait_for()
    cards = 0
    while True:
        cards += _look_at_page(page)
        following = part(page, "list.pages").get_by_role("button", name="Next")
        if following.count() == 0 or following.is_disabled():
            break
        first = part(page, "card").first.inner_text()
        following.click()
        expect(part(page, "card").first).not_to_have_text(first)
    assert cards >= len(NAMES) + len(CARDS) + 2
    assert page.evaluate("() => window.ran") is None
    assert told == []
    assert page.url == server.url
    context.close()


def _is_ours(url: str, server: Server) -> bool:
    return url.startswith(
        (server.url, server.url.replace("http", "ws", 1), "blob:", "data:", "https://cdn")
    )


def _look_at_page(page: Page) -> int:
    assert page.evaluate(_SUSPECTS) == []
    titles = part(page, "card.title")
    count = titles.count()
    for number in range(count):
        if part(page, "card").nth(number).get_by_text("acme/card-").count() == 0:
            continue
        titles.nth(number).click()
        page.get_by_role("dialog").wait_for()
        assert page.evaluate(_SUSPECTS) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
    rows = part(page, "card").filter(has=page.get_by_text("Rows", exact=True))
    if rows.count():
        rows.get_by_text("Rows", exact=True).click()
        _look_at_rows(page)
        page.keyboard.press("Escape")
    return count


def _look_at_rows(page: Page) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("tab", name="Samples").click()
    seen = 0
    while True:
        part(dialog, "sample.card").first.wait_for()
        part(dialog, "sample.button.expand").first.click()
        seen += part(dialog, "sample.card").count()
        assert page.evaluate(_SUSPECTS) == []
        following = dialog.get_by_role("button", name="Next")
        if following.is_disabled():
            break
        following.click()
        expect(part(dialog, "pagination.text")).to_contain_text(f"Showing {seen + 1}-")
    assert seen == len(ROWS)
    dialog.get_by_role("tab", name="Statistics").click()
    dialog.get_by_role("tabpanel", name="Statistics").wait_for()
    assert page.evaluate(_SUSPECTS) == []
