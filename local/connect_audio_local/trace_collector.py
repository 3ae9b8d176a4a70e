"""A collector of OpenTelemetry's traces on loopback: takes OTLP over HTTP as JSON and keeps each post.

For tests and benchmarks. One function answers every post.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from connect_audio_local.loopback_server import loopback_server, url_of


@dataclass(slots=True)
class TraceCollector:
    """The posts that came.

    Args:
        url: address of the traces.
        posts: each post's path, content type and body, in order.
    """

    url: str = ""
    posts: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def spans(self) -> list[dict[str, Any]]:
        """All spans of posts in JSON, in order."""
        resources = [each for _, _, body in self.posts for each in json.loads(body)["resourceSpans"]]
        return [span for resource in resources for scope in resource["scopeSpans"] for span in scope["spans"]]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The spans of a name."""
        return [span for span in self.spans if span["name"] == name]


def take(request: BaseHTTPRequestHandler) -> None:
    """Answer as a collector that has taken everything."""
    request.send_response_only(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", "2")
    request.end_headers()
    request.wfile.write(b"{}")


@contextmanager
def trace_collector(answer: Callable[[BaseHTTPRequestHandler], None] = take) -> Iterator[TraceCollector]:
    """Run a collector for the length of a `with` block.

    Args:
        answer: answers a post whose body is read and kept.
    """
    collector = TraceCollector()

    def serve(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        collector.posts.append((request.path, request.headers.get("Content-Type", ""), body))
        answer(request)

    server = loopback_server(serve, "trace-collector")
    collector.url = f"{url_of(server)}/v1/traces"
    try:
        yield collector
    finally:
        server.close()
