"""Raw files to ``{split}.pt`` and ``lengths_{split}.npy``."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..records import TokenFile
from .archive import map_tensor, save_around
from .assembly import SplitResult
from .files import PIECE_BYTES, SteadyFile, writing


def save_split(
    result: SplitResult, split: str, out_dir: Path, *, check: Callable[[], None]
) -> tuple[TokenFile, TokenFile]:
    """Write the two files of a split, durable, and remove the raw ones.

    *Cancellation:* ``check`` is called before every few megabytes, and may raise.
    """
    tensors = _save_tensors(result, out_dir / f"{split}.pt", check)
    lengths = _save_lengths(result, out_dir / f"lengths_{split}.npy", check)
    result.remove_files()
    return tensors, lengths


def _save_tensors(result: SplitResult, path: Path, check: Callable[[], None]) -> TokenFile:
    content = {
        name: map_tensor(array.path, array.dtype, array.shape, first_byte=array.first_byte)
        for name, array in result.arrays.items()
        if name != "lengths"
    }
    ids = result.arrays["input_ids"]
    size_bytes, sha256 = save_around(ids.path, ids.first_byte, content, path, check=check)
    return TokenFile(path=path.name, size_bytes=size_bytes, sha256=sha256)


def _save_lengths(result: SplitResult, path: Path, check: Callable[[], None]) -> TokenFile:
    array = result.arrays["lengths"]
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, header)
    digest = hashlib.sha256()
    num_bytes = 0
    with writing(path) as file, array.path.open("rb", buffering=0) as source:
        steady = SteadyFile(file)
        piece = start.getvalue()
        while piece:
            check()
            digest.update(piece)
            steady.write(memoryview(piece))
            num_bytes += len(piece)
            piece = source.read(PIECE_BYTES)
    return TokenFile(path=path.name, size_bytes=num_bytes, sha256=digest.hexdigest())
