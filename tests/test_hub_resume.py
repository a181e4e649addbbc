"""Cuts of every kind, through the real client and a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hub_calls import (
    Impatient,
    body_requests,
    fetch,
    fetched_again,
    files_below,
    noise,
    our_threads,
    plan,
    received,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from mistudio_widgets.errors import (
    CorruptFileError,
    HubAuthError,
    HubRateLimitedError,
    HubUnavailableError,
)
from mistudio_widgets.hub import Hub, _body

MB = 1_000_000
MIB = 2**20
NAME = "train.jsonl.gz"


@pytest.fixture(autouse=True, params=[1, 1 << 40], ids=["connection", "library"])
def worth_a_connection(request, monkeypatch):
    """Read bodies from the connection itself, as large files are, or through the library."""
    monkeypatch.setattr(_body, "_WORTH_A_CONNECTION_BYTES", request.param)


@pytest.fixture
def big(hub):
    """A repository with one file of 12 MB."""
    content = noise(12 * MB)
    hub.add("dataset", "acme/big", {NAME: content})
    return content


def big_plan(client):
    return plan(client, "acme/big")


def part_of(partial: Path) -> Path:
    (part,) = partial.glob("*.part")
    return part


def note_of(partial: Path) -> Path:
    (note,) = partial.glob("*.part.json")
    return note


def leave_a_part(client, hub, partial: Path, num_bytes: int) -> None:
    """Fetch ``num_bytes`` of the file of `big`, then fail."""
    hub.add_fault(NAME, drop_after=num_bytes)
    hub.add_fault(NAME, origin="hub", skip=1, status=403)
    with pytest.raises(HubAuthError):
        fetch(client, big_plan(client), partial)
    assert part_of(partial).stat().st_size == num_bytes
    hub.reset()


# --- one call


def test_a_link_that_drops_every_9_mb_finishes(client, hub, tmp_path):
    content = noise(60 * MB)
    hub.add("dataset", "acme/dropping", {NAME: content})
    hub.add_fault(NAME, drop_after=9 * MB, times=99)
    progress = Impatient()
    (file,) = fetch(client, plan(client, "acme/dropping"), tmp_path, progress=progress)["train"]
    assert file.read_bytes() == content
    assert fetched_again(hub, NAME) == [0] * 6
    assert progress.state().done == len(content)


@pytest.mark.parametrize(
    "what",
    [
        {"drop_after": 5 * MB},
        {"drop_after": 5 * MB, "reset": True},
        {"drop_after": 5 * MB, "no_length": True},
        {"status": 500, "times": 4},
        {"status": 503, "times": 2, "origin": "cdn"},
        {"status": 503, "times": 1, "headers": {"Retry-After": "7"}},
        {"status": 429, "headers": {"Retry-After": "9"}},
        {"status": 408},
        {"status": 403, "times": 3, "origin": "cdn"},
        {"no_length": True},
        {"status": 206, "headers": {"Content-Range": f"bytes 0-1/{'9' * 6000}"}},
    ],
)
def test_what_may_pass_is_tried_again(client, hub, big, tmp_path, what):
    hub.add_fault(NAME, **what)
    progress = Impatient()
    (file,) = fetch(client, big_plan(client), tmp_path, progress=progress)["train"]
    assert file.read_bytes() == big
    assert sum(fetched_again(hub, NAME)) <= 8 * MIB
    assert progress.waited_s >= int(what.get("headers", {}).get("Retry-After", 0)) - 0.01
    assert progress.state().done == len(big)


def test_silence_is_a_broken_link(hub, big, tmp_path):
    impatient = Hub(hub.url, timeout_s=0.3)
    found = big_plan(impatient)
    hub.add_fault(NAME, hang_after=2 * MB, times=2)
    (file,) = fetch(impatient, found, tmp_path)["train"]
    assert file.read_bytes() == big
    assert [r.start for r in hub.requests if r.origin == "cdn"] == [0, 2 * MB, 4 * MB]


def test_five_tries_without_a_byte_are_enough(client, hub, big, tmp_path):
    hub.add_fault(NAME, drop_after=0, times=99)
    with pytest.raises(HubUnavailableError, match="acme/big"):
        fetch(client, big_plan(client), tmp_path)
    assert len([r for r in hub.requests if r.origin == "cdn"]) == 5


def test_a_limit_of_requests_that_lasts_tells_until_when(client, hub, big, tmp_path):
    found = big_plan(client)
    hub.add_fault(NAME, status=429, headers={"Retry-After": "30"}, times=99)
    progress = Impatient()
    with pytest.raises(HubRateLimitedError, match=r"(?s)30 s.*UTC"):
        fetch(client, found, tmp_path, progress=progress)
    assert progress.waited_s >= 4 * 30 - 0.01
    hub.reset()
    hub.add_fault(NAME, status=429, headers={"Retry-After": "3600"}, times=99)
    with pytest.raises(HubRateLimitedError, match="3600 s"):
        fetch(client, found, tmp_path, progress=Impatient())
    assert len(body_requests(hub)) == 1


def test_a_signed_address_is_never_used_twice(client, hub, big, tmp_path):
    hub.signed_uses = 1
    hub.add_fault(NAME, drop_after=MB, times=3)
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big
    cdn = [r.query for r in hub.requests if r.origin == "cdn"]
    assert len(set(cdn)) == len(cdn) == 4


def test_storage_that_always_refuses_is_not_the_tokens_fault(client, hub, big, tmp_path):
    hub.signed_uses = 0
    with pytest.raises(HubUnavailableError, match="storage behind"):
        fetch(client, big_plan(client), tmp_path)


def test_a_server_that_ignores_ranges_sends_the_file_from_its_start(client, hub, big, tmp_path):
    found = big_plan(client)
    hub.add_fault(NAME, drop_after=5 * MB)
    hub.add_fault(NAME, no_range=True)
    progress = Impatient()
    (file,) = fetch(client, found, tmp_path, progress=progress)["train"]
    assert file.read_bytes() == big
    assert progress.state().done == len(big)


def test_corruption_after_a_cut_is_repaired_once(client, hub, big, tmp_path):
    hub.add_fault(NAME, drop_after=5 * MB)
    hub.add_fault(NAME, corrupt=True)
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big


@pytest.mark.parametrize(
    "what",
    [
        {"corrupt": True},
        {"content": bytes(12 * MB)},
        {"content": bytes(13 * MB), "no_length": True},
    ],
)
def test_other_bytes_than_listed_are_refused_and_leave_nothing(client, hub, big, tmp_path, what):
    hub.add_fault(NAME, times=99, **what)
    with pytest.raises(CorruptFileError) as caught:
        fetch(client, big_plan(client), tmp_path)
    assert caught.value.path == NAME
    assert files_below(tmp_path) == []
    assert len([r for r in hub.requests if r.origin == "cdn"]) == 2


@pytest.mark.parametrize(
    "what",
    [
        {"status": 200, "body": b"<html>Please log in</html>"},
        {"status": 200, "body": b""},
        {"content": b"something shorter"},
        {"content": b"<html>Please log in</html>", "no_length": True, "no_range": True},
        {"content": bytes(13 * MB)},
    ],
)
def test_an_answer_that_is_not_the_file_costs_no_byte(client, hub, big, tmp_path, what):
    leave_a_part(client, hub, tmp_path, 7 * MB)
    found = big_plan(client)
    origin = {"origin": "hub"} if "status" in what else {}
    hub.add_fault(NAME, times=99, **what, **origin)
    progress = Impatient()
    with pytest.raises(HubUnavailableError, match="acme/big") as caught:
        fetch(client, found, tmp_path, progress=progress)
    assert "network" in caught.value.hint
    assert part_of(tmp_path).stat().st_size >= 7 * MB
    assert progress.waited_s >= 4
    hub.reset()
    (file,) = fetch(client, found, tmp_path)["train"]
    assert file.read_bytes() == big
    assert next(r.start for r in hub.requests if r.origin == "cdn") >= 7 * MB


# --- several calls


def test_the_next_call_goes_on_where_the_last_one_broke(client, hub, big, tmp_path):
    leave_a_part(client, hub, tmp_path, 7 * MB)
    progress = Impatient()
    (file,) = fetch(client, big_plan(client), tmp_path, progress=progress)["train"]
    assert file.read_bytes() == big
    assert [r.start for r in hub.requests if r.origin == "cdn"] == [7 * MB]
    assert progress.state().done == len(big)


def test_what_was_on_disk_is_no_speed(client, hub, big, tmp_path):
    leave_a_part(client, hub, tmp_path, 11 * MB)

    class Watching(Impatient):
        def advance(self, units=1, *, measured=True):
            (came if measured else found).append(units)
            super().advance(units, measured=measured)

    came, found = [], []
    fetch(client, big_plan(client), tmp_path, progress=Watching())
    assert (sum(found), sum(came)) == (11 * MB, MB)


def test_a_verified_file_is_not_asked_for_again(client, hub, tmp_path):
    found = plan(client, "acme/stories", config="en")
    hub.add_fault("en/train-00002-of-00003.parquet", origin="hub", status=403)
    with pytest.raises(HubAuthError):
        fetch(client, found, tmp_path)
    done = {path.name for path in tmp_path.iterdir() if "." not in path.name}
    hub.reset()
    fetch(client, found, tmp_path)
    asked = [r.path.split("/")[2] for r in hub.requests if r.origin == "cdn"]
    assert not done & set(asked)
    assert received(tmp_path) == sorted(found.plan.files)
    hub.reset()
    fetch(client, found, tmp_path)
    assert body_requests(hub) == []


@pytest.mark.parametrize("num_bytes", [1 * MB, 10 * MB])
def test_after_a_power_cut_the_last_4_mib_are_not_trusted(client, hub, big, tmp_path, num_bytes):
    leave_a_part(client, hub, tmp_path, num_bytes)
    with part_of(tmp_path).open("r+b") as part:
        # what a journal may leave: the right length, and zeros that were never written
        part.seek(max(num_bytes - 4 * MIB, 0))
        part.write(bytes(min(num_bytes, 4 * MIB)))
    note = json.loads(note_of(tmp_path).read_text())
    note_of(tmp_path).write_text(json.dumps({**note, "boot": "another"}))
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big
    starts = [r.start for r in hub.requests if r.origin == "cdn"]
    assert starts == [max(num_bytes - 4 * MIB, 0)]


@pytest.mark.parametrize("note", [None, "", "[]", "{", '{"boot": 3}'])
def test_a_part_without_a_usable_note_may_be_of_another_boot(client, hub, big, tmp_path, note):
    leave_a_part(client, hub, tmp_path, 6 * MB)
    if note is None:
        note_of(tmp_path).unlink()
    else:
        note_of(tmp_path).write_text(note)
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big
    assert [r.start for r in hub.requests if r.origin == "cdn"] == [6 * MB - 4 * MIB]


def test_another_etag_starts_the_file_over(client, hub, big, tmp_path):
    leave_a_part(client, hub, tmp_path, 6 * MB)
    note = json.loads(note_of(tmp_path).read_text())
    note_of(tmp_path).write_text(json.dumps({**note, "etag": "of other content"}))
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big
    assert [r.start for r in hub.requests if r.origin == "cdn"] == [6 * MB, 0]


def test_a_range_behind_the_end_starts_the_file_over(client, hub, big, tmp_path):
    leave_a_part(client, hub, tmp_path, 6 * MB)
    hub.add_fault(NAME, content=bytes(1000))
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big


def test_a_part_that_is_longer_than_the_file_starts_over(client, hub, big, tmp_path):
    leave_a_part(client, hub, tmp_path, 6 * MB)
    with part_of(tmp_path).open("ab") as part:
        part.write(bytes(7 * MB))
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big
    assert [r.start for r in hub.requests if r.origin == "cdn"] == [0]


def test_a_part_that_was_whole_needs_no_request(client, hub, big, tmp_path):
    leave_a_part(client, hub, tmp_path, 6 * MB)
    part_of(tmp_path).write_bytes(big)
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big
    assert body_requests(hub) == []


def test_a_part_that_rotted_on_disk_is_fetched_anew(client, hub, big, tmp_path):
    leave_a_part(client, hub, tmp_path, 6 * MB)
    with part_of(tmp_path).open("r+b") as part:
        part.write(b"rot")
    (file,) = fetch(client, big_plan(client), tmp_path)["train"]
    assert file.read_bytes() == big
    assert [r.start for r in hub.requests if r.origin == "cdn"] == [6 * MB, 0]


def test_a_changed_commit_leaves_nothing_of_the_old_one(client, hub, big, tmp_path):
    leave_a_part(client, hub, tmp_path, 6 * MB)
    hub.repo("dataset", "acme/big").commit({NAME: noise(2 * MB, seed=1)})
    found = big_plan(client)
    (file,) = fetch(client, found, tmp_path)["train"]
    assert file.read_bytes() == noise(2 * MB, seed=1)
    assert files_below(tmp_path) == sorted([found.files[0].content_hash, f"files/{NAME}"])


def test_the_first_file_that_fails_stops_the_others_and_keeps_their_parts(client, hub, tmp_path):
    files = {f"data/train-{n}.jsonl.gz": noise(4 * MB, seed=n) for n in range(4)}
    hub.add("dataset", "acme/four", files)
    found = plan(client, "acme/four")
    for n in range(3):
        hub.add_fault(f"train-{n}.jsonl.gz", hang_after=MB)
    hub.add_fault("train-3.jsonl.gz", corrupt=True, times=2)
    with pytest.raises(CorruptFileError, match=r"train-3\.jsonl\.gz"):
        fetch(client, found, tmp_path)
    assert our_threads() == []
    assert all(path.stat().st_size <= MB for path in tmp_path.glob("*.part"))
    hub.reset()
    got = fetch(client, found, tmp_path)["train"]
    assert [path.read_bytes() for path in got] == list(files.values())


@settings(max_examples=12)
@given(data=st.data())
def test_whatever_happens_to_the_link_the_bytes_are_right(data, hub_server, tmp_path_factory):
    hub_server.reset()
    size = data.draw(st.integers(0, 3 * MB), label="size")
    content = noise(size)
    hub_server.add("dataset", "acme/any", {NAME: content})
    faults = st.fixed_dictionaries(
        {"drop_after": st.integers(0, size)},
        optional={"reset": st.booleans(), "no_range": st.booleans(), "no_length": st.booleans()},
    )
    other = st.sampled_from([{"status": 503}, {"corrupt": True}, {"status": 429}])
    broken = 0
    for fault in data.draw(st.lists(faults | other, max_size=6), label="faults"):
        # a second corruption is the end, as it should be
        broken += "corrupt" in fault
        if broken < 2:
            hub_server.add_fault(NAME, **fault)
    partial = tmp_path_factory.mktemp("any")
    client = Hub(hub_server.url)
    progress = Impatient()
    found = plan(client, "acme/any")
    for _ in range(3):
        try:
            (file,) = fetch(client, found, partial, progress=progress)["train"]
            break
        except (HubUnavailableError, HubRateLimitedError):
            # five tries in a row broke before a byte came; the next call goes on
            progress = Impatient()
    assert file.read_bytes() == content
    assert progress.state().done == size


def test_a_slow_link_is_seen_to_move(client, hub, tmp_path):
    hub.add("dataset", "acme/slow-link", {NAME: noise(MB // 2)})
    found = plan(client, "acme/slow-link")
    hub.throttle = MB // 2
    moves = []

    class Watching(Impatient):
        def advance(self, units=1, *, measured=True):
            moves.append(units)
            super().advance(units, measured=measured)

    fetch(client, found, tmp_path, progress=Watching())
    # it takes a second; a chunk of 256 KiB at a time would be seen twice
    assert len(moves) >= 6
    assert sum(moves) == MB // 2
    assert max(moves) <= 128 * 1024
