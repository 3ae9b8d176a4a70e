"""A front end that speaks Lambda's Invoke for a durable function: what the trigger calls in the demo and in tests.

It enforces the rules of the service: qualified names, `InvocationType=Event`, execution names that are idempotent with
the same payload and refused with another, payload limits. The caller's `on_start` runs at a start.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
import uuid
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from connect_audio_local.stoppable_server import StoppableServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# botocore's model of lambda 2015-03-31: operation Invoke, shapes NamespacedFunctionName and DurableExecutionName.
_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_CALLBACK = re.compile(r"/2025-12-01/durable-execution-callbacks/([^/]+)/succeed")
_EXECUTION = re.compile(r"/2025-12-01/durable-executions/([^/]+)")
_CONFIGURATION = re.compile(r"/2015-03-31/functions/[^/]+/configuration")
_FUNCTION = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?(?P<name>[a-zA-Z0-9-_.]{1,64})(?::(?P<qualifier>[^:]+))?"
)
_EXECUTION_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}", re.ASCII)
_MAX_PAYLOAD = 1024 * 1024  # asynchronous invocations: 1 MB (Lambda, API_Invoke)
_ACCOUNT, _REGION = "123456789012", "eu-west-2"


@dataclass(frozen=True, slots=True)
class Invocation:
    """One Invoke as it arrived.

    Args:
        function: function name.
        qualifier: version or alias.
        invocation_type: `X-Amz-Invocation-Type`.
        execution_name: `X-Amz-Durable-Execution-Name`, empty where there was none.
        payload: the body.
    """

    function: str
    qualifier: str
    invocation_type: str
    execution_name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer in Lambda's shape.

    Args:
        status: HTTP status.
        code: error code, for example `TooManyRequestsException`.
        message: its text.
    """

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class EndedExecution:
    """An execution that is over, and whose input the service still keeps.

    Args:
        arn: `…:function:NAME:VERSION/durable-execution/EXECUTION/ID`.
        status: the service's word for its end.
        payload: its input, JSON.
        started_ms: its start, ms since the epoch.
        ended_ms: its end, ms since the epoch.
    """

    arn: str
    status: str
    payload: Any
    started_ms: int
    ended_ms: int

    def as_json(self) -> dict[str, Any]:
        """The answer of GetDurableExecution, with the execution's data."""
        function, _, path = self.arn.partition("/durable-execution/")
        return {
            "DurableExecutionArn": self.arn,
            "DurableExecutionName": path.partition("/")[0],
            "FunctionArn": function,
            "InputPayload": json.dumps(self.payload),
            "StartTimestamp": self.started_ms / 1000,
            "EndTimestamp": self.ended_ms / 1000,
            "Status": self.status,
            "Version": function.rpartition(":")[2],
            "ExecutionDataIncluded": True,
        }


@dataclass(slots=True)
class _State:
    lock: threading.Lock = field(default_factory=threading.Lock)
    executions: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    invocations: list[Invocation] = field(default_factory=list)
    refusals: deque[Refusal] = field(default_factory=deque)
    lost_answers: int = 0
    connections: int = 0


