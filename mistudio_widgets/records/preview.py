"""What a text becomes, token by token."""

from __future__ import annotations

from typing import Literal

from ._base import Record


class PreviewToken(Record):
    r"""One position of a sequence.

    Attributes
    ----------
    position : int
        From 0.
    text : str
        What the token stands for. A piece of a character shows its bytes: ``\xe6``.
    start, end : int or None
        The characters of the text that it comes from; None for what was put in. Pieces of one
        character have the same.
    in_pair : bool
        Whether ``start`` and ``end`` count in the second text of a pair.
    attention_mask : 0 or 1
        0 for padding.
    """

    position: int
    id: int
    text: str
    type: Literal["special", "regular"]
    start: int | None
    end: int | None
    in_pair: bool
    attention_mask: Literal[0, 1]


class TokenPreview(Record):
    """The first sequence that a text alone would become.

    Attributes
    ----------
    text : str
        What was tokenized: cleaned and rendered, as far as the settings ask for it.
    pair_text : str or None
        The second text of a pair.
    is_cut : bool
        Whether the sample is longer than what is shown of it.
    dropped : str or None
        Why the settings drop this sample; then there are no tokens.
    tokens : tuple of PreviewToken
        At most 5000 positions.
    num_tokens : int
        Real tokens of the sequence: ``num_special`` and ``num_regular``, padding is neither.
    num_beyond : int
        Tokens of what is shown that the sequence has no room for: they are cut off, or stand in
        the next sequences.
    chars_cleaned : int
        Characters that cleaning replaced or dropped.
    """

    tokenizer_name: str
    text: str
    pair_text: str | None
    is_cut: bool
    dropped: str | None
    tokens: tuple[PreviewToken, ...]
    num_tokens: int
    num_special: int
    num_regular: int
    num_padding: int
    num_beyond: int
    num_chars: int
    chars_cleaned: int
