"""Bytes of a source file: decompressed, counted, and stopped when the job is cancelled."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa

from ..errors import MalformedFileError, MiStudioError, StorageError
from ..progress import Progress
from .sources import Source, gone

# small enough that even bz2 (10 MB/s on a small machine) looks at the cancel flag in time
CHUNK_BYTES: Final = 1 << 20

OnRead = Callable[[int], None]


class ByteMeter:
    """Tells the job's progress how many source bytes were read.

    A conversion may start over when a later row changes a column's type. What was counted once
    is not counted again, so the bar waits instead of going back.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._position = 0
        self._end = 0
        self._counted = 0

    def begin(self, source: Source) -> OnRead:
        """Return the function that counts bytes of this file."""
        self._position = source.start_bytes
        self._end = source.start_bytes + source.size_bytes
        return self._add

    def end(self, source: Source) -> None:
        """Count what a reader left unread, such as padding at the end."""
        self.begin(source)(source.size_bytes)

    def _add(self, num_bytes: int) -> None:
        self._position = min(self._position + num_bytes, self._end)
        news = max(self._position - self._counted, 0)
        self._counted += news
        self._progress.advance(news)


class _CountedFile(io.RawIOBase):
    """The file as it lies on disk; counts what goes out of it."""

    def __init__(self, source: Source, on_read: OnRead) -> None:
        self._file = source.path.open("rb", buffering=0)
        self._on_read = on_read

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        num_bytes = self._file.readinto(memoryview(buffer)[:CHUNK_BYTES]) or 0
        self._on_read(num_bytes)
        return num_bytes

    def close(self) -> None:
        self._file.close()
        super().close()


class SourceStream(io.RawIOBase):
    """A source file's content as a readable file object, without a byte order mark.

    ``is_text=False`` leaves it in: an archive may start with any bytes.

    *Threads:* pyarrow reads it from a thread of its own; one reader at a time.
    *Cancellation:* ``on_read`` is called at least once per MiB and may raise.

    Attributes
    ----------
    num_bytes : int
        Decompressed bytes given out so far.
    num_quotes : int
        How many of them were double quotes, if ``count_quotes``.
    """

    def __init__(
        self,
        source: Source,
        on_read: OnRead,
        *,
        count_quotes: bool = False,
        is_text: bool = True,
    ) -> None:
        self.num_bytes = 0
        self.num_quotes = 0
        self._source = source
        self._on_read = on_read
        self._count_quotes = count_quotes
        try:
            self._raw = _CountedFile(source, on_read)
        except OSError as error:
            raise _unreadable(source, error) from error
        try:
            self._inner = _decompressed(self._raw, source)
            head = self._pull(len(codecs.BOM_UTF8))
        except BaseException:
            self._raw.close()
            raise
        self._head = b"" if is_text and head == codecs.BOM_UTF8 else head

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end."""
        left = 1 << 62 if size is None or size < 0 else size
        parts: list[bytes] = []
        while left > 0:
            part = self._next(min(left, CHUNK_BYTES))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.num_bytes += len(data)
        if self._count_quotes:
            self.num_quotes += data.count(b'"')
        return data

    def readinto(self, buffer: Any) -> int:
        """Read into ``buffer``, for the readers that want it so."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def chunks(self) -> Iterator[bytes]:
        """Yield the rest, a MiB at a time."""
        while chunk := self.read(CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        """Close the file as well."""
        if not self.closed:
            self._inner.close()
            self._raw.close()
        super().close()

    def _next(self, size: int) -> bytes:
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        return self._pull(size)

    def _pull(self, size: int) -> bytes:
        # a MiB on disk may be a GiB when decompressed
        self._on_read(0)
        try:
            return bytes(self._inner.read(size))
        except MiStudioError:
            raise
        except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
            raise _unreadable(self._source, error) from error


class _Silent(io.RawIOBase):
    """A stream whose errors are the end of the file, and are kept."""

    def __init__(self, stream: SourceStream) -> None:
        self.error: BaseException | None = None
        self._stream = stream
        self._lock = threading.Lock()
        self._is_over = False

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        with self._lock:
            if self.error is None and not self._is_over:
                try:
                    return self._stream.read(size)
                except BaseException as error:  # noqa: BLE001 -- raised by `arrow_file`
                    self.error = error
        return b""

    def end(self) -> BaseException | None:
        """Wait for the read that is under way; all others find the end."""
        with self._lock:
            self._is_over = True
            return self.error

    def raise_kept(self) -> None:
        """Raise what reading raised, and keep no way from it to the reader.

        Its frames hold the reader, which ends its threads only when it is destroyed: a cycle
        would put that off until the process ends, where they must not run any more.
        """
        self.end()
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error


@contextmanager
def arrow_file(stream: SourceStream) -> Iterator[pa.PythonFile]:
    """Give a stream to a pyarrow reader, and raise what reading it raised when the block ends.

    An exception must not pass through pyarrow: its threads keep it, with all frames that it
    passes later. Then one of them destroys the reader in these frames, waits there for itself,
    and the process can never end.
    """
    file = _Silent(stream)
    try:
        yield pa.PythonFile(file, mode="r")
    except Exception:
        if file.end() is None:
            raise
    file.raise_kept()


def _decompressed(raw: _CountedFile, source: Source) -> Any:
    match source.compression:
        case None:
            return io.BufferedReader(raw, CHUNK_BYTES)
        case "gz":
            return gzip.GzipFile(fileobj=io.BufferedReader(raw, CHUNK_BYTES), mode="rb")
        case "bz2":
            return bz2.BZ2File(io.BufferedReader(raw, CHUNK_BYTES))
        case "xz":
            return lzma.LZMAFile(io.BufferedReader(raw, CHUNK_BYTES))
        case "zst":
            # the zstandard package takes a truncated frame for the end of the file
            return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")


def _unreadable(source: Source, error: BaseException) -> MiStudioError:
    if isinstance(error, FileNotFoundError):
        return gone(source.path)
    if isinstance(error, OSError) and error.errno is not None:
        return StorageError(
            f"{source.shown} cannot be read: {error.strerror}.",
            hint="Check its permissions and the disk, or import without it.",
        )
    return MalformedFileError(
        f"{source.shown} cannot be decompressed: {str(error).rstrip('.') or 'it ends too early'}.",
        path=source.shown,
        hint=f"It is cut off or not a .{source.compression} file; copy it again, "
        "or decompress it yourself.",
    )
