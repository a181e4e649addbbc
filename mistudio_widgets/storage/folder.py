"""`Storage`: the paths of a data folder, and how what lies there is published and removed."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import platformdirs
from pydantic import ValidationError

from ..errors import (
    CorruptFileError,
    InsufficientDiskSpaceError,
    InvalidRequestError,
    StorageError,
    shown_path,
)
from ..records import (
    DATASET_ID_PATTERN,
    JOB_ID_PATTERN,
    TOKENIZATION_ID_PATTERN,
    DatasetRecord,
    Manifest,
    Receipt,
    Record,
    TokenizationRecord,
)
from .files import (
    disk_errors,
    format_bytes,
    fsync_dir,
    fsync_file,
    remove_tree,
    tree_bytes,
    write_atomic,
)

RESERVE_SHARE: Final = 0.05
RESERVE_BYTES: Final = 2 * 1024**3
LOW_DISK_SHARE: Final = 0.8
_MAX_SHOWN: Final = 200
_TRASH_PREFIX: Final = "trash_"
_ASIDE: Final = "manifest.damaged.json"
_REPLACED: Final = "replaced_"
_NO_INDEX: Final = "text_index.unwanted"
_MAX_NUMBER: Final = 2**63 - 1

RecordT = TypeVar("RecordT", bound=Record)


def default_data_dir() -> Path:
    """Return ``$MISTUDIO_DATA_DIR``, else the user's data folder for "mistudio"."""
    given = os.environ.get("MISTUDIO_DATA_DIR")
    return Path(given).expanduser() if given else Path(platformdirs.user_data_dir("mistudio"))


class Space(NamedTuple):
    """A disk, in bytes."""

    total_bytes: int
    free_bytes: int
    reserve_bytes: int


