"""Damaged catalogs, a few; `make soak` does it many times."""

from __future__ import annotations

from pathlib import Path

from crash.damage import FILE, LOG, damages


def test_a_damaged_catalog_opens_with_all_that_was_finished(
    tmp_path: Path, tokenizer_path: Path
) -> None:
    source = tmp_path / "texts.jsonl"
    source.write_text("".join(f'{{"text": "text {n}", "n": {n}}}\n' for n in range(100)))
    found = damages(tmp_path, source, tokenizer_path, seed=1)
    for _ in range(10):
        found.damage_log(tmp_path)
    for _ in range(5):
        found.truncate(tmp_path)
    found.delete(tmp_path, FILE)
    found.delete(tmp_path, LOG)
    found.delete(tmp_path, FILE, LOG)
    found.report()
