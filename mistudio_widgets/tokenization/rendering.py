"""What renders conversations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..encoders import ChatTemplate, Tokenizer
from ..errors import InvalidRequestError
from ..importer import conversation_format
from ..records import RenderingSource, TokenizationSettings
from .columns import open_parquet


@dataclass(frozen=True)
class Rendering:
    """How samples become texts.

    Attributes
    ----------
    source : "tokenizer", "settings", "plain" or None
        Whose template renders conversations; None: the samples are texts.
    template : ChatTemplate or None
        None for texts, and for conversations in plain form.
    """

    source: RenderingSource | None = None
    template: ChatTemplate | None = None


def choose_rendering(
    paths: Iterable[Path],
    text_column: str,
    tokenizer: Tokenizer,
    settings: TokenizationSettings,
) -> Rendering:
    """Choose what renders the samples.

    Parameters
    ----------
    paths : iterable of Path
        Parquet files; the first tells what the column holds.

    Raises
    ------
    InvalidRequestError
        ``field`` is "chat_template" when there is nothing to render.
    """
    first = next(iter(paths), None)
    if first is not None and _holds_conversations(first, text_column):
        template = tokenizer.chat_template(settings.chat_template)
        if template is None:
            return Rendering("plain")
        is_given = settings.chat_template is not None
        return Rendering("settings" if is_given else "tokenizer", template)
    if settings.chat_template is not None:
        raise InvalidRequestError(
            f"chat_template: column {text_column!r} does not hold conversations.",
            field="chat_template",
            hint="Leave it out, or choose a text_column of conversations.",
        )
    return Rendering()


def _holds_conversations(path: Path, column: str) -> bool:
    with open_parquet(path) as file:
        schema = file.schema_arrow
    return column in schema.names and conversation_format(schema.field(column).type) is not None
