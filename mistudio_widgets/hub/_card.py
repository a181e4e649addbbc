"""The dataset card as plain text."""

from __future__ import annotations

import html
import re
from typing import Final

CARD: Final = "README.md"
CARD_YAML: Final = ".huggingface.yaml"
MAX_DESCRIPTION_BYTES: Final = 20_000
# far more than is kept; bounds the time of the expressions below
_MAX_SOURCE: Final = 64_000

_FRONT_MATTER: Final = re.compile(
    r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL
)
_HIDDEN: Final = (
    ("<!--", "-->"),
    (r"(?i)<script\b", r"(?i)</script\s*>"),
    (r"(?i)<style\b", r"(?i)</style\s*>"),
)
_BREAK: Final = re.compile(r"(?i)<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^<>]*>")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>")
_IMAGE: Final = re.compile(r"!\[[^\[\]]*\](?:\([^()]*\)|\[[^\[\]]*\])")
_LINK: Final = re.compile(r"\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_LINK_TARGET: Final = re.compile(r"(?m)^[ ]{0,3}\[[^\[\]]+\]:[ \t]*\S+.*$")
_AUTO_LINK: Final = re.compile(r"<(https?://[^<>\s]+)>")
_HEADING: Final = re.compile(r"#{1,6}[ \t]+|>[ \t]?")
# each part stops where it cannot go on, so no run of marks is gone through twice
_EMPHASIS: Final = re.compile(
    r"(?<!\*)(\*{1,3}+)(?=\S)([^*\n]*+)(?<=\S)\1"
    r"|(?<!`)(`{1,9}+)(?=\S)([^`\n]*+)(?<=\S)\3"
    r"|(?<!~)(~~)(?=[^\s~])([^~\n]*+)(?<=\S)~~"
    r"|(?<!_)(__)(?=[^\s_])([^_\n]*+)(?<=\S)__"
)
_ITALIC: Final = re.compile(r"(?<!\w)_(?=\S)([^_\n]++)_(?!\w)")
_BLANKS: Final = re.compile(r"\n\s*\n+")


def front_matter(card: str) -> str | None:
    """Return the YAML between the card's first two ``---`` lines."""
    found = _FRONT_MATTER.match(card)
    return found[1] if found else None


def plain_text(card: str) -> str | None:
    r"""Return what a reader of the card reads, at most 20 kB of UTF-8; None if nothing.

    >>> plain_text("---\nlicense: mit\n---\n# Tiny\nSee [the paper](https://x.org), **now**.")
    'Tiny\nSee the paper, now.'
    """
    body = _FRONT_MATTER.sub("", card)[:_MAX_SOURCE].replace("\r\n", "\n")
    text = _AUTO_LINK.sub(r"\1", _without_hidden(body))
    text = _TAG.sub("", _BREAK.sub("\n", text))
    text = _LINK_TARGET.sub("", _LINK.sub(r"\1", _IMAGE.sub("", text)))
    lines = (_without_marks(line) for line in text.split("\n"))
    text = "\n".join(line for line in lines if line is not None)
    text = _ITALIC.sub(r"\1", _EMPHASIS.sub(_inner, _EMPHASIS.sub(_inner, text)))
    text = html.unescape(text)
    return _cut(_tidy(text)) or None


def _without_hidden(text: str) -> str:
    # split, because a lazy expression takes quadratic time on openings that are never closed
    for opening, closing in _HIDDEN:
        first, *rest = re.split(opening, text)
        text = first + "".join("".join(re.split(closing, part, maxsplit=1)[1:]) for part in rest)
    return text


def _without_marks(line: str) -> str | None:
    """Return a line without what makes it a heading, a rule or a row of a table."""
    bare = line.strip()
    marks = set(bare) - set(" \t")
    is_rule = len(marks) == 1 and marks <= set("-*_=") and (len(bare) >= 3 or marks == {"="})
    if is_rule or bare.startswith(("```", "~~~")):
        return ""
    if marks <= set("|:-") and "---" in bare:
        # below the head of a table
        return None
    if bare.startswith("|"):
        return "  ".join(cell.strip() for cell in bare.strip("|").split("|"))
    heading = _HEADING.match(bare)
    return bare[heading.end() :] if heading else line


def _inner(found: re.Match[str]) -> str:
    return next(filter(None, found.group(2, 4, 6, 8)), "")


def _tidy(text: str) -> str:
    kept = "".join(c for c in text if c in "\n\t" or c.isprintable())
    lines = (line.rstrip() for line in kept.split("\n"))
    return _BLANKS.sub("\n\n", "\n".join(lines)).strip()


def _cut(text: str) -> str:
    content = text.encode("utf-8", errors="replace")
    return content[:MAX_DESCRIPTION_BYTES].decode("utf-8", errors="ignore")
