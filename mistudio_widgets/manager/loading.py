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
    import pyarrow as pa
    import pyarrow.parquet as pq

    # its own names allow no "-" or space, and "all" means something else; these stay unnamed
    is_allowed = name != "all" and re.fullmatch(r"\w+(\.\w+)*", name)
    split: Any = datasets.NamedSplit(name) if is_allowed else None
    # it cannot read a file without rows
    paths: list[Any] = [str(folder / file.path) for file in files if file.num_rows]
    with _readable(folder, files):
        if not paths:
            return _empty(folder / files[0].path, split)
        schemas = [pq.read_schema(path) for path in paths]
        # of itself it takes the first file's, where a column may be all null
        common = pa.unify_schemas(schemas, promote_options="permissive")
        features = datasets.Features.from_arrow_schema(common)
        return datasets.Dataset.from_parquet(paths, split=split, features=features)


def _empty(path: Path, split: Any) -> datasets.Dataset:
    import datasets
    import pyarrow.parquet as pq

    return datasets.Dataset(pq.read_schema(path).empty_table(), split=split)


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
            hint="Verify the dataset, then retry.",
        ) from error


def _is_whole(path: Path, file: DataFile) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(pq.read_metadata(path).num_rows == file.num_rows)
    except (OSError, pa.ArrowInvalid):
        return False
