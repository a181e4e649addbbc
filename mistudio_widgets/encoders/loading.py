"""From a path to a `Tokenizer`."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import TokenizationError, TokenizerNotFoundError, shown_path
from .engines import file_sha256, open_backend
from .tokenizer import ROLES, Role, Tokenizer, find_pair_template, find_roles, find_template

if TYPE_CHECKING:
    import tokenizers

_VALID: Final = "Give the path of a tokenizer.json, or of a folder with one."

_SLOW_FILES: Final = (
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "config.json",
)
"""What transformers makes a tokenizer from when there is no tokenizer.json."""

_READ: Final = ("tokenizer.json", "chat_template.jinja", *_SLOW_FILES)

_MAX_ENTRIES_SHOWN: Final = 6

# a large one takes 100 MB
_MAX_RECALLED: Final = 4

_Stamp = tuple[tuple[str, int, int, int], ...]


def load_tokenizer(
    path: str | Path,
    *,
    name: str | None = None,
    work_dir: Path | None = None,
    may_convert: bool = True,
) -> Tokenizer:
    """Load a tokenizer from disk.

    Parameters
    ----------
    path : str or Path
        A ``tokenizer.json``, or a folder with one. A folder without one whose files
        transformers can load is converted.
    name : str or None
        What to call it. None: the folder's or the file's name.
    work_dir : Path or None
        Where converted tokenizers are kept. None: folders are not converted.
    may_convert : bool
        False: only what was converted before is taken, and nothing is written.

    Raises
    ------
    TokenizerNotFoundError
        When there is nothing at the path, or no tokenizer in the folder.
    TokenizationError
        When the file is not a tokenizer.
    """
    given = Path(path).expanduser()
    file = _find_file(given, work_dir, may_convert=may_convert)
    backend = _open(file)
    special = {
        token_id: token.content
        for token_id, token in sorted(backend.get_added_tokens_decoder().items())
        if token.special
    }
    vocab = backend.get_vocab(with_added_tokens=True)
    roles = find_roles(special, _read_companions(file.parent), backend)
    return Tokenizer(
        name=name or display_name(given),
        path=str(file.resolve()),
        sha256=file_sha256(file),
        vocab_size=len(vocab),
        num_ids=max(vocab.values(), default=-1) + 1,
        roles=roles,
        special_tokens=special,
        template=find_template(backend),
        backend=backend,
        pair_template=find_pair_template(backend),
        chat_templates=_read_chat_templates(file.parent),
        named_tokens=_named_tokens(file.parent, roles, special),
    )


def fingerprint(file: Path, *, with_chat: bool = False) -> str:
    """Hash what decides the ids: a ``tokenizer.json``, and what the files beside it name.

    Two folders with the same tokenizer.json but another eos fill and separate differently.

    Parameters
    ----------
    with_chat : bool
        Whether conversations are rendered: then the chat templates decide as well.

    Raises
    ------
    TokenizationError
        When a file beside it cannot be read.
    """
    own = file_sha256(file)
    named: dict[str, Any] = {**_read_companions(file.parent)}
    if with_chat:
        named["chat"] = [_read_chat_templates(file.parent), _read_token_texts(file.parent)]
    if not named:
        return own
    return hashlib.sha256(json.dumps([own, named], sort_keys=True).encode()).hexdigest()


_recalled: OrderedDict[tuple[str, Path | None], tuple[_Stamp, Tokenizer]] = OrderedDict()
_recalled_lock = threading.Lock()


def recall_tokenizer(
    path: Path, *, work_dir: Path | None = None, may_convert: bool = True
) -> Tokenizer:
    """Load a tokenizer, or return the one that was loaded before from the same, unchanged files.

    Raises as `load_tokenizer` does. *Threads:* any.
    """
    key, stamp = (str(path), work_dir), _stamp(path)
    with _recalled_lock:
        kept = _recalled.get(key)
        if kept is not None and kept[0] == stamp:
            _recalled.move_to_end(key)
            return kept[1]
    tokenizer = load_tokenizer(path, work_dir=work_dir, may_convert=may_convert)
    with _recalled_lock:
        _recalled[key] = (stamp, tokenizer)
        while len(_recalled) > _MAX_RECALLED:
            _recalled.popitem(last=False)
    return tokenizer


def _stamp(path: Path) -> _Stamp:
    """Return what differs when a file that a tokenizer is made of has changed."""
    folder = path if path.is_dir() else path.parent
    files = [path, *(folder / name for name in _READ), *folder.glob("chat_templates/*.jinja")]
    found = []
    for file in sorted(set(files)):
        with suppress(OSError):
            facts = file.stat()
            found.append((file.name, facts.st_mtime_ns, facts.st_size, facts.st_ino))
    return tuple(found)


def display_name(path: Path) -> str:
    """Return what a person calls the tokenizer at a path: its folder's or its file's name.

    >>> display_name(Path("models/gpt2/tokenizer.json")), display_name(Path("my_bpe.json"))
    ('gpt2', 'my_bpe')
    """
    absolute = path.absolute()
    if absolute.name == "tokenizer.json":
        return absolute.parent.name or absolute.stem
    return absolute.name if path.is_dir() else absolute.stem


def _find_file(path: Path, work_dir: Path | None, *, may_convert: bool) -> Path:
    if path.is_file():
        return path
    if not path.exists():
        raise TokenizerNotFoundError(
            f"There is no tokenizer at {shown_path(path)}.",
            hint=f"{_VALID}{_entries_hint(path.parent)}",
        )
    if not path.is_dir():
        raise TokenizationError(f"{shown_path(path)} is not a regular file.", hint=_VALID)
    file = path / "tokenizer.json"
    if file.is_file():
        return file
    sources = [path / name for name in _SLOW_FILES if (path / name).is_file()]
    target = work_dir / f"converted-{_fingerprint(sources)}" if work_dir and sources else None
    if target is not None and (target / "tokenizer.json").is_file():
        return target / "tokenizer.json"
    if target is None or not may_convert:
        raise TokenizerNotFoundError(
            f"The folder {shown_path(path)} has no tokenizer.json.",
            hint=f"{_VALID}{_entries_hint(path)}",
        )
    return _convert(path, target)


def _entries_hint(folder: Path) -> str:
    """Say what is there instead, so that a mistyped name is seen at once."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return ""
    if not names:
        return f" {shown_path(folder)} is empty."
    shown = ", ".join(names[:_MAX_ENTRIES_SHOWN])
    more = len(names) - _MAX_ENTRIES_SHOWN
    return f" {shown_path(folder)} holds {shown}{f' and {more} more' if more > 0 else ''}."


