"""One schema for all tables of a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from ..errors import MalformedFileError

BATCH_BYTES: Final = 8 << 20
# the name of a sample in a webdataset
KEY: Final = "__key__"
_FEATURES: Final = b"huggingface"
# batches are far below the 2 GiB from which on the large types are needed
_SMALL: Final = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}


class SchemaChanged(Exception):  # noqa: N818 -- a signal: the conversion starts over with it
    """A later row does not fit the schema that the first rows gave."""

    def __init__(self, schema: pa.Schema) -> None:
        super().__init__(str(schema))
        self.schema = schema


def plain(schema: pa.Schema) -> pa.Schema:
    """Return the schema with one type for each kind of value: every text is a string."""
    fields = [field.with_type(plain_type(field.type)) for field in schema]
    features = (schema.metadata or {}).get(_FEATURES)
    return pa.schema(fields, metadata={_FEATURES: features} if features else None)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the one type that stands for all of Arrow's encodings of the same values."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)))
    return _SMALL.get(kind, kind)


def stored(schema: pa.Schema) -> pa.Schema:
    """Return the schema as Parquet gets it: a column of nothing but nulls becomes text."""
    return pa.schema(
        [field.with_type(_stored_type(field.type)) for field in schema], metadata=schema.metadata
    )


def _stored_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_null(kind) or _has_empty_struct(kind) else kind


def _has_empty_struct(kind: pa.DataType) -> bool:
    """Find what Parquet cannot hold: a struct without fields, from JSON's ``{}``."""
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty_struct(field.type) for field in kind)
    return pa.types.is_list(kind) and _has_empty_struct(kind.value_type)


def unify(first: pa.Schema, second: pa.Schema) -> pa.Schema:
    """Merge two schemas: columns of both, and for each a type that holds the values of both."""
    fields = list(first)
    for field in second:
        index = first.get_field_index(field.name)
        if index < 0:
            fields.append(field.with_nullable(True))  # noqa: FBT003 -- pyarrow's own signature
        else:
            merged = _unified_type(fields[index].type, field.type)
            nullable = fields[index].nullable or field.nullable
            fields[index] = pa.field(field.name, merged, nullable)
    metadata = first.metadata if first.equals(second, check_metadata=True) else None
    return pa.schema(fields, metadata=metadata)


def _unified_type(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    if first.equals(second):
        return first
    try:
        merged = pa.unify_schemas(
            [pa.schema([("x", first)]), pa.schema([("x", second)])], promote_options="permissive"
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()
    return merged.field(0).type


def check_same_columns(first: pa.Schema, first_name: str, second: pa.Schema, name: str) -> None:
    """Raise `MalformedFileError` naming both files when their columns differ."""
    if set(first.names) == set(second.names):
        return
    missing = [column for column in first.names if column not in second.names]
    surplus = [column for column in second.names if column not in first.names]
    parts = [f"lacks {listed(missing)}"] if missing else []
    parts += [f"has {listed(surplus)} besides"] if surplus else []
    raise MalformedFileError(
        f"The columns of two files differ: {name} {' and '.join(parts)}, compared with "
        f"{first_name} ({listed(first.names)}).",
        path=name,
        hint="Import them as separate datasets, or choose the files that belong together "
        "with a glob.",
    )


def check_unique_columns(schema: pa.Schema, name: str) -> None:
    """Raise `MalformedFileError` when a column's name stands twice."""
    twice = [column for column in dict.fromkeys(schema.names) if schema.names.count(column) > 1]
    if twice:
        raise MalformedFileError(
            f"{name} has more than one column named {listed(twice)}.",
            path=name,
            hint="Rename them so that every column has a name of its own.",
        )


def listed(names: Sequence[str]) -> str:
    """Write column names for a message: the first twenty, quoted."""
    shown = ", ".join(repr(name) for name in names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def described(schema: pa.Schema) -> str:
    """Write columns with their types for a message."""
    shown = ", ".join(f"{field.name!r} ({field.type})" for field in list(schema)[:20])
    return f"{shown} and {len(schema) - 20} more" if len(schema) > 20 else shown


def align(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Give a batch exactly the columns of the schema, in its order and of its types."""
    arrays = [
        _convert(batch.column(field.name), field.type)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _convert(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.type.equals(kind):
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), kind)
    if pa.types.is_string(kind) and pa.types.is_nested(array.type):
        return pa.array([as_text(value) for value in array.to_pylist()], pa.string())
    return array.cast(kind)


def as_text(value: Any) -> str | None:
    """Write a value as text: strings as they are, null as null, all else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def pieces(batch: pa.RecordBatch, limit_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
    """Halve a batch until no piece is above the limit, or a piece is one row."""
    if batch.num_rows <= 1 or batch.nbytes <= limit_bytes:
        yield batch
        return
    middle = batch.num_rows // 2
    yield from pieces(batch.slice(0, middle), limit_bytes)
    yield from pieces(batch.slice(middle), limit_bytes)
