"""A stranger with a websocket: what Voila's own endpoint lets anybody send to a kernel."""

from __future__ import annotations

import json
import re
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import Any

import websocket

from .servers import Server

V1 = "v1.kernel.websocket.jupyter.org"
_PANEL = "mistudio_widgets.panel.widget.DatasetsPanel"
_PATIENCE_S = 30.0
# where it stands in a message goes JSON that Python itself cannot write
DEEP = "@deep"
_DEEP_JSON = "[" * 50_000 + "]" * 50_000


@dataclass
class Told:
    """One message from the server."""

    type: str
    content: dict[str, Any]


@dataclass
class Visitor:
    """One page that was loaded, its kernel and a raw connection to it.

    Everything that ever came back is kept in ``heard``.
    """

    server: Server
    protocol: str | None = None
    heard: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        with urllib.request.urlopen(self.server.url, timeout=90) as page:
            html = page.read()
        self.heard.append(html)
        found = re.search(r'"kernelId":\s*"([0-9a-f-]{36})"', html.decode())
        assert found, html[:2000]
        self.kernel_id = found[1]
        self.connect()
        self.panel = self._find_panel()

    def connect(self) -> None:
        """Open the connection, again after the server closed it."""
        self._socket = websocket.create_connection(
            f"{self.server.url.replace('http', 'ws', 1)}api/kernels/{self.kernel_id}/channels",
            subprotocols=[self.protocol] if self.protocol else None,
            timeout=_PATIENCE_S,
        )

    def close(self) -> None:
        self._socket.close()

    def send(self, kind: str, content: Any, *, channel: Any = "shell", **header: Any) -> str:
        """Send one message of the Jupyter protocol; returns its id."""
        msg_id = uuid.uuid4().hex
        parts = [
            {
                "msg_id": msg_id, "msg_type": kind, "session": "s", "username": "u",
                "date": "2026-11-01T00:00:00Z", "version": "5.3", **header,
            },
            {},
            {"version": "1.0.0"},
            content,
        ]  # fmt: skip
        if self.protocol == V1:
            self.send_raw(v1_frame(channel, [_json(part).encode() for part in parts]))
        else:
            names = ("header", "parent_header", "metadata", "content")
            whole = {"channel": channel, "buffers": [], **dict(zip(names, parts, strict=True))}
            self.send_raw(_json(whole))
        return msg_id

    def send_raw(self, frame: str | bytes) -> None:
        """Send a frame as it is, with a new connection when the old one was closed on us."""
        for _ in range(2):
            try:
                if isinstance(frame, str):
                    self._socket.send(frame)
                else:
                    self._socket.send_binary(frame)
                break
            except (OSError, websocket.WebSocketException):
                self.connect()

    def tell_panel(self, data: Any) -> str:
        """Send widget data on the panel's comm."""
        return self.send("comm_msg", {"comm_id": self.panel, "data": data})

    def ask(self, request: Any) -> str:
        """Send the panel a request."""
        return self.tell_panel({"method": "custom", "content": request})

    def answer(self, request: dict[str, Any], patience_s: float = _PATIENCE_S) -> dict[str, Any]:
        """Ask until there is an answer: a flood may have cost the first one."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            request_id = uuid.uuid4().hex
            self.ask({**request, "request_id": request_id})
            for told in self.listen(min(until, time.monotonic() + 10)):
                said = told.content.get("data", {})
                content = said.get("content") if isinstance(said, dict) else None
                if isinstance(content, dict) and content.get("request_id") == request_id:
                    return content
        raise TimeoutError(f"no answer to {str(request)[:200]}")

    def replies(self, due: set[str]) -> int:
        """Wait for a reply to each of these requests; returns their number."""
        waiting = set(due)
        if not waiting:
            return 0
        for told in self.listen(time.monotonic() + _PATIENCE_S):
            said = told.content.get("data", {})
            content = said.get("content") if isinstance(said, dict) else None
            if isinstance(content, dict):
                waiting.discard(content.get("request_id", ""))
            if not waiting:
                return len(due)
        raise TimeoutError(f"no replies to {len(waiting)} of {len(due)} requests: {waiting}")

    def listen(self, until: float) -> Any:
        """Yield what comes until then."""
        while (left := until - time.monotonic()) > 0:
            try:
                self._socket.settimeout(left)
                raw = self._socket.recv()
            except websocket.WebSocketTimeoutException:
                return
            except (OSError, websocket.WebSocketException):
                self.connect()
                return
            if raw in ("", b""):
                self.connect()
                return
            frame = raw.encode() if isinstance(raw, str) else raw
            self.heard.append(frame)
            yield _told(frame, binary=isinstance(raw, bytes))

    def wait_for(self, kind: str, patience_s: float = _PATIENCE_S) -> Told:
        """Return the next message of this type."""
        for told in self.listen(time.monotonic() + patience_s):
            if told.type == kind:
                return told
        raise TimeoutError(kind)

    def _find_panel(self) -> str:
        """Return the panel's comm as Voila's own page does: it asks for all widgets."""
        comm_id = uuid.uuid4().hex
        opened = {"comm_id": comm_id, "target_name": "jupyter.widget.control", "data": {}}
        self.send("comm_open", opened)
        self.send("comm_msg", {"comm_id": comm_id, "data": {"method": "request_states"}})
        states = self.wait_for("comm_msg").content["data"]["states"]
        self.send("comm_close", {"comm_id": comm_id, "data": {}})
        self.widgets = states
        (panel,) = [k for k, v in states.items() if v["state"].get("_anywidget_id") == _PANEL]
        return str(panel)


def _json(value: Any) -> str:
    return json.dumps(value).replace(f'"{DEEP}"', _DEEP_JSON)


def v1_frame(channel: Any, parts: list[bytes]) -> bytes:
    pieces = [str(channel).encode(), *parts]
    offsets = [8 * (len(pieces) + 2)]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    numbers = [len(offsets), *offsets]
    return b"".join([number.to_bytes(8, "little") for number in numbers] + pieces)


def _told(frame: bytes, *, binary: bool) -> Told:
    if binary:
        count = int.from_bytes(frame[:8], "little")
        at = [int.from_bytes(frame[8 * i : 8 * i + 8], "little") for i in range(1, count + 1)]
        parts = [frame[low:high] for low, high in zip(at, at[1:], strict=False)]
        header, content = json.loads(parts[1]), json.loads(parts[4])
    else:
        whole = json.loads(frame)
        header, content = whole["header"], whole["content"]
    return Told(header["msg_type"], content)
