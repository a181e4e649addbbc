"""A full-text index, built once from all texts within bounded memory."""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tantivy

from ..errors import InsufficientDiskSpaceError, StorageError
from ..progress import Progress
from .index import RECEIPT_NAME, IndexReceipt
from .sums import write_sums
from .text import terms_of_rows

if TYPE_CHECKING:
    import pyarrow as pa

DISK_SHARE: Final = 0.6
"""What an index needs on disk while it is built, of the bytes of its text, at most."""

_HEAP_BYTES: Final = 96_000_000
_QUEUE_BYTES: Final = 8_000_000
_QUEUE_DOCS: Final = 10_000
_CHECK_SPACE_BYTES: Final = 64_000_000


def build_index(
    texts: Iterable[tuple[int, pa.Array]],
    folder: Path,
    receipt: IndexReceipt,
    *,
    progress: Progress,
    check_space: Callable[[int], None],
) -> None:
    """Build an index into an empty folder.

    Parameters
    ----------
    texts : iterable of (first row, array of strings)
        All texts, in row order. Null is an empty text.
    progress : Progress
        Advanced by bytes of text.
    check_space : callable
        Called now and then with the bytes that come next; raises when they do not fit.

    Raises
    ------
    StorageError
        The files cannot be written.

    *Cancellation:* within 8 MB of text. Joining parts of the index in the background may end
    a little later, in files that are gone already.
    """
    writer = _writer(folder)
    try:
        feeder = _Feeder(writer)
        unchecked = _CHECK_SPACE_BYTES
        for first_row, array in texts:
            unchecked += array.nbytes
            if unchecked >= _CHECK_SPACE_BYTES:
                check_space(_CHECK_SPACE_BYTES)
                unchecked = 0
            _feed(feeder, first_row, array, progress)
        writer.commit()
        progress.check()
    except BaseException as error:
        # dropped as it is, it would hold Python's lock until its queue is empty
        with suppress(ValueError):
            writer.rollback()
        if isinstance(error, ValueError):
            raise _unwritable(error, folder) from error
        raise
    _join(writer, folder, progress)
    write_sums(folder)
    _let_others_read(folder)
    (folder / RECEIPT_NAME).write_text(receipt.model_dump_json(indent=1))


class _Feeder:
    """Hands rows to the writer's thread, and waits where too much would pile up.

    The writer takes 10,000 rows before it makes the caller wait, whatever their size.
    """

    def __init__(self, writer: tantivy.IndexWriter) -> None:
        self._writer = writer
        self._queued: deque[int] = deque(maxlen=_QUEUE_DOCS)
        self._queued_bytes = 0

    def add(self, row: int, terms: str) -> None:
        document = tantivy.Document()
        document.add_text("text", terms)
        document.add_integer("row", row)
        self._writer.add_document(document)
        if len(self._queued) == _QUEUE_DOCS:
            self._queued_bytes -= self._queued[0]
        self._queued.append(len(terms))
        self._queued_bytes += len(terms)
        if self._queued_bytes >= _QUEUE_BYTES:
            self._writer.commit()
            self._queued.clear()
            self._queued_bytes = 0


def _feed(feeder: _Feeder, first_row: int, array: pa.Array, progress: Progress) -> None:
    step = 256
    for start in range(0, len(array), step):
        some = array.slice(start, step)
        for number, terms in enumerate(terms_of_rows(some)):
            feeder.add(first_row + start + number, terms)
        progress.advance(some.nbytes)


def _writer(folder: Path) -> tantivy.IndexWriter:
    schema = (
        tantivy.SchemaBuilder()
        .add_text_field("text", stored=False, tokenizer_name="whitespace", index_option="position")
        .add_integer_field("row", stored=False, indexed=False, fast=True)
        .build()
    )
    try:
        # one thread: rows stay in order, and the rest of the machine stays free
        return tantivy.Index(schema, path=str(folder)).writer(_HEAP_BYTES, 1)
    except (OSError, ValueError) as error:
        raise _unwritable(error, folder) from error


def _join(writer: tantivy.IndexWriter, folder: Path, progress: Progress) -> None:
    """Wait until the parts that are being joined are; a cancel waits for nothing."""
    done = threading.Event()
    errors: list[ValueError] = []

    def wait() -> None:
        try:
            writer.wait_merging_threads()
        except ValueError as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=wait, name="mistudio-index-join", daemon=True).start()
    while not done.wait(0.05):
        progress.check()
    if errors:
        raise _unwritable(errors[0], folder) from errors[0]


def _let_others_read(folder: Path) -> None:
    """Give all files the folder's permissions; tantivy keeps some for their owner alone."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            path.chmod(folder.stat().st_mode & 0o666)


def _has_no_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _CHECK_SPACE_BYTES
    except OSError:
        return False


def _unwritable(error: Exception, folder: Path) -> StorageError:
    # tantivy's own words hold absolute paths, and do not always say what its thread met
    words = str(error)
    is_full = "No space left" in words or "StorageFull" in words
    if is_full or ("was killed" in words and _has_no_room(folder)):
        return InsufficientDiskSpaceError(
            "The text index could not be written: the disk is full.",
            required_bytes=0,
            available_bytes=0,
            hint="Delete datasets that are no longer needed, then build the index again.",
        )
    return StorageError(
        "The text index could not be written: its folder is gone or cannot be written to.",
        hint="Check the data folder's permissions and disk, then build the index again.",
    )
