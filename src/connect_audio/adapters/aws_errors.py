"""Makes of a failed AWS call its code, a message fit for logs, and the chance of another attempt.

The one place that knows botocore's and urllib3's exception trees; every adapter translates its failures through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

# All that a call may raise, and a read of its body (urllib3 below botocore's StreamingBody).
AWS_EXCEPTIONS: Final = (ClientError, BotoCoreError, ResponseParserError, HTTPError)

CONNECTION_ERROR: Final = "ConnectionError"

# Below HTTP, or a body shorter than announced: another connection may do better.
_NETWORK: Final = (HTTPClientError, BotoConnectionError, IncompleteReadError, HTTPError)
# These pass by themselves: credentials not served just now, bytes spoilt on the way, an answer that is no answer.
_PASSING: Final = (CredentialRetrievalError, MetadataRetrievalError, FlexibleChecksumError, ResponseParserError)

# Codes that pass by themselves although their HTTP status is below 500. The throttles are botocore's own list
# (botocore.retries.standard); S3 and the signature check give the remaining codes.
_PASSING_CODES: Final = frozenset(
    {
        "BadDigest",
        "BandwidthLimitExceeded",
        "ClientLimitExceededException",
        "ConditionalRequestConflict",
        "ConnectionLimitExceededException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteBody",
        "InvalidEndpointException",
        "KMS.ThrottlingException",
        "LimitExceededException",
        "OperationAborted",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestExpired",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_PASSING_SERVER_CODES: Final = frozenset({"InternalError", "ServiceUnavailable"})
_LONGEST_MESSAGE: Final = 300


@dataclass(frozen=True, slots=True)
class AwsFailure:
    """A failed call.

    Args:
        code: AWS's error code, `ConnectionError` below HTTP, else the name of the SDK's exception.
        message: the message of the service or the SDK, one line of at most 300 characters.
        retryable: true if the same call may succeed later without an operator's help.
    """

    code: str
    message: str
    retryable: bool


def failure_of(exc: Exception) -> AwsFailure:
    """Judge one of `AWS_EXCEPTIONS`."""
    if isinstance(exc, ClientError):
        return _answered(exc)
    if isinstance(exc, ParamValidationError):
        # Its message quotes the values, which may be anything.
        return AwsFailure(type(exc).__name__, "the SDK refused the parameters", retryable=False)
    if isinstance(exc, _NETWORK):
        return AwsFailure(CONNECTION_ERROR, _one_line(f"{type(exc).__name__}: {exc}"), retryable=True)
    return AwsFailure(type(exc).__name__, _one_line(str(exc)), retryable=isinstance(exc, _PASSING))


def passes(code: str) -> bool:
    """Return true for a code that passes by itself. For codes without an HTTP status, as in DeleteObjects' answer."""
    return code in _PASSING_CODES or code in _PASSING_SERVER_CODES


def _answered(exc: ClientError) -> AwsFailure:
    response: Any = exc.response
    error = response.get("Error", {})
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    code = str(error.get("Code") or status)
    if code.isdigit():
        # The KVS API reference names this header; botocore reads only its usual spelling, x-amzn-ErrorType.
        named = metadata.get("HTTPHeaders", {}).get("x-amz-errortype", "")
        code = named.partition(":")[0].rpartition("#")[2] or code
    request_id = metadata.get("RequestId", "")
    message = _one_line(f"{error.get('Message', '')} (HTTP {status}, request {request_id or 'id unknown'})".strip())
    return AwsFailure(code, message, retryable=status >= 500 or status == 429 or code in _PASSING_CODES)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 3] + "..."
