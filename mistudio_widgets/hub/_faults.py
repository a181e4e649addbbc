"""Answers and exceptions of the hub as our errors, each with what would work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from ..errors import (
    GatedRepoError,
    HubAuthError,
    HubError,
    HubRateLimitedError,
    HubUnavailableError,
    RepoNotFoundError,
    RevisionNotFoundError,
    UnsupportedRepoError,
)
from ..records import utc_now

RepoKind = Literal["dataset", "model"]
_RATE_LIMIT: Final = re.compile(r"\br=0\s*;\s*t=(\d+)")
# a year: a longer wait is the same to everybody, and no date may be that late
_MAX_WAIT_S: Final = 366 * 86_400
_MAX_DIGITS: Final = 15
_TOKENS_PAGE: Final = "https://huggingface.co/settings/tokens"


@dataclass(frozen=True)
class Repo:
    """A repository as it was asked for; what error messages speak about."""

    endpoint: str
    kind: RepoKind
    repo_id: str
    revision: str | None = None

    @property
    def path(self) -> str:
        """Its path below the endpoint: models stand at the top."""
        return f"datasets/{self.repo_id}" if self.kind == "dataset" else self.repo_id

    @property
    def page(self) -> str:
        """The web page where people see it, and ask for access."""
        host = urlsplit(self.endpoint)
        return f"{host.scheme}://{host.netloc.rpartition('@')[2]}{host.path}/{self.path}"

    @property
    def host(self) -> str:
        """The hub's name without port, login or path."""
        return urlsplit(self.endpoint).hostname or "the hub"


class EntryMissingError(Exception):
    """The revision has no such file; callers decide what that means."""


def answer_error(  # noqa: PLR0911 -- a table, read from top to bottom
    status: int, headers: Mapping[str, str], repo: Repo
) -> Exception:
    """Return the error that an answer of ``status`` stands for.

    ``headers`` must be case-insensitive, as those of a response are.
    """
    code = headers.get("X-Error-Code", "")
    said = headers.get("X-Error-Message", "")
    if code == "GatedRepo":
        return gated(repo, signed_in=status != 401)
    if code == "RevisionNotFound":
        return revision_missing(repo)
    if code == "EntryNotFound":
        return EntryMissingError(repo.repo_id)
    if status == 401 and "invalid" in said.lower():
        return bad_token(repo)
    if code == "RepoNotFound" or status in (401, 404):
        return repo_missing(repo)
    if status == 403:
        return _forbidden(repo)
    if status == 429:
        return rate_limited(headers, repo)
    if status >= 500:
        return HubUnavailableError(
            f"{repo.host} answered with an error of its own ({status}) when asked for"
            f" {repo.repo_id}.",
            hint="Try again in a few minutes.",
        )
    return HubError(
        f"{repo.host} refused the request for {repo.repo_id} ({status}).",
        hint=f"See whether {repo.page} opens in a browser.",
    )


def gated(repo: Repo, *, signed_in: bool) -> GatedRepoError:
    """Return the error for a repository whose terms were not accepted."""
    if signed_in:
        return GatedRepoError(
            f"{repo.repo_id} is gated, and this HuggingFace account has no access to it yet.",
            hint=f"Ask for access on {repo.page}, then try again.",
        )
    return GatedRepoError(
        f"{repo.repo_id} is gated: it needs a HuggingFace token.",
        hint=f"Ask for access on {repo.page}, then give a token from {_TOKENS_PAGE}.",
    )


def repo_missing(repo: Repo) -> RepoNotFoundError:
    """Return the error for a repository that does not show: the hub hides private ones."""
    return RepoNotFoundError(
        f"There is no {repo.kind} {repo.repo_id} on {repo.host}, or it is private.",
        hint="Check the spelling; a private repository needs a HuggingFace token that may read it.",
    )


def revision_missing(repo: Repo) -> RevisionNotFoundError:
    """Return the error for a branch, tag or commit that is not there."""
    return RevisionNotFoundError(
        f"{repo.repo_id} has no revision {repo.revision or 'main'!r}.",
        hint=f"Its branches and tags are listed on {repo.page}/tree/main.",
    )


def bad_token(repo: Repo) -> HubAuthError:
    """Return the error for a token that the hub does not know."""
    return HubAuthError(
        f"The HuggingFace token given for {repo.repo_id} is not valid: it may be mistyped,"
        " expired or revoked.",
        hint=f"Make a new one on {_TOKENS_PAGE}, or pass hf_token=False for public repositories.",
    )


def no_login(repo: Repo) -> HubAuthError:
    """Return the error for ``hf_token=True`` without a login on this machine."""
    return HubAuthError(
        f"hf_token=True for {repo.repo_id} needs a HuggingFace login on this machine, and there"
        " is none.",
        hint="Run `hf auth login` in a terminal, or give the token itself.",
    )


def _forbidden(repo: Repo) -> HubError:
    return HubAuthError(
        f"The HuggingFace token may not read {repo.repo_id}.",
        hint=f"Give it read access to this repository on {_TOKENS_PAGE}.",
    )


