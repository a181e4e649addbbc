"""Damaged catalogs, many times."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash.damage import FILE, LOG, damages

pytestmark = pytest.mark.soak

NUM_LOGS, NUM_CUTS = 50, 20


@pytest.mark.timeout(1200)
def test_damaged_catalogs_open_with_all_that_was_finished(
    tmp_path: Path, tokenizer_path: Path
) -> None:
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(f'{{"text": "text {n}", "n": {n}}}\n' for n in range(1000)))
    found = damages(tmp_path, source, tokenizer_path, seed=21)
    for _ in range(NUM_LOGS):
        found.damage_log(tmp_path)
    for _ in range(NUM_CUTS):
        found.truncate(tmp_path)
    for names in ((FILE,), (LOG,), (FILE, LOG)):
        found.delete(tmp_path, *names)
    found.report()
    assert sum(found.outcomes.values()) == NUM_LOGS + NUM_CUTS + 3
