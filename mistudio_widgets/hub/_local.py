"""Files that are on this machine already: in the user's HuggingFace cache, or fetched before."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ._body import CHUNK_BYTES
from ._part import new_digest, sync_folder
from ._plan import HubFile


@dataclass(frozen=True)
class FetchedFile:
    """A file on disk whose bytes are those that the repository lists."""

    path: Path
    file: HubFile
    sha256: str


def take_copy(
    file: HubFile, candidates: Sequence[Path], target: Path, reached: Callable[[int], None]
) -> bool:
    """Put the first candidate that holds the file's bytes at ``target``; False if none does.

    It is hard-linked where the disk can, so it takes no room.
    """
    for candidate in candidates:
        with suppress(OSError):
            if _size_of(candidate) == file.size_bytes and _is_right(file, candidate, reached):
                source = candidate.resolve()
                _make_durable(source)
                if not _linked(source, target):
                    _copy(source, target, target.parent / f"{file.content_hash}.copy", reached)
                sync_folder(target.parent)
                return True
    return False


def lay_out(
    plan_files: Sequence[HubFile], partial: Path, check: Callable[[], None]
) -> dict[str, tuple[FetchedFile, ...]]:
    """Give every verified file its names below ``partial/files``, and return them by split.

    Two names may have the same content. Where the disk has no hard links the last name takes
    the file itself.
    """
    root = partial / "files"
    if root.exists():
        shutil.rmtree(root)
    root.mkdir()
    by_path = {file.path: file for file in plan_files}
    left: dict[str, int] = {}
    for file in by_path.values():
        left[file.content_hash] = left.get(file.content_hash, 0) + 1
    sha256s: dict[str, str] = {}
    for file in by_path.values():
        check()
        source = partial / file.content_hash
        if file.content_hash not in sha256s:
            sha256s[file.content_hash] = file.sha256 or _sha256_of(source, check)
        left[file.content_hash] -= 1
        target = root / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if _linked(source, target):
            continue
        if left[file.content_hash]:
            _copy(source, target, partial / f"{file.content_hash}.copy", lambda _: check())
        else:
            source.replace(target)
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir()), partial):
        sync_folder(folder)
    return _by_split(plan_files, root, sha256s)


def cached_blobs(repo_id: str, files: Iterable[HubFile]) -> dict[str, Path]:
    """Return the user's own copies of files, by content hash; judged by name and size alone."""
    folder = cache_of(repo_id)
    found: dict[str, Path] = {}
    for file in files:
        blob = folder / file.content_hash
        with suppress(OSError):
            if _size_of(blob) == file.size_bytes:
                found[file.content_hash] = blob
    return found


def linkable(blobs: Mapping[str, Path], into: Path | None) -> frozenset[str]:
    """Return which blobs can have another name in ``into``: one disk, and the user's own.

    Linux links only what one owns: fs.protected_hardlinks in
    https://docs.kernel.org/admin-guide/sysctl/fs.html.
    """
    if into is None:
        return frozenset()
    there = next(folder for folder in (into, *into.absolute().parents) if folder.exists())
    disk = there.stat().st_dev
    found: set[str] = set()
    for content_hash, blob in blobs.items():
        with suppress(OSError):
            status = blob.stat()
            if status.st_dev == disk and status.st_uid == os.geteuid():
                found.add(content_hash)
    return frozenset(found)


def cache_of(repo_id: str) -> Path:
    """Return the folder where the HuggingFace libraries keep a dataset's files, by hash."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE) / f"datasets--{repo_id.replace('/', '--')}" / "blobs"


def _by_split(
    plan_files: Sequence[HubFile], root: Path, sha256s: Mapping[str, str]
) -> dict[str, tuple[FetchedFile, ...]]:
    found: dict[str, list[FetchedFile]] = {}
    for file in plan_files:
        fetched = FetchedFile(root / file.path, file, sha256s[file.content_hash])
        found.setdefault(file.split, []).append(fetched)
    return {split: tuple(files) for split, files in found.items()}


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _is_right(file: HubFile, path: Path, reached: Callable[[int], None]) -> bool:
    digest, position = new_digest(file), 0
    for chunk in _chunks(path):
        digest.update(chunk)
        position += len(chunk)
        reached(min(position, file.size_bytes))
    return digest.hexdigest() == file.content_hash


def _sha256_of(path: Path, check: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
        check()
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk


def _make_durable(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # another disk, one without links, or a file that is somebody else's
        return False
    return True


def _copy(source: Path, target: Path, temporary: Path, reached: Callable[[int], None]) -> None:
    with temporary.open("wb") as new:
        for chunk in _chunks(source):
            new.write(chunk)
            reached(0)
        new.flush()
        os.fsync(new.fileno())
    temporary.replace(target)
