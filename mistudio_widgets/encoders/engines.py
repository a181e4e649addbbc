"""Engines that turn texts into flat token ids."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import TokenizationError, TokenizerNotFoundError, shown_path

if TYPE_CHECKING:
    import fastokens
    import tokenizers

Engine = Literal["fastokens", "tokenizers"]

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]

# the reference keeps about 150 bytes per token until its result is read
_REFERENCE_BATCH_CHARS: Final = 500_000


@dataclass(frozen=True)
class EncoderSpec:
    """What another thread, process or machine needs to open the same encoder.

    Attributes
    ----------
    path : str
        A ``tokenizer.json``.
    sha256 : str
        Of that file; another content is refused.
    engine : "fastokens" or "tokenizers"
    """

    path: str
    sha256: str
    engine: Engine


class Encoder(Protocol):
    """Turns texts into ids, without special tokens of the template."""

    def encode(self, texts: list[str]) -> tuple[Ids, Offsets]:
        """Encode ``texts``.

        Returns
        -------
        ids : int32, shape (n_tokens,)
            The ids of all texts, one after another. May be read-only.
        offsets : int64, shape (len(texts) + 1,)
            Text i has ``ids[offsets[i]:offsets[i + 1]]``.

        *Threads:* any number at once.
        """


class ReferenceEncoder:
    """The ``tokenizers`` library."""

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self._backend = backend

    def encode(self, texts: list[str]) -> tuple[Ids, Offsets]:
        """Encode in slices, so that the library's large intermediate result stays small."""
        parts: list[Ids] = []
        lengths = np.zeros(len(texts) + 1, dtype=np.int64)
        for first, last in _slices(texts, _REFERENCE_BATCH_CHARS):
            encodings = self._backend.encode_batch_fast(texts[first:last], add_special_tokens=False)
            for position, encoding in enumerate(encodings, start=first + 1):
                ids = np.array(encoding.ids, dtype=np.int32)
                lengths[position] = len(ids)
                parts.append(ids)
        flat = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
        return flat, np.cumsum(lengths)


class FastokensEncoder:
    """The ``fastokens`` library."""

    def __init__(self, backend: fastokens.Tokenizer) -> None:
        self._backend = backend

    def encode(self, texts: list[str]) -> tuple[Ids, Offsets]:
        """Encode in one call that releases the GIL and makes no Python object per token."""
        ids, offsets = self._backend.encode_batch_flat(texts, False)  # noqa: FBT003
        return np.frombuffer(ids, dtype=np.int32), np.frombuffer(offsets, dtype=np.int64)


def _slices(texts: Sequence[str], max_chars: int) -> list[tuple[int, int]]:
    bounds, first, chars = [], 0, 0
    for position, text in enumerate(texts):
        if chars + len(text) > max_chars and position > first:
            bounds.append((first, position))
            first, chars = position, 0
        chars += len(text)
    if first < len(texts):
        bounds.append((first, len(texts)))
    return bounds


def open_backend(path: str) -> tokenizers.Tokenizer:
    """Load a ``tokenizer.json`` with truncation and padding switched off."""
    import tokenizers

    backend = tokenizers.Tokenizer.from_file(path)
    backend.no_truncation()
    backend.no_padding()
    return backend


def _open_reference(path: str) -> Encoder:
    return ReferenceEncoder(open_backend(path))


def _open_fastokens(path: str) -> Encoder:
    import fastokens

    backend = fastokens.Tokenizer.from_file(path)
    backend.no_truncation()
    backend.no_padding()
    return FastokensEncoder(backend)


Opener = Callable[[str], Encoder]

OPENERS: Final[Mapping[Engine, Opener]] = {
    "fastokens": _open_fastokens,
    "tokenizers": _open_reference,
}

_opened: dict[EncoderSpec, Future[Encoder]] = {}
_opened_lock = threading.Lock()


def open_encoder(spec: EncoderSpec, *, on_start: Callable[[], None] = lambda: None) -> Encoder:
    """Open the encoder of ``spec``, or return the one that this process has open already.

    Parameters
    ----------
    on_start : callable
        Called when the file is about to be read, where it is.

    Raises
    ------
    TokenizerNotFoundError
        When the file is gone.
    TokenizationError
        When the file is not the one that the spec was made from.

    *Threads:* any; of several that ask for the same one, one opens it and the others wait.
    """
    with _opened_lock:
        known = _opened.get(spec)
        if known is None:
            coming = _opened[spec] = Future()
    if known is not None:
        return known.result()
    try:
        _check_unchanged(spec)
        on_start()
        encoder = OPENERS[spec.engine](spec.path)
    except BaseException as error:
        with _opened_lock:
            _opened.pop(spec, None)
        coming.set_exception(error)
        raise
    coming.set_result(encoder)
    return encoder


def keep_open(spec: EncoderSpec, encoder: Encoder) -> None:
    """Let `open_encoder` return an encoder that is open already."""
    future: Future[Encoder] = Future()
    future.set_result(encoder)
    with _opened_lock:
        _opened.setdefault(spec, future)


def _check_unchanged(spec: EncoderSpec) -> None:
    try:
        found = file_sha256(Path(spec.path))
    except OSError as error:
        raise TokenizerNotFoundError(
            f"The tokenizer {shown_path(spec.path)} cannot be read: {error.strerror}.",
            hint="Put the file back, or tokenize again with another tokenizer.",
        ) from error
    if found != spec.sha256:
        raise TokenizationError(
            f"The tokenizer {shown_path(spec.path)} has changed since this tokenization began.",
            hint="Start the tokenization again.",
        )


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def are_equal(found: tuple[Ids, Offsets], expected: tuple[Ids, Offsets]) -> bool:
    """Tell whether two encoders gave the same ids for the same texts."""
    return np.array_equal(found[1], expected[1]) and np.array_equal(found[0], expected[0])
