"""The zip file of `torch.save`, made around ids that are in their place already.

Copying the ids once more would be a sixth of a tokenization's time. `torch.save` writes to
anything with a ``write``; what it writes as the first tensor's bytes is not written again when
they stand in the file where they belong. So the layout is torch's own, byte for byte, and where
the place was foreseen wrongly the file is written as usual.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np
import torch
from torch import Tensor

from .files import TEMPORARY_SUFFIX, SteadyFile, pieces_of

_TORCH_TYPES: Final = {
    np.dtype(np.int32): torch.int32,
    np.dtype(np.int64): torch.int64,
    np.dtype(np.uint8): torch.uint8,
}

Shapes = Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]

_MARK: Final = 0x5EA51DE5


def data_offset(shapes: Shapes) -> int:
    """Foresee where `torch.save` puts the bytes of the first tensor, which is int32.

    A pickle with all names and shapes comes before them; the shapes matter by their digits only.
    """
    growth = sum(_pickled_bytes(shape) for _, shape in shapes.values())
    small = {
        name: torch.full([1] * len(shape), _MARK if not number else 1, dtype=_TORCH_TYPES[kind])
        for number, (name, (kind, shape)) in enumerate(shapes.items())
    }
    first = next(iter(small))
    buffer = io.BytesIO()
    torch.save({first + "x" * growth: small.pop(first), **small}, buffer)
    return buffer.getvalue().index(_MARK.to_bytes(4, "little"))


def _pickled_bytes(shape: tuple[int, ...]) -> int:
    """Return by how much the numbers of a shape make the pickle longer than ones would."""
    steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    numbers = (prod(shape), *shape, *steps)
    return sum(len(pickle.dumps(n, 2)) - len(pickle.dumps(1, 2)) for n in numbers)


def map_tensor(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], *, first_byte: int = 0
) -> Tensor:
    """Map a raw array; its pages count as cache, not as memory of the process."""
    if not prod(shape):
        return torch.empty(shape, dtype=_TORCH_TYPES[dtype])
    # mode "c", since torch warns of tensors that cannot be written
    return torch.from_numpy(np.memmap(path, dtype, mode="c", offset=first_byte, shape=shape))


def save_around(
    raw: Path,
    first_byte: int,
    content: Mapping[str, Tensor],
    path: Path,
    *,
    check: Callable[[], None],
) -> tuple[int, str]:
    """Make what ``torch.save(content, file)`` makes, out of a file with the first tensor in it.

    Parameters
    ----------
    raw : Path
        Becomes ``path``, or goes.
    first_byte : int
        Where in it the bytes of the first tensor begin.
    content : dict
        Its first tensor is the one in ``raw``.
    check : callable
        Called before every few megabytes; what it raises ends the work.

    Returns
    -------
    size_bytes, sha256
        Of ``path``, which is on disk.
    """
    ids = next(iter(content.values()))
    moved = path.with_name(path.name + TEMPORARY_SUFFIX)
    with contextlib.ExitStack() as stack:
        stack.callback(moved.unlink, missing_ok=True)
        writer = _Writer(stack, raw, moved, ids, first_byte, check)
        try:
            # torch.save(path) would write the file's stem into the bytes
            torch.save(dict(content), cast("IO[bytes]", writer))
        except RuntimeError:
            # what a write raised, torch tells as a position that is not the expected one
            if writer.fault is not None:
                raise writer.fault from None
            raise
        writer.finish()
        writer.path.replace(path)
    raw.unlink(missing_ok=True)
    return writer.position, writer.digest.hexdigest()


class _Writer:
    """The file that `torch.save` sees."""

    def __init__(  # noqa: PLR0917 -- six things, each of its own type
        self,
        stack: contextlib.ExitStack,
        raw: Path,
        moved: Path,
        ids: Tensor,
        first_byte: int,
        check: Callable[[], None],
    ) -> None:
        self.path = raw
        self.position = 0
        self.digest = hashlib.sha256()
        self.fault: BaseException | None = None
        self._check = check
        self._stack, self._moved = stack, moved
        self._ids, self._first_byte = ids, first_byte
        # what comes before the ids waits here until it is known into which file it goes
        self._head: list[bytes] | None = []
        self._file = SteadyFile(stack.enter_context(raw.open("r+b", buffering=0)))

    def write(self, content: memoryview) -> int:
        """Take the next bytes."""
        try:
            self._take(memoryview(content))
        except BaseException as fault:
            self.fault = fault
            raise
        self.position += len(content)
        return len(content)

    def _take(self, content: memoryview) -> None:
        take = self._file.write
        if self._head is not None:
            if not self._is_ids(content):
                self.digest.update(content)
                self._head.append(bytes(content))
                return
            self._write_head(self._head, in_place=self.position == self._first_byte)
            is_there = self.path != self._moved
            take = self._skip if is_there else self._file.write
        for piece in pieces_of(content):
            self._check()
            self.digest.update(piece)
            take(piece)

    def _skip(self, content: memoryview) -> None:
        self._file.skip(len(content))

    def _is_ids(self, content: memoryview) -> bool:
        if len(content) != self._ids.nbytes or not len(content):
            return False
        return np.frombuffer(content, np.uint8).ctypes.data == self._ids.data_ptr()

    def _write_head(self, head: list[bytes], *, in_place: bool) -> None:
        self._head = None
        if not in_place:
            self.path = self._moved
            moved = self._stack.enter_context(self._moved.open("wb", buffering=0))
            self._file = SteadyFile(moved)
        self._file.write(memoryview(b"".join(head)))

    def flush(self) -> None:
        """Do nothing: nothing is kept back that could go."""

    def finish(self) -> None:
        """Bring the file to the disk."""
        if self._head is not None:
            self._write_head(self._head, in_place=False)
        self._file.end_at(self.position)