class Storage:
    """One data folder.

    Parameters
    ----------
    root : Path
        Made when it is missing, unless ``read_only``.

    Raises
    ------
    StorageError
        It is no folder, or one that cannot be written to, or read.

    *Threads:* stateless beyond its paths; every method may be called from any thread.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self.reserve_bytes: int | None = None
        self.root = root
        try:
            self.root = root.expanduser().absolute()
            _must_be_text(os.path.realpath(self.root))
            if not read_only:
                self._make_folders()
            elif self.root.exists() and not self.root.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            elif self.root.exists() and not os.access(self.root, os.R_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self.root = self.root.resolve()
        # what pathlib raises for a NUL, for an unknown user's home, and for a loop of links
        except (OSError, ValueError, RuntimeError) as error:
            raise self._unusable(error, read_only=read_only) from error

    def _make_folders(self) -> None:
        for name in ("", "datasets", "staging", "jobs", "owners"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
            if not os.access(self.root / name, os.W_OK | os.X_OK):
                is_read_only = os.statvfs(self.root / name).f_flag & os.ST_RDONLY
                reason = errno.EROFS if is_read_only else errno.EACCES
                raise OSError(reason, os.strerror(reason))

    def _unusable(self, error: Exception, *, read_only: bool) -> StorageError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".")
        if isinstance(error, FileExistsError):
            reason = f"{shown_path(error.filename)} is not a folder"
        hint = "Set data_dir or MISTUDIO_DATA_DIR to a folder that you may write to"
        if read_only:
            hint = "Set data_dir or MISTUDIO_DATA_DIR to a data folder"
        elif os.path.exists(self.root / "catalog.duckdb"):  # noqa: PTH110 -- pathlib's raises
            hint += ", or open it with read_only=True"
        return StorageError(
            f"The data folder {shown_path(self.root)[:_MAX_SHOWN]!r} cannot be used: "
            f"{reason[:_MAX_SHOWN]}.",
            hint=f"{hint}.",
        )

    @property
    def catalog_path(self) -> Path:
        """The DuckDB file."""
        return self.root / "catalog.duckdb"

    @property
    def jobs_dir(self) -> Path:
        """Where the progress of running jobs lies."""
        return self.root / "jobs"

    @property
    def owners_dir(self) -> Path:
        """Where managers that live hold their locks."""
        return self.root / "owners"

    @property
    def tokenizers_dir(self) -> Path:
        """Where it is kept which engine is right for a tokenizer; made again when it is gone."""
        return self.root / "tokenizers"

    def dataset_dir(self, dataset_id: str) -> Path:
        """Return the folder of a dataset, checked to lie inside the data folder."""
        return self._inside("datasets", dataset_id, DATASET_ID_PATTERN)

    def raw_dir(self, dataset_id: str) -> Path:
        """Return the folder with the dataset's Parquet files."""
        return self.dataset_dir(dataset_id) / "raw"

    def fetch_dir(self, dataset_id: str) -> Path:
        """Return the folder of a download that is not finished; a retry goes on with it."""
        return self.dataset_dir(dataset_id) / "partial"

    def originals_dir(self, dataset_id: str) -> Path:
        """Return the folder of a repository's own files, where they are kept."""
        return self.dataset_dir(dataset_id) / "originals"

    def tokenization_dir(self, dataset_id: str, tokenization_id: str) -> Path:
        """Return the folder of a finished tokenization."""
        _check_id(tokenization_id, TOKENIZATION_ID_PATTERN)
        return self.dataset_dir(dataset_id) / "tokenized" / tokenization_id

    def partial_dir(self, dataset_id: str, tokenization_id: str) -> Path:
        """Return the folder of an unfinished tokenization; its shards are reused."""
        done = self.tokenization_dir(dataset_id, tokenization_id)
        return done.with_name(done.name + ".partial")

    def index_dir(self, dataset_id: str) -> Path:
        """Return the folder of a dataset's full-text index."""
        return self.dataset_dir(dataset_id) / "text_index"

    def partial_index_dir(self, dataset_id: str) -> Path:
        """Return the folder of an index that is being built; the next build starts over."""
        return self.dataset_dir(dataset_id) / "text_index.partial"

    def staging_dir(self, job_id: str) -> Path:
        """Return the folder for whatever else a job has not finished."""
        return self._inside("staging", job_id, JOB_ID_PATTERN)

    def _inside(self, folder: str, name: str, pattern: str) -> Path:
        _check_id(name, pattern)
        parent = self.root / folder
        path = parent / name
        # a symlink planted under a valid name must not lead out
        if path.is_symlink() or path.resolve().parent != parent.resolve():
            raise StorageError(
                f"{shown_path(path)} leads out of the data folder.",
                hint="Remove the symbolic link.",
            )
        return path

    def space(self) -> Space:
        """Return the disk's size, what is free, and the reserve."""
        with disk_errors("measure the data folder's disk"):
            usage = shutil.disk_usage(self.root if self.root.exists() else self.root.parent)
        return Space(usage.total, usage.free, self.reserve(usage.total))

    def used_bytes(self) -> int:
        """Return what the data folder holds; costs a walk over its files."""
        return tree_bytes(self.root)

    def check_space(self, num_bytes: int) -> None:
        """Raise `InsufficientDiskSpaceError` if ``num_bytes`` more would touch the reserve."""
        space = self.space()
        if space.free_bytes - num_bytes < space.reserve_bytes:
            raise InsufficientDiskSpaceError(
                f"{format_bytes(num_bytes)} more would leave less than the reserve of "
                f"{format_bytes(space.reserve_bytes)}: {format_bytes(space.free_bytes)} are free "
                f"in {shown_path(self.root)}.",
                required_bytes=num_bytes + space.reserve_bytes,
                available_bytes=space.free_bytes,
                hint="Delete datasets that are no longer needed, or set data_dir to another disk.",
            )

    def reserve(self, total_bytes: int) -> int:
        """Return what is always kept free on a disk of this size."""
        if self.reserve_bytes is not None:
            return self.reserve_bytes
        return max(int(total_bytes * RESERVE_SHARE), RESERVE_BYTES)

    def publish_dataset(self, staged_raw: Path, manifest: Manifest) -> None:
        """Make a dataset complete: its data by one rename, then the manifest.

        Raises
        ------
        StorageError
            Nothing is visible then, and ``staged_raw`` is as it was or gone.
        """
        folder = self.dataset_dir(manifest.dataset.id)
        with disk_errors(f"publish dataset {manifest.dataset.name!r}"):
            folder.mkdir(parents=True, exist_ok=True)
            raw = folder / "raw"
            if raw.exists():
                remove_tree(raw)
            for unfinished in self.unfinished_manifests(manifest.dataset.id):
                unfinished.unlink(missing_ok=True)
            fsync_dir(staged_raw)
            staged_raw.rename(raw)
            fsync_dir(folder)
            self.write_manifest(manifest)
            (folder / _ASIDE).unlink(missing_ok=True)
            fsync_dir(folder.parent)

    def write_manifest(self, manifest: Manifest) -> None:
        """Write ``manifest.json`` atomically."""
        path = self.dataset_dir(manifest.dataset.id) / "manifest.json"
        write_atomic(path, manifest.model_dump_json(indent=1).encode())

    def unfinished_manifests(self, dataset_id: str) -> Iterator[Path]:
        """Yield the manifests whose writer died before they got their name."""
        yield from self.dataset_dir(dataset_id).glob(".manifest.json.*.tmp")

    def has_manifest(self, dataset_id: str) -> bool:
        """Whether a dataset has its manifest, whatever is in it."""
        return (self.dataset_dir(dataset_id) / "manifest.json").exists()

    def has_receipt(self, dataset_id: str, tokenization_id: str) -> bool:
        """Whether a tokenization has its receipt, whatever is in it."""
        return (self.tokenization_dir(dataset_id, tokenization_id) / "receipt.json").exists()

    def read_manifest(self, dataset_id: str) -> Manifest:
        """Read a dataset's manifest.

        Raises
        ------
        CorruptFileError
            When it is missing or not a manifest.
        """
        return _read_manifest(self.dataset_dir(dataset_id) / "manifest.json")

    def set_manifest_aside(self, dataset_id: str) -> None:
        """Make a dataset incomplete, so that nobody takes it for whole while it is repaired."""
        folder = self.dataset_dir(dataset_id)
        with disk_errors("set the manifest aside"):
            if (folder / "manifest.json").exists():
                (folder / "manifest.json").rename(folder / _ASIDE)
                fsync_dir(folder)

    def manifest_aside(self, dataset_id: str) -> Manifest | None:
        """Return what a dataset was before its repair began, if that is known."""
        try:
            return _read_manifest(self.dataset_dir(dataset_id) / _ASIDE)
        except CorruptFileError:
            return None

    def was_published(self, dataset_id: str) -> bool:
        """Whether a dataset was complete once, whatever happened to it since."""
        folder = self.dataset_dir(dataset_id)
        return any((folder / name).exists() for name in (_ASIDE, "raw", "tokenized"))

    def publish_tokenization(self, finished: Path, receipt: Receipt) -> None:
        """Make a tokenization complete: receipt into ``finished``, then one rename."""
        record = receipt.tokenization
        target = self.tokenization_dir(record.dataset_id, record.id)
        with disk_errors(f"publish tokenization {record.id}"):
            write_atomic(finished / "receipt.json", receipt.model_dump_json(indent=1).encode())
            fsync_dir(finished)
            if target.exists():
                remove_tree(target)
            finished.rename(target)
            fsync_dir(target.parent)

    def read_receipt(self, dataset_id: str, tokenization_id: str) -> Receipt:
        """Read a tokenization's receipt; raises `CorruptFileError` like `read_manifest`."""
        path = self.tokenization_dir(dataset_id, tokenization_id) / "receipt.json"
        receipt = _read_record(path, Receipt)
        _check_finished(path, receipt.tokenization)
        return receipt

    def forget_receipt(self, dataset_id: str, tokenization_id: str) -> None:
        """Make a tokenization incomplete: its files are damaged, or made of other data."""
        path = self.tokenization_dir(dataset_id, tokenization_id) / "receipt.json"
        with disk_errors("remove a receipt"):
            if path.exists():
                path.unlink()
                fsync_dir(path.parent)

    def publish_index(self, dataset_id: str) -> None:
        """Make an index that was built the dataset's, in place of an older one."""
        partial, target = self.partial_index_dir(dataset_id), self.index_dir(dataset_id)
        with disk_errors("publish the text index"):
            for path in partial.iterdir():
                fsync_file(path)
            fsync_dir(partial)
        self.trash_index(dataset_id, then=partial)
        with disk_errors("publish the text index"):
            fsync_dir(target.parent)

    def trash_index(self, dataset_id: str, *, then: Path | None = None) -> int:
        """Remove an index out of sight in one step, and put ``then`` into its place.

        One that is replaced comes back when the process dies before the new one is there.

        Returns
        -------
        int
            Bytes freed.
        """
        target = self.index_dir(dataset_id)
        if then is None:
            trash = self._trash(target)
        else:
            trash = self._trash(target, self.replaced_index(dataset_id))
            with disk_errors("publish the text index"):
                then.rename(target)
        return remove_tree(trash) if trash is not None else 0

    def trash_partial_index(self, dataset_id: str) -> int:
        """Remove what is there of an index that is not finished; returns the bytes freed."""
        trash = self._trash(self.partial_index_dir(dataset_id))
        return remove_tree(trash) if trash is not None else 0

    def wants_index(self, dataset_id: str) -> bool:
        """Whether nobody has said that a dataset shall have no index of its own accord."""
        return not (self.dataset_dir(dataset_id) / _NO_INDEX).exists()

    def set_wants_index(self, dataset_id: str, *, wanted: bool) -> None:
        """Remember that somebody removed the index, or wants it again."""
        path = self.dataset_dir(dataset_id) / _NO_INDEX
        with disk_errors("note what is wanted of the text index"):
            if wanted:
                path.unlink(missing_ok=True)
            elif path.parent.exists():
                path.touch()

    def trash_dataset(self, dataset_id: str) -> Path | None:
        """Move a dataset out of sight in one step; None when it has no folder."""
        return self._trash(self.dataset_dir(dataset_id))

    def trash_tokenization(self, dataset_id: str, tokenization_id: str) -> Path | None:
        """Move a tokenization out of sight in one step; None when it has no folder."""
        return self._trash(self.tokenization_dir(dataset_id, tokenization_id))

    def trash_leftover(self, path: Path) -> Path | None:
        """Move what nobody needs out of sight, for good; None when it is gone."""
        # not by its name: a deletion that did not end is put back by that
        return self._trash(path, "leftover")

    def _trash(self, path: Path, name: str | None = None) -> Path | None:
        if not path.exists():
            return None
        trash = self.root / "staging" / f"{_TRASH_PREFIX}{name or path.name}.{uuid.uuid4().hex}"
        with disk_errors(f"delete {path.name}"):
            path.rename(trash)
        return trash

    def restore(self, trash: Path, path: Path) -> None:
        """Undo a trash_... whose catalog change failed."""
        with disk_errors(f"restore {path.name}"):
            trash.rename(path)

    def trashed(self) -> Iterator[tuple[str, Path]]:
        """Yield the dataset and tokenization ids of deletions that did not end, with folders.

        That of a replaced index is not an id, but `replaced_index`.
        """
        for path in (self.root / "staging").glob(f"{_TRASH_PREFIX}*"):
            yield path.name.removeprefix(_TRASH_PREFIX).partition(".")[0], path

    def replaced_index(self, dataset_id: str) -> str:
        """Return what stands in `trashed` for an index in whose place another one comes."""
        return _REPLACED + dataset_id

    def staged_jobs(self) -> Iterator[tuple[str, Path]]:
        """Yield the job ids that have a staging folder."""
        for path in _listed(self.root / "staging"):
            if re.fullmatch(JOB_ID_PATTERN, path.name):
                yield path.name, path

    def dataset_ids(self) -> Iterator[str]:
        """Yield the ids of all dataset folders, complete or not."""
        for path in _listed(self.root / "datasets"):
            if re.fullmatch(DATASET_ID_PATTERN, path.name) and not path.is_symlink():
                yield path.name

    def tokenization_ids(self, dataset_id: str) -> Iterator[str]:
        """Yield the ids of the finished tokenization folders of a dataset."""
        folder = self.dataset_dir(dataset_id) / "tokenized"
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if re.fullmatch(TOKENIZATION_ID_PATTERN, path.name) and not path.is_symlink():
                    yield path.name

    def partial_tokenizations(self, dataset_id: str) -> Iterator[tuple[str, Path]]:
        """Yield the ids and folders of the unfinished tokenizations of a dataset."""
        for path in (self.dataset_dir(dataset_id) / "tokenized").glob("*.partial"):
            name = path.name.removesuffix(".partial")
            if re.fullmatch(TOKENIZATION_ID_PATTERN, name) and not path.is_symlink():
                yield name, path

    def damaged_catalogs(self) -> Iterator[Path]:
        """Yield the folders with catalogs that could not be read."""
        folder = self.root / "damaged"
        if folder.is_dir():
            yield from (path for path in sorted(folder.iterdir()) if not path.is_symlink())


