"""What is done when a process is killed: each phase with what it says as soon as it is true.

A phase is prepared once; each kill gets a copy. `act` runs in the child and says every fact that
the manager acknowledged; `finish` runs in the next process and ends what was begun.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from crash.failpoints import Failpoints, When
from crash.nursery import say

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog.migrations import MIGRATIONS
from mistudio_widgets.records import DatasetRecord, TokenizationRecord

REPO: Final = "acme/killed-at-steps"
_SPLITS: Final = {"train": 0.8, "test": 0.2}


def run(phase: str, folder: str, data_dir: str, fatal: int, when: When, share: float) -> None:
    """Act in a child that may die at one of its steps."""
    points = Failpoints(fatal, when, share)
    points.install()
    PHASES[phase](Path(folder), say).act(data_dir)
    say("steps", points.names)


def reopen(data_dir: str, fatal: int, when: When, share: float) -> None:
    """Put right what a dead process left, in a child that may die of it too."""
    Failpoints(fatal, when, share).install()
    with _open(data_dir) as manager:
        manager.list_datasets()


def _tell_nobody(word: str, value: Any) -> None:
    pass


class Phase:
    """The paths that all phases use.

    Parameters
    ----------
    folder : Path
        With ``texts.jsonl`` and ``tokenizer.json``.
    tell : callable
        Called with each fact, at once.
    """

    def __init__(self, folder: Path, tell: Callable[[str, Any], None] = _tell_nobody) -> None:
        self.say = tell
        self.text = str(folder / "texts.jsonl")
        self.tokenizer = str(folder / "tokenizer.json")

    def prepare(self, data_dir: Path) -> None:
        """Make what is there before: one dataset with a tokenization and an index."""
        with _open(data_dir) as manager:
            dataset = manager.import_files(self.text, name="kept", seed=1, splits=_SPLITS).wait(60)
            self._tokenize(manager, dataset.id, 16)
            manager.build_index(dataset.id).wait(60)

    def act(self, data_dir: str) -> None:
        """Do it, and say what became true."""
        raise NotImplementedError

    def finish(self, manager: DatasetManager) -> None:
        """Do what was not done, by the means that a user has."""
        raise NotImplementedError

    def is_doomed(self, dataset: DatasetRecord) -> bool:
        """Whether a dataset from before may be gone after."""
        return False

    def _tokenize(
        self, manager: DatasetManager, dataset_id: str, max_length: int
    ) -> TokenizationRecord:
        job = manager.tokenize(dataset_id, tokenizer=self.tokenizer, max_length=max_length)
        self.say("tokenizing", job.tokenization_id)
        record: TokenizationRecord = job.wait(60)
        self.say("tokenized", record.model_dump(mode="json"))
        return record


class Imports(Phase):
    """Two imports, one after the other."""

    def act(self, data_dir: str) -> None:
        with _open(data_dir) as manager:
            for name in ("one", "two"):
                self._import(manager, name)

    def finish(self, manager: DatasetManager) -> None:
        rows = {row.name: row for row in manager.list_datasets().items}
        for name in ("one", "two"):
            if name in rows:
                manager.retry(rows[name].id).wait(60)
            else:
                self._import(manager, name)

    def _import(self, manager: DatasetManager, name: str) -> None:
        job = manager.import_files(self.text, name=name, splits=_SPLITS, seed=7)
        self.say("begun", job.dataset_id)
        self.say("ready", job.wait(60).model_dump(mode="json"))


class Downloads(Phase):
    """One download of three files."""

    def act(self, data_dir: str) -> None:
        with _open(data_dir) as manager:
            self._download(manager)

    def finish(self, manager: DatasetManager) -> None:
        rows = [row for row in manager.list_datasets().items if row.repo_id == REPO]
        if rows:
            manager.retry(rows[0].id).wait(60)
        else:
            self._download(manager)

    def _download(self, manager: DatasetManager) -> None:
        job = manager.download(REPO)
        self.say("begun", job.dataset_id)
        self.say("ready", job.wait(60).model_dump(mode="json"))


class Tokenizations(Phase):
    """Two tokenizations of one dataset."""

    def act(self, data_dir: str) -> None:
        with _open(data_dir) as manager:
            self.finish(manager)

    def finish(self, manager: DatasetManager) -> None:
        (dataset,) = manager.list_datasets().items
        for max_length in (8, 32):
            self._tokenize(manager, dataset.id, max_length)


class Indexes(Phase):
    """An index, and another in its place."""

    def act(self, data_dir: str) -> None:
        with _open(data_dir) as manager:
            self.finish(manager)

    def finish(self, manager: DatasetManager) -> None:
        (dataset,) = manager.list_datasets().items
        for _ in range(2):
            manager.build_index(dataset.id).wait(60)
            self.say("indexed", dataset.id)


class Migrations(Phase):
    """A catalog of the first version is opened."""

    def prepare(self, data_dir: Path) -> None:
        with pytest.MonkeyPatch.context() as older:
            older.setattr("mistudio_widgets.catalog.migrations.MIGRATIONS", MIGRATIONS[:1])
            with _open(data_dir) as manager:
                dataset = manager.import_files(self.text, name="kept").wait(60)
                self._tokenize(manager, dataset.id, 16)

    def act(self, data_dir: str) -> None:
        with _open(data_dir) as manager:
            self.finish(manager)

    def finish(self, manager: DatasetManager) -> None:
        (dataset,) = manager.list_datasets().items
        # of a table that the old one has not
        manager.column_statistics(dataset.id)
        self.say("counted", dataset.id)


class Deletions(Phase):
    """A tokenization goes, an index, and two datasets, one with all that it has."""

    def prepare(self, data_dir: Path) -> None:
        super().prepare(data_dir)
        with _open(data_dir) as manager:
            for name in ("doomed 1", "doomed 2"):
                dataset = manager.import_files(self.text, name=name, splits=_SPLITS).wait(60)
                for max_length in (8, 16):
                    self._tokenize(manager, dataset.id, max_length)
                manager.build_index(dataset.id).wait(60)

    def act(self, data_dir: str) -> None:
        with _open(data_dir) as manager:
            self.finish(manager)

    def finish(self, manager: DatasetManager) -> None:
        rows = {row.name: row.id for row in manager.list_datasets().items}
        if "doomed 1" in rows:
            for record in manager.list_tokenizations(rows["doomed 1"])[:1]:
                manager.delete_tokenization(record.id)
                self.say("gone", record.id)
            manager.delete_index(rows["doomed 1"])
            self.say("unindexed", rows["doomed 1"])
        for name in ("doomed 1", "doomed 2"):
            if name in rows:
                manager.delete_dataset(rows[name])
                self.say("gone", rows[name])

    def is_doomed(self, dataset: DatasetRecord) -> bool:
        return dataset.name.startswith("doomed")


PHASES: Final[dict[str, type[Phase]]] = {
    "imports": Imports,
    "downloads": Downloads,
    "tokenizations": Tokenizations,
    "indexes": Indexes,
    "migrations": Migrations,
    "deletions": Deletions,
}


def _open(data_dir: str | Path) -> DatasetManager:
    return DatasetManager(data_dir, device="cpu")
