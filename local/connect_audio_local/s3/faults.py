"""A proxy in front of a local S3 (moto): it misbehaves as scripted, enforces what moto does not and notes each request.

`S3FaultProxy(s3_url, plan)` stands between the functions and `s3_server`. Bodies stream through it and are not kept.
Tests use it for lost answers and throttles, for "no upload is left open", and to compare calls with the role's
permissions.
"""

from __future__ import annotations

import http.client
import random
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Final, Self, override
from urllib.parse import parse_qs, unquote, urlsplit

from connect_audio_local.brief_repr import brief_repr
from connect_audio_local.stoppable_server import StoppableServer, reset_connection

ANY: Final = "*"
"""As the operation of an `S3Fault`: whichever comes, counted together."""

_PIECE: Final = 1 << 16
_UPSTREAM_TIMEOUT_S: Final = 60.0
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "te"})
_UPLOAD_ID: Final = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_ON_AN_UPLOAD: Final = frozenset({"UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts"})

# Service Authorization Reference, "Actions defined by Amazon S3", and "Required permissions" in the user guide.
_IAM_ACTIONS: Final = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:PutObject",
    "CreateBucket": "s3:CreateBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "GetObjectTagging": "s3:GetObjectTagging",
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "ListBuckets": "s3:ListAllMyBuckets",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutObject": "s3:PutObject",
    "PutObjectTagging": "s3:PutObjectTagging",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
}


# --- faults ----------------------------------------------------------------------------------------------------------


class S3Trouble(StrEnum):
    """The trouble of a request."""

    SLOW_DOWN = "503 SlowDown; nothing is done"
    INTERNAL_ERROR = "500 InternalError; nothing is done"
    RESET = "the connection is reset; nothing is done"
    LOST_ANSWER = "all of it is done, then the connection is closed without an answer"
    PRECONDITION_FAILED = "412 PreconditionFailed; nothing is done, and the key may be free"
    CONFLICT = "409 ConditionalRequestConflict; nothing is done"
    UPLOAD_GONE = "the request's upload is aborted, as a lifecycle rule does, then 404 NoSuchUpload"
    ACCESS_DENIED = "403 AccessDenied, as after a permission or a key is withdrawn; nothing is done"

    @override
    def __repr__(self) -> str:
        return f"S3Trouble.{self.name}"


_ANSWERS: Final = {
    S3Trouble.ACCESS_DENIED: (403, "AccessDenied", "Access Denied"),
    S3Trouble.SLOW_DOWN: (503, "SlowDown", "Please reduce your request rate."),
    S3Trouble.INTERNAL_ERROR: (500, "InternalError", "We encountered an internal error. Please try again."),
    S3Trouble.PRECONDITION_FAILED: (
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    ),
    S3Trouble.CONFLICT: (
        409,
        "ConditionalRequestConflict",
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    ),
    S3Trouble.UPLOAD_GONE: (
        404,
        "NoSuchUpload",
        "The specified upload does not exist. It may have been aborted or completed.",
    ),
}


_ABSENT: Final = (404, "NoSuchKey", "The specified key does not exist.")


@dataclass(frozen=True, slots=True, repr=False)
class S3Fault:
    """At the nth request of an operation, the SDK's own retries included.

    Args:
        operation: S3's name for it, for example `UploadPart`; or `ANY`.
        nth: from 1.
        trouble: its trouble.
        times: how many requests in a row from there; None for all.
    """

    operation: str
    nth: int
    trouble: S3Trouble
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.operation != ANY and self.operation not in _IAM_ACTIONS:
            raise ValueError(f"{self.operation} is none of {', '.join(_IAM_ACTIONS)}")
        if self.nth < 1:
            raise ValueError(f"requests count from 1, not {self.nth}")

    __repr__ = brief_repr

    def covers(self, request: int) -> bool:
        """Return True if it happens to the request of this number."""
        return request >= self.nth and (self.times is None or request < self.nth + self.times)

    @property
    def recoverable(self) -> bool:
        """True if a client that asks again gets it done, with nothing lost."""
        lasting = self.trouble in {S3Trouble.PRECONDITION_FAILED, S3Trouble.UPLOAD_GONE, S3Trouble.ACCESS_DENIED}
        return self.times is not None and not lasting


@dataclass(frozen=True, slots=True, repr=False)
class S3FaultPlan:
    """A schedule of faults; of several for one request, the first counts.

    Args:
        faults: in any order.
    """

    faults: tuple[S3Fault, ...] = ()

    __repr__ = brief_repr

    @property
    def recoverable(self) -> bool:
        """True if a client that asks again gets everything done, with nothing lost."""
        return all(fault.recoverable for fault in self.faults)


