"""Requests to the hub: one deadline, few retries, our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Final, TypeVar
from urllib.parse import quote

from ..errors import HubError
from ._answers import MAX_ANSWER_BYTES, TreeFile, next_page, read_facts, read_tree
from ._body import Body, LinkBrokenError, RangeRefusedError, body_of
from ._faults import (
    Repo,
    answer_error,
    disabled,
    no_login,
    not_a_hub,
    not_as_stored,
    offline_mode,
    retry_after_s,
    storage_refused,
    too_slow,
    unreachable,
)
from ._names import HfToken, check_token
from ._patience import Patience, TooSlowError
from ._sockets import Sockets, note_left_open

T = TypeVar("T")

_WAITS_S: Final = (0.2, 1.0)
_MAX_CARD_BYTES: Final = 5_000_000
# of a thousand entries each
_MAX_PAGES: Final = 500
# in the time that no answer may take: a card's whole body, and all requests of a plan together
_CARD_TIMES: Final = 3
_ALL_TIMES: Final = 15
# a connection attempt cannot be interrupted, and a cancel must be done within 2 s
_CONNECT_S: Final = 1.5
_MAX_RETRY_AFTER_S: Final = 60


@dataclass(frozen=True)
class _Answer:
    content: bytes
    next_url: str | None


class RepoClient:
    """Reads one repository with one token.

    The token lives in here and nowhere else; ``repr`` does not show it.

    Parameters
    ----------
    timeout_s : float
        No answer for this long means that the hub cannot be reached. It bounds name lookup and
        all of a host's addresses together, which the HTTP library bounds one by one.
    """

    def __init__(
        self,
        repo: Repo,
        hf_token: HfToken,
        *,
        timeout_s: float = 8.0,
        patience: Patience | None = None,
    ) -> None:
        self.repo = repo
        self.patience = patience or Patience(_ALL_TIMES * timeout_s)
        self._hf_token = check_token(hf_token, repo.repo_id)
        self._timeout_s = timeout_s

    def at(self, repo: Repo) -> RepoClient:
        """Return a client for another revision, with the same token."""
        return RepoClient(repo, self._hf_token, timeout_s=self._timeout_s, patience=self.patience)

    def info(self) -> dict[str, Any]:
        """Return the facts about the repository at its revision: sha, gated, disabled, private."""
        at = f"/revision/{quote(self.repo.revision, safe='')}" if self.repo.revision else ""
        expand = "expand=sha&expand=gated&expand=private&expand=disabled"
        facts = read_facts(self._get(f"{self._api()}{at}?{expand}").content, self.repo)
        if facts.get("disabled"):
            raise disabled(self.repo)
        return facts

    def check_access(self) -> None:
        """Raise `GatedRepoError` unless this token may read the files of a gated repository."""
        self._get(f"{self._api()}/auth-check")

    def tree(self, commit: str) -> list[TreeFile]:
        """Return every file at ``commit``."""
        url: str | None = f"{self._api()}/tree/{quote(commit, safe='')}?recursive=true"
        files: list[TreeFile] = []
        seen: set[str] = set()
        while url is not None:
            if url in seen or len(seen) >= _MAX_PAGES:
                raise not_a_hub(self.repo)
            seen.add(url)
            answer = self._get(url)
            files += read_tree(answer.content, self.repo)
            url = next_page(url, answer.next_url, self.repo)
        return files

    def text(self, commit: str, path: str) -> str:
        """Return a small text file; what is above 5 MB is cut, what is not UTF-8 replaced."""
        content = self._patiently(
            lambda sockets: self._start_of(commit, path, sockets),
            within_s=_CARD_TIMES * self._timeout_s,
        )
        return content.decode("utf-8", errors="replace")

    def gave_up(self, error: LinkBrokenError) -> Exception:
        """Return what to raise when the last try failed too."""
        return error.given_up or unreachable(self.repo)

    def _start_of(self, commit: str, path: str, sockets: Sockets) -> bytes:
        content = bytearray()
        with self.stream(commit, path, sockets=sockets) as body:
            for chunk in body.chunks:
                content += chunk
                if len(content) >= _MAX_CARD_BYTES:
                    break
        return bytes(content[:_MAX_CARD_BYTES])

    @contextmanager
    def stream(
        self, commit: str, path: str, *, start: int = 0, sockets: Sockets | None = None
    ) -> Iterator[Body]:
        """Open a file at position ``start``.

        Each call asks the hub anew: the signed address that it redirects to soon expires.

        Raises
        ------
        LinkBrokenError
            While connecting or inside the ``with`` block: worth another try.
        RangeRefusedError
            The file has no byte at ``start``.
        """
        http, session = _http()
        sockets = sockets or Sockets()
        url = f"{self.repo.endpoint}/{self.repo.path}/resolve/{commit}/{quote(path)}"
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        note_left_open(session)
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            self._mapped(http),
            session.stream(
                "GET",
                url,
                headers=headers,
                timeout=http.Timeout(self._timeout_s, connect=min(self._timeout_s, _CONNECT_S)),
                extensions={"trace": sockets.trace},
            ) as answer,
            sockets.reading(answer),
        ):
            self._check_body(answer)
            yield body_of(answer, self._timeout_s)

    def _get(self, url: str) -> _Answer:
        return self._patiently(
            lambda sockets: self._get_once(url, sockets), within_s=self._timeout_s
        )

    def _get_once(self, url: str, sockets: Sockets) -> _Answer:
        http, session = _http()
        headers = self._headers()
        note_left_open(session)
        try:
            with (
                self._mapped(http),
                session.stream(
                    "GET",
                    url,
                    headers=headers,
                    # longer than our own deadline: no answer is not taken for a broken link
                    timeout=2 * self._timeout_s,
                    extensions={"trace": sockets.trace},
                ) as answer,
                sockets.reading(answer),
            ):
                self._check(answer)
                link = answer.links.get("next", {}).get("url")
                return _Answer(self._whole(answer), link)
        except LinkBrokenError as error:
            if error.is_connected:
                raise
            raise unreachable(self.repo) from error

    def _whole(self, answer: Any) -> bytes:
        content = bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise not_a_hub(self.repo)
        return bytes(content)

    def _patiently(self, call: Callable[[Sockets], T], *, within_s: float) -> T:
        try:
            for wait_s in _WAITS_S:
                try:
                    return self.patience.have(call, within_s=within_s)
                except LinkBrokenError:
                    self.patience.wait(wait_s)
            return self.patience.have(call, within_s=within_s)
        except LinkBrokenError as error:
            raise self.gave_up(error) from error
        except TimeoutError as error:
            raise unreachable(self.repo) from error
        except TooSlowError as error:
            raise too_slow(self.repo) from error

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
                f"{self.repo.host} redirects in circles when asked for {self.repo.repo_id}.",
                hint="Check hub_endpoint.",
            ) from error

    def _check(self, answer: Any) -> None:
        if answer.status_code < 400:
            return
        error = answer_error(answer.status_code, answer.headers, self.repo)
        raise LinkBrokenError(error) if answer.status_code >= 500 else error

    def _check_body(self, answer: Any) -> None:
        status = answer.status_code
        if status in (200, 206):
            if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise not_as_stored(self.repo)
            return
        if status == 416:
            raise RangeRefusedError(answer.headers.get("Content-Range", ""))
        error = answer_error(status, answer.headers, self.repo)
        if _is_elsewhere(answer) and 400 <= status < 500 and status != 429:
            # the storage behind the hub knows signatures, not accounts: a new one may do
            raise LinkBrokenError(storage_refused(self.repo, status))
        wait_s = retry_after_s(answer.headers)
        if status == 429 and wait_s is not None and wait_s > _MAX_RETRY_AFTER_S:
            raise error
        if status in (408, 429) or status >= 500:
            raise LinkBrokenError(error, wait_s=min(wait_s or 0, _MAX_RETRY_AFTER_S))
        raise error

    def _headers(self) -> dict[str, str]:
        from huggingface_hub.errors import LocalTokenNotFoundError
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        try:
            return build_hf_headers(token=self._hf_token, library_name="mistudio-widgets")
        except LocalTokenNotFoundError as error:
            raise no_login(self.repo) from error

    def _api(self) -> str:
        return f"{self.repo.endpoint}/api/{self.repo.kind}s/{self.repo.repo_id}"


def _http() -> tuple[ModuleType, Any]:
    # huggingface_hub 2 speaks through httpx2, 1.x through httpx; users may set their own client
    from huggingface_hub import get_session

    session = get_session()
    for base in type(session).__mro__:
        name = base.__module__.partition(".")[0]
        if name.startswith("httpx"):
            return import_module(name), session
    raise AssertionError("huggingface_hub speaks through neither httpx nor httpx2")


def _is_elsewhere(answer: Any) -> bool:
    """Whether the hub sent us on to another server."""
    return bool(answer.history) and answer.url.netloc != answer.history[0].url.netloc
