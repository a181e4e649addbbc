"""Points at which a process can die: before, within or after a step that is meant to last."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import duckdb

When = Literal["before", "within", "after"]
CALLS = (
    "fsync", "fdatasync", "ftruncate", "link", "mkdir", "rename", "replace", "rmdir", "unlink",
)  # fmt: skip
STATEMENTS = ("COMMIT", "CHECKPOINT", "DETACH")
# what DuckDB does in one of these lasts about so long
_WITHIN_S = 0.004


class Failpoints:
    """Notes the steps of this process, and kills it at one of them.

    Parameters
    ----------
    fatal : int
        The number of the step to die at; 0: at none.
    share : float, 0..1
        For ``within``: how far into the step. Only what DuckDB does releases the interpreter.
    """

    def __init__(self, fatal: int = 0, when: When = "before", share: float = 0.0) -> None:
        self.names: list[str] = []
        self._fatal, self._when, self._delay_s = fatal, when, share * _WITHIN_S
        self._lock = threading.Lock()

    def install(self) -> None:
        """Watch all steps from now on."""
        for name in CALLS:
            setattr(os, name, self._watched(name, getattr(os, name)))
        connect = duckdb.connect
        duckdb.connect = lambda *given, **options: _Connection(  # type: ignore[assignment]
            connect(*given, **options), self
        )

    def step(self, name: str, act: Callable[[], Any]) -> Any:
        """Do a step, and die at it if it is the one."""
        with self._lock:
            self.names.append(name)
            is_fatal = len(self.names) == self._fatal
        if not is_fatal:
            return act()
        if self._when == "before":
            _die(f"before {name}")
        if self._when == "within":
            threading.Thread(target=self._die_soon, args=(f"within {name}",)).start()
        answer = act()
        _die(f"after {name}")
        return answer

    def _die_soon(self, where: str) -> None:
        time.sleep(self._delay_s)
        _die(where)

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            return self.step(name, lambda: real(*given, **options))

        return call


def _die(where: str) -> None:
    os.write(1, f'died "{where}"\n'.encode())
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


class _Connection:
    """Notes what makes a catalog durable, not what looks at it."""

    def __init__(self, real: Any, points: Failpoints) -> None:
        self._real, self._points = real, points
        self._is_reading = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, statement: str, *given: Any) -> Any:
        word = statement.split(maxsplit=1)[0]
        if word == "ATTACH":
            self._is_reading = "READ_ONLY" in statement
        if word not in STATEMENTS or self._is_reading:
            return self._real.execute(statement, *given)
        return self._points.step(word, lambda: self._real.execute(statement, *given))
