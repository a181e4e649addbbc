"""Who answers scrapes, on loopback alone."""

from __future__ import annotations

import logging
import threading
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

HOST: Final = "127.0.0.1"

_log = logging.getLogger(__name__)


class Server(ThreadingMixIn, WSGIServer):
    """Serves a registry on a port, from threads of its own, until `end`.

    Raises
    ------
    OSError
        The port cannot be opened.
    """

    daemon_threads = True
    # never shared between processes: each would see some of the scrapes
    allow_reuse_port = False

    def __init__(self, port: int, registry: CollectorRegistry) -> None:
        super().__init__((HOST, port), _Handler)
        self.set_app(make_wsgi_app(registry))
        threading.Thread(target=self.serve_forever, name="mistudio-metrics", daemon=True).start()

    def end(self) -> None:
        """Answer no more, and let go of the port."""
        self.shutdown()
        self.server_close()

    def leave_to_parent(self) -> None:
        """Let go of the port in a forked child, which has no thread that serves it."""
        self.socket.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Note that a scrape was broken off; the base would write to stderr."""
        _log.debug("a scrape from %s failed", client_address, exc_info=True)


class _Handler(WSGIRequestHandler):
    """Answers one scrape; who says nothing for a while is cut off."""

    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base's name
        """Log no scrapes."""
