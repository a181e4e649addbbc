"""`DatasetsPanel`: the widget. It publishes what is true and passes requests to the manager."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import anywidget
import traitlets
from IPython import get_ipython

from . import __version__
from .errors import MiStudioError
from .jobs import Job
from .manager import DatasetManager
from .messages import (
    MAX_REPLY_BYTES,
    DatasetCard,
    Freed,
    PanelState,
    Pong,
    Request,
    Started,
    TokenizationChip,
    failure,
    parse_request,
    request_id_of,
    success,
)
from .records import (
    DatasetRecord,
    Event,
    JobSnapshot,
    Page,
    Record,
    StorageReport,
    TokenizationRecord,
    TokenizationSettings,
    TokenPreview,
)
from .storage import default_data_dir

# The server lets 1000 comm messages a second through and drops the last ones too.
PUBLISH_EVERY_S: Final = 0.05
_STORAGE_EVERY_S: Final = 5.0
_SHOWN_DATASETS: Final = 50
_THREADS: Final = 4
_HUB_THREADS: Final = 2
_BUNDLE: Final = Path(__file__).parent / "static" / "widget.js"

_log = logging.getLogger(__name__)


class DatasetsPanel(anywidget.AnyWidget):
    """The dataset manager in a notebook cell.

    Parameters
    ----------
    manager : DatasetManager, optional
        Default: one on the default data folder, the same for all panels of a process.
    auto_tokenize : TokenizationSettings, optional
        Every download and import from the panel is tokenized with these.

    When its cell runs again and makes another, the panel rests: it publishes no more and has no
    threads, until a view that is still on a page asks it something.

    *Threads:* may be made and closed in any thread; publishes from a thread of its own.
    """

    _esm = _BUNDLE if _BUNDLE.exists() else "export default {}"

    datasets: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)
    total = traitlets.Int(0, read_only=True).tag(sync=True)
    jobs: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)
    storage = traitlets.Dict(None, allow_none=True, read_only=True).tag(sync=True)
    read_only = traitlets.Bool(default_value=False, read_only=True).tag(sync=True)
    version = traitlets.Unicode(__version__, read_only=True).tag(sync=True)
    selected = traitlets.Unicode(None, allow_none=True).tag(sync=True)

    def __init__(
        self,
        manager: DatasetManager | None = None,
        *,
        auto_tokenize: TokenizationSettings | None = None,
    ) -> None:
        self._service_lock = threading.Lock()
        self._service: _Service | None = None
        self._is_closed = False
        if not _BUNDLE.exists():
            raise MiStudioError(
                "The panel's front end is not built.",
                hint="Run `npm --prefix js install && npm --prefix js run build`.",
            )
        self.manager = manager if manager is not None else _default_manager()
        self._auto_tokenize = auto_tokenize
        self._publish_lock = threading.Lock()
        self._storage_at = -_STORAGE_EVERY_S
        self._storage: StorageReport | None = None
        super().__init__()
        self._answer_beside_cells()
        self.on_msg(self._on_message)
        self._publish()
        self._serve()
        _replace_older(self)

    def close(self) -> None:
        """Take the panel off the page; the manager lives on."""
        self._is_closed = True
        self._rest()
        super().close()

    def _serve(self) -> _Service | None:
        """Return what runs for this panel, started again after a rest; None once closed."""
        with self._service_lock:
            if self._service is None and not self._is_closed:
                self._service = _Service(self.manager, self._publish, self._send_event)
            return self._service

    def _rest(self) -> None:
        with self._service_lock:
            service, self._service = self._service, None
        if service is not None:
            service.end()

    def _answer_beside_cells(self) -> None:
        """Let requests reach us on a subshell's thread while a cell runs.

        ipykernel 7.4 routes each message to the shell that last published on the comm, which a
        cell or our thread makes the main one; then Cancel would wait for the cell. There is no
        public way yet, and where this one is gone, messages wait again as they did before.
        """
        comm = self.comm
        if hasattr(comm, "_reply_subshell_for"):
            comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001

    # -- up: traits and events --------------------------------------------------------------

    def _publish(self) -> None:
        """Set the traits to what is true now; the one place that does."""
        with self._publish_lock:
            plain = self._state().model_dump(mode="json")
            for name, value in plain.items():
                if getattr(self, name) != value:
                    self.set_trait(name, value)

    def _state(self) -> PanelState:
        page, tokenizations = self.manager.list_with_tokenizations(limit=_SHOWN_DATASETS)
        return PanelState(
            datasets=tuple(_card(record, tokenizations[record.id]) for record in page.items),
            total=page.total,
            jobs=tuple(self.manager.jobs()),
            storage=self._storage_now(),
            read_only=self.manager.read_only,
            version=__version__,
        )

    def _storage_now(self) -> StorageReport:
        # a walk over all files: not at every tick
        now = time.monotonic()
        if self._storage is None or now - self._storage_at > _STORAGE_EVERY_S:
            self._storage = self.manager.storage()
            self._storage_at = now
        return self._storage

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the browser sets; anything but ``selected`` is answered with the truth."""
        allowed = {name: value for name, value in sync_data.items() if name == "selected"}
        forged = [name for name in sync_data if name not in allowed and self.has_trait(name)]
        if forged:
            self.send_state(forged)
        if allowed:
            super().set_state(allowed)

    def _send_event(self, event: Event) -> None:
        # progress is in the traits; events are for toasts
        if event.event in ("completed", "error"):
            self.send(event.model_dump(mode="json"))

    # -- down: requests ---------------------------------------------------------------------

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        """Answer every message once; never raises and hands the work to a thread."""
        try:
            request = parse_request(content)
        except MiStudioError as error:
            self.send(failure(request_id_of(content), error))
            return
        service = self._serve()
        if request.kind == "ping":
            self.send(success(request.request_id, Pong(version=__version__)))
        elif service is None or not service.submit(request.kind, lambda: self._answer(request)):
            closed = MiStudioError("The panel is closed.", hint="Run its cell again.")
            self.send(failure(request.request_id, closed))

    def _answer(self, request: Request) -> None:
        try:
            reply = success(request.request_id, self._do(request))
            if len(str(reply)) > MAX_REPLY_BYTES:
                raise MiStudioError("The answer is too large to send.", hint="Ask for less.")  # noqa: TRY301
        except MiStudioError as error:
            reply = failure(request.request_id, error)
        except Exception:  # noqa: BLE001 -- the edge of a message handler
            _log.exception("request %s failed", request.kind)
            ours = MiStudioError("Something went wrong in the kernel.", hint="See its log.")
            reply = failure(request.request_id, ours)
        self.send(reply)

    def _do(self, request: Request) -> Record | tuple[Record, ...]:
        given = {
            name: getattr(request, name)
            for name in request.model_fields_set - {"kind", "request_id"}
        }
        return _HANDLERS[request.kind](self, given)

    def _list(self, given: dict[str, Any]) -> Page[DatasetCard]:
        page, tokenizations = self.manager.list_with_tokenizations(**given)
        return Page(
            items=tuple(_card(record, tokenizations[record.id]) for record in page.items),
            total=page.total,
            limit=page.limit,
            offset=page.offset,
        )

    def _start(self, start: Callable[..., Job], given: dict[str, Any]) -> Started:
        job = start(**given)
        if (service := self._serve()) is not None:
            service.wake()
        return self._started(job)

    def _started(self, job: Job) -> Started:
        record = self.manager.get_dataset(job.dataset_id)
        tokenizations = self.manager.list_tokenizations(job.dataset_id)
        return Started(job=job.snapshot(), dataset=_card(record, tokenizations))

    def _add(self, start: Callable[..., Job], given: dict[str, Any]) -> Started:
        if self._auto_tokenize is not None:
            given.setdefault("tokenize", self._auto_tokenize)
        return self._start(start, given)

    def _tokenize(self, given: dict[str, Any]) -> Started:
        return self._start(
            lambda: self.manager.tokenize(given["dataset_id"], given["settings"]), {}
        )

    def _preview(self, given: dict[str, Any]) -> TokenPreview:
        text, settings = given.pop("text", None), given.pop("settings")
        return self.manager.preview_tokens(text, settings, **given)

    def _pause(self, given: dict[str, Any]) -> JobSnapshot:
        job = self.manager.job(given["job_id"])
        job.pause()
        return job.snapshot()

    def _cancel(self, given: dict[str, Any]) -> JobSnapshot:
        job = self.manager.job(given["job_id"])
        job.cancel()
        return job.snapshot()


