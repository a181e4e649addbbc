"""A stretch of a Parquet file to a token run on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..encoders import EncoderSpec, Ids, check_sample, open_encoder
from ..errors import TokenizationError
from .batches import batch_bytes, read_batches
from .files import RawFile, file_crc32, replace_file
from .memory import after_batch
from .planning import Shard
from .stages import Stages
from .texts import NotText, Rows, Tally, TextRules, read_texts


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
    columns = [shard.column] if rules.pair is None else [shard.column, rules.pair.column]
    batches = read_batches(shard, columns, batch_bytes(spec))
    with (
        RawFile(folder / f"{shard.name}.ids", np.int32) as ids_file,
        RawFile(folder / f"{shard.name}.index", np.int64) as index_file,
    ):
        for first_row, batch in stages.each("read", batches):
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
            after_batch()
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