class LambdaFront:
    """Serves Invoke on a loopback port until closed; a context manager.

    Args:
        on_start: called with execution name and decoded payload, once for each new execution, before the answer goes
            out. It must hand long work to a thread of its own: the caller waits.
        functions: names that exist, each with its qualifiers; any other is `ResourceNotFoundException`.
        handlers: functions that are not durable, by name: a RequestResponse is answered with what they return.
        host: address to bind; `0.0.0.0` for containers.
        port: port to bind, 0 for any free one.
        durable_url: address of a durable engine that answers requests about executions; without one they are refused.
        environment: the functions' variables, which GetFunctionConfiguration answers.
        on_callback: gets a callback's id and its result; returns False if no execution waits for it.
        ended: executions of before, which GetDurableExecution shows. The durable engine, if there is one, shows others.
    """

    def __init__(
        self,
        on_start: Callable[[str, Any], None],
        *,
        functions: dict[str, set[str]] | None = None,
        handlers: Mapping[str, Callable[[Any], Any]] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        durable_url: str | None = None,
        environment: Mapping[str, str] | None = None,
        on_callback: Callable[[str, bytes], bool] = lambda _id, _result: False,
        ended: Sequence[EndedExecution] = (),
    ) -> None:
        kept = {each.arn: each for each in ended}
        self._on_callback = on_callback
        self._state = _State()
        self._on_start = on_start
        self._functions = {"consumer": {"live"}} if functions is None else functions
        self._handlers = dict(handlers or {})
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                with front._state.lock:
                    front._state.connections += 1
                super().setup()

            def do_POST(self) -> None:
                front._serve(self)

            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                execution = _EXECUTION.fullmatch(path)
                if _CONFIGURATION.fullmatch(path):
                    _answer_json(self, {"Environment": {"Variables": dict(environment or {})}})
                elif execution is not None and unquote(execution[1]) in kept:
                    _answer_json(self, kept[unquote(execution[1])].as_json())
                elif execution is not None and durable_url is None:
                    _refuse(self, Refusal(404, "ResourceNotFoundException", "there is no such execution"))
                elif durable_url is None:
                    _refuse(self, _NO_ENGINE)
                else:
                    _pass_on(self, durable_url)

            def log_message(self, *_args: object) -> None:
                """Stay silent: a demo's output is its own."""

        self._server = StoppableServer((host, port), Handler, "lambda-front")
        self._server.start()

    @property
    def url(self) -> str:
        """The value of `AWS_ENDPOINT_URL_LAMBDA`."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def invocations(self) -> list[Invocation]:
        """Every well-formed Invoke that arrived, refused ones included, in order."""
        with self._state.lock:
            return list(self._state.invocations)

    @property
    def executions(self) -> dict[str, Any]:
        """Decoded payloads of the executions started, by name."""
        with self._state.lock:
            return {name: json.loads(payload) for name, (payload, _) in self._state.executions.items()}

    @property
    def connections(self) -> int:
        """How many connections clients have opened."""
        with self._state.lock:
            return self._state.connections

    def refuse_next(self, refusal: Refusal, times: int = 1) -> None:
        """Answer the next requests with an error and start nothing."""
        with self._state.lock:
            self._state.refusals.extend([refusal] * times)

    def lose_next_answers(self, times: int = 1) -> None:
        """Do what the next requests ask, then close their connections without an answer."""
        with self._state.lock:
            self._state.lost_answers += times

    def close(self) -> None:
        """Stop serving, and end the connections that clients still hold. May be called twice."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _serve(self, http: BaseHTTPRequestHandler) -> None:
        callback = _CALLBACK.fullmatch(urlsplit(http.path).path)
        if callback is not None:
            result = http.rfile.read(int(http.headers.get("Content-Length", "0")))
            if self._on_callback(unquote(callback[1]), result):
                _answer(http, 200, b"", {})
            else:
                _refuse(http, Refusal(400, "CallbackTimeoutException", "no execution waits for this callback"))
            return
        invocation = _read(http)
        if isinstance(invocation, Refusal):
            _refuse(http, invocation)
            return
        if invocation.function in self._handlers:
            self._call(http, invocation)
            return
        with self._state.lock:
            self._state.invocations.append(invocation)
            answer = self._state.refusals.popleft() if self._state.refusals else self._start(invocation)
            lost = self._state.lost_answers > 0
            self._state.lost_answers -= lost
        if lost:
            http.close_connection = True
        elif isinstance(answer, Refusal):
            _refuse(http, answer)
        else:
            _answer(http, 202, b"", {"X-Amz-Durable-Execution-Arn": answer, "X-Amz-Executed-Version": "1"})

    def _call(self, http: BaseHTTPRequestHandler, invocation: Invocation) -> None:
        """Answer with what a function returns; its exception is the function's error, as in the service."""
        if invocation.invocation_type != "RequestResponse":
            _refuse(http, Refusal(400, "InvalidParameterValueException", "this function answers RequestResponse alone"))
            return
        try:
            event = json.loads(invocation.payload or b"null")
        except ValueError:
            _refuse(http, Refusal(400, "InvalidRequestContentException", "Could not parse request body into json"))
            return
        headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": "$LATEST"}
        try:
            answer = self._handlers[invocation.function](event)
        except Exception as error:  # noqa: BLE001 - the service answers any exception so
            answer = {"errorMessage": str(error), "errorType": type(error).__name__}
            headers["X-Amz-Function-Error"] = "Unhandled"
        _answer(http, 200, json.dumps(answer).encode(), headers)

    def _start(self, invocation: Invocation) -> str | Refusal:
        refusal = self._objection(invocation)
        if refusal:
            return refusal
        # Without a name the service makes one up, and nothing is idempotent.
        name = invocation.execution_name or str(uuid.uuid4())
        known = self._state.executions.get(name)
        if known:
            if known[0] == invocation.payload:
                return known[1]
            return Refusal(
                409, "DurableExecutionAlreadyStartedException", f"Durable execution {name} has already been started"
            )
        arn = (
            f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:function:{invocation.function}:1"
            f"/durable-execution/{name}/{uuid.uuid4()}"
        )
        self._on_start(name, json.loads(invocation.payload))
        self._state.executions[name] = (invocation.payload, arn)
        return arn

    def _objection(self, invocation: Invocation) -> Refusal | None:
        qualifiers = self._functions.get(invocation.function)
        if qualifiers is None:
            return Refusal(404, "ResourceNotFoundException", f"Function not found: {invocation.function}")
        if not invocation.qualifier:
            return Refusal(
                400,
                "InvalidParameterValueException",
                "You cannot invoke a durable function using an unqualified ARN.",
            )
        if invocation.qualifier not in qualifiers:
            return Refusal(
                404,
                "ResourceNotFoundException",
                f"Function not found: {invocation.function}:{invocation.qualifier}",
            )
        if invocation.invocation_type != "Event":
            return Refusal(
                400,
                "InvalidParameterValueException",
                "An execution that may last longer than 15 minutes starts by InvocationType Event alone.",
            )
        if invocation.execution_name and not _EXECUTION_NAME.fullmatch(invocation.execution_name):
            return Refusal(400, "InvalidParameterValueException", "The execution name is not [a-zA-Z0-9-_]{1,64}.")
        if len(invocation.payload) > _MAX_PAYLOAD:
            return Refusal(413, "RequestTooLargeException", f"{len(invocation.payload)} byte payload is too large")
        try:
            json.loads(invocation.payload)
        except ValueError:
            return Refusal(400, "InvalidRequestContentException", "Could not parse request body into json")
        return None


