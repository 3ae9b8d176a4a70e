"""The results that Transcribe's jobs write: of a transcription with channel identification, and of Call Analytics.

Forms: Amazon Transcribe Developer Guide, "Example channel identification output (batch)" and "Post-call analytics
output".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connect_audio_local.recognition.word_recognizer import RecognizedWord

_PAUSE_S: Final = 0.8
"""Silence that ends a turn of Call Analytics, seconds."""
_REDACTED: Final = "[PII]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecognizedCall:
    """The words of a call.

    Args:
        job: the job's name.
        channels: the words of each channel.
        personal: words that are redacted; None without redaction.
        language: language that the job reports; None if it was given.
    """

    job: str
    channels: Sequence[Sequence[RecognizedWord]]
    personal: frozenset[str] | None
    language: str | None

    def is_hidden(self, word: RecognizedWord) -> bool:
        """Return True if a word is redacted."""
        return self.personal is not None and word.text in self.personal


def transcription_result(call: RecognizedCall) -> dict[str, Any]:
    """Return the result of a transcription job."""
    channels = []
    for index, words in enumerate(call.channels):
        label = f"ch_{index}"
        items = [{"channel_label": label, **_item(word, is_hidden=call.is_hidden(word))} for word in words]
        if items:
            alternative = {"confidence": "0.0", "content": "."}
            items.append({"channel_label": label, "type": "punctuation", "alternatives": [alternative]})
        channels.append({"channel_label": label, "items": items})
    results: dict[str, Any] = {
        "transcripts": [],
        "channel_labels": {"channels": channels, "number_of_channels": len(channels)},
    }
    if call.language is not None:
        results["language_code"] = call.language
    return {
        "jobName": call.job,
        "accountId": "111122223333",
        "status": "COMPLETED",
        "isRedacted": call.personal is not None,
        "results": results,
    }


def analytics_result_of(call: RecognizedCall, roles: Sequence[str]) -> dict[str, Any]:
    """Return the result of a Call Analytics job.

    Args:
        call: the words.
        roles: `AGENT` or `CUSTOMER` of each channel.
    """
    turns = [
        _turn(call, words, role)
        for role, channel in zip(roles, call.channels, strict=True)
        for words in _apart(channel)
    ]
    turns.sort(key=lambda turn: int(turn["BeginOffsetMillis"]))
    return {
        "JobStatus": "COMPLETED",
        "LanguageCode": call.language,
        "Transcript": turns,
        "AccountId": "111122223333",
        "Categories": {"MatchedDetails": {}, "MatchedCategories": []},
        "Channel": "VOICE",
        "JobName": call.job,
        "Participants": [{"ParticipantRole": role} for role in roles],
        "ConversationCharacteristics": {"Sentiment": {"OverallSentiment": dict.fromkeys(roles, 0.0)}},
        "ContentMetadata": {"Output": "Raw" if call.personal is None else "Redacted"},
    }


def _apart(words: Sequence[RecognizedWord]) -> Iterator[list[RecognizedWord]]:
    """The words between two pauses."""
    together: list[RecognizedWord] = []
    for word in words:
        if together and word.start - together[-1].end >= _PAUSE_S:
            yield together
            together = []
        together.append(word)
    if together:
        yield together


def _turn(call: RecognizedCall, words: Sequence[RecognizedWord], role: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = []
    for word in words:
        item: dict[str, Any] = {"Type": "pronunciation", "Confidence": "0.99", "Content": word.text, **_offsets(word)}
        if call.is_hidden(word):
            del item["Confidence"]
            item |= {"Content": _REDACTED, "Redaction": [{"Confidence": "0.99"}]}
        items.append(item)
    text = " ".join(item["Content"] for item in items) + "."
    items.append({"Type": "punctuation", "Confidence": "0.0", "Content": "."} | _offsets(words[-1]))
    return {
        "LoudnessScores": [80.0],
        "Content": text,
        "Items": items,
        "Id": f"{role}-{round(words[0].start * 1000)}",
        "BeginOffsetMillis": round(words[0].start * 1000),
        "EndOffsetMillis": round(words[-1].end * 1000),
        "Sentiment": "NEUTRAL",
        "ParticipantRole": role,
    }


def _offsets(word: RecognizedWord) -> dict[str, int]:
    return {"BeginOffsetMillis": round(word.start * 1000), "EndOffsetMillis": round(word.end * 1000)}


def _item(word: RecognizedWord, *, is_hidden: bool) -> dict[str, Any]:
    alternative: dict[str, Any] = {"confidence": "0.99", "content": word.text}
    if is_hidden:
        alternative = {"content": _REDACTED, "redactions": [{"confidence": "0.99"}]}
    times = {"start_time": f"{word.start:.2f}", "end_time": f"{word.end:.2f}"}
    return {**times, "type": "pronunciation", "alternatives": [alternative]}
