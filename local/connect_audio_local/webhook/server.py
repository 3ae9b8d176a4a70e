"""A receiver of the sink `webhook` on loopback: verifies, keeps what it got, and misbehaves on request.

For tests, and for a look at what arrives: `python -m connect_audio_local.webhook --help`. It makes a
certificate authority of its own at each start; `ca_file` is what the sender must trust.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final, override

from connect_audio.adapters.sinks.webhook_signature import (
    IDEMPOTENCY_HEADER,
    PREFIX,
    SIGNATURE_HEADER,
    SignatureError,
    verify,
)
from connect_audio_local.extra import extra_local
from connect_audio_local.stoppable_server import StoppableServer, reset_connection

with extra_local():
    import trustme

_LARGEST_BODY: Final = 16 * 1024 * 1024

type Behaviour = Callable[[Exchange], None]
"""The handling of one request."""


@dataclass(slots=True)
class Delivery:
    """The posts under one idempotency key, with a valid signature.

    Args:
        key: the key.
        headers: headers of its first arrival, names in lower case.
        body: the WAV, or the JSON of the end.
        arrivals: how often it arrived.
    """

    key: str
    headers: Mapping[str, str]
    body: bytes
    arrivals: int = 1

    def value(self, name: str) -> str:
        """The header `Connect-Audio-<name>`; empty where there is none."""
        return self.headers.get(f"{PREFIX}{name}".lower(), "")


class Exchange:
    """One request, and the means to answer it."""

    def __init__(self, http: BaseHTTPRequestHandler, receiver: WebhookReceiver) -> None:
        self.http = http
        self.receiver = receiver

    def take(self) -> int:
        """Read the body, verify and keep it.

        Returns:
            The status that a receiver in good health answers with: 200 or 401.
        """
        length = int(self.http.headers.get("Content-Length", "0"))
        return self.receiver.keep(dict(self.http.headers.items()), self.http.rfile.read(min(length, _LARGEST_BODY)))

    def ignore(self) -> None:
        """Read the body and keep nothing."""
        self.http.rfile.read(int(self.http.headers.get("Content-Length", "0")))

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Answer whole."""
        self.http.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.http.send_header(name, value)
        self.http.end_headers()
        self.http.wfile.write(body)

    def write(self, data: bytes) -> None:
        """Send bytes as they are; the connection cannot be used afterwards."""
        self.http.close_connection = True
        self.http.wfile.write(data)

    def hang(self) -> None:
        """Wait until the receiver is released or closed, and hang up."""
        self.http.close_connection = True
        self.receiver.released.wait()


def accept(exchange: Exchange) -> None:
    """Keep the request and answer as a healthy receiver does."""
    exchange.answer(exchange.take())


