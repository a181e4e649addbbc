"""Rows for what lies on disk and the catalog does not know: it was lost, or damaged.

A manifest tells a whole dataset, a receipt a whole tokenization. What the catalog shows as ready
and is not there is shown as an error instead.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..catalog import CatalogWriter, JobRow
from ..errors import CorruptFileError, MiStudioError, TokenizationError
from ..records import (
    DatasetRecord,
    DownloadRequest,
    JobSnapshot,
    Manifest,
    Receipt,
    new_job_id,
    utc_now,
)
from .notes import put_back_tokenizations
from .parts import Parts, error_fields
from .recovery import find_manifest, find_receipt
from .tokenize_work import note_tokenization
from .verify_work import repair_hint

_log = logging.getLogger(__name__)


@dataclass
class TakenUp:
    """Ids of what got a row, and of what is shown as an error now."""

    datasets: list[str] = field(default_factory=list)
    tokenizations: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def take_up(parts: Parts) -> TakenUp:
    """Make the catalog agree with the manifests and receipts; costs a stat for each."""
    storage = parts.storage
    # listed before the catalog is asked: a row is there before its files are
    on_disk = list(storage.dataset_ids())
    receipts = {
        tokenization_id: dataset_id
        for dataset_id in on_disk
        for tokenization_id in storage.tokenization_ids(dataset_id)
        if storage.has_receipt(dataset_id, tokenization_id)
    }
    with parts.catalog.read() as reader:
        assert reader is not None
        statuses = reader.dataset_statuses()
        tokenized = reader.tokenization_statuses()
    unknown = [name for name in on_disk if name not in statuses and storage.was_published(name)]
    unknown_tokens = [name for name in receipts if name not in tokenized]
    gone = [
        name
        for name, status in statuses.items()
        if status == "ready" and not storage.has_manifest(name)
    ]
    gone_tokens = [
        name
        for name, (status, _) in tokenized.items()
        if status == "ready" and name not in receipts
    ]
    taken = TakenUp()
    if not (unknown or unknown_tokens or gone or gone_tokens):
        return taken
    with parts.catalog.write() as writer:
        _take_datasets(parts, writer, unknown, taken)
        _take_tokenizations(parts, writer, {name: receipts[name] for name in unknown_tokens}, taken)
        put_back_tokenizations(parts, writer)
        _give_up_datasets(parts, writer, gone, taken)
        _give_up_tokenizations(parts, writer, gone_tokens, taken)
    _tell(taken)
    return taken


def _take_datasets(
    parts: Parts, writer: CatalogWriter, names: Sequence[str], taken: TakenUp
) -> None:
    known = writer.dataset_ids()
    for dataset_id in names:
        if dataset_id in known:
            continue
        whole = find_manifest(parts, dataset_id)
        manifest = whole or _any_manifest(parts, dataset_id)
        # a folder that somebody copied or renamed is not what its manifest tells
        if manifest is not None and manifest.dataset.id != dataset_id:
            continue
        record = _nameless(dataset_id) if manifest is None else manifest.dataset
        if manifest is None:
            taken.damaged.append(dataset_id)
        elif whole is None:
            error = _files_gone(record, "raw")
            record = record.model_copy(update={"status": "error", **error_fields(error)})
            taken.damaged.append(dataset_id)
        writer.insert_dataset(record)
        if record.source == "huggingface":
            writer.insert_job(_download_of(record))
        taken.datasets.append(dataset_id)


def _any_manifest(parts: Parts, dataset_id: str) -> Manifest | None:
    try:
        return parts.storage.read_manifest(dataset_id)
    except CorruptFileError:
        return parts.storage.manifest_aside(dataset_id)


def _nameless(dataset_id: str) -> DatasetRecord:
    """Return a row for what was a dataset once, and does not tell which."""
    now = utc_now()
    error = CorruptFileError(
        "The manifest is missing or cannot be read: what these files were is not known any more.",
        path="manifest.json",
        hint="Its Parquet files are in raw; import those, then delete this one.",
    )
    return DatasetRecord(
        id=dataset_id,
        name=dataset_id,
        source="custom",
        status="error",
        created_at=now,
        updated_at=now,
        **error_fields(error),
    )


def _download_of(record: DatasetRecord) -> JobRow:
    """Return the job that made a dataset, as `retry` needs it."""
    request = DownloadRequest(
        repo_id=record.repo_id or "",
        config=record.config,
        splits=record.splits,
        revision=record.revision,
    )
    job = JobSnapshot(
        id=new_job_id(),
        kind="download",
        dataset_id=record.id,
        state="succeeded",
        progress=100.0,
        created_at=record.created_at,
    )
    return JobRow(job, owner_id="", request=request.model_dump(mode="json"))


def _take_tokenizations(
    parts: Parts, writer: CatalogWriter, names: dict[str, str], taken: TakenUp
) -> None:
    known, datasets = writer.tokenization_statuses(), writer.dataset_ids()
    found: list[Receipt] = []
    for tokenization_id, dataset_id in names.items():
        if tokenization_id in known or dataset_id not in datasets:
            continue
        receipt = find_receipt(parts, dataset_id, tokenization_id)
        is_its_own = receipt is not None and (
            (receipt.tokenization.id, receipt.tokenization.dataset_id)
            == (tokenization_id, dataset_id)
        )
        if receipt is not None and is_its_own:
            found.append(receipt)
        else:
            _log.warning(
                "%s was not taken up: its receipt or its files are damaged", tokenization_id
            )
    # the metadata tells of the newest
    for receipt in sorted(found, key=lambda item: item.tokenization.created_at):
        note_tokenization(writer, receipt.tokenization)
        taken.tokenizations.append(receipt.tokenization.id)


def _give_up_datasets(
    parts: Parts, writer: CatalogWriter, names: Sequence[str], taken: TakenUp
) -> None:
    statuses = writer.dataset_statuses()
    for dataset_id in names:
        if statuses.get(dataset_id) != "ready" or parts.storage.has_manifest(dataset_id):
            continue
        error = _files_gone(writer.get_dataset(dataset_id), "manifest.json")
        writer.update_dataset(dataset_id, status="error", **error_fields(error))
        taken.damaged.append(dataset_id)


def _give_up_tokenizations(
    parts: Parts, writer: CatalogWriter, names: Sequence[str], taken: TakenUp
) -> None:
    for tokenization_id in names:
        record = writer.find_tokenization(tokenization_id)
        if (
            record is None
            or record.status != "ready"
            or parts.storage.has_receipt(record.dataset_id, tokenization_id)
        ):
            continue
        error = TokenizationError(
            "The files of this tokenization are gone.", hint="Tokenize again with these settings."
        )
        writer.put_tokenization(
            record.model_copy(update={"status": "error", **error_fields(error)})
        )
        taken.damaged.append(tokenization_id)


def _files_gone(record: DatasetRecord, path: str) -> MiStudioError:
    return CorruptFileError(
        f"Files of {record.name!r} are missing or cut.", path=path, hint=repair_hint(record)
    )


def _tell(taken: TakenUp) -> None:
    if taken.datasets or taken.tokenizations:
        _log.warning(
            "the catalog did not know %d datasets and %d tokenizations; "
            "they were taken up from their manifests and receipts",
            len(taken.datasets),
            len(taken.tokenizations),
        )
    for name in taken.damaged:
        _log.warning("%s is not there as the catalog says, and is shown as an error", name)
