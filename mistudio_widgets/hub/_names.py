"""What may be a repository id, an endpoint, a file name, a token; and what messages may show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from ..errors import HubAuthError, InvalidRequestError, UnsupportedRepoError

HfToken: TypeAlias = str | bool | None
"""None: the user's own login; False: none; True: the login must be there; else the token."""

# the hub's own rule: https://huggingface.co/docs/huggingface_hub -- ASCII, 96 characters a part
_PART: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_REPO_ID: Final = re.compile(rf"(?:{_PART}/)?{_PART}")
_URL_QUERY: Final = re.compile(r"(https?://[^\s?#'\"<>]*)[?#][^\s'\"<>]*")
_URL_LOGIN: Final = re.compile(r"(https?://)[^\s/@'\"<>]*@")
_TOKEN: Final = re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{3,}")
_WHOLE_TOKEN: Final = re.compile(r"\s*(?:hf|api_org)_[A-Za-z0-9]{20,}\s*")
# Linux takes 4096 bytes, with the data folder in front
_MAX_PATH_BYTES: Final = 2000
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f\\]|\A[A-Za-z]:")
_BEARER: Final = re.compile(r"(?i)\bbearer\s+\S+")


def check_repo_id(repo_id: object) -> str:
    """Return ``repo_id`` if it can name a repository on the hub; needs no network.

    Raises
    ------
    InvalidRequestError
        With ``field="repo_id"``.

    >>> check_repo_id("squad"), check_repo_id("allenai/c4.en")
    ('squad', 'allenai/c4.en')
    """
    hint = "Give it as owner/name, for example roneneldan/TinyStories."
    if not isinstance(repo_id, str):
        kind = type(repo_id).__name__
        raise InvalidRequestError(
            f"repo_id must be a string, not {kind}.", field="repo_id", hint=hint
        )
    check_no_token(repo_id, "repo_id")
    if not repo_id:
        raise InvalidRequestError("The repository id is missing.", field="repo_id", hint=hint)
    bad = "--" in repo_id or ".." in repo_id or repo_id.endswith(".git")
    if bad or not _REPO_ID.fullmatch(repo_id):
        shown = redacted(repo_id[:100])
        raise InvalidRequestError(f"{shown!r} is not a repository id.", field="repo_id", hint=hint)
    return repo_id


def check_endpoint(endpoint: str) -> str:
    """Return ``endpoint`` without its last slash, or raise for what is not a web address."""
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
    except ValueError:
        usable = False
    if not usable:
        raise InvalidRequestError(
            "hub_endpoint is not a web address.",
            field="hub_endpoint",
            hint="It starts with https://, for example https://huggingface.co.",
        )
    return endpoint.rstrip("/")


def check_token_type(hf_token: object) -> None:
    """Refuse what is no token by its type; the message holds nothing of it.

    Raises
    ------
    InvalidRequestError
        With ``field="hf_token"``.
    """
    if not (hf_token is None or isinstance(hf_token, str | bool)):
        raise InvalidRequestError(
            f"hf_token must be a string, None or False, not {type(hf_token).__name__}.",
            field="hf_token",
            hint="None uses your own HuggingFace login, False none.",
        )


def check_no_token(value: str, field: str) -> None:
    """Refuse a token in a field that is stored and shown; the message holds nothing of it.

    Raises
    ------
    InvalidRequestError
        With ``field``.
    """
    if _WHOLE_TOKEN.fullmatch(value):
        raise InvalidRequestError(
            f"{field} was given what looks like a HuggingFace token.",
            field=field,
            hint="Give it as hf_token: there it is used, and kept nowhere.",
        )


def check_token(hf_token: HfToken, repo_id: str) -> HfToken:
    """Return ``hf_token``; a blank one is None, the user's own login.

    One with spaces or control characters is refused here, because the HTTP library would quote
    it in its own error.
    """
    if not isinstance(hf_token, str):
        return hf_token
    token = hf_token.strip()
    if not token:
        return None
    if not all("!" <= character <= "~" for character in token):
        raise HubAuthError(
            f"The HuggingFace token given for {repo_id} holds characters that no token has.",
            hint="Copy it again from https://huggingface.co/settings/tokens.",
        )
    return token


def check_file_names(
    paths: Iterable[str], repo_id: str, check: Callable[[], None] = lambda: None
) -> None:
    """Refuse names that would leave their folder, or that some system reads otherwise.

    Parameters
    ----------
    check : callable
        Called for each; may raise.
    """
    paths = list(paths)
    files = set(paths)
    for path in paths:
        check()
        check_file_name(path, repo_id)
        for end, character in enumerate(path):
            if character == "/" and path[:end] in files:
                raise UnsupportedRepoError(
                    f"{repo_id} has a file and a folder of the same name: {path[:end][:200]!r}.",
                    hint="Ask its owner to rename one of them.",
                )


def check_file_name(path: str, repo_id: str) -> None:
    """Refuse a name that would leave its folder, or that some system reads otherwise."""
    if not _is_storable(path):
        raise UnsupportedRepoError(
            f"{repo_id} holds a file that cannot be stored safely: {path[:200]!r}.",
            hint="Ask its owner to rename the file.",
        )


def _is_storable(path: str) -> bool:
    try:
        too_long = len(path.encode()) > _MAX_PATH_BYTES
        parts = path.split("/")
        bad = any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
    except UnicodeEncodeError:
        # half of a character that JSON writes as two
        return False
    return not (bad or too_long or _UNSAFE.search(path))


def check_same_names(paths: Iterable[str], repo_id: str) -> None:
    """Refuse names that differ only by case: on many disks they are one file."""
    seen: dict[str, str] = {}
    for path in paths:
        other = seen.setdefault(path.casefold(), path)
        if other != path:
            raise UnsupportedRepoError(
                f"Two files of {repo_id} differ only by case: {other!r} and {path!r}.",
                hint="Ask its owner to rename one of them.",
            )


def redacted(text: str) -> str:
    """Return ``text`` without tokens, logins in addresses, and query strings (signatures).

    >>> redacted("GET https://cdn.example/f?sig=abc with hf_secret123")
    'GET https://cdn.example/f?... with hf_...'
    """
    text = _URL_LOGIN.sub(r"\1", text)
    text = _URL_QUERY.sub(r"\1?...", text)
    return _TOKEN.sub("hf_...", _BEARER.sub("Bearer ...", text))
