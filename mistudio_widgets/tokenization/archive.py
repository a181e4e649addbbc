"""A ``.pt`` that is written front to back while its tensors come.

`torch.save` begins with the shapes, which are known when the last tensor is. Here they come last:
nothing is written twice, and hash and checksums are there with the last byte. For `torch.load`
that is the same. It reads a zip file in which nothing is compressed: ``data.pkl`` with what was
saved, in which tensors refer to their bytes, ``data/0`` and so on (see "Serialized file format
for torch.save" in PyTorch's notes on serialization).
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch._utils import _rebuild_tensor_v2

from .files import TEMPORARY_SUFFIX, SteadyFile, pieces_of

_STORAGES: Final = {
    np.dtype(np.int32): torch.IntStorage,
    np.dtype(np.int64): torch.LongStorage,
    np.dtype(np.uint8): torch.ByteStorage,
}

_FOLDER: Final = "archive"
_FORMAT_VERSION: Final = b"3\n"

# where torch.save aligns tensors; a mapped one begins at such an address
_ALIGNMENT: Final = 64
_HEADER_BYTES: Final = 30
_ZIP64_BYTES: Final = 20
_PADDING_ID: Final = 0x4246
_PADDING_HEAD: Final = struct.Struct("<HH")


class TensorFile:
    """A dictionary of tensors on its way to the disk.

    It has its temporary name until `publish`; leaving the ``with`` block without that removes it.

    *Cancellation:* ``check`` is called before every few megabytes, and may raise.
    """

    def __init__(self, path: Path, *, check: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        self._sink = _Sink(self._temporary.open("wb", buffering=0), check)
        # a stream without a way back: sizes and checksums stand behind the bytes
        self._zip = zipfile.ZipFile(cast("IO[bytes]", self._sink), "w")
        self._tensors: dict[str, np.dtype[Any]] = {}
        self._entry: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # zipfile insists on writing its end
        self._sink.close()
        self._end()
        self._zip.close()
        self._temporary.unlink(missing_ok=True)

    @property
    def current(self) -> str | None:
        """The tensor that `append` writes to."""
        return next(reversed(self._tensors), None)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def begin(self, name: str, dtype: npt.DTypeLike) -> None:
        """Begin a tensor; the one before it is complete."""
        self._end()
        self._entry = self._open(f"data/{len(self._tensors)}")
        self._tensors[name] = np.dtype(dtype)

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write more items of the current tensor."""
        assert self._entry is not None
        content = np.ascontiguousarray(values, dtype=next(reversed(self._tensors.values())))
        for piece in pieces_of(content.data):
            self._entry.write(piece)

    def publish(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, str]:
        """Write the dictionary, give the file its name, and bring it to the disk.

        Parameters
        ----------
        shapes : dict
            Of every tensor, by name, in the order of the dictionary.

        Returns
        -------
        size_bytes, sha256
        """
        numbers = {name: number for number, name in enumerate(self._tensors)}
        tensors = {
            name: _Tensor(str(numbers[name]), self._tensors[name], shape)
            for name, shape in shapes.items()
        }
        records = {
            "data.pkl": _pickled(tensors),
            "byteorder": sys.byteorder.encode(),
            "version": _FORMAT_VERSION,
        }
        self._end()
        for name, content in records.items():
            with self._open(name) as entry:
                entry.write(content)
        self._zip.close()
        self._sink.finish()
        self._temporary.replace(self.path)
        return self._sink.position, self._sink.digest.hexdigest()

    def _open(self, name: str) -> IO[bytes]:
        info = zipfile.ZipInfo(f"{_FOLDER}/{name}")
        head = _HEADER_BYTES + len(info.filename) + _ZIP64_BYTES + _PADDING_HEAD.size
        num_padding = -(self._sink.position + head) % _ALIGNMENT
        info.extra = _PADDING_HEAD.pack(_PADDING_ID, num_padding) + b"\0" * num_padding
        return self._zip.open(info, "w", force_zip64=True)

    def _end(self) -> None:
        if self._entry is not None:
            self._entry.close()
            self._entry = None


class _Sink:
    """Takes bytes for the file, and hashes them; closed it takes them for nothing."""

    def __init__(self, file: IO[bytes], check: Callable[[], None]) -> None:
        self.position = 0
        self.digest = hashlib.sha256()
        self._file = file
        self._check = check
        self._steady = SteadyFile(file)

    def write(self, content: bytes | memoryview) -> int:
        view = memoryview(content)
        if not self._file.closed:
            self._check()
            self.digest.update(view)
            self._steady.write(view)
            self.position += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """Do nothing: nothing is kept back that could go."""

    def finish(self) -> None:
        """Bring the last bytes to the disk."""
        self._steady.sync()
        self._file.close()

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class _Tensor:
    key: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class _Bytes(_Tensor):
    """What a tensor refers to."""


def _pickled(tensors: Mapping[str, _Tensor]) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(dict(tensors))
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    """Writes tensors as `torch.save` does, without having their bytes."""

    def persistent_id(self, item: Any) -> Any:
        if not isinstance(item, _Bytes):
            return None
        return ("storage", _STORAGES[item.dtype], item.key, "cpu", prod(item.shape))

    def reducer_override(self, item: Any) -> Any:
        if not isinstance(item, _Tensor):
            return NotImplemented
        shape = item.shape
        steps = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
        content = _Bytes(item.key, item.dtype, shape)
        return _rebuild_tensor_v2, (content, 0, shape, steps, False, OrderedDict())
