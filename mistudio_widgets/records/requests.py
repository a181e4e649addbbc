"""What a job was asked to do, kept in the catalog so that `retry` can do it again."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from ._base import Record
from .settings import TokenizationSettings

SampleBy = Literal["line", "paragraph", "document"]


class ImportRequest(Record):
    """Files to import.

    Attributes
    ----------
    paths : dict
        Absolute paths, folders and globs by split, as they were given.
    fractions : dict or None
        Share of each split when the samples are divided at random; they add up to 1.
    sample_by : "line", "paragraph", "document" or None
        What one sample of a text file is. None: line for ``.txt``, document otherwise.
    """

    paths: dict[str, tuple[str, ...]]
    fractions: dict[str, float] | None = None
    seed: int = 0
    sample_by: SampleBy | None = None
    text_column: str | None = None
    tokenize: TokenizationSettings | None = None

    @model_validator(mode="after")
    def _fractions_add_up(self) -> Self:
        if self.fractions is not None:
            if any(not 0 < share <= 1 for share in self.fractions.values()):
                raise ValueError("every share in splits must be above 0 and at most 1")
            if not math.isclose(sum(self.fractions.values()), 1.0, abs_tol=1e-6):
                raise ValueError("the shares in splits must add up to 1")
        return self


class DownloadRequest(Record):
    """A hub dataset to download; the token is not part of it and is never stored."""

    repo_id: str = Field(min_length=1, max_length=500)
    config: str | None = None
    splits: tuple[str, ...] | None = None
    revision: str | None = None
    tokenize: TokenizationSettings | None = None


class IndexRequest(Record):
    """What `DatasetManager.build_index` was asked for, or, automatic, was not."""

    automatic: bool = False
