"""The emulator's HTTP side: the wire shapes of Kinesis Video Streams, and of two operations of Connect.

Shapes, paths, status codes and error names come from botocore's service models (`kinesisvideo`,
`kinesis-video-media`, `connect`). A capture is served byte for byte, so MILLIS_BEHIND_NOW is the file's.
Every request passes `_Api.answer`, and every body is an iterator of pieces: further APIs are further entries of
`_Api.routes`. Faults come in at both, from the stream's `FaultRun`.
"""

from __future__ import annotations

import json
import re
import select
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, override
from urllib.parse import unquote

from connect_audio_local.kvs.capture import StoredFragment, read_capture
from connect_audio_local.kvs.clock import Clock, SystemClock
from connect_audio_local.kvs.contacts import contact_event
from connect_audio_local.kvs.fault_run import Ending, FaultRun, FaultyBody, Sendable, in_band_document
from connect_audio_local.kvs.faults import (
    NO_FAULTS,
    STATUS_OF,
    Api,
    Drop,
    FaultPlan,
    MoveEndpoint,
    OnCall,
    Refuse,
    Stall,
)
from connect_audio_local.kvs.model import (
    ALL_AT_ONCE,
    Account,
    Delivery,
    EmulatedStream,
    FragmentReader,
    Limits,
    NoMore,
    NotBefore,
    Pace,
)
from connect_audio_local.kvs.request_types import REQUESTS, checked, read_request
from connect_audio_local.kvs.service_error import FragmentNotFoundError, ServiceError, invalid_argument
from connect_audio_local.kvs.unanswered import Unanswered, empty_body, empty_listing
from connect_audio_local.stoppable_server import StoppableServer, reset_connection

# The GetMedia payload's type as clients of the real service have seen it; the service model leaves it open.
_MEDIA_TYPE = "video/webm"
_MAX_REQUEST_BYTES = 1 << 20
_FRAGMENT_NOT_FOUND = 4000
"""In-band error of GetMedia (API reference)."""
_MOST_STREAMS = 10_000
"""Streams of one page of ListStreams; the service model's bound."""
_BEGINS_WITH = "BEGINS_WITH"
"""The one comparison that ListStreams has."""
_MOST_NAMES = 10
"""Streams that a line names."""
_NO_NAME_CHARACTER = re.compile(r"[^a-zA-Z0-9_.-]", re.ASCII)
_API_NAMES = frozenset(
    {
        "PUT_MEDIA",
        "GET_MEDIA",
        "LIST_FRAGMENTS",
        "GET_MEDIA_FOR_FRAGMENT_LIST",
        "GET_HLS_STREAMING_SESSION_URL",
        "GET_DASH_STREAMING_SESSION_URL",
        "GET_CLIP",
        "GET_IMAGES",
    }
)


