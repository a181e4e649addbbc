"""Files that are whole or not there, and arrays that live in them."""

from __future__ import annotations

import contextlib
import errno
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

PIECE_BYTES = 16 * 2**20
_READ_BYTES = 2**20
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


class SteadyFile:
    """An unbuffered file that goes to the disk while it grows.

    So its end need not wait for all of it, and nothing holds a cancel up.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._unsynced_bytes = 0

    def write(self, content: memoryview) -> None:
        """Write all of ``content``."""
        write_all(self._file, content)
        self._unsynced_bytes += content.nbytes
        if self._unsynced_bytes >= _SYNC_BYTES:
            self.sync()

    def sync(self) -> None:
        """Bring what was written to the disk."""
        sync(self._file)
        self._unsynced_bytes = 0


class RawFile:
    """An array that grows in a file; it keeps its temporary name until `publish`.

    Leaving the ``with`` block without `publish` removes it.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.num_items = 0
        self.crc32 = 0
        self._temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        self._file = self._temporary.open("wb", buffering=0)

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

    def append_checked(self, values: npt.NDArray[Any]) -> None:
        """Write more items, and take them into ``crc32``."""
        content = np.ascontiguousarray(values, dtype=self.dtype)
        self.crc32 = zlib.crc32(content.data, self.crc32)
        self.append(content)

    def pieces(self) -> Iterator[npt.NDArray[Any]]:
        """Read back what was written, some megabytes at a time."""
        with self._temporary.open("rb", buffering=0) as file:
            while (piece := np.fromfile(file, self.dtype, PIECE_BYTES // self.dtype.itemsize)).size:
                yield piece

    def publish(self) -> None:
        """Give the file its name. Its bytes may not be on disk: a lost one must be harmless."""
        self._file.close()
        self._temporary.replace(self.path)


def pieces_of(content: memoryview) -> Iterator[memoryview]:
    """Cut bytes into pieces that are written or hashed in a moment."""
    view = content.cast("B") if content.nbytes else memoryview(b"")
    for first in range(0, len(view), PIECE_BYTES):
        yield view[first : first + PIECE_BYTES]


def write_all(file: IO[bytes], content: memoryview) -> None:
    """Write to an unbuffered file, which may take less than all at once."""
    view = content.cast("B") if content.nbytes else memoryview(b"")
    while view:
        view = view[file.write(view) :]


def file_crc32(path: Path) -> int:
    """Return the crc32 of a file."""
    found = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_READ_BYTES):
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
