"""What proves the opening, the middle and the end, to the fragment and to the millisecond."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from connect_audio.core.cursor import Cursor, FragmentCounts, NeighbourState
from connect_audio.core.evidence import (
    Proof,
    ProofState,
    behind_fragment,
    end_proof,
    middle_proof,
    opening_proof,
)
from connect_audio.core.order import OrderState
from connect_audio.core.recording_facts import EndReason, RecordingFacts
from connect_audio.core.timeline import TimelineState
from connect_audio_local.synthesis.calls import fragment_number

START_MS: Final = 1_782_912_654_536


def number(counter: int, *, server_ms: int = START_MS) -> str:
    return fragment_number(counter, server_ms)


def facts(**known: object) -> RecordingFacts:
    return replace(RecordingFacts(contact_id="c", recording=None, end_reason=EndReason.DISCONNECTED), **known)  # type: ignore[arg-type]


def cursor(*, late_ms: int = 0, first: str | None = None, last: str | None = None) -> Cursor:
    return Cursor(
        timeline=TimelineState(rate=8000, origin=8 * (START_MS + late_ms)),
        neighbours=NeighbourState(first_admitted=first, last_admitted=last),
    )


@pytest.mark.parametrize(
    ("number", "later", "behind"),
    [
        (number(5), number(9), 4),
        (number(9), number(5), -4),
        (number(5), number(5), 0),
        (number(5), number(5, server_ms=START_MS + 1), 1),
        (number(5, server_ms=START_MS + 1), number(5), -1),
        ("17", "21", 1),
        ("21", "17", -1),
        ("9", "10", 1),
        ("17", "17", 0),
        ("017", "17", 0),
        (None, "17", None),
        ("17", None, None),
        (None, None, None),
        ("x", "17", None),
        ("17", "x", None),
        ("17", "\u0661\u0667", None),
        ("17", number(5), None),
        (number(5), "17", None),
    ],
)
def test_numbers_are_compared_by_their_counters_or_else_by_their_order(
    number: str | None, later: str | None, behind: int | None
) -> None:
    assert behind_fragment(number, later) == behind


@pytest.mark.parametrize(
    ("late_ms", "state", "detail"),
    [
        (-1, ProofState.PROVEN, "the first audio begins at or before StartTimestamp"),
        (0, ProofState.PROVEN, "the first audio begins at or before StartTimestamp"),
        (1, ProofState.PROVEN, "the first audio begins 0.001 s after StartTimestamp"),
        (5_000, ProofState.PROVEN, "the first audio begins 5.000 s after StartTimestamp"),
        (5_001, ProofState.NOT_PROVEN, "the first audio begins 5.001 s after the start"),
    ],
)
def test_audio_within_five_seconds_of_the_start_proves_the_opening(
    late_ms: int, state: ProofState, detail: str
) -> None:
    code = "START_TIMESTAMP" if state is ProofState.PROVEN else "OPENING_MISSING"

    assert opening_proof(cursor(late_ms=late_ms), facts(start_timestamp_ms=START_MS)) == Proof(state, code, detail)


@pytest.mark.parametrize(("late_ms", "state"), [(0, ProofState.PROVEN), (1, ProofState.NOT_PROVEN)])
def test_a_late_reading_of_a_stream_that_may_keep_nothing_proves_no_opening(late_ms: int, state: ProofState) -> None:
    proof = opening_proof(cursor(late_ms=late_ms), facts(start_timestamp_ms=START_MS, late_s=302))
    assert proof.state is state
    assert ("first read 302 s after it" in proof.detail) is (state is ProofState.NOT_PROVEN)


def test_without_an_event_or_without_audio_the_opening_is_not_asked_for() -> None:
    for known, given in ((cursor(), facts()), (Cursor(), facts(start_timestamp_ms=START_MS))):
        assert opening_proof(known, given) == Proof(
            ProofState.NOT_ASKED, "NO_EVENT", "no event names the start; the recording begins with its source"
        )


@pytest.mark.parametrize(
    ("first", "code", "detail"),
    [
        (number(7), "START_FRAGMENT", "the event's StartFragmentNumber is in the recording"),
        (number(6), "START_FRAGMENT", "the event's StartFragmentNumber is in the recording"),
        (
            number(8),
            "OPENING_MISSING",
            "the recording begins 1 fragment behind the event's StartFragmentNumber",
        ),
        ("17", "START_TIMESTAMP", "the first audio begins at or before StartTimestamp"),
        (None, "START_TIMESTAMP", "the first audio begins at or before StartTimestamp"),
    ],
)
def test_the_first_fragment_proves_the_opening_before_any_time_does(first: str | None, code: str, detail: str) -> None:
    proof = opening_proof(cursor(first=first), facts(start_fragment=number(7), start_timestamp_ms=START_MS))

    assert (proof.code, proof.detail) == (code, detail)
    assert proof.state is (ProofState.NOT_PROVEN if code == "OPENING_MISSING" else ProofState.PROVEN)


@pytest.mark.parametrize(
    ("last", "state", "code", "detail"),
    [
        (
            number(7),
            ProofState.PROVEN,
            "STOP_FRAGMENT",
            "the fragment that Connect names as the last one is in the recording",
        ),
        (
            number(8),
            ProofState.PROVEN,
            "STOP_FRAGMENT",
            "the fragment that Connect names as the last one is in the recording",
        ),
        (
            number(5),
            ProofState.NOT_PROVEN,
            "ENDING_MISSING",
            "the recording ends 2 fragments before the one that Connect names as the last",
        ),
        (
            "17",
            ProofState.PROVEN,
            "DISCONNECTED",
            "Connect says DISCONNECTED, and for the drain time the stream was read and had nothing more of the contact",
        ),
    ],
)
def test_the_fragment_that_connect_names_as_the_last_proves_the_end(
    last: str, state: ProofState, code: str, detail: str
) -> None:
    assert end_proof(cursor(last=last), facts(stop_fragment=number(7))) == Proof(state, code, detail)


@pytest.mark.parametrize(
    ("reason", "state", "code"),
    [
        (EndReason.DISCONNECTED, "proven", "DISCONNECTED"),
        (EndReason.OTHER_CONTACT, "proven", "OTHER_CONTACT"),
        (EndReason.OTHER_STREAMING, "proven", "OTHER_STREAMING"),
        (EndReason.STREAMING_STOPPED, "proven", "STREAMING_STOPPED"),
        (EndReason.ARCHIVE_END, "proven", "ARCHIVE_END"),
        (EndReason.IDLE, "proven", "IDLE"),
        (EndReason.RECORDING_LIMIT, "not_proven", "RECORDING_LIMIT"),
        (EndReason.SOURCE_FAILED, "not_proven", "SOURCE_FAILED"),
        (EndReason.RECORDER_FAILED, "not_proven", "STEP_FAILED"),
        (EndReason.INTERRUPTED, "not_proven", "INTERRUPTED"),
        (EndReason.END_OF_INPUT, "not_asked", "END_OF_INPUT"),
    ],
)
def test_each_end_reason_proves_the_end_or_leaves_it_open(reason: EndReason, state: str, code: str) -> None:
    proof = end_proof(cursor(), facts(end_reason=reason))

    assert (str(proof.state), proof.code) == (state, code)
    assert proof.detail


def test_the_middle_is_proven_by_numbers_where_they_count() -> None:
    counted = replace(cursor(), fragments=FragmentCounts(admitted=9))

    assert middle_proof(counted) == Proof(
        ProofState.PROVEN, "NO_HOLE_BY_TIME", "the times of 9 fragments show no hole; their numbers cannot be compared"
    )
    assert middle_proof(replace(counted, order=OrderState(counter=0))) == Proof(
        ProofState.PROVEN,
        "NO_HOLE",
        "neither the numbers nor the times of 9 fragments show a hole, and the tracks' sums add up",
    )
