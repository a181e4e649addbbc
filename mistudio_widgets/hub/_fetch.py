"""Bytes to disk: several files at a time, gone on with after any cut, verified at the end."""

from __future__ import annotations

import errno
import random
import re
import shutil
import threading
import time
from collections.abc import Container, Iterable, Iterator, Sequence
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
from ._body import CHUNK_BYTES, LinkBrokenError, RangeRefusedError
from ._client import RepoClient
from ._faults import EntryMissingError, not_the_file
from ._limit import BandwidthLimit
from ._local import FetchedFile, cache_of, lay_out, take_copy
from ._names import check_file_name, check_same_names
from ._part import Part
from ._plan import HubFile, HubPlan
from ._sockets import Sockets

_MAX_FILES_AT_A_TIME: Final = 4
_MAX_TRIES: Final = 5
_MAX_WAIT_S: Final = 60.0
# how long a thread sleeps before it looks whether it should end
_GLANCE_S: Final = 0.1
# so short that a slow link is still seen to move
_GATHER_S: Final = 0.05
_HASH: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LEFTOVER: Final = re.compile(rf"({_HASH.pattern})(\.part|\.part\.json|\.part\.tmp|\.copy)?")


class _MismatchError(Exception):
    """The bytes are not those that the repository lists."""


class _StoppedError(Exception):
    """Another file failed: this one has to wait for the next call."""


def fetch_files(
    client: RepoClient,
    plan: HubPlan,
    partial: Path,
    progress: Progress,
    *,
    limit: BandwidthLimit,
    copies: Sequence[Path],
) -> dict[str, tuple[FetchedFile, ...]]:
    """Bring every file of the plan to ``partial/files``, and return them by split."""
    contents = _checked_contents(plan)
    cache = cache_of(plan.plan.repo_id)
    with _disk_errors(partial, "the files", plan.plan.download_bytes):
        partial.mkdir(parents=True, exist_ok=True)
        _sweep(partial, contents)
    # largest first: begun last, a large one would go on alone when the others are done
    queue = sorted(contents.values(), key=lambda files: -files[0].size_bytes)
    folders = (*copies, partial / "files")
    fetch = _Fetch(
        client, plan.plan.commit, partial, progress, limit=limit, copies=folders, cache=cache
    )
    fetch.run(queue)
    with _disk_errors(partial, "the files", plan.plan.download_bytes):
        return lay_out(plan.files, partial, progress.check)


