"""How a record is written: on one line, however hostile the names in it are."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias

Redact: TypeAlias = Callable[[str], str]

FOLDER: Final = "mistudio_folder"
"""The attribute of a record that names the data folder it tells of."""

MAX_CHARS: Final = 8_000
"""More of a message or of a traceback is left out."""

_CONTINUED: Final = "    | "


class Lines(logging.Formatter):
    r"""Time, level, process, message; a traceback follows on lines that look like no other.

    What is not printable is written as Python writes it in a string (``\n``, ``\x1b``,
    ``\u202e``): nothing in a name or a foreign error can end a line, begin one, recolour a
    terminal or turn its text around.

    Parameters
    ----------
    redact : callable
        Takes secrets out of a text.
    """

    def __init__(self, redact: Redact) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, without a line end."""
        at = datetime.fromtimestamp(record.created, UTC)
        when = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"
        message = printable(self._redact(record.getMessage()))
        lines = [f"{when} {record.levelname:<7} [{os.getpid()}] {message}"]
        if record.exc_info and record.exc_info[0] is not None:
            lines += self._continued(self.formatException(record.exc_info))
        if record.stack_info:
            lines += self._continued(record.stack_info)
        return "\n".join(lines)

    def _continued(self, text: str) -> list[str]:
        text = self._redact(text)
        if len(text) > MAX_CHARS:
            # the last lines say what happened
            text = "...\n" + text[-MAX_CHARS:]
        return [_CONTINUED + printable(line) for line in text.split("\n")]


def printable(text: str) -> str:
    r"""Return ``text`` with everything escaped that is not printable, and cut to a length.

    >>> print(printable("one\ntwo \x1b[31m\u202e"))
    one\ntwo \x1b[31m\u202e
    """
    if len(text) > MAX_CHARS:
        text = f"{text[:MAX_CHARS]}... ({len(text) - MAX_CHARS:,} more characters)"
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
