"""What imports and downloads share: files onto disk, then one row into the catalog.

The order is always disk, catalog, change token, events: a fact is in the catalog only when what
it tells of can be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import importer
from ..catalog import CatalogWriter
from ..errors import (
    AlreadyExistsError,
    CorruptFileError,
    MiStudioError,
    TokenizationError,
)
from ..jobs import Job
from ..records import (
    DataFile,
    DatasetRecord,
    Manifest,
    OriginalFile,
    StoredStatus,
    TokenizationRecord,
    utc_now,
)
from ..storage import disk_errors, fsync_dir, remove_tree, sha256_of
from .notes import drop_note
from .parts import Parts, error_fields


class DatasetWork:
    """What imports and downloads have in common: a dataset that appears, fails or goes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def undo(self, job: Job) -> None:
        """Remove files and row, unless another manager goes on with them.

        A repair that is cancelled leaves the dataset damaged, as it was.
        """
        with self._parts.catalog.read() as reader:
            row = reader.find_job(job.id) if reader is not None else None
        if row is not None and row.owner_id != self._parts.owner_id:
            return
        self._discard_staging(job)
        if self._parts.storage.was_published(job.dataset_id):
            self._give_up_repair(job)
            return
        folder = self._parts.storage.dataset_dir(job.dataset_id)
        if folder.exists():
            remove_tree(folder)
        with self._parts.catalog.write() as writer:
            writer.delete_dataset(job.dataset_id)
            drop_note(self._parts, job.id)

    def fail(self, job: Job, error: MiStudioError) -> None:
        """Keep the row, with the error, and what was fetched; remove what is half made."""
        if isinstance(error, AlreadyExistsError):
            self.undo(job)
            return
        with suppress(MiStudioError):
            self._discard_staging(job)
        snapshot = job.snapshot()
        with self._parts.catalog.write() as writer:
            writer.update_dataset(
                job.dataset_id, status="error", progress=snapshot.progress, **error_fields(error)
            )
            writer.update_job(
                snapshot.model_copy(update={"state": "failed", **error_fields(error)})
            )

    def _stage(self, job: Job) -> Path:
        folder = self._parts.storage.staging_dir(job.id)
        with disk_errors("prepare the data folder"):
            if folder.exists():
                remove_tree(folder)
            (folder / "raw").mkdir(parents=True)
        return folder

    def _discard_staging(self, job: Job) -> None:
        folder = self._parts.storage.staging_dir(job.id)
        if folder.exists():
            remove_tree(folder)

    def _give_up_repair(self, job: Job) -> None:
        self._discard_fetched(job)
        cancelled = job.snapshot().model_copy(update={"state": "cancelled"})
        with self._parts.catalog.write() as writer:
            name = writer.get_dataset(job.dataset_id).name
            error = CorruptFileError(
                f"The repair of {name!r} was cancelled.", path="raw", hint="Retry repairs it."
            )
            writer.update_dataset(job.dataset_id, status="error", **error_fields(error))
            writer.update_job(cancelled)

    def _discard_fetched(self, job: Job) -> None:
        folder = self._parts.storage.fetch_dir(job.dataset_id)
        if folder.exists():
            remove_tree(folder)

    def _publish(
        self,
        job: Job,
        raw: Path,
        result: importer.ImportResult,
        facts: Mapping[str, Any],
        *,
        hashes: Mapping[Path, str] | None = None,
        originals: tuple[OriginalFile, ...] = (),
    ) -> DatasetRecord:
        """Hash, rename, manifest, row: after this the dataset is ready.

        ``hashes`` are the sha256 of the files that were hashed already; ``originals`` are in
        their place already.
        """
        files = _data_files(job, raw, result, hashes or {})
        split_info: dict[str, int] = {}
        for file in files:
            split_info[file.split] = split_info.get(file.split, 0) + file.num_rows
        with self._parts.catalog.read() as reader:
            assert reader is not None
            old = reader.get_dataset(job.dataset_id)
        text_columns = [
            name
            for name, kind in result.columns.items()
            if kind == "string" or name in result.conversations
        ]
        metadata: dict[str, Any] = {
            "schema": {
                "all_columns": list(result.columns),
                "text_columns": text_columns,
                "column_info": result.columns,
                "is_multi_column": len(text_columns) > 1,
                "text_reason": result.text_reason,
                "conversations": result.conversations,
            },
            "download": {"finished_at": utc_now().isoformat(), **facts.get("download", {})},
        }
        changes: dict[str, Any] = {
            "progress": 100.0,
            "error_code": None,
            "error_message": None,
            "hint": None,
            "size_bytes": sum(file.size_bytes for file in files),
            "num_samples": sum(split_info.values()),
            "split_info": split_info,
            "text_column": result.text_column,
            "columns": result.columns,
            "metadata": old.metadata.merged(metadata),
        }
        record = DatasetRecord.model_validate(
            {**old.model_dump(), **changes, "status": "ready", "updated_at": utc_now()}
        )
        job.progress.check()
        stale = self._stale_tokenizations(job, files)
        manifest = Manifest(dataset=record, files=files, originals=originals)
        self._parts.storage.publish_dataset(raw, manifest)
        self._discard_staging(job)
        self._discard_fetched(job)
        done = job.snapshot().model_copy(update={"state": "succeeded", "progress": 100.0})
        with self._parts.catalog.write() as writer:
            if writer.get_dataset(job.dataset_id).status == "downloading":
                writer.update_dataset(job.dataset_id, status="processing")
            record = writer.update_dataset(job.dataset_id, **{**changes, "status": "ready"})
            for tokenization in stale:
                writer.put_tokenization(tokenization)
            writer.update_job(done)
        return record

    def _stale_tokenizations(self, job: Job, files: Sequence[DataFile]) -> list[TokenizationRecord]:
        """Return the tokenizations that a repair leaves without their data, as errors."""
        storage = self._parts.storage
        before = storage.manifest_aside(job.dataset_id)
        contents = [(file.split, file.sha256) for file in files]
        if before is None or contents == [(file.split, file.sha256) for file in before.files]:
            return []
        with self._parts.catalog.read() as reader:
            assert reader is not None
            records = reader.tokenizations_of([job.dataset_id])[job.dataset_id]
        stale = [record for record in records if record.status == "ready"]
        error = TokenizationError(
            "The dataset's texts have changed since.", hint="Tokenize again with these settings."
        )
        for record in stale:
            storage.forget_receipt(job.dataset_id, record.id)
        return [
            record.model_copy(update={"status": "error", **error_fields(error)}) for record in stale
        ]


