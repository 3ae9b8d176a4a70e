"""Refusals, malformed bytes, errors inside the stream: what is done about them, and that no loss is silent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connect_audio.core.errors import MediaSourceError
from connect_audio.core.manifest import EndReason
from connect_audio.ports import AfterFragment, ContactState, FromProducerTime, StartSelector
from connect_audio.recorder import Checkpoint, OutcomeStatus
from connect_audio.recorder.call_stream import ReadState
from connect_audio.recorder.step_result import Over
from connect_audio_local.synthesis.fragment_writer import FragmentContents, FragmentLayout, InBandError, write_fragment
from support.calls import call
from support.log_lines import LogLines
from support.stream import Body, Stored
from support.wav import same_wav, wav_of_call
from support.world import World, world

SECONDS = 20


def error_fragment(code: int, *, token: bool = False, number: str = "1") -> bytes:
    contents = FragmentContents(
        number=number, producer_ms=1, server_ms=1, contact_id=None, instance_id=None, error=InBandError(code, str(code))
    )
    return write_fragment(contents, FragmentLayout(continuation_token=token))


def after(count: int, tail: bytes) -> Body:
    """A body of so many fragments and then other bytes."""

    def body(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected[:count]:
            yield each.data
        yield tail

    return body


def damaged(at: World, index: int, *, at_byte: int = 20_000) -> None:
    """Damage one fragment for good: more bytes than a block, so that a header is among them."""
    each = at.source.fragments[index]
    data = each.data[:at_byte] + bytes(1100) + each.data[at_byte + 1100 :]
    at.source.fragments[index] = replace(each, data=data)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "NotAuthorizedException"])
def test_a_stream_that_only_a_human_can_mend_is_given_up_after_a_minute_with_its_reason(code: str) -> None:
    at = world(call(SECONDS), status=ContactState.CONNECTED)
    at.source.refusal = MediaSourceError(code, "no", retryable=False)
    run = at.run()
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert run.outcome.status is OutcomeStatus.EMPTY
    assert run.manifest["reasons"][0] == {
        "code": "SOURCE_FAILED",
        "detail": f"the stream could not be read: {code}",
    }
    assert 60 <= at.clock.monotonic() <= 120


def test_a_refusal_that_passes_costs_nothing() -> None:
    ours = call(SECONDS)
    at = world(ours)
    at.source.bodies.extend([MediaSourceError("NotAuthorizedException", "not yet", retryable=False)] * 3)
    at.logger = log = LogLines()
    run = at.run()
    assert log.of("stream cannot be read") == [
        ("warning", {"code": "NotAuthorizedException", "retryable": False}),
    ]
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_throttles_go_on_being_tried_until_the_idle_limit_with_growing_pauses() -> None:
    at = world(call(SECONDS), status=ContactState.CONNECTED)
    at.source.refusal = MediaSourceError("ClientLimitExceededException", "too many", retryable=True)
    run = at.run()
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert at.clock.monotonic() >= 600
    assert at.clock.slept[:5] == [0.5, 1, 2, 4, 8]
    assert len(at.source.selectors) < 150


def test_a_refusal_after_half_of_the_call_leaves_the_other_half_as_partial() -> None:
    at = world(call(SECONDS), status=ContactState.CONNECTED)
    at.source.bodies.append(after(10, b""))
    at.source.refusal = MediaSourceError("ResourceNotFoundException", "gone", retryable=False)
    run = at.run()
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.outcome.duration_s == pytest.approx(10.24)
    assert run.reasons == ["SOURCE_FAILED"]


def test_a_connection_that_breaks_loses_nothing() -> None:
    ours = call(SECONDS)
    at = world(ours)

    def breaks(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        yield selected[0].data + selected[1].data[:5000]
        raise MediaSourceError("ProtocolError", "reset", retryable=True)

    at.source.bodies.extend([breaks] * 8)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE


# --- malformed bytes -------------------------------------------------------------------------------------------------


def test_bytes_that_were_malformed_once_are_read_again_and_nothing_is_lost() -> None:
    ours = call(SECONDS)
    at = world(ours)
    whole = at.source.fragments[5].data
    at.source.bodies.append(after(5, whole[:9000] + b"\x00" * 600))
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert at.source.selectors[1] == AfterFragment(at.source.fragments[4].number)


def test_bytes_that_are_malformed_twice_are_salvaged_and_the_loss_is_counted() -> None:
    ours = call(SECONDS)
    at = world(ours)
    damaged(at, 5)
    at.logger = log = LogLines()
    run = at.run()
    assert [level for level, _ in log.of("stream damaged twice at one place")] == ["warning"]
    assert ("debug", {"cause": "EbmlError", "after": at.source.fragments[4].number}) in log.of("stream read again")
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.reasons == ["TRUNCATED_FRAGMENTS", "LOST_BYTES", "STREAM_HOLES"][: len(run.reasons)]
    assert run.manifest["fragments"]["truncated"] == 1
    assert run.manifest["lostByteRuns"] == 1
    assert 0 < run.manifest["lostBytes"] < 20_000
    # All but the damaged half of one fragment is in its place.
    expected = wav_of_call(ours)
    assert len(run.wav) == len(expected)
    start, end = 44 + 5 * 32_768, 44 + 6 * 32_768
    assert same_wav(run.wav[:start], expected[:start])
    assert same_wav(run.wav[end:], expected[end:])


def test_a_damaged_last_fragment_ends_with_the_call_all_the_same() -> None:
    at = world(call(SECONDS))
    damaged(at, -1, at_byte=9_000)
    run = at.run()
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert "TRUNCATED_FRAGMENTS" in run.reasons


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("element_id", [b"\xa3", b"\xa5"], ids=["a block", "something to be passed over"])
def test_a_damaged_size_near_the_end_costs_its_fragment_alone(element_id: bytes, live: bool) -> None:  # noqa: FBT001 - parametrised
    ours = call(SECONDS)
    at = world(ours, live=live)
    assert isinstance(ours.customer, bytes)
    each = at.source.fragments[12]
    # Of the first block; what it would reach over never comes, and the body stays open or ends.
    head = each.data.index(ours.customer[12 * 16_384 :][:1024]) - 4
    start = each.data.rindex(b"\xa3", 0, head)
    width = head - start - 1
    size = ((1 << 7 * width) | 900_000).to_bytes(width)
    at.source.fragments[12] = replace(each, data=each.data[:start] + element_id + size + each.data[head:])
    run = at.run()
    expected = wav_of_call(ours)
    assert len(run.wav) == len(expected)
    before, after = 44 + 12 * 32_768, 44 + 13 * 32_768
    assert same_wav(run.wav[:before], expected[:before])
    assert same_wav(run.wav[after:], expected[after:])
    assert run.outcome.status is OutcomeStatus.PARTIAL


def test_a_last_fragment_that_stays_half_is_not_taken_for_the_end() -> None:
    ours = call(SECONDS)
    at = world(ours, live=True)
    each = at.source.fragments[-1]
    at.source.fragments[-1] = replace(each, data=each.data[: len(each.data) // 2])
    run = at.run()
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.reasons == ["TRUNCATED_FRAGMENTS"]
    expected = wav_of_call(ours)
    assert same_wav(run.wav[44:], expected[44:][: len(run.wav) - 44])


def test_a_cut_fragment_is_waited_for_while_older_ones_come_again() -> None:
    ours = call(SECONDS)
    at = world(ours)
    fragments = at.source.fragments

    def older_ones(_: StartSelector, _selected: list[Stored]) -> Iterator[bytes]:
        for each in fragments[4:7]:
            yield each.data

    at.source.bodies.extend([after(7, fragments[7].data[:9000]), older_ones])
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_a_block_whose_time_is_damaged_covers_nothing_of_the_fragments_behind_it() -> None:
    ours = call(SECONDS)
    at = world(ours)
    assert isinstance(ours.customer, bytes)
    each = at.source.fragments[5]
    time_at = each.data.index(ours.customer[5 * 16_384 + 8192 :][:1024]) - 3
    data = each.data[:time_at] + b"\x0b" * 2200 + each.data[time_at + 2200 :]
    at.source.fragments[5] = replace(each, data=data)
    run = at.run()
    expected = wav_of_call(ours)
    assert same_wav(run.wav[44 + 6 * 32_768 :], expected[44 + 6 * 32_768 :])
    assert same_wav(run.wav[: 44 + 5 * 32_768 + 14_000], expected[: 44 + 5 * 32_768 + 14_000])
    assert "TRUNCATED_FRAGMENTS" in run.reasons


def test_a_block_whose_time_is_damaged_covers_nothing_where_a_whole_block_follows_it_either() -> None:
    ours = call(SECONDS)
    at = world(ours)
    assert isinstance(ours.customer, bytes)
    each = at.source.fragments[5]
    time_at = each.data.index(ours.customer[5 * 16_384 + 8192 :][:1024]) - 3
    later = each.data.index(ours.customer[5 * 16_384 + 8192 + 2048 :][:1024]) - 3
    data = bytearray(each.data)
    data[time_at : time_at + 2] = b"\x0b\x0b"
    data = data[: later + 3] + b"\x0b" * 2200 + data[later + 2203 :]
    at.source.fragments[5] = replace(each, data=bytes(data))
    run = at.run()
    expected = wav_of_call(ours)
    assert same_wav(run.wav[44 + 6 * 32_768 :], expected[44 + 6 * 32_768 :])
    assert "TRUNCATED_FRAGMENTS" in run.reasons


@pytest.mark.parametrize("live", [False, True])
def test_a_last_fragment_damaged_before_its_number_is_one_loss_however_often_it_is_read(live: bool) -> None:  # noqa: FBT001 - parametrised
    at = world(call(SECONDS), live=live)
    damaged(at, -1, at_byte=250)
    run = at.run()
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.reasons == ["LOST_BYTES"]
    assert run.manifest["lostByteRuns"] == 1
    assert 0 < run.manifest["lostBytes"] <= 32_768 + 1100


def test_two_fragments_in_a_row_that_are_damaged_before_their_numbers_hold_up_nothing() -> None:
    ours = call(SECONDS)
    at = world(ours)
    damaged(at, 5, at_byte=250)
    damaged(at, 6, at_byte=250)
    run = at.run()
    expected = wav_of_call(ours)
    assert len(run.wav) == len(expected)
    end = 44 + 7 * 32_768
    assert same_wav(run.wav[end:], expected[end:])
    assert run.manifest["lostByteRuns"] == 2
    assert run.outcome.end_reason is EndReason.DISCONNECTED


def test_two_damaged_fragments_are_two_losses() -> None:
    at = world(call(SECONDS))
    damaged(at, 3)
    damaged(at, 9)
    run = at.run()
    assert run.manifest["fragments"]["truncated"] == 2
    assert run.manifest["lostByteRuns"] == 2
    assert sum(result.repairs for result in run.results) == 2


def test_a_cut_after_a_salvage_is_read_again_as_ever() -> None:
    at = world(call(SECONDS))
    damaged(at, 3)
    twelfth = at.source.fragments[12].data
    # The second connection finds the damage again, salvages it, and is cut nine fragments later.
    at.source.bodies.extend([None, after(9, twelfth[:20_000])])
    run = at.run()
    assert run.manifest["fragments"]["truncated"] == 1
    assert run.manifest["tracks"]["customer"]["audioSamples"] > (SECONDS - 1) * 8000


def test_a_stream_that_is_no_mkv_at_all_has_failed_after_the_idle_limit_without_spinning() -> None:
    at = world(call(1), status=ContactState.CONNECTED)
    at.source.fragments = [Stored("7", 0, 2**60, b"this is no matroska" * 500)]
    run = at.run()
    # Nobody can tell whether there was silence behind the garbage.
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert run.outcome.status is OutcomeStatus.EMPTY
    assert len(at.source.selectors) < 200


# --- errors inside the stream ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize("code", [3002, 4503, 5000, 9999])
def test_a_passing_error_inside_the_stream_is_noted_and_the_stream_read_again(code: int, token: bool) -> None:  # noqa: FBT001 - parametrised
    ours = call(SECONDS)
    at = world(ours)
    at.source.bodies.append(after(5, error_fragment(code, token=token)))
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert [error["code"] for error in run.manifest["inBandErrors"]["listed"]] == [code]
    assert at.source.selectors[1] == AfterFragment(at.source.fragments[4].number)


@pytest.mark.parametrize("token", [False, True])
@pytest.mark.parametrize("code", [4500, 4501, 4502, 4504, 4505, 4506])
def test_an_error_that_only_a_human_can_mend_ends_the_recording_with_aws_s_meaning(code: int, token: bool) -> None:  # noqa: FBT001 - parametrised
    at = world(call(SECONDS))
    at.source.bodies.append(after(5, error_fragment(code, token=token)))
    run = at.run()
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.reasons == ["IN_BAND_ERROR"]
    assert f"KVS reports {code} inside the stream: " in run.manifest["reasons"][0]["detail"]
    assert run.outcome.duration_s == pytest.approx(5.12)


def gone(at: World, index: int, count: int = 1) -> None:
    """KVS reports in place of some fragments that they are not found, and ends the body there."""
    numbers = {each.number for each in at.source.fragments[index:][:count]}

    def body(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected:
            if each.number in numbers:
                yield error_fragment(4000)
                return
            yield each.data

    at.source.bodies.extend([body] * 60)
    at.clock.pass_by(SECONDS)  # no start selector points into the future


@pytest.mark.parametrize("count", [1, 3])
def test_a_fragment_that_is_gone_costs_itself_and_not_the_rest_of_the_call(count: int) -> None:
    ours = call(SECONDS)
    at = world(ours)
    gone(at, 5, count)
    run = at.run()
    expected = wav_of_call(ours)
    start, end = 44 + 5 * 32_768, 44 + (6 if count == 1 else 9) * 32_768
    assert len(run.wav) == len(expected)
    assert same_wav(run.wav[:start], expected[:start])
    assert same_wav(run.wav[end:], expected[end:])
    assert run.reasons == ["MEDIA_EXPIRED", "STREAM_HOLES"]
    assert 4000 in [error["code"] for error in run.manifest["inBandErrors"]["listed"]]


def test_one_empty_body_behind_a_fragment_that_is_gone_is_not_the_stream_s_end() -> None:
    ours = call(SECONDS)
    at = world(ours)
    lost = at.source.fragments[5]
    empty: list[int] = []

    def body(start: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        if isinstance(start, FromProducerTime) and lost.producer_ms < start.ms < lost.at_ms and not empty:
            empty.append(start.ms)
            return
        for each in selected:
            if each.number == lost.number:
                yield error_fragment(4000)
                return
            yield each.data

    at.source.bodies.extend([body] * 60)
    at.clock.pass_by(SECONDS)
    run = at.run()
    assert empty
    assert same_wav(run.wav[44 + 6 * 32_768 :], wav_of_call(ours)[44 + 6 * 32_768 :])
    assert run.reasons == ["MEDIA_EXPIRED", "STREAM_HOLES"]


def test_each_of_two_fragments_that_are_gone_is_passed_over_by_itself_in_a_fresh_invocation_too() -> None:
    # The last fragment is short: what had been skipped before the first one must not be added before the second.
    ours = call(9 * 1.024 + 0.32)
    at = world(ours)
    first = at.source.fragments[3].number
    second = at.source.fragments[8].number

    def body(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected:
            if each.number in {first, second}:
                yield error_fragment(4000)
                return
            yield each.data

    at.source.bodies.extend([body] * 60)
    at.clock.pass_by(SECONDS)
    at.claim()
    # Everything but the end was read by an earlier invocation, which was killed.
    checkpoint = Checkpoint(read=ReadState(retention_hours=24, newest=at.source.fragments[7].number))
    last = at.step(checkpoint)
    while not isinstance(last.next, Over):
        last = at.step(last.checkpoint)
    assert last.checkpoint.cursor.frames == round((9 * 1.024 + 0.32) * 8000)


def test_a_fragment_that_is_gone_behind_a_damaged_one_holds_up_nothing() -> None:
    # Damaged before its number and times, so each connection meets it again, and each time it tells nothing.
    ours = call(SECONDS)
    at = world(ours)
    damaged(at, 5, at_byte=250)
    gone(at, 6)
    run = at.run()
    expected = wav_of_call(ours)
    end = 44 + 7 * 32_768
    assert len(run.wav) == len(expected)
    assert same_wav(run.wav[end:], expected[end:])
    assert "MEDIA_EXPIRED" in run.reasons


def test_a_last_fragment_that_is_gone_is_reported() -> None:
    at = world(call(SECONDS))
    gone(at, -1)
    run = at.run()
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.reasons == ["MEDIA_EXPIRED"]


def test_an_error_that_comes_with_every_connection_is_no_spin() -> None:
    at = world(call(1), status=ContactState.CONNECTED)
    at.source.fragments = [Stored("7", 0, 2**60, error_fragment(5000, token=True))]
    run = at.run()
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert run.reasons[0] == "IN_BAND_ERROR"
    assert len(at.source.selectors) < 200
    assert len(run.manifest["inBandErrors"]["listed"]) <= 100


def test_pauses_between_connections_grow_only_while_nothing_comes() -> None:
    at = world(call(SECONDS), status=ContactState.CONNECTED)
    at.source.bodies.extend([after(0, b"")] * 4 + [after(5, b"")] + [after(0, b"")] * 2)
    at.run()
    assert at.clock.slept[:5] == [0.5, 1, 2, 0.5, 1]


@pytest.mark.parametrize("lost", [0, 1, 5])
def test_a_place_that_expires_while_it_fails_is_told_where_another_contact_s_fragment_comes_behind_it(
    lost: int,
) -> None:
    ours, other = call(SECONDS), call(60, contact_id="00000000-0000-4000-8000-000000000002", seed=9)
    at = world(ours, other, status=ContactState.DISCONNECTED)
    first_of_other = 20
    at.source.bodies.append(after(first_of_other - lost, error_fragment(4000)))
    del at.source.fragments[first_of_other - lost : first_of_other]

    run = at.run()

    assert run.reasons == (["MEDIA_EXPIRED"] if lost else [])
