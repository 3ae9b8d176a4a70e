"""What `replay` makes of streams that the command's own tests are too slow for: names, labels, counts, memory."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from connect_audio.library import extraction
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.replay.replay import Replay, replay
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    Gap,
    SyntheticCall,
    synthesize_call,
    synthesize_stream,
)
from connect_audio_local.synthesis.fragment_writer import InBandError, write_fragment
from connect_audio_local.synthesis.speech import two_party_conversation

SPEECH = two_party_conversation(3)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)


def chunks_of(*calls: SyntheticCall) -> Iterator[bytes]:
    return (fragment.data for fragment in synthesize_stream(calls))


def replayed(output: Path, *calls: SyntheticCall, **options: Any) -> Replay:
    return replay(chunks_of(*calls), output, name="capture", **options)


def refusal(output: Path, chunks: Iterator[bytes], **options: Any) -> str:
    """The complaint about a capture of which nothing may be written."""
    with pytest.raises(CommandError) as caught:
        replay(chunks, output, name="capture", **options)
    assert caught.value.code is ExitCode.UNUSABLE
    assert not output.exists() or not list(output.iterdir())
    return str(caught.value)


HOSTILE = [
    "../escape",
    "/etc/escape",
    "..",
    ".",
    "a/b",
    "a\\b",
    "-rf",
    "x" * 51,
    "x" * 10_000,
    "a\nb",
    "a\x1b[2Jb",
    "\N{SNOWMAN}",
    "a b",
    "con\u202egnp",
    "C:",
]


@pytest.mark.parametrize("contact_id", HOSTILE)
def test_a_hostile_contact_id_in_a_capture_never_becomes_a_name(tmp_path: Path, contact_id: str) -> None:
    output = tmp_path / "deep" / "out"

    complaint = refusal(output, chunks_of(replace(CALL, contact_id=contact_id)))

    assert complaint.startswith("capture: its first contact '")
    assert complaint.isprintable()
    assert len(complaint) < 300
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("contact_id", [*HOSTILE, "", "a\0b"])
def test_a_hostile_contact_id_from_the_user_never_becomes_a_name(tmp_path: Path, contact_id: str) -> None:
    complaint = refusal(tmp_path / "out", chunks_of(CALL), contact_id=contact_id)

    assert complaint.startswith("--contact-id '")
    assert complaint.isprintable()


def test_a_nul_ends_a_contact_id_as_it_ends_every_ebml_string(tmp_path: Path) -> None:
    assert replayed(tmp_path, replace(CALL, contact_id="abc\0/../x")).wav == tmp_path / "abc.wav"


def test_strangers_before_the_first_contact_are_counted_though_nobody_was_known_then(tmp_path: Path) -> None:
    before = replace(CALL, unlabelled=frozenset(range(9)))
    ours = replace(CALL, pause_ms=60_000)

    done = replayed(tmp_path, before, ours)

    assert done.manifest["fragments"]["unlabelledElsewhere"] == 3
    assert done.manifest["fragments"]["admitted"] == 3
    assert done.manifest["status"] == "complete"


def test_bytes_lost_before_the_first_contact_are_counted(tmp_path: Path) -> None:
    done = replay(iter([b"\xffgarbage", *chunks_of(CALL)]), tmp_path, name="capture")

    assert done.manifest["lostBytes"] == len(b"\xffgarbage")
    assert [reason["code"] for reason in done.manifest["reasons"]] == ["LOST_BYTES"]


def test_bytes_lost_behind_the_last_fragment_are_counted(tmp_path: Path) -> None:
    done = replay(iter([*chunks_of(CALL), b"\xffgarbage"]), tmp_path, name="capture")

    assert done.manifest["lostBytes"] == len(b"\xffgarbage")


def test_errors_in_the_stream_are_in_the_manifest_also_those_before_the_contact_is_known(tmp_path: Path) -> None:
    failure = InBandError(4000, "FRAGMENT_NOT_FOUND")
    data = []
    for index, fragment in enumerate(synthesize_call(replace(CALL, unlabelled=frozenset({0})))):
        contents = replace(fragment.contents, error=failure if index in {0, 2} else None)
        data.append(write_fragment(contents))

    done = replay(iter(data), tmp_path, name="capture")

    assert done.manifest["inBandErrors"]["count"] == 2


def test_channel_levels_are_those_of_the_parties(tmp_path: Path) -> None:
    loud, quiet = b"\x00\x40" * 8000, b"\x00\x04" * 8000

    done = replayed(tmp_path, SyntheticCall(customer=quiet, agent=loud))

    levels = [done.manifest["tracks"][party]["rmsDbfs"] for party in ("customer", "agent")]
    assert levels == pytest.approx([-30.1, -6.0], abs=0.1)


def test_a_silent_channel_has_no_level(tmp_path: Path) -> None:
    done = replayed(tmp_path, SyntheticCall(customer=SPEECH.agent, agent=None))

    assert done.manifest["tracks"]["agent"]["rmsDbfs"] is None
    assert done.manifest["tracks"]["agent"]["zeroSamples"] == done.manifest["recording"]["frames"]
    assert done.manifest["tracks"]["customer"]["rmsDbfs"] > -60


def test_unlabelled_audio_without_end_is_not_held_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "_MAX_HELD_BYTES", 200_000)
    pulled = 0

    def endless() -> Iterator[bytes]:
        nonlocal pulled
        call = SyntheticCall(
            customer=lambda: cycle([bytes(8192)]), agent=lambda: cycle([bytes(8192)]), unlabelled=frozenset(range(999))
        )
        for fragment in synthesize_call(call):
            pulled += 1
            yield fragment.data

    complaint = refusal(tmp_path / "out", endless(), accept_unlabelled=True)

    assert complaint == "capture: names no contact within 200000 bytes of audio; name the call with --contact-id ID"
    assert pulled < 10


def test_the_cut_of_the_input_changes_nothing(tmp_path: Path) -> None:
    whole = b"".join(chunks_of(CALL))
    bytewise = (whole[at : at + 7] for at in range(0, len(whole), 7))

    replay(iter([whole]), tmp_path / "one", name="capture")
    replay(bytewise, tmp_path / "many", name="capture")

    for suffix in ("wav", "json"):
        name = f"{DEFAULT_CONTACT_ID}.{suffix}"
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_call(tmp_path: Path) -> None:
    def peak(fragments: int) -> int:
        call = SyntheticCall(customer=lambda: cycle([bytes(8192)]), agent=lambda: cycle([bytes(8192)]))
        tracemalloc.start()
        try:
            chunks = (fragment.data for fragment in islice(synthesize_call(call), fragments))
            replay(chunks, tmp_path / str(fragments), name="capture")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(20)  # imports and caches
    assert peak(250) < 1.3 * peak(40), "250 fragments of 64 KiB of frames each would show"


def test_words_from_a_capture_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2J\n\u202e") == "a\\x1b[2J\\n\\u202e"
    assert printable("x" * 400, 10) == "xxxxxxxxxx…"


def test_silence_is_in_the_wav_and_not_on_the_disk(tmp_path: Path) -> None:
    hour = Gap(at_ms=1024, length_ms=3_600_000)
    done = replayed(tmp_path, replace(CALL, gaps=(hour,)))

    recording = done.manifest["recording"]
    assert done.wav.stat().st_size == recording["sizeBytes"] > 3600 * 8000 * 4
    assert f"{zlib.crc32(done.wav.read_bytes()[44:]):08x}" == recording["dataCrc32"]
    probe = tmp_path / "probe"
    with probe.open("wb") as file:
        file.truncate(10_000_000)
    if probe.stat().st_blocks * 512 > 1_000_000:
        pytest.skip("the file system knows no holes")
    assert done.wav.stat().st_blocks * 512 < 1_000_000


def test_a_recording_ends_at_its_limit(tmp_path: Path) -> None:
    done = replayed(tmp_path, CALL, limit_s=2)

    assert done.manifest["recording"]["durationSeconds"] <= 2
    assert "RECORDING_LIMIT" in [reason["code"] for reason in done.manifest["reasons"]]
