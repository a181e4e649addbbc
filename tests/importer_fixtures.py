"""Imports in tests: into a folder of their own, with what must hold for each of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mistudio_widgets.errors import MiStudioError
from mistudio_widgets.importer import ImportResult, check_paths, import_files
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import ImportRequest


class Imported:
    """An import's result, with its rows."""

    def __init__(self, result: ImportResult) -> None:
        self.result = result

    def table(self, split: str = "train") -> pa.Table:
        return pa.concat_tables(
            pq.read_table(file.path) for file in self.result.files if file.split == split
        )

    def texts(self, split: str = "train") -> list[str]:
        return self.table(split)[self.result.text_column].to_pylist()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
def src(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    return folder


@pytest.fixture
def run(into: Path) -> Callable[..., Imported]:
    def run_import(paths: Any, progress: Progress | None = None, **options: Any) -> Imported:
        request = ImportRequest(paths=check_paths(paths), **options)
        result = import_files(
            request, into, progress=progress or Progress(), check_space=lambda _: None
        )
        assert sorted(path.name for path in into.iterdir()) == sorted(
            file.path.name for file in result.files
        )
        for file in result.files:
            assert pq.read_metadata(file.path).num_rows == file.num_rows
        return Imported(result)

    return run_import


@pytest.fixture
def fails(into: Path) -> Callable[..., MiStudioError]:
    """Import, expect an error with a hint, and nothing left behind."""

    def run_import(
        kind: type[MiStudioError], paths: Any, before: Callable[[], None] | None = None, **options
    ) -> Any:
        request = ImportRequest(paths=check_paths(paths), **options)
        if before:
            before()
        with pytest.raises(kind) as caught:
            import_files(request, into, progress=Progress(), check_space=lambda _: None)
        assert caught.value.hint
        assert list(into.iterdir()) == []
        return caught.value

    return run_import


def write(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


MEASURE = textwrap.dedent("""
    import pathlib, sys, threading, time
    import pyarrow.parquet
    from mistudio_widgets.importer import check_paths, import_files
    from mistudio_widgets.progress import Progress
    from mistudio_widgets.records import ImportRequest

    def anonymous():
        for line in open("/proc/self/status"):
            if line.startswith("RssAnon"):
                return int(line.split()[1])

    peak, done = 0, threading.Event()

    def watch():
        global peak
        while not done.wait(0.01):
            peak = max(peak, anonymous())

    idle = anonymous()
    watcher = threading.Thread(target=watch)
    watcher.start()
    request = ImportRequest(paths=check_paths(sys.argv[1]))
    result = import_files(
        request, pathlib.Path(sys.argv[2]), progress=Progress(), check_space=lambda n: None
    )
    done.set()
    watcher.join()
    print(sum(file.num_rows for file in result.files), (peak - idle) // 1024)
""")


def measure(path: Path, into: Path) -> tuple[int, int]:
    """Import in a process of its own; return rows and MiB of anonymous memory over idle."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path, into], check=True, capture_output=True, text=True
    )
    rows, mib = done.stdout.split()
    return int(rows), int(mib)
