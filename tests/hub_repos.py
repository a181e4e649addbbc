"""What the test hub holds: repositories, commits and files, all in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Literal

LFS_SUFFIXES = (".parquet", ".gz", ".zst", ".arrow", ".bin", ".model", ".tar")


@dataclass(frozen=True)
class Blob:
    """One file's content; ``claimed_bytes`` lets a small test hold a file of 60 GB.

    A large content may be an ``mmap``.
    """

    content: Any
    is_lfs: bool
    claimed_bytes: int | None = None

    @property
    def size(self) -> int:
        return len(self.content) if self.claimed_bytes is None else self.claimed_bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def oid(self) -> str:
        digest = hashlib.sha1(b"blob %d\0" % len(self.content))
        digest.update(self.content)
        return digest.hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.oid


@dataclass
class Repo:
    kind: Literal["dataset", "model"]
    repo_id: str
    gated: bool = False
    private: bool = False
    disabled: bool = False
    readers: set[str] = field(default_factory=set)
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes | Blob], *, ref: str = "main") -> str:
        """Make ``files`` the whole content of ``ref``, and return the commit's sha."""
        blobs = {
            path: content
            if isinstance(content, Blob)
            else Blob(content, PurePosixPath(path).suffix in LFS_SUFFIXES)
            for path, content in files.items()
        }
        facts = [self.repo_id, ref, len(self.commits)]
        facts += [f"{path} {blob.etag}" for path, blob in blobs.items()]
        sha = hashlib.sha1(repr(facts).encode()).hexdigest()
        self.commits[sha] = blobs
        self.refs[ref] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


def tree_entries(files: Mapping[str, Blob]) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    for path, blob in sorted(files.items()):
        for parent in reversed(PurePosixPath(path).parents):
            if str(parent) not in (".", "/"):
                folder = {"type": "directory", "oid": "0" * 40, "size": 0, "path": str(parent)}
                entries.setdefault(str(parent), folder)
        entries[path] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
        if blob.is_lfs:
            entries[path]["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 134}
    return entries


def all_refs(repo: Repo) -> dict[str, list[dict[str, str]]]:
    def named(name: str, ref: str) -> dict[str, str]:
        return {"name": name, "ref": ref, "targetCommit": repo.refs[name]}

    plain = [name for name in repo.refs if not name.startswith("refs/")]
    converted = [name for name in repo.refs if name.startswith("refs/convert/")]
    return {
        "branches": [named(name, f"refs/heads/{name}") for name in plain],
        "converts": [named(name, name) for name in converted],
        "tags": [],
        "pullRequests": [],
    }
