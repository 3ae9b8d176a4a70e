from __future__ import annotations

from collections.abc import Callable

import pytest

from connect_audio_local.kvs import NO_FAULTS, FaultPlan, FaultRun, random_faults, stored
from connect_audio_local.kvs.faults import (
    IN_BAND_CODES,
    LAST,
    STATUS_OF,
    AtFragment,
    Cut,
    Drop,
    End,
    EndAfter,
    Fault,
    Garbage,
    InBand,
    InLog,
    Missing,
    MoveEndpoint,
    OnCall,
    OtherContacts,
    Refuse,
    Reset,
    Rewind,
    Stall,
    Trickle,
    Twice,
)
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation

EVERY_ACTION = {
    Refuse, Drop, MoveEndpoint, End, EndAfter, Cut, Reset, Stall, Trickle, Garbage, InBand, Twice,
    Rewind, OtherContacts, Missing,
}  # fmt: skip
SEEDS = range(300)


def test_the_same_seed_makes_the_same_schedule_and_another_seed_another() -> None:
    plans = [random_faults(seed, fragments=60) for seed in SEEDS]
    assert plans == [random_faults(seed, fragments=60) for seed in SEEDS]
    assert len(set(plans)) == len(SEEDS)


def test_schedules_hold_every_kind_of_fault() -> None:
    plans = [random_faults(seed, fragments=60, recoverable=False) for seed in SEEDS]
    assert {type(fault.action) for plan in plans for fault in plan.faults} == EVERY_ACTION
    codes = {fault.action.code for plan in plans for fault in plan.faults if isinstance(fault.action, InBand)}
    assert codes == set(IN_BAND_CODES)


def test_schedules_owe_a_whole_recording_unless_told_otherwise() -> None:
    assert all(random_faults(seed, fragments=60).recoverable for seed in SEEDS)
    assert not all(random_faults(seed, fragments=60, recoverable=False).recoverable for seed in SEEDS)


@pytest.mark.parametrize("fragments", [1, 2, 5])
def test_schedules_can_be_made_for_the_shortest_streams(fragments: int) -> None:
    for seed in SEEDS:
        plan = random_faults(seed, fragments=fragments, recoverable=False, longest_stall_s=0)
        assert not any(isinstance(fault.action, Stall) for fault in plan.faults)


def test_a_schedule_s_repr_is_short_and_makes_it_again() -> None:
    plan = FaultPlan((OnCall(2, Cut(4096)), AtFragment(17, Stall(100), times=None), InLog(LAST, Rewind(3))))
    assert repr(plan) == ("FaultPlan((OnCall(2, Cut(4096)), AtFragment(17, Stall(100), None), InLog(-1, Rewind(3))))")
    for seed in SEEDS:
        made = random_faults(seed, fragments=60, recoverable=False)
        assert eval(repr(made)) == made  # noqa: S307 - our own repr
        assert len(repr(made)) < 300


@pytest.mark.parametrize(
    "fault",
    [
        *(OnCall(1, Refuse(code), times=3) for code in STATUS_OF if "Limit" in code or STATUS_OF[code] >= 500),
        OnCall(1, Refuse("ExpiredTokenException")),
        OnCall(1, Refuse("InvalidEndpointException")),
        OnCall(1, Refuse("AccessDeniedException"), "DescribeContact", times=None),
        OnCall(1, Drop()),
        OnCall(1, MoveEndpoint(), times=None),
        OnCall(1, Cut(7), times=5),
        OnCall(1, EndAfter(1.0), times=None),
        AtFragment(1, Reset(7)),
        AtFragment(1, Garbage(100)),
        AtFragment(1, InBand(3002)),
        AtFragment(1, InBand(4503, 70)),
        AtFragment(1, InBand(5000)),
        AtFragment(1, Twice(), times=None),
        AtFragment(1, Trickle(1), times=None),
        InLog(1, Rewind(3)),
        InLog(0, OtherContacts(3)),
    ],
    ids=repr,
)
def test_after_what_passes_a_whole_recording_is_owed(fault: Fault) -> None:
    assert fault.recoverable


@pytest.mark.parametrize(
    "fault",
    [
        OnCall(1, Refuse("NotAuthorizedException")),
        OnCall(1, Refuse("ResourceNotFoundException")),
        OnCall(1, Refuse("ClientLimitExceededException"), times=None),
        OnCall(1, Drop(), times=None),
        OnCall(1, Garbage(100, 7)),
        AtFragment(1, Cut(7), times=None),
        AtFragment(1, Garbage(100, 7)),
        AtFragment(1, Garbage(100), times=None),
        AtFragment(1, Garbage(100), times=2),
        AtFragment(1, InBand(3002), times=None),
        *(AtFragment(1, InBand(code)) for code in IN_BAND_CODES if code not in {3002, 4503, 5000}),
        InLog(1, Missing()),
    ],
    ids=repr,
)
def test_after_what_lasts_or_spoils_no_whole_recording_is_owed(fault: Fault) -> None:
    assert not fault.recoverable
    assert not FaultPlan((fault, OnCall(1, Cut(7)))).recoverable


def test_garbage_at_two_places_owes_nothing_since_they_may_meet() -> None:
    assert not FaultPlan((AtFragment(1, Garbage(100)), OnCall(2, Garbage(7)))).recoverable


def test_a_run_owes_what_its_faults_so_far_leave() -> None:
    run = FaultRun(FaultPlan((OnCall(1, Cut(7)), OnCall(2, Refuse("NotAuthorizedException")))))
    owed: list[bool] = []
    for _ in range(2):
        run.call("GetMedia")
        owed.append(run.recoverable)
    assert owed == [True, False]
    assert run.fired == run.plan.faults


def test_a_stream_without_faults_is_stored_as_it_is() -> None:
    speech = two_party_conversation(5)
    fragments = list(stored(synthesize_call(SyntheticCall(customer=speech.customer, agent=speech.agent))))
    assert list(FaultRun(NO_FAULTS).stored(fragments)) == fragments


def test_a_body_without_faults_comes_in_the_pieces_it_was_given() -> None:
    body = FaultRun(NO_FAULTS).body()
    assert list(body.begin()) == []
    assert [list(body.spoil(data)) for data in (b"ab", b"", b"c")] == [[b"ab"], [], [b"c"]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Refuse("Nonsense"), "Nonsense is none of ClientLimitExceededException, "),
        (lambda: InBand(4711), "4711 is none of KVS's codes: 3002, 4000, "),
        (lambda: OnCall(0, Drop()), "calls count from 1, not 0"),
        (lambda: OnCall(1, Cut(7), "DescribeStream"), r"DescribeStream has no body for Cut\(7\)"),
        (lambda: InLog(3, OtherContacts(1)), "another contact comes before our contact"),
    ],
)
def test_a_fault_that_can_never_happen_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
