"""Processes killed for real, many times."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash.downloads import stop_downloads
from crash.killing import kill_imports, kill_indexes, kill_tokenizations, write_source
from hub_server import HubServer

pytestmark = pytest.mark.soak

NUM_KILLS = 20


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [11])
def test_killed_imports_are_retried_to_the_same_bytes(
    tmp_path: Path, stdlib_files: list[Path], seed: int
) -> None:
    source = write_source(tmp_path / "texts.jsonl", stdlib_files, 80_000_000)
    kills = kill_imports(source, tmp_path, count=NUM_KILLS, seed=seed)
    kills.report("imports")
    assert kills.num_by_time >= NUM_KILLS // 3
    assert kills.num_by_operation >= NUM_KILLS // 3


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [12])
def test_killed_tokenizations_are_resumed_to_the_same_bytes(
    tmp_path: Path, stdlib_files: list[Path], tokenizer_path: Path, seed: int
) -> None:
    source = write_source(tmp_path / "texts.jsonl", stdlib_files, 80_000_000)
    kills = kill_tokenizations(source, tokenizer_path, tmp_path, count=NUM_KILLS, seed=seed)
    kills.report("tokenizations")
    assert kills.num_reused > NUM_KILLS
    assert kills.num_by_time >= NUM_KILLS // 3
    assert kills.num_by_operation >= NUM_KILLS // 3


@pytest.mark.timeout(1800)
def test_cut_and_killed_downloads_go_on_to_the_same_bytes(tmp_path: Path, hub: HubServer) -> None:
    stops = stop_downloads(hub, tmp_path, count=100, seed=13, file_bytes=24_000_000)
    stops.report()
    assert stops.num_kills >= 50
    assert stops.num_cuts >= 10


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [15])
def test_killed_indexes_are_built_anew_and_never_asked(
    tmp_path: Path, stdlib_files: list[Path], seed: int
) -> None:
    source = write_source(tmp_path / "texts.jsonl", stdlib_files, 80_000_000)
    kills = kill_indexes(source, tmp_path, count=NUM_KILLS, seed=seed)
    kills.report("indexes")
    assert kills.num_by_time >= NUM_KILLS // 3
    assert kills.num_by_operation >= NUM_KILLS // 3
