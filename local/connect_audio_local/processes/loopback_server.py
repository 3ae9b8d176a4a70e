"""The HTTP server below the function host and the gate: threads that are joined on close, sockets shut from outside."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override


class LoopbackServer(ThreadingHTTPServer):
    """Serves any method of any path on a free loopback port from its construction to `close`.

    Args:
        serve: takes one request.
        name: of the thread.
    """

    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, serve: Callable[[BaseHTTPRequestHandler], None], name: str) -> None:
        self._clients_lock = threading.Lock()
        self._clients: set[Any] = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def __getattr__(self, attribute: str) -> Any:
                if attribute.startswith("do_"):
                    return lambda: serve(self)
                raise AttributeError(attribute)

            @override
            def log_message(self, *_args: object) -> None:
                """Stay silent."""

        super().__init__(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name=name)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        """End idle connections and wait for the requests under way."""
        self.shutdown()
        self._thread.join()
        with self._clients_lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        self.server_close()

    @override
    def get_request(self) -> tuple[Any, Any]:
        client, address = super().get_request()
        with self._clients_lock:
            self._clients.add(client)
        return client, address

    @override
    def shutdown_request(self, request: Any) -> None:
        with self._clients_lock:
            self._clients.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let bugs be seen, and clients that are killed in the midst not."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
