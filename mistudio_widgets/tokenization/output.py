"""The files of one split, and what is counted while they are written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor

from .. import packing
from ..records import TokenFile
from .archive import TensorFile
from .files import RawFile

BLOCK_TOKENS: Final = 2_000_000
"""Ids of the result that are held at once."""

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    # in the order of the dictionary
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
class Place:
    """Where a split is assembled, and on what.

    Attributes
    ----------
    work_dir, name : Path, str
        Folder and first part of the name of the raw files.
    path : Path
        ``{split}.pt``.
    device : str
        A torch device.
    num_ids : int
        The largest id plus one.
    """

    work_dir: Path
    name: str
    path: Path
    device: str
    num_ids: int


class Output:
    """The files of one split, and what is counted while they are written.

    The ``.pt`` is written front to back (see `TensorFile`), the ids first. What comes while
    another array is being written waits in a raw file.
    """

    def __init__(self, place: Place, claim: Callable[[int], None]) -> None:
        self.device = place.device
        self.block_tokens = BLOCK_TOKENS
        self._place = place
        self._claim = claim
        self._stack = contextlib.ExitStack()
        self._raw: dict[str, RawFile] = {}
        self.token_counts = torch.zeros(place.num_ids, dtype=torch.int64)
        self.length_counts = packing.no_lengths()

    def __enter__(self) -> Self:
        tensors = TensorFile(self._place.path, check=partial(self._claim, 0))
        self._tensors = self._stack.enter_context(tensors)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def go_on_with(self, kind: str) -> None:
        """Write an array straight into the ``.pt``; the one before it is complete."""
        self._tensors.begin(kind, _DTYPES[kind])

    def append(self, kind: str, values: Tensor) -> None:
        """Write more of one array."""
        self._claim(values.nbytes)
        content = values.cpu().numpy()
        if self._tensors.current is None and kind == "input_ids":
            self.go_on_with(kind)
        if kind == self._tensors.current:
            self._tensors.append(content)
        else:
            self._raw_file(kind).append(content)

    def _raw_file(self, kind: str) -> RawFile:
        if kind not in self._raw:
            path = self._place.work_dir / f"{self._place.name}.{kind}"
            self._raw[kind] = self._stack.enter_context(RawFile(path, _DTYPES[kind]))
        return self._raw[kind]

    def count(self, ids: Tensor) -> None:
        """Count real ids."""
        self.token_counts += packing.count_tokens(ids, self._place.num_ids)

    def add_lengths(self, lengths: Tensor) -> None:
        """Write and count the samples' lengths."""
        self.append("lengths", lengths)
        parts = [self.length_counts, packing.count_lengths(lengths)]
        self.length_counts = packing.merge_lengths(parts)

    def publish(self, shapes: Shapes) -> tuple[TokenFile, Path]:
        """Finish the ``.pt`` with the arrays that have a shape; the others go.

        Returns
        -------
        file : TokenFile
            The ``.pt``, which is on disk.
        lengths : Path
            A raw file of int64.
        """
        kinds = [kind for kind in _DTYPES if kind in shapes]
        for kind in kinds:
            if kind not in self._tensors:
                self.go_on_with(kind)
                self._copy(kind)
        size_bytes, sha256 = self._tensors.publish({kind: shapes[kind] for kind in kinds})
        lengths = self._raw_file("lengths")
        lengths.publish()
        path = self._place.path
        return TokenFile(path=path.name, size_bytes=size_bytes, sha256=sha256), lengths.path

    def _copy(self, kind: str) -> None:
        for piece in self._raw_file(kind).pieces():
            self._claim(piece.nbytes)
            self._tensors.append(piece)
