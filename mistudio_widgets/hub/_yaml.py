"""The YAML of a dataset card, read so that no card can hold the process up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from ..errors import UnsupportedRepoError
from ._card import CARD, CARD_YAML, front_matter
from ._names import redacted

# 20,000 configs with their splits; an alias counts as what it stands for
_MAX_NODES: Final = 500_000
_MAX_DEPTH: Final = 100
# read at a million characters a second, without a look at the job within one word
_MAX_CHARACTERS: Final = 2_000_000
# of a number or a date; numbers to the base of 60 take quadratic time
_MAX_SCALAR: Final = 500
_CHECK_EVERY: Final = 256


_TEXT: Final = "tag:yaml.org,2002:str"


class _TooLargeError(yaml.YAMLError):  # type: ignore[misc]
    pass


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Counts what it reads, and looks whether anybody still waits for it."""

    def __init__(self, text: str, check: Callable[[], None]) -> None:
        super().__init__(text)
        self._check = check
        self._num_nodes = 0
        self._depth = 0
        # of nodes that are complete, by identity; those are kept alive by the document
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        is_alias = self.check_event(yaml.AliasEvent)
        before = self._num_nodes
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _TooLargeError("it is nested too deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode) and len(node.value) > _MAX_SCALAR:
            node.tag = _TEXT
        if is_alias:
            # an anchor that is still open: a value that holds itself
            if id(node) not in self._sizes:
                raise _TooLargeError("an alias stands for what it is part of")
            self._num_nodes += self._sizes[id(node)]
        else:
            self._num_nodes += 1
            self._sizes[id(node)] = self._num_nodes - before
        if self._num_nodes > _MAX_NODES:
            raise _TooLargeError(f"it holds more than {_MAX_NODES:,} values")
        if self._num_nodes % _CHECK_EVERY == 0 or is_alias:
            self._check()
        return node


def read_card(cards: Mapping[str, str], repo_id: str, check: Callable[[], None]) -> dict[str, Any]:
    """Return what README.md and .huggingface.yaml say, the latter above the former.

    Parameters
    ----------
    check : callable
        Called while it is read; may raise.

    Raises
    ------
    UnsupportedRepoError
        Naming the file, and the line where there is one.
    """
    text = cards.get(CARD, "")
    block = front_matter(text) or ""
    before = text[: text.find(block)].count("\n") if block else 0
    found = _read(block, CARD, repo_id, check, lines_before=before)
    return {**found, **_read(cards.get(CARD_YAML, ""), CARD_YAML, repo_id, check)}


def _read(
    text: str, name: str, repo_id: str, check: Callable[[], None], *, lines_before: int = 0
) -> dict[str, Any]:
    try:
        if len(text) > _MAX_CHARACTERS:
            raise _TooLargeError(f"it is longer than {_MAX_CHARACTERS:,} characters")
        loader = _Loader(text, check)
        try:
            found = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1 + lines_before}" if mark else ""
        raise _bad_card(repo_id, f"{name}{line}", error.problem or "it is no YAML") from error
    except yaml.reader.ReaderError as error:
        at = text.count("\n", 0, int(error.position)) + 1 + lines_before
        raise _bad_card(repo_id, f"{name}, line {at}", str(error.reason)) from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _bad_card(repo_id, name, str(error)) from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _bad_card(repo_id, name, "it is no mapping of names to values")
    return found


def _bad_card(repo_id: str, where: str, reason: str) -> UnsupportedRepoError:
    reason = redacted(reason.strip().partition("\n")[0])[:300]
    return UnsupportedRepoError(
        f"The YAML in {where} of {repo_id} cannot be read: {reason}.",
        hint="Tell the repository's owner, or download the files that you need yourself, and"
        " import them.",
    )
