"""Processes that die at a step that lasts, a few; `make soak` does it at every step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crash.nursery import Nursery
from crash.phases import PHASES
from crash.steps import Steps, prepare_folder
from hub_server import HubServer

NUM_AT_STEPS, NUM_BY_TIME = 5, 1


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.mark.parametrize("phase", PHASES)
def test_what_was_acknowledged_outlives_a_kill_at_any_step(
    phase: str, nursery: Nursery, tmp_path: Path, tokenizer_path: Path, hub: HubServer
) -> None:
    prepare_folder(tmp_path, tokenizer_path, hub)
    steps = Steps(nursery, phase, tmp_path)
    for number, when in steps.a_few(NUM_AT_STEPS):
        steps.strike(number, when)
    for _ in range(NUM_BY_TIME):
        steps.strike_by_time()
    steps.report()
    assert steps.total >= NUM_AT_STEPS
    assert {"COMMIT", "DETACH"} <= set(steps.names)
