"""What a download job does: a repository on the hub becomes a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from .. import importer
from ..errors import (
    AlreadyExistsError,
    MalformedFileError,
    UnsupportedFormatError,
    shown_path,
)
from ..hub import FetchedFile, HfToken, HubPlan, check_repo_id
from ..jobs import Job
from ..records import DatasetRecord, DownloadRequest, ImportRequest, OriginalFile, utc_now
from ..storage import disk_errors, remove_tree, tree_bytes
from .dataset_work import DatasetWork, restart, skipped_facts
from .notes import note_job
from .parts import Parts

_FETCH_SHARE: Final = 0.8


class DownloadWork(DatasetWork):
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
            told = {**download, **skipped_facts(result)}
            return self._publish(job, raw, result, {"download": told}, hashes=hashes)
        raw = self._stage(job) / "raw"
        with _of_repo(found, named):
            result = self._convert(job, found, files, raw)
        result = replace(result, skipped=(*result.skipped, *_empty_ones(empty)))
        return self._publish(
            job,
            raw,
            result,
            {"download": {**download, **skipped_facts(result)}},
            originals=self._keep_originals(job, fetched),
        )

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
        note_job(self._parts, job)
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
            same = (other.repo_id, other.config, set(other.splits or ()), other.commit)
            asked = (mine.repo_id, mine.config, set(mine.splits or ()), commit)
            if other.id != mine.id and same == asked:
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

    def _keep_originals(
        self, job: Job, fetched: Mapping[str, Sequence[FetchedFile]]
    ) -> tuple[OriginalFile, ...]:
        """Keep the repository's files where that is wanted, or where a repair finds them kept."""
        storage = self._parts.storage
        originals = storage.originals_dir(job.dataset_id)
        if not (self._parts.keep_originals or originals.exists()):
            return ()
        job.progress.check()
        with disk_errors("keep the repository's files"):
            if originals.exists():
                remove_tree(originals)
            (storage.fetch_dir(job.dataset_id) / "files").rename(originals)
        kept = {found.file.path: found for group in fetched.values() for found in group}
        return tuple(
            OriginalFile(
                path=f"originals/{path}", size_bytes=found.file.size_bytes, sha256=found.sha256
            )
            for path, found in kept.items()
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
