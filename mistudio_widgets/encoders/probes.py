"""The proof that an engine gives the reference's ids."""

from __future__ import annotations

import logging
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final, get_args

import numpy as np

from ..errors import InvalidRequestError, JobCancelled
from .engines import (
    OPENERS,
    Encoder,
    EncoderSpec,
    Engine,
    Ids,
    Offsets,
    Opener,
    ReferenceEncoder,
    keep_open,
    open_encoder,
)
from .proofs import recall, remember
from .tokenizer import Tokenizer

_log = logging.getLogger(__name__)

_PER_CATEGORY: Final = 64

# of each shard: the reference takes about 5 ms for them
_SAMPLED_TEXTS: Final = 8
_SAMPLED_CHARS: Final = 1000

# planes 0 to 3 hold all letters; the rest is variation selectors, tags and private use
_SCANNED: Final = (range(0x33480), range(0xE0000, 0xE01F0, 8), range(0xF0000, 0xF0010))

# letters younger than the Unicode tables of Python 3.11, which calls them unassigned; engines
# with older tables than the reference's cut words there
_YOUNG_LETTERS: Final = (
    "\u1c89\u1c8a\ua7cb\ua7cd\ua7da\U00010d4a\U00010d70\U00011bc0"
    "\U00016d43\U0001e5d0\U0001e6c1\U0002ebf0\U00031350\U000323b0"
)

_CONTRACTIONS: Final = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'LL", "\u2019s", "'x")

# letters of many scripts, each before every contraction: where engines were found to differ
_LETTERS: Final = "aZéßñøłž\u0131ЖяΩω中あ한אعहไ\u0301\u00aaǅ\u1c8a\U0001d400"

_SENTENCES: Final = (
    "",
    " ",
    "\n",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "  leading, trailing  and   inner    spaces     ",
    "tabs\tand\r\nline\nends\r\n\r\n\n\n   \n\t\n end",
    "\u00a0\u2003\u3000\u200b\ufeff\u2028\u2029\u0085 odd spaces \u00a0 x",
    "\x00\x01\x1f\x7f control \x1b[31m",
    "1 12 123 1234 12345 3.14159 1,000,000 0x1F 1e-9 ½ ٣٤٥ ௧௨",
    "Don't can't WE'LL they'Ve I'm he's o'clock ''''s '",
    "def f(x: int) -> str:\n    return f'{x!r}'  # %s\n\n\nclass A:\n\tpass\n",
    "<a href=\"https://example.org/?q=1&r=2#frag\">x</a> {'json': [1, 2.5, null]} \\n \\u0041",
    "Zürich, naïve façade; Ελληνικά και Русский, עברית עם ניקוד שָׁלוֹם, العربية",
    "日本語のテキストとカタカナ、中文文本\uff0c한국어 텍스트 ไทยไม่มีช่องว่าง हिन्दी में",
    "e\u0301 vs \u00e9, \ufb01 ligature, \u212b \u00c5 A\u030a, \u1e9b\u0323, \uff26\uff55\uff4c\uff4c",  # noqa: E501
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇯🇵 ☺️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ✈ ©®™",
    "İstanbul ıIiİ ßẞ ǅ ŉ ﬀ Ω ſ K",  # noqa: RUF001
    "\U0010ffff\ufffd\ufffe\ud7ff\ue000",
    "CamelCaseAndMIXEDcaseHTTPServer snake_case_name kebab-case-name A1b2C3",
    "______ ------ ====== ...... !!!!!! ????? ,,,, ;;;; //////// \\\\\\\\ ######",
)


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
    if requested not in ("auto", *get_args(Engine)):
        raise InvalidRequestError(
            f"engine: there is no engine {requested!r}.",
            field="engine",
            hint='Choose "auto", "fastokens" or "tokenizers".',
        )
    keep_open(_spec(tokenizer, "tokenizers"), ReferenceEncoder(tokenizer.backend))
    spec = _spec(tokenizer, "fastokens")
    if requested != "tokenizers" and _is_proven(tokenizer, spec, openers, proofs, check):
        return spec
    return _spec(tokenizer, "tokenizers")


def _is_proven(
    tokenizer: Tokenizer,
    spec: EncoderSpec,
    openers: Mapping[Engine, Opener],
    proofs: Path | None,
    check: Callable[[], None],
) -> bool:
    if openers is not OPENERS:
        # what is remembered and kept open is the real engine
        return _probe(tokenizer, spec, openers[spec.engine], check) is not None
    known = recall(spec, proofs)
    if known is None:
        # two threads may both probe; they find the same
        encoder = _probe(tokenizer, spec, openers[spec.engine], check)
        known = encoder is not None
        if encoder is not None:
            keep_open(spec, encoder)
        remember(spec, proofs, is_equal=known)
    return known


