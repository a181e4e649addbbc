"""Room that is kept for the catalog on a full disk.

A full disk is when the catalog is needed most: to record what failed, and to delete. Its commits
take some kilobytes, which this file gives up for them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

SPARE_BYTES: Final = 1 << 20


class Spare:
    """A file whose only content is its size.

    *Threads:* for whoever holds the writers' lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give the room up for the block when the disk has no other, and take it back after."""
        if self._free_bytes() < SPARE_BYTES:
            self._path.unlink(missing_ok=True)
        try:
            yield
        finally:
            if self._num_bytes() < SPARE_BYTES:
                self._take()

    def _take(self) -> None:
        num_bytes = min(self._free_bytes() + self._num_bytes(), SPARE_BYTES)
        try:
            self._path.write_bytes(bytes(num_bytes))
        except OSError:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._path.parent).free

    def _num_bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0
