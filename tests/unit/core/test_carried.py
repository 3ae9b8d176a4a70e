"""Frames taken beyond the cursor's fragment, and a stream that has dropped what is behind it at the resumption."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import pytest

from connect_audio.core.carried import NOTHING_CARRIED, CarriedAudio, CarriedTrack, within, without
from connect_audio.core.cursor import Cursor, Note
from connect_audio.core.fragment import Fragment
from connect_audio.core.pcm import Party
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.core.recording import CallRecording
from connect_audio.core.timeline import Timeline, TimelineState
from connect_audio.core.written import Stretch
from core_support.fragments_by_hand import block, fragment
from core_support.reading import Recorded, record
from support.examples import few_of

OURS: Final = "11111111-1111-4111-8111-111111111111"
FRAGMENTS: Final = 10
ACCOUNTS: Final = (
    *("written", "repeated", "late", "outOfRange", "conflicting"),
    *("beyondLimit", "unsupported", "dangling"),
)


def audible(track: int, index: int) -> bytes:
    """64 ms of a track: other samples in every block, and no byte of 0."""
    return random.Random(f"{track} {index}").randbytes(1024).replace(b"\0", b"\1")


def call(*, tracks: Sequence[int] = (1, 2), lag_ms: int = 0, missing: Sequence[int] = ()) -> list[Fragment]:
    """Fragments of 16 blocks; the second track lags, and some blocks of each fragment are missing."""
    return [
        fragment(
            number,
            OURS,
            blocks=[
                block(track, 1024 * number + 64 * index - lag_ms * (track == 2), audible(track, 16 * number + index))
                for index in range(16)
                if index not in missing
                for track in tracks
                if track == 1 or number * 1024 + 64 * index >= lag_ms
            ],
        )
        for number in range(FRAGMENTS)
    ]


CALLS: Final = {
    "both parties": call(),
    "one party": call(tracks=(1,)),
    "one party with holes": call(tracks=(2,), missing=(3, 4, 9)),
    "a party that lags": call(lag_ms=2560),
    "both with holes": call(missing=(0, 7, 15)),
}


@dataclass
class Saved:
    """What outlives a process."""

    cursor: Cursor = field(default_factory=Cursor)
    stereo: bytes = b""
    notes: list[Note] = field(default_factory=list)
    read: int = 0


def read_on(saved: Saved, log: Sequence[Fragment], *, expired: int, stop: int, chunks: int | None) -> Saved:
    """Go on from a cursor with what is left of the log, up to a fragment; take frames, save, die."""
    recording = CallRecording(OURS, cursor=from_plain(Cursor, json.loads(json.dumps(to_plain(saved.cursor)))))
    stereo = saved.stereo
    for each in log[max(expired, behind(saved, log)) : stop]:
        recording.add(each)
        stereo += b"".join(islice(recording.take(), chunks))
    return Saved(recording.cursor(), stereo, saved.notes + recording.take_notes())


def behind(saved: Saved, log: Sequence[Fragment]) -> int:
    """Index of the fragment after the cursor's."""
    number = saved.cursor.fragment
    return 0 if number is None else [each.number for each in log].index(number) + 1


def finish(saved: Saved, log: Sequence[Fragment], *, expired: int) -> Recorded:
    cursor = from_plain(Cursor, json.loads(json.dumps(to_plain(saved.cursor))))
    rest = record(log[max(expired, behind(saved, log)) :], OURS, cursor=cursor)
    return Recorded(saved.stereo + rest.stereo, rest.cursor, saved.notes + rest.notes)


def assert_accounts_describe_the_frames(found: Recorded) -> dict[str, Any]:
    manifest = found.manifest(OURS)
    assert len(found.stereo) == 4 * found.cursor.frames
    channels = {"customer": found.stereo[0::4], "agent": found.stereo[2::4]}
    silent_in_both = len(found.stereo) // 4 - sum(map(any, zip(*channels.values(), strict=True)))
    for party, channel in channels.items():
        track = manifest["tracks"][party]
        silence = channel.count(0)
        assert track["audioSamples"] == len(channel) - silence
        assert track["silenceSamples"] == sum(track["silence"].values()) == silence
        assert track["silence"]["oneSidedSamples"] == silence - silent_in_both
        assert track["writtenBytes"] == 2 * track["audioSamples"]
        accounted = sum(track[f"{account}Bytes"] for account in ACCOUNTS)
        assert track["receivedBytes"] + track["carriedBytes"] == accounted
    assert "ACCOUNTS_DISAGREE" not in {reason["code"] for reason in manifest["reasons"]}
    return manifest


