"""How rows and tokens are shown: cut where they are long, tokens as text."""

from __future__ import annotations

from itertools import islice
from typing import Final

from .. import encoders
from ..records import Sample, SampleToken
from ..samples import NO_LENGTH, Lengths, Query, Row, first_highlights

_MAX_TEXT_CHARS: Final = 10_000
_BEFORE_HIT_CHARS: Final = 200
_MAX_HIGHLIGHTS: Final = 500


def shown_sample(row: Row, lengths: Lengths | None, query: Query) -> Sample:
    """Return a row as it is shown; ``lengths`` are the tokens of each row of its split."""
    num_tokens = NO_LENGTH if lengths is None else int(lengths[row.row])
    text, start, highlights = shown_text(row.text, query)
    return Sample(
        split=row.split,
        row=row.row,
        text=text,
        text_start=start,
        columns=row.columns,
        num_chars=None if row.text is None else len(row.text),
        num_tokens=None if num_tokens == NO_LENGTH else num_tokens,
        highlights=highlights,
    )


def shown_text(
    text: str | None, query: Query
) -> tuple[str | None, int, tuple[tuple[int, int], ...]]:
    """Cut a text so that its first highlight is seen.

    Returns
    -------
    shown : str or None
        At most 10,000 characters.
    start : int
        Which character of the text it begins with.
    highlights : tuple of pairs of int
        Where they are in what is shown, the first 500.
    """
    if text is None or query.is_empty:
        return text and text[:_MAX_TEXT_CHARS], 0, ()
    first = 0
    ranges = first_highlights(text, query, _MAX_TEXT_CHARS)
    if ranges and ranges[0][0] >= _MAX_TEXT_CHARS:
        first = min(ranges[0][0] - _BEFORE_HIT_CHARS, len(text) - _MAX_TEXT_CHARS)
    end = first + _MAX_TEXT_CHARS
    inside = ((low - first, min(high, end) - first) for low, high in ranges if low < end)
    return text[first:end], first, tuple(islice(inside, _MAX_HIGHLIGHTS))


def spelled(ids: list[int], tokenizer: encoders.Tokenizer | None) -> tuple[SampleToken, ...]:
    """Return tokens as they are shown, by number alone where there is no tokenizer."""
    if tokenizer is None:
        return tuple(SampleToken(id=token_id, text=None, type=None) for token_id in ids)
    spell = encoders.Speller(tokenizer)
    special = tokenizer.special_tokens
    return tuple(
        SampleToken(
            id=token_id,
            text=spell(token_id),
            type="special" if token_id in special else "regular",
        )
        for token_id in ids
    )
