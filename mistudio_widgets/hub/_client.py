"""Requests to the hub: one deadline, few retries, our errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Final, TypeVar
from urllib.parse import quote

from ..errors import HubError
from ._faults import Repo, answer_error, disabled, no_login, offline_mode, unreachable
from ._names import HfToken, check_token

T = TypeVar("T")

_WAITS_S: Final = (0.2, 1.0)
_RETRIED: Final = frozenset({500, 502, 503, 504})
_MAX_CARD_BYTES: Final = 5_000_000


class LinkBrokenError(Exception):
    """The connection broke, or the hub failed: the same request may well succeed."""

    def __init__(self, status: int | None = None, *, is_connected: bool = True) -> None:
        super().__init__(status)
        self.status = status
        self.is_connected = is_connected


@dataclass(frozen=True)
class TreeFile:
    """One file of a repository: LFS files have a sha256, all others a git sha1."""

    path: str
    size_bytes: int
    sha256: str | None
    git_sha1: str | None


class RepoClient:
    """Reads one repository with one token.

    The token lives in here and nowhere else; ``repr`` does not show it.

    Parameters
    ----------
    timeout_s : float
        No answer for this long means that the hub cannot be reached. It bounds name lookup and
        all of a host's addresses together, which the HTTP library bounds one by one.
    """

    def __init__(self, repo: Repo, hf_token: HfToken, *, timeout_s: float = 8.0) -> None:
        self.repo = repo
        self._hf_token = check_token(hf_token)
        self._timeout_s = timeout_s

    def at(self, repo: Repo) -> RepoClient:
        """Return a client for another revision, with the same token."""
        return RepoClient(repo, self._hf_token, timeout_s=self._timeout_s)

    def info(self) -> dict[str, Any]:
        """Return the facts about the repository at its revision: sha, gated, disabled, private."""
        at = f"/revision/{quote(self.repo.revision, safe='')}" if self.repo.revision else ""
        expand = "expand=sha&expand=gated&expand=private&expand=disabled"
        facts = self._json(f"{self._api()}{at}?{expand}")
        if facts.get("disabled"):
            raise disabled(self.repo)
        return facts

    def check_access(self) -> None:
        """Raise `GatedRepoError` unless this token may read the files of a gated repository."""
        self._get(f"{self._api()}/auth-check")

    def tree(self, commit: str) -> list[TreeFile]:
        """Return every file at ``commit``."""
        from huggingface_hub.utils import fix_hf_endpoint_in_url  # type: ignore[attr-defined]

        url: str | None = f"{self._api()}/tree/{quote(commit, safe='')}?recursive=true"
        files: list[TreeFile] = []
        while url is not None:
            answer = self._get(url)
            files += [_tree_file(entry) for entry in answer.json() if entry["type"] == "file"]
            url = answer.links.get("next", {}).get("url")
            if url is not None:
                # a mirror passes on links to the original
                url = fix_hf_endpoint_in_url(url, self.repo.endpoint)
        return files

    def text(self, commit: str, path: str) -> str:
        """Return a small text file; what is above 5 MB is cut, what is not UTF-8 replaced."""
        content = self._patiently(lambda: self._start_of(commit, path))
        return content.decode("utf-8", errors="replace")

    def gave_up(self, error: LinkBrokenError) -> Exception:
        """Return what to raise when the last try failed too."""
        if error.status is None:
            return unreachable(self.repo)
        return answer_error(error.status, {}, self.repo)

    def _start_of(self, commit: str, path: str) -> bytes:
        content = bytearray()
        with self.stream(commit, path) as chunks:
            for chunk in chunks:
                content += chunk
                if len(content) >= _MAX_CARD_BYTES:
                    break
        return bytes(content[:_MAX_CARD_BYTES])

    @contextmanager
    def stream(self, commit: str, path: str) -> Iterator[Iterator[bytes]]:
        """Open a file and give its bytes as they arrive, so that a slow link is seen to move.

        Raises
        ------
        LinkBrokenError
            While connecting or inside the ``with`` block: worth another try.
        """
        http, session = _http()
        url = f"{self.repo.endpoint}/{self.repo.path}/resolve/{commit}/{quote(path)}"
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        with (
            self._mapped(http),
            session.stream("GET", url, headers=headers, timeout=self._timeout_s) as answer,
        ):
            self._check(answer)
            yield answer.iter_bytes()

    def _json(self, url: str) -> dict[str, Any]:
        answer = self._get(url)
        try:
            facts = answer.json()
        except ValueError:
            facts = None
        if isinstance(facts, dict) and isinstance(facts.get("sha"), str):
            return facts
        raise HubError(
            f"{self.repo.host} does not answer like a HuggingFace Hub.",
            hint="Check hub_endpoint, or whether a login page of the network is in between.",
        )

    def _get(self, url: str) -> Any:
        try:
            return self._patiently(lambda: within(self._timeout_s, lambda: self._get_once(url)))
        except TimeoutError as error:
            raise unreachable(self.repo) from error

    def _get_once(self, url: str) -> Any:
        http, session = _http()
        try:
            with self._mapped(http):
                # longer than our own deadline, so that no answer is not taken for a broken link
                answer = session.get(url, headers=self._headers(), timeout=2 * self._timeout_s)
        except LinkBrokenError as error:
            if error.is_connected:
                raise
            raise unreachable(self.repo) from error
        self._check(answer)
        return answer

    def _patiently(self, call: Callable[[], T]) -> T:
        for wait_s in _WAITS_S:
            try:
                return call()
            except LinkBrokenError:
                time.sleep(wait_s)
        try:
            return call()
        except LinkBrokenError as error:
            raise self.gave_up(error) from error

    @contextmanager
    def _mapped(self, http: ModuleType) -> Iterator[None]:
        from huggingface_hub.errors import OfflineModeIsEnabled

        try:
            yield
        except OfflineModeIsEnabled as error:
            raise offline_mode(self.repo) from error
        except (http.ConnectError, http.ConnectTimeout, http.ProxyError) as error:
            raise LinkBrokenError(is_connected=False) from error
        except http.TransportError as error:
            raise LinkBrokenError from error
        except (http.TooManyRedirects, http.InvalidURL) as error:
            raise HubError(
                f"{self.repo.host} redirects in circles.", hint="Check hub_endpoint."
            ) from error

    def _check(self, answer: Any) -> None:
        if answer.status_code in _RETRIED:
            raise LinkBrokenError(answer.status_code)
        if answer.status_code >= 400:
            raise answer_error(answer.status_code, answer.headers, self.repo)

    def _headers(self) -> dict[str, str]:
        from huggingface_hub.errors import LocalTokenNotFoundError
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        try:
            return build_hf_headers(token=self._hf_token, library_name="mistudio-widgets")
        except LocalTokenNotFoundError as error:
            raise no_login() from error

    def _api(self) -> str:
        return f"{self.repo.endpoint}/api/{self.repo.kind}s/{self.repo.repo_id}"


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise `TimeoutError`; the call then ends on its own."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 -- handed to the caller, whatever it is
            outcome.set_exception(error)

    threading.Thread(target=run, name="hub-request", daemon=True).start()
    return outcome.result(seconds)


def _http() -> tuple[ModuleType, Any]:
    # huggingface_hub 2 speaks through httpx2, 1.x through httpx; users may set their own client
    from huggingface_hub import get_session

    session = get_session()
    for base in type(session).__mro__:
        name = base.__module__.partition(".")[0]
        if name.startswith("httpx"):
            return import_module(name), session
    raise AssertionError("huggingface_hub speaks through neither httpx nor httpx2")


def _tree_file(entry: dict[str, Any]) -> TreeFile:
    lfs = entry.get("lfs")
    return TreeFile(
        path=entry["path"],
        size_bytes=lfs["size"] if lfs else entry["size"],
        sha256=lfs["oid"] if lfs else None,
        git_sha1=None if lfs else entry["oid"],
    )