class KvsEmulator:
    """Serves streams over HTTP from its construction to `close`; a context manager.

    Args:
        host: address to bind; `0.0.0.0` for callers in containers.
        port: port to bind; 0 takes a free one.
        clock: the emulator's time; a `ManualClock` lets tests go without waiting.
        limits: the service's limits.
        on_unanswered: gets each request that was refused or got nothing, in the thread that serves it.

    Raises:
        OSError: the address cannot be bound.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Clock | None = None,
        limits: Limits | None = None,
        on_unanswered: Callable[[Unanswered], None] | None = None,
    ) -> None:
        self.on_unanswered: Callable[[Unanswered], None] = _ignore if on_unanswered is None else on_unanswered
        self.clock: Clock = clock or SystemClock()
        self.limits = limits or Limits()
        self.account = Account()
        self.connections = _Connections()
        self._server = _Server((host, port), _Api(self))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every body, close every socket, join every thread. May be called twice."""
        self._server.close()

    @property
    def port(self) -> int:
        """The port that is bound."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """Its address; a wildcard address is given as loopback."""
        host = str(self._server.server_address[0])
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}"  # noqa: S104 - compared, not bound

    def environment(self, url: str | None = None) -> dict[str, str]:
        """The variables that make any AWS SDK call the emulator.

        Args:
            url: how the callers reach it, where that is not `self.url`.
        """
        services = ("KINESIS_VIDEO", "KINESIS_VIDEO_MEDIA", "KINESIS_VIDEO_ARCHIVED_MEDIA", "CONNECT")
        return {f"AWS_ENDPOINT_URL_{service}": url or self.url for service in services}

    def add_stream(self, stream: EmulatedStream) -> EmulatedStream:
        """Serve a stream; a live one starts now.

        Raises:
            ValueError: there is one of that name.
        """
        self.account.add(stream)
        stream.start(self.clock.monotonic())
        return stream

    def serve_capture(
        self,
        path: Path,
        name: str | None = None,
        *,
        pace: Pace = ALL_AT_ONCE,
        delivery: Delivery = Delivery.FRAGMENT,
        retention_hours: int = 24,
        hold_open_s: float = 0.0,
        faults: FaultPlan = NO_FAULTS,
    ) -> EmulatedStream:
        """Serve a capture as a stream, byte for byte.

        Args:
            path: the file.
            name: StreamName; by default the file's name without its suffix, other characters made hyphens.
            pace: when its fragments become available.
            delivery: in which pieces.
            retention_hours: DataRetentionInHours.
            hold_open_s: how long a connection stays open behind the last fragment.
            faults: how the stream misbehaves.

        Raises:
            CaptureError: not a GetMedia capture.
            OSError: the file cannot be read.
            ValueError: the name is no stream name or is taken.
        """
        return self.add_stream(
            EmulatedStream(
                name or _NO_NAME_CHARACTER.sub("-", path.stem)[:256],
                read_capture(path),
                pace=pace,
                delivery=delivery,
                retention_hours=retention_hours,
                hold_open_s=hold_open_s,
                faults=faults,
            )
        )

    def contact_event(self, contact_id: str, event_type: str = "DISCONNECTED") -> dict[str, Any]:
        """Return a contact event as EventBridge delivers it. The emulator delivers none of itself.

        Args:
            contact_id: the contact.
            event_type: eventType of its detail.

        Raises:
            LookupError: no stream has seen the contact.
            ValueError: there is no such type, or the event of an end is asked for before the end.
        """
        now_s = self.clock.monotonic()
        stream = self.account.stream_of(contact_id, now_s)
        contact = stream.contact(contact_id, now_s) if stream else None
        if contact is None:
            raise LookupError(f"no stream has seen contact {contact_id}")
        return contact_event(contact, event_type)

    def open_connections(self, stream_name: str) -> int:
        """GetMedia connections that are open now."""
        return self.connections.count(stream_name)

    def open_archive_connections(self, stream_name: str) -> int:
        """GetMediaForFragmentList connections that are open now."""
        return self.connections.count(f"{stream_name}/archive")

    def max_open_connections(self, stream_name: str) -> int:
        """The most GetMedia connections that were ever open at once."""
        return self.connections.most(stream_name)


# --- requests and answers --------------------------------------------------------------------------------------------


def _ignore(_: Unanswered) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class _Request:
    path: str
    body: bytes
    fields: Mapping[str, Any]
    host: str
    connection: socket.socket


@dataclass(frozen=True, slots=True)
class _Json:
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Media:
    """A chunked body; an empty piece is never sent, and nothing behind an ending."""

    pieces: Iterator[bytes | Ending]
    # Called once the body's last byte is out, before the client can see its end.
    done: Callable[[], None]


class _ClientGoneError(Exception):
    """The client hung up, or the emulator closes."""


class _DroppedError(Exception):
    """A fault: the connection is reset and there is no answer."""


class _Api:
    """The operations, each from a request to an answer."""

    def __init__(self, emulator: KvsEmulator) -> None:
        self._emulator = emulator
        self.routes: dict[str, tuple[Api, Callable[[_Request], _Json | _Media]]] = {
            "/describeStream": ("DescribeStream", self._describe_stream),
            "/listStreams": ("ListStreams", self._list_streams),
            "/getDataEndpoint": ("GetDataEndpoint", self._get_data_endpoint),
            "/getMedia": ("GetMedia", self._get_media),
            "/listFragments": ("ListFragments", self._list_fragments),
            "/getMediaForFragmentList": ("GetMediaForFragmentList", self._get_media_for_fragment_list),
            "/search-contacts": ("SearchContacts", self._search_contacts),
        }

    def answer(self, method: str, request: _Request) -> _Json | _Media:
        """Answer one request.

        Raises:
            ServiceError: the service's own error.
            _DroppedError: a fault takes the answer.
        """
        operation = f"{method} {request.path}"
        try:
            operation, respond = self._route(method, request.path)
            if operation in REQUESTS:
                request = replace(request, fields=checked(operation, read_request(request.body)))
            return respond(request)
        except ServiceError as error:
            why = f"{error.code}: {error.message}{self._hint(error, request)}"
            self._emulator.on_unanswered(Unanswered(operation, _place(request), why))
            raise

    def _route(self, method: str, path: str) -> tuple[str, Callable[[_Request], _Json | _Media]]:
        # A data endpoint that has moved, and each of the archive's, has a path of its own in front of the operation.
        operation = path[path.rfind("/") :] if path.startswith(("/moved/", "/archive/")) else path
        if method == "GET" and operation.startswith("/contacts/"):
            return "DescribeContact", self._describe_contact
        route = self.routes.get(operation) if method == "POST" else None
        if route is None:
            raise ServiceError("UnknownOperationException", 404, f"{method} {operation} is not emulated")
        return route

    def _hint(self, error: ServiceError, request: _Request) -> str:
        """A help for the user beyond the service's own words."""
        if error.code != "ResourceNotFoundException":
            return ""
        account, now_s = self._emulator.account, self._emulator.clock.monotonic()
        contact_id = unquote(request.path.rsplit("/", 1)[-1])
        if request.path.startswith("/contacts/"):
            stream = account.stream_of(contact_id, now_s)
            contact = stream.contact(contact_id, now_s) if stream else None
            return f"; the contact's instance is {contact.instance_id}" if contact else ""
        names = [stream.name for stream in account.streams]
        return f"; the streams are {', '.join(names[:_MOST_NAMES])}" if names else "; there is no stream"

    def _stream(self, api: Api, request: _Request) -> tuple[EmulatedStream, tuple[OnCall, ...]]:
        """The stream that a request names, and the faults of this call that concern its body."""
        stream = self._emulator.account.find(request.fields)
        faults = _suffer(stream, api)
        stream.admit_call(api, self._emulator.limits, self._emulator.clock.monotonic())
        return stream, faults

    def _describe_stream(self, request: _Request) -> _Json:
        stream, _ = self._stream("DescribeStream", request)
        return _Json({"StreamInfo": stream.description()})

    def _list_streams(self, request: _Request) -> _Json:
        """Answer with one page; a token is the name behind which the next one begins."""
        condition, size = request.fields.get("StreamNameCondition", {}), request.fields.get("MaxResults", _MOST_STREAMS)
        if not 1 <= size <= _MOST_STREAMS:
            raise invalid_argument(f"MaxResults is not 1 to {_MOST_STREAMS}")
        if condition.get("ComparisonOperator", _BEGINS_WITH) != _BEGINS_WITH:
            raise invalid_argument(f"ComparisonOperator is not {_BEGINS_WITH}")
        begin, after = condition.get("ComparisonValue", ""), request.fields.get("NextToken", "")
        streams = sorted(self._emulator.account.streams, key=lambda stream: stream.name)
        found = [stream for stream in streams if stream.name.startswith(begin) and stream.name > after]
        answer: dict[str, Any] = {"StreamInfoList": [stream.description() for stream in found[:size]]}
        return _Json(answer | ({"NextToken": found[size - 1].name} if len(found) > size else {}))

    def _get_data_endpoint(self, request: _Request) -> _Json:
        if request.fields.get("APIName") not in _API_NAMES:
            raise invalid_argument(f"APIName is none of {', '.join(sorted(_API_NAMES))}")
        stream, _ = self._stream("GetDataEndpoint", request)
        # The address by which the caller knows us: inside a container it is not the one that is bound.
        path = stream.endpoint_path_of(request.fields["APIName"])
        return _Json({"DataEndpoint": f"http://{request.host}{path}"})

    def _get_media(self, request: _Request) -> _Media:
        emulator = self._emulator
        stream, faults = self._stream("GetMedia", request)
        if request.path != f"{stream.endpoint_path}/getMedia":
            raise ServiceError(
                "InvalidEndpointException", 400, "this is not the stream's endpoint, call GetDataEndpoint"
            )
        selector = request.fields.get("StartSelector")
        if not isinstance(selector, Mapping):
            raise invalid_argument("StartSelector is missing")
        try:
            reader = stream.open(selector, emulator.clock.monotonic())
        except FragmentNotFoundError as error:
            emulator.on_unanswered(Unanswered("GetMedia", f"stream {stream.name}", str(error)))
            return _Media(iter([in_band_document(_FRAGMENT_NOT_FOUND)]), lambda: None)
        if emulator.on_unanswered is not _ignore:
            empty = empty_body(stream.name, selector, stream.archived(emulator.clock.monotonic()))
            if empty:
                emulator.on_unanswered(empty)
        connection = emulator.connections.open(stream.name, request.connection, emulator.limits.connections)
        # The session begins here: a client may see the answer's head before the first piece is asked for.
        pieces = self._media(stream, reader, connection, stream.faults.body(faults), emulator.clock.monotonic())
        return _Media(pieces, lambda: emulator.connections.close(connection))

    def _media(
        self,
        stream: EmulatedStream,
        reader: FragmentReader,
        connection: _Connection,
        faulty: FaultyBody,
        opened_s: float,
    ) -> Iterator[bytes | Ending]:
        """Bytes of the fragments, as they become available, until the stream, the session or a fault ends the body."""
        clock, session_s = self._emulator.clock, self._emulator.limits.session_s
        session_end = opened_s + min(float("inf") if session_s is None else session_s, faulty.session_s)
        # Taken before a piece goes out, so that its reader knows that the hold has begun.
        sent_s = opened_s

        def reached(due_s: float) -> bool:
            """Wait for a time; False where the session ends before."""
            connection.wait_until(min(due_s, session_end), clock)
            return due_s < session_end

        def spoilt(data: bytes) -> Iterator[bytes | Ending]:
            return connection.stalling(faulty.spoil(data), stream.faults, clock)

        yield from spoilt(b"")
        while clock.monotonic() < session_end:
            match reader.next(clock.monotonic()):
                case NotBefore(due_s):
                    reached(due_s)
                case NoMore():
                    reached(sent_s + stream.hold_open_s)
                    return
                case StoredFragment() as fragment:
                    copies = faulty.fragment(reader.index, fragment.load)
                    if not copies:
                        continue
                    ready = bytearray()
                    for data, due_s in stream.pieces(fragment):
                        if due_s > clock.monotonic():
                            # Bytes that were due already go out in one piece before the wait.
                            if ready:
                                yield from spoilt(bytes(ready))
                                ready.clear()
                            if not reached(due_s):
                                return
                        ready += data
                    sent_s = clock.monotonic()
                    if ready:
                        yield from spoilt(bytes(ready))
                    if copies > 1:
                        yield from spoilt(fragment.load())

    def _list_fragments(self, request: _Request) -> _Json:
        stream, _ = self._stream("ListFragments", request)
        if request.path != f"{stream.endpoint_path_of('LIST_FRAGMENTS')}/listFragments":
            # The real service answers an empty object at an endpoint of another operation.
            why = "asked at another operation's endpoint: call GetDataEndpoint with APIName LIST_FRAGMENTS"
            self._emulator.on_unanswered(Unanswered("ListFragments", f"stream {stream.name}", why))
            return _Json({})
        view = stream.archived(self._emulator.clock.monotonic())
        answer = stream.archive.list_fragments(request.fields, view)
        if not answer["Fragments"] and "FragmentSelector" in request.fields:
            self._emulator.on_unanswered(empty_listing(stream.name, request.fields["FragmentSelector"], view))
        return _Json(answer)

    def _get_media_for_fragment_list(self, request: _Request) -> _Media:
        emulator = self._emulator
        stream, faults = self._stream("GetMediaForFragmentList", request)
        at_endpoint = stream.endpoint_path_of("GET_MEDIA_FOR_FRAGMENT_LIST")
        documents: Iterator[bytes] = iter(())
        if request.path == f"{at_endpoint}/getMediaForFragmentList":
            documents = stream.archive.documents(request.fields, stream.archived(emulator.clock.monotonic()))
        # No stream's name has a slash: these connections are counted apart from GetMedia's.
        counted_as = f"{stream.name}/archive"
        connection = emulator.connections.open(counted_as, request.connection, emulator.limits.archive_connections)
        faulty = stream.faults.body(faults)

        def pieces() -> Iterator[bytes | Ending]:
            for document in chain((b"",), documents):
                yield from connection.stalling(faulty.spoil(document), stream.faults, emulator.clock)

        return _Media(pieces(), lambda: emulator.connections.close(connection))

    def _describe_contact(self, request: _Request) -> _Json:
        parts = [unquote(part) for part in request.path.split("/")]
        if len(parts) != 4 or not all(parts[2:]):
            raise ServiceError("InvalidRequestException", 400, "the path is /contacts/{InstanceId}/{ContactId}")
        _, _, instance_id, contact_id = parts
        emulator = self._emulator
        now_s = emulator.clock.monotonic()
        if stream := emulator.account.stream_of(contact_id, now_s):
            _suffer(stream, "DescribeContact")
        contact = emulator.account.describe_contact(instance_id, contact_id, emulator.limits, now_s)
        named = replace(contact, instance_id=contact.instance_id or instance_id)
        return _Json({"Contact": named.description(names_stream=emulator.account.names_streams)})

    def _search_contacts(self, request: _Request) -> _Json:
        emulator = self._emulator
        fields = read_request(request.body)
        return _Json(emulator.account.search_contacts(fields, emulator.limits, emulator.clock.monotonic()))


