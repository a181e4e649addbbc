"""What nobody needs any more, found and moved out of sight.

Whether something is needed is what the catalog says while nobody else can write to it: a job that
lives keeps what it makes, and what `retry` or `tokenize` would go on with stays for 30 days.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..catalog import CatalogReader
from ..errors import CorruptFileError, StorageError
from ..records import CleanupKind, JobKind
from ..storage import newest_change_at, removal_bytes, remove_tree
from .index_work import has_fresh_index
from .notes import put_back
from .parts import Parts

RESUMABLE_DAYS: Final = 30
"""How long what a shown record can go on with is kept."""

_DAY_S: Final = 86_400


@dataclass(frozen=True)
class _Facts:
    """What the catalog says: datasets with their status, and the jobs that live."""

    datasets: dict[str, str]
    living: frozenset[tuple[JobKind, str]]
    living_ids: frozenset[str]
    reader: CatalogReader

    def is_made(self, dataset_id: str, *kinds: JobKind) -> bool:
        return any((kind, dataset_id) in self.living for kind in kinds)


@dataclass(frozen=True)
class Leftover:
    """A file or folder that may be of no use.

    Attributes
    ----------
    keep_days : callable
        How many days it must be untouched, by what the catalog says; None: it is in use.
    """

    kind: CleanupKind
    path: Path
    keep_days: Callable[[_Facts], int | None]


def reclaimable_bytes(parts: Parts, kinds: Collection[CleanupKind], older_than_days: int) -> int:
    """Return what `discard` would free; costs a walk over what is left over."""
    return removal_bytes([item.path for item in _find(parts, kinds, older_than_days)])


def discard(parts: Parts, kinds: Collection[CleanupKind], older_than_days: int) -> int:
    """Remove what is left over; returns the bytes freed."""
    found = _find(parts, kinds, older_than_days)
    if not found:
        return 0
    moved: list[Path] = []
    try:
        # with the catalog locked no job can begin to use what was judged to be unused
        with parts.catalog.write() as writer:
            put_back(parts, writer)
            facts = _facts(parts, writer)
            for item in found:
                if item.keep_days(facts) is not None:
                    trash = parts.storage.trash_leftover(item.path)
                    moved += [trash] if trash is not None else []
    finally:
        freed = removal_bytes(moved)
        for trash in moved:
            remove_tree(trash)
    return freed


def _find(parts: Parts, kinds: Collection[CleanupKind], older_than_days: int) -> list[Leftover]:
    # listed before the catalog is asked: a job's row is there before its files are
    listed = [item for item in _list(parts) if item.kind in kinds]
    with parts.catalog.read() as reader:
        if reader is None:
            return []
        facts = _facts(parts, reader)
        judged = [(item, item.keep_days(facts)) for item in listed]
    now = time.time()
    return [
        item
        for item, days in judged
        if days is not None
        and max(now - newest_change_at(item.path), 0) >= max(days, older_than_days) * _DAY_S
    ]


def _facts(parts: Parts, reader: CatalogReader) -> _Facts:
    living = [row.snapshot for row in reader.active_jobs() if parts.is_alive(row)]
    return _Facts(
        datasets=reader.dataset_statuses(),
        living=frozenset((job.kind, job.dataset_id) for job in living),
        living_ids=frozenset(job.id for job in living),
        reader=reader,
    )


def _list(parts: Parts) -> Iterator[Leftover]:
    storage = parts.storage
    for dataset_id in storage.dataset_ids():
        yield from _of_dataset(parts, dataset_id)
    for job_id, folder in storage.staged_jobs():
        yield Leftover("orphan", folder, _unless_staged_by(job_id))
    for folder in storage.damaged_catalogs():
        yield Leftover("orphan", folder, lambda _: RESUMABLE_DAYS)


def _of_dataset(parts: Parts, dataset_id: str) -> Iterator[Leftover]:
    storage = parts.storage
    yield Leftover("orphan", storage.dataset_dir(dataset_id), _unless_known(parts, dataset_id))
    fetched = storage.fetch_dir(dataset_id)
    if fetched.exists():
        yield Leftover("partial", fetched, _unless_fetched(dataset_id))
    for tokenization_id, folder in storage.partial_tokenizations(dataset_id):
        yield Leftover("partial", folder, _unless_tokenized(dataset_id, tokenization_id))
    for tokenization_id in storage.tokenization_ids(dataset_id):
        folder = storage.tokenization_dir(dataset_id, tokenization_id)
        if not (folder / "receipt.json").exists():
            yield Leftover("orphan", folder, _unless_listed(dataset_id, tokenization_id))
    partial_index = storage.partial_index_dir(dataset_id)
    if partial_index.exists():
        yield Leftover("index", partial_index, _unless_indexed(dataset_id))
    if storage.index_dir(dataset_id).exists() and _is_stale(parts, dataset_id):
        yield Leftover("index", storage.index_dir(dataset_id), _unless_fresh(parts, dataset_id))


def _is_orphan(parts: Parts, dataset_id: str) -> bool:
    """Tell whether a folder was never a dataset; `rebuild` makes a row of one that was."""
    try:
        parts.storage.read_manifest(dataset_id)
    except CorruptFileError:
        return not parts.storage.was_published(dataset_id)
    except StorageError:
        return False
    return False


def _is_stale(parts: Parts, dataset_id: str) -> bool:
    """Tell whether an index is of other texts than the dataset has now."""
    try:
        return not has_fresh_index(parts, parts.storage.read_manifest(dataset_id))
    except StorageError:
        return False


_Judge = Callable[[_Facts], int | None]


def _unless_known(parts: Parts, dataset_id: str) -> _Judge:
    def judge(facts: _Facts) -> int | None:
        return 0 if dataset_id not in facts.datasets and _is_orphan(parts, dataset_id) else None

    return judge


def _unless_staged_by(job_id: str) -> _Judge:
    return lambda facts: None if job_id in facts.living_ids else 0


def _unless_fetched(dataset_id: str) -> _Judge:
    def judge(facts: _Facts) -> int | None:
        status = facts.datasets.get(dataset_id)
        if status is None or facts.is_made(dataset_id, "download", "import"):
            return None
        return 0 if status == "ready" else RESUMABLE_DAYS

    return judge


def _unless_tokenized(dataset_id: str, tokenization_id: str) -> _Judge:
    def judge(facts: _Facts) -> int | None:
        if dataset_id not in facts.datasets or facts.is_made(dataset_id, "tokenize"):
            return None
        record = facts.reader.find_tokenization(tokenization_id)
        return 0 if record is None or record.status == "ready" else RESUMABLE_DAYS

    return judge


def _unless_listed(dataset_id: str, tokenization_id: str) -> _Judge:
    def judge(facts: _Facts) -> int | None:
        if dataset_id not in facts.datasets or facts.is_made(dataset_id, "tokenize"):
            return None
        record = facts.reader.find_tokenization(tokenization_id)
        # of one that was found to be damaged, or whose texts changed, nothing is used again
        return 0 if record is None or record.status == "error" else None

    return judge


def _unless_indexed(dataset_id: str) -> _Judge:
    return lambda facts: None if facts.is_made(dataset_id, "index") else 0


def _unless_fresh(parts: Parts, dataset_id: str) -> _Judge:
    def judge(facts: _Facts) -> int | None:
        if facts.is_made(dataset_id, "index", "download", "import"):
            return None
        return 0 if _is_stale(parts, dataset_id) else None

    return judge
