"""What `connect_audio.read` and `connect_audio.contacts` make of sources of every kind, whole, damaged and wrong."""

from __future__ import annotations

import io
import json
import pickle
import wave
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connect_audio
from connect_audio.core.pcm import channel, interleave
from connect_audio_cli.replay.replay import replay
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, Gap, SyntheticCall, synthesize_stream
from connect_audio_local.synthesis.speech import two_party_conversation
from support.examples import examples, few_of

SPEECH = two_party_conversation(3)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)
OTHER = replace(CALL, contact_id="another-contact", pause_ms=60_000)
GAPPY = replace(CALL, agent_joins_ms=320, gaps=(Gap(at_ms=1024, length_ms=500),))
"""The agent is missing for 2560 frames at first, and both are from frame 8192 on, for 4000 frames."""


def capture(*calls: SyntheticCall) -> bytes:
    return b"".join(fragment.data for fragment in synthesize_stream(calls))


SHORT = capture(replace(CALL, seconds=1))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def refusal(source: Any, **options: Any) -> str:
    with pytest.raises(connect_audio.CaptureError) as caught:
        connect_audio.read(source, **options)
    return str(caught.value)


def test_both_parties_come_out_sample_for_sample() -> None:
    call = connect_audio.read(capture(CALL))

    customer, agent = SPEECH.customer, SPEECH.agent
    assert call.pcm("customer") == customer
    assert call.pcm("agent") == agent
    assert bytes(call.stereo) == interleave(customer, agent)
    assert (call.rate, call.frames, call.duration, call.status, call.reasons) == (8000, 24_000, 3.0, "complete", ())
    assert call.contact_id == DEFAULT_CONTACT_ID
    assert repr(call) == f"<Call {DEFAULT_CONTACT_ID}: 3.000 s at 8000 Hz, complete>"


def test_a_call_knows_when_it_began() -> None:
    assert connect_audio.read(capture(CALL)).start == datetime(2026, 7, 1, 13, 30, 54, 536_000, UTC)


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "bytearray", "memoryview", "file", "raw", "BytesIO", "list"])
def test_every_kind_of_source_gives_the_same_call(tmp_path: Path, kind: str) -> None:
    data = capture(CALL)
    path = tmp_path / "call.mkv"
    path.write_bytes(data)
    expected = connect_audio.read(data)

    with path.open("rb") as file, path.open("rb", buffering=0) as raw:
        sources: dict[str, Any] = {
            "path": path,
            "text": str(path),
            "bytes": data,
            "bytearray": bytearray(data),
            "memoryview": memoryview(data),
            "file": file,
            "raw": raw,
            "BytesIO": io.BytesIO(data),
            "list": [b"", data[:50_000], b"", *pieces(data[50_000:], 999), b""],
        }
        call = connect_audio.read(sources[kind])

        assert not file.closed

    assert (call.manifest, call.stereo) == (expected.manifest, expected.stereo)


@pytest.mark.parametrize(
    "calls",
    [
        (CALL,),
        (GAPPY,),
        (OTHER, CALL),
        (replace(CALL, agent=None),),
        (replace(CALL, unlabelled=frozenset({1})),),
    ],
)
def test_the_manifest_is_byte_for_byte_that_of_replay(tmp_path: Path, calls: tuple[SyntheticCall, ...]) -> None:
    data = capture(*calls)
    done = replay(iter([data]), tmp_path, name="capture")

    call = connect_audio.read(data)

    assert (json.dumps(call.manifest, indent=2) + "\n").encode() == done.manifest_path.read_bytes()
    call.write_wav(tmp_path / "read.wav")
    assert (tmp_path / "read.wav").read_bytes() == done.wav.read_bytes()
    assert call.other_contacts == done.other_contacts


def test_the_first_contact_is_read_and_the_others_are_named() -> None:
    call = connect_audio.read(capture(OTHER, replace(CALL, pause_ms=60_000)))

    assert (call.contact_id, call.other_contacts) == ("another-contact", (DEFAULT_CONTACT_ID,))


