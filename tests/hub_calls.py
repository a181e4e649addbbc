"""Short forms of the calls that the hub's tests make."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from hub_server import HubServer

from mistudio_widgets.errors import MiStudioError
from mistudio_widgets.hub import Hub, HubPlan
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import DownloadRequest


def plan(
    client: Hub,
    repo_id: str,
    *,
    hf_token=False,
    free_bytes=10**12,
    into=None,
    progress=None,
    **asked,
) -> HubPlan:
    request = DownloadRequest(repo_id=repo_id, **asked)
    return client.plan(
        request,
        hf_token=hf_token,
        free_bytes=free_bytes,
        reserve_bytes=2**31,
        into=into,
        progress=progress,
    )


class Impatient(Progress):
    """Counts the waits between tries instead of sleeping through them."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s = 0.0

    def wait(self, seconds: float) -> None:
        self.waited_s += seconds
        self.check()


def fetch(client: Hub, found: HubPlan, partial: Path, *, hf_token=False, progress=None, **options):
    """Return local paths by split."""
    progress = progress or Impatient()
    got = client.fetch(found, partial, hf_token=hf_token, progress=progress, **options)
    return {split: [file.path for file in files] for split, files in got.items()}


def received(partial: Path) -> list[str]:
    """Return what lies under its own name after a fetch."""
    return files_below(partial / "files")


def our_threads() -> list[str]:
    """Return the names of the threads of fetches that still run."""
    return [t.name for t in threading.enumerate() if t.name.startswith("hub-")]


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def body_requests(hub: HubServer) -> list[str]:
    return [r.path for r in hub.requests if "/resolve/" in r.path or r.origin == "cdn"]


def fails(client: Hub, error: type[MiStudioError], repo_id: str, **asked) -> str:
    with pytest.raises(error) as caught:
        plan(client, repo_id, **asked)
    assert type(caught.value) is error
    assert caught.value.hint
    said = str(caught.value)
    assert repo_id in said
    assert str(Path.home()) not in said
    return said


def noise(num_bytes: int, *, seed: int = 0) -> bytes:
    """Return bytes of which no two stretches are alike."""
    return random.Random(seed).randbytes(num_bytes)


def fetched_again(hub: HubServer, name: str) -> list[int]:
    """Return for each request of a file's body how many bytes it asked for that were sent before.

    An upper bound of what was lost: some of what was sent never reached the disk.
    """
    bodies = [r for r in hub.requests if r.path.endswith(name) and r.sent]
    ends = [r.start + r.sent for r in bodies]
    return [end - later.start for end, later in zip(ends, bodies[1:], strict=False)]


def connections_to(server: HubServer) -> set[int]:
    """Return this machine's open connections to the server, by the client's port."""
    port = f":{int(server.url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    ours = [row[1] for row in rows if row[2].endswith(port) and row[3] == established]
    return {int(address.rpartition(":")[2], 16) for address in ours}