def _place(request: _Request) -> str:
    """The stream or contact that a request names; empty for none."""
    if request.path.startswith("/contacts/"):
        return f"contact {unquote(request.path.rsplit('/', 1)[-1])}"
    name, arn = request.fields.get("StreamName"), request.fields.get("StreamARN")
    return f"stream {name or arn}" if name or arn else ""


def _suffer(stream: EmulatedStream, api: Api) -> tuple[OnCall, ...]:
    """Count a call; do what happens instead of an answer, and return what happens to the answer's body."""
    faults = stream.faults.call(api)
    for fault in faults:
        match fault.action:
            case Refuse(code):
                raise ServiceError(code, STATUS_OF[code], f"a fault: {fault}")
            case Drop():
                raise _DroppedError
            case MoveEndpoint():
                stream.move_endpoint()
            case _:
                pass
    return faults


# --- connections -----------------------------------------------------------------------------------------------------


class _Connection:
    """One open GetMedia body: waits for a time while watching whether the client is still there."""

    def __init__(self, stream_name: str, client: socket.socket) -> None:
        self.stream_name = stream_name
        self._client = client
        self._woken, self._waker = socket.socketpair()
        self._waker.settimeout(0)

    def wake(self) -> None:
        # A full pipe wakes as well, and a closed one has no reader to wake.
        with suppress(OSError):
            self._waker.send(b"\0")

    def close(self) -> None:
        self._woken.close()
        self._waker.close()

    def gone(self) -> bool:
        """True if the client has hung up."""
        try:
            return self._client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def stalling(self, sendables: Iterator[Sendable], run: FaultRun, clock: Clock) -> Iterator[bytes | Ending]:
        """Wait out the stalls of a body and pass on the rest.

        Raises:
            _ClientGoneError: the client gave up during a stall.
        """
        for each in sendables:
            if not isinstance(each, Stall):
                yield each
                continue
            due_s = float("inf") if each.seconds is None else clock.monotonic() + each.seconds
            unsubscribe = run.subscribe(self.wake)
            try:
                self.wait_until(due_s, clock, run.stall())
            finally:
                unsubscribe()

    def wait_until(self, due_s: float, clock: Clock, released: Callable[[], bool] = lambda: False) -> None:
        """Wait for a time of the clock, or for a release followed by a call of `wake`.

        Raises:
            _ClientGoneError: the client hung up or the server closes.
        """
        unsubscribe = clock.subscribe(self.wake)
        try:
            watched = [self._client, self._woken]
            while clock.monotonic() < due_s and not released():
                readable, _, _ = select.select(watched, [], [], clock.seconds_to(due_s))
                if self._client in readable:
                    if self.gone():
                        raise _ClientGoneError
                    watched.remove(self._client)  # the next request, sent early: it waits for this body's end
                if self._woken in readable:
                    self._woken.recv(4096)
        finally:
            unsubscribe()


