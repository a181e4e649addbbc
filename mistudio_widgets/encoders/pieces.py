"""What each token of a text stands for, readable also where it is a piece of a character."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from .tokenizer import Tokenizer

if TYPE_CHECKING:
    import tokenizers

_BYTE: Final = re.compile(r"<0x([0-9A-F]{2})>")
_WORD_MARK: Final = "\u2581"


@dataclass(frozen=True)
class Piece:
    r"""A token of a text.

    Attributes
    ----------
    text : str
        What it stands for; bytes that are no whole character as hex, such as ``\xe6``.
    start, end : int
        The characters of the text that it comes from.
    """

    id: int
    text: str
    start: int
    end: int


def split_text(tokenizer: Tokenizer, text: str) -> list[Piece]:
    """Return the reference's tokens of a text, without the template's special tokens."""
    encoding = tokenizer.backend.encode(text, add_special_tokens=False)
    spell = Speller(tokenizer)
    return [
        Piece(token_id, spell(token_id), start, end)
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
    ]


class Speller:
    """Writes tokens so that a person can read them.

    Parameters
    ----------
    tokenizer : Tokenizer
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._backend = tokenizer.backend
        self._added = {
            token_id: token.content
            for token_id, token in tokenizer.backend.get_added_tokens_decoder().items()
        }
        kinds = _decoders(tokenizer.backend)
        self._is_byte_level = "ByteLevel" in kinds
        self._has_bytes = "ByteFallback" in kinds
        self._has_word_mark = _WORD_MARK in kinds

    def __call__(self, token_id: int) -> str:
        """Return what a token stands for."""
        if token_id in self._added:
            return self._added[token_id]
        token = self._backend.id_to_token(token_id) or ""
        if self._is_byte_level:
            return _of_byte_level(token)
        byte = _BYTE.fullmatch(token) if self._has_bytes else None
        if byte is not None:
            return _readable(bytes([int(byte[1], 16)]))
        return token.replace(_WORD_MARK, " ") if self._has_word_mark else token


def _decoders(backend: tokenizers.Tokenizer) -> set[str]:
    """Return the kinds of the steps that turn tokens back into text, "▁" among them for spaces."""
    kinds: set[str] = set()
    for part in (backend.decoder, backend.pre_tokenizer):
        if part is not None:
            _collect(json.loads(part.__getstate__()), kinds)
    return kinds


def _collect(step: Mapping[str, Any], kinds: set[str]) -> None:
    kinds.add(step["type"])
    if step["type"] == "Metaspace" or step.get("pattern") == {"String": _WORD_MARK}:
        kinds.add(_WORD_MARK)
    for inner in (*step.get("decoders", ()), *step.get("pretokenizers", ())):
        _collect(inner, kinds)


def _of_byte_level(token: str) -> str:
    table = _byte_table()
    if any(character not in table for character in token):
        return token
    return _readable(bytes(table[character] for character in token))


def _readable(content: bytes) -> str:
    return content.decode("utf-8", errors="backslashreplace")


@lru_cache(maxsize=1)
def _byte_table() -> dict[str, int]:
    """Return the byte behind each character of GPT-2's alphabet, which most tokenizers use.

    Printable bytes stand for themselves, the others for characters from 256 on.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(256 + place): byte for place, byte in enumerate(others)
    }