def restart(
    writer: CatalogWriter, dataset_id: str, status: StoredStatus, *, progress: float = 0.0
) -> None:
    """Set a dataset back to work; one that stopped at another place goes through error first."""
    if writer.get_dataset(dataset_id).status not in ("error", status):
        writer.update_dataset(dataset_id, status="error")
    writer.update_dataset(
        dataset_id, status=status, progress=progress, error_code=None, error_message=None, hint=None
    )


def skipped_facts(result: importer.ImportResult) -> dict[str, Any]:
    """Return what the metadata tells of files that were left out."""
    return {
        "num_skipped_files": len(result.skipped),
        "skipped_files": list(result.skipped[:20]),
    }


def _data_files(
    job: Job, raw: Path, result: importer.ImportResult, hashes: Mapping[Path, str]
) -> tuple[DataFile, ...]:
    sizes = {file.path: file.path.stat().st_size for file in result.files}
    to_hash = sum(size for path, size in sizes.items() if path not in hashes)
    job.progress.start("checking", total=to_hash, unit="bytes", share=1.0)
    files = []
    for file in result.files:
        files.append(
            DataFile(
                path=f"raw/{file.path.relative_to(raw)}",
                split=file.split,
                size_bytes=sizes[file.path],
                sha256=hashes.get(file.path) or sha256_of(file.path, job.progress),
                num_rows=file.num_rows,
            )
        )
        fsync_dir(file.path.parent)
    return tuple(files)
