"""Every field of a JSON document and of its schema, as `a.b[].c`: what tests of documented formats compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def paths_of_value(value: Any, at: str = "") -> Iterator[str]:
    """Every field that a document has.

    Args:
        value: the document.
        at: where it stands.
    """
    if isinstance(value, Mapping):
        for name, child in value.items():
            path = f"{at}.{name}" if at else name
            yield path
            yield from paths_of_value(child, path)
    elif isinstance(value, list):
        for child in value:
            yield from paths_of_value(child, f"{at}[]")


def paths_of_schema(schema: Mapping[str, Any], whole: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Every field that a JSON Schema names.

    Args:
        schema: the schema, or a part of one.
        whole: the one that its references are of.
        at: where it stands.
    """
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    for name, child in schema.get("properties", {}).items():
        path = f"{at}.{name}" if at else name
        yield path
        yield from paths_of_schema(child, whole, path)
    if "items" in schema:
        yield from paths_of_schema(schema["items"], whole, f"{at}[]")
