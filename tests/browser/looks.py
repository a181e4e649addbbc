"""Computed styles of the panel's parts, collected while a page is led through its states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

Facts = dict[str, dict[str, str]]

FACTS: Facts = json.loads(Path(__file__).with_name("mock_styles.json").read_text())

OPENS = "a dataset in error opens like a ready one, because people want to know why"
IN_LIST = "samples and tokens are items of lists, for those who hear them"
TYPED = "a tokenizer is typed, with suggestions: any id or path will do"
WRAPS = "a narrow dialog has no room for all of it in one line"
# What is unlike the mock, and why.
EXPLAINED = {
    ("card.error:hover", "background-color"): OPENS,
    ("card.error:hover", "border-color"): OPENS,
    ("card.error:hover", "cursor"): OPENS,
    ("histogram.bar", "padding"): "the count of a short bar stands beside it, not cut off in it",
    ("pagination.row", "gap"): WRAPS,
    ("sample.card", "display"): IN_LIST,
    ("sample.meta.footer", "display"): "it also holds the button that shows tokens",
    ("sample.meta.footer", "gap"): "it also holds the button that shows tokens",
    ("token.chip", "display"): IN_LIST,
    ("token.chip.regular", "display"): IN_LIST,
    ("token.chip.regular", "align-items"): IN_LIST,
    ("token.chip.special", "display"): IN_LIST,
    ("token.chip.special", "align-items"): IN_LIST,
    ("tokenization.select.tokenizer", "align-items"): TYPED,
    ("tokenization.select.tokenizer", "cursor"): TYPED,
    ("tokenization.select.tokenizer", "line-height"): TYPED,
    ("tokenization.select.tokenizer", "white-space"): TYPED,
}

_READER = """() => {
const panelRoots = () =>
  [...document.querySelectorAll("*")].map(node => node.shadowRoot).filter(Boolean);
window.readLooks = async ([facts, state]) => {
  const moves = panelRoots().flatMap(root => root.getAnimations())
    .filter(move => move instanceof CSSTransition);
  await Promise.allSettled(moves.map(move => move.finished));
  return window.readLooksNow([facts, state]);
};
// what works does not lose the focus, so it is disabled in name only
const states = {disabled: ":is(:disabled, [aria-disabled=true])"};
window.readLooksNow = ([facts, state], withDisabled = state === "disabled") => {
  const roots = panelRoots();
  const found = {};
  for (const [name, wanted] of Object.entries(facts)) {
    const [part, own = ""] = name.split(":");
    if (own !== state) continue;
    for (const root of roots)
      for (const node of root.querySelectorAll(`[data-part~="${part}"]`)) {
        if (node.getClientRects().length === 0) continue;
        if (own !== "" && !node.matches(states[own] ?? ":" + own)) continue;
        if (!withDisabled && node.closest(states.disabled)) continue;
        if (own === "" && node.matches(":focus")) continue;
        const styles = getComputedStyle(node);
        const placeholder = getComputedStyle(node, "::placeholder");
        const look = {};
        for (const property of Object.keys(wanted))
          look[property] = property === "placeholder-color"
            ? placeholder.color : styles.getPropertyValue(property);
        (found[name] ??= []).push(look);
      }
  }
  return found;
};
}"""

# What lasts as long as a request does is too short to be waited for.
_CATCHER = """([facts, names]) => {
  const root = [...document.querySelectorAll("*")].map(node => node.shadowRoot)
    .find(shadow => shadow?.querySelector("[data-part~='panel.root']"));
  window.caught = {};
  new MutationObserver(() => {
    if (root.querySelector(`[data-part~="${names[0]}"]`) === null) return;
    for (const state of ["", "disabled"])
      for (const [name, looks] of Object.entries(window.readLooksNow([facts, state], true)))
        if (names.includes(name)) window.caught[name] = looks;
  }).observe(root, {subtree: true, childList: true});
}"""


class Looks:
    """Every look that each part had, of all its elements that were visible and enabled."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.found: dict[str, list[dict[str, str]]] = {}
        page.evaluate(_READER)

    def read(self, state: str = "") -> None:
        """Note how all parts look that are in this state: "", hover, focus or disabled."""
        self._note(self.page.evaluate("window.readLooks", [FACTS, state]))

    def hover(self, element: Locator) -> None:
        """Note what changes where the mouse is."""
        element.hover()
        self.read("hover")
        self.page.mouse.move(2, 2)

    def focus(self, element: Locator) -> None:
        """Note what changes where the focus is."""
        element.focus()
        self.read("focus")
        element.blur()

    def catch(self, *names: str) -> None:
        """From now on watch for what is shown for a moment only, the first of them for sure."""
        self.page.evaluate(_CATCHER, [FACTS, names])

    def read_caught(self) -> None:
        """Wait until all of it was seen, and note it."""
        self.page.wait_for_function("() => Object.keys(window.caught).length > 0")
        self._note(self.page.evaluate("window.caught"))

    def add(self, other: Looks) -> None:
        """Note what was seen elsewhere in the same place."""
        self._note(other.found)

    def _note(self, found: dict[str, list[dict[str, str]]]) -> None:
        for name, looks in found.items():
            self.found.setdefault(name, []).extend(looks)

    def differences(self) -> dict[tuple[str, str], Any]:
        """Return what is unlike the mock, and under "" what was never seen at all."""
        told: dict[tuple[str, str], Any] = {}
        for name, facts in FACTS.items():
            looks = self.found.get(name, [])
            if not looks:
                told[name, ""] = "never seen"
            for prop, wanted in facts.items():
                others = sorted({look[prop] for look in looks} - {wanted})
                if others:
                    told[name, prop] = f"{' and '.join(others)}, not {wanted}"
        return told
