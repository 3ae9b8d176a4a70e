"""The sink `webhook`: each segment as a signed WAV by POST to an HTTPS endpoint, and one event at the call's end.

docs/webhook.md describes requests, signature and answers for the receiver's author.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from connect_audio.adapters.endpoint.address import Resolver, endpoint_of, resolve_by_system
from connect_audio.adapters.endpoint.connection import EndpointConnection, Limits
from connect_audio.adapters.endpoint.secret import SecretSource
from connect_audio.adapters.sinks.webhook_signature import (
    IDEMPOTENCY_HEADER,
    PREFIX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    sign,
)
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import SinkError
from connect_audio.core.manifest import rfc3339
from connect_audio.core.segment_wav import SegmentWav, WavShape, segment_wavs
from connect_audio.ports import Clock
from connect_audio.sinks import LiveEnd, LiveSegment

EVENT_VERSION: Final = "1.0"
USER_AGENT: Final = "connect-audio-consumer"

DELIVERY_S: Final = 9.0
"""Limit of a whole delivery, seconds; below the 10 s after which the driver would interrupt it. Beyond: `TIMEOUT`."""
ANSWER_S: Final = 5.0
"""Limit from the request's last byte to the end of the answer's head, seconds. Beyond: `TIMEOUT`."""
BODY_S: Final = 0.5
"""Limit of the answer's body, which is thrown away, seconds. Beyond: the connection is closed."""
ANSWER_BYTES: Final = 16_384
"""Limit of an answer, head and body together. A longer head fails with `NO_HTTP`; a longer body costs the
connection."""

# RFC 6585, 8470 and 9110: a later try may succeed. The same holds for every 5xx.
_PASSING: Final = frozenset({408, 425, 429})
# The receiver refused the signature, perhaps since the secret was rotated.
_UNSIGNED: Final = frozenset({401, 403})
# The receiver has the segment under the same Idempotency-Key, so the delivery has succeeded.
_THERE_ALREADY: Final = 409
_SECRET_PAUSE_S: Final = 60.0
"""Shortest time between two fetches of a refused secret. A receiver that refuses everything must not flood the store;
until then a refused request fails without a fetch."""


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
        self._clock = clock or SystemClock()
        self._endpoint = endpoint_of(url)
        self._connection = EndpointConnection(
            self._endpoint,
            limits=Limits(delivery_s=DELIVERY_S, answer_s=ANSWER_S, body_s=BODY_S, answer_bytes=ANSWER_BYTES),
            allow_private=allow_private,
            ca_file=ca_file,
            resolve=resolve,
            clock=self._clock,
        )
        self._secret = secret
        self._secret_refused_at: float | None = None
        self._shape = shape
        self._segment_seconds = segment_seconds
        self._contact_id = contact_id
        self._recording = recording
        self._streaming_start_ms = streaming_start_ms
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
        self._connection.begin()
        self._connection.prepare()
        self._secret()

    def deliver_segment(self, segment: LiveSegment) -> None:
        """Post a segment; return after an answer of 2xx, or 409, which means that the receiver has it.

        Raises:
            SinkError: the receiver has not taken it. Retryable: `TIMEOUT`, `CONNECTION`, `TLS`, `DNS`, `NO_HTTP`,
                `INTERRUPTED`, and `HTTP_…` with a status of 5xx, 408, 425 or 429. Not retryable: every other `HTTP_…`,
                `TLS_CERTIFICATE`, `ADDRESS_REFUSED`, `CA_FILE` and `SECRET_UNUSABLE`. The secret's store gives AWS's
                own codes.
        """
        self._connection.begin()
        for wav in segment_wavs(segment, self._shape):
            track = wav.party or "stereo"
            key = self._key(str(segment.number), track, wav.wav)
            if key in self._taken:
                continue
            headers = self._headers("segment", key) | _segment_headers(segment, wav, track)
            self._post(headers, wav.wav, f"segment {segment.number} ({track})")
            self._taken.add(key)
        self._taken.clear()

    def end(self, end: LiveEnd) -> None:
        """Post the event of the call's end.

        Raises:
            SinkError: as `deliver_segment`.
        """
        self._connection.begin()
        rate = end.rate or 0
        segment_frames = self._segment_seconds * rate
        event = {
            "schemaVersion": EVENT_VERSION,
            "event": "end",
            "contactId": self._contact_id,
            "recording": self._recording,
            "streamingStart": rfc3339(self._streaming_start_ms),
            "start": rfc3339(end.origin * 1000 // rate) if end.origin is not None and rate else None,
            "durationSeconds": end.frames / rate if rate else 0.0,
            "frames": end.frames,
            "sampleRate": end.rate,
            "segments": -(-end.frames // segment_frames) if segment_frames else 0,
        }
        body = json.dumps(event).encode()
        headers = self._headers("end", self._key("end", "", body)) | {"Content-Type": "application/json"}
        self._post(headers, body, "the end")

    def interrupt(self) -> None:
        """Make the delivery or `end` under way fail soon; called from another thread."""
        self._connection.interrupt()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
        self._secret.close()

    def _key(self, number: str, track: str, body: bytes) -> str:
        """The name of a request: the same for the same bytes, another one after a correction of the audio."""
        parts = [quote(self._contact_id), str(self._streaming_start_ms), number, track, _digest(body)]
        return "_".join(part for part in parts if part)

    def _headers(self, event: str, key: str) -> dict[str, str]:
        return {
            "User-Agent": USER_AGENT,
            IDEMPOTENCY_HEADER: key,
            f"{PREFIX}Event": event,
            f"{PREFIX}Url": self._endpoint.url,
            f"{PREFIX}Contact-Id": quote(self._contact_id),
            f"{PREFIX}Recording": quote(self._recording, safe="/:"),
            f"{PREFIX}Streaming-Start": rfc3339(self._streaming_start_ms) or "",
        }

    def _post(self, headers: Mapping[str, str], body: bytes, what: str) -> None:
        secret = self._secret()
        status = self._connection.post(self._signed(headers, body, secret), body).status
        if status in _UNSIGNED and self._may_ask_again():
            newest = self._secret(fresh=True)
            if newest != secret:
                status = self._connection.post(self._signed(headers, body, newest), body).status
        if 200 <= status < 300 or status == _THERE_ALREADY:
            return
        note = "; redirects are not followed" if 300 <= status < 400 else ""
        raise SinkError(
            f"HTTP_{status}",
            f"{what} was answered with {status} by {self._endpoint.authority}{note}",
            retryable=status >= 500 or status in _PASSING,
        )

    def _signed(self, headers: Mapping[str, str], body: bytes, secret: bytes) -> dict[str, str]:
        signed = {**headers, TIMESTAMP_HEADER: str(self._clock.now_ms() // 1000)}
        signed[SIGNATURE_HEADER] = sign(signed, body, secret)
        return signed

    def _may_ask_again(self) -> bool:
        now = self._clock.monotonic()
        if self._secret_refused_at is not None and now - self._secret_refused_at < _SECRET_PAUSE_S:
            return False
        self._secret_refused_at = now
        return True


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


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
