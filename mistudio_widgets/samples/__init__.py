"""Looking into the data: pages at any offset, filters, search, statistics.

filemap     `FileMap`: where rows lie, and the text column in row order
pages       `RowReader`: rows by their numbers
cells       any value to plain JSON of bounded size
"""

from .filemap import FileMap, Render
from .pages import Row, RowReader

__all__ = ["FileMap", "Render", "Row", "RowReader"]
