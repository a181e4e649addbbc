"""Looking into the data: pages at any offset, filters, search, statistics.

filemap     `FileMap`: where rows lie, and the text column in row order
pages       `RowReader`: rows by their numbers
chunks      `PageReader`: some pages of a large column chunk
footers     what a Parquet file's schema is made of, and a footer for a part of it
two_threads `map_in_two_threads`
thrift      the protocol in which footers and page headers are written
cells       any value to plain JSON of bounded size
lengths     tokens or characters of each row, and which rows are within a range
sequences   `TokenSplit`: from a sample to its tokens and sequences, and back
columns     `describe_splits`: what the text column is like
text        what a word is
query       the search language: `parse`
pattern     a query's terms as regular expressions of RE2
highlights  where a search stands in what is shown
scan        search by reading
index       search by a full-text index, ranked
index_build `build_index`
sums        whether files are as they were written
"""

from .columns import describe_splits
from .filemap import BATCH_BYTES, FileMap, Render, Rows
from .highlights import first_highlights
from .index import (
    BrokenOffError,
    CannotSayError,
    DamagedIndexError,
    IndexReceipt,
    Ranking,
    TextIndex,
    index_stamp,
    open_index,
    read_receipt,
)
from .index_build import DISK_SHARE, build_index
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
from .query import Query, parse
from .scan import matches
from .sequences import TokenSplit, Windows, has_one_sequence_each, sum_mask

__all__ = [
    "BATCH_BYTES",
    "DISK_SHARE",
    "NO_LENGTH",
    "BrokenOffError",
    "CannotSayError",
    "DamagedIndexError",
    "FileMap",
    "IndexReceipt",
    "Lengths",
    "Mask",
    "Query",
    "Ranking",
    "Render",
    "Row",
    "RowReader",
    "Rows",
    "TextIndex",
    "TokenSplit",
    "Windows",
    "build_index",
    "check_range",
    "count_characters",
    "describe_splits",
    "first_highlights",
    "has_one_sequence_each",
    "index_stamp",
    "matches",
    "open_index",
    "parse",
    "read_receipt",
    "read_token_lengths",
    "rows_within",
    "sum_mask",
]
