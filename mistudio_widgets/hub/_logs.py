"""Keeps signatures and tokens out of what the HTTP libraries log.

httpx logs each address at INFO: https://www.python-httpx.org/logging. Those of files are signed:
whoever has one can read the file.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Final

from ._names import redacted

# a filter works where a record is made, not in the parents of that logger
_LOGGERS: Final = tuple(
    name
    for generation in ("", "2")
    for name in (
        f"httpx{generation}",
        *(f"httpcore{generation}{part}" for part in ("", ".connection", ".http11", ".http2")),
    )
)


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        shown = redacted(said)
        if shown != said:
            record.msg, record.args = shown, None
        return True


@cache
def redact_logs() -> None:
    """Redact the records of the HTTP libraries from now on; whoever handles them."""
    redaction = _Redaction()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(redaction)
