"""Tokenizers: load one, choose an engine, prove it equal to the reference.

loading     `load_tokenizer`: a path to a `Tokenizer`
tokenizer   `Tokenizer`: what a tokenizer.json says, its special tokens and its template
engines     `open_encoder`: texts to flat ids, by fastokens or by the reference
probes      `choose_engine`: the texts on which an engine must equal the reference
proofs      which engine was proven for which tokenizer, remembered

The reference is the ``tokenizers`` library. Another engine is used only where it gives the
same ids.
"""

from .engines import Encoder, EncoderSpec, Engine, open_encoder
from .loading import display_name, fingerprint, load_tokenizer
from .probes import (
    EngineDiffersError,
    check_sample,
    choose_engine,
    disprove,
    is_equal_on_probes,
    probe_texts,
)
from .tokenizer import Tokenizer

__all__ = [
    "Encoder",
    "EncoderSpec",
    "Engine",
    "EngineDiffersError",
    "Tokenizer",
    "check_sample",
    "choose_engine",
    "display_name",
    "disprove",
    "fingerprint",
    "is_equal_on_probes",
    "load_tokenizer",
    "open_encoder",
    "probe_texts",
]
