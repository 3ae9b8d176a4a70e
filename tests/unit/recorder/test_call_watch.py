"""Is a call over that is recorded after its end? Each rule of the looks, over a listing made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from connect_audio.core.errors import MediaSourceError
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.ports import ContactAnswer, ContactState, ListedFragment
from connect_audio.recorder import Checkpoint, Policy
from connect_audio.recorder.call_stream import ReadState
from connect_audio.recorder.call_watch import (
    Ended,
    Finding,
    Look,
    ReadOn,
    RecordLive,
    Sleep,
    Watched,
    keeps_long_enough,
    look_at_call,
    retention_too_short,
    watch_from,
)
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call
from support.ends import FakeEnds
from support.examples import few_of
from support.json_text import through_json
from support.world import KEPT, World, world

MINUTE, HOUR = 60_000, 3_600_000
STATES = {
    "connected": ContactState.CONNECTED,
    "disconnected": ContactState.DISCONNECTED,
    "unknown": ContactState.UNKNOWN,
}


def session(first: int, begin_s: float, count: int) -> list[ListedFragment]:
    """Fragments of one producer session, 1.024 s each; `first` is its first count."""
    return [
        ListedFragment(
            number=str(1 << 156 | (first + at) << 92),
            producer_ms=DEFAULT_START_MS + round(begin_s * 1000) + at * 1024,
            server_ms=0,
            length_ms=960,
            size=33_000,
        )
        for at in range(count)
    ]


@dataclass
class FakeIndex:
    """A listing, and the ranges that were asked for."""

    listed: Sequence[ListedFragment]
    error: MediaSourceError | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        assert from_ms <= to_ms
        self.asked.append((from_ms, to_ms))
        if self.error is not None:
            raise self.error
        return [each for each in self.listed if from_ms <= each.producer_ms <= to_ms]


def look(
    index: FakeIndex,
    state: str,
    *,
    after_s: float,
    ended_s: float | None = None,
    at: World | None = None,
    watched: Watched | None = None,
    checkpoint: Checkpoint = KEPT,
) -> Look:
    """Look once, some seconds after the call's start; through JSON, as the execution's history has it.

    Args:
        index: the listing.
        state: Connect's word; `announced` for the event of the contact's end.
        after_s: when.
        ended_s: when the contact was disconnected.
        at: the world; by default a new one.
        watched: the state of earlier looks.
        checkpoint: the recording's.
    """
    here = at or world(call(1))
    here.clock.pass_by(after_s - here.clock.monotonic())
    ports = here.ports()
    ended_ms = None if ended_s is None else DEFAULT_START_MS + round(ended_s * 1000)
    if state == "announced":
        assert ended_ms is not None
        ports = replace(ports, ends=FakeEnds({ports.request.contact_id: ended_ms}))
    else:
        ports = replace(ports, status=_Word(ContactAnswer(STATES[state], ended_ms=ended_ms)))
    found = look_at_call(ports, index, watched or watch_from(ports), checkpoint)
    made: Look = from_plain(Look, through_json(to_plain(found)))
    assert made == found
    return made


@dataclass
class _Word:
    answer: ContactAnswer

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        assert instance_id
        assert contact_id
        assert stream_arn
        del start_fragment
        return self.answer


def ended_on(fragment: ListedFragment) -> Finding:
    return Ended(ListedEnd(fragment.number, is_quiet=True))


def read_to(fragment: ListedFragment) -> ReadOn:
    return ReadOn(ListedEnd(fragment.number, is_quiet=False, is_end=False))


# --- a contact that is over -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["announced", "disconnected"])
def test_a_call_ends_with_the_last_fragment_before_a_silence_of_the_drain_time(state: str) -> None:
    ours = session(1, 0, 100)
    found = look(FakeIndex(ours), state, after_s=140, ended_s=102)
    assert found.found == ended_on(ours[-1])
    assert found.is_announced is (state == "announced")


def test_within_the_drain_time_the_call_may_go_on_and_is_read_so_far() -> None:
    ours = session(1, 0, 100)
    found = look(FakeIndex(ours), "announced", after_s=110, ended_s=102)
    assert found.found == read_to(ours[-1])
    assert found.watched.pause_s(Policy(), 24) == 60


def test_the_next_caller_in_the_stream_closes_the_call_at_once() -> None:
    ours, theirs = session(1, 0, 100), session(1000, 105, 3)
    found = look(FakeIndex([*ours, *theirs]), "announced", after_s=109, ended_s=102)
    assert found.found == ended_on(ours[-1])


def test_audio_that_runs_on_behind_the_end_of_the_contact_is_a_transferred_call_that_goes_on() -> None:
    ours = session(1, 0, 400)
    found = look(FakeIndex(ours), "announced", after_s=412, ended_s=102)
    assert found.found == read_to(ours[-1])


def test_a_transferred_call_goes_on_over_many_looks_until_its_run_is_closed() -> None:
    at, ours = world(call(1)), session(1, 0, 2000)
    watched, checkpoint = watch_from(at.ports()), KEPT
    for now_s in (140, 300, 700, 1500):
        index = FakeIndex([each for each in ours if each.producer_ms <= DEFAULT_START_MS + now_s * 1000])
        found = look(index, "announced", after_s=now_s, ended_s=102, at=at, watched=watched, checkpoint=checkpoint)
        assert found.found == read_to(index.listed[-1])
        watched, checkpoint = found.watched, checkpoint.ending_on(read_to(index.listed[-1]).to)
    theirs = session(9000, 2060, 50)
    found = look(
        FakeIndex([*ours, *theirs]),
        "announced",
        after_s=2100,
        ended_s=102,
        at=at,
        watched=watched,
        checkpoint=checkpoint,
    )
    assert found.found == ended_on(ours[-1])


def test_a_transferred_call_ends_with_its_own_run_however_late_the_look() -> None:
    ours, theirs = session(1, 0, 400), session(9000, 7200, 50)
    found = look(FakeIndex([*ours, *theirs]), "announced", after_s=9000, ended_s=102)
    assert found.found == ended_on(ours[-1])


def test_a_call_with_a_pause_ends_with_the_run_before_the_contact_s_end() -> None:
    first, second, theirs = session(1, 0, 50), session(500, 900, 50), session(9000, 980, 50)
    found = look(FakeIndex([*first, *second, *theirs]), "announced", after_s=2000, ended_s=953)
    assert found.found == ended_on(second[-1])


def test_a_call_that_an_earlier_look_had_read_to_its_end_ends_there() -> None:
    read = replace(KEPT.ending_on(ListedEnd("123", is_quiet=False, is_end=False)))
    watched = Watched(looks=2, read_ms=DEFAULT_START_MS + 200_000, newest_ms=DEFAULT_START_MS + 100_000)
    found = look(FakeIndex([]), "announced", after_s=300, ended_s=102, watched=watched, checkpoint=read)
    assert found.found == Ended(ListedEnd("123", is_quiet=True))


def test_looks_at_a_transferred_call_begin_anew_and_double_too() -> None:
    watched = [Watched(looks=9, late_looks=late, read_ms=0, newest_ms=0) for late in range(1, 9)]
    assert [each.pause_s(Policy(), 24) for each in watched] == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_a_call_without_any_fragment_is_left_to_the_live_rules() -> None:
    assert look(FakeIndex([]), "announced", after_s=300, ended_s=102).found == RecordLive("NO_FRAGMENTS")


def test_an_old_call_is_listed_up_to_the_first_silence_behind_its_end_and_no_further() -> None:
    index = FakeIndex([*session(1, 0, 100), *session(9000, 30 * 3600, 50)])
    found = look(index, "disconnected", after_s=40 * 3600, ended_s=102)
    assert found.found == ended_on(index.listed[99])
    assert len(index.asked) == 1


# --- a contact that is connected ------------------------------------------------------------------------------------


def test_a_connected_call_is_left_alone_and_its_stream_not_even_listed() -> None:
    index = FakeIndex(session(1, 0, 300))
    found = look(index, "connected", after_s=300)
    assert found.found == Sleep()
    assert index.asked == []


def test_looks_come_at_doubling_distances_up_to_the_longest() -> None:
    watched = [Watched(looks=looks, read_ms=0, newest_ms=0) for looks in range(7)]
    assert [each.pause_s(Policy(), 24) for each in watched] == [300, 600, 1200, 2400, 3600, 3600, 3600]
    assert [each.pause_s(Policy(), 2) for each in watched[:5]] == [300, 600, 1200, 1800, 1800]


def test_with_contact_events_the_first_look_comes_after_half_an_hour() -> None:
    # A look asks Connect. After five minutes a third of all calls go on: of 5000 at once, six would ask in a second.
    watched = [Watched(looks=looks, read_ms=0, newest_ms=0, has_events=True) for looks in range(3)]
    assert [each.pause_s(Policy(), 24) for each in watched] == [1800, 3600, 3600]
    assert [each.pause_s(Policy(), 2) for each in watched] == [1800, 1800, 1800]


@pytest.mark.parametrize("hours", few_of([2, 24]))
@pytest.mark.parametrize("has_events", [False, True])
def test_no_fragment_stays_unread_for_more_than_a_quarter_of_the_retention(hours: int, *, has_events: bool) -> None:
    # A call of ten hours, at the looks' own pace. Of 2 hours: read after 15 and 35 minutes, then each half hour.
    at, listed = world(call(1)), [replace(each, length_ms=960) for each in session(1, 0, 36_000)]
    checkpoint, watched = Checkpoint(read=ReadState(retention_hours=hours)), watch_from(at.ports())
    watched = replace(watched, has_events=has_events)
    oldest_s: list[float] = []
    now_s, read_s, reads = 0.0, 0.0, 0
    while now_s < 10 * 3600:
        now_s += watched.pause_s(Policy(), hours)
        oldest_s.append(now_s - read_s)
        index = FakeIndex([each for each in listed if each.producer_ms <= DEFAULT_START_MS + now_s * 1000])
        found = look(index, "connected", after_s=now_s, at=at, watched=watched, checkpoint=checkpoint)
        watched = found.watched
        if isinstance(found.found, ReadOn):
            read_s, reads = now_s, reads + 1
            assert found.found == read_to(index.listed[-1])
    assert max(oldest_s) <= hours * 900
    assert reads == {2: 20 if has_events else 21, 24: 1}[hours]


def test_a_connected_contact_without_audio_for_hours_is_left_to_the_live_rules() -> None:
    watched = Watched(looks=9, read_ms=DEFAULT_START_MS + 200_000, newest_ms=DEFAULT_START_MS + 100_000)
    found = look(FakeIndex([]), "connected", after_s=7 * 3600, watched=watched)
    assert found.found == RecordLive("SILENT_THOUGH_CONNECTED")


def test_a_contact_that_never_ends_is_recorded_before_the_execution_is_cut_off() -> None:
    at_ms = DEFAULT_START_MS + 45 * HOUR
    watched = Watched(looks=50, read_ms=at_ms, newest_ms=at_ms)
    found = look(FakeIndex([]), "connected", after_s=46 * 3600, watched=watched)
    assert found.found == RecordLive("WATCHED_FOR_LONG")


# --- a contact of which nothing is known ----------------------------------------------------------------------------


def test_without_an_answer_ten_minutes_of_silence_are_the_end() -> None:
    ours = session(1, 0, 100)
    assert look(FakeIndex(ours), "unknown", after_s=100 + 590).found == read_to(ours[-1])
    assert look(FakeIndex(ours), "unknown", after_s=103 + 600).found == ended_on(ours[-1])


def test_without_an_answer_a_stream_that_stays_empty_is_left_to_the_live_rules() -> None:
    assert look(FakeIndex([]), "unknown", after_s=300).found == Sleep()
    assert look(FakeIndex([]), "unknown", after_s=600).found == RecordLive("NO_FRAGMENTS")


def test_without_an_answer_a_stream_that_goes_on_is_read_to_see_whose_it_is() -> None:
    ours, theirs = session(1, 0, 100), session(1000, 104, 200)
    assert look(FakeIndex([*ours, *theirs]), "unknown", after_s=310).found == read_to(theirs[-1])


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_listing_that_is_denied_leaves_the_call_to_the_live_rules() -> None:
    error = MediaSourceError("NotAuthorizedException", "no", retryable=False)
    found = look(FakeIndex([], error), "disconnected", after_s=300, ended_s=102)
    assert found.found == RecordLive("NotAuthorizedException")


def test_a_listing_that_fails_for_now_is_tried_again_by_the_engine() -> None:
    error = MediaSourceError("ClientLimitExceededException", "later", retryable=True)
    with pytest.raises(MediaSourceError):
        look(FakeIndex([], error), "disconnected", after_s=300, ended_s=102)


@pytest.mark.parametrize(("hours", "kept"), [(None, False), (0, False), (1, False), (2, True), (24, True)])
def test_two_hours_of_retention_are_the_least(hours: int | None, *, kept: bool) -> None:
    assert keeps_long_enough(hours) is kept


@pytest.mark.parametrize(
    ("hours", "kept"), [(0, "for 0 hours"), (1, "for 1 hour"), (None, "for an unknown time")], ids=str
)
def test_the_warning_says_how_long_the_stream_keeps_audio(hours: int | None, kept: str) -> None:
    warning = retention_too_short(hours)

    assert warning.code == "RETENTION_TOO_SHORT"
    assert warning.detail == f"the stream keeps audio {kept}, archive needs 2 hours: the call was recorded live"
