"""`import_files`: list, look, convert; and start over when a later row changes a type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from .. import records
from ..errors import InvalidRequestError, MalformedFileError, MiStudioError, shown_path
from ..progress import Progress
from . import columnar, delimited, jsons, webdataset
from .archives import NotUsable
from .choice import TextChoice, choose_text_column, conversation_columns
from .division import Division
from .results import ImportedFile, ImportResult
from .schema import (
    SchemaChanged,
    check_same_columns,
    described,
    listed,
    stored,
    unify,
)
from .sources import Source, check_split_name, find_sources, printable
from .streams import ByteMeter, OnRead
from .text import (
    READABLE,
    TEXT_SCHEMA,
    NotText,
    blank,
    explain_not_text,
    no_rows,
    probe,
    read_text,
)
from .writer import DatasetWriter

_UNFIT: Final = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError)
_BLANK: Final = ("empty", "only empty lines")


class _StartOver(Exception):  # noqa: N818 -- a signal
    """A file turned out to be no text after some of it was written."""


@dataclass
class _Import:
    """One import while it runs: what was asked, and what is known about the files so far."""

    request: records.ImportRequest
    into: Path
    progress: Progress
    check_space: Callable[[int], None]
    sources: tuple[Source, ...]
    skipped: dict[Path, str] = field(default_factory=dict)
    # members of archives that are not text, by file and extension
    left_out: dict[Path, Counter[str]] = field(default_factory=dict)
    schema: pa.Schema = TEXT_SCHEMA

    def look(self, num_bytes: int) -> None:
        """Read without counting: for the first look at a file."""
        del num_bytes
        self.progress.check()

    @property
    def kept(self) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if source.path not in self.skipped)

    @property
    def spool(self) -> Path:
        return self.into / "unpacked.tmp"


def import_files(
    request: records.ImportRequest,
    into: Path,
    *,
    progress: Progress,
    check_space: Callable[[int], None],
) -> ImportResult:
    """Convert files of any supported format to Parquet.

    Files are read in path order, each once per split. Tables keep their own columns; text gives
    the columns ``text`` and ``path``. Blank lines are no samples when text is read by line. A
    tar archive is read as a webdataset; one that was only found and holds no text is skipped.
    A type that only later rows need (int, then double or string) is widened by starting over.

    Parameters
    ----------
    into : Path
        An existing folder; gets ``{split}-00000.parquet`` and so on. After an error nothing of
        this import is left in it.
    check_space : callable
        Called with a number of bytes before they are written; raises when the disk is full.

    Raises
    ------
    MalformedFileError, UnsupportedFormatError
        Naming the file, and the line where there is one.
    InvalidRequestError
        ``field`` is "text_column" or "sample_by" for one that does not fit the files.
    InsufficientDiskSpaceError, StorageError
        When the disk is full or fails.

    *Threads:* one import per folder.
    *Cancellation:* looks at least once per MiB read.
    """
    for split in request.fractions or ():
        check_split_name(split, "splits")
    sources, dead_links = find_sources(request.paths, progress)
    job = _Import(request, into, progress, check_space, sources)
    total = sum(source.size_bytes for source in sources)
    progress.start("reading", total=total, unit="bytes", share=0.9)
    try:
        files, chosen = _run(job)
    except (MiStudioError, pa.ArrowException):
        # libraries wrap what is raised inside them
        progress.check()
        raise
    return ImportResult(
        files=files,
        columns={column.name: str(column.type) for column in stored(job.schema)},
        text_column=chosen.column,
        num_source_files=len(job.kept),
        source_bytes=total,
        skipped=(*dead_links, *job.skipped.values(), *_left_out(job)),
        text_reason=chosen.reason,
        conversations=conversation_columns(stored(job.schema)),
    )


def _run(job: _Import) -> tuple[tuple[ImportedFile, ...], TextChoice]:
    tables = [source for source in job.sources if source.is_table]
    if tables:
        _look_at_tables(job, tables)
    meter = ByteMeter(job.progress)
    division = job.request.fractions
    while True:
        chosen = choose_text_column(
            stored(job.schema), job.request.text_column, lambda columns: _no_text(job, columns)
        )
        writer = DatasetWriter(
            job.into,
            job.schema,
            chosen.column,
            tuple(job.request.paths),
            division=Division(division, job.request.seed) if division else None,
            check_space=job.check_space,
        )
        try:
            return _attempt(job, meter, writer), chosen
        except SchemaChanged as change:
            job.schema = change.schema
        except _StartOver:
            continue


def _attempt(job: _Import, meter: ByteMeter, writer: DatasetWriter) -> tuple[ImportedFile, ...]:
    """Convert every file; leave nothing behind when that fails."""
    is_done = False
    try:
        num_rows = 0
        for source in job.kept:
            num_rows += _convert(job, source, meter.begin(source), writer)
            meter.end(source)
        _check_readable(job)
        if not num_rows:
            raise no_rows(job.kept[0])
        files = writer.close(job.progress)
        is_done = True
        return files
    finally:
        if not is_done:
            writer.discard()


def _convert(job: _Import, source: Source, on_read: OnRead, writer: DatasetWriter) -> int:
    """Write one file's rows; return how many."""
    num_rows = 0
    try:
        for batch in _batches(job, source, on_read):
            job.progress.check()
            writer.add(source.split, batch)
            num_rows += batch.num_rows
    except NotText as error:
        if source.is_given:
            raise explain_not_text(source, job.look) from error
        _skip(job, source, "not UTF-8 text")
        if num_rows:
            raise _StartOver from error
        return 0
    except _UNFIT as error:
        job.progress.check()
        raise MalformedFileError(
            f"{source.shown} holds values that do not fit: {str(error).splitlines()[0]}",
            path=source.shown,
            hint=f"The columns of the dataset are {described(job.schema)}.",
        ) from error
    if not num_rows and not source.is_table:
        _refuse_blank(job, source)
    return num_rows


