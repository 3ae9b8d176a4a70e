"""The stream of one call, read from a position for ever: events, positions, second readings, naps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from connect_audio.core.cursor import Cursor, NeighbourState
from connect_audio.core.errors import MediaSourceError
from connect_audio.core.fragments import Fragment
from connect_audio.core.manifest import Reason
from connect_audio.live import Inline, LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.ports import AfterFragment, ContactState, FromProducerTime, StartSelector
from connect_audio.recorder import HandOver, Policy
from connect_audio.recorder.call_stream import (
    CallStream,
    Denied,
    Opened,
    Quiet,
    ReadState,
    Skipped,
    StreamEvent,
)
from connect_audio.recorder.policy import EARLY_MS
from connect_audio.sinks import AudioSink, LiveSegment
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call
from support.live_sinks import LOGGER, Blocks, Segments
from support.stream import Body, Stored
from support.wav import same_wav, wav_of_call
from support.world import KEPT, World, world

SLICES = 16
"""Pieces in which a fragment of a live call arrives: one a block of 64 ms."""


def stream_of(at: World, state: ReadState | None = None, cursor: Cursor | None = None) -> CallStream:
    return CallStream(at.ports(), state or ReadState(), cursor or Cursor())


def step(stream: CallStream) -> StreamEvent | None:
    """Take the next event, reading once where it asks for bytes."""
    return stream.next() or stream.read()


def whole(stream: CallStream) -> Fragment:
    """Go on to the next whole fragment."""
    while True:
        event = step(stream)
        if isinstance(event, Fragment):
            return event


def test_reading_begins_before_the_start_and_goes_on_behind_the_newest_accepted_fragment() -> None:
    at = world(call(3))
    stream = stream_of(at)
    first = whole(stream)
    stream.accept(first)
    second = whole(stream)
    stream.close()
    assert whole(stream).number == second.number
    assert at.source.selectors == [
        FromProducerTime(DEFAULT_START_MS - EARLY_MS),
        AfterFragment(str(first.number)),
    ]


def test_a_stream_begins_behind_the_cursor_s_fragment() -> None:
    at = world(call(3))
    number = at.source.fragments[1].number
    assert whole(stream_of(at, cursor=Cursor(fragment=number))).number == at.source.fragments[2].number
    assert at.source.selectors == [AfterFragment(number)]


def test_next_never_waits_for_bytes() -> None:
    at = world(call(3))
    stream = stream_of(at)
    assert stream.next() == Opened()
    assert stream.next() is None
    assert stream.next() is None
    assert at.source.reads == 0


def test_a_body_that_ends_is_quiet_and_counted_as_a_reconnect() -> None:
    at = world(call(1))
    at.source.fragments.clear()
    stream = stream_of(at)
    assert [step(stream) for _ in range(4)] == [Opened(), None, Quiet("end of body"), Opened()]
    assert stream.state.reconnects == 1


def test_a_stream_that_cannot_be_opened_is_denied() -> None:
    at = world(call(1))
    at.source.refusal = error = MediaSourceError("NotAuthorizedException", "no", retryable=False)
    stream = stream_of(at)
    assert [step(stream), step(stream)] == [Denied(error), Denied(error)]
    assert stream.state.reconnects == 0


def test_an_accepted_fragment_is_new_once() -> None:
    at = world(call(3))
    stream = stream_of(at, ReadState(newest=at.source.fragments[0].number))
    first = whole(stream)
    assert (stream.lacks_known, stream.accept(first).is_new, stream.lacks_known) == (True, False, False)
    second = whole(stream)
    assert stream.accept(second).is_new
    assert stream.state.newest == second.number


def test_a_fresh_invocation_reads_nothing_again_only_behind_the_newest_fragment() -> None:
    at = world(call(3))
    stream = stream_of(at)
    first = whole(stream)
    stream.accept(first)
    assert stream.stands_at(first.number)
    stream.accept(whole(stream))
    assert not stream.stands_at(first.number)


@pytest.mark.parametrize(("retention", "codes"), [(0, ["MEDIA_EXPIRED"]), (24, [])])
def test_what_expired_before_it_came_again_is_a_shortcoming_though_newer_fragments_follow(
    retention: int, codes: list[str]
) -> None:
    at = world(call(5))
    numbers = [each.number for each in at.source.fragments]
    # The cursor stands behind the first fragment, an earlier step read three, and two have expired since.
    del at.source.fragments[1:3]
    stream = stream_of(at, ReadState(newest=numbers[2], retention_hours=retention), Cursor(fragment=numbers[0]))
    stream.accept(whole(stream))
    assert [reason.code for reason in stream.shortcomings()] == codes

    later = stream_of(at, stream.state, Cursor(fragment=numbers[3]))
    assert [reason.code for reason in later.shortcomings()] == codes
    later.audio_came()
    assert later.shortcomings() == ()


def test_a_stream_whose_last_two_fragments_changed_places_lacks_nothing_known() -> None:
    at = world(call(3))
    stored = at.source.fragments
    stored[1:3] = stored[2], stored[1]
    stream = stream_of(at)
    for _ in range(3):
        stream.accept(whole(stream))
    assert (stream.state.newest, stream.lacks_known) == (stored[1].number, False)

    marked = NeighbourState(last_admitted=stored[1].number)
    after = stream_of(at, stream.state, Cursor(fragment=stored[2].number, neighbours=marked))
    assert (after.lacks_known, after.shortcomings()) == (False, ())


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (ReadState(), None),
        (
            ReadState(skipped=(Skipped(Reason("MEDIA_EXPIRED", "KVS does not find it"), 3, None),)),
            "KVS does not find it; 3 places were skipped for it, after several tries",
        ),
        (
            ReadState(newest="7"),
            (
                "fragments read before the last hand-over, and not yet settled, had expired in the stream when they "
                "were to be read again"
            ),
        ),
        (
            ReadState(unread_s=300),
            "the stream was not read for 300 s, and is not known to keep anything for so long",
        ),
    ],
)
def test_a_loss_that_fragment_numbers_do_not_show_is_a_shortcoming(state: ReadState, detail: str | None) -> None:
    found = stream_of(world(call(1)), state).shortcomings()
    assert [(each.code, each.detail) for each in found] == ([] if detail is None else [("MEDIA_EXPIRED", detail)])


def test_the_pause_between_connections_doubles_and_never_outlasts_the_step() -> None:
    at = world(call(1))
    stream = stream_of(at)
    for _ in range(8):
        stream.back_off(5.0)
    assert at.clock.slept == [0.5, 1, 2, 4, 5, 5, 5]
    stream.back_off(-1.0)
    assert at.clock.slept[-1] == 0


# Naps.


def paced(at: World, slices: int = SLICES) -> Body:
    """A body that comes at the pace of the call, in slices; a read takes all that has gathered."""

    def body(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        pieces = [piece for each in selected for piece in sliced(each, slices)]
        while pieces:
            at.clock.pass_by(max(0.0, (pieces[0][0] - at.clock.now_ms()) / 1000))
            gathered = b""
            while pieces and pieces[0][0] <= at.clock.now_ms():
                gathered += pieces.pop(0)[1]
            yield gathered

    return body


def sliced(each: Stored, slices: int) -> Sequence[tuple[int, bytes]]:
    """When each slice of a fragment arrives, ms since the epoch, and its bytes."""
    size = -(-len(each.data) // slices)
    took_ms = (each.at_ms - each.producer_ms) / slices
    return [
        (round(each.producer_ms + took_ms * (index + 1)), each.data[index * size : (index + 1) * size])
        for index in range(slices)
    ]


def live(seconds: float, policy: Policy | None = None) -> World:
    at = world(call(seconds), status=ContactState.CONNECTED, policy=policy)
    at.status.disconnected_at_ms = at.source.fragments[-1].at_ms
    at.source.bodies.append(paced(at))
    return at


def without_lag(at: World, behind: bytes) -> None:
    """Let the stream say something else of how far it is behind."""
    tag = b"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"
    for index, each in enumerate(at.source.fragments):
        at.source.fragments[index] = replace(each, data=each.data.replace(tag, behind))


def test_a_live_call_without_sinks_is_read_twice_a_second_and_recorded_whole() -> None:
    ours, at = call(60), live(60)
    reads: list[int] = []
    run = at.run(on_result=lambda _: reads.append(at.source.reads))
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status == "complete"
    assert reads[0] < 60 * 2.5
    assert at.clock.slept.count(1.0) > 50


def into_sink(at: World, sink: AudioSink) -> World:
    def pipeline(state: LiveState | None) -> LivePipeline:
        return LivePipeline([NamedSink.of("a", sink)], LivePolicy(), at.clock, LOGGER, state=state, driver=Inline)

    at.live = pipeline
    return at


class TimedSegments(Segments):
    """Notes when each segment comes."""

    def __init__(self, at: World) -> None:
        super().__init__()
        self.came_s: list[float] = []
        self._clock = at.clock

    def deliver_segment(self, segment: LiveSegment) -> None:
        self.came_s.append(round(self._clock.monotonic(), 3))
        super().deliver_segment(segment)


def test_a_live_call_with_a_sink_for_blocks_has_no_naps() -> None:
    at = into_sink(live(20), Blocks())
    at.run()
    assert at.source.reads > len(at.source.fragments) * SLICES


@pytest.mark.parametrize("slices", [SLICES, 1])
def test_naps_between_segments_delay_no_segment_block_by_block_and_in_bursts(slices: int) -> None:
    reads, came_s = [], []
    for nap in (0.0, 1.0):
        at = live(60, Policy(nap=nap))
        at.source.bodies[0] = paced(at, slices)
        sink = TimedSegments(at)
        into_sink(at, sink).run()
        reads.append(at.source.reads)
        came_s.append(sink.came_s[:-1])
    assert came_s[1] == came_s[0]
    assert len(came_s[0]) >= 58
    assert reads[1] < reads[0] / 2 or slices == 1


def test_a_reader_whose_distance_from_the_head_is_unknown_has_no_naps() -> None:
    at = live(20)
    without_lag(at, b"AWS_KINESISVIDEO_MILLIS_BEHIND_NOT")
    at.run()
    assert at.source.reads > len(at.source.fragments) * SLICES


def test_a_stream_that_comes_faster_than_its_own_time_has_one_nap_at_most() -> None:
    at = live(100, Policy(nap=0.75))
    for index, each in enumerate(at.source.fragments):
        hurried_ms = DEFAULT_START_MS + (each.at_ms - DEFAULT_START_MS) // 50
        began_ms = DEFAULT_START_MS + (each.producer_ms - DEFAULT_START_MS) // 50
        at.source.fragments[index] = replace(each, producer_ms=began_ms, at_ms=hurried_ms)
    at.run()
    assert at.clock.slept.count(0.75) <= 1


def test_a_reader_that_finds_bytes_waiting_has_no_naps() -> None:
    at = world(call(20))
    at.run()
    assert 1.0 not in at.clock.slept[:1]
    assert at.clock.monotonic() < 60


def test_a_nap_ends_with_the_step() -> None:
    at = live(60, Policy(nap=30))
    at.claim()
    result = at.step(KEPT, budget_s=20.5)
    assert result.next == HandOver()
    assert at.clock.monotonic() <= 20.5 + 0.064


def test_a_nap_delays_the_end_of_a_call_by_no_more_than_itself() -> None:
    ends = []
    for nap in (0.0, 1.0):
        at = live(30, Policy(nap=nap))
        assert at.run().outcome.status == "complete"
        ends.append(at.clock.monotonic())
    assert ends[0] <= ends[1] <= ends[0] + 1.0
