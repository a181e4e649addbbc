"""Shards in parallel: hand them out, count them, stop all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..encoders import EncoderSpec, open_encoder
from ..progress import Progress
from .shards import Shard, ShardRun, tokenize_shard
from .texts import TextRules

_MAX_THREADS: Final = 16
_CHECK_EVERY_S: Final = 0.1


def tokenize_shards(
    shards: Sequence[Shard],
    spec: EncoderSpec,
    rules: TextRules,
    work_dir: Path,
    *,
    executor: Executor | None,
    progress: Progress,
) -> list[ShardRun]:
    """Tokenize all shards; the runs come back in the order of the shards.

    *Cancellation:* threads stop within a batch, other executors between shards. Whatever ends
    this function, no worker is running any more. Of several faults the first in order is raised.
    """
    open_encoder(spec)
    with _pool(executor) as (pool, shares_memory):
        # a Progress has locks, so it cannot travel to another process
        on_batch: Callable[[int], None] | None = progress.advance if shares_memory else None
        futures: list[Future[ShardRun]] = []
        try:
            for shard in shards:
                progress.check()
                futures.append(
                    pool.submit(tokenize_shard, shard, spec, rules, str(work_dir), on_batch)
                )
            _wait_for_all(futures, shards, progress, counts=not shares_memory)
        except BaseException:
            for future in futures:
                future.cancel()
            wait(futures)
            _raise_first(futures)
            raise
        return [future.result() for future in futures]


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


def _wait_for_all(
    futures: Sequence[Future[ShardRun]],
    shards: Sequence[Shard],
    progress: Progress,
    *,
    counts: bool,
) -> None:
    rows = {future: shard.num_rows for future, shard in zip(futures, shards, strict=True)}
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=_CHECK_EVERY_S, return_when=FIRST_EXCEPTION)
        progress.check()
        for future in done:
            future.result()
            if counts:
                progress.advance(rows[future])
