"""What a tokenize job does: token files onto disk, then one row into the catalog."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from .. import encoders, tokenization
from ..catalog import CatalogWriter
from ..errors import AlreadyExistsError, MiStudioError, TokenizationError
from ..jobs import Job
from ..records import (
    Manifest,
    Receipt,
    TokenizationRecord,
    TokenizationSettings,
    utc_now,
)
from ..storage import disk_errors, remove_tree
from .checks import has_conversations
from .notes import note_job
from .parts import Parts, error_fields


class TokenizeWork:
    """A ready dataset and settings become a tokenization."""

    def __init__(
        self, parts: Parts, record: TokenizationRecord, tokenizer: Path | None, engine: str
    ) -> None:
        self._parts = parts
        self._record = record
        self._tokenizer = tokenizer
        self._engine = engine

    def run(self, job: Job) -> TokenizationRecord:
        """Load the tokenizer, prove the engine, tokenize, publish."""
        started = time.monotonic()
        self._parts.record_state(job, "running")
        job.progress.start("loading", unit="files", share=0.02)
        self._put(self._record.model_copy(update={"status": "tokenizing"}))
        # one thread: the engine is opened while the reference is loaded, and proven while it runs
        with ThreadPoolExecutor(1, thread_name_prefix="engine") as helper:
            return self._make(job, helper, started)

    def _make(self, job: Job, helper: ThreadPoolExecutor, started: float) -> TokenizationRecord:
        tokenizer = self._load_tokenizer(job, helper)
        job.progress.check()
        trial = encoders.choose_on_trial(
            tokenizer, self._engine, helper, proofs=self._proofs, check=job.progress.check
        )
        manifest = self._parts.storage.read_manifest(job.dataset_id)
        fingerprint = _fingerprint(Path(tokenizer.path), manifest, self._record.settings)
        existing = self._settle_id(job, fingerprint, manifest)
        if existing is not None:
            return existing
        partial_dir = self._partial(job)
        settings = self._record.settings
        column = settings.text_column or manifest.dataset.text_column
        assert column is not None
        tokenize = partial(
            tokenization.tokenize_splits,
            self._files(job, manifest),
            tokenizer,
            settings=settings,
            text_column=column,
            work_dir=partial_dir,
            out_dir=partial_dir / "out",
            device=self._parts.device,
            executor=self._parts.executor,
            progress=job.progress,
            check_space=self._parts.storage.check_space,
        )
        try:
            result = tokenize(trial.spec, confirm=partial(trial.confirm, job.progress.check))
        except encoders.EngineDiffersError:
            result = tokenize(encoders.disprove(trial.spec, self._proofs))
        if _fingerprint(Path(tokenizer.path), manifest, settings) != fingerprint:
            raise TokenizationError(
                f"The files of the tokenizer {tokenizer.name} changed while they were used.",
                hint="Tokenize again.",
            )
        elapsed_s = time.monotonic() - started
        facts = {
            name: value
            for name, value in vars(result).items()
            if name in TokenizationRecord.model_fields
        }
        record = self._record.model_copy(
            update={
                **facts,
                "status": "ready",
                "progress": 100.0,
                "tokenizer_sha256": tokenizer.sha256,
                "content_sha256": tokenization.content_sha256(
                    _hashes(manifest, settings),
                    fingerprint,
                    settings,
                ),
                "text_column_used": column,
                "size_bytes": sum(file.size_bytes for file in result.files),
                "elapsed_s": elapsed_s,
                "tokens_per_s": result.num_tokens / elapsed_s if elapsed_s else None,
            }
        )
        return self._publish(job, partial_dir, Receipt(tokenization=record, files=result.files))

    def undo(self, job: Job) -> None:
        """Remove shards and row."""
        self._discard_partial(job)
        cancelled = job.snapshot().model_copy(update={"state": "cancelled"})
        with self._parts.catalog.write() as writer:
            writer.delete_tokenization(self._record.id)
            writer.update_job(cancelled)

    def fail(self, job: Job, error: MiStudioError) -> None:
        """Keep whole shards for the next run, and the row with the error."""
        if isinstance(error, AlreadyExistsError):
            self.undo(job)
            return
        failed = job.snapshot().model_copy(update={"state": "failed", **error_fields(error)})
        with self._parts.catalog.write() as writer:
            record = self._record.model_copy(
                update={"status": "error", "progress": failed.progress, **error_fields(error)}
            )
            writer.put_tokenization(record)
            writer.update_job(failed)

    @property
    def _proofs(self) -> Path:
        return self._parts.storage.tokenizers_dir

    def _load_tokenizer(self, job: Job, helper: ThreadPoolExecutor) -> encoders.Tokenizer:
        path = self._tokenizer
        if path is None:
            path = self._parts.hub.fetch_tokenizer(
                self._record.settings.tokenizer, progress=job.progress
            )
        job.progress.check()
        encoders.open_early(path, self._engine, helper, proofs=self._proofs)
        return encoders.recall_tokenizer(path, work_dir=self._proofs)

    def _settle_id(
        self, job: Job, fingerprint: str, manifest: Manifest
    ) -> TokenizationRecord | None:
        """Give the record the id that its content has; return what is there already.

        Until the tokenizer's bytes are known, as for a hub id, the row has the id of its name.
        """
        settings = self._record.settings
        true_id = tokenization.tokenization_id(
            job.dataset_id,
            _hashes(manifest, settings),
            fingerprint,
            settings,
        )
        if true_id == self._record.id:
            return None
        provisional = self._record
        done = job.snapshot().model_copy(
            update={"state": "succeeded", "progress": 100.0, "tokenization_id": true_id}
        )
        with self._parts.catalog.write() as writer:
            writer.delete_tokenization(provisional.id)
            existing = writer.find_tokenization(true_id)
            if existing is not None and existing.status == "ready":
                writer.update_job(done)
                job.tokenization_id = true_id
                return existing
            if existing is not None:
                self._must_not_be_made(writer, true_id)
                writer.delete_tokenization(true_id)
            self._record = provisional.model_copy(update={"id": true_id, "status": "tokenizing"})
            writer.put_tokenization(self._record)
            job.tokenization_id = true_id
            writer.update_job(job.snapshot())
        note_job(self._parts, job)
        return None

    def _must_not_be_made(self, writer: CatalogWriter, true_id: str) -> None:
        for row in writer.active_jobs():
            is_its_job = row.snapshot.tokenization_id == true_id
            if is_its_job and self._parts.is_alive(row):
                raise AlreadyExistsError(
                    "The same tokenization is being made under another name of the tokenizer.",
                    existing_id=true_id,
                    hint="Wait for that one.",
                )

    def _files(self, job: Job, manifest: Manifest) -> dict[str, list[Path]]:
        folder = self._parts.storage.dataset_dir(job.dataset_id)
        files: dict[str, list[Path]] = {}
        for file in manifest.files:
            files.setdefault(file.split, []).append(folder / file.path)
        return files

    def _partial(self, job: Job) -> Path:
        partial = self._parts.storage.partial_dir(job.dataset_id, self._record.id)
        with disk_errors("prepare the tokenization"):
            partial.mkdir(parents=True, exist_ok=True)
            if (partial / "out").exists():
                remove_tree(partial / "out")
            (partial / "out").mkdir()
        return partial

    def _discard_partial(self, job: Job) -> None:
        partial = self._parts.storage.partial_dir(job.dataset_id, self._record.id)
        if partial.exists():
            remove_tree(partial)

    def _put(self, record: TokenizationRecord) -> None:
        with self._parts.catalog.write() as writer:
            writer.put_tokenization(record)
        self._record = record

    def _publish(self, job: Job, partial: Path, receipt: Receipt) -> TokenizationRecord:
        record = receipt.tokenization
        job.progress.check()
        self._parts.storage.publish_tokenization(partial / "out", receipt)
        self._discard_partial(job)
        done = job.snapshot().model_copy(update={"state": "succeeded", "progress": 100.0})
        with self._parts.catalog.write() as writer:
            note_tokenization(writer, record)
            writer.update_job(done)
        self._parts.journal.meter.count_tokens(record.num_tokens or 0)
        return record


def note_tokenization(writer: CatalogWriter, record: TokenizationRecord) -> None:
    """Write a ready tokenization, and its short form into its dataset's metadata."""
    writer.put_tokenization(record)
    dataset = writer.get_dataset(record.dataset_id)
    metadata = dataset.metadata.merged({"tokenization": _short_form(record)})
    writer.update_dataset(dataset.id, metadata=metadata)


