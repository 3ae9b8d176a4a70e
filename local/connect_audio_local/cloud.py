"""Everything the two handlers talk to, on this machine: S3, the KVS emulator, a Lambda front and the durable engine.

The demo and the functional tests run the real handlers inside it.

The way: Connect event -> trigger -> named asynchronous start -> consumer as a durable execution -> GetMedia over HTTP
-> S3.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import boto3

from connect_audio.adapters.s3_recording import S3_CONFIG
from connect_audio_local.extra import extra_local
from connect_audio_local.kvs.model import UNLIMITED, Limits
from connect_audio_local.kvs.server import KvsEmulator
from connect_audio_local.kvs.unanswered import Unanswered
from connect_audio_local.lambda_.quotas import DurableUsage
from connect_audio_local.lambda_.server import EndedExecution, LambdaFront
from connect_audio_local.s3.server import s3_server

with extra_local():
    from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner
    from aws_durable_execution_sdk_python_testing.exceptions import ResourceNotFoundException

REGION: Final = "eu-west-2"
ACCOUNT: Final = "123456789012"
BUCKET: Final = "recordings"
_RUN_LIMIT_S: Final = 24 * 3600
_NETWORK_VARIABLES: Final = frozenset(
    {"ALL_PROXY", "BOTO_CONFIG", "CURL_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"}
)
"""Variables that lead requests of botocore and requests elsewhere, in capitals; both read small letters, too."""


@dataclass(frozen=True, slots=True)
class LocalContext:
    """The part of Lambda's context that a handler reads."""

    function_name: str = "trigger"
    function_version: str = "1"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:trigger"
    aws_request_id: str = "00000000-0000-4000-8000-00000000000f"

    def get_remaining_time_in_millis(self) -> int:
        """The whole of the trigger's 8 seconds."""
        return 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The addresses of the services.

    Args:
        host: address to bind; `0.0.0.0` for callers in containers.
        s3_port: port of S3, 0 for any free one.
        kvs_port: port of Kinesis Video Streams and Connect.
        lambda_port: port of Lambda.
    """

    host: str = "127.0.0.1"
    s3_port: int = 0
    kvs_port: int = 0
    lambda_port: int = 0


ANYWHERE: Final = Addresses()
"""Free ports on loopback."""


@dataclass(slots=True)
class Execution:
    """One durable execution on the local engine.

    Args:
        name: its name.
        done: set once it has ended.
        status: the engine's final status, for example `SUCCEEDED`.
        result: the handler's return value; None if it failed.
        error: the engine's error message; None where it succeeded.
        steps: names of the steps and waits, in order.
        usage: its use of Lambda's quotas; an execution beyond them is `FAILED`, as in the service.
    """

    name: str
    done: threading.Event
    status: str = "RUNNING"
    result: Any = None
    error: str | None = None
    steps: tuple[str, ...] = ()
    usage: DurableUsage | None = None


class LimitedContext:
    """Lambda's context of one invocation whose time really runs out; the local engine's own always has 15 minutes.

    Args:
        context: the engine's, which knows everything else.
        seconds: the function's timeout.
    """

    def __init__(self, context: Any, seconds: float) -> None:
        self._context = context
        self._deadline = time.monotonic() + seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the timeout."""
        return max(0, round((self._deadline - time.monotonic()) * 1000))


