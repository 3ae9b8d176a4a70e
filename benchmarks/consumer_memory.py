"""Peak memory and CPU of the whole consumer: GetMedia over HTTP, the core, S3 multipart uploads, call by call.

`python -m benchmarks.consumer_memory`, some 40 s. The far ends are processes of their own: a KVS emulator hands out the
call as fast as it is read, and moto is S3. Everything else is real. A fresh process records each call with the consumer
handler's own code and calls its steps directly. One hour also runs on the durable engine's in-process runner, whose
memory is not Lambda's.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from inspect import unwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.as_deployed import hide_words_layer
from benchmarks.bounds import Bound
from benchmarks.long_calls import long_call
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_INSTANCE_ID,
    DEFAULT_START_MS,
    synthesize_call,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

MOST_MIB: Final = 56
MOST_GROWTH_MIB: Final = 4
_LENGTHS: Final = {"10 min": 600, "1 h": 3600, "4 h": 4 * 3600}
_ENGINE: Final = "1 h, local engine"
PATIENCE_S: Final = 120
"""The longest wait for an S3 answer, in seconds, in place of the consumer's own 10 s.

moto joins all parts when it completes an upload: half a gigabyte for 4 h, and longer than 10 s on a busy machine.
"""
BUCKET: Final = "recordings"
REGION: Final = "eu-west-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call, recorded in a process of its own.

    Args:
        imported_mib: resident memory once the handler is imported.
        peak_mib: the most there ever was.
        cpu_s: CPU-seconds of the recording, imports left out.
        wall_s: seconds of the same.
        outcome: the handler's result.
    """

    imported_mib: float
    peak_mib: float
    cpu_s: float
    wall_s: float
    outcome: dict[str, Any]


def measure() -> dict[str, Row]:
    """Record each call."""
    with ExitStack() as stack:
        url, arns = stack.enter_context(far_process(_serve))
        environment = stack.enter_context(far_ends(url))
        rows = {name: _in_fresh_process(name, arns[name], environment) for name in (*_LENGTHS, _ENGINE)}
    for name, row in rows.items():
        seconds = _LENGTHS.get(name, 3600)
        if row.outcome["status"] != "complete" or abs(row.outcome["duration_s"] - seconds) > 1:
            raise RuntimeError(f"{name} was not recorded whole: {row.outcome}")
    return rows


def main() -> list[Bound]:
    """Print the table."""
    rows = measure()
    print(f"{'whole consumer on loopback':34}{'imported':>12}{'peak':>12}{'ratio':>8}{'CPU-s/call-hour':>18}")
    base = rows["10 min"].peak_mib
    for name, row in rows.items():
        cpu_s = row.cpu_s * 3600 / _LENGTHS.get(name, 3600)
        print(f"{name:34}{row.imported_mib:>8.1f} MiB{row.peak_mib:>8.1f} MiB{row.peak_mib / base:>8.2f}{cpu_s:>18.2f}")
    return [
        *(Bound(f"MiB at the peak, {name}", rows[name].peak_mib, at_most=MOST_MIB) for name in _LENGTHS),
        Bound("MiB more for 4 h than for 10 min", rows["4 h"].peak_mib - base, at_most=MOST_GROWTH_MIB),
    ]


def _in_fresh_process(name: str, arn: str, environment: dict[str, str]) -> Row:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.consumer_memory", "record", name, arn],
        # The calls have one contact and start, so each records below a prefix of its own.
        env={**environment, "RECORDINGS_PREFIX": name.translate({ord(" "): "-", ord(","): None})},
        stdout=subprocess.PIPE,
        check=True,
    )
    return Row(**json.loads(done.stdout.splitlines()[-1]))


# In the recording process.


def _record(name: str, arn: str) -> Row:
    from connect_audio.adapters.s3_recording import S3_CONFIG  # noqa: PLC0415 - measured here
    from connect_audio.handlers import consumer  # noqa: PLC0415 - measured here

    imported_mib = peak_mib()
    S3_CONFIG.read_timeout = PATIENCE_S  # type: ignore[attr-defined]
    payload = payload_for(arn)
    cpu_s, wall_s = time.process_time(), time.monotonic()
    outcome = _on_engine(consumer.handler, payload) if name == _ENGINE else directly(consumer.handler, payload)
    return Row(
        imported_mib=imported_mib,
        peak_mib=peak_mib(),
        cpu_s=time.process_time() - cpu_s,
        wall_s=time.monotonic() - wall_s,
        outcome=outcome,
    )


