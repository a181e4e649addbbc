"""What only the catalog knows of managers that live, noted beside their locks as well.

A job that runs and a hold have no manifest. When the catalog is lost, the next one gets their rows
from these notes, before anything is swept or deleted that they need. A note is there no longer
than its owner: that of one who died says nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..catalog import CatalogWriter, HoldRow, JobRow
from ..errors import MiStudioError, NotFoundError
from ..jobs import Job, is_owner_alive, read_job_file
from ..records import DATA_KINDS, DatasetRecord, JobSnapshot, Record, TokenizationRecord
from ..storage import write_atomic
from .parts import Parts

_log = logging.getLogger(__name__)


class _JobNote(Record):
    """A job with what it works on, as the catalog had them."""

    job: JobSnapshot
    request: dict[str, Any] | None
    dataset: DatasetRecord
    tokenization: TokenizationRecord | None


def note_job(parts: Parts, job: Job) -> None:
    """Note a job of this manager as the catalog has it now."""
    with suppress(NotFoundError), parts.catalog.read() as reader:
        row = reader.find_job(job.id) if reader is not None else None
        if reader is None or row is None:
            return
        tokenization_id = row.snapshot.tokenization_id
        note = _JobNote(
            job=row.snapshot,
            request=None if row.request is None else dict(row.request),
            dataset=reader.get_dataset(job.dataset_id),
            tokenization=reader.find_tokenization(tokenization_id) if tokenization_id else None,
        )
        _write(_path(parts, job.id), note.model_dump_json())


def note_end(parts: Parts, job: Job) -> None:
    """Drop the note of a job that has ended; one that the catalog lost is noted as failed."""
    path, snapshot = _path(parts, job.id), job.snapshot()
    note = _read_job(path)
    if note is None or snapshot.state != "failed" or _is_recorded(parts, job):
        drop_note(parts, job.id)
        return
    _write(path, note.model_copy(update={"job": snapshot}).model_dump_json())


def note_hold(parts: Parts, row: HoldRow) -> None:
    """Note a hold of this manager."""
    _write(_path(parts, row.id), json.dumps(asdict(row)))


def drop_note(parts: Parts, name: str) -> None:
    """Drop the note of a job or hold, whoever wrote it."""
    for path in parts.storage.owners_dir.glob(f"*.{name}.json"):
        path.unlink(missing_ok=True)


def drop_notes_of(parts: Parts, dataset_id: str) -> None:
    """Drop the notes of all jobs on a dataset that goes, with the catalog locked."""
    for path in _notes(parts):
        note = _read_job(path)
        if note is not None and note.dataset.id == dataset_id:
            path.unlink(missing_ok=True)


def put_back(parts: Parts, writer: CatalogWriter) -> None:
    """Give living jobs and holds that the catalog lost their rows again.

    What was published is left to `take_up`, and so is each dataset that no job is making.
    """
    datasets, holds = writer.dataset_ids(), {hold.id for hold in writer.holds()}
    for path in _of_living(parts):
        hold, note = _read_hold(path), _read_job(path)
        if hold is not None and hold.id not in holds:
            writer.insert_hold(hold)
            _log.warning("the catalog did not know a hold of %s; it goes on", hold.dataset_id)
        if note is None or writer.find_job(note.job.id) is not None:
            continue
        if note.job.kind in DATA_KINDS:
            if parts.storage.has_manifest(note.dataset.id):
                continue
            if note.dataset.id not in datasets:
                writer.insert_dataset(_as_it_is(note))
        job = read_job_file(parts.storage.jobs_dir, note.job.id) or note.job
        writer.insert_job(JobRow(job, owner_id=_owner_of(path), request=note.request))
        _log.warning("the catalog did not know %s, which goes on", note.job.id)


def put_back_tokenizations(parts: Parts, writer: CatalogWriter) -> None:
    """Give tokenizations that are being made their rows again, now that their datasets have."""
    datasets = writer.dataset_ids()
    for path in _of_living(parts):
        note = _read_job(path)
        if note is None or note.tokenization is None or note.dataset.id not in datasets:
            continue
        if writer.find_tokenization(note.tokenization.id) is None:
            fields: dict[str, Any] = {"status": "tokenizing"}
            if note.job.state == "failed":
                fields = {"status": "error", **_error_of(note.job)}
            writer.put_tokenization(note.tokenization.model_copy(update=fields))


def sweep_notes(parts: Parts) -> None:
    """Remove the notes of owners that died, and what they had begun to write."""
    for pattern in ("*.json", ".*.tmp"):
        for path in parts.storage.owners_dir.glob(pattern):
            if not is_owner_alive(parts.storage.owners_dir, _owner_of(path)):
                path.unlink(missing_ok=True)


def _as_it_is(note: _JobNote) -> DatasetRecord:
    if note.job.state != "failed":
        return note.dataset
    return note.dataset.model_copy(update={"status": "error", **_error_of(note.job)})


def _error_of(job: JobSnapshot) -> dict[str, str | None]:
    return {"error_code": job.error_code, "error_message": job.error_message, "hint": job.hint}


def _is_recorded(parts: Parts, job: Job) -> bool:
    with suppress(MiStudioError), parts.catalog.read() as reader:
        return reader is not None and reader.find_job(job.id) is not None
    return False


def _path(parts: Parts, name: str) -> Path:
    return parts.storage.owners_dir / f"{parts.owner_id}.{name}.json"


def _owner_of(path: Path) -> str:
    return path.name.lstrip(".").partition(".")[0]


def _notes(parts: Parts) -> Iterator[Path]:
    yield from sorted(parts.storage.owners_dir.glob("*.json"))


def _of_living(parts: Parts) -> Iterator[Path]:
    for path in _notes(parts):
        if is_owner_alive(parts.storage.owners_dir, _owner_of(path)):
            yield path


def _write(path: Path, text: str) -> None:
    try:
        write_atomic(path, text.encode(), durable=False)
    except OSError as error:
        # it is needed only when the catalog is lost too
        _log.debug("could not note %s: %s", path.name, error)


def _read_job(path: Path) -> _JobNote | None:
    try:
        return _JobNote.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _read_hold(path: Path) -> HoldRow | None:
    try:
        return HoldRow(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
