"""The table of rules that ends a call: evidence in, an end out, without a stream, a clock or a bucket."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.manifest import EndReason, Reason
from connect_audio.ports import ContactAnswer, ContactState
from connect_audio.recorder.end_of_call import RULES, EndOfCall, EndOfRecording, EndState, Evidence
from connect_audio.recorder.policy import Policy

S = 1000
POLICY = Policy(drain=30, idle_limit=600, connected_limit=3600, refusal_limit=60, status_interval=60)
QUIET = Evidence(silent_ms=0)
DISCONNECTED = replace(QUIET, cause=EndReason.DISCONNECTED, silent_ms=40 * S)
LOST = Reason("SOURCE_FAILED", "the stream could not be read: X")
UNREADABLE = replace(QUIET, failure=LOST, unreadable_ms=0)
DENIED = replace(UNREADABLE, denied_ms=60 * S, denials=6)


def decided(seen: Evidence) -> EndReason | None:
    """What the table says."""
    ends = [row for row in RULES if row[0](seen, POLICY)]
    end = ends[0][1](seen) if ends else None
    return None if end is None else end.reason


@pytest.mark.parametrize(
    ("seen", "ends"),
    [
        pytest.param(replace(QUIET, silent_ms=600 * S - 1), None, id="silence within the idle limit"),
        pytest.param(replace(QUIET, silent_ms=600 * S), EndReason.IDLE, id="silence for the idle limit"),
        pytest.param(
            replace(QUIET, silent_ms=900 * S, failing_ms=300 * S + 1), None, id="silence that nobody listened to"
        ),
        pytest.param(
            replace(QUIET, silent_ms=900 * S, failing_ms=300 * S), EndReason.IDLE, id="as much as was listened to"
        ),
        pytest.param(
            replace(QUIET, silent_ms=3600 * S - 1, is_connected=True), None, id="silence of a connected contact"
        ),
        pytest.param(
            replace(QUIET, silent_ms=3600 * S, is_connected=True),
            EndReason.IDLE,
            id="silence of a connected contact for the connected limit",
        ),
        pytest.param(
            replace(QUIET, is_stopped=True), EndReason.STREAMING_STOPPED, id="the last fragment is there, at once"
        ),
        pytest.param(
            replace(QUIET, is_stopped=True, observed=False, cause=EndReason.DISCONNECTED),
            EndReason.DISCONNECTED,
            id="the last fragment is there, and the cause is the reason",
        ),
        pytest.param(
            replace(QUIET, is_stopped=True, read_to_end=False), None, id="the last fragment with more behind it"
        ),
        pytest.param(replace(UNREADABLE, is_stopped=True), None, id="the last fragment and a failure behind it"),
        pytest.param(
            replace(QUIET, silent_ms=600 * S, read_to_end=False), EndReason.IDLE, id="the idle limit asks for no more"
        ),
        pytest.param(replace(QUIET, silent_ms=900 * S, observed=False), None, id="silence that was not observed"),
        pytest.param(replace(DISCONNECTED, drained_ms=30 * S - 1), None, id="a cause within the drain"),
        pytest.param(replace(DISCONNECTED, drained_ms=30 * S), EndReason.DISCONNECTED, id="a cause and the drain"),
        pytest.param(
            replace(DISCONNECTED, drained_ms=30 * S, read_to_end=False), None, id="a drain with something left to read"
        ),
        pytest.param(
            replace(DISCONNECTED, drained_ms=30 * S, failure=LOST, unreadable_ms=S),
            None,
            id="a drain in which the stream cannot be read",
        ),
        pytest.param(
            replace(DISCONNECTED, drained_ms=30 * S, observed=False), None, id="a drain that was not observed"
        ),
        pytest.param(
            replace(DISCONNECTED, cause=EndReason.OTHER_CONTACT, drained_ms=30 * S),
            EndReason.OTHER_CONTACT,
            id="the cause is the reason",
        ),
        pytest.param(
            replace(UNREADABLE, silent_ms=900 * S, unreadable_ms=600 * S - 1), None, id="unreadable for a while"
        ),
        pytest.param(
            replace(UNREADABLE, silent_ms=900 * S, unreadable_ms=600 * S),
            EndReason.SOURCE_FAILED,
            id="unreadable for the idle limit",
        ),
        pytest.param(
            replace(UNREADABLE, silent_ms=600 * S - 1, unreadable_ms=900 * S), None, id="unreadable, with audio since"
        ),
        pytest.param(DENIED, EndReason.SOURCE_FAILED, id="denied for a minute, six times"),
        pytest.param(replace(DENIED, denied_ms=60 * S - 1), None, id="denied for less than a minute"),
        pytest.param(replace(DENIED, denials=5), None, id="denied five times in this step"),
        pytest.param(replace(DENIED, observed=False), EndReason.SOURCE_FAILED, id="a denial needs no observation"),
    ],
)
def test_the_first_rule_that_applies_decides(seen: Evidence, ends: EndReason | None) -> None:
    assert decided(seen) == ends


def end_of_call(**state: object) -> EndOfCall:
    return EndOfCall(EndState(last_audio_ms=1, **state), POLICY, 1)  # type: ignore[arg-type]


def ended(end: EndOfCall, at_s: float, *, observed: bool = True, read_to_end: bool = True) -> EndReason | None:
    decision = end.decide(round(at_s * S), observed=observed, read_to_end=read_to_end)
    return None if decision is None else decision.reason


def test_audio_takes_a_cause_back_and_begins_the_silence_anew() -> None:
    end = end_of_call()
    end.connect_says(ContactAnswer(ContactState.DISCONNECTED), 10 * S)
    end.audio(20 * S)
    assert end.cause is None
    assert ended(end, 60) is None
    assert ended(end, 620) is EndReason.IDLE


def test_the_drain_begins_with_its_cause_and_not_with_the_silence_before_it() -> None:
    end = end_of_call()
    end.connect_says(ContactAnswer(ContactState.DISCONNECTED), 100 * S)
    assert ended(end, 129.9) is None
    assert ended(end, 130) is EndReason.DISCONNECTED


def test_of_two_causes_the_first_counts() -> None:
    end = end_of_call()
    assert end.other_audio(EndReason.OTHER_CONTACT, 0, 10 * S) is None
    end.connect_says(ContactAnswer(ContactState.DISCONNECTED), 50 * S)
    assert ended(end, 40) is EndReason.OTHER_CONTACT


@pytest.mark.parametrize(("ahead_ms", "over"), [(None, False), (30 * S - 1, False), (30 * S, True)])
def test_another_contact_s_audio_ends_the_call_at_once_where_the_stream_shows_the_drain(
    ahead_ms: int | None,
    over: bool,  # noqa: FBT001 - parametrised
) -> None:
    end = end_of_call()
    found = end.other_audio(EndReason.OTHER_CONTACT, ahead_ms, 10 * S)
    assert found == (EndOfRecording(EndReason.OTHER_CONTACT) if over else None)


@pytest.mark.parametrize("answer", [ContactState.CONNECTED, ContactState.UNKNOWN])
def test_only_disconnected_is_a_cause(answer: ContactState) -> None:
    end = end_of_call()
    end.connect_says(ContactAnswer(answer), 10 * S)
    assert end.cause is None


def test_connect_is_asked_once_an_interval_and_no_more_once_there_is_a_cause() -> None:
    end = end_of_call()
    assert end.wants_status(10 * S)
    end.connect_says(ContactAnswer(ContactState.UNKNOWN), 10 * S)
    assert not end.wants_status(70 * S - 1)
    assert end.wants_status(70 * S)
    end.connect_says(ContactAnswer(ContactState.DISCONNECTED, "7"), 70 * S)
    assert not end.wants_status(900 * S)
    end.audio(910 * S)
    end.quiet(920 * S)
    assert end.cause is EndReason.DISCONNECTED
    assert not end.wants_status(990 * S)


def test_unknown_takes_no_answer_of_connect_back() -> None:
    end = end_of_call()
    end.connect_says(ContactAnswer(ContactState.CONNECTED, "7"), 10 * S)
    end.connect_says(ContactAnswer(ContactState.UNKNOWN), 700 * S)
    assert (end.state.connect, end.state.stop_fragment) == (ContactState.CONNECTED, "7")
    assert ended(end, 700) is None
    found = end.decide(3601 * S, observed=True, read_to_end=True)
    assert found is not None
    assert [reason.code for reason in found.shortcomings] == ["STILL_CONNECTED"]
    assert "for 60 minutes" in found.shortcomings[0].detail


def test_an_answer_before_the_newest_audio_prolongs_no_silence_behind_it() -> None:
    end = end_of_call()
    end.connect_says(ContactAnswer(ContactState.CONNECTED), 10 * S)
    end.audio(20 * S)
    assert ended(end, 620) is EndReason.IDLE


def test_connect_is_asked_for_the_last_fragment_once_more_in_a_long_drain() -> None:
    end = end_of_call()
    end.connect_says(ContactAnswer(ContactState.DISCONNECTED), 10 * S)
    assert not end.wants_status(70 * S - 1)
    assert end.wants_status(70 * S)
    end.connect_says(ContactAnswer(ContactState.DISCONNECTED, "7"), 70 * S)
    assert not end.wants_status(900 * S)


@pytest.mark.parametrize(("last", "ends"), [("6", False), ("7", True), ("8", True), (None, False)])
def test_the_last_fragment_that_connect_names_ends_a_recording_that_has_it(last: str | None, ends: bool) -> None:  # noqa: FBT001 - parametrised
    end = end_of_call()
    end.connect_says(ContactAnswer(ContactState.DISCONNECTED, "7"), 10 * S)
    found = end.decide(10 * S, observed=False, read_to_end=True, last_admitted=last)
    assert found == (EndOfRecording(EndReason.DISCONNECTED) if ends else None)


def test_a_stream_that_can_be_read_again_has_not_failed() -> None:
    end = end_of_call()
    for at_s in range(0, 120, 10):
        end.unreadable(LOST, retryable=False, now_ms=at_s * S)
    assert ended(end, 110, observed=False) is EndReason.SOURCE_FAILED
    end.readable(115 * S)
    assert end.state == EndState(last_audio_ms=1, readable_from_ms=115 * S, failing_ms=115 * S)
    assert ended(end, 110, observed=False) is None


def test_neither_drain_nor_idle_limit_counts_while_nobody_listens() -> None:
    end = end_of_call()
    end.connect_says(ContactAnswer(ContactState.DISCONNECTED), 10 * S)
    end.unreadable(LOST, retryable=True, now_ms=20 * S)
    assert ended(end, 100) is None
    end.readable(100 * S)
    assert ended(end, 129.9) is None
    assert ended(end, 130) is EndReason.DISCONNECTED
    end.audio(200 * S)
    end.unreadable(LOST, retryable=True, now_ms=300 * S)
    end.readable(400 * S)
    assert ended(end, 899.9) is None
    assert ended(end, 900) is EndReason.IDLE
    end.audio(1000 * S)
    assert end.state == EndState(
        last_audio_ms=1000 * S,
        asked_ms=10 * S,
        connect=ContactState.DISCONNECTED,
        answered_ms=10 * S,
        readable_from_ms=400 * S,
    )


def test_a_recording_that_ends_while_the_stream_cannot_be_read_tells_the_newest_failure() -> None:
    end = end_of_call()
    in_band = Reason("IN_BAND_ERROR", "KVS reports 5000 inside the stream: internal service error")
    end.unreadable(LOST, retryable=True, now_ms=10 * S)
    end.unreadable(in_band, retryable=True, now_ms=20 * S)
    assert end.decide(609 * S, observed=True, read_to_end=True) is None
    assert end.decide(610 * S, observed=True, read_to_end=True) == EndOfRecording(EndReason.SOURCE_FAILED, (in_band,))


def test_a_denial_counts_from_its_own_beginning_and_a_retryable_failure_interrupts_it() -> None:
    end = end_of_call()
    for at_s in range(0, 120, 10):
        end.unreadable(LOST, retryable=False, now_ms=at_s * S)
    end.unreadable(LOST, retryable=True, now_ms=120 * S)
    assert end.state.unreadable_since_ms == 0
    assert end.state.denied_since_ms is None
    assert ended(end, 120) is None


def test_denials_before_a_retryable_failure_do_not_count() -> None:
    end = end_of_call()
    for at_s in (0, 10, 20, 30, 40):
        end.unreadable(LOST, retryable=False, now_ms=at_s * S)
    end.unreadable(LOST, retryable=True, now_ms=50 * S)
    for at_s in (60, 130):
        end.unreadable(LOST, retryable=False, now_ms=at_s * S)
    assert ended(end, 130) is None


def test_a_fresh_invocation_denies_six_times_before_the_denial_is_final() -> None:
    end = end_of_call(unreadable_since_ms=10 * S, denied_since_ms=10 * S, failure=LOST)
    for tries in range(1, 7):
        end.unreadable(LOST, retryable=False, now_ms=(100 + tries) * S)
        assert ended(end, 100 + tries) is (EndReason.SOURCE_FAILED if tries == 6 else None)


def test_a_recording_begins_with_the_first_step() -> None:
    assert EndOfCall(EndState(), POLICY, 5 * S).state.last_audio_ms == 5 * S
    assert EndOfCall(EndState(last_audio_ms=2), POLICY, 5 * S).state.last_audio_ms == 2
