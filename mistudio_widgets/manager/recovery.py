"""What a process that died left behind, put right by the next one that may write.

Only work of owners whose lock is free is touched. What had been published counts, even when the
process died before it could say so: a manifest or a receipt is the proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..catalog import CatalogWriter, JobRow
from ..errors import CorruptFileError, MiStudioError, NotFoundError
from ..jobs import interruption, is_owner_alive, read_job_file
from ..records import DATA_KINDS, JobSnapshot, Manifest, Receipt
from ..storage import remove_tree
from .index_work import has_fresh_index
from .notes import put_back, sweep_notes
from .parts import Parts, error_fields
from .tokenize_work import note_tokenization


def recover(parts: Parts, *, removes: bool = True) -> int:
    """Record the ends that dead processes could not, and remove their unfinished files.

    Parameters
    ----------
    parts : Parts
    removes : bool
        Also what they did not get to remove after they had published: `cleanup` is asked for it.

    Returns
    -------
    int
        How many jobs had been interrupted.
    """
    # listed before the catalog is asked: a job's row is there before its files are
    unfinished = list(_unfinished(parts)) if removes else []
    with parts.catalog.write() as writer:
        put_back(parts, writer)
        dead = [row for row in writer.active_jobs() if not parts.is_alive(row)]
        ends = [_record_end(parts, writer, row) for row in dead]
        names = [_name_of(writer, row) for row in dead]
        for hold in writer.holds():
            if not parts.is_held(hold):
                writer.delete_hold(hold.id)
        moved = _move_unneeded(parts, writer, unfinished)
    for trash in moved:
        with suppress(MiStudioError):
            remove_tree(trash)
    _sweep_unfinished(parts)
    settle_deletions(parts)
    _sweep_owners(parts)
    for row, end, name in zip(dead, ends, names, strict=True):
        # what ended here was told here, though the catalog could not be
        if row.owner_id != parts.owner_id:
            parts.journal.recovered(end, name)
    return len(dead)


def _name_of(writer: CatalogWriter, row: JobRow) -> str:
    with suppress(NotFoundError):
        return writer.get_dataset(row.snapshot.dataset_id).name
    return ""


def _record_end(parts: Parts, writer: CatalogWriter, row: JobRow) -> JobSnapshot:
    job = read_job_file(parts.storage.jobs_dir, row.snapshot.id) or row.snapshot
    was_done = (
        _adopt_tokenization(parts, writer, row)
        or _adopt_dataset(parts, writer, row)
        or _adopt_index(parts, row)
    )
    if was_done:
        done = job.model_copy(update={"state": "succeeded", "progress": 100.0})
        writer.update_job(done)
        return done
    error = interruption(job.progress)
    fields = error_fields(error)
    failed = job.model_copy(update={"state": "failed", **fields})
    writer.update_job(failed)
    with suppress(NotFoundError):
        if job.kind == "tokenize":
            if job.tokenization_id is not None:
                record = writer.get_tokenization(job.tokenization_id)
                writer.put_tokenization(record.model_copy(update={"status": "error", **fields}))
        elif job.kind in DATA_KINDS:
            writer.update_dataset(job.dataset_id, status="error", progress=job.progress, **fields)
    return failed


def _adopt_dataset(parts: Parts, writer: CatalogWriter, row: JobRow) -> bool:
    if row.snapshot.kind not in DATA_KINDS:
        return False
    manifest = find_manifest(parts, row.snapshot.dataset_id)
    if manifest is None:
        return False
    facts = manifest.dataset.model_dump(exclude={"id", "created_at", "updated_at", "status"})
    if writer.get_dataset(manifest.dataset.id).status == "downloading":
        writer.update_dataset(manifest.dataset.id, status="processing")
    facts = {name: value for name, value in facts.items() if name not in _DERIVED}
    writer.update_dataset(manifest.dataset.id, status="ready", **facts)
    return True


_DERIVED = frozenset(
    {
        "file_path", "tokenized_path", "num_tokens", "vocab_size", "avg_sequence_length",
        "num_tokenizations", "in_use_by",
    }
)  # fmt: skip


def _adopt_tokenization(parts: Parts, writer: CatalogWriter, row: JobRow) -> bool:
    tokenization_id = row.snapshot.tokenization_id
    if row.snapshot.kind != "tokenize" or tokenization_id is None:
        return False
    receipt = find_receipt(parts, row.snapshot.dataset_id, tokenization_id)
    stored = writer.find_tokenization(tokenization_id)
    if receipt is None or stored is None:
        return False
    if stored.status == "queued":
        writer.put_tokenization(stored.model_copy(update={"status": "tokenizing"}))
    note_tokenization(writer, receipt.tokenization)
    return True


def _adopt_index(parts: Parts, row: JobRow) -> bool:
    """Tell whether an index was published; what was not is removed, to be started over."""
    if row.snapshot.kind != "index":
        return False
    with suppress(MiStudioError):
        # under the catalog's lock, before another process may begin a new one there
        parts.storage.trash_partial_index(row.snapshot.dataset_id)
    manifest = find_manifest(parts, row.snapshot.dataset_id)
    return manifest is not None and has_fresh_index(parts, manifest)


def find_manifest(parts: Parts, dataset_id: str) -> Manifest | None:
    """Return the manifest if it is there and all its files have their size."""
    folder = parts.storage.dataset_dir(dataset_id)
    try:
        manifest = parts.storage.read_manifest(dataset_id)
        is_whole = all(
            (folder / file.path).stat().st_size == file.size_bytes for file in manifest.files
        )
    # a path with a NUL is a ValueError
    except (CorruptFileError, OSError, ValueError):
        return None
    return manifest if is_whole else None


def find_receipt(parts: Parts, dataset_id: str, tokenization_id: str) -> Receipt | None:
    """Return the receipt if it is there and all its files have their size."""
    folder = parts.storage.tokenization_dir(dataset_id, tokenization_id)
    try:
        receipt = parts.storage.read_receipt(dataset_id, tokenization_id)
        is_whole = all(
            (folder / file.path).stat().st_size == file.size_bytes for file in receipt.files
        )
    # a path with a NUL is a ValueError
    except (CorruptFileError, OSError, ValueError):
        return None
    return receipt if is_whole else None


@dataclass(frozen=True)
class _Unfinished:
    """What a job writes in a dataset's folder before it publishes.

    ``of`` is the dataset or the tokenization that it becomes; None of a manifest without a name.
    """

    dataset_id: str
    of: str | None
    path: Path


def _unfinished(parts: Parts) -> Iterator[_Unfinished]:
    storage = parts.storage
    for dataset_id in storage.dataset_ids():
        fetched = storage.fetch_dir(dataset_id)
        if fetched.exists():
            yield _Unfinished(dataset_id, dataset_id, fetched)
        for tokenization_id, folder in storage.partial_tokenizations(dataset_id):
            yield _Unfinished(dataset_id, tokenization_id, folder)
        for path in storage.unfinished_manifests(dataset_id):
            yield _Unfinished(dataset_id, None, path)


def _move_unneeded(
    parts: Parts, writer: CatalogWriter, unfinished: Sequence[_Unfinished]
) -> list[Path]:
    """Move away what a process did not get to remove after it had published, or died writing.

    With the catalog locked no job begins that could need it.
    """
    if not unfinished:
        return []
    ready = {name for name, status in writer.dataset_statuses().items() if status == "ready"}
    statuses = writer.tokenization_statuses().items()
    ready |= {name for name, (status, _) in statuses if status == "ready"}
    busy = {row.snapshot.dataset_id for row in writer.active_jobs()}
    moved = []
    for item in unfinished:
        if item.dataset_id in busy:
            continue
        if item.of is None:
            item.path.unlink(missing_ok=True)
        elif item.of in ready and (trash := parts.storage.trash_leftover(item.path)):
            moved.append(trash)
    return moved


def _sweep_unfinished(parts: Parts) -> None:
    # listed before the catalog is asked: a job's row is there before its files are
    staged = list(parts.storage.staged_jobs())
    job_files = list(parts.storage.jobs_dir.iterdir())
    with parts.catalog.read() as reader:
        assert reader is not None
        active = {row.snapshot.id for row in reader.active_jobs()}
    for path in parts.storage.tokenizers_dir.glob("proof-*.tmp"):
        # one that somebody writes right now is made again
        path.unlink(missing_ok=True)
    for path in job_files:
        # job_<id>.json, and .job_<id>.json.<hex>.tmp of a write that did not end
        if path.name.lstrip(".").partition(".")[0] not in active:
            path.unlink(missing_ok=True)
    for job_id, folder in staged:
        if job_id not in active:
            with suppress(MiStudioError):
                remove_tree(folder)


def settle_deletions(parts: Parts) -> None:
    """End each deletion that stopped between moving the folder away and removing it.

    Whether it happened is what the catalog says: without its row the folder goes, with it the
    folder comes back.
    """
    # listed before the catalog is asked: a deletion's row is gone before its lock is free
    trashed = list(parts.storage.trashed())
    if not trashed:
        return
    with parts.catalog.read() as reader:
        assert reader is not None
        datasets = reader.dataset_ids()
        homes = {name: parts.storage.dataset_dir(name) for name in datasets}
        for dataset_id, records in reader.tokenizations_of(list(datasets)).items():
            homes[parts.storage.replaced_index(dataset_id)] = parts.storage.index_dir(dataset_id)
            for record in records:
                homes[record.id] = parts.storage.tokenization_dir(dataset_id, record.id)
    for name, trash in trashed:
        with suppress(MiStudioError):
            target = homes.get(name)
            if target is not None and not target.exists():
                parts.storage.restore(trash, target)
            else:
                remove_tree(trash)


def _sweep_owners(parts: Parts) -> None:
    for path in parts.storage.owners_dir.glob("*.lock"):
        if path.stem != parts.owner_id:
            is_owner_alive(parts.storage.owners_dir, path.stem, remove_dead=True)
    sweep_notes(parts)
