from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from connect_audio.core.fragments import BytesLost
from connect_audio_cli.inspection.inspection import FragmentRow, Inspection, Summary, fragment_json, summary_json
from connect_audio_cli.output.formatting import count, duration, speech
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_INSTANCE_ID,
    DEFAULT_START_MS,
    Gap,
    SyntheticCall,
    synthesize_call,
    synthesize_stream,
)
from connect_audio_local.synthesis.fragment_writer import (
    Codec,
    FragmentLayout,
    InBandError,
    MimeType,
    Track,
    TrackCodec,
    write_fragment,
)

CALL = SyntheticCall(customer=bytes(64_000), agent=bytes(64_000))


def look(chunks: Iterable[bytes]) -> tuple[list[FragmentRow], list[BytesLost], Summary]:
    inspection = Inspection(chunks, "capture")
    found = list(inspection.rows())
    rows = [row for row in found if isinstance(row, FragmentRow)]
    return rows, [row for row in found if isinstance(row, BytesLost)], inspection.summary


def look_at(*calls: SyntheticCall) -> tuple[list[FragmentRow], Summary]:
    rows, _, summary = look(fragment.data for fragment in synthesize_stream(calls))
    return rows, summary


def test_each_fragment_is_told_as_it_was_written() -> None:
    written = list(synthesize_call(CALL))
    rows, _ = look_at(CALL)

    assert [row.fragment.number for row in rows] == [fragment.number for fragment in written]
    assert [row.fragment.size for row in rows] == [len(fragment.data) for fragment in written]
    assert [row.start_ms for row in rows] == [fragment.producer_ms for fragment in written]
    assert [row.end_ms for row in rows] == [fragment.producer_ms + fragment.duration_ms for fragment in written]
    assert [dict(row.blocks) for row in rows] == [{1: 16, 2: 16}] * 3 + [{1: 15, 2: 15}]
    assert [row.gap_ms for row in rows] == [None, 0, 0, 0]


def test_a_number_that_is_not_decimal_is_told_as_it_stands_there() -> None:
    written = list(synthesize_call(CALL))
    odd = "A" + written[0].number[1:]
    rows, _, _ = look(fragment.data.replace(written[0].number.encode(), odd.encode()) for fragment in written)

    assert rows[0].fragment.number is None
    assert [fragment_json(row)["number"] for row in rows] == [odd, *(fragment.number for fragment in written[1:])]


def test_a_pause_is_a_gap_in_which_no_fragment_is_missing() -> None:
    rows, summary = look_at(replace(CALL, gaps=(Gap(at_ms=2048, length_ms=700),)))

    assert [row.gap_ms for row in rows] == [None, 0, 700, 0]
    assert [row.missing_fragments for row in rows] == [None, 0, 0, 0]
    assert (summary.gaps, summary.gap_ms, summary.missing_fragments) == (1, 700, 0)


def test_a_lost_fragment_is_a_gap_that_its_number_tells_of() -> None:
    data = [fragment.data for fragment in synthesize_call(CALL)]
    rows, _, summary = look([data[0], data[2], data[3]])

    assert [row.gap_ms for row in rows] == [None, 1024, 0]
    assert [row.missing_fragments for row in rows] == [None, 1, 0]
    assert (summary.gaps, summary.missing_fragments) == (1, 1)


def test_a_repeated_fragment_is_an_overlap() -> None:
    data = [fragment.data for fragment in synthesize_call(CALL)]
    _, _, summary = look([data[0], data[1], data[1], data[2]])

    assert (summary.gaps, summary.overlaps) == (0, 1)


def test_contacts_are_told_in_their_order_and_so_is_who_names_none() -> None:
    other = replace(CALL, contact_id="other", unlabelled=frozenset({2}))
    _, summary = look_at(CALL, other)

    assert list(summary.contacts) == [DEFAULT_CONTACT_ID, "other", None]
    assert [contact.fragments for contact in summary.contacts.values()] == [4, 3, 1]
    first = summary.contacts[DEFAULT_CONTACT_ID]
    assert (first.start_ms, first.end_ms) == (DEFAULT_START_MS, DEFAULT_START_MS + 4000)
    assert first.instance_id == DEFAULT_INSTANCE_ID


@pytest.mark.parametrize(
    ("layout", "audio"),
    [
        (FragmentLayout(), "16-bit little-endian PCM, 8000 Hz, mono: the customer"),
        (
            FragmentLayout(codec=Codec.PCM, mime_type=MimeType.MISSING),
            "16-bit little-endian PCM, 8000 Hz, mono: the customer",
        ),
    ],
)
def test_a_track_is_told_as_declared_and_as_it_is(layout: FragmentLayout, audio: str) -> None:
    _, summary = look_at(replace(CALL, layout=layout))

    customer = next(track for track in summary.tracks.values() if track.name == "AUDIO_FROM_CUSTOMER")
    assert customer.codec_id == ("A_AAC" if layout.codec is Codec.AAC_LIE else "A_PCM/INT/LIT")
    assert customer.audio == audio
    assert (customer.fragments, customer.blocks, customer.size) == (4, 63, 64_000)


