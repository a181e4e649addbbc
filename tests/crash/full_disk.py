"""Let the disk run full at any write of a piece of work, and look at what it leaves.

A disk that has so many bytes left is full at one write, with some more at the next: the sweep
goes over all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hub_fixtures import parquet
from hub_server import HubServer
from small_disk import fill

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import InsufficientDiskSpaceError
from mistudio_widgets.records import DatasetRecord, TokenizationRecord

NUM_ROWS = 3000
REPO = "acme/onto-a-full-disk"


@dataclass
class FullDisk:
    """One dataset and one tokenization on a small disk, which no work on a full one may harm."""

    disk: Path
    source: Path
    tokenizer: Path
    hub: HubServer
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.data_dir = self.disk / "data"
        texts = self.source.read_text().splitlines()
        files = {f"data/train-{n}.parquet": parquet(texts[n:]) for n in range(2)}
        self.hub.add("dataset", REPO, files)
        with self._manager() as manager:
            self.dataset: DatasetRecord = manager.import_files(self.source, name="first").wait(60)
            self.tokens: TokenizationRecord = manager.tokenize(
                self.dataset.id, tokenizer=str(self.tokenizer), max_length=16
            ).wait(60)

    def sweep(self, leave: int) -> None:
        """Do each piece of work with so many bytes left, then with room again."""
        for work in (self._download, self._import, self._tokenize, self._index, self._delete):
            self._attempt(work, leave)

    def _manager(self) -> DatasetManager:
        manager = DatasetManager(self.data_dir, device="cpu")
        # the guard would refuse on so small a disk: the disk itself shall
        manager._parts.storage.reserve_bytes = -(1 << 30)
        return manager

    def _attempt(self, work: Callable[[DatasetManager], None], leave: int) -> None:
        with self._manager() as manager:
            filling = fill(self.disk, leave=leave)
            try:
                work(manager)
                outcome = "done"
            except InsufficientDiskSpaceError:
                outcome = "no room"
            self._check(manager)
            filling.unlink()
            self._check(manager)
        self.outcomes[f"{work.__name__.lstrip('_')}: {outcome}"] += 1
        # what could not be written down is put right by the next one
        with self._manager() as manager:
            self._check(manager)
            work(manager)
            self._check(manager)
            self._tidy(manager)

    def _download(self, manager: DatasetManager) -> None:
        rows = [row for row in manager.list_datasets().items if row.repo_id == REPO]
        job = manager.retry(rows[0].id) if rows else manager.download(REPO)
        record = job.wait(60)
        assert record.num_samples == 2 * NUM_ROWS - 1

    def _import(self, manager: DatasetManager) -> None:
        manager.import_files(self.source, name="second").wait(60)

    def _tokenize(self, manager: DatasetManager) -> None:
        manager.tokenize(self.dataset.id, tokenizer=str(self.tokenizer), max_length=32).wait(60)

    def _index(self, manager: DatasetManager) -> None:
        manager.build_index(self.dataset.id).wait(60)

    def _delete(self, manager: DatasetManager) -> None:
        others = [row for row in manager.list_datasets().items if row.id != self.dataset.id]
        for row in others or [manager.import_files(self.source, name="second").wait(60)]:
            manager.delete_dataset(row.id)

    def _check(self, manager: DatasetManager) -> None:
        """What is shown as ready is whole, and what was there before is still there."""
        assert manager.jobs() == []
        shown = manager.list_datasets().items
        assert self.dataset.id in {row.id for row in shown}
        for row in shown:
            folder = self.data_dir / "datasets" / row.id
            assert (row.status == "ready") == (folder / "manifest.json").exists()
            assert row.status == "ready" or row.error_code in ("disk_full", "interrupted")
            for record in manager.list_tokenizations(row.id):
                done = folder / "tokenized" / record.id / "receipt.json"
                assert (record.status == "ready") == done.exists()
        assert manager.samples(self.dataset.id, limit=1, offset=NUM_ROWS - 1).total == NUM_ROWS
        assert manager.samples(self.dataset.id, search="2999").total == 1
        assert len(manager.load_tokens(self.tokens.id, "train")["input_ids"])

    def _tidy(self, manager: DatasetManager) -> None:
        for row in manager.list_datasets().items:
            if row.id != self.dataset.id:
                manager.delete_dataset(row.id)
        for record in manager.list_tokenizations(self.dataset.id):
            if record.id != self.tokens.id:
                manager.delete_tokenization(record.id)
        manager.delete_index(self.dataset.id)
        manager.cleanup()
        assert list((self.data_dir / "staging").iterdir()) == []
        names = {path.name for path in (self.data_dir / "datasets" / self.dataset.id).iterdir()}
        assert names == {"raw", "manifest.json", "tokenized", "text_index.unwanted"}

    def report(self) -> None:
        print()
        for outcome, count in sorted(self.outcomes.items()):
            print(f"  {count:3d} {outcome}")
