"""Search in 1,000,000 real rows: by reading, by the index, and beside DuckDB's ILIKE.

The rows are those of ``bench_samples.py``. A page is 20 samples with all their columns and
highlights. The searches are words of all frequencies, pairs, phrases and prefixes of the rows'
own words. ILIKE finds parts of words and no phrases across punctuation, so its totals differ.

    python benchmarks/bench_search.py [--rows 1000000] [--searches 100] [--dir FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from bench_samples import do_import, make_files, paths_of, peak
from setting import in_child, machine, table

HITS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--dir", type=Path, help="kept, and used again")
    parser.add_argument("--child")
    chosen = parser.parse_args()
    children = {
        "import": do_import,
        "scan": by_reading,
        "build": build,
        "index": by_index,
        "duckdb": with_duckdb,
    }
    if chosen.child is not None:
        print(json.dumps(children[chosen.child](chosen.dir, chosen.searches)))
        return
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.dir or Path(temporary)
        if not (folder / "one.parquet").exists():
            folder.mkdir(parents=True, exist_ok=True)
            make_files(folder, chosen.rows)
        if not (folder / "imported.json").exists():
            imported = in_child(__file__, "--dir", folder, "--child", "import")
            (folder / "imported.json").write_text(json.dumps(imported))
        run = ["--dir", folder, "--searches", chosen.searches, "--child"]
        results = {
            name: in_child(__file__, *run, name) for name in ("scan", "build", "index", "duckdb")
        }
    report(results)


def searches(folder: Path, count: int) -> dict[str, list[str]]:
    """Return searches of each kind, the same in every process."""
    chance = random.Random(0)
    known = json.loads((folder / "imported.json").read_text())
    assert known
    texts: list[str] = []
    for paths in paths_of(folder).values():
        with pq.ParquetFile(paths[0]) as file:
            batch = next(file.iter_batches(5000, columns=["text"]))
            texts += batch.column(0).to_pylist()
    words = [word for text in texts for word in text.split() if word.isalpha() and len(word) > 1]
    ranked = [word for word, _ in Counter(words).most_common()]

    def word() -> str:
        return ranked[int(len(ranked) ** chance.random()) - 1]

    def phrase() -> str:
        at = chance.randrange(len(words) - 2)
        return f'"{words[at]} {words[at + 1]}"'

    return {
        "word": [word() for _ in range(count)],
        "two words": [f"{word()} {word()}" for _ in range(count)],
        "phrase": [phrase() for _ in range(count)],
        "prefix": [f"{word()[:4]}*" for _ in range(count)],
    }


def by_reading(folder: Path, count: int) -> dict[str, Any]:
    from mistudio_widgets import DatasetManager

    known = json.loads((folder / "imported.json").read_text())
    result: dict[str, Any] = {}
    with DatasetManager(folder / "data", device="cpu") as manager:
        manager.delete_index(known["dataset_id"])
    with DatasetManager(folder / "data", read_only=True) as manager, peak(result):
        dataset_id = known["dataset_id"]
        manager.samples(dataset_id, limit=HITS)
        for kind, asked in searches(folder, max(count // 10, 5)).items():
            for what, exact in (("first hits", False), ("all counted", True)):
                seconds = []
                for search in asked:
                    started = time.perf_counter()
                    manager.samples(dataset_id, search=search, limit=HITS, exact_total=exact)
                    seconds.append(time.perf_counter() - started)
                    manager._searching.forget(dataset_id)  # noqa: SLF001 -- nothing remembered
                result[f"{kind}, {what}"] = seconds
    return result


def build(folder: Path, _count: int) -> dict[str, Any]:
    from mistudio_widgets import DatasetManager

    known = json.loads((folder / "imported.json").read_text())
    dataset_id = known["dataset_id"]
    result: dict[str, Any] = {}
    with DatasetManager(folder / "data", device="cpu") as manager, peak(result):
        late: list[float] = []
        done = threading.Event()

        def cell() -> None:
            while not done.is_set():
                started = time.perf_counter()
                time.sleep(0.005)
                late.append(time.perf_counter() - started - 0.005)

        watcher = threading.Thread(target=cell)
        watcher.start()
        started, cpu = time.perf_counter(), time.process_time()
        manager.build_index(dataset_id).wait()
        result["build the index"] = [time.perf_counter() - started]
        result["build the index, CPU"] = [time.process_time() - cpu]
        done.set()
        watcher.join()
        result["delay of a cell meanwhile"] = late
        folder_of = folder / "data" / "datasets" / dataset_id / "text_index"
        result["size"] = sum(path.stat().st_size for path in folder_of.iterdir()) / 1e6
    return result


def by_index(folder: Path, count: int) -> dict[str, Any]:
    from mistudio_widgets import DatasetManager

    known = json.loads((folder / "imported.json").read_text())
    dataset_id = known["dataset_id"]
    result: dict[str, Any] = {}
    chance = random.Random(1)
    with DatasetManager(folder / "data", read_only=True) as manager, peak(result):
        manager.samples(dataset_id, search="warm", limit=HITS)
        totals = []
        for kind, asked in searches(folder, count).items():
            for what in ("first page", "any page", "first page within tokens"):
                seconds = []
                for search in asked:
                    given: dict[str, Any] = {"search": search, "limit": HITS}
                    if what == "any page":
                        total = manager.samples(dataset_id, **given).total or 0
                        totals.append(total)
                        given["offset"] = chance.randrange(max(total - HITS, 1))
                    elif what != "first page":
                        given |= {"min_tokens": 20, "max_tokens": 200}
                    started = time.perf_counter()
                    manager.samples(dataset_id, **given)
                    seconds.append(time.perf_counter() - started)
                result[f"{kind}, {what}"] = seconds
        result["totals"] = [min(totals), sorted(totals)[len(totals) // 2], max(totals)]
    return result


def with_duckdb(folder: Path, count: int) -> dict[str, Any]:
    import duckdb

    result: dict[str, Any] = {}
    paths = [path for paths in paths_of(folder).values() for path in paths]
    with duckdb.connect(":memory:", config={"threads": 2}) as connection, peak(result):
        for kind, asked in searches(folder, max(count // 10, 5)).items():
            if kind == "two words":
                continue
            for what, question in (
                ("first hits", f"SELECT * FROM read_parquet(?) WHERE text ILIKE ? LIMIT {HITS}"),
                ("all counted", "SELECT count(*) FROM read_parquet(?) WHERE text ILIKE ?"),
            ):
                seconds = []
                for search in asked:
                    pattern = "%" + search.strip('"*') + "%"
                    started = time.perf_counter()
                    connection.execute(question, [paths, pattern]).fetchall()
                    seconds.append(time.perf_counter() - started)
                result[f"ILIKE, {kind}, {what}"] = seconds
    return result


def report(results: dict[str, dict[str, Any]]) -> None:
    rows: list[tuple[str, ...]] = [("", "times", "median ms", "p95 ms", "max ms")]
    for name, result in results.items():
        for what, seconds in result.items():
            if isinstance(seconds, list) and what != "totals":
                ordered = sorted(seconds)
                figures = [ordered[int(len(ordered) * share)] for share in (0.5, 0.95)]
                shown = [f"{1000 * value:.1f}" for value in (*figures, ordered[-1])]
                rows.append((f"{name}: {what}", str(len(ordered)), *shown))
    print(table(rows))
    low, median, high = results["index"]["totals"]
    print(f"hits: {low:,} to {high:,}, median {median:,}; index {results['build']['size']:.0f} MB")
    for name, result in results.items():
        print(f"{name}: {result['peak over idle, MB']:.0f} MB of anonymous memory over idle")


if __name__ == "__main__":
    sys.exit(main())
