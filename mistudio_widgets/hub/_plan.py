"""A request becomes a plan: which files, how large, for which config and splits."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from ..errors import RevisionNotFoundError, SplitNotFoundError, UnsupportedRepoError
from ..records import DownloadPlan, DownloadRequest
from ._answers import TreeFile
from ._card import CARD, CARD_YAML, plain_text
from ._client import RepoClient
from ._faults import Repo
from ._layout import (
    CONVERTED,
    Layout,
    listed,
    read_converted_layout,
    read_layout,
)
from ._names import check_file_names, check_same_names
from ._reading import Reading

MAX_FILE_BYTES: Final = 50_000_000_000

_FORMATS: Final = {
    ".arrow": "arrow",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".tar": "webdataset",
    ".tsv": "csv",
    ".txt": "text",
}
MAX_SPLIT_NAME: Final = 100
_SPLIT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_COMPRESSED: Final = re.compile(r"\.(gz|bz2|xz|zst)$", re.IGNORECASE)


@dataclass(frozen=True)
class HubFile:
    """One file to fetch, for one split.

    Attributes
    ----------
    sha256, git_sha1 : str or None
        Exactly one is known: LFS files have a sha256, all others git's hash of the blob.
    format : str
        "parquet", "csv", "json", "text", "arrow" or "webdataset".
    """

    path: str
    split: str
    size_bytes: int
    sha256: str | None
    git_sha1: str | None
    format: str

    @property
    def content_hash(self) -> str:
        """The one that is known: what the file is called on disk until all are there."""
        known = self.sha256 or self.git_sha1
        assert known is not None
        return known


@dataclass(frozen=True)
class HubPlan:
    """A `DownloadPlan` and its files: by split, in the order in which they are read.

    Attributes
    ----------
    reading : Reading or None
        How the card wants them read; None: as their names say, and Parquet as it is.
    linked : frozenset of str
        Content hashes of what needs no room, because it is linked from the user's own cache.
    """

    plan: DownloadPlan
    files: tuple[HubFile, ...]
    reading: Reading | None = None
    linked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RepoAtCommit:
    """What was read of a repository; the disk has no part in it, so it may be kept."""

    layout: Layout
    files: tuple[HubFile, ...]
    description: str | None


def read_repo(client: RepoClient, request: DownloadRequest, commit: str) -> RepoAtCommit:
    """Read names, sizes, hashes and the card at ``commit``; no data file is touched."""
    check = client.patience.check
    tree = {file.path: file for file in client.tree(commit)}
    cards: dict[str, str] = {
        name: client.text(commit, name) for name in (CARD, CARD_YAML) if name in tree
    }
    if request.revision == CONVERTED:
        check_file_names(tree, request.repo_id, check)
        layout = read_converted_layout(request.repo_id, tree, request.config)
    else:
        _refuse_script(client, request, tree)
        layout = read_layout(request.repo_id, tree, cards, request.config, check)
    splits = _asked_splits(request, layout)
    found: list[HubFile] = []
    for split in splits:
        for path in layout.files[split]:
            check()
            found.append(_hub_file(request.repo_id, tree[path], split))
    files = tuple(found)
    _check_split_names(request.repo_id, files)
    check_same_names(dict.fromkeys(file.path for file in files), request.repo_id)
    return RepoAtCommit(layout, files, plain_text(cards.get(CARD, "")))


def make_plan(
    request: DownloadRequest,
    facts: dict[str, Any],
    repo: RepoAtCommit,
    *,
    cached: Container[str],
    linked: frozenset[str],
    free_bytes: int,
    reserve_bytes: int,
) -> HubPlan:
    """Add what changes from call to call: the disk.

    ``cached`` and ``linked`` are content hashes: of what the user's own cache holds, and of what
    of that needs no room.
    """
    once = {file.path: file for file in repo.files}.values()
    contents = {file.content_hash: file for file in once}.values()
    reading = repo.layout.reading
    disk_bytes = sum(
        _converted_bytes(file, reading) + (0 if file.content_hash in linked else file.size_bytes)
        for file in once
    )
    splits = tuple(dict.fromkeys(file.split for file in repo.files))
    plan = DownloadPlan(
        repo_id=request.repo_id,
        commit=facts["sha"],
        configs=dict(repo.layout.configs),
        config=repo.layout.config,
        splits=splits,
        files=tuple(file.path for file in once),
        download_bytes=sum(file.size_bytes for file in contents),
        cached_bytes=sum(f.size_bytes for f in contents if f.content_hash in cached),
        disk_bytes=disk_bytes,
        free_bytes=free_bytes,
        fits=free_bytes - disk_bytes >= reserve_bytes,
        num_samples=_num_samples(repo.layout, splits),
        gated=bool(facts.get("gated")),
        description=repo.description,
    )
    return HubPlan(plan, repo.files, reading, linked)


def _asked_splits(request: DownloadRequest, layout: Layout) -> Sequence[str]:
    if not request.splits:
        return tuple(layout.files)
    for split in request.splits:
        if split not in layout.files:
            raise SplitNotFoundError(
                f"Config {layout.config} of {request.repo_id} has no split {split[:100]!r}.",
                choices=tuple(layout.files),
                hint=f"It has: {listed(layout.files)}.",
            )
    return tuple(dict.fromkeys(request.splits))


def _check_split_names(repo_id: str, files: Sequence[HubFile]) -> None:
    """Refuse at once what could not be part of a file name when its split is converted."""
    for split in dict.fromkeys(file.split for file in files):
        is_used_in_place = all(file.format == "parquet" for file in files)
        if len(split) > MAX_SPLIT_NAME or not (is_used_in_place or _SPLIT.fullmatch(split)):
            raise UnsupportedRepoError(
                f"{repo_id} calls a split {split[:100]!r}, which cannot be the name of a file.",
                hint="Choose another config or split, or ask its owner to rename it.",
            )


def _refuse_script(client: RepoClient, request: DownloadRequest, tree: dict[str, TreeFile]) -> None:
    script = f"{request.repo_id.rpartition('/')[2]}.py"
    if script not in tree:
        return
    hint = "Ask its owner to publish the data as Parquet."
    if _is_converted(client):
        hint = f"The hub has converted it: ask for revision={CONVERTED!r}."
    raise UnsupportedRepoError(
        f"{request.repo_id} needs its script {script} to be run, which is not done here.", hint=hint
    )


def _is_converted(client: RepoClient) -> bool:
    repo = client.repo
    try:
        client.at(Repo(repo.endpoint, repo.kind, repo.repo_id, CONVERTED)).info()
    except RevisionNotFoundError:
        return False
    return True


def _hub_file(repo_id: str, file: TreeFile, split: str) -> HubFile:
    if file.size_bytes > MAX_FILE_BYTES:
        raise UnsupportedRepoError(
            f"{file.path} of {repo_id} has {file.size_bytes / 1e9:.0f} GB; more than 50 GB in one"
            " file is too much.",
            hint="Choose a config or split without it, or ask its owner to split the file.",
        )
    return HubFile(
        path=file.path,
        split=split,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        git_sha1=file.git_sha1,
        format=_format(repo_id, file.path),
    )


def _format(repo_id: str, path: str) -> str:
    name = _COMPRESSED.sub("", path.lower())
    suffix = PurePosixPath(name).suffix
    is_packed = name != path.lower()
    if suffix not in _FORMATS or (is_packed and suffix == ".parquet"):
        shown = "".join(PurePosixPath(path).suffixes[-2 if is_packed else -1 :])
        kind = f"is a {shown} file" if shown else "has no ending that tells its format"
        raise UnsupportedRepoError(
            f"{path} of {repo_id} {kind}: that cannot be read as text.",
            hint="csv, tsv, json, jsonl, txt, arrow, webdataset (.tar), each also as .gz, .bz2, .xz"
            " or .zst, and parquet can.",
        )
    return _FORMATS[suffix]


def _converted_bytes(file: HubFile, reading: Reading | None) -> int:
    """Return what a file's Parquet needs at most, beside the file itself."""
    if file.format == "parquet" and reading is None:
        return 0
    # zstd in Parquet may be half as large again as xz; never larger than plain text
    return int(file.size_bytes * (1.5 if _COMPRESSED.search(file.path) else 1))


def _num_samples(layout: Layout, splits: Sequence[str]) -> int | None:
    told = [layout.num_samples.get(split) for split in splits]
    known = [count for count in told if count is not None]
    return sum(known) if known and len(known) == len(told) else None
