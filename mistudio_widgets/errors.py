"""Every error that the package raises on purpose.

    MiStudioError                          .code, .message, .hint
    ├─ InvalidRequestError(ValueError)     .field
    ├─ NotFoundError(LookupError)
    ├─ AlreadyExistsError                  .existing_id
    ├─ InUseError                          .by
    ├─ ReadOnlyError(PermissionError)
    ├─ StorageError(OSError)
    │   ├─ InsufficientDiskSpaceError      .required_bytes, .available_bytes
    │   └─ CorruptFileError                .path
    ├─ CatalogError
    │   ├─ CatalogBusyError
    │   ├─ CatalogDamagedError
    │   └─ CatalogVersionError
    ├─ HubError
    │   ├─ RepoNotFoundError, GatedRepoError, RevisionNotFoundError
    │   ├─ ConfigNotFoundError, SplitNotFoundError    .choices
    │   ├─ UnsupportedRepoError, HubAuthError, HubRateLimitedError
    │   └─ HubUnavailableError(ConnectionError)
    ├─ UnsupportedFormatError              .path, .line
    ├─ MalformedFileError                  .path, .line
    ├─ InterruptedJobError
    └─ TokenizationError
        └─ TokenizerNotFoundError
    JobCancelled(Exception)                a signal, outside the tree

``code`` is stable: it is stored in the catalog, travels to the panel and may be matched on.
``hint`` is one sentence that says what would work.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar, Final

_FOLDERS: Final = re.compile(r"(?<![\w/])(?:~|(?=/))/?(?:[^/\s]+/)+")


class MiStudioError(Exception):
    """The root: catch this to catch whatever the package raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidRequestError(MiStudioError, ValueError):
    """An argument cannot be used; ``field`` names it."""

    code = "invalid_request"

    def __init__(self, message: str, *, field: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class NotFoundError(MiStudioError, LookupError):
    """No dataset, tokenization or job has this id."""

    code = "not_found"


class AlreadyExistsError(MiStudioError):
    """The same thing is there already, or on its way; ``existing_id`` names it."""

    code = "already_exists"

    def __init__(self, message: str, *, existing_id: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.existing_id = existing_id


class InUseError(MiStudioError):
    """A job or a holder needs what was to be deleted; ``by`` names them."""

    code = "in_use"

    def __init__(self, message: str, *, by: tuple[str, ...], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.by = by


class ReadOnlyError(MiStudioError, PermissionError):
    """Refused: a read-only manager may look, not change."""

    code = "read_only"


class StorageError(MiStudioError, OSError):
    """The data folder could not be read or written."""

    code = "storage"


class InsufficientDiskSpaceError(StorageError):
    """The disk would keep less than its reserve, or is full."""

    code = "disk_full"

    def __init__(
        self,
        message: str,
        *,
        required_bytes: int,
        available_bytes: int,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.required_bytes = required_bytes
        self.available_bytes = available_bytes


class CorruptFileError(StorageError):
    """A file is not what its manifest, receipt or hash says; ``path`` names it."""

    code = "corrupt_file"

    def __init__(self, message: str, *, path: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class CatalogError(MiStudioError):
    """The catalog refused a change, or could not be read."""

    code = "catalog"


class CatalogBusyError(CatalogError):
    """Other processes kept the catalog locked for longer than we wait."""

    code = "catalog_busy"


class CatalogDamagedError(CatalogError):
    """The catalog's file or log makes no sense; it can be rebuilt from manifests and receipts."""

    code = "catalog_damaged"


class CatalogVersionError(CatalogError):
    """The catalog was written by a newer version of the package."""

    code = "catalog_version"


class HubError(MiStudioError):
    """The HuggingFace Hub answered with something that has no better name below."""

    code = "hub"


class RepoNotFoundError(HubError):
    """No such repository, or it is private and the token does not see it."""

    code = "repo_not_found"


class GatedRepoError(HubError):
    """The repository asks for its terms to be accepted first."""

    code = "gated"


class RevisionNotFoundError(HubError):
    """The repository has no such branch, tag or commit."""

    code = "revision_not_found"


class _NoSuchChoiceError(HubError):
    def __init__(
        self, message: str, *, choices: tuple[str, ...] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.choices = choices


class ConfigNotFoundError(_NoSuchChoiceError):
    """The repository has no such config, or several and no default; ``choices`` names them."""

    code = "config_not_found"


class SplitNotFoundError(_NoSuchChoiceError):
    """The config has no such split; ``choices`` names those that it has."""

    code = "split_not_found"


class UnsupportedRepoError(HubError):
    """The repository needs code to be run, or holds no data that can be read."""

    code = "unsupported_repo"


class HubAuthError(HubError):
    """The token is not valid."""

    code = "hub_auth"


class HubRateLimitedError(HubError):
    """The hub asked us to wait."""

    code = "hub_rate_limited"


class HubUnavailableError(HubError, ConnectionError):
    """The hub cannot be reached."""

    code = "hub_unavailable"


class _FileError(MiStudioError):
    def __init__(
        self, message: str, *, path: str, line: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.line = line


class UnsupportedFormatError(_FileError):
    """The file is of a kind that cannot be read as text or as a table."""

    code = "unsupported_format"


class MalformedFileError(_FileError):
    """The file is not what its kind promises; ``line`` (from 1) where there is one."""

    code = "malformed_file"


class InterruptedJobError(MiStudioError):
    """The process that ran the job ended before the job did."""

    code = "interrupted"


class TokenizationError(MiStudioError):
    """The dataset cannot be tokenized with these settings."""

    code = "tokenization"


class TokenizerNotFoundError(TokenizationError):
    """Nothing that can be loaded as a tokenizer is there."""

    code = "tokenizer_not_found"


class JobCancelled(Exception):  # noqa: N818 -- a signal like CancelledError, not an error
    """The job was cancelled. Raised by ``Progress.check`` and by ``Job.wait``."""


def shown_path(path: str | os.PathLike[str]) -> str:
    """Write a path as messages may show it: the home folder becomes ``~``.

    Messages reach the catalog, logs and the panel, where a user's name has no business.
    """
    text = os.fspath(path)
    home = str(Path("~").expanduser())
    if home not in ("", "/", "~") and (text == home or text.startswith(home + os.sep)):
        return "~" + text[len(home) :]
    return text


def without_folders(text: str, root: str | os.PathLike[str] | None = None) -> str:
    """Leave of absolute and home paths the file's name: strangers may read it.

    Parameters
    ----------
    text : str
    root : path, optional
        A folder that is left out even where its name has spaces.

    >>> without_folders('Failed to open "/home/me/data/train.parquet".')
    'Failed to open "train.parquet".'
    """
    if root is not None:
        for path in (os.path.realpath(root), os.fspath(root), shown_path(root)):
            text = text.replace(f"{path}{os.sep}", "")
    return _FOLDERS.sub("", text)
