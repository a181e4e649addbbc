"""Raw files to ``{split}.pt`` and ``lengths_{split}.npy``."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from ..records import TokenFile
from .archive import map_tensor, save_around
from .assembly import SplitResult
from .files import file_sha256, writing


def save_split(result: SplitResult, split: str, out_dir: Path) -> tuple[TokenFile, TokenFile]:
    """Write the two files of a split, durable, and remove the raw ones."""
    tensors = _save_tensors(result, out_dir / f"{split}.pt")
    lengths = out_dir / f"lengths_{split}.npy"
    _save_lengths(result, lengths)
    result.remove_files()
    return tensors, TokenFile(
        path=lengths.name, size_bytes=lengths.stat().st_size, sha256=file_sha256(lengths)
    )


def _save_tensors(result: SplitResult, path: Path) -> TokenFile:
    content = {
        name: map_tensor(array.path, array.dtype, array.shape, first_byte=array.first_byte)
        for name, array in result.arrays.items()
        if name != "lengths"
    }
    ids = result.arrays["input_ids"]
    size_bytes, sha256 = save_around(ids.path, ids.first_byte, content, path)
    return TokenFile(path=path.name, size_bytes=size_bytes, sha256=sha256)


def _save_lengths(result: SplitResult, path: Path) -> None:
    array = result.arrays["lengths"]
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    with writing(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        with array.path.open("rb") as source:
            shutil.copyfileobj(source, file)
