"""The age of live audio at its sinks: a block in `deliver`, a second of both parties in S3, at the pace of a call.

`python -m benchmarks.live_latency`, some 15 s. The sender of `block_latency` stamps each block with the monotonic clock
just before the block's last byte goes out. The whole recorder reads the stream, GetMedia over HTTP. It passes the audio
to both sinks at once, each in its thread. The sender and S3, which is moto's server, are processes of their own.
"""

from __future__ import annotations

import math
import statistics
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
from aws_lambda_powertools import Logger

from benchmarks.block_latency import ARRIVALS, BLOCKS_PER_FRAGMENT, FRAGMENTS, STAMP, sender, source_of
from benchmarks.bounds import Bound
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.adapters.s3_recording import S3_CONFIG, S3PartStore
from connect_audio.adapters.sinks.segment_bucket import SegmentBucket, segment_client
from connect_audio.adapters.sinks.segments import SegmentFileSink
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.live_audio import LiveBlock, LiveSegment
from connect_audio.core.segment_wav import WavShape
from connect_audio.live import LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.ports import ContactAnswer, ContactState
from connect_audio.recorder import Budget, Checkpoint, LiveWanted, Policy, Recorder, RecorderPorts
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest
from connect_audio.sinks import LiveEnd
from connect_audio_local.cloud import environment
from connect_audio_local.s3.server import s3_server
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, DEFAULT_INSTANCE_ID, DEFAULT_START_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

MOST_MEDIAN_MS = 20.0
MOST_P99_MS = 100.0
MOST_SEGMENT_MS = 150.0
_BLOCK_SAMPLES = 512
BUCKET = "recordings"
LOGGER = Logger(service="benchmark", level="ERROR")
_SECONDS = FRAGMENTS * BLOCKS_PER_FRAGMENT * 0.032


@dataclass
class StampReader:
    """Notes how old each block is when it comes."""

    waits_ms: list[float] = field(default_factory=list)

    def prepare(self) -> None:
        """Nothing to make ready."""

    def deliver_block(self, block: LiveBlock) -> None:
        """Read the stamp."""
        (sent_ns,) = STAMP.unpack_from(block.samples)
        self.waits_ms.append((time.monotonic_ns() - sent_ns) / 1e6)

    def end(self, end: LiveEnd) -> None:
        """Do nothing."""

    def interrupt(self) -> None:
        """Never under way for long."""

    def close(self) -> None:
        """Nothing is held."""