class _Fetch:
    """One call: its threads, and what ends them all."""

    def __init__(
        self,
        client: RepoClient,
        commit: str,
        partial: Path,
        progress: Progress,
        *,
        limit: BandwidthLimit,
        copies: Sequence[Path],
        cache: Path,
    ) -> None:
        self._client = client
        self._commit = commit
        self._partial = partial
        self._progress = progress
        self._limit = limit
        self._copies = copies
        self._cache = cache
        self._sockets = Sockets()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._error: BaseException | None = None

    def run(self, queue: list[list[HubFile]]) -> None:
        """Fetch everything; returns or raises when the last thread has ended."""
        self._left = iter(queue)
        threads = [
            threading.Thread(target=self._work, name=f"hub-fetch-{number}", daemon=True)
            for number in range(min(_MAX_FILES_AT_A_TIME, len(queue)))
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(_GLANCE_S)
                    self._cut_if_over()
        finally:
            # also when the caller's own thread was interrupted
            self._stopped.set()
            for thread in threads:
                while thread.is_alive():
                    self._sockets.cut()
                    thread.join(_GLANCE_S)
        self._progress.check()
        if self._error is not None:
            raise self._error

    def _cut_if_over(self) -> None:
        if self._stopped.is_set() or self._progress.is_cancelled:
            self._sockets.cut()

    def _work(self) -> None:
        try:
            while (files := self._next()) is not None:
                self._check()
                with _disk_errors(self._partial, files[0].path, files[0].size_bytes):
                    self._bring(files)
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 -- handed to the caller, whatever it is
            with self._lock:
                self._error = self._error or error
            self._stopped.set()

    def _next(self) -> list[HubFile] | None:
        with self._lock:
            return next(self._left, None)

    def _bring(self, files: Sequence[HubFile]) -> None:
        """Get one content to its name in the partial folder, from wherever it is nearest."""
        file = files[0]
        counter = _Counter(self._progress)
        target = self._partial / file.content_hash
        if target.is_file() and target.stat().st_size == file.size_bytes:
            # a kill between the last two steps leaves the note
            Part(self._partial, file).discard()
            counter.reach(file.size_bytes, measured=False)
            return
        target.unlink(missing_ok=True)
        paths = [folder / same.path for folder in self._copies for same in files]
        candidates = [self._cache / file.content_hash, *paths]
        if take_copy(file, candidates, target, lambda at: self._found(counter, at)):
            return
        with Part(self._partial, file) as part:
            part.read_back(lambda at: self._found(counter, at))
            self._fetch_verified(part, file, counter)

    def _found(self, counter: _Counter, position: int) -> None:
        self._check()
        counter.reach(position, measured=False)

    def _fetch_verified(self, part: Part, file: HubFile, counter: _Counter) -> None:
        for _ in range(2):
            try:
                self._fetch_patiently(part, file, counter)
                if part.is_right():
                    part.publish()
                    return
            except _MismatchError:
                pass
            part.start_over()
        part.discard()
        raise _corrupt(file, self._client.repo.repo_id)

    def _fetch_patiently(self, part: Part, file: HubFile, counter: _Counter) -> None:
        tries, furthest = 0, part.size
        while part.size < file.size_bytes:
            # what a body without a length means that ends too early
            broken = LinkBrokenError()
            try:
                self._fetch_on(part, file, counter)
            except RangeRefusedError as error:
                if error.total_bytes in (None, file.size_bytes):
                    part.start_over()
                else:
                    broken = self._not_the_file(file)
            except LinkBrokenError as error:
                broken = error
            except EntryMissingError as error:
                raise _not_there(file, self._client.repo.repo_id) from error
            if part.size == file.size_bytes:
                return
            tries = 1 if part.size > furthest else tries + 1
            furthest = max(furthest, part.size)
            if tries >= _MAX_TRIES:
                raise self._client.gave_up(broken) from broken
            self._wait(max(_backoff_s(tries), broken.wait_s or 0))

    def _fetch_on(self, part: Part, file: HubFile, counter: _Counter) -> None:
        """Append what one request brings."""
        self._check()
        stream = self._client.stream(
            self._commit, file.path, start=part.size, sockets=self._sockets
        )
        with stream as body:
            if not body.may_be(file.size_bytes, wanted_from=part.size):
                raise self._not_the_file(file)
            if part.size and (body.start != part.size or _differ(body.etag, part.etag)):
                part.start_over()
            if body.start != part.size:
                raise RangeRefusedError
            part.name_content(body.etag)
            for chunks in _gathered(body.chunks):
                self._check()
                position = part.size
                num_bytes = sum(map(len, chunks))
                if position + num_bytes > file.size_bytes:
                    raise _MismatchError
                part.append(chunks)
                for portion in self._limit.portions(num_bytes, self._wait):
                    position += portion
                    counter.reach(position)

    def _not_the_file(self, file: HubFile) -> LinkBrokenError:
        return LinkBrokenError(not_the_file(self._client.repo, file.path))

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._check()
            self._progress.wait(min(seconds, _GLANCE_S))
            seconds -= _GLANCE_S
        self._check()

    def _check(self) -> None:
        self._progress.check()
        if self._stopped.is_set():
            raise _StoppedError


class _Counter:
    """Counts each byte of a file once, however often the file is started over."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._counted = 0

    def reach(self, position: int, *, measured: bool = True) -> None:
        new = max(position - self._counted, 0)
        self._counted += new
        self._progress.advance(new, measured=measured)


def _checked_contents(plan: HubPlan) -> dict[str, list[HubFile]]:
    """Return the files to bring by content: several names may have the same one."""
    files = {file.path: file for file in plan.files}
    contents: dict[str, list[HubFile]] = {}
    for path, file in files.items():
        check_file_name(path, plan.plan.repo_id)
        if not _HASH.fullmatch(file.content_hash):
            raise UnsupportedRepoError(
                f"{plan.plan.repo_id} lists {path} without a hash to verify it by.",
                hint="Check hub_endpoint: this does not answer like a HuggingFace Hub.",
            )
        contents.setdefault(file.content_hash, []).append(file)
    check_same_names(files, plan.plan.repo_id)
    return contents


def _sweep(partial: Path, contents: Container[str]) -> None:
    """Remove what earlier calls left of files that are not wanted any more."""
    for path in partial.iterdir():
        found = _LEFTOVER.fullmatch(path.name)
        if found is not None and (found[1] not in contents or found[2] == ".copy"):
            path.unlink()


def _gathered(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Put together what comes at once: each write and each look at the clock has its price."""
    batch: list[bytes] = []
    num_bytes, due_at = 0, 0.0
    try:
        for chunk in chunks:
            batch.append(chunk)
            num_bytes += len(chunk)
            now = time.monotonic()
            if num_bytes >= CHUNK_BYTES or now >= due_at:
                yield batch
                batch, num_bytes, due_at = [], 0, now + _GATHER_S
    except Exception:
        # what came before the break is kept
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _backoff_s(tries: int) -> float:
    # jitter, so that files that broke together do not come back together
    return max(min(2.0**tries, _MAX_WAIT_S) * random.uniform(0.5, 1.0), 1.0)


def _differ(etag: str | None, other: str | None) -> bool:
    return etag is not None and other is not None and etag != other


def _corrupt(file: HubFile, repo_id: str) -> CorruptFileError:
    return CorruptFileError(
        f"{file.path} of {repo_id} arrived twice with other bytes than the repository lists.",
        path=file.path,
        hint="Try again; if it happens on another network too, tell the repository's owner.",
    )


def _not_there(file: HubFile, repo_id: str) -> UnsupportedRepoError:
    return UnsupportedRepoError(
        f"{repo_id} lists {file.path}, but does not have it.",
        hint="Ask the repository's owner to upload it again.",
    )


@contextmanager
def _disk_errors(folder: Path, name: str, num_bytes: int) -> Iterator[None]:
    try:
        yield
    except (StorageError, ConnectionError):
        # errors of ours that are also OSErrors
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InsufficientDiskSpaceError(
                f"The disk became full while {name} was fetched.",
                required_bytes=num_bytes,
                available_bytes=shutil.disk_usage(folder).free,
                hint="Free some space, and try again: what was fetched is kept.",
            ) from error
        raise StorageError(
            f"{name} could not be written to {shown_path(folder)}: {error.strerror}.",
            hint="Check that the folder is writable.",
        ) from error
