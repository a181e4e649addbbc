"""Whose turn it is: processes that write hold ``catalog.lock``, and those that read give way."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ..errors import CatalogBusyError, CatalogError

BUSY_S: Final = 10.0
"""How long somebody waits for their turn."""

_GIVE_WAY_S: Final = 1.0

_POLL_S: Final = 0.002


def take(lock: FileLock) -> None:
    """Take the writers' lock, which is to be released.

    Raises
    ------
    CatalogBusyError
        Others kept it.
    CatalogError
        There is no locking here.
    """
    try:
        lock.acquire(timeout=BUSY_S, poll_interval=_POLL_S)
    except Timeout as error:
        raise busy() from error
    # also where the library cannot lock on this file system
    except (OSError, NotImplementedError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CatalogError(
            f"The catalog cannot be changed: {reason.rstrip('.')}.",
            hint="Check that the data folder is on a disk that can be written to.",
        ) from error


def let_writers_pass(path: Path) -> None:
    """Wait until nobody holds the writers' lock at ``path``, for a second at most.

    DuckDB's own lock is free for a writer only while nobody reads, and readers that come one after
    another leave no such moment. The lock is only looked at, so readers do not wait for each
    other.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        # nobody has written yet, or not for others to see
        return
    try:
        deadline = time.monotonic() + _GIVE_WAY_S
        while not _is_free(descriptor) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    finally:
        # not by closing alone: a child that was forked meanwhile has the file open too
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # a file system without locks
        return True
    return True


def busy() -> CatalogBusyError:
    """Return the error of who waited in vain."""
    return CatalogBusyError(
        f"Other processes kept the catalog locked for {BUSY_S:.0f} s.",
        hint="Try again; if it stays so, look for a stuck process with the data folder open.",
    )
