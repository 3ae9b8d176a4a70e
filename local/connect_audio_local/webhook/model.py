"""The state of a webhook receiver: its deliveries, and what it does with each request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

from connect_audio.adapters.sinks.webhook_signature import (
    IDEMPOTENCY_HEADER,
    PREFIX,
    SIGNATURE_HEADER,
    SignatureError,
    verify,
)
from connect_audio_local.extra import extra_local

with extra_local():
    pass


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
