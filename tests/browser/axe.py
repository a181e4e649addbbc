"""What axe-core finds in the panel as it stands: what who listens or sees badly would miss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from playwright.sync_api import Page

from .servers import REPOSITORY

AXE: Final = REPOSITORY / "js" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE: Final = ("serious", "critical")

# All hosts of panels with what is in their shadow roots; the page around them is not ours.
_RUN = """async () => {
  const hosts = [...document.querySelectorAll("*")].filter(node =>
    node.shadowRoot?.querySelector("[data-part~='panel.root']"));
  if (hosts.length === 0) throw new Error("no panel is shown");
  // also who wants no motion has transitions, of one frame
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  const found = [];
  let num_texts = 0;
  for (const host of hosts) {
    const hidden = [];
    // axe knows no top layer: it takes a dialog for cut off where JupyterLab's outputs end, and
    // for covered by what is around them; and the body, 0 px high there, for hiding all
    for (let child = host; child.parentElement !== null; child = child.parentElement) {
      child.parentElement.style.overflow = "visible";
      for (const other of child.parentElement.children)
        if (other !== child) hidden.push([other, other.style.visibility]);
    }
    for (const [other] of hidden) other.style.visibility = "hidden";
    const {violations, passes} = await axe.run(host, {elementRef: true});
    for (const {id, impact, nodes} of violations)
      for (const {element, any, all, none} of nodes)
        found.push({
          rule: id,
          impact,
          message: [...any, ...all, ...none][0].message,
          parts: (element.closest("[data-part]")?.dataset.part ?? "").split(" "),
          html: element.outerHTML.slice(0, 200),
        });
    for (const {id, nodes} of [...violations, ...passes])
      if (id === "color-contrast") num_texts += nodes.length;
    for (const [other, visibility] of hidden) other.style.visibility = visibility;
  }
  return {found, num_texts};
}"""


@dataclass(frozen=True)
class Violation:
    """One element that one rule is not content with, in one state of the panel."""

    state: str
    rule: str
    impact: str
    message: str
    parts: tuple[str, ...]
    html: str

    def __str__(self) -> str:
        where = " ".join(self.parts)
        return f"{self.state}: {self.rule} ({self.impact}) at {where}: {self.message} {self.html}"


@dataclass
class Checker:
    """Runs axe-core on what a page shows; texts of these parts may have the mock's contrast."""

    page: Page
    faint: Mapping[str, str]
    violations: list[Violation] = field(default_factory=list)
    excused: set[str] = field(default_factory=set)

    def check(self, state: str) -> None:
        """Note what is wrong with the panel as it stands."""
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(AXE.read_text())
        answer = self.page.evaluate(_RUN)
        assert answer["num_texts"] >= 5, f"{state}: axe-core saw {answer['num_texts']} texts"
        for found in answer["found"]:
            violation = Violation(state, **found | {"parts": tuple(found["parts"])})
            faint = self.faint.keys() & set(violation.parts)
            if violation.rule == "color-contrast" and faint:
                self.excused |= faint
            elif violation.impact in GRAVE:
                self.violations.append(violation)