def _batches(job: _Import, source: Source, on_read: OnRead) -> Iterator[pa.RecordBatch]:
    match source.kind:
        case "text" | "binary":
            return read_text(source, job.request.sample_by, on_read)
        case "csv" | "tsv":
            return delimited.read_batches(source, job.schema, on_read)
        case "json" | "jsonl":
            return jsons.read_batches(source, job.schema, on_read)
        case "parquet" | "arrow":
            return columnar.read_batches(
                source, on_read, spool=job.spool, check_space=job.check_space
            )
        case "webdataset":
            # counted anew when the conversion starts over
            left_out = job.left_out[source.path] = Counter()
            return webdataset.read_batches(source, job.schema, on_read, left_out)


def _look_at_tables(job: _Import, tables: list[Source]) -> None:
    """Find one schema for all tables, and refuse text beside them."""
    readable = [source for source in tables if _has_content(job, source)]
    schemas = [(source, _read_schema(job, source)) for source in readable]
    known = [(source, schema) for source, schema in schemas if schema is not None]
    if not known:
        return
    (first, schema), *others = known
    first_schema = schema
    for source, other in others:
        # a field of a webdataset may be missing in any sample, so in any file as well
        if {first.kind, source.kind} != {"webdataset"}:
            check_same_columns(first_schema, first.shown, other, source.shown)
        schema = unify(schema, other)
    job.schema = schema
    _refuse_text(job, first)
    if job.request.sample_by is not None:
        raise InvalidRequestError(
            f"sample_by={job.request.sample_by!r} has no effect: {first.shown} is a table.",
            field="sample_by",
            hint="Leave it out; every row of a table is one sample.",
        )


def _read_schema(job: _Import, source: Source) -> pa.Schema | None:
    """Return a table's columns; None for an archive that was found and is skipped."""
    match source.kind:
        case "webdataset":
            return _read_archive_schema(job, source)
        case "csv" | "tsv":
            return delimited.read_schema(source, job.look)
        case "json" | "jsonl":
            return jsons.read_schema(source, job.look)
        case _:
            return columnar.read_schema(
                source, job.look, spool=job.spool, check_space=job.check_space
            )


def _read_archive_schema(job: _Import, source: Source) -> pa.Schema | None:
    try:
        return webdataset.read_schema(source, job.look)
    except NotUsable as found:
        if source.is_given:
            raise found.error from found
        _skip(job, source, found.reason)
        return None


def _has_content(job: _Import, source: Source) -> bool:
    """Skip an empty table that was found, refuse one that was asked for or is no text."""
    if source.kind in ("parquet", "arrow", "webdataset") and source.size_bytes:
        return True
    reason = probe(source, job.look)
    if reason in _BLANK:
        _refuse_blank(job, source, reason)
        return False
    if reason is not None:
        raise explain_not_text(source, job.look)
    return True


def _refuse_text(job: _Import, table: Source) -> None:
    """Make sure that no text file lies among tables; what is not text is skipped."""
    for source in job.sources:
        if source.is_table:
            continue
        reason = probe(source, job.look)
        if reason is None:
            raise MalformedFileError(
                f"{source.shown} is text and {table.shown} is a table "
                f"with the columns {listed(job.schema.names)}.",
                path=source.shown,
                hint="Import them as separate datasets, or choose one kind with a glob.",
            )
        if source.is_given and reason not in _BLANK:
            raise explain_not_text(source, job.look)
        if reason in _BLANK:
            _refuse_blank(job, source, reason)
        else:
            _skip(job, source, "not UTF-8 text")


def _refuse_blank(job: _Import, source: Source, reason: str | None = None) -> None:
    """Fail for an empty file that was asked for; skip one that was only found."""
    reason = reason or probe(source, job.look) or "only empty lines"
    if source.is_given:
        raise blank(source, num_bytes=reason != "empty")
    _skip(job, source, reason)


def _skip(job: _Import, source: Source, reason: str) -> None:
    job.skipped[source.path] = f"{source.name}: {reason}"


def _left_out(job: _Import) -> Iterator[str]:
    """Name the fields of archives that are no text, with how many there are."""
    for source in {source.path: source for source in job.kept}.values():
        for extension, count in job.left_out.get(source.path, {}).items():
            yield f"{source.name}: {count} {extension} members, not text"


def _check_readable(job: _Import) -> None:
    """Fail when a split's folders and globs held nothing that can be read."""
    kept = {source.split for source in job.kept}
    for split, paths in job.request.paths.items():
        if split not in kept:
            shown = printable(shown_path(paths[0]))
            skipped = list(job.skipped.values())
            more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
            raise MalformedFileError(
                f"{shown} has nothing that can be read as text or as a table "
                f"({'; '.join(skipped[:3])}{more}).",
                path=shown,
                hint=f"Readable are {READABLE}.",
            )


def _no_text(job: _Import, columns: str) -> MalformedFileError:
    first = job.kept[0]
    return MalformedFileError(
        f"{first.shown} has no column of text, only {columns or 'no columns at all'}.",
        path=first.shown,
        hint="Name the column that holds the text with text_column=, "
        "or write it as text in the file.",
    )
