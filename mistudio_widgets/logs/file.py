"""A log file that many processes append to and rotate, without losing or tearing a line."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 10 * 1024**2
NUM_FILES: Final = 5

_LOCK_S: Final = 0.5
_LOCK_POLL_S: Final = 0.002
# on some file systems a file's number changes from look to look, and none would be the right one
_MAX_LOOKS: Final = 50


class LogFile(logging.Handler):
    """Appends to ``path``; when it is full it becomes ``path.1``, that ``path.2``, and so on.

    The standard library's `RotatingFileHandler` loses lines when two processes have the file
    open: one renames what the other goes on writing to. Here the file is opened for each line
    and locked (flock); whoever has the lock looks whether the file is still the one at ``path``,
    else starts over. So a line is only ever written to the file of that name, and only who holds
    its lock renames it. Nothing stays open: a fork inherits no lock, a killed process leaves none.

    A line that cannot be written (a full or read-only disk) is left out whole, and nothing is
    raised; that is told once, where the other handlers of ``logger`` write.

    Parameters
    ----------
    path : Path
        Its folder is made when it is missing, the folder above is not.
    logger : Logger
        The one that this handler is attached to.
    max_bytes, num_files : int
        How large a file may grow, and how many are kept, the one at ``path`` included.

    *Threads:* one at a time, as of every handler. A process that was stopped with the lock held
    holds others up for half a second a line; they then append without it.
    """

    def __init__(
        self,
        path: Path,
        logger: logging.Logger,
        *,
        max_bytes: int = MAX_BYTES,
        num_files: int = NUM_FILES,
    ) -> None:
        super().__init__()
        self._path = path
        self._logger = logger
        self._max_bytes = max_bytes
        self._num_files = num_files
        self._num_missed = 0
        self._is_complaining = False

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record."""
        if self._is_complaining:
            return
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 -- as of every handler: a wrong call ends no work
            self.handleError(record)
            return
        try:
            self._append(line.encode(errors="backslashreplace") + b"\n")
        except OSError as error:
            self._num_missed += 1
            if self._num_missed == 1:
                self._complain(error)
        else:
            num_missed, self._num_missed = self._num_missed, 0
            if num_missed:
                self._logger.warning("%d records before this could not be written", num_missed)

    def _complain(self, error: OSError) -> None:
        """Tell all handlers but this one."""
        self._is_complaining = True
        try:
            self._logger.warning(
                "the log file cannot be written to, and work goes on without it: %s",
                error.strerror or error,
            )
        finally:
            self._is_complaining = False

    def _append(self, data: bytes) -> None:
        for look in range(_MAX_LOOKS):
            is_last = look == _MAX_LOOKS - 1
            descriptor = self._open()
            try:
                is_locked = _lock(descriptor)
                if is_locked and not is_last and not self._is_at_path(descriptor):
                    # it was rotated away while this waited
                    continue
                size = os.fstat(descriptor).st_size
                if is_locked and not is_last and size and size + len(data) > self._max_bytes:
                    self._rotate()
                    continue
                _write_whole(descriptor, data, back_to=size if is_locked else None)
                return
            finally:
                # not by closing alone: a child that was forked meanwhile has the file open too
                _unlock(descriptor)
                os.close(descriptor)

    def _open(self) -> int:
        # no link: a planted one must not lead out of the data folder
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self._path, flags, 0o666)
        except FileNotFoundError:
            self._path.parent.mkdir(exist_ok=True)
            return os.open(self._path, flags, 0o666)

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        """Rename the file away; only with its lock."""
        # up to a gap, which a process leaves that was killed in the middle of this
        names = [self._path]
        while len(names) < self._num_files and os.path.lexists(names[-1]):
            names.append(self._path.with_name(f"{self._path.name}.{len(names)}"))
        for newer, older in reversed(list(pairwise(names))):
            newer.replace(older)


def _lock(descriptor: int) -> bool:
    """Lock a file; False when there is no lock to be had in time, or on this file system."""
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
        except OSError:
            return False
        else:
            return True
        time.sleep(_LOCK_POLL_S)


def _unlock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        # a file system without locks
        return


def _write_whole(descriptor: int, data: bytes, *, back_to: int | None) -> None:
    """Write all or nothing; ``back_to`` is the size before, where nobody else writes now."""
    if os.write(descriptor, data) < len(data):
        # the disk took the beginning
        if back_to is not None:
            os.ftruncate(descriptor, back_to)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
