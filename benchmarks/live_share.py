"""Live audio on Lambda's smallest share of a core: whether it keeps pace, and its cost.

`python -m benchmarks.live_share`, some three minutes. The consumer handler's own code records a call of 50 s at the
call's own pace, in a fresh process. GetMedia comes from the emulator, moto is S3 and Secrets Manager, and the webhook's
receiver speaks TLS; each is a process of its own. One call has no sinks, one has both, and one has both at 16 kHz with
a WAV of each party. Lambda gives imports more processor, so control groups hold the process only afterwards. They give
it a function of 256 MB: 14.4 % of a core and no more memory. They need cgroup v1 and root. Without them the process
runs freely, and its CPU is held against the same share.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.as_deployed import hide_words_layer
from benchmarks.bounds import Bound
from benchmarks.consumer_memory import directly, far_ends, payload_for, peak_mib
from benchmarks.long_calls import long_call
from connect_audio_local.synthesis.calls import synthesize_call

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SHARE: Final = 0.144
"""The share of a core at 256 MB. Lambda gives one core at 1769 MB, and in proportion below."""
MEMORY_MB: Final = 256
_PERIOD_US: Final = 20_000
SECONDS: Final = 50
_SECRET: Final = "a secret of the benchmark, long enough"  # noqa: S105 - loopback's
RUNS: Final[dict[str, dict[str, str]]] = {
    "recording alone": {},
    "segments and webhook": {"LIVE_SINKS": "segments,webhook"},
    "the same, 16 kHz tracks": {
        "LIVE_SINKS": "segments,webhook",
        "LIVE_SEGMENT_RATE": "16000",
        "LIVE_SEGMENT_LAYOUT": "tracks",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call.

    Args:
        limited: True if control groups held the process.
        cpu_s: CPU-seconds from GetMedia's beginning to the end.
        peak_mib: the most memory that was resident.
        dropped_s: seconds of audio that a sink did not get.
        lag_s: longest time from a segment's last sample to its having been taken, seconds.
        status: the recording's.
    """

    limited: bool
    cpu_s: float
    peak_mib: float
    dropped_s: float
    lag_s: float
    status: str


@dataclass(frozen=True, slots=True)
class LiveRun:
    """The input and the environment of one recording process.

    Args:
        arn: the stream of a call that begins now.
        live: the live settings of the consumer's input, as JSON.
        variables: the process's environment.
    """

    arn: str
    live: str
    variables: dict[str, str]


@contextmanager
def live_runs() -> Iterator[Callable[[str], LiveRun]]:
    """Run the far ends; yields what begins a call of one of `RUNS` and says how to record it."""
    with ExitStack() as stack:
        control = stack.enter_context(_live_far_ends())
        url, webhook, ca_file = control.recv()
        variables = stack.enter_context(far_ends(url))
        s3_url = variables["AWS_ENDPOINT_URL_S3"]
        variables |= {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": s3_url,
            "SSL_CERT_FILE": ca_file,
            "POWERTOOLS_METRICS_DISABLED": "false",
        }
        receiver = {
            "WEBHOOK_URL": webhook,
            "WEBHOOK_SECRET": _secret(s3_url),
            "WEBHOOK_PRIVATE_ADDRESSES": "allowed",
        }
        numbers = count()

        def begin(name: str) -> LiveRun:
            number = next(numbers)
            # The call begins when its stream is there.
            control.send(f"call-{number}")
            live = {**RUNS[name], **receiver} if RUNS[name] else {}
            return LiveRun(control.recv(), json.dumps(live), {**variables, "RECORDINGS_PREFIX": f"run-{number}"})

        yield begin


def measure() -> dict[str, Row]:
    """Record the calls, one after the other."""
    with live_runs() as begin:
        return {name: _in_fresh_process(begin(name)) for name in RUNS}


def main() -> list[Bound]:
    """Print the table."""
    rows = measure()
    held = "held to" if all(row.limited for row in rows.values()) else "NOT held to"
    print(f"live audio, {held} {SHARE:.1%} of a core and {MEMORY_MB} MB")
    print(f"{'':34}{'CPU':>12}{'of the share':>14}{'peak':>12}{'longest lag':>14}{'dropped':>10}")
    bounds = []
    for name, row in rows.items():
        used = row.cpu_s / SECONDS / SHARE
        print(
            f"{name:34}{row.cpu_s / SECONDS:>11.1%} {used:>12.0%}{row.peak_mib:>8.1f} MiB{row.lag_s:>12.2f} s"
            f"{row.dropped_s:>8.1f} s"
        )
        bounds += [
            Bound(f"of the share of a core, {name}", used, at_most=1.0),
            Bound(f"MiB at the peak, {name}", row.peak_mib, at_most=MEMORY_MB / 2),
            Bound(f"s dropped, {name}", row.dropped_s, at_most=0.0),
        ]
        if row.status != "complete":
            raise RuntimeError(f"{name}: the recording is {row.status}")
    return bounds


