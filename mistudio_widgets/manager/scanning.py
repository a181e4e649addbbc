"""A search by reading that goes on in the background while pages of it are shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import samples
from ..errors import JobCancelled
from ..progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

_THREADS: Final = 2
_STRETCH_BYTES: Final = 16 * 2**20
_LOOK_S: Final = 0.05

_Rows = npt.NDArray[np.int64]


class StoppedError(Exception):
    """The scan was stopped by somebody else."""


class _Stretch(NamedTuple):
    """Neighbouring rows of a split, whole row groups."""

    split: str
    start: int
    end: int


class Scan:
    """A search by reading, in threads of its own, which all who ask the same wait for.

    Two threads read stretches of the rows side by side; what they find is put in row order.
    """

    def __init__(self, files: samples.FileMap, split: str | None, query: samples.Query) -> None:
        self._files = files
        self._query = query
        self._stretches = list(_stretches(files, split))
        self._changed = threading.Condition()
        self._progress = Progress()
        self._hits: list[_Rows] = []
        self._num_hits = 0
        self._num_waiting = 0
        self._is_done = False
        self._error: BaseException | None = None
        self._next = self._current = 0
        self._found: list[list[_Rows]] = [[] for _ in self._stretches]
        self._are_done = [False] * len(self._stretches)
        self._num_running = min(_THREADS, max(len(self._stretches), 1))
        for _ in range(self._num_running):
            threading.Thread(target=self._run, name="mistudio-search", daemon=True).start()

    @property
    def num_bytes(self) -> int:
        """What the hits so far take."""
        return 8 * self._num_hits

    @property
    def is_over(self) -> bool:
        """Whether it ended without having seen all."""
        return self._error is not None or self.was_stopped

    @property
    def was_stopped(self) -> bool:
        """Whether it was told to end."""
        return self._progress.is_cancelled

    @property
    def is_unattended(self) -> bool:
        """Whether it goes on with nobody waiting for it."""
        return not self._num_waiting and not self._is_done

    def stop(self) -> None:
        """End it; who waits gets `StoppedError`."""
        self._progress.cancel()

    def stop_if_unattended(self) -> None:
        """End it unless somebody waits for it."""
        with self._changed:
            if self.is_unattended:
                self._progress.cancel()

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Wait inside; whoever leaves it cancelled, as the last one, ends the scan."""
        with self._changed:
            if self.was_stopped and not self._is_done:
                raise StoppedError
            self._num_waiting += 1
        is_cancelled = False
        try:
            yield
        except JobCancelled:
            is_cancelled = True
            raise
        finally:
            with self._changed:
                self._num_waiting -= 1
                if is_cancelled and self.is_unattended:
                    self._progress.cancel()

    def more(self, num_hits: int | None, progress: Progress) -> tuple[_Rows, bool]:
        """Wait for ``num_hits`` hits, None for all; return those there are, and if these are all.

        There may be fewer at the end.
        """
        with self._changed:
            while not self._is_done and (num_hits is None or self._num_hits < num_hits):
                progress.check()
                self._changed.wait(_LOOK_S)
            progress.check()
            if self._error is not None:
                raise self._error
            if len(self._hits) > 1:
                self._hits = [np.concatenate(self._hits)]
            return (self._hits[0] if self._hits else np.empty(0, np.int64)), self._is_done

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while (number := self._take()) is not None:
                stretch = self._stretches[number]
                first_row = self._files.span(stretch.split).start
                texts = _texts(self._files, stretch)
                for batch in samples.scan(texts, self._query, progress=self._progress):
                    self._add(number, batch.hits + first_row)
                self._add(number, None)
        except JobCancelled:
            error = StoppedError()
        except BaseException as caught:  # noqa: BLE001 -- the edge of a thread; raised to who waits
            error = caught
        with self._changed:
            if error is not None and (self._error is None or isinstance(self._error, StoppedError)):
                self._error = error
                self._progress.cancel()
            self._num_running -= 1
            self._is_done = self._num_running == 0
            self._changed.notify_all()

    def _take(self) -> int | None:
        with self._changed:
            if self._next == len(self._stretches):
                return None
            self._next += 1
            return self._next - 1

    def _add(self, number: int, hits: _Rows | None) -> None:
        """Take hits of a stretch, None at its end; they count once all before them are known."""
        with self._changed:
            if hits is None:
                self._are_done[number] = True
            elif len(hits):
                self._found[number].append(hits)
            while self._current < len(self._stretches):
                found = self._found[self._current]
                self._hits += found
                self._num_hits += sum(map(len, found))
                found.clear()
                if not self._are_done[self._current]:
                    break
                self._current += 1
            self._changed.notify_all()


def _stretches(files: samples.FileMap, split: str | None) -> Iterator[_Stretch]:
    """Cut the rows into stretches of at least 16 MB of text."""
    for name in files.splits if split is None else [split]:
        start = end = size = 0
        for part in files.parts[name]:
            for group_end, num_bytes in zip(part.group_rows[1:], part.text_bytes, strict=True):
                end = part.first_row + int(group_end)
                size += int(num_bytes)
                if size >= _STRETCH_BYTES:
                    yield _Stretch(name, start, end)
                    start, size = end, 0
        if end > start:
            yield _Stretch(name, start, end)


def _texts(files: samples.FileMap, stretch: _Stretch) -> Iterator[tuple[int, pa.Array]]:
    for first_row, texts in files.texts(stretch.split, stretch.start):
        left = stretch.end - first_row
        if left > 0:
            yield first_row, texts.slice(0, left)
        if left <= len(texts):
            return
