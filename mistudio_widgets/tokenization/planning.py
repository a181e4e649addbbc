"""Files to shards, from their footers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .columns import check_columns, open_parquet

SHARD_BYTES: Final = 8 * 2**20
"""Text of one shard: what is done again after a kill."""


@dataclass(frozen=True)
class Shard:
    """One piece of work: some row groups of a file.

    Attributes
    ----------
    number : int
        Its place among all shards of the tokenization.
    row_groups : tuple of two int
        The first, and the one after the last.
    first_row : int
        Row of the split that its first row is.
    num_bytes : int
        Size of the text, as the file's footer tells.
    """

    number: int
    split: str
    path: str
    column: str
    row_groups: tuple[int, int]
    first_row: int
    num_rows: int
    num_bytes: int

    @property
    def name(self) -> str:
        """What its files in the work folder are called."""
        return f"shard-{self.number:06d}"


def plan_shards(
    splits: Mapping[str, Sequence[Path]],
    column: str,
    pair_column: str | None = None,
    *,
    shard_bytes: int = SHARD_BYTES,
    check: Callable[[], None] | None = None,
) -> list[Shard]:
    """Divide files into shards, from their footers alone.

    ``check`` is called before each file; what it raises ends the work.

    Raises
    ------
    InvalidRequestError
        When a file has no such column, or it does not hold text.
    CorruptFileError
        When a file is no Parquet file.
    """
    shards: list[Shard] = []
    for split, paths in splits.items():
        first_row = 0
        for path in paths:
            if check is not None:
                check()
            for start, stop, num_rows, num_bytes in _row_group_ranges(
                path, column, pair_column, shard_bytes
            ):
                groups = (start, stop)
                shards.append(
                    Shard(
                        len(shards),
                        split,
                        str(path),
                        column,
                        groups,
                        first_row,
                        num_rows,
                        num_bytes,
                    )
                )
                first_row += num_rows
    return shards


def _row_group_ranges(
    path: Path, column: str, pair_column: str | None, shard_bytes: int
) -> Iterator[tuple[int, int, int, int]]:
    with open_parquet(path) as file:
        check_columns(file.schema_arrow, column, pair_column, path)
        metadata = file.metadata
        start, rows, size = 0, 0, 0
        for group in range(metadata.num_row_groups):
            group_bytes = _column_bytes(metadata.row_group(group), column)
            if pair_column is not None:
                group_bytes += _column_bytes(metadata.row_group(group), pair_column)
            if group > start and size + group_bytes > shard_bytes:
                yield start, group, rows, size
                start, rows, size = group, 0, 0
            rows += metadata.row_group(group).num_rows
            size += group_bytes
        if rows:
            yield start, metadata.num_row_groups, rows, size


def _column_bytes(group: Any, column: str) -> int:
    chunks = [group.column(number) for number in range(group.num_columns)]
    return sum(
        int(chunk.total_uncompressed_size)
        for chunk in chunks
        # the parts of a conversation lie in columns of their own: messages.list.element.role
        if chunk.path_in_schema == column or chunk.path_in_schema.startswith(f"{column}.")
    )
