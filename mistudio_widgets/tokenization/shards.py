"""A stretch of a Parquet file to a token run on disk."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..encoders import EncoderSpec, check_sample, open_encoder
from ..errors import CorruptFileError, InvalidRequestError, TokenizationError, shown_path
from .files import RawFile, file_crc32, replace_file
from .stages import Stages

SHARD_BYTES: Final = 24 * 2**20
"""Text of one shard: what is done again after a kill."""

BATCH_BYTES: Final = 2 * 2**20
"""Text that one worker holds at once, documents above this size excepted."""

_BATCH_ROWS: Final = 65_536


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


@dataclass(frozen=True)
class TextRules:
    """Which rows are documents.

    Attributes
    ----------
    min_chars : int
        Shorter texts are dropped.
    skip_invalid : bool
        Whether rows that are not text are dropped; else they raise.
    """

    min_chars: int = 0
    skip_invalid: bool = False


@dataclass(frozen=True)
class ShardRun:
    """A finished shard: what its JSON file says.

    ``NAME.ids`` holds the ids of its documents as int32, ``NAME.index`` an int64 pair for each
    document: its number of ids and its row in the split. ``NAME.json``, written last, is this.
    The checksums make waiting for the disk needless: what a power cut took is made again.

    Attributes
    ----------
    ids_crc32, index_crc32 : int
        Of the two files.
    seconds : dict
        Of reading, encoding, checking and writing, when this run was made just now.
    """

    name: str
    fingerprint: str
    num_documents: int
    num_tokens: int
    longest: int
    dropped: dict[str, int]
    ids_crc32: int
    index_crc32: int
    seconds: dict[str, float] = field(default_factory=dict, compare=False)


def plan_shards(
    splits: Mapping[str, Sequence[Path]], column: str, *, shard_bytes: int = SHARD_BYTES
) -> list[Shard]:
    """Divide files into shards, from their footers alone.

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
            for start, stop, num_rows, num_bytes in _row_group_ranges(path, column, shard_bytes):
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
    path: Path, column: str, shard_bytes: int
) -> Iterator[tuple[int, int, int, int]]:
    with _open_parquet(path) as file:
        _check_column(file.schema_arrow, column, path)
        metadata = file.metadata
        start, rows, size = 0, 0, 0
        for group in range(metadata.num_row_groups):
            group_bytes = _column_bytes(metadata.row_group(group), column)
            if group > start and size + group_bytes > shard_bytes:
                yield start, group, rows, size
                start, rows, size = group, 0, 0
            rows += metadata.row_group(group).num_rows
            size += group_bytes
        if rows:
            yield start, metadata.num_row_groups, rows, size


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        # with pre_buffer, iter_batches keeps all that it has read
        return pq.ParquetFile(path, pre_buffer=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptFileError(
            f"{shown_path(path)} cannot be read as Parquet: {error}",
            path=shown_path(path),
            hint="Import or download the dataset again.",
        ) from error


def _check_column(schema: pa.Schema, column: str, path: Path) -> None:
    texts = [field.name for field in schema if _is_text(field.type)]
    hint = f"Choose one of {', '.join(texts)}." if texts else "The dataset has no text column."
    if column not in schema.names:
        raise InvalidRequestError(
            f"text_column: {shown_path(path)} has no column {column!r}.",
            field="text_column",
            hint=hint,
        )
    kind = schema.field(column).type
    if not _is_text(kind):
        raise InvalidRequestError(
            f"text_column: column {column!r} of {shown_path(path)} holds {kind}, not text.",
            field="text_column",
            hint=hint,
        )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )


def _column_bytes(group: Any, column: str) -> int:
    for number in range(group.num_columns):
        chunk = group.column(number)
        if chunk.path_in_schema == column:
            return int(chunk.total_uncompressed_size)
    return int(group.total_byte_size)


def tokenize_shard(
    shard: Shard,
    spec: EncoderSpec,
    rules: TextRules,
    work_dir: str,
    on_batch: Callable[[int], None] | None = None,
) -> ShardRun:
    """Tokenize a shard into files of ``work_dir``, or find them there.

    A pure function of files: it may run in a thread, in a process or on another machine.

    Parameters
    ----------
    on_batch : callable or None
        Called with the number of rows after each batch; what it raises ends the work.

    Raises
    ------
    TokenizationError
        When a row is not text and ``rules`` do not skip it.

    *Cancellation:* between batches, through ``on_batch``; an unfinished shard leaves nothing.
    """
    folder = Path(work_dir)
    finished = find_run(shard, spec, rules, folder)
    if finished is not None:
        if on_batch is not None:
            on_batch(shard.num_rows)
        return finished
    run = _write_run(shard, spec, rules, folder, on_batch)
    found = json.dumps(asdict(replace(run, seconds={}))).encode()
    replace_file(folder / f"{shard.name}.json", found)
    return run


def find_run(shard: Shard, spec: EncoderSpec, rules: TextRules, folder: Path) -> ShardRun | None:
    """Return the finished run of a shard, None where it is missing, stale or cut short."""
    try:
        run = ShardRun(**json.loads((folder / f"{shard.name}.json").read_bytes()))
        is_whole = (
            run.fingerprint == _key(shard, spec, rules)
            and file_crc32(folder / f"{shard.name}.ids") == run.ids_crc32
            and file_crc32(folder / f"{shard.name}.index") == run.index_crc32
        )
    except (OSError, ValueError, TypeError):
        return None
    return run if is_whole else None


