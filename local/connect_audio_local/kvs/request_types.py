"""The types of a request's members: what the service checks before any operation sees the request.

A body that is no JSON object, or a member of another type, is a SerializationException (400), whatever the operation.
Names and types come from botocore's models, which a test compares. The texts are the ones that clients of AWS's JSON
services have met.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from connect_audio_local.kvs.service_error import ServiceError

type Shape = str | Mapping[str, "Shape"] | list["Shape"]
"""A member: the name of a simple type, the members of a structure, or the one type of a list's items."""

_STREAM: Final[Mapping[str, Shape]] = {"StreamName": "string", "StreamARN": "string"}
_RANGE: Final[Mapping[str, Shape]] = {"StartTimestamp": "timestamp", "EndTimestamp": "timestamp"}
REQUESTS: Final[Mapping[str, Mapping[str, Shape]]] = {
    "DescribeStream": _STREAM,
    "ListStreams": {
        "MaxResults": "integer",
        "NextToken": "string",
        "StreamNameCondition": {"ComparisonOperator": "string", "ComparisonValue": "string"},
    },
    "GetDataEndpoint": {**_STREAM, "APIName": "string"},
    "GetMedia": {
        **_STREAM,
        "StartSelector": {
            "StartSelectorType": "string",
            "AfterFragmentNumber": "string",
            "StartTimestamp": "timestamp",
            "ContinuationToken": "string",
        },
    },
    "ListFragments": {
        **_STREAM,
        "MaxResults": "long",
        "NextToken": "string",
        "FragmentSelector": {"FragmentSelectorType": "string", "TimestampRange": _RANGE},
    },
    "GetMediaForFragmentList": {**_STREAM, "Fragments": ["string"]},
}
"""The members of each operation's request."""

_SIMPLE: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "string": ((str,), "a String"),
    "integer": ((int,), "an Integer"),
    "long": ((int,), "a Long"),
    "timestamp": ((int, float), "milliseconds since epoch"),
}


def read_request(body: bytes) -> dict[str, Any]:
    """Return the members of a request; none for an empty body.

    Raises:
        ServiceError: SerializationException: the body is no JSON object.
    """
    try:
        fields = json.loads(body or b"{}")
    except ValueError as error:
        raise _serialization("the request is no JSON") from error
    if not isinstance(fields, dict):
        raise _serialization("the request is no JSON object")
    return fields


def checked(operation: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that the operation knows and that are not null.

    Raises:
        ServiceError: SerializationException: a member of another type.
    """
    return _structure(fields, REQUESTS[operation])


def _structure(value: Mapping[str, Any], members: Mapping[str, Shape]) -> dict[str, Any]:
    return {name: _member(value[name], shape) for name, shape in members.items() if value.get(name) is not None}


def _member(value: Any, shape: Shape) -> Any:
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            raise _serialization("Unexpected field type: a structure is expected")
        return _structure(value, shape)
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise _serialization("Unexpected field type: a list is expected")
        return [_member(each, shape[0]) for each in value]
    types, name = _SIMPLE[shape]
    if isinstance(value, dict):
        raise _serialization("Start of structure or map found where not expected.")
    if isinstance(value, list):
        raise _serialization("Start of list found where not expected")
    if isinstance(value, bool) or not isinstance(value, types):
        raise _serialization(f"{_kind(value)} can not be converted to {name}")
    return value


def _kind(value: Any) -> str:
    match value:
        case True:
            return "TRUE_VALUE"
        case False:
            return "FALSE_VALUE"
        case str():
            return "STRING_VALUE"
        case float():
            return "DECIMAL_VALUE"
        case None:
            return "NULL_VALUE"
        case _:
            return "NUMBER_VALUE"


def _serialization(message: str) -> ServiceError:
    return ServiceError("SerializationException", 400, message)
