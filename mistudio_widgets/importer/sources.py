"""Which files a request means: literal paths, folders and globs, by split."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from ..errors import InvalidRequestError, MalformedFileError, StorageError, shown_path
from ..progress import Progress

Kind = Literal["csv", "tsv", "json", "jsonl", "parquet", "arrow", "webdataset", "text", "binary"]
Compression = Literal["gz", "bz2", "xz", "zst"]

_KINDS: Final[dict[str, Kind]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".tar": "webdataset",
}
_COMPRESSIONS: Final[dict[str, Compression]] = {
    ".gz": "gz",
    ".bz2": "bz2",
    ".xz": "xz",
    ".zst": "zst",
}
ARCHIVES: Final = frozenset({".zip", ".tgz", ".tbz2", ".txz", ".7z", ".rar", ".whl", ".jar"})
_BINARIES: Final = frozenset(
    {".pdf", ".docx", ".xlsx", ".odt", ".epub", ".png", ".jpg", ".jpeg", ".gif", ".webp"}
    | {".ico", ".mp3", ".mp4", ".wav", ".pyc", ".so", ".o", ".a", ".dll", ".exe", ".pt", ".bin"}
    | {".npy", ".npz", ".pkl", ".pickle", ".safetensors", ".sqlite", ".db", ".duckdb", ".gguf"}
)
_NOT_ENTERED: Final = frozenset({"__pycache__"})
_SPLIT_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Source:
    """One file to read.

    Attributes
    ----------
    name : str
        What the column ``path`` says: relative to the folder or glob that found it.
    is_given : bool
        Named by its own path, so it must be readable; else it was found and may be skipped.
    start_bytes : int
        Bytes of all files that are read before it.
    """

    path: Path
    split: str
    name: str
    kind: Kind
    compression: Compression | None
    suffix: str
    is_given: bool
    size_bytes: int
    start_bytes: int = 0

    @property
    def is_table(self) -> bool:
        """Whether the file has columns of its own."""
        return self.kind not in ("text", "binary")

    @property
    def shown(self) -> str:
        """The path as messages write it."""
        return printable(shown_path(self.path))


def printable(text: str) -> str:
    """Make a file name that is not UTF-8 fit for messages and columns."""
    return os.fsencode(text).decode("utf-8", "replace")


def check_split_name(name: object, field: str) -> str:
    """Refuse a split name that could not be part of a file name."""
    if isinstance(name, str) and _SPLIT_NAME.fullmatch(name):
        return name
    raise InvalidRequestError(
        f"{name!r} cannot be the name of a split.",
        field=field,
        hint="Use letters, digits, '_', '-' and '.', as in 'train' or 'validation'.",
    )


def check_paths(paths: object, split: str = "train") -> dict[str, tuple[str, ...]]:
    """Check at once what `import_files` was given, without reading or listing everything.

    Parameters
    ----------
    paths : path, glob, folder, a list of them, or {split: one or more of them}
        ``~`` is expanded, relative paths are made absolute.
    split : str
        The split of all files when ``paths`` names none.

    Returns
    -------
    dict
        Absolute paths, folders and globs by split.

    Raises
    ------
    InvalidRequestError
        ``field`` is "paths" when something does not exist, when a glob matches nothing, or when
        there is no path at all; "split" for a name that cannot be one.
    """
    if not isinstance(paths, Mapping):
        return {check_split_name(split, "split"): _checked(paths)}
    if not paths:
        raise _no_paths()
    return {check_split_name(name, "paths"): _checked(given) for name, given in paths.items()}


def _checked(given: object) -> tuple[str, ...]:
    if isinstance(given, str | os.PathLike):
        given = (given,)
    if not isinstance(given, Iterable) or isinstance(given, bytes | Mapping):
        raise InvalidRequestError(
            f"paths cannot be of type {type(given).__name__}.",
            field="paths",
            hint="Give a path, a list of paths, a glob, a folder, or {split: paths}.",
        )
    checked = tuple(_absolute(path) for path in given)
    if not checked:
        raise _no_paths()
    for path in checked:
        _check_there(path)
    return checked


def _no_paths() -> InvalidRequestError:
    return InvalidRequestError(
        "There are no paths to import.",
        field="paths",
        hint="Give at least one file, folder or glob.",
    )


def _absolute(path: object) -> str:
    if not isinstance(path, str | os.PathLike):
        raise InvalidRequestError(
            f"{path!r} is not a path.", field="paths", hint="Paths are text or pathlib paths."
        )
    text = os.fsdecode(path)
    if not text or "\0" in text:
        raise InvalidRequestError(
            f"{text!r} is not a path.", field="paths", hint="Give the name of a file or folder."
        )
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 -- keeps "**"


def _check_there(path: str) -> None:
    shown = printable(shown_path(path))
    if os.path.isfile(path) or os.path.isdir(path):  # noqa: PTH112, PTH113 -- globs are no Path
        return
    if os.path.lexists(path):
        raise InvalidRequestError(
            f"{shown} is neither a file nor a folder.",
            field="paths",
            hint="Give a regular file; a link must lead to one.",
        )
    if not glob.has_magic(path):
        raise InvalidRequestError(
            f"{shown} does not exist.",
            field="paths",
            hint="Check the spelling; relative paths start at the notebook's folder.",
        )
    if next(_globbed(path), None) is None:
        raise InvalidRequestError(
            f"No file matches {shown}.",
            field="paths",
            hint="'*' stays within one folder, '**' goes into all folders below.",
        )


def find_sources(
    paths: Mapping[str, tuple[str, ...]], progress: Progress
) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """List the files of all splits in path order, each once per split.

    Returns
    -------
    sources : tuple of Source
        Split after split, sorted by path within each.
    skipped : tuple of str
        "name: reason" for links that lead nowhere.

    Raises
    ------
    MalformedFileError
        When a file is gone, and when a folder or a glob has no file at all.
    """
    sources: list[Source] = []
    skipped: list[str] = []
    start = 0
    for split, patterns in paths.items():
        found: dict[str, Source] = {}
        for pattern in patterns:
            for source in _expand(pattern, split, skipped, progress):
                key = os.path.realpath(source.path)
                if key not in found or source.is_given:
                    found[key] = source
        for source in sorted(found.values(), key=lambda source: source.path.parts):
            sources.append(replace(source, start_bytes=start))
            start += source.size_bytes
    return tuple(sources), tuple(skipped)


def _expand(pattern: str, split: str, skipped: list[str], progress: Progress) -> Iterator[Source]:
    if os.path.isfile(pattern):  # noqa: PTH113
        yield source_of(Path(pattern), Path(pattern).name, split, is_given=True)
        return
    is_folder = os.path.isdir(pattern)  # noqa: PTH112
    if not is_folder and not glob.has_magic(pattern):
        raise gone(pattern)
    root = Path(pattern) if is_folder else _split_glob(pattern)[0]
    num_files = 0
    for path in _walk(root) if is_folder else _globbed(pattern):
        progress.check()
        name = printable(os.path.relpath(path, root))
        if os.path.isfile(path):  # noqa: PTH113
            num_files += 1
            yield source_of(Path(path), name, split, is_given=False)
        elif os.path.islink(path):  # noqa: PTH114
            skipped.append(f"{name}: a link that leads nowhere")
    if not num_files:
        raise MalformedFileError(
            f"{printable(shown_path(pattern))} has no files to import.",
            path=shown_path(pattern),
            hint="Hidden files are not read; give a folder or a glob that holds text or tables.",
        )


def gone(path: str | os.PathLike[str]) -> MalformedFileError:
    """Say that a file vanished after the import was asked for."""
    shown = printable(shown_path(path))
    return MalformedFileError(
        f"{shown} is no longer there.",
        path=shown,
        hint="Put it back, or import without it; files must stay until the import has ended.",
    )


def source_of(path: Path, name: str, split: str, *, is_given: bool) -> Source:
    """Return a file as its name tells how to read it."""
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise gone(path) from error
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    if compression:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    is_binary = suffix in ARCHIVES or suffix in _BINARIES
    return Source(
        path=path,
        split=split,
        name=printable(name),
        kind="binary" if is_binary else _KINDS.get(suffix, "text"),
        compression=compression,
        suffix=suffix,
        is_given=is_given,
        size_bytes=size,
    )


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """List what is not hidden, in name order."""
    try:
        with os.scandir(folder) as entries:
            seen = [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError as error:
        raise gone(folder) from error
    except OSError as error:
        raise StorageError(
            f"{printable(shown_path(folder))} cannot be listed: {error.strerror}.",
            hint="Allow reading it, or import other folders.",
        ) from error
    return sorted(seen, key=lambda entry: entry.name)


def _is_entered(entry: os.DirEntry[str], visited: set[str]) -> bool:
    """Tell whether a folder is new: links may lead back to where we came from."""
    if entry.name in _NOT_ENTERED or not entry.is_dir():
        return False
    real = os.path.realpath(entry.path)
    if real in visited:
        return False
    visited.add(real)
    return True


def _walk(folder: str | os.PathLike[str], visited: set[str] | None = None) -> Iterator[str]:
    visited = {os.path.realpath(folder)} if visited is None else visited
    for entry in _entries(folder):
        if _is_entered(entry, visited):
            yield from _walk(entry.path, visited)
        elif not entry.is_dir():
            yield entry.path


def _split_glob(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """Split a glob into the folder before its first wildcard and the parts from there."""
    parts = Path(pattern).parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first]), parts[first:]


def _globbed(pattern: str) -> Iterator[str]:
    """Yield the files that match, lazily: `check_paths` needs only the first."""
    root, parts = _split_glob(pattern)
    if root.is_dir():
        yield from _matching(str(root), parts, {os.path.realpath(root)})


def _matching(folder: str, parts: tuple[str, ...], visited: set[str]) -> Iterator[str]:
    head, rest = parts[0], parts[1:]
    if head == "**":
        if not rest:
            yield from _walk(folder, visited)
            return
        yield from _matching(folder, rest, set(visited))
        for entry in _entries(folder):
            if _is_entered(entry, visited):
                yield from _matching(entry.path, parts, visited)
        return
    for entry in _entries(folder):
        if not fnmatch.fnmatchcase(entry.name, head):
            continue
        if not rest and not entry.is_dir():
            yield entry.path
        elif rest and _is_entered(entry, visited):
            yield from _matching(entry.path, rest, visited)
