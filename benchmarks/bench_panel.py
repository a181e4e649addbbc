"""How soon the panel shows what is true, in real JupyterLab and Voila, in real Chromium.

- a job event: from the moment that the kernel is told of it to the DOM, ten events a second
- a change in another process: from before the call that makes it to the DOM
- opening with 50 datasets: from the run of the cell, or the request of the page, to painted cards
- the size of the front end's bundle, packed as a server would

Times are of one clock: the page's `performance.timeOrigin + performance.now()` and Python's
`time.time()` on one machine; how far they are apart is measured and printed.

    python benchmarks/bench_panel.py [--seconds 30] [--changes 50] [--datasets 50] [--opens 5]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from playwright.sync_api import Page, sync_playwright
from setting import machine, table

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import Catalog
from mistudio_widgets.records import DatasetRecord, Manifest, new_dataset_id, utc_now

REPOSITORY = Path(__file__).parent.parent
BUNDLE = REPOSITORY / "mistudio_widgets" / "static" / "widget.js"
MAX_BUNDLE_BYTES = 120_000
NOTEBOOK = "Bench.ipynb"

sys.path.insert(0, str(REPOSITORY))

from tests.browser import pages, servers  # noqa: E402 -- found only now

# What the cards say of the jobs, and which cards there are, with the time of each change.
_WATCH = """() => {
  const root = [...document.querySelectorAll("*")].map(node => node.shadowRoot)
    .find(shadow => shadow?.querySelector("[data-part~='panel.root']"));
  const all = part => [...root.querySelectorAll(`[data-part~='${part}']`)];
  window.seen = [];
  const known = new Set();
  new MutationObserver(() => {
    const now = performance.timeOrigin + performance.now();
    for (const text of [...all("card.title"), ...all("progress.caption")].map(n => n.textContent))
      if (!known.has(text)) {
        known.add(text);
        window.seen.push([text, now / 1000]);
      }
  }).observe(root, {subtree: true, childList: true, characterData: true, attributes: true});
}"""

# Two frames after the cards are there they are painted.
_PAINTED = """async ([count, code, name]) => {
  const roots = () => [...document.querySelectorAll("*")].map(node => node.shadowRoot);
  const shown = () => roots().some(root =>
    root?.querySelectorAll("[data-part~='card']").length >= count);
  const frame = () => new Promise(requestAnimationFrame);
  const panel = [...window.jupyterapp.shell.widgets("main")].find(w => w.context?.path === name);
  panel.content.activeCellIndex = panel.content.model.cells.length - 1;
  panel.content.activeCell.model.sharedModel.setSource(code);
  await frame();
  const started = performance.now();
  window.jupyterapp.commands.execute("notebook:run-cell");
  const onTime = () => {
    if (performance.now() - started > 60_000) throw new Error("no cards after a minute");
  };
  for (; shown(); await frame()) onTime();
  for (; !shown(); await frame()) onTime();
  await frame(); await frame();
  return performance.now() - started;
}"""

_PAINTED_PAGE = """async count => {
  const roots = () => [...document.querySelectorAll("*")].map(node => node.shadowRoot);
  const shown = () => roots().some(root =>
    root?.querySelectorAll("[data-part~='card']").length >= count);
  const frame = () => new Promise(requestAnimationFrame);
  while (!shown()) await frame();
  await frame(); await frame();
  return performance.now();
}"""

# A job that always gets on, and the times at which the kernel told of it.
_JOB = """
import threading, time, json
import pyarrow as pa
told, going = {}, threading.Event()
def note():
    told.setdefault(job.snapshot().done, time.time())
def batches():
    number = 0
    while not going.wait(0.1):
        number += 1
        yield pa.record_batch({"text": [f"text {number}"]})
