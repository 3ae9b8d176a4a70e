"""What the whole-path tests need: a decode of a capture that shares no code with the project, and a look into S3.

The decode walks element headers and nothing else: track names, Cluster timecodes, SimpleBlocks.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from connect_audio_local.cloud import LocalCloud, connect_event, local_cloud
from connect_audio_local.kvs.capture import stored
from connect_audio_local.kvs.model import EmulatedStream
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, SyntheticCall, synthesize_stream
from connect_audio_local.synthesis.speech import two_party_conversation
from support.wav import stereo_wav

INSTANCE = "00000000-0000-4000-8000-0000000000aa"
QUICK = {
    "DRAIN_SECONDS": "1",
    "IDLE_LIMIT_SECONDS": "10",
    "STATUS_INTERVAL_SECONDS": "0",
    "READ_TIMEOUT_SECONDS": "1",
    "DEADLINE_MARGIN_SECONDS": "5",
}
_SEGMENT, _CLUSTER, _TRACKS, _TRACK = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
_TIMECODE, _SIMPLE_BLOCK, _TRACK_NUMBER, _NAME = 0xE7, 0xA3, 0xD7, 0x536E
_MASTERS = frozenset({_SEGMENT, _CLUSTER, _TRACKS, _TRACK})


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (ID, payload) of a flat walk that enters the masters above, whatever their size says."""
    at = 0
    while at < len(data):
        width = 9 - data[at].bit_length()
        element_id, at = int.from_bytes(data[at : at + width], "big"), at + width
        width = 9 - data[at].bit_length()
        size, at = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1), at + width
        if element_id in _MASTERS:
            yield element_id, b""
            continue
        yield element_id, data[at : at + size]
        at += size


def decode(capture: bytes, rate: int = 8000) -> bytes:
    """Make the WAV of a capture of one call with millisecond ticks: customer left, agent right."""
    names: dict[int, str] = {}
    number = cluster_ms = 0
    blocks: list[tuple[int, str, bytes]] = []
    for element_id, payload in elements(capture):
        if element_id == _TRACK_NUMBER:
            number = int.from_bytes(payload, "big")
        elif element_id == _NAME:
            names[number] = payload.rstrip(b"\0").decode()
        elif element_id == _TIMECODE:
            cluster_ms = int.from_bytes(payload, "big")
        elif element_id == _SIMPLE_BLOCK:
            ms = cluster_ms + int.from_bytes(payload[1:3], "big", signed=True)
            blocks.append((ms, names[payload[0] & 0x7F], payload[4:]))
    origin = min(ms for ms, _, _ in blocks)
    length = max((ms - origin) * rate // 1000 + len(pcm) // 2 for ms, _, pcm in blocks)
    frames = bytearray(4 * length)
    for ms, name, pcm in blocks:
        side = {"AUDIO_FROM_CUSTOMER": 0, "AUDIO_TO_CUSTOMER": 2}[name]
        at = (ms - origin) * rate // 1000 * 4
        frames[at + side : at + 2 * len(pcm) : 4] = pcm[0::2]
        frames[at + side + 1 : at + 2 * len(pcm) : 4] = pcm[1::2]
    return stereo_wav(bytes(frames), rate)


@dataclass(frozen=True)
class Recorded:
    """What an execution left in the bucket.

    Args:
        result: what the handler returned.
        wav: the WAV; None where there is none.
        manifest: the manifest; None where there is none.
        objects: every key of that contact.
    """

    result: dict[str, Any]
    wav: bytes | None
    manifest: dict[str, Any] | None
    objects: list[str]


def recorded(cloud: LocalCloud, name: str, timeout_s: float = 60) -> Recorded:
    """Wait for an execution and fetch what it left."""
    execution = cloud.wait(name, timeout_s)
    assert execution.status == "SUCCEEDED", execution.error
    result: dict[str, Any] = execution.result
    with closing(cloud.s3()) as s3:
        contact_id = name.split("_", 1)[0]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=cloud.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", []) if contact_id in item["Key"]]
        uploads = s3.list_multipart_uploads(Bucket=cloud.bucket).get("Uploads", [])
        assert not [upload for upload in uploads if contact_id in upload["Key"]]

        def fetch(uri: str | None) -> bytes | None:
            if uri is None:
                return None
            key = uri.removeprefix(f"s3://{cloud.bucket}/")
            body: bytes = s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read()
            return body

        wav, manifest = fetch(result.get("recording")), fetch(result.get("manifest"))
    return Recorded(result, wav, None if manifest is None else json.loads(manifest), keys)


@contextmanager
def cloud_of(moto_server: str, *, invocation_s: float = 900, **settings: str) -> Iterator[LocalCloud]:
    bucket = f"recordings-{uuid.uuid4().hex[:12]}"
    with local_cloud({**QUICK, **settings}, s3_url=moto_server, bucket=bucket, invocation_s=invocation_s) as running:
        yield running


@contextmanager
def cloud_that_waits(
    moto_server: str, settings: Mapping[str, str], *, announces_ends: bool = False
) -> Iterator[LocalCloud]:
    """A cloud in which the consumer's waits take their time: somebody else may act meanwhile."""
    bucket = f"recordings-{uuid.uuid4().hex[:12]}"
    with local_cloud(
        {**QUICK, **settings}, s3_url=moto_server, bucket=bucket, skip_waits=False, announces_ends=announces_ends
    ) as running:
        yield running


def a_call(seconds: int, *, contact: int = 1, seed: int = 0, **options: Any) -> SyntheticCall:
    speech = two_party_conversation(seconds, seed=seed)
    return SyntheticCall(
        customer=speech.customer, agent=speech.agent, contact_id=contact_id(contact), instance_id=INSTANCE, **options
    )


def contact_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def serve(cloud: LocalCloud, *calls: SyntheticCall, **options: Any) -> EmulatedStream:
    return cloud.emulator.add_stream(EmulatedStream("a-pooled-stream", stored(synthesize_stream(calls)), **options))


def event_for(stream_arn: str, *, contact: int = 1, start_ms: int = DEFAULT_START_MS) -> dict[str, Any]:
    return connect_event(
        contact_id=contact_id(contact),
        instance_id=INSTANCE,
        stream_arn=stream_arn,
        start_ms=start_ms,
        start_fragment="1",
    )


def record(cloud: LocalCloud, event: dict[str, Any]) -> Recorded:
    answer = cloud.trigger(event)
    assert answer["status"] == "STARTED", answer
    found = recorded(cloud, answer["executionName"])
    if found.wav is not None:
        assert found.result["recording"] == answer["recordingUri"]
    return found


def is_whole(found: Recorded) -> bool:
    """Complete, and nothing left but WAV and manifest."""
    assert found.manifest is not None
    assert found.manifest["status"] == found.result["status"] == "complete", found.manifest["reasons"]
    assert [key.rsplit(".", 1)[1] for key in found.objects] == ["json", "wav"]
    return True
