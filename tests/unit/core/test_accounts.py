"""Audio out of its place: swapped, leaping, stepping back, drifting. Only what is sent twice is repeated."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.core.fragment import Block, Fragment
from core_support.fragments_by_hand import block, fragment
from core_support.reading import Recorded, events_in_file_mode, record

OURS: Final = "11111111-1111-4111-8111-111111111111"
CASES: Final = Path(__file__).parents[4] / "shared" / "cases"
BLOCK_MS: Final = 64
SECOND: Final = 8192
"""Frames of a fragment of 16 blocks."""


def noise(track: int, index: int) -> bytes:
    """64 ms of a track: other samples in every block."""
    return random.Random(f"{track} {index}").randbytes(1024)


def blocks(number: int, *, at_ms: float | None = None, step_ms: float = BLOCK_MS) -> list[Block]:
    """Sixteen blocks of both parties, the content of one fragment."""
    start = 1024 * number if at_ms is None else at_ms
    return [
        block(track, start + step_ms * index, noise(track, 16 * number + index))
        for index in range(16)
        for track in (1, 2)
    ]


def call(count: int) -> list[Fragment]:
    return [fragment(number, OURS, blocks=blocks(number)) for number in range(count)]


def sums(recorded: Recorded) -> dict[str, int]:
    """The accounts of both parties together that are not empty, samples."""
    tracks = recorded.manifest(OURS)["tracks"].values()
    names = ("audio", "silence", "repeated", "late", "outOfRange", "conflicting", "beyondLimit")
    found = {name: sum(track[f"{name}Samples"] for track in tracks) for name in names}
    return {name: count for name, count in found.items() if count}


def codes(recorded: Recorded) -> list[str]:
    return [reason["code"] for reason in recorded.manifest(OURS)["reasons"]]


def test_two_swapped_blocks_of_a_fragment_come_to_lie_in_their_places() -> None:
    log = call(3)
    swapped = list(log[1].blocks)
    swapped[8:10], swapped[10:12] = swapped[10:12], swapped[8:10]
    found = record([log[0], replace(log[1], blocks=tuple(swapped)), log[2]], OURS)

    assert found.stereo == record(log, OURS).stereo
    assert (sums(found), codes(found)) == ({"audio": 6 * SECOND}, [])


def test_two_swapped_fragments_come_to_lie_in_their_places() -> None:
    log = call(5)
    found = record([log[0], log[2], log[1], *log[3:]], OURS)

    assert found.stereo == record(log, OURS).stereo
    assert (sums(found), codes(found)) == ({"audio": 10 * SECOND}, [])


def test_a_block_that_comes_in_the_next_fragment_comes_to_lie_in_its_place() -> None:
    log = call(4)
    late, rest = log[1].blocks[-2], [each for each in log[1].blocks if each is not log[1].blocks[-2]]
    found = record([log[0], replace(log[1], blocks=rest), replace(log[2], blocks=[late, *log[2].blocks]), log[3]], OURS)

    assert found.stereo == record(log, OURS).stereo
    assert (sums(found), codes(found)) == ({"audio": 8 * SECOND}, [])


def test_a_fragment_that_comes_after_five_seconds_is_late() -> None:
    log = call(9)
    found = record([log[0], *log[2:], log[1]], OURS)

    assert sums(found) == {"audio": 16 * SECOND, "silence": 2 * SECOND, "late": 2 * SECOND}
    assert "LATE_AUDIO" in codes(found)


def test_a_fragment_that_is_sent_again_is_repeated() -> None:
    log = call(4)
    found = record([*log, log[1]], OURS)

    assert (sums(found), codes(found)) == ({"audio": 8 * SECOND, "repeated": 2 * SECOND}, [])


def test_a_producer_that_rewinds_sends_the_same_audio_under_new_numbers() -> None:
    log = call(5)
    rewound = [replace(each, number=fragment(5 + at, OURS).number) for at, each in enumerate(log[1:])]
    found = record([*log, *rewound], OURS)

    assert sums(found) == {"audio": 10 * SECOND, "repeated": 8 * SECOND}
    assert "CONFLICTING_AUDIO" not in codes(found)


def test_other_audio_for_the_same_time_conflicts() -> None:
    log = call(4)
    other = fragment(4, OURS, at_ms=1024, blocks=blocks(9, at_ms=1024))
    found = record([*log, other], OURS)

    assert sums(found) == {"audio": 8 * SECOND, "conflicting": 2 * SECOND}
    assert "CONFLICTING_AUDIO" in codes(found)


@pytest.mark.parametrize("back_ms", [20, 64, 500, 1500])
def test_a_clock_that_steps_back_gives_conflicts_and_no_repetitions(back_ms: int) -> None:
    log = call(3)
    behind = [fragment(number, OURS, blocks=blocks(number, at_ms=1024 * number - back_ms)) for number in range(3, 6)]
    found = record([*log, *behind], OURS)

    lost = 2 * 8 * back_ms
    assert sums(found) == {"audio": 12 * SECOND - lost, "conflicting": lost}
    assert "CONFLICTING_AUDIO" in codes(found)


def test_a_leap_of_one_fragment_costs_none_of_the_fragments_behind_it() -> None:
    log = call(12)
    leaped = replace(
        log[4],
        blocks=tuple(blocks(4, at_ms=1024 * 4 + 30_000)),
        producer_timestamp_ms=(log[4].producer_timestamp_ms or 0) + 30_000,
    )
    found = record([*log[:4], leaped, *log[5:]], OURS)

    assert "repeated" not in sums(found)
    assert sums(found)["audio"] >= 22 * SECOND
    assert codes(found)


@pytest.mark.parametrize("step_ms", [BLOCK_MS * 1.001, BLOCK_MS / 1.001])
def test_drift_is_never_repeated_audio(step_ms: float) -> None:
    log = [
        fragment(number, OURS, blocks=blocks(number, at_ms=16 * step_ms * number, step_ms=step_ms))
        for number in range(30)
    ]
    found = sums(record(log, OURS))

    assert "repeated" not in found
    assert found["audio"] + found.get("conflicting", 0) == 60 * SECOND


def test_drift_within_the_jitter_tolerance_is_seamless() -> None:
    log = [
        fragment(number, OURS, blocks=blocks(number, at_ms=16.001 * BLOCK_MS * number, step_ms=1.00006 * BLOCK_MS))
        for number in range(30)
    ]
    assert sums(record(log, OURS)) == {"audio": 60 * SECOND}


def test_times_in_ticks_of_a_tenth_of_a_second_lose_nothing() -> None:
    log = []
    for each in call(8):
        coarse = [part._replace(time_ns=part.time_ns // 100_000_000 * 100_000_000) for part in each.blocks]
        log.append(replace(each, blocks=tuple(coarse), timecode_scale_ns=100_000_000))

    assert sums(record(log, OURS)) == {"audio": 16 * SECOND}


def test_blocks_that_overlap_partly_are_divided_to_the_sample() -> None:
    log = call(2)
    # 64 ms from the last 40 ms of what is there: the same audio, and 24 ms of new.
    same = noise(1, 31)[2 * 192 :] + bytes(range(1, 193)) * 2
    found = record([*log, fragment(2, OURS, blocks=[block(1, 2048 - 40, same)])], OURS)

    customer = found.manifest(OURS)["tracks"]["customer"]
    assert (customer["repeatedSamples"], customer["audioSamples"], customer["conflictingSamples"]) == (
        320,
        2 * SECOND + 192,
        0,
    )


def test_holes_of_both_parties_inside_fragments_are_counted() -> None:
    log = [
        replace(each, blocks=tuple(part for at, part in enumerate(each.blocks) if at not in {8, 9})) for each in call(8)
    ]
    manifest = record(log, OURS).manifest(OURS)

    assert manifest["blockHoles"] == {"count": 8, "seconds": 8 * 0.064}
    assert [warning["code"] for warning in manifest["warnings"]] == ["CHOPPY_AUDIO"]
    assert {track["silence"]["blockHoleSamples"] for track in manifest["tracks"].values()} == {8 * 512}
    assert manifest["status"] == "complete"


def test_silence_is_accounted_for_by_cause() -> None:
    agent_quiet = fragment(1, OURS, blocks=[each for each in blocks(1) if each.track_number == 1])
    log = [
        call(1)[0],
        agent_quiet,
        # The producer pauses for two seconds.
        fragment(2, OURS, at_ms=4048, blocks=blocks(2, at_ms=4048)),
        # A fragment is missing.
        fragment(4, OURS, at_ms=6096, blocks=blocks(4, at_ms=6096)),
    ]
    tracks = record(log, OURS).manifest(OURS)["tracks"]

    assert tracks["customer"]["silence"] == {
        "streamHoleSamples": SECOND,
        "producerPauseSamples": 16_000,
        "blockHoleSamples": 0,
        "oneSidedSamples": 0,
    }
    assert tracks["agent"]["silence"] == {**tracks["customer"]["silence"], "oneSidedSamples": SECOND}


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize(
    ("name", "seconds", "holes"), [("reorder_both", 4.096, 0), ("swap_two", 10.0, 0), ("lost_blocks_both", 20.48, 57)]
)
def test_the_shared_cases_of_order_have_every_sample_in_its_place(name: str, seconds: float, holes: int) -> None:
    events, errors = events_in_file_mode([(CASES / f"{name}.mkv").read_bytes()])
    manifest: dict[str, Any] = record(events, OURS).manifest(OURS)

    assert (errors, manifest["status"]) == ([], "complete")
    assert manifest["recording"]["durationSeconds"] == seconds
    assert manifest["blockHoles"]["count"] == holes
    for track in manifest["tracks"].values():
        assert track["silenceSamples"] == track["silence"]["blockHoleSamples"]
        assert track["receivedBytes"] == track["writtenBytes"] == 2 * track["audioSamples"]
