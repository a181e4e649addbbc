"""A plan ends when nobody waits for it any more, or when it has taken too long."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hub_calls import fails, our_threads, plan
from test_hub_cancel import running

from mistudio_widgets.errors import HubError, HubUnavailableError, JobCancelled
from mistudio_widgets.hub import Hub
from mistudio_widgets.hub._client import RepoClient
from mistudio_widgets.hub._faults import Repo
from mistudio_widgets.hub._patience import Patience, TooSlowError
from mistudio_widgets.progress import Progress

REPO = "acme/patient"
CARD = b"---\nlicense: mit\n---\n" + b"word " * 40_000


@pytest.fixture
def commit(hub) -> str:
    repo = hub.add("dataset", REPO, {"README.md": CARD, "train.txt": b"x\n"})
    return repo.refs["main"]


def check_it_ends(hub, started: threading.Event | None) -> None:
    progress = Progress()
    patient = Hub(hub.url, timeout_s=60)
    with running(plan, patient, REPO, progress=progress) as job:
        if started is None:
            with pytest.raises(TimeoutError):
                job.result(0.5)
        else:
            assert started.wait(10)
        progress.cancel()
        with pytest.raises(JobCancelled):
            job.result(2.0)
    assert our_threads() == []


@pytest.mark.parametrize("where", ["info", "tree", "card"])
@pytest.mark.parametrize("has_planned_before", [False, True])
def test_a_hub_that_does_not_answer_does_not_hold_a_cancel_up(
    hub, commit, where, has_planned_before
):
    if has_planned_before:
        # so that the request is sent on a connection that is open already
        plan(Hub(hub.url), "acme/notes")
    path = {"info": REPO, "tree": commit, "card": "README.md"}[where]
    check_it_ends(hub, hub.add_fault(path, times=9, gate=threading.Event()).struck)


def test_a_card_that_stops_does_not_hold_a_cancel_up(hub, commit):
    check_it_ends(hub, hub.add_fault("README.md", times=9, hang_after=50_000).struck)


def test_a_card_that_trickles_does_not_hold_a_cancel_up(hub, commit):
    hub.throttle = 20_000
    check_it_ends(hub, None)


def test_a_wait_between_tries_does_not_hold_a_cancel_up(hub, commit):
    check_it_ends(hub, hub.add_fault(REPO, status=503, times=99).struck)


def test_pages_without_end_do_not_hold_a_cancel_up(hub, commit):
    endless(hub, commit)
    check_it_ends(hub, None)


def endless(hub, commit) -> None:
    """Every page of the tree names another one, in a while."""

    class Numbered(dict):
        def items(self):
            time.sleep(0.02)
            url = f"{hub.url}/api/datasets/{REPO}/tree/{commit}?cursor={time.monotonic_ns()}"
            return {"Link": f'<{url}>; rel="next"'}.items()

    entry = {"type": "file", "path": "train.txt", "oid": "0" * 40, "size": 2}
    page = json.dumps([entry]).encode()
    hub.add_fault(commit, status=200, headers=Numbered(), body=page, times=10**9)


def test_pages_without_end_are_no_hubs(hub, client, commit, monkeypatch):
    monkeypatch.setattr("mistudio_widgets.hub._client._MAX_PAGES", 20)
    endless(hub, commit)
    assert "hub_endpoint" in fails(client, HubError, REPO)
    assert len([r for r in hub.requests if "/tree/" in r.path]) == 20


def test_a_page_that_names_itself_is_no_hubs(hub, client, commit):
    url = f"{hub.url}/api/datasets/{REPO}/tree/{commit}?recursive=true"
    headers = {"Link": f'<{url}>; rel="next"'}
    hub.add_fault(commit, status=200, headers=headers, body=b"[]", times=99)
    assert "hub_endpoint" in fails(client, HubError, REPO)
    assert len([r for r in hub.requests if "/tree/" in r.path]) == 1


def test_a_card_that_trickles_ends_without_a_job_too(hub, commit):
    hub.throttle = 20_000
    impatient = Hub(hub.url, timeout_s=0.4)
    started_at = time.monotonic()
    assert "Cannot reach" in fails(impatient, HubUnavailableError, REPO)
    assert time.monotonic() - started_at < 8
    assert our_threads() == []


def test_a_plan_as_a_whole_has_an_end(hub, commit):
    endless(hub, commit)
    impatient = Hub(hub.url, timeout_s=0.1)
    assert "too slowly" in fails(impatient, HubUnavailableError, REPO)


def test_an_answer_without_end_is_no_hubs(hub, client, commit, monkeypatch):
    monkeypatch.setattr("mistudio_widgets.hub._client.MAX_ANSWER_BYTES", 1000)
    hub.add_fault(commit, status=200, body=b" " * 1001)
    assert "hub_endpoint" in fails(client, HubError, REPO)


def test_a_client_on_its_own_has_an_end_too(hub, commit):
    endless(hub, commit)
    repo = Repo(hub.url, "dataset", REPO)
    with pytest.raises(HubUnavailableError, match="too slowly"):
        RepoClient(repo, False, timeout_s=0.1).tree(commit)


def test_patience_ends_by_a_cancel_before_it_ends_by_the_clock():
    progress = Progress()
    over = Patience(0.0, progress)
    with pytest.raises(TooSlowError):
        over.check()
    progress.cancel()
    with pytest.raises(JobCancelled):
        over.check()
