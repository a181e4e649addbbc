"""Text for training: the Parquet files of a dataset as HuggingFace ``datasets``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CorruptFileError, shown_path
from ..records import DataFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets


def load_split(name: str, folder: Path, files: Sequence[DataFile]) -> datasets.Dataset:
    """Load the files of one split, memory-mapped from the cache that ``datasets`` keeps.

    Raises
    ------
    CorruptFileError
        When a file is missing or is no whole Parquet file.
    """
    import datasets

    # its own names allow no "-" or space; such a split stays unnamed
    split: Any = datasets.NamedSplit(name) if re.fullmatch(r"\w+(\.\w+)*", name) else None
    # it cannot read a file without rows
    paths: list[Any] = [str(folder / file.path) for file in files if file.num_rows]
    with _readable(folder, files):
        if not paths:
            return _empty(folder / files[0].path, split)
        return datasets.Dataset.from_parquet(paths, split=split)


def _empty(path: Path, split: Any) -> datasets.Dataset:
    import datasets
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    return datasets.Dataset(schema.empty_table(), split=split)


@contextmanager
def _readable(folder: Path, files: Sequence[DataFile]) -> Iterator[None]:
    import pyarrow as pa
    from datasets.exceptions import DatasetGenerationError

    try:
        yield
    except (DatasetGenerationError, pa.ArrowInvalid, FileNotFoundError) as error:
        damaged = next((file for file in files if not _is_whole(folder / file.path, file)), None)
        if damaged is None:
            raise
        raise CorruptFileError(
            f"{damaged.path} of the dataset is damaged.",
            path=shown_path(folder / damaged.path),
            hint="Import or download the dataset again, then delete this one.",
        ) from error


def _is_whole(path: Path, file: DataFile) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(pq.read_metadata(path).num_rows == file.num_rows)
    except (OSError, pa.ArrowInvalid):
        return False
