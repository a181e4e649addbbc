"""What a verify job does: every byte is hashed again and compared with manifest and receipts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..catalog import CatalogWriter
from ..errors import CorruptFileError, MiStudioError
from ..jobs import Job
from ..progress import Progress
from ..records import (
    DataFile,
    DatasetRecord,
    OriginalFile,
    TokenFile,
    TokenizationRecord,
    VerifyReport,
)
from ..storage import sha256_of
from .notes import drop_note
from .parts import Parts, error_fields

_NAMED: Final = 5

_Listed = DataFile | OriginalFile | TokenFile


class VerifyWork:
    """A ready dataset is found whole, or goes to error with its damaged files named."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(self, job: Job) -> VerifyReport:
        """Hash all files, then tell the catalog."""
        self._parts.record_state(job, "running")
        storage = self._parts.storage
        folder = storage.dataset_dir(job.dataset_id)
        with self._parts.catalog.read() as reader:
            assert reader is not None
            dataset = reader.get_dataset(job.dataset_id)
            records = reader.tokenizations_of([job.dataset_id])[job.dataset_id]
        ready = [record.id for record in records if record.status == "ready"]
        listed = self._manifest_files(job.dataset_id)
        receipts = {found: self._receipt_files(job.dataset_id, found) for found in ready}
        groups: list[Sequence[_Listed] | None] = [listed, *receipts.values()]
        num_bytes = sum(file.size_bytes for group in groups for file in group or ())
        job.progress.start("verifying", total=num_bytes, unit="bytes")
        damaged = _damaged(folder, listed, "manifest.json", job.progress)
        damaged_tokens = {
            found: _damaged(
                storage.tokenization_dir(job.dataset_id, found), files, "receipt.json", job.progress
            )
            for found, files in receipts.items()
        }
        self._record(job, dataset, damaged, damaged_tokens)
        return VerifyReport(
            dataset_id=job.dataset_id,
            num_files=sum(len(group or ()) for group in groups),
            num_bytes=num_bytes,
            damaged=(
                *damaged,
                *(
                    f"tokenized/{found}/{name}"
                    for found, names in damaged_tokens.items()
                    for name in names
                ),
            ),
        )

    def undo(self, job: Job) -> None:
        """Forget the job."""
        with self._parts.catalog.write() as writer:
            writer.delete_job(job.id)
            drop_note(self._parts, job.id)

    def fail(self, job: Job, error: MiStudioError) -> None:
        """Record the error on the job; it tells nothing about the dataset."""
        snapshot = job.snapshot()
        with self._parts.catalog.write() as writer:
            writer.update_job(
                snapshot.model_copy(update={"state": "failed", **error_fields(error)})
            )

    def _manifest_files(self, dataset_id: str) -> Sequence[_Listed] | None:
        try:
            manifest = self._parts.storage.read_manifest(dataset_id)
        except CorruptFileError:
            return None
        return (*manifest.files, *manifest.originals)

    def _receipt_files(self, dataset_id: str, tokenization_id: str) -> Sequence[TokenFile] | None:
        try:
            return self._parts.storage.read_receipt(dataset_id, tokenization_id).files
        except CorruptFileError:
            return None

    def _record(
        self,
        job: Job,
        dataset: DatasetRecord,
        damaged: Sequence[str],
        damaged_tokens: dict[str, list[str]],
    ) -> None:
        done = job.snapshot().model_copy(update={"state": "succeeded", "progress": 100.0})
        with self._parts.catalog.write() as writer:
            if damaged:
                error = _damage(dataset.name, damaged, repair_hint(dataset))
                writer.update_dataset(job.dataset_id, status="error", **error_fields(error))
            for tokenization_id, names in damaged_tokens.items():
                record = writer.find_tokenization(tokenization_id)
                if names and record is not None and record.status == "ready":
                    _give_up(writer, record, names)
            writer.update_job(done)


def _damaged(
    folder: Path,
    files: Sequence[_Listed] | None,
    list_name: str,
    progress: Progress,
) -> list[str]:
    """Return the files that are not what ``list_name`` says, or that itself when it is lost."""
    if files is None:
        return [list_name]
    damaged = []
    for file in dict.fromkeys(files):
        path = folder / file.path
        try:
            is_whole = (
                path.stat().st_size == file.size_bytes and sha256_of(path, progress) == file.sha256
            )
        except OSError:
            is_whole = False
        if not is_whole:
            damaged.append(file.path)
    return damaged


def _damage(name: str, damaged: Sequence[str], hint: str) -> CorruptFileError:
    named = ", ".join(damaged[:_NAMED])
    more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
    return CorruptFileError(f"{name!r} is damaged: {named}{more}.", path=damaged[0], hint=hint)


def repair_hint(dataset: DatasetRecord) -> str:
    """Return what makes a damaged dataset whole again."""
    if dataset.source == "huggingface":
        return "Retry fetches the damaged files again."
    if dataset.source == "local":
        return "Retry imports the files again, if they are still where they were."
    return "Import the table again, then delete this one."


def _give_up(writer: CatalogWriter, record: TokenizationRecord, names: Sequence[str]) -> None:
    error = _damage(record.tokenizer_name, names, "Tokenize again with the same settings.")
    writer.put_tokenization(record.model_copy(update={"status": "error", **error_fields(error)}))
