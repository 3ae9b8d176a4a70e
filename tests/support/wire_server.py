"""A scripted HTTP server on a raw socket, for what no well-behaved server shows: trickles, stalls, cuts and resets.

Each request runs a handler with an `Exchange`, in the thread of its connection. Handlers wait on events that the test
sets, never on time. Made through the `wire_server` fixture.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Nothing in a test takes this long; it turns a hang into a failure.
PATIENCE_S = 10.0

type Handler = Callable[[Exchange], None]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came over the wire; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Exchange:
    """A request and the means to answer it, byte by byte."""

    def __init__(self, request: Request, connection: socket.socket) -> None:
        self.request = request
        self._connection = connection
        self.open = True

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def respond(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer whole; `x_amzn_errortype="…"` is the header X-Amzn-Errortype."""
        lines = [f"{name.replace('_', '-').title()}: {value}\r\n" for name, value in headers.items()]
        self.send(f"HTTP/1.1 {status} Status\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def respond_json(self, answer: Mapping[str, object]) -> None:
        self.respond(200, json.dumps(answer).encode(), content_type="application/json")

    def begin_chunked(self) -> None:
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: video/webm\r\nTransfer-Encoding: chunked\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end_chunked(self) -> None:
        self.send(b"0\r\n\r\n")

    def cut(self) -> None:
        """End the connection in good order (FIN), wherever the body is."""
        self.open = False
        self._connection.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection (RST)."""
        self.open = False
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def peer_has_closed(self) -> bool:
        """Wait until the client has closed its end."""
        self.open = False
        try:
            readable, _, _ = select.select([self._connection], [], [], PATIENCE_S)
            return bool(readable) and self._connection.recv(1) == b""
        except ConnectionResetError:
            return True


class WireServer:
    """Serves one handler on a loopback port until closed; `requests` holds what came in, in order."""

    def __init__(self, handler: Handler) -> None:
        self.requests: list[Request] = []
        self.failures: list[Exception] = []
        self._closed = False
        self._handler = handler
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    def close(self) -> None:
        """Stop, and wait for every thread. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # the other side, or the handler, was first
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a handler hangs"
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # One send is one segment, so that a trickle arrives as it was sent.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._connections.append(connection)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as incoming:
                while True:
                    head = incoming.readline().decode("latin-1").split()
                    if not head:
                        return
                    headers = {}
                    while line := incoming.readline().decode("latin-1").strip():
                        name, _, value = line.partition(":")
                        headers[name.lower()] = value.strip()
                    if headers.get("expect") == "100-continue":
                        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    body = incoming.read(int(headers.get("content-length", "0")))
                    request = Request(head[0], head[1], headers, body)
                    self.requests.append(request)
                    exchange = Exchange(request, connection)
                    self._handler(exchange)
                    if not exchange.open:
                        return
        except OSError:  # the client went away, which is what many a test wants
            return
        except Exception as exc:  # noqa: BLE001  # the fixture raises it in the test's own thread
            self.failures.append(exc)
