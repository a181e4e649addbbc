"""Tokenizations: one dataset with one set of settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from ..errors import CatalogError
from ._base import DatasetId, Record, TokenizationId, UtcDatetime
from .settings import TokenizationSettings

TokenizationStatus = Literal["queued", "tokenizing", "ready", "error"]

RenderingSource = Literal["tokenizer", "settings", "plain"]

TOKENIZATION_TRANSITIONS: Final[Mapping[TokenizationStatus, frozenset[TokenizationStatus]]] = {
    "queued": frozenset({"tokenizing", "error"}),
    "tokenizing": frozenset({"ready", "error"}),
    "ready": frozenset({"error"}),
    "error": frozenset({"queued"}),
}


def check_tokenization_transition(old: TokenizationStatus, new: TokenizationStatus) -> None:
    """Raise `CatalogError` unless the table above allows ``old`` to become ``new``."""
    if new not in TOKENIZATION_TRANSITIONS[old]:
        raise CatalogError(f"A tokenization cannot go from {old} to {new}.")


class Accounting(Record):
    """Where every token went.

    tokens_in + tokens_inserted + tokens_repeated
    = tokens_kept + tokens_truncated + tokens_tail

    Attributes
    ----------
    tokens_in : int
        Ids that the tokenizer gave for the texts, without special tokens.
    tokens_inserted : int
        Begin, separator and the template's special tokens.
    tokens_repeated : int
        Ids that stand in a second sequence because of ``stride``.
    tokens_kept : int
        Real tokens in the result; padding is not among them.
    tokens_tail : int
        Ids of the last incomplete sequence when it was dropped.
    tokens_padding : int
        Filled positions; outside the equation.
    samples_dropped : dict
        How many samples were dropped, by reason: "too_short", "null", "not_text",
        "not_rendered" (a conversation that the chat template refuses), "too_long" (a pair that
        the truncation cannot make fit).
    samples_cleaned, chars_cleaned : int
        Samples that ``cleaning`` changed, and their characters that it replaced or dropped.
    """

    tokens_in: int = Field(default=0, ge=0)
    tokens_inserted: int = Field(default=0, ge=0)
    tokens_repeated: int = Field(default=0, ge=0)
    tokens_kept: int = Field(default=0, ge=0)
    tokens_truncated: int = Field(default=0, ge=0)
    tokens_tail: int = Field(default=0, ge=0)
    tokens_padding: int = Field(default=0, ge=0)
    samples_dropped: dict[str, int] = {}
    samples_cleaned: int = Field(default=0, ge=0)
    chars_cleaned: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _closes(self) -> Self:
        came = self.tokens_in + self.tokens_inserted + self.tokens_repeated
        went = self.tokens_kept + self.tokens_truncated + self.tokens_tail
        if came != went:
            raise ValueError(f"the accounting does not close: {came} tokens came, {went} went")
        return self


class HistogramBucket(Record):
    """How many samples have ``min <= n < max`` tokens (or characters); the last has no max."""

    range: str
    min: int
    max: int | None
    count: int
    percentage: float


class SplitStatistics(Record):
    """One split of a tokenization; ``percentage`` is its share of all samples."""

    samples: int
    sequences: int
    tokens: int
    percentage: float


class TokenizationRecord(Record):
    """One tokenization, as the catalog and its receipt know it.

    Attributes
    ----------
    tokenizer_sha256 : str or None
        Of the ``tokenizer.json`` that was used.
    content_sha256 : str or None
        Of data, tokenizer and settings without the dataset's id: equal content, equal ids.
    rendered_by : "tokenizer", "settings", "plain" or None
        Whose chat template made texts of conversations, "plain" where there was none; None for
        texts.
    engine : str or None
        "fastokens" or "tokenizers": what made the ids.
    num_tokens : int or None
        Real tokens in all splits, padding not counted.
    vocab_size, unique_tokens : int or None
        Ids that the tokenizer knows; ids that occur.
    avg_seq_length, median_seq_length, min_seq_length, max_seq_length
        Tokens per sample.
    tokens_per_s : float or None
        Real tokens by wall time of the whole job.
    """

    id: TokenizationId
    dataset_id: DatasetId
    settings: TokenizationSettings
    tokenizer_name: str
    tokenizer_sha256: str | None = None
    content_sha256: str | None = None
    engine: str | None = None
    device: str | None = None
    status: TokenizationStatus
    progress: float = Field(default=0.0, ge=0, le=100)
    error_code: str | None = None
    error_message: str | None = None
    hint: str | None = None
    text_column_used: str | None = None
    rendered_by: RenderingSource | None = None
    num_samples: int | None = None
    num_sequences: int | None = None
    num_tokens: int | None = None
    vocab_size: int | None = None
    unique_tokens: int | None = None
    avg_seq_length: float | None = None
    median_seq_length: float | None = None
    min_seq_length: int | None = None
    max_seq_length: int | None = None
    histogram: tuple[HistogramBucket, ...] = ()
    splits: dict[str, SplitStatistics] = {}
    special_tokens: dict[str, int] = {}
    accounting: Accounting | None = None
    size_bytes: int | None = None
    created_at: UtcDatetime
    elapsed_s: float | None = None
    tokens_per_s: float | None = None

    @property
    def truncated_share(self) -> float | None:
        """Which part of the texts' tokens is in no sequence, 0..1: cut off, or a dropped tail."""
        found = self.accounting
        if found is None:
            return None
        return _share(found.tokens_truncated + found.tokens_tail, found.tokens_in)

    @property
    def padding_share(self) -> float | None:
        """Which part of the result's positions is filled, 0..1."""
        found = self.accounting
        if found is None:
            return None
        return _share(found.tokens_padding, found.tokens_kept + found.tokens_padding)

    @property
    def dropped_share(self) -> float | None:
        """Which part of the samples was dropped, 0..1."""
        if self.accounting is None or self.num_samples is None:
            return None
        num_dropped = sum(self.accounting.samples_dropped.values())
        return _share(num_dropped, self.num_samples + num_dropped)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


class TokenFile(Record):
    """One file of a tokenization; ``path`` is relative to its folder."""

    path: str
    size_bytes: int
    sha256: str


class Receipt(Record):
    """``receipt.json``: the whole tokenization, written last."""

    format: Literal[1] = 1
    tokenization: TokenizationRecord
    files: tuple[TokenFile, ...]