class _Connections:
    """The open GetMedia connections. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[_Connection] = []
        self._most: dict[str, int] = {}

    def open(self, stream_name: str, client: socket.socket, limit: int | None) -> _Connection:
        """Count one more.

        Raises:
            ServiceError: ConnectionLimitExceededException.
        """
        with self._lock:
            # Count living connections, not handlers: a handler notices late that its client closed, and that client
            # may open a new connection at once.
            count = self._count(stream_name)
            if limit is not None and count >= limit:
                raise ServiceError(
                    "ConnectionLimitExceededException", 400, f"{count} connections to stream {stream_name} are open"
                )
            connection = _Connection(stream_name, client)
            self._open.append(connection)
            self._most[stream_name] = max(self._most.get(stream_name, 0), count + 1)
            return connection

    def close(self, connection: _Connection) -> None:
        with self._lock:
            if connection in self._open:
                self._open.remove(connection)
                connection.close()

    def count(self, stream_name: str) -> int:
        with self._lock:
            return self._count(stream_name)

    def most(self, stream_name: str) -> int:
        with self._lock:
            return self._most.get(stream_name, 0)

    def _count(self, stream_name: str) -> int:
        return sum(connection.stream_name == stream_name and not connection.gone() for connection in self._open)


# --- HTTP ------------------------------------------------------------------------------------------------------------


class _Server(StoppableServer):
    def __init__(self, address: tuple[str, int], api: _Api) -> None:
        super().__init__(address, _Handler, "kvs-emulator")
        self.api = api
        self.start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        self._answer("POST")

    def do_GET(self) -> None:
        self._answer("GET")

    def _answer(self, method: str) -> None:
        try:
            answer = self.server.api.answer(method, self._request())
        except ServiceError as error:
            self._send_json(error.status, {"Message": error.message}, error.code)
            return
        except _DroppedError:
            reset_connection(self)
            return
        if isinstance(answer, _Json):
            self._send_json(200, answer.body)
        else:
            self._send_media(answer)

    def _request(self) -> _Request:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 <= length <= _MAX_REQUEST_BYTES:
            self.close_connection = True
            raise invalid_argument(f"a request of {length} bytes is too long")
        body = self.rfile.read(length)
        host = self.headers.get("Host") or "{}:{}".format(*self.server.server_address[:2])
        return _Request(self.path.split("?")[0], body, {}, host, self.connection)

    def _send_json(self, status: int, body: Mapping[str, Any], error: str | None = None) -> None:
        payload = json.dumps(body).encode()
        self._start(status, "application/json")
        if error is not None:
            self.send_header("x-amzn-ErrorType", error)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _send_media(self, media: _Media) -> None:
        ending = Ending.CLEAN
        try:
            self._start(200, _MEDIA_TYPE)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in media.pieces:
                if isinstance(piece, Ending):
                    ending = piece
                    break
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        except (_ClientGoneError, OSError):
            self.close_connection = True
            return
        finally:
            media.done()
        match ending:
            case Ending.CLEAN:
                self.wfile.write(b"0\r\n\r\n")
            case Ending.CUT:
                self.close_connection = True
            case Ending.RESET:
                reset_connection(self)

    def _start(self, status: int, content_type: str) -> None:
        self.send_response(status)
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.send_header("Content-Type", content_type)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: paths carry contact ids."""
