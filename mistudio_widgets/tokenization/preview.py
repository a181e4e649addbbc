"""What a text becomes: the first sequence, token by token, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ..encoders import Piece, Speller, Tokenizer, split_text
from ..errors import InvalidRequestError, TokenizationError
from ..records import PreviewToken, TokenizationSettings, TokenPreview
from .columns import as_strings, check_columns, open_parquet
from .rendering import choose_rendering
from .specials import Frame, find_frame
from .texts import NotText, Tally, TextRules, read_texts

MAX_CHARS: Final = 1000
"""Characters of a text that are shown."""

_ENCODED_CHARS: Final = 8000
"""What is encoded of a longer sample, so that its last tokens shown are as in the whole."""

_MAX_POSITIONS: Final = 5000

_BATCH_ROWS: Final = 1000


def preview_text(text: str, tokenizer: Tokenizer, settings: TokenizationSettings) -> TokenPreview:
    """Show what a text becomes.

    Raises
    ------
    InvalidRequestError
        For a text that is too long or not valid Unicode, and settings that need more than a text.
    TokenizationError
        For settings that this tokenizer cannot serve.
    """
    for field in ("pair_column", "chat_template"):
        if getattr(settings, field) is not None:
            raise InvalidRequestError(
                f"{field}: a text by itself has neither pairs nor messages.",
                field=field,
                hint="Preview a row of a dataset instead.",
            )
    if len(text) > MAX_CHARS:
        raise InvalidRequestError(
            f"text: {len(text):,} characters are too many for a preview.",
            field="text",
            hint=f"At most {MAX_CHARS:,} are taken.",
        )
    try:
        batch = pa.RecordBatch.from_arrays([pa.array([text], pa.string())], names=["text"])
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            "text: it holds a lone surrogate, which no file can hold.", field="text"
        ) from error
    rules = TextRules(settings.min_chars, settings.skip_invalid, settings.cleaning)
    return _preview(batch, rules, tokenizer, settings, find_frame(tokenizer, settings), "The text")


def preview_row(
    paths: Sequence[Path],
    text_column: str,
    row: int,
    tokenizer: Tokenizer,
    settings: TokenizationSettings,
) -> TokenPreview:
    """Show what a row of Parquet files becomes.

    Parameters
    ----------
    paths : sequence of Path
        The files of one split, in order.
    row : int
        Counted over all of them.

    Raises
    ------
    InvalidRequestError
        For a row or column that is not there.
    TokenizationError
        For a row that is not text, and settings that this tokenizer cannot serve.
    """
    chat = choose_rendering(paths, text_column, tokenizer, settings).template
    frame = find_frame(tokenizer, settings, chat)
    rules = TextRules.of(settings, frame.room, chat)
    batch = read_row(paths, text_column, settings.pair_column, row)
    return _preview(batch, rules, tokenizer, settings, frame, f"Row {row}")


def _preview(  # noqa: PLR0917 -- six things, each of its own type
    batch: pa.RecordBatch,
    rules: TextRules,
    tokenizer: Tokenizer,
    settings: TokenizationSettings,
    frame: Frame,
    what: str,
) -> TokenPreview:
    tally = Tally()
    try:
        texts, _ = read_texts(batch, rules, tally)
    except NotText as fault:
        raise TokenizationError(
            f"{what} {fault.detail}.", hint="Use skip_invalid=True to drop such samples."
        ) from fault
    parts = [_part(tokenizer, text) for text in texts]
    if rules.pair is not None and parts and not _fits(parts, rules):
        if not rules.skip_invalid:
            raise TokenizationError(
                f"{what}: the text that must stay whole leaves no room for the other one.",
                hint="Use truncation='longest_first' or a larger max_length.",
            )
        tally.dropped["too_long"] += 1
        parts = []
    kept = _cut(parts, settings, frame)
    tokens = _sequence(kept, tokenizer, settings, frame) if parts else []
    num_padding = 0
    if parts and settings.padding == "max_length":
        num_padding = settings.max_length - len(tokens)
    num_special = sum(token.type == "special" for token in tokens)
    num_of_text = sum(token.start is not None for token in tokens)
    num_filled = min(num_padding, max(_MAX_POSITIONS - len(tokens), 0))
    return TokenPreview(
        tokenizer_name=tokenizer.name,
        text=parts[0].text if parts else "",
        pair_text=parts[1].text if len(parts) > 1 else None,
        is_cut=any(part.is_cut for part in parts),
        dropped=next(iter(tally.dropped), None),
        tokens=(*tokens[:_MAX_POSITIONS], *_padding(len(tokens), num_filled, tokenizer)),
        num_tokens=len(tokens),
        num_special=num_special,
        num_regular=len(tokens) - num_special,
        num_padding=num_padding,
        num_beyond=sum(len(part.pieces) for part in parts) - num_of_text,
        num_chars=sum(len(part.text) for part in parts),
        chars_cleaned=tally.cleaned["chars"],
    )


@dataclass(frozen=True)
class _Part:
    """One text, and its tokens as far as they are shown."""

    text: str
    pieces: list[Piece]
    is_cut: bool


def _part(tokenizer: Tokenizer, text: str) -> _Part:
    pieces = split_text(tokenizer, text[:_ENCODED_CHARS])
    shown = [piece for piece in pieces if piece.start < MAX_CHARS]
    return _Part(text[:MAX_CHARS], shown, len(text) > MAX_CHARS)


def _fits(parts: list[_Part], rules: TextRules) -> bool:
    lengths = np.array([[len(part.pieces) for part in parts]])
    return rules.pair is None or bool(rules.pair.fits(lengths)[0])


def _cut(parts: list[_Part], settings: TokenizationSettings, frame: Frame) -> list[list[Piece]]:
    """Return the pieces of each text that the first sequence has room for."""
    pieces = [part.pieces for part in parts]
    if len(pieces) < 2:
        return [part[: frame.room] for part in pieces]
    import torch

    from .pairs import split_pairs

    first, second = map(len, pieces)
    cut = split_pairs(
        torch.tensor([first]),
        torch.tensor([first + second]),
        room=frame.room,
        truncation=settings.truncation,
        stride=settings.stride,
    )
    sizes = cut.pieces[0, :, 1].tolist()
    return [part[:size] for part, size in zip(pieces, sizes, strict=True)]


def _sequence(
    kept: list[list[Piece]], tokenizer: Tokenizer, settings: TokenizationSettings, frame: Frame
) -> list[PreviewToken]:
    """Return the real positions of the first sequence."""
    is_packed = settings.mode == "packed"
    begin = (frame.begin,) if is_packed and frame.begin is not None else ()
    spell = Speller(tokenizer)
    entries = [_inserted(token_id, spell) for token_id in (*begin, *frame.prefix)]
    for number, pieces in enumerate(kept):
        if number:
            entries += [_inserted(token_id, spell) for token_id in frame.middle]
        entries += [_of_text(piece, tokenizer, in_pair=number == 1) for piece in pieces]
    entries += [_inserted(token_id, spell) for token_id in frame.suffix]
    if is_packed:
        entries = entries[: settings.max_length]
    return [
        PreviewToken(position=number, attention_mask=1, **entry)
        for number, entry in enumerate(entries)
    ]


def _inserted(token_id: int, spell: Speller) -> dict[str, Any]:
    return {
        "id": token_id,
        "text": spell(token_id),
        "type": "special",
        "start": None,
        "end": None,
        "in_pair": False,
    }


def _of_text(piece: Piece, tokenizer: Tokenizer, *, in_pair: bool) -> dict[str, Any]:
    is_special = piece.id in tokenizer.special_tokens
    return {**vars(piece), "type": "special" if is_special else "regular", "in_pair": in_pair}


def _padding(first: int, num: int, tokenizer: Tokenizer) -> list[PreviewToken]:
    filled = _inserted(tokenizer.fill_id, Speller(tokenizer))
    return [
        PreviewToken(position=first + number, attention_mask=0, **filled) for number in range(num)
    ]


def read_row(
    paths: Sequence[Path], column: str, pair_column: str | None, row: int
) -> pa.RecordBatch:
    """Read the text columns of one row; raises `InvalidRequestError` where there is none."""
    columns = [column] if pair_column is None else [column, pair_column]
    left = row
    for path in paths:
        with open_parquet(path) as file:
            check_columns(file.schema_arrow, column, pair_column, path)
            if left >= file.metadata.num_rows or left < 0:
                left -= file.metadata.num_rows
                continue
            group = 0
            while left >= file.metadata.row_group(group).num_rows:
                left -= file.metadata.row_group(group).num_rows
                group += 1
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns):
                if left < len(batch):
                    return as_strings(batch.select(columns).slice(left, 1))
                left -= len(batch)
    raise InvalidRequestError(
        f"row: the split has no row {row}.", field="row", hint="The first row is 0."
    )
