"""`DatasetManager`: the public class."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import MiStudioError
from ..jobs import Job
from ..records import DATA_KINDS, TokenizationSettings
from .datasets import DatasetMethods
from .events import error_event
from .parts import error_fields
from .samples import SampleMethods
from .tokenize_work import tokenization_record
from .upkeep import UpkeepMethods

_log = logging.getLogger(__name__)


class DatasetManager(DatasetMethods, SampleMethods, UpkeepMethods):
    r"""Downloads, imports, tokenizes and loads text datasets, and keeps a catalog of them.

    Parameters
    ----------
    data_dir : str or path, optional
        Where everything lies. Default: ``$MISTUDIO_DATA_DIR``, else the user's data folder.
    read_only : bool
        Look, change nothing. Under Voila always True, whatever is given.
    device : str
        The torch device that packs and pads: "auto" (CUDA where torch sees it), "cpu", "cuda".
    max_downloads, max_tokenizations : int
        How many of these jobs run at once; more wait as queued. Imports count as downloads.
    bandwidth_limit : int, optional
        Bytes per second that all downloads together may take; an attribute of the same name
        changes it while they run.
    keep_originals : bool
        Keep the repository's own files where they had to be converted to Parquet.
    executor : concurrent.futures.Executor, optional
        Runs the shards of a tokenization; default: threads.
    hub_endpoint : str, optional
        Another hub than huggingface.co. One per process.

    *Threads:* every method may be called from any thread.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.txt").write_text("one line\\nand another")
    >>> with DatasetManager(folder / "data") as manager:
    ...     dataset = manager.import_files(folder / "a.txt").wait()
    ...     dataset.num_samples
    2
    """

    def _after_success(self, job: Job) -> None:
        if job.kind not in DATA_KINDS:
            return
        self._auto_indexer.add(job.dataset_id)
        with self._parts.catalog.read() as reader:
            row = reader.find_job(job.id) if reader is not None else None
        wanted = row.request.get("tokenize") if row is not None and row.request else None
        if wanted is None:
            return
        try:
            self.tokenize(job.dataset_id, wanted)
        except MiStudioError as error:
            _log.warning("the tokenization after %s could not start: %s", job.id, error)
            self._record_refusal(job, wanted, error)

    def _record_refusal(self, job: Job, wanted: dict[str, Any], error: MiStudioError) -> None:
        fields = error_fields(error)
        manifest = self._parts.storage.read_manifest(job.dataset_id)
        refused = tokenization_record(manifest, TokenizationSettings(**wanted), None)
        with self._parts.catalog.write() as writer:
            writer.put_tokenization(refused.model_copy(update={"status": "error", **fields}))
        self._announcer.announce(error_event(job.snapshot().model_copy(update=fields)))
