"""Step Functions on loopback: moto's engine, whose Lambda calls come back to functions of this process.

The engine calls S3 and Lambda at `localhost:$MOTO_PORT`, and moto's own Lambda needs containers. So that port is a
proxy: it answers an invocation itself and hands everything else to moto.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any, Final
from urllib.parse import unquote

from connect_audio_local.child_process import child_with_port
from connect_audio_local.loopback_server import loopback_server
from connect_audio_local.stoppable_server import StoppableServer

_INVOCATION: Final = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)/invocations")
_MOTO: Final = """
import logging, os, sys
os.environ["MOTO_PORT"] = sys.argv[1]
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer
default_user_config["stepfunctions"] = {"execute_state_machine": True}
logging.disable(logging.CRITICAL)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
os._exit(0)
"""
type Function = Callable[[Any], Any]


class StateMachineCloud:
    """moto's S3 and Step Functions, and functions by name.

    Args:
        functions: the functions.
    """

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions
        self._lock = threading.Lock()
        self.invocations: dict[str, int] = dict.fromkeys(functions, 0)
        self.moto_port = 0
        self._server: StoppableServer = loopback_server(self._serve, "state-machine-proxy")

    @property
    def url(self) -> str:
        """Address of moto."""
        return f"http://127.0.0.1:{self.moto_port}"

    @property
    def port(self) -> int:
        """Port that the engine calls."""
        return self._server.server_address[1]

    def close(self) -> None:
        """End the proxy."""
        self._server.close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = _body(request)
        if found := _INVOCATION.fullmatch(request.path.split("?")[0]):
            self._invoke(request, unquote(found["name"]).split(":function:")[-1].split(":")[0], body)
            return
        with closing(HTTPConnection("127.0.0.1", self.moto_port, timeout=60)) as moto:
            headers = {name: value for name, value in request.headers.items() if name.lower() != "transfer-encoding"}
            moto.request(request.command, request.path, body, headers | {"Content-Length": str(len(body))})
            answer = moto.getresponse()
            data = answer.read()
            _answer(request, answer.status, data, dict(answer.getheaders()))

    def _invoke(self, request: BaseHTTPRequestHandler, name: str, body: bytes) -> None:
        with self._lock:
            self.invocations[name] += 1
        try:
            result = self._functions[name](json.loads(body))
        except Exception as error:  # noqa: BLE001 - as Lambda does
            failure = {"errorType": type(error).__name__, "errorMessage": str(error)}
            _answer(request, 200, json.dumps(failure).encode(), {"X-Amz-Function-Error": "Unhandled"})
            return
        _answer(request, 200, json.dumps(result).encode(), {"Content-Type": "application/json"})


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if "chunked" in (request.headers.get("Transfer-Encoding") or ""):
        pieces = []
        while size := int(request.rfile.readline().split(b";")[0], 16):
            pieces.append(request.rfile.read(size))
            request.rfile.readline()
        request.rfile.readline()
        return b"".join(pieces)
    return request.rfile.read(int(request.headers.get("Content-Length") or 0))


def _answer(request: BaseHTTPRequestHandler, status: int, data: bytes, headers: Mapping[str, str]) -> None:
    request.send_response(status)
    for name, value in headers.items():
        if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
            request.send_header(name, value)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


@contextmanager
def state_machine_cloud(functions: Mapping[str, Function]) -> Iterator[StateMachineCloud]:
    """Run it for the length of a `with` block."""
    assert os.environ["AWS_ACCESS_KEY_ID"] == "testing"
    cloud = StateMachineCloud(functions)
    with closing(cloud), child_with_port(_MOTO, [str(cloud.port)], name="moto's Step Functions") as port:
        cloud.moto_port = port
        yield cloud
