"""Stands before a service and notes what is asked of it, as operations of botocore's own models.

The service is the one that the request is signed for; the operation is the one whose method and path, or whose target
header, the model gives. So what is noted is what left the function, whatever the code calls it.
"""

from __future__ import annotations

import http.client
import re
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Self
from urllib.parse import urlsplit

import botocore.session

from connect_audio_local.loopback_server import loopback_server, url_of

_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})
_SIGNED_FOR: Final = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")


class WireRecord:
    """A server that forwards to another one; a context manager.

    Args:
        upstream: URL of the other one.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self._operations: set[tuple[str, str]] = set()
        self._server = loopback_server(self._serve, "wire-record")

    @property
    def url(self) -> str:
        return url_of(self._server)

    @property
    def operations(self) -> set[tuple[str, str]]:
        """Signing names and operations so far."""
        with self._lock:
            return set(self._operations)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self, client: BaseHTTPRequestHandler) -> None:
        length = int(client.headers.get("Content-Length") or 0)
        body = client.rfile.read(length)
        signed = _SIGNED_FOR.search(client.headers.get("Authorization", ""))
        service = signed[1] if signed else "unsigned"
        operation = operation_of(service, client.command, client.path, client.headers.get("X-Amz-Target", ""))
        with self._lock:
            self._operations.add((service, operation))
        # Without the caller's Host, so that GetDataEndpoint names the emulator itself: media goes past here.
        headers = {name: value for name, value in client.headers.items() if name.lower() not in _HOP_BY_HOP}
        connection = http.client.HTTPConnection(urlsplit(self._upstream).netloc, timeout=60)
        try:
            connection.request(client.command, client.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except (http.client.HTTPException, OSError):
            client.close_connection = True
            return
        finally:
            connection.close()
        client.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                client.send_header(name, value)
        client.send_header("Content-Length", str(len(content)))
        client.end_headers()
        client.wfile.write(content)


def operation_of(service: str, method: str, path: str, target: str) -> str:
    """Name a request after botocore's model of the service that it is signed for.

    Raises:
        AssertionError: no operation of the service, or more than one, fits.
    """
    if target:
        return target.rsplit(".", 1)[-1]
    plain = urlsplit(path).path
    found = [name for name, verb, pattern in _routes(service) if verb == method and pattern.fullmatch(plain)]
    assert len(found) == 1, f"{method} {path} of {service} is {found or 'no operation'}"
    return found[0]


@cache
def _routes(service: str) -> list[tuple[str, str, re.Pattern[str]]]:
    model: Any = botocore.session.get_session().get_service_model(service)
    routes = []
    for name in model.operation_names:
        about = model.operation_model(name).http
        parts = re.split(r"\{(\w+\+?)\}", about["requestUri"].partition("?")[0])
        # Every other part is a label; in all but one with a plus slashes are encoded.
        labels = {True: ".+", False: "[^/]+"}
        pattern = "".join(
            re.escape(part) if at % 2 == 0 else labels[part.endswith("+")] for at, part in enumerate(parts)
        )
        routes.append((name, about["method"], re.compile(pattern)))
    return routes
