"""Files and tables of any supported format to Parquet.

results     `ImportResult`, `ImportedFile`
sources     `check_paths`; which files a request means
streams     bytes of a file: decompressed, counted, cancelled
schema      one schema for many tables
choice      which column holds the text, and why; `conversation_format`
division    rows to splits at random, exactly
writer      batches to Parquet files
text        text files by line, paragraph or document
delimited   csv, tsv
jsons       json, jsonl
json_field  rows below one key of a json file
columnar    parquet, arrow
archives    members of a tar, one after the other
webdataset  tar: neighbouring members of one key are a sample
files       `import_files`
tables      `import_table`, `check_table`
describe    `describe_parquet`
loaded      `import_loaded`: read by `datasets`, as a card says
"""

from .choice import conversation_format
from .describe import describe_parquet
from .files import import_files
from .loaded import Loader, import_loaded
from .results import ImportedFile, ImportResult
from .sources import check_paths
from .tables import check_table, import_table

__all__ = [
    "ImportResult",
    "ImportedFile",
    "Loader",
    "check_paths",
    "check_table",
    "conversation_format",
    "describe_parquet",
    "import_files",
    "import_loaded",
    "import_table",
]