def forget_tokenization(writer: CatalogWriter, record: TokenizationRecord) -> None:
    """Delete a tokenization; the metadata then tells of the newest that is left, or of none."""
    writer.delete_tokenization(record.id)
    dataset = writer.get_dataset(record.dataset_id)
    left = writer.tokenizations_of([dataset.id])[dataset.id]
    metadata = dataset.metadata.model_copy(update={"tokenization": None})
    newest = next((item for item in left if item.status == "ready"), None)
    if newest is not None:
        metadata = metadata.merged({"tokenization": _short_form(newest)})
    writer.update_dataset(dataset.id, metadata=metadata)


def _short_form(record: TokenizationRecord) -> dict[str, Any]:
    return {
        "tokenization_id": record.id,
        "tokenizer_name": record.tokenizer_name,
        "text_column_used": record.text_column_used,
        "max_length": record.settings.max_length,
        "stride": record.settings.stride,
        "num_tokens": record.num_tokens,
        "avg_seq_length": record.avg_seq_length,
        "min_seq_length": record.min_seq_length,
        "max_seq_length": record.max_seq_length,
    }


def tokenization_record(
    manifest: Manifest, settings: TokenizationSettings, tokenizer: Path | None
) -> TokenizationRecord:
    """Return the queued record of a tokenization.

    A tokenizer that is not on this machine, or has to be converted first, gives the record an
    id made of its name; `TokenizeWork` replaces it as soon as the bytes are known.
    """
    tokenizer_sha256 = f"name:{settings.tokenizer}"
    if tokenizer is not None:
        file = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
        if file.is_file():
            tokenizer_sha256 = _fingerprint(file, manifest, settings)
    dataset_id = manifest.dataset.id
    return TokenizationRecord(
        id=tokenization.tokenization_id(
            dataset_id, _hashes(manifest, settings), tokenizer_sha256, settings
        ),
        dataset_id=dataset_id,
        settings=settings,
        tokenizer_name=encoders.display_name(tokenizer) if tokenizer else settings.tokenizer,
        status="queued",
        created_at=utc_now(),
    )


def _fingerprint(file: Path, manifest: Manifest, settings: TokenizationSettings) -> str:
    is_rendered = has_conversations(manifest.dataset, settings)
    return encoders.fingerprint(file, with_chat=is_rendered)


def _hashes(manifest: Manifest, settings: TokenizationSettings) -> list[str]:
    """Return what tells the data apart: per file its split and hash, and the text column."""
    column = settings.text_column or manifest.dataset.text_column
    wanted = settings.splits
    return [
        f"{file.split}:{column}:{file.sha256}"
        for file in manifest.files
        if wanted is None or file.split in wanted
    ]
