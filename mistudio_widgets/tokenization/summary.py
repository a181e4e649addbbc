"""What a tokenization gave, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..records import Accounting, HistogramBucket, RenderingSource, SplitStatistics, TokenFile

if TYPE_CHECKING:
    from torch import Tensor

    from ..encoders import Tokenizer
    from .assembly import SplitResult


@dataclass(frozen=True)
class TokenizationResult:
    """What a tokenization gave; its names and units are those of `TokenizationRecord`.

    Attributes
    ----------
    stage_seconds : dict
        Seconds by stage. Those of the workers ("read", "load", "encode", "check", "write") are
        sums over threads; "pack" and "wait" (for them) run beside, "save" follows.
    """

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
    rendered_by: RenderingSource | None
    engine: str
    device: str
    size_bytes: int
    elapsed_s: float
    tokens_per_s: float
    files: tuple[TokenFile, ...]
    stage_seconds: dict[str, float]


def summarize(
    results: Mapping[str, SplitResult],
    files: tuple[TokenFile, ...],
    tokenizer: Tokenizer,
    *,
    text_column: str,
    rendered_by: RenderingSource | None,
    engine: str,
    device: str,
    elapsed_s: float,
    stage_seconds: dict[str, float],
) -> TokenizationResult:
    """Add the splits up."""
    from .. import packing

    lengths = packing.merge_lengths(
        [packing.no_lengths(), *(result.length_counts for result in results.values())]
    )
    summary = packing.summarize_lengths(lengths)
    counts = packing.sum_counts([result.token_counts for result in results.values()])
    accounting = add_accounting([result.accounting for result in results.values()])
    return TokenizationResult(
        num_samples=sum(result.num_samples for result in results.values()),
        num_sequences=sum(result.num_sequences for result in results.values()),
        num_tokens=accounting.tokens_kept,
        vocab_size=tokenizer.vocab_size,
        unique_tokens=int((counts > 0).sum()),
        avg_seq_length=summary.average,
        median_seq_length=summary.median,
        min_seq_length=summary.shortest,
        max_seq_length=summary.longest,
        histogram=summary.histogram,
        splits=_splits(results),
        special_tokens=_special_tokens(counts, tokenizer),
        accounting=accounting,
        text_column_used=text_column,
        rendered_by=rendered_by,
        engine=engine,
        device=device,
        size_bytes=sum(file.size_bytes for file in files),
        elapsed_s=elapsed_s,
        tokens_per_s=accounting.tokens_kept / elapsed_s if elapsed_s else 0.0,
        files=files,
        stage_seconds=stage_seconds,
    )


def _splits(results: Mapping[str, SplitResult]) -> dict[str, SplitStatistics]:
    total = sum(result.num_samples for result in results.values())
    return {
        split: SplitStatistics(
            samples=result.num_samples,
            sequences=result.num_sequences,
            tokens=result.accounting.tokens_kept,
            percentage=100 * result.num_samples / total if total else 0.0,
        )
        for split, result in results.items()
    }


def _special_tokens(counts: Tensor, tokenizer: Tokenizer) -> dict[str, int]:
    """Count the special tokens that occur; 256 reserved ones that do not are no news."""
    found = {text: int(counts[number]) for number, text in tokenizer.special_tokens.items()}
    return {text: count for text, count in found.items() if count}


def add_accounting(parts: list[Accounting]) -> Accounting:
    """Add accounts up, field by field."""
    totals: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for part in parts:
        totals.update(part.model_dump(exclude={"samples_dropped"}))
        dropped.update(part.samples_dropped)
    return Accounting(**totals, samples_dropped=dict(dropped))
