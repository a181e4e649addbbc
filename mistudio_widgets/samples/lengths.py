"""How long each sample is, and which are within a range."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from ..errors import CorruptFileError, InvalidRequestError, shown_path
from ..progress import Progress
from .filemap import FileMap, Rows

NO_LENGTH: Final = -1
"""The length of a row that has none: it was dropped, or is no text."""

Lengths = np.ndarray[Any, np.dtype[np.int32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def read_token_lengths(path: Path, num_rows: int, sample_rows: Rows | None) -> Lengths:
    """Return how many tokens each row of a split has.

    Parameters
    ----------
    path : Path
        ``lengths_{split}.npy`` of a tokenization: tokens by sample.
    num_rows : int
        Rows of the split.
    sample_rows : int64, shape (n_samples,), or None
        The row of each sample, when rows were dropped or shuffled.

    Returns
    -------
    int32, shape (num_rows,)
        `NO_LENGTH` for rows that were dropped.

    Raises
    ------
    CorruptFileError
        The file is missing, or does not fit the split.
    """
    try:
        lengths: Rows = np.load(path, mmap_mode="r", allow_pickle=False)
        if sample_rows is None and len(lengths) == num_rows:
            return lengths.astype(np.int32)
        if sample_rows is not None and len(lengths) == len(sample_rows):
            by_row = np.full(num_rows, NO_LENGTH, dtype=np.int32)
            by_row[sample_rows] = lengths
            return by_row
    except (OSError, ValueError, IndexError) as error:
        raise _unfit(path) from error
    raise _unfit(path)


def count_characters(files: FileMap, split: str, progress: Progress) -> Lengths:
    """Return how many characters each text of a split has, by one pass over the texts.

    Returns
    -------
    int32, shape (num_rows,)
        In Unicode code points; `NO_LENGTH` where there is no text.

    *Cancellation:* after every batch.
    """
    lengths = np.full(files.num_rows[split], NO_LENGTH, dtype=np.int32)
    for first, texts in files.texts(split):
        found = pc.fill_null(pc.utf8_length(texts), NO_LENGTH)
        lengths[first : first + len(texts)] = found.to_numpy(zero_copy_only=False)
        progress.check()
    return lengths


def check_range(min_tokens: int | None, max_tokens: int | None) -> None:
    """Raise `InvalidRequestError` for a range that means nothing."""
    if min_tokens is not None and max_tokens is not None and min_tokens > max_tokens:
        raise InvalidRequestError(
            f"min_tokens ({min_tokens:,}) is more than max_tokens ({max_tokens:,}).",
            field="min_tokens",
            hint="Both belong to the range.",
        )


def rows_within(lengths: Lengths, shortest: int | None, longest: int | None) -> Mask:
    """Tell which rows have a length within a range, both ends included; without one, none has.

    >>> rows_within(np.array([0, 5, 9, -1], dtype=np.int32), None, 5).tolist()
    [True, True, False, False]
    """
    mask = lengths >= max(shortest or 0, 0)
    if longest is not None:
        mask &= lengths <= longest
    return mask


def _unfit(path: Path) -> CorruptFileError:
    return CorruptFileError(
        f"{path.name} of the tokenization is missing or does not fit its data.",
        path=shown_path(path),
        hint="Delete this tokenization and make it again.",
    )
