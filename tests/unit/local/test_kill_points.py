"""What the chaos tests rely on: that a kill happens where the schedule says, and nowhere else."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import RemoteDisconnected
from http.server import BaseHTTPRequestHandler

import pytest

from connect_audio_local.lambda_.kill_points import (
    Crossing,
    Gate,
    GatedProxy,
    Kill,
    Moment,
    engine_operation,
    s3_operation,
)
from connect_audio_local.loopback_server import loopback_server, url_of

KEY = "/recordings/recordings/2026/07/01/contact_20260701T133054.536Z"


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("PUT", f"{KEY}.wav.claim", "s3:PutObject wav.claim"),
        ("PUT", f"{KEY}.wav.staging/part-00001-00001-ab.pcm", "s3:PutObject wav.staging"),
        ("PUT", f"{KEY}.json", "s3:PutObject json"),
        ("HEAD", f"{KEY}.wav", "s3:HeadObject wav"),
        ("GET", f"{KEY}.wav.claim", "s3:GetObject wav.claim"),
        ("POST", f"{KEY}.wav?uploads", "s3:CreateMultipartUpload"),
        ("PUT", f"{KEY}.wav?uploadId=x&partNumber=3", "s3:UploadPart 3"),
        ("POST", f"{KEY}.wav?uploadId=x", "s3:CompleteMultipartUpload"),
        ("DELETE", f"{KEY}.wav?uploadId=x", "s3:AbortMultipartUpload"),
        ("DELETE", f"{KEY}.wav.claim", "s3:DeleteObject wav.claim"),
        ("GET", "/recordings?uploads&prefix=x", "s3:ListMultipartUploads"),
        ("GET", "/recordings?list-type=2&prefix=x", "s3:ListObjectsV2"),
        ("POST", "/recordings?delete", "s3:DeleteObjects"),
    ],
)
def test_a_request_to_s3_is_named_by_operation_and_kind_of_key(method: str, path: str, name: str) -> None:
    assert s3_operation(method, path, b"") == name


def test_a_checkpoint_is_named_by_what_it_tells() -> None:
    updates = [{"Action": "START", "Name": "claim"}, {"Action": "SUCCEED", "Name": "claim"}]
    body = json.dumps({"Updates": updates}).encode()
    path = "/2025-12-01/durable-executions/arn/checkpoint"
    assert engine_operation("POST", path, body) == "engine:checkpoint START claim + SUCCEED claim"
    assert engine_operation("GET", "/2025-12-01/durable-executions/arn/state", b"") == "engine:state"


def test_only_the_nth_crossing_of_the_pattern_kills_and_it_kills_the_process_that_asked() -> None:
    dead: list[int | None] = []

    def kill(number: int | None) -> bool:
        dead.append(number)
        return True

    gate = Gate(kill)
    gate.arm(Kill("s3:UploadPart *", 2, Moment.BEFORE))
    crossings = [Crossing("s3:UploadPart 2", 1), Crossing("s3:HeadObject wav", 1), Crossing("s3:UploadPart 3", 7)]
    assert [gate.cross(each) for each in crossings] == [None, None, Moment.BEFORE]
    assert dead == [7]
    assert gate.cross(Crossing("s3:UploadPart 3", 8)) is None


def test_a_process_that_is_gone_already_is_not_counted_as_killed() -> None:
    gate = Gate(lambda _number: False)
    gate.arm(Kill("*", 1, Moment.BEFORE))
    assert gate.cross(Crossing("s3:HeadObject wav", 1)) is None
    assert gate.killed == []


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (Moment.BEFORE, ["dies"]),
        (Moment.AFTER, ["arrives", "dies"]),
        (Moment.LATE, ["dies", "arrives"]),
    ],
)
def test_what_a_killed_process_asked_arrives_or_not_as_the_moment_says_and_it_gets_no_answer(
    moment: Moment, expected: list[str]
) -> None:
    order: list[str] = []

    def serve(request: BaseHTTPRequestHandler) -> None:
        order.append("arrives")
        request.send_response_only(200)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def kill(_number: int | None) -> bool:
        order.append("dies")
        return True

    gate = Gate(kill)
    upstream = loopback_server(serve, "upstream")
    try:
        with GatedProxy(url_of(upstream), gate, s3_operation) as proxy:
            gate.arm(Kill("s3:*", 1, moment))
            with pytest.raises((RemoteDisconnected, urllib.error.URLError)):
                urllib.request.urlopen(f"{proxy.url}{KEY}.wav", timeout=10)  # noqa: S310 - a loopback URL
            gate.settle()
    finally:
        upstream.close()
    assert order == expected
