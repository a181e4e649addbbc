"""Telling a damaged catalog from one that is busy, and moving it out of the way.

Every truth that must last is in manifests and receipts too, so a damaged file is never mended: it
is kept aside, and what it said is read from there.
"""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from ..errors import CatalogDamagedError, CatalogError

_SIGNS: Final = (
    "Failure while replaying WAL",
    "Corrupt WAL file",
    "Corrupt database file",
    "not a valid DuckDB database file",
    "Could not read enough bytes",
    "does not match stored checksum",
)
_NEVER_PLAUSIBLE: Final = (duckdb.SerializationException, duckdb.InternalException)


def damaged(what: str) -> CatalogDamagedError:
    """Return the error of a catalog that says no truth any more."""
    return CatalogDamagedError(
        f"The catalog is damaged: {what}",
        hint="Call rebuild() on a DatasetManager that may write, or make a new one: it does so.",
    )


def is_damage(error: duckdb.Error) -> bool:
    """Whether DuckDB could read the bytes, and they made no sense."""
    return isinstance(error, _NEVER_PLAUSIBLE) or any(sign in str(error) for sign in _SIGNS)


def log_path(path: Path) -> Path:
    """Return the write-ahead log of a catalog."""
    return path.with_name(path.name + ".wal")


def must_be_a_file(path: Path) -> None:
    """Refuse a folder, a pipe, or a loop of links in a catalog's place: DuckDB would wait for it.

    Raises
    ------
    CatalogDamagedError
        It lies there, and is no file.
    """
    try:
        # one look: a log comes and goes with every commit
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        # what is not there, or cannot be reached, is not for us to move
        is_file = error.errno != errno.ELOOP
    if not is_file:
        raise damaged(f"{path.name} is not a file.")


def set_aside(path: Path, *, only_log: bool) -> Path | None:
    """Move a catalog, or only its log, into a new folder below ``damaged``; None: none is there.

    The files are renamed and never opened: closing one would drop the lock that DuckDB holds.
    """
    wanted = [log_path(path)] if only_log else [log_path(path), path]
    there = [file for file in wanted if os.path.lexists(file)]
    if not there:
        return None
    folder = path.parent / "damaged" / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    try:
        folder.mkdir(parents=True)
        for file in there:
            file.rename(folder / file.name)
    except OSError as error:
        raise CatalogError(
            f"The damaged catalog cannot be set aside: {error.strerror}.",
            hint="Move catalog.duckdb and catalog.duckdb.wal out of the data folder.",
        ) from error
    return folder
