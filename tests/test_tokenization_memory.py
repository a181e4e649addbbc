"""Freed memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mistudio_widgets.tokenization import memory

CHILD = """
from mistudio_widgets.tokenization import memory

memory.BOUND_BYTES = {bound}
memory.note_idle()
idle = memory.anonymous_bytes()
# too small to be mapped one by one, and every hundredth stays: the holes are between them
texts = [bytes([n % 256]) * 50_000 for n in range(4000)]
kept = texts[::100]
del texts
full = memory.anonymous_bytes() - idle
for _ in range(memory._EVERY_BATCHES):
    memory.after_batch()
print(full, memory.anonymous_bytes() - idle)
"""


@pytest.mark.parametrize("bound", [50_000_000, 10**9])
def test_holes_are_closed_above_the_bound(bound: int) -> None:
    found = subprocess.run(
        [sys.executable, "-c", CHILD.format(bound=bound)],
        capture_output=True,
        text=True,
        check=True,
    )
    full, left = map(int, found.stdout.split())
    assert full > 150_000_000
    assert (left < 20_000_000) == (bound < full)


def test_anonymous_memory_is_what_the_system_says() -> None:
    before = memory.anonymous_bytes()
    block = bytearray(100_000_000)
    assert 80_000_000 < memory.anonymous_bytes() - before < 120_000_000
    del block
