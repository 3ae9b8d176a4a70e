"""What the whole-path tests need: a decode of a capture that shares no code with the project, and a look into S3.

The decode walks element headers and nothing else: track names, Cluster timecodes, SimpleBlocks.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from connect_audio_local.cloud import LocalCloud

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


def interleaved(left: bytes, right: bytes) -> bytes:
    """Stereo frames of two equally long channels."""
    frames = bytearray(2 * len(left))
    for at, side in ((0, left), (2, right)):
        frames[at::4], frames[at + 1 :: 4] = side[0::2], side[1::2]
    return bytes(frames)


def stereo_wav(frames: bytes, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(frames)
    return file.getvalue()


def same_wav(found: bytes, expected: bytes) -> bool:
    """Compare in words, where pytest would print megabytes.

    Raises:
        AssertionError: they differ; the message tells where first.
    """
    if found != expected:
        first = next((at for at, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), "its end")
        raise AssertionError(f"WAV of {len(found)} bytes, expected {len(expected)}; the first difference is at {first}")
    return True


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
        contact_id = name.rsplit("_", 1)[0]
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
