"""What import and download jobs do: files onto disk, then one row into the catalog.

The order is always disk, catalog, change token, events: a fact is in the catalog only when what
it tells of can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from .. import importer
from ..catalog import CatalogWriter
from ..errors import (
    AlreadyExistsError,
    CorruptFileError,
    MalformedFileError,
    MiStudioError,
    TokenizationError,
    UnsupportedFormatError,
    shown_path,
)
from ..hub import FetchedFile, HfToken, HubPlan, check_repo_id
from ..jobs import Job
from ..records import (
    DataFile,
    DatasetRecord,
    DownloadRequest,
    ImportRequest,
    Manifest,
    StoredStatus,
    TokenizationRecord,
    utc_now,
)
from ..storage import disk_errors, fsync_dir, remove_tree, sha256_of, tree_bytes
from .parts import Parts, error_fields

_FETCH_SHARE: Final = 0.8


class _DatasetWork:
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
        hashes: Mapping[Path, str] | None = None,
    ) -> DatasetRecord:
        """Hash, rename, manifest, row: after this the dataset is ready.

        ``hashes`` are the sha256 of the files that were hashed already.
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
        self._parts.storage.publish_dataset(raw, Manifest(dataset=record, files=files))
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


class ImportWork(_DatasetWork):
    """Files or a table on this machine become a dataset."""

    def __init__(
        self,
        parts: Parts,
        *,
        request: ImportRequest | None = None,
        table: tuple[object, str, str | None] | None = None,
    ) -> None:
        super().__init__(parts)
        self._request = request
        self._table = table

    def run(self, job: Job) -> DatasetRecord:
        """Read into staging, then publish."""
        self._parts.record_state(job, "running")
        raw = self._stage(job) / "raw"
        storage = self._parts.storage
        started_at = utc_now().isoformat()
        if self._request is not None:
            result = importer.import_files(
                self._request, raw, progress=job.progress, check_space=storage.check_space
            )
        else:
            assert self._table is not None
            data, split, text_column = self._table
            result = importer.import_table(
                data,
                split,
                text_column,
                raw,
                progress=job.progress,
                check_space=storage.check_space,
            )
        download = {
            "started_at": started_at,
            "num_files": result.num_source_files,
            "downloaded_bytes": result.source_bytes,
            **_skipped(result),
        }
        return self._publish(job, raw, result, {"download": download})


class DownloadWork(_DatasetWork):
    """A repository on the hub becomes a dataset.

    The token stays in this object, which ends with the job.
    """

    def __init__(self, parts: Parts, request: DownloadRequest, hf_token: HfToken) -> None:
        super().__init__(parts)
        self._request = request
        self.hf_token: HfToken = hf_token
        check_repo_id(request.repo_id)

    def run(self, job: Job) -> DatasetRecord:
        """Plan, fetch what is not there yet, convert where needed, publish."""
        self._parts.record_state(job, "running")
        started_at = utc_now().isoformat()
        found = self._plan(job)
        storage = self._parts.storage
        fetched = self._parts.hub.fetch(
            found,
            storage.fetch_dir(job.dataset_id),
            hf_token=self.hf_token,
            progress=job.progress,
            share=_FETCH_SHARE,
            limit=self._parts.bandwidth,
            copies=(storage.raw_dir(job.dataset_id), storage.originals_dir(job.dataset_id)),
        )
        with self._parts.catalog.write() as writer:
            writer.update_dataset(job.dataset_id, status="processing")
        download = {
            "started_at": started_at,
            "repo_id": found.plan.repo_id,
            "config": found.plan.config,
            "commit": found.plan.commit,
            "num_files": len(found.plan.files),
            "downloaded_bytes": found.plan.download_bytes,
        }
        files, empty = _without_empty(fetched)
        named = {shown_path(f.path): f.file.path for group in fetched.values() for f in group}
        if found.reading is None and all(file.format == "parquet" for file in found.files):
            hashes = {file.path: file.sha256 for group in fetched.values() for file in group}
            raw = storage.fetch_dir(job.dataset_id) / "files"
            with _of_repo(found, named):
                described = importer.describe_parquet(files, None)
            for path in empty.values():
                path.unlink(missing_ok=True)
            result = replace(described, skipped=_empty_ones(empty))
            told = {**download, **_skipped(result)}
            return self._publish(job, raw, result, {"download": told}, hashes)
        raw = self._stage(job) / "raw"
        with _of_repo(found, named):
            result = self._convert(job, found, files, raw)
        result = replace(result, skipped=(*result.skipped, *_empty_ones(empty)))
        if self._parts.keep_originals:
            self._keep_originals(job)
        return self._publish(job, raw, result, {"download": {**download, **_skipped(result)}})

    def pause(self, job: Job) -> None:
        """Keep what was fetched, and a row that waits."""
        self._discard_staging(job)
        snapshot = job.snapshot().model_copy(update={"state": "paused"})
        with self._parts.catalog.write() as writer:
            restart(writer, job.dataset_id, "downloading", progress=snapshot.progress)
            writer.update_job(snapshot)

    def _plan(self, job: Job) -> HubPlan:
        storage = self._parts.storage
        space = storage.space()
        job.progress.start("planning", unit="files", share=0.0)
        is_repair = storage.was_published(job.dataset_id)
        found = self._parts.hub.plan(
            self._at_its_commit(job) if is_repair else self._request,
            hf_token=self.hf_token,
            free_bytes=space.free_bytes,
            reserve_bytes=space.reserve_bytes,
            into=storage.fetch_dir(job.dataset_id),
            progress=job.progress,
        )
        job.progress.check()
        storage.check_space(max(found.plan.disk_bytes - self._bytes_there(job, found), 0))
        if not is_repair:
            self._refuse_same_commit(job, found.plan.commit)
        with self._parts.catalog.write() as writer:
            writer.update_dataset(
                job.dataset_id, commit=found.plan.commit, description=found.plan.description
            )
        return found

    def _at_its_commit(self, job: Job) -> DownloadRequest:
        """Return the request for what the dataset is, whatever the repository became since."""
        with self._parts.catalog.read() as reader:
            assert reader is not None
            commit = reader.get_dataset(job.dataset_id).commit
        return self._request.model_copy(update={"revision": commit or self._request.revision})

    def _bytes_there(self, job: Job, found: HubPlan) -> int:
        """Return what an earlier try fetched, and what a repair links instead of fetching.

        What is linked from the user's own cache is not in the plan's bytes either.
        """
        storage = self._parts.storage
        fetched = storage.fetch_dir(job.dataset_id)
        # not what lies below: these are links to the same bytes
        files = [p for p in fetched.glob("*") if p.is_file() and p.name not in found.linked]
        return sum(path.stat().st_size for path in files) + sum(
            tree_bytes(folder)
            for folder in (storage.raw_dir(job.dataset_id), storage.originals_dir(job.dataset_id))
        )

    def _refuse_same_commit(self, job: Job, commit: str) -> None:
        with self._parts.catalog.read() as reader:
            assert reader is not None
            mine = reader.get_dataset(job.dataset_id)
            others, _ = reader.list_datasets(
                status="ready", source="huggingface", limit=1_000_000, offset=0
            )
        for other in others:
            same = (other.repo_id, other.config, other.splits, other.commit)
            if other.id != mine.id and same == (mine.repo_id, mine.config, mine.splits, commit):
                raise AlreadyExistsError(
                    f"{mine.repo_id} at commit {commit[:12]} is there already as {other.name!r}.",
                    existing_id=other.id,
                    hint="Use that dataset, or delete it first.",
                )

    def _convert(
        self, job: Job, found: HubPlan, files: Mapping[str, Sequence[Path]], raw: Path
    ) -> importer.ImportResult:
        if (how := found.reading) is not None:
            return importer.import_loaded(
                files,
                importer.Loader(how.loader, how.options, how.features, how.told_features),
                raw,
                progress=job.progress,
                check_space=self._parts.storage.check_space,
            )
        paths = {split: tuple(map(str, group)) for split, group in files.items()}
        return importer.import_files(
            ImportRequest(paths=paths),
            raw,
            progress=job.progress,
            check_space=self._parts.storage.check_space,
        )

    def _keep_originals(self, job: Job) -> None:
        storage = self._parts.storage
        originals = storage.originals_dir(job.dataset_id)
        with disk_errors("keep the repository's files"):
            if originals.exists():
                remove_tree(originals)
            (storage.fetch_dir(job.dataset_id) / "files").rename(originals)


