"""Text files to batches of samples, and what is wrong with a file that is not text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa

from ..errors import MalformedFileError, MiStudioError, UnsupportedFormatError
from ..records import SampleBy
from .sources import ARCHIVES, Source
from .streams import OnRead, SourceStream

TEXT_SCHEMA: Final = pa.schema([("text", pa.string()), ("path", pa.string())])
# an Arrow string array holds 2 GiB
SAMPLE_LIMIT_BYTES: Final = 2**31 - 2**20
_PROBE_BYTES: Final = 64 << 10
READABLE: Final = "csv, tsv, json, jsonl, parquet, arrow, webdataset (.tar) and UTF-8 text"

Text = bytes | bytearray


class NotText(Exception):  # noqa: N818 -- a signal: the caller skips the file or fails
    """The file is not UTF-8 text."""


def sampling(source: Source, sample_by: SampleBy | None) -> SampleBy:
    """Return what one sample of this file is."""
    return sample_by or ("line" if source.suffix == ".txt" else "document")


def read_text(
    source: Source, sample_by: SampleBy | None, on_read: OnRead
) -> Iterator[pa.RecordBatch]:
    r"""Yield the samples of a text file, a MiB or one long sample at a time.

    line : lines without their end (``\\n`` or ``\\r\\n``); blank lines are no samples.
    paragraph : what blank lines separate, its inner lines as they are.
    document : the whole file exactly as it is, unless it is blank.

    Raises
    ------
    NotText
        When the file is not UTF-8 or holds NUL bytes; batches may have been given before.
    MalformedFileError
        For a sample above 2 GiB.
    """
    if source.kind == "binary":
        raise NotText
    split = {"line": _lines, "paragraph": _paragraphs, "document": _documents}
    with SourceStream(source, on_read) as stream:
        for texts in split[sampling(source, sample_by)](_Chunks(stream, source)):
            if texts:
                yield _batch(texts, source.name)


class _Chunks:
    """The chunks of a text file; watches for NUL bytes and for endless samples."""

    def __init__(self, stream: SourceStream, source: Source) -> None:
        self._stream = stream
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream.chunks():
            if b"\0" in chunk:
                raise NotText
            yield chunk

    def join(self, parts: Sequence[Text]) -> Text:
        if sum(map(len, parts)) > SAMPLE_LIMIT_BYTES:
            raise MalformedFileError(
                f"{self._source.shown} has a sample of more than 2 GiB.",
                path=self._source.shown,
                hint="Use sample_by='line' or 'paragraph', or split the file.",
            )
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _all_lines(chunks: _Chunks) -> Iterator[list[Text]]:
    r"""Yield the lines of each chunk without ``\n``; a long line waits until it is complete."""
    held: list[Text] = []
    held_bytes = 0
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        held.append(first)
        held_bytes += len(first)
        if rest:
            last = rest.pop()
            yield [chunks.join(held), *rest]
            held, held_bytes = [last], len(last)
        elif held_bytes > SAMPLE_LIMIT_BYTES:
            break
    if held:
        yield [chunks.join(held)]


def _lines(chunks: _Chunks) -> Iterator[list[Text]]:
    for lines in _all_lines(chunks):
        yield [line.removesuffix(b"\r") for line in lines if line and not line.isspace()]


def _paragraphs(chunks: _Chunks) -> Iterator[list[Text]]:
    open_lines: list[Text] = []
    for lines in _all_lines(chunks):
        complete: list[Text] = []
        for line in lines:
            if line and not line.isspace():
                open_lines.append(line)
            elif open_lines:
                complete.append(b"\n".join(open_lines).removesuffix(b"\r"))
                open_lines = []
        yield complete
    if open_lines:
        yield [chunks.join([b"\n".join(open_lines).removesuffix(b"\r")])]


def _documents(chunks: _Chunks) -> Iterator[list[Text]]:
    # grows in place: a list of parts and their join would hold a huge document twice
    document = bytearray()
    for chunk in chunks:
        document += chunk
        if len(document) > SAMPLE_LIMIT_BYTES:
            break
    if document and not document.isspace():
        yield [chunks.join([document])]


def _batch(texts: list[Text], name: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [strings(texts), pa.repeat(pa.scalar(name), len(texts))], schema=TEXT_SCHEMA
    )


def strings(texts: Sequence[Text | None]) -> pa.Array:
    """Make a column of texts; raises `NotText` when one is not UTF-8."""
    only = texts[0] if len(texts) == 1 else None
    column = pa.array(texts, pa.binary()) if only is None else _one(only)
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise NotText from error


def _one(text: Text) -> pa.Array:
    """Make an array of one value without copying it: it may be a huge document."""
    offsets = pa.array([0, len(text)], pa.int32()).buffers()[1]
    return pa.BinaryArray.from_buffers(pa.binary(), 1, [None, offsets, pa.py_buffer(text)])


def probe(source: Source, on_read: OnRead) -> str | None:
    """Look at a file's start; return why it is no text, or None if it may be."""
    if source.kind == "binary":
        return "not text"
    with SourceStream(source, on_read) as stream:
        while (head := stream.read(_PROBE_BYTES)).isspace():
            pass
        num_bytes = stream.num_bytes
    if not head:
        return "only empty lines" if num_bytes else "empty"
    if b"\0" in head:
        return "not text"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "not UTF-8"
    return None


