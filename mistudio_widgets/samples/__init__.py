"""Looking into the data: pages at any offset, filters, search, statistics.

filemap     `FileMap`: where rows lie, and the text column in row order
pages       `RowReader`: rows by their numbers
cells       any value to plain JSON of bounded size
text        what a word is
query       the search language: `parse`
pattern     a query's terms as regular expressions of RE2
scan        search by reading, in row order
index       search by a full-text index, ranked
"""

from .filemap import FileMap, Render
from .index import (
    DISK_SHARE,
    CannotSayError,
    IndexReceipt,
    Ranking,
    TextIndex,
    build_index,
    index_stamp,
    open_index,
    read_receipt,
)
from .pages import Row, RowReader
from .query import Query, parse
from .scan import ScannedBatch, scan

__all__ = [
    "DISK_SHARE",
    "CannotSayError",
    "FileMap",
    "IndexReceipt",
    "Query",
    "Ranking",
    "Render",
    "Row",
    "RowReader",
    "ScannedBatch",
    "TextIndex",
    "build_index",
    "index_stamp",
    "open_index",
    "parse",
    "read_receipt",
    "scan",
]
