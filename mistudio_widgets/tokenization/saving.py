"""Raw files to ``{split}.pt`` and ``lengths_{split}.npy``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from ..records import TokenFile
from .assembly import SplitResult
from .files import file_sha256, writing

_TORCH_TYPES: Final = {
    np.dtype(np.int32): torch.int32,
    np.dtype(np.int64): torch.int64,
    np.dtype(np.uint8): torch.uint8,
}


def save_split(result: SplitResult, split: str, out_dir: Path) -> tuple[TokenFile, TokenFile]:
    """Write the two files of a split, durable, and remove the raw ones."""
    tensors = out_dir / f"{split}.pt"
    _save_tensors(result, tensors)
    lengths = out_dir / f"lengths_{split}.npy"
    _save_lengths(result, lengths)
    result.remove_files()
    return _describe(tensors), _describe(lengths)


def _save_tensors(result: SplitResult, path: Path) -> None:
    names = [name for name in result.arrays if name != "lengths"]
    content = {name: _map_tensor(*result.arrays[name]) for name in sorted(names)}
    with writing(path) as file:
        # torch.save(path) would write the file's stem into the bytes
        torch.save(content, file)


def _map_tensor(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Tensor:
    size = int(np.prod(shape, dtype=np.int64))
    kind = _TORCH_TYPES[dtype]
    if not size:
        return torch.empty(shape, dtype=kind)
    return torch.from_file(str(path), shared=False, size=size, dtype=kind).view(shape)


def _save_lengths(result: SplitResult, path: Path) -> None:
    raw, dtype, shape = result.arrays["lengths"]
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    with writing(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        with raw.open("rb") as source:
            shutil.copyfileobj(source, file)


def _describe(path: Path) -> TokenFile:
    return TokenFile(path=path.name, size_bytes=path.stat().st_size, sha256=file_sha256(path))
