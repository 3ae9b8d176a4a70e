"""The HTTP server below the function host and the gate: any method of any path goes to one function."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, override

from connect_audio_local.stoppable_server import StoppableServer


def loopback_server(serve: Callable[[BaseHTTPRequestHandler], None], name: str) -> StoppableServer:
    """Start a server on a free loopback port.

    Args:
        serve: takes one request.
        name: name of the thread.
    """

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

    server = StoppableServer(("127.0.0.1", 0), Handler, name)
    server.start()
    return server


def url_of(server: StoppableServer) -> str:
    """Its address."""
    return f"http://127.0.0.1:{server.server_address[1]}"
