"""A shard's rows, in batches of bounded bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..encoders import EncoderSpec
from ..errors import CorruptFileError, shown_path
from .columns import as_strings, open_parquet
from .planning import Shard

BATCH_BYTES: Final = 2 * 2**20
"""Text that one worker holds at once, documents above this size excepted."""

# the reference takes a second for what the other engine encodes in 50 ms; a cancel waits for it
_REFERENCE_BATCH_BYTES: Final = 2**18

_BATCH_ROWS: Final = 65_536


def batch_bytes(spec: EncoderSpec) -> int:
    """Return how much text a batch has for the engine of ``spec``."""
    is_reference = spec.engine == "tokenizers"
    return min(BATCH_BYTES, _REFERENCE_BATCH_BYTES) if is_reference else BATCH_BYTES


def read_batches(
    shard: Shard, columns: Sequence[str], num_bytes: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the columns in pieces of about ``num_bytes``, each with its first row."""
    average = max(shard.num_bytes // max(shard.num_rows, 1), 1)
    batch_rows = max(1, min(_BATCH_ROWS, num_bytes // average))
    row = shard.first_row
    with open_parquet(Path(shard.path)) as file:
        batches = file.iter_batches(
            batch_size=batch_rows, row_groups=list(range(*shard.row_groups)), columns=list(columns)
        )
        for batch in _reading(batches, shard):
            for piece in _pieces(as_strings(batch.select(list(columns))), num_bytes):
                yield row, piece
                row += len(piece)


def _reading(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptFileError(
            f"{shown_path(shard.path)} is damaged: {error}",
            path=shown_path(shard.path),
            hint="Import or download the dataset again.",
        ) from error


def _pieces(batch: pa.RecordBatch, num_bytes: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch whose rows turned out longer than the average."""
    if batch.nbytes <= 2 * num_bytes:
        yield batch
        return
    column = batch.column(0)
    if batch.num_columns > 1 or pa.types.is_nested(column.type):
        yield from _halves(batch, num_bytes)
        return
    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    # a piece ends where its sum of bytes passes a multiple of the bound
    numbers = (np.cumsum(sizes, dtype=np.int64) - 1) // num_bytes
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(batch)]
    for start, stop in pairwise(bounds):
        if stop > start:
            yield batch.slice(start, stop - start)


def _halves(batch: pa.RecordBatch, num_bytes: int) -> Iterator[pa.RecordBatch]:
    if len(batch) <= 1 or batch.nbytes <= 2 * num_bytes:
        yield batch
        return
    middle = len(batch) // 2
    yield from _halves(batch.slice(0, middle), num_bytes)
    yield from _halves(batch.slice(middle), num_bytes)
