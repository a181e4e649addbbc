"""Holding a dataset: who says that it is needed, so that nobody deletes it meanwhile."""

from __future__ import annotations

import time
import uuid
from types import TracebackType
from typing import Final, Self

from ..catalog import CatalogWriter, HoldRow
from ..errors import InUseError, InvalidRequestError
from .checks import check_text
from .core import Core
from .notes import drop_note, note_hold
from .parts import Parts

_MAX_CHARS: Final = 200


class Hold:
    """Keeps a dataset from being deleted until `release`, the end of a ``with``, or the process.

    *Threads:* may be released from any thread, and more than once.
    """

    def __init__(self, parts: Parts, row: HoldRow) -> None:
        self._parts = parts
        self._row = row
        self._since = time.monotonic()

    @property
    def dataset_id(self) -> str:
        """The dataset that is held."""
        return self._row.dataset_id

    @property
    def by(self) -> str:
        """Who holds it, as whoever tries to delete it is told."""
        return self._row.held_by

    def release(self) -> None:
        """Need the dataset no more."""
        # what this process releases is free here at once, even while the catalog is busy
        is_first = self._row.id in self._parts.own_holds
        self._parts.own_holds.discard(self._row.id)
        with self._parts.catalog.write() as writer:
            writer.delete_hold(self._row.id)
            drop_note(self._parts, self._row.id)
        if is_first:
            held_s = time.monotonic() - self._since
            self._parts.journal.released(self.by, self.dataset_id, held_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Hold on {self.dataset_id} by {self.by!r}>"


class HoldMethods(Core):
    """What keeps datasets from being deleted."""

    def hold(self, dataset_id: str, by: str) -> Hold:
        """Keep a dataset and its tokenizations from being deleted, by any process.

        Parameters
        ----------
        dataset_id : str
        by : str
            Who needs it, for whoever is refused: "training tr_1". At most 200 characters.

        Returns
        -------
        Hold
            A context manager that holds already. It ends with ``release()``, with the manager,
            or with the process, however that dies.

        Raises
        ------
        InvalidRequestError, NotFoundError, ReadOnlyError

        Examples
        --------
        ``with manager.hold(dataset.id, by="training tr_1"): train(...)``
        """
        self._parts.must_write("hold a dataset")
        self._must_be_open()
        check_text(by, "by", "Say who needs the dataset.")
        if not 0 < len(by.strip()) <= _MAX_CHARS:
            raise InvalidRequestError(
                f"by must have 1 to {_MAX_CHARS} characters, not {len(by.strip())}.", field="by"
            )
        name = self._view.dataset(dataset_id).name
        row = HoldRow(uuid.uuid4().hex, dataset_id, by.strip(), self._parts.owner_id)
        self._parts.own_holds.add(row.id)
        try:
            with self._parts.catalog.write() as writer:
                writer.get_dataset(dataset_id)
                writer.insert_hold(row)
                note_hold(self._parts, row)
        except BaseException:
            drop_note(self._parts, row.id)
            self._parts.own_holds.discard(row.id)
            raise
        self._parts.journal.held(name, row.held_by, dataset_id)
        self._follower.notify()
        return Hold(self._parts, row)

    def _must_not_be_held(self, writer: CatalogWriter, dataset_id: str, what: str) -> None:
        by = tuple(
            row.held_by
            for row in writer.holds()
            if row.dataset_id == dataset_id and self._parts.is_held(row)
        )
        if by:
            raise InUseError(
                f"Cannot delete {what} while it is in use by {', '.join(by)}.",
                by=by,
                hint="It can be deleted as soon as it is released, or the process that holds it "
                "ends.",
            )
