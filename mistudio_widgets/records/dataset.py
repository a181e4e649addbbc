"""Datasets: what the catalog knows of them, and what lies beside their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Generic, Literal, get_args

from pydantic import Field

from ..errors import CatalogError
from ._base import DatasetId, PageItem, Record, UtcDatetime
from .metadata import DatasetMetadata

Source = Literal["huggingface", "local", "custom"]
StoredStatus = Literal["downloading", "processing", "ready", "error"]
DatasetStatus = Literal["downloading", "processing", "tokenizing", "ready", "error"]
CleanupKind = Literal["partial", "index", "orphan"]

CLEANUP_KINDS: Final[tuple[CleanupKind, ...]] = get_args(CleanupKind)

TRANSITIONS: Final[Mapping[StoredStatus, frozenset[StoredStatus]]] = {
    "downloading": frozenset({"processing", "error"}),
    "processing": frozenset({"ready", "error"}),
    # a damaged dataset goes to error first; only from there it is fetched or read again
    "ready": frozenset({"error"}),
    "error": frozenset({"downloading", "processing", "ready"}),
}
"""Which status may follow which. ``tokenizing`` is not stored: it is a ready dataset with a
live tokenization job. error -> ready is a retry that finds the data whole."""


def check_transition(old: StoredStatus, new: StoredStatus) -> None:
    """Raise `CatalogError` unless `TRANSITIONS` allows ``old`` to become ``new``."""
    if new not in TRANSITIONS[old]:
        raise CatalogError(f"A dataset cannot go from {old} to {new}.")


class DatasetRecord(Record):
    """One dataset, as the catalog knows it.

    Attributes
    ----------
    splits : tuple of str or None
        The splits that were asked for; None for all.
    progress : float
        0..100 over the running job; 100 when ready.
    size_bytes : int or None
        The dataset's data files on disk.
    split_info : dict
        Rows per split.
    file_path, tokenized_path : str or None
        Folders; None before they exist, and always None in a read-only manager.
    num_tokens, vocab_size, avg_sequence_length
        Of the newest ready tokenization. ``vocab_size`` is the tokenizer's; the average is in
        tokens per sample.
    """

    id: DatasetId
    name: str
    source: Source
    repo_id: str | None = None
    config: str | None = None
    splits: tuple[str, ...] | None = None
    revision: str | None = None
    commit: str | None = None
    description: str | None = None
    status: DatasetStatus
    progress: float = Field(default=0.0, ge=0, le=100)
    error_code: str | None = None
    error_message: str | None = None
    hint: str | None = None
    size_bytes: int | None = None
    num_samples: int | None = None
    split_info: dict[str, int] = {}
    text_column: str | None = None
    columns: dict[str, str] = {}
    file_path: str | None = None
    tokenized_path: str | None = None
    num_tokens: int | None = None
    vocab_size: int | None = None
    avg_sequence_length: float | None = None
    created_at: UtcDatetime
    updated_at: UtcDatetime
    metadata: DatasetMetadata = DatasetMetadata()
    num_tokenizations: int = 0
    in_use_by: tuple[str, ...] = ()


class Page(Record, Generic[PageItem]):
    """Some of ``total`` items, from ``offset`` on.

    ``total`` is None only where `DatasetManager.samples` says so: while it is still counted.
    """

    items: tuple[PageItem, ...]
    total: int | None
    limit: int
    offset: int


class DataFile(Record):
    """One Parquet file of a dataset; ``path`` is relative to the dataset's folder."""

    path: str
    split: str
    size_bytes: int
    sha256: str
    num_rows: int


class OriginalFile(Record):
    """A file of the repository, kept beside what was made of it; ``path`` as for `DataFile`."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(Record):
    """``manifest.json``: the whole dataset, so that the catalog can be rebuilt from it.

    Attributes
    ----------
    originals : tuple of OriginalFile
        What ``keep_originals`` kept; empty where the repository's own files are the data.
    """

    format: Literal[1] = 1
    dataset: DatasetRecord
    files: tuple[DataFile, ...]
    originals: tuple[OriginalFile, ...] = ()


class DownloadPlan(Record):
    """What a download would fetch, before a byte of data is fetched.

    Attributes
    ----------
    configs : dict
        Every config of the repository with its splits.
    files : tuple of str
        Paths in the repository that would be fetched.
    download_bytes : int
        Bytes of these files; two with the same content are fetched once.
    cached_bytes : int
        How many of them the user's own HuggingFace cache saves.
    disk_bytes : int
        What the download newly needs at most on disk, conversion included. What the HuggingFace
        cache has on the same disk is linked, and needs nothing; on another disk it is copied.
    fits : bool
        Whether ``free_bytes`` holds that and keeps the reserve.
    num_samples : int or None
        Rows, when the dataset card tells them.
    """

    repo_id: str
    commit: str
    configs: dict[str, tuple[str, ...]]
    config: str | None
    splits: tuple[str, ...]
    files: tuple[str, ...]
    download_bytes: int
    cached_bytes: int
    disk_bytes: int
    free_bytes: int
    fits: bool
    num_samples: int | None
    gated: bool
    description: str | None


class VerifyReport(Record):
    """What `DatasetManager.verify` found.

    Attributes
    ----------
    num_files, num_bytes : int
        What was hashed: the dataset's data files and those of its tokenizations.
    damaged : tuple of str
        Files that are missing or hold other bytes than they did, relative to the dataset's
        folder; empty when all is well.
    """

    dataset_id: DatasetId
    num_files: int
    num_bytes: int
    damaged: tuple[str, ...]


class RebuildReport(Record):
    """What `DatasetManager.rebuild` found.

    Attributes
    ----------
    datasets, tokenizations : tuple of str
        Ids of what the catalog did not know and does now.
    damaged : tuple of str
        Ids of what is shown as an error now, because its files are not there.
    set_aside : str or None
        Where the catalog that could not be read lies now.
    """

    datasets: tuple[str, ...]
    tokenizations: tuple[str, ...]
    damaged: tuple[str, ...]
    set_aside: str | None


class StorageReport(Record):
    """The disk under the data folder.

    Attributes
    ----------
    used_bytes : int
        What the data folder holds.
    reserve_bytes : int
        What is always kept free: the larger of 5 % of the disk and 2 GiB.
    is_low : bool
        Whether more than 80 % of the disk is used, or less than the reserve is free.
    reclaimable_bytes : int or None
        What `DatasetManager.cleanup` would free; None where it was not measured, as in a
        read-only manager. At most a minute old.
    data_dir : str or None
        None in a read-only manager.
    """

    data_dir: str | None
    used_bytes: int
    free_bytes: int
    total_bytes: int
    reserve_bytes: int
    is_low: bool
    num_datasets: int
    reclaimable_bytes: int | None = None
