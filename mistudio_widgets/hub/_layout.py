"""Which files of a repository make which config and split.

`datasets` knows the rules that users expect: the card's YAML, folder and file names. Here it
applies them to the mere names. So no data is fetched, no code of the repository runs, and no token
or endpoint has to reach the library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from ..errors import ConfigNotFoundError, MiStudioError, UnsupportedRepoError
from ._listing import Listing, OpenedError, listed_as_files
from ._names import check_file_names, redacted
from ._reading import Reading, reading_of

CONVERTED: Final = "refs/convert/parquet"
_CONVERTED_FILE: Final = re.compile(r"([^/]+)/(partial-)?([^/]+)/\d+\.parquet")
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_TABLES: Final = (".csv", ".tsv", ".parquet", ".arrow", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class Layout:
    """What a repository holds, and the files of one of its configs.

    Attributes
    ----------
    configs : dict
        Every config with its splits.
    files : dict
        Of ``config``: paths by split, in the order in which `datasets` reads them.
    num_samples : dict
        Rows by split, as far as the card tells them.
    reading : Reading or None
        How the card wants the files of ``config`` read; None: as their names say.
    """

    configs: Mapping[str, tuple[str, ...]]
    config: str
    files: Mapping[str, tuple[str, ...]]
    num_samples: Mapping[str, int] = field(default_factory=dict)
    reading: Reading | None = None


def read_layout(
    repo_id: str,
    paths: Iterable[str],
    cards: Mapping[str, str],
    config: str | None,
    check: Callable[[], None],
) -> Layout:
    """Find the configs, and the files of ``config`` (None: the default or only one).

    Parameters
    ----------
    cards : dict
        Text of README.md and .huggingface.yaml, where the repository has them.
    check : callable
        Called between files; may raise.
    """
    from ._yaml import read_card

    paths = list(paths)
    check_file_names(paths, repo_id, check)
    card = read_card(cards, repo_id, check)
    _check_patterns(repo_id, card.get("configs"))
    with listed_as_files(Listing(paths, check)) as root, _explained(repo_id, root, check):
        return _inferred(repo_id, root, card, config)


def read_converted_layout(repo_id: str, paths: Iterable[str], config: str | None) -> Layout:
    """Read the hub's own Parquet conversion: ``CONFIG/SPLIT/0000.parquet``.

    A split of which the hub converted only the first 5 GB is called ``partial_SPLIT`` here.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(paths):
        if match := _CONVERTED_FILE.fullmatch(path):
            name, partial, split = match.groups()
            split = f"partial_{split}" if partial else split
            found.setdefault(name, {}).setdefault(split, []).append(path)
    if not found:
        raise _no_data(repo_id)
    chosen = _chosen(repo_id, config, list(found), "default" if "default" in found else None)
    return Layout(
        configs={name: tuple(splits) for name, splits in found.items()},
        config=chosen,
        files={split: tuple(files) for split, files in found[chosen].items()},
    )


def listed(names: Iterable[str]) -> str:
    """Write names as a list for a message: at most 20, then how many more."""
    all_names = list(names)
    more = f" and {len(all_names) - 20} more" if len(all_names) > 20 else ""
    return ", ".join(all_names[:20]) + more


def _inferred(repo_id: str, root: str, card: Mapping[str, Any], config: str | None) -> Layout:
    """Do what `datasets` does with a local folder, up to the builder that it would run."""
    from datasets.data_files import get_data_patterns, sanitize_patterns
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    described = MetadataConfigs.from_dataset_card_data(card)
    infos: Mapping[str, Any] = DatasetInfosDict.from_dataset_card_data(card)
    default = described.get_default_config_name()
    if default is None and len(infos) == 1:
        default = next(iter(infos))
    params: Mapping[str, Mapping[str, Any]] = described or {"default": {}}
    patterns = {}
    for name, told in params.items():
        base = f"{root}/{told['data_dir']}" if told.get("data_dir") else root
        given = told.get("data_files")
        by_split = get_data_patterns(base) if given is None else sanitize_patterns(given)
        patterns[str(name)] = base, by_split
    chosen = _chosen(repo_id, config, list(patterns), default)
    files = _resolved(root, *patterns[chosen])
    if not any(files.values()):
        raise _no_data(repo_id)
    if not described:
        files = _of_one_format(repo_id, root, files)
    info = infos.get(chosen if described else default or chosen)
    names = {name: tuple(map(str, by_split)) for name, (_, by_split) in patterns.items()}
    return Layout(
        configs={**names, chosen: tuple(files)},
        config=chosen,
        files=files,
        num_samples=_told_samples(info),
        reading=reading_of(repo_id, lambda: _loader(root, files), _params_of(params, chosen), info),
    )


def _params_of(params: Mapping[str, Mapping[str, Any]], chosen: str) -> Mapping[str, Any]:
    return next(told for name, told in params.items() if str(name) == chosen)