def _listed(folder: Path) -> list[Path]:
    with disk_errors("look into the data folder"):
        return sorted(folder.iterdir())


def _check_id(name: str, pattern: str) -> None:
    if not isinstance(name, str) or not re.fullmatch(pattern, name):
        raise InvalidRequestError(f"{name!r} is not an id.", field="id")


def _read_manifest(path: Path) -> Manifest:
    manifest = _read_record(path, Manifest)
    _check_finished(path, manifest.dataset)
    return manifest


def _check_finished(path: Path, record: DatasetRecord | TokenizationRecord) -> None:
    """Refuse what was never written: a state other than ready, or numbers that nothing has."""
    numbers = [value for _, value in record if isinstance(value, int)]
    if record.status != "ready" or not all(0 <= number <= _MAX_NUMBER for number in numbers):
        raise _unreadable(path)


def _read_record(path: Path, model: type[RecordT]) -> RecordT:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise CorruptFileError(
            f"{path.parent.name}/{path.name} is missing.",
            path=shown_path(path),
            hint="Run verify on the dataset, then retry.",
        ) from error
    except (OSError, ValidationError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> CorruptFileError:
    return CorruptFileError(
        f"{path.parent.name}/{path.name} cannot be read.",
        path=shown_path(path),
        hint="Run verify on the dataset, then retry.",
    )


def _must_be_text(name: str) -> None:
    """Refuse a name that is bytes to the file system and nothing to DuckDB."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError("its name is not UTF-8") from error
