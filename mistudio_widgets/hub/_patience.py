"""How long a plan may take, and whether anybody still waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final, TypeVar

from ..progress import Progress
from ._sockets import Sockets

T = TypeVar("T")

# how long a wait lasts before it looks whether it should end
_GLANCE_S: Final = 0.1
# what a request that was cut needs to notice; one that still connects is left to itself
_LINGER_S: Final = 0.5


class TooSlowError(Exception):
    """The whole took longer than it may."""


class Patience:
    """Ends every wait when the job is cancelled, or when the whole has taken too long.

    Parameters
    ----------
    progress : Progress or None
        The job that waits; None where nobody can cancel.
    seconds : float
        From now on; then `check` raises.

    *Threads:* every method may be called from any thread.
    """

    def __init__(self, seconds: float, progress: Progress | None = None) -> None:
        self._progress = progress or Progress()
        self._over_at = time.monotonic() + seconds

    def check(self) -> None:
        """Raise `JobCancelled` or `TooSlowError`."""
        self._progress.check()
        if time.monotonic() >= self._over_at:
            raise TooSlowError

    def wait(self, seconds: float) -> None:
        """Sleep, unless there is a reason not to."""
        self._progress.wait(seconds)
        self.check()

    def have(self, call: Callable[[Sockets], T], *, within_s: float) -> T:
        """Return what ``call`` returns; it runs in a thread, and its sockets are cut at the end.

        Raises
        ------
        TimeoutError
            When it took longer than ``within_s``, whatever it waited for: name lookup, each of a
            host's addresses, the answer, or a body that trickles.
        """
        self.check()
        sockets = Sockets()
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(call(sockets))
            except BaseException as error:  # noqa: BLE001 -- handed to the caller, whatever it is
                outcome.set_exception(error)

        thread = threading.Thread(target=run, name="hub-request", daemon=True)
        thread.start()
        over_at = time.monotonic() + within_s
        try:
            while not wait([outcome], _GLANCE_S).done:
                self.check()
                if time.monotonic() >= over_at:
                    raise TimeoutError
        finally:
            if not outcome.done():
                _end(thread, sockets)
        return outcome.result()


def _end(thread: threading.Thread, sockets: Sockets) -> None:
    over_at = time.monotonic() + _LINGER_S
    while thread.is_alive() and time.monotonic() < over_at:
        sockets.cut()
        thread.join(_GLANCE_S / 2)
