"""Which special tokens the settings ask for, as ids of one tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

from ..encoders import Tokenizer
from ..errors import InvalidRequestError, TokenizationError
from ..packing import Affixes
from ..records import TokenizationSettings


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


def find_specials(tokenizer: Tokenizer, settings: TokenizationSettings) -> Specials:
    """Resolve the settings' special tokens.

    Raises
    ------
    InvalidRequestError
        When the tokenizer has no such token, or ``max_length`` leaves no room for text.
    TokenizationError
        When a begin token would stand twice, or the template is not plain.
    """
    begin = tokenizer.resolve(settings.begin_sequence_token, "begin_sequence_token")
    prefix = tokenizer.prefix_ids if settings.uses_template else ()
    suffix = tokenizer.suffix_ids if settings.uses_template else ()
    if settings.mode == "packed":
        if begin is not None and begin in (*prefix, *suffix):
            raise TokenizationError(
                f"The begin token {tokenizer.text_of(begin)!r} would stand twice: the tokenizer "
                f"{tokenizer.name} puts it around every document already.",
                hint="Use add_special_tokens=False, or leave begin_sequence_token out.",
            )
        separator = _separator(tokenizer, settings)
        return Specials(begin, Affixes(prefix, suffix, separator), tokenizer.fill_id)
    if begin is not None and prefix[:1] != (begin,):
        prefix = (begin, *prefix)
    room = _room(len(prefix) + len(suffix), settings)
    return Specials(begin, Affixes(prefix, suffix), tokenizer.fill_id, room)


def _separator(tokenizer: Tokenizer, settings: TokenizationSettings) -> int | None:
    if settings.sequence_separator_token == "auto":
        return tokenizer.eos_id
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
