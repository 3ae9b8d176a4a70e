"""The consumer's cost as a number of function calls: a figure that the machine's load does not disturb.

*How it works.* The consumer's handler records a call as fast as it comes, with its real adapters. A profiler counts the
calls of functions, Python's and C's, as cProfile counts them. botocore's `before-send` event answers every request
but S3's, GetMedia among them. So each body arrives in pieces of one size, below urllib3 and http.client. S3 is a moto
server.
Calls of two lengths are recorded, and the difference is divided by the fragments between: start-up and end drop out.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from itertools import repeat
from random import Random
from typing import TYPE_CHECKING, Any, Final, Self, cast

import urllib3
from benchmarks.consumer_memory import directly, payload_for
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from connect_audio.adapters.aws_session import aws_session
from connect_audio.handlers import consumer
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call

if TYPE_CHECKING:
    import socket
    from types import FrameType

MOST_CALLS_PER_FRAGMENT: Final = 500
"""Function calls a fragment. It needs 487, commit a2710c3 needed 1375. Before the accounts it needed 488."""
_PIECE_BYTES: Final = 16 * 1024
"""The size of one read of the socket: three reads a fragment, as on loopback with the emulator."""
_SHORT_S: Final = 180
_LONG_S: Final = 840
"""The difference is four parts of 5 MiB."""
_ARN: Final = "arn:aws:kinesisvideo:eu-west-2:123456789012:stream/call/1"


class CountedCalls:
    """The calls of functions in this thread and in threads that start meanwhile."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _profile(self, _frame: FrameType, event: str, _argument: object) -> None:
        if event in {"call", "c_call"}:
            self.count += 1


class PiecewiseConnection(io.RawIOBase):
    """A connection on which an HTTP response arrives in pieces of one size.

    Args:
        response: all bytes of the response.
    """

    def __init__(self, response: bytes) -> None:
        self._response = memoryview(response)
        self._sock = self  # botocore sets its read timeout there

    def settimeout(self, timeout: float) -> None:
        """Accept a timeout: nothing here ever waits."""

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the buffered reader that http.client reads from."""
        assert mode == "rb"
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), _PIECE_BYTES, len(self._response))
        buffer[:size] = self._response[:size]
        self._response = self._response[size:]
        return size


def aws_response(url: str, head: str, body: bytes) -> AWSResponse:
    """Make what botocore gets from urllib3 for a response on a `PiecewiseConnection`."""
    connection = PiecewiseConnection(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)
    response = HTTPResponse(cast("socket.socket", connection), method="POST")
    response.begin()
    raw = urllib3.HTTPResponse(
        response,
        headers=dict(response.headers),
        status=200,
        preload_content=False,
        decode_content=False,
        original_response=response,
        request_method="POST",
    )
    return AWSResponse(url, 200, HTTPHeaders.from_dict(dict(response.headers)), raw)


class AnsweredRequests:
    """Kinesis Video Streams and Connect for one call that is over, without a server.

    Args:
        seconds: the call's length.
    """

    def __init__(self, seconds: float) -> None:
        noise = Random(7)
        customer, agent = noise.randbytes(40_022), noise.randbytes(40_022)
        call = SyntheticCall(customer=lambda: repeat(customer), agent=lambda: repeat(agent), seconds=seconds)
        fragments = [fragment.data for fragment in synthesize_call(call)]
        self.fragments = len(fragments)
        self._bodies = [b"".join(b"%x\r\n%b\r\n" % (len(data), data) for data in fragments)]

    def __call__(self, request: Any, event_name: str, **_: object) -> AWSResponse | None:
        """Answer a request; None leaves S3's to the network."""
        match event_name.split(".")[1:]:
            case ["kinesis-video-media", "GetMedia"]:
                body = self._bodies.pop() if self._bodies else b""
                return aws_response(request.url, "Transfer-Encoding: chunked", body + b"0\r\n\r\n")
            case ["kinesis-video", "GetDataEndpoint"]:
                answer: dict[str, Any] = {"DataEndpoint": "https://media.test"}
            case ["kinesis-video", "DescribeStream"]:
                answer = {"StreamInfo": {"DataRetentionInHours": 1}}
            case ["connect", "DescribeContact"]:
                answer = {"Contact": {"DisconnectTimestamp": 1_800_000_000}}
            case _:
                return None
        data = json.dumps(answer).encode()
        return aws_response(request.url, f"Content-Length: {len(data)}", data)


@contextmanager
def answered_by(requests: AnsweredRequests) -> Iterator[None]:
    """Let it answer the requests of the consumer's clients."""
    events: Any = aws_session().events  # its stubs know no handler that answers
    events.register("before-send", requests)
    try:
        yield
    finally:
        events.unregister("before-send", requests)


def calls_per_fragment() -> float:
    """Record the calls of both lengths, and return the function calls that one fragment costs."""
    counted: list[tuple[int, int]] = []
    for seconds in (_SHORT_S, _LONG_S):
        os.environ["RECORDINGS_PREFIX"] = f"{seconds}-s"
        requests = AnsweredRequests(seconds)
        with answered_by(requests), CountedCalls() as calls:
            outcome = directly(consumer.handler, payload_for(_ARN))
        assert (outcome["status"], round(outcome["duration_s"])) == ("complete", seconds)
        counted.append((requests.fragments, calls.count))
    (short, short_calls), (long, long_calls) = counted
    return (long_calls - short_calls) / (long - short)


def test_a_fragment_costs_a_bounded_number_of_function_calls(moto_server: str, bucket: str) -> None:
    environment = {
        "AWS_ENDPOINT_URL_S3": moto_server,
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "RECORDINGS_BUCKET": bucket,
        "DRAIN_SECONDS": "1",
        "STATUS_INTERVAL_SECONDS": "0",
        # The modules of the project and of the tests, as this process finds them.
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    # In a process of its own: other tests leave hooks behind, such as Hypothesis' on the garbage collector.
    counted = subprocess.run(
        [sys.executable, "-W", "ignore", __file__],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert counted.returncode == 0, counted.stderr
    per_fragment = float(counted.stdout.splitlines()[-1])
    assert per_fragment <= MOST_CALLS_PER_FRAGMENT, f"{per_fragment:.0f} function calls a fragment"


if __name__ == "__main__":
    sys.stdout.write(f"{calls_per_fragment()}\n")
