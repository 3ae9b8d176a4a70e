"""One process per invocation of the consumer: a parent that has imported the handler and forks for each connection.

`python -m connect_audio_local.lambda_.function_process SOCKET` is started by `function_host.FunctionHost`. Forking
saves half a second of imports for each invocation. The parent itself runs no handler, no thread and no client, so a
child begins like a fresh Lambda environment after its init phase.

A connection carries JSON lines. In: the invocation. Out: `{"pid"}`, then the handler's result, and once the process is
gone and reaped `{"exited"}`. Between the last two the child waits for a line, so an unacknowledged pid is never another
process's.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """The part of Lambda's context that the handler and the durable SDK read.

    Args:
        aws_request_id: id of this invocation.
        deadline: `time.monotonic()` at which the function times out.
    """

    aws_request_id: str
    deadline: float
    function_name: str = "consumer"
    function_version: str = "1"
    memory_limit_in_mb: str = "512"
    invoked_function_arn: str = "arn:aws:lambda:eu-west-2:123456789012:function:consumer:live"
    log_group_name: str = "/aws/lambda/consumer"
    log_stream_name: str = "local"
    tenant_id: str | None = None
    client_context: Any = None
    identity: Any = None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the timeout."""
        return max(0, round((self.deadline - time.monotonic()) * 1000))

    def log(self, msg: object) -> None:
        """Lambda's own log."""
        print(msg, file=sys.stderr)


def peak_rss_kib() -> int:
    """The most memory that this process has had resident, KiB."""
    try:
        # getrusage would count the parent's peak, which fork and exec hand down.
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    except OSError:
        found = None
    return int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Fork for every connection to the socket in the first argument, until standard input ends."""
    # The function has no layer of words. The handler would import its SDK, half a second and 30 MiB in each process.
    sys.modules["aws_sdk_transcribe_streaming"] = None  # type: ignore[assignment]  # None makes its import fail
    from connect_audio.handlers import consumer  # noqa: F401, PLC0415 - the children shall not import it again

    for service in ("s3", "connect", "lambda"):
        # Its session keeps the service models, which take each child a quarter of a second otherwise.
        boto3.client(service).close()
    children: dict[int, socket.socket] = {}

    def reap(*_: object) -> None:
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with children.pop(pid) as connection:
                _send(connection, {"exited": os.waitstatus_to_exitcode(status)})

    signal.signal(signal.SIGCHLD, reap)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen(16)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            # A child that ends at once must be known before it is reaped.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            pid = os.fork()
            if not pid:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
                listener.close()
                for other in children.values():
                    other.close()
                _run(connection)
            children[pid] = connection
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _run(connection: socket.socket) -> None:
    """Be the child: run one invocation and exit."""
    try:
        os.setpgid(0, 0)
        # Logs and metrics go to standard output; it is the host's log.
        os.dup2(2, 1)
        lines = connection.makefile("rb")
        _send(connection, {"pid": os.getpid()})
        request = json.loads(lines.readline())
        os.environ.update(request["environment"])
        _send(connection, _invoke(request))
        lines.readline()
    except BrokenPipeError:
        pass  # the host has gone
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _invoke(request: dict[str, Any]) -> dict[str, Any]:
    from connect_audio.handlers import consumer  # noqa: PLC0415 - imported by the parent

    started, fork_rss = time.process_time(), peak_rss_kib()
    context = ProcessContext(request["request_id"], time.monotonic() + request["seconds"])
    answer: dict[str, Any] = {}
    try:
        answer["output"] = consumer.handler(request["event"], context)
    except Exception as error:  # noqa: BLE001 - Lambda answers with it
        traceback.print_exc()
        answer["error"] = {"errorType": type(error).__name__, "errorMessage": str(error)}
    answer["cpu_s"] = time.process_time() - started
    answer["fork_rss_kib"], answer["peak_rss_kib"] = fork_rss, peak_rss_kib()
    # Lambda freezes the process here: what still runs would go on in another invocation, of another call perhaps.
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    answer["left_threads"] = [(each.name, each.daemon) for each in others]
    return answer


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):  # the client is gone
        connection.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
