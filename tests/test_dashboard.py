"""What stands between a dashboard's visitors and their kernels, frame by frame."""

from __future__ import annotations

import json
from typing import Any

import pytest
from browser.visitor import V1, v1_frame
from jupyter_client.session import Session

from mistudio_widgets.dashboard import MAX_MESSAGE_BYTES, ViewerConnection

CONTROL = {"comm_id": "c", "target_name": "jupyter.widget.control", "data": {}}
TO_PANEL = {"comm_id": "panel", "data": {"method": "custom", "content": {"kind": "ping"}}}


def _frame(kind: Any, content: Any, protocol: str | None, **other: Any) -> str | bytes:
    header = {"msg_id": "1", "msg_type": kind, **other.pop("header", {})}
    parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content, **other}
    channel = parts.pop("channel", "shell")
    if protocol is None:
        return json.dumps({"channel": channel, **parts})
    return v1_frame(channel, [json.dumps(part).encode() for part in parts.values()])


@pytest.fixture(params=[None, V1], ids=["json", "v1"])
def protocol(request: pytest.FixtureRequest) -> str | None:
    chosen: str | None = request.param
    return chosen


@pytest.fixture
def connection(protocol: str | None, monkeypatch: pytest.MonkeyPatch) -> ViewerConnection:
    monkeypatch.setattr(ViewerConnection, "subprotocol", protocol)
    monkeypatch.setattr(ViewerConnection, "kernel_id", "k")
    made = ViewerConnection()
    made.session = Session()
    return made


def _passes(connection: ViewerConnection, frame: str | bytes) -> bool:
    return connection._may_go_down(frame)


def test_what_a_page_sends_goes_down(connection: ViewerConnection, protocol: str | None) -> None:
    for kind, content in (
        ("kernel_info_request", {}),
        ("comm_info_request", {"target_name": "jupyter.widget"}),
        ("comm_open", CONTROL),
        ("comm_msg", {"comm_id": "c", "data": {"method": "request_states"}}),
        ("comm_close", {"comm_id": "c", "data": {}}),
        ("comm_msg", TO_PANEL),
    ):
        assert _passes(connection, _frame(kind, content, protocol)), kind


@pytest.mark.parametrize(
    ("kind", "content", "other"),
    [
        ("execute_request", {"code": "1"}, {}),
        ("shutdown_request", {"restart": False}, {"channel": "control"}),
        ("shutdown_request", {"restart": False}, {}),
        ("comm_msg", TO_PANEL, {"channel": "control"}),
        ("comm_msg", TO_PANEL, {"header": {"subshell_id": "x"}}),
        ("comm_msg", TO_PANEL, {"header": {"msg_id": None}}),
        ("comm_msg", TO_PANEL, {"metadata": []}),
        ("comm_msg", {"comm_id": 5}, {}),
        ("comm_msg", [], {}),
        (["comm_msg"], TO_PANEL, {}),
        ("comm_open", {"comm_id": "c", "target_name": "jupyter.widget"}, {}),
        ("comm_close", {"comm_id": "panel", "data": {}}, {}),
        ("comm_msg", {"comm_id": "panel", "data": "x" * MAX_MESSAGE_BYTES}, {}),
    ],
)
def test_all_else_is_dropped(
    connection: ViewerConnection, protocol: str | None, kind: Any, content: Any, other: Any
) -> None:
    assert not _passes(connection, _frame(kind, content, protocol, **other))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff" * 64,
        (2**60).to_bytes(8, "little") + b"\0" * 100,
        "",
        "null",
        "[" * 100_000,
        json.dumps({"channel": "shell", "content": "\ud800"}),
    ],
)
def test_frames_that_are_no_messages_are_dropped(
    connection: ViewerConnection, frame: str | bytes
) -> None:
    assert not _passes(connection, frame)


def test_a_visitor_cannot_open_without_end(
    connection: ViewerConnection, protocol: str | None
) -> None:
    opened = [
        _passes(connection, _frame("comm_open", {**CONTROL, "comm_id": str(i)}, protocol))
        for i in range(20)
    ]
    assert 1 <= sum(opened) < 20


@pytest.mark.parametrize(
    ("kind", "is_seen"),
    [("comm_msg", True), ("status", True), ("error", False), ("stream", False)],
)
def test_no_error_and_no_output_comes_up(
    connection: ViewerConnection, monkeypatch: pytest.MonkeyPatch, kind: str, is_seen: bool
) -> None:
    seen: list[object] = []
    base = ViewerConnection.__mro__[1]
    monkeypatch.setattr(base, "handle_outgoing_message", lambda _self, *told: seen.append(told))
    message = connection.session.serialize(connection.session.msg(kind, content={}))
    connection.handle_outgoing_message("iopub", message)
    assert bool(seen) == is_seen