reader = pa.RecordBatchReader.from_batches(pa.schema([("text", pa.string())]), batches())
job = panel.manager.import_dataset(reader, name="Ticking")
stop_telling = panel.manager.watch(note)
"""
_JOB_END = """
going.set(); job.wait(60); stop_telling(); panel.manager.delete_dataset(job.dataset_id)
print(json.dumps([[at, done] for done, at in told.items()]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=30, help="how long events are watched")
    parser.add_argument("--changes", type=int, default=50, help="of another process")
    parser.add_argument("--datasets", type=int, default=50, help="on the list that is opened")
    parser.add_argument("--opens", type=int, default=5, help="each with a kernel of its own")
    chosen = parser.parse_args()
    print(machine())
    _report_bundle()
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), chosen)


def _report_bundle() -> None:
    packed = len(gzip.compress(BUNDLE.read_bytes(), 9))
    print(f"bundle: {packed / 1000:.1f} kB gzip (at most {MAX_BUNDLE_BYTES / 1000:.0f})")


def _measure(folder: Path, chosen: argparse.Namespace) -> None:
    data_dir = folder / "datasets"
    _fill(data_dir, chosen.datasets)
    rows: list[tuple[str, ...]] = [("ms", "times", "p50", "p95", "longest", "target")]
    with (
        _running(servers.start_lab(folder / "lab")) as lab,
        _running(servers.start_voila(folder, data_dir)) as voila,
        _browser() as new_page,
        DatasetManager(data_dir, device="cpu") as outside,
    ):
        servers.write_notebook(lab.notebooks / NOTEBOOK, data_dir)
        opened = Opened()
        for _ in range(chosen.opens):
            page = new_page()
            _open_in_lab(page, lab, chosen.datasets, opened)
            page.context.close()
            page = new_page()
            page.goto(voila.url, wait_until="commit")
            opened.in_voila.append(page.evaluate(_PAINTED_PAGE, chosen.datasets))
            page.context.close()
        rows += opened.rows()

        in_lab, in_voila = new_page(), new_page()
        pages.open_notebook(in_lab, lab, NOTEBOOK)
        pages.run_all(in_lab)
        in_voila.goto(voila.url)
        for page in (in_lab, in_voila):
            pages.part(page, "card").first.wait_for(timeout=60_000)
            print(f"clocks {abs(_clock_offset(page)) * 1000:.1f} ms apart")
        rows.append(_row("job event to JupyterLab", _events(in_lab, chosen.seconds), 100))
        changes = _changes({"JupyterLab": in_lab, "Voila": in_voila}, outside, chosen.changes)
        for place, found in changes.items():
            rows.append(_row(f"change elsewhere to {place}", found, 300))
    print(table(rows))


def _fill(data_dir: Path, count: int) -> None:
    """Make so many datasets, each with a tokenization's worth of facts."""
    now = utc_now() - timedelta(days=1)
    with (
        DatasetManager(data_dir, device="cpu") as manager,
        Catalog(manager.data_dir / "catalog.duckdb").write() as writer,
    ):
        for number in range(count):
            made = now - timedelta(seconds=number)
            record = DatasetRecord(
                id=new_dataset_id(),
                name=f"Dataset {number}",
                source="huggingface",
                repo_id=f"owner{number % 7}/name-{number}",
                description="A description as long as they are. " * 20,
                status="ready",
                progress=100,
                size_bytes=number * 1_000_000,
                num_samples=number * 1000,
                text_column="text",
                columns={"text": "string"},
                created_at=made,
                updated_at=made,
            )
            writer.insert_dataset(record)
            folder = manager.data_dir / "datasets" / record.id
            folder.mkdir(parents=True)
            manifest = Manifest(dataset=record, files=())
            (folder / "manifest.json").write_text(manifest.model_dump_json())


@contextmanager
def _running(server: servers.Server) -> Iterator[servers.Server]:
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _browser() -> Iterator[Callable[[], Page]]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=servers.chromium_path(), args=pages.CHROMIUM_ARGS
        )

        def new_page() -> Page:
            page = launched.new_context(viewport={"width": 1500, "height": 1100}).new_page()
            page.set_default_timeout(60_000)
            return page

        yield new_page
        launched.close()


