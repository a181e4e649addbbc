"""Listing 1000 datasets and writing to the catalog: ours against a plain sqlite3 table.

The peer holds the same rows, reads a page by the same order and builds the same records from
it; it opens its file once and for all, where ours attaches and lets go each time, so that other
processes can write in between.

    python benchmarks/bench_catalog.py [--rows 1000] [--rounds 50]
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

from setting import machine, table

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import Catalog
from mistudio_widgets.records import DatasetRecord, new_dataset_id, utc_now

PAGE = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=50)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), _records(chosen.rows), chosen.rounds)


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
