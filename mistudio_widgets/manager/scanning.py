"""A search by reading that goes on in the background while pages of it are shown."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

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
_NO_ROWS: Final = np.empty(0, np.int64)


class StoppedError(Exception):
    """The scan was stopped by somebody else."""


class _Stretch:
    """Neighbouring rows of a split, whole row groups, and what was found in them.

    Its texts are taken from it batch by batch, by whichever thread holds ``reading``.

    Attributes
    ----------
    found : list of (int64 or None)
        The hits of each batch that was taken, None as long as they are looked for.
    num_told : int
        Of how many of them all know.
    """

    def __init__(self, files: samples.FileMap, split: str, start: int, end: int) -> None:
        self.first_row = files.span(split).start
        self.reading = threading.Lock()
        self.is_read = False
        self.found: list[_Rows | None] = []
        self.num_told = 0
        self._texts = _texts(files, split, start, end)

    def take(self) -> tuple[int, pa.Array] | None:
        """Return the next texts and the row of the split that they begin with; None at the end.

        Batches come together: an expression is compiled for each anew, in up to 3 ms. The first
        one of all is not kept waiting.
        """
        import pyarrow as pa

        enough = 2 * samples.BATCH_BYTES if self.found else 0
        taken: list[pa.Array] = []
        first_row = num_bytes = 0
        for row, texts in self._texts:
            first_row = first_row if taken else row
            taken.append(texts)
            num_bytes += texts.nbytes
            if num_bytes >= enough:
                break
        if not taken:
            return None
        return first_row, taken[0] if len(taken) == 1 else pa.concat_arrays(taken)

    def close(self) -> None:
        """Let go of the file that is read."""
        self._texts.close()


class Scan:
    """A search by reading, in threads of its own, which all who ask the same wait for.

    Each of two threads takes the next texts of the first stretch that the other is not reading
    from, so one looks through what it took while the other unpacks. What they find is put in row
    order.
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
        self._current = 0
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
            return (self._hits[0] if self._hits else _NO_ROWS), self._is_done

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            while (stretch := self._free()) is not None:
                try:
                    taken = stretch.take()
                    place = self._begun(stretch, is_end=taken is None)
                finally:
                    stretch.reading.release()
                if taken is not None:
                    self._progress.check()
                    first_row, texts = taken
                    hits = np.flatnonzero(samples.matches(texts, self._query)).astype(np.int64)
                    self._add(stretch, place, hits + (stretch.first_row + first_row))
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
            if self._is_done:
                for stretch in self._stretches:
                    stretch.close()
            self._changed.notify_all()

    def _free(self) -> _Stretch | None:
        """Return the first stretch that nobody reads from, locked; None when all are read."""
        self._progress.check()
        while (left := [stretch for stretch in self._stretches if not stretch.is_read]) != []:
            for stretch in left:
                if stretch.reading.acquire(blocking=False):
                    if not stretch.is_read:
                        return stretch
                    stretch.reading.release()
            left[0].reading.acquire()
            if not left[0].is_read:
                return left[0]
            left[0].reading.release()
        return None

    def _begun(self, stretch: _Stretch, *, is_end: bool) -> int:
        """Note that texts of a stretch were taken; returns which."""
        with self._changed:
            if is_end:
                stretch.is_read = True
                self._tell()
            else:
                stretch.found.append(None)
            return len(stretch.found) - 1

    def _add(self, stretch: _Stretch, place: int, hits: _Rows) -> None:
        with self._changed:
            stretch.found[place] = hits
            self._tell()

    def _tell(self) -> None:
        """Make hits known whose predecessors are."""
        while self._current < len(self._stretches):
            stretch = self._stretches[self._current]
            while stretch.num_told < len(stretch.found):
                hits = stretch.found[stretch.num_told]
                if hits is None:
                    return
                if len(hits):
                    self._hits.append(hits)
                    self._num_hits += len(hits)
                    stretch.found[stretch.num_told] = _NO_ROWS
                stretch.num_told += 1
            if not stretch.is_read:
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
                    yield _Stretch(files, name, start, end)
                    start, size = end, 0
        if end > start:
            yield _Stretch(files, name, start, end)


def _texts(
    files: samples.FileMap, split: str, start: int, end: int
) -> Generator[tuple[int, pa.Array]]:
    for first_row, texts in files.texts(split, start):
        left = end - first_row
        if left > 0:
            yield first_row, texts.slice(0, left)
        if left <= len(texts):
            return
