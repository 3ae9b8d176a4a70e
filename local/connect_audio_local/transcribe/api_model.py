"""Requests held against the service's own model, which boto3 carries: fields, patterns, bounds and enumerations.

boto3 itself sends names that break their pattern. The service refuses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session


def broken_rules(operation: str, request: Mapping[str, Any]) -> list[str]:
    """Return what the service's model does not allow in a request.

    Args:
        operation: the operation, such as `StartTranscriptionJob`.
        request: the request's JSON.
    """
    return list(_broken(_input(operation), request, operation))


@cache
def _input(operation: str) -> Any:
    return botocore.session.get_session().get_service_model("transcribe").operation_model(operation).input_shape


def _broken(shape: Any, value: Any, where: str) -> Iterator[str]:
    if shape.type_name == "structure":
        yield from (f"{where} lacks {name}" for name in shape.required_members if name not in value)
        yield from (f"{where} has no field {name}" for name in value if name not in shape.members)
        for name in set(value) & set(shape.members):
            yield from _broken(shape.members[name], value[name], name)
    elif shape.type_name == "list":
        yield from _out_of_bounds(shape, len(value), where)
        for each in value:
            yield from _broken(shape.member, each, where)
    elif shape.type_name == "integer":
        yield from _out_of_bounds(shape, value, where)
    elif shape.type_name == "string":
        yield from _out_of_bounds(shape, len(value), where)
        pattern = shape.metadata.get("pattern")
        if pattern is not None and not re.fullmatch(pattern, value):
            yield f"{where} breaks its pattern {pattern}"
        if shape.enum and value not in shape.enum:
            yield f"{where} is none of its values"


def _out_of_bounds(shape: Any, size: int, where: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        yield f"{where} is not between {low} and {high}"
