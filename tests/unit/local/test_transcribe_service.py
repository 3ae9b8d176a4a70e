"""The stand-in of Transcribe: its messages, and what it refuses."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest

from connect_audio_local.transcribe.chunk_signature import ChunkSignatures, SignatureError
from connect_audio_local.transcribe.event_stream import MalformedMessageError, MessageReader, decode, encode
from connect_audio_local.transcribe.model import SpokenStream, StreamError, StreamRecord
from connect_audio_local.transcribe.parameters import ParameterError, StreamParameters, parameters_of
from support.spoken_words import SpokenWords, quiet, spoken

GIVEN = {
    "language-code": "en-US",
    "sample-rate": "8000",
    "media-encoding": "pcm",
    "enable-channel-identification": "true",
    "number-of-channels": "2",
}


def parameters(**changes: str | None) -> StreamParameters:
    given = {**GIVEN, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return parameters_of({f"x-amzn-transcribe-{name}": value for name, value in given.items() if value}, None)


def stream() -> SpokenStream:
    return SpokenStream(parameters(), SpokenWords(), StreamRecord({}, ""))


def test_messages_are_the_same_however_their_bytes_are_cut() -> None:
    data = encode({":event-type": "AudioEvent"}, b"abc") + encode({}, b"")
    whole = list(MessageReader().receive(data))
    reader = MessageReader()
    assert [message for at in range(len(data)) for message in reader.receive(data[at : at + 1])] == whole
    assert [(message.headers, message.payload) for message in whole] == [
        ({":event-type": "AudioEvent"}, b"abc"),
        ({}, b""),
    ]


@pytest.mark.parametrize("at", range(len(encode({"name": "value"}, b"abc"))))
def test_a_message_with_a_changed_byte_is_refused(at: int) -> None:
    data = bytearray(encode({"name": "value"}, b"abc"))
    data[at] ^= 1
    with pytest.raises(MalformedMessageError):
        decode(bytes(data))


def test_a_message_that_says_it_is_huge_is_refused_before_it_is_there() -> None:
    prelude = struct.pack("!II", 1 << 30, 0)
    with pytest.raises(MalformedMessageError, match="is longer than"):
        list(MessageReader().receive(prelude + struct.pack("!I", crc32(prelude))))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"language_code": None}, "one of language-code and identify-language"),
        ({"identify_language": "true", "language_options": "en-US,de-DE"}, "and one alone"),
        (
            {"language_code": None, "identify_language": "true", "language_options": "en-US,en-GB"},
            "one dialect of each",
        ),
        ({"sample_rate": "7999"}, "no number from 8000 to 48000"),
        ({"media_encoding": None}, "media-encoding is missing"),
        ({"media_encoding": "wav"}, "media-encoding is none of pcm"),
        ({"number_of_channels": "3"}, "number-of-channels is not 2"),
        ({"number_of_channels": None}, "need each other"),
        ({"content_redaction_type": "PII", "content_identification_type": "PII"}, "exclude each other"),
        ({"pii_entity_types": "NAME"}, "need redaction or identification"),
        ({"partial_results_stability": "high"}, "needs enable-partial-results-stabilization"),
        ({"speed": "fast"}, "unknown parameters: speed"),
    ],
)
def test_parameters_that_transcribe_refuses_are_refused(changes: dict[str, str | None], problem: str) -> None:
    with pytest.raises(ParameterError, match=problem):
        parameters(**changes)


@pytest.mark.parametrize(
    ("chunk", "problem"), [(b"abc", "no whole number of frames"), (bytes(4 * 8001), "longer than a second")]
)
def test_audio_that_transcribe_refuses_is_refused(chunk: bytes, problem: str) -> None:
    with pytest.raises(StreamError, match=problem) as caught:
        list(stream().receive(chunk))
    assert caught.value.kind == "BadRequestException"


def test_a_request_without_a_signature_by_a_known_key_is_refused() -> None:
    signed = (
        "AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-2/transcribe/aws4_request, SignedHeaders=host, Signature="
        + "0" * 64
    )
    ChunkSignatures({"authorization": signed}, {"A": "secret"})
    for headers, secrets in (({}, {"A": "s"}), ({"authorization": signed}, {"B": "s"})):
        with pytest.raises(SignatureError):
            ChunkSignatures(headers, secrets)
    with pytest.raises(SignatureError, match="for another service"):
        ChunkSignatures({"authorization": signed.replace("transcribe", "s3")}, {"A": "s"})


def test_a_single_channel_has_no_channel_in_its_results() -> None:
    mono = parameters(enable_channel_identification=None, number_of_channels=None)
    spoken_stream = SpokenStream(mono, SpokenWords(), StreamRecord({}, ""))
    (result,) = [*spoken_stream.receive(spoken("two") + quiet(0.1)), *spoken_stream.end()][-1:]
    assert "ChannelId" not in result
    assert result["Alternatives"][0]["Transcript"] == "two."
