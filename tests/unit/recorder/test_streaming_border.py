"""A flow that stops and starts streaming within a contact makes two recordings, each with its own audio alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from connect_audio.core.fragments import Completion, Fragment
from connect_audio.core.manifest import EndReason
from connect_audio.ports import ContactState
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.recorder.streaming_border import AskAgain, BorderState, Ours, StreamingBorder, Theirs
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call, fragments
from support.wav import same_wav, wav_of, wav_of_call
from support.world import BUCKET, NAMES, REQUEST, World, world

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
    at.store.put(other_streaming(SECOND_START_MS + skew_ms).claim, b"another", content_type="text/plain")
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
            at.store.put(other_streaming(SECOND_START_MS).claim, b"another", content_type="text/plain")

    at.clock.sleep = sleep_and_start  # type: ignore[method-assign]
    run = at.run()
    assert same_wav(run.wav, wav_of_call(FIRST))
    assert run.outcome.end_reason is EndReason.OTHER_STREAMING


def test_the_second_recording_takes_nothing_of_the_first() -> None:
    at = both()
    at.store.put(other_streaming(DEFAULT_START_MS).key, b"RIFF", content_type="audio/wav")
    at.request = replace(REQUEST, start_timestamp_ms=SECOND_START_MS)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(SECOND))
    assert run.manifest["fragments"]["otherStreaming"] > 0


def test_siblings_are_found_on_the_days_between_and_by_any_of_their_objects() -> None:
    at = world(FIRST)
    others = OtherStreamings(REQUEST, NAMES, at.store)
    assert others.latest_before() is None
    assert others.first_after(DEFAULT_START_MS + 3 * 86_400_000) is None
    late = DEFAULT_START_MS + 2 * 86_400_000 + 123
    at.store.put(other_streaming(late).notes(1, "a"), b"{}", content_type="application/json")
    at.store.put(other_streaming(DEFAULT_START_MS - 1).manifest, b"{}", content_type="application/json")
    at.store.put(NAMES.claim, b"me", content_type="text/plain")
    assert others.first_after(DEFAULT_START_MS + 3 * 86_400_000) == late
    assert others.first_after(late - 1) is None
    assert others.latest_before() == DEFAULT_START_MS - 1


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
    assert OtherStreamings(REQUEST, NAMES, at.store).first_after(SECOND_START_MS) == SECOND_START_MS
    assert listed == [2]  # one request, since a page has 1000 names


# The border alone, without a stream.


def border(at: World, state: BorderState | None = None) -> StreamingBorder:
    others = OtherStreamings(REQUEST, NAMES, at.store)
    return StreamingBorder(state or BorderState(), REQUEST.contact_id, others)


def fragment_at(begin_ms: int, *, server_ms: int | None = None, contact_id: str = REQUEST.contact_id) -> Fragment:
    return Fragment(
        number="1",
        server_timestamp_ms=server_ms,
        producer_timestamp_ms=begin_ms,
        millis_behind_now=None,
        contact_ids=(contact_id,),
        tags=(),
        timecode_scale_ns=1_000_000,
        tracks=(),
        blocks=(),
        errors=(),
        completion=Completion.TOKEN,
        truncation=None,
        offset=0,
        size=0,
    )


END = DEFAULT_START_MS + 20_000
LATE = END + 60_000


def test_only_behind_a_pause_may_a_later_streaming_begin() -> None:
    found = border(world(FIRST))
    assert not found.may_begin_at(END + 499, END)
    assert found.may_begin_at(END + 500, END)
    assert not found.may_begin_at(END + 500, None)
    assert not border(world(FIRST), BorderState(until_ms=LATE)).may_begin_at(LATE, END)
    assert not border(world(FIRST), BorderState(ours_until_ms=LATE)).may_begin_at(LATE, END)


@pytest.mark.parametrize("contact_id", [REQUEST.contact_id, "another"])
def test_without_a_pause_or_of_another_contact_nothing_is_looked_up(contact_id: str) -> None:
    at = world(FIRST)
    at.store.before_call = pytest.fail
    begin_ms = END if contact_id == REQUEST.contact_id else LATE
    fragment = fragment_at(begin_ms, contact_id=contact_id)
    assert border(at).look(fragment, END, arrived_ms=LATE, now_ms=LATE) == Ours()


def test_a_young_fragment_is_looked_at_every_three_seconds_until_the_grace_is_over() -> None:
    found, fragment = border(world(FIRST)), fragment_at(LATE, server_ms=LATE)
    looks = [found.look(fragment, END, arrived_ms=LATE, now_ms=LATE + after) for after in (0, 13_000, 15_000)]
    assert looks == [AskAgain(3.0), AskAgain(2.0), Ours()]
    assert found.state == BorderState(ours_until_ms=LATE)


def test_a_clock_of_the_stream_that_runs_ahead_makes_no_longer_wait_than_the_grace() -> None:
    found, fragment = border(world(FIRST)), fragment_at(LATE, server_ms=LATE + 3_600_000)
    assert found.look(fragment, END, arrived_ms=LATE, now_ms=LATE + 14_999) == AskAgain(0.001)
    assert found.look(fragment, END, arrived_ms=LATE, now_ms=LATE + 15_000) == Ours()


@pytest.mark.parametrize(("start_ms", "until_ms"), [(LATE - 700, LATE - 700), (LATE + 900, LATE)])
def test_the_border_is_the_later_start_or_the_pause_if_that_is_earlier(start_ms: int, until_ms: int) -> None:
    at = world(FIRST)
    at.store.put(other_streaming(start_ms).claim, b"another", content_type="text/plain")
    found = border(at)
    assert found.look(fragment_at(LATE), END, arrived_ms=LATE, now_ms=LATE) == Theirs(until_ms)
    assert found.state == BorderState(until_ms=until_ms)


def test_a_recording_that_began_before_the_pause_is_no_border() -> None:
    at = world(FIRST)
    at.store.put(other_streaming(END - 1000).claim, b"another", content_type="text/plain")
    assert border(at).look(fragment_at(LATE), END, arrived_ms=LATE, now_ms=LATE + 15_000) == Ours()