def _in_fresh_process(run: LiveRun) -> Row:
    return Row(**recorded_by("benchmarks.live_share", run))


def recorded_by(module: str, run: LiveRun) -> dict[str, Any]:
    """Record a call in a fresh process.

    Args:
        module: a benchmark whose command `record` prints its row as JSON, without the lag.
        run: the call.

    Returns:
        The row's fields; the lag is of the metrics that the process wrote.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, "record", run.arn, run.live],
        env=run.variables,
        stdout=subprocess.PIPE,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    lag_s = max((max(line["LiveLagSeconds"]) for line in lines if "LiveLagSeconds" in line), default=0.0)
    return {**lines[-1], "lag_s": lag_s}


# In the recording process.


def _record(arn: str, live: str) -> Row:
    import boto3  # noqa: PLC0415 - the recording process alone

    from connect_audio.core import segment_wav  # noqa: F401, PLC0415 - as an extension's init would import it
    from connect_audio.handlers import consumer  # noqa: PLC0415 - measured here

    payload = {**payload_for(arn), "live": json.loads(live)}
    with share_of_a_core() as limited:
        began = time.process_time()
        outcome = directly(consumer.handler, payload)
        cpu_s = time.process_time() - began
    key = outcome["manifest"].removeprefix("s3://recordings/")
    with closing(boto3.client("s3")) as s3:
        manifest = json.loads(s3.get_object(Bucket="recordings", Key=key)["Body"].read())
    sinks = (manifest["live"] or {"sinks": []})["sinks"]
    return Row(
        limited=limited,
        cpu_s=cpu_s,
        peak_mib=peak_mib(),
        dropped_s=sum(sink["droppedSeconds"] for sink in sinks),
        lag_s=0.0,
        status=outcome["status"],
    )


@contextmanager
def share_of_a_core() -> Iterator[bool]:
    """Hold this process to the share where control groups allow it, and yield whether they do."""
    name = f"connect-audio-{os.getpid()}"
    groups = {
        controller: Path("/sys/fs/cgroup", controller, name)
        for controller in ("cpu", "memory")
        if Path("/sys/fs/cgroup", controller, "tasks").exists()
    }
    try:
        for group in groups.values():
            group.mkdir()
        if len(groups) < 2:
            raise OSError("no control groups of version 1")
        Path(groups["cpu"], "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        Path(groups["cpu"], "cpu.cfs_quota_us").write_text(str(round(_PERIOD_US * SHARE)))
        Path(groups["memory"], "memory.limit_in_bytes").write_text(str(MEMORY_MB * 1024 * 1024))
        for group in groups.values():
            Path(group, "cgroup.procs").write_text(str(os.getpid()))
        limited = True
    except OSError as error:
        print(f"no control group: {error}", file=sys.stderr)
        limited = False
    try:
        yield limited
    finally:
        for controller, group in groups.items():
            with suppress(OSError):
                Path("/sys/fs/cgroup", controller, "cgroup.procs").write_text(str(os.getpid()))
                group.rmdir()


# Around it.


def _secret(url: str) -> str:
    import boto3  # noqa: PLC0415 - the recording process imports this module too

    with closing(boto3.client("secretsmanager", endpoint_url=url)) as secrets:
        arn: str = secrets.create_secret(Name="webhook", SecretString=_SECRET)["ARN"]
    return arn


@contextmanager
def _live_far_ends() -> Iterator[Connection]:
    """Emulator and webhook's receiver in a process of their own.

    Yields:
        A connection. It first gives their URLs and the file of the receiver's certificates. For each name of a stream
            that is sent, it gives the stream's ARN.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    theirs.close()  # or `recv` would outwait a process that has failed
    try:
        yield ours
    finally:
        ours.send(None)
        process.join()


def _serve(control: Connection) -> None:
    from connect_audio_local.kvs import UNLIMITED, EmulatedStream, KvsEmulator, Live, stored  # noqa: PLC0415
    from connect_audio_local.kvs.model import Delivery  # noqa: PLC0415
    from connect_audio_local.webhook.server import webhook_receiver  # noqa: PLC0415

    with KvsEmulator(limits=UNLIMITED) as emulator, webhook_receiver(_SECRET.encode()) as receiver:
        control.send((emulator.url, receiver.url, str(receiver.ca_file)))
        while (name := control.recv()) is not None:
            fragments = stored(synthesize_call(long_call(SECONDS)))
            stream = EmulatedStream(name, fragments, pace=Live(1.0), delivery=Delivery.BLOCK, retention_hours=1)
            control.send(emulator.add_stream(stream).arn)


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        hide_words_layer()
        print(json.dumps(asdict(_record(*sys.argv[2:]))))
    else:
        from benchmarks.bounds import judge

        judge(main())