@pytest.mark.parametrize("chunks", few_of([None, 1]))
@pytest.mark.parametrize("log", CALLS.values(), ids=CALLS)
def test_what_a_process_took_is_in_the_accounts_though_the_stream_dropped_it(
    log: Sequence[Fragment], chunks: int | None
) -> None:
    carried = 0
    for killed_after in range(3, FRAGMENTS + 1):
        saved = read_on(Saved(), log, expired=0, stop=killed_after, chunks=chunks)
        for expired in range(killed_after, FRAGMENTS + 1, 2):
            manifest = assert_accounts_describe_the_frames(finish(saved, log, expired=expired))
            carried += sum(track["carriedBytes"] for track in manifest["tracks"].values())
    assert carried or log is CALLS["both parties"]


@pytest.mark.parametrize("log", CALLS.values(), ids=CALLS)
def test_what_is_read_again_is_counted_once(log: Sequence[Fragment]) -> None:
    uninterrupted = record(log, OURS)

    for killed_after in range(1, FRAGMENTS + 1):
        saved = read_on(Saved(), log, expired=0, stop=killed_after, chunks=None)
        again = finish(saved, log, expired=0)
        assert (again.cursor, again.stereo) == (uninterrupted.cursor, uninterrupted.stereo)
        assert again.cursor.carried == NOTHING_CARRIED
        tracks = assert_accounts_describe_the_frames(again)["tracks"]
        assert [track["carriedBytes"] for track in tracks.values()] == [0, 0]


def test_a_long_fragment_with_many_holes_is_read_again_to_the_same_counts() -> None:
    # More stretches in its older half than a track keeps: their audio is not known any more when frames are taken.
    log = [
        fragment(
            number,
            OURS,
            at_ms=10_000 * number,
            blocks=[block(1, 10_000 * number + 40 * index, audible(1, index)[:320]) for index in range(250)],
        )
        for number in range(2)
    ]
    uninterrupted = record(log, OURS)

    for killed_after in (1, 2):
        saved = read_on(Saved(), log, expired=0, stop=killed_after, chunks=None)
        assert saved.stereo
        again = finish(saved, log, expired=0)
        assert (again.cursor, again.stereo) == (uninterrupted.cursor, uninterrupted.stereo)


@pytest.mark.parametrize("log", CALLS.values(), ids=CALLS)
@pytest.mark.slow
def test_a_second_kill_passes_on_what_the_first_process_took(log: Sequence[Fragment]) -> None:
    for first in range(5, FRAGMENTS, 2):
        once = read_on(Saved(), log, expired=0, stop=first, chunks=None)
        for expired in range(first, FRAGMENTS):
            twice = read_on(once, log, expired=expired, stop=expired + 1, chunks=None)
            for last in {expired, min(expired + 2, FRAGMENTS)}:
                assert_accounts_describe_the_frames(finish(twice, log, expired=last))


def test_frames_of_a_first_fragment_that_is_gone_keep_their_origin() -> None:
    log = CALLS["one party"]
    whole = record(log, OURS)
    recording = CallRecording(OURS)
    stereo = b""
    for each in log[:5]:
        recording.add(each)
        stereo += b"".join(recording.take())
    taken = Saved(recording.cursor(), stereo)
    assert taken.cursor.timeline is None
    assert 0 < len(stereo) < 4 * 8192

    found = finish(taken, log, expired=3)

    assert_accounts_describe_the_frames(found)
    assert found.stereo[4 * 3 * 8192 :] == whole.stereo[4 * 3 * 8192 :]
    assert found.stereo[: len(stereo)] == whole.stereo[: len(stereo)]


def test_audio_for_silence_that_a_process_gave_out_is_late() -> None:
    carried = CarriedAudio(customer=CarriedTrack(stretches=(Stretch(800, 1600, "1", "1"),)))
    line = Timeline(TimelineState(rate=8000, origin=0), taken=2400, carried=carried)
    line.begin("3", is_repeated=False)

    placed = line.place_run(Party.CUSTOMER, 0, b"\1" * 8000, block_length=400, tick_ns=1)

    assert sum(len(each.samples) // 2 for each in placed) == 800 + 1600
    assert {each.start for each in placed} == {800, 1200, 2400, 2800, 3200, 3600}
    customer = line.counts().customer
    assert (customer.audio, customer.dropped.late.samples) == (2400, 800 + 800)


def test_parts_within_and_without_keep_their_fragments() -> None:
    whole = Stretch(10, 50, "a", "c")
    assert list(within([whole], 0, 100)) == [whole]
    assert list(within([whole], 20, 30)) == [Stretch(20, 30, "c", "c")]
    assert list(within([whole], 50, 60)) == []
    assert list(without([whole], [Stretch(0, 20, "", ""), Stretch(30, 40, "", "")])) == [
        Stretch(20, 30, "c", "c"),
        Stretch(40, 50, "c", "c"),
    ]
    assert list(without([whole], [Stretch(0, 60, "", "")])) == []
