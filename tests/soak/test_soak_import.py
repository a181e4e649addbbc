"""Imports far larger than memory should grow, in a process of their own."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.soak

NUM_LINES = 5_000
LINE_BYTES = 1_000_000
MEMORY_BYTES = 512 * 2**20

CHILD = """
import json, sys
from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import MiStudioError

def anonymous_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024

data_dir, small, large = sys.argv[1:]
with DatasetManager(data_dir, device="cpu") as manager:
    manager.delete_dataset(manager.import_files(small).wait().id)
    idle = peak = anonymous_bytes()
    job = manager.import_files(large)
    while not job.has_ended:
        try:
            job.wait(0.02)
        except (TimeoutError, MiStudioError):
            peak = max(peak, anonymous_bytes())
    record = manager.get_dataset(job.dataset_id)
print(json.dumps({"idle": idle, "peak": peak, **record.model_dump(mode="json")}))
"""


def _import(tmp_path: Path, path: Path) -> dict[str, Any]:
    """Import in a fresh process; return the dataset's record and the memory it took."""
    small = tmp_path / "small.jsonl"
    small.write_text('{"text": "what is imported first loads the libraries"}\n')
    found = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "data"), str(small), str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(found.stdout)
    growth = result["peak"] - result["idle"]
    print(
        f"\n{path.name}: {path.stat().st_size / 1e6:.0f} MB, RssAnon {result['idle'] / 2**20:.0f}"
        f" -> {result['peak'] / 2**20:.0f} MiB, {result['status']}: {result['error_message']}"
    )
    assert growth <= MEMORY_BYTES
    return result


def _lines(files: list[Path]) -> Iterator[str]:
    """Yield real text as lines of 1 MB, no two alike, with nothing that JSON would escape."""
    text = "".join(path.read_text("utf-8") for path in files[:400])
    text = "".join(char for char in text if char.isprintable() and char not in '"\\')
    assert len(text) > 2 * LINE_BYTES
    for number in range(NUM_LINES):
        start = number * 7919 % (len(text) - LINE_BYTES)
        yield f"{number:06d} {text[start : start + LINE_BYTES - 7]}"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("suffix", [".jsonl", ".txt"])
def test_a_5_gb_file_does_not_grow_memory(
    tmp_path: Path, stdlib_files: list[Path], suffix: str
) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / f"large{suffix}"
    with path.open("w", encoding="utf-8") as file:
        for line in _lines(stdlib_files):
            file.write('{"text": "' + line + '"}\n' if suffix == ".jsonl" else line + "\n")
    result = _import(tmp_path, path)
    assert (result["status"], result["split_info"]) == ("ready", {"train": NUM_LINES})
    parts = sorted((tmp_path / "data" / "datasets" / result["id"] / "raw").glob("*.parquet"))
    rows = itertools.chain.from_iterable(
        batch.column("text").to_pylist()
        for part in parts
        for batch in pq.ParquetFile(part, pre_buffer=False).iter_batches(16, columns=["text"])
    )
    for row, line in zip(rows, _lines(stdlib_files), strict=True):
        # not "==": pytest would spend minutes on the difference of two 1 MB lines
        is_same = row == line
        assert is_same, row[:20]
    path.unlink()
    for part in parts:
        part.unlink()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("suffix", [".jsonl", ".txt", ".csv"])
def test_10_million_empty_lines_are_a_clear_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"blank{suffix}"
    path.write_bytes(b"\n" * 10_000_000)
    result = _import(tmp_path, path)
    assert result["status"] == "error"
    assert result["error_code"] in ("malformed_file", "unsupported_format", "invalid_request")
    assert f"blank{suffix}" in result["error_message"]
    assert result["hint"]
    assert list((tmp_path / "data" / "staging").iterdir()) == []
    assert list((tmp_path / "data" / "datasets").iterdir()) == []
