"""The bandwidth limit: one for all files of all downloads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Final

from ..errors import InvalidRequestError

# so short that a change is felt at once, and that the speed shown stays smooth
_PIECE_S: Final = 0.1
# more than any network has; larger numbers are no floats
_MAX_RATE: Final = 10**15


class BandwidthLimit:
    """A token bucket that holds a tenth of a second.

    Parameters
    ----------
    bytes_per_s : int or None
        None: no limit.

    *Threads:* every method may be called from any thread, and `bytes_per_s` set at any time.

    >>> limit = BandwidthLimit(1_000_000)
    >>> limit.bytes_per_s = None
    """

    def __init__(self, bytes_per_s: int | None = None) -> None:
        self._lock = threading.Lock()
        self._bytes_per_s = _checked(bytes_per_s)
        self._balance = 0.0
        self._at = time.monotonic()

    @property
    def bytes_per_s(self) -> int | None:
        """Bytes per second over all files; waits under way follow a new value within 0.1 s."""
        return self._bytes_per_s

    @bytes_per_s.setter
    def bytes_per_s(self, bytes_per_s: int | None) -> None:
        checked = _checked(bytes_per_s)
        with self._lock:
            self._bytes_per_s = checked
            self._balance, self._at = 0.0, time.monotonic()

    def portions(self, num_bytes: int, wait: Callable[[float], None]) -> Iterator[int]:
        """Give ``num_bytes`` back in pieces, each as soon as it is due.

        Parameters
        ----------
        wait : callable
            Sleeps for so many seconds, or raises to end the wait.
        """
        while num_bytes:
            granted, wait_s = self._grant(num_bytes)
            if granted:
                num_bytes -= granted
                yield granted
            else:
                wait(wait_s)

    def _grant(self, wanted: int) -> tuple[int, float]:
        with self._lock:
            rate = self._bytes_per_s
            if rate is None:
                return wanted, 0.0
            now = time.monotonic()
            piece = max(rate * _PIECE_S, 1.0)
            self._balance = min(self._balance + (now - self._at) * rate, piece)
            self._at = now
            if self._balance <= 0:
                return 0, min(-self._balance / rate + 0.001, _PIECE_S)
            granted = min(wanted, int(piece))
            self._balance -= granted
            return granted, 0.0


def _checked(bytes_per_s: object) -> int | None:
    if bytes_per_s is None:
        return None
    # numpy's integers are Integral too
    if isinstance(bytes_per_s, Integral) and not isinstance(bytes_per_s, bool):
        rate = int(bytes_per_s)
        if 0 < rate <= _MAX_RATE:
            return rate
    raise InvalidRequestError(
        f"bandwidth_limit is bytes per second, and {repr(bytes_per_s)[:100]} is none.",
        field="bandwidth_limit",
        hint="Give a whole number above 0, for example 5_000_000 for 5 MB/s, or None for no limit.",
    )
