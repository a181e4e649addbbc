"""The catalog: facts about what is on disk, in one DuckDB file that many processes share.

rows         records to rows and back; `CatalogReader`, `CatalogWriter`
migrations   the schema, one function a version
spare        room for the commits that a full disk needs most
damage       what makes no sense, and where it goes
busy         whose turn it is among processes
(here)       attaching, locking, the change token
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import duckdb
from filelock import FileLock

from ..errors import (
    CatalogDamagedError,
    CatalogError,
    CatalogVersionError,
    InsufficientDiskSpaceError,
    StorageError,
    shown_path,
)
from .busy import BUSY_S, busy, let_writers_pass, take
from .damage import damaged, is_damage, log_path, must_be_a_file, set_aside
from .migrations import is_readable, migrate, read_everything
from .rows import CatalogReader, CatalogWriter, HoldRow, JobRow
from .spare import SPARE_BYTES, Spare

__all__ = ["Catalog", "CatalogReader", "CatalogWriter", "HoldRow", "JobRow"]

_CONFIG: Final = {"memory_limit": "1GB", "threads": "2"}

ResultT = TypeVar("ResultT")

_log = logging.getLogger(__name__)


def _instance() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=dict(_CONFIG))
    # of tables this small it makes a page twice as dear; a DuckDB may not know it
    with suppress(duckdb.Error):
        connection.execute("SET disabled_optimizers = 'late_materialization'")
    return connection


class _Gate:
    """One in-memory instance and one lock for a catalog file in this process.

    Creating an instance costs 16 ms and more, attaching 2 ms. A second ATTACH of one file in one
    process conflicts with the first, and a shared connection without a lock loses updates.
    """

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.connection = _instance()
        # one thread at a time: a FileLock lets every thread of its process in once it is held
        self.writers = threading.Lock()
        self.file_lock = FileLock(path.with_suffix(".lock"), thread_local=False)


_gates: dict[Path, _Gate] = {}
_gates_lock = threading.Lock()
_inherited: list[dict[Path, _Gate]] = []


def _forget_gates() -> None:
    global _gates, _gates_lock
    # kept, not destroyed: the threads that a destructor would join are not in this process
    _inherited.append(_gates)
    _gates = {}
    _gates_lock = threading.Lock()


# an inherited instance would share its parent's lock on the file
os.register_at_fork(after_in_child=_forget_gates)


@atexit.register
def _close_gates() -> None:
    """Close the instances while the interpreter is whole; DuckDB complains of leaks otherwise."""
    with _gates_lock:
        for gate in _gates.values():
            # kept: a background thread that looks now would find it closed, and end the process
            if gate.lock.acquire(timeout=BUSY_S):
                gate.connection.close()
        _gates.clear()


class Catalog:
    """The catalog of one data folder.

    Parameters
    ----------
    path : Path
        ``catalog.duckdb``; its lock and change token lie beside it.
    observe : callable, optional
        Told how many seconds each operation took, waiting included: "read", "write", "open".

    *Threads:* `read` and `write` may be used from any thread; they exclude one another within
    the process and last milliseconds. Never call out while inside.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        observe: Callable[[str, float], None] | None = None,
    ) -> None:
        self._path = path
        self._observe = observe
        self._read_only = read_only
        self._version_path = path.with_suffix(".version")
        self._spare = Spare(path.with_suffix(".spare"))
        self._is_readable = False
        if not read_only:
            self.open_whole()

    @contextmanager
    def read(self) -> Iterator[CatalogReader | None]:
        """Attach for reading; yields None while there is no catalog yet.

        Raises
        ------
        CatalogBusyError
            When writers of other processes left no gap for 11 s.
        CatalogDamagedError
            When nobody can, or it is gone; `open_whole` makes it readable.
        CatalogVersionError
            When this package cannot read the catalog.
        """
        if not self._path.exists():
            self._must_never_have_been()
            yield None
            return
        with self._timed("read"):
            let_writers_pass(self._path.with_suffix(".lock"))
            with self._attached(read_only=True) as cursor:
                self._is_readable = self._is_readable or is_readable(cursor)
                yield CatalogReader(cursor) if self._is_readable else None

    @contextmanager
    def write(self) -> Iterator[CatalogWriter]:
        """Attach for writing, in one transaction; committed at the end, or not at all.

        Raises
        ------
        CatalogBusyError, CatalogDamagedError
            As `read` does.
        InsufficientDiskSpaceError
            Nothing was committed.
        """
        with (
            self._timed("write"),
            self._writers_lock(),
            self._spare.lent(),
            self._attached(read_only=False, is_there=True) as cursor,
        ):
            cursor.execute("BEGIN")
            yield CatalogWriter(cursor)
            cursor.execute("COMMIT")
            self._touch()

    def version(self) -> tuple[int, int]:
        """Return a value that differs after every commit, at the price of a stat."""
        try:
            stat = self._version_path.stat()
        except OSError:
            return (0, 0)
        return (stat.st_mtime_ns, stat.st_ino)

    def open_whole(self) -> Path | None:
        """Make the catalog one that can be read to its last row, and bring it up to date.

        A log that cannot be replayed is set aside, and what it had added is lost; so is a file
        that makes no sense, and an empty catalog takes its place.

        Returns
        -------
        Path or None
            Where the damaged files are now; None when all was well.

        Raises
        ------
        CatalogVersionError
            The catalog is newer than this package.
        """
        aside = None
        with self._timed("open"), self._writers_lock(), self._spare.lent():
            # a log without its file says nothing, and would be replayed into the next one
            if not self._path.exists():
                aside = self._set_aside("catalog.duckdb is missing", only_log=True)
            for only_log in (True, False):
                try:
                    self._migrate()
                    break
                except CatalogDamagedError as error:
                    aside = self._set_aside(error.message, only_log=only_log) or aside
            else:
                self._migrate()
        self._is_readable = True
        return aside

    def _must_never_have_been(self) -> None:
        """Refuse to take a catalog that is gone for one that nobody made yet."""
        if self._is_readable and not self._path.parent.is_dir():
            raise _folder_gone(self._path.parent)
        if self._is_readable or self._version_path.exists() or log_path(self._path).exists():
            raise damaged("catalog.duckdb is missing.")

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            if self._observe is not None:
                self._observe(operation, time.perf_counter() - started)

    def _migrate(self) -> None:
        with self._attached(read_only=False) as cursor:
            is_new = migrate(cursor)
            read_everything(cursor)
        if is_new:
            self._touch()

    def _set_aside(self, why: str, *, only_log: bool) -> Path | None:
        self._renew()
        folder = set_aside(self._path, only_log=only_log)
        if folder is not None:
            _log.warning(
                "%s; %s was set aside in %s, and datasets are taken up from their manifests",
                why.rstrip("."),
                "its log" if only_log else "it",
                shown_path(folder),
            )
            self._touch()
        return folder

    def _renew(self) -> None:
        """Make a new instance: what it read may have broken the old one for good."""
        gate = self._gate()
        with gate.lock:
            with suppress(duckdb.Error):
                gate.connection.close()
            gate.connection = _instance()

    @contextmanager
    def _writers_lock(self) -> Iterator[None]:
        # the lock's library would make it anew
        if not self._path.parent.is_dir():
            raise _folder_gone(self._path.parent)
        gate = self._gate()
        if not gate.writers.acquire(timeout=BUSY_S):
            raise busy()
        try:
            take(gate.file_lock)
            try:
                yield
            finally:
                gate.file_lock.release()
        finally:
            gate.writers.release()

    @contextmanager
    def _attached(
        self, *, read_only: bool, is_there: bool = False
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        gate = self._gate()
        with gate.lock:
            # to attach what is gone would make an empty one without tables
            if is_there and not self._path.exists():
                raise damaged("catalog.duckdb is missing.")
            must_be_a_file(self._path)
            must_be_a_file(log_path(self._path))
            # no cursor of its own: the last that knew it would destroy it, maybe when the lock is
            # free and the interpreter ends, which DuckDB's destructor does not survive
            connection = gate.connection
            self._attach(connection, read_only=read_only)
            try:
                yield connection
            except duckdb.Error as error:
                if _is_disk_full(error):
                    raise _disk_full(self._path) from error
                if is_damage(error):
                    raise damaged(f"{_first_line(error)}.") from error
                raise CatalogError(f"The catalog refused: {_first_line(error)}.") from error
            finally:
                _detach(connection)

    def _attach(self, cursor: duckdb.DuckDBPyConnection, *, read_only: bool) -> None:
        path = str(self._path).replace("'", "''")
        statement = f"ATTACH '{path}' AS catalog" + (" (READ_ONLY)" if read_only else "")
        _retry_while_locked(lambda: cursor.execute(statement), self._path)

    def _gate(self) -> _Gate:
        try:
            key = self._path.resolve()
        except RuntimeError:
            # a loop of links has no end
            key = self._path
        with _gates_lock:
            if key not in _gates:
                _gates[key] = _Gate(key)
            return _gates[key]

    def _touch(self) -> None:
        # one name for all: writers hold the lock, and a killed one's is used up by the next
        temporary = self._version_path.with_name(".catalog.version.tmp")
        try:
            temporary.write_text(uuid.uuid4().hex)
            temporary.replace(self._version_path)
        except OSError:
            # a full disk; what is committed stays so, and a new time needs no room
            with suppress(OSError):
                self._version_path.touch()


def _detach(cursor: duckdb.DuckDBPyConnection) -> None:
    # DETACH in an open or aborted transaction raises
    with suppress(duckdb.Error):
        cursor.execute("ROLLBACK")
    try:
        cursor.execute("DETACH catalog")
    except duckdb.IOException as error:
        # it is detached, and what was committed is in the log, which the next ATTACH reads
        if "CHECKPOINT during DETACH failed" not in str(error):
            raise CatalogError(f"The catalog cannot be closed: {_first_line(error)}.") from error
        _log.warning("the catalog's log could not be folded in: %s", _first_line(error))


def _retry_while_locked(attempt: Callable[[], ResultT], path: Path) -> ResultT:
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return attempt()
        except duckdb.Error as error:
            if _is_disk_full(error):
                raise _disk_full(path) from error
            if is_damage(error):
                raise damaged(f"{_first_line(error)}.") from error
            if _is_other_format(error):
                raise CatalogVersionError(
                    f"The catalog was written by another DuckDB: {_first_line(error)}.",
                    hint="Upgrade duckdb, or use another data_dir.",
                ) from error
            if not _is_lock_conflict(error):
                raise CatalogError(
                    f"The catalog cannot be opened: {_first_line(error)}.",
                    hint="Check that catalog.duckdb in the data folder is readable and whole.",
                ) from error
            if time.monotonic() > deadline:
                raise busy() from error
        time.sleep(random.uniform(0.001, 0.01))


def _is_lock_conflict(error: duckdb.Error) -> bool:
    # "Could not set lock on file" (IOException) between processes, "Unique file handle
    # conflict" (ResourceInUseException) within one
    text = str(error)
    return "Could not set lock" in text or "Unique file handle conflict" in text


def _is_other_format(error: duckdb.Error) -> bool:
    return "version number" in str(error) and "can only read" in str(error)


def _is_disk_full(error: duckdb.Error) -> bool:
    return "No space left" in str(error) or "Disk quota exceeded" in str(error)


def _disk_full(path: Path) -> InsufficientDiskSpaceError:
    return InsufficientDiskSpaceError(
        "The disk is full: the catalog could not be written.",
        required_bytes=SPARE_BYTES,
        available_bytes=shutil.disk_usage(path.parent).free,
        hint="Free some space on the data folder's disk, then try again.",
    )


def _folder_gone(folder: Path) -> StorageError:
    return StorageError(
        f"The data folder {shown_path(folder)} is gone.",
        hint="Put it back where it was, or make a DatasetManager for where it is now.",
    )


def _first_line(error: BaseException) -> str:
    """Return what an error says, as a sentence without its stop."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
