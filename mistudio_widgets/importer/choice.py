"""The column that holds the text: found, with the reason, or checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from ..errors import InvalidRequestError
from .schema import KEY, described, plain_type

_TEXT_NAMES: Final = ("text", "content", "document", "txt")
_CHAT_NAMES: Final = ("messages", "conversations", "conversation", "chat", "dialogue")

ConversationFormat = Literal["role/content", "from/value"]


@dataclass(frozen=True)
class TextChoice:
    """Which column holds the text.

    Attributes
    ----------
    reason : str
        Why this one, as a sentence for a person.
    """

    column: str
    reason: str


def choose_text_column(
    schema: pa.Schema, asked: str | None, no_text: Callable[[str], Exception]
) -> TextChoice:
    """Choose the column that holds the text.

    Parameters
    ----------
    asked : str or None
        What the user named, text or conversations. None: a column of conversations of a known
        format, else ``text``, ``content``, ``document``, ``txt``, else the first column of
        strings other than ``__key__``.
    no_text : callable
        Makes the error for a table without any text, from its columns.

    Raises
    ------
    InvalidRequestError
        When the column that was asked for is not there or does not hold text.
    """
    texts = [field.name for field in schema if field.name and is_text(field.type)]
    chats = conversation_columns(schema)
    if asked is None:
        return _detect(texts, chats, lambda: no_text(described(schema)))
    if asked in texts:
        return TextChoice(asked, f"{asked!r} was asked for.")
    if asked in chats:
        return TextChoice(asked, f"{asked!r} was asked for: conversations of {chats[asked]}.")
    if asked in schema.names:
        message = f"Column {asked!r} holds {schema.field(asked).type}, not text."
    else:
        message = f"There is no column {asked!r}."
    raise InvalidRequestError(
        message, field="text_column", hint=f"The columns are {described(schema)}."
    )


def _detect(
    texts: list[str], chats: dict[str, ConversationFormat], no_text: Callable[[], Exception]
) -> TextChoice:
    if chats:
        column = next((name for name in _CHAT_NAMES if name in chats), next(iter(chats)))
        return TextChoice(column, f"{column!r} holds conversations of {chats[column]}.")
    first = next((name for name in texts if name != KEY), None)
    if first is None:
        raise no_text()
    named = next((name for name in _TEXT_NAMES if name in texts), None)
    if named is not None:
        return TextChoice(named, f"{named!r} is a usual name for text.")
    return TextChoice(first, f"{first!r} is the first column of strings.")


def conversation_columns(schema: pa.Schema) -> dict[str, ConversationFormat]:
    """Return the columns that hold conversations, with the format of each."""
    formats = {field.name: conversation_format(field.type) for field in schema if field.name}
    return {name: form for name, form in formats.items() if form is not None}


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of this type holds text, in any of Arrow's encodings."""
    return bool(pa.types.is_string(plain_type(kind)))


def conversation_format(kind: pa.DataType) -> ConversationFormat | None:
    """Tell how a column of this type writes conversations, None when it holds something else.

    A conversation is a list of messages: of ``role`` and ``content``, where the content is text
    or a list of parts ``{type, text}``, or of ``from`` and ``value``.
    """
    if not _is_list(kind) or not pa.types.is_struct(kind.value_type):
        return None
    types = {field.name: field.type for field in kind.value_type}
    if _is_text_at(types, "role") and "content" in types and _is_content(types["content"]):
        return "role/content"
    if _is_text_at(types, "from") and _is_text_at(types, "value"):
        return "from/value"
    return None


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _is_text_at(types: dict[str, pa.DataType], name: str) -> bool:
    return name in types and is_text(types[name])


def _is_content(kind: pa.DataType) -> bool:
    if not _is_list(kind):
        return is_text(kind)
    part = kind.value_type
    return pa.types.is_struct(part) and _is_text_at({f.name: f.type for f in part}, "text")
