"""The sink `webhook`: what a receiver gets, how it is signed, and which key it has when it comes again."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import time
import wave

from connect_audio.core.segment_wav import WavShape, segment_wavs
from connect_audio.sinks import LiveEnd
from connect_audio_local.webhook import faults as misbehaviour
from connect_audio_local.webhook.model import accept
from support.webhook_sink import (
    CONTACT,
    ORIGIN,
    RATE,
    RECORDING,
    SECRET,
    STREAMING_START_MS,
    at,
    connected,
    failure,
    segment,
    values,
)


def test_a_segment_arrives_as_a_wav_with_all_that_is_to_be_known_of_it() -> None:
    with connected() as (sink, receiver):
        sink.deliver_segment(segment(12, frames=4000, last=True))
    (delivery,) = receiver.received
    (expected,) = segment_wavs(segment(12, frames=4000, last=True), WavShape())
    assert delivery.body == expected.wav
    with wave.open(io.BytesIO(delivery.body)) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getnframes()) == (2, 8000, 4000)
    shown = {name: value for name, value in delivery.headers.items() if "signature" not in name and "stamp" not in name}
    digest = hashlib.sha256(delivery.body).hexdigest()[:16]
    assert shown == {
        "host": at(receiver),
        "user-agent": "connect-audio-consumer",
        "content-type": "audio/wav",
        "content-length": "16044",
        "idempotency-key": f"{CONTACT}_{STREAMING_START_MS}_12_stereo_{digest}",
        "connect-audio-event": "segment",
        "connect-audio-url": receiver.url,
        "connect-audio-contact-id": CONTACT,
        "connect-audio-recording": RECORDING,
        "connect-audio-streaming-start": "2026-01-02T03:04:05.678Z",
        "connect-audio-segment": "12",
        "connect-audio-track": "stereo",
        "connect-audio-position": "96000",
        "connect-audio-frames": "4000",
        "connect-audio-sample-rate": "8000",
        "connect-audio-start": "2026-01-02T03:04:18.000Z",
        "connect-audio-duration": "0.500",
        "connect-audio-last": "true",
    }


def test_with_a_track_of_its_own_each_party_is_a_request_and_a_position_counts_in_the_wavs_own_samples() -> None:
    with connected(shape=WavShape("tracks", 16_000)) as (sink, receiver):
        sink.deliver_segment(segment(3))
    names = ("Track", "Position", "Frames", "Sample-Rate", "Duration", "Last")
    expected = {"Position": "48000", "Frames": "16000", "Sample-Rate": "16000", "Duration": "1.000", "Last": "false"}
    assert [values(delivery, *names) for delivery in receiver.received] == [
        {"Track": "customer", **expected},
        {"Track": "agent", **expected},
    ]
    wavs = segment_wavs(segment(3), WavShape("tracks", 16_000))
    assert [delivery.body for delivery in receiver.received] == [wav.wav for wav in wavs]


def test_the_end_is_told_in_json() -> None:
    with connected() as (sink, receiver):
        sink.end(LiveEnd(frames=20_001, origin=ORIGIN, rate=RATE))
        sink.end(LiveEnd(frames=0, origin=None, rate=None))
    whole, empty = receiver.received
    assert (whole.headers["content-type"], whole.value("Event")) == ("application/json", "end")
    common = {
        "schemaVersion": "1.0",
        "event": "end",
        "contactId": CONTACT,
        "recording": RECORDING,
        "streamingStart": "2026-01-02T03:04:05.678Z",
    }
    assert json.loads(whole.body) == common | {
        "start": "2026-01-02T03:04:06.000Z",
        "durationSeconds": 2.500125,
        "frames": 20_001,
        "sampleRate": 8000,
        "segments": 3,
    }
    assert json.loads(empty.body) == common | {
        "start": None,
        "durationSeconds": 0.0,
        "frames": 0,
        "sampleRate": None,
        "segments": 0,
    }


def test_the_signature_is_what_the_documentation_says_calculated_by_hand() -> None:
    with connected() as (sink, receiver):
        sink.deliver_segment(segment(0))
    (delivery,) = receiver.received
    headers = delivery.headers
    canonical = "\n".join(
        [
            "v1",
            f"connect-audio-contact-id:{CONTACT}",
            "connect-audio-duration:1.000",
            "connect-audio-event:segment",
            "connect-audio-frames:8000",
            "connect-audio-last:false",
            "connect-audio-position:0",
            f"connect-audio-recording:{RECORDING}",
            "connect-audio-sample-rate:8000",
            "connect-audio-segment:0",
            "connect-audio-start:2026-01-02T03:04:06.000Z",
            "connect-audio-streaming-start:2026-01-02T03:04:05.678Z",
            f"connect-audio-timestamp:{headers['connect-audio-timestamp']}",
            "connect-audio-track:stereo",
            f"connect-audio-url:{receiver.url}",
            f"idempotency-key:{headers['idempotency-key']}",
            hashlib.sha256(delivery.body).hexdigest(),
        ]
    )
    assert headers["connect-audio-signature"] == "v1=" + hmac.new(SECRET, canonical.encode(), "sha256").hexdigest()
    assert abs(int(headers["connect-audio-timestamp"]) - time.time()) < 60


def test_a_recording_s_name_beyond_ascii_is_percent_encoded() -> None:
    with connected(recording="Gespräch 1.wav") as (sink, receiver):
        sink.deliver_segment(segment(0))
    assert receiver.received[0].value("Recording") == "Gespr%C3%A4ch%201.wav"


def test_delivered_again_a_segment_has_the_same_key_and_a_corrected_one_another() -> None:
    with connected() as (sink, receiver):
        for audio in (segment(0), segment(0), segment(0, seed=2)):
            sink.deliver_segment(audio)
    first, corrected = receiver.received
    assert (first.arrivals, corrected.arrivals) == (2, 1)
    assert values(first, "Segment", "Track", "Position") == values(corrected, "Segment", "Track", "Position")


def test_of_two_tracks_the_one_that_was_taken_is_not_posted_again() -> None:
    behaviours = [accept, misbehaviour.answer(503)]
    with connected(behaviours, shape=WavShape("tracks")) as (sink, receiver):
        assert failure(lambda: sink.deliver_segment(segment(0)))[0] == "HTTP_503"
        sink.deliver_segment(segment(0))
        assert receiver.requests == 3
        assert [(each.value("Track"), each.arrivals) for each in receiver.received] == [("customer", 1), ("agent", 1)]
