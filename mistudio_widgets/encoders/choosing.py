"""Which engine runs a tokenizer: the fastest one that is proven."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, get_args

from ..errors import InvalidRequestError, JobCancelled, MiStudioError
from . import probes
from .engines import (
    OPENERS,
    Encoder,
    EncoderSpec,
    Engine,
    Opener,
    ReferenceEncoder,
    are_equal,
    file_sha256,
    keep_open,
    open_encoder,
)
from .proofs import recall, remember
from .tokenizer import Tokenizer

_log = logging.getLogger(__name__)

_CHECK_EVERY_S: Final = 0.1

# of each shard: the reference takes about 2 ms for them
_SAMPLED_TEXTS: Final = 3
_SAMPLED_CHARS: Final = 1000


def choose_engine(
    tokenizer: Tokenizer,
    requested: str = "auto",
    *,
    openers: Mapping[Engine, Opener] = OPENERS,
    proofs: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> EncoderSpec:
    """Choose the fastest engine that gives the reference's ids.

    Parameters
    ----------
    tokenizer : Tokenizer
        The tokenizer to encode with.
    requested : "auto", "fastokens" or "tokenizers"
        "fastokens" is proven like any other: where it differs, the reference runs instead, and
        the returned spec says so.
    openers : dict
        How each engine is opened.
    proofs : Path or None
        Folder that remembers which engine was proven for which tokenizer. What is remembered
        is not proven again, so `check_sample` goes on comparing while the engine is used.
    check : callable
        Called between the steps of a proof; what it raises ends it.

    Raises
    ------
    InvalidRequestError
        For an engine that does not exist.
    """
    spec, known = _recalled_choice(tokenizer, requested, proofs)
    if openers is not OPENERS and spec.engine != "tokenizers":
        # what is remembered and kept open is the real engine
        encoder = _open(tokenizer, spec, openers[spec.engine])
        known = encoder is not None and _prove(tokenizer, spec, encoder, check)
    elif known is None:
        # two threads may both probe; they find the same
        opened = _open(tokenizer, spec, lambda _: open_encoder(spec))
        known = opened is not None and _prove(tokenizer, spec, opened, check)
        remember(spec, proofs, is_equal=known)
    return spec if known else replace(spec, engine="tokenizers")


def open_early(path: Path, requested: str, helper: Executor, *, proofs: Path | None = None) -> None:
    """Begin to open the engine that `choose_on_trial` is likely to choose.

    It takes longer than the reference, which is loaded meanwhile. Returns when the engine reads
    its file and has let go of Python's lock; does nothing where there is no tokenizer.json yet.

    Parameters
    ----------
    path : Path
        A tokenizer.json, or a folder with one.
    requested, proofs
        As `choose_engine` has them.
    helper : Executor
        A thread opens it.
    """
    file = path if path.is_file() else path / "tokenizer.json"
    if requested == "tokenizers" or not file.is_file():
        return
    file = file.resolve()
    spec = EncoderSpec(path=str(file), sha256=file_sha256(file), engine="fastokens")
    if recall(spec, proofs) is not False:
        is_reading = threading.Event()
        opening = helper.submit(open_encoder, spec, on_start=is_reading.set)
        # nothing is read where it is open already; a fault comes up again when it is used
        opening.add_done_callback(lambda _: is_reading.set())
        is_reading.wait()


@dataclass(frozen=True)
class Trial:
    """An engine that may be used while it is being proven.

    Attributes
    ----------
    spec : EncoderSpec
    """

    spec: EncoderSpec
    _proof: Future[bool] | None = None
    _proofs: Path | None = None

    def confirm(self, check: Callable[[], None] = lambda: None) -> None:
        """Wait for the proof, and remember it: only now may be used what the engine made.

        ``check`` is called meanwhile; what it raises ends the waiting.

        Raises
        ------
        EngineDiffersError
            It gives other ids than the reference.
        """
        if self._proof is None:
            return
        while not self._proof.done():
            check()
            wait([self._proof], timeout=_CHECK_EVERY_S)
        is_equal = self._proof.result()
        # here and not by the helper, which may end after the engine failed on real text
        remember(self.spec, self._proofs, is_equal=is_equal)
        if not is_equal:
            raise EngineDiffersError(self.spec)


def choose_on_trial(
    tokenizer: Tokenizer,
    requested: str,
    helper: Executor,
    *,
    proofs: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> Trial:
    """Choose an engine as `choose_engine` does, but do not wait for its proof.

    Parameters
    ----------
    helper : Executor
        Proves it, in a thread.
    """
    spec, known = _recalled_choice(tokenizer, requested, proofs)
    if known is None and _open(tokenizer, spec, lambda _: open_encoder(spec)) is None:
        remember(spec, proofs, is_equal=False)
        known = False
    if known is not None:
        return Trial(spec if known else replace(spec, engine="tokenizers"))

    encoder = open_encoder(spec)
    return Trial(spec, helper.submit(_prove, tokenizer, spec, encoder, check), proofs)


def _recalled_choice(
    tokenizer: Tokenizer, requested: str, proofs: Path | None
) -> tuple[EncoderSpec, bool | None]:
    """Return the engine to use, and whether it is proven; None where that is not known yet."""
    if requested not in ("auto", *get_args(Engine)):
        raise InvalidRequestError(
            f"engine: there is no engine {requested!r}.",
            field="engine",
            hint='Choose "auto", "fastokens" or "tokenizers".',
        )
    reference = EncoderSpec(path=tokenizer.path, sha256=tokenizer.sha256, engine="tokenizers")
    keep_open(reference, ReferenceEncoder(tokenizer.backend))
    if requested == "tokenizers":
        return reference, True
    spec = replace(reference, engine="fastokens")
    return spec, recall(spec, proofs)


def _open(tokenizer: Tokenizer, spec: EncoderSpec, opener: Opener) -> Encoder | None:
    """Open an engine; None where it cannot run the tokenizer."""
    try:
        return opener(tokenizer.path)
    except MiStudioError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever a broken engine raises, the reference runs
        _log.info("%s cannot run the tokenizer %s: %s", spec.engine, tokenizer.name, error)
        return None


def _prove(
    tokenizer: Tokenizer, spec: EncoderSpec, encoder: Encoder, check: Callable[[], None]
) -> bool:
    try:
        check()
        is_equal = probes.is_equal_on_probes(encoder, tokenizer, check)
    except JobCancelled:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever a broken engine raises, the reference runs
        _log.info("%s cannot run the tokenizer %s: %s", spec.engine, tokenizer.name, error)
        return False
    if not is_equal:
        _log.warning("%s gives other ids than the reference for %s", spec.engine, tokenizer.name)
    return is_equal


class EngineDiffersError(Exception):
    """An engine that reproduced the probes gave other ids on real text.

    The proof is to be taken back with `disprove`, and the work done again by the reference.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec)
        self.spec = spec


def check_sample(spec: EncoderSpec, encoder: Encoder, texts: list[str]) -> None:
    """Compare an engine with the reference on stretches of real text.

    Raises
    ------
    EngineDiffersError
        It gave other ids.
    """
    if spec.engine == "tokenizers" or not texts:
        return
    chosen = texts[:: max(1, len(texts) // _SAMPLED_TEXTS)][:_SAMPLED_TEXTS]
    # any stretch of a text is a text, and both engines see the same one
    stretches = [text[:_SAMPLED_CHARS] for text in chosen]
    reference = open_encoder(replace(spec, engine="tokenizers"))
    if not are_equal(encoder.encode(stretches), reference.encode(stretches)):
        raise EngineDiffersError(spec)


def disprove(spec: EncoderSpec, proofs: Path | None) -> EncoderSpec:
    """Take the proof of an engine back; return the reference's spec."""
    _log.warning("%s gives other ids than the reference on real text", spec.engine)
    remember(spec, proofs, is_equal=False)
    return replace(spec, engine="tokenizers")