def _chosen(repo_id: str, config: str | None, names: list[str], default: str | None) -> str:
    if config is None and len(names) == 1:
        return names[0]
    if config is None and default in names:
        assert default is not None
        return default
    if config is None:
        raise ConfigNotFoundError(
            f"{repo_id} has several configs and no default one.",
            choices=tuple(names),
            hint=f"Choose one config: {listed(names)}.",
        )
    if config not in names:
        raise ConfigNotFoundError(
            f"{repo_id} has no config {config[:100]!r}.",
            choices=tuple(names),
            hint=f"It has: {listed(names)}.",
        )
    return config


def _resolved(
    root: str, base: str, by_split: Mapping[str, Iterable[str]]
) -> dict[str, tuple[str, ...]]:
    from datasets.data_files import resolve_pattern
    from datasets.packaged_modules import _EXTENSION_TO_MODULE

    allowed = [*_EXTENSION_TO_MODULE, ".zip"]
    files: dict[str, tuple[str, ...]] = {}
    for split, patterns in by_split.items():
        found: list[str] = []
        for pattern in patterns:
            try:
                found += resolve_pattern(pattern, base, allowed_extensions=allowed)
            except FileNotFoundError:
                if not re.search(r"[*?\[]", pattern):
                    raise
        # what was found elsewhere is not the repository's
        files[str(split)] = tuple(
            dict.fromkeys(
                path.removeprefix(f"{root}/") for path in found if path.startswith(f"{root}/")
            )
        )
    return files


def _loader(root: str, files: Mapping[str, Iterable[str]]) -> tuple[str, dict[str, Any]]:
    """Return the module of `datasets` that reads the files, and its options."""
    from datasets.load import infer_module_for_data_files

    # with their addresses, because the library looks into archives
    module, options = infer_module_for_data_files(
        {split: [f"{root}/{path}" for path in paths] for split, paths in files.items()}
    )
    return module, options


def _of_one_format(
    repo_id: str, root: str, files: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Keep the files of the commonest format, as `datasets` does where no card names any.

    Files of notes and settings lie beside data everywhere. Another table may be data as well, and
    would be missed.
    """
    from datasets.packaged_modules import _MODULE_TO_EXTENSIONS

    module, _ = _loader(root, files)
    known = set(_MODULE_TO_EXTENSIONS[module])
    kept = {
        split: tuple(path for path in paths if known & set(_suffixes(path)))
        for split, paths in files.items()
    }
    for split, paths in files.items():
        for path in set(paths) - set(kept[split]):
            if set(_TABLES) & set(_suffixes(path)):
                raise UnsupportedRepoError(
                    f"Split {split} of {repo_id} holds tables of several formats, for example"
                    f" {kept[split][0] if kept[split] else module!r} and {path!r}: which of them"
                    " are its data is not clear.",
                    hint="Download the files that you need yourself, and import them; or ask its"
                    " owner to name the data files in the card.",
                )
    return kept


def _suffixes(path: str) -> list[str]:
    return [suffix.lower() for suffix in PurePosixPath(path).suffixes]


def _told_samples(info: Any) -> dict[str, int]:
    splits = (info.splits if info is not None else None) or {}
    # 0 is also what the library fills in where the card is silent
    return {str(name): split.num_examples for name, split in splits.items() if split.num_examples}


def _check_patterns(repo_id: str, configs: Any) -> None:
    """Refuse a card that points out of its repository: to other disks, servers or folders."""
    for pattern in _patterns(configs):
        if (
            _ADDRESS.match(pattern)
            or "::" in pattern
            or pattern.startswith(("/", "~"))
            or ".." in re.split(r"[/\\]", pattern)
        ):
            raise UnsupportedRepoError(
                f"The card of {repo_id} names data outside the repository: "
                f"{redacted(pattern[:200])!r}.",
                hint="Download that data itself, and import the files.",
            )


def _patterns(value: Any, *, named: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        if named:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _patterns(item, named=named)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _patterns(item, named=named or key in ("data_files", "data_dir", "path"))


@contextmanager
def _explained(repo_id: str, root: str, check: Callable[[], None]) -> Iterator[None]:
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError

    try:
        yield
    except MiStudioError:
        raise
    except (EmptyDatasetError, DataFilesNotFoundError) as error:
        raise _no_data(repo_id) from error
    except OpenedError as error:
        raise UnsupportedRepoError(
            f"{repo_id} keeps its data in zip archives, which are not read.",
            hint="Unpack them yourself, and import the files.",
        ) from error
    except Exception as error:  # the library raises whatever a card makes it trip over
        # not the card's fault, if nobody waits any more
        check()
        reason = str(error).strip().partition("\n")[0].replace(f"{root}/", "")[:300]
        raise UnsupportedRepoError(
            f"The files of {repo_id} do not form a dataset that can be read: {redacted(reason)}",
            hint="Download the files that you need yourself, and import them.",
        ) from error


def _no_data(repo_id: str) -> UnsupportedRepoError:
    return UnsupportedRepoError(
        f"{repo_id} holds no data files.",
        hint="Look for csv, tsv, json, jsonl, parquet, arrow, webdataset (.tar) or txt files in the"
        " repository.",
    )
