"""A stretch of a Parquet file to a token run on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..encoders import EncoderSpec, Ids, check_sample, open_encoder
from ..errors import CorruptFileError, InvalidRequestError, TokenizationError, shown_path
from ..importer import conversation_format
from .files import RawFile, file_crc32, replace_file
from .stages import Stages
from .texts import NotText, Rows, Tally, TextRules, read_texts

SHARD_BYTES: Final = 24 * 2**20
"""Text of one shard: what is done again after a kill."""

BATCH_BYTES: Final = 2 * 2**20
"""Text that one worker holds at once, documents above this size excepted."""

# the reference takes a second for what the other engine encodes in 50 ms; a cancel waits for it
_REFERENCE_BATCH_BYTES: Final = 2**18

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
class ShardRun:
    """A finished shard: what its JSON file says.

    ``NAME.ids`` holds the ids of its documents as int32, ``NAME.index`` three int64 for each
    document: its number of ids, its row in the split, and how many of the ids are the first
    text's of a pair. ``NAME.json``, written last, is this. The checksums make waiting for the
    disk needless: what a power cut took is made again.

    Attributes
    ----------
    dropped : dict
        Rows that are no documents, by reason.
    cleaned : dict
        "samples" and "chars" that cleaning changed.
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
    cleaned: dict[str, int]
    ids_crc32: int
    index_crc32: int
    seconds: dict[str, float] = field(default_factory=dict, compare=False)


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


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file that is read in order; raises `CorruptFileError`."""
    try:
        # with pre_buffer, iter_batches keeps all that it has read
        return pq.ParquetFile(path, pre_buffer=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise CorruptFileError(
            f"{shown_path(path)} cannot be read as Parquet: {error}",
            path=shown_path(path),
            hint="Import or download the dataset again.",
        ) from error


def check_columns(schema: pa.Schema, column: str, pair_column: str | None, path: Path) -> None:
    """Raise `InvalidRequestError` naming the setting whose column does not hold text."""
    _check_column(schema, column, "text_column", path, may_chat=pair_column is None)
    if pair_column is not None:
        _check_column(schema, pair_column, "pair_column", path, may_chat=False)


def _check_column(
    schema: pa.Schema, column: str, field: str, path: Path, *, may_chat: bool
) -> None:
    texts = [
        item.name
        for item in schema
        if _is_text(item.type) or (may_chat and conversation_format(item.type))
    ]
    hint = f"Choose one of {', '.join(texts)}." if texts else "The dataset has no text column."
    if column not in schema.names:
        raise InvalidRequestError(
            f"{field}: {shown_path(path)} has no column {column!r}.",
            field=field,
            hint=hint,
        )
    kind = schema.field(column).type
    if column not in texts:
        raise InvalidRequestError(
            f"{field}: column {column!r} of {shown_path(path)} holds {kind}, not text.",
            field=field,
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
    chunks = [group.column(number) for number in range(group.num_columns)]
    return sum(
        int(chunk.total_uncompressed_size)
        for chunk in chunks
        # the parts of a conversation lie in columns of their own: messages.list.element.role
        if chunk.path_in_schema == column or chunk.path_in_schema.startswith(f"{column}.")
    )


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
        Called with the number of rows after each batch, and with 0 in between; what it raises
        ends the work.

    Raises
    ------
    TokenizationError
        When a row is not text and ``rules`` do not skip it.

    *Cancellation:* between batches, through ``on_batch``; an unfinished shard leaves nothing.
    """
    if on_batch is not None:
        on_batch(0)
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
    tally = Tally()
    stages = Stages()
    longest = 0
    is_reference = spec.engine == "tokenizers"
    batch_bytes = min(BATCH_BYTES, _REFERENCE_BATCH_BYTES) if is_reference else BATCH_BYTES
    with (
        RawFile(folder / f"{shard.name}.ids", np.int32) as ids_file,
        RawFile(folder / f"{shard.name}.index", np.int64) as index_file,
    ):
        for first_row, batch in stages.each("read", _read_batches(shard, rules, batch_bytes)):
            with stages.time("read"):
                texts, rows = _texts(batch, shard, first_row, rules, tally)
            if on_batch is not None:
                # conversations take their time to be rendered
                on_batch(0)
            with stages.time("load"):
                encoder = open_encoder(spec)
            with stages.time("encode"):
                ids, offsets = encoder.encode(texts)
            if not index_file.num_items:
                with stages.time("check"):
                    check_sample(spec, encoder, texts)
            lengths = np.diff(offsets).reshape(-1, rules.texts_per_row)
            if rules.pair is not None:
                ids, lengths, rows = _fitting(ids, lengths, rows, shard, rules, tally)
            totals = lengths.sum(axis=1)
            longest = max(longest, int(totals.max(initial=0)))
            with stages.time("write"):
                ids_file.append_checked(ids)
                index_file.append_checked(np.stack([totals, rows, lengths[:, 0]], axis=1))
            if on_batch is not None:
                on_batch(len(batch))
        ids_file.publish()
        index_file.publish()
    return ShardRun(
        name=shard.name,
        fingerprint=_key(shard, spec, rules),
        num_documents=index_file.num_items // 3,
        num_tokens=ids_file.num_items,
        longest=longest,
        dropped=dict(tally.dropped),
        cleaned=dict(tally.cleaned),
        ids_crc32=ids_file.crc32,
        index_crc32=index_file.crc32,
        seconds=stages.seconds(),
    )


