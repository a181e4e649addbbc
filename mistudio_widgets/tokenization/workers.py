"""Shards in parallel: hand them out, count them, stop all of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ..encoders import EncoderSpec
from ..errors import JobCancelled
from ..progress import Progress
from .planning import Shard
from .shards import ShardRun, tokenize_shard
from .texts import TextRules

_MAX_THREADS: Final = 16
_CHECK_EVERY_S: Final = 0.1


@contextmanager
def shard_runs(
    shards: Sequence[Shard],
    spec: EncoderSpec,
    rules: TextRules,
    work_dir: Path,
    *,
    executor: Executor | None,
    progress: Progress,
) -> Iterator[Iterator[ShardRun]]:
    """Tokenize all shards; their runs come in the order of the shards, each when it is finished.

    *Cancellation:* workers stop within a batch. Whatever ends the ``with`` block, no worker is
    running any more. Of several faults the first in order is
    raised.
    """
    with _pool(executor) as (pool, shares_memory):
        # a Progress has locks, so it cannot travel to another process
        stop = StopFile(str(work_dir / "stop"))
        on_batch: Callable[[int], None] = progress.advance if shares_memory else stop
        futures: list[Future[ShardRun]] = []
        failed = threading.Event()
        try:
            for shard in shards:
                progress.check()
                future = pool.submit(tokenize_shard, shard, spec, rules, str(work_dir), on_batch)
                future.add_done_callback(partial(_note_failure, failed))
                futures.append(future)
            yield _in_order(futures, shards, progress, failed, counts=not shares_memory)
        except BaseException:
            for future in futures:
                future.cancel()
            if progress.is_cancelled:
                stop.put()
            try:
                wait(futures)
            finally:
                stop.remove()
            _raise_first(futures)
            raise


def _note_failure(failed: threading.Event, future: Future[ShardRun]) -> None:
    if future.cancelled() or future.exception() is not None:
        failed.set()


def _in_order(
    futures: Sequence[Future[ShardRun]],
    shards: Sequence[Shard],
    progress: Progress,
    failed: threading.Event,
    *,
    counts: bool,
) -> Iterator[ShardRun]:
    for future, shard in zip(futures, shards, strict=True):
        while not future.done():
            wait([future], timeout=_CHECK_EVERY_S)
            progress.check()
            if failed.is_set():
                # the first in order may still be running: `shard_runs` waits, and raises it
                raise _WorkerFailedError
        run = future.result()
        if counts:
            progress.advance(shard.num_rows)
        yield run


@dataclass(frozen=True)
class StopFile:
    """Tells workers in other processes that the job is cancelled, by a file that they look for."""

    path: str

    def __call__(self, _num_rows: int) -> None:
        """Raise `JobCancelled` where the file is."""
        if Path(self.path).exists():
            raise JobCancelled

    def put(self) -> None:
        """Stop them."""
        # on a full disk they end after their shards
        with suppress(OSError):
            Path(self.path).touch()

    def remove(self) -> None:
        """Let others begin."""
        Path(self.path).unlink(missing_ok=True)


class _WorkerFailedError(Exception):
    """Some shard failed; never leaves this module."""


def _raise_first(futures: Sequence[Future[ShardRun]]) -> None:
    # shards are handed out in order: the ones before a failed one have all ended by now
    for future in futures:
        if not future.cancelled() and (error := future.exception()) is not None:
            raise error


@contextmanager
def _pool(executor: Executor | None) -> Iterator[tuple[Executor, bool]]:
    if executor is not None:
        yield executor, isinstance(executor, ThreadPoolExecutor)
        return
    num_threads = min(max(os.cpu_count() or 2, 2), _MAX_THREADS)
    with ThreadPoolExecutor(num_threads, thread_name_prefix="tokenize") as pool:
        yield pool, True
