"""What is left to save of an assembled split: ``lengths_{split}.npy``."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..records import TokenFile
from .assembly import SplitResult
from .files import PIECE_BYTES, SteadyFile, writing


def save_split(
    result: SplitResult, split: str, out_dir: Path, *, check: Callable[[], None]
) -> tuple[TokenFile, TokenFile]:
    """Write the lengths, durable, and remove their raw file; return both files of the split.

    *Cancellation:* ``check`` is called before every few megabytes, and may raise.
    """
    lengths = _save_lengths(result, out_dir / f"lengths_{split}.npy", check)
    result.lengths.unlink()
    return result.file, lengths


def _save_lengths(result: SplitResult, path: Path, check: Callable[[], None]) -> TokenFile:
    header = {"descr": "<i8", "fortran_order": False, "shape": (result.num_samples,)}
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, header)
    digest = hashlib.sha256()
    num_bytes = 0
    with writing(path) as file, result.lengths.open("rb", buffering=0) as source:
        steady = SteadyFile(file)
        piece = start.getvalue()
        while piece:
            check()
            digest.update(piece)
            steady.write(memoryview(piece))
            num_bytes += len(piece)
            piece = source.read(PIECE_BYTES)
    return TokenFile(path=path.name, size_bytes=num_bytes, sha256=digest.hexdigest())