def _open(file: Path) -> tokenizers.Tokenizer:
    try:
        backend = open_backend(str(file))
    except Exception as error:
        # the library raises bare Exception; only its cause tells what to say
        raise TokenizationError(
            f"{shown_path(file)} is not a tokenizer: {_why_not(file, error)}.", hint=_VALID
        ) from error
    if not has_words(backend):
        raise TokenizationError(
            f"{shown_path(file)} is a tokenizer without a single token for text.",
            hint="Train it first, or choose another one.",
        )
    return backend


def has_words(backend: tokenizers.Tokenizer) -> bool:
    """Tell whether there is any token but special ones."""
    special = [token for token in backend.get_added_tokens_decoder().values() if token.special]
    return backend.get_vocab_size(with_added_tokens=True) > len(special)


def _why_not(file: Path, error: Exception) -> str:
    try:
        content = json.loads(file.read_bytes())
    except OSError as unreadable:
        return f"it cannot be read ({unreadable.strerror})"
    except UnicodeDecodeError:
        return "it is not text"
    except json.JSONDecodeError as invalid:
        return f"it is not JSON (line {invalid.lineno})"
    if not isinstance(content, dict) or "model" not in content:
        return "it is JSON without a tokenizer's model"
    return str(error)


def _read_companions(folder: Path) -> dict[str, str | None]:
    """Read which special tokens the files beside a tokenizer.json name."""
    named: dict[str, str | None] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        content = _read_object(folder / name)
        for role in ROLES:
            key = f"{role}_token"
            if key in content:
                named[key] = _token_text(content[key])
    return named


def _read_token_texts(folder: Path) -> dict[str, str]:
    """Read the texts of "bos_token", "mask_token" and so on."""
    texts: dict[str, str] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        for key, value in _read_object(folder / name).items():
            text = _token_text(value)
            if key.endswith("_token") and text is not None:
                texts[key] = text
    return texts


def _named_tokens(
    folder: Path, roles: Mapping[Role, int | None], special: Mapping[int, str]
) -> dict[str, str]:
    usual = {
        f"{role}_token": special[token_id]
        for role, token_id in roles.items()
        if token_id is not None and token_id in special
    }
    return {**usual, **_read_token_texts(folder)}


def _read_chat_templates(folder: Path) -> dict[str, str]:
    """Read the chat templates where transformers looks for them; files win over the config."""
    files = {path.stem: path for path in sorted((folder / "chat_templates").glob("*.jinja"))}
    if (folder / "chat_template.jinja").is_file():
        files["default"] = folder / "chat_template.jinja"
    if files:
        return {name: _read_text(path) for name, path in files.items()}
    configured = _read_object(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(configured, str):
        return {"default": configured}
    if not isinstance(configured, list):
        return {}
    return {
        item["name"]: item["template"]
        for item in configured
        if isinstance(item, dict)
        and isinstance(item.get("name"), str)
        and isinstance(item.get("template"), str)
    }


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizationError(
            f"{shown_path(file)}, which renders conversations, cannot be read: {error}.",
            hint="Mend or remove that file.",
        ) from error


def _read_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TokenizationError(
            f"{shown_path(file)}, which names the special tokens, cannot be read: {error}.",
            hint="Mend or remove that file.",
        ) from error
    return content if isinstance(content, dict) else {}


def _token_text(value: Any) -> str | None:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _convert(folder: Path, target: Path) -> Path:
    """Let transformers write the tokenizer.json that the folder lacks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="converting-", dir=target.parent))
    try:
        _save_converted(folder, staging)
        _publish(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target / "tokenizer.json"


def _publish(staging: Path, target: Path) -> None:
    try:
        staging.replace(target)
    except OSError:
        # another thread or process was first; its conversion is the same
        if not (target / "tokenizer.json").is_file():
            raise


def _fingerprint(sources: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source.name} {file_sha256(source)}\n".encode())
    return digest.hexdigest()[:16]


def _save_converted(folder: Path, staging: Path) -> None:
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        loaded.save_pretrained(str(staging))
    except Exception as error:
        # transformers raises whatever its many loaders raise
        raise TokenizerNotFoundError(
            f"The folder {shown_path(folder)} has no tokenizer.json, and transformers cannot "
            f"make one from its files: {_first_line(error)}",
            hint=_VALID,
        ) from error
    file = staging / "tokenizer.json"
    # without its vocabulary file transformers makes an empty tokenizer and says nothing
    if not file.is_file() or not has_words(open_backend(str(file))):
        raise TokenizerNotFoundError(
            f"The folder {shown_path(folder)} has no tokenizer.json, and its tokenizer "
            f"({type(loaded).__name__}) cannot be converted to one.",
            hint=_VALID,
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
