"""The methods on full-text indexes, and when one is built unasked."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from ..catalog import CatalogWriter
from ..errors import InvalidRequestError, MiStudioError
from ..jobs import Job
from ..records import IndexRequest, IndexStatus, Manifest
from ..storage import tree_bytes
from .auto_index import AutoIndexer
from .checks import must_be_ready
from .core import Core
from .index_work import IndexWork, file_map, has_fresh_index, text_bytes

AUTOMATIC_BYTES: Final = 5 * 1024**3
"""More text than this is indexed only when it is asked for."""

_GIVE_UP_S: Final = 10.0


class IndexMethods(Core):
    """What can be done with full-text indexes."""

    def _begin(self) -> None:
        super()._begin()
        if not self.read_only:
            self._auto_indexer = AutoIndexer(
                self._datasets_to_index, self._index_if_wanted, self._is_at_work
            )
            self._at_close.append(self._auto_indexer.close)

    def build_index(self, dataset_id: str) -> Job:
        """Build the full-text index of a dataset, in the background.

        Datasets of up to 5 GB of text get theirs without being asked, as soon as nothing else
        runs. With it a search takes milliseconds and ranks what it finds; without it, it reads.

        Returns
        -------
        Job
            Its result is None. One that runs already is returned as it is.

        Raises
        ------
        InvalidRequestError
            The dataset is not ready, or has no text column.
        InUseError
            Another manager builds it.
        NotFoundError, ReadOnlyError
        """
        self._parts.must_write("build an index")
        must_be_ready(self._view.dataset(dataset_id))
        manifest = self._parts.storage.read_manifest(dataset_id)
        if manifest.dataset.text_column is None:
            raise InvalidRequestError(
                f"{manifest.dataset.name!r} has no text column to search.", field="dataset_id"
            )
        self._parts.storage.set_wants_index(dataset_id, wanted=True)
        return self._index(dataset_id, automatic=False)

    def delete_index(self, dataset_id: str) -> int:
        """Remove the full-text index of a dataset, and build none unasked again.

        Returns
        -------
        int
            Bytes freed.

        Raises
        ------
        InUseError
            Another manager builds it.
        NotFoundError, ReadOnlyError
        """
        self._parts.must_write("delete an index")
        started = time.monotonic()
        name = self._view.dataset(dataset_id).name
        self._give_up_index(dataset_id)
        storage = self._parts.storage
        with self._parts.catalog.write() as writer:
            writer.get_dataset(dataset_id)
            self._must_be_idle(
                writer, dataset_id, "delete the index of", kinds=frozenset({"index"})
            )
            storage.set_wants_index(dataset_id, wanted=False)
            self._let_go(dataset_id)
            freed = storage.trash_partial_index(dataset_id) + storage.trash_index(dataset_id)
        self._follower.notify()
        took_s = time.monotonic() - started
        self._parts.journal.deleted("index of", name, freed, took_s, dataset_id)
        return freed

    def index_status(self, dataset_id: str) -> IndexStatus:
        """Tell whether a search of a dataset has an index.

        While one is built, `jobs` has its progress.

        Raises
        ------
        CorruptFileError
            The manifest of a ready dataset is gone.
        NotFoundError
        """
        record = self._view.dataset(dataset_id)
        storage = self._parts.storage
        is_readable = record.status in ("ready", "tokenizing")
        is_ready = is_readable and has_fresh_index(self._parts, storage.read_manifest(dataset_id))
        return IndexStatus(
            dataset_id=dataset_id,
            is_ready=is_ready,
            can_be_built=is_readable and record.text_column is not None,
            size_bytes=tree_bytes(storage.index_dir(dataset_id)) if is_ready else 0,
        )

    def _index(self, dataset_id: str, *, automatic: bool) -> Job:
        with self._parts.catalog.write() as writer:
            writer.get_dataset(dataset_id)
            running = self._index_job(writer, dataset_id)
            if running is not None:
                return running
            self._must_be_idle(writer, dataset_id, "index", kinds=frozenset({"index"}))
            job = self._new_job(writer, "index", dataset_id, IndexRequest(automatic=automatic))
        return self._submit(job, IndexWork(self._parts, self._is_computing if automatic else None))

    def _replace_index(self, dataset_id: str) -> None:
        if self.read_only:
            return
        with suppress(MiStudioError):
            self._parts.storage.trash_index(dataset_id)
            self._auto_indexer.add(dataset_id)

    def _index_job(self, writer: CatalogWriter, dataset_id: str) -> Job | None:
        for row in writer.active_jobs():
            if row.snapshot.kind == "index" and row.snapshot.dataset_id == dataset_id:
                job = self._runner.find(row.snapshot.id)
                if job is not None and job.state in ("queued", "running"):
                    return job
        return None

    def _give_up_index(self, dataset_id: str) -> None:
        """Cancel the index job of a dataset that is about to go, and wait for it."""
        for job in self._runner.active():
            if job.kind == "index" and job.dataset_id == dataset_id:
                job.cancel()
                job.wait_until_ended(_GIVE_UP_S)

    def _is_computing(self) -> bool:
        return any(job.kind in ("import", "tokenize") for job in self._runner.active())

    def _is_at_work(self) -> bool:
        return any(job.kind != "index" for job in self._runner.active())

    def _index_if_wanted(self, dataset_id: str) -> Job | None:
        """Start the index that a dataset gets unasked; None when it gets none."""
        storage = self._parts.storage
        manifest = storage.read_manifest(dataset_id)
        if not self._wants_index(manifest):
            return None
        must_be_ready(self._view.dataset(dataset_id))
        num_bytes = text_bytes(file_map(self._parts, manifest))
        if num_bytes > AUTOMATIC_BYTES:
            return None
        storage.check_space(num_bytes)
        return self._index(dataset_id, automatic=True)

    def _wants_index(self, manifest: Manifest) -> bool:
        return (
            manifest.dataset.text_column is not None
            and self._parts.storage.wants_index(manifest.dataset.id)
            and not has_fresh_index(self._parts, manifest)
        )

    def _datasets_to_index(self) -> list[str]:
        """Return the ready datasets that have no index and may get one unasked."""
        found = []
        with self._parts.catalog.read() as reader:
            ids = sorted(reader.dataset_ids()) if reader is not None else []
        for dataset_id in ids:
            with suppress(MiStudioError):
                if self._wants_index(self._parts.storage.read_manifest(dataset_id)):
                    found.append(dataset_id)
        return found
