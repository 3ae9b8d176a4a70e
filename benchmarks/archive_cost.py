"""Lambda time and durable operations of an hour's call, recorded live and after its end, and their price.

`python -m benchmarks.archive_cost`, some 30 s. Both recordings run through the consumer's handler, a process for each
invocation, over AWS's durable engine, HTTP and S3. After the call the CPU time of the processes is the whole time.
Lambda gives 0.145 of a processor at 256 MB, so that the time is 6.9 times as long. Each invocation counts as a cold
start. A live recording takes as long as people talk, and 30 s of drain.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bounds import Bound
from connect_audio.recorder import Policy
from connect_audio.recorder.call_watch import Watched
from connect_audio.request import RecordingMode, RecordingOptions
from connect_audio_local.kvs import EmulatedStream, stored
from connect_audio_local.lambda_.quotas import DurableUsage
from connect_audio_local.long_call import noise, record_long_call
from connect_audio_local.process_cloud import BUCKET, ProcessCloud, process_cloud, request_for
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_INSTANCE_ID,
    SyntheticCall,
    synthesize_call,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

GB_SECOND: Final = 0.0000133334
"""Lambda on arm64, us-east-1, dollars (docs/cost.md)."""
OPERATION: Final = 8 / 1_000_000
"""One durable operation, dollars (docs/cost.md)."""
WHOLE_PROCESSOR_MB: Final = 1769
"""Memory at which Lambda gives one processor."""
COLD_START_CPU_S: Final = 0.44
"""CPU of a cold start of the consumer, s (docs/benchmarks.md)."""
CALL_S: Final = 3600
DRAIN_S: Final = 30
OPERATIONS_OF_A_LOOK: Final = 3
"""Of the engine, for a look at a call that goes on: its callback, the step that enters it, and the look."""
LEAST_TIMES: Final = 40
"""A recording after the call is to be cheaper by this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one recording takes of Lambda.

    Args:
        operations: of the durable engine, the start included.
        cpu_s: CPU time of all invocations, cold starts included; None for a recording whose time is the call's.
        invocations: how many.
        peak_mib: the most memory resident.
    """

    operations: int
    cpu_s: float | None
    invocations: int
    peak_mib: float

    def seconds(self, memory_mb: int) -> float:
        """Return Lambda's time at a memory, s."""
        if self.cpu_s is None:
            return CALL_S + DRAIN_S
        return self.cpu_s * max(1.0, WHOLE_PROCESSOR_MB / memory_mb)

    def dollars(self, memory_mb: int) -> float:
        """Return the price of time and operations at a memory."""
        return self.seconds(memory_mb) * memory_mb / 1024 * GB_SECOND + self.operations * OPERATION


def measure() -> tuple[Use, Use]:
    """Record the call live, then one after its end.

    Raises:
        RuntimeError: a recording is not whole.
    """
    with process_cloud() as cloud:
        live = record_long_call(cloud, CALL_S / 3600, invocation_s=900)
        if live.status != "complete" or not live.exact:
            raise RuntimeError(f"the live recording is {live.status}")
        of_live = Use(
            operations=live.usage.operations + 1,
            cpu_s=None,
            invocations=live.invocations,
            peak_mib=max(live.peak_rss_mib),
        )
        return of_live, _after_the_call(cloud)


def _after_the_call(cloud: ProcessCloud) -> Use:
    """Record an hour that ended a minute ago, woken by the note of a contact event."""
    contact_id = f"{DEFAULT_CONTACT_ID[:-1]}b"
    start_ms = int(time.time() * 1000) - (CALL_S + 60) * 1000
    call = SyntheticCall(
        customer=lambda: noise(1),
        agent=lambda: noise(2),
        seconds=CALL_S,
        start_ms=start_ms,
        contact_id=contact_id,
    )
    stream = cloud.emulator.add_stream(EmulatedStream("after-the-call", stored(synthesize_call(call))))
    note = json.dumps({"endedMs": start_ms + CALL_S * 1000}).encode()
    cloud.s3.put_object(Bucket=BUCKET, Key=f"recordings/contacts/{contact_id}/ended.json", Body=note)
    request = request_for(contact_id, DEFAULT_INSTANCE_ID, stream.arn, start_ms)
    options = RecordingOptions(mode=RecordingMode.ARCHIVE, contact_events=True)
    cloud.host.seconds = 900
    cloud.gate.arm()
    before = len(cloud.host.invocations)
    arn = cloud.engine.start("after-the-call", request.to_payload() | options.to_payload())
    execution = cloud.engine.wait(arn, 600)
    outcome: dict[str, Any] = execution.result or {}
    if outcome.get("status") != "complete" or outcome.get("end_reason") != "ARCHIVE_END":
        raise RuntimeError(f"the recording after the call is {execution}")
    invocations = cloud.host.invocations[before:]
    # The note was there before the claim. A call that goes on suspends the execution for the event, and for each look.
    looks = looks_before_the_end()
    count = len(invocations) + 1 + looks
    return Use(
        operations=DurableUsage.of(cloud.engine.history(arn)).operations + 1 + looks * OPERATIONS_OF_A_LOOK,
        cpu_s=sum(each.cpu_s for each in invocations) + count * COLD_START_CPU_S,
        invocations=count,
        peak_mib=max(each.peak_rss_kib / 1024 for each in invocations),
    )


def looks_before_the_end(retention_hours: int = 24) -> int:
    """Return how many looks find that the call goes on, although contact events are on."""
    watched, at_s = Watched(read_ms=0, newest_ms=0, has_events=True), 0
    while (at_s := at_s + watched.pause_s(Policy(), retention_hours)) < CALL_S:
        watched = replace(watched, looks=watched.looks + 1)
    return watched.looks


def main() -> list[Bound]:
    """Print the table."""
    live, archive = measure()
    print(f"{'an hour of call':24}{'live':>14}{'archive':>14}{'times':>8}")
    _row("durable operations", live.operations, archive.operations)
    _row("invocations", live.invocations, archive.invocations)
    _row("MiB at the peak", live.peak_mib, archive.peak_mib)
    bounds = [Bound("CPU-s of an hour after the call", archive.cpu_s or 0, at_most=8)]
    for memory_mb in (256, 512):
        _row(f"seconds at {memory_mb} MB", live.seconds(memory_mb), archive.seconds(memory_mb))
        _row(f"dollars at {memory_mb} MB", live.dollars(memory_mb), archive.dollars(memory_mb), "{:.6f}")
        times = live.dollars(memory_mb) / archive.dollars(memory_mb)
        bounds.append(Bound(f"times cheaper at {memory_mb} MB", times, at_least=LEAST_TIMES))
    return bounds


def _row(what: str, live: float, archive: float, form: str = "{:.1f}") -> None:
    columns: Sequence[str] = (form.format(live), form.format(archive))
    print(f"{what:24}{columns[0]:>14}{columns[1]:>14}{live / archive:>8.1f}")


if __name__ == "__main__":
    from benchmarks.bounds import judge

    judge(main())