def _key(shard: Shard, spec: EncoderSpec, rules: TextRules) -> str:
    """Tell apart what would give other ids, or might: an engine can turn out to be wrong."""
    source = Path(shard.path)
    content = [asdict(shard), asdict(rules), spec.sha256, spec.engine, source.stat().st_size]
    content[0] = {**asdict(shard), "path": source.name}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write_run(
    shard: Shard,
    spec: EncoderSpec,
    rules: TextRules,
    folder: Path,
    on_batch: Callable[[int], None] | None,
) -> ShardRun:
    dropped: Counter[str] = Counter()
    stages = Stages()
    longest = 0
    with (
        RawFile(folder / f"{shard.name}.ids", np.int32) as ids_file,
        RawFile(folder / f"{shard.name}.index", np.int64) as index_file,
    ):
        for first_row, column in stages.each("read", _read_batches(shard)):
            with stages.time("read"):
                texts, rows = _texts(column, shard, first_row, rules, dropped)
            with stages.time("load"):
                encoder = open_encoder(spec)
            with stages.time("encode"):
                ids, offsets = encoder.encode(texts)
            if not index_file.num_items:
                with stages.time("check"):
                    check_sample(spec, encoder, texts)
            lengths = np.diff(offsets)
            longest = max(longest, int(lengths.max(initial=0)))
            with stages.time("write"):
                ids_file.append_checked(ids)
                index_file.append_checked(np.stack([lengths, rows], axis=1))
            if on_batch is not None:
                on_batch(len(column))
        ids_file.publish()
        index_file.publish()
    return ShardRun(
        name=shard.name,
        fingerprint=_key(shard, spec, rules),
        num_documents=index_file.num_items // 2,
        num_tokens=ids_file.num_items,
        longest=longest,
        dropped=dict(dropped),
        ids_crc32=ids_file.crc32,
        index_crc32=index_file.crc32,
        seconds=stages.seconds(),
    )


def _read_batches(shard: Shard) -> Iterator[tuple[int, pa.Array]]:
    """Yield the text column in pieces of bounded bytes, each with its first row."""
    average = max(shard.num_bytes // max(shard.num_rows, 1), 1)
    batch_rows = max(1, min(_BATCH_ROWS, BATCH_BYTES // average))
    row = shard.first_row
    with _open_parquet(Path(shard.path)) as file:
        batches = file.iter_batches(
            batch_size=batch_rows, row_groups=list(range(*shard.row_groups)), columns=[shard.column]
        )
        for batch in _reading(batches, shard):
            for piece in _pieces(_as_strings(batch.column(0))):
                yield row, piece
                row += len(piece)


def _reading(batches: Iterator[pa.RecordBatch], shard: Shard) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptFileError(
            f"{shown_path(shard.path)} is damaged: {error}",
            path=shown_path(shard.path),
            hint="Import or download the dataset again.",
        ) from error


def _as_strings(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    return column


def _pieces(column: pa.Array) -> Iterator[pa.Array]:
    """Cut a batch whose rows turned out longer than the average."""
    if column.nbytes <= 2 * BATCH_BYTES or pa.types.is_null(column.type):
        yield column
        return
    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    # a piece ends where its sum of bytes passes a multiple of the bound
    numbers = (np.cumsum(sizes, dtype=np.int64) - 1) // BATCH_BYTES
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(column)]
    for start, stop in pairwise(bounds):
        if stop > start:
            yield column.slice(start, stop - start)


def _texts(
    column: pa.Array, shard: Shard, first_row: int, rules: TextRules, dropped: Counter[str]
) -> tuple[list[str], np.ndarray[Any, np.dtype[np.int64]]]:
    """Return the texts to tokenize and their rows; count what is dropped."""
    rows = np.arange(first_row, first_row + len(column), dtype=np.int64)
    if not column.null_count and not rules.min_chars:
        try:
            return column.to_pylist(), rows
        except UnicodeDecodeError:
            pass
    texts: list[str] = []
    kept: list[int] = []
    for position, scalar in enumerate(column):
        text, reason = _text_of(scalar, rules.min_chars)
        if reason in ("null", "not_text") and not rules.skip_invalid:
            raise _not_text(shard, first_row + position, reason)
        if reason is None:
            assert text is not None
            texts.append(text)
            kept.append(position)
        else:
            dropped[reason] += 1
    return texts, rows[np.array(kept, dtype=np.int64)]


def _text_of(scalar: pa.Scalar, min_chars: int) -> tuple[str | None, str | None]:
    try:
        text = scalar.as_py()
    except UnicodeDecodeError:
        return None, "not_text"
    if text is None:
        return None, "null"
    return (text, None) if len(text) >= min_chars else (None, "too_short")


def _not_text(shard: Shard, row: int, reason: str) -> TokenizationError:
    what = "is null" if reason == "null" else "is not valid UTF-8 (a lone surrogate, for example)"
    return TokenizationError(
        f"Row {row} of split {shard.split!r}: column {shard.column!r} {what}.",
        hint="Use skip_invalid=True to drop such rows, or choose another text_column.",
    )
