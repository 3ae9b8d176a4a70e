"""A call of many hours at high speed: the figures of a day's call in minutes, and whether the recording is exact.

`python -m connect_audio_local.long_call --hours 24` prints them (`make long-call HOURS=24`). `--segments` writes live
segments, too. The stream keeps nothing, as by Connect's default. Its time runs as fast as the consumer reads, or as
`--speed` says. The drops of live audio at high speed say nothing about a call at its own pace. S3 is moto, which keeps
parts on the disk and joins them in memory. For a moment a day's WAV of 2.8 GB takes three times as much.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import time
import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from connect_audio.core.wav import wav_header
from connect_audio_local.kvs import EmulatedStream, stored
from connect_audio_local.kvs.model import AsRead, Live
from connect_audio_local.lambda_.quotas import AWS_QUOTAS, DurableUsage
from connect_audio_local.process_cloud import BUCKET, ProcessCloud, process_cloud, request_for
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_INSTANCE_ID,
    SyntheticCall,
    synthesize_call,
)

_RATE: Final = 8000
_PIECE_BYTES: Final = 1 << 18
# 5 s of margin and 30 s for a further step. In the remainder an invocation records about as much of this call as of a
# real one in 15 minutes.
_INVOCATION_S: Final = 35.7
# The largest that there is: at this speed a minute of audio passes in a fifth of a second.
_LIVE_BUFFER_S: Final = 300


@dataclass(frozen=True, slots=True)
class LongLive:
    """The result of a call's live segments.

    Args:
        segment_seconds: length of one.
        segments: listed by the index.
        exact: True if each of them holds the recording's samples of its place.
        missing: not listed.
        delivered: pieces that the sink took, some of them more than once.
        dropped_s: audio that the manifest says the sink did not get, seconds.
        ended: True if the index says that no more will come.
        left_threads: threads of sinks that outlived their invocation.
    """

    segment_seconds: int
    segments: int
    exact: bool
    missing: int
    delivered: int
    dropped_s: float
    ended: bool
    left_threads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LongCall:
    """Figures of one run.

    Args:
        hours: length of the call.
        exact: True if every byte of the WAV was the expected one.
        status: status in the manifest.
        gaps: in the manifest.
        wall_s: from the start of the execution to its end.
        cpu_s: CPU time of all invocations' handlers.
        invocations: processes.
        hand_overs: as the manifest has them.
        usage: use of the durable execution's quotas.
        largest_input: bytes of the largest payload that the engine handed to an invocation; its quota is 6 MB.
        parts: parts of the multipart upload.
        peak_rss_mib: for each invocation, the most memory resident.
        most_connections: the most GetMedia connections open at once.
        left: keys left besides WAV, manifest and segments, and uploads left open.
        live: result of the live segments; None without any.
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
    live: LongLive | None


def noise(seed: int) -> Iterator[bytes]:
    """One party's audio without end; every shift of it shows."""
    dice = random.Random(seed)
    while True:
        yield dice.randbytes(_PIECE_BYTES)