def _read(http: BaseHTTPRequestHandler) -> Invocation | Refusal:
    payload = http.rfile.read(int(http.headers.get("Content-Length", "0")))
    parts = urlsplit(http.path)
    path = _PATH.fullmatch(parts.path)
    function = _FUNCTION.fullmatch(unquote(path[1])) if path else None
    if function is None:
        return Refusal(404, "UnknownOperationException", "this front end knows POST …/functions/NAME/invocations alone")
    query = parse_qs(parts.query)
    return Invocation(
        function=function["name"],
        qualifier=function["qualifier"] or query.get("Qualifier", [""])[0],
        invocation_type=http.headers.get("X-Amz-Invocation-Type", "RequestResponse"),
        execution_name=http.headers.get("X-Amz-Durable-Execution-Name", ""),
        payload=payload,
    )


def _refuse(http: BaseHTTPRequestHandler, refusal: Refusal) -> None:
    body = json.dumps({"Type": "User" if refusal.status < 500 else "Service", "Message": refusal.message}).encode()
    _answer(http, refusal.status, body, {"x-amzn-ErrorType": refusal.code, "Content-Type": "application/json"})


_NO_ENGINE = Refusal(404, "UnknownOperationException", "this front end knows no durable engine to ask")


def _pass_on(http: BaseHTTPRequestHandler, url: str) -> None:
    """Let the durable engine answer a question about its executions."""
    # The engine knows functions by name alone, Lambda by ARN as well.
    path = re.sub(r"/functions/arn[^/]*%3Afunction%3A", "/functions/", http.path)
    try:
        with urllib.request.urlopen(url + path, timeout=60) as answer:  # noqa: S310 - a loopback URL
            _answer(http, answer.status, answer.read(), {"Content-Type": "application/json"})
    except urllib.error.HTTPError as error:
        with error:
            _answer(http, error.code, error.read(), {"Content-Type": "application/json"})


def _answer_json(http: BaseHTTPRequestHandler, document: object) -> None:
    _answer(http, 200, json.dumps(document).encode(), {"Content-Type": "application/json"})


def _answer(http: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    http.send_response(status)
    for name, value in headers.items():
        http.send_header(name, value)
    http.send_header("x-amzn-RequestId", str(uuid.uuid4()))
    http.send_header("Content-Length", str(len(body)))
    http.end_headers()
    http.wfile.write(body)
