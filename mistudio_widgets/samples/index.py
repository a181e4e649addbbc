"""Search by an index: built once from all texts, then asked in milliseconds.

    index.json      the receipt: what the index was made of; written last
    meta.json, ...  tantivy's own files; the texts are not among them

The terms of the index are those of `samples.text`, so it finds the rows that a scan finds. A
build that was stopped leaves a folder without a receipt; the next one starts over.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt
import tantivy
from pydantic import ValidationError

from ..errors import InsufficientDiskSpaceError, StorageError
from ..progress import Progress
from ..records import Record
from .query import Group, Query, Term
from .text import MAX_TERM_CHARS, UNICODE_VERSION, is_cjk, term_of, terms_of_rows

if TYPE_CHECKING:
    import pyarrow as pa

RECEIPT_NAME: Final = "index.json"
DISK_SHARE: Final = 0.6
"""What an index needs on disk while it is built, of the bytes of its text, at most."""

_HEAP_BYTES: Final = 96_000_000
_QUEUE_BYTES: Final = 8_000_000
_QUEUE_DOCS: Final = 10_000
_CHECK_SPACE_BYTES: Final = 64_000_000
_MARGIN: Final = 1024
# "tantivy v0.27.0, index_format v7"
_FORMAT: Final = str(vars(tantivy)["__version__"]).rpartition(" ")[2]

_Rows = npt.NDArray[np.int64]
_log = logging.getLogger(__name__)


class IndexReceipt(Record):
    """What an index was made of; with another one it is stale.

    Attributes
    ----------
    files : tuple of str
        Split, rows and sha256 of each file, in the order of the rows.
    unicode_version, tantivy_format : str
        What decides which characters are letters, and how the files are to be read.
    """

    format: Literal[1] = 1
    files: tuple[str, ...]
    text_column: str
    unicode_version: str = UNICODE_VERSION
    tantivy_format: str = _FORMAT


class CannotSayError(Exception):
    """The index does not know; a scan does."""


def build_index(
    texts: Iterable[tuple[int, pa.Array]],
    folder: Path,
    receipt: IndexReceipt,
    *,
    progress: Progress,
    check_space: Callable[[int], None],
) -> None:
    """Build an index into an empty folder.

    Parameters
    ----------
    texts : iterable of (first row, array of strings)
        All texts, in row order. Null is an empty text.
    progress : Progress
        Advanced by bytes of text.
    check_space : callable
        Called now and then with the bytes that come next; raises when they do not fit.

    Raises
    ------
    StorageError
        The files cannot be written.

    *Cancellation:* within 8 MB of text. Joining parts of the index in the background may end
    a little later, in files that are gone already.
    """
    writer = _writer(folder)
    try:
        feeder = _Feeder(writer)
        unchecked = _CHECK_SPACE_BYTES
        for first_row, array in texts:
            unchecked += array.nbytes
            if unchecked >= _CHECK_SPACE_BYTES:
                check_space(_CHECK_SPACE_BYTES)
                unchecked = 0
            _feed(feeder, first_row, array, progress)
        writer.commit()
        progress.check()
    except BaseException as error:
        # dropped as it is, it would hold Python's lock until its queue is empty
        with suppress(ValueError):
            writer.rollback()
        if isinstance(error, ValueError):
            raise _unwritable(error) from error
        raise
    _join(writer, progress)
    _let_others_read(folder)
    (folder / RECEIPT_NAME).write_text(receipt.model_dump_json(indent=1))


class TextIndex:
    """An index that can be asked.

    *Threads:* any. It goes on answering after its folder was removed.
    """

    def __init__(self, folder: Path) -> None:
        index = tantivy.Index.open(str(folder))
        self._schema = index.schema
        self._searcher = index.searcher()
        self.num_rows: int = self._searcher.num_docs

    def search(self, query: Query, span: range | None = None) -> Ranking:
        """Find the rows of a query that asks for something.

        Parameters
        ----------
        query : Query
        span : range, optional
            Only these rows.

        Raises
        ------
        CannotSayError
            A prefix of more than 255 characters, or of fewer that take too many bytes, or one that
            too many words have in a phrase.
        """
        is_scored = any(len(term.words) > 1 or not term.is_prefix for term in query.required)
        # the scores of several groups are added in an order that depends on how many are fetched
        is_steady = not is_scored or len(query.groups) == 1
        try:
            asked = self._any_of([self._group(group) for group in query.groups])
            if span is not None:
                asked = self._within(asked, span)
            return Ranking(self._searcher, asked, is_scored=is_scored, is_steady=is_steady)
        except ValueError as error:
            raise CannotSayError(str(error)) from error

    def _group(self, group: Group) -> tantivy.Query:
        required = [(tantivy.Occur.Must, self._term(term)) for term in group.required]
        if not required:
            everything = tantivy.Query.const_score_query(tantivy.Query.all_query(), 0.0)
            required = [(tantivy.Occur.Must, everything)]
        excluded = [
            (tantivy.Occur.MustNot, self._group(Group(required=terms))) for terms in group.excluded
        ]
        return tantivy.Query.boolean_query([*required, *excluded])

    def _any_of(self, asked: list[tantivy.Query]) -> tantivy.Query:
        if len(asked) == 1:
            return asked[0]
        return tantivy.Query.boolean_query([(tantivy.Occur.Should, one) for one in asked])

    def _within(self, asked: tantivy.Query, span: range) -> tantivy.Query:
        if not span:
            return tantivy.Query.empty_query()
        rows = tantivy.Query.range_query(
            self._schema, "row", tantivy.FieldType.Integer, span.start, span.stop - 1
        )
        unscored = tantivy.Query.const_score_query(rows, 0.0)
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, asked), (tantivy.Occur.Must, unscored)]
        )

    def _term(self, term: Term) -> tantivy.Query:
        words: list[str | tuple[int, str]] = [term_of(word) for word in term.words]
        last = term.words[-1]
        if term.is_prefix and not is_cjk(last):
            if len(last) > MAX_TERM_CHARS:
                raise CannotSayError("the prefix is longer than the terms of the index")
            # letters, digits, marks and _: none means anything in a regular expression
            beginning = f"{last}.*"
            if len(words) == 1:
                return tantivy.Query.regex_query(self._schema, "text", beginning)
            return tantivy.Query.regex_phrase_query(self._schema, "text", [*words[:-1], beginning])
        if len(words) == 1:
            return tantivy.Query.term_query(self._schema, "text", words[0])
        return tantivy.Query.phrase_query(self._schema, "text", words)


class Ranking:
    """The rows that match, best first; of equal ones, the first row first.

    Only those around the page that is asked for are fetched.
    """

    def __init__(
        self, searcher: tantivy.Searcher, asked: tantivy.Query, *, is_scored: bool, is_steady: bool
    ) -> None:
        self._searcher = searcher
        self._asked = asked
        self._is_scored = is_scored
        self._is_steady = is_steady
        self._lock = threading.Lock()
        result = searcher.search(asked, limit=1, count=True)
        # the stub leaves the count out
        self.total = int(result.count)  # type: ignore[attr-defined]
        self._start = 0
        self._rows: _Rows = np.empty(0, np.int64)

    def page(self, offset: int, limit: int) -> _Rows:
        """Return ``limit`` rows from ``offset`` on, or those there are."""
        end = min(offset + limit, self.total)
        start = min(offset, end)
        margin = _MARGIN
        with self._lock:
            while start < self._start or end > self._start + len(self._rows):
                low = max(start - margin, 0) if self._is_steady else 0
                self._fetch(low, min(end + margin, self.total))
                margin *= 8
            return self._rows[start - self._start : end - self._start]

    @property
    def num_bytes(self) -> int:
        """What the fetched rows take."""
        return self._rows.nbytes

    def all(self) -> _Rows:
        """Return all rows."""
        return self.page(0, self.total)

    def _fetch(self, low: int, high: int) -> None:
        """Fetch what comes between two places, as far as its order is sure."""
        if not self._is_scored:
            found = self._searcher.search(
                self._asked,
                limit=high - low,
                count=False,
                offset=low,
                order_by_field="row",
                order=tantivy.Order.Asc,
            )
            self._start = low
            self._rows = np.fromiter((row for row, _ in found.hits), np.int64, len(found.hits))
            return
        hits = self._searcher.search(self._asked, limit=high - low, count=False, offset=low).hits
        scores = np.fromiter((score for score, _ in hits), np.float64, len(hits))
        places = [place for _, place in hits]
        rows = np.array(self._searcher.fast_field_values("row", places), np.int64)
        order = np.lexsort((rows, -scores))
        # which of the equal ones at either end were fetched is chance
        first = np.count_nonzero(scores == scores.max()) if low else 0
        last = np.count_nonzero(scores > scores.min()) if high < self.total else len(rows)
        self._start = low + int(first)
        self._rows = rows[order[first:last]]


def read_receipt(folder: Path) -> IndexReceipt | None:
    """Return what the index in ``folder`` was made of; None when there is no whole index."""
    try:
        return IndexReceipt.model_validate_json((folder / RECEIPT_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def index_stamp(folder: Path) -> tuple[int, int] | None:
    """Return what changes with the index in ``folder``; None when there is no whole index."""
    try:
        found = (folder / RECEIPT_NAME).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def open_index(folder: Path, wanted: IndexReceipt) -> TextIndex | None:
    """Open the index in ``folder``; None when it is missing, stale or damaged."""
    if read_receipt(folder) != wanted:
        return None
    try:
        return TextIndex(folder) if os.access(folder, os.W_OK) else _open_through_links(folder)
    except (OSError, ValueError) as error:
        _log.warning("the text index cannot be opened: %s", type(error).__name__)
        return None


def _open_through_links(folder: Path) -> TextIndex:
    """Open an index where nothing can be written: tantivy makes a lock file beside what it reads.

    All files are mapped when it is open, so the links may go.
    """
    with tempfile.TemporaryDirectory(prefix="mistudio-index-") as links:
        for path in folder.iterdir():
            if path.suffix != ".lock":
                (Path(links) / path.name).symlink_to(path)
        return TextIndex(Path(links))


class _Feeder:
    """Hands rows to the writer's thread, and waits where too much would pile up.

    The writer takes 10,000 rows before it makes the caller wait, whatever their size.
    """

    def __init__(self, writer: tantivy.IndexWriter) -> None:
        self._writer = writer
        self._queued: deque[int] = deque(maxlen=_QUEUE_DOCS)
        self._queued_bytes = 0

    def add(self, row: int, terms: str) -> None:
        document = tantivy.Document()
        document.add_text("text", terms)
        document.add_integer("row", row)
        self._writer.add_document(document)
        if len(self._queued) == _QUEUE_DOCS:
            self._queued_bytes -= self._queued[0]
        self._queued.append(len(terms))
        self._queued_bytes += len(terms)
        if self._queued_bytes >= _QUEUE_BYTES:
            self._writer.commit()
            self._queued.clear()
            self._queued_bytes = 0


def _feed(feeder: _Feeder, first_row: int, array: pa.Array, progress: Progress) -> None:
    step = 256
    for start in range(0, len(array), step):
        some = array.slice(start, step)
        for number, terms in enumerate(terms_of_rows(some)):
            feeder.add(first_row + start + number, terms)
        progress.advance(some.nbytes)


def _writer(folder: Path) -> tantivy.IndexWriter:
    schema = (
        tantivy.SchemaBuilder()
        .add_text_field("text", stored=False, tokenizer_name="whitespace", index_option="position")
        .add_integer_field("row", stored=False, indexed=False, fast=True)
        .build()
    )
    try:
        # one thread: rows stay in order, and the rest of the machine stays free
        return tantivy.Index(schema, path=str(folder)).writer(_HEAP_BYTES, 1)
    except (OSError, ValueError) as error:
        raise _unwritable(error) from error


def _join(writer: tantivy.IndexWriter, progress: Progress) -> None:
    """Wait until the parts that are being joined are; a cancel waits for nothing."""
    done = threading.Event()
    errors: list[ValueError] = []

    def wait() -> None:
        try:
            writer.wait_merging_threads()
        except ValueError as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=wait, name="mistudio-index-join", daemon=True).start()
    while not done.wait(0.05):
        progress.check()
    if errors:
        raise _unwritable(errors[0]) from errors[0]


def _let_others_read(folder: Path) -> None:
    """Give all files the folder's permissions; tantivy keeps some for their owner alone."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            path.chmod(folder.stat().st_mode & 0o666)


def _unwritable(error: Exception) -> StorageError:
    # tantivy's own words hold absolute paths
    if "No space left" in str(error) or "StorageFull" in str(error):
        return InsufficientDiskSpaceError(
            "The text index could not be written: the disk is full.",
            required_bytes=0,
            available_bytes=0,
            hint="Delete datasets that are no longer needed, then build the index again.",
        )
    return StorageError(
        "The text index could not be written: its folder is gone or cannot be written to.",
        hint="Check the data folder's permissions and disk, then build the index again.",
    )
