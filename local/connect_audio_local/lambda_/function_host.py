"""Lambda for one function: the durable engine's synchronous Invoke runs it in a process of its own.

The process may be killed. A killed, crashed or timed-out one is answered as Lambda does, with a function error, and the
engine tries again. The processes come from `function_process`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO, Any, Final, Self

from connect_audio_local.loopback_server import loopback_server, url_of

_MODULE: Final = "connect_audio_local.lambda_.function_process"


@dataclass(frozen=True, slots=True)
class LeftThread:
    """A thread that was still there when the handler had returned.

    Args:
        name: its name.
        daemon: True if the interpreter would end without it.
    """

    name: str
    daemon: bool


@dataclass(slots=True)
class InvocationRecord:
    """One invocation.

    Args:
        number: counts from 1.
        execution: ARN of the durable execution.
        event_bytes: size of what the engine handed over.
        pid: the process; None before it runs.
        output: the handler's return value; None if it did not return.
        error: Lambda's error answer; None where there is none.
        exit_code: exit code of the process; minus the signal if it was killed; None while it runs.
        wall_s: from start to end.
        cpu_s: CPU time of the handler; 0 if it did not end.
        fork_rss_kib: memory resident when it began, KiB.
        peak_rss_kib: the most memory resident, KiB; 0 where it did not end.
        left_threads: beside the main one, when the handler had returned or raised; None where it did neither.
    """

    number: int
    execution: str
    event_bytes: int
    pid: int | None = None
    output: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    exit_code: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    fork_rss_kib: int = 0
    peak_rss_kib: int = 0
    left_threads: tuple[LeftThread, ...] | None = None

    @property
    def left_sinks(self) -> list[str] | None:
        """Names of the threads of live sinks that it left; None where it did not return."""
        if self.left_threads is None:
            return None
        return [thread.name for thread in self.left_threads if thread.name.startswith("live-")]


@dataclass(slots=True)
class _Live:
    record: InvocationRecord
    gone: threading.Event = field(default_factory=threading.Event)
    acknowledged: bool = False
    timed_out: bool = False
    is_killed: bool = False


class FunctionHost:
    """Serves Invoke on loopback from its construction to `close`; a context manager.

    Args:
        environment: variables of the function, on top of this process's own.
        log: file of the function's output.
        seconds: the function's timeout, which its context shows; may be set anew between invocations.

    Attributes:
        grace_s: seconds from the shown timeout to the kill.
        lifetimes: seconds after which the next invocations are killed, in order, whatever timeout was shown.

    Raises:
        RuntimeError: the function could not be imported; the log says why.
    """

    def __init__(self, environment: Mapping[str, str], log: IO[bytes], *, seconds: float = 900) -> None:
        self.environment = dict(environment)
        self.seconds = seconds
        self.grace_s = 0.0
        self.lifetimes: deque[float] = deque()
        self.invocations: list[InvocationRecord] = []
        self._lock = threading.Lock()
        self._live: dict[int, _Live] = {}
        self._directory = tempfile.TemporaryDirectory(prefix="connect-audio-")
        self._socket = str(Path(self._directory.name) / "functions")
        self._parent = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", _MODULE, self._socket],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **environment},
            process_group=0,  # Ctrl-C on a terminal reaches the caller alone, which ends this one
        )
        if self._parent.stdout is None or not self._parent.stdout.readline():
            self.close()
            raise RuntimeError("the function's process did not start; see its log")
        self._server = loopback_server(self._serve, "function-host")

    @property
    def url(self) -> str:
        """The engine's `lambda_endpoint`."""
        return url_of(self._server)

    @property
    def running(self) -> list[InvocationRecord]:
        """Invocations whose process is there now."""
        with self._lock:
            return [live.record for live in self._live.values()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill what runs, stop serving and end the parent."""
        for record in self.running:
            self.kill(record.number)
        if hasattr(self, "_server"):
            self._server.close()
        self._parent.kill()
        self._parent.wait()
        for pipe in (self._parent.stdin, self._parent.stdout):
            if pipe is not None:
                pipe.close()
        self._directory.cleanup()

    def kill(self, number: int | None) -> bool:
        """Kill the process of an invocation with SIGKILL and wait until the kernel has cleaned up behind it.

        Args:
            number: the invocation; None for the only one that runs.

        Returns:
            True if it was there to be killed, and this call killed it: of two at once, one.
        """
        with self._lock:
            if number is None and len(self._live) == 1:
                number = next(iter(self._live))
            live = self._live.get(number or 0)
            if live is None or live.acknowledged or live.record.pid is None:
                return False
            was_killed, live.is_killed = live.is_killed, True
            # Started here and not acknowledged, so not reaped: no other process has this pid.
            with suppress(ProcessLookupError):
                os.kill(live.record.pid, signal.SIGKILL)
        live.gone.wait()
        return not was_killed

    def invoke(self, payload: bytes) -> InvocationRecord:
        """Run one invocation to its end.

        Args:
            payload: the engine's.
        """
        event = json.loads(payload)
        with self._lock:
            record = InvocationRecord(len(self.invocations) + 1, event["DurableExecutionArn"], len(payload))
            live = self._live[record.number] = _Live(record)
            self.invocations.append(record)
        started = time.monotonic()
        with self._lock:
            timer = threading.Timer(
                self.lifetimes.popleft() if self.lifetimes else self.seconds, self._time_out, [live]
            )
        timer.start()
        try:
            self._converse(live, event)
        finally:
            timer.cancel()
            with self._lock:
                del self._live[record.number]
            live.gone.set()
            record.wall_s = time.monotonic() - started
            timer.join()
        if record.output is None and record.error is None:
            record.error = {"errorType": "Runtime.ExitError", "errorMessage": "Error: Runtime exited: signal: killed"}
            if live.timed_out:
                message = f"Error: Task timed out after {self.seconds:.2f} seconds"
                record.error = {"errorType": "Sandbox.Timedout", "errorMessage": message}
        return record

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        record = self.invoke(request.rfile.read(int(request.headers.get("Content-Length") or 0)))
        body = json.dumps(record.error if record.output is None else record.output).encode()
        request.send_response_only(200)
        if record.output is None:
            request.send_header("X-Amz-Function-Error", "Unhandled")
        request.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        request.send_header("X-Amz-Executed-Version", "1")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _time_out(self, live: _Live) -> None:
        live.timed_out = True
        self.kill(live.record.number)

    def _converse(self, live: _Live, event: Any) -> None:
        record = live.record
        request = {
            "event": event,
            "request_id": str(uuid.uuid4()),
            "seconds": self.seconds,
            # The SDK puts it into the User-Agent: so the gate knows whose request it is.
            "environment": {**self.environment, "AWS_SDK_UA_APP_ID": f"invocation-{record.number}"},
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._socket)
            with connection.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    if "pid" in message:
                        record.pid = message["pid"]
                        with suppress(BrokenPipeError):
                            connection.sendall(json.dumps(request).encode() + b"\n")
                    elif "exited" in message:
                        record.exit_code = message["exited"]
                        return
                    else:
                        record.output, record.error = message.get("output"), message.get("error")
                        record.cpu_s = message["cpu_s"]
                        record.fork_rss_kib, record.peak_rss_kib = message["fork_rss_kib"], message["peak_rss_kib"]
                        record.left_threads = tuple(LeftThread(*each) for each in message["left_threads"])
                        with self._lock:
                            live.acknowledged = True
                        with suppress(BrokenPipeError):
                            connection.sendall(b"\n")
