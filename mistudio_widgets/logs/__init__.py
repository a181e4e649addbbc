"""The package's own log: ``logs/mistudio.log`` in the data folder, and stderr.

lines      one record, one line: no secret, no control character, whatever a name holds
file       the file, which several processes append to and rotate
stderr     the process's stderr, unless somebody configured logging
(here)     the level, and what is attached to the logger while a manager lives

Only the logger ``mistudio_widgets`` is touched, and it is left as it was when the last manager of
the process closes. Whoever configured logging gets the records as of any library, by the levels
that were set there; ours then writes to the file alone.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .file import LogFile
from .lines import FOLDER, Lines, Redact
from .stderr import Level, Stderr

__all__ = ["FOLDER", "open_log"]

_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_USUAL: Final = "INFO"
_MAX_SHOWN: Final = 50

_logger = logging.getLogger(__package__.partition(".")[0])


class _Attached:
    """What is attached to the logger in this process, and for how many managers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users: Counter[Path | None] = Counter()
        self.files: dict[Path, LogFile] = {}
        self.stderr: Stderr | None = None


_attached = _Attached()


def _renew_lock() -> None:
    # a fork may happen while another thread, which is not in the child, holds it
    _attached.lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def open_log(root: Path, *, read_only: bool, redact: Redact) -> Callable[[], None]:
    """Write the package's log from now on.

    Parameters
    ----------
    root : Path
        The data folder. Two managers on the same one share the file.
    read_only : bool
        Write to stderr only.
    redact : callable
        Takes secrets out of a text.

    Returns
    -------
    callable
        Ends it; may be called more than once.

    *Threads:* any.
    """
    folder = None if read_only else root
    level, complaint = _chosen_level()
    with _attached.lock:
        if not _attached.users.total():
            _attach_stderr(level, redact)
        _attached.users[folder] += 1
        if folder is not None and folder not in _attached.files:
            _attach_file(folder, redact)
        _tell_stderr_who_works()
    if complaint:
        _logger.warning(complaint)
    is_open = [True]

    def close() -> None:
        with _attached.lock:
            if is_open:
                is_open.clear()
                _leave(folder)

    return close


def _attach_stderr(level: int, redact: Redact) -> None:
    if _logger.level == logging.NOTSET or isinstance(_logger.level, Level):
        _logger.setLevel(Level(level))
    _attached.stderr = Stderr(_logger, passes_on=_logger.propagate)
    _attached.stderr.setFormatter(Lines(redact))
    _logger.propagate = False
    _logger.addHandler(_attached.stderr)


def _attach_file(folder: Path, redact: Redact) -> None:
    file = LogFile(folder / "logs" / "mistudio.log", _logger)
    # what tells of another folder goes into that one's file
    file.addFilter(lambda record: getattr(record, FOLDER, folder) == folder)
    file.setFormatter(Lines(redact))
    _attached.files[folder] = file
    _logger.addHandler(file)


def _tell_stderr_who_works() -> None:
    if _attached.stderr is not None:
        _attached.stderr.may_use_cells = bool(_attached.files)


def _leave(folder: Path | None) -> None:
    _attached.users[folder] -= 1
    if folder is not None and not _attached.users[folder]:
        _logger.removeHandler(_attached.files.pop(folder))
    _tell_stderr_who_works()
    stderr = _attached.stderr
    if stderr is not None and not _attached.users.total():
        _attached.stderr = None
        _logger.removeHandler(stderr)
        _logger.propagate = stderr.passes_on
        if isinstance(_logger.level, Level):
            _logger.setLevel(logging.NOTSET)


def _chosen_level() -> tuple[int, str]:
    """Return the level, and what is wrong with how it was asked for."""
    asked = os.environ.get("MISTUDIO_LOG_LEVEL", "").strip()
    name = asked.upper() or _USUAL
    if name in _LEVELS:
        return logging.getLevelNamesMapping()[name], ""
    return logging.getLevelNamesMapping()[_USUAL], (
        f"MISTUDIO_LOG_LEVEL is {asked[:_MAX_SHOWN]!r}, which is no level, so it is {_USUAL}; "
        f"choose from {', '.join(_LEVELS)}"
    )
