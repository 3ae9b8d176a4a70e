"""`connect-audio convert` with words: Contact Lens' call file, WhisperX's JSON and back, a Transcribe job's result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.core.transcript_document import TranscriptFacts, transcript_document
from support.command import run_here

SCHEMA: dict[str, Any] = json.loads(
    Path(__file__).parents[2].joinpath("docs/transcript.schema.json").read_text("utf-8")
)
RATE = 8000


def said(party: Party, start: int, text: str) -> Turn:
    words = tuple(
        Word(text=each, start=start + 800 * at, end=start + 800 * at + 640, confidence=0.5)
        for at, each in enumerate(text.split())
    )
    return Turn(party=party, start=start, end=words[-1].end, text=text, words=words)


DOCUMENT = transcript_document(
    TranscriptFacts(
        turns=[said(Party.AGENT, 8000, "Good morning."), said(Party.CUSTOMER, 24_000, "Bücher & <mehr>")],
        missing=[],
        rate=RATE,
        frames=60 * RATE,
        contact_id="contact-1",
        engine="whisper",
        language="de",
        source="live",
    )
)


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    path = tmp_path / "call.transcript.json"
    path.write_text(json.dumps(DOCUMENT), "utf-8")
    return path


def converted(transcript: Path, name: str, *options: str) -> Any:
    target = transcript.with_name(name)
    finished = run_here("convert", transcript, target, *options)
    assert (finished.code, finished.err) == (0, "")
    return json.loads(target.read_text("utf-8")) if target.suffix == ".json" else target.read_text("utf-8")


def test_a_call_file_of_contact_lens_has_each_turn_with_its_participant_and_milliseconds(transcript: Path) -> None:
    assert converted(transcript, "lens.json", "--format", "contact-lens") == {
        "Version": "1.1.0",
        "Channel": "VOICE",
        "LanguageCode": "de",
        "CustomerMetadata": {"ContactId": "contact-1"},
        "Participants": [
            {"ParticipantId": "CUSTOMER", "ParticipantRole": "CUSTOMER"},
            {"ParticipantId": "AGENT", "ParticipantRole": "AGENT"},
        ],
        "Transcript": [
            {
                "Id": "0",
                "ParticipantId": "AGENT",
                "Content": "Good morning.",
                "BeginOffsetMillis": 1000,
                "EndOffsetMillis": 1180,
            },
            {
                "Id": "1",
                "ParticipantId": "CUSTOMER",
                "Content": "Bücher & <mehr>",
                "BeginOffsetMillis": 3000,
                "EndOffsetMillis": 3280,
            },
        ],
    }


def test_verbose_json_has_segments_with_speakers_and_comes_back_as_the_same_transcript(transcript: Path) -> None:
    found = converted(transcript, "whisperx.json", "--format", "verbose-json")
    assert (found["text"], found["duration"]) == ("Good morning. Bücher & <mehr>", 60.0)
    assert found["segments"][0]["speaker"] == "AGENT"
    assert found["segments"][0]["words"][1] == {
        "word": "morning.",
        "start": 1.1,
        "end": 1.18,
        "score": 0.5,
        "speaker": "AGENT",
    }
    back = converted(transcript.with_name("whisperx.json"), "back.transcript.json")
    Draft202012Validator(SCHEMA).validate(back)
    assert back == {**DOCUMENT, "contactId": None, "engine": "unknown", "source": "recording"}


def test_words_of_whisperx_without_times_are_left_out_and_the_text_keeps_them(tmp_path: Path) -> None:
    segment = {
        "start": 1.0,
        "end": 2.0,
        "text": " 42 yes",
        "speaker": "customer",
        "words": [{"word": "42"}, {"word": "yes", "start": 1.5, "end": 2.0}],
    }
    source = tmp_path / "x.json"
    source.write_text(json.dumps({"segments": [segment]}), "utf-8")
    (turn,) = converted(source, "x.transcript.json")["turns"]
    assert (turn["text"], turn["participant"]) == ("42 yes", "CUSTOMER")
    assert [word["text"] for word in turn["words"]] == ["yes"]


def test_captions_of_a_transcript_are_escaped(transcript: Path) -> None:
    assert "<v CUSTOMER>Bücher &amp; &lt;mehr&gt;" in converted(transcript, "call.vtt")


def test_the_result_of_a_call_analytics_job_becomes_a_transcript(tmp_path: Path) -> None:
    times = {"BeginOffsetMillis": 4860, "EndOffsetMillis": 5010}
    items = [
        {"Type": "pronunciation", "Confidence": "1.0", "Content": "Hello", **times},
        {"Type": "punctuation", "Confidence": "0.0", "Content": ".", **times},
    ]
    turn = {"ParticipantRole": "AGENT", "Content": "Hello.", "Items": items, "Sentiment": "POSITIVE", **times}
    result = {
        "JobStatus": "COMPLETED",
        "JobName": "5f3c1b1e-0d6c-4a55-8f0e-2b8a7c1d9e10",
        "LanguageCode": "en-US",
        "Channel": "VOICE",
        "Participants": [{"ParticipantRole": "AGENT"}, {"ParticipantRole": "CUSTOMER"}],
        "Transcript": [turn],
    }
    source = tmp_path / "job.json"
    source.write_text(json.dumps(result), "utf-8")
    found = converted(source, "call.transcript.json")
    Draft202012Validator(SCHEMA).validate(found)
    assert (found["contactId"], found["language"], found["source"]) == (result["JobName"], "en-US", "batch")
    word = {"text": "Hello.", "start": 4.86, "end": 5.01, "confidence": 1.0}
    (told,) = found["turns"]
    assert (told["participant"], told["text"], told["words"]) == ("AGENT", "Hello.", [word])


def test_a_damaged_result_of_a_call_analytics_job_is_one_line(tmp_path: Path) -> None:
    source = tmp_path / "job.json"
    source.write_text(json.dumps({"JobName": "a", "Transcript": [{}]}), "utf-8")
    finished = run_here("convert", source, tmp_path / "call.transcript.json")
    assert (finished.code, finished.err.count("\n")) == (2, 1)
    assert "turn 0 is neither AGENT's nor CUSTOMER's" in finished.err


def test_the_result_of_a_transcribe_job_becomes_a_transcript(tmp_path: Path) -> None:
    items = [
        {
            "channel_label": "ch_1",
            "start_time": "4.86",
            "end_time": "5.01",
            "alternatives": [{"confidence": "1.0", "content": "Hello"}],
            "type": "pronunciation",
        },
        {
            "channel_label": "ch_1",
            "alternatives": [{"confidence": "0.0", "content": "."}],
            "type": "punctuation",
        },
    ]
    channels = [{"channel_label": "ch_0", "items": []}, {"channel_label": "ch_1", "items": items}]
    result = {
        "jobName": "5f3c1b1e-0d6c-4a55-8f0e-2b8a7c1d9e10",
        "results": {
            "language_code": "en-US",
            "transcripts": [{"transcript": "Hello."}],
            "channel_labels": {"channels": channels, "number_of_channels": 2},
        },
        "status": "COMPLETED",
    }
    source = tmp_path / "job.json"
    source.write_text(json.dumps(result), "utf-8")
    found = converted(source, "call.transcript.json")
    Draft202012Validator(SCHEMA).validate(found)
    words = [{"text": "Hello.", "start": 4.86, "end": 5.01, "confidence": 1.0}]
    turn = {"id": "0", "participant": "AGENT", "start": 4.86, "end": 5.01, "text": "Hello.", "confidence": None}
    assert found == {
        "schemaVersion": "1.1",
        "contactId": "5f3c1b1e-0d6c-4a55-8f0e-2b8a7c1d9e10",
        "engine": "transcribe",
        "language": "en-US",
        "source": "batch",
        "durationSeconds": 5.01,
        "turns": [{**turn, "words": words}],
        "missing": [],
    }
    assert "<v AGENT>Hello." in converted(tmp_path / "call.transcript.json", "call.vtt")


@pytest.mark.parametrize(
    ("content", "output", "options", "reason"),
    [
        ('{"results": {"items": [{}]}}', "a.transcript.json", (), "its job ran without channel identification"),
        ("{}", "a.transcript.json", (), "it has no segments"),
        ('{"segments": [{"speaker": "SPEAKER_00"}]}', "a.transcript.json", (), "segment 0 is neither CUSTOMER nor"),
        ("nothing", "a.transcript.json", (), "is no transcript: it is no JSON"),
        ('{"segments": []}', "a.transcript.json", ("--format", "flac"), "--format flac does not fit an output that"),
    ],
)
def test_a_document_or_a_form_that_cannot_be_used_is_one_line(
    tmp_path: Path, content: str, output: str, options: tuple[str, ...], reason: str
) -> None:
    source = tmp_path / "source.json"
    source.write_text(content, "utf-8")
    finished = run_here("convert", source, tmp_path / output, *options)
    assert finished.code == 2
    assert reason in finished.err
    assert not (tmp_path / output).exists()


def test_a_transcript_without_a_wanted_form_is_refused(transcript: Path, tmp_path: Path) -> None:
    finished = run_here("convert", transcript, tmp_path / "call.flac")
    assert finished.code == 2
    assert "give --format contact-lens or verbose-json" in finished.err
