"""Bytes to disk: counted while they come, verified before they get their name."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..errors import (
    CorruptFileError,
    InsufficientDiskSpaceError,
    StorageError,
    UnsupportedRepoError,
    shown_path,
)
from ..progress import Progress
from ._client import LinkBrokenError, RepoClient
from ._faults import EntryMissingError
from ._names import check_file_name, check_same_names
from ._plan import HubFile, HubPlan

_WAITS_S: Final = (1.0, 2.0, 4.0)


class _MismatchError(Exception):
    """The bytes are not those that the repository lists."""


def fetch_files(
    client: RepoClient, plan: HubPlan, into: Path, progress: Progress
) -> dict[str, tuple[Path, ...]]:
    """Fetch the plan's files one after another to their own names below ``into``.

    *Cancellation:* checked at every chunk and in every wait; a part file is removed.
    """
    files = {file.path: file for file in plan.files}
    for path in files:
        check_file_name(path)
    check_same_names(files)
    for file in files.values():
        progress.check()
        with _disk_errors(into, file):
            _fetch_verified(client, plan.plan.commit, file, into / file.path, progress)
    splits = dict.fromkeys(file.split for file in plan.files)
    return {
        split: tuple(into / file.path for file in plan.files if file.split == split)
        for split in splits
    }


def _fetch_verified(
    client: RepoClient, commit: str, file: HubFile, target: Path, progress: Progress
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{_identity(file)}.part")
    counter = _Counter(progress)
    try:
        for last in (False, True):
            try:
                _fetch_patiently(client, commit, file, part, counter)
                break
            except _MismatchError as error:
                if last:
                    raise _corrupt(file, client.repo.repo_id) from error
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _fetch_patiently(
    client: RepoClient, commit: str, file: HubFile, part: Path, counter: _Counter
) -> None:
    for wait_s in (*_WAITS_S, None):
        try:
            _fetch_once(client, commit, file, part, counter)
        except LinkBrokenError as error:
            if wait_s is None:
                raise client.gave_up(error) from error
            counter.progress.wait(wait_s)
        except EntryMissingError as error:
            raise UnsupportedRepoError(
                f"{client.repo.repo_id} lists {file.path}, but does not have it.",
                hint="Ask the repository's owner to upload it again.",
            ) from error
        else:
            return


def _fetch_once(
    client: RepoClient, commit: str, file: HubFile, part: Path, counter: _Counter
) -> None:
    digest = _digest(file)
    received = 0
    with part.open("wb") as out:
        with client.stream(commit, file.path) as chunks:
            for chunk in chunks:
                out.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                if received > file.size_bytes:
                    raise _MismatchError
                counter.reach(received)
        out.flush()
        os.fsync(out.fileno())
    if received < file.size_bytes:
        raise LinkBrokenError
    if digest.hexdigest() != (file.sha256 or file.git_sha1):
        raise _MismatchError


class _Counter:
    """Counts each byte of a file once, however often the file is started over."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._counted = 0

    def reach(self, received: int) -> None:
        new = max(received - self._counted, 0)
        self._counted += new
        self.progress.advance(new)


def _digest(file: HubFile) -> hashlib._Hash:
    if file.sha256 is not None:
        return hashlib.sha256()
    # git hashes a header before the content: https://git-scm.com/book/en/v2/Git-Internals
    return hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)


def _identity(file: HubFile) -> str:
    return file.sha256 or file.git_sha1 or hashlib.sha256(file.path.encode()).hexdigest()


def _corrupt(file: HubFile, repo_id: str) -> CorruptFileError:
    return CorruptFileError(
        f"{file.path} of {repo_id} arrived twice with other bytes than the repository lists.",
        path=file.path,
        hint="Try again; if it happens on another network too, tell the repository's owner.",
    )


@contextmanager
def _disk_errors(into: Path, file: HubFile) -> Iterator[None]:
    try:
        yield
    except (StorageError, ConnectionError):
        # errors of ours that are also OSErrors
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InsufficientDiskSpaceError(
                f"The disk became full while {file.path} was fetched.",
                required_bytes=file.size_bytes,
                available_bytes=shutil.disk_usage(into).free,
                hint="Free some space, and try again.",
            ) from error
        raise StorageError(
            f"{file.path} could not be written to {shown_path(into)}: {error.strerror}.",
            hint="Check that the folder is writable.",
        ) from error