def _fitting(  # noqa: PLR0917 -- six things, each of its own type
    ids: Ids, lengths: Rows, rows: Rows, shard: Shard, rules: TextRules, tally: Tally
) -> tuple[Ids, Rows, Rows]:
    """Leave out the pairs that no truncation makes fit, or raise for the first."""
    assert rules.pair is not None
    fits = rules.pair.fits(lengths)
    if fits.all():
        return ids, lengths, rows
    if not rules.skip_invalid:
        first = int(np.argmin(fits))
        size = int(lengths[first, rules.pair.whole or 0])
        raise TokenizationError(
            f"Row {rows[first]} of split {shard.split!r}: the text that must stay whole has "
            f"{size} tokens, which leaves no room for the other one.",
            hint="Use truncation='longest_first', a larger max_length, a smaller stride, or "
            "skip_invalid=True to drop such rows.",
        )
    tally.dropped["too_long"] += int((~fits).sum())
    return ids[np.repeat(fits, lengths.sum(axis=1))], lengths[fits], rows[fits]


def _read_batches(
    shard: Shard, rules: TextRules, batch_bytes: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the text columns in pieces of bounded bytes, each with its first row."""
    columns = [shard.column] if rules.pair is None else [shard.column, rules.pair.column]
    average = max(shard.num_bytes // max(shard.num_rows, 1), 1)
    batch_rows = max(1, min(_BATCH_ROWS, batch_bytes // average))
    row = shard.first_row
    with open_parquet(Path(shard.path)) as file:
        batches = file.iter_batches(
            batch_size=batch_rows, row_groups=list(range(*shard.row_groups)), columns=columns
        )
        for batch in _reading(batches, shard):
            for piece in _pieces(as_strings(batch.select(columns)), batch_bytes):
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


def as_strings(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give columns whose texts are encoded in another way the type of plain strings."""
    columns = [_decoded(column) for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=["text", "pair"][: len(columns)])


def _decoded(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    return column


def _pieces(batch: pa.RecordBatch, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch whose rows turned out longer than the average."""
    if batch.nbytes <= 2 * batch_bytes:
        yield batch
        return
    column = batch.column(0)
    if batch.num_columns > 1 or pa.types.is_nested(column.type):
        yield from _halves(batch, batch_bytes)
        return
    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    # a piece ends where its sum of bytes passes a multiple of the bound
    numbers = (np.cumsum(sizes, dtype=np.int64) - 1) // batch_bytes
    bounds = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(batch)]
    for start, stop in pairwise(bounds):
        if stop > start:
            yield batch.slice(start, stop - start)


def _halves(batch: pa.RecordBatch, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    if len(batch) <= 1 or batch.nbytes <= 2 * batch_bytes:
        yield batch
        return
    middle = len(batch) // 2
    yield from _halves(batch.slice(0, middle), batch_bytes)
    yield from _halves(batch.slice(middle), batch_bytes)


def _texts(
    batch: pa.RecordBatch, shard: Shard, first_row: int, rules: TextRules, tally: Tally
) -> tuple[list[str], Rows]:
    """Return the texts to tokenize and their rows; count what is dropped."""
    column = batch.column(0)
    if rules.is_plain and not column.null_count and not pa.types.is_nested(column.type):
        # the common case needs no look at every text
        with suppress(UnicodeDecodeError):
            texts: list[str] = column.to_pylist()
            return texts, np.arange(first_row, first_row + len(batch), dtype=np.int64)
    try:
        texts, positions = read_texts(batch, rules, tally)
    except NotText as fault:
        raise TokenizationError(
            f"Row {first_row + fault.position} of split {shard.split!r}: "
            f"column {fault.column or shard.column!r} {fault.detail}.",
            hint="Use skip_invalid=True to drop such rows, or choose another text_column.",
        ) from fault
    return texts, first_row + positions
