"""The methods on downloads: plan, start, and go on with what was paused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..catalog import CatalogReader, CatalogWriter, JobRow
from ..errors import AlreadyExistsError, InterruptedJobError, NotFoundError
from ..hub import HfToken, check_token_type
from ..jobs import Job
from ..progress import Progress
from ..records import (
    DatasetRecord,
    DownloadPlan,
    DownloadRequest,
    ImportRequest,
    JobKind,
    StoredStatus,
    TokenizationSettings,
)
from .checks import download_request, new_dataset
from .dataset_work import restart
from .download_work import DownloadWork
from .holding import HoldMethods

_SETTLE_S: Final = 10.0


class DownloadMethods(HoldMethods):
    """What can be done with the hub."""

    def plan_download(
        self,
        repo_id: str,
        *,
        config: str | None = None,
        split: str | Sequence[str] | None = None,
        revision: str | None = None,
        hf_token: str | bool | None = None,
        progress: Progress | None = None,
    ) -> DownloadPlan:
        """Return what `download` would fetch, without fetching data.

        Parameters are those of `download`, and:

        Parameters
        ----------
        progress : Progress, optional
            To cancel with: `JobCancelled` is raised then.

        Raises
        ------
        HubError
            In its children's detail: not found, gated, offline and so on.
        ReadOnlyError
            A read-only manager does not use the network.
        """
        self._parts.must_write("ask the hub")
        check_token_type(hf_token)
        request = download_request(repo_id, config, split, revision, None)
        space = self._parts.storage.space()
        return self._parts.hub.plan(
            request,
            hf_token=hf_token,
            free_bytes=space.free_bytes,
            reserve_bytes=space.reserve_bytes,
            into=self._parts.storage.root,
            progress=progress,
        ).plan

    def download(
        self,
        repo_id: str,
        *,
        config: str | None = None,
        split: str | Sequence[str] | None = None,
        revision: str | None = None,
        hf_token: str | bool | None = None,
        name: str | None = None,
        tokenize: TokenizationSettings | Mapping[str, Any] | None = None,
    ) -> Job:
        """Download a dataset from the hub in the background.

        Parameters
        ----------
        repo_id : str
            "owner/name", or a name alone.
        config : str, optional
            Default: the repository's default config.
        split : str or list of str, optional
            Default: all.
        revision : str, optional
            Branch, tag or commit.
        hf_token : str, False or None
            None: the user's own login. False: none. A given token is kept in memory only.
        name : str, optional
            Default: ``repo_id``.
        tokenize : TokenizationSettings, optional
            Tokenize as soon as the data are ready, as a job of its own.

        Returns
        -------
        Job
            Its result is the `DatasetRecord`. The row is in the catalog already.

        Raises
        ------
        AlreadyExistsError
            The same download is there or on its way.
        InvalidRequestError, ReadOnlyError
        """
        self._parts.must_write("download")
        check_token_type(hf_token)
        request = download_request(repo_id, config, split, revision, tokenize)
        new = new_dataset(
            repo_id if name in (None, "") else name, "huggingface", "downloading", request=request
        )
        for same_id in self._same_downloads(request):
            self._settle(same_id)
        with self._parts.catalog.write() as writer:
            dataset_id = self._reusable_download(writer, request)
            if dataset_id is None:
                writer.insert_dataset(new)
                job = self._new_job(writer, "download", new.id, request)
            else:
                job = self._again(writer, "download", dataset_id, "downloading", request)
                if name is not None:
                    writer.update_dataset(dataset_id, name=new.name)
        return self._submit(job, self._download_work(job, request, hf_token))

    def job(self, job_id: str) -> Job:
        """Return a job of this manager by its id, or one that is paused, whoever paused it.

        Raises
        ------
        NotFoundError
            No such job, or it runs in another process.
        ReadOnlyError
            A read-only manager has no jobs to handle.
        """
        try:
            job = super().job(job_id)
        except NotFoundError:
            with self._parts.catalog.write() as writer:
                row = writer.find_job(job_id)
                if row is None or not row.snapshot.paused:
                    raise
                job = self._paused_job(writer, row)
            self._remember(job)
        else:
            self._end_if_taken(job)
        return job

    def _again(
        self,
        writer: CatalogWriter,
        kind: JobKind,
        dataset_id: str,
        status: StoredStatus,
        request: DownloadRequest | ImportRequest,
    ) -> Job:
        """Set a dataset back to work, by its paused job or a new one."""
        self._must_be_open()
        self._parts.storage.set_manifest_aside(dataset_id)
        restart(writer, dataset_id, status)
        last = writer.last_job(dataset_id, [kind])
        if last is None or not last.snapshot.paused:
            return self._new_job(writer, kind, dataset_id, request)
        job = self._paused_job(writer, last)
        self._parts.own_jobs.add(job.id)
        writer.update_job(
            job.snapshot().model_copy(update={"state": "queued"}),
            request=request.model_dump(mode="json"),
        )
        return job

    def _paused_job(self, writer: CatalogWriter, row: JobRow) -> Job:
        """Return the handle of a paused job, which is now this manager's."""
        job = self._runner.find(row.snapshot.id)
        if job is None:
            name = writer.get_dataset(row.snapshot.dataset_id).name
            job = Job(row.snapshot.kind, row.snapshot.dataset_id, continued=row.snapshot, name=name)
            request = DownloadRequest.model_validate(row.request)
            self._runner.adopt_paused(job, self._download_work(job, request, None))
        writer.adopt_job(job.id, self._parts.owner_id)
        return job

    def _download_work(self, job: Job, request: DownloadRequest, hf_token: HfToken) -> DownloadWork:
        """Return the work; a token that the paused job had is still good."""
        job.call_while_paused(lambda: self._end_if_taken(job))
        before = self._runner.work_of(job.id)
        if hf_token is None and isinstance(before, DownloadWork):
            hf_token = before.hf_token
        return DownloadWork(self._parts, request, hf_token)

    def _end_if_taken(self, job: Job) -> None:
        """End the handle of a paused job that another manager went on with, or deleted."""
        if job.state != "paused":
            return
        with self._parts.catalog.read() as reader:
            row = reader.find_job(job.id) if reader is not None else None
        if row is None:
            self._runner.forget_paused(job.id)
        elif row.owner_id != self._parts.owner_id:
            error = InterruptedJobError(
                "Another manager went on with this download.", hint="See get_dataset()."
            )
            self._runner.forget_paused(job.id, error)

    def _settle(self, dataset_id: str) -> None:
        """Wait while a job of a dataset is stopping: it was asked to, and will in a moment."""
        for job in self._runner.active():
            if job.dataset_id == dataset_id:
                job.wait_until_stopped(_SETTLE_S)

    def _same_downloads(self, request: DownloadRequest) -> list[str]:
        with self._parts.catalog.read() as reader:
            assert reader is not None
            return [record.id for record in _find(reader, request)]

    def _reusable_download(self, writer: CatalogWriter, request: DownloadRequest) -> str | None:
        same = _find(writer, request)
        alive = {
            row.snapshot.dataset_id for row in writer.active_jobs() if self._parts.is_alive(row)
        }
        for record in same:
            if record.status == "ready" or record.id in alive:
                state = "there" if record.status == "ready" else "on its way"
                raise AlreadyExistsError(
                    f"{request.repo_id} is {state} already as {record.name!r}.",
                    existing_id=record.id,
                    hint="Use that dataset, or delete it first.",
                )
        return next((record.id for record in same), None)


def _find(reader: CatalogReader, request: DownloadRequest) -> list[DatasetRecord]:
    return reader.find_download(
        repo_id=request.repo_id,
        config=request.config,
        splits=request.splits,
        revision=request.revision,
    )