def answer(status: int, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Keep nothing and answer with a status."""

    def behave(exchange: Exchange) -> None:
        exchange.ignore()
        exchange.answer(status, b"no", headers)

    return behave


def redirect(url: str, status: int = 307) -> Behaviour:
    """Send the sender elsewhere."""
    return answer(status, {"Location": url})


def take_and_answer(status: int) -> Behaviour:
    """Keep it, but answer with the status of a failure."""

    def behave(exchange: Exchange) -> None:
        exchange.take()
        exchange.answer(status)

    return behave


def slow(seconds: float) -> Behaviour:
    """Answer only after a while, unless the receiver is released before."""

    def behave(exchange: Exchange) -> None:
        status = exchange.take()
        exchange.receiver.released.wait(seconds)
        exchange.answer(status)

    return behave


def hang_before_reading(exchange: Exchange) -> None:
    """Neither read the body nor answer."""
    exchange.hang()


def hang_after_reading(exchange: Exchange) -> None:
    """Keep it and never answer."""
    exchange.take()
    exchange.hang()


def drip_head(exchange: Exchange) -> None:
    """Answer with a head that never ends, a byte every 20 ms."""
    exchange.ignore()
    exchange.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while not exchange.receiver.released.wait(0.02):
        exchange.write(b"a")


def drip_body(exchange: Exchange) -> None:
    """Keep it, say so, and let a body drip that never ends."""
    exchange.take()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not exchange.receiver.released.wait(0.02):
        exchange.write(b"a")


def reset_before_reading(exchange: Exchange) -> None:
    """Break the connection (RST) where the body begins."""
    reset_connection(exchange.http)


def reset_instead_of_answering(exchange: Exchange) -> None:
    """Keep it, and break the connection (RST) where the answer should begin."""
    exchange.take()
    reset_connection(exchange.http)


def reset_in_the_answer(exchange: Exchange) -> None:
    """Keep it, and break the connection (RST) in the middle of the status line."""
    exchange.take()
    exchange.write(b"HTTP/1.1 20")
    reset_connection(exchange.http)


def hang_up_in_the_head(exchange: Exchange) -> None:
    """Keep it, say 200, and close the connection in the midst of the answer's head."""
    exchange.take()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Le")


def hang_up_after_answering(exchange: Exchange) -> None:
    """Keep it, answer, and close the connection without having said so."""
    accept(exchange)
    exchange.http.close_connection = True


def announce_close(exchange: Exchange) -> None:
    """Keep it, and answer with `Connection: close`."""
    exchange.answer(exchange.take(), headers={"Connection": "close"})


def answer_hugely(exchange: Exchange) -> None:
    """Keep it, and answer with a body of 64 MiB."""
    status = exchange.take()
    exchange.write(f"HTTP/1.1 {status} OK\r\nContent-Length: {64 * 1024 * 1024}\r\n\r\n".encode())
    for _ in range(64):
        exchange.write(bytes(1024 * 1024))


def answer_with_a_huge_head(exchange: Exchange) -> None:
    """Keep it, and answer with a head of some MiB."""
    status = exchange.take()
    exchange.write(f"HTTP/1.1 {status} OK\r\n".encode())
    for number in range(100):
        exchange.write(f"X-{number}: ".encode() + b"a" * 60_000 + b"\r\n")
    exchange.write(b"\r\n")


def answer_with_garbage(exchange: Exchange) -> None:
    """Answer with what is no HTTP."""
    exchange.ignore()
    exchange.write(b"\x00\xff no HTTP at all\r\n\r\n")


@dataclass(slots=True)
class WebhookReceiver:
    """A running receiver, made by `webhook_receiver`.

    Args:
        secrets: secrets that a signature may be made with.
        behaviours: handling of the next requests; `accept` handles all later ones.
        ca_file: certificates that the sender must trust.
        now: the time for signatures, seconds since the epoch.
        taken: called with each delivery that is new.
        url: address to post to.
        released: set it, and all that hangs or drips comes to its end.
    """

    secrets: Sequence[bytes]
    behaviours: Iterator[Behaviour]
    ca_file: Path
    now: Callable[[], float]
    taken: Callable[[Delivery], None]
    url: str = ""
    released: threading.Event = field(default_factory=threading.Event)
    _deliveries: dict[str, Delivery] = field(default_factory=dict)
    _refused: list[str] = field(default_factory=list)
    _requests: int = 0
    _connections: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def received(self) -> Sequence[Delivery]:
        """The kept deliveries, in the order of first arrivals."""
        with self._changed:
            return tuple(self._deliveries.values())

    @property
    def refused(self) -> Sequence[str]:
        """Why requests were not believed, in their order."""
        with self._changed:
            return tuple(self._refused)

    @property
    def requests(self) -> int:
        """How many came, whatever became of them."""
        with self._changed:
            return self._requests

    @property
    def connections(self) -> int:
        """How many connections got as far as a TLS session."""
        with self._changed:
            return self._connections

    def wait_for_requests(self, count: int, patience_s: float = 10.0) -> bool:
        """Wait until so many came; False where they did not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._requests >= count, patience_s)

    def keep(self, headers: Mapping[str, str], body: bytes) -> int:
        """Verify a request and keep it.

        Returns:
            200, or 401 where the signature does not hold.
        """
        try:
            verify(headers, body, self.secrets, self.now())
        except SignatureError as exc:
            with self._changed:
                self._refused.append(str(exc))
            return 401
        lower = {name.lower(): value for name, value in headers.items()}
        key = lower.get(IDEMPOTENCY_HEADER.lower(), lower[SIGNATURE_HEADER.lower()])
        with self._changed:
            known = self._deliveries.get(key)
            if known is not None:
                known.arrivals += 1
                return 200
            delivery = self._deliveries[key] = Delivery(key, lower, body)
        self.taken(delivery)
        return 200

    def connected(self) -> None:
        """Count a connection."""
        with self._changed:
            self._connections += 1

    def begun(self) -> Behaviour:
        """Count a request and return its handling."""
        with self._changed:
            self._requests += 1
            self._changed.notify_all()
            return next(self.behaviours, accept)


@contextmanager
def webhook_receiver(
    secret: bytes | Sequence[bytes],
    behaviours: Iterable[Behaviour] = (),
    *,
    certificate_for: Sequence[str] = ("127.0.0.1", "localhost"),
    port: int = 0,
    path: str = "/calls",
    now: Callable[[], float] = time.time,
    taken: Callable[[Delivery], None] = lambda _delivery: None,
) -> Iterator[WebhookReceiver]:
    """Run a receiver for the length of a `with` block; every thread and socket ends with it.

    Args:
        secret: secret of the signatures; several while one replaces another.
        behaviours: handling of the requests, one after the other; later requests are taken.
        certificate_for: names and addresses in the certificate.
        port: on 127.0.0.1; 0 for a free one.
        path: path of the URL; every path is served.
        now: the time for signatures, seconds since the epoch.
        taken: called with each delivery that is new, in the thread of its connection.

    Yields:
        The receiver.

    Raises:
        OSError: the port cannot be bound.
    """
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*certificate_for).configure_cert(context)
    with tempfile.TemporaryDirectory(prefix="connect-audio-webhook-") as folder:
        ca_file = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
        receiver = WebhookReceiver(
            secrets=[secret] if isinstance(secret, bytes) else secret,
            behaviours=iter(behaviours),
            ca_file=ca_file,
            now=now,
            taken=taken,
        )
        server = _TlsServer(("127.0.0.1", port), _handler(receiver), "webhook-receiver")
        # The handshake is the handler's, in its own thread: a client that is slow about it holds up no other.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        receiver.url = f"https://127.0.0.1:{server.server_address[1]}{path}"
        server.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.close()


class _TlsServer(StoppableServer):
    """Below it every connection is an `ssl.SSLSocket`."""

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let bugs be seen; a TLS socket that `close` has shut down raises ValueError where another raises OSError."""
        if not isinstance(sys.exception(), ValueError):
            super().handle_error(request, client_address)


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        @override
        def setup(self) -> None:
            self.request.do_handshake()
            receiver.connected()
            super().setup()

        def do_POST(self) -> None:
            receiver.begun()(Exchange(self, receiver))

        @override
        def log_message(self, *_args: object) -> None:
            """Stay silent."""

    return Handler


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a receiver until it is interrupted, and print each delivery in a line."""
    parser = argparse.ArgumentParser(
        prog="python -m connect_audio_local.webhook",
        description="Take what the sink webhook posts, on this machine alone. "
        "The signing secret is read from the variable WEBHOOK_SIGNING_SECRET.",
    )
    parser.add_argument("--port", type=int, default=8443, help="port on 127.0.0.1 (8443)")
    parser.add_argument("--output", type=Path, help="folder for the WAVs; without it they are only counted")
    options = parser.parse_args(arguments)
    secret = os.environ.get("WEBHOOK_SIGNING_SECRET", "").encode()
    if not secret:
        print("WEBHOOK_SIGNING_SECRET is not set; set it to the text that the sender signs with", file=sys.stderr)
        return 2
    output: Path | None = options.output
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)

    def taken(delivery: Delivery) -> None:
        print(_line(delivery), flush=True)
        if output is not None and delivery.value("Event") == "segment":
            # Our own numbers and a word of three, never a name out of the request.
            track = {"customer": "customer", "agent": "agent"}.get(delivery.value("Track"), "stereo")
            (output / f"{int(delivery.value('Segment')):06}_{track}.wav").write_bytes(delivery.body)

    with (
        suppress(KeyboardInterrupt),
        webhook_receiver(secret, port=options.port, taken=taken) as receiver,
    ):
        print(f"listening at {receiver.url}; the sender must trust {receiver.ca_file}", flush=True)
        threading.Event().wait()
    return 0


def _line(delivery: Delivery) -> str:
    if delivery.value("Event") == "end":
        return f"{delivery.value('Contact-Id')}: the call's live audio has ended"
    return (
        f"{delivery.value('Contact-Id')}: segment {delivery.value('Segment')} ({delivery.value('Track')}), "
        f"{delivery.value('Duration')} s from {delivery.value('Start')}, {len(delivery.body)} bytes"
    )
