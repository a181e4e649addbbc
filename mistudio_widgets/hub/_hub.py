"""`Hub`: plans, bytes and tokenizers from the HuggingFace Hub."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import InvalidRequestError
from ..progress import Progress
from ..records import DownloadRequest
from ._client import RepoClient
from ._faults import Repo, too_slow
from ._fetch import fetch_files
from ._limit import BandwidthLimit
from ._local import FetchedFile, cached_blobs, linkable
from ._logs import redact_logs
from ._names import HfToken, check_endpoint, check_repo_id
from ._patience import Patience, TooSlowError
from ._plan import HubPlan, RepoAtCommit, make_plan, read_repo
from ._tokenizer import cached_tokenizer_files, fetch_tokenizer_files

_DEFAULT_ENDPOINT: Final = "https://huggingface.co"
_KEPT_S: Final = 600.0
# in the time that no answer may take
_PLAN_TIMES: Final = 15

_PlanKey = tuple[str, str, str | None, str | None, tuple[str, ...] | None]

_endpoint_lock = threading.Lock()
_endpoint: str | None = None


class Hub:
    """Reads datasets and tokenizers from one HuggingFace Hub.

    Parameters
    ----------
    endpoint : str or None
        Address of a hub; None: the one that HF_ENDPOINT names, else https://huggingface.co.
        The HuggingFace libraries read it once, so all of a process use the same.
    timeout_s : float
        A hub that does not answer for so long cannot be reached.

    Raises
    ------
    InvalidRequestError
        With ``field="hub_endpoint"``, when this process uses another endpoint already.

    *Threads:* every method may be called from any thread.
    """

    def __init__(self, endpoint: str | None = None, *, timeout_s: float = 8.0) -> None:
        redact_logs()
        self._asked = None if endpoint is None else _claim(check_endpoint(endpoint))
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._repos: dict[_PlanKey, tuple[float, RepoAtCommit]] = {}

    def plan(
        self,
        request: DownloadRequest,
        *,
        hf_token: HfToken,
        free_bytes: int,
        reserve_bytes: int,
        into: Path | None = None,
        progress: Progress | None = None,
    ) -> HubPlan:
        """Find out what a download would fetch, without fetching data or running code.

        Whether the repository is there, and this token may read it, is asked every time; what
        its commit holds is kept for 10 minutes.

        Parameters
        ----------
        hf_token : str, bool or None
            None: the user's own login; False: none; a string: that token.
        free_bytes, reserve_bytes : int
            The plan fits when the disk keeps the reserve.
        into : Path or None
            Where the files will go: what the user's own HuggingFace cache has on the same disk
            is linked, and takes no room. None: nothing is known of that.
        progress : Progress or None
            The job that waits for the plan. Without one too, a plan takes two minutes at most.

        Raises
        ------
        HubError
            One of its children; each says what would work.

        *Cancellation:* in every wait, while the hub does not answer, and between files.
        """
        patience = Patience(_PLAN_TIMES * self._timeout_s, progress)
        client = self._client(request.repo_id, request.revision, hf_token, patience)
        try:
            facts, repo = self._read(client, request)
        except TooSlowError as error:
            raise too_slow(client.repo) from error
        cached = cached_blobs(request.repo_id, repo.files)
        return make_plan(
            request,
            facts,
            repo,
            cached=cached,
            linked=linkable(cached, into),
            free_bytes=free_bytes,
            reserve_bytes=reserve_bytes,
        )

    def fetch(
        self,
        plan: HubPlan,
        partial: Path,
        *,
        hf_token: HfToken,
        progress: Progress,
        share: float = 1.0,
        limit: BandwidthLimit | None = None,
        copies: Sequence[Path] = (),
    ) -> dict[str, tuple[FetchedFile, ...]]:
        """Bring the plan's files to ``partial/files``, under their own names, each verified.

        What is in ``partial`` from an earlier call is gone on with, whatever ended that call:
        an error, a cancel, a kill or a power cut. The caller renames ``partial/files`` when it
        has used it, and removes ``partial``.

        Parameters
        ----------
        share : float
            Which part of the job this is, as for `Progress.start`.
        limit : BandwidthLimit or None
            Shared by all downloads that together must stay below it.
        copies : sequence of Path
            Folders that may hold some of the files under the same names. A file there, or in
            the user's own HuggingFace cache, is hashed, and linked when it is right.

        Returns
        -------
        dict
            Local files by split, in the order in which they are read.

        Raises
        ------
        CorruptFileError
            When a file came twice with other bytes than the repository lists.
        InsufficientDiskSpaceError
            The disk became full; what was fetched is kept.

        *Cancellation:* at every chunk, in every wait and while the hub does not answer. When
        this returns or raises, all its threads have ended.
        """
        client = self._client(plan.plan.repo_id, plan.plan.commit, hf_token)
        progress.start("downloading", total=plan.plan.download_bytes, unit="bytes", share=share)
        limit = limit or BandwidthLimit()
        return fetch_files(client, plan, partial, progress, limit=limit, copies=copies)

    def fetch_tokenizer(
        self, repo_id: str, *, hf_token: HfToken = None, progress: Progress | None = None
    ) -> Path:
        """Return a folder with tokenizer.json and its companions, or a slow tokenizer's files.

        The folder is in the user's own HuggingFace cache, which also answers offline.

        Raises
        ------
        TokenizerNotFoundError
            When there is no such model, or it holds no tokenizer.

        *Cancellation:* at once, whatever the hub does; a file that is on its way into the cache
        ends with its next block, or when the hub has not answered for long.
        """
        repo = Repo(self._endpoint(), "model", check_repo_id(repo_id))
        return fetch_tokenizer_files(
            repo, hf_token, timeout_s=self._timeout_s, progress=progress or Progress()
        )

    def cached_tokenizer(self, repo_id: str) -> Path | None:
        """Return the folder with a tokenizer's files in the user's cache, asking no one."""
        return cached_tokenizer_files(check_repo_id(repo_id))

    def _client(
        self,
        repo_id: str,
        revision: str | None,
        hf_token: HfToken,
        patience: Patience | None = None,
    ) -> RepoClient:
        repo = Repo(self._endpoint(), "dataset", check_repo_id(repo_id), revision or None)
        return RepoClient(repo, hf_token, timeout_s=self._timeout_s, patience=patience)

    def _read(
        self, client: RepoClient, request: DownloadRequest
    ) -> tuple[dict[str, Any], RepoAtCommit]:
        facts = client.info()
        if facts.get("gated"):
            client.check_access()
        return facts, self._repo_at(client, request, facts["sha"])

    def _repo_at(self, client: RepoClient, request: DownloadRequest, commit: str) -> RepoAtCommit:
        key = (request.repo_id, commit, request.revision, request.config, request.splits)
        now = time.monotonic()
        with self._lock:
            self._repos = {k: kept for k, kept in self._repos.items() if kept[0] > now}
            if key in self._repos:
                return self._repos[key][1]
        repo = read_repo(client, request, commit)
        with self._lock:
            self._repos[key] = (now + _KEPT_S, repo)
        return repo

    def _endpoint(self) -> str:
        return self._asked or _claim(None)


def _claim(endpoint: str | None) -> str:
    """Make ``endpoint`` the one of this process; None takes what is there."""
    global _endpoint
    with _endpoint_lock:
        if _endpoint is None:
            set_one = os.environ.get("HF_ENDPOINT") or _DEFAULT_ENDPOINT
            _endpoint = endpoint or check_endpoint(set_one)
            if endpoint is not None and "huggingface_hub" not in sys.modules:
                # for what datasets and transformers ask on their own
                os.environ["HF_ENDPOINT"] = endpoint
        elif endpoint not in (None, _endpoint):
            raise InvalidRequestError(
                "This process uses another hub already.",
                field="hub_endpoint",
                hint="Restart the kernel to change it: the HuggingFace libraries read it once.",
            )
        return _endpoint
