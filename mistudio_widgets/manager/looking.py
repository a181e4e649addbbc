"""What is kept between questions about the data, so that the next page is quick.

All of it is made again when the files change: file maps know the times of their files, and
lengths the map or file that they were read from.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np

from .. import samples
from ..errors import CorruptFileError, shown_path
from ..progress import Progress
from ..records import ColumnStatistics, Manifest, Receipt, TokenizationRecord
from .index_work import file_map, split_files
from .parts import Parts

if TYPE_CHECKING:
    import torch

_KEPT_MAPS: Final = 8
_KEPT_STATISTICS: Final = 100
_KEPT_OFFSETS_BYTES: Final = 32 * 2**20
_KEPT_LENGTHS_BYTES: Final = 64 * 2**20

ValueT = TypeVar("ValueT")


class Kept(Generic[ValueT]):
    """The values that were used last, up to a sum of sizes; the newest always stays.

    *Threads:* any. Two that ask at once for what is not there may both make it.
    """

    def __init__(self, capacity: int, size_of: Callable[[ValueT], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._size_of = size_of
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, ValueT] = OrderedDict()

    def get(self, key: Hashable) -> ValueT | None:
        """Return what is kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: ValueT) -> ValueT:
        """Keep a value, and return it."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > 1 and self._size() > self._capacity:
                self._values.popitem(last=False)
        return value

    def _size(self) -> int:
        return sum(map(self._size_of, self._values.values()))


@dataclass(frozen=True)
class Looked:
    """A dataset's data, as they are now.

    Attributes
    ----------
    content_sha256 : str
        Of all that decides what is seen: the files and the text column.
    """

    manifest: Manifest
    files: samples.FileMap
    content_sha256: str

    @property
    def dataset_id(self) -> str:
        """Of which dataset."""
        return self.manifest.dataset.id


class Looking:
    """Opens what questions are about; keeps a bounded number of answers.

    *Threads:* any.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._storage = parts.storage
        self.rows = samples.RowReader()
        self.statistics: Kept[ColumnStatistics] = Kept(_KEPT_STATISTICS)
        self._maps: Kept[Looked] = Kept(_KEPT_MAPS)
        self._lengths: Kept[samples.Lengths] = Kept(_KEPT_LENGTHS_BYTES, lambda found: found.nbytes)
        # not the mapped files: those of a deleted tokenization would keep their room on disk
        self._offsets: Kept[samples.Rows] = Kept(_KEPT_OFFSETS_BYTES, lambda found: found.nbytes)

    def close(self) -> None:
        """Let go of what is open."""
        self.rows.close()

    def dataset(self, dataset_id: str) -> Looked:
        """Map the files of a ready dataset.

        Raises
        ------
        CorruptFileError
            A file is missing, or is not what the manifest says.
        """
        manifest = self._storage.read_manifest(dataset_id)
        content = content_sha256(manifest)
        kept = self._maps.get(dataset_id)
        if kept is not None and kept.content_sha256 == content and kept.files.is_fresh:
            return kept
        files = file_map(self._parts, manifest)
        _check_rows(manifest, files)
        return self._maps.put(dataset_id, Looked(manifest, files, content))

    def characters(self, looked: Looked, split: str, progress: Progress) -> samples.Lengths:
        """Return the characters of every text of a split, counted at the first question."""
        key = (looked.content_sha256, looked.dataset_id, split)
        kept = self._lengths.get(key)
        if kept is not None:
            return kept
        return self._lengths.put(key, samples.count_characters(looked.files, split, progress))

    def keep_characters(self, looked: Looked, found: Mapping[str, samples.Lengths]) -> None:
        """Keep what was counted on another occasion."""
        for split, lengths in found.items():
            self._lengths.put((looked.content_sha256, looked.dataset_id, split), lengths)

    def tokens(self, record: TokenizationRecord, split: str, num_rows: int) -> samples.Lengths:
        """Return the tokens of every row of a split; none where it was not tokenized."""
        if split not in record.splits:
            return np.full(num_rows, samples.NO_LENGTH, dtype=np.int32)
        folder = self._storage.tokenization_dir(record.dataset_id, record.id)
        path = folder / f"lengths_{split}.npy"
        key = (record.id, split, _stamp(path))
        kept = self._lengths.get(key)
        if kept is not None:
            return kept
        is_plain = record.splits[split].samples == num_rows and record.settings.shuffle_seed is None
        # reading them takes torch, whose import takes a second
        rows = None if is_plain else _array(load_tensors(folder, split).get("sample_rows"))
        return self._lengths.put(key, samples.read_token_lengths(path, num_rows, rows))

    def token_split(
        self, record: TokenizationRecord, split: str, progress: Progress
    ) -> samples.TokenSplit:
        """Open one split of a ready tokenization."""
        folder = self._storage.tokenization_dir(record.dataset_id, record.id)
        path = folder / f"lengths_{split}.npy"
        key = (record.id, split, _stamp(path))
        tensors = {name: tensor.numpy() for name, tensor in load_tensors(folder, split).items()}
        try:
            sizes = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _unreadable(path) from error
        windows = offsets = None
        settings = record.settings
        if settings.mode == "packed":
            begin = int(settings.begin_sequence_token is not None)
            width = settings.max_length - begin
            windows = samples.Windows(width, width - settings.stride, begin)
        elif not samples.has_one_sequence_each(tensors):
            offsets = tensors.get("offsets", self._offsets.get(key))
            if offsets is None:
                offsets = self._offsets.put(key, samples.sum_mask(tensors, progress.check))
        return samples.TokenSplit(
            split,
            tensors["input_ids"],
            tensors["sample_starts"],
            sizes,
            tensors.get("sample_rows"),
            windows,
            offsets,
        )


