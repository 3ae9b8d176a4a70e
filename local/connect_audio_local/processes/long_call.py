"""A call of many hours at high speed: the figures of a day's call in minutes, and whether the recording is exact.

`python -m connect_audio_local.processes.long_call --hours 24` prints them (`make long-call HOURS=24`). The stream keeps
nothing, as Connect's default has it, and its time runs as fast as the consumer reads. S3 is moto, which keeps parts on
the disk and joins them in memory: a day's WAV of 2.8 GB takes it three times as much for a moment.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from connect_audio.core.wav import wav_header
from connect_audio_local.durable_quotas import AWS_QUOTAS, DurableUsage
from connect_audio_local.emulator import EmulatedStream, stored
from connect_audio_local.emulator.model import AsRead
from connect_audio_local.processes.cloud import BUCKET, ProcessCloud, process_cloud, request_for
from connect_audio_local.synthesis import (
    DEFAULT_CONTACT_ID,
    DEFAULT_INSTANCE_ID,
    SyntheticCall,
    synthesise_call,
)

_RATE: Final = 8000
_PIECE_BYTES: Final = 1 << 18
# 5 s of margin, 30 s that a further step would need, and what is left is how long an invocation records: about as
# many minutes of this call as 15 real minutes of a real one.
_INVOCATION_S: Final = 36.5


@dataclass(frozen=True, slots=True)
class LongCall:
    """Figures of one run.

    Args:
        hours: length of the call.
        exact: whether every byte of the WAV was the expected one.
        status: of the manifest.
        gaps: in the manifest.
        wall_s: from the start of the execution to its end.
        cpu_s: of all invocations' handlers.
        invocations: processes.
        hand_overs: as the manifest has them.
        usage: of the durable execution's quotas.
        largest_input: bytes of the largest payload that the engine handed to an invocation; its quota is 6 MB.
        parts: parts of the multipart upload.
        peak_rss_mib: for each invocation, the most memory resident.
        most_connections: the most GetMedia connections open at once.
        left: keys left besides WAV and manifest, and uploads left open.
    """

    hours: float
    exact: bool
    status: str
    gaps: int
    wall_s: float
    cpu_s: float
    invocations: int
    hand_overs: int
    usage: DurableUsage
    largest_input: int
    parts: int
    peak_rss_mib: tuple[float, ...]
    most_connections: int
    left: tuple[str, ...]


def noise(seed: int) -> Iterator[bytes]:
    """One party's audio without end; every shift of it shows."""
    dice = random.Random(seed)
    while True:
        yield dice.randbytes(_PIECE_BYTES)


def record_long_call(cloud: ProcessCloud, hours: float, *, invocation_s: float = _INVOCATION_S) -> LongCall:
    """Record a call and measure.

    Args:
        cloud: where; nothing else must run in it.
        hours: of audio.
        invocation_s: the function's timeout.
    """
    # Of now: what a stream that keeps nothing has had for longer than 5 minutes would be gone.
    start_ms = int(time.time() * 1000)
    call = SyntheticCall(customer=lambda: noise(1), agent=lambda: noise(2), seconds=hours * 3600, start_ms=start_ms)
    stream = cloud.emulator.add_stream(
        EmulatedStream("a-long-call", stored(synthesise_call(call)), pace=AsRead(), retention_hours=0)
    )
    request = request_for(DEFAULT_CONTACT_ID, DEFAULT_INSTANCE_ID, stream.arn, start_ms)
    cloud.host.seconds = invocation_s
    # Only reading has to be short: at the end moto takes half a minute to join a day's parts.
    cloud.host.grace_s = 900
    cloud.gate.arm()
    before = len(cloud.host.invocations)
    started = time.monotonic()
    arn = cloud.engine.start("a-long-call", request.to_payload())
    execution = cloud.engine.wait(arn, 3600)
    wall_s = time.monotonic() - started
    if execution.status != "SUCCEEDED":
        raise RuntimeError(f"the execution ended {execution.status}: {execution.error}")
    invocations = cloud.host.invocations[before:]
    manifest: dict[str, Any] = json.loads(cloud.body(execution.result["manifest"]))
    key = request.recording_key("recordings")
    return LongCall(
        hours=hours,
        exact=_is_exact(cloud, key, round(hours * 3600 * _RATE)),
        status=manifest["status"],
        gaps=manifest["gaps"]["count"],
        wall_s=wall_s,
        cpu_s=sum(each.cpu_s for each in invocations),
        invocations=len(invocations),
        hand_overs=manifest["handOvers"],
        usage=DurableUsage.of(cloud.engine.history(arn)),
        largest_input=max(each.event_bytes for each in invocations),
        parts=sum(each.name.startswith("s3:UploadPart") for each in cloud.gate.crossings),
        peak_rss_mib=tuple(each.peak_rss_kib / 1024 for each in invocations),
        most_connections=cloud.emulator.max_open_connections(stream.name),
        left=tuple(
            sorted({*cloud.keys(DEFAULT_CONTACT_ID)} - {key, key.replace(".wav", ".json")})
            + cloud.open_uploads(DEFAULT_CONTACT_ID)
        ),
    )


def _is_exact(cloud: ProcessCloud, key: str, frames: int) -> bool:
    """Compare the WAV with the parties' audio, a piece at a time."""
    header = wav_header(data_bytes=frames * 4, rate=_RATE)
    left, right, to_come = noise(1), noise(2), frames * 4
    with closing(cloud.s3.get_object(Bucket=BUCKET, Key=key)["Body"]) as body:
        if body.read(len(header)) != header:
            return False
        while to_come:
            piece = bytearray(2 * _PIECE_BYTES)
            for at, side in ((0, next(left)), (2, next(right))):
                piece[at::4], piece[at + 1 :: 4] = side[0::2], side[1::2]
            expected = bytes(piece[:to_come])
            if body.read(len(expected)) != expected:
                return False
            to_come -= len(expected)
        return not body.read(1)


def main() -> None:
    """Record and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="length of the call (default 24)")
    hours: float = parser.parse_args().hours
    with process_cloud() as cloud:
        found = record_long_call(cloud, hours)
    peaks = sorted(found.peak_rss_mib)
    print(f"call                 {found.hours:g} h, {found.status}, {'exact' if found.exact else 'NOT EXACT'}")
    print(f"wall                 {found.wall_s:.1f} s")
    print(f"CPU of the handlers  {found.cpu_s:.1f} s")
    print(f"invocations          {found.invocations} ({found.hand_overs} hand-overs)")
    print(f"parts                {found.parts}")
    print(f"operations           {found.usage.operations} of {AWS_QUOTAS.operations}")
    print(f"history              {found.usage.history_bytes / 1e6:.2f} of {AWS_QUOTAS.history_bytes / 1e6:.0f} MB")
    print(f"largest step result  {found.usage.largest_result_bytes} of {AWS_QUOTAS.result_bytes} bytes")
    print(f"largest input        {found.largest_input / 1e6:.2f} of 6 MB")
    print(f"peak RSS             {peaks[0]:.0f} to {peaks[-1]:.0f} MiB, median {peaks[len(peaks) // 2]:.0f}")
    print(f"GetMedia at once     {found.most_connections}")
    print(f"left over            {list(found.left) or 'nothing'}")


if __name__ == "__main__":
    main()
