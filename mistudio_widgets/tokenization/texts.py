"""Rows of a table to the texts that are tokenized: conversations, pairs, cleaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from ..encoders import ChatTemplate, Message, RenderingFault, render_plain
from ..importer import conversation_format
from ..records import TokenizationSettings
from .cleaning import clean_safely

Rows = np.ndarray[Any, np.dtype[np.int64]]

# what the authors of from/value data call the roles that templates know by other names
_ROLES: Final = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function": "tool",
    "observation": "tool",
}

# which text of a pair each truncation leaves whole
_WHOLE: Final[Mapping[str, Literal[0, 1]]] = {"only_first": 1, "only_second": 0}


@dataclass(frozen=True)
class PairRules:
    """The second text of every sample.

    Attributes
    ----------
    column : str
    room : int or None
        Ids that both texts may have in one sequence; None where nothing is cut.
    stride : int
        Ids that must be left beside ``whole`` for neighbouring sequences to share, less one.
    whole : 0, 1 or None
        Which of the two texts is never cut; None when both may be.
    """

    column: str
    room: int | None = None
    stride: int = 0
    whole: Literal[0, 1] | None = None

    def fits(self, lengths: Rows) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Tell which pairs can be cut to fit; lengths have shape (n_pairs, 2)."""
        if self.room is None or self.whole is None:
            return np.ones(len(lengths), dtype=np.bool_)
        is_short = np.less_equal(lengths.sum(axis=1), self.room)
        leaves_room = np.less(lengths[:, self.whole] + self.stride, self.room)
        fits: np.ndarray[Any, np.dtype[np.bool_]] = is_short | leaves_room
        return fits


@dataclass(frozen=True)
class TextRules:
    """Which rows are documents, and what text each is.

    Attributes
    ----------
    min_chars : int
        Shorter texts are dropped.
    skip_invalid : bool
        Whether rows that are not text are dropped; else they raise.
    cleaning : "off" or "safe"
    chat : ChatTemplate or None
        Renders conversations; None: in the plain form.
    pair : PairRules or None
    """

    min_chars: int = 0
    skip_invalid: bool = False
    cleaning: Literal["off", "safe"] = "off"
    chat: ChatTemplate | None = None
    pair: PairRules | None = None

    @classmethod
    def of(
        cls, settings: TokenizationSettings, room: int | None, chat: ChatTemplate | None
    ) -> TextRules:
        """Take from the settings what concerns rows; ``room`` is that of one sequence."""
        pair = None
        if settings.pair_column is not None:
            whole = _WHOLE.get(settings.truncation)
            pair = PairRules(settings.pair_column, room, settings.stride, whole)
        return cls(settings.min_chars, settings.skip_invalid, settings.cleaning, chat, pair)

    @property
    def is_plain(self) -> bool:
        """Whether every valid row is a document as it is."""
        return not self.min_chars and self.cleaning == "off" and self.pair is None

    @property
    def texts_per_row(self) -> int:
        """How many texts a row is: 2 for pairs."""
        return 1 if self.pair is None else 2


