"""Write the service models that the functions load: botocore's own, cut down to the operations that the code calls.

Run it after an upgrade of botocore: `.venv/bin/python scripts/cut_service_models.py`. A unit test holds each file to
the botocore that is installed. The models are botocore's (Apache License 2.0); docs/adr/0014 says why they are cut.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from botocore.loaders import Loader

FOLDER: Final = Path(__file__).parents[1] / "src" / "connect_audio" / "adapters" / "service_models"

OPERATIONS: Final = {
    "connect": {"DescribeContact"},
    "events": {"PutEvents"},
    "kinesis-video-archived-media": {"GetMediaForFragmentList", "ListFragments"},
    "kinesis-video-media": {"GetMedia"},
    "kinesisvideo": {"DescribeStream", "GetDataEndpoint"},
    # The trigger invokes, and the function for contact events wakes executions. The function for ended executions gets
    # one. The durable execution SDK calls the other two in the consumer.
    "lambda": {
        "CheckpointDurableExecution",
        "GetDurableExecution",
        "GetDurableExecutionState",
        "Invoke",
        "SendDurableExecutionCallbackSuccess",
    },
    "s3": {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        # botocore itself calls this one where the bucket is a directory bucket,
        "CreateSession",
        "DeleteObject",
        "DeleteObjects",
        "GetObject",
        # and this one where the bucket lies in another region than its client.
        "HeadBucket",
        "HeadObject",
        "ListMultipartUploads",
        "ListObjectsV2",
        "PutObject",
        "UploadPart",
    },
    # The webhook sink's secret lies in one of these.
    "secretsmanager": {"GetSecretValue"},
    "ssm": {"GetParameter"},
}
"""The operations of each service that some client of the functions calls."""

MEMBERS: Final = {
    "connect": {
        "Contact": {"DisconnectTimestamp", "Id", "Recordings"},
        "RecordingInfo": {"FragmentStartNumber", "FragmentStopNumber", "Location", "MediaStreamType", "StorageType"},
    }
}
"""The members of a shape that are kept, where not all are: the rest of a contact, a caller's data, is never parsed."""

ENDPOINTS: Final = frozenset({*OPERATIONS, "sts"})
"""The services in the table of endpoints: all above, and roles on a developer's machine.

botocore names them there by endpoint prefix, which is the service's name for all of them but the media of
`kinesisvideo`.
"""


def main() -> None:
    """Write all files anew."""
    # Without ~/.aws/models, and without the extras, which botocore merges into a cut-down model as into its own.
    loader = Loader(include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH])
    for service, operations in OPERATIONS.items():
        version = loader.determine_latest_version(service, "service-2")
        target = FOLDER / service / version / "service-2.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        model = loader.load_data(f"{service}/{version}/service-2")
        target.write_text(_text(cut_down(model, operations, MEMBERS.get(service, {}))), "utf-8")
    (FOLDER / "endpoints.json").write_text(_text(cut_endpoints(loader.load_data("endpoints"))), "utf-8")


def cut_down(model: dict[str, Any], operations: set[str], members: dict[str, set[str]]) -> dict[str, Any]:
    """Cut a service model down to some operations and the shapes that these need, without the documentation.

    Args:
        model: botocore's.
        operations: the names of the operations to keep.
        members: for some shapes, the names of the members to keep; every other shape keeps all.
    """
    kept = {name: model["operations"][name] for name in sorted(operations)}
    shapes: dict[str, Any] = {}
    names = [shape for operation in kept.values() for shape in _shapes_in(operation)]
    while names:
        name = names.pop()
        if name not in shapes:
            shapes[name] = _with_members(model["shapes"][name], members.get(name))
            names += _shapes_in(shapes[name])
    # botocore reads the documentation of a client's context parameters, and of nothing else here.
    other = {key: value for key, value in model.items() if key not in {"documentation", "operations", "shapes"}}
    return {
        **other,
        "operations": _without_documentation(kept),
        "shapes": _without_documentation(dict(sorted(shapes.items()))),
    }


def cut_endpoints(table: dict[str, Any]) -> dict[str, Any]:
    """Cut the table of endpoints down to the services in `ENDPOINTS`, in all partitions and regions."""
    partitions = [
        {
            **partition,
            "services": {name: entry for name, entry in partition["services"].items() if name in ENDPOINTS},
        }
        for partition in table["partitions"]
    ]
    return {**table, "partitions": partitions}


def _with_members(shape: dict[str, Any], names: set[str] | None) -> dict[str, Any]:
    if names is None:
        return shape
    return {**shape, "members": {name: each for name, each in shape["members"].items() if name in names}}


def _shapes_in(value: Any) -> list[str]:
    """The names of the shapes that a part of a model refers to."""
    if isinstance(value, dict):
        here = [value["shape"]] if isinstance(value.get("shape"), str) else []
        return here + [name for key, each in value.items() if key != "documentation" for name in _shapes_in(each)]
    return [name for each in value for name in _shapes_in(each)] if isinstance(value, list) else []


def _without_documentation(value: Any) -> Any:
    if isinstance(value, dict):
        # A member of that name is a dict.
        return {
            key: _without_documentation(each)
            for key, each in value.items()
            if key not in {"documentation", "documentationUrl"} or isinstance(each, dict)
        }
    return [_without_documentation(each) for each in value] if isinstance(value, list) else value


def _text(document: dict[str, Any]) -> str:
    """JSON with one line for each operation, shape and service."""
    return _lines(document, "", depth=2 if "shapes" in document else 4) + "\n"


def _lines(value: Any, indent: str, *, depth: int) -> str:
    if not depth or not value or not isinstance(value, dict | list):
        return json.dumps(value, separators=(", ", ": "))
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_lines(each, inner, depth=depth - 1)}" for key, each in value.items()]
        opening, closing = "{}"
    else:
        parts = [_lines(each, inner, depth=depth - 1) for each in value]
        opening, closing = "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{closing}"


if __name__ == "__main__":
    main()
