"""Downloads in real JupyterLab, from a hub on loopback: planned, watched, paused, verified."""

from __future__ import annotations

import io
import random
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_calls import connections_to
from hub_server import HubServer
from playwright.sync_api import Locator, Page, expect

from .pages import (
    card,
    expect_status,
    open_notebook,
    part,
    restart_kernel,
    run_all,
    run_in_kernel,
    save,
)
from .servers import Server, start_lab

pytestmark = pytest.mark.browser

REPO = "acme/noise"
CARD = """---
configs:
- config_name: en
  default: true
  data_files:
  - {split: train, path: en/train-*}
  - {split: test, path: en/test-*}
- config_name: fr
  data_files:
  - {split: train, path: fr/*}
---
# Noise

Nothing **but** noise.
"""
SCRIPTED = "acme/scripted"
SCRIPTED_CARD = """# Scripted

Before <script>document.title = 'executed'</script><img src=x onerror="document.title='executed'">
and after. &lt;script&gt;document.title = 'executed'&lt;/script&gt;
<iframe src="javascript:top.document.title='executed'"></iframe>
"""
WATCHABLE = 250_000


def _parquet(seed: int, num_bytes: int) -> bytes:
    noise = random.Random(seed)
    texts = [noise.randbytes(500).hex() for _ in range(num_bytes // 1000)]
    file = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), file, compression="none", use_dictionary=False)
    return file.getvalue()


FILES = {
    "README.md": CARD.encode(),
    "en/train-0.parquet": _parquet(1, 3_000_000),
    "en/train-1.parquet": _parquet(2, 3_000_000),
    "en/test-0.parquet": _parquet(3, 200_000),
    "fr/train-0.parquet": _parquet(4, 100_000),
}


