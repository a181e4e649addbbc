"""What the methods that read a dataset's files have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ..errors import CatalogBusyError, CorruptFileError, NotFoundError
from ..records import DATASET_ID_PATTERN, TOKENIZATION_ID_PATTERN
from .parts import Parts

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


class _HasParts(Protocol):
    _parts: Parts


AskerT = TypeVar("AskerT", bound=_HasParts)


def question(
    method: Callable[Concatenate[AskerT, P], ResultT],
) -> Callable[Concatenate[AskerT, P], ResultT]:
    """Let the metrics know how long a question takes, under the method's name.

    Files that vanish in its middle are those of a deletion, most likely: then what was asked about
    is not found, rather than damaged.
    """

    @wraps(method)
    def ask(self: AskerT, /, *args: P.args, **options: P.kwargs) -> ResultT:
        with self._parts.journal.meter.query(method.__name__):
            try:
                return method(self, *args, **options)
            except (CorruptFileError, FileNotFoundError):
                named = (options.get("dataset_id"), options.get("tokenization_id"))
                for subject in (*args[:1], *named):
                    if isinstance(subject, str):
                        _must_be_known(self._parts, subject)
                raise

    return ask


def is_known(parts: Parts, subject: str) -> bool:
    """Whether the catalog has a dataset or tokenization, of which a file was not there."""
    try:
        _must_be_known(parts, subject)
    except NotFoundError:
        return False
    return True


def _must_be_known(parts: Parts, subject: str) -> None:
    # the catalog itself: a deletion that has moved the files, and not ended, is waited for
    with suppress(CatalogBusyError), parts.catalog.read() as reader:
        if reader is None:
            return
        if re.fullmatch(DATASET_ID_PATTERN, subject):
            reader.get_dataset(subject)
        elif re.fullmatch(TOKENIZATION_ID_PATTERN, subject):
            reader.get_tokenization(subject)
