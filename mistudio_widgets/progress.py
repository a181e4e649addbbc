"""How far a job is, and whether it should go on."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from .errors import JobCancelled

_RATE_WINDOW_S: Final = 5.0
_SAMPLE_EVERY_S: Final = 0.1


@dataclass(frozen=True)
class ProgressState:
    """What a `Progress` counted, at one moment.

    Attributes
    ----------
    fraction : float
        0..1 over the whole job, never going back.
    per_s : float or None
        Units per second over the last five seconds; None before anything was measured.
    eta_s : float or None
        Seconds to the end of this phase; None where total or speed is unknown.
    """

    phase: str
    done: int
    total: int | None
    unit: str
    fraction: float
    per_s: float | None
    eta_s: float | None


class Progress:
    """Counts work, and raises `JobCancelled` at every check once cancelled.

    A job is a row of phases, each with its share of the whole:

    >>> progress = Progress()
    >>> progress.start("read", total=10, unit="rows", share=0.5)
    >>> progress.advance(5)
    >>> progress.state().fraction
    0.25

    *Threads:* every method may be called from any thread.
    *Cancellation:* `advance`, `check` and `wait` raise; `start` and `state` do not.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._phase = ""
        self._done = 0
        self._measured = 0
        self._total: int | None = None
        self._unit = ""
        self._before = 0.0
        self._share = 1.0
        self._marks: deque[tuple[float, int]] = deque()
        self._news: dict[tuple[str, str], int] = {}

    def start(self, phase: str, *, total: int | None = None, unit: str, share: float = 1.0) -> None:
        """Begin a phase.

        Parameters
        ----------
        phase : str
            One word that the user sees: "reading", "tokenizing", "packing".
        total : int or None
            How many units make the phase complete; None where nobody knows yet.
        unit : str
            "bytes", "samples", "tokens" or "files".
        share : float
            Which part of the whole job this phase is; the shares of a job add up to 1.
        """
        with self._lock:
            self._before = self._fraction_now(complete=True) if self._phase else 0.0
            self._phase, self._total, self._unit = phase, total, unit
            self._share = min(share, 1.0 - self._before)
            self._done = self._measured = 0
            self._marks.clear()
            self._marks.append((time.monotonic(), 0))

    def advance(self, units: int = 1, *, measured: bool = True) -> None:
        """Count ``units`` more; raises `JobCancelled` once cancelled.

        Parameters
        ----------
        measured : bool
            False for what was there before: it counts as done, but not as speed.
        """
        with self._lock:
            self._done += units
            if measured:
                self._measured += units
                key = (self._phase, self._unit)
                self._news[key] = self._news.get(key, 0) + units
            now = time.monotonic()
            if self._measured == 0:
                # the clock of the speed starts with the first unit that is measured
                self._marks.clear()
            if now - self._marks[-1][0] >= _SAMPLE_EVERY_S if self._marks else True:
                self._marks.append((now, self._measured))
                self._forget_before(now - _RATE_WINDOW_S)
        self.check()

    def check(self) -> None:
        """Raise `JobCancelled` once the job is cancelled."""
        if self._cancelled.is_set():
            raise JobCancelled

    def wait(self, seconds: float) -> None:
        """Sleep, but wake up and raise `JobCancelled` as soon as the job is cancelled."""
        if self._cancelled.wait(seconds):
            raise JobCancelled

    def cancel(self) -> None:
        """Make every later check raise."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called: the one source of truth, whatever an exception says."""
        return self._cancelled.is_set()

    def state(self) -> ProgressState:
        """Return what is known now."""
        with self._lock:
            now = time.monotonic()
            per_s: float | None = None
            # also when nothing moves: the speed of what has stopped is none
            self._forget_before(now - _RATE_WINDOW_S)
            if self._marks:
                first_at, first_measured = self._marks[0]
                if now - first_at >= _SAMPLE_EVERY_S and self._measured > first_measured:
                    per_s = (self._measured - first_measured) / (now - first_at)
            eta_s: float | None = None
            if per_s and self._total is not None:
                eta_s = max(self._total - self._done, 0) / per_s
            return ProgressState(
                phase=self._phase,
                done=self._done,
                total=self._total,
                unit=self._unit,
                fraction=self._fraction_now(complete=False),
                per_s=per_s,
                eta_s=eta_s,
            )

    def take_news(self) -> dict[tuple[str, str], int]:
        """Return what was measured since this was last called, by phase and unit."""
        with self._lock:
            news, self._news = self._news, {}
        return news

    def _forget_before(self, moment_s: float) -> None:
        while len(self._marks) > 1 and self._marks[1][0] <= moment_s:
            self._marks.popleft()

    def _fraction_now(self, *, complete: bool) -> float:
        if complete:
            part = 1.0
        elif self._total:
            part = min(self._done / self._total, 1.0)
        else:
            part = 0.0
        return min(self._before + self._share * part, 1.0)
