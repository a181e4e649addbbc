"""How to tokenize."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from ..errors import InvalidRequestError
from ._base import Record, invalid_request

MAX_LENGTH_LIMIT = 131_072
MAX_TEMPLATE_CHARS = 200_000
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
# True would count as 1
_NUMBERS: Final = frozenset(
    {
        "max_length",
        "stride",
        "begin_sequence_token",
        "sequence_separator_token",
        "shuffle_seed",
        "min_chars",
    }
)


class TokenizationSettings(Record):
    """How texts become token ids and token ids become sequences.

    Two settings with the same values are the same settings: a tokenization made with them is
    found again instead of made again.

    Parameters
    ----------
    tokenizer : str
        A hub id ("gpt2"), or a path to a ``tokenizer.json`` or to a folder with one.
    mode : "packed" or "per_sample"
        packed: documents one after another into sequences of ``max_length``.
        per_sample: each sample its own sequence or sequences.
    max_length : int, 1..131072
        Tokens per sequence, special tokens included.
    stride : int, 0 <= stride < max_length
        Tokens shared by neighbouring sequences. In per_sample mode a positive stride splits a
        long sample into overlapping sequences; 0 truncates it to one.
    padding : "do_not_pad", "max_length" or "longest"
        per_sample only. longest: the longest sequence of the split.
    truncation : "longest_first", "only_first", "only_second" or "do_not_truncate"
        per_sample only; what is cut of a pair, as transformers cuts it. Without a pair the first
        two are the same, and only_second is refused.
    pair_column : str or None
        per_sample only: the column with the second text of each pair.
    add_special_tokens : bool or None
        Whether the tokenizer's own template is applied to every sample. None: True for
        per_sample, False for packed, and False for conversations that a chat template renders,
        which writes the special tokens itself.
    return_attention_mask : bool or None
        None: written when anything was filled. True: always. False: never, and an error when
        something must be filled.
    begin_sequence_token : str, int or None
        "bos", "eos", "sep", a token id or a token's text; put at the start of every sequence.
    sequence_separator_token : str, int or None
        packed only: between documents. "auto": the tokenizer's eos, as its companion files name
        it, else the special token that is usually one ("</s>", "<|endoftext|>", ...), else none;
        none after a chat template, which ends its conversations itself. Also "bos", "eos",
        "sep", an id, a token's text, or None for nothing.
    drop_tail : bool
        packed only: drop the last incomplete sequence instead of filling and masking it.
    shuffle_seed : int or None
        Shuffle the documents of each split with this seed.
    text_column : str or None
        Use this column instead of the dataset's own text column. A column of conversations
        (lists of ``role`` and ``content``, or of ``from`` and ``value``) is rendered.
    chat_template : str or None
        Conversations only: the Jinja template that renders them, or the name of one of the
        tokenizer's. None: the tokenizer's own; where it has none, each message becomes
        "role: content", with a blank line between two. A template that asks for today's date
        gets 26 July 2024, so that the same request gives the same ids on another day.
    cleaning : "off" or "safe"
        safe: Unicode in its composed form (NFC), every line end as a plain newline, no control
        characters but tab and newline; ``<`` and all other ASCII stay as they are.
        Conversations are cleaned before they are rendered.
    min_chars : int
        Drop samples with fewer characters; of a pair both texts count, of a conversation what
        was rendered.
    skip_invalid : bool
        Drop samples that are not text (null, lone surrogates), conversations that the template
        refuses and pairs that ``truncation`` cannot make fit, instead of failing.
    splits : tuple of str or None
        Tokenize these splits only. None: all.

    Raises
    ------
    InvalidRequestError
        For a value out of range, and for a field that cannot take effect with the others.
    """

    tokenizer: str = Field(min_length=1, max_length=4096)
    mode: Literal["packed", "per_sample"] = "packed"
    max_length: int = Field(default=512, ge=1, le=MAX_LENGTH_LIMIT)
    stride: int = Field(default=0, ge=0)
    padding: Literal["do_not_pad", "max_length", "longest"] = "do_not_pad"
    truncation: Literal["longest_first", "only_first", "only_second", "do_not_truncate"] = (
        "longest_first"
    )
    pair_column: str | None = Field(default=None, min_length=1)
    add_special_tokens: bool | None = None
    return_attention_mask: bool | None = None
    begin_sequence_token: int | str | None = None
    sequence_separator_token: int | str | None = "auto"
    drop_tail: bool = False
    shuffle_seed: int | None = Field(default=None, ge=0, lt=2**63)
    text_column: str | None = Field(default=None, min_length=1)
    chat_template: str | None = Field(default=None, min_length=1, max_length=MAX_TEMPLATE_CHARS)
    cleaning: Literal["off", "safe"] = "off"
    min_chars: int = Field(default=0, ge=0)
    skip_invalid: bool = False
    splits: tuple[str, ...] | None = Field(default=None, min_length=1)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise invalid_request(error, what="tokenization settings") from error

    @field_validator("*", mode="before")
    @classmethod
    def _is_plain(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and info.field_name in _NUMBERS:
            raise ValueError(f"{value} is no number")
        if isinstance(value, str) and _SURROGATE.search(value):
            raise ValueError("holds half a character (a lone surrogate)")
        return value

    @field_validator("tokenizer", mode="before")
    @classmethod
    def _a_path_is_text(cls, value: object) -> object:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("splits", mode="before")
    @classmethod
    def _one_split_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @property
    def uses_template(self) -> bool:
        """Whether the tokenizer's own special tokens are put around each sample."""
        if self.add_special_tokens is None:
            return self.mode == "per_sample"
        return self.add_special_tokens

    def canonical(self) -> str:
        """Return the settings as JSON that is equal for equal settings, now and later.

        Defaults are left out, so that a field added by a later version does not give an old
        tokenization a new id.
        """
        return json.dumps(
            self.model_dump(mode="json", exclude_defaults=True),
            sort_keys=True,
            ensure_ascii=True,
            separators=(",", ":"),
        )

    @model_validator(mode="after")
    def _can_take_effect(self) -> Self:
        if self.stride >= self.max_length:
            raise _conflict(
                "stride",
                f"stride {self.stride} must be less than max_length {self.max_length}",
            )
        if self.begin_sequence_token is not None and self.stride + 1 >= self.max_length:
            raise _conflict(
                "max_length",
                f"max_length {self.max_length} leaves no room beside begin_sequence_token "
                f"and stride {self.stride}",
            )
        if isinstance(self.begin_sequence_token, str) and self.begin_sequence_token == "auto":
            raise _conflict("begin_sequence_token", "'auto' exists for the separator only")
        if self.chat_template is not None and self.add_special_tokens:
            raise _conflict(
                "add_special_tokens",
                "the chat template writes the special tokens itself; they would stand twice",
                hint="Leave add_special_tokens out.",
            )
        if self.mode == "packed":
            self._check_packed()
        else:
            self._check_per_sample()
        return self

    def _check_packed(self) -> None:
        for field in ("padding", "truncation", "pair_column"):
            if getattr(self, field) != type(self).model_fields[field].default:
                raise _conflict(
                    field,
                    f"{field} has no effect when packing: sequences are filled from the stream",
                    hint="Use mode='per_sample', or leave it out.",
                )

    def _check_per_sample(self) -> None:
        for field in ("sequence_separator_token", "drop_tail"):
            if getattr(self, field) != type(self).model_fields[field].default:
                raise _conflict(
                    field,
                    f"{field} has no effect in mode 'per_sample'",
                    hint="Use mode='packed', or leave it out.",
                )
        self._check_pair()
        if self.truncation == "do_not_truncate":
            if self.stride:
                raise _conflict("stride", "stride has no effect with truncation='do_not_truncate'")
            if self.padding == "max_length":
                raise _conflict(
                    "padding",
                    "padding='max_length' needs a truncation: a longer sample would not fit",
                    hint="Use padding='longest'.",
                )
        if self.return_attention_mask is False and self.padding != "do_not_pad":
            raise _conflict(
                "return_attention_mask",
                "padding without an attention mask would be trained on",
                hint="Leave return_attention_mask out, or use padding='do_not_pad'.",
            )

    def _check_pair(self) -> None:
        if self.truncation == "only_second" and self.pair_column is None:
            raise _conflict("truncation", "truncation='only_second' needs a pair_column")
        if self.pair_column is None:
            return
        if self.chat_template is not None:
            raise _conflict("chat_template", "a pair is made of two texts, not of a conversation")
        if self.stride and self.truncation == "longest_first":
            raise _conflict(
                "stride",
                "of a pair, one text alone can be cut into overlapping sequences",
                hint="Use truncation='only_first' or 'only_second', or stride=0.",
            )


def _conflict(field: str, reason: str, *, hint: str | None = None) -> InvalidRequestError:
    return InvalidRequestError(f"tokenization settings: {reason}.", field=field, hint=hint)
