"""From token runs to sequences: pure tensor code on any torch device.

A *stream* is what packing cuts: the documents' ids, each between its template's prefix and
suffix, with a separator between documents. A *window* is a stretch of the stream; a
*sequence* is a row of the result.

streams      `join_documents` to a stream, `plan_packed` and `cut_windows`, `begin_rows`
samples      `split_documents` to chunks, `gather_chunks`, `pad_sequences` with their mask
statistics   `count_tokens`, `count_lengths`, `summarize_lengths`
devices      `resolve_device`, `one_thread`

Nothing here knows files, threads of work or tokenizers.
"""

from .devices import one_thread, resolve_device
from .samples import (
    Chunks,
    gather_chunks,
    pad_sequences,
    split_documents,
    sum_by_document,
)
from .statistics import (
    HISTOGRAM_EDGES,
    LengthCounts,
    LengthSummary,
    count_lengths,
    count_tokens,
    merge_lengths,
    no_lengths,
    sum_counts,
    summarize_lengths,
)
from .streams import (
    Affixes,
    PackedPlan,
    begin_rows,
    cut_windows,
    insert_tokens,
    join_documents,
    place_documents,
    plan_packed,
    window_size,
)

__all__ = [
    "HISTOGRAM_EDGES",
    "Affixes",
    "Chunks",
    "LengthCounts",
    "LengthSummary",
    "PackedPlan",
    "begin_rows",
    "count_lengths",
    "count_tokens",
    "cut_windows",
    "gather_chunks",
    "insert_tokens",
    "join_documents",
    "merge_lengths",
    "no_lengths",
    "one_thread",
    "pad_sequences",
    "place_documents",
    "plan_packed",
    "resolve_device",
    "split_documents",
    "sum_by_document",
    "sum_counts",
    "summarize_lengths",
    "window_size",
]
