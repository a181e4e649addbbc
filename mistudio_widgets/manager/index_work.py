"""What an index job does: the texts of a ready dataset become a full-text index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import samples, tokenization
from ..errors import InvalidRequestError, MiStudioError
from ..jobs import Job
from ..progress import Progress
from ..records import DataFile, Manifest
from ..storage import disk_errors
from .notes import drop_note
from .parts import Parts, error_fields

if TYPE_CHECKING:
    import pyarrow as pa

_YIELD_S: Final = 0.2


class IndexWork:
    """A ready dataset gets a full-text index.

    Parameters
    ----------
    is_busy : callable, optional
        Whether something more urgent computes; the work waits for it between batches.
    """

    def __init__(self, parts: Parts, is_busy: Callable[[], bool] | None = None) -> None:
        self._parts = parts
        self._is_busy = is_busy

    def run(self, job: Job) -> None:
        """Read all texts, build beside what is there, publish."""
        self._parts.record_state(job, "running")
        storage, progress = self._parts.storage, job.progress
        manifest = storage.read_manifest(job.dataset_id)
        files = file_map(self._parts, manifest)
        num_bytes = text_bytes(files)
        storage.check_space(int(num_bytes * samples.DISK_SHARE))
        storage.trash_partial_index(job.dataset_id)
        folder = storage.partial_index_dir(job.dataset_id)
        with disk_errors("prepare the text index"):
            # not its parents: a dataset that was deleted meanwhile stays deleted
            folder.mkdir()
        progress.start("indexing", total=num_bytes, unit="bytes")
        with disk_errors("write the text index"):
            samples.build_index(
                self._texts(files, progress),
                folder,
                index_receipt(manifest),
                progress=progress,
                check_space=storage.check_space,
            )
        progress.check()
        self._publish(job, manifest)

    def undo(self, job: Job) -> None:
        """Remove what was built, forget the job, and start none again without being asked."""
        self._parts.storage.trash_partial_index(job.dataset_id)
        self._parts.storage.set_wants_index(job.dataset_id, wanted=False)
        with self._parts.catalog.write() as writer:
            writer.delete_job(job.id)
            drop_note(self._parts, job.id)

    def fail(self, job: Job, error: MiStudioError) -> None:
        """Remove what was built, and record the error on the job; it tells nothing of the data."""
        with suppress(MiStudioError):
            self._parts.storage.trash_partial_index(job.dataset_id)
        failed = job.snapshot().model_copy(update={"state": "failed", **error_fields(error)})
        with self._parts.catalog.write() as writer:
            writer.update_job(failed)

    def _texts(self, files: samples.FileMap, progress: Progress) -> Iterator[tuple[int, pa.Array]]:
        for first_row, texts in all_texts(files):
            while self._is_busy is not None and self._is_busy():
                progress.wait(_YIELD_S)
            yield first_row, texts

    def _publish(self, job: Job, manifest: Manifest) -> None:
        done = job.snapshot().model_copy(update={"state": "succeeded", "progress": 100.0})
        with self._parts.catalog.write() as writer:
            # under the catalog's lock nobody deletes or repairs the dataset
            if index_receipt(self._parts.storage.read_manifest(job.dataset_id)) != index_receipt(
                manifest
            ):
                raise InvalidRequestError(
                    "The dataset's texts changed while they were indexed.",
                    field="dataset_id",
                    hint="Build the index again.",
                )
            self._parts.storage.publish_index(job.dataset_id)
            writer.update_job(done)


def has_fresh_index(parts: Parts, manifest: Manifest) -> bool:
    """Tell whether the index on disk is of what the dataset is now."""
    folder = parts.storage.index_dir(manifest.dataset.id)
    return samples.read_receipt(folder) == index_receipt(manifest)


def index_receipt(manifest: Manifest) -> samples.IndexReceipt:
    """Return what an index of the dataset is made of."""
    return samples.IndexReceipt(
        files=tuple(
            f"{split}:{file.num_rows}:{file.sha256}"
            for split, files in split_files(manifest).items()
            for file in files
        ),
        text_column=manifest.dataset.text_column or "",
    )


def split_files(manifest: Manifest) -> dict[str, list[DataFile]]:
    """Return the files of each split, both in the manifest's order."""
    splits: dict[str, list[DataFile]] = {}
    for file in manifest.files:
        splits.setdefault(file.split, []).append(file)
    return splits


def file_map(parts: Parts, manifest: Manifest) -> samples.FileMap:
    """Return where the rows of a dataset lie."""
    folder = parts.storage.dataset_dir(manifest.dataset.id)
    splits: dict[str, list[Path]] = {
        split: [folder / file.path for file in files]
        for split, files in split_files(manifest).items()
    }
    text_column = manifest.dataset.text_column
    return samples.FileMap(splits, text_column, render=tokenization.plain_texts)


def text_bytes(files: samples.FileMap) -> int:
    """Return how much text there is, uncompressed."""
    return sum(int(part.text_bytes.sum()) for parts in files.parts.values() for part in parts)


def all_texts(files: samples.FileMap) -> Iterator[tuple[int, pa.Array]]:
    """Iterate over all texts with their rows in the whole dataset."""
    for split in files.splits:
        start = files.span(split).start
        for first_row, texts in files.texts(split):
            yield start + first_row, texts