class LocalCloud:
    """The local services and the functions wired to them. Make it with `local_cloud`.

    Args:
        emulator: Kinesis Video Streams and Connect.
        front: Lambda.
        s3_url: S3.
        bucket: bucket of the recordings.
        invocation_s: the consumer's timeout, seconds.
        addresses: the address of Lambda.
        on_end: called with each execution that has ended, in its thread.
        skip_waits: True lets waits of the consumer pass at once, and callbacks expire at once.
        announces_ends: True announces the end of a contact by Connect's event once its recording has started, if the
            emulator's contact is over then.
        ended: executions of before, whose input Lambda still keeps.
    """

    def __init__(
        self,
        emulator: KvsEmulator,
        s3_url: str,
        bucket: str,
        invocation_s: float = 900,
        *,
        addresses: Addresses = ANYWHERE,
        on_end: Callable[[Execution], None] = lambda _: None,
        skip_waits: bool = True,
        announces_ends: bool = False,
        ended: Sequence[EndedExecution] = (),
    ) -> None:
        self.emulator = emulator
        self.s3_url = s3_url
        self.bucket = bucket
        self.invocation_s = invocation_s
        self.executions: dict[str, Execution] = {}
        self._threads: list[threading.Thread] = []
        self._on_end = on_end
        self._skip_waits = skip_waits
        self._announces_ends = announces_ends
        self._runners: dict[str, DurableFunctionTestRunner] = {}
        self.front = LambdaFront(
            self._start,
            # The second is the consumer's name in `sam local` (local/sam-local-env.json).
            functions={"consumer": {"live"}, "ConsumerFunction": {"live"}},
            handlers={
                "TriggerFunction": self.trigger,
                "ContactEndedFunction": self.contact_event,
                "ExecutionEndedFunction": self.execution_event,
            },
            host=addresses.host,
            port=addresses.lambda_port,
            on_callback=self._answer_callback,
            ended=ended,
        )

    def s3(self) -> Any:
        """A client of the local S3; the caller closes it."""
        return boto3.client("s3", endpoint_url=self.s3_url, region_name=REGION, config=S3_CONFIG)

    def trigger(self, event: object) -> dict[str, str]:
        """Invoke the trigger as a Connect flow would."""
        from connect_audio.handlers import trigger  # noqa: PLC0415 - reads the environment this cloud has set

        answer: dict[str, str] = trigger.handler(event, LocalContext())
        return answer

    def contact_event(self, event: object) -> dict[str, Any]:
        """Invoke the function for contact events as the EventBridge rule would."""
        from connect_audio.handlers import contact_ended  # noqa: PLC0415 - reads the environment this cloud has set

        answer: dict[str, Any] = contact_ended.handler(event, LocalContext(function_name="contact-ended"))
        return answer

    def execution_event(self, event: object) -> dict[str, Any]:
        """Invoke the function for ended executions as the EventBridge rule would."""
        from connect_audio.handlers import execution_ended  # noqa: PLC0415 - reads the environment this cloud has set

        answer: dict[str, Any] = execution_ended.handler(event, LocalContext(function_name="execution-ended"))
        return answer

    def consume(self, name: str, payload: object) -> Execution:
        """Run the consumer in this thread and return its execution."""
        execution = self.executions.setdefault(name, Execution(name, threading.Event()))
        self._run(execution, payload)
        return execution

    def wait(self, name: str, timeout_s: float | None = None) -> Execution:
        """Wait until an execution has ended.

        Raises:
            TimeoutError: it goes on for longer than that.
        """
        execution = self.executions[name]
        if not execution.done.wait(timeout_s):
            raise TimeoutError(f"execution {name} still runs after {timeout_s} s")
        return execution

    def _start(self, name: str, payload: object) -> None:
        execution = self.executions.setdefault(name, Execution(name, threading.Event()))
        threads = [threading.Thread(target=self._run, args=(execution, payload), name=f"execution-{name}")]
        if self._announces_ends:
            # Beside the execution: the event may come before it waits, or after.
            threads.append(threading.Thread(target=self._announce, args=(payload,), name=f"end-{name}"))
        self._threads += threads
        for thread in threads:
            thread.start()

    def _announce(self, payload: object) -> None:
        """Announce the end of the contact that an execution records; a contact that goes on has none yet."""
        contact_id = payload.get("contactId") if isinstance(payload, dict) else None
        try:
            event = self.emulator.contact_event(str(contact_id))
        except (LookupError, ValueError):
            return
        self.contact_event(event)

    def _run(self, execution: Execution, payload: object) -> None:
        from connect_audio.handlers import consumer  # noqa: PLC0415 - reads the environment this cloud has set

        def handler(event: Any, context: Any) -> Any:
            return consumer.handler(event, LimitedContext(context, self.invocation_s))

        try:
            with _engine(handler, skip_waits=self._skip_waits) as runner:
                self._runners[execution.name] = runner
                arn = runner.run_async(
                    input=json.dumps(payload),
                    execution_name=execution.name,
                    function_name="consumer",
                    execution_timeout=_RUN_LIMIT_S,
                )
                result = runner.wait_for_result(arn, _RUN_LIMIT_S)
                history = runner.get_execution_history(arn, include_execution_data=True)
            execution.status = result.status.value
            execution.result = None if result.result is None else json.loads(result.result)
            execution.error = None if result.error is None else result.error.message
            execution.steps = tuple(operation.name or "" for operation in result.operations)
            execution.usage = DurableUsage.of(history.events)
            execution.usage.check()
        except Exception as error:  # noqa: BLE001 - the thread's only witness is the execution
            execution.status, execution.error = "FAILED", repr(error)
        finally:
            self._runners.pop(execution.name, None)
            execution.done.set()
            self._on_end(execution)

    def _answer_callback(self, callback_id: str, result: bytes) -> bool:
        """Answer a callback of a running execution; False if none waits for it."""
        for runner in list(self._runners.values()):
            with suppress(ResourceNotFoundException):
                runner.send_callback_success(callback_id, result)
                return True
        return False

    def close(self, *, wait: bool = True) -> None:
        """End the front.

        Args:
            wait: True waits for running executions. After Ctrl-C the process ends without them.
        """
        self.front.close()
        for thread in self._threads if wait else ():
            thread.join()