def test_the_contact_that_was_asked_for_is_read() -> None:
    call = connect_audio.read(capture(OTHER, replace(CALL, pause_ms=60_000)), DEFAULT_CONTACT_ID)

    assert (call.contact_id, call.frames) == (DEFAULT_CONTACT_ID, 24_000)


def test_gaps_name_the_party_the_place_and_the_missing_fragments() -> None:
    call = connect_audio.read(capture(GAPPY))

    found = {(gap.party, gap.start_frame, gap.frames, gap.missing_fragments) for gap in call.gaps}
    assert found == {("agent", 0, 2560, None), ("agent", 8192, 4000, 0), ("customer", 8192, 4000, 0)}
    assert {(gap.start_seconds, gap.seconds) for gap in call.gaps} == {(0.0, 0.32), (1.024, 0.5)}
    assert call.tracks["agent"] == connect_audio.Track(audio_samples=24_000 - 2560, silence_samples=6560, gap_count=2)


def test_an_absent_party_is_silence_as_long_as_the_call() -> None:
    call = connect_audio.read(capture(replace(CALL, agent=None)))

    assert call.pcm("agent") == bytes(2 * 24_000)
    assert (call.tracks["agent"].empty, call.tracks["customer"].empty) == (True, False)


def test_a_truncated_capture_gives_what_is_in_it_and_says_so() -> None:
    data = capture(CALL)

    call = connect_audio.read(data[: len(data) * 2 // 3])

    assert 0 < call.frames < 24_000
    assert call.status is connect_audio.Status.PARTIAL
    assert "TRUNCATED_FRAGMENTS" in [reason.code for reason in call.reasons]
    assert SPEECH.agent.startswith(call.pcm("agent").rstrip(b"\0"))


def test_a_damaged_capture_gives_the_rest() -> None:
    fragments = [fragment.data for fragment in synthesize_stream([CALL])]
    middle = fragments[1]
    fragments[1] = middle[:3000] + b"\xff" * 100 + middle[3100:]

    call = connect_audio.read(fragments)

    assert call.status == "partial"
    assert call.pcm("customer")[-16_000:] == SPEECH.customer[-16_000:]


def test_unlabelled_audio_is_read_on_request_alone() -> None:
    data = capture(replace(CALL, unlabelled=frozenset(range(9))))

    assert refusal(data) == (
        "the bytes: no fragment names a contact; if all its audio is of one call, add "
        'contact_id="ID", accept_unlabelled=True'
    )
    assert connect_audio.read(data, "mine", accept_unlabelled=True).frames == 24_000


class NothingYet(io.RawIOBase):
    """A file that does not block and has no bytes yet."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int | None:
        del buffer
        return None


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (b"", "the bytes: is empty"),
        (b"<html>", "the bytes: is no GetMedia capture: "),
        ([b"\x1a"], "the iterable: is no GetMedia capture: "),
        ("no/such/file.mkv", "no/such/file.mkv: cannot be read: No such file or directory"),
        ("nul\0.mkv", "nul\\x00.mkv: cannot be read: "),
        ({"Payload": b""}, 'the source is a mapping, not bytes: pass the body of GetMedia, answer["Payload"]'),
        (5, "the source is of type int: pass a path, bytes, a binary file or an iterable of bytes"),
        (None, "the source is of type NoneType: pass a path, bytes, a binary file or an iterable of bytes"),
        (["text"], 'the iterable: gives str, not bytes: open it with mode "rb"'),
        (io.StringIO("text"), 'the file: gives str, not bytes: open it with mode "rb"'),
        (NothingYet(), "the file: gives NoneType, not bytes: set it to blocking"),
        ([1, 2], "the iterable: gives int, not bytes"),
    ],
)
def test_a_source_without_a_call_is_refused_with_what_to_do(source: Any, complaint: str) -> None:
    assert refusal(source).startswith(complaint)


def test_a_directory_is_no_capture(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_contact_that_is_not_there_is_refused_with_those_that_are() -> None:
    complaint = refusal(capture(CALL), contact_id="somebody-else")

    assert complaint == f"the bytes: no fragment names contact somebody-else; it holds {DEFAULT_CONTACT_ID}"
    assert refusal(capture(CALL), contact_id="a/b").startswith("contact_id 'a/b' is no contact id: ")


def test_the_caller_s_own_errors_pass_unchanged() -> None:
    def broken() -> Iterator[bytes]:
        yield capture(CALL)
        raise TimeoutError("the caller's own")

    with pytest.raises(TimeoutError, match="the caller's own"):
        connect_audio.read(broken())


def test_one_party_is_written_as_mono(tmp_path: Path) -> None:
    call = connect_audio.read(capture(CALL))

    call.write_wav(tmp_path / "agent.wav", party="agent")

    with wave.open(str(tmp_path / "agent.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 8000, 24_000)
        assert file.readframes(24_000) == call.pcm("agent") == channel(bytes(call.stereo), 1)


@pytest.mark.parametrize("party", ["caller", "", "AGENT", None, 0])
def test_a_party_that_does_not_exist_is_refused(tmp_path: Path, party: Any) -> None:
    call = connect_audio.read(capture(CALL))

    with pytest.raises(ValueError, match=r'party must be "customer" or "agent", not '):
        call.pcm(party)
    if party is not None:
        with pytest.raises(ValueError, match=r'party must be "customer" or "agent", not '):
            call.write_wav(tmp_path / "x.wav", party)
        assert not (tmp_path / "x.wav").exists()


def test_the_samples_cannot_be_changed_by_accident() -> None:
    assert connect_audio.read(capture(CALL)).stereo.readonly


def test_pydub_gets_both_parties() -> None:
    call = connect_audio.read(capture(CALL))

    segment = call.to_pydub()

    assert (segment.channels, segment.frame_rate, segment.sample_width, len(segment)) == (2, 8000, 2, 3000)
    assert [mono.raw_data for mono in segment.split_to_mono()] == [call.pcm("customer"), call.pcm("agent")]


def test_a_call_goes_to_another_process() -> None:
    call = connect_audio.read(capture(GAPPY))

    other = pickle.loads(pickle.dumps(call))  # noqa: S301 - our own

    assert (other.stereo, other.manifest, other.gaps) == (call.stereo, call.manifest, call.gaps)


@given(st.binary(max_size=300), st.integers(0, 40_000), st.integers(0, 300))
@settings(max_examples=examples(60), deadline=None)
def test_any_bytes_give_a_call_or_a_capture_error(junk: bytes, at: int, removed: int) -> None:
    data = SHORT[:at] + junk + SHORT[at + removed :]
    for source in (junk, data):
        try:
            call = connect_audio.read(source)
        except connect_audio.CaptureError as error:
            assert str(error).startswith("the bytes: ")  # noqa: PT017 - either way is right
        else:
            assert len(call.stereo) == 4 * call.frames == 4 * call.manifest["recording"]["frames"]
            assert sum(block.frames for block in connect_audio.stream(source)) <= 2 * call.frames
        with suppress(connect_audio.CaptureError):
            connect_audio.contacts(source)


# A recording of the stack: a WAV and its manifest.


def recorded(folder: Path, *calls: SyntheticCall) -> Path:
    return replay(iter([capture(*calls)]), folder, name="capture").wav


def test_a_recording_is_read_back_with_its_manifest(tmp_path: Path) -> None:
    wav = recorded(tmp_path, GAPPY)

    call, original = connect_audio.read(wav), connect_audio.read(capture(GAPPY))

    assert (call.stereo, call.manifest, call.gaps) == (
        original.stereo,
        original.manifest,
        original.gaps,
    )
    assert (call.start, call.rate, call.status) == (original.start, original.rate, original.status)


def test_a_wav_without_its_manifest_is_refused(tmp_path: Path) -> None:
    wav = recorded(tmp_path, CALL)
    manifest = wav.with_suffix(".json")
    manifest.unlink()

    assert refusal(wav) == (
        f"{wav}: is a WAV, and its manifest {manifest} is not there: fetch it as well, or read the WAV with soundfile"
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"schemaVersion": "9.0"}', b'{"schemaVersion": "2.0"}'])
def test_a_json_that_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    wav = recorded(tmp_path, CALL)
    wav.with_suffix(".json").write_bytes(content)

    assert refusal(wav).startswith(f"{wav.with_suffix('.json')}: is no manifest")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values inside a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key)
        yield from leaves(each, (*path, key))


@pytest.mark.parametrize("instead", few_of(["nothing", None, "x", -1, [], {}]))
def test_a_manifest_with_anything_wrong_in_it_gives_a_call_or_is_refused(tmp_path: Path, instead: Any) -> None:
    wav = recorded(tmp_path, GAPPY)
    whole = wav.with_suffix(".json").read_bytes()
    read = refused = 0
    for *way, last in list(leaves(json.loads(whole))):
        manifest = json.loads(whole)
        place = manifest
        for key in way:
            place = place[key]
        if instead == "nothing":
            del place[last]
        else:
            place[last] = instead
        wav.with_suffix(".json").write_text(json.dumps(manifest))
        try:
            call = connect_audio.read(wav)
        except connect_audio.CaptureError:
            refused += 1
        else:
            read += 1
            assert repr(call)
            assert len((call.start, call.status, call.reasons, call.tracks, call.gaps)) == 5

    assert read > 20
    assert refused > 10


@pytest.mark.parametrize("damage", ["cut", "changed", "header"])
def test_a_wav_that_is_not_its_manifest_s_is_refused(tmp_path: Path, damage: str) -> None:
    wav = recorded(tmp_path, CALL)
    data = bytearray(wav.read_bytes())
    if damage == "cut":
        del data[-400:]
    else:
        data[30_000 if damage == "changed" else 24] ^= 1
    wav.write_bytes(data)

    assert refusal(wav).startswith(f"{wav}: ")
    assert "fetch both files again" in refusal(wav)


def test_a_wav_of_another_contact_is_refused(tmp_path: Path) -> None:
    assert refusal(recorded(tmp_path, CALL), contact_id="mine").endswith(
        f"is of contact {DEFAULT_CONTACT_ID}, not mine"
    )


def test_a_wav_that_is_no_path_is_refused_since_its_manifest_cannot_be_found(tmp_path: Path) -> None:
    data = recorded(tmp_path, CALL).read_bytes()

    assert refusal(data).startswith("the bytes: is a WAV: pass its path")
    with pytest.raises(connect_audio.CaptureError, match=r"use connect_audio\.read"):
        connect_audio.contacts(data)
    with pytest.raises(connect_audio.CaptureError, match=r"use connect_audio\.read"):
        next(connect_audio.stream(data))


# Contacts.


def test_contacts_are_listed_in_order_with_their_place_and_length() -> None:
    found = connect_audio.contacts(capture(OTHER, replace(CALL, pause_ms=60_000)))

    assert [(each.contact_id, each.fragments, each.duration) for each in found] == [
        ("another-contact", 3, 3.0),
        (DEFAULT_CONTACT_ID, 3, 3.0),
    ]
    starts = [each.start for each in found]
    assert starts[0] is not None
    assert starts[1] is not None
    assert (starts[1] - starts[0]).total_seconds() >= 60


def test_a_capture_without_labels_has_no_contacts() -> None:
    assert connect_audio.contacts(capture(replace(CALL, unlabelled=frozenset(range(9))))) == []


def test_a_source_that_is_no_capture_has_no_contacts_to_list() -> None:
    with pytest.raises(connect_audio.CaptureError, match="the bytes: is empty"):
        connect_audio.contacts(b"")
