"""Files and folders, wherever they are: written whole, measured, hashed, removed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..errors import InsufficientDiskSpaceError, StorageError, shown_path
from ..progress import Progress

_HASH_BLOCK_BYTES: Final = 1 << 20


def format_bytes(num_bytes: float) -> str:
    """Write a size as the panel does: 1024 steps, at most two decimals.

    >>> format_bytes(1536000), format_bytes(0)
    ('1.46 MB', '0 B')
    """
    size = float(num_bytes)
    unit = "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(size) < 1024 or unit == "TB":
            break
        size /= 1024
    return f"{size:.2f}".rstrip("0").rstrip(".") + f" {unit}"


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data``: readers see the old or the new, never a part.

    ``durable=False`` leaves out the fsync, for files that a crash may take.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if durable:
        fsync_dir(path.parent)


def fsync_dir(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sha256_of(path: Path, progress: Progress | None = None) -> str:
    """Hash a file; ``progress`` is advanced by its bytes and may cancel."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
            if progress is not None:
                progress.advance(len(block))
    return digest.hexdigest()


def tree_bytes(path: Path) -> int:
    """Return what the files below a folder hold; 0 when there is none."""
    total = 0
    for name in _files_of(path):
        with suppress(OSError):
            total += os.lstat(name).st_size
    return total


def removal_bytes(paths: Iterable[Path]) -> int:
    """Return what the disk gets back when these folders go; what is linked elsewhere stays."""
    names: dict[tuple[int, int], set[str]] = {}
    found: dict[tuple[int, int], os.stat_result] = {}
    for path in paths:
        for name in _files_of(path):
            with suppress(OSError):
                stat = os.lstat(name)
                key = (stat.st_dev, stat.st_ino)
                names.setdefault(key, set()).add(name)
                found[key] = stat
    return sum(stat.st_size for key, stat in found.items() if stat.st_nlink <= len(names[key]))


def newest_change_at(path: Path) -> float:
    """Return when something in a folder last changed, as seconds since the epoch; 0 when gone."""
    newest = 0.0
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            newest = max(newest, os.lstat(folder).st_mtime)
    for name in _files_of(path):
        with suppress(OSError):
            newest = max(newest, os.lstat(name).st_mtime)
    return newest


def _files_of(path: Path) -> Iterator[str]:
    for folder, _, names in os.walk(path):
        for name in names:
            yield os.path.join(folder, name)  # noqa: PTH118 -- ten times as fast


def remove_tree(path: Path) -> int:
    """Remove a folder and return how many bytes its files held."""
    size = tree_bytes(path)
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise StorageError(
            f"{shown_path(path)} could not be removed.", hint="Check who owns its files."
        )
    return size


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Map an `OSError` inside the block to our own, with ``what`` was tried."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InsufficientDiskSpaceError(
                f"The disk is full: could not {what}.",
                required_bytes=0,
                available_bytes=0,
                hint="Delete datasets that are no longer needed, then try again.",
            ) from error
        raise StorageError(
            f"Could not {what}: {error.strerror or error}.",
            hint="Check the data folder's permissions and disk.",
        ) from error
