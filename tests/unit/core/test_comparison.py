"""Which of two recordings of one call is better: no loss, no more missing, and a gain."""

from __future__ import annotations

import random
from typing import Any, Final

import pytest

from connect_audio.core.comparison import is_better, missing

RATE: Final = 8000
START: Final = "2026-07-01T13:30:54.536Z"


def gap(track: str, start_s: float, length_s: float) -> dict[str, Any]:
    return {"track": track, "startFrame": round(start_s * RATE), "frames": round(length_s * RATE)}


def manifest(
    status: str = "partial",
    *,
    start: str = START,
    seconds: float = 60,
    gaps: tuple[tuple[float, float], ...] = (),
    missing_fragments: int = 0,
    one_sided: tuple[dict[str, Any], ...] = (),
    unlisted_gaps: int = 0,
    **fragments: int,
) -> dict[str, Any]:
    """A manifest with gaps of both parties, each of a start and a length in seconds."""
    frames = round(seconds * RATE)
    listed = [gap(track, *each) for each in gaps for track in ("customer", "agent")] + list(one_sided)

    def audio(track: str) -> int:
        return frames - sum(int(each["frames"]) for each in listed if each["track"] == track)

    return {
        "status": status,
        "recording": {"startTime": start, "frames": frames, "sampleRate": RATE} if frames else None,
        "tracks": {track: {"audioSamples": audio(track)} for track in ("customer", "agent")},
        "gaps": {
            "count": len(listed) + unlisted_gaps,
            "listed": listed,
            "missingFragments": missing_fragments,
        },
        "fragments": {"truncated": 0, "undecidable": 0, "contradictory": 0, "unsupportedAudio": 0, **fragments},
    }


HOLE: Final = manifest(gaps=((10, 2),), missing_fragments=2)
WHOLE: Final = manifest("complete")
EMPTY: Final = manifest("empty", seconds=0)


@pytest.mark.parametrize("each", [HOLE, WHOLE, EMPTY], ids=["partial", "complete", "empty"])
def test_an_equal_recording_is_not_better(each: dict[str, Any]) -> None:
    assert not is_better(each, each)


def test_the_whole_one_is_better_than_one_with_a_hole_and_not_the_other_way_round() -> None:
    assert is_better(HOLE, WHOLE)
    assert not is_better(WHOLE, HOLE)


def test_any_audio_is_better_than_none() -> None:
    assert is_better(EMPTY, HOLE)
    assert not is_better(HOLE, EMPTY)


def test_a_part_of_a_hole_is_a_gain() -> None:
    smaller = manifest(gaps=((10, 1),), missing_fragments=1)
    assert is_better(HOLE, smaller)
    assert not is_better(smaller, HOLE)


def test_more_audio_at_another_place_does_not_replace_audio_that_is_lost() -> None:
    elsewhere = manifest(gaps=((30, 1),), missing_fragments=1)
    assert not is_better(HOLE, elsewhere)


def test_a_longer_tail_does_not_replace_an_opening_that_is_lost() -> None:
    cut_short = manifest(seconds=60)
    without_opening = manifest(seconds=600, start="2026-07-01T13:30:59.536Z")
    assert not is_better(cut_short, without_opening)


@pytest.mark.parametrize(
    ("start", "seconds"), [("2026-07-01T13:30:49.536Z", 65), (START, 70)], ids=["an opening", "an end"]
)
def test_more_of_the_call_is_better_even_with_a_hole_in_what_is_new(start: str, seconds: float) -> None:
    at_s = 2 if start != START else 62
    old, new = manifest(), manifest(start=start, seconds=seconds, gaps=((at_s, 1),), missing_fragments=1)
    assert is_better(old, new)
    assert not is_better(new, old)


def test_a_worse_status_is_never_better_whatever_audio_it_has() -> None:
    assert not is_better(WHOLE, manifest(seconds=90))


def test_less_audio_of_one_party_is_a_loss() -> None:
    silent = manifest(one_sided=(gap("agent", 5, 1),))
    assert not is_better(HOLE, silent)
    assert is_better(silent, manifest())


def test_the_same_audio_with_fewer_unusable_fragments_is_better() -> None:
    cut = manifest(truncated=1, undecidable=1)
    assert missing(cut) == 2
    assert is_better(cut, manifest(truncated=1))
    assert not is_better(manifest(truncated=1), cut)


def test_the_same_audio_with_more_missing_fragments_is_not_better_even_by_its_status() -> None:
    assert not is_better(manifest(), manifest("complete", missing_fragments=1))


def test_gaps_that_are_not_listed_leave_the_sums_to_decide() -> None:
    old = manifest(gaps=((10, 2),), missing_fragments=2, unlisted_gaps=1)
    assert is_better(old, manifest(gaps=((30, 1),), missing_fragments=1))
    assert not is_better(old, manifest(gaps=((30, 3),), missing_fragments=3))


def test_another_rate_of_the_same_seconds_is_the_same_audio() -> None:
    double = {**WHOLE, "recording": {**WHOLE["recording"], "frames": 120 * RATE, "sampleRate": 2 * RATE}}
    double["tracks"] = {track: {"audioSamples": 120 * RATE} for track in ("customer", "agent")}
    assert not is_better(WHOLE, double)
    assert not is_better(double, WHOLE)


def test_two_gaps_that_touch_cover_one_that_spans_both() -> None:
    old = manifest(gaps=((10, 2), (12, 2)), missing_fragments=4)
    assert is_better(old, manifest(gaps=((11, 2),), missing_fragments=2))


def random_manifest(dice: random.Random) -> dict[str, Any]:
    """A manifest of a call of up to 20 s, as any mixture of losses may leave it."""
    status = dice.choice(("partial", "partial", "complete", "empty"))
    if status == "empty":
        return EMPTY
    seconds = dice.randint(8, 12)
    gaps = tuple((at, 1) for at in sorted(dice.sample(range(1, 7), dice.randint(0, 2))))
    one_sided = (gap("agent", 7, 0.5),) if dice.random() < 0.3 else ()
    start = f"2026-07-01T13:30:{54 + dice.randint(0, 2)}.536Z"
    lacking = dice.randint(0, 2)
    return manifest(
        status, start=start, seconds=seconds, gaps=gaps, one_sided=one_sided, missing_fragments=lacking, truncated=0
    )


def test_no_two_recordings_are_each_better_than_the_other_and_no_circle_exists() -> None:
    dice = random.Random(7)
    found = [random_manifest(dice) for _ in range(40)]
    better = {(at, than) for at, new in enumerate(found) for than, old in enumerate(found) if is_better(old, new)}
    assert len(better) > 100
    assert not {(than, at) for at, than in better} & better
    # Repairs go on and on only along a circle.
    height = dict.fromkeys(range(len(found)), 0)
    for _ in found:
        height = {at: 1 + max((height[than] for each, than in better if each == at), default=-1) for at in height}
    assert max(height.values()) < len(found)
