"""Where the log is seen: the process's stderr, or what somebody configured instead."""

from __future__ import annotations

import io
import logging
import os
import select
import sys
import threading
from typing import Final

_NOBODY_READS_MS: Final = 100


class Level(int):
    """A level that this package set: told apart from the same number set by somebody else."""

    __slots__ = ()


class Stderr(logging.Handler):
    """Passes records on to whoever configured logging, else writes them to stderr.

    Passing on is what `propagate` does, but for one thing: our own level, which the file needs,
    lets INFO through, and ``logging.basicConfig()`` asks a library for WARNING and more. Nobody
    is given what they did not ask for, and nothing is written twice.

    In a notebook's kernel stderr is that of the process, which the Jupyter server writes to its
    own log: lines of work in the background have no business in a cell, and under Voila none on
    the page. Only a warning that the cell itself calls forth is shown there.

    Parameters
    ----------
    logger : Logger
        The one that this handler is attached to.
    passes_on : bool
        Whether that logger propagated.
    """

    def __init__(self, logger: logging.Logger, *, passes_on: bool) -> None:
        super().__init__()
        self._logger = logger
        self.passes_on = passes_on
        self.may_use_cells = False

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, or write it."""
        above = self._logger.parent if self.passes_on else None
        if above is not None and above.hasHandlers():
            if self._is_wanted(record, above):
                self._pass_on(record, above)
        elif all(handler.__module__.startswith(__package__) for handler in self._logger.handlers):
            self._write(record)

    def _pass_on(self, record: logging.LogRecord, above: logging.Logger) -> None:
        """Give a record to the handlers above, but for those that are at our logger as well."""
        had = set(self._logger.handlers)
        logger: logging.Logger | None = above
        while logger is not None:
            for handler in logger.handlers:
                if handler not in had and record.levelno >= handler.level:
                    handler.handle(record)
            logger = logger.parent if logger.propagate else None

    def _is_wanted(self, record: logging.LogRecord, above: logging.Logger) -> bool:
        """Whether the record would have come through without the level that we set."""
        source: logging.Logger | None = logging.getLogger(record.name)
        while source is not None and source is not above:
            if source.level and not isinstance(source.level, Level):
                # set by somebody for us, and it came through
                return True
            source = source.parent
        return record.levelno >= above.getEffectiveLevel()

    def _write(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
        except Exception:  # noqa: BLE001 -- as of every handler: a wrong call ends no work
            self.handleError(record)
            return
        try:
            self._write_line(line, is_for_cell=self._is_for_cell(record))
        except (OSError, ValueError):
            # it is closed, and there is nowhere left to say so
            return

    def _is_for_cell(self, record: logging.LogRecord) -> bool:
        is_of_cell = record.thread == threading.main_thread().ident
        return self.may_use_cells and is_of_cell and record.levelno >= logging.WARNING

    def _write_line(self, line: str, *, is_for_cell: bool) -> None:
        stream = sys.stderr
        if type(stream).__module__.startswith("ipykernel.") and not is_for_cell:
            try:
                # the copy that ipykernel keeps of the descriptor that it captures
                _write_if_read(stream.fileno(), line.encode(errors="backslashreplace"))
            except io.UnsupportedOperation:
                # it captures none
                stream = sys.__stderr__
            else:
                return
        if stream is not None:
            stream.write(line)
            stream.flush()


def _write_if_read(descriptor: int, data: bytes) -> None:
    """Write, unless it is a pipe that is full because nobody reads it: work must not wait."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if poll.poll(_NOBODY_READS_MS):
        os.write(descriptor, data)
