"""The points at which a process may be killed: before or after the effect of each of its requests.

`Gate` counts and decides. `GatedProxy` passes HTTP requests to S3 and to the engine. `gate_emulator` watches requests
to the KVS emulator.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from connect_audio_local.kvs.service_error import ServiceError
from connect_audio_local.loopback_server import loopback_server, url_of

_INVOCATION: Final = re.compile(r"app/invocation-(\d+)")
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect"})
_LATE_AFTER_S: Final = 1.0
_JOINING: Final = "s3:CompleteMultipartUpload"
_BLANK_EVERY_S: Final = 2.0
_XML: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_XML_DECLARATION: Final = re.compile(rb"\A<\?xml[^>]*>\s*")


class Moment(StrEnum):
    """When a process is killed, as seen from a request of its own."""

    BEFORE = "before"
    """Its request never arrives."""
    AFTER = "after"
    """Its request is done, the answer never arrives."""
    LATE = "late"
    """Its request arrives when its successor has made one to the same service, or after a second."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill.

    Args:
        operation: the crossing's name as a pattern of `fnmatch`, for example `s3:UploadPart *`.
        nth: which crossing of that name, counted from 1 since the kill was armed.
        moment: before, after or late; a fragment on its way has no answer, so any is the same.
    """

    operation: str
    nth: int
    moment: Moment


@dataclass(frozen=True, slots=True)
class Crossing:
    """A request on its way.

    Args:
        name: service and operation, with a hint at what it is about.
        invocation: number of the invocation; None if unknown.
    """

    name: str
    invocation: int | None


@dataclass(slots=True)
class _Armed:
    kill: Kill
    seen: int = 0


@dataclass(slots=True)
class _Counters:
    crossings: list[Crossing] = field(default_factory=list)
    killed: list[tuple[Kill, Crossing]] = field(default_factory=list)
    armed: list[_Armed] = field(default_factory=list)


class Gate:
    """Counts crossings and kills where the schedule says. Thread-safe.

    Args:
        kill: kills the process of an invocation and returns once it is gone; False where it is gone already. None
            stands for the only one that runs.
    """

    def __init__(self, kill: Callable[[int | None], bool]) -> None:
        self._kill = kill
        self._lock = threading.Condition()
        self._now = _Counters()
        self._late = 0

    def arm(self, *kills: Kill) -> None:
        """Drop the counts and take a new schedule."""
        with self._lock:
            self._now = _Counters(armed=[_Armed(kill) for kill in kills])

    @property
    def crossings(self) -> list[Crossing]:
        """Every crossing since `arm`, in order."""
        with self._lock:
            return list(self._now.crossings)

    @property
    def killed(self) -> list[tuple[Kill, Crossing]]:
        """The kills done since `arm`."""
        with self._lock:
            return list(self._now.killed)

    def cross(self, crossing: Crossing) -> Moment | None:
        """Count a crossing.

        Returns:
            None to let it pass. BEFORE: the process is dead, do nothing. LATE: the process is dead, do it later.
            AFTER: do it, then call `strike`.
        """
        with self._lock:
            self._now.crossings.append(crossing)
            self._lock.notify_all()
            due: Kill | None = None
            for armed in self._now.armed:
                if fnmatchcase(crossing.name, armed.kill.operation):
                    armed.seen += 1
                    if armed.seen == armed.kill.nth and due is None:
                        due = armed.kill
        if due is None:
            return None
        if due.moment is Moment.AFTER:
            return due.moment
        return due.moment if self._strike(due, crossing) else None

    def strike(self, crossing: Crossing) -> bool:
        """Kill the process whose request has been done; return True if it was there to be killed."""
        return self._strike(Kill(crossing.name, 0, Moment.AFTER), crossing)

    def _strike(self, kill: Kill, crossing: Crossing) -> bool:
        if not self._kill(crossing.invocation):
            return False
        with self._lock:
            self._now.killed.append((kill, crossing))
        return True

    @contextmanager
    def lateness(self, service: str) -> Iterator[None]:
        """Wait until another request to the same service has come, a second at most; then do what is late."""
        with self._lock:
            self._late += 1
            counters, seen = self._now, len(self._now.crossings)
            self._lock.wait_for(
                lambda: any(each.name.startswith(service) for each in counters.crossings[seen:]), _LATE_AFTER_S
            )
        try:
            yield
        finally:
            with self._lock:
                self._late -= 1
                self._lock.notify_all()

    def settle(self) -> None:
        """Wait until no request of a dead process is still to arrive."""
        with self._lock:
            self._lock.wait_for(lambda: not self._late)


# --- S3, EventBridge and the engine ----------------------------------------------------------------------------------


def s3_operation(method: str, path: str, body: bytes) -> str:
    """Name an S3 request of a path-style client, with the kind of its key: `s3:PutObject wav.claim`.

    The kind of a live segment and of its index is the whole name: `s3:PutObject segments/000012.wav`.
    """
    del body
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    key = unquote(parts.path).lstrip("/").partition("/")[2]
    folder, _, name = key.rpartition("/")
    if folder.endswith(".segments"):
        kind = f"segments/{name}"
    elif folder.endswith(".staging"):
        kind = "wav.staging"
    else:
        kind = re.sub(r"^.*?\.(?=wav|json)", "", name)
    match method:
        case "PUT":
            operation = f"UploadPart {query['partNumber'][0]}" if "partNumber" in query else f"PutObject {kind}"
        case "POST" if "uploads" in query:
            operation = "CreateMultipartUpload"
        case "POST":
            operation = "CompleteMultipartUpload" if "uploadId" in query else "DeleteObjects"
        case "DELETE":
            operation = "AbortMultipartUpload" if "uploadId" in query else f"DeleteObject {kind}"
        case "HEAD":
            operation = f"HeadObject {kind}"
        case _ if "uploads" in query:
            operation = "ListMultipartUploads"
        case _ if "list-type" in query:
            operation = "ListObjectsV2"
        case _:
            operation = f"GetObject {kind}"
    return f"s3:{operation}"


def engine_operation(method: str, path: str, body: bytes) -> str:
    """Name a request to the durable engine by what it checkpoints: `engine:checkpoint SUCCEED finish`."""
    del method
    if not urlsplit(path).path.endswith("/checkpoint"):
        return "engine:state"
    updates = json.loads(body).get("Updates", [])
    actions = [f"{update['Action']} {update.get('Name') or ''}".strip() for update in updates]
    return f"engine:checkpoint {' + '.join(actions)}".strip()


def events_operation(method: str, path: str, body: bytes) -> str:
    """Name a request to EventBridge: all are POST /, and the function knows but one."""
    return "events:PutEvents" if (method, path) == ("POST", "/") and b'"Entries"' in body else "events:other"


class GatedProxy:
    """An HTTP server that forwards to another one, past the gate. A context manager.

    Args:
        upstream: URL of the server behind it; may be set anew.
        gate: decides on kills.
        name: names a request: method, path, body -> crossing name.
    """

    def __init__(self, upstream: str, gate: Gate, name: Callable[[str, str, bytes], str]) -> None:
        self.upstream = upstream
        self._gate = gate
        self._name = name
        self._server = loopback_server(self._serve, "gated-proxy")

    @property
    def url(self) -> str:
        """Its address."""
        return url_of(self._server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and wait for the requests under way."""
        self._server.close()

    def _serve(self, http_request: BaseHTTPRequestHandler) -> None:
        length = int(http_request.headers.get("Content-Length") or 0)
        body = http_request.rfile.read(length)
        if len(body) < length:
            http_request.close_connection = True
            return
        method, path = http_request.command, http_request.path
        invocation = _INVOCATION.search(http_request.headers.get("User-Agent", ""))
        crossing = Crossing(self._name(method, path, body), int(invocation[1]) if invocation else None)
        moment = self._gate.cross(crossing)
        if moment is Moment.BEFORE:
            http_request.close_connection = True
            return
        late = self._gate.lateness(crossing.name.partition(":")[0]) if moment is Moment.LATE else nullcontext()
        try:
            with late, ThreadPoolExecutor(1) as worker:
                forwarding = worker.submit(self._forward, method, path, dict(http_request.headers), body)
                begun = crossing.name == _JOINING and moment is None and _begin_joining(http_request, forwarding)
                answer = forwarding.result()
        except (http.client.HTTPException, OSError):
            # The other one gives no answer; neither do we.
            if moment is Moment.AFTER:
                self._gate.strike(crossing)
            http_request.close_connection = True
            return
        if moment is Moment.LATE or (moment is Moment.AFTER and self._gate.strike(crossing)):
            http_request.close_connection = True
        elif begun:
            _send_chunk(http_request, _XML_DECLARATION.sub(b"", answer.content))
            _send_chunk(http_request, b"")
        else:
            answer.send(http_request, with_body=method != "HEAD")

    def _forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        connection = http.client.HTTPConnection(urlsplit(self.upstream).netloc, timeout=600)
        try:
            passed = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
            connection.request(method, path, body=body or None, headers={**passed, "Connection": "close"})
            answer = connection.getresponse()
            content = answer.read()
            kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP)
            length = answer.getheader("Content-Length", "0") if method == "HEAD" else str(len(content))
            return _Answer(answer.status, kept, length, content)
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    length: str
    content: bytes

    def send(self, http_request: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        http_request.send_response_only(self.status)
        for name, value in self.headers:
            http_request.send_header(name, value)
        http_request.send_header("Content-Length", self.length)
        http_request.end_headers()
        if with_body:
            http_request.wfile.write(self.content)


def _begin_joining(http_request: BaseHTTPRequestHandler, forwarding: Future[_Answer]) -> bool:
    """Answer 200 and blanks while many parts are being joined, as S3 does lest the client gives up.

    Returns:
        True if the answer has begun; a failure then comes with a status of 200 (S3, CompleteMultipartUpload).
    """
    begun = False
    while not wait((forwarding,), _BLANK_EVERY_S).done:
        if not begun:
            http_request.send_response_only(200)
            http_request.send_header("Content-Type", "application/xml")
            http_request.send_header("Transfer-Encoding", "chunked")
            http_request.end_headers()
            _send_chunk(http_request, _XML)
            begun = True
        _send_chunk(http_request, b" ")
    return begun


def _send_chunk(http_request: BaseHTTPRequestHandler, data: bytes) -> None:
    http_request.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


# --- the emulator ----------------------------------------------------------------------------------------------------


class GatedApi:
    """Stands before the emulator's API: requests and fragments are crossings of the only running process.

    Args:
        api: the emulator's.
        gate: decides on kills.
    """

    def __init__(self, api: Any, gate: Gate) -> None:
        self._api = api
        self._gate = gate

    def answer(self, method: str, request: Any) -> Any:
        """Answer one request."""
        operation = request.path.rsplit("/", 1)[-1] if not request.path.startswith("/contacts/") else "describeContact"
        crossing = Crossing(f"kvs:{operation}", None)
        moment = self._gate.cross(crossing)
        if moment in (Moment.BEFORE, Moment.LATE):
            raise ServiceError("ServiceUnavailableException", 503, "the caller is gone")
        answer = self._api.answer(method, request)
        if moment is Moment.AFTER:
            self._gate.strike(crossing)
        if hasattr(answer, "pieces"):
            return replace(answer, pieces=self._pieces(answer.pieces))
        return answer

    def _pieces(self, pieces: Iterator[Any]) -> Iterator[Any]:
        crossing = Crossing("media:fragment", None)
        for piece in pieces:
            if self._gate.cross(crossing) is Moment.AFTER:
                self._gate.strike(crossing)
            yield piece
