"""A transcript in the forms of other tools: Contact Lens' call file, and WhisperX's and OpenAI's verbose JSON.

Pure functions from one JSON document to another; `docs/transcript.md` has the mapping field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from connect_audio.core.transcript_document import SCHEMA_VERSION


def contact_lens(transcript: Mapping[str, Any]) -> dict[str, Any]:
    """Make a call file as Contact Lens writes it, with the fields that a transcript can fill.

    Args:
        transcript: a document of `docs/transcript.schema.json`.
    """
    return {
        "Version": "1.1.0",
        "Channel": "VOICE",
        "LanguageCode": transcript["language"],
        "CustomerMetadata": {"ContactId": transcript["contactId"]},
        "Participants": [{"ParticipantId": name, "ParticipantRole": name} for name in ("CUSTOMER", "AGENT")],
        "Transcript": [
            {
                "Id": turn["id"],
                "ParticipantId": turn["participant"],
                "Content": turn["text"],
                "BeginOffsetMillis": round(turn["start"] * 1000),
                "EndOffsetMillis": round(turn["end"] * 1000),
            }
            for turn in transcript["turns"]
        ],
    }


def verbose_json(transcript: Mapping[str, Any]) -> dict[str, Any]:
    """Make the JSON of WhisperX, which has OpenAI's fields of `verbose_json` and a speaker for each segment.

    Args:
        transcript: a document of `docs/transcript.schema.json`.
    """
    turns = transcript["turns"]
    return {
        "task": "transcribe",
        "language": transcript["language"],
        "duration": transcript["durationSeconds"],
        "text": " ".join(turn["text"] for turn in turns),
        "segments": [
            {
                "id": at,
                "start": turn["start"],
                "end": turn["end"],
                "text": turn["text"],
                "speaker": turn["participant"],
                "words": [
                    {
                        "word": word["text"],
                        "start": word["start"],
                        "end": word["end"],
                        "score": word["confidence"],
                        "speaker": turn["participant"],
                    }
                    for word in turn["words"]
                ],
            }
            for at, turn in enumerate(turns)
        ],
    }


def from_verbose_json(document: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """Make a transcript of WhisperX's JSON whose speakers are CUSTOMER and AGENT, in small or capital letters.

    Args:
        document: the JSON.
        engine: name of the recognizer.

    Raises:
        ValueError: it has no segments, or a segment's speaker is another one.
    """
    if "segments" not in document:
        raise ValueError("it has no segments")
    turns: list[dict[str, Any]] = []
    for at, segment in enumerate(document["segments"]):
        speaker = str(segment.get("speaker", "")).upper()
        if speaker not in {"CUSTOMER", "AGENT"}:
            raise ValueError(f"the speaker of segment {at} is neither CUSTOMER nor AGENT")
        turns.append(
            {
                "id": str(at),
                "participant": speaker,
                "start": float(segment["start"]),
                "end": float(segment["end"]),
                "text": str(segment["text"]).strip(),
                "confidence": None,
                "words": [
                    {
                        "text": str(word["word"]).strip(),
                        "start": float(word["start"]),
                        "end": float(word["end"]),
                        "confidence": word.get("score"),
                    }
                    for word in segment.get("words") or ()
                    # WhisperX gives no times to words such as numbers.
                    if "start" in word and "end" in word
                ],
            }
        )
    turns.sort(key=lambda turn: turn["start"])
    return {
        "schemaVersion": SCHEMA_VERSION,
        "contactId": None,
        "engine": engine,
        "language": document.get("language"),
        "source": "recording",
        "durationSeconds": float(document.get("duration") or max((turn["end"] for turn in turns), default=0.0)),
        "turns": turns,
        "missing": [],
    }


FORMS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "contact-lens": contact_lens,
    "verbose-json": verbose_json,
}
"""The forms by the names that `--format` takes."""
