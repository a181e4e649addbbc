"""What the tests do in a browser, in the words of a user."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from .servers import Server

CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip

_OPEN = """async (name) => {
  const app = window.jupyterapp;
  await app.started; await app.restored;
  const widget = name === null
    ? app.shell.currentWidget
    : await app.commands.execute("docmanager:open", {path: name});
  await widget.context.ready;
  await widget.context.sessionContext.ready;
  for (let i = 0; i < 300 && widget.context.sessionContext.session?.kernel?.status !== "idle"; i++)
    await new Promise(done => setTimeout(done, 100));
}"""

_ERRORS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
  const errors = [];
  for (let i = 0; i < cells.length; i++) {
    const cell = cells.get(i);
    if (cell.type !== "code") continue;
    for (const output of cell.toJSON().outputs)
      if (output.output_type === "error") errors.push(output.ename + ": " + output.evalue);
  }
  return errors;
}"""


_IS_IDLE = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const kernel = panel.context.sessionContext.session?.kernel;
  const waiting = [...panel.node.querySelectorAll(".jp-InputPrompt")]
    .some(prompt => prompt.textContent.includes("*"));
  const cells = panel.content.model.cells;
  for (let i = 0; i < cells.length; i++)
    if (cells.get(i).executionState === "running") return false;
  return kernel?.status === "idle" && !waiting;
}"""


_RUN = """async ([name, code]) => {
  const notebook = [...window.jupyterapp.shell.widgets("main")]
    .find(widget => widget.context?.path === name);
  const session = notebook.context.sessionContext.session;
  const future = session.kernel.requestExecute({code});
  let printed = "";
  future.onIOPub = message => { printed += message.content.text ?? "" };
  const reply = await future.done;
  if (reply.content.status !== "ok") throw new Error(reply.content.evalue);
  return printed;
}"""


def open_notebook(page: Page, lab: Server, name: str) -> None:
    """Open a notebook with a kernel that is ready, and nothing of what was open before."""
    page.goto(f"{lab.url}?reset")
    page.wait_for_function("() => window.jupyterapp !== undefined", timeout=60_000)
    page.evaluate(_OPEN, name)


def wait_until_open(page: Page) -> None:
    """Wait until the page of a notebook has a kernel that is ready."""
    page.wait_for_function("() => window.jupyterapp !== undefined", timeout=60_000)
    page.evaluate(_OPEN, None)


def run_all(page: Page) -> None:
    """Start to run all cells; returns at once."""
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")


def restart_kernel(page: Page) -> None:
    """Restart the kernel without a question, and wait until it is idle."""
    page.evaluate(
        "async () => { const session = window.jupyterapp.shell.currentWidget.context"
        ".sessionContext; await session.session.kernel.restart(); }"
    )
    wait_until_idle(page)


def wait_until_idle(page: Page, timeout_s: float = 240) -> None:
    """Wait until no cell waits or runs."""
    page.wait_for_function(_IS_IDLE, timeout=timeout_s * 1000)


def run_in_kernel(page: Page, code: str, notebook: str = "Datasets.ipynb") -> str:
    """Run code in a notebook's kernel, outside of its cells, and return what it printed."""
    printed: str = page.evaluate(_RUN, [notebook, code])
    return printed


def cell_errors(page: Page) -> list[str]:
    """Return the errors that stand under the cells."""
    found: list[str] = page.evaluate(_ERRORS)
    return found


def save(page: Page) -> None:
    """Save the notebook, so that a reload finds its outputs."""
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")


def reload(page: Page, name: str) -> None:
    """Reload the page.

    JupyterLab may open what was open before, or not, if it had not noted it yet.
    """
    page.reload()
    page.wait_for_function("() => window.jupyterapp !== undefined", timeout=60_000)
    page.evaluate(_OPEN, name)


def part(where: Page | Locator, name: str) -> Locator:
    """Return the elements that play a part."""
    return where.locator(f'[data-part~="{name}"]')


def card(page: Page, title: str) -> Locator:
    """Return the card of a dataset."""
    return part(page, "card").filter(has=page.get_by_text(title, exact=True))


def expect_status(page: Page, title: str, status: str, timeout_s: float = 60) -> None:
    """Wait until the card says so."""
    badge = part(card(page, title), "card.status").first
    expect(badge).to_contain_text(status, timeout=timeout_s * 1000)
