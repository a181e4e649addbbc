"""Values that the package takes and gives: frozen, validated, plain JSON when dumped.

_base          ids, times, `Record`
metadata       `DatasetMetadata`: validated, merged deeply
settings       `TokenizationSettings`
dataset        `DatasetRecord` and its transition table, manifests, plans, reports
tokenization   `TokenizationRecord` and its accounting, receipts
preview        `TokenPreview`: what a text becomes
samples        `Sample`, `TokenView`, `ColumnStatistics`: what is seen of the data
jobs           `JobSnapshot` and the events
requests       what a job was asked to do
"""

from ._base import (
    DATASET_ID_PATTERN,
    JOB_ID_PATTERN,
    TOKENIZATION_ID_PATTERN,
    DatasetId,
    JobId,
    Record,
    TokenizationId,
    UtcDatetime,
    invalid_request,
    new_dataset_id,
    new_job_id,
    utc_now,
)
from .dataset import (
    TRANSITIONS,
    DataFile,
    DatasetRecord,
    DatasetStatus,
    DownloadPlan,
    Manifest,
    Page,
    Source,
    StorageReport,
    StoredStatus,
    VerifyReport,
    check_transition,
)
from .jobs import (
    ACTIVE_STATES,
    ALL_KINDS,
    DATA_KINDS,
    HOLDING_KINDS,
    PAUSABLE_KINDS,
    CompletedEvent,
    DownloadProgressEvent,
    ErrorEvent,
    Event,
    JobKind,
    JobSnapshot,
    JobState,
    TokenizationProgressEvent,
)
from .metadata import (
    DatasetMetadata,
    DownloadMetadata,
    SchemaMetadata,
    TokenizationMetadata,
    merge_deep,
)
from .preview import PreviewToken, TokenPreview
from .requests import DownloadRequest, ImportRequest, IndexRequest, SampleBy
from .samples import (
    Cell,
    CharacterStatistics,
    ColumnStatistics,
    Sample,
    SampleSpan,
    SampleToken,
    SplitColumns,
    TokenView,
)
from .settings import TokenizationSettings
from .tokenization import (
    TOKENIZATION_TRANSITIONS,
    Accounting,
    HistogramBucket,
    Receipt,
    RenderingSource,
    SplitStatistics,
    TokenFile,
    TokenizationRecord,
    TokenizationStatus,
    check_tokenization_transition,
)

__all__ = [
    "ACTIVE_STATES",
    "ALL_KINDS",
    "DATASET_ID_PATTERN",
    "DATA_KINDS",
    "HOLDING_KINDS",
    "JOB_ID_PATTERN",
    "PAUSABLE_KINDS",
    "TOKENIZATION_ID_PATTERN",
    "TOKENIZATION_TRANSITIONS",
    "TRANSITIONS",
    "Accounting",
    "Cell",
    "CharacterStatistics",
    "ColumnStatistics",
    "CompletedEvent",
    "DataFile",
    "DatasetId",
    "DatasetMetadata",
    "DatasetRecord",
    "DatasetStatus",
    "DownloadMetadata",
    "DownloadPlan",
    "DownloadProgressEvent",
    "DownloadRequest",
    "ErrorEvent",
    "Event",
    "HistogramBucket",
    "ImportRequest",
    "IndexRequest",
    "JobId",
    "JobKind",
    "JobSnapshot",
    "JobState",
    "Manifest",
    "Page",
    "PreviewToken",
    "Receipt",
    "Record",
    "RenderingSource",
    "Sample",
    "SampleBy",
    "SampleSpan",
    "SampleToken",
    "SchemaMetadata",
    "Source",
    "SplitColumns",
    "SplitStatistics",
    "StorageReport",
    "StoredStatus",
    "TokenFile",
    "TokenPreview",
    "TokenView",
    "TokenizationId",
    "TokenizationMetadata",
    "TokenizationProgressEvent",
    "TokenizationRecord",
    "TokenizationSettings",
    "TokenizationStatus",
    "UtcDatetime",
    "VerifyReport",
    "check_tokenization_transition",
    "check_transition",
    "invalid_request",
    "merge_deep",
    "new_dataset_id",
    "new_job_id",
    "utc_now",
]
