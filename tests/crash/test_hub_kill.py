"""Fetches that are killed or cut, a few times; `make soak` does it many times."""

from __future__ import annotations

from pathlib import Path

from crash.hub_killing import kill_and_cut, kill_at_every_failpoint
from hub_calls import noise, plan
from hub_server import HubServer

from mistudio_widgets.hub import Hub


def test_a_fetch_that_is_killed_and_cut_again_and_again_loses_almost_nothing(
    hub: HubServer, client: Hub, tmp_path: Path
) -> None:
    contents = {f"train-{n}.jsonl.gz": noise((n + 1) * 6_000_000, seed=n) for n in range(4)}
    hub.add("dataset", "acme/killed", contents)
    done = kill_and_cut(hub, plan(client, "acme/killed"), contents, tmp_path, count=15, seed=1)
    print(dict(done))
    assert done["outside"] >= 10


def test_a_kill_before_or_after_any_step_leaves_what_can_be_gone_on_with(
    hub: HubServer, client: Hub, tmp_path: Path
) -> None:
    twin = noise(50_000, seed=1)
    contents = {
        "data/train-0.jsonl.gz": noise(4_000_000),
        "data/train-1.jsonl.gz": twin,
        "data/train-2.jsonl.gz": twin,
        "data/test.jsonl": b"[1]\n",
    }
    hub.add("dataset", "acme/stepwise", contents)
    found = plan(client, "acme/stepwise")
    done = kill_at_every_failpoint(hub, found, contents, tmp_path)
    print(dict(done))
    for step in ("fsync", "fdatasync", "replace", "link", "unlink", "mkdir"):
        assert done[f"before {step}"] >= 1
        assert done[f"after {step}"] >= 1
