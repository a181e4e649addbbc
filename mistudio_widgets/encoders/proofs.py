"""What is remembered of an engine's proof, so that it runs once for a tokenizer."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from .engines import EncoderSpec

PROBES_VERSION: Final = 1
"""Goes up with every change of the probes, so that old proofs count no longer."""

_known: dict[str, bool] = {}
_known_lock = threading.Lock()


def recall(spec: EncoderSpec, folder: Path | None) -> bool | None:
    """Return whether the engine gives the reference's ids, None where nobody has looked yet."""
    key = _key(spec)
    with _known_lock:
        if key in _known:
            return _known[key]
    if folder is None:
        return None
    try:
        found = json.loads((folder / f"{key}.json").read_bytes())["is_equal"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, bool) else None


def remember(spec: EncoderSpec, folder: Path | None, *, is_equal: bool) -> None:
    """Remember a proof in this process, and in ``folder`` for later ones.

    It holds for one tokenizer.json, one set of probes, and one version of both libraries.
    """
    key = _key(spec)
    with _known_lock:
        _known[key] = is_equal
    if folder is None:
        return
    content = json.dumps({"engine": spec.engine, "sha256": spec.sha256, "is_equal": is_equal})
    temporary = folder / f"{key}.{threading.get_ident()}.tmp"
    # a proof that cannot be kept is made again
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(content)
        temporary.replace(folder / f"{key}.json")


def _key(spec: EncoderSpec) -> str:
    content = [
        spec.sha256,
        spec.engine,
        PROBES_VERSION,
        _version(spec.engine),
        _version("tokenizers"),
    ]
    return "proof-" + hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
