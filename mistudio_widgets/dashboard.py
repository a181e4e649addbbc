"""What passes between a dashboard's visitors and their kernels; `voila.json` names it.

Runs in Voila's server, not in a kernel. Voila itself keeps code from being run, and passes the
rest: opening any widget, shutting the kernel down, and on the way back every traceback and
whatever is written to stderr, with the paths of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from .messages import MAX_REQUEST_BYTES

# a request in the envelope of the Jupyter protocol
MAX_MESSAGE_BYTES: Final = MAX_REQUEST_BYTES + 100_000

_DOWN: Final = frozenset(
    {"kernel_info_request", "comm_info_request", "comm_open", "comm_msg", "comm_close"}
)
_UP: Final = frozenset(
    {
        "kernel_info_reply",
        "comm_info_reply",
        "comm_open",
        "comm_msg",
        "comm_close",
        "status",
        "iopub_welcome",
    }
)
# by it a page asks for all widgets when it is loaded
_CONTROL_TARGET: Final = "jupyter.widget.control"
_MAX_OPENED: Final = 10
_V1: Final = "v1.kernel.websocket.jupyter.org"


class _Message(NamedTuple):
    type: str
    content: dict[str, Any]


class ViewerConnection(ZMQChannelsWebsocketConnection):
    """A connection over which a page can use the widgets that its notebook made, and no more.

    Down go the questions of a page that is loading and messages to widgets that exist, each of
    at most `MAX_MESSAGE_BYTES`. Up come answers, widget messages and the kernel's state. All
    else is dropped: no error and no output of the kernel reaches a visitor.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._opened: set[str] = set()
        self._has_dropped = False

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Pass on what a page may send."""
        if self._may_go_down(incoming_msg):
            super().handle_incoming_message(incoming_msg)

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Pass on what a visitor may see."""
        _, parts = self.session.feed_identities(outgoing_msg)
        # the signature, then the header
        if self.session.unpack(parts[1]).get("msg_type") in _UP:
            super().handle_outgoing_message(stream, outgoing_msg)

    def _may_go_down(self, frame: str | bytes) -> bool:
        if len(frame) > MAX_MESSAGE_BYTES:
            return self._drop("of %d bytes", len(frame))
        try:
            message = _read(frame, is_v1=self.subprotocol == _V1)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return self._drop("that cannot be read")
        return self._is_allowed(message) or self._drop("of type %.40r", message.type)

    def _drop(self, which: str, *args: object) -> bool:
        # once: a visitor must not fill the log either
        if not self._has_dropped:
            self._has_dropped = True
            self.log.warning(f"Dropped a message {which} to kernel %s.", *args, self.kernel_id)  # noqa: G004
        return False

    def _is_allowed(self, message: _Message) -> bool:
        if message.type not in _DOWN:
            return False
        if message.type in ("kernel_info_request", "comm_info_request"):
            return True
        comm_id = message.content.get("comm_id")
        if not isinstance(comm_id, str):
            return False
        if message.type == "comm_open":
            is_control = message.content.get("target_name") == _CONTROL_TARGET
            if not is_control or len(self._opened) >= _MAX_OPENED:
                return False
            self._opened.add(comm_id)
        elif message.type == "comm_close":
            # what the notebook made stays
            if comm_id not in self._opened:
                return False
            self._opened.discard(comm_id)
        return True


def _read(frame: str | bytes, *, is_v1: bool) -> _Message:
    """Take a frame apart.

    Raises
    ------
    ValueError, TypeError, LookupError, AttributeError, RecursionError
        It is no message that a page sends.
    """
    channel, parts = _v1_parts(frame) if is_v1 else _json_parts(frame)
    if channel != "shell":
        raise ValueError("pages use no other channel")
    header, _parent, _metadata, content = parts
    if not all(isinstance(part, dict) for part in parts) or header.get("subshell_id"):
        raise TypeError("not the parts of a message")
    if not isinstance(header["msg_type"], str) or not isinstance(header["msg_id"], str):
        raise TypeError("not the header of a message")
    return _Message(header["msg_type"], content)


def _v1_parts(frame: str | bytes) -> tuple[Any, Sequence[Any]]:
    if not isinstance(frame, bytes) or int.from_bytes(frame[:8], "little") * 8 >= len(frame):
        # jupyter_server would count up to this number, in the loop that serves everybody
        raise ValueError("more offsets than bytes")
    channel, pieces = deserialize_msg_from_ws_v1(frame)  # type: ignore[no-untyped-call]
    return channel, [json.loads(piece) for piece in pieces[:4]]


def _json_parts(frame: str | bytes) -> tuple[Any, Sequence[Any]]:
    if not isinstance(frame, str):
        # frames with buffers, which no page of ours sends
        raise TypeError("not text")
    whole = json.loads(frame)
    # raises for half a surrogate pair, which jupyter_server cannot pass on
    json.dumps(whole, ensure_ascii=False).encode()
    parts = ("header", "parent_header", "metadata", "content")
    return whole["channel"], [whole[part] for part in parts]
