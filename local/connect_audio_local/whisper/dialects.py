"""The dialects of servers: the same words as each of them writes them, and the formats that it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connect_audio_local.recognition.word_recognizer import RecognizedWord

type Fields = Mapping[str, str]
"""The fields of a request beside the file."""
type Write = Callable[[Sequence[RecognizedWord], float, Fields], dict[str, Any]]
"""Writes an answer of words, the audio's seconds and the request's fields."""


def _refused(given: str) -> dict[str, Any]:
    message = f"response_format '{given}' is not compatible with the model. Use 'json' or 'text' instead."
    return {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": "response_format",
            "code": "unsupported_value",
        }
    }


@dataclass(frozen=True, slots=True)
class Dialect:
    """One server's way.

    Args:
        name: the server.
        write: writes its answer.
        formats: values of `response_format` that it takes.
        path: path that it serves.
        refusal: error object of a refused format; `{}` stands for the format's name.
    """

    name: str
    write: Write
    formats: frozenset[str] = frozenset({"json", "verbose_json"})
    path: str = "/v1/audio/transcriptions"
    refusal: Callable[[str], dict[str, Any]] = _refused


def _text(words: Sequence[RecognizedWord]) -> str:
    return " ".join(word.text for word in words)


def _segment(recognized: Sequence[RecognizedWord], **more: Any) -> dict[str, Any]:
    return {
        "id": 0,
        "seek": 0,
        "start": recognized[0].start,
        "end": recognized[-1].end,
        "text": f" {_text(recognized)}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.01,
        **more,
    }


def _openai(words: Sequence[RecognizedWord], seconds: float, fields: Fields) -> dict[str, Any]:
    if fields.get("response_format") != "verbose_json":
        return _json_only(words, seconds, fields)
    segments = [_segment(words)] if words else []
    answer = {"task": "transcribe", "language": "english", "duration": seconds, "text": _text(words)}
    if fields.get("timestamp_granularities[]") == "word":
        answer["words"] = [{"word": word.text, "start": word.start, "end": word.end} for word in words]
    return answer | {"segments": segments}


def _json_only(words: Sequence[RecognizedWord], seconds: float, _fields: Fields) -> dict[str, Any]:
    return {"text": _text(words), "usage": {"type": "duration", "seconds": seconds}}


def _text_only(words: Sequence[RecognizedWord], _seconds: float, _fields: Fields) -> dict[str, Any]:
    return {"text": _text(words)}


def _whisper_cpp(words: Sequence[RecognizedWord], seconds: float, fields: Fields) -> dict[str, Any]:
    text = f" {_text(words)}\n"
    if fields.get("response_format") != "verbose_json":
        return {"text": text}
    own = [{"word": f" {word.text}", "start": word.start, "end": word.end, "probability": 0.9} for word in words]
    segments = [_segment(words, words=own)] if words else []
    return {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "segments": segments}


def _speaches(words: Sequence[RecognizedWord], seconds: float, fields: Fields) -> dict[str, Any]:
    answer = _openai(words, seconds, fields)
    if "words" in answer:
        answer["words"] = [
            {"word": f" {word.text}", "start": word.start, "end": word.end, "probability": 0.9} for word in words
        ]
    return answer


def _vllm(words: Sequence[RecognizedWord], seconds: float, fields: Fields) -> dict[str, Any]:
    if fields.get("response_format") != "verbose_json":
        return {"text": _text(words), "usage": {"type": "duration", "seconds": round(seconds)}}
    segments = [_segment(words, avg_logprob=-1.0)] if words else []
    return {"duration": str(seconds), "language": "en", "text": _text(words), "segments": segments, "words": None}


def _local_ai(words: Sequence[RecognizedWord], _seconds: float, _fields: Fields) -> dict[str, Any]:
    # Its times count nanoseconds.
    segments = [
        {"id": 0, "start": round(words[0].start * 1e9), "end": round(words[-1].end * 1e9), "text": _text(words)}
    ]
    return {"segments": segments if words else [], "text": _text(words)}


def _groq(words: Sequence[RecognizedWord], seconds: float, fields: Fields) -> dict[str, Any]:
    return _openai(words, seconds, fields) | {"x_groq": {"id": "req_01"}}


OPENAI = Dialect("openai", _openai)
OPENAI_JSON_ONLY = Dialect("openai-json-only", _json_only, formats=frozenset({"json"}))
WHISPER_CPP = Dialect("whisper.cpp", _whisper_cpp, path="/inference")
SPEACHES = Dialect("speaches", _speaches)
VLLM = Dialect("vllm", _vllm)
VLLM_VOXTRAL = Dialect(
    "vllm-voxtral",
    _vllm,
    formats=frozenset({"json"}),
    refusal=lambda given: {
        "error": {"message": f"Currently do not support {given} for this model", "type": "BadRequestError", "code": 400}
    },
)
LOCAL_AI = Dialect("local-ai", _local_ai)
GROQ = Dialect("groq", _groq, path="/openai/v1/audio/transcriptions")
OPENROUTER = Dialect("openrouter", _text_only, path="/api/v1/audio/transcriptions")

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        OPENAI,
        OPENAI_JSON_ONLY,
        WHISPER_CPP,
        SPEACHES,
        VLLM,
        VLLM_VOXTRAL,
        LOCAL_AI,
        GROQ,
        OPENROUTER,
    )
}
