"""Files that `datasets` reads, because somebody wrote down how, to Parquet."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from ..errors import MalformedFileError, MiStudioError, shown_path
from ..progress import Progress
from . import json_field
from .choice import TextChoice, choose_text_column, conversation_columns
from .results import ImportedFile, ImportResult
from .schema import SchemaChanged, check_same_columns, plain, stored, unify
from .sources import source_of
from .writer import DatasetWriter

# in memory as a whole, several times, and no cancel ends that before some seconds have passed
_MAX_WHOLE_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class Loader:
    """How `datasets` reads files.

    Attributes
    ----------
    name : str
        Its module: "csv", "json", "text" or "parquet".
    options : dict
        Of that module's config.
    features, told_features : datasets.Features or None
        The config's own, and those that the finished table is cast to.
    """

    name: str
    options: Mapping[str, Any]
    features: Any = None
    told_features: Any = None


def import_loaded(
    files: Mapping[str, Sequence[Path]],
    loader: Loader,
    into: Path,
    *,
    progress: Progress,
    check_space: Callable[[int], None],
) -> ImportResult:
    """Convert files to Parquet as ``datasets.load_dataset`` reads them.

    A type that only later rows need is widened by starting over.

    Parameters
    ----------
    files : dict
        By split, in the order in which they are read.
    into : Path
        An existing folder; gets ``{split}-00000.parquet`` and so on. After an error nothing of
        this import is left in it.

    Raises
    ------
    MalformedFileError
        Naming the file.

    *Cancellation:* looks after each table that the library reads; those have 10,000 rows of csv,
    and 10 MB of text or JSON. In an array below a ``field`` of a JSON file, after each MiB.
    """
    sizes = {path: path.stat().st_size for paths in files.values() for path in paths}
    progress.start("reading", total=sum(sizes.values()), unit="bytes", share=0.9)
    reader = _Reader(files, loader, into / "loader.tmp", progress, sizes)
    schema: pa.Schema | None = None
    while True:
        try:
            written, schema, chosen = _attempt(reader, schema, into, progress, check_space)
        except SchemaChanged as change:
            schema = change.schema
            continue
        finally:
            reader.close()
        return ImportResult(
            files=written,
            columns={column.name: str(column.type) for column in stored(schema)},
            text_column=chosen.column,
            num_source_files=len(sizes),
            source_bytes=sum(sizes.values()),
            skipped=(),
            text_reason=chosen.reason,
            conversations=conversation_columns(stored(schema)),
        )


def _attempt(
    reader: _Reader,
    schema: pa.Schema | None,
    into: Path,
    progress: Progress,
    check_space: Callable[[int], None],
) -> tuple[tuple[ImportedFile, ...], pa.Schema, TextChoice]:
    writer: DatasetWriter | None = None
    chosen: TextChoice | None = None
    first, is_done, num_rows = "", False, 0
    try:
        for split, table in reader.tables():
            own = plain(table.schema)
            if schema is None:
                schema = own
            if writer is None:
                first = reader.at
                chosen = choose_text_column(stored(schema), None, reader.no_text)
                writer = DatasetWriter(
                    into, schema, chosen.column, tuple(reader.files), check_space=check_space
                )
            check_same_columns(schema, first, own, reader.at)
            wider = unify(schema, own)
            if not wider.equals(schema):
                raise SchemaChanged(wider)
            for batch in table.combine_chunks().to_batches():
                writer.add(split, batch)
                progress.check()
            num_rows += table.num_rows
        if writer is None or schema is None or chosen is None or not num_rows:
            raise MalformedFileError(
                f"{reader.at} has no rows.", path=reader.at, hint="Choose files that have."
            )
        written = writer.close(progress)
        is_done = True
        return written, schema, chosen
    finally:
        if writer is not None and not is_done:
            writer.discard()


class _Reader:
    """What `datasets` reads, with the file that it is at."""

    def __init__(
        self,
        files: Mapping[str, Sequence[Path]],
        loader: Loader,
        cache: Path,
        progress: Progress,
        sizes: Mapping[Path, int],
    ) -> None:
        self.files = files
        self.at = shown_path(next(path for paths in files.values() for path in paths))
        self._loader = loader
        self._cache = cache
        self._progress = progress
        self._sizes = sizes
        self._counted = dict.fromkeys(sizes, 0)

    def close(self) -> None:
        """Remove what the library keeps while it reads."""
        if self._cache.exists():
            shutil.rmtree(self._cache)

    def no_text(self, columns: str) -> MalformedFileError:
        """Return the error for a table without a column of text."""
        return MalformedFileError(
            f"{self.at} has no column of text, only {columns or 'no columns at all'}.",
            path=self.at,
            hint="Choose files with a column of strings.",
        )

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield the tables of all splits; what the library raises names the file."""
        tables = self._read()
        while True:
            try:
                found = next(tables, None)
            except MiStudioError:
                raise
            except Exception as error:  # pandas, pyarrow and the library itself, whatever it is
                self._progress.check()
                lines = str(error).strip().splitlines() or [type(error).__name__]
                told = ", ".join(f"{k}={v!r}" for k, v in self._loader.options.items())
                read_as = f"{self._loader.name} ({told})" if told else self._loader.name
                raise MalformedFileError(
                    f"{self.at} cannot be read as {read_as}: {lines[0].rstrip('.')[:300]}.",
                    path=self.at,
                    hint="It is damaged, or not what is said about it.",
                ) from error
            if found is None:
                return
            self._progress.check()
            yield found

    def _read(self) -> Iterator[tuple[str, pa.Table]]:
        from datasets import StreamingDownloadManager
        from datasets.table import table_cast

        builder = self._builder()
        given = builder.info.features
        generators = builder._split_generators(StreamingDownloadManager())  # noqa: SLF001 -- what a builder is
        # json takes the types of the first rows for those of all
        builder.info.features = given
        for generator in generators:
            split = str(generator.name)
            paths = list(self.files[split])
            arguments = dict(generator.gen_kwargs)
            for name in ("files_iterables", "files"):
                if name in arguments:
                    pairs = zip(paths, arguments[name], strict=True)
                    arguments[name] = [
                        inner if isinstance(inner, str) else self._noted(path, inner)
                        for path, inner in pairs
                    ]
            if self._loader.options.get("field") is not None:
                tables = self._below_field(builder, paths, arguments)
            else:
                tables = _generated(builder, arguments)
            for table in tables:
                cast = table if given is None else table_cast(table, given.arrow_schema)
                yield split, cast

    def _below_field(
        self, builder: Any, paths: Sequence[Path], arguments: Mapping[str, Any]
    ) -> Iterator[pa.Table]:
        """Read arrays in pieces; what else is there the library reads as a whole."""
        options = self._loader.options
        column = next(iter(self._loader.features), "text") if self._loader.features else "text"
        field = json_field.Field(
            str(options["field"]),
            column,
            options.get("encoding") or "utf-8",
            options.get("encoding_errors") or "strict",
        )
        for number, path in enumerate(paths):
            self.at = shown_path(path)
            source = source_of(path, path.name, "", is_given=True)
            try:
                for batch in json_field.read_batches(source, field, self._half_counted(path)):
                    yield builder._cast_table(pa.Table.from_batches([batch]))  # noqa: SLF001
            except json_field.NoRows as error:
                _check_size(path, self._sizes[path], field.key, str(error))
                of_one = {name: files[number : number + 1] for name, files in arguments.items()}
                yield from _generated(builder, of_one)
            self._count(path, self._sizes[path])

    def _half_counted(self, path: Path) -> Callable[[int], None]:
        """Return what counts the bytes of a file that is read twice."""
        num_read = 0

        def count(num_bytes: int) -> None:
            nonlocal num_read
            num_read += num_bytes
            self._count(path, num_read // 2)

        return count

    def _count(self, path: Path, reached: int) -> None:
        """Tell how far a file is read; one that is read again waits where it was."""
        news = max(reached - self._counted[path], 0)
        self._counted[path] += news
        self._progress.advance(news)

    def _builder(self) -> Any:
        from datasets import DatasetInfo
        from datasets.data_files import DataFilesDict, DataFilesList
        from datasets.load import import_main_class
        from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

        loader = self._loader
        # not patterns: a name may hold brackets and stars
        named = {
            split: DataFilesList([str(path) for path in paths], [()] * len(paths))
            for split, paths in self.files.items()
        }
        info = None
        if loader.told_features is not None:
            info = DatasetInfo(features=loader.told_features)
        return import_main_class(_PACKAGED_DATASETS_MODULES[loader.name][0])(
            cache_dir=str(self._cache),
            data_files=DataFilesDict(named),
            info=info,
            **({"features": loader.features} if loader.features is not None else {}),
            **loader.options,
        )

    def _noted(self, path: Path, inner: Iterable[Any]) -> Iterator[Any]:
        self.at = shown_path(path)
        for file in inner:
            self.at = shown_path(path)
            yield file
        self._count(path, self._sizes[path])


def _generated(builder: Any, arguments: Mapping[str, Any]) -> Iterator[pa.Table]:
    for _key, table in builder._generate_tables(**arguments):  # noqa: SLF001 -- what a builder is
        yield table


def _check_size(path: Path, size: int, key: str, reason: str) -> None:
    if size > _MAX_WHOLE_BYTES:
        shown = shown_path(path)
        raise MalformedFileError(
            f"{shown} cannot be read row by row ({reason[:200]}), and its {size / 1e6:,.0f} MB are"
            " too much to be read as a whole.",
            path=shown,
            hint=f"Below {key!r} there should be an array of objects; or write it as JSON lines.",
        )
