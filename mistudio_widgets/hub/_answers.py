"""What the hub's answers say; one that says something else is no hub's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from ._faults import Repo, not_a_hub

# a page has a thousand entries of 300 bytes; some mirrors send all at once
MAX_ANSWER_BYTES: Final = 64_000_000
_COMMIT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MAX_SIZE: Final = 2**62


@dataclass(frozen=True)
class TreeFile:
    """One file of a repository: LFS files have a sha256, all others a git sha1."""

    path: str
    size_bytes: int
    sha256: str | None
    git_sha1: str | None


class _UnlikeError(Exception):
    """Found where the hub would have sent something else."""


def read_facts(content: bytes, repo: Repo) -> dict[str, Any]:
    """Return what an answer tells about a repository; its ``sha`` can be relied on."""
    with _like_a_hub(repo):
        facts = _mapping(_parsed(content))
        if not _COMMIT.fullmatch(_text(facts.get("sha"))):
            raise _UnlikeError
        return facts


def read_tree(content: bytes, repo: Repo) -> list[TreeFile]:
    """Return the files of one page of a tree."""
    with _like_a_hub(repo):
        entries = _parsed(content)
        if not isinstance(entries, list):
            raise _UnlikeError
        return [_tree_file(_mapping(e)) for e in entries if _mapping(e).get("type") == "file"]


def next_page(answer_url: str, link: str | None, repo: Repo) -> str | None:
    """Return the address of the next page of a tree.

    It gets the token, so it must be where the endpoint is.
    """
    from huggingface_hub.utils import fix_hf_endpoint_in_url  # type: ignore[attr-defined]

    if link is None:
        return None
    with _like_a_hub(repo):
        # a mirror passes on links to the original
        url = fix_hf_endpoint_in_url(urljoin(answer_url, link), repo.endpoint)
        if _origin(url) != _origin(repo.endpoint):
            raise _UnlikeError
        return url


@contextmanager
def _like_a_hub(repo: Repo) -> Iterator[None]:
    try:
        yield
    except (_UnlikeError, ValueError, RecursionError) as error:
        raise not_a_hub(repo) from error


def _parsed(content: bytes) -> Any:
    return json.loads(content)


def _tree_file(entry: dict[str, Any]) -> TreeFile:
    lfs = entry.get("lfs")
    if lfs is None:
        return TreeFile(
            path=_text(entry.get("path")),
            size_bytes=_size(entry.get("size")),
            sha256=None,
            git_sha1=_hash(entry.get("oid"), _SHA1),
        )
    lfs = _mapping(lfs)
    return TreeFile(
        path=_text(entry.get("path")),
        size_bytes=_size(lfs.get("size")),
        sha256=_hash(lfs.get("oid"), _SHA256),
        git_sha1=None,
    )


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise _UnlikeError


def _text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise _UnlikeError


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_SIZE:
        return value
    raise _UnlikeError


def _hash(value: Any, form: re.Pattern[str]) -> str:
    if form.fullmatch(_text(value)):
        return str(value)
    raise _UnlikeError


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
