"""Webdataset archives to batches: neighbouring members of a tar with one key are a sample.

Names are taken apart and fields decoded as `datasets` does it (packaged_modules/webdataset), but
the keys of a JSON object become columns, and what is not text is left out. Nothing is extracted
to disk: members are read one after the other, and their names are only names.
"""

from __future__ import annotations

import codecs
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa

from ..errors import MalformedFileError, UnsupportedFormatError
from .archives import (
    Member,
    NotUsable,
    broken,
    open_archive,
    read_members,
    shown,
    without_compression,
)
from .choice import is_text
from .jsons import NotJson, build_column, parse
from .schema import KEY, SchemaChanged, listed, unify
from .sources import Source, printable
from .streams import OnRead, SourceStream
from .text import SAMPLE_LIMIT_BYTES, NotText, strings

_Kind = Literal["text", "number", "json", "binary"]

# those of datasets, and what else is text by its name
_KINDS: Final[dict[str, _Kind]] = {
    **dict.fromkeys(("txt", "text", "transcript"), "text"),
    **dict.fromkeys(("caption", "md", "html", "xml"), "text"),
    **dict.fromkeys(("cls", "cls2", "index", "inx", "id"), "number"),
    **dict.fromkeys(("json", "jsn"), "json"),
}
_BATCH_BYTES: Final = 2 << 20
# what a member takes in memory besides its content
_MEMBER_BYTES: Final = 512
# Python objects take about ten times their text
_JSON_LIMIT_BYTES: Final = 64 << 20
_LOOK_BYTES: Final = 16 << 20
_COLUMN_LIMIT: Final = 1_000
_LABEL_LIMIT: Final = 100
_FIELD_LIMIT: Final = 10_000


def read_schema(source: Source, on_read: OnRead) -> pa.Schema:
    """Return columns and types as the first samples suggest them, ``__key__`` first.

    An archive that was asked for is read on until there is text.

    Raises
    ------
    NotUsable
        For what is no tar archive, has no samples, or no text in its first 16 MiB.
    MalformedFileError
        Naming the member, for an archive that is damaged or cut off.
    """
    archive = _Archive(source)
    schema: pa.Schema | None = None
    for batch in archive.batches(None, on_read):
        schema = batch.schema if schema is None else unify(schema, batch.schema)
        is_enough = _has_text(schema) or not source.is_given
        if is_enough and archive.num_bytes >= _LOOK_BYTES:
            break
    if schema is None:
        raise NotUsable("no samples", _no_samples(source))
    if not _has_text(schema):
        raise NotUsable("no text in its samples", archive.no_text())
    return schema


