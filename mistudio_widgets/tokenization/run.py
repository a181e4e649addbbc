"""All of a tokenization: shards in parallel, then one ordered pass, then the files."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..encoders import EncoderSpec, Tokenizer, open_encoder
from ..errors import InvalidRequestError
from ..progress import Progress
from ..records import (
    Accounting,
    HistogramBucket,
    SplitStatistics,
    TokenFile,
    TokenizationSettings,
)
from .files import TEMPORARY_SUFFIX, disk_full_is_clear, sync_folder
from .shards import Shard, ShardRun, TextRules, plan_shards, tokenize_shard

if TYPE_CHECKING:
    from .assembly import SplitResult
    from .documents import Documents
    from .specials import Specials

_MAX_THREADS: Final = 16
_CHECK_EVERY_S: Final = 0.1

# a split's name becomes a file's name
_SPLIT_NAME: Final = re.compile(r"\w[\w.\-]*")


@dataclass(frozen=True)
class TokenizationResult:
    """What a tokenization gave; its names and units are those of `TokenizationRecord`."""

    num_samples: int
    num_sequences: int
    num_tokens: int
    vocab_size: int
    unique_tokens: int
    avg_seq_length: float
    median_seq_length: float
    min_seq_length: int
    max_seq_length: int
    histogram: tuple[HistogramBucket, ...]
    splits: dict[str, SplitStatistics]
    special_tokens: dict[str, int]
    accounting: Accounting
    text_column_used: str
    engine: str
    device: str
    size_bytes: int
    elapsed_s: float
    tokens_per_s: float
    files: tuple[TokenFile, ...]


def tokenize_splits(
    splits: Mapping[str, Sequence[Path]],
    tokenizer: Tokenizer,
    spec: EncoderSpec,
    settings: TokenizationSettings,
    text_column: str,
    work_dir: Path,
    out_dir: Path,
    *,
    device: str,
    executor: Executor | None,
    progress: Progress,
    check_space: Callable[[int], None],
) -> TokenizationResult:
    """Tokenize Parquet files into ``{split}.pt`` and ``lengths_{split}.npy``.

    Parameters
    ----------
    splits : dict
        Parquet files by split, in order.
    tokenizer : Tokenizer
        Names the special tokens.
    spec : EncoderSpec
        What makes the ids, from `choose_engine`.
    settings : TokenizationSettings
    text_column : str
        The column to tokenize.
    work_dir : Path
        Keeps finished shards for the next run of the same tokenization. Not ``out_dir``; may
        be removed after success.
    out_dir : Path
        Gets the files, each whole or not at all.
    device : str
        A torch device for packing and statistics, or "auto".
    executor : Executor or None
        Runs the shards. None: threads of our own.
    progress : Progress
        Phases "tokenizing" and "packing" (samples) and "saving" (files).
    check_space : callable
        Called with a number of bytes before they are written; raises when they do not fit.

    Returns
    -------
    TokenizationResult
        ``{split}.pt`` holds ``input_ids`` and, where they apply, ``attention_mask``,
        ``offsets`` and ``sample_rows`` as the design says. ``sample_starts`` are positions

        - packed: in the stream of documents (prefix, text, suffix, and a separator between
          two documents) before it is cut: begin tokens and ids repeated by the stride are not
          counted, and positions behind what was kept are clipped to it;
        - per_sample: in all sequences' real ids one after another, special ids included.

        ``lengths`` are a sample's kept ids with its special ones, the separator excluded.

    Raises
    ------
    InvalidRequestError
        For a split, column or token that does not exist.
    TokenizationError
        For a row that is not text, and settings that this tokenizer cannot serve.
    InsufficientDiskSpaceError
        When the disk fills, and whatever ``check_space`` raises.

    *Threads:* one call per ``work_dir`` at a time.
    *Cancellation:* within every batch and chunk; all workers have stopped when it raises, and
    ``work_dir`` holds whole shards only.
    """
    # torch takes a second to import; workers in other processes do without it
    from .specials import find_specials

    began = time.monotonic()
    chosen = _choose_splits(splits, settings)
    specials = find_specials(tokenizer, settings)
    computing_device = _resolve_device(device)
    rules = TextRules(settings.min_chars, settings.skip_invalid)
    shards = plan_shards(chosen, text_column)
    required_bytes = 3 * sum(shard.num_bytes for shard in shards)
    check_space(required_bytes)
    work_dir.mkdir(parents=True, exist_ok=True)
    out_dir.mkdir(parents=True, exist_ok=True)
    _sweep(work_dir)
    with disk_full_is_clear(work_dir, required_bytes):
        runs = _tokenize(shards, spec, rules, work_dir, executor, progress)
        documents = _gather(chosen, shards, runs, settings, work_dir)
        check_space(_output_bytes(documents, specials, settings))
        results = _assemble(
            documents, runs_dropped(shards, runs), specials, settings, tokenizer,
            work_dir, computing_device, progress,
        )
        files = _save(results, out_dir, progress)
    return _summarize(
        results, files, tokenizer, spec, text_column, computing_device, time.monotonic() - began
    )