@dataclass
class Tally:
    """What happened to the rows.

    Attributes
    ----------
    dropped : Counter
        Rows by reason.
    cleaned : Counter
        "samples" and "chars" that cleaning changed.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    cleaned: Counter[str] = field(default_factory=Counter)


class NotText(Exception):  # noqa: N818 -- a signal: the shard knows split and row
    """A row that cannot be tokenized.

    Attributes
    ----------
    reason : str
        What it is counted as: "null", "not_text", "not_rendered".
    detail : str
        What is wrong, for a message.
    position : int
        Which row of the batch.
    column : str or None
        The column, where it is the second of a pair.
    """

    def __init__(
        self, reason: str, detail: str, position: int = 0, column: str | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.position = position
        self.column = column


def read_texts(batch: pa.RecordBatch, rules: TextRules, tally: Tally) -> tuple[list[str], Rows]:
    """Return the texts of a batch and the positions of the rows that they come from.

    Parameters
    ----------
    batch : RecordBatch
        The text column, and the second column of pairs.

    Returns
    -------
    texts : list of str
        Of pairs, both texts of a row one after the other.
    positions : int64, shape (n_documents,)

    Raises
    ------
    NotText
        For a row that is not text, unless ``rules`` skip those.
    """
    texts: list[str] = []
    positions: list[int] = []
    forms = [conversation_format(column.type) for column in batch.columns]
    has_nulls = [_has_nulls(column) for column in batch.columns]
    for position, values in enumerate(_rows(batch)):
        try:
            row = _row_texts(values, forms, has_nulls, rules)
        except NotText as fault:
            if not rules.skip_invalid:
                fault.position = position
                raise
            tally.dropped[fault.reason] += 1
            continue
        if sum(len(text) for text, _ in row) < rules.min_chars:
            tally.dropped["too_short"] += 1
            continue
        texts += [text for text, _ in row]
        positions.append(position)
        num_changed = sum(changed for _, changed in row)
        tally.cleaned["samples"] += num_changed > 0
        tally.cleaned["chars"] += num_changed
    return texts, np.array(positions, dtype=np.int64)


def plain_texts(column: pa.Array) -> pa.Array:
    """Return conversations as texts in plain form, as they are tokenized without a template.

    Returns
    -------
    Array of large_string, of the same length
        Null where there is no conversation that can be written so.
    """
    form = conversation_format(column.type)
    if form is None:
        return pa.nulls(len(column), pa.large_string())
    rules, may_be_null = TextRules(), _has_nulls(column)
    texts: list[str | None] = []
    for (value,) in _rows(pa.RecordBatch.from_arrays([column], names=["text"])):
        try:
            texts.append(_text_of(value, form, rules, may_be_null=may_be_null)[0])
        except NotText:
            texts.append(None)
    return pa.array(texts, pa.large_string())


def _row_texts(
    values: tuple[Any, ...],
    forms: Sequence[str | None],
    has_nulls: Sequence[bool],
    rules: TextRules,
) -> list[tuple[str, int]]:
    row: list[tuple[str, int]] = []
    for value, form, may_be_null in zip(values, forms, has_nulls, strict=True):
        try:
            row.append(_text_of(value, form, rules, may_be_null=may_be_null))
        except NotText as fault:
            if row and rules.pair is not None:
                fault.column = rules.pair.column
            raise
    return row


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    try:
        columns = [column.to_pylist() for column in batch.columns]
    except UnicodeDecodeError:
        columns = [[_value(scalar) for scalar in column] for column in batch.columns]
    return zip(*columns, strict=True)


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _NOT_UTF8


_NOT_UTF8: Final = object()


def _has_nulls(column: pa.Array) -> bool:
    """Tell whether anything in a column is null, at any depth."""
    if column.null_count:
        return True
    if pa.types.is_struct(column.type):
        return any(map(_has_nulls, column.flatten()))
    return pa.types.is_nested(column.type) and _has_nulls(column.flatten())


def _text_of(
    value: Any, form: str | None, rules: TextRules, *, may_be_null: bool
) -> tuple[str, int]:
    """Return the text of a value and how many characters cleaning changed."""
    if value is None:
        raise NotText("null", "is null")
    if value is _NOT_UTF8:
        raise NotText("not_text", "is not valid UTF-8 (a lone surrogate, for example)")
    is_cleaned = rules.cleaning == "safe"
    if form is None:
        return clean_safely(value) if is_cleaned else (value, 0)
    messages, num_changed = _messages(value, form, may_be_null=may_be_null), 0
    if is_cleaned:
        messages, num_changed = _cleaned(messages)
    try:
        text = rules.chat.render(messages) if rules.chat is not None else render_plain(messages)
    except RenderingFault as fault:
        raise NotText("not_rendered", f"cannot be rendered: {fault}") from fault
    return text, num_changed


def _messages(value: list[Any], form: str, *, may_be_null: bool) -> list[Message]:
    """Return messages with role and content; what Arrow filled with null is left out."""
    if may_be_null and any(message is None for message in value):
        raise NotText("not_text", "holds a message that is null")
    if form != "role/content":
        value = [
            {
                "role": _ROLES.get(message["from"], message["from"] or ""),
                "content": message["value"],
            }
            for message in value
        ]
    return [_without_nulls(message) for message in value] if may_be_null else value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _cleaned(messages: list[Message]) -> tuple[list[Message], int]:
    """Clean what was said: contents and texts of parts, not roles."""
    total = 0

    def clean(value: Any) -> Any:
        nonlocal total
        if isinstance(value, str):
            text, num_changed = clean_safely(value)
            total += num_changed
            return text
        if isinstance(value, list):
            return [clean(part) for part in value]
        if isinstance(value, dict) and "text" in value:
            return {**value, "text": clean(value["text"])}
        return value

    return [
        {**message, "content": clean(message["content"])} if "content" in message else message
        for message in messages
    ], total
