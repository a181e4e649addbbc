"""What each kind of request is answered with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import MiStudioError
from ..jobs import Job
from ..manager import DatasetManager
from ..messages import (
    MAX_REPLY_BYTES,
    DatasetCard,
    Freed,
    Request,
    Started,
    TokenizationChip,
    cancelled,
    failure,
    success,
)
from ..progress import Progress
from ..records import (
    DatasetRecord,
    JobSnapshot,
    Page,
    Record,
    TokenizationRecord,
    TokenizationSettings,
    TokenPreview,
)

_Given = dict[str, Any]
_Result = Record | tuple[Record, ...]

# these take a ``progress``, and end in the middle of their work when it is cancelled
_CANCELLABLE: Final = frozenset(
    {"plan_download", "samples", "sample_tokens", "sequence_samples", "column_statistics"}
)

_log = logging.getLogger(__name__)


class Answers:
    """Does what requests ask for, and says how it went.

    Parameters
    ----------
    auto_tokenize : TokenizationSettings or None
        Follows every download and import that names no settings of its own.
    started : callable
        Called when a job was started.

    *Threads:* every method may be called from any thread.
    """

    def __init__(
        self,
        manager: DatasetManager,
        auto_tokenize: TokenizationSettings | None,
        started: Callable[[], None],
    ) -> None:
        self._manager = manager
        self._auto_tokenize = auto_tokenize
        self._started = started

    def reply(self, request: Request, progress: Progress) -> dict[str, Any]:
        """Return the one reply to a request; raises nothing.

        *Cancellation:* before anything is done, and where the work itself checks. What was done
        all the same is told as done.
        """
        try:
            progress.check()
            reply = success(request.request_id, self._do(request, progress))
            if len(str(reply)) > MAX_REPLY_BYTES:
                raise MiStudioError("The answer is too large to send.", hint="Ask for less.")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 -- the edge of a message handler
            if progress.is_cancelled:
                return cancelled(request.request_id)
            if isinstance(error, MiStudioError):
                root = self._manager.data_dir if self._manager.read_only else None
                return failure(request.request_id, error, hidden_root=root)
            _log.exception("request %s failed", request.kind)
            ours = MiStudioError("Something went wrong in the kernel.", hint="See its log.")
            return failure(request.request_id, ours)
        return reply

    def _do(self, request: Request, progress: Progress) -> _Result:
        given: _Given = {
            name: getattr(request, name)
            for name in request.model_fields_set - {"kind", "request_id", "view"}
        }
        if request.kind in _CANCELLABLE:
            given["progress"] = progress
        return HANDLERS[request.kind](self, self._manager, given)

    def _list(self, given: _Given) -> Page[DatasetCard]:
        page, tokenizations = self._manager.list_with_tokenizations(**given)
        return Page(
            items=tuple(card(record, tokenizations[record.id]) for record in page.items),
            total=page.total,
            limit=page.limit,
            offset=page.offset,
        )

    def _start(self, start: Callable[..., Job], given: _Given) -> Started:
        job = start(**given)
        self._started()
        record = self._manager.get_dataset(job.dataset_id)
        tokenizations = self._manager.list_tokenizations(job.dataset_id)
        return Started(job=job.snapshot(), dataset=card(record, tokenizations))

    def _add(self, start: Callable[..., Job], given: _Given) -> Started:
        if self._auto_tokenize is not None:
            given.setdefault("tokenize", self._auto_tokenize)
        return self._start(start, given)

    def _tokenize(self, given: _Given) -> Started:
        return self._start(
            lambda: self._manager.tokenize(given["dataset_id"], given["settings"]), {}
        )

    def _preview(self, given: _Given) -> TokenPreview:
        text, settings = given.pop("text", None), given.pop("settings")
        return self._manager.preview_tokens(text, settings, **given)

    def _pause(self, given: _Given) -> JobSnapshot:
        job = self._manager.job(given["job_id"])
        job.pause()
        return job.snapshot()

    def _cancel(self, given: _Given) -> JobSnapshot:
        job = self._manager.job(given["job_id"])
        job.cancel()
        return job.snapshot()


def _freed(num_bytes: int) -> Freed:
    return Freed(freed_bytes=num_bytes)


HANDLERS: Final[Mapping[str, Callable[[Answers, DatasetManager, _Given], _Result]]] = {
    "list_datasets": lambda answers, _, given: answers._list(given),  # noqa: SLF001
    "get_dataset": lambda _, manager, given: manager.get_dataset(**given),
    "list_files": lambda _, manager, given: manager.list_files(**given),
    "plan_download": lambda _, manager, given: manager.plan_download(**given),
    "download": lambda answers, manager, given: answers._add(manager.download, given),  # noqa: SLF001
    "import_files": lambda answers, manager, given: answers._add(manager.import_files, given),  # noqa: SLF001
    "retry": lambda answers, manager, given: answers._start(manager.retry, given),  # noqa: SLF001
    "pause": lambda answers, _, given: answers._pause(given),  # noqa: SLF001
    "verify": lambda answers, manager, given: answers._start(manager.verify, given),  # noqa: SLF001
    "build_index": lambda answers, manager, given: answers._start(manager.build_index, given),  # noqa: SLF001
    "delete_index": lambda _, manager, given: _freed(manager.delete_index(**given)),
    "index_status": lambda _, manager, given: manager.index_status(**given),
    "cancel": lambda answers, _, given: answers._cancel(given),  # noqa: SLF001
    "delete_dataset": lambda _, manager, given: _freed(manager.delete_dataset(**given)),
    "tokenize": lambda answers, _, given: answers._tokenize(given),  # noqa: SLF001
    "list_tokenizations": lambda _, manager, given: tuple(manager.list_tokenizations(**given)),
    "delete_tokenization": lambda _, manager, given: _freed(manager.delete_tokenization(**given)),
    "preview_tokens": lambda answers, _, given: answers._preview(given),  # noqa: SLF001
    "samples": lambda _, manager, given: manager.samples(**given),
    "sample_tokens": lambda _, manager, given: manager.sample_tokens(**given),
    "sequence_samples": lambda _, manager, given: tuple(manager.sequence_samples(**given)),
    "column_statistics": lambda _, manager, given: manager.column_statistics(**given),
    "storage": lambda _, manager, given: manager.storage(**given),
    "cleanup": lambda _, manager, given: _freed(manager.cleanup(**given)),
}


def card(record: DatasetRecord, tokenizations: list[TokenizationRecord]) -> DatasetCard:
    """Return a dataset as its card shows it."""
    chips = tuple(
        TokenizationChip(
            tokenization_id=item.id,
            tokenizer_name=item.tokenizer_name,
            settings=item.settings,
            status=item.status,
            error_message=item.error_message,
            hint=item.hint,
        )
        for item in tokenizations
    )
    return DatasetCard.of(record, chips)