@dataclass
class Opened:
    """Milliseconds from the run of a cell, or the start of a page, to painted cards."""

    with_import: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    in_voila: list[float] = field(default_factory=list)

    def rows(self) -> list[tuple[str, ...]]:
        return [
            _row("cell to painted cards, with the import", self.with_import, None),
            _row("cell to painted cards, first in a page", self.first, 1000),
            _row("cell to painted cards, again", self.again, 1000),
            _row("Voila: page to painted cards", self.in_voila, None),
        ]


def _open_in_lab(page: Page, lab: servers.Server, count: int, opened: Opened) -> None:
    show = "panel = DatasetsPanel()\npanel"
    code = json.loads((lab.notebooks / NOTEBOOK).read_text())["cells"][-1]["source"]
    set_up = "".join(line for line in code if "panel" not in line.lower())
    load = "from mistudio_widgets import DatasetsPanel"
    for steps, into in (
        ((f"{set_up}\n{load}\n{show}",), (opened.with_import,)),
        ((f"{set_up}\n{load}\nDatasetsPanel", show, show), (None, opened.first, opened.again)),
    ):
        pages.open_notebook(page, lab, NOTEBOOK)
        for step, found in zip(steps, into, strict=True):
            if found is None:
                pages.run_in_kernel(page, step, NOTEBOOK)
            else:
                found.append(page.evaluate(_PAINTED, [count, step, NOTEBOOK]))
                pages.wait_until_idle(page)
        pages.restart_kernel(page)


def _clock_offset(page: Page) -> float:
    """Return how far the page's clock is from ours, in seconds."""
    offsets = []
    for _ in range(20):
        before = time.time()
        there = page.evaluate("(performance.timeOrigin + performance.now()) / 1000")
        after = time.time()
        offsets.append((after - before, there - (before + after) / 2))
    return min(offsets)[1]


def _events(page: Page, seconds: int) -> list[float]:
    """Return the delays of progress events of a job in the notebook's kernel."""
    page.evaluate(_WATCH)
    pages.run_in_kernel(page, _JOB, NOTEBOOK)
    page.wait_for_timeout(1000 * seconds)
    told = json.loads(pages.run_in_kernel(page, _JOB_END, NOTEBOOK))
    seen = []
    for text, at in page.evaluate("window.seen"):
        count = re.search(r"([\d,]+) samples", text)
        if count and "%" in text:
            seen.append((int(count[1].replace(",", "")), at))
    told = sorted((at, done) for at, done in told if done)
    last = max(count for count, _ in seen)
    delays = [
        min(shown_at for count, shown_at in seen if count >= done) - at
        for at, done in told
        if done <= last
    ]
    rate = len(told) / (told[-1][0] - told[0][0])
    print(f"{len(told)} events, {rate:.1f} a second, {len(seen)} states of them in the DOM")
    return [1000 * delay for delay in delays]


def _changes(
    watched: dict[str, Page], outside: DatasetManager, count: int
) -> dict[str, list[float]]:
    """Return the delays of datasets that another process makes."""
    made = {}
    for page in watched.values():
        page.evaluate(_WATCH)
    for number in range(count):
        name = f"From elsewhere {number}"
        made[name] = time.time()
        job = outside.import_dataset(pa.table({"text": ["x"]}), name=name)
        next(iter(watched.values())).wait_for_timeout(random.uniform(300, 500))
        job.wait(60)
        outside.delete_dataset(job.dataset_id)
    found = {}
    for place, page in watched.items():
        seen = dict(page.evaluate("window.seen"))
        missing = made.keys() - seen.keys()
        if missing:
            raise SystemExit(f"{place} never showed {len(missing)} of {count} changes")
        found[place] = [1000 * (seen[name] - at) for name, at in made.items()]
    return found


def _row(name: str, found: list[float], target: int | None) -> tuple[str, ...]:
    p95 = statistics.quantiles(found, n=20, method="inclusive")[-1] if len(found) > 1 else found[0]
    figures = (statistics.median(found), p95, max(found))
    return (
        name,
        str(len(found)),
        *(f"{figure:.0f}" for figure in figures),
        "" if target is None else f"p95 < {target}",
    )


if __name__ == "__main__":
    main()