NO_S3_FAULTS: Final = S3FaultPlan()

_CHOSEN: Final = (
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "HeadObject",
    "GetObject",
    "DeleteObjects",
    "ListMultipartUploads",
    ANY,
)


def random_s3_faults(seed: int, *, count: int = 3, requests: int = 4, recoverable: bool = True) -> S3FaultPlan:
    """Make a schedule; the same arguments make the same one.

    Args:
        seed: seed of the choices.
        count: how many faults.
        requests: they are spread over the first so many requests of an operation.
        recoverable: only faults after which everything can still be done.
    """
    rng = random.Random(seed)
    found: list[S3Fault] = []
    while len(found) < count:
        operation, trouble = rng.choice(_CHOSEN), rng.choice(tuple(S3Trouble))
        conditional = operation in {"PutObject", "CompleteMultipartUpload"}
        if trouble in {S3Trouble.CONFLICT, S3Trouble.PRECONDITION_FAILED} and not conditional:
            continue
        if trouble is S3Trouble.UPLOAD_GONE and operation not in _ON_AN_UPLOAD:
            continue
        fault = S3Fault(operation, rng.randint(1, requests), trouble, rng.choice((1, 1, 2, 4)))
        if fault.recoverable or not recoverable:
            found.append(fault)
    return S3FaultPlan(tuple(found))


# --- operations ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class S3Operation:
    """One request as it arrived, and what became of it.

    Args:
        name: S3's name for it.
        bucket: the bucket; empty for none.
        key: the key; empty for none.
        upload_id: id of a multipart upload, also of a created one. Empty for none.
        part_number: number of a part; None for none.
        conditional: True if it carries If-None-Match or If-Match.
        replaces: True if it carries If-Match.
        tagged: True if it carries tags.
        status: the answer, of S3 or of the fault; None where there was none.
        fault: its fault; None for none.
    """

    name: str
    bucket: str
    key: str
    upload_id: str
    part_number: int | None
    conditional: bool
    replaces: bool
    tagged: bool
    status: int | None = None
    fault: S3Fault | None = None

    @property
    def iam_actions(self) -> frozenset[str]:
        """The permissions that it needs."""
        actions = {_IAM_ACTIONS.get(self.name, f"s3:{self.name}")}
        if self.tagged:
            actions.add("s3:PutObjectTagging")
        if self.replaces:
            # The user guide, "Conditional writes": If-Match needs the right to read the object, too.
            actions.add("s3:GetObject")
        return frozenset(actions)