def record_long_call(
    cloud: ProcessCloud,
    hours: float,
    *,
    invocation_s: float = _INVOCATION_S,
    segment_seconds: int | None = None,
    speed: float | None = None,
) -> LongCall:
    """Record a call and measure.

    Args:
        cloud: the services; nothing else must run in them.
        hours: hours of audio.
        invocation_s: the function's timeout.
        segment_seconds: length of the live segments; None for no live audio.
        speed: media seconds a second; None for as fast as the consumer reads.
    """
    # Begins now: a stream that keeps nothing drops media after 5 minutes.
    start_ms = int(time.time() * 1000)
    call = SyntheticCall(customer=lambda: noise(1), agent=lambda: noise(2), seconds=hours * 3600, start_ms=start_ms)
    stream = cloud.emulator.add_stream(
        EmulatedStream(
            "a-long-call",
            stored(synthesize_call(call)),
            pace=AsRead() if speed is None else Live(speed),
            retention_hours=0,
        )
    )
    request = request_for(DEFAULT_CONTACT_ID, DEFAULT_INSTANCE_ID, stream.arn, start_ms)
    cloud.host.seconds = invocation_s
    # Only reading has to be short: at the end moto takes half a minute to join a day's parts.
    cloud.host.grace_s = 900
    cloud.gate.arm()
    before = len(cloud.host.invocations)
    started = time.monotonic()
    payload = request.to_payload()
    if segment_seconds is not None:
        payload["live"] = {
            "LIVE_SINKS": "segments",
            "LIVE_SEGMENT_SECONDS": str(segment_seconds),
            "LIVE_BUFFER_SECONDS": str(_LIVE_BUFFER_S),
        }
    arn = cloud.engine.start("a-long-call", payload)
    execution = cloud.engine.wait(arn, 3600)
    wall_s = time.monotonic() - started
    if execution.status != "SUCCEEDED":
        raise RuntimeError(f"the execution ended {execution.status}: {execution.error}")
    invocations = cloud.host.invocations[before:]
    manifest: dict[str, Any] = json.loads(cloud.body(execution.result["manifest"]))
    key = request.recording_key("recordings")
    prefix = key.removesuffix("wav") + "segments/"
    keys = [each for each in cloud.keys(DEFAULT_CONTACT_ID) if not each.startswith(prefix)]
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
        left=tuple(sorted({*keys} - {key, key.replace(".wav", ".json")}) + cloud.open_uploads(DEFAULT_CONTACT_ID)),
        live=None
        if segment_seconds is None
        else _live(cloud, key, prefix, manifest, [name for each in invocations for name in each.left_sinks or ()]),
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


def _live(cloud: ProcessCloud, key: str, prefix: str, manifest: dict[str, Any], left_threads: list[str]) -> LongLive:
    """Compare the segments with the WAV, one at a time, and count."""

    def read(name: str) -> bytes:
        return cloud.body(f"s3://{BUCKET}/{prefix}{name}")

    index = json.loads(read("index.json"))
    pages = [json.loads(read(page["name"])) for page in index["pages"]]
    files = {each["number"]: each["files"][0] for page in pages for each in page["segments"]}
    seconds: int = index["segmentSeconds"]
    number, exact = 0, True
    with closing(cloud.s3.get_object(Bucket=BUCKET, Key=key)["Body"]) as body:
        body.read(len(wav_header(data_bytes=0, rate=_RATE)))
        while recorded := body.read(seconds * _RATE * 4):
            if number in files:
                with wave.open(io.BytesIO(read(files[number]))) as wav:
                    exact = exact and wav.readframes(wav.getnframes()) == recorded
            number += 1
    (sink,) = manifest["live"]["sinks"]
    return LongLive(
        segment_seconds=seconds,
        segments=len(files),
        exact=exact,
        missing=number - len(files),
        delivered=sink["deliveries"],
        dropped_s=sink["droppedSeconds"],
        ended=index["state"] == "ended",
        left_threads=tuple(left_threads),
    )


def main() -> None:
    """Record and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="length of the call (default 24)")
    parser.add_argument(
        "--segments",
        type=int,
        nargs="?",
        const=1,
        metavar="SECONDS",
        help="write live segments, too, of so many seconds (default 1)",
    )
    parser.add_argument("--speed", type=float, help="media seconds a second (default: as fast as it is read)")
    arguments = parser.parse_args()
    hours: float = arguments.hours
    with process_cloud() as cloud:
        found = record_long_call(cloud, hours, segment_seconds=arguments.segments, speed=arguments.speed)
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
    if found.live is not None:
        live = found.live
        segments = f"{live.segments} of {live.segment_seconds} s, {'exact' if live.exact else 'NOT EXACT'}"
        print(f"segments             {segments}, {live.missing} missing, {'ended' if live.ended else 'NOT ENDED'}")
        print(f"deliveries           {live.delivered}, {live.dropped_s:g} s dropped")
        print(f"threads of sinks     {list(live.left_threads) or 'none'} left")


if __name__ == "__main__":
    main()
