"""A stand-in for AWS at the socket: answers any operation of the services that the doctor asks, from a table.

Each answer is held against botocore's model of the operation and written in the service's own protocol, so a wrong name
or type in a test's table fails the test. Requests are told apart as the services do: by target, action or path.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import botocore.session
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

from support.wire_server import Exchange, Request

type Answer = Mapping[str, Any] | Refusal | threading.Event | list[Mapping[str, Any] | Refusal]
type Answers = Mapping[str, Answer]

_SERVICES: Final = {
    "cloudformation": "cloudformation",
    "connect": "connect",
    "events": "events",
    "iam": "iam",
    "kinesisvideo": "kinesisvideo",
    "kms": "kms",
    "lambda": "lambda",
    "monitoring": "cloudwatch",
    "s3": "s3",
    "servicequotas": "service-quotas",
    "sqs": "sqs",
    "sts": "sts",
}
"""Names of the models by the service's name in a signature."""


@cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(_SERVICES[service])


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of AWS.

    Args:
        code: AWS's code.
        message: AWS's message.
        status: HTTP status.
    """

    code: str
    message: str = "no"
    status: int = 400


DENIED: Final = Refusal("AccessDeniedException", "not authorized", 403)


@dataclass
class AwsAnswers:
    """Handler of a wire server; `answers` may change between requests.

    Args:
        answers: `service:Operation` to its answer. An event holds the answer up until it is set; a list has an
            answer for each request.
        asked: operations that were asked, in order.
    """

    answers: dict[str, Answer]
    asked: list[str] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        try:
            self._answer(exchange)
        except Exception:
            # The client would wait for its time limit, and the test with it.
            exchange.cut()
            raise

    def _answer(self, exchange: Exchange) -> None:
        service = _service(exchange.request)
        operation = _operation(service, exchange.request)
        name = f"{service}:{operation}"
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, threading.Event):
            answer.wait(10)
            exchange.cut()
        elif isinstance(answer, Refusal):
            _refuse(exchange, service, answer)
        else:
            _respond(exchange, service, operation, answer)


def _service(request: Request) -> str:
    found = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request.headers["authorization"])
    assert found
    return found[1]


def _operation(service: str, request: Request) -> str:
    if target := request.headers.get("x-amz-target"):
        return target.rpartition(".")[2]
    if request.body.startswith(b"Action="):
        return parse_qs(request.body.decode())["Action"][0]
    return next(name for name, fits in _routes(service) if fits(request))


@cache
def _routes(service: str) -> list[tuple[str, Callable[[Request], bool]]]:
    return list(_listed_routes(service))


def _listed_routes(service: str) -> Iterator[tuple[str, Callable[[Request], bool]]]:
    model = _model(service)
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/?]+", path.rstrip("/")))

        def fits(
            request: Request, method: str = http["method"], pattern: re.Pattern[str] = pattern, query: str = query
        ) -> bool:
            asked = urlsplit(request.path)
            return (
                request.method == method
                and pattern.fullmatch(asked.path.rstrip("/")) is not None
                and (not query or query in asked.query)
            )

        # S3 has two operations on a path where one has replaced the other; only queries are asked of it here.
        if service != "s3" or (query and not model.operation_model(name).deprecated):
            yield name, fits


def _respond(exchange: Exchange, service: str, operation: str, answer: Mapping[str, Any]) -> None:
    model = _model(service).operation_model(operation)
    shape = model.output_shape
    assert shape is not None
    report = ParamValidator().validate(dict(answer), shape)
    assert not report.has_errors(), report.generate_report()
    protocol = _model(service).resolved_protocol
    if protocol in {"query", "rest-xml"}:
        serializer = get_serializer_class(service, protocol)(get_service_model(service).operation_model(operation))
        body = serializer.serialize(answer)["body"]
        exchange.respond(200, body if isinstance(body, bytes) else body.encode(), content_type="text/xml")
    else:
        exchange.respond(200, json.dumps(answer, default=_seconds).encode(), content_type="application/json")


def _seconds(value: datetime) -> float:
    return value.timestamp()


def _refuse(exchange: Exchange, service: str, refusal: Refusal) -> None:
    protocol = _model(service).resolved_protocol
    if protocol in {"query", "rest-xml"}:
        error = f"<Error><Type>Sender</Type><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
        body = f"<ErrorResponse>{error}</ErrorResponse>" if protocol == "query" else error
        exchange.respond(refusal.status, body.encode(), content_type="text/xml")
    else:
        body = json.dumps({"__type": refusal.code, "message": refusal.message, "Message": refusal.message})
        exchange.respond(refusal.status, body.encode(), content_type="application/json", x_amzn_errortype=refusal.code)
