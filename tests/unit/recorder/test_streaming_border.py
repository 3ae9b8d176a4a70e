"""A flow that stops and starts streaming within a contact makes two recordings, each with its own audio alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from connect_audio.core.admission import AdmissionState, Label, ProducerSession, StreamingBounds
from connect_audio.core.manifest import EndReason
from connect_audio.ports import ContactState, ObjectKind
from connect_audio.recorder.audio_breaks import Break
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.streaming_border import (
    AskAgain,
    BorderState,
    Ours,
    StreamingBorder,
    Theirs,
    arrival_ms,
)
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, fragment_number
from core_support.fragments_by_hand import START_MS, both_tracks, fragment
from core_support.reading import events_of, fragments_of
from support.calls import call, fragments
from support.examples import few_of
from support.stream import Stored
from support.wav import same_wav, wav_of, wav_of_call
from support.world import BUCKET, NAMES, REQUEST, Run, World, world

PAUSE_MS = 3000
FIRST = call(20, seed=1)
SECOND = call(10, seed=2, pause_ms=PAUSE_MS)
SECOND_START_MS = next(
    each.producer_ms for each in fragments(FIRST, SECOND) if each.producer_ms >= DEFAULT_START_MS + 20_000 + PAUSE_MS
)


def other_streaming(start_ms: int) -> RecordingNames:
    return RecordingNames(BUCKET, replace(REQUEST, start_timestamp_ms=start_ms).recording_key("audio"))


def both(**options: object) -> World:
    return world(FIRST, SECOND, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("skew_ms", [-700, 0, 900], ids="start {} ms after its first fragment".format)
def test_the_first_recording_ends_where_a_later_streaming_with_its_own_recording_begins(skew_ms: int) -> None:
    at = both()
    at.store.put(other_streaming(SECOND_START_MS + skew_ms).claim, b"another", ObjectKind("text/plain"))
    run = at.run()
    assert same_wav(run.wav, wav_of_call(FIRST))
    assert run.manifest["fragments"]["otherStreaming"] == 10
    assert run.manifest["status"] == "complete"
    assert run.outcome.end_reason in {EndReason.OTHER_STREAMING, EndReason.DISCONNECTED}


def test_audio_behind_a_pause_is_ours_where_nothing_else_records_it() -> None:
    run = both().run()
    pause = bytes(16 * PAUSE_MS)
    sides = ((FIRST.customer, SECOND.customer), (FIRST.agent, SECOND.agent))
    customer, agent = (first + pause + second for first, second in sides)  # type: ignore[operator]
    assert same_wav(run.wav, wav_of(customer, agent))
    assert run.manifest["fragments"]["otherStreaming"] == 0


def test_a_recording_that_appears_some_seconds_after_its_audio_is_waited_for() -> None:
    at = both(live=True, status=ContactState.CONNECTED)
    appears_ms = SECOND_START_MS + 8000
    sleep = at.clock.sleep

    def sleep_and_start(seconds: float) -> None:
        sleep(seconds)
        if at.clock.now_ms() >= appears_ms:
            at.store.put(other_streaming(SECOND_START_MS).claim, b"another", ObjectKind("text/plain"))

    at.clock.sleep = sleep_and_start  # type: ignore[method-assign]
    run = at.run()
    assert same_wav(run.wav, wav_of_call(FIRST))
    assert run.outcome.end_reason is EndReason.OTHER_STREAMING


def test_the_second_recording_takes_nothing_of_the_first() -> None:
    at = both()
    at.store.put(other_streaming(DEFAULT_START_MS).key, b"RIFF", ObjectKind("audio/wav"))
    at.request = replace(REQUEST, start_timestamp_ms=SECOND_START_MS)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(SECOND))
    assert run.manifest["fragments"]["otherStreaming"] > 0


def test_siblings_are_found_on_the_days_between_and_by_any_of_their_objects() -> None:
    at = world(FIRST)
    others = OtherStreamings(REQUEST, NAMES, at.store)
    assert others.latest_before() is None
    assert others.first_between(0, DEFAULT_START_MS + 3 * 86_400_000) is None
    late = DEFAULT_START_MS + 2 * 86_400_000 + 123
    at.store.put(other_streaming(late).notes(1, "a"), b"{}", ObjectKind("application/json"))
    at.store.put(other_streaming(DEFAULT_START_MS - 1).manifest, b"{}", ObjectKind("application/json"))
    at.store.put(NAMES.claim, b"me", ObjectKind("text/plain"))
    assert others.first_between(0, DEFAULT_START_MS + 3 * 86_400_000) == late
    assert others.first_between(0, late - 1) is None
    assert others.latest_before() == DEFAULT_START_MS - 1


@pytest.mark.parametrize("off_ms", [0, 1, 999, 86_399_999])
def test_a_later_streaming_is_found_from_midnight_to_midnight(off_ms: int) -> None:
    at = world(FIRST)
    midnight = (DEFAULT_START_MS // 86_400_000 + 1) * 86_400_000
    at.store.put(other_streaming(midnight + off_ms).manifest, b"{}", ObjectKind("application/json"))
    others = OtherStreamings(REQUEST, NAMES, at.store)

    assert others.first_between(midnight - 1, midnight + off_ms) == midnight + off_ms
    assert others.first_between(midnight + off_ms, midnight + 86_400_000) is None


def test_a_look_costs_one_name_for_each_recording_however_many_segments_it_has() -> None:
    at = world(FIRST)
    for start_ms in (DEFAULT_START_MS, SECOND_START_MS):
        prefix = f"{other_streaming(start_ms).key.removesuffix('.wav')}.segments/"
        at.store.objects.update({f"{prefix}{number:06d}.wav": (b"", {}) for number in range(10_000)})
    listed: list[int] = []
    list_level = at.store.list_level

    def counted(prefix: str) -> Sequence[str]:
        names = list_level(prefix)
        listed.append(len(names))
        return names

    at.store.list_level = counted  # type: ignore[method-assign]
    assert OtherStreamings(REQUEST, NAMES, at.store).first_between(0, SECOND_START_MS) == SECOND_START_MS
    assert listed == [2]  # one request, since a page has 1000 names


# --- two recordings of one stream -----------------------------------------------------------------------------------


def both_recordings(gap_ms: int, start_ms: int, jump: int, unlabelled: frozenset[int] = frozenset()) -> tuple[Run, Run]:
    """Record two streamings of one contact in one stream, each after the other's claim.

    Args:
        gap_ms: from the first streaming's end to the second one's begin, by their producers' clocks.
        start_ms: the second one's StartTimestamp, behind its begin.
        jump: step of the producer's count between them.
        unlabelled: fragments of the first one, from 0, without a ContactId.
    """
    first = world(replace(FIRST, unlabelled=unlabelled)).source.fragments
    begin_ms = first[-1].at_ms + gap_ms
    second = [
        renumbered(each, len(first) + jump + index)
        for index, each in enumerate(world(replace(SECOND, start_ms=begin_ms)).source.fragments)
    ]
    requests = [REQUEST, replace(REQUEST, start_timestamp_ms=begin_ms + start_ms)]
    names = [RecordingNames(BUCKET, request.recording_key("audio")) for request in requests]
    runs = []
    for request, other in zip(requests, reversed(names), strict=True):
        at = world()
        at.source.fragments = [*first, *second]
        at.request = request
        at.store.put(other.claim, b"another", ObjectKind("text/plain"))
        runs.append(at.run())
    return runs[0], runs[1]


def renumbered(each: Stored, counter: int) -> Stored:
    number = fragment_number(counter, each.producer_ms)
    return replace(each, number=number, data=each.data.replace(each.number.encode(), number.encode()))


@pytest.mark.parametrize("start_ms", few_of([-3000, -1500, -1499, -1000, -500, -1, 0, 1, 499, 500, 1000, 1500, 4500]))
@pytest.mark.parametrize(("gap_ms", "jump"), [(600, 1), (1000, 1), (3000, 1), (30_000, 1), (-1500, 1), (0, 1000)])
def test_each_second_lies_in_exactly_one_of_two_recordings_however_their_clocks_differ(
    gap_ms: int, jump: int, start_ms: int
) -> None:
    first, second = both_recordings(gap_ms, start_ms, jump)
    assert same_wav(first.wav, wav_of_call(FIRST))
    assert same_wav(second.wav, wav_of_call(SECOND))
    assert [run.manifest["fragments"]["undecidable"] for run in (first, second)] == [0, 0]


@pytest.mark.parametrize("labelled", range(1, 7))
def test_reading_that_begins_among_unlabelled_fragments_takes_none_of_them_for_a_break(labelled: int) -> None:
    count = len(world(FIRST).source.fragments)
    first, second = both_recordings(700, 300, 1, frozenset(range(5, count - labelled)))
    assert same_wav(first.wav, wav_of_call(FIRST))
    assert same_wav(second.wav, wav_of_call(SECOND))
    assert second.manifest["status"] == "complete", second.reasons


def test_two_recordings_in_two_streams_are_whole_however_their_clocks_differ() -> None:
    for start_ms in (-1500, 0, 1500, 4500):
        at = world(SECOND)
        at.store.put(other_streaming(DEFAULT_START_MS - 60_000).key, b"RIFF", ObjectKind("audio/wav"))
        at.request = replace(REQUEST, start_timestamp_ms=DEFAULT_START_MS + start_ms)
        assert same_wav(at.run().wav, wav_of_call(SECOND))


def test_where_no_break_shows_the_earlier_recording_goes_on_and_no_second_lies_in_neither() -> None:
    first, second = both_recordings(0, 0, 1)
    whole = [
        one + two
        for one, two in ((FIRST.customer, SECOND.customer), (FIRST.agent, SECOND.agent))
        if isinstance(one, bytes) and isinstance(two, bytes)
    ]
    assert same_wav(first.wav, wav_of(*whole))
    assert second.wav[44:] == first.wav[-(len(second.wav) - 44) :]


# --- the border alone, without a stream -----------------------------------------------------------------------------


END = DEFAULT_START_MS + 20_000
LATE = END + 60_000


def border(at: World, state: BorderState | None = None) -> StreamingBorder:
    others = OtherStreamings(REQUEST, NAMES, at.store)
    recorded = AdmissionState(label=Label.OURS, end_ms=END)
    return StreamingBorder(state or BorderState(), REQUEST.contact_id, others, recorded)


def break_at(begin_ms: int) -> Break:
    return Break(end_ms=END, begin_ms=begin_ms, number=7)


def test_only_behind_a_pause_may_a_later_streaming_begin() -> None:
    found = border(world(FIRST))
    assert not found.may_begin_at(END + 499)
    assert found.may_begin_at(END + 500)
    assert not border(world(FIRST), BorderState(until=1)).may_begin_at(LATE)


def test_the_next_step_knows_how_long_missing_fragments_are() -> None:
    """A short last fragment behind a missing one of full length: no later streaming begins with it."""
    contact, first, at_ms = REQUEST.contact_id, fragment(1, REQUEST.contact_id), 3 * 1024
    last = fragment(3, contact, blocks=both_tracks(at_ms, blocks=4))
    before = border(world(FIRST))
    assert before.reach(fragment(0, contact)) is not None  # the recording's end in the state is long before it
    assert before.reach(first) is None
    others = OtherStreamings(REQUEST, NAMES, world(FIRST).store)
    recorded = AdmissionState(label=Label.OURS, end_ms=START_MS + 2048, session=ProducerSession(first=0, last=1))

    after = StreamingBorder(before.state, contact, others, recorded, first.number)

    assert after.reach(last) is None


def test_a_young_break_is_asked_about_every_three_seconds_until_the_grace_is_over() -> None:
    found = border(world(FIRST))
    looks = [found.ask(break_at(LATE), came_ms=LATE, now_ms=LATE + after) for after in (0, 13_000, 15_000)]
    assert looks == [AskAgain(3.0), AskAgain(2.0), Ours()]
    assert found.state == BorderState(ours_until=7)


def test_a_clock_of_the_stream_that_runs_ahead_makes_no_longer_wait_than_the_grace() -> None:
    stored = world(FIRST).source.fragments[0]
    (read,) = fragments_of(events_of([stored.data]))
    assert read.server_timestamp_ms is not None
    assert arrival_ms(read, read.server_timestamp_ms - 3_600_000) == read.server_timestamp_ms - 3_600_000
    assert arrival_ms(read, read.server_timestamp_ms + 1) == read.server_timestamp_ms


@pytest.mark.parametrize("start_ms", [LATE - 700, LATE + 900, END + 1, LATE + 4500])
def test_a_recording_that_fits_the_break_is_a_border(start_ms: int) -> None:
    at = world(FIRST)
    at.store.put(other_streaming(start_ms).claim, b"another", ObjectKind("text/plain"))
    found = border(at)
    assert found.ask(break_at(LATE), came_ms=LATE, now_ms=LATE) == Theirs()
    assert found.bounds == StreamingBounds(until=7)


@pytest.mark.parametrize("start_ms", [END - 1000, LATE + 4501, DEFAULT_START_MS - 1, DEFAULT_START_MS])
def test_a_recording_that_began_elsewhere_is_no_border(start_ms: int) -> None:
    at = world(FIRST)
    at.store.put(other_streaming(start_ms).claim, b"another", ObjectKind("text/plain"))
    assert border(at).ask(break_at(LATE), came_ms=LATE, now_ms=LATE + 15_000) == Ours()
