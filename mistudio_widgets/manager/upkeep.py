"""The methods on the data folder as a whole: how full it is, and what may go."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from ..errors import InvalidRequestError
from ..records import CLEANUP_KINDS, CleanupKind, RebuildReport, StorageReport
from ..storage import LOW_DISK_SHARE
from .checks import whole_number
from .core import Core
from .leftovers import discard, reclaimable_bytes
from .recovery import recover
from .taking_up import take_up

_MEASURED_FOR_S: Final = 60.0


class UpkeepMethods(Core):
    """What can be done with the data folder as a whole."""

    _reclaimable: tuple[float, int] | None = None

    def storage(self) -> StorageReport:
        """Return how full the disk under the data folder is, and what `cleanup` would free."""
        space = self._parts.storage.space()
        return StorageReport(
            data_dir=None if self.read_only else str(self.data_dir),
            used_bytes=self._parts.storage.used_bytes(),
            free_bytes=space.free_bytes,
            total_bytes=space.total_bytes,
            reserve_bytes=space.reserve_bytes,
            is_low=space.free_bytes
            < max((1 - LOW_DISK_SHARE) * space.total_bytes, space.reserve_bytes),
            num_datasets=self._view.num_datasets(),
            reclaimable_bytes=None if self.read_only else self._reclaimable_bytes(),
        )

    def cleanup(
        self,
        kinds: Collection[CleanupKind] = CLEANUP_KINDS,
        *,
        older_than_days: int = 0,
    ) -> int:
        """Remove what nobody needs any more.

        Nothing that a job uses, and nothing that is shown as ready, is ever removed.

        Parameters
        ----------
        kinds : "partial", "index", "orphan"
            "partial": bytes of downloads and shards of tokenizations that did not end. What
            `retry`, or the same tokenization again, would go on with goes only after 30 days.
            "index": text indexes of what a dataset is no more, or that were never finished.
            "orphan": folders that no dataset or tokenization owns and that cannot be taken up
            again, and catalogs that were set aside, after 30 days.
        older_than_days : int
            Leave what was touched since.

        Returns
        -------
        int
            Bytes freed. What a file is linked to elsewhere, as in the HuggingFace cache, is not
            freed and not counted.

        Raises
        ------
        InvalidRequestError, ReadOnlyError
        """
        self._parts.must_write("clean up")
        self._must_be_open()
        chosen = _kinds_of(kinds)
        days = whole_number(older_than_days, "older_than_days")
        started = time.monotonic()
        freed = discard(self._parts, chosen, days)
        recover(self._parts, removes=False)
        self._parts.journal.cleaned_up(sorted(chosen), freed, time.monotonic() - started)
        self._reclaimable = None
        self._follower.notify()
        return freed

    def rebuild(self) -> RebuildReport:
        """Make the catalog agree with what lies on disk.

        Every manager that may write does so when it is made; this is for a catalog that was
        damaged since. A catalog that can be read is kept; one that cannot is set aside. Datasets
        and tokenizations that it lacks come back from their manifests and receipts, with names,
        statistics and metadata; jobs and holds of managers that live go on. What had not ended
        when its manager did is known to the catalog alone.

        Raises
        ------
        CatalogVersionError
            The catalog is newer than this package.
        ReadOnlyError
        """
        self._parts.must_write("rebuild the catalog")
        self._must_be_open()
        started = time.monotonic()
        aside = self._parts.catalog.open_whole()
        recover(self._parts)
        taken = take_up(self._parts)
        self._parts.journal.rebuilt(time.monotonic() - started)
        self._reclaimable = None
        self._follower.notify()
        return RebuildReport(
            datasets=tuple(taken.datasets),
            tokenizations=tuple(taken.tokenizations),
            damaged=tuple(taken.damaged),
            set_aside=None if aside is None else str(aside),
        )

    def _reclaimable_bytes(self) -> int:
        measured, now = self._reclaimable, time.monotonic()
        if measured is None or now - measured[0] > _MEASURED_FOR_S:
            measured = (now, reclaimable_bytes(self._parts, CLEANUP_KINDS, 0))
            self._reclaimable = measured
        return measured[1]


def _kinds_of(kinds: Collection[CleanupKind] | object) -> frozenset[CleanupKind]:
    given = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(given, Collection) or not all(kind in CLEANUP_KINDS for kind in given):
        raise InvalidRequestError(
            f"{repr(kinds)[:100]} are no kinds to clean up.",
            field="kinds",
            hint=f"Choose from {', '.join(CLEANUP_KINDS)}.",
        )
    return frozenset(given)
