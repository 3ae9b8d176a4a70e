"""One table of rules decides the status; each part of the call is proven, refuted or not in question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

import pytest

from connect_audio.core.accounts import Silence
from connect_audio.core.cursor import Cursor
from connect_audio.core.evidence import CallPart, Proof, ProofState, behind_fragment
from connect_audio.core.recording_facts import EndReason, Reason, RecordingFacts, Status
from connect_audio.core.silence import HoleCounts
from connect_audio.core.status import RULES, WARNINGS, judge, one_line
from core_support.fragments_by_hand import START_MS, fragment
from core_support.reading import record

OURS: Final = "ours"
EVENT: Final = RecordingFacts(
    contact_id=OURS,
    recording="s3://bucket/key.wav",
    end_reason=EndReason.DISCONNECTED,
    retention_hours=24,
    start_timestamp_ms=START_MS,
)
CAPTURE: Final = RecordingFacts(contact_id=OURS, recording="call.wav", end_reason=EndReason.END_OF_INPUT)
FRAGMENTS: Final = [fragment(index, OURS) for index in range(6)]
NUMBERS: Final = [each.number for each in FRAGMENTS]
WHOLE: Final = record(FRAGMENTS[1:4], OURS).cursor


def evidence(facts: RecordingFacts, cursor: Cursor = WHOLE) -> Mapping[CallPart, Proof]:
    return judge(cursor, facts).evidence


def test_each_code_has_one_rule() -> None:
    codes = [rule.code for rule in (*RULES, *WARNINGS)]
    assert len(codes) == len(set(codes))


def test_a_reason_refutes_a_part_of_the_call_and_a_warning_none() -> None:
    assert all(rule.refutes for rule in RULES)
    assert not any(rule.refutes for rule in WARNINGS)


# --- the opening -----------------------------------------------------------------------------------------------------


def test_the_start_fragment_in_the_recording_proves_the_opening() -> None:
    found = judge(WHOLE, replace(EVENT, start_fragment=NUMBERS[1]))

    assert found.status is Status.COMPLETE
    assert found.evidence[CallPart.OPENING].code == "START_FRAGMENT"


def test_one_lost_fragment_before_the_first_is_a_missing_opening_though_the_time_would_pass() -> None:
    found = judge(WHOLE, replace(EVENT, start_fragment=NUMBERS[0]))

    detail = "the recording begins 1 fragment behind the event's StartFragmentNumber"
    assert (found.status, found.reasons) == (Status.PARTIAL, [Reason("OPENING_MISSING", detail)])
    assert found.evidence[CallPart.OPENING] == Proof(ProofState.NOT_PROVEN, "OPENING_MISSING", detail)


def test_a_start_fragment_without_audio_is_in_the_recording_too() -> None:
    cursor = record([replace(FRAGMENTS[0], blocks=()), *FRAGMENTS[1:4]], OURS).cursor

    assert evidence(replace(EVENT, start_fragment=NUMBERS[0]), cursor)[CallPart.OPENING].code == "START_FRAGMENT"


def test_a_start_fragment_that_is_no_decimal_number_leaves_the_proof_to_the_time() -> None:
    proof = evidence(replace(EVENT, start_fragment="first"))[CallPart.OPENING]

    assert (proof.state, proof.code) == (ProofState.PROVEN, "START_TIMESTAMP")


@pytest.mark.parametrize(
    ("late_ms", "state", "code", "detail"),
    [
        (-1, ProofState.PROVEN, "START_TIMESTAMP", "the first audio begins at or before StartTimestamp"),
        (5000, ProofState.PROVEN, "START_TIMESTAMP", "the first audio begins 5.000 s after StartTimestamp"),
        (5001, ProofState.NOT_PROVEN, "OPENING_MISSING", "the first audio begins 5.001 s after the start"),
    ],
)
def test_without_a_start_fragment_the_start_timestamp_proves_the_opening(
    late_ms: int, state: ProofState, code: str, detail: str
) -> None:
    first_ms = START_MS + 1024

    proof = evidence(replace(EVENT, start_timestamp_ms=first_ms - late_ms))[CallPart.OPENING]

    assert proof == Proof(state, code, detail)


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [3, 2])
def test_the_stop_fragment_in_the_recording_proves_the_end(stop: int) -> None:
    proof = evidence(replace(EVENT, end_reason=EndReason.IDLE, stop_fragment=NUMBERS[stop]))[CallPart.END]

    assert (proof.state, proof.code) == (ProofState.PROVEN, "STOP_FRAGMENT")


def test_a_recording_that_ends_before_the_stop_fragment_lacks_its_end() -> None:
    found = judge(WHOLE, replace(EVENT, stop_fragment=NUMBERS[5]))

    detail = "the recording ends 2 fragments before the one that Connect names as the last"
    assert (found.status, found.reasons) == (Status.PARTIAL, [Reason("ENDING_MISSING", detail)])
    assert found.evidence[CallPart.END] == Proof(ProofState.NOT_PROVEN, "ENDING_MISSING", detail)


def test_another_contact_s_fragment_behind_a_hole_does_not_stand_for_the_stop_fragment() -> None:
    cursor = record([*FRAGMENTS[1:4], fragment(5, "other")], OURS).cursor

    assert evidence(replace(EVENT, stop_fragment=NUMBERS[4]), cursor)[CallPart.END].code == "ENDING_MISSING"


def test_a_stop_fragment_without_audio_or_label_is_the_end_too() -> None:
    cursor = record([*FRAGMENTS[1:4], replace(FRAGMENTS[4], blocks=(), contact_ids=())], OURS).cursor

    assert evidence(replace(EVENT, stop_fragment=NUMBERS[4]), cursor)[CallPart.END].code == "STOP_FRAGMENT"


@pytest.mark.parametrize(
    ("end_reason", "state", "status"),
    [
        (EndReason.DISCONNECTED, ProofState.PROVEN, Status.COMPLETE),
        (EndReason.OTHER_CONTACT, ProofState.PROVEN, Status.COMPLETE),
        (EndReason.OTHER_STREAMING, ProofState.PROVEN, Status.COMPLETE),
        (EndReason.IDLE, ProofState.PROVEN, Status.COMPLETE),
        (EndReason.END_OF_INPUT, ProofState.NOT_ASKED, Status.COMPLETE),
        (EndReason.RECORDING_LIMIT, ProofState.NOT_PROVEN, Status.PARTIAL),
        (EndReason.SOURCE_FAILED, ProofState.NOT_PROVEN, Status.PARTIAL),
        (EndReason.RECORDER_FAILED, ProofState.NOT_PROVEN, Status.PARTIAL),
    ],
)
def test_an_end_that_is_not_proven_makes_a_recording_partial_even_without_a_reason_of_the_recorder(
    end_reason: EndReason, state: ProofState, status: Status
) -> None:
    found = judge(WHOLE, replace(EVENT, end_reason=end_reason))

    assert (found.evidence[CallPart.END].state, found.status) == (state, status)


def test_the_recorder_s_reason_for_an_open_end_stands_alone() -> None:
    reason = Reason("SOURCE_FAILED", "the stream could not be read: ResourceNotFoundException")

    assert judge(WHOLE, replace(EVENT, end_reason=EndReason.SOURCE_FAILED, reasons=(reason,))).reasons == [reason]


# --- a capture, and nothing at all -----------------------------------------------------------------------------------


def test_a_capture_without_an_event_is_complete_in_what_it_holds() -> None:
    found = judge(WHOLE, CAPTURE)

    assert found.status is Status.COMPLETE
    assert [(proof.state, proof.code) for proof in found.evidence.values()] == [
        (ProofState.NOT_ASKED, "NO_EVENT"),
        (ProofState.PROVEN, "NO_HOLE"),
        (ProofState.NOT_ASKED, "END_OF_INPUT"),
    ]


def test_an_empty_recording_proves_neither_opening_nor_middle() -> None:
    found = judge(Cursor(), replace(EVENT, start_fragment=NUMBERS[0]))

    assert (found.status, [reason.code for reason in found.reasons]) == (Status.EMPTY, ["NO_AUDIO"])
    assert [proof.code for proof in found.evidence.values()] == ["NO_AUDIO", "NO_AUDIO", "DISCONNECTED"]


# --- the middle, and the rank ----------------------------------------------------------------------------------------


def test_more_audio_than_frames_is_a_fault_of_the_accounts() -> None:
    timeline = WHOLE.timeline
    assert timeline is not None
    broken = replace(WHOLE, timeline=replace(timeline, agent=replace(timeline.agent, audio=WHOLE.frames + 1)))

    found = judge(broken, CAPTURE)

    assert (found.status, found.reasons[0].code) == (Status.PARTIAL, "ACCOUNTS_DISAGREE")
    assert found.evidence[CallPart.MIDDLE].code == "ACCOUNTS_DISAGREE"


def test_numbers_without_a_counter_leave_the_proof_to_the_times() -> None:
    cursor = record([replace(each, number=str(index)) for index, each in enumerate(FRAGMENTS)], OURS).cursor

    proof = evidence(CAPTURE, cursor)[CallPart.MIDDLE]

    detail = "the times of 6 fragments show no hole; their numbers cannot be compared"
    assert proof == Proof(ProofState.PROVEN, "NO_HOLE_BY_TIME", detail)


@pytest.mark.parametrize(
    ("cause", "symptom"),
    list(pairwise(["STEP_FAILED", "IN_BAND_ERROR", "MEDIA_EXPIRED", "OPENING_MISSING", "LOST_BYTES", "STREAM_HOLES"])),
)
def test_a_cause_stands_before_its_symptom_in_any_order_of_reporting(cause: str, symptom: str) -> None:
    reasons = (Reason(symptom, "b"), Reason(cause, "a"))

    assert [each.code for each in judge(WHOLE, replace(CAPTURE, reasons=reasons)).reasons] == [cause, symptom]


def test_the_likeliest_cause_refutes_the_proof_of_its_part() -> None:
    cursor = replace(WHOLE, stream=replace(WHOLE.stream, holes=HoleCounts(stream_holes=1), lost_bytes=9))

    proof = evidence(CAPTURE, cursor)[CallPart.MIDDLE]

    assert proof == Proof(ProofState.NOT_PROVEN, "LOST_BYTES", "9 bytes of the stream belong to no readable fragment")


@pytest.mark.parametrize(
    ("end_reason", "middle", "end"),
    [
        (EndReason.DISCONNECTED, "IN_BAND_ERROR", "DISCONNECTED"),
        (EndReason.SOURCE_FAILED, "NO_HOLE", "IN_BAND_ERROR"),
        (EndReason.END_OF_INPUT, "NO_HOLE", "IN_BAND_ERROR"),
    ],
)
def test_an_error_at_one_place_refutes_the_end_only_if_the_recording_ends_with_it(
    end_reason: EndReason, middle: str, end: str
) -> None:
    facts = replace(EVENT, end_reason=end_reason, reasons=(Reason("IN_BAND_ERROR", "KVS reports 5000"),))

    found = judge(WHOLE, facts)

    assert found.status is Status.PARTIAL
    assert [found.evidence[part].code for part in (CallPart.MIDDLE, CallPart.END)] == [middle, end]


@pytest.mark.parametrize("code", ["NO_PROGRESS", "UPLOAD_LOST", "STILL_CONNECTED"])
def test_a_reason_of_the_recorder_about_the_end_refutes_an_end_that_the_facts_would_prove(code: str) -> None:
    assert evidence(EVENT)[CallPart.END].state is ProofState.PROVEN

    found = judge(WHOLE, replace(EVENT, reasons=(Reason(code, "so it is"),)))

    assert (found.status, found.reasons) == (Status.PARTIAL, [Reason(code, "so it is")])
    assert found.evidence[CallPart.END] == Proof(ProofState.NOT_PROVEN, code, "so it is")


def test_a_code_without_a_rule_still_makes_a_recording_partial() -> None:
    found = judge(WHOLE, replace(CAPTURE, reasons=(Reason("NEW_CODE", "x"),)))

    assert (found.status, found.reasons) == (Status.PARTIAL, [Reason("NEW_CODE", "x")])


def test_the_one_line_names_the_likeliest_cause_with_its_detail_and_the_other_codes_once() -> None:
    reasons = [Reason("LOST_BYTES", "9 bytes"), Reason("LATE_AUDIO", "a"), Reason("LATE_AUDIO", "b")]

    assert one_line(reasons) == "LOST_BYTES: 9 bytes (also LATE_AUDIO)"
    assert one_line(reasons[:1]) == "LOST_BYTES: 9 bytes"
    assert one_line([]) == "nothing is missing"


@pytest.mark.parametrize(
    ("number", "later", "behind"),
    [
        (NUMBERS[1], NUMBERS[4], 3),
        (NUMBERS[4], NUMBERS[1], -3),
        ("7", "9", 1),
        ("9", "7", -1),
        ("7", "7", 0),
        (None, "7", None),
        ("seven", "7", None),
        ("7", NUMBERS[1], None),
        (NUMBERS[1], "7", None),
        ("7", "\N{SUPERSCRIPT TWO}", None),
    ],
)
def test_fragments_are_counted_by_their_counters_or_else_by_their_order(
    number: str | None, later: str | None, behind: int | None
) -> None:
    assert behind_fragment(number, later) == behind


def test_choppy_audio_is_told_with_its_number_length_and_share() -> None:
    assert WHOLE.timeline is not None
    customer = replace(WHOLE.timeline.customer, silence=Silence(block_hole=2000))
    cursor = replace(
        WHOLE,
        frames=8_000,
        timeline=replace(WHOLE.timeline, customer=customer),
        stream=replace(WHOLE.stream, holes=HoleCounts(block_holes=3)),
    )
    assert [warning for warning in judge(cursor, EVENT).warnings if warning.code == "CHOPPY_AUDIO"] == [
        Reason(
            "CHOPPY_AUDIO",
            "neither party has audio 3 times inside fragments that lack nothing: 0.250 s, 25.0 % of the call",
        )
    ]