def test_a_recorded_track_is_told_with_its_levels() -> None:
    quiet, loud = b"\x00\x04" * 16_000, b"\x00\x40" * 8_000 + bytes(16_000)  # 1024 and 16384 of 32768

    _, summary = look_at(replace(CALL, customer=quiet, agent=loud))

    levels = {track.name: track.levels() for track in summary.tracks.values()}
    customer, agent = levels["AUDIO_FROM_CUSTOMER"], levels["AUDIO_TO_CUSTOMER"]
    assert customer is not None
    assert agent is not None
    assert (customer["activeRmsDbfs"], agent["activeRmsDbfs"]) == pytest.approx((-30.1, -6.02), abs=0.05)
    assert (customer["activeSeconds"], agent["activeSeconds"]) == (2.0, 1.0)


def test_a_level_is_that_of_speech_with_its_share_of_the_time() -> None:
    assert speech(-17.24, 0.188, -3.0) == "speech -17.2 dBFS, 19 % of the time"
    assert speech(None, 0.0, -71.16) == "no speech, peak -71.2 dBFS"
    assert speech(None, 0.0, None) == "digital silence"


@pytest.mark.parametrize(
    ("name", "codec", "audio"),
    [
        ("AUDIO_TO_AGENT", None, "unknown: no party has this name"),
        (
            "AUDIO_FROM_CUSTOMER",
            TrackCodec("A_OPUS"),
            "unsupported: codec A_OPUS without a MimeType, neither 16-bit PCM nor G.711: the customer",
        ),
        (
            "AUDIO_FROM_CUSTOMER",
            TrackCodec("A_MULAW", rate=8000),
            "G.711 mu-law, 8000 Hz, mono: the customer",
        ),
    ],
)
def test_a_track_that_is_not_connect_s_pcm_is_told_by_what_it_is(
    name: str, codec: TrackCodec | None, audio: str
) -> None:
    contents = next(synthesize_call(CALL)).contents
    tracks = [Track(track.number, name, track.uid, codec) if track.number == 2 else track for track in contents.tracks]
    layout = FragmentLayout(mime_type=MimeType.CONNECT if codec is None else MimeType.MISSING)

    _, _, summary = look([write_fragment(replace(contents, tracks=tracks), layout)])

    track = next(track for track in summary.tracks.values() if track.number == 2)
    assert track.audio == audio
    assert (track.levels() is None) == (not audio.startswith("G.711"))


def test_errors_inside_the_stream_are_counted_by_their_meaning() -> None:
    contents = next(synthesize_call(CALL)).contents
    failing = write_fragment(replace(contents, error=InBandError(4500, "x")))
    _, _, summary = look([failing, failing])

    assert sum(summary.errors.values()) == 2


def test_garbage_and_a_cut_make_a_capture_broken() -> None:
    data = [fragment.data for fragment in synthesize_call(CALL)]

    assert look(data)[2].whole
    _, lost, summary = look([data[0], b"\xffgarbage", *data[1:]])
    assert not summary.whole
    assert [(run.offset, run.count) for run in lost] == [(len(data[0]), 8)]
    assert summary.size == sum(map(len, data)) + 8
    rows, _, summary = look([data[0], data[1][:20_000]])
    assert not summary.whole
    assert summary.truncations == [(2, rows[1].fragment.truncation)]


def test_json_holds_plain_values_and_the_same_counts() -> None:
    rows, summary = look_at(CALL)
    entry: dict[str, Any] = fragment_json(rows[0])

    assert entry["contactIds"] == [DEFAULT_CONTACT_ID]
    assert [(track["name"], track["blocks"]) for track in entry["tracks"]] == [
        ("AUDIO_TO_CUSTOMER", 16),
        ("AUDIO_FROM_CUSTOMER", 16),
    ]
    assert entry["completion"] == "TOKEN"
    assert summary_json(summary)["fragments"] == 4
    assert summary_json(summary)["whole"] is True


def test_durations_and_counts_are_words() -> None:
    assert duration(9.44) == "9.440 s"
    assert duration(61.44) == "1 min 01.440 s"
    assert duration(7203) == "2 h 00 min 03.000 s"
    assert duration(59.9996) == "1 min 00.000 s"
    assert (count(1, "gap"), count(0, "gap"), count(2, "gap")) == ("1 gap", "0 gaps", "2 gaps")
