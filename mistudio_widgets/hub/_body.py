"""The body of an answer, read with as few copies as the HTTP library allows."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

# so much is read, written and hashed at once
CHUNK_BYTES: Final = 256 * 1024
# the connection of a body that is read around the HTTP library cannot be used again
_WORTH_A_CONNECTION_BYTES: Final = 32 << 20
_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_REFUSED: Final = re.compile(r"bytes \*/(\d{1,18})")
_LENGTH: Final = re.compile(r"\d{1,18}")


class LinkBrokenError(Exception):
    """The connection broke, or the hub failed: the same request may well succeed.

    Attributes
    ----------
    given_up : Exception or None
        What to raise when it does not; None where no answer came at all.
    wait_s : int or None
        How long the hub asks to wait before the next try.
    """

    def __init__(
        self,
        given_up: Exception | None = None,
        *,
        wait_s: int | None = None,
        is_connected: bool = True,
    ) -> None:
        super().__init__()
        self.given_up = given_up
        self.wait_s = wait_s
        self.is_connected = is_connected


class RangeRefusedError(Exception):
    """The server does not have the bytes from there on: it holds another content.

    Attributes
    ----------
    total_bytes : int or None
        How large that is, if the server tells.
    """

    def __init__(self, content_range: str = "") -> None:
        super().__init__()
        found = _REFUSED.fullmatch(content_range.strip())
        self.total_bytes = int(found[1]) if found else None


@dataclass(frozen=True)
class Body:
    """The bytes of a file, as they arrive.

    Attributes
    ----------
    start : int
        Position of the first byte: what was asked for, or 0 from a server without ranges.
    total_bytes : int or None
        Size of the whole file, if the server tells.
    etag : str or None
        What the server calls this content.
    chunks : iterator of bytes
        As they come from the connection, at most 256 KiB each: a slow link is seen to move.
    """

    start: int
    total_bytes: int | None
    etag: str | None
    chunks: Iterator[bytes]

    def may_be(self, size_bytes: int, *, wanted_from: int) -> bool:
        """Whether this can be the file, of which ``wanted_from`` bytes are there already.

        A login page of the network has another size. It may have none at all, and then nothing
        is given up for it.
        """
        if self.total_bytes is None:
            return self.start == wanted_from
        return self.total_bytes == size_bytes


def body_of(answer: Any, timeout_s: float) -> Body:
    """Return the body of an answer to a request for a file.

    Raises
    ------
    RangeRefusedError
        The answer is a part, and does not say which.
    """
    # behind a redirect only the hub's own name for the content is the same on every server
    headers = answer.headers
    linked = [hop.headers.get("X-Linked-ETag") for hop in answer.history]
    etag = next(filter(None, linked), headers.get("ETag"))
    start, total = 0, headers.get("Content-Length", "")
    if answer.status_code == 206:
        found = _RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if found is None:
            raise RangeRefusedError
        start, total = int(found[1]), found[2]
    return Body(
        start=start,
        total_bytes=int(total) if _LENGTH.fullmatch(total) else None,
        etag=etag and etag.removeprefix("W/").strip('"'),
        chunks=_chunks(answer, timeout_s),
    )


def _chunks(answer: Any, timeout_s: float) -> Iterator[bytes]:
    """Yield the body; the most of a large one from the connection itself.

    The HTTP library copies each 64 KiB twice, which costs as much as hashing them. It offers
    the connection (https://www.python-httpx.org/advanced/extensions/#network_stream), and has
    nothing more in hand once it gave out what came with the head.
    """
    chunks = answer.iter_raw()
    length = answer.headers.get("Content-Length", "")
    left = int(length) if _LENGTH.fullmatch(length) else 0
    connection = answer.extensions.get("network_stream")
    errors = _connection_errors(connection)
    is_plain = (
        answer.extensions.get("http_version") == b"HTTP/1.1"
        and "Transfer-Encoding" not in answer.headers
    )
    if errors and is_plain and left >= _WORTH_A_CONNECTION_BYTES:
        for head in chunks:
            left -= len(head)
            yield head
            break
        try:
            while left > 0 and (chunk := connection.read(min(CHUNK_BYTES, left), timeout_s)):
                left -= len(chunk)
                yield chunk
        except errors as error:
            raise LinkBrokenError from error
        if left:
            raise LinkBrokenError
        return
    yield from chunks


def _connection_errors(connection: Any) -> tuple[type[Exception], ...]:
    """Return what reading the connection may raise; nothing if it is none of the library's."""
    library = sys.modules.get(type(connection).__module__.partition(".")[0])
    try:
        return (library.NetworkError, library.TimeoutException)  # type: ignore[union-attr]
    except AttributeError:
        return ()
