"""Statistics of a million samples: ours against a loop in Python and against numpy.

Counted: lengths, average, median, extremes, histogram, how often each id occurs. The results are
compared.

    python benchmarks/bench_statistics.py [--samples 1000000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from setting import machine, table

from mistudio_widgets import packing

VOCAB_SIZE = 32_000
AVERAGE_LENGTH = 36
CHUNK = 1_000_000

Summary = tuple[float, float, int, int, list[int], list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    print(machine())
    random = np.random.default_rng(0)
    lengths = random.geometric(1 / AVERAGE_LENGTH, chosen.samples).astype(np.int64)
    # a few ids make up most of real text
    ids = (random.zipf(1.3, int(lengths.sum())) % VOCAB_SIZE).astype(np.int32)
    print(f"{len(lengths):,} samples, {len(ids):,} ids")
    runs: dict[str, list[float]] = {}
    results: dict[str, Summary] = {}
    ways: dict[str, Callable[[Any, Any], Summary]] = {"ours": ours, "numpy": with_numpy}
    for _ in range(chosen.rounds):
        for name, way in ways.items():
            _time(name, way, ids, lengths, runs, results)
    _time("a loop in Python", a_loop, ids.tolist(), lengths.tolist(), runs, results)
    if any(result != results["ours"] for result in results.values()):
        raise SystemExit("the statistics differ")
    medians = {name: statistics.median(seconds) for name, seconds in runs.items()}
    rows = [("", "rounds", "median s", "x ours")]
    rows += [
        (name, str(len(runs[name])), f"{seconds:.3f}", f"{seconds / medians['ours']:.1f}")
        for name, seconds in medians.items()
    ]
    print(table(rows))


def _time(
    name: str,
    way: Callable[[Any, Any], Summary],
    ids: Any,
    lengths: Any,
    runs: dict[str, list[float]],
    results: dict[str, Summary],
) -> None:
    started = time.perf_counter()
    results[name] = way(ids, lengths)
    runs.setdefault(name, []).append(time.perf_counter() - started)


def ours(ids: np.ndarray, lengths: np.ndarray) -> Summary:
    """Go chunk by chunk and in one thread, as a tokenization does."""
    with packing.one_thread():
        counts = torch.zeros(VOCAB_SIZE, dtype=torch.int64)
        for part in torch.from_numpy(ids).split(CHUNK):
            counts += packing.count_tokens(part, VOCAB_SIZE)
        parts = [packing.count_lengths(part) for part in torch.from_numpy(lengths).split(CHUNK)]
        found = packing.summarize_lengths(packing.merge_lengths(parts))
    return (
        found.average,
        found.median,
        found.shortest,
        found.longest,
        [bucket.count for bucket in found.histogram],
        counts.tolist(),
    )


def with_numpy(ids: np.ndarray, lengths: np.ndarray) -> Summary:
    counts = np.bincount(ids, minlength=VOCAB_SIZE)
    edges = [*packing.HISTOGRAM_EDGES, np.iinfo(np.int64).max]
    histogram, _ = np.histogram(lengths, bins=edges)
    return (
        int(lengths.sum()) / len(lengths),
        float(np.median(lengths)),
        int(lengths.min()),
        int(lengths.max()),
        histogram.tolist(),
        counts.tolist(),
    )


def a_loop(ids: list[int], lengths: list[int]) -> Summary:
    counts = [0] * VOCAB_SIZE
    for token in ids:
        counts[token] += 1
    edges = packing.HISTOGRAM_EDGES
    buckets: Counter[int] = Counter()
    total = 0
    for length in lengths:
        total += length
        number = len(edges) - 1
        while length < edges[number]:
            number -= 1
        buckets[number] += 1
    histogram = [buckets[number] for number in range(len(edges))]
    middle = statistics.median(lengths)
    return (total / len(lengths), float(middle), min(lengths), max(lengths), histogram, counts)


if __name__ == "__main__":
    main()