@contextmanager
def _engine(handler: Callable[..., Any], *, skip_waits: bool) -> Iterator[DurableFunctionTestRunner]:
    """A durable engine of its own for one execution."""
    runner = DurableFunctionTestRunner(handler=handler, poll_interval=0.02, region=REGION, skip_time=skip_waits)
    try:
        with runner:
            yield runner
    finally:
        # It stops its event loop and leaves the loop's sockets open, two for each execution.
        runner._scheduler._loop.close()  # noqa: SLF001 - there is no public way


@contextmanager
def local_cloud(
    settings: Mapping[str, str] | None = None,
    *,
    s3_url: str | None = None,
    bucket: str = BUCKET,
    limits: Limits = UNLIMITED,
    invocation_s: float = 900,
    addresses: Addresses = ANYWHERE,
    on_end: Callable[[Execution], None] = lambda _: None,
    on_unanswered: Callable[[Unanswered], None] | None = None,
    skip_waits: bool = True,
    announces_ends: bool = False,
    ended: Sequence[EndedExecution] = (),
) -> Iterator[LocalCloud]:
    """Start everything, set the process's environment as the template would, and put it back afterwards.

    Args:
        settings: further variables of the functions.
        s3_url: an S3 API that runs already; one of its own if None.
        bucket: made if it is missing.
        limits: the KVS emulator's.
        invocation_s: the consumer's timeout, seconds.
        addresses: the addresses of the services.
        on_end: called with each execution that has ended, in its thread.
        on_unanswered: gets each request to the KVS emulator that was refused or got nothing.
        skip_waits: True lets waits of the consumer pass at once, and callbacks expire at once.
        announces_ends: True announces the end of a contact by Connect's event once its recording has started, if the
            emulator's contact is over then.
        ended: executions of before, whose input Lambda still keeps.
    """
    with ExitStack() as stack:
        stack.enter_context(local_credentials())
        url = s3_url or stack.enter_context(s3_server(addresses.host, addresses.s3_port))
        emulator = stack.enter_context(
            KvsEmulator(addresses.host, addresses.kvs_port, limits=limits, on_unanswered=on_unanswered)
        )
        stack.enter_context(
            environment(
                {
                    "AWS_ENDPOINT_URL_S3": url,
                    # moto serves them, too; events go out where EVENT_BUS_NAME is set.
                    "AWS_ENDPOINT_URL_EVENTBRIDGE": url,
                    "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
                    "POWERTOOLS_SERVICE_NAME": "connect-audio",
                    "POWERTOOLS_METRICS_NAMESPACE": "ConnectAudio",
                    "POWERTOOLS_TRACE_DISABLED": "true",
                    "RECORDINGS_BUCKET": bucket,
                    "CONSUMER_FUNCTION": "consumer:live",
                    **emulator.environment(),
                    **(settings or {}),
                }
            )
        )
        cloud = LocalCloud(
            emulator,
            url,
            bucket,
            invocation_s,
            addresses=addresses,
            on_end=on_end,
            skip_waits=skip_waits,
            announces_ends=announces_ends,
            ended=ended,
        )
        stack.push(lambda kind, *_: cloud.close(wait=kind is None or issubclass(kind, Exception)))
        stack.enter_context(environment({"AWS_ENDPOINT_URL_LAMBDA": cloud.front.url}))
        _clear_settings()
        stack.callback(_clear_settings)
        with closing(cloud.s3()) as s3:
            if bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
                s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield cloud