def explain_not_text(source: Source, on_read: OnRead) -> MiStudioError:
    """Read a file that is not text once more and say where and why."""
    if source.kind == "binary":
        return _binary(source, None)
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, num_bytes = 1, 0
    with SourceStream(source, on_read) as stream:
        for chunk in stream.chunks():
            if num_bytes == 0 and chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return _not_utf8(source, 1, "UTF-16")
            bad = [at for at in (_first_bad(decoder, chunk), chunk.find(b"\0")) if at >= 0]
            if bad:
                at_line = line + chunk.count(b"\n", 0, min(bad))
                is_binary = b"\0" in chunk
                return _binary(source, at_line) if is_binary else _not_utf8(source, at_line, None)
            line += chunk.count(b"\n")
            num_bytes += len(chunk)
    return _not_utf8(source, line, None)


def _first_bad(decoder: codecs.IncrementalDecoder, chunk: bytes) -> int:
    """Return where the first byte that is no UTF-8 stands in the chunk, or -1."""
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(chunk)
    except UnicodeDecodeError as error:
        return max(error.start - pending, 0)
    return -1


def _binary(source: Source, line: int | None) -> UnsupportedFormatError:
    if source.suffix in ARCHIVES:
        return UnsupportedFormatError(
            f"{source.shown} is an archive.",
            path=source.shown,
            hint="Unpack it and import the folder.",
        )
    what = f"{source.shown} is a binary file, not text"
    if line is not None:
        what = f"{source.shown} is a binary file, not text: see line {line}"
    return UnsupportedFormatError(
        f"{what}.",
        path=source.shown,
        line=line,
        hint=f"Readable are {READABLE}, also as .gz, .bz2, .xz or .zst.",
    )


def _not_utf8(source: Source, line: int, encoding: str | None) -> MalformedFileError:
    called = encoding or "its encoding"
    return MalformedFileError(
        f"{source.shown} is not UTF-8 text: line {line} cannot be decoded.",
        path=source.shown,
        line=line,
        hint=f"Convert it from {called} first: "
        f"iconv -f {encoding or 'ENCODING'} -t UTF-8 FILE > NEW_FILE.",
    )


def blank(source: Source, *, num_bytes: int) -> MalformedFileError:
    """Say that a file that was asked for has nothing in it."""
    what = "has only empty lines" if num_bytes else "is empty"
    return MalformedFileError(
        f"{source.shown} {what}.",
        path=source.shown,
        hint="Give a file with text in it, or leave this one out.",
    )


def no_rows(source: Source) -> MalformedFileError:
    """Say that a table has columns but nothing in them."""
    return MalformedFileError(
        f"{source.shown} has no rows.",
        path=source.shown,
        hint="Give a table with at least one row, or leave this one out.",
    )
