"""A Jupyter-native dataset manager for people who train interpretability models.

errors         every error, drawn as a tree
records        values: records, settings, snapshots
progress       how far a job is, and whether it should go on
packing        token runs to sequences, padding, windows, statistics
storage        the data folder
catalog        facts about what is on disk, in DuckDB
hub            all of HuggingFace
importer       files and tables to Parquet
encoders       tokenizers, and engines proved equal to the reference
samples        looking into the data: pages, filters, search
logs           the log file and stderr
metrics        counters and durations for Prometheus
tokenization   Parquet to token files
jobs           background work
manager        `DatasetManager`, the Python API
messages       the wire between kernel and browser
panel          `DatasetsPanel`, the widget
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .manager import DatasetManager
    from .panel import DatasetsPanel

from .errors import (
    AlreadyExistsError,
    CatalogBusyError,
    CatalogDamagedError,
    CatalogError,
    CatalogVersionError,
    ConfigNotFoundError,
    CorruptFileError,
    GatedRepoError,
    HubAuthError,
    HubError,
    HubRateLimitedError,
    HubUnavailableError,
    InsufficientDiskSpaceError,
    InterruptedJobError,
    InUseError,
    InvalidRequestError,
    JobCancelled,
    MalformedFileError,
    MiStudioError,
    NotFoundError,
    ReadOnlyError,
    RepoNotFoundError,
    RevisionNotFoundError,
    SplitNotFoundError,
    StorageError,
    TokenizationError,
    TokenizerNotFoundError,
    UnsupportedFormatError,
    UnsupportedRepoError,
)
from .records import (
    Accounting,
    Cell,
    ColumnStatistics,
    DatasetMetadata,
    DatasetRecord,
    DownloadPlan,
    JobSnapshot,
    Page,
    PreviewToken,
    Sample,
    SampleSpan,
    StorageReport,
    TokenizationRecord,
    TokenizationSettings,
    TokenPreview,
    TokenView,
)

try:
    __version__ = version("mistudio-widgets")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0.0.0"

# these bring DuckDB, pyarrow and ipywidgets with them, so they wait until they are asked for
_LATER = {"DatasetManager": ".manager", "DatasetsPanel": ".panel"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "Accounting",
    "AlreadyExistsError",
    "CatalogBusyError",
    "CatalogDamagedError",
    "CatalogError",
    "CatalogVersionError",
    "Cell",
    "ColumnStatistics",
    "ConfigNotFoundError",
    "CorruptFileError",
    "DatasetManager",
    "DatasetMetadata",
    "DatasetRecord",
    "DatasetsPanel",
    "DownloadPlan",
    "GatedRepoError",
    "HubAuthError",
    "HubError",
    "HubRateLimitedError",
    "HubUnavailableError",
    "InUseError",
    "InsufficientDiskSpaceError",
    "InterruptedJobError",
    "InvalidRequestError",
    "JobCancelled",
    "JobSnapshot",
    "MalformedFileError",
    "MiStudioError",
    "NotFoundError",
    "Page",
    "PreviewToken",
    "ReadOnlyError",
    "RepoNotFoundError",
    "RevisionNotFoundError",
    "Sample",
    "SampleSpan",
    "SplitNotFoundError",
    "StorageError",
    "StorageReport",
    "TokenPreview",
    "TokenView",
    "TokenizationError",
    "TokenizationRecord",
    "TokenizationSettings",
    "TokenizerNotFoundError",
    "UnsupportedFormatError",
    "UnsupportedRepoError",
    "__version__",
]
