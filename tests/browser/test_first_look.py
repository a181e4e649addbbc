"""What is seen of a panel before it has settled: never without its looks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from .pages import open_notebook, part, run_all
from .servers import Server

pytestmark = pytest.mark.browser

_WATCH = """
(() => {
  const roots = [], attach = Element.prototype.attachShadow;
  window.seen = [];
  Element.prototype.attachShadow = function (options) {
    const root = attach.call(this, options);
    roots.push(root);
    return root;
  };
  const look = () => {
    for (const root of roots) {
      const panel = root.querySelector("[data-part~='panel.root']");
      const title = root.querySelector("[data-part~='panel.title']");
      if (!panel?.isConnected || title === null) continue;
      const of = (node, names) => names.map(name => getComputedStyle(node)[name]);
      window.seen.push([
        ...of(panel, ["backgroundColor", "color", "fontFamily"]),
        ...of(title, ["fontSize", "fontWeight", "color"]),
      ].join(" | "));
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


@pytest.mark.parametrize("where", ["lab", "voila"])
def test_no_frame_shows_a_panel_without_its_looks(
    page: Page, request: pytest.FixtureRequest, where: str
) -> None:
    server: Server = request.getfixturevalue(where)
    page.add_init_script(_WATCH)
    if where == "lab":
        open_notebook(page, server, "Datasets.ipynb")
        run_all(page)
    else:
        page.goto(server.url)
    part(page, "panel.title").wait_for(timeout=60_000)
    page.wait_for_function("() => window.seen.length >= 20")
    assert len(set(page.evaluate("() => window.seen"))) == 1
