"""The files of a tokenizer, in the user's own HuggingFace cache."""

from __future__ import annotations

from functools import partial, partialmethod
from pathlib import Path
from typing import Any, Final

from ..errors import (
    HubUnavailableError,
    RepoNotFoundError,
    StorageError,
    TokenizerNotFoundError,
)
from ..progress import Progress
from ._client import RepoClient
from ._faults import Repo, library_error, too_slow, unreachable
from ._names import HfToken, check_token
from ._patience import Patience, TooSlowError
from ._sockets import Sockets

# the largest tokenizers are 30 MB
_FETCH_S: Final = 600

_FAST: Final = "tokenizer.json"
# what transformers reads for its slow tokenizers
_SLOW: Final = (
    "vocab.json",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)
_COMPANIONS: Final = (
    "added_tokens.json",
    "chat_template.jinja",
    "config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer_config.json",
)


def fetch_tokenizer_files(
    repo: Repo, hf_token: HfToken, *, timeout_s: float, progress: Progress
) -> Path:
    """Return the folder with the tokenizer's files, fetching those that are not cached.

    Without a network, what the cache holds is good enough.
    """
    patience = Patience(_FETCH_S, progress)
    client = RepoClient(repo, hf_token, timeout_s=timeout_s, patience=patience)
    try:
        commit = client.info()["sha"]
        names = {file.path for file in client.tree(commit)}
    except RepoNotFoundError as error:
        raise TokenizerNotFoundError(error.message, hint=error.hint) from error
    except HubUnavailableError:
        cached = cached_tokenizer_files(repo.repo_id)
        if cached is None:
            raise
        return cached
    wanted = _wanted(names)
    if not wanted:
        raise TokenizerNotFoundError(
            f"{repo.repo_id} holds no tokenizer.",
            hint="Name a model repository that holds tokenizer.json, or a path to one.",
        )
    fetch = partial(_fetch, repo, commit, hf_token=hf_token, timeout_s=timeout_s, progress=progress)
    try:
        files = [patience.have(partial(fetch, name), within_s=_FETCH_S) for name in wanted]
    except (TimeoutError, TooSlowError) as error:
        raise too_slow(repo) from error
    return files[0].parent


def _wanted(names: set[str]) -> list[str]:
    main = [_FAST] if _FAST in names else [name for name in _SLOW if name in names]
    return main + [name for name in _COMPANIONS if name in names] if main else []


def cached_tokenizer_files(repo_id: str) -> Path | None:
    """Return the newest of the cached commits that hold a tokenizer."""
    from huggingface_hub.constants import HF_HUB_CACHE

    commits = Path(HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}" / "snapshots"
    found = [path for name in (_FAST, *_SLOW) for path in commits.glob(f"*/{name}")]
    folders = sorted({path.parent for path in found}, key=lambda folder: folder.stat().st_mtime)
    return folders[-1] if folders else None


def _fetch(
    repo: Repo,
    commit: str,
    name: str,
    _sockets: Sockets,
    *,
    hf_token: HfToken,
    timeout_s: float,
    progress: Progress,
) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(
                repo.repo_id,
                name,
                revision=commit,
                token=check_token(hf_token, repo.repo_id),
                endpoint=repo.endpoint,
                etag_timeout=timeout_s,
                library_name="mistudio-widgets",
                tqdm_class=_silent_bar(progress),
            )
        )
    except Exception as error:  # it lets its HTTP library's own errors through
        if isinstance(error, OSError) and error.errno is not None:
            raise StorageError(
                f"{name} of {repo.repo_id} could not be kept in the HuggingFace cache:"
                f" {error.strerror}.",
                hint="Free some space there, or point HF_HOME to another disk.",
            ) from error
        raise library_error(error, repo) or unreachable(repo) from error


def _silent_bar(progress: Progress) -> Any:
    # a bar drawn by a background thread lands in whatever cell is running
    from tqdm import tqdm  # type: ignore[import-untyped]

    class SilentBar(tqdm):  # type: ignore[misc]
        __init__ = partialmethod(tqdm.__init__, disable=True)

        def update(self, n: float | None = 1) -> None:
            progress.check()
            super().update(n)

    return SilentBar
