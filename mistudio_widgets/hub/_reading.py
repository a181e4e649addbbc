"""How a card wants the files of a config read: delimiters, names of columns, types."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

from ..errors import UnsupportedRepoError
from ._names import redacted

# which files, and what it is called
_NO_OPTIONS: Final = frozenset(
    {"config_name", "data_dir", "data_files", "default", "description", "features", "version"}
)
# of a Parquet file, which has its types in itself, only what leaves something out
_PARQUET: Final = frozenset({"columns", "filters"})
_LOADERS: Final = ("csv", "json", "parquet", "text")
_EXPRESSION: Final = re.compile(r"[*+?{}()|]")
_MAX_CHUNK: Final = {"csv": 1_000_000, "json": 256 << 20, "text": 256 << 20}


@dataclass(frozen=True)
class Reading:
    """What `datasets` is to be told when it reads the files.

    Attributes
    ----------
    loader : str
        Its module: "csv", "json", "text" or "parquet".
    options : dict
        Its options.
    features, told_features : datasets.Features or None
        What the config is read as, and what its ``dataset_info`` says: it is cast to that.
    """

    loader: str
    options: Mapping[str, Any] = field(default_factory=dict)
    features: Any = None
    told_features: Any = None


def reading_of(
    repo_id: str,
    find_loader: Callable[[], tuple[str, dict[str, Any]]],
    params: Mapping[str, Any],
    info: Any,
) -> Reading | None:
    """Return what the card says of reading; None where that is what is done anyway.

    Parameters
    ----------
    find_loader : callable
        Finds the library's module for the files, and the options that their names imply.

    Raises
    ------
    UnsupportedRepoError
        Naming an option that `datasets` does not know, or that can do harm.
    """
    from datasets.load import import_main_class
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

    given = {name: value for name, value in params.items() if name not in _NO_OPTIONS}
    features = params.get("features")
    told_features = info.features if info is not None else None
    if not (given or features or told_features):
        return None
    loader, defaults = find_loader()
    if loader not in _LOADERS:
        return None
    if loader == "parquet":
        given = {name: value for name, value in given.items() if name in _PARQUET}
        return Reading(loader, given) if given else None
    builder = import_main_class(_PACKAGED_DATASETS_MODULES[loader][0])
    known = {option.name: option.default for option in fields(builder.BUILDER_CONFIG_CLASS)}
    for name, value in given.items():
        reason = _refusal(loader, str(name), value, known)
        if reason is not None:
            shown = redacted(repr(value)[:100])
            raise UnsupportedRepoError(
                f"The card of {repo_id} wants its files read with {str(name)[:100]}={shown},"
                f" {reason}.",
                hint="Download the files yourself, read them with pandas or datasets, and import"
                " the table.",
            )
    before = {name: defaults.get(name, default) for name, default in known.items()}
    if features is None and told_features is None and all(before[k] == v for k, v in given.items()):
        return None
    return Reading(loader, {**defaults, **given}, features, told_features)


def _refusal(loader: str, name: str, value: Any, known: Mapping[str, Any]) -> str | None:
    if name not in known or known[name] is MISSING:
        return "which is not known here"
    if loader == "csv" and (name == "converters" or (name == "engine" and value == "pyarrow")):
        return "which is not supported"
    if name in ("sep", "delimiter"):
        # a longer one is a regular expression, and some of them never come to an end
        is_safe = isinstance(value, str) and (
            len(value) == 1 or value == r"\s+" or not _EXPRESSION.search(value)
        )
        return None if is_safe else "which may take for ever"
    if name in ("chunksize", "block_size") and value is not None:
        is_fine = isinstance(value, int) and 0 < value <= _MAX_CHUNK[loader]
        return None if is_fine else "which needs too much memory"
    if name == "encoding" and value is not None and not _is_encoding(value):
        return "which is no encoding of text"
    return None


def _is_encoding(value: Any) -> bool:
    try:
        # refuses what turns bytes into bytes
        "".encode(value)
    except (LookupError, TypeError, ValueError):
        return False
    return True
