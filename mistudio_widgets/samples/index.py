"""Search by an index: asked in milliseconds; how it is built says `index_build`.

    index.json      the receipt: what the index was made of; written last
    sums.json       size and CRC-32 of tantivy's files, which does not look at them itself
    meta.json, ...  tantivy's own files; the texts are not among them

The terms of the index are those of `samples.text`, so it finds the rows that a scan finds. A
build that was stopped leaves a folder without a receipt; the next one starts over.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import tantivy
from pydantic import ValidationError

from ..records import Record
from .query import Group, Query, Term
from .sums import has_its_sums
from .text import MAX_TERM_CHARS, UNICODE_VERSION, is_cjk, term_of

RECEIPT_NAME: Final = "index.json"
_MARGIN: Final = 1024
# "tantivy v0.27.0, index_format v7"
_FORMAT: Final = str(vars(tantivy)["__version__"]).rpartition(" ")[2]

_Rows = npt.NDArray[np.int64]


class IndexReceipt(Record):
    """What an index was made of; with another one it is stale.

    Attributes
    ----------
    files : tuple of str
        Split, rows and sha256 of each file, in the order of the rows.
    unicode_version, tantivy_format : str
        What decides which characters are letters, and how the files are to be read.
    """

    format: Literal[2] = 2
    files: tuple[str, ...]
    text_column: str
    unicode_version: str = UNICODE_VERSION
    tantivy_format: str = _FORMAT


class CannotSayError(Exception):
    """The index does not know; a scan does."""


class BrokenOffError(CannotSayError):
    """Tantivy panicked over the question: the index may be damaged."""


class DamagedIndexError(Exception):
    """The files of an index are not what they were."""


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
            too many words have in a phrase. `BrokenOffError`: it could not be read.
        """
        is_scored = any(len(term.words) > 1 or not term.is_prefix for term in query.required)
        # the scores of several groups are added in an order that depends on how many are fetched
        is_steady = not is_scored or len(query.groups) == 1
        with _asking():
            asked = self._any_of([self._group(group) for group in query.groups])
            if span is not None:
                asked = self._within(asked, span)
            return Ranking(self._searcher, asked, is_scored=is_scored, is_steady=is_steady)

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

    def has_ranked(self, ranking: Ranking) -> bool:
        """Whether a ranking is one of this index's, and good as long as it is."""
        return ranking.searcher is self._searcher

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
        self.searcher = searcher
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
        """Return ``limit`` rows from ``offset`` on, or those there are.

        Raises
        ------
        CannotSayError
            They could not be read.
        """
        end = min(offset + limit, self.total)
        start = min(offset, end)
        margin = _MARGIN
        with self._lock, _asking():
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
            found = self.searcher.search(
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
        hits = self.searcher.search(self._asked, limit=high - low, count=False, offset=low).hits
        scores = np.fromiter((score for score, _ in hits), np.float64, len(hits))
        places = [place for _, place in hits]
        rows = np.array(self.searcher.fast_field_values("row", places), np.int64)
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
    """Open the index in ``folder``; None when it is missing or stale.

    Raises
    ------
    DamagedIndexError
        It is neither, and yet cannot be used.
    """
    if read_receipt(folder) != wanted:
        return None
    try:
        if has_its_sums(folder):
            with _asking():
                return TextIndex(folder) if os.access(folder, os.W_OK) else _through_links(folder)
    except (OSError, CannotSayError) as error:
        raise DamagedIndexError from error
    raise DamagedIndexError


def _through_links(folder: Path) -> TextIndex:
    """Open an index where nothing can be written: tantivy makes a lock file beside what it reads.

    All files are mapped when it is open, so the links may go.
    """
    with tempfile.TemporaryDirectory(prefix="mistudio-index-") as links:
        for path in folder.iterdir():
            if path.suffix != ".lock":
                (Path(links) / path.name).symlink_to(path)
        return TextIndex(Path(links))


@contextmanager
def _asking() -> Iterator[None]:
    """Map what goes wrong in tantivy."""
    try:
        yield
    except ValueError as error:
        raise CannotSayError(str(error)) from error
    except BaseException as error:
        # a panic of Rust's is no Exception, and its class can be imported from nowhere
        if type(error).__name__ == "PanicException":
            raise BrokenOffError from error
        raise