class StampedBucket(SegmentBucket):
    """Notes when a segment's WAV is in S3."""

    last_put_ns = 0

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Write, and look at the clock."""
        super().put(name, body, content_type)
        if name.endswith(".wav"):
            self.last_put_ns = time.monotonic_ns()


class TimedSegments(SegmentFileSink):
    """Notes how old a segment's last sample is when the segment is in S3, index and all."""

    def __init__(self, bucket: StampedBucket) -> None:
        super().__init__(
            bucket,
            contact_id=DEFAULT_CONTACT_ID,
            recording="s3://recordings/call.wav",
            shape=WavShape(),
            segment_seconds=1,
            clock=SystemClock(),
        )
        self._bucket = bucket
        self.waits_ms: list[float] = []

    def deliver_segment(self, segment: LiveSegment) -> None:
        """Write the segment, and compare."""
        super().deliver_segment(segment)
        if segment.last:
            return
        # A block is shorter than a segment, so the stamp of the last sample's block lies in the segment too.
        last = segment.position + segment.length - 1
        at = 2 * (last // _BLOCK_SAMPLES * _BLOCK_SAMPLES - segment.position)
        sent_ns = max(STAMP.unpack_from(samples, at)[0] for samples in segment.samples.values())
        self.waits_ms.append((self._bucket.last_put_ns - sent_ns) / 1e6)


class Connected:
    """Connect's word: the call goes on."""

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        """Always connected."""
        del instance_id, contact_id, stream_arn, start_fragment
        return ContactAnswer(ContactState.CONNECTED)


def record_live(
    source: KvsMediaSource, live: Callable[[LiveState | None], LivePipeline], s3: S3Client, seconds: float
) -> None:
    """Let the whole recorder read a stream for a while, and pass its audio to sinks.

    Args:
        source: the stream; closed in the end.
        live: makes the pipeline.
        s3: client of the store with the bucket `BUCKET`.
        seconds: the time of the step.
    """
    request = RecordingRequest(
        contact_id=DEFAULT_CONTACT_ID,
        instance_arn=f"arn:aws:connect:eu-west-2:123456789012:instance/{DEFAULT_INSTANCE_ID}",
        stream_arn="arn:aws:kinesisvideo:eu-west-2:123456789012:stream/call/1",
        start_timestamp_ms=DEFAULT_START_MS,
        start_fragment_number=None,
    )
    clock = SystemClock()
    ports = RecorderPorts(
        request=request,
        names=RecordingNames(BUCKET, "call.wav"),
        execution="benchmark",
        source=source,
        store=S3PartStore(BUCKET, client=s3),
        status=Connected(),
        clock=clock,
        policy=Policy(),
        logger=LOGGER,
        live=LiveWanted(live, S3PartStore(BUCKET, client=s3)),
    )
    deadline = clock.monotonic() + seconds
    with closing(source), Recorder(ports) as recorder:
        recorder.record(Checkpoint(), Budget(deadline, deadline))


def measure() -> tuple[list[float], list[float]]:
    """Record one call.

    Returns:
        How old, in ms, each block was in its sink, and each segment's last sample in S3.
    """
    with sender() as url, s3_server() as s3_url, environment(_variables(url, s3_url)):
        blocks = StampReader()
        with closing(boto3.client("s3", config=S3_CONFIG)) as s3:
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
            bucket = StampedBucket(BUCKET, "call.segments/", client=segment_client(boto3.Session()))
            segments = TimedSegments(bucket)

            def live(state: LiveState | None) -> LivePipeline:
                named = [NamedSink.of("blocks", blocks), NamedSink.of("segments", segments)]
                return LivePipeline(named, LivePolicy(), SystemClock(), LOGGER, state=state)

            # The sender would begin again where the call ends; by then the step's time is up.
            record_live(source_of(ARRIVALS["block by block"]), live, s3, _SECONDS + 2)
    least = FRAGMENTS * BLOCKS_PER_FRAGMENT
    if len(blocks.waits_ms) < least or len(segments.waits_ms) < int(_SECONDS) - 1:
        raise RuntimeError(f"{len(blocks.waits_ms)} blocks and {len(segments.waits_ms)} segments came")
    # Blocks after a reconnect are old by design.
    return blocks.waits_ms[:least], segments.waits_ms[: int(_SECONDS) - 1]


def main() -> list[Bound]:
    """Print the table."""
    blocks, segments = measure()
    print(f"{'live, at the pace of a call':34}{'median':>11}{'p99':>11}{'worst':>11}")
    for name, waits in (("block sent to block in its sink", blocks), ("last sample sent to WAV in S3", segments)):
        print(f"{name:34}{statistics.median(waits):>8.2f} ms{_p99(waits):>8.2f} ms{max(waits):>8.2f} ms")
    return [
        Bound("ms to the sink, median", statistics.median(blocks), at_most=MOST_MEDIAN_MS),
        Bound("ms to the sink, 99th percentile", _p99(blocks), at_most=MOST_P99_MS),
        Bound("ms from a second's last sample to S3, 99th percentile", _p99(segments), at_most=MOST_SEGMENT_MS),
    ]


def _p99(waits: list[float]) -> float:
    return sorted(waits)[math.ceil(len(waits) * 0.99) - 1]


def _variables(url: str, s3_url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_KINESIS_VIDEO": url,
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


if __name__ == "__main__":
    from benchmarks.bounds import judge

    judge(main())