def disabled(repo: Repo) -> UnsupportedRepoError:
    """Return the error for a repository that the hub took down."""
    return UnsupportedRepoError(
        f"{repo.repo_id} was disabled by the hub.", hint=f"{repo.page} may tell why."
    )


def storage_refused(repo: Repo, status: int) -> HubUnavailableError:
    """Return the error for a signed address that does not open, however often it is renewed."""
    return HubUnavailableError(
        f"The storage behind {repo.host} refused to send a file of {repo.repo_id} ({status}).",
        hint="See whether this machine's clock is right, then try again in a few minutes.",
    )


def rate_limited(headers: Mapping[str, str], repo: Repo) -> HubRateLimitedError:
    """Return the error for too many requests, with the time when it is over if the hub told."""
    wait_s = retry_after_s(headers)
    hint = "A HuggingFace token has a higher limit."
    if wait_s is None:
        return HubRateLimitedError(
            f"The hub counted too many requests, the last one for {repo.repo_id}.",
            hint=f"Try again in a few minutes. {hint}",
        )
    now = utc_now()
    until = now + timedelta(seconds=wait_s)
    # a time of day alone would be that of today
    form = "%H:%M:%S" if until.date() == now.date() else "%Y-%m-%d %H:%M:%S"
    return HubRateLimitedError(
        f"The hub counted too many requests, the last one for {repo.repo_id}; it asks to wait"
        f" {wait_s} s.",
        hint=f"Try again after {until:{form}} UTC. {hint}",
    )


def retry_after_s(headers: Mapping[str, str]) -> int | None:
    """Return the seconds that the hub asks to wait, in whichever of its three forms."""
    wait_s = _asked_wait_s(headers)
    return None if wait_s is None else min(wait_s, _MAX_WAIT_S)


def _asked_wait_s(headers: Mapping[str, str]) -> int | None:
    # the hub's own: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers
    if spent := _RATE_LIMIT.search(headers.get("RateLimit", "")):
        return int(spent[1][:_MAX_DIGITS])
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return int(value[:_MAX_DIGITS])
    try:
        wait = parsedate_to_datetime(value) - utc_now()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(int(wait.total_seconds()) + 1, 0)


def unreachable(repo: Repo) -> HubUnavailableError:
    """Return the error for no network, no route or no answer."""
    return HubUnavailableError(
        f"Cannot reach the hub ({repo.host}) for {repo.repo_id}.",
        hint=f"Check the network connection, or {_without_hub(repo)}.",
    )


def too_slow(repo: Repo) -> HubUnavailableError:
    """Return the error for a hub that answers, but never comes to an end."""
    return HubUnavailableError(
        f"{repo.host} answers too slowly to find out what {repo.repo_id} holds.",
        hint=f"Try again in a few minutes, or {_without_hub(repo)}.",
    )


def not_a_hub(repo: Repo) -> HubError:
    """Return the error for an answer that no hub gives."""
    return HubError(
        f"{repo.host} does not answer like a HuggingFace Hub when asked for {repo.repo_id}.",
        hint="Check hub_endpoint, or whether a login page of the network is in between.",
    )


def not_the_file(repo: Repo, path: str) -> HubUnavailableError:
    """Return the error for an answer that has another size than the file has."""
    return HubUnavailableError(
        f"{repo.host} was asked for {path} of {repo.repo_id}, and the answer is something else.",
        hint="Check whether a login page of the network is in between; what was fetched is kept. "
        "If it happens on another network too, tell the repository's owner.",
    )


def not_as_stored(repo: Repo) -> HubError:
    """Return the error for a body that was compressed on the way, which has no known hash."""
    return HubError(
        f"{repo.host} sends the files of {repo.repo_id} compressed, though asked not to.",
        hint="Check hub_endpoint, or whether a proxy of the network changes what it passes on.",
    )


def offline_mode(repo: Repo) -> HubUnavailableError:
    """Return the error for a user who forbade requests."""
    return HubUnavailableError(
        f"Cannot reach the hub ({repo.host}) for {repo.repo_id}: HF_HUB_OFFLINE is set.",
        hint=f"Unset HF_HUB_OFFLINE and restart the kernel, or {_without_hub(repo)}.",
    )


def _without_hub(repo: Repo) -> str:
    if repo.kind == "dataset":
        return "import local files instead"
    return "name a local tokenizer.json or a folder with one"


def library_error(error: BaseException, repo: Repo) -> Exception | None:
    """Map what huggingface_hub raised; None for an exception that is none of its own.

    It wraps some failures: a 403 or 5xx becomes `LocalEntryNotFoundError`, its cause beneath.
    """
    from huggingface_hub.errors import LocalTokenNotFoundError, OfflineModeIsEnabled

    seen: Any = error
    while seen is not None:
        if isinstance(seen, OfflineModeIsEnabled):
            return offline_mode(repo)
        if isinstance(seen, LocalTokenNotFoundError):
            return no_login(repo)
        response = getattr(seen, "response", None)
        if response is not None:
            return answer_error(response.status_code, response.headers, repo)
        seen = seen.__cause__ or seen.__context__
    return None
