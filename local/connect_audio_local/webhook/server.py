"""A receiver of the sink `webhook` on loopback: verifies what it gets, and misbehaves on request.

For tests, and for a look at what arrives: `python -m connect_audio_local.webhook --help`. It makes a certificate
authority of its own at each start; `ca_file` is the file that the sender must trust.
"""

from __future__ import annotations

import argparse
import os
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, override

from connect_audio_local.extra import extra_local
from connect_audio_local.stoppable_server import StoppableServer

with extra_local():
    import trustme


from connect_audio_local.webhook.model import Behaviour, Delivery, Exchange, WebhookReceiver


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
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"webhook: {output}: cannot be written: {error.strerror}", file=sys.stderr)
            return 2

    def taken(delivery: Delivery) -> None:
        print(delivery_line(delivery), flush=True)
        if output is not None:
            save_delivery(delivery, output)

    try:
        with webhook_receiver(secret, port=options.port, taken=taken) as receiver:
            print(f"listening at {receiver.url}; the sender must trust {receiver.ca_file}", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass  # Ctrl-C is its proper end.
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"webhook: cannot listen on 127.0.0.1 port {options.port}: {reason}", file=sys.stderr)
        return 2
    return 0


def save_delivery(delivery: Delivery, output: Path) -> None:
    """Write a segment into a folder; the end of a call has none."""
    if delivery.value("Event") == "segment":
        # Our own numbers and a word of three, never a name out of the request.
        track = {"customer": "customer", "agent": "agent"}.get(delivery.value("Track"), "stereo")
        (output / f"{int(delivery.value('Segment')):06}_{track}.wav").write_bytes(delivery.body)


def delivery_line(delivery: Delivery) -> str:
    """A delivery in a line for people."""
    if delivery.value("Event") == "end":
        return f"{delivery.value('Contact-Id')}: the call's live audio has ended"
    if delivery.value("Event") == "words":
        # No words: they stay out of every log.
        return f"{delivery.value('Contact-Id')}: words, {len(delivery.body)} bytes"
    return (
        f"{delivery.value('Contact-Id')}: segment {delivery.value('Segment')} ({delivery.value('Track')}), "
        f"{delivery.value('Duration')} s from {delivery.value('Start')}, {len(delivery.body)} bytes"
    )
