"""The methods on datasets: list, import, retry, verify, delete, load."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import importer
from ..errors import InvalidRequestError
from ..hub import check_token_type
from ..jobs import Job, Work, ended_job
from ..records import (
    DataFile,
    DatasetRecord,
    DatasetStatus,
    DownloadRequest,
    ImportRequest,
    Page,
    SampleBy,
    Source,
    TokenizationRecord,
    TokenizationSettings,
)
from ..storage import remove_tree
from .checks import (
    check_split,
    follow_up_settings,
    import_request,
    must_be_ready,
    name_of,
    new_dataset,
    whole_number,
)
from .downloads import DownloadMethods
from .import_work import ImportWork
from .indexing import IndexMethods
from .loading import load_split
from .notes import drop_notes_of
from .question import question
from .recovery import recover, settle_deletions
from .verify_work import VerifyWork

if TYPE_CHECKING:
    import datasets


class DatasetMethods(DownloadMethods, IndexMethods):
    """What can be done with datasets."""

    def list_datasets(
        self,
        *,
        status: DatasetStatus | None = None,
        source: Source | None = None,
        search: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Page[DatasetRecord]:
        """Return a page of the catalog: what is active first, then the newest.

        Parameters
        ----------
        status, source : str, optional
            Only these.
        search : str, optional
            Case-insensitive part of name, repo_id or description.
        limit : int, 1..100
        offset : int
        """
        return self.list_with_tokenizations(
            status=status, source=source, search=search, limit=limit, offset=offset
        )[0]

    def list_with_tokenizations(
        self,
        *,
        status: DatasetStatus | None = None,
        source: Source | None = None,
        search: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[Page[DatasetRecord], dict[str, list[TokenizationRecord]]]:
        """Return what `list_datasets` does, and the tokenizations of each, in one look."""
        with self._parts.journal.meter.query("list_datasets"):
            return self._view.datasets(
                status=status,
                source=source,
                search=search,
                limit=whole_number(limit, "limit", least=1, most=100),
                offset=whole_number(offset, "offset"),
            )

    def get_dataset(self, dataset_id: str) -> DatasetRecord:
        """Return one dataset; raises `NotFoundError`."""
        return self._view.dataset(dataset_id)

    def list_files(self, dataset_id: str, *, limit: int = 50, offset: int = 0) -> Page[DataFile]:
        """Return a page of the files that a ready dataset consists of, each with its hash.

        Parameters
        ----------
        dataset_id : str
        limit : int, 1..100
        offset : int

        Raises
        ------
        InvalidRequestError
            The dataset is not ready.
        CorruptFileError
            Its manifest is gone.
        NotFoundError
        """
        limit = whole_number(limit, "limit", least=1, most=100)
        offset = whole_number(offset, "offset")
        must_be_ready(self.get_dataset(dataset_id))
        files = self._parts.storage.read_manifest(dataset_id).files
        return Page(
            items=files[offset : offset + limit], total=len(files), limit=limit, offset=offset
        )

    def import_files(
        self,
        paths: str
        | os.PathLike[str]
        | Sequence[str | os.PathLike[str]]
        | Mapping[str, str | os.PathLike[str] | Sequence[str | os.PathLike[str]]],
        *,
        name: str | None = None,
        split: str = "train",
        splits: Mapping[str, float] | None = None,
        seed: int = 0,
        sample_by: SampleBy | None = None,
        text_column: str | None = None,
        tokenize: TokenizationSettings | Mapping[str, Any] | None = None,
    ) -> Job:
        """Import files of this machine as a dataset, in the background.

        csv, tsv, json, jsonl, parquet, arrow, webdataset (.tar), txt and any other UTF-8 text,
        plain or .gz, .bz2, .xz, .zst. Text files become the columns ``text`` and ``path``; tables
        keep theirs.

        Parameters
        ----------
        paths : path, glob, folder, a list of these, or {split: paths}
            Folders are read recursively. Files that only a folder or glob led to and that are
            not UTF-8 text are skipped and named in ``metadata.download``.
        name : str, optional
            Default: the first path's.
        split : str
            The split that all files make, unless ``paths`` names them or ``splits`` divides.
        splits : mapping of str to float, optional
            Divide the samples at random: ``{"train": .9, "validation": .05, "test": .05}``.
        seed : int
            For ``splits``.
        sample_by : "line", "paragraph" or "document", optional
            What one sample of a text file is. Default: line for ``.txt``, else document.
        text_column : str, optional
            Default: ``text``, ``content``, ``document``, ``txt``, then the first string column.
        tokenize : TokenizationSettings, optional
            Tokenize as soon as the data are ready, as a job of its own.

        Returns
        -------
        Job
            Its result is the `DatasetRecord`. The row is in the catalog already.

        Raises
        ------
        InvalidRequestError
            At once, with ``field="paths"`` for a path that does not exist: no row is left.
        """
        self._parts.must_write("import files")
        checked = importer.check_paths(paths, split)
        request = import_request(
            checked,
            splits=splits,
            seed=seed,
            sample_by=sample_by,
            text_column=text_column,
            tokenize=follow_up_settings(tokenize),
        )
        record = new_dataset(name or name_of(checked), "local", "processing")
        with self._parts.catalog.write() as writer:
            writer.insert_dataset(record)
            job = self._new_job(writer, "import", record.id, request)
        return self._submit(job, ImportWork(self._parts, request=request))

    def import_dataset(
        self,
        data: object,
        *,
        name: str,
        split: str = "train",
        text_column: str | None = None,
        tokenize: TokenizationSettings | Mapping[str, Any] | None = None,
    ) -> Job:
        """Import a table that is in memory, in the background.

        Parameters
        ----------
        data : datasets.Dataset, datasets.DatasetDict, or anything with the Arrow stream interface
            pyarrow, pandas, polars, a DuckDB relation. A DatasetDict brings its own splits.
        name : str
        split : str
        text_column : str, optional
        tokenize : TokenizationSettings, optional

        Returns
        -------
        Job
            Its result is the `DatasetRecord`, source "custom".

        Raises
        ------
        InvalidRequestError
            With ``field="data"`` for what is no table.
        """
        self._parts.must_write("import a table")
        settings = follow_up_settings(tokenize)
        importer.check_table(data)
        record = new_dataset(name, "custom", "processing")
        follow_up = ImportRequest(paths={}, tokenize=settings)
        with self._parts.catalog.write() as writer:
            writer.insert_dataset(record)
            job = self._new_job(writer, "import", record.id, follow_up)
        return self._submit(job, ImportWork(self._parts, table=(data, split, text_column)))

    def retry(self, dataset_id: str, *, hf_token: str | bool | None = None) -> Job:
        """Go on with a dataset that failed, was interrupted or paused, or is damaged.

        A download keeps the bytes that it has; of a damaged one, only the damaged files are
        fetched. An import reads its files again.

        A ready dataset gives a job that has already succeeded.

        Raises
        ------
        InUseError
            The dataset's job still runs.
        InvalidRequestError
            A table that was imported from memory is gone: import it again.
        """
        self._parts.must_write("retry")
        check_token_type(hf_token)
        record = self.get_dataset(dataset_id)
        self._settle(dataset_id)
        recover(self._parts)
        record = self.get_dataset(dataset_id)
        if record.status in ("ready", "tokenizing"):
            done = ended_job("import", dataset_id, record)
            self._remember(done)
            return done
        with self._parts.catalog.write() as writer:
            self._must_be_idle(writer, dataset_id, "retry")
            last = writer.last_job(dataset_id, ["download", "import"])
            if last is None or last.request is None or last.request.get("paths") == {}:
                raise InvalidRequestError(
                    f"What {record.name!r} was made from is not known any more.",
                    field="dataset_id",
                    hint="Import it again, and delete this one.",
                )
            work: Work
            if last.snapshot.kind == "download":
                wanted = DownloadRequest.model_validate(last.request)
                job = self._again(writer, "download", dataset_id, "downloading", wanted)
                work = self._download_work(job, wanted, hf_token)
            else:
                request = ImportRequest.model_validate(last.request)
                job = self._again(writer, "import", dataset_id, "processing", request)
                work = ImportWork(self._parts, request=request)
        return self._submit(job, work)

    def verify(self, dataset_id: str) -> Job:
        """Hash every file of a dataset and of its tokenizations again, in the background.

        That includes the repository's own files where ``keep_originals`` kept them.

        A dataset with a damaged file goes to ``error``, and `retry` repairs exactly the files
        that are damaged. A damaged tokenization goes to ``error``; tokenize again.

        Returns
        -------
        Job
            Its result is a `VerifyReport`.

        Raises
        ------
        InvalidRequestError
            The dataset is not ready.
        InUseError
            It is being verified already.
        NotFoundError, ReadOnlyError
        """
        self._parts.must_write("verify")
        must_be_ready(self.get_dataset(dataset_id))
        with self._parts.catalog.write() as writer:
            writer.get_dataset(dataset_id)
            self._must_be_idle(writer, dataset_id, "verify", kinds=frozenset({"verify"}))
            job = self._new_job(writer, "verify", dataset_id, None)
        return self._submit(job, VerifyWork(self._parts))

    def delete_dataset(self, dataset_id: str) -> int:
        """Delete a dataset with everything made from it.

        Returns
        -------
        int
            Bytes freed.

        Raises
        ------
        InUseError
            A job of it runs: cancel that first; only the building of its index is given up. Or
            somebody holds it (`hold`).
        NotFoundError, ReadOnlyError
        """
        self._parts.must_write("delete")
        started = time.monotonic()
        storage = self._parts.storage
        settle_deletions(self._parts)
        record = self._view.dataset(dataset_id)
        if not record.in_use_by:
            self._give_up_index(dataset_id)
        trash = None
        try:
            with self._parts.catalog.write() as writer:
                writer.get_dataset(dataset_id)
                self._must_be_idle(writer, dataset_id, "delete")
                self._must_not_be_held(writer, dataset_id, "the dataset")
                self._let_go(dataset_id)
                trash = storage.trash_dataset(dataset_id)
                writer.delete_dataset(dataset_id)
                drop_notes_of(self._parts, dataset_id)
        except BaseException:
            settle_deletions(self._parts)
            raise
        for job in self._runner.paused(dataset_id):
            self._runner.forget_paused(job.id)
        self._follower.notify()
        freed = remove_tree(trash) if trash is not None else 0
        took_s = time.monotonic() - started
        self._parts.journal.deleted("dataset", record.name, freed, took_s, dataset_id)
        return freed

    @question
    def load(
        self, dataset_id: str, split: str | None = None
    ) -> datasets.Dataset | datasets.DatasetDict:
        """Load the text of a dataset with HuggingFace ``datasets``.

        Parameters
        ----------
        dataset_id : str
        split : str, optional
            Default: all, as a DatasetDict.

        Returns
        -------
        datasets.Dataset or datasets.DatasetDict
            Memory-mapped from the cache that ``datasets`` keeps.

        Raises
        ------
        InvalidRequestError
            The dataset is not ready, or has no such split.
        CorruptFileError
            A file cannot be read any more.
        InterruptedJobError
            The manager is closed.
        """
        import datasets

        self._must_be_open()

        record = self.get_dataset(dataset_id)
        must_be_ready(record)
        manifest = self._parts.storage.read_manifest(dataset_id)
        folder = self._parts.storage.dataset_dir(dataset_id)
        files: dict[str, list[DataFile]] = {}
        for file in manifest.files:
            files.setdefault(file.split, []).append(file)
        if split is not None:
            check_split(split, files)
            return load_split(split, folder, files[split])
        return datasets.DatasetDict(
            {name: load_split(name, folder, found) for name, found in files.items()}
        )
