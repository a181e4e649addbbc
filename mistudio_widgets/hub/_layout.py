"""Which files of a repository make which config and split.

`datasets` knows the rules that users expect: the card's YAML, folder and file names. Here it
applies them to a folder of empty files with the repository's names and its real card. So no data
is fetched, no code of the repository runs, and no token or endpoint has to reach the library.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigNotFoundError, MiStudioError, UnsupportedRepoError
from ._card import front_matter
from ._names import check_file_name, redacted

CARD: Final = "README.md"
CARD_YAML: Final = ".huggingface.yaml"
CONVERTED: Final = "refs/convert/parquet"
_CONVERTED_FILE: Final = re.compile(r"([^/]+)/(partial-)?([^/]+)/\d+\.parquet")


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
    """

    configs: Mapping[str, tuple[str, ...]]
    config: str
    files: Mapping[str, tuple[str, ...]]
    num_samples: Mapping[str, int]


def read_layout(
    repo_id: str, paths: Iterable[str], cards: Mapping[str, str], config: str | None
) -> Layout:
    """Find the configs, and the files of ``config`` (None: the default or only one).

    Parameters
    ----------
    cards : dict
        Text of README.md and .huggingface.yaml, where the repository has them.
    """
    with tempfile.TemporaryDirectory(prefix="mistudio-layout-") as folder:
        root = Path(folder).resolve() / "repository"
        _lay_out(repo_id, root, paths, cards)
        with _explained(repo_id, root):
            _check_patterns(repo_id, cards)
            return _inferred(repo_id, root, config)


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
        num_samples={},
    )


def listed(names: Iterable[str]) -> str:
    """Write names as a list for a message: at most 20, then how many more."""
    all_names = list(names)
    more = f" and {len(all_names) - 20} more" if len(all_names) > 20 else ""
    return ", ".join(all_names[:20]) + more


def _lay_out(repo_id: str, root: Path, paths: Iterable[str], cards: Mapping[str, str]) -> None:
    root.mkdir()
    for path in paths:
        check_file_name(path, repo_id)
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    for name in (CARD, CARD_YAML):
        # a card without YAML would only make the library log a warning
        text = cards.get(name, "")
        if name == CARD_YAML or front_matter(text) is not None:
            (root / name).write_text(text, encoding="utf-8")
        else:
            (root / name).unlink(missing_ok=True)


def _inferred(repo_id: str, root: Path, config: str | None) -> Layout:
    from datasets.load import dataset_module_factory

    with _no_bars():
        module = dataset_module_factory(str(root))
    found = module.builder_configs_parameters
    by_name = {builder.name: builder for builder in found.builder_configs or ()}
    chosen = _chosen(repo_id, config, list(by_name), found.default_config_name)
    files = _resolved(root, by_name[chosen])
    infos: Mapping[str, Any] = module.dataset_infos or {}
    return Layout(
        configs={name: _split_names(builder) for name, builder in by_name.items()},
        config=chosen,
        files=files,
        num_samples=_told_samples(infos.get(chosen)),
    )


def _chosen(repo_id: str, config: str | None, names: list[str], default: str | None) -> str:
    if config is None and len(names) == 1:
        return names[0]
    if config is None and default in names:
        assert default is not None
        return default
    if config is None:
        raise ConfigNotFoundError(
            f"{repo_id} has several configs and no default one.",
            hint=f"Choose one with config=: {listed(names)}.",
        )
    if config not in names:
        raise ConfigNotFoundError(
            f"{repo_id} has no config {config[:100]!r}.", hint=f"It has: {listed(names)}."
        )
    return config


def _resolved(root: Path, builder: Any) -> dict[str, tuple[str, ...]]:
    from datasets.data_files import DataFilesPatternsDict

    data_files = builder.data_files or {}
    if isinstance(data_files, DataFilesPatternsDict):
        base = root / builder.data_dir if builder.data_dir else root
        with _no_bars():
            data_files = data_files.resolve(str(base))
    return {
        str(split): tuple(dict.fromkeys(_inside(root, path) for path in found))
        for split, found in data_files.items()
    }


def _inside(root: Path, path: str) -> str:
    return Path(path).relative_to(root).as_posix()


def _split_names(builder: Any) -> tuple[str, ...]:
    return tuple(str(split) for split in builder.data_files or {})


def _told_samples(info: Any) -> dict[str, int]:
    splits = (info.splits if info is not None else None) or {}
    # 0 is also what the library fills in where the card is silent
    return {str(name): split.num_examples for name, split in splits.items() if split.num_examples}


def _check_patterns(repo_id: str, cards: Mapping[str, str]) -> None:
    """Refuse a card that points out of its repository: to other disks, servers or folders."""
    from huggingface_hub import DatasetCard

    yaml = (front_matter(cards.get(CARD, "")), cards.get(CARD_YAML))
    for block in filter(None, yaml):
        card = DatasetCard(f"---\n{block}\n---\n", ignore_metadata_errors=True)
        for pattern in _patterns(card.data.get("configs")):
            if (
                "://" in pattern
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
def _explained(repo_id: str, root: Path) -> Iterator[None]:
    from datasets.data_files import EmptyDatasetError
    from datasets.exceptions import DataFilesNotFoundError

    try:
        yield
    except MiStudioError:
        raise
    except (EmptyDatasetError, DataFilesNotFoundError) as error:
        raise _no_data(repo_id) from error
    except zipfile.BadZipFile as error:
        # the stand-ins are empty; the library looks inside before it goes on
        raise UnsupportedRepoError(
            f"{repo_id} keeps its data in zip archives, which are not read.",
            hint="Unpack them yourself, and import the files.",
        ) from error
    except Exception as error:  # the library raises whatever a card makes it trip over
        reason = str(error).strip().partition("\n")[0].replace(str(root), repo_id)[:300]
        raise UnsupportedRepoError(
            f"The files of {repo_id} do not form a dataset that can be read: {redacted(reason)}",
            hint="Download the files that you need yourself, and import them.",
        ) from error


def _no_data(repo_id: str) -> UnsupportedRepoError:
    return UnsupportedRepoError(
        f"{repo_id} holds no data files.",
        hint="Look for csv, tsv, json, jsonl, parquet, arrow or txt files in the repository.",
    )


@contextmanager
def _no_bars() -> Iterator[None]:
    # above 16 files the library draws a bar, which a thread would draw into whatever cell runs
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
