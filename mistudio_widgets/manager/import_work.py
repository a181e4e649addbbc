"""What an import job does: files or a table on this machine become a dataset."""

from __future__ import annotations

from .. import importer
from ..jobs import Job
from ..records import DatasetRecord, ImportRequest, utc_now
from .dataset_work import DatasetWork, skipped_facts
from .parts import Parts


class ImportWork(DatasetWork):
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
            **skipped_facts(result),
        }
        return self._publish(job, raw, result, {"download": download})
