"""What the text column is like: lengths, empty texts, duplicates."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..progress import Progress
from ..records import CharacterStatistics, HistogramBucket, SplitColumns
from .filemap import FileMap
from .lengths import NO_LENGTH, Lengths

EDGES: Final = (0, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000)
"""Where the buckets of the histogram begin, in characters."""

_HASHES_AT_ONCE: Final = 4_000_000
_CHUNK_HASHES: Final = 1_000_000

Hashes = np.ndarray[Any, np.dtype[np.int64]]


def describe_splits(
    files: FileMap, progress: Progress
) -> tuple[dict[str, SplitColumns], Mapping[str, Lengths]]:
    """Go over all texts once.

    Duplicates are found by 64-bit hashes: among a million texts, the chance that any two
    different ones are taken for equal is below one in ten million. The hashes wait in a temporary
    file of 8 bytes a row, and are compared in portions of bounded size.

    Returns
    -------
    splits : dict of str to SplitColumns
    lengths : dict of str to int32, shape (num_rows,)
        Characters of each text, as `count_characters` returns them.

    *Cancellation:* after every batch.
    """
    progress.start("reading", total=files.total, unit="samples")
    splits: dict[str, SplitColumns] = {}
    lengths: dict[str, Lengths] = {}
    for split in files.splits:
        found = np.full(files.num_rows[split], NO_LENGTH, dtype=np.int32)
        with tempfile.TemporaryFile(buffering=0) as hashes:
            for first, texts in files.texts(split):
                sizes = pc.fill_null(pc.utf8_length(texts), NO_LENGTH)
                found[first : first + len(texts)] = sizes.to_numpy(zero_copy_only=False)
                hashes.write(_hashes(texts).tobytes())
                progress.advance(len(texts))
            num_duplicates = count_duplicates(hashes, int((found >= 0).sum()), progress)
        lengths[split] = found
        splits[split] = _describe(found, num_duplicates)
    return splits, lengths


def count_duplicates(
    hashes: IO[bytes], count: int, progress: Progress, at_once: int = _HASHES_AT_ONCE
) -> int:
    """Count what stands in a file of int64 more than once, the first of each left out.

    Parameters
    ----------
    count : int
        How many there are.
    at_once : int
        About how many are held in memory: each portion has its own remainder.
    """
    num_portions = max(-(-count // at_once), 1)
    num_distinct = 0
    for portion in range(num_portions):
        hashes.seek(0)
        held = []
        while chunk := hashes.read(8 * _CHUNK_HASHES):
            values = np.frombuffer(chunk, dtype=np.int64)
            held.append(values[values % num_portions == portion])
            progress.check()
        if held:
            num_distinct += len(np.unique(np.concatenate(held)))
    return count - num_distinct


def _hashes(texts: pa.Array) -> Hashes:
    values = texts.drop_null().cast(pa.large_binary()).to_pylist()
    return np.fromiter(map(hash, values), dtype=np.int64, count=len(values))


def _describe(lengths: Lengths, num_duplicates: int) -> SplitColumns:
    found = lengths[lengths >= 0]
    return SplitColumns(
        num_rows=len(lengths),
        characters=_characters(found) if len(found) else None,
        num_null=len(lengths) - len(found),
        num_empty=int((found == 0).sum()),
        num_duplicates=num_duplicates,
    )


def _characters(lengths: Lengths) -> CharacterStatistics:
    places = np.searchsorted(np.array(EDGES), lengths, side="right") - 1
    counts = np.bincount(places, minlength=len(EDGES)).tolist()
    return CharacterStatistics(
        min=int(lengths.min()),
        median=float(np.median(lengths)),
        mean=float(lengths.mean(dtype=np.float64)),
        max=int(lengths.max()),
        histogram=tuple(
            _bucket(number, count, len(lengths)) for number, count in enumerate(counts)
        ),
    )


def _bucket(number: int, count: int, total: int) -> HistogramBucket:
    low = EDGES[number]
    high = EDGES[number + 1] if number + 1 < len(EDGES) else None
    return HistogramBucket(
        range=f"{low}+" if high is None else f"{low}-{high}",
        min=low,
        max=high,
        count=count,
        percentage=100 * count / total,
    )
