"""Pages of samples from 1,000,000 real rows: ours against ``datasets.Dataset`` and DuckDB.

The rows are paragraphs of text on this machine, in files as hubs have them: one split is a single
file with one row group of half the rows (zstd), the other 50 files (snappy, every second with
small row groups). A page is 50 samples with all their columns. Each way is warmed by one page.
What the peers need before their first page (``datasets`` writes all of it to disk again) is not
counted, and told. The pages of all ways are compared.

    python benchmarks/bench_samples.py [--rows 1000000] [--pages 100] [--dir FOLDER]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from setting import anonymous_bytes, in_child, machine, table, texts

SAMPLES = 50
HITS = 20
FILES = 50
PARAGRAPH_BYTES = 480


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--dir", type=Path, help="kept, and used again")
    parser.add_argument("--child", choices=["import", "ours", "datasets", "duckdb"])
    chosen = parser.parse_args()
    if chosen.child is not None:
        child = {
            "import": do_import,
            "ours": ours,
            "datasets": with_datasets,
            "duckdb": with_duckdb,
        }
        print(json.dumps(child[chosen.child](chosen.dir, chosen.pages)))
        return
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.dir or Path(temporary)
        if not (folder / "one.parquet").exists():
            folder.mkdir(parents=True, exist_ok=True)
            make_files(folder, chosen.rows)
        run = ["--dir", folder, "--pages", chosen.pages, "--child"]
        if not (folder / "imported.json").exists():
            imported = in_child(__file__, *run, "import")
            (folder / "imported.json").write_text(json.dumps(imported))
        results = {name: in_child(__file__, *run, name) for name in ("ours", "datasets", "duckdb")}
    report(results)


def make_files(folder: Path, num_rows: int) -> None:
    """Write the two splits."""
    paragraphs: dict[str, int] = {}
    for text in texts(num_rows * PARAGRAPH_BYTES):
        for place, paragraph in enumerate(text.split("\n\n")):
            if len(paragraph) >= 20:
                paragraphs.setdefault(paragraph, place)
        if len(paragraphs) >= num_rows:
            break
    rows = list(paragraphs.items())[:num_rows]
    if len(rows) < num_rows:
        raise SystemExit(f"This machine has only {len(rows):,} paragraphs.")
    random.Random(0).shuffle(rows)
    whole = pa.table(
        {
            "id": pa.array(range(num_rows), pa.int64()),
            "text": [text for text, _ in rows],
            "place": pa.array([place for _, place in rows], pa.int32()),
            "meta": [{"source": f"s{place % 7}", "score": place / 3} for _, place in rows],
        }
    )
    half, size = num_rows // 2, num_rows // 2 // FILES
    for number in range(FILES):
        pq.write_table(
            whole.slice(half + number * size, size),
            folder / f"part-{number:05d}.parquet",
            row_group_size=1000 if number % 2 else size,
        )
    path = folder / "one.parquet"
    pq.write_table(whole.slice(0, half), path, row_group_size=half, compression="zstd")


def paths_of(folder: Path) -> dict[str, list[str]]:
    parts = sorted(folder.glob("part-*.parquet"))
    return {"one": [str(folder / "one.parquet")], "parts": [str(path) for path in parts]}


def do_import(folder: Path, _pages: int) -> dict[str, Any]:
    """Lay the files into a data folder as a download does: in place, not written anew."""
    from mistudio_widgets import DatasetManager
    from mistudio_widgets.records import DataFile, Manifest

    with DatasetManager(folder / "data", device="cpu") as manager:
        tiny = pa.table({"id": [0], "text": ["a"], "place": [0], "meta": [{"source": "a"}]})
        record = manager.import_dataset(tiny, name="rows").wait()
        manager.delete_index(record.id)
        storage = manager._parts.storage  # noqa: SLF001 -- a hub would do this for us
        root = storage.dataset_dir(record.id)
        shutil.rmtree(root / "raw")
        files, rows = [], {}
        for split, paths in paths_of(folder).items():
            for path in map(Path, paths):
                target = root / "raw" / split / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.hardlink_to(path)
                num_rows = pq.read_metadata(path).num_rows
                rows[split] = rows.get(split, 0) + num_rows
                files.append(
                    DataFile(
                        path=str(target.relative_to(root)),
                        split=split,
                        size_bytes=path.stat().st_size,
                        sha256=f"{len(files):064x}",
                        num_rows=num_rows,
                    )
                )
        with manager._parts.catalog.write() as writer:  # noqa: SLF001
            record = writer.update_dataset(
                record.id, split_info=rows, num_samples=sum(rows.values())
            )
        storage.write_manifest(Manifest(dataset=record, files=tuple(files)))
        tokenizer = small_tokenizer(folder)
        made = manager.tokenize(
            record.id, tokenizer=str(tokenizer), mode="per_sample", truncation="do_not_truncate"
        ).wait()
    return {"dataset_id": record.id, "tokenization_id": made.id}


def small_tokenizer(folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=4000, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(texts(5_000_000), trainer)
    path = folder / "tokenizer.json"
    made.save(str(path))
    return path


def ours(folder: Path, pages: int) -> dict[str, Any]:
    from mistudio_widgets import DatasetManager

    known = json.loads((folder / "imported.json").read_text())
    result: dict[str, Any] = {}
    with DatasetManager(folder / "data", read_only=True) as manager, peak(result):
        dataset_id = known["dataset_id"]
        splits = manager.get_dataset(dataset_id).split_info
        lengths = sorted_lengths(folder, known, "one")
        chance = random.Random(0)

        def page(**asked: Any) -> Any:
            return manager.samples(dataset_id, **{"limit": SAMPLES, **asked})

        for split, num_rows in splits.items():
            offsets = some_offsets(chance, num_rows, pages)
            seconds, first = timed(
                lambda offset, split=split: page(split=split, offset=offset), offsets
            )
            result[f"page, {split}"] = seconds
            result[f"rows, {split}"] = [item.columns["id"].value for item in first.items]
        # about half of the rows, a tenth, and few that lie far apart
        ends = len(lengths) - len(lengths) // 10_000
        for low, high in (
            (lengths[len(lengths) * 2 // 5], lengths[len(lengths) * 9 // 10]),
            (lengths[len(lengths) * 2 // 5], lengths[len(lengths) // 2]),
            (lengths[ends], lengths[-1]),
        ):
            for limit in (10, SAMPLES):
                asked = {"split": "one", "min_tokens": low, "max_tokens": high, "limit": limit}
                total = page(**asked).total
                offsets = some_offsets(chance, total, pages)
                result[f"split + tokens, {limit} of {total:,} rows"] = timed(
                    lambda offset, asked=asked: page(**asked, offset=offset), offsets
                )[0]
        started = time.perf_counter()
        statistics = manager.column_statistics(dataset_id)
        result["column_statistics once"] = [time.perf_counter() - started]
        result["rows in all"] = sum(item.num_rows for item in statistics.splits.values())
    return result


def with_datasets(folder: Path, pages: int) -> dict[str, Any]:
    import datasets

    result: dict[str, Any] = {}
    chance = random.Random(0)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    started = time.perf_counter()
    loaded = datasets.load_dataset(
        "parquet", data_files=paths_of(folder), cache_dir=str(folder / "cache")
    )
    result["before the first page"] = [time.perf_counter() - started]
    with peak(result):
        for split, held in loaded.items():
            offsets = some_offsets(chance, len(held), pages)
            seconds, first = timed(
                lambda offset, held=held: held[offset : offset + SAMPLES], offsets
            )
            result[f"page, {split}"] = seconds
            result[f"rows, {split}"] = first["id"]
        started = time.perf_counter()
        found = loaded["one"].filter(
            lambda batch: [len(text) >= 1000 for text in batch["text"]],
            batched=True,
            load_from_cache_file=False,
        )
        found[:SAMPLES]
        result["filter by characters, first page"] = [time.perf_counter() - started]
    return result


def with_duckdb(folder: Path, pages: int) -> dict[str, Any]:
    import duckdb

    result: dict[str, Any] = {}
    chance = random.Random(0)
    with duckdb.connect(":memory:", config={"threads": 2}) as connection, peak(result):
        for split, paths in paths_of(folder).items():
            num_rows = sum(pq.read_metadata(path).num_rows for path in paths)
            offsets = some_offsets(chance, num_rows, pages)

            def page(offset: int, paths: list[str] = paths) -> list[Any]:
                return connection.execute(
                    f"SELECT * FROM read_parquet(?) LIMIT {SAMPLES} OFFSET {offset}",
                    [paths],
                ).fetchall()

            seconds, first = timed(page, offsets)
            result[f"page, {split}"] = seconds
            result[f"rows, {split}"] = [row[0] for row in first]
        question = (
            f"SELECT * FROM read_parquet(?) WHERE length(text) >= 1000 LIMIT {SAMPLES} OFFSET $2"
        )
        paths = paths_of(folder)["one"]
        result["filter by characters, page"] = timed(
            lambda offset: connection.execute(question, [paths, offset]).fetchall(),
            some_offsets(chance, 10_000, 20),
        )[0]
    return result


def sorted_lengths(folder: Path, known: dict[str, str], split: str) -> list[int]:
    import numpy as np

    root = folder / "data" / "datasets" / known["dataset_id"] / "tokenized"
    path = root / known["tokenization_id"] / f"lengths_{split}.npy"
    found: list[int] = np.sort(np.load(path)).tolist()
    return found


def some_offsets(chance: random.Random, total: int, count: int) -> list[int]:
    return [chance.randrange(max(total - SAMPLES, 1)) for _ in range(count)]


def timed(way: Callable[[int], Any], offsets: list[int]) -> tuple[list[float], Any]:
    """Return the seconds of each page, and the first page."""
    first = way(offsets[0])
    seconds = []
    for offset in offsets:
        started = time.perf_counter()
        way(offset)
        seconds.append(time.perf_counter() - started)
    return seconds, first


@contextmanager
def peak(result: dict[str, Any]) -> Iterator[None]:
    """Note the peak of anonymous memory over what there was before."""
    before, highest, stop = anonymous_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not stop.wait(0.02):
            highest = max(highest, anonymous_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        result["peak over idle, MB"] = (max(highest, anonymous_bytes()) - before) / 1e6


def report(results: dict[str, dict[str, Any]]) -> None:
    for split in ("one", "parts"):
        shown = [result.pop(f"rows, {split}") for result in results.values()]
        if any(rows != shown[0] for rows in shown):
            raise SystemExit("the pages differ")
    rows: list[tuple[str, ...]] = [("", "pages", "median ms", "p95 ms", "max ms")]
    for name, result in results.items():
        for what, seconds in result.items():
            if isinstance(seconds, list):
                ordered = sorted(seconds)
                figures = [ordered[int(len(ordered) * share)] for share in (0.5, 0.95)]
                rows.append(
                    (
                        f"{name}: {what}",
                        str(len(ordered)),
                        *(f"{1000 * value:.1f}" for value in (*figures, ordered[-1])),
                    )
                )
    print(table(rows))
    for name, result in results.items():
        print(f"{name}: {result['peak over idle, MB']:.0f} MB of anonymous memory over idle")


if __name__ == "__main__":
    sys.exit(main())