class _Service:
    """What runs while a panel may be seen: a thread that publishes, and those that answer."""

    def __init__(
        self,
        manager: DatasetManager,
        publish: Callable[[], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._publish = publish
        self._changed = threading.Event()
        self._changed.set()
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mistudio-panel")
        # a hub that does not answer must not keep Pause and Cancel waiting
        self._hub_threads = ThreadPoolExecutor(_HUB_THREADS, thread_name_prefix="mistudio-hub")
        self._ends = [manager.watch(self.wake), manager.subscribe(tell)]
        threading.Thread(target=self._run, name="mistudio-publish", daemon=True).start()

    def wake(self) -> None:
        """Publish soon."""
        self._changed.set()

    def submit(self, kind: str, work: Callable[[], None]) -> bool:
        """Do ``work`` in a thread; returns whether there still are threads."""
        threads = self._hub_threads if kind == "plan_download" else self._threads
        try:
            threads.submit(work)
        except RuntimeError:
            return False
        return True

    def end(self) -> None:
        """End the threads; what is being answered is answered."""
        self._stop.set()
        self._changed.set()
        for end in self._ends:
            end()
        for threads in (self._threads, self._hub_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            if self._stop.is_set():
                return
            try:
                self._publish()
            except Exception:  # noqa: BLE001 -- the edge of a thread: the next change tries again
                _log.exception("could not publish")
            self._stop.wait(PUBLISH_EVERY_S)


class _Cell(NamedTuple):
    """A notebook's cell, and one run of it."""

    cell_id: str
    run_id: str


def _running_cell() -> _Cell | None:
    """Return the cell that is running; None outside of notebooks that name their cells."""
    parent: Mapping[str, Any] = getattr(get_ipython(), "get_parent", dict)()
    cell_id = parent.get("metadata", {}).get("cellId")
    run_id = parent.get("header", {}).get("msg_id")
    return _Cell(cell_id, run_id) if cell_id and run_id else None


_made_in: weakref.WeakKeyDictionary[DatasetsPanel, _Cell] = weakref.WeakKeyDictionary()


def _replace_older(panel: DatasetsPanel) -> None:
    """Let the panels rest that earlier runs of the running cell made: their views are gone.

    ipywidgets and IPython's ``Out`` keep every panel alive, so none ends by itself.
    """
    cell = _running_cell()
    if cell is None:
        return
    for other, made_in in list(_made_in.items()):
        if made_in.cell_id == cell.cell_id and made_in.run_id != cell.run_id:
            other._rest()  # noqa: SLF001
    _made_in[panel] = cell


_defaults: dict[Path, DatasetManager] = {}
_defaults_lock = threading.Lock()


def _default_manager() -> DatasetManager:
    """Return this process's manager on the default data folder.

    A cell that is run again must find the jobs that it started before: only their own manager
    can cancel them.
    """
    folder = default_data_dir()
    with _defaults_lock:
        found = _defaults.get(folder)
        if found is None or found.is_closed:
            found = _defaults[folder] = DatasetManager()
        return found


def _freed(num_bytes: int) -> Freed:
    return Freed(freed_bytes=num_bytes)


_HANDLERS: Final[
    Mapping[str, Callable[[DatasetsPanel, dict[str, Any]], Record | tuple[Record, ...]]]
] = {
    "list_datasets": lambda panel, given: panel._list(given),  # noqa: SLF001
    "get_dataset": lambda panel, given: panel.manager.get_dataset(**given),
    "plan_download": lambda panel, given: panel.manager.plan_download(**given),
    "download": lambda panel, given: panel._add(panel.manager.download, given),  # noqa: SLF001
    "import_files": lambda panel, given: panel._add(panel.manager.import_files, given),  # noqa: SLF001
    "retry": lambda panel, given: panel._start(panel.manager.retry, given),  # noqa: SLF001
    "pause": lambda panel, given: panel._pause(given),  # noqa: SLF001
    "verify": lambda panel, given: panel._start(panel.manager.verify, given),  # noqa: SLF001
    "build_index": lambda panel, given: panel._start(panel.manager.build_index, given),  # noqa: SLF001
    "delete_index": lambda panel, given: _freed(panel.manager.delete_index(**given)),
    "cancel": lambda panel, given: panel._cancel(given),  # noqa: SLF001
    "delete_dataset": lambda panel, given: _freed(panel.manager.delete_dataset(**given)),
    "tokenize": lambda panel, given: panel._tokenize(given),  # noqa: SLF001
    "list_tokenizations": lambda panel, given: tuple(panel.manager.list_tokenizations(**given)),
    "delete_tokenization": lambda panel, given: _freed(panel.manager.delete_tokenization(**given)),
    "preview_tokens": lambda panel, given: panel._preview(given),  # noqa: SLF001
    "storage": lambda panel, given: panel.manager.storage(**given),
}


def _card(record: DatasetRecord, tokenizations: list[TokenizationRecord]) -> DatasetCard:
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
