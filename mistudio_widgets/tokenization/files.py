"""Files that are whole or not there, and arrays that live in them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from ..errors import InsufficientDiskSpaceError, shown_path

TEMPORARY_SUFFIX = ".tmp"


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
    """Write a small file, whole or not at all."""
    with writing(path) as file:
        file.write(content)


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
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.num_items = 0
        self._temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        self._file = self._temporary.open("wb")

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
        self._file.write(content.data if content.size else b"")
        self.num_items += content.size

    def publish(self, *, durable: bool = True) -> None:
        """Give the file its name; ``durable`` asks for its bytes to be on disk first."""
        if durable:
            sync(self._file)
        self._file.close()
        self._temporary.replace(self.path)


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
