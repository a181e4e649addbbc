"""Listing 1000 datasets and writing to the catalog: ours against a plain sqlite3 table.

The peer holds the same rows, reads a page by the same order and builds the same records from
it; it opens its file once and for all, where ours attaches and lets go each time, so that other
processes can write in between. Then 4 writers and 6 readers at once (`many_at_once.py`), each a
process of its own, and as threads of two managers in one process.

    python benchmarks/bench_catalog.py [--rows 1000] [--rounds 50] [--seconds 60]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from many_at_once import NUM_READERS, NUM_WRITERS, Told, start
from setting import machine, table

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import Catalog
from mistudio_widgets.records import DatasetRecord, new_dataset_id, utc_now

PAGE = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), _records(chosen.rows), chosen.rounds)
        _share(Path(folder), chosen.seconds)


def _records(count: int) -> list[DatasetRecord]:
    now = utc_now()
    return [
        DatasetRecord(
            id=new_dataset_id(),
            name=f"Dataset {number}",
            source="huggingface",
            repo_id=f"owner{number % 7}/name-{number}",
            description="A description as long as they are. " * 20,
            status="ready" if number % 10 else "error",
            progress=100,
            size_bytes=number * 1000,
            num_samples=number,
            split_info={"train": number, "test": 1},
            text_column="text",
            columns={"text": "string", "label": "int64"},
            created_at=now - timedelta(seconds=number),
            updated_at=now,
        )
        for number in range(count)
    ]


class Peer:
    """What one would write in an afternoon: one table, WAL, an index for the order."""

    def __init__(self, path: Path, records: list[DatasetRecord]) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE datasets (id TEXT PRIMARY KEY, status TEXT, created_at TEXT, record TEXT)"
        )
        self._connection.execute("CREATE INDEX by_time ON datasets (created_at)")
        self._connection.executemany(
            "INSERT INTO datasets VALUES (?, ?, ?, ?)",
            [(row.id, row.status, str(row.created_at), row.model_dump_json()) for row in records],
        )

    def page(self, limit: int, offset: int) -> list[DatasetRecord]:
        rows = self._connection.execute(
            "SELECT record FROM datasets ORDER BY status NOT IN ('downloading', 'processing'), "
            "created_at DESC, id LIMIT ? OFFSET ?",
            (limit, offset),
        ).fetchall()
        return [DatasetRecord.model_validate_json(row[0]) for row in rows]

    def update(self, dataset_id: str, name: str) -> None:
        (old,) = self._connection.execute(
            "SELECT record FROM datasets WHERE id = ?", (dataset_id,)
        ).fetchone()
        new = DatasetRecord.model_validate({**json.loads(old), "name": name})
        self._connection.execute(
            "UPDATE datasets SET record = ? WHERE id = ?", (new.model_dump_json(), dataset_id)
        )


def _compare(folder: Path, records: list[DatasetRecord], rounds: int) -> None:
    print(machine())
    num_rows = len(records)
    with DatasetManager(folder / "data") as manager:
        catalog = Catalog(manager.data_dir / "catalog.duckdb")
        with catalog.write() as writer:
            for record in records:
                writer.insert_dataset(record)
        peer = Peer(folder / "peer.sqlite", records)
        _check_same(manager, peer, num_rows)
        ids = [record.id for record in records]
        rows = [("milliseconds", "ours median", "p95", "sqlite3 median", "p95", "ours / sqlite3")]
        rows.append(
            _measure(
                f"a page of {PAGE}",
                lambda turn: manager.list_datasets(limit=PAGE, offset=turn * PAGE % num_rows),
                lambda turn: peer.page(PAGE, turn * PAGE % num_rows),
                rounds,
            )
        )
        rows.append(
            _measure(
                f"all {num_rows} in pages of 100",
                lambda _: [
                    manager.list_datasets(limit=100, offset=at) for at in range(0, num_rows, 100)
                ],
                lambda _: [peer.page(100, at) for at in range(0, num_rows, 100)],
                max(3, rounds // 5),
            )
        )
        rows.append(
            _measure(
                f"all {num_rows} in one read",
                lambda _: _read_all(catalog, num_rows),
                lambda _: peer.page(num_rows, 0),
                max(3, rounds // 2),
            )
        )
        rows.append(
            _measure(
                "one row changed",
                lambda turn: _update(catalog, ids[turn], f"Name {turn}"),
                lambda turn: peer.update(ids[turn], f"Name {turn}"),
                rounds,
            )
        )
        _check_same(manager, peer, num_rows)
    print(table(rows))


def _share(folder: Path, seconds: float) -> None:
    """Measure many at once, and count what they lost."""
    data_dir = folder / "shared"
    with DatasetManager(data_dir) as manager:
        catalog = Catalog(manager.data_dir / "catalog.duckdb")
        # of one that is ready the next manager would look for the files
        records = [row.model_copy(update={"status": "error"}) for row in _records(PAGE)]
        record = records[0]
        with catalog.write() as writer:
            for row in records:
                writer.insert_dataset(row)
        rows = [("at once", "writes", "lost", "errors", "write p50", "p95", "read p50", "p95",
                 "seen p95")]  # fmt: skip
        writers, readers = ["writer"] * NUM_WRITERS, ["reader"] * NUM_READERS
        for what, roles in (
            (f"{NUM_WRITERS} + {NUM_READERS} processes", writers + readers),
            (f"{NUM_WRITERS} + {NUM_READERS} threads of 2 managers", ["kernel"]),
        ):
            before = _count(catalog, record.id)
            told = start(roles, data_dir, record.id, seconds)()
            num_writes = sum(len(one.writes) for one in told)
            lost = num_writes - (_count(catalog, record.id) - before)
            errors = [error for one in told for error in one.errors]
            rows.append(
                (what, str(num_writes), str(lost), str(len(errors)),
                 *_spread(told, "writes"), *_spread(told, "reads"), _spread(told, "seen")[1])
            )  # fmt: skip
            if lost or errors:
                print(table(rows))
                raise SystemExit(f"{lost} updates lost; {errors[:3]}")
        idle = start(["idle"] * NUM_READERS, data_dir, record.id, min(seconds, 20))()
    print(table(rows))
    shares = ", ".join(f"{one.cpu_share:.2%}" for one in idle)
    print(f"{NUM_READERS} readers while nobody writes, each of one core: {shares}")


def _count(catalog: Catalog, dataset_id: str) -> int:
    with catalog.read() as reader:
        assert reader is not None
        return reader.get_dataset(dataset_id).num_samples or 0


def _spread(told: list[Told], what: str) -> tuple[str, str]:
    """Return the median and the 95th percentile of what all of them measured."""
    times = sorted(value for one in told for value in getattr(one, what))
    return f"{statistics.median(times):.1f}", f"{times[int(0.95 * (len(times) - 1))]:.1f}"


def _read_all(catalog: Catalog, num_rows: int) -> list[DatasetRecord]:
    with catalog.read() as reader:
        assert reader is not None
        found, _ = reader.list_datasets(limit=num_rows, offset=0)
    return found


def _update(catalog: Catalog, dataset_id: str, name: str) -> None:
    with catalog.write() as writer:
        writer.update_dataset(dataset_id, name=name)


def _check_same(manager: DatasetManager, peer: Peer, num_rows: int) -> None:
    mine = [
        (record.id, record.name)
        for at in range(0, num_rows, 100)
        for record in manager.list_datasets(limit=100, offset=at).items
    ]
    theirs = [(record.id, record.name) for record in peer.page(num_rows, 0)]
    if mine != theirs:
        raise SystemExit("the two do not list the same rows")


def _measure(
    what: str, ours: Callable[[int], object], peer: Callable[[int], object], rounds: int
) -> tuple[str, ...]:
    """Time both in turns, so that a busy moment of the machine meets both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for act, times in zip((ours, peer), taken, strict=True):
            started = time.perf_counter()
            act(turn)
            times.append(1000 * (time.perf_counter() - started))
    medians = [statistics.median(times) for times in taken]
    cells = [
        f"{value:.1f}"
        for times, median in zip(taken, medians, strict=True)
        for value in (median, sorted(times)[int(0.95 * (len(times) - 1))])
    ]
    return (what, *cells, f"{medians[0] / medians[1]:.1f}x")


if __name__ == "__main__":
    main()
