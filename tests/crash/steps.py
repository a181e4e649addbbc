"""Kill a process before, within or after a step, and look at what the next ones find.

Looked at are a reader that may put nothing right, then a writer, then what the writer makes of it
when it goes on. Every fact that the dead process had acknowledged must be true for all of them.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash.failpoints import STATEMENTS, When
from crash.killing import check_writer, layout, plain
from crash.nursery import Nursery
from crash.phases import PHASES, REPO
from hub_fixtures import jsonl, parquet
from hub_server import HubServer

from mistudio_widgets import DatasetManager
from mistudio_widgets.records import DatasetRecord, TokenizationRecord
from mistudio_widgets.storage import sha256_of

REOPEN_S = 2.0
NUM_ROWS = 60
_PUBLISHES = ("COMMIT", "fsync", "rename", "replace")
# so many of the recoveries are killed too, at one of about so many steps
_TWICE, _RECOVERY_STEPS = 0.3, 25
_DATA = ("*.parquet", "*.pt", "*.npy")


@dataclass(frozen=True)
class Known:
    """What a data folder holds, in full."""

    datasets: dict[str, DatasetRecord]
    tokenizations: dict[str, TokenizationRecord]
    indexed: frozenset[str]


@dataclass
class Steps:
    """One phase, killed over and over, and where it struck."""

    nursery: Nursery
    phase_name: str
    folder: Path
    seed: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    num_twice: int = 0
    slowest_s: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.phase_name} {self.seed}")
        self.phase = PHASES[self.phase_name](self.folder)
        self._before_dir = self.folder / f"{self.phase_name}-before"
        self._data_dir = self.folder / self.phase_name
        self.phase.prepare(self._before_dir)
        self._begin()
        began = time.monotonic()
        code, said = self._child(0, "before", 0.0).ended()
        self.elapsed_s = time.monotonic() - began
        assert code == 0
        self.names: list[str] = json.loads(said[-1].removeprefix("steps "))
        with DatasetManager(self._data_dir, device="cpu"):
            self._whole = _data_of(self._data_dir)
        self._whole_layout = _layout(self._data_dir)

    @property
    def total(self) -> int:
        return sum(self.struck.values())

    def everywhere(self) -> Iterator[tuple[int, When]]:
        """Yield every step, to be died at before and after it, and within what DuckDB does."""
        for number, name in enumerate(self.names, start=1):
            yield number, "before"
            yield number, "after"
            if name in STATEMENTS:
                yield number, "within"

    def a_few(self, count: int) -> Iterator[tuple[int, When]]:
        """Yield so many of these: of each kind of step in turn, what publishes first."""
        kinds: dict[tuple[str, When], list[int]] = {}
        for number, when in self.everywhere():
            kinds.setdefault((self.names[number - 1], when), []).append(number)
        order = sorted(kinds, key=lambda kind: (kind[0] not in _PUBLISHES, self.random.random()))
        for name, when in itertools.islice(itertools.cycle(order), count):
            yield self.random.choice(kinds[name, when]), when

    def strike(self, number: int, when: When) -> None:
        """Kill a run at a step, and check what it left."""
        self._begin()
        code, said = self._child(number, when, self.random.random()).ended()
        self._check(code, said)

    def strike_by_time(self) -> None:
        """Kill a run at a random moment, and check what it left."""
        self._begin()
        child = self._child(0, "before", 0.0)
        child.kill_after(self.random.uniform(0, self.elapsed_s))
        self._check(*child.ended())

    def _begin(self) -> None:
        shutil.rmtree(self._data_dir, ignore_errors=True)
        shutil.copytree(self._before_dir, self._data_dir)
        with DatasetManager(self._before_dir, read_only=True) as reader:
            self._before = _known(reader)

    def _child(self, fatal: int, when: When, share: float) -> Any:
        arguments = [self.phase_name, str(self.folder), str(self._data_dir), fatal, when, share]
        return self.nursery.start("crash.phases:run", *arguments)

    def _check(self, code: int, said: list[str]) -> None:
        facts = [(line.partition(" ")[0], json.loads(line.partition(" ")[2])) for line in said]
        if code != -signal.SIGKILL:
            # it was faster, or has fewer steps than the first run
            assert (code, facts[-1][0]) == (0, "steps"), said
            return
        # one that dies within a step may be about to die after it
        deaths = [value for word, value in facts if word == "died"]
        facts = [fact for fact in facts if fact[0] != "died"]
        self.struck[deaths[0] if deaths else "at a moment"] += 1
        if self.random.random() < _TWICE:
            self._kill_recovery()
        with DatasetManager(self._data_dir, read_only=True) as reader:
            self._check_truth(reader, facts)
        began = time.monotonic()
        with DatasetManager(self._data_dir, device="cpu") as manager:
            manager.list_datasets()
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            assert self.slowest_s < REOPEN_S
            check_writer(manager)
            self._check_truth(manager, facts)
            self._check_folders(manager)
            self.phase.finish(manager)
            self._check_rest(manager)
        assert _data_of(self._data_dir) == self._whole
        found, wanted = _layout(self._data_dir), self._whole_layout
        assert (found - wanted, wanted - found) == (Counter(), Counter())

    def _kill_recovery(self) -> None:
        fatal, share = self.random.randint(1, _RECOVERY_STEPS), self.random.random()
        when = self.random.choice(("before", "within", "after"))
        child = self.nursery.start("crash.phases:reopen", str(self._data_dir), fatal, when, share)
        code, said = child.ended()
        assert code in (0, -signal.SIGKILL), said
        self.num_twice += code != 0

    def _check_truth(self, manager: DatasetManager, facts: list[tuple[str, Any]]) -> None:
        """What was acknowledged is so, and what is shown as ready is whole."""
        now = _known(manager)
        for dataset_id, record in self._before.datasets.items():
            if not self.phase.is_doomed(record):
                assert _facts_of(now.datasets[dataset_id]) == _facts_of(record)
        for record in now.datasets.values():
            assert record.status in ("ready", "error"), record
            assert record.status == "ready" or record.error_code == "interrupted", record
            if record.status == "ready":
                last = manager.samples(record.id, offset=record.num_samples - 1, limit=1)
                assert (last.total, len(last.items)) == (record.num_samples, 1)
                assert manager.samples(record.id, search="59").total
        for made in now.tokenizations.values():
            assert made.status in ("ready", "error"), made
            if made.status == "ready":
                for split, counts in made.splits.items():
                    tokens = manager.load_tokens(made.id, split)
                    assert len(tokens["input_ids"]) == counts.sequences
        for word, value in facts:
            # a replaced index comes back with the next writer; until then a search reads
            if word != "indexed" or not manager.read_only:
                _check_fact(now, word, value)

    def _check_folders(self, manager: DatasetManager) -> None:
        """Nothing lies there that no record tells of."""
        root = self._data_dir
        shown = {row.id: row for row in manager.list_datasets().items}
        found = {path.name for path in (root / "datasets").iterdir()}
        ready = {name for name, row in shown.items() if row.status == "ready"}
        assert ready <= found <= shown.keys()
        for name in found:
            folder = root / "datasets" / name
            allowed = {"raw", "manifest.json", "tokenized", "text_index", "text_index.unwanted"}
            allowed |= set() if name in ready else {"partial"}
            assert {path.name for path in folder.iterdir()} - allowed == set()
            made = {record.id: record for record in manager.list_tokenizations(name)}
            for path in (folder / "tokenized").glob("*"):
                record = made[path.name.removesuffix(".partial")]
                assert (record.status == "ready") == (path.suffix != ".partial")
        # within a partial folder they go with it, and the catalog's are used up by the next
        unnamed = [path for path in root.rglob("*.tmp") if path.parent != root]
        assert [path for path in unnamed if "partial" not in str(path)] == []

    def _check_rest(self, manager: DatasetManager) -> None:
        for row in manager.list_datasets().items:
            assert (row.status, row.error_message) == ("ready", None)
            for record in manager.list_tokenizations(row.id):
                assert record.status == "ready"
        assert list((self._data_dir / "staging").iterdir()) == []

    def report(self) -> None:
        print(
            f"\n{self.phase_name}: {self.total} kills at {len(self.names)} steps, {self.num_twice} "
            f"in the recovery too, opened again in {self.slowest_s:.2f} s at most"
        )
        for where, count in sorted(self.struck.items()):
            print(f"  {count:3d} {where}")


def prepare_folder(folder: Path, tokenizer: Path, hub: HubServer) -> None:
    """Write what the phases read."""
    texts = [f"text number {n} of some words" for n in range(NUM_ROWS)]
    (folder / "texts.jsonl").write_bytes(jsonl(texts))
    shutil.copy(tokenizer, folder / "tokenizer.json")
    files = {f"data/train-{n:05}-of-00003.parquet": parquet(texts[n:]) for n in range(3)}
    hub.add("dataset", REPO, files)


def _known(manager: DatasetManager) -> Known:
    datasets = {row.id: row for row in manager.list_datasets().items}
    tokenizations = {
        record.id: record
        for dataset_id in datasets
        for record in manager.list_tokenizations(dataset_id)
    }
    ready = [name for name, row in datasets.items() if row.status == "ready"]
    indexed = frozenset(name for name in ready if manager.index_status(name).is_ready)
    return Known(datasets, tokenizations, indexed)


def _data_of(data_dir: Path) -> Counter[tuple[str, str]]:
    """Return all data files with what is in them; ids and order aside."""
    found = (path for pattern in _DATA for path in (data_dir / "datasets").rglob(pattern))
    return Counter(
        (plain(path.relative_to(data_dir).as_posix()), sha256_of(path)) for path in found
    )


def _layout(data_dir: Path) -> Counter[str]:
    """Return all files, but for what is proven of engines: a process that knows it writes none."""
    found = layout(data_dir)
    return Counter({name: n for name, n in found.items() if not name.startswith("tokenizers/")})


def _facts_of(record: DatasetRecord | dict[str, Any]) -> dict[str, Any]:
    """Return what a dataset is, whatever was made of it since."""
    shown = record if isinstance(record, dict) else record.model_dump(mode="json")
    wanted = (
        "id", "name", "source", "repo_id", "commit", "status", "size_bytes", "num_samples",
        "split_info", "text_column", "columns", "created_at",
    )  # fmt: skip
    return {name: shown[name] for name in wanted}


def _check_fact(now: Known, word: str, value: Any) -> None:
    if word in ("begun", "counted"):
        assert value in now.datasets
    elif word == "ready":
        assert _facts_of(now.datasets[value["id"]]) == _facts_of(value)
    elif word == "tokenizing":
        assert value in now.tokenizations
    elif word == "tokenized":
        found = now.tokenizations[value["id"]].model_dump(mode="json")
        # a reader is not told where a tokenizer lies
        assert {**found, "settings": None} == {**value, "settings": None}
    elif word == "indexed":
        assert value in now.indexed
    elif word == "unindexed":
        assert value not in now.indexed
    else:
        assert word == "gone", word
        assert value not in now.datasets.keys() | now.tokenizations.keys()
