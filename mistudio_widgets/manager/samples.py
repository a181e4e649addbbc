"""The methods that look into the data: samples, their tokens, statistics of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from .. import encoders
from ..errors import CorruptFileError, InvalidRequestError
from ..progress import Progress
from ..records import (
    ColumnStatistics,
    Page,
    Sample,
    SampleSpan,
    TokenizationRecord,
    TokenView,
)
from ..samples import (
    Mask,
    Query,
    Row,
    check_range,
    describe_splits,
    parse,
    rows_within,
)
from .checks import check_split, check_text, must_be_ready, whole_number
from .index_work import index_receipt
from .looking import Looked, Looking
from .previews import PreviewMethods
from .question import is_known, question
from .searching import Searched, Searching
from .shared_work import SharedWork
from .shown import shown_sample, spelled
from .tokenizations import TokenizationMethods

_MAX_TOKENS: Final = 5_000
_MAX_SPANS: Final = 1_000
_MAX_SHOWN: Final = 60


class SampleMethods(TokenizationMethods, PreviewMethods):
    """What can be seen of the data."""

    def _begin(self) -> None:
        super()._begin()
        self._looking = Looking(self._parts)
        self._searching = Searching(self._replace_index)
        self._describing: SharedWork[ColumnStatistics] = SharedWork("mistudio-columns")
        self._at_close += [self._describing.close, self._searching.close, self._looking.close]

    def _let_go(self, dataset_id: str) -> None:
        super()._let_go(dataset_id)
        self._searching.forget(dataset_id)

    @question
    def samples(
        self,
        dataset_id: str,
        *,
        split: str | None = None,
        search: str | None = None,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        tokenization_id: str | None = None,
        limit: int = 10,
        offset: int = 0,
        exact_total: bool = True,
        progress: Progress | None = None,
    ) -> Page[Sample]:
        """Return samples of a dataset, from any offset at the same cost.

        Parameters
        ----------
        dataset_id : str
        split : str, optional
            Default: all, one after another.
        search : str, optional
            Words that must all occur, ``"a phrase"``, ``prefix*``, ``-without``, ``this OR
            that``; cases are equal, and of Chinese and Japanese every character is a word. With a
            full-text index in no time and best first, else by reading, in row order.
        min_tokens, max_tokens : int, optional
            Only samples with so many tokens, both ends included. Where the dataset has no
            tokenization, characters count; the first such question reads all texts once.
        tokenization_id : str, optional
            Whose tokens count; default: the newest that is ready. Samples that it dropped have
            none.
        limit : int, 1..100
        offset : int
        exact_total : bool
            False: where a search reads, return as soon as the page is known, and go on counting.
        progress : Progress, optional
            Ends the question with `JobCancelled` once it is cancelled.

        Returns
        -------
        Page of Sample
            ``total`` is exact; None while it is still counted for ``exact_total=False``, in which
            case asking again tells.

        Raises
        ------
        InvalidRequestError
            The dataset is not ready, there is no such split, the range means nothing, or the
            search has no word.
        CorruptFileError
            A file is gone or damaged.
        InterruptedJobError
            The manager is closed.
        NotFoundError

        *Threads:* any; several questions do not wait for each other.
        """
        self._must_be_open()
        progress = progress or Progress()
        limit = whole_number(limit, "limit", least=1, most=100)
        offset = whole_number(offset, "offset")
        asked = _asked(split, min_tokens, max_tokens)
        if search is not None:
            check_text(search, "search")
        query = _query(search or "")
        looked = self._looked(dataset_id)
        counted_by = self._counted_by(dataset_id, tokenization_id)
        page = partial(self._page, looked, query, asked, limit, offset, exact_total, progress)
        try:
            return page(counted_by)
        except CorruptFileError:
            if tokenization_id is not None or counted_by is None:
                raise
            if is_known(self._parts, counted_by.id):
                raise
            # deleted meanwhile, and nobody asked for that one
            return page(self._counted_by(dataset_id, None))

    def _page(  # noqa: PLR0917 -- the parts of a question
        self,
        looked: Looked,
        query: Query,
        asked: _Asked,
        limit: int,
        offset: int,
        exact_total: bool,  # noqa: FBT001
        progress: Progress,
        counted_by: TokenizationRecord | None,
    ) -> Page[Sample]:
        split = asked.known_split(looked)
        span = looked.files.span(split)
        mask = None
        if asked.has_range:
            mask = self._mask(looked, split, counted_by, asked, progress)
        if not query.is_empty:
            with self._parts.journal.meter.query("search"):
                found = self._searching.find(
                    self._searched(looked, split),
                    query,
                    offset=offset,
                    limit=limit,
                    mask=mask,
                    exact_total=exact_total,
                    progress=progress,
                )
            rows, total = found.rows.tolist(), found.total
        elif mask is not None:
            hits = np.flatnonzero(mask)
            rows, total = (hits[offset : offset + limit] + span.start).tolist(), len(hits)
        else:
            rows, total = list(span[offset : offset + limit]), len(span)
        items = self._read(looked, rows, counted_by, query, progress)
        return Page(items=items, total=total, limit=limit, offset=offset)

    @question
    def sample_tokens(
        self, tokenization_id: str, split: str, row: int, *, progress: Progress | None = None
    ) -> TokenView:
        """Show what became of a sample.

        Parameters
        ----------
        tokenization_id : str
        split : str
        row : int
            Within the split of the dataset.
        progress : Progress, optional
            As for `samples`.

        Raises
        ------
        InvalidRequestError
            The tokenization is not ready, or there is no such split or row.
        CorruptFileError
            Its files are not there as the receipt says.
        InterruptedJobError
            The manager is closed.
        NotFoundError
        """
        self._must_be_open()
        row = whole_number(row, "row", least=None)
        record = self._ready_tokenization(tokenization_id)
        check_split(split, record.splits)
        num_rows = self._view.dataset(record.dataset_id).split_info.get(split, 0)
        if not 0 <= row < num_rows:
            raise InvalidRequestError(
                f"row: the split has no row {row}.",
                field="row",
                hint=f"It has {num_rows:,} rows, the first is 0.",
            )
        found = self._looking.token_split(record, split, progress or Progress())
        sample = found.sample_of(row)
        ids = found.ids(sample, _MAX_TOKENS) if sample is not None else []
        return TokenView(
            tokenization_id=record.id,
            tokenizer_name=record.tokenizer_name,
            split=split,
            row=row,
            is_dropped=sample is None,
            tokens=spelled(ids, self._tokenizer_of(record)),
            num_tokens=found.num_tokens(sample) if sample is not None else 0,
            spans=tuple(found.spans(sample, _MAX_SPANS)) if sample is not None else (),
        )

    @question
    def sequence_samples(
        self, tokenization_id: str, split: str, sequence: int, *, progress: Progress | None = None
    ) -> list[SampleSpan]:
        """Return which samples stand in a sequence, in the order of its positions.

        Raises
        ------
        InvalidRequestError
            The tokenization is not ready, or there is no such split or sequence.
        CorruptFileError
            Its files are not there as the receipt says.
        InterruptedJobError
            The manager is closed.
        NotFoundError
        """
        self._must_be_open()
        sequence = whole_number(sequence, "sequence", least=None)
        record = self._ready_tokenization(tokenization_id)
        check_split(split, record.splits)
        return self._looking.token_split(record, split, progress or Progress()).samples_in(sequence)

    @question
    def column_statistics(
        self, dataset_id: str, *, progress: Progress | None = None
    ) -> ColumnStatistics:
        """Return how long the texts are, how many are empty and how many come again.

        All texts are read once, in a thread that all who ask share; then the catalog knows, or,
        where it may not be written, this manager.

        Raises
        ------
        InvalidRequestError
            The dataset is not ready.
        CorruptFileError
            A file is gone or damaged.
        InterruptedJobError
            The manager is closed.
        NotFoundError
        """
        self._must_be_open()
        progress = progress or Progress()
        looked = self._looked(dataset_id)
        key = (dataset_id, looked.content_sha256)
        kept = self._looking.statistics.get(key)
        if kept is None:
            with self._parts.catalog.read() as reader:
                kept = reader.find_column_statistics(*key) if reader else None
        if kept is None:
            return self._describing.ask(key, lambda inner: self._describe(looked, inner), progress)
        return self._looking.statistics.put(key, kept)

    def _describe(self, looked: Looked, progress: Progress) -> ColumnStatistics:
        record = self._view.dataset(looked.dataset_id)
        splits, lengths = describe_splits(looked.files, progress)
        self._looking.keep_characters(looked, lengths)
        found = ColumnStatistics(
            dataset_id=looked.dataset_id,
            columns=record.columns,
            text_column=record.text_column,
            splits=splits,
        )
        self._looking.statistics.put((looked.dataset_id, looked.content_sha256), found)
        if not self._parts.read_only:
            with self._parts.catalog.write() as writer:
                writer.put_column_statistics(found, looked.content_sha256)
        return found

    def _looked(self, dataset_id: str) -> Looked:
        must_be_ready(self._view.dataset(dataset_id))
        return self._looking.dataset(dataset_id)

    def _searched(self, looked: Looked, split: str | None) -> Searched:
        return Searched(
            looked.dataset_id,
            looked.files,
            self._parts.storage.index_dir(looked.dataset_id),
            index_receipt(looked.manifest),
            split,
        )

    def _counted_by(
        self, dataset_id: str, tokenization_id: str | None
    ) -> TokenizationRecord | None:
        """Return the tokenization whose tokens count."""
        if tokenization_id is None:
            known = self._view.tokenizations(dataset_id)
            return next((record for record in known if record.status == "ready"), None)
        record = self._ready_tokenization(tokenization_id)
        if record.dataset_id != dataset_id:
            raise InvalidRequestError(
                f"Tokenization {tokenization_id} is of another dataset.",
                field="tokenization_id",
                hint="See list_tokenizations(dataset_id).",
            )
        return record

    def _mask(
        self,
        looked: Looked,
        split: str | None,
        tokenization: TokenizationRecord | None,
        asked: _Asked,
        progress: Progress,
    ) -> Mask:
        """Tell which rows of a split, or of all one after another, have an asked-for length."""
        masks = []
        for name in looked.files.splits if split is None else [split]:
            progress.check()
            if tokenization is None:
                lengths = self._looking.characters(looked, name, progress)
            else:
                lengths = self._looking.tokens(tokenization, name, looked.files.num_rows[name])
            masks.append(rows_within(lengths, asked.min_tokens, asked.max_tokens))
        return np.concatenate(masks) if masks else np.zeros(0, dtype=np.bool_)

    def _read(
        self,
        looked: Looked,
        rows: Sequence[int],
        tokenization: TokenizationRecord | None,
        query: Query,
        progress: Progress,
    ) -> tuple[Sample, ...]:
        """Read global rows as samples, in the order given."""
        places = [looked.files.split_of(row) for row in rows]
        lengths = {}
        if tokenization is not None:
            for split in {split for split, _ in places}:
                num_rows = looked.files.num_rows[split]
                lengths[split] = self._looking.tokens(tokenization, split, num_rows)

        def show(row: Row) -> Sample:
            return shown_sample(row, lengths.get(row.split), query)

        return tuple(self._looking.rows.read(looked.files, places, show, progress))

    def _tokenizer_of(self, record: TokenizationRecord) -> encoders.Tokenizer | None:
        """Return the tokenizer that made a tokenization; None when it is not there as it was."""
        # a read-only manager shows the tokenizer's name in place of its path
        stored = next(
            (item for item in self._view.stored_tokenizations() if item.id == record.id), record
        )
        tokenizer = self._recalled(stored)
        is_same = tokenizer is not None and tokenizer.sha256 == record.tokenizer_sha256
        return tokenizer if is_same else None


@dataclass(frozen=True)
class _Asked:
    """What `samples` was asked for; its names are those of the method."""

    split: str | None
    min_tokens: int | None
    max_tokens: int | None

    @property
    def has_range(self) -> bool:
        return self.min_tokens is not None or self.max_tokens is not None

    def known_split(self, looked: Looked) -> str | None:
        """Return the split, None for all; "all" is a name only where a split has it."""
        splits = looked.files.splits
        if self.split is None or (self.split == "all" and "all" not in splits):
            return None
        check_split(self.split, dict.fromkeys(splits))
        return self.split


def _query(search: str) -> Query:
    query = parse(search)
    if query.is_empty and search.strip():
        shown = search.strip()[:_MAX_SHOWN]
        raise InvalidRequestError(
            f"search: {shown!r} has no word to look for.",
            field="search",
            hint="A word is made of letters, digits and underscores.",
        )
    return query


def _asked(split: str | None, min_tokens: int | None, max_tokens: int | None) -> _Asked:
    """Raise `InvalidRequestError` for what means nothing in any dataset."""
    if split is not None:
        check_text(split, "split")
    if min_tokens is not None:
        min_tokens = whole_number(min_tokens, "min_tokens")
    if max_tokens is not None:
        max_tokens = whole_number(max_tokens, "max_tokens")
    check_range(min_tokens, max_tokens)
    return _Asked(split, min_tokens, max_tokens)
