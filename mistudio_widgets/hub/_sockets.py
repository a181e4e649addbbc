"""The sockets under requests, so that a cancel need not wait for an answer that never comes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

_lock: Final = threading.Lock()
# a pool hands a connection from one request to the next without telling whose it is now
_users: Final[WeakKeyDictionary[socket.socket, Sockets | None]] = WeakKeyDictionary()


def note_idle(answer: Any) -> None:
    """Remember the connection of a finished request: the next request may get it."""
    _note(answer.extensions.get("network_stream"), None)


def note_left_open(session: Any) -> None:
    """Remember the idle connections that requests of others left: the next request may get one.

    huggingface_hub itself asks for more than it is asked to, and so may its user. The HTTP library
    tells of no connection that it uses again, and has no public way to those that it keeps: where
    this one is gone, a request on such a connection ends with its own timeout, as it did before.
    """
    transports = [getattr(session, "_transport", None), *getattr(session, "_mounts", {}).values()]
    for transport in transports:
        for connection in getattr(getattr(transport, "_pool", None), "connections", ()):
            stream = getattr(getattr(connection, "_connection", None), "_network_stream", None)
            if stream is not None and connection.is_idle():
                _note(stream, None, only_new=True)


class Sockets:
    """Those of one fetch.

    *Threads:* every method may be called from any thread.
    """

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note each new connection; the HTTP library's ``trace`` extension."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            _note(info.get("return_value"), self)

    @contextmanager
    def reading(self, answer: Any) -> Iterator[None]:
        """Hold the connections of an answer as this fetch's own while its body comes."""
        for hop in (*answer.history, answer):
            _note(hop.extensions.get("network_stream"), self)
        try:
            yield
        finally:
            for hop in (*answer.history, answer):
                note_idle(hop)

    def cut(self) -> None:
        """End every request of this fetch at once: each read or write raises.

        Connections that nobody is known to use are cut too, because a request that has no
        answer yet may have been given one of them. Whoever else got it tries again.
        """
        with _lock:
            ours = [sock for sock, user in _users.items() if user in (self, None)]
        for sock in ours:
            with suppress(OSError):
                # that of an SSLSocket would take the encryption away under the reader
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _note(stream: Any, user: Sockets | None, *, only_new: bool = False) -> None:
    # a client that a user set need not have sockets at all
    sock = stream.get_extra_info("socket") if stream is not None else None
    if isinstance(sock, socket.socket):
        with _lock:
            if not only_new or sock not in _users:
                _users[sock] = user
