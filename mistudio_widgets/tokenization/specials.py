"""Which special tokens the settings ask for, as ids of one tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..encoders import ChatTemplate, PairTemplate, RenderingFault, Tokenizer
from ..errors import InvalidRequestError, TokenizationError
from ..records import TokenizationSettings

if TYPE_CHECKING:
    from ..packing import Affixes


@dataclass(frozen=True)
class Frame:
    """The ids around and between samples.

    Attributes
    ----------
    begin : int or None
        packed: in front of every sequence. per_sample: part of ``prefix``.
    prefix, middle, suffix : tuple of int
        Before, between (of a pair) and after the texts of a sample.
    separator : int or None
        packed: between documents.
    room : int or None
        per_sample: text ids that one sequence holds; None where nothing is cut.
    """

    begin: int | None
    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    separator: int | None
    room: int | None


@dataclass(frozen=True)
class Specials:
    """The ids that are not text.

    Attributes
    ----------
    begin : int or None
        packed: in front of every sequence. per_sample: part of ``affixes.prefix``.
    affixes : Affixes
        Around and between documents.
    fill : int
        What fills empty positions.
    room : int or None
        per_sample: text ids that one sequence holds; None where nothing is cut.
    """

    begin: int | None
    affixes: Affixes
    fill: int
    room: int | None = None


def find_specials(
    tokenizer: Tokenizer, settings: TokenizationSettings, chat: ChatTemplate | None = None
) -> Specials:
    """Resolve the settings' special tokens; parameters and errors are those of `find_frame`."""
    # torch takes a second to import, and a preview does without
    from ..packing import Affixes

    frame = find_frame(tokenizer, settings, chat)
    affixes = Affixes(frame.prefix, frame.suffix, frame.separator, frame.middle)
    return Specials(frame.begin, affixes, tokenizer.fill_id, frame.room)


def find_frame(
    tokenizer: Tokenizer, settings: TokenizationSettings, chat: ChatTemplate | None = None
) -> Frame:
    """Resolve the special tokens around a sample.

    Parameters
    ----------
    chat : ChatTemplate or None
        What renders the samples: it writes the special tokens itself.

    Raises
    ------
    InvalidRequestError
        When the tokenizer has no such token, or ``max_length`` leaves no room for text.
    TokenizationError
        When a begin token would stand twice, or the template is not plain.
    """
    begin = tokenizer.resolve(settings.begin_sequence_token, "begin_sequence_token")
    prefix, middle, suffix = _around(tokenizer, settings, chat)
    is_begun = begin is not None and _begins_with(begin, prefix, tokenizer, chat)
    if settings.mode == "packed":
        if begin is not None and (is_begun or begin in (*prefix, *suffix)):
            raise TokenizationError(
                f"The begin token {tokenizer.text_of(begin)!r} would stand twice: the "
                f"tokenizer {tokenizer.name} puts it around every document already.",
                hint="Leave begin_sequence_token out"
                + (", or use add_special_tokens=False." if chat is None else "."),
            )
        separator = _separator(tokenizer, settings, chat)
        return Frame(begin, prefix, middle, suffix, separator, None)
    if begin is not None and not is_begun:
        prefix = (begin, *prefix)
    num_around = len(prefix) + len(middle) + len(suffix)
    return Frame(begin, prefix, middle, suffix, None, _room(num_around, settings))


def _around(
    tokenizer: Tokenizer, settings: TokenizationSettings, chat: ChatTemplate | None
) -> PairTemplate:
    """Return what stands before, between and after the texts of a sample."""
    if chat is not None and settings.add_special_tokens:
        raise InvalidRequestError(
            "add_special_tokens: the chat template writes the special tokens itself; they would "
            "stand twice.",
            field="add_special_tokens",
            hint="Leave it out.",
        )
    if chat is not None or not settings.uses_template:
        return (), (), ()
    if settings.pair_column is not None:
        return tokenizer.pair_around()
    return tokenizer.prefix_ids, (), tokenizer.suffix_ids


def _begins_with(
    begin: int, prefix: tuple[int, ...], tokenizer: Tokenizer, chat: ChatTemplate | None
) -> bool:
    """Tell whether the begin token stands in front of a sample anyway."""
    if chat is None:
        return prefix[:1] == (begin,)
    try:
        text = chat.render([{"role": "user", "content": "a"}])
    except RenderingFault:
        return False
    return tokenizer.backend.encode(text, add_special_tokens=False).ids[:1] == [begin]


def _separator(
    tokenizer: Tokenizer, settings: TokenizationSettings, chat: ChatTemplate | None
) -> int | None:
    if settings.sequence_separator_token == "auto":
        return None if chat is not None else tokenizer.eos_id
    return tokenizer.resolve(settings.sequence_separator_token, "sequence_separator_token")


def _room(num_special: int, settings: TokenizationSettings) -> int | None:
    if settings.truncation == "do_not_truncate":
        return None
    room = settings.max_length - num_special
    if room < 1:
        raise InvalidRequestError(
            f"max_length: {settings.max_length} leaves no room for text beside {num_special} "
            "special tokens.",
            field="max_length",
            hint=f"Use at least {num_special + 1}.",
        )
    if settings.stride >= room:
        raise InvalidRequestError(
            f"stride: {settings.stride} must be less than the {room} text tokens that fit into "
            f"a sequence of {settings.max_length} with {num_special} special tokens.",
            field="stride",
            hint="Use a smaller stride or a larger max_length.",
        )
    return room
