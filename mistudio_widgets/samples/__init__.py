"""Looking into the data: pages at any offset, filters, search, statistics.

filemap     `FileMap`: where rows lie, and the text column in row order
pages       `RowReader`: rows by their numbers
cells       any value to plain JSON of bounded size
lengths     tokens or characters of each row, and which rows are within a range
sequences   `TokenSplit`: from a sample to its tokens and sequences, and back
columns     `describe_splits`: what the text column is like
"""

from .columns import describe_splits
from .filemap import FileMap, Render, Rows
from .lengths import (
    NO_LENGTH,
    Lengths,
    Mask,
    check_range,
    count_characters,
    read_token_lengths,
    rows_within,
)
from .pages import Row, RowReader
from .sequences import TokenSplit, Windows, has_one_sequence_each, sum_mask

__all__ = [
    "NO_LENGTH",
    "FileMap",
    "Lengths",
    "Mask",
    "Render",
    "Row",
    "RowReader",
    "Rows",
    "TokenSplit",
    "Windows",
    "check_range",
    "count_characters",
    "describe_splits",
    "has_one_sequence_each",
    "read_token_lengths",
    "rows_within",
    "sum_mask",
]
