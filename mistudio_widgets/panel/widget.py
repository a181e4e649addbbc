"""`DatasetsPanel`: the widget. It publishes what is true and passes requests to the manager."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from .. import __version__
from ..errors import MiStudioError, without_folders
from ..manager import DatasetManager
from ..messages import (
    MAX_SHORT_TEXT,
    Aborted,
    ErrorInfo,
    PanelState,
    Pong,
    Request,
    error_info,
    failure,
    parse_request,
    request_id_of,
    success,
)
from ..progress import Progress
from ..records import ErrorEvent, Event, StorageReport, TokenizationSettings
from ..storage import default_data_dir
from .answers import Answers, card
from .cells import replaced_by
from .service import Service

_STORAGE_EVERY_S: Final = 5.0
# a view pings every 5 s
_FORGOTTEN_AFTER_S: Final = 12.0
# browsers let a page that is not seen ping once a minute
_UNSEEN_AFTER_S: Final = 90.0
_SHOWN_DATASETS: Final = 50
_BUNDLE: Final = Path(__file__).parents[1] / "static" / "widget.js"
_CLOSED: Final = ErrorInfo(
    code="closed",
    message="The manager of this panel is closed: nothing can be changed here any more.",
    hint="Run the cell that makes the panel again.",
    field=None,
    choices=(),
)

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
    threads, until a view that is still on a page asks it something. So does a read-only panel
    that nobody looks at.

    *Threads:* may be made and closed in any thread; publishes from a thread of its own.
    """

    _esm = _BUNDLE if _BUNDLE.exists() else "export default {}"

    datasets: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)
    total = traitlets.Int(0, read_only=True).tag(sync=True)
    jobs: traitlets.List[Any] = traitlets.List(read_only=True).tag(sync=True)
    storage = traitlets.Dict(None, allow_none=True, read_only=True).tag(sync=True)
    read_only = traitlets.Bool(default_value=False, read_only=True).tag(sync=True)
    auto_tokenize = traitlets.Dict(None, allow_none=True, read_only=True).tag(sync=True)
    error = traitlets.Dict(None, allow_none=True, read_only=True).tag(sync=True)
    version = traitlets.Unicode("", read_only=True).tag(sync=True)
    selected = traitlets.Unicode(None, allow_none=True).tag(sync=True)

    def __init__(
        self,
        manager: DatasetManager | None = None,
        *,
        auto_tokenize: TokenizationSettings | None = None,
    ) -> None:
        self._service_lock = threading.Lock()
        self._service: Service | None = None
        self._is_closed = self._is_replaced = False
        self._heard_at = time.monotonic()
        if not _BUNDLE.exists():
            raise MiStudioError(
                "The panel's front end is not built.",
                hint="Run `npm --prefix js install && npm --prefix js run build`.",
            )
        self.manager = manager if manager is not None else _default_manager()
        self._answers = Answers(self.manager, auto_tokenize, self._wake)
        self._auto_tokenize = auto_tokenize
        self._publish_lock = threading.Lock()
        self._storage_at = -_STORAGE_EVERY_S
        self._storage: StorageReport | None = None
        super().__init__()
        self._answer_beside_cells()
        self.on_msg(self._on_message)
        self._publish()
        self._serve()
        # ipywidgets and IPython's ``Out`` keep every panel alive, so none ends by itself
        for older in replaced_by(self):
            older._make_way()  # noqa: SLF001

    def close(self) -> None:
        """Take the panel off the page; the manager lives on."""
        self._is_closed = True
        self._rest(abort=True)
        super().close()

    def _serve(self) -> Service | None:
        """Return what runs for this panel, started again after a rest; None once closed."""
        with self._service_lock:
            if self._service is None and not self._is_closed:
                self._service = Service(
                    self.manager,
                    publish=self._publish,
                    tell=self._send_event,
                    answer=self._answer,
                    is_over=self._is_forgotten,
                )
            return self._service

    def _make_way(self) -> None:
        self._is_replaced = True
        self._rest()

    def _is_forgotten(self) -> bool:
        """Rest again when the view that brought a replaced panel back is gone.

        A read-only one rests too when nobody looks: a dashboard's server ends kernels that say
        nothing for long, and the free space of a disk alone changes all the time.
        """
        unheard_s = time.monotonic() - self._heard_at
        is_over = (self._is_replaced and unheard_s > _FORGOTTEN_AFTER_S) or (
            self.manager.read_only and unheard_s > _UNSEEN_AFTER_S
        )
        if is_over:
            self._rest()
        return is_over

    def _rest(self, *, abort: bool = False) -> None:
        with self._service_lock:
            service, self._service = self._service, None
        if service is not None:
            service.end(abort=abort)

    def _wake(self) -> None:
        if (service := self._serve()) is not None:
            service.wake()

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

    def _publish(self) -> bool:
        """Set the traits to what is true now; the one place that does.

        Returns whether that is known; if not, ``error`` says why.
        """
        with self._publish_lock:
            try:
                plain = self._state().model_dump(mode="json")
            except Exception as error:  # noqa: BLE001 -- the edge of a thread, asked again soon
                self._tell_why(error)
                return False
            for name, value in plain.items():
                if getattr(self, name) != value:
                    self.set_trait(name, value)
            return True

    def _tell_why(self, error: Exception) -> None:
        if not isinstance(error, MiStudioError):
            error = MiStudioError("Something went wrong in the kernel.", hint="See its log.")
        root = self.manager.data_dir if self.manager.read_only else None
        info = error_info(error, hidden_root=root).model_dump(mode="json")
        if self.error != info:
            _log.exception("could not publish")
            self.set_trait("error", info)

    def _state(self) -> PanelState:
        page, tokenizations = self.manager.list_with_tokenizations(limit=_SHOWN_DATASETS)
        return PanelState(
            datasets=tuple(card(record, tokenizations[record.id]) for record in page.items),
            total=page.total,
            jobs=tuple(self.manager.jobs()),
            storage=self._storage_now(),
            read_only=self.manager.read_only,
            # a visitor need not know where its tokenizer lies
            auto_tokenize=None if self.manager.read_only else self._auto_tokenize,
            error=_CLOSED if self.manager.is_closed else None,
            version=__version__,
        )

    def _storage_now(self) -> StorageReport:
        # a walk over all files: not at every tick
        now = time.monotonic()
        if self._storage is None or now - self._storage_at > _STORAGE_EVERY_S:
            self._storage = self.manager.storage()
            self._storage_at = now
        return self._storage

    def _handle_msg(self, msg: Mapping[str, Any]) -> None:
        """Take widget messages; ipywidgets answers others with its traceback, paths and all."""
        data = msg["content"].get("data")
        if not isinstance(data, Mapping) or data.get("buffer_paths"):
            return
        if data.get("method") in ("update", "request_state", "custom") and isinstance(
            data.get("state", {}), Mapping
        ):
            super()._handle_msg(msg)

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take what the browser sets; anything but ``selected`` is answered with the truth."""
        allowed = {
            name: value
            for name, value in sync_data.items()
            if name == "selected" and _is_selection(value)
        }
        forged = [name for name in sync_data if name not in allowed and self.has_trait(name)]
        if forged:
            self.send_state(forged)
        if allowed:
            super().set_state(allowed)

    def _send_event(self, event: Event) -> None:
        # progress is in the traits; events are for toasts
        if isinstance(event, ErrorEvent) and self.manager.read_only:
            said = without_folders(event.error_message, self.manager.data_dir)
            event = event.model_copy(update={"error_message": said})
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
        self._heard_at = time.monotonic()
        service = self._serve()
        if request.kind == "ping":
            self.send(success(request.request_id, Pong(version=__version__)))
        elif request.kind == "abort":
            was_under_way = service is not None and service.abort(request.aborted_id)
            self.send(success(request.request_id, Aborted(was_under_way=was_under_way)))
        elif service is None or not service.submit(request):
            closed = MiStudioError("The panel is closed.", hint="Run its cell again.")
            self.send(failure(request.request_id, closed))

    def _answer(self, request: Request, progress: Progress) -> None:
        self.send(self._answers.reply(request, progress))


def _is_selection(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= MAX_SHORT_TEXT)


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
