"""Words by Transcribe along the whole path: event, trigger, consumer, the stand-in of Transcribe, transcript."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import repeat
from typing import Any

import boto3
import pytest

from connect_audio.telemetry import Metric
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.recognition.digits import DigitRecognizer
from connect_audio_local.recognition.speech import spoken_digits
from connect_audio_local.synthesis.calls import SyntheticCall
from connect_audio_local.transcribe.faults import Behaviour, CutAfter, FailAfter
from connect_audio_local.transcribe.server import TranscribeEndpoint
from connect_audio_local.webhook import faults
from connect_audio_local.webhook.model import Exchange
from connect_audio_local.webhook.server import webhook_receiver
from support.emitted import by_metric, emitted
from support.spoken_words import quiet, spoken
from support.transcribe_sessions import transcribe_service
from support.webhook_sink import SECRET
from support.whole_path import INSTANCE, Recorded, cloud_of, contact_id
from support.words_calls import record_at_pace, transcript

SPEED = 8.0
SAID = [
    ("CUSTOMER", 1.0, "seven three"),
    ("AGENT", 3.0, "one two four"),
    ("CUSTOMER", 3.2, "nine"),  # both at once
    ("AGENT", 8.0, "zero"),
    ("CUSTOMER", 12.0, "five six eight"),
    ("AGENT", 16.0, "two two"),
]


def call(seconds: float, said: Iterable[tuple[str, float, bytes]]) -> SyntheticCall:
    """A call of which so much is said: party, begin in seconds, samples."""
    sides = {"CUSTOMER": b"", "AGENT": b""}
    for party, at, samples in said:
        sides[party] = sides[party].ljust(len(quiet(at)), b"\0") + samples
    customer, agent = (side.ljust(len(quiet(seconds)), b"\0") for side in sides.values())
    return SyntheticCall(customer=customer, agent=agent, contact_id=contact_id(1), instance_id=INSTANCE)


@contextmanager
def transcribing(
    moto_server: str,
    *behaviours: Behaviour,
    invocation_s: float = 900,
    settings: Mapping[str, str] | None = None,
    **rules: Any,
) -> Iterator[tuple[LocalCloud, TranscribeEndpoint]]:
    with transcribe_service(*behaviours, **rules) as service:
        settings = {
            **(settings or {}),
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


def at_pace(cloud: LocalCloud, speed: float = SPEED, **options: Any) -> Recorded:
    return record_at_pace(cloud, call(20, [(party, at, spoken(text)) for party, at, text in SAID]), speed, **options)


def judge(found: dict[str, Any]) -> None:
    assert found["missing"] == []
    turns = sorted(found["turns"], key=lambda turn: turn["start"])
    assert [(turn["participant"], turn["text"]) for turn in turns] == [(party, f"{text}.") for party, _, text in SAID]
    for turn, (_, at, _) in zip(turns, SAID, strict=True):
        assert abs(turn["start"] - at) <= 0.05


def test_a_service_that_breaks_in_the_middle_costs_no_word(moto_server: str) -> None:
    with transcribing(moto_server, CutAfter(4), FailAfter(3, "InternalFailureException")) as (
        cloud,
        service,
    ):
        words = transcript(cloud, at_pace(cloud))
    judge(words)
    assert len(service.model.streams) >= 3


def refuse_the_first_turn(exchange: Exchange) -> None:
    """Keep it, and refuse the first final turn for good."""
    status = exchange.take()
    message = json.loads(exchange.receiver.received[-1].body)
    exchange.answer(400 if message["state"] == "final" and message["turn"]["id"] == "0" else status)


def test_words_go_to_the_webhook_as_they_come_and_a_lost_one_is_counted(
    moto_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with webhook_receiver(SECRET, [faults.answer(503), *repeat(refuse_the_first_turn, 1000)]) as receiver:
        # A function in AWS trusts the system's authorities; here that is the receiver's own.
        monkeypatch.setenv("SSL_CERT_FILE", str(receiver.ca_file))
        with closing(boto3.client("secretsmanager", endpoint_url=moto_server)) as secrets:
            arn = secrets.create_secret(Name=f"words-{uuid.uuid4().hex}", SecretString=SECRET.decode())["ARN"]
        webhook = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": arn, "WEBHOOK_PRIVATE_ADDRESSES": "allowed"}
        with transcribing(moto_server, settings={**webhook, "WORDS_WEBHOOK": "all"}) as (cloud, _):
            found = at_pace(cloud)
            words = transcript(cloud, found)
        received = [json.loads(each.body) for each in receiver.received]
        assert receiver.refused == ()
    judge(words)
    finals = {each["turn"]["id"]: each["turn"] for each in received if each["state"] == "final"}
    assert finals == {turn["id"]: turn for turn in words["turns"]}
    assert {each["contactId"] for each in received} == {words["contactId"]}
    assert "partial" in {each["state"] for each in received}
    for at, each in enumerate(received):
        if each["state"] == "partial":
            party, start = each["turn"]["participant"], each["turn"]["start"]
            before = [one["turn"] for one in received[:at] if one["state"] == "final"]
            assert all(one["end"] <= start for one in before if one["participant"] == party)
    assert found.manifest is not None
    assert found.manifest["status"] == "complete"
    assert found.manifest["live"]["sinks"][0]["droppedMessages"] == 1
    assert [each["code"] for each in found.manifest["warnings"]] == ["LIVE_MESSAGES_DROPPED"]
    assert by_metric(emitted(capfd.readouterr().out))[Metric.LIVE_DROPPED_MESSAGES] == [1]
    (line,) = [each for each in caplog.records if each.getMessage().startswith("words not posted to the webhook")]
    assert (line.levelname, vars(line)["code"]) == ("WARNING", "HTTP_400")


def test_words_go_on_over_hand_overs(moto_server: str) -> None:
    with transcribing(moto_server, invocation_s=9) as (cloud, service):
        found = at_pace(cloud, speed=3, retention_hours=24)
        words = transcript(cloud, found)
    assert found.manifest is not None
    assert found.manifest["handOvers"] >= 1
    judge(words)
    assert len(service.model.streams) >= 2


def test_spoken_digits_of_two_voices_come_back_with_speaker_and_times_also_at_once(moto_server: str) -> None:
    pytest.importorskip("pocketsphinx")
    said = [
        ("CUSTOMER", 1.0, spoken_digits("rms", 0)),
        ("AGENT", 2.0, spoken_digits("awb", 1)),  # both at once
        ("CUSTOMER", 8.0, spoken_digits("rms", 2)),
        ("AGENT", 13.0, spoken_digits("awb", 3)),
    ]
    made = call(19, [(party, at, phrase.samples) for party, at, phrase in said])
    with transcribing(moto_server, recognizer=DigitRecognizer(), recognizes_partials=False) as (cloud, service):
        words = transcript(cloud, record_at_pace(cloud, made, SPEED))
    assert (words["engine"], words["language"], words["missing"]) == ("transcribe", "en-US", [])
    assert {stream.outcome for stream in service.model.streams} == {"whole"}
    turns = sorted(words["turns"], key=lambda turn: turn["start"])
    assert [(turn["participant"], turn["text"]) for turn in turns] == [
        (party, f"{phrase.text}.") for party, _, phrase in said
    ]
    for turn, (_, at, phrase) in zip(turns, said, strict=True):
        assert abs(turn["start"] - at - phrase.start) <= 0.5
        assert abs(turn["end"] - at - phrase.end) <= 0.5
