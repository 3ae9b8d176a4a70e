"""Words after the call, along the whole path: a recording's event, its job, and the transcript beside it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from botocore.exceptions import ClientError
from jsonschema import Draft202012Validator

from connect_audio.core.pcm import Party
from connect_audio.handlers import transcribe_jobs as function
from connect_audio.recorder.recording_event import REPAIRED
from connect_audio_local.cloud import REGION, LocalContext
from connect_audio_local.recognition.markers import MarkerRecognizer
from connect_audio_local.recognition.speech import RATE
from connect_audio_local.s3.faults import S3FaultProxy
from connect_audio_local.transcribe.jobs import TranscribeJobsFront, transcribe_jobs
from infrastructure.evaluation import evaluated
from infrastructure.loading import load
from support.digit_calls import DIGIT_CALL, digit_tracks
from support.speech_sessions import call, said
from support.wav import wav_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final[dict[str, Any]] = json.loads((ROOT / "docs" / "transcript.schema.json").read_text("utf-8"))
CONTACT: Final = "5f3c1b1e-0d6c-4a55-8f0e-2b8a7c1d9e10"
JOB: Final = f"{CONTACT}_1764460800000_a1b2c3"
# With signs that Transcribe would refuse in OutputKey.
KEY: Final = f"recordings/day=30 11/{CONTACT}.wav"
ROLE: Final = "arn:aws:iam::111122223333:role/transcribe"
SCHEDULED: Final = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
PARTS: Final = (
    said(Party.AGENT, 0.5, "alfa bravo"),
    # Both at once.
    said(Party.CUSTOMER, 1.0, "charlie delta"),
    said(Party.CUSTOMER, 3.5, "echo"),
)


@dataclass(frozen=True)
class Place:
    s3: S3Client
    bucket: str
    front: TranscribeJobsFront

    @property
    def announced(self) -> dict[str, Any]:
        detail = {
            "executionName": JOB,
            "contactId": CONTACT,
            "bucket": self.bucket,
            "key": KEY,
            "durationSeconds": 5.0,
        }
        return {"source": "connect-audio", "detail-type": "Recording Completed", "detail": detail}

    def put(self, suffix: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=KEY.replace(".wav", suffix), Body=body)

    def text(self, suffix: str) -> str:
        body = self.s3.get_object(Bucket=self.bucket, Key=KEY.replace(".wav", suffix))["Body"].read()
        return body.decode()

    def keys(self) -> set[str]:
        return {each["Key"] for each in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])}

    def turns(self) -> list[tuple[str, float, float, str]]:
        document = json.loads(self.text(".transcript.json"))
        Draft202012Validator(SCHEMA).validate(document)
        return [(turn["participant"], turn["start"], turn["end"], turn["text"]) for turn in document["turns"]]


@pytest.fixture
def place(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    bucket = f"recordings-{uuid.uuid4().hex[:12]}"
    with (
        closing(boto3.client("s3", endpoint_url=moto_server, region_name=REGION)) as s3,
        transcribe_jobs(s3, MarkerRecognizer(), frozenset({"delta"})) as front,
    ):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for name, value in {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_TRANSCRIBE": front.url,
            "AWS_ENDPOINT_URL_S3": moto_server,
            "RECORDINGS_BUCKET": bucket,
            "RECORDINGS_PREFIX": "recordings",
            "JOBS_LANGUAGE": "en-US",
        }.items():
            monkeypatch.setenv(name, value)
        found = Place(s3, bucket, front)
        tracks = call(PARTS, 5.0)
        found.put(".wav", wav_of(tracks[Party.CUSTOMER], tracks[Party.AGENT]))
        yield found


def handled(event: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = function.handler(event, LocalContext(function_name="transcribe-jobs"))
    return found


def test_the_words_of_a_recording_come_beside_it_with_speakers_and_times(place: Place) -> None:
    assert handled(place.announced) == {JOB: "started"}
    assert handled(SCHEDULED) == {JOB: "running"}
    assert handled(place.front.complete(JOB)) == {JOB: "filed"}

    assert place.turns() == [
        ("AGENT", 0.5, 1.2, "alfa bravo."),
        ("CUSTOMER", 1.0, 1.7, "charlie delta"),
        ("CUSTOMER", 3.5, 3.8, "echo."),
    ]
    document = json.loads(place.text(".transcript.json"))
    assert {name: value for name, value in document.items() if name not in {"turns", "missing"}} == {
        "schemaVersion": "1.1",
        "contactId": CONTACT,
        "engine": "transcribe",
        "language": "en-US",
        "source": "batch",
        "durationSeconds": 5.0,
    }
    assert "<v CUSTOMER>charlie delta" in place.text(".vtt")
    (request,) = place.front.requests
    assert (request["Settings"], request["LanguageCode"]) == ({"ChannelIdentification": True}, "en-US")
    # Nothing is due any more.
    assert handled(SCHEDULED) == {}


def test_call_analytics_files_the_same_words_and_its_result_keeps_the_sentiment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_ANALYTICS_ROLE_ARN", ROLE)
    assert handled(place.announced) == {JOB: "started"}
    assert handled(SCHEDULED) == {JOB: "running"}
    assert handled(place.front.complete(JOB)) == {JOB: "filed"}

    assert place.turns() == [
        ("AGENT", 0.5, 1.2, "alfa bravo."),
        ("CUSTOMER", 1.0, 1.7, "charlie delta."),
        ("CUSTOMER", 3.5, 3.8, "echo."),
    ]
    document = json.loads(place.text(".transcript.json"))
    assert (document["contactId"], document["language"], document["source"]) == (CONTACT, "en-US", "batch")
    assert [word["text"] for word in document["turns"][1]["words"]] == ["charlie", "delta."]
    result = json.loads(place.s3.get_object(Bucket=place.bucket, Key=f"transcribe-jobs/{JOB}.json")["Body"].read())
    assert result["Transcript"][0]["Sentiment"] == "NEUTRAL"
    (request,) = place.front.requests
    assert (request["DataAccessRoleArn"], request["Settings"]) == (ROLE, {"LanguageOptions": ["en-US"]})
    assert request["ChannelDefinitions"] == [
        {"ChannelId": 0, "ParticipantRole": "CUSTOMER"},
        {"ChannelId": 1, "ParticipantRole": "AGENT"},
    ]
    assert handled(SCHEDULED) == {}


def test_call_analytics_is_asked_for_redaction_vocabulary_and_key_and_starts_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "arn:aws:kms:eu-west-2:111122223333:key/00000000-0000-4000-8000-0000000000ee"
    given = {"ANALYTICS_ROLE_ARN": ROLE, "REDACTION": "on", "VOCABULARY": "products", "LANGUAGE": ""}
    for name, value in given.items():
        monkeypatch.setenv(f"JOBS_{name}", value)
    monkeypatch.setenv("RECORDINGS_KMS_KEY_ARN", key)
    handled(place.announced)
    handled(place.announced)
    assert place.front.jobs == [JOB]
    assert place.front.requests[0]["Settings"] == {
        "VocabularyName": "products",
        "ContentRedaction": {"RedactionType": "PII", "RedactionOutput": "redacted"},
    }
    assert place.front.requests[0]["OutputEncryptionKMSKeyId"] == key
    # Its event is lost.
    place.front.complete(JOB)
    assert handled(SCHEDULED) == {JOB: "filed"}
    assert ("CUSTOMER", 1.0, 1.7, "charlie [PII].") in place.turns()


def test_a_call_analytics_job_that_is_not_there_is_started_and_one_that_fails_is_told_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_ANALYTICS_ROLE_ARN", ROLE)
    place.front.refusals[:] = ["InternalFailureException"]
    with pytest.raises(ClientError, match="InternalFailureException"):
        handled(place.announced)
    assert handled(SCHEDULED) == {JOB: "started"}
    with pytest.raises(function.TranscribeJobError, match=f"no transcript of {JOB}"):
        handled(place.front.fail(JOB))
    assert handled(SCHEDULED) == {}


def test_a_recording_that_is_too_long_for_a_job_is_told_once(place: Place) -> None:
    # Four hours and a second, at one sample a second.
    place.put(".wav", wav_of(bytes(2 * 14_401), bytes(2 * 14_401), rate=1))
    handled(place.announced)
    with pytest.raises(function.TranscribeJobError, match=f"no transcript of {JOB}"):
        handled(place.front.complete(JOB))
    assert handled(SCHEDULED) == {}


def test_spoken_digits_of_two_voices_also_at_once_come_back_with_their_speakers_and_times(place: Place) -> None:
    pytest.importorskip("pocketsphinx")
    from connect_audio_local.recognition.digits import DigitRecognizer  # noqa: PLC0415 - the package may be missing

    tracks = digit_tracks()
    place.put(".wav", wav_of(tracks[Party.CUSTOMER], tracks[Party.AGENT], rate=RATE))
    place.front.recognizer = DigitRecognizer()
    handled(place.announced)
    handled(place.front.complete(JOB))
    for turn, spoken in zip(place.turns(), DIGIT_CALL, strict=True):
        assert (turn[0], turn[3].removesuffix(".")) == (spoken.party.upper(), spoken.phrase.text)
        assert abs(turn[1] - spoken.start) < 0.5
        assert abs(turn[2] - spoken.end) < 0.5


def test_no_word_of_a_call_is_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    handled(place.announced)
    ended = place.front.complete(JOB)
    place.front.fail(JOB)
    with pytest.raises(function.TranscribeJobError):
        handled(ended)
    handled(place.announced)
    handled(place.front.complete(JOB))
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert "'result': 'filed'" in logged
    assert not [word for word in ("alfa", "charlie", "delta", "Invalid file size", KEY) if word in logged]


def test_an_event_that_comes_twice_starts_one_job_and_files_once(place: Place) -> None:
    handled(place.announced)
    handled(place.announced)
    assert place.front.jobs == [JOB]
    ended = place.front.complete(JOB)
    assert [handled(ended), handled(ended), handled(place.announced)] == [
        {JOB: "filed"},
        {JOB: "ignored"},
        {JOB: "kept"},
    ]


def test_an_end_whose_event_is_lost_is_found_by_the_schedule(place: Place) -> None:
    handled(place.announced)
    place.front.complete(JOB)
    assert handled(SCHEDULED) == {JOB: "filed"}
    assert len(place.turns()) == 3


def test_a_start_that_was_refused_for_the_moment_is_made_up_for_by_the_schedule(place: Place) -> None:
    place.front.refusals[:] = ["InternalFailureException"]
    with pytest.raises(ClientError, match="InternalFailureException"):
        handled(place.announced)
    assert handled(SCHEDULED) == {JOB: "started"}
    assert handled(place.front.complete(JOB)) == {JOB: "filed"}


@pytest.mark.parametrize("when", ["before the job", "during the job"])
def test_a_transcript_that_is_there_stays(place: Place, when: str) -> None:
    if when == "during the job":
        handled(place.announced)
    place.put(".transcript.json", b"of the live call")
    assert handled(place.announced if when == "before the job" else place.front.complete(JOB)) == {JOB: "kept"}
    assert place.text(".transcript.json") == "of the live call"
    assert handled(SCHEDULED) == {}


def repaired(place: Place, begins_later_s: float) -> dict[str, Any]:
    """Replace the recording by one that begins earlier, so that all is said later in it; return the event."""
    later = tuple(replace(part, at=part.at + begins_later_s) for part in PARTS)
    tracks = call(later, 5.0 + begins_later_s)
    place.put(".wav", wav_of(tracks[Party.CUSTOMER], tracks[Party.AGENT]))
    event = place.announced
    event["detail"]["durationSeconds"] = 5.0 + begins_later_s
    return {**event, "detail-type": REPAIRED}


def test_a_repaired_recording_gets_the_words_of_its_own_audio_once(place: Place) -> None:
    handled(place.announced)
    handled(place.front.complete(JOB))
    event = repaired(place, 1.0)
    assert [handled(event), handled(event)] == [{JOB: "started"}] * 2
    assert place.turns()[0][1] == 0.5
    (_, again) = place.front.jobs
    assert handled(place.front.complete(again)) == {again: "filed"}
    assert [turn[1:] for turn in place.turns()] == [
        (1.5, 2.2, "alfa bravo."),
        (2.0, 2.7, "charlie delta"),
        (4.5, 4.8, "echo."),
    ]
    assert json.loads(place.text(".transcript.json"))["durationSeconds"] == 6.0
    assert "00:01.500" in place.text(".vtt")
    assert handled(SCHEDULED) == {}


@pytest.mark.parametrize("first", ["the old recording's job", "the new recording's job"])
def test_of_a_job_on_each_side_of_a_repair_the_newer_recordings_words_stay(place: Place, first: str) -> None:
    handled(place.announced)
    ended = place.front.complete(JOB)
    handled(repaired(place, 1.0))
    events = [ended, place.front.complete(place.front.jobs[1])]
    for event in events if first == "the old recording's job" else reversed(events):
        handled(event)
    assert [turn[1] for turn in place.turns()] == [1.5, 2.0, 4.5]


def test_words_of_a_recording_that_was_repaired_once_more_replace_nothing(place: Place) -> None:
    place.put(".transcript.json", b"of another program")
    handled(repaired(place, 1.0))
    ended = place.front.complete(place.front.jobs[0])
    repaired(place, 2.0)
    assert list(handled(ended).values()) == ["kept"]
    assert place.text(".transcript.json") == "of another program"


def test_words_that_the_repaired_recordings_manifest_names_stay(place: Place) -> None:
    place.put(".transcript.json", b"of the live call")
    place.put(".json", json.dumps({"words": {"transcript": "s3://calls/a.transcript.json"}}).encode())
    assert handled(repaired(place, 0.0)) == {JOB: "kept"}
    place.put(".json", json.dumps({"words": None}).encode())
    assert handled(repaired(place, 0.0)) == {JOB: "started"}


def test_captions_that_a_killed_look_left_behind_do_not_keep_the_transcript_away(place: Place) -> None:
    handled(place.announced)
    place.put(".vtt", b"of the killed look")
    assert handled(place.front.complete(JOB)) == {JOB: "filed"}
    assert len(place.turns()) == 3


def test_redacted_words_are_the_only_ones(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_REDACTION", "on")
    handled(place.announced)
    assert handled(place.front.complete(JOB)) == {JOB: "filed"}
    assert ("CUSTOMER", 1.0, 1.7, "charlie [PII]") in place.turns()
    assert place.front.requests[0]["ContentRedaction"] == {"RedactionType": "PII", "RedactionOutput": "redacted"}


def test_language_vocabulary_and_key_are_asked_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "arn:aws:kms:eu-west-2:111122223333:key/00000000-0000-4000-8000-0000000000ee"
    monkeypatch.setenv("JOBS_LANGUAGE", "")
    monkeypatch.setenv("JOBS_VOCABULARY", "products")
    monkeypatch.setenv("RECORDINGS_KMS_KEY_ARN", key)
    handled(place.announced)
    handled(place.front.complete(JOB))
    (request,) = place.front.requests
    assert (request["IdentifyLanguage"], request["OutputEncryptionKMSKeyId"]) == (True, key)
    assert request["Settings"]["VocabularyName"] == "products"
    assert json.loads(place.text(".transcript.json"))["language"] == "en-GB"


def test_a_silent_call_has_a_transcript_without_turns(place: Place) -> None:
    place.put(".wav", wav_of(bytes(16_000), bytes(16_000)))
    handled(place.announced)
    handled(place.front.complete(JOB))
    assert (place.turns(), place.text(".vtt")) == ([], "WEBVTT\n")


@pytest.mark.parametrize("trouble", ["the job fails", "the result cannot be read"])
def test_a_job_without_a_result_fails_the_function_once(place: Place, trouble: str) -> None:
    handled(place.announced)
    ended = place.front.fail(JOB) if trouble == "the job fails" else place.front.complete(JOB)
    place.s3.put_object(Bucket=place.bucket, Key=f"transcribe-jobs/{JOB}.json", Body=b"{}")
    with pytest.raises(function.TranscribeJobError, match=f"no transcript of {JOB}"):
        handled(ended)
    assert (handled(ended), handled(SCHEDULED)) == ({JOB: "ignored"}, {})


@pytest.mark.parametrize(("name", "role"), [("transcribe_job_ended.json", ""), ("call_analytics_job_ended.json", ROLE)])
def test_the_sample_of_transcribe_s_event_is_that_of_a_job_and_files_nothing_that_is_not_due(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str, role: str
) -> None:
    monkeypatch.setenv("JOBS_ANALYTICS_ROLE_ARN", role)
    sample = json.loads((ROOT / "events" / name).read_text("utf-8"))
    assert handled(sample) == {JOB: "ignored"}
    handled(place.announced)
    ended = place.front.complete(JOB)
    assert {name: sample[name] for name in ended} == ended


@pytest.mark.parametrize("kind", ["transcription", "analytics"])
def test_the_function_needs_what_its_role_grants_and_nothing_else(
    place: Place, moto_server: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    needed = set()
    if kind == "analytics":
        monkeypatch.setenv("JOBS_ANALYTICS_ROLE_ARN", ROLE)
        needed = {"iam:PassRole"}
    with S3FaultProxy(moto_server) as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        handled(place.announced)
        handled(SCHEDULED)
        handled(place.front.complete(JOB))
        needed |= {*s3.iam_actions, *(f"transcribe:{each}" for each in place.front.operations)}
    parameters = {"RecordingsBucketName": "calls.example", "JobKind": kind}
    template = evaluated(load(ROOT / "examples" / "transcribe-jobs.yaml"), parameters)
    (policy,) = template["Resources"]["JobsRole"]["Properties"]["Policies"]
    granted = set()
    for statement in policy["PolicyDocument"]["Statement"]:
        granted |= {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
    assert {each for each in granted if not each.startswith("logs:")} == needed


def test_the_documented_event_starts_the_job_of_an_exported_call(place: Place) -> None:
    text = (ROOT / "docs" / "transcribing.md").read_text("utf-8").split("## A job for each recording")[1]
    event = json.loads(text.split("```json\n")[1].split("```")[0])
    event["detail"]["bucket"] = place.bucket
    assert handled(event) == {f"{CONTACT}_exported": "started"}


@pytest.mark.parametrize(
    "changed", [{"bucket": "another"}, {"key": "elsewhere/a.wav"}, {"key": None}, {"executionName": "a/b"}]
)
def test_what_is_no_recording_of_the_bucket_starts_nothing(place: Place, changed: dict[str, Any]) -> None:
    event = place.announced
    event["detail"] |= changed
    assert list(handled(event).values()) == ["ignored"]
    assert place.front.jobs == []
    assert place.keys() == {KEY}


def test_one_job_that_is_refused_keeps_no_other_from_its_words(place: Place) -> None:
    handled(place.announced)
    place.front.complete(JOB)
    # A note before it in order: Transcribe knows no such job, and refuses to start it.
    place.s3.put_object(Bucket=place.bucket, Key="transcribe-jobs/due/0.json", Body=json.dumps({"key": KEY}).encode())
    place.front.refusals[:] = ["BadRequestException"] * 2
    with pytest.raises(function.TranscribeJobError, match="no transcript of 0"):
        handled(SCHEDULED)
    assert len(place.turns()) == 3
