"""The limits of reading a call's stream: pauses, naps, the stream's head, and how a connection ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connect_audio.core.cursor import Cursor
from connect_audio.core.errors import MediaSourceError
from connect_audio.core.fragments import Fragment
from connect_audio.core.manifest import Reason
from connect_audio.ports import StartSelector
from connect_audio.recorder import Policy
from connect_audio.recorder.call_stream import CallStream, Opened, Quiet, ReadState, Skipped, StreamEvent
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, synthesize_call
from connect_audio_local.synthesis.fragment_writer import write_fragment
from support.calls import call
from support.stream import Stored
from support.world import World, world

STALLED = MediaSourceError("ReadTimeoutError", "silent", retryable=True)
RESET = MediaSourceError("ConnectionResetError", "reset", retryable=True)


def stream_of(at: World, state: ReadState | None = None, cursor: Cursor | None = None) -> CallStream:
    return CallStream(at.ports(), state or ReadState(), cursor or Cursor())


def events(stream: CallStream, count: int) -> list[StreamEvent]:
    """The next events; fragments are accepted."""
    found: list[StreamEvent] = []
    for _ in range(100):
        if len(found) == count:
            break
        event = stream.next() or stream.read()
        if isinstance(event, Fragment):
            stream.accept(event)
        if event is not None:
            found.append(event)
    return found


def data(at: World, index: int) -> bytes:
    """A whole fragment of the stream."""
    return at.source.fragments[index].data


def script(at: World, *steps: float | bytes | MediaSourceError) -> None:
    """The next body: bytes, seconds to wait, or how it breaks off."""

    def body(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        del selected
        for each in steps:
            if isinstance(each, MediaSourceError):
                raise each
            if isinstance(each, bytes):
                yield each
            else:
                at.clock.pass_by(each)

    at.source.bodies.append(body)


# --- pauses between connections --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("jitter", "part"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_a_pause_is_between_half_and_all_of_its_length(jitter: float, part: float) -> None:
    at = world(call(1))
    stream = CallStream(replace(at.ports(), jitter=lambda: jitter), ReadState(), Cursor())
    for _ in range(6):
        stream.back_off(100.0)

    assert at.clock.slept == [part * each for each in (0.5, 1, 2, 4, 8)]


def test_a_pause_doubles_sixteen_times_at_most() -> None:
    at = world(call(1), policy=Policy(first_backoff=1, longest_backoff=10**9))
    stream = stream_of(at)
    for _ in range(20):
        stream.back_off(10**9)

    assert at.clock.slept[14:] == [2**14, 2**15, 2**16, 2**16, 2**16]


def test_a_new_fragment_ends_the_pauses() -> None:
    at = world(call(2))
    stream = stream_of(at)
    exhausted = []
    for _ in range(4):
        exhausted.append(stream.is_exhausted)
        stream.back_off(100.0)
    assert exhausted == [False, True, True, True]
    was_exhausted = stream.is_exhausted
    events(stream, 2)
    assert (was_exhausted, stream.is_exhausted) == (True, False)
    stream.back_off(100.0)
    assert at.clock.slept == [0.5, 1, 2]


# --- naps ------------------------------------------------------------------------------------------------------------


def waiting(*, behind_ms: int | None = 0, waited_s: float = 1.0, faster_ms: int = 0) -> tuple[World, CallStream]:
    """A stream whose newest read waited, behind two fragments.

    Args:
        behind_ms: how far they say that they are behind the head, ms.
        waited_s: how long the read waited, s.
        faster_ms: how much sooner the second one came than its own time says, ms.
    """
    at = world(call(4))
    for index, each in enumerate(synthesize_call(call(4))):
        told = write_fragment(replace(each.contents, millis_behind_now=behind_ms))
        at.source.fragments[index] = replace(at.source.fragments[index], data=told)
    script(at, data(at, 0), 1.024 - faster_ms / 1000, data(at, 1), waited_s, data(at, 2)[:5000])
    stream = stream_of(at)
    events(stream, 3)
    assert stream.next() is None
    assert stream.read() is None
    return at, stream


@pytest.mark.parametrize(("waited_s", "naps"), [(0.004, 0), (0.006, 1), (3.0, 1)])
def test_a_read_that_waited_is_followed_by_a_nap(waited_s: float, naps: int) -> None:
    at, stream = waiting(waited_s=waited_s)
    stream.nap(1000.0, 10.0)
    assert len(at.clock.slept) == naps
    # One nap for each wait.
    stream.nap(1000.0, 10.0)
    assert len(at.clock.slept) == naps


@pytest.mark.parametrize(
    ("deadline_s", "longest_s", "slept"), [(1000.0, 10.0, [1.0]), (1000.0, 0.25, [0.25]), (1000.0, 0.0, [])]
)
def test_a_nap_is_as_long_as_its_limits_allow(deadline_s: float, longest_s: float, slept: list[float]) -> None:
    at, stream = waiting()
    stream.nap(deadline_s, longest_s)

    assert at.clock.slept == slept


@pytest.mark.parametrize(("left_s", "slept"), [(0.5, [0.5]), (0.0, []), (-3.0, [])])
def test_a_nap_ends_with_the_deadline(left_s: float, slept: list[float]) -> None:
    at, stream = waiting()
    stream.nap(at.clock.monotonic() + left_s, 10.0)

    assert at.clock.slept == pytest.approx(slept)


@pytest.mark.parametrize(
    ("behind_ms", "faster_ms", "naps"), [(0, 0, 1), (2_000, 0, 1), (2_001, 0, 0), (None, 0, 0), (0, 1_000, 1)]
)
def test_a_reader_near_the_head_naps(behind_ms: int | None, faster_ms: int, naps: int) -> None:
    at, stream = waiting(behind_ms=behind_ms, faster_ms=faster_ms)
    stream.nap(1000.0, 10.0)

    assert len(at.clock.slept) == naps


@pytest.mark.parametrize(("last", "naps"), [(9, 1), (10, 0)])
def test_a_reader_outruns_the_clock_by_its_blocks_times_alone(last: int, naps: int) -> None:
    at = world(call(12 * 1.024))
    # Every producer timestamp says the same; the Clusters say when their blocks were.
    told = [
        write_fragment(
            replace(
                each.contents,
                millis_behind_now=0,
                producer_ms=DEFAULT_START_MS,
                cluster_ms=each.contents.producer_ms,
            )
        )
        for each in synthesize_call(call(12 * 1.024))
    ]
    script(at, *told[: last + 1], 1.0, told[0][:5000])
    stream = stream_of(at)
    events(stream, last + 2)
    assert stream.next() is None
    assert stream.read() is None
    stream.nap(1000.0, 10.0)

    assert len(at.clock.slept) == naps


def test_without_a_connection_there_is_no_nap() -> None:
    at = world(call(1))
    stream_of(at).nap(1000.0, 10.0)

    assert at.clock.slept == []


# --- the stream's head -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("waited_s", "is_head"), [(0.5, True), (0.49, False), (30.0, True)])
def test_a_wait_between_fragments_is_the_stream_s_head(waited_s: float, is_head: bool) -> None:  # noqa: FBT001
    at = world(call(3))
    at.clock.pass_by(1000.0)
    script(at, data(at, 0), waited_s, data(at, 1))
    stream = stream_of(at)
    events(stream, 2)
    read_to_ms = stream.state.read_to_ms
    asked_ms = at.clock.now_ms()
    assert stream.next() is None
    stream.read()

    assert stream.state.read_to_ms == (asked_ms if is_head else read_to_ms)


def test_a_wait_within_a_fragment_is_a_stall() -> None:
    at = world(call(3))
    at.clock.pass_by(1000.0)
    whole = at.source.fragments[1].data
    script(at, data(at, 0), whole[:9000], 30.0, whole[9000:])
    stream = stream_of(at)
    events(stream, 2)
    read_to_ms = stream.state.read_to_ms
    for _ in range(2):
        assert stream.next() is None
        stream.read()

    assert stream.state.read_to_ms == read_to_ms


@pytest.mark.parametrize(("waited_s", "met"), [(0.5, True), (0.4, False)])
@pytest.mark.parametrize("how", [STALLED, RESET])
def test_silence_at_the_head_is_met_if_the_read_waited_and_did_not_break(
    how: MediaSourceError,
    waited_s: float,
    met: bool,  # noqa: FBT001
) -> None:
    at = world(call(1))
    script(at, data(at, 0), waited_s, how)
    stream = stream_of(at)
    *_, quiet = events(stream, 3)
    failure = None if how is STALLED else Reason("SOURCE_FAILED", "the stream could not be read: ConnectionResetError")

    assert quiet == Quiet(how.code, failure)
    assert stream.met_silence is (met and how is STALLED)


@pytest.mark.parametrize(
    ("how", "detail"), [(STALLED, "it stalled within a fragment"), (RESET, "ConnectionResetError")]
)
def test_a_connection_that_ends_within_a_fragment_was_not_listened_to(how: MediaSourceError, detail: str) -> None:
    at = world(call(2))
    script(at, data(at, 0), data(at, 1)[:9000], 5.0, how)
    stream = stream_of(at)
    *_, quiet = events(stream, 3)

    assert quiet == Quiet(how.code, Reason("SOURCE_FAILED", f"the stream could not be read: {detail}"))
    assert not stream.met_silence
    assert stream.waits_for_cut


def test_a_connection_that_meets_damage_was_not_listened_to() -> None:
    at = world(call(2))
    script(at, data(at, 0), bytes(50))
    *_, quiet = events(stream_of(at), 3)

    assert quiet == Quiet("EbmlError", Reason("SOURCE_FAILED", "the stream could not be read: EbmlError"))


def test_the_end_of_a_body_between_fragments_is_silence() -> None:
    at = world(call(1))
    script(at, data(at, 0))
    stream = stream_of(at)
    *_, quiet = events(stream, 3)

    assert quiet == Quiet("end of body")
    assert stream.met_silence
    assert (stream.state.reconnects, stream.opened_s) == (1, None)
    assert events(stream, 1) == [Opened()]
    assert not stream.met_silence


# --- what was not read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retention", "away_s", "unread_s"), [(0, 269, 0), (0, 270, 270), (None, 300, 300), (24, 900, 0)]
)
def test_a_stream_that_keeps_nothing_was_not_read_for_so_long(
    retention: int | None, away_s: int, unread_s: int
) -> None:
    at = world(call(1))
    stream = stream_of(at, ReadState(retention_hours=retention, read_to_ms=DEFAULT_START_MS))
    at.clock.pass_by(away_s)
    events(stream, 1)

    assert stream.state.unread_s == unread_s


def test_the_longest_time_without_reading_is_kept_until_audio_comes() -> None:
    at = world(call(1))
    stream = stream_of(at, ReadState(read_to_ms=DEFAULT_START_MS, unread_s=400))
    at.clock.pass_by(300)
    events(stream, 1)
    assert stream.state.unread_s == 400
    stream.audio_came()
    assert stream.state.unread_s == 0


def test_what_expired_is_told_once() -> None:
    gone, broken = Reason("MEDIA_EXPIRED", "KVS does not find it"), Reason("IN_BAND_ERROR", "KVS reports 5000")
    for skipped, codes in (((gone,), ["MEDIA_EXPIRED"]), ((broken,), ["IN_BAND_ERROR", "MEDIA_EXPIRED"])):
        state = ReadState(newest="7", skipped=tuple(Skipped(each, 1, None) for each in skipped))
        assert [each.code for each in stream_of(world(call(1)), state).shortcomings()] == codes


@pytest.mark.parametrize(("retention", "is_kept"), [(None, False), (0, False), (1, True), (24, True)])
def test_a_stream_keeps_its_fragments_for_an_hour_at_least(retention: int | None, is_kept: bool) -> None:  # noqa: FBT001
    assert ReadState(retention_hours=retention).is_kept is is_kept


def test_the_newest_fragment_s_time_is_how_far_the_stream_is_read() -> None:
    at = world(call(2))
    at.clock.pass_by(0.1)
    stream = stream_of(at)
    events(stream, 2)
    # The server took it 170 ms after its beginning: not beyond the present.
    assert stream.state.read_to_ms == at.clock.now_ms()
    at.clock.pass_by(1000.0)
    events(stream, 1)

    assert stream.state.read_to_ms == DEFAULT_START_MS + 1024 + 170


def test_observation_counts_from_the_last_failure() -> None:
    at = world(call(1))
    stream = stream_of(at)
    at.clock.pass_by(7.0)
    assert stream.observed_s == 7.0
    stream.watch_anew()
    at.clock.pass_by(2.0)
    assert stream.observed_s == 2.0
