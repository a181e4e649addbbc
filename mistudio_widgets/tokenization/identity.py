"""What makes two tokenizations the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from ..records import TokenizationSettings


def content_sha256(
    file_hashes: Sequence[str], tokenizer_sha256: str, settings: TokenizationSettings
) -> str:
    """Hash all that decides the ids: equal hashes, equal tensors.

    Where the tokenizer lies is no part of it, only what its files hold.

    Parameters
    ----------
    file_hashes : sequence of str
        One per data file, in the order of the files; whoever calls puts the split's name into
        each, since the same files in other splits make another tokenization.
    tokenizer_sha256 : str
        What `encoders.fingerprint` says of its files.
    settings : TokenizationSettings
    """
    chosen = json.loads(settings.canonical())
    del chosen["tokenizer"]
    content = {"files": list(file_hashes), "tokenizer": tokenizer_sha256, "settings": chosen}
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def tokenization_id(
    dataset_id: str,
    file_hashes: Sequence[str],
    tokenizer_sha256: str,
    settings: TokenizationSettings,
) -> str:
    """Return ``tok_`` and 16 hex digits: equal for the same request, now and later."""
    content = content_sha256(file_hashes, tokenizer_sha256, settings)
    digest = hashlib.sha256(f"{dataset_id}\n{content}".encode()).hexdigest()
    return f"tok_{digest[:16]}"
