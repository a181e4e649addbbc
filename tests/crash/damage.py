"""Damage a catalog in every way that a disk can, and look at what the next manager makes of it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mistudio_widgets import DatasetManager
from mistudio_widgets.records import DatasetRecord, TokenizationRecord

FILE, LOG = "catalog.duckdb", "catalog.duckdb.wal"

CHILD = """
import os, signal, sys
from pathlib import Path
from mistudio_widgets import DatasetManager

data_dir, source, tokenizer = sys.argv[1:]
with DatasetManager(data_dir, device="cpu") as manager:
    catalog = manager._parts.catalog
    first = manager.import_files(source, name="in the file", splits={"a": 0.5, "b": 0.5}).wait()
    # what follows stays in the log, as after a kill
    catalog._gate().connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    second = manager.import_files(source, name="in the log").wait()
    gone = manager.import_files(source, name="deleted").wait()
    for dataset in (first, second):
        for max_length in (16, 32):
            manager.tokenize(dataset.id, tokenizer=tokenizer, max_length=max_length).wait()
    manager.column_statistics(second.id)
    manager.delete_dataset(gone.id)
    os.kill(os.getpid(), signal.SIGKILL)
"""

Damage = Callable[[random.Random, bytearray], bytes]


def _cut(chance: random.Random, content: bytearray) -> bytes:
    return bytes(content[: chance.randrange(len(content))])


def _flip(chance: random.Random, content: bytearray) -> bytes:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def _scribble(chance: random.Random, content: bytearray) -> bytes:
    start = chance.randrange(len(content))
    end = min(start + chance.choice((8, 100, 4096)), len(content))
    content[start:end] = chance.randbytes(end - start)
    return bytes(content)


def _zero(chance: random.Random, content: bytearray) -> bytes:
    start = chance.randrange(len(content))
    return bytes(content[:start]) + bytes(len(content) - start)


def _garbage(chance: random.Random, content: bytearray) -> bytes:
    return chance.randbytes(chance.randrange(1, 2 * len(content)))


def _append(chance: random.Random, content: bytearray) -> bytes:
    return bytes(content) + chance.randbytes(chance.randrange(1, 4096))


LOG_DAMAGES: dict[str, Damage] = {
    "cut": _cut,
    "flip": _flip,
    "scribble": _scribble,
    "zero": _zero,
    "garbage": _garbage,
    "append": _append,
}


@dataclass
class Damages:
    """Seeded damages to one data folder, and what became of them."""

    whole: Path
    seed: int
    datasets: dict[str, dict[str, Any]]
    tokenizations: dict[str, TokenizationRecord]
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def damage_log(self, work_dir: Path) -> None:
        name = self.random.choice(list(LOG_DAMAGES))
        data_dir = self._copy(work_dir)
        content = bytearray((data_dir / LOG).read_bytes())
        (data_dir / LOG).write_bytes(LOG_DAMAGES[name](self.random, content))
        self._check(data_dir, f"log: {name}")

    def truncate(self, work_dir: Path) -> None:
        data_dir = self._copy(work_dir)
        content = bytearray((data_dir / FILE).read_bytes())
        (data_dir / FILE).write_bytes(_cut(self.random, content))
        if self.random.random() < 0.5:
            (data_dir / LOG).unlink()
        self._check(data_dir, "catalog: cut")

    def delete(self, work_dir: Path, *names: str) -> None:
        data_dir = self._copy(work_dir)
        for name in names:
            (data_dir / name).unlink()
        self._check(data_dir, f"deleted: {', '.join(names)}")

    def _copy(self, work_dir: Path) -> Path:
        data_dir = work_dir / "damaged"
        shutil.rmtree(data_dir, ignore_errors=True)
        shutil.copytree(self.whole, data_dir)
        return data_dir

    def _check(self, data_dir: Path, what: str) -> None:
        """Everything that was finished is there, and nothing that is not."""
        with DatasetManager(data_dir, device="cpu") as manager:
            shown = {record.id: record for record in manager.list_datasets().items}
            for dataset_id, facts in self.datasets.items():
                assert facts_of(shown[dataset_id]) == facts, what
                assert manager.load(dataset_id).num_rows == facts["split_info"]
                assert manager.column_statistics(dataset_id).text_column == "text"
            for tokenization_id, record in self.tokenizations.items():
                assert manager.get_tokenization(tokenization_id) == record, what
                assert manager.load_tokens(tokenization_id, next(iter(record.splits)))
            # a deletion that the catalog forgot, or all that came after the import had begun
            for record in shown.values():
                is_told = record.error_code in ("corrupt_file", "interrupted")
                assert record.id in self.datasets or is_told, what
            assert manager.jobs() == []
            (some,) = [row for row in shown.values() if row.name == "in the file"]
            assert manager.delete_dataset(some.id) > 0
        with DatasetManager(data_dir, read_only=True) as reader:
            assert some.id not in {record.id for record in reader.list_datasets().items}
        aside = sorted(path.name for path in data_dir.glob("damaged/*/*"))
        self.outcomes[f"{what}, set aside: {', '.join(aside) or 'nothing'}"] += 1

    def report(self) -> None:
        print(f"\n{sum(self.outcomes.values())} damaged catalogs opened, nothing finished lost")
        for outcome, count in sorted(self.outcomes.items()):
            print(f"  {count:3d} {outcome}")


def facts_of(record: DatasetRecord) -> dict[str, Any]:
    """Return what a dataset is, without where it lies and when it was touched."""
    return record.model_dump(exclude={"updated_at", "file_path", "tokenized_path"})


def damages(work_dir: Path, source: Path, tokenizer: Path, seed: int) -> Damages:
    """Make a data folder whose catalog has a log, as a killed process leaves it."""
    whole = work_dir / "whole"
    process = subprocess.run(
        [sys.executable, "-c", CHILD, str(whole), str(source), str(tokenizer)],
        check=False,
        timeout=120,
    )
    assert process.returncode == -signal.SIGKILL
    assert (whole / LOG).stat().st_size > 1000
    shutil.copytree(whole, work_dir / "calm")
    with DatasetManager(work_dir / "calm", device="cpu") as manager:
        datasets = {row.id: facts_of(row) for row in manager.list_datasets().items}
        tokenizations = {
            record.id: record
            for dataset_id in datasets
            for record in manager.list_tokenizations(dataset_id)
        }
    assert {facts["name"] for facts in datasets.values()} == {"in the file", "in the log"}
    assert len(tokenizations) == 4
    assert {record.status for record in tokenizations.values()} == {"ready"}
    return Damages(whole, seed, datasets, tokenizations)