@pytest.fixture(scope="module")
def hub_lab(hub_server: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab whose kernels use the test's hub."""
    hub_server.add("dataset", REPO, FILES)
    scripted = {"README.md": SCRIPTED_CARD.encode(), "train.parquet": FILES["fr/train-0.parquet"]}
    hub_server.add("dataset", SCRIPTED, scripted)
    server = start_lab(tmp_path_factory.mktemp("hub-lab"), hub_url=hub_server.url)
    yield server
    server.stop()


@pytest.fixture
def panel(page: Page, hub_lab: Server, hub: HubServer) -> Page:
    open_notebook(page, hub_lab, "Datasets.ipynb")
    run_all(page)
    part(page, "panel.title").wait_for()
    hub.requests.clear()
    return page


def _repository(page: Page) -> Locator:
    return page.get_by_label(re.compile("HuggingFace Dataset ID"))


def _start(page: Page) -> None:
    _repository(page).fill(REPO)
    _repository(page).press("Enter")


def _progress(page: Page) -> float:
    value = part(card(page, REPO), "progress.track").get_attribute("aria-valuenow")
    assert value is not None
    return float(value)


def _wait_beyond(page: Page, progress: float) -> float:
    track = part(card(page, REPO), "progress.track")
    page.wait_for_function(
        "([node, than]) => Number(node.getAttribute('aria-valuenow')) > than",
        arg=[track.element_handle(), progress],
    )
    return _progress(page)


def _files(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


def _button_below_repository(panel: Page) -> float:
    """Return how far: JupyterLab itself may move all of the panel, when its toolbar comes late."""
    boxes = [part(panel, name).bounding_box() for name in ("form.input.repo", "form.button")]
    above, below = (box["y"] for box in boxes if box is not None)
    return below - above


def test_a_plan_is_shown_for_what_was_typed_last(panel: Page, hub: HubServer) -> None:
    _repository(panel).press_sequentially(REPO, delay=40)
    plan = part(panel, "plan")
    expect(part(plan, "plan.files")).to_contain_text("3")
    expect(part(plan, "plan.config")).to_contain_text("1 of 2: en, fr")
    expect(part(plan, "plan.splits")).to_contain_text("train, test")
    expect(part(plan, "plan.description")).to_have_text("Noise Nothing but noise.")
    expect(part(plan, "plan.access")).to_have_text("Not gated")
    # the library asks for more than datasets, once a process
    asked = [path for path in (r.path for r in hub.requests) if "/api/datasets/" in path]
    assert asked
    assert [path for path in asked if REPO not in path] == []
    button = _button_below_repository(panel)
    part(panel, "form.input.config").fill("fr")
    expect(part(plan, "plan.config")).to_contain_text("1 of 2: en, fr")
    expect(part(plan, "plan.files")).to_contain_text("1")
    assert _button_below_repository(panel) == button
    part(panel, "form.input.config").fill("de")
    expect(part(plan, "error.box")).to_contain_text("It has: en, fr.")
    expect(part(panel, "form.input.config")).to_have_attribute("aria-invalid", "true")
    part(panel, "form.input.config").fill("")
    _repository(panel).fill("acme/gated")
    expect(part(plan, "error.box")).to_contain_text("Ask for access")
    expect(part(plan, "error.box").get_by_role("link").first).to_have_attribute(
        "href", f"{hub.url}/datasets/acme/gated"
    )
    expect(part(panel, "form.button")).to_be_enabled()
    assert _button_below_repository(panel) == button


def test_typing_on_ends_the_earlier_plan_in_the_kernel(panel: Page, hub: HubServer) -> None:
    # by itself the kernel would give a silent hub up after so long
    run_in_kernel(panel, "panel.manager._parts.hub._timeout_s = 600")
    fault = hub.add_fault("acme/silent", times=100, gate=threading.Event())
    _repository(panel).fill("acme/silent")
    assert fault.struck.wait(60)
    (port,) = fault.client_ports
    # others may be open too, and go on to be used by what is asked next
    assert port in connections_to(hub)
    _repository(panel).fill("acme/gated")
    expect(part(panel, "error.box")).to_contain_text("Ask for access")
    deadline = time.monotonic() + 60
    while port in connections_to(hub):
        assert time.monotonic() < deadline, "the kernel still waits for what nobody wants"
        panel.wait_for_timeout(50)
    assert fault.client_ports == [port]
    run_in_kernel(panel, "panel.manager._parts.hub._timeout_s = 8.0")


def test_a_download_is_watched_paused_resumed_and_cancelled(
    panel: Page, hub: HubServer, hub_lab: Server
) -> None:
    hub.throttle = WATCHABLE
    _start(panel)
    expect_status(panel, REPO, "Downloading")
    shown = card(panel, REPO)
    seen = _wait_beyond(panel, 1)
    before = shown.bounding_box()
    _wait_beyond(panel, seen)
    assert shown.bounding_box() == before, "nothing may jump while a job gets on"
    caption = part(shown, "progress.caption")
    expect(caption).to_have_text(
        re.compile(r"^\d+\.\d% • [\d.]+ [KM]B / 5\.9\d MB • [\d.]+ [KM]B/s • (\d+m )?\d+s left$")
    )

    part(shown, "card.pause").click()
    expect_status(panel, REPO, "Paused")
    expect(caption).to_have_text(re.compile(r"% • Paused • [\d.]+ [KM]B / 5\.9\d MB$"))
    (folder,) = (hub_lab.data_dir / "datasets").iterdir()
    paused_at, files = _progress(panel), _files(folder)
    assert files
    hub.requests.clear()
    panel.wait_for_timeout(1500)
    assert (_progress(panel), _files(folder), hub.requests) == (paused_at, files, [])

    save(panel)
    panel.reload()
    part(panel, "panel.title").wait_for(timeout=60_000)
    expect_status(panel, REPO, "Paused")
    assert _progress(panel) == paused_at

    part(shown, "card.resume").click()
    expect_status(panel, REPO, "Downloading")
    assert _wait_beyond(panel, paused_at) > paused_at
    assert any(request.range for request in hub.requests)
    part(shown, "card.cancel").click()
    expect(shown).to_have_count(0)
    assert list((hub_lab.data_dir / "datasets").iterdir()) == []


def test_a_download_outlives_a_reload_and_a_restarted_kernel(
    panel: Page, hub: HubServer, hub_lab: Server
) -> None:
    hub.throttle = WATCHABLE // 5
    shown = card(panel, REPO)
    panel.locator('input[name="dataset_id"]').fill(REPO)
    panel.get_by_role("button", name="Download Dataset").click()
    expect(shown).to_be_visible()
    expect(shown.get_by_role("progressbar")).to_be_visible()
    seen = _wait_beyond(panel, 1)

    save(panel)
    panel.reload()
    part(panel, "panel.title").wait_for(timeout=60_000)
    expect_status(panel, REPO, "Downloading")
    seen = _wait_beyond(panel, seen)

    restart_kernel(panel)
    expect(part(panel, "connection.lost")).to_be_visible(timeout=60_000)
    expect(part(shown, "card.cancel")).to_be_disabled()
    run_all(panel)
    expect(part(panel, "connection.lost")).to_have_count(0)
    expect_status(panel, REPO, "Error")
    expect(part(shown, "error.box")).to_contain_text("Interrupted at")
    hub.requests.clear()
    hub.throttle = None
    part(shown, "card.retry").click()
    expect_status(panel, REPO, "Ready")
    assert any(request.range for request in hub.requests)

    shown.get_by_role("button", name=REPO).click()
    dialog = panel.get_by_role("dialog")
    dialog.get_by_role("tab", name="samples").click()
    expect(part(dialog, "sample.card")).to_have_count(10)
    panel.keyboard.press("Escape")
    part(shown, "card.delete").click()
    part(panel, "delete.confirm").click()
    expect(shown).to_have_count(0)
    assert list((hub_lab.data_dir / "datasets").iterdir()) == []


def test_a_script_in_a_dataset_card_is_never_run(panel: Page, hub_lab: Server) -> None:
    shown = card(panel, SCRIPTED)
    _repository(panel).fill(SCRIPTED)
    expect(part(panel, "plan.description")).to_contain_text("and after.")
    _repository(panel).press("Enter")
    expect_status(panel, SCRIPTED, "Ready")
    shown.get_by_role("button", name=SCRIPTED).click()
    dialog = panel.get_by_role("dialog")
    expect(part(dialog, "overview.description.text")).to_contain_text("and after.")
    assert part(panel, "panel.root").locator("script, img, iframe").count() == 0
    assert panel.title() != "executed"
    panel.keyboard.press("Escape")
    part(shown, "card.delete").click()
    part(panel, "delete.confirm").click()
    expect(shown).to_have_count(0)


def test_files_are_verified_and_what_is_damaged_is_repaired(
    panel: Page, hub: HubServer, hub_lab: Server
) -> None:
    _start(panel)
    expect_status(panel, REPO, "Ready")
    shown = card(panel, REPO)
    dialog = panel.get_by_role("dialog")

    def verify() -> None:
        shown.get_by_role("button", name=REPO).click()
        part(dialog, "verify.button").click()

    verify()
    expect(part(dialog, "toast").last).to_have_text(f"{REPO} is verified: all files are whole")
    expect(part(dialog, "verify.button")).to_be_enabled()
    panel.keyboard.press("Escape")
    expect_status(panel, REPO, "Ready")

    (path,) = (hub_lab.data_dir / "datasets").rglob("train-1.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    verify()
    expect(part(dialog, "error.box")).to_contain_text("en/train-1.parquet")
    expect(part(dialog, "verify.button")).to_have_count(0)
    panel.keyboard.press("Escape")
    expect_status(panel, REPO, "Error")
    expect(part(shown, "error.box")).to_contain_text("Retry fetches the damaged files again")
    hub.requests.clear()
    part(shown, "card.retry").click()
    expect_status(panel, REPO, "Ready")
    fetched = {request.path for request in hub.requests if request.origin == "cdn"}
    assert [name.rpartition("/")[2] for name in fetched] == ["train-1.parquet"]
    assert path.read_bytes() == FILES["en/train-1.parquet"]
