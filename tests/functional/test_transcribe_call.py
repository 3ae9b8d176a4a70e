"""Words by Transcribe along the whole path: event, trigger, consumer, the stand-in of Transcribe, transcript."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs.model import Delivery, Live
from connect_audio_local.synthesis.calls import SyntheticCall
from connect_audio_local.transcribe.faults import Behaviour, CutAfter, FailAfter
from connect_audio_local.transcribe.server import TranscribeEndpoint
from support.spoken_words import quiet, spoken
from support.transcribe_sessions import transcribe_service
from support.wav import same_wav, wav_of_call
from support.whole_path import INSTANCE, Recorded, cloud_of, contact_id, event_for, record, serve

SPEED = 8.0
SAID = [
    ("CUSTOMER", 1.0, "seven three"),
    ("AGENT", 3.0, "one two four"),
    ("CUSTOMER", 3.2, "nine"),  # both at once
    ("AGENT", 8.0, "zero"),
    ("CUSTOMER", 12.0, "five six eight"),
    ("AGENT", 16.0, "two two"),
]


def call(seconds: float) -> SyntheticCall:
    sides = {}
    for party in ("CUSTOMER", "AGENT"):
        audio = b""
        for _, at, words in (each for each in SAID if each[0] == party):
            audio = audio.ljust(len(quiet(at)), b"\0") + spoken(words)
        sides[party] = audio.ljust(len(quiet(seconds)), b"\0")
    return SyntheticCall(
        customer=sides["CUSTOMER"], agent=sides["AGENT"], contact_id=contact_id(1), instance_id=INSTANCE
    )


@contextmanager
def transcribing(
    moto_server: str, *behaviours: Behaviour, invocation_s: float = 900
) -> Iterator[tuple[LocalCloud, TranscribeEndpoint]]:
    with transcribe_service(*behaviours) as service:
        settings = {
            "LIVE_SINKS": "transcribe",
            "WORDS_LANGUAGE": "en-US",
            "AWS_ENDPOINT_URL_TRANSCRIBE_STREAMING": service.url,
            "AWS_CA_BUNDLE": str(service.ca_file),
        }
        if invocation_s > 60:
            settings["DEADLINE_MARGIN_SECONDS"] = "20"
        with cloud_of(moto_server, invocation_s=invocation_s, **settings) as cloud:
            yield cloud, service
    assert not [thread.name for thread in threading.enumerate() if thread.name == "transcribe-session"]


def transcript(cloud: LocalCloud, found: Recorded) -> dict[str, Any]:
    key = found.result["recording"].removeprefix(f"s3://{cloud.bucket}/").removesuffix(".wav") + ".transcript.json"
    with closing(cloud.s3()) as s3:
        read: dict[str, Any] = json.loads(s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
    return read


def record_at_pace(cloud: LocalCloud, speed: float = SPEED, **options: Any) -> Recorded:
    made = call(20)
    found = record(cloud, event_for(serve(cloud, made, pace=Live(speed), delivery=Delivery.BLOCK, **options).arn))
    # Words never change the recording.
    assert found.wav is not None
    assert same_wav(found.wav, wav_of_call(made))
    return found


def judge(found: dict[str, Any]) -> None:
    assert found["missing"] == []
    turns = sorted(found["turns"], key=lambda turn: turn["start"])
    assert [(turn["participant"], turn["text"]) for turn in turns] == [(party, f"{text}.") for party, _, text in SAID]
    for turn, (_, at, _) in zip(turns, SAID, strict=True):
        assert abs(turn["start"] - at) <= 0.05


def test_a_call_s_words_are_in_its_transcript_with_speaker_and_times(moto_server: str) -> None:
    with transcribing(moto_server) as (cloud, service):
        words = transcript(cloud, record_at_pace(cloud))
    judge(words)
    assert (words["engine"], words["language"]) == ("transcribe", "en-US")
    assert {stream.outcome for stream in service.model.streams} == {"whole"}


def test_a_service_that_breaks_in_the_middle_costs_no_word(moto_server: str) -> None:
    with transcribing(moto_server, CutAfter(4), FailAfter(3, "InternalFailureException")) as (
        cloud,
        service,
    ):
        words = transcript(cloud, record_at_pace(cloud))
    judge(words)
    assert len(service.model.streams) >= 3


def test_words_go_on_over_hand_overs(moto_server: str) -> None:
    with transcribing(moto_server, invocation_s=9) as (cloud, service):
        found = record_at_pace(cloud, speed=2, retention_hours=24)
        words = transcript(cloud, found)
    assert found.manifest is not None
    assert found.manifest["handOvers"] >= 1
    judge(words)
    assert len(service.model.streams) >= 2
