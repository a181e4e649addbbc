"""Files that are whole or not there, and arrays that live in them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from ..errors import InsufficientDiskSpaceError, shown_path

TEMPORARY_SUFFIX = ".tmp"

_PIECE_BYTES = 2**20
_SYNC_BYTES = 32 * 2**20


@contextlib.contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name only when it is whole and on disk."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with temporary.open("wb") as file:
            yield file
            sync(file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(file: IO[bytes]) -> None:
    """Bring a file's bytes to the disk."""
    file.flush()
    os.fsync(file.fileno())


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all unless the power fails."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class RawFile:
    """An array that grows in a file; it keeps its temporary name until `publish`.

    Leaving the ``with`` block without `publish` removes it.

    Parameters
    ----------
    first_byte : int
        Where the array begins; what is before it stays a hole.
    is_kept : bool
        Whether the file is to outlive the run: then it goes to the disk while it grows, so that
        the end need not wait for all of it.
    """

    def __init__(
        self, path: Path, dtype: npt.DTypeLike, *, first_byte: int = 0, is_kept: bool = False
    ) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.first_byte = first_byte
        self.num_items = 0
        self.crc32 = 0
        self._is_kept = is_kept
        self._unsynced_bytes = 0
        self._temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        self._file = self._temporary.open("wb", buffering=0)
        if first_byte:
            self._file.seek(first_byte)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            # closing flushes; on a full disk that fails again, and the file goes anyway
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write more items."""
        content = np.ascontiguousarray(values, dtype=self.dtype)
        write_all(self._file, content.data)
        self.num_items += content.size
        self._unsynced_bytes += content.nbytes
        if self._is_kept and self._unsynced_bytes >= _SYNC_BYTES:
            sync(self._file)
            self._unsynced_bytes = 0

    def append_checked(self, values: npt.NDArray[Any]) -> None:
        """Write more items, and take them into ``crc32``."""
        content = np.ascontiguousarray(values, dtype=self.dtype)
        self.crc32 = zlib.crc32(content.data, self.crc32)
        self.append(content)

    def publish(self) -> None:
        """Give the file its name. Its bytes may not be on disk: a lost one must be harmless."""
        self._file.close()
        self._temporary.replace(self.path)


def write_all(file: IO[bytes], content: memoryview) -> None:
    """Write to an unbuffered file, which may take less than all at once."""
    view = content.cast("B") if content.nbytes else memoryview(b"")
    while view:
        view = view[file.write(view) :]


def file_crc32(path: Path) -> int:
    """Return the crc32 of a file."""
    found = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            found = zlib.crc32(piece, found)
    return found


def map_array(path: Path, dtype: npt.DTypeLike, *, writable: bool = False) -> npt.NDArray[Any]:
    """Map a raw file; its pages count as cache, not as memory of the process."""
    if not path.stat().st_size:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r+" if writable else "r")


@contextlib.contextmanager
def disk_full_is_clear(folder: Path, required_bytes: int) -> Iterator[None]:
    """Turn "no space left on device" into an error that says how much is needed."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InsufficientDiskSpaceError(
            f"The disk of {shown_path(folder)} is full: the tokenization needs about "
            f"{required_bytes / 1e6:.0f} MB.",
            required_bytes=required_bytes,
            available_bytes=shutil.disk_usage(folder).free,
            hint="Free space and tokenize again; finished parts are kept.",
        ) from error