def payload_for(arn: str) -> dict[str, Any]:
    """The consumer's input for a synthetic call.

    Args:
        arn: its stream's.
    """
    return {
        "contactId": DEFAULT_CONTACT_ID,
        "instanceArn": f"arn:aws:connect:{REGION}:123456789012:instance/{DEFAULT_INSTANCE_ID}",
        "streamArn": arn,
        "startTimestamp": DEFAULT_START_MS,
        "startFragmentNumber": None,
    }


def directly(handler: Any, payload: dict[str, Any]) -> dict[str, Any]:
    """Run the handler's own function; its steps are run at once, their results through JSON as the engine would."""
    outcome: dict[str, Any] = unwrap(handler)(payload, DirectContext())
    return outcome


def _on_engine(handler: Any, payload: dict[str, Any]) -> dict[str, Any]:
    from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner  # noqa: PLC0415 - not measured

    with DurableFunctionTestRunner(handler=handler, poll_interval=0.02, region=REGION) as runner:
        result = runner.run(input=json.dumps(payload), function_name="consumer", execution_timeout=3600)
    outcome: dict[str, Any] = json.loads(result.result or "{}")
    return outcome


class DirectContext:
    """The part of a durable context that the handler uses."""

    lambda_context = None

    @property
    def execution_context(self) -> DirectContext:
        """Itself: it holds all that the handler asks for."""
        return self

    durable_execution_arn = "benchmark"

    def step(self, work: Callable[[Any], Any], *, name: str, config: object) -> Any:
        """Run the step at once."""
        del name, config
        return json.loads(json.dumps(work(None)))

    def wait(self, duration: Any, *, name: str) -> None:
        """Nothing here should wait."""
        raise RuntimeError(f"{name} of {duration}: nothing here should make the consumer wait")


def peak_mib() -> float:
    """The most memory that was ever resident, MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would also count the parent from before the exec.
        kib = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(kib) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024)


# Around it.


@contextmanager
def far_process(serve: Callable[[Connection], None]) -> Iterator[Any]:
    """Run a far end in a process of its own.

    Args:
        serve: its work: sends what callers need to know, and ends once it has received something.

    Yields:
        What it sent.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    theirs.close()  # or `recv` would outwait a process that has failed
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join()


def _serve(control: Connection) -> None:
    from connect_audio_local.kvs import UNLIMITED, AsRead, EmulatedStream, KvsEmulator, stored  # noqa: PLC0415

    with KvsEmulator(limits=UNLIMITED) as emulator:
        arns: dict[str, str] = {}
        for index, name in enumerate((*_LENGTHS, _ENGINE)):
            fragments = stored(synthesize_call(long_call(_LENGTHS.get(name, 3600))))
            stream = EmulatedStream(f"call-{index}", fragments, pace=AsRead(), retention_hours=1)
            arns[name] = emulator.add_stream(stream).arn
        control.send((emulator.url, arns))
        control.recv()


@contextmanager
def far_ends(emulator_url: str) -> Iterator[dict[str, str]]:
    """S3 with the bucket; the recording process's environment."""
    import boto3  # noqa: PLC0415 - the recording process imports this module too

    from connect_audio_local.cloud import environment  # noqa: PLC0415
    from connect_audio_local.s3.server import s3_server  # noqa: PLC0415

    # moto spools objects beyond this to disk, or four hours would lie in its memory.
    with environment({"MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": "65536"}), s3_server() as url:
        variables = {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ENDPOINT_URL_KINESIS_VIDEO": emulator_url,
            "AWS_ENDPOINT_URL_KINESIS_VIDEO_MEDIA": emulator_url,
            "AWS_ENDPOINT_URL_CONNECT": emulator_url,
            "POWERTOOLS_SERVICE_NAME": "connect-audio",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": "ERROR",
            # Makes the X-Ray SDK believe that it is in Lambda. Elsewhere it makes an X-Ray client of 20 MiB.
            "LAMBDA_TASK_ROOT": str(Path(__file__).parents[1] / "src"),
            "RECORDINGS_BUCKET": BUCKET,
            "DRAIN_SECONDS": "1",
            "STATUS_INTERVAL_SECONDS": "0",
        }
        with environment(variables), closing(boto3.client("s3")) as s3:
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
            yield {**os.environ}


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        hide_words_layer()
        print(json.dumps(asdict(_record(*sys.argv[2:]))))
    else:
        from benchmarks.bounds import judge

        judge(main())
