"""Tokenizers: load one, choose an engine, prove it equal to the reference.

loading     `load_tokenizer`: a path to a `Tokenizer`
chat        `ChatTemplate`: conversations to text
tokenizer   `Tokenizer`: what a tokenizer.json says, its special tokens and its template
pieces      `split_text`: what each token of a text stands for
engines     `open_encoder`: texts to flat ids, by fastokens or by the reference
choosing    `choose_engine`: the fastest one that is proven, or one on trial
probes      the texts on which an engine must equal the reference
proofs      which engine was proven for which tokenizer, remembered

The reference is the ``tokenizers`` library. Another engine is used only where it gives the
same ids.
"""

from .chat import ChatTemplate, Message, RenderingFault, render_plain
from .choosing import (
    EngineDiffersError,
    Trial,
    check_sample,
    choose_engine,
    choose_on_trial,
    disprove,
    open_early,
)
from .engines import Encoder, EncoderSpec, Engine, Ids, open_encoder
from .loading import display_name, fingerprint, load_tokenizer, recall_tokenizer
from .pieces import Piece, Speller, split_text
from .probes import is_equal_on_probes, probe_texts
from .tokenizer import PairTemplate, Tokenizer

__all__ = [
    "ChatTemplate",
    "Encoder",
    "EncoderSpec",
    "Engine",
    "EngineDiffersError",
    "Ids",
    "Message",
    "PairTemplate",
    "Piece",
    "RenderingFault",
    "Speller",
    "Tokenizer",
    "Trial",
    "check_sample",
    "choose_engine",
    "choose_on_trial",
    "display_name",
    "disprove",
    "fingerprint",
    "is_equal_on_probes",
    "load_tokenizer",
    "open_early",
    "open_encoder",
    "probe_texts",
    "recall_tokenizer",
    "render_plain",
    "split_text",
]
