"""Processes killed for real, a few times; `make soak` does it many times."""

from __future__ import annotations

from pathlib import Path

from crash.downloads import stop_downloads
from crash.killing import kill_imports, kill_indexes, kill_tokenizations, write_source
from hub_server import HubServer


def test_a_killed_import_is_retried_to_the_same_bytes(
    tmp_path: Path, stdlib_files: list[Path]
) -> None:
    source = write_source(tmp_path / "texts.jsonl", stdlib_files, 20_000_000)
    kills = kill_imports(source, tmp_path, count=2, seed=1)
    kills.report("imports")
    assert kills.total >= 2


def test_a_killed_tokenization_is_resumed_to_the_same_bytes(
    tmp_path: Path, stdlib_files: list[Path], tokenizer_path: Path
) -> None:
    source = write_source(tmp_path / "texts.jsonl", stdlib_files, 24_000_000)
    kills = kill_tokenizations(source, tokenizer_path, tmp_path, count=2, seed=2)
    kills.report("tokenizations")
    assert kills.total >= 2
    assert kills.num_reused > 0


def test_a_killed_index_is_built_anew_and_never_asked(
    tmp_path: Path, stdlib_files: list[Path]
) -> None:
    source = write_source(tmp_path / "texts.jsonl", stdlib_files, 12_000_000)
    kills = kill_indexes(source, tmp_path, count=2, seed=4)
    kills.report("indexes")
    assert kills.total >= 2


def test_a_cut_and_killed_download_goes_on_to_the_same_bytes(
    tmp_path: Path, hub: HubServer
) -> None:
    stops = stop_downloads(hub, tmp_path, count=8, seed=3, file_bytes=6_000_000)
    stops.report()
    assert stops.total >= 8
