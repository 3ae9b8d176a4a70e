"""One connection to an endpoint: HTTP/1.1 over TLS, kept open between requests, with a limit for every wait.

It does not use urllib3 (ADR 12). Timeouts of urllib3 count from byte to byte, so an endpoint that drips bytes could
hold a request for ever. Here one deadline bounds name, connection, handshake, request and answer together. Nothing here
follows a redirect, asks a proxy or retries by itself. Used by the sink `webhook` and the engine `whisper`.

*How it works.* `begin` sets the deadline of a delivery. `post` resolves the name in a thread of its own, connects to a
permitted address and exchanges one request. Each socket call times out at the deadline (`_Bounded`). `interrupt`
comes from another thread: it sets a flag and shuts the socket down by a second descriptor. The connection is kept for
the next delivery.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final, override

from connect_audio.adapters.endpoint.address import (
    Address,
    Endpoint,
    Resolver,
    permitted_addresses,
    resolve_by_system,
)
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import SinkError
from connect_audio.ports import Clock

LOOKUP_S: Final = 3.0
"""Limit of looking up the name, seconds. Beyond: `TIMEOUT`, and the next delivery waits for the same lookup."""
CONNECT_S: Final = 3.0
"""Limit of TCP to one address, and again of TLS, seconds. Beyond: the next address, or `TIMEOUT`."""
_LINGER_S: Final = 1.0
"""Limit of waiting at `close` for a lookup that hangs, seconds. Beyond: its thread ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one delivery.

    Args:
        delivery_s: longest time for all of it, seconds. Beyond: `TIMEOUT`.
        answer_s: longest time from the request's last byte to the end of the answer's head, seconds. Beyond: `TIMEOUT`.
        body_s: longest time for the answer's body, seconds. Beyond: the body is cut, and the connection is closed.
        answer_bytes: most bytes of an answer, head and body together. A longer head fails with `NO_HTTP`; a longer body
            is cut.
    """

    delivery_s: float
    answer_s: float
    body_s: float
    answer_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of HTTP.

    Args:
        status: its status.
        headers: its headers, names in lower case.
        body: its body; None if it did not come whole within the limits.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)


class _AnswerTooLongError(HTTPException):
    """The answer is longer than the limit."""


class _Bounded(socket.socket):
    """A socket with one deadline for all operations and one limit for all bytes read."""

    clock: Clock
    deadline: float
    allowance: int
    ended: bool

    @override
    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        if self.allowance <= 0:
            raise _AnswerTooLongError
        self.wait_no_longer()
        size = super().recv_into(buffer, nbytes, flags)
        self.allowance -= size
        self.ended = size == 0
        return size

    @override
    def send(self, data: Any, flags: int = 0) -> int:
        self.wait_no_longer()
        return super().send(data, flags)

    @override
    def sendall(self, data: Any, flags: int = 0) -> None:
        self.wait_no_longer()  # in clear text it limits the whole; TLS comes back to `send` for each piece
        super().sendall(data, flags)

    def wait_no_longer(self) -> None:
        """Let the next operation time out at the deadline."""
        self.settimeout(_left(self.deadline, self.clock))


class _BoundedTls(_Bounded, ssl.SSLSocket):  # type: ignore[misc]  # typeshed's own two sockets differ
    """The same over TLS."""


class _Response(HTTPResponse):
    """An answer that can be closed whenever Ctrl-C arrives, also before its constructor has set `fp`.

    A replay delivers in the main thread, and `HTTPResponse.close` fails without that attribute.
    """

    fp: Any = None


class EndpointConnection:
    """The connection; `interrupt` alone may be called from another thread.

    Args:
        endpoint: the address.
        limits: the limits of each delivery.
        allow_private: True if addresses that are not public are allowed.
        ca_file: certificates to trust besides the system's.
        resolve: the resolver.
        clock: for the deadlines.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        limits: Limits,
        allow_private: bool = False,
        ca_file: Path | None = None,
        resolve: Resolver = resolve_by_system,
        clock: Clock | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._allow_private = allow_private
        self._ca_file = ca_file
        self._resolve = resolve
        self._clock = clock or SystemClock()
        self._context: ssl.SSLContext | None = None
        self._deadline = 0.0
        self._doing = ""
        self._http: HTTPConnection | None = None
        self._socket: _Bounded | None = None
        self._lookup: _Lookup | None = None
        # The interrupting thread touches the following three.
        self._changed = threading.Condition()
        self._interrupted = False
        # A second descriptor of the connection. Its number stays in use until `_drop`, so an interrupt can never shut
        # down another socket that was given the same number.
        self._wire: socket.socket | None = None

    def begin(self) -> None:
        """Begin a delivery and its time limit."""
        self._doing = "beginning"
        self._deadline = self._clock.monotonic() + self._limits.delivery_s

    def prepare(self) -> None:
        """Load the certificates to trust, which takes the processor longer than a delivery.

        Raises:
            SinkError: `CA_FILE`.
        """
        if self._endpoint.tls:
            self._trust()

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST once and return the answer.

        A kept connection that proves to be closed before an answer is replaced, and the request is sent again. The
        endpoint may get it twice.

        Raises:
            SinkError: no answer came.
        """
        kept = self._http is not None
        try:
            return self._post(headers, body)
        except SinkError as exc:
            if not (kept and exc.code == "CONNECTION"):
                raise
        return self._post(headers, body)

    def interrupt(self) -> None:
        """Make the `post` under way fail soon, or the next one if none is.

        The end of an invocation may come in the moment before a delivery gets here, and counts for that delivery.
        """
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()
            if self._wire is not None:
                with suppress(OSError):  # not connected yet, or no longer
                    self._wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, and wait for a lookup that hangs, at most `_LINGER_S`."""
        self._drop()
        if self._lookup is not None:
            self._lookup.thread.join(_LINGER_S)

    def _post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            return self._exchange(headers, body)
        except BaseException as exc:
            self._drop()
            if self._was_interrupted() and isinstance(exc, Exception):
                raise self._failure("INTERRUPTED", "was interrupted") from exc
            if isinstance(exc, (OSError, HTTPException)):
                raise self._translated(exc) from exc
            raise

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> Answer:
        self._check()
        http = self._http or self._open()
        wire = self._socket
        assert wire is not None  # noqa: S101 - comes and goes with `_http`
        wire.deadline, wire.allowance, wire.ended = self._deadline, self._limits.answer_bytes, False
        self._doing = "sending the request"
        http.putrequest("POST", self._endpoint.target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": self._endpoint.authority, **headers, "Content-Length": str(len(body))}.items():
            http.putheader(name, value)
        http.endheaders(body)
        self._doing = "waiting for the answer"
        wire.deadline = self._within(self._limits.answer_s)
        answer = http.getresponse()
        if wire.ended:
            # http.client takes a head that is cut off for a whole one.
            answer.close()
            raise ConnectionAbortedError
        wire.deadline = self._within(self._limits.body_s)
        content = self._content(answer)
        if not answer.isclosed() or http.sock is None:
            answer.close()
            self._drop()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(status=answer.status, headers=headers, body=content)

    def _content(self, answer: HTTPResponse) -> bytes | None:
        """Read the body, so that the connection can be used again; None if it does not come whole."""
        content = None
        with suppress(OSError, HTTPException):
            content = answer.read(self._limits.answer_bytes)
        # A connection that ends before the announced length raises nothing.
        return content if answer.isclosed() and not answer.length else None

    def _open(self) -> HTTPConnection:
        self._doing = "resolving the name"
        addresses = self._addresses()
        failure: OSError | None = None
        for address in addresses:
            self._check()
            try:
                self._socket = self._connected(address)
            except OSError as exc:
                failure = exc
                self._drop()
                continue
            self._http = HTTPConnection(self._endpoint.host, self._endpoint.port)
            self._http.auto_open = 0
            self._http.response_class = _Response
            self._http.sock = self._socket
            return self._http
        raise failure or ConnectionError

    def _connected(self, address: Address) -> _Bounded:
        self._doing = "connecting"
        context = self._trust() if self._endpoint.tls else None
        with _Bounded(socket.AF_INET6 if address.version == 6 else socket.AF_INET) as raw:
            with self._changed:
                self._wire = raw.dup()
            self._check()
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(_left(self._within(CONNECT_S), self._clock))
            raw.connect((str(address), self._endpoint.port))
            wire = _Bounded(fileno=raw.detach()) if context is None else self._agree(raw, context)
        wire.clock = self._clock
        return wire

    def _agree(self, raw: socket.socket, context: ssl.SSLContext) -> _BoundedTls:
        self._doing = "agreeing on TLS"
        tls = context.wrap_socket(raw, server_hostname=self._endpoint.host, do_handshake_on_connect=False)
        try:
            assert isinstance(tls, _BoundedTls)  # noqa: S101 - the context's class
            tls.clock, tls.deadline = self._clock, self._within(CONNECT_S)
            tls.wait_no_longer()
            tls.do_handshake()
        except BaseException:
            tls.close()
            raise
        return tls

    def _trust(self) -> ssl.SSLContext:
        """The context, made once: loading the system's certificates takes more processor time than a delivery."""
        if self._context is None:
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_alpn_protocols(["http/1.1"])
            context.sslsocket_class = _BoundedTls
            if self._ca_file is not None:
                try:
                    context.load_verify_locations(self._ca_file)
                except OSError as exc:
                    raise SinkError(
                        "CA_FILE", f"{self._ca_file} holds no certificates that can be read", retryable=False
                    ) from exc
            self._context = context
        return self._context

    def _addresses(self) -> tuple[Address, ...]:
        # One lookup at a time: the next delivery waits for one that hangs and starts no other.
        if self._lookup is None or self._lookup.answer.done():
            self._lookup = _Lookup(
                self._endpoint, self._resolve, allow_private=self._allow_private, answered=self._notify
            )
        lookup = self._lookup
        with self._changed:
            self._changed.wait_for(
                lambda: self._interrupted or lookup.answer.done(), _left(self._within(LOOKUP_S), self._clock)
            )
        self._check()
        if not lookup.answer.done():
            raise TimeoutError
        return lookup.answer.result()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _check(self) -> None:
        with self._changed:
            if self._interrupted:
                raise ConnectionAbortedError

    def _was_interrupted(self) -> bool:
        with self._changed:
            interrupted, self._interrupted = self._interrupted, False
            return interrupted

    def _within(self, seconds: float) -> float:
        return min(self._deadline, self._clock.monotonic() + seconds)

    def _drop(self) -> None:
        http, self._http = self._http, None
        wire, self._socket = self._socket, None
        with self._changed:
            second, self._wire = self._wire, None
            if second is not None:
                second.close()
        if http is not None:
            http.close()
        if wire is not None:
            wire.close()

    def _translated(self, exc: OSError | HTTPException) -> SinkError:
        name = type(exc).__name__
        if isinstance(exc, ssl.SSLCertVerificationError):
            return self._failure("TLS_CERTIFICATE", f"failed: {exc.verify_message.rstrip('.')}", retryable=False)
        if isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
            return self._failure("CONNECTION", f"failed ({name})")
        if isinstance(exc, ssl.SSLError):
            return self._failure("TLS", f"failed ({exc.reason or name})")
        if isinstance(exc, TimeoutError):
            return self._failure("TIMEOUT", "took too long")
        if isinstance(exc, _AnswerTooLongError):
            most = self._limits.answer_bytes
            return self._failure("NO_HTTP", f"failed: the answer's head is longer than {most} bytes")
        if isinstance(exc, HTTPException):
            return self._failure("NO_HTTP", f"failed: what came is no answer ({name})")
        return self._failure("CONNECTION", f"failed ({name} {exc.errno})")

    def _failure(self, code: str, what: str, *, retryable: bool = True) -> SinkError:
        return SinkError(code, f"{self._doing} ({self._endpoint.authority}) {what}", retryable=retryable)


class _Lookup:
    """One lookup of the name in a thread of its own, since getaddrinfo may hang and cannot be interrupted."""

    def __init__(self, endpoint: Endpoint, resolve: Resolver, *, allow_private: bool, answered: Any) -> None:
        self.answer: Future[tuple[Address, ...]] = Future()

        def run() -> None:
            try:
                self.answer.set_result(permitted_addresses(endpoint, resolve, allow_private=allow_private))
            except BaseException as exc:  # noqa: BLE001 - the waiting thread gets the exception
                self.answer.set_exception(exc)
            answered()

        self.thread = threading.Thread(target=run, name="endpoint-lookup", daemon=True)
        self.thread.start()


def _left(deadline: float, clock: Clock) -> float:
    """Seconds until a deadline.

    Raises:
        TimeoutError: the deadline has passed.
    """
    left = deadline - clock.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