def content_sha256(manifest: Manifest) -> str:
    """Hash what decides what is seen of a dataset."""
    files = [[file.split, file.path, file.sha256, file.num_rows] for file in manifest.files]
    content = json.dumps([files, manifest.dataset.text_column])
    return hashlib.sha256(content.encode()).hexdigest()


def load_tensors(
    folder: Path, split: str, receipt: Receipt | None = None
) -> dict[str, torch.Tensor]:
    """Map ``{split}.pt`` of a tokenization.

    Parameters
    ----------
    receipt : Receipt, optional
        Its size must be what this says.

    Raises
    ------
    CorruptFileError
        It is missing or damaged, or holds something else.
    """
    import torch

    path = folder / f"{split}.pt"
    try:
        found: object = torch.load(path, mmap=True, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise _unreadable(path) from error
    if not isinstance(found, dict) or not found.keys() >= {"input_ids", "sample_starts"}:
        raise _unreadable(path)
    sizes = {file.path: file.size_bytes for file in receipt.files} if receipt else {}
    if sizes.get(path.name, path.stat().st_size) != path.stat().st_size:
        raise _unreadable(path)
    return found


def _array(tensor: torch.Tensor | None) -> Any:
    return None if tensor is None else tensor.numpy()


def _check_rows(manifest: Manifest, files: samples.FileMap) -> None:
    parts = [part for split in files.splits for part in files.parts[split]]
    by_split = [file for found in split_files(manifest).values() for file in found]
    for file, part in zip(by_split, parts, strict=True):
        if file.num_rows != part.num_rows:
            raise CorruptFileError(
                f"{part.path.name} of the dataset has {part.num_rows:,} rows and should have "
                f"{file.num_rows:,}.",
                path=shown_path(part.path),
                hint="Verify the dataset, then retry.",
            )


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path) from error
    return stat.st_mtime_ns, stat.st_size


def _unreadable(path: Path) -> CorruptFileError:
    return CorruptFileError(
        f"{path.name} of tokenization {path.parent.name} cannot be read.",
        path=shown_path(path),
        hint="Delete this tokenization and make it again.",
    )
