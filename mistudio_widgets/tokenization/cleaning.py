"""Text without what no reader sees: ``cleaning="safe"``."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache
from typing import Final

_LINE_END: Final = re.compile("\r\n|\r|\x85")

# what is left of Unicode's category Cc once the line ends are plain: all but tab and newline
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# composing starts at a letter: "<" and a stroke after it stay two characters
_COMPOSABLE: Final = re.compile(r"[A-Za-z]?[^\x00-\x7f]+")


def clean_safely(text: str) -> tuple[str, int]:
    r"""Return ``text`` in composed Unicode, with plain line ends, without control characters.

    ASCII other than control characters stays as it is, so markup, code and role markers do.

    Returns
    -------
    text : str
    num_changed : int
        Characters of the given text that were replaced or dropped.

    >>> clean_safely("a < b\x00\r\nCafe\u0301")
    ('a < b\nCafé', 4)
    """
    text, num_ends = _LINE_END.subn("\n", text)
    text, num_controls = _CONTROL.subn("", text)
    num_changed = num_ends + num_controls
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return text, num_changed
    num_composed = 0

    def compose(found: re.Match[str]) -> str:
        nonlocal num_composed
        piece = found.group()
        composed = unicodedata.normalize("NFC", piece)
        if composed != piece:
            num_composed += _num_composed(piece)
        return composed

    text = _COMPOSABLE.sub(compose, text)
    return text, num_changed + num_composed


def _num_composed(piece: str) -> int:
    """Count the characters that NFC replaces, cluster by cluster: clusters are independent."""
    return sum(
        len(cluster)
        for cluster in _clusters(piece)
        if unicodedata.normalize("NFC", cluster) != cluster
    )


def _clusters(piece: str) -> list[str]:
    """Cut before every character that never joins the one before it."""
    joining = _joining()
    starts = [
        position
        for position, character in enumerate(piece)
        if not position or not (unicodedata.combining(character) or character in joining)
    ]
    return [
        piece[start:stop] for start, stop in zip(starts, [*starts[1:], len(piece)], strict=True)
    ]


@lru_cache(maxsize=1)
def _joining() -> frozenset[str]:
    """Return the characters that stand second in a composition, whatever their class."""
    joining = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    for code in range(min(0x30000, sys.maxunicode)):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            joining.add(chr(int(parts[1], 16)))
    return frozenset(joining)