@dataclass(slots=True)
class _State:
    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: Counter[str] = field(default_factory=Counter)
    operations: list[S3Operation] = field(default_factory=list)
    opened: dict[str, tuple[str, str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


class S3FaultProxy:
    """Serves S3 on a port until closed; a context manager.

    It enforces three rules that moto does not. An upload that was completed or aborted is gone for every operation (404
    NoSuchUpload). Only one of two conditional writes at the same moment wins. CompleteMultipartUpload obeys If-Match as
    PutObject does: 412 PreconditionFailed to another version, 404 NoSuchKey where there is no object.

    Args:
        upstream: URL of the S3 server.
        faults: how it misbehaves.
        host: address to bind; `0.0.0.0` for callers in containers.
        port: port to bind; 0 takes a free one.
    """

    def __init__(
        self, upstream: str, faults: S3FaultPlan = NO_S3_FAULTS, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self._faults = faults
        self._state = _State()
        # moto looks whether a key is free and then writes it: two at once would both win.
        self._one_conditional_write = threading.Lock()
        front = self

        class Handler(_Handler):
            def serve(self) -> None:
                front._serve(self)

        self._server = StoppableServer((host, port), Handler, "s3-front")
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection, join every thread. May be called twice."""
        self._server.close()

    @property
    def url(self) -> str:
        """The value of `AWS_ENDPOINT_URL_S3` on this machine."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def operations(self) -> tuple[S3Operation, ...]:
        """Every request so far, in the order in which they were answered."""
        with self._state.lock:
            return tuple(self._state.operations)

    @property
    def iam_actions(self) -> frozenset[str]:
        """The permissions that all requests so far need."""
        return frozenset(action for each in self.operations for action in each.iam_actions)

    @property
    def open_uploads(self) -> dict[str, tuple[str, str]]:
        """Bucket and key of the uploads that were created here and neither completed nor aborted, by their id."""
        with self._state.lock:
            return {each: place for each, place in self._state.opened.items() if each not in self._state.gone}

    def requests(self, operation: str) -> int:
        """How often an operation was asked for; with `ANY`, how many requests there were."""
        with self._state.lock:
            return self._state.requests[operation]

    # --- one request ---

    def _serve(self, client: _Handler) -> None:
        operation = _operation(client)
        fault = self._count(operation)
        operation = replace(operation, fault=fault)
        trouble = None if fault is None else fault.trouble
        if trouble is S3Trouble.RESET:
            self._record(operation)
            reset_connection(client)
        elif trouble in _ANSWERS:
            if trouble is S3Trouble.UPLOAD_GONE:
                self._abort(operation)
            self._refuse(client, operation, trouble)
        elif self._is_gone(operation):
            self._refuse(client, operation, S3Trouble.UPLOAD_GONE)
        else:
            self._forward(client, operation, answer=trouble is None)

    def _record(self, operation: S3Operation) -> None:
        """Note a request before its answer goes out, so that the receiver of the answer finds it."""
        with self._state.lock:
            self._state.operations.append(operation)

    def _refuse(self, client: _Handler, operation: S3Operation, trouble: S3Trouble) -> None:
        status, code, message = _ANSWERS[trouble]
        self._record(replace(operation, status=status))
        client.refuse(status, code, message)

    def _count(self, operation: S3Operation) -> S3Fault | None:
        with self._state.lock:
            counts = self._state.requests
            counts[operation.name] += 1
            counts[ANY] += 1
            for fault in self._faults.faults:
                if fault.operation in {operation.name, ANY} and fault.covers(counts[fault.operation]):
                    return fault
        return None

    def _is_gone(self, operation: S3Operation) -> bool:
        if operation.name not in _ON_AN_UPLOAD:
            return False
        with self._state.lock:
            if operation.upload_id in self._state.gone or operation.upload_id in self._state.opened:
                return operation.upload_id in self._state.gone
        # Not created through this proxy: moto knows, but fails with 500 on an unknown id.
        with closing(self._connect()) as connection:
            connection.request("GET", f"/{operation.bucket}/{operation.key}?uploadId={operation.upload_id}")
            return connection.getresponse().status != 200

    def _abort(self, operation: S3Operation) -> None:
        with closing(self._connect()) as connection:
            connection.request("DELETE", f"/{operation.bucket}/{operation.key}?uploadId={operation.upload_id}")
            connection.getresponse().read()
        with self._state.lock:
            self._state.gone.add(operation.upload_id)

    def _forward(self, client: _Handler, operation: S3Operation, *, answer: bool) -> None:
        """Have a request done."""
        with closing(self._connect()) as upstream:
            with self._one_conditional_write if operation.conditional else nullcontext():
                if (refusal := self._unmet(client, operation)) is not None:
                    self._record(replace(operation, status=refusal[0]))
                    client.refuse(*refusal)
                    return
                client.send_to(upstream)
                response = upstream.getresponse()
                # Only objects are long.
                whole = None if operation.name == "GetObject" else response.read()
            operation = self._note(operation, response.status, whole or b"")
            if not answer:
                self._record(operation)
                client.close_connection = True
                return
            self._record(replace(operation, status=response.status))
            client.relay(response, whole)

    def _unmet(self, client: _Handler, operation: S3Operation) -> tuple[int, str, str] | None:
        """Return the answer to a completion in the place of a version that is not there; None where it may be done."""
        if operation.name != "CompleteMultipartUpload" or not operation.replaces:
            return None
        with closing(self._connect()) as connection:
            # moto compares no signature, and refuses an object to a request without one.
            signed = {"Authorization": client.headers.get("Authorization", "")}
            connection.request("HEAD", urlsplit(client.path).path, headers=signed)
            response = connection.getresponse()
            etag = response.getheader("ETag", "") if response.status == 200 else None
        if etag is None:
            return _ABSENT
        is_met = client.headers["If-Match"].strip('"') == etag.strip('"')
        return None if is_met else _ANSWERS[S3Trouble.PRECONDITION_FAILED]

    def _note(self, operation: S3Operation, status: int, body: bytes) -> S3Operation:
        """Keep account of the uploads."""
        done = status < 300 and b"<Error>" not in body
        with self._state.lock:
            created = _UPLOAD_ID.search(body) if operation.name == "CreateMultipartUpload" else None
            if done and created:
                operation = replace(operation, upload_id=created[1].decode())
                self._state.opened[operation.upload_id] = (operation.bucket, operation.key)
            elif done and operation.name in {"CompleteMultipartUpload", "AbortMultipartUpload"}:
                self._state.gone.add(operation.upload_id)
        return operation

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._upstream, timeout=_UPSTREAM_TIMEOUT_S)


def _operation(client: BaseHTTPRequestHandler) -> S3Operation:
    """Return the operation of a path-style request."""
    parts = urlsplit(client.path)
    query = parse_qs(parts.query, keep_blank_values=True)
    bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
    copies = "x-amz-copy-source" in client.headers
    method = client.command
    if not bucket:
        name = "ListBuckets"
    elif not key:
        name = _on_bucket(method, query)
    elif "uploadId" in query:
        part = "UploadPartCopy" if copies else "UploadPart"
        on_upload = {"PUT": part, "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
        name = on_upload.get(method, "ListParts")
    elif "uploads" in query:
        name = "CreateMultipartUpload"
    else:
        put = "CopyObject" if copies else "PutObject"
        on_object = {"PUT": put, "DELETE": "DeleteObject", "HEAD": "HeadObject", "GET": "GetObject"}
        name = on_object.get(method, method) + ("Tagging" if "tagging" in query else "")
    return S3Operation(
        name=name,
        bucket=bucket,
        key=key,
        upload_id=query.get("uploadId", [""])[0],
        part_number=int(query["partNumber"][0]) if "partNumber" in query else None,
        conditional=method in {"PUT", "POST"} and ("If-None-Match" in client.headers or "If-Match" in client.headers),
        replaces=method in {"PUT", "POST"} and "If-Match" in client.headers,
        tagged="x-amz-tagging" in client.headers,
    )


def _on_bucket(method: str, query: Iterable[str]) -> str:
    match method:
        case "GET":
            return "ListMultipartUploads" if "uploads" in query else "ListObjectsV2"
        case "POST":
            return "DeleteObjects"
        case "HEAD":
            return "HeadBucket"
        case "PUT":
            return "CreateBucket"
        case _:
            return "DeleteBucket"


# --- HTTP ------------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    """Requests on one client's connection, and the means to pass them on or to answer them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _waits_for_continue = False

    def serve(self) -> None:
        """Answer one request."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self.serve()

    def do_HEAD(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_DELETE(self) -> None:
        self.serve()

    @override
    def handle_expect_100(self) -> bool:
        # As S3 does: a request that is refused is refused before its body.
        self._waits_for_continue = True
        return True

    @override
    def parse_request(self) -> bool:
        self._waits_for_continue = False
        return super().parse_request()

    def send_to(self, upstream: http.client.HTTPConnection) -> None:
        """Pass the request on, its body piece by piece."""
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                upstream.putheader(name, value)
        upstream.putheader("Connection", "close")
        chunked = self._is_chunked()
        if chunked:
            upstream.putheader("Transfer-Encoding", "chunked")
        elif "Content-Length" in self.headers:
            upstream.putheader("Content-Length", self.headers["Content-Length"])
        upstream.endheaders()
        for piece in self._body():
            upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            upstream.send(b"0\r\n\r\n")

    def relay(self, response: http.client.HTTPResponse, whole: bytes | None) -> None:
        """Answer as the server did.

        Args:
            response: its answer.
            whole: its body; None to pass on what is still to be read of it.
        """
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = response.getheader("Content-Length")
        if whole is None and length is None:
            whole = response.read()
        if length is None or self.command != "HEAD":
            length = str(len(whole)) if whole is not None else length
        if response.status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if whole is not None:
            self.wfile.write(whole)
            return
        while piece := response.read(_PIECE):
            self.wfile.write(piece)

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer with an error of S3's shape."""
        if self._waits_for_continue:
            # The body was not asked for and will not come.
            self.close_connection = True
        else:
            for _ in self._body():
                pass
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
            "<RequestId>0000000000000000</RequestId></Error>"
        ).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("x-amz-request-id", "0000000000000000")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _is_chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def _body(self) -> Iterator[bytes]:
        """The request's body in pieces, without HTTP's own chunks; the chunks of aws-chunked are left to S3."""
        if self._waits_for_continue:
            self._waits_for_continue = False
            self.send_response_only(100)
            self.end_headers()
        if not self._is_chunked():
            yield from self._exactly(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self._line().split(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line().strip():
            pass

    def _line(self) -> bytes:
        line = self.rfile.readline()
        if not line:
            raise ConnectionResetError("the client hung up within its request")
        return line

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self.rfile.read(min(size, _PIECE))
            if not piece:
                raise ConnectionResetError("the client hung up within its request")
            size -= len(piece)
            yield piece

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: keys carry contact ids."""
