"""Where the seconds of a tokenization go."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

_Item = TypeVar("_Item")


class Stages:
    """Seconds by stage; stages of several threads run at once and add up.

    *Threads:* one object a thread; `add` brings them together.
    """

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Count what happens inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] += time.perf_counter() - began  # type: ignore[assignment]

    def each(self, stage: str, items: Iterable[_Item]) -> Iterator[_Item]:
        """Count the waiting for each item, not what is done with it."""
        iterator = iter(items)
        while True:
            with self.time(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def add(self, seconds: Mapping[str, float]) -> None:
        """Count what another one counted."""
        for stage, value in seconds.items():
            self._seconds[stage] += value  # type: ignore[assignment]

    def seconds(self) -> dict[str, float]:
        """Return the seconds of every stage so far."""
        return dict(self._seconds)
