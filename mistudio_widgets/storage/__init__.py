"""The data folder: where things lie, how they appear and disappear.

    catalog.duckdb, catalog.lock, catalog.version
    owners/<owner_id>.lock
    jobs/<job_id>.json
    datasets/ds_<uuid4>/partial/  raw/  originals/  manifest.json
                        text_index/  text_index.partial/  text_index.unwanted
                        tokenized/tok_<16 hex>/  tokenized/tok_<...>.partial/
    staging/<job_id>/
    damaged/<time>/             catalogs that could not be read, kept when a new one was made

Whatever is unfinished lies in ``staging`` or in a ``.partial`` folder and becomes visible by one
rename. A dataset is complete when its manifest is there, a tokenization when its receipt is.

folder   `Storage`, the paths of one data folder
files    files and folders, wherever they are
"""

from .files import (
    disk_errors,
    format_bytes,
    fsync_dir,
    fsync_file,
    newest_change_at,
    removal_bytes,
    remove_tree,
    sha256_of,
    tree_bytes,
    write_atomic,
)
from .folder import LOW_DISK_SHARE, RESERVE_BYTES, RESERVE_SHARE, Space, Storage, default_data_dir

__all__ = [
    "LOW_DISK_SHARE",
    "RESERVE_BYTES",
    "RESERVE_SHARE",
    "Space",
    "Storage",
    "default_data_dir",
    "disk_errors",
    "format_bytes",
    "fsync_dir",
    "fsync_file",
    "newest_change_at",
    "removal_bytes",
    "remove_tree",
    "sha256_of",
    "tree_bytes",
    "write_atomic",
]
