"""What a disk may do to a part."""

from __future__ import annotations

import errno
import os
import threading

import pytest
from hub_calls import fetch, noise, our_threads, plan

from mistudio_widgets.errors import HubAuthError, StorageError
from mistudio_widgets.hub import HubFile
from mistudio_widgets.hub._lane import Lane
from mistudio_widgets.hub._part import UNSAFE_BYTES, Part

NAME = "train.jsonl.gz"
CONTENT = noise(9_000_000)


@pytest.fixture
def found(hub, client):
    hub.add("dataset", "acme/part", {NAME: CONTENT})
    return plan(client, "acme/part")


def test_a_disk_that_takes_little_at_a_time_gets_everything(client, found, tmp_path, monkeypatch):
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, chunks: real(fd, [chunks[0][:1000]]))
    (file,) = fetch(client, found, tmp_path)["train"]
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_disk_that_cannot_keep_its_promise_is_a_storage_error(
    client, found, tmp_path, monkeypatch, call
):
    def failing(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(StorageError, match=r"train\.jsonl\.gz.*Input/output error"):
        fetch(client, found, tmp_path)
    assert our_threads() == []
    assert not list(tmp_path.glob("*[0-9a-f]"))


def test_no_more_than_what_is_dropped_is_ever_at_risk(found, tmp_path, monkeypatch):
    """The disk may be far behind: the bytes that it has not promised stay below 4 MiB."""
    (file,) = found.files
    durable = [0]
    monkeypatch.setattr(os, "fdatasync", lambda fd: durable.append(os.fstat(fd).st_size))
    with Part(tmp_path, file) as part:
        part.read_back(lambda _: None)
        for start in range(0, len(CONTENT), 65_536):
            part.append([CONTENT[start : start + 65_536]])
            assert part.size - durable[-1] <= UNSAFE_BYTES
        assert part.is_right()
    assert len(durable) >= len(CONTENT) // UNSAFE_BYTES


def test_a_system_without_boot_ids_trusts_no_tail(client, hub, found, tmp_path, monkeypatch):
    monkeypatch.setattr("mistudio_widgets.hub._part._BOOT_ID", tmp_path / "no such file")
    hub.add_fault(NAME, drop_after=6_000_000)
    hub.add_fault(NAME, origin="hub", skip=1, status=403)
    partial = tmp_path / "partial"
    with pytest.raises(HubAuthError):
        fetch(client, found, partial)
    hub.reset()
    (file,) = fetch(client, found, partial)["train"]
    assert file.read_bytes() == CONTENT
    assert [r.start for r in hub.requests if r.origin == "cdn"] == [6_000_000 - UNSAFE_BYTES]


def test_an_empty_part_of_a_small_file_uses_no_thread(tmp_path):
    file = HubFile("a.txt", "train", 4, None, "0" * 40, "text")
    with Part(tmp_path, file) as part:
        part.read_back(lambda _: None)
        assert our_threads() == []
    part.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_lane_keeps_the_order_and_stops_at_the_first_failure():
    done: list[int] = []
    gate = threading.Event()

    def fail() -> None:
        gate.wait(10)
        raise ValueError("third")

    lane = Lane("hub-test", depth=4)
    for number in (1, 2):
        lane.put(done.append, number)
    lane.put(fail)
    lane.put(done.append, 4)
    gate.set()
    with pytest.raises(ValueError, match="third"):
        lane.drain()
    with pytest.raises(ValueError, match="third"):
        lane.put(done.append, 5)
    lane.close()
    assert done == [1, 2]
    assert our_threads() == []