def restart(
    writer: CatalogWriter, dataset_id: str, status: StoredStatus, *, progress: float = 0.0
) -> None:
    """Set a dataset back to work; one that stopped at another place goes through error first."""
    if writer.get_dataset(dataset_id).status not in ("error", status):
        writer.update_dataset(dataset_id, status="error")
    writer.update_dataset(
        dataset_id, status=status, progress=progress, error_code=None, error_message=None, hint=None
    )


def _without_empty(
    fetched: Mapping[str, Sequence[FetchedFile]],
) -> tuple[dict[str, list[Path]], dict[str, Path]]:
    """Leave out files of 0 bytes where others are; return those too, by name."""
    files: dict[str, list[Path]] = {}
    empty: dict[str, Path] = {}
    for split, group in fetched.items():
        kept = [file for file in group if file.file.size_bytes]
        if kept:
            empty |= {file.file.path: file.path for file in group if not file.file.size_bytes}
        files[split] = [file.path for file in kept or group]
    return files, empty


def _empty_ones(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{name}: empty" for name in names)


@contextmanager
def _of_repo(found: HubPlan, named: Mapping[str, str]) -> Iterator[None]:
    """Speak of the repository's files, and of what can be done about those of somebody else.

    ``named`` are the repository's names by the paths that messages show.
    """
    try:
        yield
    except (MalformedFileError, UnsupportedFormatError) as error:
        plan, message, mentioned = found.plan, error.message, []
        for shown in sorted(named, key=len, reverse=True):
            if shown in message:
                message = message.replace(shown, f"{named[shown]} of {plan.repo_id}")
                mentioned.append(named[shown])
        if not mentioned:
            message = f"{plan.repo_id}: {message}"
        splits = {file.split for file in found.files if file.path in mentioned}
        choices = [
            *(["another config"] if len(plan.configs) > 1 else []),
            *(["another split"] if len(plan.splits) > 1 else []),
        ]
        if len(splits) > 1:
            hint = f"Download one split at a time, for example with split={min(splits)!r}."
        elif choices:
            hint = f"Choose {' or '.join(choices)}, or tell the repository's owner."
        else:
            hint = "Tell the repository's owner, or choose another repository or revision."
        path = named.get(str(error.path), plan.repo_id)
        raise type(error)(message, path=path, line=error.line, hint=hint) from error


def _skipped(result: importer.ImportResult) -> dict[str, Any]:
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