@contextmanager
def local_credentials() -> Iterator[None]:
    """Hide the user's AWS settings and proxies for the length of a `with` block, and set credentials of no account.

    A profile that is missing stops every client. An endpoint or a proxy of the user leads a client away from this
    machine.
    """
    with environment(
        {
            **{name: None for name in os.environ if name.startswith("AWS_") or name.upper() in _NETWORK_VARIABLES},
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "*",
        }
    ):
        yield


@contextmanager
def environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables of this process for the length of a `with` block; None takes one away.

    After Ctrl-C they stay. The threads of executions are not waited for then, and must not meet the user's own.
    """
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    except KeyboardInterrupt:
        before = {}
        raise
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _clear_settings() -> None:
    """Handlers read their environment once a process; here several may follow each other."""
    from connect_audio.handlers import contact_ended, execution_ended, trigger  # noqa: PLC0415

    caches: list[Callable[..., Any]] = [
        trigger._settings,  # noqa: SLF001
        trigger._consumer,  # noqa: SLF001
        trigger._live,  # noqa: SLF001
        contact_ended._settings,  # noqa: SLF001
        execution_ended._settings,  # noqa: SLF001
    ]
    for cached in caches:
        cached.cache_clear()  # type: ignore[attr-defined]


def connect_event(
    *, contact_id: str, instance_id: str, stream_arn: str, start_ms: int, start_fragment: str
) -> dict[str, Any]:
    """The event of Connect's flow block "Invoke AWS Lambda function", for a voice contact that is being streamed.

    Args:
        contact_id: the contact.
        instance_id: the Connect instance.
        stream_arn: the Kinesis Video stream.
        start_ms: StartTimestamp, ms since the epoch.
        start_fragment: StartFragmentNumber.
    """
    region, account = stream_arn.split(":")[3:5]
    return {
        "Name": "ContactFlowEvent",
        "Details": {
            "ContactData": {
                "Attributes": {},
                "Channel": "VOICE",
                "ContactId": contact_id,
                "CustomerEndpoint": None,
                "InitialContactId": contact_id,
                "InitiationMethod": "INBOUND",
                "InstanceARN": f"arn:aws:connect:{region}:{account}:instance/{instance_id}",
                "MediaStreams": {
                    "Customer": {
                        "Audio": {
                            "StreamARN": stream_arn,
                            "StartTimestamp": str(start_ms),
                            "StartFragmentNumber": start_fragment,
                        }
                    }
                },
                "PreviousContactId": contact_id,
                "Queue": None,
                "SystemEndpoint": None,
            },
            "Parameters": {},
        },
    }
