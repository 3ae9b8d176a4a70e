"""When a recording ends, when it waits, and that neither happens on a mere guess."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from connect_audio.core.errors import MediaSourceError
from connect_audio.core.manifest import EndReason
from connect_audio.ports import AfterFragment, ContactState, FromProducerTime, StartSelector
from connect_audio.recorder import Checkpoint, OutcomeStatus, Over, Policy, StepResult, Wait
from connect_audio.recorder.call_stream import ReadState
from connect_audio_local.synthesis.calls import Gap
from connect_audio_local.synthesis.fragment_writer import FragmentLayout
from support.calls import call
from support.stream import Body, Stored
from support.wav import same_wav, wav_of, wav_of_call
from support.world import KEPT, NAMES, reasons_of, world

OTHER = "00000000-0000-4000-8000-000000000002"
THROTTLED = MediaSourceError("ClientLimitExceededException", "too many", retryable=True)
NO_TOKEN = FragmentLayout(continuation_token=False)


def test_the_end_of_a_body_is_not_the_end_of_the_call() -> None:
    ours = call(30)
    at = world(ours)

    def ends_after(count: int) -> Body:
        def body(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
            for each in selected[:count]:
                yield each.data

        return body

    at.source.bodies.extend([ends_after(7), ends_after(3), ends_after(9)])
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    numbers = [each.number for each in at.source.fragments]
    assert at.source.selectors[:4] == [
        at.source.selectors[0],
        *(AfterFragment(numbers[count - 1]) for count in (7, 10, 19)),
    ]
    assert isinstance(at.source.selectors[0], FromProducerTime)
    assert run.manifest["reconnects"] == len(at.source.selectors)


def test_a_live_call_is_recorded_to_its_end_and_finished_after_the_drain() -> None:
    ours = call(200)
    at = world(ours, live=True, status=ContactState.CONNECTED)
    at.status.disconnected_at_ms = at.source.fragments[-1].at_ms
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    silence_s = (at.clock.now_ms() - at.source.fragments[-1].at_ms) / 1000
    assert 30 <= silence_s <= 30 + 60 + 10 + 10


def test_connect_is_asked_at_most_once_a_minute_and_only_where_a_body_ended() -> None:
    at = world(call(60), live=True, status=ContactState.UNKNOWN, policy=Policy(idle_limit=900))
    at.run()
    asked = at.status.asked_at_ms
    assert len(asked) > 3
    assert asked[0] >= at.source.fragments[-1].at_ms
    assert min(later - earlier for earlier, later in pairwise(asked)) >= 60_000


def test_an_unknown_status_never_ends_a_call_but_the_idle_limit_does() -> None:
    ours = call(20)
    at = world(ours, live=True, status=ContactState.UNKNOWN)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.end_reason is EndReason.IDLE
    assert 600 <= (at.clock.now_ms() - at.source.fragments[-1].at_ms) / 1000 < 1200
    assert run.reasons == []
    assert "Connect did not say" in run.manifest["evidence"]["end"]["detail"]


@pytest.mark.parametrize("names_first", [True, False])
@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize(
    ("retention", "late_s", "is_doubtful"),
    [
        (0, 302, True),
        (MediaSourceError("NotAuthorizedException", "no", retryable=False), 302, True),
        (0, 200, False),
        (24, 302, False),
        # It has what a stream that keeps nothing would not have any more.
        (0, 3600, False),
    ],
    ids=["nothing kept", "unknown", "soon", "kept", "kept for an hour"],
)
def test_a_late_start_on_a_stream_that_may_keep_nothing_proves_no_opening(
    retention: int | MediaSourceError,
    late_s: int,
    is_doubtful: bool,  # noqa: FBT001
    lost: int,
    names_first: bool,  # noqa: FBT001
) -> None:
    at = world(call(20), retention=retention)
    if names_first:
        at.request = replace(at.request, start_fragment_number=at.source.fragments[0].number)
    del at.source.fragments[:lost]
    at.clock.pass_by(late_s)
    run = at.run()
    opening = run.manifest["evidence"]["opening"]["code"]
    if names_first:
        assert opening == ("OPENING_MISSING" if lost else "START_FRAGMENT")
    else:
        # Nothing can lack if the first audio is as old as StartTimestamp.
        assert opening == ("OPENING_MISSING" if is_doubtful and lost else "START_TIMESTAMP")
    assert ("OPENING_MISSING" in run.reasons) is (opening == "OPENING_MISSING")


def test_quiet_is_waited_out_suspended_while_connect_says_connected() -> None:
    # Held for an hour without a packet: then the caller goes on.
    ours = call(40, gaps=(Gap(at_ms=20_480, length_ms=3_600_000),))
    at = world(ours, live=True, status=ContactState.CONNECTED)
    at.status.disconnected_at_ms = at.source.fragments[-1].at_ms
    run = at.run()
    assert run.manifest["tracks"]["customer"]["audioSamples"] == 40 * 8000
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    assert 10 < len(run.waits) < 40
    assert sum(run.waits) > 3000


def test_a_contact_that_stays_connected_for_ever_is_finished_as_partial_after_the_connected_limit() -> None:
    ours = call(20)
    at = world(ours, live=True, status=ContactState.CONNECTED)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.end_reason is EndReason.IDLE
    assert run.reasons == ["STILL_CONNECTED"]
    assert run.manifest["evidence"]["end"]["code"] == "STILL_CONNECTED"
    assert 4 * 3600 <= (at.clock.now_ms() - at.source.fragments[-1].at_ms) / 1000 < 5 * 3600
    assert len(run.waits) < 80


def test_the_previous_contact_s_disconnect_of_a_transfer_ends_no_recording_whose_fragments_go_on() -> None:
    # Connect says DISCONNECTED from the first look on, and the caller talks on behind several ends of body.
    ours = call(300)
    at = world(ours, live=True, status=ContactState.DISCONNECTED)

    def ends_early(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected[:20]:
            at.clock.pass_by(max(0.0, (each.at_ms - at.clock.now_ms()) / 1000))
            yield each.data

    at.source.bodies.extend([ends_early] * 8)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.reasons == []
    assert len(at.status.asked_at_ms) > 1


# --- the last fragment, as Connect names it ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [ContactState.DISCONNECTED, ContactState.CONNECTED])
def test_a_recording_with_the_last_fragment_that_connect_names_is_over_without_a_drain(status: ContactState) -> None:
    ours = call(20)
    at = world(ours, status=status)
    at.status.stop_fragment = at.source.fragments[-1].number
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert (
        run.outcome.end_reason
        is {
            ContactState.DISCONNECTED: EndReason.DISCONNECTED,
            ContactState.CONNECTED: EndReason.STREAMING_STOPPED,
        }[status]
    )
    assert run.reasons == []
    assert run.manifest["evidence"]["end"]["code"] == "STOP_FRAGMENT"
    assert at.clock.monotonic() < 2


def test_a_recording_without_the_last_fragment_that_connect_names_is_partial() -> None:
    at = world(call(20))
    at.status.stop_fragment = at.source.fragments[-1].number
    del at.source.fragments[-2:]
    run = at.run()
    assert run.reasons == ["ENDING_MISSING"]
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    assert at.clock.monotonic() >= 30


def test_a_last_fragment_that_connect_names_late_still_proves_the_end() -> None:
    ours = call(20)
    at = world(ours, policy=Policy(drain=100, status_interval=60))
    last = at.source.fragments[-1].number

    def names(_: StartSelector, _selected: list[Stored]) -> Iterator[bytes]:
        at.clock.pass_by(61)
        at.status.stop_fragment = last
        return iter(())

    at.source.bodies.extend([None, names])
    run = at.run()
    assert run.manifest["evidence"]["end"]["code"] == "STOP_FRAGMENT"
    assert at.clock.monotonic() < 100


@pytest.mark.parametrize(("lost", "reasons"), [(0, []), (1, ["OPENING_MISSING"])])
def test_the_event_s_first_fragment_proves_the_opening(lost: int, reasons: list[str]) -> None:
    at = world(call(20))
    at.request = replace(at.request, start_fragment_number=at.source.fragments[0].number)
    del at.source.fragments[:lost]
    run = at.run()
    assert run.reasons == reasons
    assert run.manifest["evidence"]["opening"]["code"] == (reasons or ["START_FRAGMENT"])[0]


def test_quiet_is_waited_out_suspended_twice_as_long_each_time_up_to_five_minutes() -> None:
    at = world(call(20), live=True, status=ContactState.UNKNOWN, policy=Policy(idle_limit=3600))
    run = at.run()
    assert run.waits[:8] == [10, 20, 40, 80, 160, 300, 300, 300]
    assert run.outcome.end_reason is EndReason.IDLE


@pytest.mark.parametrize("retention", [0, MediaSourceError("NotAuthorizedException", "no", retryable=False)])
def test_a_stream_that_may_keep_nothing_is_looked_at_every_minute(retention: int | MediaSourceError) -> None:
    at = world(call(20), live=True, status=ContactState.UNKNOWN, retention=retention)
    run = at.run()
    assert run.waits[:5] == [10, 20, 40, 60, 60]


def test_audio_after_a_long_quiet_is_recorded_and_the_waits_begin_anew() -> None:
    ours = call(40, gaps=(Gap(at_ms=20_480, length_ms=200_000),))
    at = world(ours, live=True, status=ContactState.UNKNOWN)
    run = at.run()
    assert isinstance(ours.customer, bytes)
    assert isinstance(ours.agent, bytes)
    cut, silence = 2 * 20_480 * 8, bytes(2 * 200_000 * 8)
    assert same_wav(run.wav, wav_of(*[side[:cut] + silence + side[cut:] for side in (ours.customer, ours.agent)]))
    assert run.waits.count(10) == 2


@pytest.mark.parametrize("retention", [0, 24])
def test_a_one_sided_call_whose_tail_is_read_again_after_each_wait_ends_all_the_same(retention: int) -> None:
    # The last five seconds of a single track settle only at the end, so every fresh invocation reads them again.
    ours = call(30, agent=None)
    at = world(ours, live=True, status=ContactState.UNKNOWN, retention=retention, window_s=None if retention else 300)
    run = at.run(most_steps=60)
    assert isinstance(ours.customer, bytes)
    assert same_wav(run.wav, wav_of(ours.customer, b""))
    assert run.outcome.end_reason is EndReason.IDLE
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_a_drain_that_a_hand_over_interrupts_goes_on() -> None:
    ours = call(30, agent=None)
    at = world(ours, live=True, policy=Policy(drain=60))
    run = at.run(budget_s=40)
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert (at.clock.now_ms() - at.source.fragments[-1].at_ms) / 1000 < 180


@pytest.mark.slow
def test_suspensions_are_limited_so_that_the_engine_s_quota_is_never_reached() -> None:
    gaps = tuple(Gap(at_ms=at, length_ms=55_000) for at in range(2048, 1024 * 700, 2048))
    ours = call(700, gaps=gaps)
    at = world(ours, live=True, status=ContactState.UNKNOWN)
    run = at.run()
    assert run.outcome.end_reason is EndReason.IDLE
    hours = run.outcome.duration_s / 3600
    assert hours > 5
    assert run.kinds.count(Wait) <= 300
    assert run.outcome.status is OutcomeStatus.COMPLETE


# --- another contact -------------------------------------------------------------------------------------------------


def test_the_contacts_before_and_after_are_left_out_and_their_time_ends_the_drain_at_once() -> None:
    before = call(20, contact_id=OTHER, seed=7)
    ours = call(30, seed=8, pause_ms=500)
    after = call(60, contact_id=OTHER, seed=9, pause_ms=500)
    at = world(replace(before, start_ms=None), ours, after, status=ContactState.UNKNOWN)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.end_reason is EndReason.OTHER_CONTACT
    # 30 s of the stream without us, not of anybody's time.
    assert at.clock.monotonic() == 0
    assert run.manifest["fragments"]["otherContact"] >= 20


def test_another_contact_live_opens_a_drain_by_the_wall_clock() -> None:
    ours, after = call(30), call(300, contact_id=OTHER, seed=9, pause_ms=500)
    at = world(ours, after, live=True, status=ContactState.UNKNOWN)
    run = at.run()
    assert run.outcome.end_reason is EndReason.OTHER_CONTACT
    assert 30 <= (at.clock.now_ms() - at.source.fragments[29].at_ms) / 1000 <= 35
    assert same_wav(run.wav, wav_of_call(ours))


def test_another_contact_before_ours_ends_nothing() -> None:
    before, ours = call(120, contact_id=OTHER, seed=7), call(30, seed=8)
    at = world(before, ours, live=True, status=ContactState.UNKNOWN)
    assert same_wav(at.run().wav, wav_of_call(ours))


def test_ours_coming_back_within_the_drain_is_recorded() -> None:
    first, between = call(10), call(10, contact_id=OTHER, seed=5)
    again = call(10, seed=6)
    at = world(first, between, again, live=True, status=ContactState.UNKNOWN)
    run = at.run()
    assert run.outcome.duration_s == 30
    for start_s, each in ((0, first), (20, again)):
        at_byte = 44 + start_s * 32_000
        assert same_wav(run.wav[at_byte : at_byte + 320_000], wav_of_call(each)[44:])
    assert not any(run.wav[44 + 320_000 : 44 + 640_000])


# --- what must not be taken for an end -------------------------------------------------------------------------------


def test_a_throttle_after_a_long_wait_ends_nothing_before_the_stream_was_read() -> None:
    ours = call(40, gaps=(Gap(at_ms=20_480, length_ms=100_000),))
    at = world(ours, live=True, status=ContactState.CONNECTED)
    at.status.disconnected_at_ms = at.source.fragments[-1].at_ms

    def throttle_after_wait(result: StepResult) -> None:
        if isinstance(result.next, Wait):
            at.source.bodies.extend([THROTTLED] * 3)

    run = at.run(on_result=throttle_after_wait)
    assert run.manifest["tracks"]["customer"]["audioSamples"] == 40 * 8000
    assert run.outcome.end_reason is EndReason.DISCONNECTED


def test_a_drain_begins_with_its_cause_not_with_the_silence_before_it() -> None:
    ours = call(40, gaps=(Gap(at_ms=20_480, length_ms=72_000),))
    at = world(ours, live=True, status=ContactState.CONNECTED, policy=Policy(status_interval=0))

    def disconnect_after_wait(result: StepResult) -> None:
        if isinstance(result.next, Wait):
            at.status.answer = ContactState.DISCONNECTED

    run = at.run(on_result=disconnect_after_wait)
    assert run.manifest["tracks"]["customer"]["audioSamples"] == 40 * 8000
    assert run.outcome.end_reason is EndReason.DISCONNECTED


def test_a_disconnected_contact_is_read_to_the_end_even_where_the_drain_is_nought() -> None:
    ours = call(30)
    at = world(ours, policy=Policy(drain=0))

    def breaks(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        yield selected[0].data
        raise MediaSourceError("ProtocolError", "broken", retryable=True)

    at.source.bodies.append(breaks)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_a_stream_that_cannot_be_read_while_the_contact_ends_is_not_called_complete() -> None:
    ours = call(30)
    at = world(ours)

    def first_half(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected[:10]:
            yield each.data

    at.source.bodies.append(first_half)
    at.source.refusal = THROTTLED
    run = at.run()
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.reasons == ["SOURCE_FAILED"]


# --- the last fragment -----------------------------------------------------------------------------------------------


def test_a_last_fragment_without_token_or_successor_is_recorded() -> None:
    ours = call(20, layout=NO_TOKEN)
    run = world(ours).run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_a_fragment_cut_by_the_body_s_end_is_read_again_whole_and_never_recorded_twice() -> None:
    ours = call(20)
    for cut_at in (50, 600, 5_000, 20_000, 34_000):
        at = world(ours)

        def cut(_: StartSelector, selected: list[Stored], cut_at: int = cut_at) -> Iterator[bytes]:
            yield selected[0].data
            yield selected[1].data[:cut_at]

        at.source.bodies.extend([cut, cut])
        run = at.run()
        assert same_wav(run.wav, wav_of_call(ours))
        assert run.outcome.status is OutcomeStatus.COMPLETE
        assert run.manifest["tracks"]["customer"]["repeatedSamples"] == 0


@pytest.mark.parametrize("layout", [FragmentLayout(), NO_TOKEN])
def test_a_fragment_cut_by_the_body_s_end_that_never_comes_again_is_kept_and_reported(layout: FragmentLayout) -> None:
    ours = call(20, layout=layout)
    at = world(ours)
    third = at.source.fragments[2]

    def cut(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        yield selected[0].data
        yield selected[1].data
        yield selected[2].data[:20_000]

    at.source.bodies.append(cut)
    at.source.fragments = [each for each in at.source.fragments if each is not third]
    at.source.bodies[0] = lambda start, selected: cut(start, [*selected[:2], third])
    run = at.run()
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert "TRUNCATED_FRAGMENTS" in run.reasons
    customer = run.manifest["tracks"]["customer"]["audioSamples"]
    assert 19 * 8000 < customer < 20 * 8000


def test_a_last_fragment_that_was_cut_and_never_comes_again_is_kept_and_reported() -> None:
    ours = call(20)
    at = world(ours)
    last = at.source.fragments.pop()

    def cut(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected:
            yield each.data
        yield last.data[:9000]

    at.source.bodies.append(cut)
    run = at.run()
    assert run.reasons == ["TRUNCATED_FRAGMENTS"]
    assert run.manifest["fragments"]["last"]["number"] == last.number


def test_a_stream_without_anything_of_ours_leaves_a_manifest_that_says_empty_and_no_wav() -> None:
    at = world(call(20, contact_id=OTHER), status=ContactState.UNKNOWN)
    run = at.run()
    assert run.outcome.status is OutcomeStatus.EMPTY
    assert run.outcome.recording is None
    assert run.manifest["recording"] is None
    assert run.reasons == ["NO_AUDIO"]
    assert list(at.store.objects) == [NAMES.manifest]


def test_a_stream_without_data_ends_by_the_idle_limit() -> None:
    at = world(call(1), status=ContactState.UNKNOWN)
    at.source.fragments = []
    run = at.run()
    assert run.outcome.status is OutcomeStatus.EMPTY
    assert run.outcome.end_reason is EndReason.IDLE
    assert run.outcome.reasons == ("NO_AUDIO",)


def test_silence_counts_only_where_somebody_listened() -> None:
    # Refused while the call ended, then cut twice: three quarters of the call are still in the stream.
    ours = call(40)
    at = world(ours, live=True)
    at.status.disconnected_at_ms = at.source.fragments[-1].at_ms

    def refused(_: StartSelector, _selected: list[Stored]) -> Iterator[bytes]:
        at.clock.pass_by(1)
        raise THROTTLED

    def nothing(_: StartSelector, _selected: list[Stored]) -> Iterator[bytes]:
        return iter(())

    def ten(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        return iter([each.data for each in selected[:10]])

    at.source.bodies.extend([ten, *[refused] * 14, nothing, nothing])
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_a_pause_after_a_kill_in_the_drain_is_no_silence() -> None:
    ours = call(40)
    at = world(ours)
    at.claim()

    def ten(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        return iter([each.data for each in selected[:10]])

    def nothing(_: StartSelector, _selected: list[Stored]) -> Iterator[bytes]:
        return iter(())

    at.source.bodies.extend([ten, nothing, nothing, nothing])
    first = at.step(KEPT, budget_s=3)
    assert first.checkpoint.end.cause is EndReason.DISCONNECTED
    at.clock.pass_by(3600)
    at.source.bodies.extend([nothing, nothing])
    last = at.step(first.checkpoint)
    assert isinstance(last.next, Over)
    assert last.checkpoint.cursor.frames == 40 * 8000


def test_no_drain_ends_a_call_whose_last_fragments_are_known_and_have_not_come_again() -> None:
    # One side alone settles late: a fresh invocation has to read the last five seconds again, at first in vain.
    ours = call(40, agent=None)
    at = world(ours)
    at.claim()
    first = at.step(KEPT, budget_s=5)
    assert first.checkpoint.read.newest == at.source.fragments[-1].number

    def nothing(_: StartSelector, _selected: list[Stored]) -> Iterator[bytes]:
        at.clock.pass_by(9)
        return iter(())

    at.source.bodies.extend([nothing] * 6)
    last = at.step(first.checkpoint)
    assert isinstance(last.next, Over)
    assert last.checkpoint.cursor.frames == 40 * 8000
    assert reasons_of(last) == []


def test_a_refusal_that_needs_a_human_counts_from_its_own_beginning() -> None:
    ours = call(20)
    at = world(ours, status=ContactState.CONNECTED, policy=Policy(idle_limit=120))
    denied = MediaSourceError("ResourceNotFoundException", "not yet", retryable=False)
    at.source.bodies.extend([THROTTLED] * 15 + [denied] * 2)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.end_reason is EndReason.IDLE


def test_a_tail_that_the_stream_forgot_before_it_was_settled_is_reported() -> None:
    # One side alone settles five seconds late. Nothing comes for so long that hand-overs read the tail again in vain.
    ours = call(30, agent=None)
    at = world(ours, live=True, status=ContactState.UNKNOWN, retention=0, window_s=300)
    run = at.run(budget_s=200)
    assert run.outcome.end_reason is EndReason.IDLE
    assert run.outcome.duration_s < 30
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.reasons == ["MEDIA_EXPIRED"]


@pytest.mark.parametrize(("away_s", "reasons"), [(200, ()), (400, ("MEDIA_EXPIRED",))])
def test_a_stream_that_keeps_nothing_and_was_not_read_for_minutes_may_have_lost_the_end(
    away_s: int, reasons: tuple[str, ...]
) -> None:
    at = world(call(20), live=True, retention=0, window_s=300)
    at.claim()
    first = at.step(Checkpoint(read=ReadState(retention_hours=0)), budget_s=15)
    at.clock.pass_by(away_s)
    last = at.step(first.checkpoint)
    assert isinstance(last.next, Over)
    assert tuple(reasons_of(last)) == reasons
    assert (last.checkpoint.cursor.frames == 20 * 8000) is not bool(reasons)


def test_a_stall_within_a_fragment_is_no_sign_that_all_has_been_read() -> None:
    at = world(call(20), retention=0)
    at.clock.pass_by(200)
    at.claim()

    def stalls(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        yield selected[0].data + selected[1].data[:9000]
        at.clock.pass_by(10)
        raise MediaSourceError("ReadTimeoutError", "stalled", retryable=True)

    at.source.bodies.append(stalls)
    first = at.step(Checkpoint(read=ReadState(retention_hours=0)), budget_s=10)
    at.clock.pass_by(100)
    at.source.fragments = at.source.fragments[:1]
    last = at.step(first.checkpoint)
    assert reasons_of(last) == ["MEDIA_EXPIRED"]


def test_a_throttle_in_the_last_moment_of_the_idle_limit_makes_no_failure_of_the_source() -> None:
    ours = call(20)
    at = world(ours, status=ContactState.UNKNOWN, policy=Policy(patience=1000))

    def quiet(_: StartSelector, _selected: list[Stored]) -> Iterator[bytes]:
        at.clock.pass_by(595)
        return iter(())

    at.source.bodies.extend([None, quiet, *[THROTTLED] * 15])
    run = at.run()
    assert run.outcome.end_reason is EndReason.IDLE
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_a_long_quiet_that_was_listened_to_is_no_loss_where_nothing_is_kept() -> None:
    at = world(call(20), live=True, status=ContactState.UNKNOWN, retention=0, window_s=300)
    run = at.run()
    assert run.outcome.end_reason is EndReason.IDLE
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_a_place_that_fails_in_each_invocation_does_not_keep_a_silent_call_open() -> None:
    at = world(call(8), status=ContactState.UNKNOWN, live=True)
    broken = at.source.fragments[3]
    failure = MediaSourceError("ConnectionError", "the connection broke", retryable=True)
    at.source.in_place_of[broken.number] = (broken.data[: len(broken.data) // 2], failure)

    run = at.run(most_steps=12)

    assert run.manifest["endReason"] == "IDLE"
    assert run.manifest["fragments"]["admitted"] == 8
