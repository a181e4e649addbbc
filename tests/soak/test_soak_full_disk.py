"""A disk that runs full at any write, many times."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from crash.full_disk import NUM_ROWS, FullDisk
from hub_server import HubServer
from small_disk import small_disk

pytestmark = pytest.mark.soak

NUM_SIZES = 40


@pytest.mark.timeout(1800)
def test_a_disk_that_is_full_at_any_write_loses_nothing(
    tmp_path: Path, tokenizer_path: Path, hub: HubServer
) -> None:
    source = tmp_path / "texts.txt"
    source.write_text("".join(f"text number {n}\n" for n in range(NUM_ROWS)))
    chance = random.Random(31)
    with small_disk(tmp_path / "disk", "16m") as disk:
        full = FullDisk(disk, source, tokenizer_path, hub)
        for number in range(NUM_SIZES):
            # most of what is written is small
            full.sweep(int(10 ** chance.uniform(2, 6.9)) if number else 0)
    full.report()
    for work in ("download", "import", "tokenize", "index"):
        assert full.outcomes[f"{work}: no room"] >= 10
        assert full.outcomes[f"{work}: done"] >= 1
