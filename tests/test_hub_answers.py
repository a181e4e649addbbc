"""What a hub would never answer is said to be no hub's, whatever it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hub_calls import fails, plan
from hub_fixtures import READER_TOKEN, parquet
from hub_server import HubServer

from mistudio_widgets.errors import (
    HubError,
    HubRateLimitedError,
    InvalidRequestError,
    UnsupportedRepoError,
)
from mistudio_widgets.hub import BandwidthLimit
from mistudio_widgets.hub._faults import retry_after_s

REPO = "acme/answers"
OID = "0" * 40


@pytest.fixture
def commit(hub) -> str:
    return hub.add("dataset", REPO, {"train.txt": b"x\n"}).refs["main"]


def entry(**changed) -> dict[str, object]:
    return {"type": "file", "path": "train.txt", "oid": OID, "size": 2, **changed}


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b"",
        b"\xff\xfe",
        b"{}",
        b"null",
        b"7",
        b"[1]",
        b"[null]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        *(
            json.dumps([found]).encode()
            for found in (
                {"type": "file"},
                {"type": "file", "path": "train.txt", "oid": OID},
                {"type": "file", "path": "train.txt", "size": 2},
                entry(size=2.5),
                entry(size=-1),
                entry(size=True),
                entry(size=10**30),
                entry(size="2"),
                entry(oid="x"),
                entry(oid=None),
                entry(path=None),
                entry(path=""),
                entry(lfs=[]),
                entry(lfs={"oid": OID, "size": 2}),
                entry(lfs={"oid": "0" * 64, "size": None}),
            )
        ),
    ],
)
def test_a_tree_that_is_none_is_no_hubs(hub, client, commit, body):
    hub.add_fault(commit, status=200, body=body)
    said = fails(client, HubError, REPO)
    assert "does not answer like a HuggingFace Hub" in said
    assert "hub_endpoint" in said


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"sha": ""}',
        b'{"sha": 7}',
        b'{"sha": "../x"}',
        b"[" * 10**5,
    ],
)
def test_facts_that_are_none_are_no_hubs(hub, client, commit, body):
    hub.add_fault(REPO, status=200, body=body)
    assert "hub_endpoint" in fails(client, HubError, REPO)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["/".join(["d" * 200] * 25) + "/train.txt"], "cannot be stored safely"),
        (["train-\ud800.txt"], "train-\\ud800.txt"),
        (["train.txt", "train.txt/a.txt"], "a file and a folder of the same name"),
        (["a", "a/b/c/train.txt"], "a file and a folder of the same name"),
    ],
)
def test_names_that_no_disk_takes_are_refused(hub, client, commit, paths, said):
    body = json.dumps([entry(path=path) for path in paths]).encode()
    hub.add_fault(commit, status=200, body=body)
    text = fails(client, UnsupportedRepoError, REPO)
    assert said in text
    text.encode()


def test_a_next_page_elsewhere_is_not_asked_and_gets_no_token(hub, client):
    with HubServer() as other:
        other.tokens.add(READER_TOKEN)
        repo = hub.add("dataset", REPO, {"train.txt": b"x\n"})
        link = f'<{other.url}/api/datasets/{REPO}/tree/main?cursor=1>; rel="next"'
        hub.add_fault(repo.refs["main"], status=200, headers={"Link": link}, body=b"[]")
        assert "hub_endpoint" in fails(client, HubError, REPO, hf_token=READER_TOKEN)
        assert other.requests == []


@pytest.mark.parametrize("wait", ["999999999999999", "9" * 400, "Fri, 31 Dec 9999 23:59:59 -2300"])
def test_a_wait_without_end_is_a_year(hub, client, commit, wait):
    assert retry_after_s({"Retry-After": wait}) == 366 * 86_400
    assert retry_after_s({"RateLimit": f'"api";r=0;t={"9" * 400}'}) == 366 * 86_400
    hub.add_fault(REPO, status=429, headers={"Retry-After": wait})
    fails(client, HubRateLimitedError, REPO)


def test_a_wait_of_a_day_tells_the_date(hub, client, commit):
    hub.add_fault(REPO, status=429, headers={"Retry-After": "86400"})
    with pytest.raises(HubRateLimitedError) as caught:
        plan(client, REPO)
    assert "Try again after 20" in caught.value.hint


def split_card(name: str) -> bytes:
    told = f"configs:\n- config_name: a\n  data_files:\n  - split: {name}\n    path: x.*\n"
    return f"---\n{told}---\n".encode()


def test_a_split_whose_name_is_no_files_is_refused(hub, client):
    for name in ("x" * 300, "tägs"):
        hub.add("dataset", REPO, {"README.md": split_card(name), "x.csv": b"text\na\n"})
        assert name[:50] in fails(client, UnsupportedRepoError, REPO)
    hub.add("dataset", REPO, {"README.md": split_card("tägs"), "x.parquet": parquet(["a"])})
    assert plan(client, REPO).plan.splits == ("tägs",)


def test_two_formats_in_one_split_are_refused_unless_the_card_names_them(hub, client):
    files = {"a.csv": b"text\nx\n", "b.parquet": parquet(["y"]), "LICENSE.txt": b"MIT\n"}
    hub.add("dataset", REPO, files)
    said = fails(client, UnsupportedRepoError, REPO)
    assert "a.csv" in said
    assert "b.parquet" in said
    del files["a.csv"]
    hub.add("dataset", REPO, files)
    assert plan(client, REPO).plan.files == ("b.parquet",)


@pytest.mark.parametrize("rate", [10**400, 10**16, float("inf"), np.int64(0), np.float64(5), -1])
def test_a_bandwidth_that_is_none_is_refused(rate):
    with pytest.raises(InvalidRequestError, match="bandwidth_limit"):
        BandwidthLimit(rate)


def test_a_bandwidth_may_be_numpys():
    assert BandwidthLimit(np.int64(5)).bytes_per_s == 5
    assert list(BandwidthLimit(10**15).portions(7, lambda _: None)) == [7]
