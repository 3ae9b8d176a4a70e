"""The sink `webhook`: each segment as a signed WAV by POST to an HTTPS endpoint, and one event at the call's end.

docs/webhook.md describes requests, signature and answers for the receiver's author.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from connect_audio.adapters.endpoint.address import Resolver, resolve_by_system
from connect_audio.adapters.endpoint.secret import SecretSource
from connect_audio.adapters.sinks.webhook_requests import WebhookCall, WebhookRequests, digest
from connect_audio.adapters.sinks.webhook_signature import PREFIX
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.manifest import rfc3339
from connect_audio.core.segment_wav import SegmentWav, WavShape, segment_wavs
from connect_audio.ports import Clock
from connect_audio.sinks import LiveEnd, LiveSegment

EVENT_VERSION: Final = "1.0"


class WebhookSink:
    """The sink `webhook` of one call.

    Args:
        url: address to post to.
        secret: gives the signing secret; closed with the sink.
        shape: form of the WAVs.
        segment_seconds: length of a segment, seconds.
        contact_id: the call's contact.
        recording: name or URI of the recording.
        streaming_start_ms: start of the call's streaming, ms since the epoch; two streamings of one contact differ in
            it.
        allow_private: True if private, loopback and link-local addresses are allowed.
        ca_file: certificates to trust besides the system's.
        resolve: the resolver.
        clock: for signatures and deadlines.

    Raises:
        SinkError: `URL_REFUSED`, not retryable: nothing can be posted to the URL.
    """

    def __init__(
        self,
        *,
        url: str,
        secret: SecretSource,
        shape: WavShape,
        segment_seconds: int,
        contact_id: str,
        recording: str,
        streaming_start_ms: int,
        allow_private: bool = False,
        ca_file: Path | None = None,
        resolve: Resolver = resolve_by_system,
        clock: Clock | None = None,
    ) -> None:
        self._call = WebhookCall(contact_id=contact_id, recording=recording, streaming_start_ms=streaming_start_ms)
        self._requests = WebhookRequests(
            url=url,
            secret=secret,
            call=self._call,
            clock=clock or SystemClock(),
            allow_private=allow_private,
            ca_file=ca_file,
            resolve=resolve,
        )
        self._shape = shape
        self._segment_seconds = segment_seconds
        # Keys of the tracks that the receiver took of a segment whose delivery failed: one of two.
        self._taken: set[str] = set()

    @property
    def segment_seconds(self) -> int:
        """Length of a segment, seconds."""
        return self._segment_seconds

    def prepare(self) -> None:
        """Fetch the secret and load the certificates to trust, which the first delivery does otherwise.

        Raises:
            SinkError: as `deliver_segment`.
        """
        self._requests.prepare()

    def deliver_segment(self, segment: LiveSegment) -> None:
        """Post a segment; return after an answer of 2xx, or 409, which means that the receiver has it.

        Raises:
            SinkError: the receiver has not taken it, as `WebhookRequests.post` says.
        """
        self._requests.begin()
        for wav in segment_wavs(segment, self._shape):
            track = wav.party or "stereo"
            key = self._requests.key(str(segment.number), track, digest(wav.wav))
            if key in self._taken:
                continue
            headers = self._requests.headers("segment", key) | _segment_headers(segment, wav, track)
            self._requests.post(headers, wav.wav, f"segment {segment.number} ({track})")
            self._taken.add(key)
        self._taken.clear()

    def end(self, end: LiveEnd) -> None:
        """Post the event of the call's end.

        Raises:
            SinkError: as `deliver_segment`.
        """
        self._requests.begin()
        rate = end.rate or 0
        segment_frames = self._segment_seconds * rate
        event = {
            "schemaVersion": EVENT_VERSION,
            "event": "end",
            "contactId": self._call.contact_id,
            "recording": self._call.recording,
            "streamingStart": self._call.streaming_start,
            "start": rfc3339(end.origin * 1000 // rate) if end.origin is not None and rate else None,
            "durationSeconds": end.frames / rate if rate else 0.0,
            "frames": end.frames,
            "sampleRate": end.rate,
            "segments": -(-end.frames // segment_frames) if segment_frames else 0,
        }
        body = json.dumps(event).encode()
        headers = self._requests.headers("end", self._requests.key("end", digest(body))) | {
            "Content-Type": "application/json"
        }
        self._requests.post(headers, body, "the end")

    def interrupt(self) -> None:
        """Make the delivery or `end` under way fail soon; called from another thread."""
        self._requests.interrupt()

    def close(self) -> None:
        """Close the connections."""
        self._requests.close()


def _segment_headers(segment: LiveSegment, wav: SegmentWav, track: str) -> dict[str, str]:
    return {
        "Content-Type": "audio/wav",
        f"{PREFIX}Segment": str(segment.number),
        f"{PREFIX}Track": track,
        # In the WAV's own samples, so that a receiver needs no arithmetic to place it.
        f"{PREFIX}Position": str(segment.position * wav.rate // segment.rate),
        f"{PREFIX}Frames": str(wav.frames),
        f"{PREFIX}Sample-Rate": str(wav.rate),
        f"{PREFIX}Start": rfc3339(segment.start_ms) or "",
        f"{PREFIX}Duration": f"{segment.seconds:.3f}",
        f"{PREFIX}Last": "true" if segment.last else "false",
    }
