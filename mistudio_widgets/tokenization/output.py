"""The raw files of one split, and what is counted while they are written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor

from .. import packing
from .archive import data_offset
from .files import RawFile

BLOCK_TOKENS: Final = 2_000_000
"""Ids of the result that are held at once."""

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    # in the order of the file; the ids come first, and are written once (see archive)
    "input_ids": np.dtype(np.int32),
    "attention_mask": np.dtype(np.uint8),
    "offsets": np.dtype(np.int64),
    "sample_starts": np.dtype(np.int64),
    "sample_rows": np.dtype(np.int64),
    "lengths": np.dtype(np.int64),
}

Shapes = dict[str, tuple[int, ...]]
Chunk = tuple[Tensor, Tensor, Tensor]
"""Ids, lengths and first lengths of documents, on the device."""

Assembled = tuple[int, dict[str, int], Shapes]
"""Number of sequences, accounting, and the shapes of the arrays that there are."""


@dataclass(frozen=True)
class RawArray:
    """A whole array in a raw file, from ``first_byte`` on."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    first_byte: int


@dataclass(frozen=True)
class Place:
    """Where a split is assembled, and on what.

    Attributes
    ----------
    work_dir, name : Path, str
        Folder and first part of the name of the raw files.
    ids_path : Path
        The raw file of the ids, which becomes ``{split}.pt``.
    device : str
        A torch device.
    num_ids : int
        The largest id plus one.
    num_rows : int
        Rows of the split, dropped ones included.
    """

    work_dir: Path
    name: str
    ids_path: Path
    device: str
    num_ids: int
    num_rows: int


class Output:
    """The raw files of one split, and what is counted while they are written."""

    def __init__(
        self, place: Place, likely: Callable[[], Shapes], claim: Callable[[int], None]
    ) -> None:
        self.device = place.device
        self.block_tokens = BLOCK_TOKENS
        self._place = place
        self._likely = likely
        self._claim = claim
        self._stack = contextlib.ExitStack()
        self._files: dict[str, RawFile] = {}
        self.token_counts = torch.zeros(place.num_ids, dtype=torch.int64)
        self.length_counts = packing.no_lengths()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def append(self, kind: str, values: Tensor) -> None:
        """Write more of one array."""
        if kind not in self._files:
            self._files[kind] = self._stack.enter_context(self._open(kind))
        self._claim(values.nbytes)
        self._files[kind].append(values.cpu().numpy())

    def _open(self, kind: str) -> RawFile:
        if kind == "input_ids":
            likely = self._likely()
            offset = data_offset({k: (_DTYPES[k], likely[k]) for k in _DTYPES if k in likely})
            path = self._place.ids_path
            return RawFile(path, _DTYPES[kind], first_byte=offset, is_kept=True)
        return RawFile(self._place.work_dir / f"{self._place.name}.{kind}", _DTYPES[kind])

    def count(self, ids: Tensor) -> None:
        """Count real ids."""
        self.token_counts += packing.count_tokens(ids, self._place.num_ids)

    def add_lengths(self, lengths: Tensor) -> None:
        """Write and count the samples' lengths."""
        self.append("lengths", lengths)
        parts = [self.length_counts, packing.count_lengths(lengths)]
        self.length_counts = packing.merge_lengths(parts)

    def publish(self, shapes: Shapes) -> dict[str, RawArray]:
        """Close the files that have a shape; the others go."""
        arrays = {}
        for kind in (kind for kind in _DTYPES if kind in shapes):
            self.append(kind, torch.empty(0, dtype=torch.int64))
            file = self._files[kind]
            file.publish()
            arrays[kind] = RawArray(file.path, file.dtype, shapes[kind], file.first_byte)
        return arrays