def _spec(tokenizer: Tokenizer, engine: Engine) -> EncoderSpec:
    return EncoderSpec(path=tokenizer.path, sha256=tokenizer.sha256, engine=engine)


def _probe(
    tokenizer: Tokenizer, spec: EncoderSpec, opener: Opener, check: Callable[[], None]
) -> Encoder | None:
    """Open an engine; None where it does not give the reference's ids."""
    try:
        encoder = opener(tokenizer.path)
        check()
        is_equal = is_equal_on_probes(encoder, tokenizer, check)
    except JobCancelled:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever a broken engine raises, the reference runs
        _log.info("%s cannot run the tokenizer %s: %s", spec.engine, tokenizer.name, error)
        return None
    if not is_equal:
        _log.warning("%s gives other ids than the reference for %s", spec.engine, tokenizer.name)
    return encoder if is_equal else None


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
    if not _are_equal(encoder.encode(stretches), reference.encode(stretches)):
        raise EngineDiffersError(spec)


def disprove(spec: EncoderSpec, proofs: Path | None) -> EncoderSpec:
    """Take the proof of an engine back; return the reference's spec."""
    _log.warning("%s gives other ids than the reference on real text", spec.engine)
    remember(spec, proofs, is_equal=False)
    return replace(spec, engine="tokenizers")


def is_equal_on_probes(
    encoder: Encoder, tokenizer: Tokenizer, check: Callable[[], None] = lambda: None
) -> bool:
    """Tell whether ``encoder`` gives the reference's ids on every probe."""
    texts = probe_texts(tuple(tokenizer.special_tokens.values()))
    found = encoder.encode(texts)
    check()
    return _are_equal(found, ReferenceEncoder(tokenizer.backend).encode(texts))


def _are_equal(found: tuple[Ids, Offsets], expected: tuple[Ids, Offsets]) -> bool:
    return np.array_equal(found[1], expected[1]) and np.array_equal(found[0], expected[0])


def probe_texts(special_tokens: tuple[str, ...] = ()) -> list[str]:
    """Return the texts on which an engine must equal the reference, about 200 kB."""
    return [
        *_SENTENCES,
        *_class_texts(),
        *(
            f"x{letter}{ending} {letter}{ending}y"
            for letter in _LETTERS
            for ending in _CONTRACTIONS
        ),
        *_run_texts(),
        *_special_texts(special_tokens),
        _long_text(),
    ]


@lru_cache(maxsize=1)
def _class_texts() -> tuple[str, ...]:
    """Characters of every Unicode class: alone, in words, before contractions, in rows."""
    texts = []
    for characters in _characters_by_class().values():
        texts.append(" ".join(characters))
        texts.append("".join(f" a{c}b{c}{c} {c}1" for c in characters))
        texts.append("".join(characters))
        for number, character in enumerate(characters):
            ending = _CONTRACTIONS[number % len(_CONTRACTIONS)]
            texts.append(f"{character}{ending} x{character}{ending}\n{character}{character}")
    return tuple(texts)


def _characters_by_class() -> dict[str, list[str]]:
    classes: dict[str, list[str]] = defaultdict(list)
    for span in _SCANNED:
        for code in span:
            category = unicodedata.category(chr(code))
            if category != "Cs":
                classes[category].append(chr(code))
    spread = {name: _spread(characters) for name, characters in classes.items()}
    spread["young"] = list(_YOUNG_LETTERS)
    return spread


def _spread(characters: list[str]) -> list[str]:
    """Take the first few, which are the common ones, and some from the whole range."""
    step = max(1, len(characters) // _PER_CATEGORY)
    return list(dict.fromkeys([*characters[:8], *characters[::step]]))


def _run_texts() -> Iterator[str]:
    """Long runs without a place to cut, where engines use other algorithms."""
    for unit in ("a", "A", "é", "中", "\u0301", "👍", " ", "\n", "\t", "=", "0", "ab", " \n", "'s"):
        yield unit * 260
        yield f"x{unit * 33}y {unit}"
    yield "a" * 4000
    yield " " * 4000 + "x"


def _special_texts(special_tokens: tuple[str, ...]) -> Iterator[str]:
    for text in ("<|endoftext|>", "<s>", "</s>", "[CLS]", "[MASK]", *special_tokens[:64]):
        yield f"before {text} after"
        yield f"{text}x{text}{text} {text}\n{text.lower()}{text[:-1]}"


@lru_cache(maxsize=1)
def _long_text() -> str:
    """One text of 100,000 characters: engines may cut or cache long ones."""
    body = "\n".join(_SENTENCES[4:])
    words = " ".join(f"word{number} {number * 7919}" for number in range(200))
    return ((body + words) * 100)[:100_000]
