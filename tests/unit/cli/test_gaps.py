"""The gaps of a manifest as people read them: shared silence once, each with its cause."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.pcm import Party
from connect_audio_cli.recordings.gaps import CallGap, GapCause, gaps_of

RATE = 8000


def listed(
    track: str,
    start: int,
    frames: int,
    missing: int | None = None,
    *,
    after: str | None = "1",
    before: str | None = "2",
) -> dict[str, Any]:
    return {
        "track": track,
        "startFrame": start,
        "startSeconds": start / RATE,
        "frames": frames,
        "afterFragment": after,
        "beforeFragment": before,
        "missingFragments": missing,
    }


def manifest(*gaps: dict[str, Any]) -> dict[str, Any]:
    return {"recording": {"sampleRate": RATE}, "gaps": {"count": len(gaps), "listed": list(gaps)}}


def shown(gaps: list[CallGap]) -> list[tuple[str, int, int, str]]:
    return [("+".join(gap.parties), gap.start_frame, gap.frames, gap.described) for gap in gaps]


def test_a_manifest_without_a_recording_has_no_gaps() -> None:
    assert gaps_of({"recording": None, "gaps": {"count": 0, "listed": []}}) == []


def test_silence_that_both_tracks_share_is_one_gap_and_the_rest_is_one_sided() -> None:
    found = gaps_of(manifest(listed("customer", 1000, 9000, 3), listed("agent", 4000, 16000, 3)))

    assert shown(found) == [
        ("customer", 1000, 3000, "only the customer is silent"),
        ("customer+agent", 4000, 6000, "3 fragments missing"),
        ("agent", 10000, 10000, "only the agent is silent"),
    ]
    assert (found[1].start_s, found[1].seconds) == (0.5, 0.75)


def test_a_party_that_is_silent_all_along_shares_each_gap_of_the_other() -> None:
    found = gaps_of(
        manifest(listed("agent", 0, 90000), listed("customer", 10000, 20000, 2), listed("customer", 50000, 10000, 1))
    )

    assert shown(found) == [
        ("agent", 0, 10000, "only the agent is silent"),
        ("customer+agent", 10000, 20000, "2 fragments missing"),
        ("agent", 30000, 20000, "only the agent is silent"),
        ("customer+agent", 50000, 10000, "1 fragment missing"),
        ("agent", 60000, 30000, "only the agent is silent"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "frames", "fragment_numbers", "cause", "missing"),
    [
        (2, 3, 16000, ("1", "4"), GapCause.MISSING, 2),
        (2, None, 16000, ("1", "4"), GapCause.MISSING, 2),
        (None, None, 16000, (None, "4"), GapCause.PERHAPS_MISSING, None),
        (0, 0, 16000, ("1", "2"), GapCause.PAUSE, 0),
        (0, 1, 8001, ("1", "2"), GapCause.PAUSE, 0),
        (0, 0, 8000, ("1", "2"), GapCause.BLOCK_HOLE, 0),
        (0, 0, 16000, ("1", "1"), GapCause.BLOCK_HOLE, 0),
        (None, None, 16000, (None, None), GapCause.PERHAPS_MISSING, None),
    ],
)
def test_the_numbers_on_either_side_give_the_cause(
    one: int | None,
    other: int | None,
    frames: int,
    fragment_numbers: tuple[str | None, str | None],
    cause: GapCause,
    missing: int | None,
) -> None:
    after, before = fragment_numbers
    (gap,) = gaps_of(
        manifest(
            listed("customer", 500, frames, one, after=after, before=before),
            listed("agent", 500, frames, other, after=after, before=before),
        )
    )
    assert (gap.parties, gap.cause, gap.missing_fragments) == ((Party.CUSTOMER, Party.AGENT), cause, missing)


stretches = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), max_size=8)


@given(stretches, stretches)
def test_each_silent_frame_of_each_track_is_in_exactly_one_gap(
    customer: list[tuple[int, int]], agent: list[tuple[int, int]]
) -> None:
    silent: dict[str, list[int]] = {}
    gaps = []
    for party, lengths in (("customer", customer), ("agent", agent)):
        at = 0
        silent[party] = []
        for audio, silence in lengths:
            at += audio
            gaps.append(listed(party, at, silence))
            silent[party] += range(at, at + silence)
            at += silence

    found = gaps_of(manifest(*gaps))

    for party in ("customer", "agent"):
        covered = [
            frame
            for gap in found
            if party in gap.parties
            for frame in range(gap.start_frame, gap.start_frame + gap.frames)
        ]
        assert covered == silent[party]
    for gap in found:
        frames = set(range(gap.start_frame, gap.start_frame + gap.frames))
        alone = {"customer": "agent", "agent": "customer"}
        if len(gap.parties) == 1:
            assert not frames & set(silent[alone[gap.parties[0]]])
