"""AWS's durable engine in its web mode (`dex-local-runner`'s), in a process of its own that cannot outlive the caller.

It retries a failed invocation as often as Lambda does, but at once rather than after 5 s. In all other points that
matter here it behaves as the service.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final
from urllib.parse import quote

from connect_audio_local.child_process import child_with_port
from connect_audio_local.extra import require

# Lambda tries about nine times (docs/adr/0001, not measured); the local engine's own default is five.
_MOST_ATTEMPTS: Final = 9
_POLL_S: Final = (0.02, 0.1)
"""First and longest time between two questions whether an execution has ended, seconds: an answer costs 3 ms."""
_TERMINAL: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})
_PATH: Final = "/2025-12-01/durable-executions/"

# Prints its port once it listens and ends with its standard input.
_PROGRAM: Final = """
import logging, os, sys, threading
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.runner import WebRunner, WebRunnerConfig
from aws_durable_execution_sdk_python_testing.web.server import WebServiceConfig
logging.basicConfig(level=logging.WARNING)
Executor.RETRY_BACKOFF_SECONDS = 0
Executor.MAX_CONSECUTIVE_FAILED_ATTEMPTS = int(sys.argv[2])
runner = WebRunner(WebRunnerConfig(
    web_service=WebServiceConfig(host="127.0.0.1", port=0, log_level=logging.WARNING),
    lambda_endpoint=sys.argv[1],
    local_runner_region="eu-west-2",
    skip_time=sys.argv[3] == "skip",
    max_invocation_page_bytes=int(sys.argv[4]) or None,
))
runner.start()
threading.Thread(target=runner.serve_forever, daemon=True).start()
print(runner._server.server_address[1], flush=True)
sys.stdin.read()
os._exit(0)  # without a wait for running executions
"""


@dataclass(frozen=True, slots=True)
class EngineExecution:
    """How an execution ended.

    Args:
        arn: its ARN.
        status: for example `SUCCEEDED`.
        result: the handler's return value; None if it failed.
        error: the engine's error; None where it succeeded.
    """

    arn: str
    status: str
    result: Any
    error: Any


class DurableEngine:
    """A client of the running engine.

    Args:
        url: its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self, name: str, payload: Mapping[str, Any], *, timeout_s: int = 48 * 3600) -> str:
        """Start an execution and return its ARN; the engine, unlike the service, starts the same name again."""
        answer = self._ask(
            "POST",
            "/start-durable-execution",
            {
                "AccountId": "123456789012",
                "FunctionName": "consumer",
                "FunctionQualifier": "live",
                "ExecutionName": name,
                "ExecutionTimeoutSeconds": timeout_s,
                "ExecutionRetentionPeriodDays": 7,
                "Input": json.dumps(payload),
            },
        )
        return str(answer["ExecutionArn"])

    def find(self, name: str) -> str:
        """The ARN of the newest execution of that name; of any function, since SAM CLI calls them all `function`.

        Raises:
            RuntimeError: there is none.
        """
        path = f"{_PATH.rstrip('/')}?DurableExecutionName={quote(name)}"
        found = [each for each in self._ask("GET", path)["DurableExecutions"] if each["DurableExecutionName"] == name]
        if not found:
            raise RuntimeError(f"there is no execution {name}")
        return str(found[-1]["DurableExecutionArn"])

    def wait(self, arn: str, seconds: float = 300) -> EngineExecution:
        """Wait until an execution has ended.

        Raises:
            TimeoutError: it goes on for longer than that.
        """
        deadline = time.monotonic() + seconds
        poll_s, longest_s = _POLL_S
        while True:
            answer = self._ask("GET", _PATH + quote(arn, safe=""))
            if answer["Status"] in _TERMINAL:
                result = answer.get("Result")
                return EngineExecution(arn, answer["Status"], result and json.loads(result), answer.get("Error"))
            if time.monotonic() >= deadline:
                raise TimeoutError(f"execution {arn} still runs after {seconds} s")
            time.sleep(poll_s)
            poll_s = min(1.3 * poll_s, longest_s)

    def history(self, arn: str) -> list[dict[str, Any]]:
        """Every event of an execution's history, with its data."""
        events: list[dict[str, Any]] = []
        marker = ""
        while True:
            query = "?IncludeExecutionData=true&MaxItems=1000" + (f"&Marker={quote(marker)}" if marker else "")
            answer = self._ask("GET", f"{_PATH}{quote(arn, safe='')}/history{query}")
            events += answer["Events"]
            marker = answer.get("NextMarker") or ""
            if not marker:
                return events

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own loopback URL
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the same
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"the durable engine answers {error.code}: {error.read()[:500]!r}") from error


@contextmanager
def durable_engine(
    lambda_url: str, log: IO[bytes], *, skip_waits: bool = True, page_bytes: int | None = None
) -> Iterator[DurableEngine]:
    """Run the engine for the length of a `with` block.

    Args:
        lambda_url: address at which it invokes the function.
        log: file of its output.
        skip_waits: True lets waits of the function pass at once.
        page_bytes: how much of the history an invocation is handed; it has to ask for the rest. None: 5 MB.

    Raises:
        RuntimeError: it did not start; the log says why.
    """
    require("aws_durable_execution_sdk_python_testing")
    arguments = [lambda_url, str(_MOST_ATTEMPTS), "skip" if skip_waits else "wait", str(page_bytes or 0)]
    with child_with_port(_PROGRAM, arguments, name="the durable engine", stderr=log) as port:
        yield DurableEngine(f"http://127.0.0.1:{port}")