def read_batches(
    source: Source, schema: pa.Schema, on_read: OnRead, left_out: Counter[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the samples; count the members that are no text, by extension, in ``left_out``.

    Raises
    ------
    SchemaChanged
        When a value does not fit its column's type, or a sample has a new field.
    MalformedFileError
        Naming the member that cannot be read.
    """
    archive = _Archive(source, left_out)
    try:
        for batch in archive.batches(schema, on_read):
            merged = unify(schema, batch.schema)
            if not merged.equals(schema):
                raise SchemaChanged(merged)
            yield batch
    except NotUsable as found:
        # the archive was another file when its schema was read
        raise found.error from found


def _has_text(schema: pa.Schema) -> bool:
    return any(is_text(column.type) for column in schema if column.name != KEY)


@dataclass
class _Sample:
    """Neighbouring members with one key."""

    key: str
    fields: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)
    num_bytes: int = 0


class _Archive:
    """One pass over an archive: where its columns come from, and what was left out."""

    def __init__(self, source: Source, left_out: Counter[str] | None = None) -> None:
        self.num_bytes = 0
        self._source = source
        self._left_out: Counter[str] = Counter() if left_out is None else left_out
        # field and kind by column: a column that two fields fill would mix what they mean
        self._origins: dict[str, tuple[str, _Kind]] = {KEY: (KEY, "text")}
        self._first: _Sample | None = None

    def batches(self, schema: pa.Schema | None, on_read: OnRead) -> Iterator[pa.RecordBatch]:
        """Yield the samples in batches that are bounded by bytes, kept or passed over."""
        held: list[_Sample] = []
        held_bytes = start_bytes = 0
        with open_archive(self._source, on_read) as stream:
            for sample in self._samples(stream):
                # a huge sample goes alone
                if held and held_bytes + sample.num_bytes > _BATCH_BYTES:
                    yield self._batch(held, schema)
                    held, held_bytes = [], 0
                held.append(sample)
                held_bytes += sample.num_bytes
                self.num_bytes = stream.num_bytes
                if stream.num_bytes - start_bytes >= 4 * _BATCH_BYTES:
                    yield self._batch(held, schema)
                    held, held_bytes, start_bytes = [], 0, stream.num_bytes
            if held:
                yield self._batch(held, schema)

    def _samples(self, stream: SourceStream) -> Iterator[_Sample]:
        sample: _Sample | None = None
        for member in read_members(self._source, stream):
            folder, slash, base = member.name.rpartition("/")
            stem, _, field_name = base.partition(".")
            if stem == base:
                self._leave_out("")
                continue
            key = folder + slash + stem
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample
                sample = _Sample(key, values={KEY: printable(key)})
                self._first = self._first or sample
            self._add(sample, member, printable(field_name))
        if sample is not None:
            yield sample

    def _add(self, sample: _Sample, member: Member, field_name: str) -> None:
        name = member.name
        if field_name in sample.fields:
            raise broken(
                self._source, name, "is there twice", "Every sample needs fields of its own."
            )
        if len(sample.fields) >= _FIELD_LIMIT:
            raise self._too_many(name, f"belongs to a sample of over {_FIELD_LIMIT:,} members")
        sample.fields.add(field_name)
        stem, _, extension = without_compression(field_name).rpartition(".")
        kind = _KINDS.get(extension.lower(), "binary")
        if kind == "binary":
            self._leave_out(extension)
            return
        left = SAMPLE_LIMIT_BYTES - sample.num_bytes
        data = member.read(min(left, _JSON_LIMIT_BYTES) if kind == "json" else left)
        if data is None:
            raise broken(
                self._source,
                name,
                f"is too large: a sample may have {SAMPLE_LIMIT_BYTES >> 20:,} MiB of text, "
                f"a JSON member {_JSON_LIMIT_BYTES >> 20} MiB",
                "Split it into several samples.",
            )
        sample.num_bytes += len(data) + _MEMBER_BYTES
        if kind != "json":
            self._set(sample, name, field_name, (field_name, kind), data)
            return
        value = self._parse(name, data)
        if not isinstance(value, dict):
            self._set(sample, name, field_name, (field_name, kind), value)
            return
        for key, part in value.items():
            # they repeat how the sample was stored
            if key not in (KEY, "__url__"):
                column = f"{stem}.{key}" if stem else key
                self._set(sample, name, column, (field_name, kind), part)

    def _set(
        self, sample: _Sample, name: str, column: str, origin: tuple[str, _Kind], value: Any
    ) -> None:
        first = self._origins.setdefault(column, origin)
        if len(self._origins) > _COLUMN_LIMIT:
            raise self._too_many(name, f"is one of those that make over {_COLUMN_LIMIT:,} columns")
        if first != origin:
            raise broken(
                self._source,
                name,
                f"gives the column {column!r}, which the field {first[0]!r} gives as well",
                "Rename the key or the field.",
            )
        sample.values[column] = value

    def _parse(self, name: str, data: bytearray) -> Any:
        try:
            return parse(data)
        except NotJson as error:
            raise broken(self._source, name, f"is not JSON: {error}", "Correct it.") from error

    def _batch(self, samples: list[_Sample], schema: pa.Schema | None) -> pa.RecordBatch:
        wanted = {column.name: column.type for column in schema or ()}
        names = dict.fromkeys(name for sample in samples for name in sample.values)
        arrays = [self._column(name, samples, wanted.get(name)) for name in names]
        return pa.record_batch(arrays, names=list(names))

    def _column(self, name: str, samples: list[_Sample], wanted: pa.DataType | None) -> pa.Array:
        values = [sample.values.get(name) for sample in samples]
        kind = self._origins[name][1]
        if name == KEY:
            return pa.array(values, pa.string())
        if kind == "json":
            return build_column(values, wanted)
        is_string = wanted is not None and pa.types.is_string(wanted)
        if kind == "number" and not is_string:
            # as in datasets; and text where that fails there
            with contextlib.suppress(ValueError, OverflowError):
                whole = [None if value is None else int(value) for value in values]
                return pa.array(whole, pa.int64())
        clean: Callable[[bytearray], bytearray] = _stripped if kind == "number" else _unmarked
        texts = [None if value is None else clean(value) for value in values]
        try:
            return strings(texts)
        except NotText as error:
            bad = next(n for n, text in enumerate(texts) if text and not _is_utf8(text))
            member = f"{samples[bad].key}.{self._origins[name][0]}"
            raise broken(self._source, member, "is not UTF-8 text", "Convert it first.") from error

    def _leave_out(self, extension: str) -> None:
        label = f".{printable(extension)}" if extension else "other"
        is_counted = label in self._left_out or len(self._left_out) < _LABEL_LIMIT
        self._left_out[label if is_counted else "other"] += 1

    def no_text(self) -> UnsupportedFormatError:
        """Say what the first sample has instead."""
        assert self._first is not None
        return UnsupportedFormatError(
            f"{self._source.shown} has no text: its first sample, {shown(self._first.key)}, "
            f"has the fields {listed(sorted(self._first.fields))}.",
            path=self._source.shown,
            hint="Read as text are .txt, .text, .transcript, .caption, .md, .html and .xml "
            "members, and the texts in .json members.",
        )

    def _too_many(self, name: str, what: str) -> MalformedFileError:
        hint = "In a webdataset, files are named KEY.FIELD: every dot more makes other fields."
        return broken(self._source, name, what, hint)


def _no_samples(source: Source) -> MalformedFileError:
    return MalformedFileError(
        f"{source.shown} has no samples.",
        path=source.shown,
        hint="In a webdataset, files are named KEY.FIELD, as in 0001.txt.",
    )


def _stripped(text: bytearray) -> bytearray:
    return text.strip()


def _unmarked(text: bytearray) -> bytearray:
    return text.removeprefix(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else text


def _is_utf8(text: bytearray) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
