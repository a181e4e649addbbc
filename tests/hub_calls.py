"""Short forms of the calls that the hub's tests make."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import HubServer

from mistudio_widgets.errors import MiStudioError
from mistudio_widgets.hub import Hub, HubPlan
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import DownloadRequest


def plan(client: Hub, repo_id: str, *, hf_token=False, free_bytes=10**12, **asked) -> HubPlan:
    request = DownloadRequest(repo_id=repo_id, **asked)
    return client.plan(request, hf_token=hf_token, free_bytes=free_bytes, reserve_bytes=2**31)


def fetch(client: Hub, found: HubPlan, into: Path, *, hf_token=False, progress=None):
    return client.fetch(found, into, hf_token=hf_token, progress=progress or Progress())


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def body_requests(hub: HubServer) -> list[str]:
    return [r.path for r in hub.requests if "/resolve/" in r.path or r.origin == "cdn"]


def fails(client: Hub, error: type[MiStudioError], repo_id: str, **asked) -> str:
    with pytest.raises(error) as caught:
        plan(client, repo_id, **asked)
    assert type(caught.value) is error
    assert caught.value.hint
    return str(caught.value)
