"""Memory that was freed goes back to the system before it becomes much.

Texts, ids and word caches of all sizes come and go in several threads, and glibc keeps the holes:
at 2 GB of text that made 630 MB, of which 250 were holes. Closing them takes 10 ms, so it is
done only above a bound, and not at every batch.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

BOUND_BYTES: Final = 352 * 2**20
"""Anonymous memory over idle from which on holes are closed; 512 MB are the most there may be."""

_EVERY_BATCHES: Final = 4

_lock = threading.Lock()
_idle_bytes: int | None = None
_num_batches = 0


def note_idle() -> None:
    """Remember how much memory the process has before a tokenization."""
    global _idle_bytes
    _idle_bytes = anonymous_bytes()


def after_batch() -> None:
    """Close the holes when there is much memory; *Threads:* any."""
    global _num_batches
    with _lock:
        _num_batches += 1
        if _num_batches % _EVERY_BATCHES:
            return
    if _idle_bytes is None:
        note_idle()
    assert _idle_bytes is not None
    if anonymous_bytes() - _idle_bytes > BOUND_BYTES:
        close_holes()


def close_holes() -> None:
    """Let the allocators give back what is free."""
    pa.default_memory_pool().release_unused()
    library = _libc()
    if library is not None:
        library.malloc_trim(0)


def anonymous_bytes() -> int:
    """Return the anonymous memory of this process, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 -- at every batch
            _, resident, shared, *_ = map(int, file.read().split())
    except OSError:
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


@lru_cache(maxsize=1)
def _libc() -> Any:
    """Return the C library where it is glibc."""
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "malloc_trim") else None
