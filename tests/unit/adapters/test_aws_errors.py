"""Which failures pass by themselves and which a human has to mend."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError

from connect_audio.adapters.aws_errors import failure_of

URL = "https://example.invalid/"


@pytest.mark.parametrize(
    "exc",
    [
        EndpointConnectionError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        SSLError(endpoint_url=URL, error=OSError("handshake")),
        ProtocolError("Connection broken"),
    ],
)
def test_below_http_everything_is_one_code_and_may_pass(exc: Exception) -> None:
    failure = failure_of(exc)
    assert (failure.code, failure.retryable) == ("ConnectionError", True)
    assert type(exc).__name__ in failure.message


@pytest.mark.parametrize(
    ("exc", "retryable"),
    [
        (CredentialRetrievalError(provider="container-role", error_msg="busy"), True),
        (ResponseParserError("no XML"), True),
        (NoCredentialsError(), False),
        (NoRegionError(), False),
    ],
)
def test_the_sdks_own_failures_are_named_after_their_exception(exc: Exception, *, retryable: bool) -> None:
    failure = failure_of(exc)
    assert (failure.code, failure.retryable) == (type(exc).__name__, retryable)


def test_refused_parameters_are_not_quoted() -> None:
    failure = failure_of(ParamValidationError(report="Invalid value for +441632960000"))
    assert failure.message == "the SDK refused the parameters"
    assert not failure.retryable


def test_a_message_is_one_line_of_bounded_length_with_the_request_id() -> None:
    error = ClientError(
        {
            "Error": {"Code": "AccessDenied", "Message": "not\nallowed"},
            "ResponseMetadata": {"HTTPStatusCode": 403, "RequestId": "r-1"},  # type: ignore[typeddict-item]  # the rest is optional on the wire
        },
        "GetMedia",
    )
    assert failure_of(error).message == "not allowed (HTTP 403, request r-1)"
    assert len(failure_of(ResponseParserError("x" * 1000)).message) == 300
