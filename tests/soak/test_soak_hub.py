"""One download killed or cut a hundred times."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash.hub_killing import kill_and_cut
from hub_calls import noise, plan
from hub_server import HubServer

from mistudio_widgets.hub import Hub

pytestmark = pytest.mark.soak


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [11, 12])
def test_a_fetch_survives_a_hundred_kills_and_cuts(
    hub: HubServer, client: Hub, tmp_path: Path, seed: int
) -> None:
    contents = {f"train-{n}.jsonl.gz": noise((n + 1) * 12_000_000, seed=n) for n in range(8)}
    hub.add("dataset", "acme/soaked", contents)
    done = kill_and_cut(hub, plan(client, "acme/soaked"), contents, tmp_path, count=100, seed=seed)
    print(dict(done))
    assert done["outside"] >= 80
