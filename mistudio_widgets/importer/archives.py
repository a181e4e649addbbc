"""Members of a tar archive, one after the other as they come, and what is wrong with one."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import pyarrow as pa

from ..errors import MalformedFileError, MiStudioError, UnsupportedFormatError
from .sources import Source, printable
from .streams import CHUNK_BYTES, OnRead, SourceStream

_DECOMPRESS: Final[dict[str, Callable[[Any], Any]]] = {
    "gz": lambda file: gzip.GzipFile(fileobj=file),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "zst": lambda file: pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"),
}
_DAMAGED: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
# what tarfile lets through when the headers make no sense
_NO_TAR: Final = (tarfile.TarError, ValueError, OverflowError, IndexError, RecursionError)
_NAMES: Final = frozenset(
    {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
    | {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
)
_NAME_LIMIT_BYTES: Final = 1 << 20


class NotUsable(Exception):  # noqa: N818 -- a signal: the caller skips the file or fails
    """The file is not an archive with text: ``reason`` in short, ``error`` for the user."""

    def __init__(self, reason: str, error: MiStudioError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


@dataclass(frozen=True)
class Member:
    """A file in an archive; to be read before the next one is asked for."""

    name: str
    source: Source
    _num_bytes: int
    _file: IO[bytes]

    def read(self, limit_bytes: int) -> bytearray | None:
        """Return the content, decompressed if its name says so; None when it is larger."""
        if self._num_bytes > limit_bytes:
            return None
        decompress = _DECOMPRESS.get(_compression(self.name) or "")
        # grows in place: a list of parts and their join would hold a huge text twice
        data = bytearray()
        try:
            content = decompress(self._file) if decompress else self._file
            while chunk := content.read(CHUNK_BYTES):
                data += chunk
                if len(data) > limit_bytes:
                    return None
        except tarfile.TarError as error:
            raise _damaged(self.source, f"in {shown(self.name)}", error) from error
        except MiStudioError:
            raise
        except _DAMAGED as error:
            reason = str(error).rstrip(".") or "it ends too early"
            raise broken(
                self.source,
                self.name,
                f"cannot be decompressed: {reason}",
                "It is damaged, or not compressed as its name says.",
            ) from error
        return data


def open_archive(source: Source, on_read: OnRead) -> SourceStream:
    """Open the file; raises `NotUsable` when it is not compressed as its name says."""
    try:
        return SourceStream(source, on_read, is_text=False)
    except MalformedFileError as error:
        if not source.path.exists():
            raise
        raise NotUsable("not a tar archive", _no_archive(source)) from error


def read_members(source: Source, stream: SourceStream) -> Iterator[Member]:
    """Yield the files that are not hidden; raises `NotUsable` for what is no archive."""
    try:
        # "*": some archives are compressed and do not say so
        tar = tarfile.open(fileobj=stream, mode="r|*", tarinfo=_Header, encoding="utf-8")  # noqa: SIM115 -- closed below
    except _NO_TAR as error:
        raise NotUsable("not a tar archive", _no_archive(source)) from error
    with tar:
        place = "at its start"
        while (member := _next(tar, source, place)) is not None:
            # or all headers stay in memory
            tar.members = []  # type: ignore[attr-defined]
            place = f"after {shown(member.name)}"
            is_hidden = member.name.rpartition("/")[2].startswith((".", "__"))
            file = None if is_hidden or not member.isreg() else tar.extractfile(member)
            if file is not None:
                yield Member(member.name, source, member.size, file)


def _next(tar: tarfile.TarFile, source: Source, place: str) -> tarfile.TarInfo | None:
    try:
        return tar.next()
    except _NO_TAR as error:
        raise _damaged(source, place, error) from error


class _Header(tarfile.TarInfo):
    """A header that is an error when it is damaged; tarfile takes it for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """Read a header; refuse what would be read whole into memory, or backwards."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            # without the block of zeros that ends an archive, nobody knows what is missing
            if len(buf) == tarfile.BLOCKSIZE and not buf.strip(b"\0"):
                raise
            raise tarfile.ReadError(str(error)) from error
        if header.size < 0 or (header.type in _NAMES and header.size > _NAME_LIMIT_BYTES):
            raise tarfile.ReadError("a header has a size that cannot be")
        return header


def without_compression(name: str) -> str:
    """Take ``.gz`` off ``txt.gz``."""
    compression = _compression(name)
    return name[: -len(compression) - 1] if compression else name


def _compression(name: str) -> str | None:
    suffix = name.rpartition(".")[2].lower()
    return suffix if suffix in _DECOMPRESS and suffix != name.lower() else None


def shown(name: str) -> str:
    """Write a member's name, which may be very long, for a message."""
    return repr(printable(name)[:200])


def broken(source: Source, name: str, what: str, hint: str) -> MalformedFileError:
    """Say what is wrong with a member."""
    return MalformedFileError(
        f"{source.shown}: member {shown(name)} {what}.", path=source.shown, hint=hint
    )


def _no_archive(source: Source) -> UnsupportedFormatError:
    return UnsupportedFormatError(
        f"{source.shown} is not a tar archive.",
        path=source.shown,
        hint="It is damaged, cut off or not what its name says; copy or write it again.",
    )


def _damaged(source: Source, place: str, error: Exception) -> MalformedFileError:
    return MalformedFileError(
        f"{source.shown} is damaged {place}: {str(error).rstrip('.') or 'no header'}.",
        path=source.shown,
        hint="It is cut off or was changed; copy or write it again.",
    )
