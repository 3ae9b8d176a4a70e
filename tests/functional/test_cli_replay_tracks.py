"""`connect-audio replay` where names and codecs are not Connect's: decoded, or refused by name, never noise."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import audioop
import pytest

import connect_audio
from connect_audio.core.errors import CaptureError
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticFragment
from connect_audio_local.synthesis.fragment_writer import (
    FROM_CUSTOMER,
    TO_CUSTOMER,
    FragmentLayout,
    MimeType,
    Track,
    TrackCodec,
    write_fragment,
)
from support.calls import call, fragments, noise
from support.command import Finished, recording, run

CASES = Path(__file__).parents[3] / "shared" / "cases"
CASE_ID = "11111111-1111-4111-8111-111111111111"
SECONDS = 4
CUSTOMER, AGENT = noise(SECONDS, seed=1), noise(SECONDS, seed=1001)
WITHOUT_MIME = FragmentLayout(mime_type=MimeType.MISSING)


def case(name: str) -> Path:
    path = CASES / name
    if not path.exists():
        pytest.skip(f"the shared case {name} is not here")
    return path


def capture(
    path: Path, *, agent: str, customer: str, codec: TrackCodec | None = None, layout: FragmentLayout | None = None
) -> Path:
    """A call whose tracks have these names and this codec; its payload is PCM."""
    path.write_bytes(b"".join(_written(each, agent, customer, codec, layout) for each in fragments(call(SECONDS))))
    return path


def _written(
    each: SyntheticFragment, agent: str, customer: str, codec: TrackCodec | None, layout: FragmentLayout | None
) -> bytes:
    names = {TO_CUSTOMER: agent, FROM_CUSTOMER: customer}
    tracks = [Track(track.number, names[track.name], track.uid, codec) for track in each.contents.tracks]
    return write_fragment(replace(each.contents, tracks=tracks), layout or FragmentLayout())


def replayed(path: Path, output: Path, *options: str) -> Finished:
    return run("replay", path, "--output", output, *options)


def reasons(output: Path, contact_id: str = DEFAULT_CONTACT_ID) -> list[tuple[str, str]]:
    manifest: dict[str, Any] = recording(output, contact_id).manifest
    return [(reason["code"], reason["detail"]) for reason in manifest["reasons"]]


# --- codecs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["A_OPUS", "A_AAC/MPEG4/LC", "A_MPEG/L3", "A_PCM/FLOAT/IEEE"])
def test_audio_that_is_not_pcm_is_never_written_and_its_codec_is_named(codec: str, tmp_path: Path) -> None:
    path = capture(
        tmp_path / "call.mkv", agent=TO_CUSTOMER, customer=FROM_CUSTOMER, codec=TrackCodec(codec), layout=WITHOUT_MIME
    )

    finished = replayed(path, tmp_path / "out")

    assert finished.code == 2
    assert f"codec {codec} without a MimeType, neither 16-bit PCM nor G.711" in finished.err
    assert list((tmp_path / "out").glob("*")) == []


def test_the_case_of_opus_without_a_mime_type_writes_nothing_and_names_the_codec(tmp_path: Path) -> None:
    finished = replayed(case("f1_opus_no_mime.mkv"), tmp_path / "out")

    assert finished.code == 2
    assert "codec A_OPUS without a MimeType" in finished.err
    assert list((tmp_path / "out").glob("*")) == []


def test_a_party_in_another_codec_leaves_the_other_party_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    pieces = []
    for each in fragments(call(SECONDS)):
        tracks = [
            replace(track, codec=TrackCodec("A_OPUS") if track.name == TO_CUSTOMER else TrackCodec("A_AAC"))
            for track in each.contents.tracks
        ]
        pieces.append(write_fragment(replace(each.contents, tracks=tracks), WITHOUT_MIME))
    path.write_bytes(b"".join(pieces))

    finished = replayed(path, tmp_path / "out")

    assert finished.code == 3
    written = recording(tmp_path / "out", DEFAULT_CONTACT_ID)
    assert (written.left, written.right) == (CUSTOMER, bytes(len(AGENT)))
    assert [code for code, _ in reasons(tmp_path / "out")] == ["UNSUPPORTED_AUDIO"]
    assert "the agent's is codec A_OPUS" in reasons(tmp_path / "out")[0][1]
    assert written.manifest["tracks"]["agent"]["unsupportedBytes"] == len(AGENT)
    assert written.manifest["tracks"]["customer"]["unsupportedBytes"] == 0


@pytest.mark.parametrize("law", ["mu-law", "A-law"])
def test_g711_in_microsoft_s_form_is_decoded(law: str, tmp_path: Path) -> None:
    encode, decode, tag = (
        (audioop.lin2ulaw, audioop.ulaw2lin, 7) if law == "mu-law" else (audioop.lin2alaw, audioop.alaw2lin, 6)
    )
    codec = TrackCodec("A_MS/ACM", struct.pack("<HHIIHHH", tag, 1, 8000, 8000, 1, 8, 0), rate=8000)
    pieces = []
    for each in fragments(call(SECONDS)):
        tracks = [replace(track, codec=codec) for track in each.contents.tracks]
        blocks = [replace(block, pcm=encode(block.pcm, 2)) for block in each.contents.blocks]
        pieces.append(write_fragment(replace(each.contents, tracks=tracks, blocks=blocks), WITHOUT_MIME))
    path = tmp_path / "call.mkv"
    path.write_bytes(b"".join(pieces))

    finished = replayed(path, tmp_path / "out")

    assert (finished.code, finished.err) == (0, "")
    written = recording(tmp_path / "out", DEFAULT_CONTACT_ID)
    assert written.left == decode(encode(CUSTOMER, 2), 2)
    assert written.right == decode(encode(AGENT, 2), 2)


def test_the_case_of_mu_law_is_decoded_whole(tmp_path: Path) -> None:
    options = ("--accept-unlabelled", "--contact-id", CASE_ID)

    finished = replayed(case("named_pcm_mulaw.mkv"), tmp_path / "out", *options)

    assert finished.code == 0
    written = recording(tmp_path / "out", CASE_ID)
    # The file holds 16 000 bytes of G.711 a track: 2 s at 8 kHz without a hole.
    assert written.manifest["recording"]["frames"] == 16_000
    assert written.manifest["tracks"]["agent"]["audioSamples"] == 16_000


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "customer"),
    [
        ("audio_to_customer", "audio_from_customer"),
        ("Audio_To_Customer", "AUDIO_FROM_CUSTOMER"),
        ("AUDIO_TO_CUSTOMER  ", " AUDIO_FROM_CUSTOMER"),
    ],
)
def test_names_compare_without_case_and_padding(agent: str, customer: str, tmp_path: Path) -> None:
    path = capture(tmp_path / "call.mkv", agent=agent, customer=customer)

    assert replayed(path, tmp_path / "out").code == 0
    written = recording(tmp_path / "out", DEFAULT_CONTACT_ID)
    assert (written.left, written.right) == (CUSTOMER, AGENT)


def test_the_case_of_lower_case_names_is_whole(tmp_path: Path) -> None:
    assert replayed(case("names_lower_case.mkv"), tmp_path / "out").code == 0
    written = recording(tmp_path / "out", CASE_ID)
    # 4 fragments of 16 blocks of 64 ms a track.
    assert [written.manifest["tracks"][party]["audioSamples"] for party in ("customer", "agent")] == [32_768, 32_768]


@pytest.mark.parametrize("kind", ["case", "synthesised"])
def test_a_track_of_no_party_beside_a_known_one_makes_the_recording_partial_and_is_named(
    kind: str, tmp_path: Path
) -> None:
    path, contact_id, number, seconds = (
        (case("names_one_known.mkv"), CASE_ID, 2, 4.096)
        if kind == "case"
        else (
            capture(tmp_path / "call.mkv", agent="AUDIO_TO_AGENT", customer=FROM_CUSTOMER),
            DEFAULT_CONTACT_ID,
            1,
            SECONDS,
        )
    )

    finished = replayed(path, tmp_path / "out")

    assert finished.code == 3
    ((code, detail),) = reasons(tmp_path / "out", contact_id)
    assert code == "UNKNOWN_TRACK"
    assert f"track {number} 'AUDIO_TO_AGENT'" in detail
    (track,) = recording(tmp_path / "out", contact_id).manifest["unknownTracks"]
    assert (track["name"], track["number"], track["bytes"]) == ("AUDIO_TO_AGENT", number, round(seconds * 16_000))


@pytest.mark.parametrize("kind", ["case", "synthesised"])
def test_tracks_of_no_party_are_named_with_the_option_that_says_which_is_which(kind: str, tmp_path: Path) -> None:
    path = (
        case("names_audio12_l16.mkv")
        if kind == "case"
        else capture(tmp_path / "call.mkv", agent="audio_1", customer="audio_2")
    )

    finished = replayed(path, tmp_path / "out")

    assert finished.code == 2
    assert "(track 1 'audio_1', track 2 'audio_2')" in finished.err
    assert "--customer-track and --agent-track" in finished.err


@pytest.mark.parametrize(("customer", "agent"), [("audio_2", "audio_1"), ("2", "1"), ("AUDIO_2", "1")])
def test_the_user_says_which_track_is_which(customer: str, agent: str, tmp_path: Path) -> None:
    path = capture(tmp_path / "call.mkv", agent="audio_1", customer="audio_2")

    finished = replayed(path, tmp_path / "out", "--customer-track", customer, "--agent-track", agent)

    assert (finished.code, finished.err) == (0, "")
    written = recording(tmp_path / "out", DEFAULT_CONTACT_ID)
    assert (written.left, written.right) == (CUSTOMER, AGENT)
    call_read = connect_audio.read(path, customer_track=customer, agent_track=int(agent) if agent == "1" else agent)
    assert (call_read.pcm("customer"), call_read.pcm("agent"), call_read.status) == (CUSTOMER, AGENT, "complete")


def test_the_case_of_other_names_is_whole_once_the_user_says_which_is_which(tmp_path: Path) -> None:
    options = ("--customer-track", "audio_1", "--agent-track", "2")

    assert replayed(case("names_audio12_l16.mkv"), tmp_path / "out", *options).code == 0
    written = recording(tmp_path / "out", CASE_ID)
    assert [written.manifest["tracks"][party]["audioSamples"] for party in ("customer", "agent")] == [32_768, 32_768]


def test_a_name_that_no_track_has_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    path = capture(tmp_path / "call.mkv", agent="audio_1", customer="audio_2")

    finished = replayed(path, tmp_path / "out", "--customer-track", "audio_2", "--agent-track", "line")

    assert finished.code == 2
    expected = "--agent-track: it has no audio track 'line', only track 1 'audio_1', track 2 'audio_2'"
    assert expected in finished.err
    assert list((tmp_path / "out").glob("*")) == []
    with pytest.raises(CaptureError, match="customer_track and agent_track name the same track"):
        connect_audio.read(path, customer_track="audio_2", agent_track=2)


def test_a_single_track_of_pcm_is_the_customer_s_whatever_its_name(tmp_path: Path) -> None:
    pieces = []
    for each in fragments(call(SECONDS)):
        ours = next(track for track in each.contents.tracks if track.name == FROM_CUSTOMER)
        blocks = [block for block in each.contents.blocks if block.track_number == ours.number]
        pieces.append(write_fragment(replace(each.contents, tracks=[replace(ours, name="line")], blocks=blocks)))
    path = tmp_path / "call.mkv"
    path.write_bytes(b"".join(pieces))

    assert replayed(path, tmp_path / "out").code == 0
    assert recording(tmp_path / "out", DEFAULT_CONTACT_ID).left == CUSTOMER
