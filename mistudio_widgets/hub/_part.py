"""One file on its way: what of it is on disk, whole and after a power cut."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from ._body import CHUNK_BYTES
from ._lane import Lane
from ._plan import HubFile

# what a part loses that another boot left: it may never have reached the disk
UNSAFE_BYTES: Final = 4 * 2**20
# one stretch is written while the one before is made durable, and both may be lost
_SYNC_BYTES: Final = UNSAFE_BYTES // 2 - CHUNK_BYTES
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Part:
    """A part file, open for appending.

    Beside it lies a note with the ETag that its bytes came with and the boot that wrote them.
    The name of a verified file is its content hash alone, given by fsync and rename, so that
    whatever carries it is whole.

    Attributes
    ----------
    size : int
        Bytes that are there.
    etag : str or None
        What the server called the content that they are of.
    """

    def __init__(self, folder: Path, file: HubFile) -> None:
        self._folder = folder
        self._file = file
        self._path = folder / f"{file.content_hash}.part"
        self._note = folder / f"{file.content_hash}.part.json"
        self._hashing = Lane("hub-hash", depth=16)
        self._syncing = Lane("hub-sync", depth=1)
        self._unsynced = 0
        self.size = 0
        self.etag: str | None = None

    def __enter__(self) -> Self:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._digest = new_digest(self._file)
        return self

    def __exit__(self, *_: object) -> None:
        self._hashing.close()
        self._syncing.close()
        os.close(self._fd)

    def read_back(self, reached: Callable[[int], None]) -> None:
        """Go on with what an earlier try left, as far as it is safe, and hash it again.

        Parameters
        ----------
        reached : callable
            Told how far it is, at every chunk; may raise.
        """
        found = os.fstat(self._fd).st_size
        safe = found if found <= self._file.size_bytes else 0
        boot, self.etag = self._read_note()
        if boot is None or boot != _boot_id():
            safe = max(safe - UNSAFE_BYTES, 0)
        if safe < found:
            os.ftruncate(self._fd, safe)
            os.fsync(self._fd)
        if safe == 0:
            self.etag = None
        self._write_note()
        while self.size < safe:
            chunk = os.read(self._fd, min(CHUNK_BYTES, safe - self.size))
            self._digest.update(chunk)
            self.size += len(chunk)
            reached(self.size)

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write ``chunks``; they are hashed and made durable while the next ones come."""
        num_bytes = sum(map(len, chunks))
        written = os.writev(self._fd, chunks)
        if written < num_bytes:
            rest = memoryview(b"".join(chunks))
            while written < num_bytes:
                written += os.write(self._fd, rest[written:])
        self.size += num_bytes
        self._hashing.put(_update, self._digest, chunks)
        self._unsynced += num_bytes
        if self._unsynced >= _SYNC_BYTES:
            self._unsynced = 0
            self._syncing.put(os.fdatasync, self._fd)

    def name_content(self, etag: str | None) -> None:
        """Note under which ETag the bytes come from now on."""
        if etag is not None and etag != self.etag:
            self.etag = etag
            self._write_note()

    def start_over(self) -> None:
        """Throw away every byte."""
        self._hashing.drain()
        self._syncing.drain()
        if self.size:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self._digest = new_digest(self._file)
        self.size = self._unsynced = 0
        self.etag = None

    def is_right(self) -> bool:
        """Whether these are the bytes that the repository lists."""
        self._hashing.drain()
        return self._digest.hexdigest() == self._file.content_hash

    def publish(self) -> None:
        """Give the verified file its name."""
        self._syncing.drain()
        os.fsync(self._fd)
        self._path.replace(self._folder / self._file.content_hash)
        sync_folder(self._folder)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave nothing behind."""
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> tuple[str | None, str | None]:
        with suppress(OSError, ValueError):
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if isinstance(note, dict):
                return note.get("boot"), note.get("etag")
        return None, None

    def _write_note(self) -> None:
        # it needs no fsync: a note that a power cut took is of another boot anyway
        temporary = self._note.with_suffix(".tmp")
        note = {"boot": _boot_id(), "etag": self.etag}
        temporary.write_text(json.dumps(note), encoding="utf-8")
        temporary.replace(self._note)


def new_digest(file: HubFile) -> hashlib._Hash:
    """Return the empty digest whose end is the file's content hash."""
    if file.sha256 is not None:
        return hashlib.sha256()
    # git hashes a header before the content: https://git-scm.com/book/en/v2/Git-Internals
    return hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)


def _update(digest: hashlib._Hash, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        digest.update(chunk)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None
