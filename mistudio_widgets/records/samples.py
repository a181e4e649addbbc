"""What is seen of the data: samples, their tokens, and what the text is like."""

from __future__ import annotations

from typing import Any, Literal

from ._base import DatasetId, Record, TokenizationId
from .tokenization import HistogramBucket


class Cell(Record):
    r"""A value of a table, fit to be shown: plain JSON of bounded size.

    Attributes
    ----------
    value : any JSON
        Numbers, texts, lists and objects as they are. What JSON cannot say is text: times in ISO
        8601, decimals and integers from 2**53 on in digits, ``NaN`` and ``Infinity`` by name,
        bytes as ``b"\x89PNG…"``.
    size : int or None
        How large the whole value is, in ``unit``, told for texts, bytes and lists.
    is_cut : bool
        Whether ``value`` is less than the whole.
    """

    value: Any
    size: int | None = None
    unit: Literal["characters", "bytes", "items"] | None = None
    is_cut: bool = False


class Sample(Record):
    r"""One row of a dataset.

    Attributes
    ----------
    row : int
        Within its split.
    text : str or None
        The text column, conversations in plain form; at most 10,000 characters. None for null
        and for what is no text. Bytes that are not UTF-8 are shown as ``\\xed``.
    text_start : int
        Which character of the whole text ``text`` begins with: 0, but for a hit far behind.
    columns : dict
        The other columns; also the text column when it holds conversations.
    num_chars : int or None
        Characters of the whole text, in Unicode code points.
    num_tokens : int or None
        Tokens of the sample in the tokenization; None where it has none, or dropped the sample.
    highlights : tuple of pairs of int
        Where ``text`` (as it is here) matches the search: start and end.
    """

    split: str
    row: int
    text: str | None
    text_start: int = 0
    columns: dict[str, Cell]
    num_chars: int | None
    num_tokens: int | None
    highlights: tuple[tuple[int, int], ...] = ()


class SampleSpan(Record):
    """A stretch of a sequence that comes from one sample.

    Attributes
    ----------
    sequence : int
        Which sequence of the split.
    start, end : int
        Positions in the sequence, end excluded.
    first_token : int
        Which of the sample's tokens stands at ``start``.
    """

    split: str
    row: int
    sequence: int
    start: int
    end: int
    first_token: int


class SampleToken(Record):
    r"""A token of a sample.

    Attributes
    ----------
    text : str or None
        What it stands for, a piece of a character as its bytes (``\xe6``); None when the
        tokenizer is not there any more.
    """

    id: int
    text: str | None
    type: Literal["special", "regular"] | None


class TokenView(Record):
    """What became of a sample.

    Attributes
    ----------
    is_dropped : bool
        Whether the tokenization dropped the sample; then there are no tokens.
    tokens : tuple of SampleToken
        The first 5000, as they stand in the sequences; with ``stride`` and mode "per_sample",
        those that stand in two sequences come twice.
    num_tokens : int
    spans : tuple of SampleSpan
        Where they stand, in the order of the sequences; at most 1000.
    """

    tokenization_id: TokenizationId
    tokenizer_name: str
    split: str
    row: int
    is_dropped: bool
    tokens: tuple[SampleToken, ...]
    num_tokens: int
    spans: tuple[SampleSpan, ...]


class CharacterStatistics(Record):
    """How long texts are, in characters; the median of an even number is the mean of two."""

    min: int
    median: float
    mean: float
    max: int
    histogram: tuple[HistogramBucket, ...]


class SplitColumns(Record):
    """One split of a dataset.

    Attributes
    ----------
    characters : CharacterStatistics or None
        Of all texts; None when there is none.
    num_null, num_empty : int
        Rows without text (null, or no text at all), and rows whose text has no character.
    num_duplicates : int
        Rows whose text stands in another row before.
    """

    num_rows: int
    characters: CharacterStatistics | None
    num_null: int
    num_empty: int
    num_duplicates: int


class ColumnStatistics(Record):
    """What the columns of a dataset hold.

    Attributes
    ----------
    columns : dict
        Type of each column.
    text_column : str or None
        What the numbers are about.
    """

    dataset_id: DatasetId
    columns: dict[str, str]
    text_column: str | None
    splits: dict[str, SplitColumns]
