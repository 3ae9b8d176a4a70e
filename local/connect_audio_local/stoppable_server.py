"""The HTTP server of the emulator and of the fronts of S3 and Lambda: it can be closed while clients stay connected."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override


class StoppableServer(ThreadingHTTPServer):
    """Serves in threads from its construction to `close`, which joins every one of them.

    Args:
        address: host and port to bind.
        handler: handles the requests.
        name: name of the accepting thread.

    Raises:
        OSError: the address cannot be bound.
    """

    daemon_threads = False
    block_on_close = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], name: str) -> None:
        super().__init__(address, handler)
        self._clients_lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name=name)

    def start(self) -> None:
        """Begin to accept; apart from the construction, so that what handlers need can be set between."""
        self._thread.start()

    def close(self) -> None:
        """Shut every client's socket down, which ends all reads, writes and waits on it. May be called twice."""
        self.shutdown()
        self._thread.join()
        with self._clients_lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
        self.server_close()

    @override
    def get_request(self) -> tuple[socket.socket, Any]:
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
        """Let bugs be seen, and clients that hang up not."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def reset_connection(http: BaseHTTPRequestHandler) -> None:
    """Break a handler's connection (RST). Closed here: the server's own way shuts it down in good order first."""
    http.close_connection = True
    http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(http.connection.detach())
