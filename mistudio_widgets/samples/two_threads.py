"""Work that releases Python's lock, done in two threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def map_in_two_threads(work: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[ResultT]:
    """Return the result for each item; this thread and another take them one after another.

    The other thread ends before this returns: a pool's would be missing in a forked child. After
    an error nothing new is begun, and the first is raised.
    """
    if len(items) < 2:
        return [work(item) for item in items]
    left = list(enumerate(items))[::-1]
    results: dict[int, ResultT] = {}
    errors: list[BaseException] = []

    def run() -> None:
        while not errors:
            try:
                place, item = left.pop()
            except IndexError:
                return
            try:
                results[place] = work(item)
            except BaseException as error:  # noqa: BLE001 -- the edge of a thread; raised below
                errors.append(error)

    other = threading.Thread(target=run, name="mistudio-rows", daemon=True)
    other.start()
    run()
    other.join()
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(items))]
