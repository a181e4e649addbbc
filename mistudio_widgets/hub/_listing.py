"""The names of a repository's files as a file system that `datasets` can look through.

Nothing of it is on a disk: a card may name what it likes, a kill leaves nothing behind, and a
repository of many files takes no longer than its names.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

PROTOCOL: Final = "mistudio-listing"
_CHECK_EVERY: Final = 256

_lock: Final = threading.Lock()
_listings: Final[dict[str, Listing]] = {}
_numbers: Final = itertools.count(1)


class OpenedError(Exception):
    """The library wanted to look into a file: only archives make it do so."""


class Listing:
    """Sorted names, and what to call while they are gone through."""

    def __init__(self, paths: Iterable[str], check: Callable[[], None]) -> None:
        self.paths = sorted(paths)
        self._parts = [path.split("/") for path in self.paths]
        self.check = check

    def has(self, path: str) -> bool:
        """Whether a file of this name is there."""
        at = bisect_left(self.paths, path)
        return at < len(self.paths) and self.paths[at] == path

    def matching(self, pattern: str) -> Iterator[str]:
        """Yield the files that a pattern means, by the rules of fsspec.

        They are matched part by part, because as one expression a pattern with many stars can
        take for ever.
        """
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        fixed = list(itertools.takewhile(lambda part: not _MAGIC.search(part), parts))
        if len(fixed) == len(parts):
            path = "/".join(parts)
            yield from [path] if self.has(path) else []
            return
        if any("**" in part and part != "**" for part in parts):
            raise ValueError("Invalid pattern: '**' can only be an entire path component")
        tests = [None if part == "**" else _test(part) for part in parts[len(fixed) :]]
        prefix = "".join(f"{part}/" for part in fixed)
        is_match = _matcher(tests)
        for at in range(bisect_left(self.paths, prefix), len(self.paths)):
            if at % _CHECK_EVERY == 0:
                self.check()
            if not self.paths[at].startswith(prefix):
                return
            if is_match(self._parts[at][len(fixed) :]):
                yield self.paths[at]


_MAGIC: Final = re.compile(r"[*?\[]")
_Test = Callable[[str], object] | None


@cache
def _test(part: str) -> Callable[[str], object]:
    # of the standard library: its stars do not backtrack
    return re.compile(fnmatch.translate(part)).match


def _matcher(tests: list[_Test]) -> Callable[[list[str]], object]:
    # the patterns that the library tries, by the dozen, on every repository
    match tests:
        case [None, last] if last is not None:
            of_name = last
            return lambda parts: of_name(parts[-1])
        case [None, folder, None] if folder is not None:
            of_folder = folder
            return lambda parts: any(map(of_folder, parts[:-1]))
    return lambda parts: _is_match(parts, tests)


def _is_match(parts: list[str], tests: list[_Test]) -> bool:
    """Match parts of a path; None stands for any number of them, at the end for one or more."""
    # which of the tests may be next, after each part
    states = _reachable({0}, tests)
    for part in parts:
        after: set[int] = set()
        for state in states:
            if state < len(tests):
                test = tests[state]
                if test is None:
                    after |= {state, state + 1} if state == len(tests) - 1 else {state}
                elif test(part):
                    after.add(state + 1)
        states = _reachable(after, tests)
        if not states:
            return False
    return len(tests) in states


def _reachable(states: set[int], tests: list[_Test]) -> set[int]:
    """Add what comes after a ``**`` that stands for nothing; a last one stands for something."""
    found = set(states)
    for state in range(len(tests) - 1):
        if state in found and tests[state] is None:
            found.add(state + 1)
    return found


@contextmanager
def listed_as_files(listing: Listing) -> Iterator[str]:
    """Give the address below which `datasets` finds the files, for that long."""
    _register()
    name = f"repository-{next(_numbers)}"
    with _lock:
        _listings[name] = listing
    try:
        yield f"{PROTOCOL}://{name}"
    finally:
        with _lock:
            del _listings[name]


@cache
def _register() -> None:
    import fsspec
    from fsspec.spec import AbstractFileSystem

    class ListingFileSystem(AbstractFileSystem):  # type: ignore[misc]
        """What `datasets` asks for: which files match, and whether they are files."""

        protocol = PROTOCOL
        cachable = False

        def glob(self, path: str, maxdepth: int | None = None, **_: Any) -> _Found:
            del maxdepth
            name, _slash, pattern = self._strip_protocol(path).partition("/")
            with _lock:
                listing = _listings[name]
            found = {
                f"{name}/{file}": {"name": f"{name}/{file}", "type": "file", "size": 0}
                for file in listing.matching(pattern)
            }
            return _Found(found, listing.check)

        def _open(self, path: str, *_: Any, **__: Any) -> Any:
            raise OpenedError(path)

        def open(self, path: str, *_: Any, **__: Any) -> Any:
            raise OpenedError(path)

    fsspec.register_implementation(PROTOCOL, ListingFileSystem, clobber=True)


class _Found(dict[str, Any]):
    """Matches; the library takes a while for each of them."""

    def __init__(self, found: dict[str, Any], check: Callable[[], None]) -> None:
        super().__init__(found)
        self._check = check

    def items(self) -> Any:
        for number, item in enumerate(super().items()):
            if number % _CHECK_EVERY == 0:
                self._check()
            yield item
