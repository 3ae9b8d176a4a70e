"""A connection that failed was not listened to: neither drain nor idle limit passes through it, and a loss is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.errors import MediaSourceError
from connect_audio.core.manifest import EndReason
from connect_audio.ports import AfterFragment, ContactState, FromProducerTime
from connect_audio.recorder import OutcomeStatus, Policy
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from connect_audio_local.synthesis.fragment_writer import FragmentContents, FragmentLayout, InBandError, write_fragment
from support.calls import call
from support.examples import few_of
from support.stream import Stored
from support.wav import same_wav, wav_of, wav_of_call
from support.world import Run, World, world

SECONDS = 60
FAILING = 20
RESET = MediaSourceError("ConnectionError", "reset by peer", retryable=True)
STALL = MediaSourceError("ReadTimeoutError", "silent", retryable=True)
PASSING_CODES = [5000, 3002, 4503, 9999]
GONE_CODES = [3000, 4000]


def error_document(code: int) -> bytes:
    contents = FragmentContents(
        number="1", producer_ms=1, server_ms=1, contact_id=None, instance_id=None, error=InBandError(code, str(code))
    )
    return write_fragment(contents, FragmentLayout(continuation_token=False))


def half(each: Stored) -> bytes:
    return each.data[: len(each.data) // 2]


def between_blocks(each: Stored) -> bytes:
    """The beginning of a fragment up to the end of a block in its midst."""
    middle = len(each.data) // 2
    return each.data[: each.data.index(b"\xa3\x01\x00\x00\x00\x00\x00\x04\x04", middle)]


def trouble(kind: str, each: Stored) -> tuple[bytes, MediaSourceError | None]:
    """What every body holds in the place of a fragment."""
    return {
        "reset at once": (b"", RESET),
        "reset within": (half(each), RESET),
        "cut within": (half(each), None),
        "cut between two blocks": (between_blocks(each), None),
        "stall within": (half(each), STALL),
        "error at once": (error_document(5000), None),
        "error within": (between_blocks(each) + error_document(5000), None),
    }[kind]


KINDS = [
    "reset at once",
    "reset within",
    "cut within",
    "cut between two blocks",
    "stall within",
    "error at once",
    "error within",
]


def fails_at(at: World, index: int, data: bytes, error: MediaSourceError | None = None) -> None:
    at.source.in_place_of[at.source.fragments[index].number] = (data, error)


def lost_one(run: Run, at: World, index: int, most_s: float = 300) -> None:
    """Assert that all but one fragment is in its place, and that it took no longer than some seconds."""
    expected = wav_of_call(call(SECONDS))
    start = 44 + index * 32_768
    end = start + 32_768
    assert len(run.wav) == len(expected)
    assert same_wav(run.wav[:start], expected[:start])
    assert same_wav(run.wav[end:], expected[end:])
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert at.clock.monotonic() < most_s


# --- a place that never can be read, with more behind it -------------------------------------------------------------


@pytest.mark.parametrize("status", [ContactState.DISCONNECTED, ContactState.UNKNOWN])
@pytest.mark.parametrize("code", PASSING_CODES)
def test_an_error_that_is_repeated_at_one_fragment_costs_that_fragment_and_is_told(
    code: int, status: ContactState
) -> None:
    at = world(call(SECONDS), status=status, policy=Policy(idle_limit=120))
    at.clock.pass_by(SECONDS)
    fails_at(at, FAILING, error_document(code))
    run = at.run()
    lost_one(run, at, FAILING)
    assert run.reasons == ["IN_BAND_ERROR", "STREAM_HOLES"]
    assert f"KVS reports {code} inside the stream: " in run.manifest["reasons"][0]["detail"]
    assert "1 place was skipped" in run.manifest["reasons"][0]["detail"]
    assert run.manifest["gaps"]["listed"][0]["missingFragments"] == 1


@pytest.mark.parametrize("code", GONE_CODES)
def test_a_fragment_that_is_not_found_is_asked_for_again_and_then_skipped_as_missing(code: int) -> None:
    at = world(call(SECONDS))
    at.clock.pass_by(SECONDS)
    fails_at(at, FAILING, error_document(code))
    run = at.run()
    lost_one(run, at, FAILING)
    assert run.reasons == ["MEDIA_EXPIRED", "STREAM_HOLES"]
    assert run.manifest["inBandErrors"]["count"] >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_fragment_that_always_breaks_costs_no_more_than_itself(kind: str) -> None:
    at = world(call(SECONDS))
    at.clock.pass_by(SECONDS)
    fails_at(at, FAILING, *trouble(kind, at.source.fragments[FAILING]))
    run = at.run()
    lost_one(run, at, FAILING)
    assert run.reasons != ["STREAM_HOLES"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_live_call_goes_on_behind_a_fragment_that_always_breaks(kind: str) -> None:
    at = world(call(SECONDS), live=True, status=ContactState.CONNECTED)
    at.status.disconnected_at_ms = at.source.fragments[-1].at_ms
    fails_at(at, FAILING, *trouble(kind, at.source.fragments[FAILING]))
    run = at.run()
    lost_one(run, at, FAILING)


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_is_skipped_although_each_invocation_ends_among_its_tries(kind: str) -> None:
    at = world(call(SECONDS), live=True, status=ContactState.CONNECTED, policy=Policy(patience=0.6))
    at.status.disconnected_at_ms = at.source.fragments[-1].at_ms + 900_000
    fails_at(at, FAILING, *trouble(kind, at.source.fragments[FAILING]))
    run = at.run()
    assert len(run.waits) > 4
    lost_one(run, at, FAILING, most_s=1800)


def test_a_fragment_that_is_skipped_is_not_counted_again_after_a_hand_over() -> None:
    # One side alone settles late, so a fresh invocation reads the failing place again.
    at = world(call(SECONDS, agent=None))
    at.clock.pass_by(SECONDS)
    fails_at(at, -3, error_document(5000))
    run = at.run(budget_s=12)
    assert len(run.results) > 1
    detail = run.manifest["reasons"][0]["detail"]
    assert (run.reasons[0], "1 place was skipped" in detail) == ("IN_BAND_ERROR", True)


def test_a_fresh_invocation_skips_a_known_place_after_one_try() -> None:
    at = world(call(SECONDS, agent=None))
    at.clock.pass_by(SECONDS)
    fails_at(at, -3, error_document(5000))
    before = at.source.fragments[-4].number
    at.run(budget_s=12)
    # Two tries, and one more behind the probe that found a fragment: all in the first invocation.
    assert at.source.selectors.count(AfterFragment(before)) == 3


def test_a_place_that_was_skipped_and_that_the_producer_sends_again_is_not_told() -> None:
    ours = call(SECONDS)
    at = world(ours)
    at.clock.pass_by(SECONDS)
    fails_at(at, FAILING, error_document(5000))
    stored = at.source.fragments
    rewound = b"".join(each.data for each in stored[FAILING : FAILING + 3])
    stored[FAILING + 2] = replace(stored[FAILING + 2], data=stored[FAILING + 2].data + rewound)
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert (run.outcome.status, run.reasons) == (OutcomeStatus.COMPLETE, [])


def test_a_place_that_was_skipped_and_can_be_read_after_a_hand_over_is_not_told() -> None:
    ours = call(SECONDS, agent=None)
    at = world(ours)
    at.clock.pass_by(SECONDS)
    fails_at(at, -3, error_document(5000))
    run = at.run(budget_s=12, on_result=lambda _result: at.source.in_place_of.clear())
    assert len(run.results) > 1
    assert run.reasons == []
    assert isinstance(ours.customer, bytes)
    assert same_wav(run.wav, wav_of(ours.customer, b""))


# --- a place that never can be read, with nothing behind it ----------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("code", PASSING_CODES)
def test_a_call_that_ends_with_an_error_repeated_is_partial_with_the_code(code: int, live: bool) -> None:  # noqa: FBT001 - parametrised
    at = world(call(SECONDS), live=live)
    fails_at(at, -1, error_document(code))
    run = at.run()
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert run.reasons == ["IN_BAND_ERROR"]
    assert f"KVS reports {code} inside the stream: " in run.manifest["reasons"][0]["detail"]
    # The error may pass, so it is given the idle limit.
    assert at.clock.monotonic() >= 600


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_whose_last_fragment_always_breaks_is_partial(kind: str) -> None:
    at = world(call(SECONDS))
    fails_at(at, -1, *trouble(kind, at.source.fragments[-1]))
    run = at.run()
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert {"IN_BAND_ERROR", "SOURCE_FAILED", "TRUNCATED_FRAGMENTS"} & set(run.reasons)


@pytest.mark.parametrize("code", GONE_CODES)
def test_a_last_fragment_that_is_not_found_holds_up_no_end(code: int) -> None:
    at = world(call(SECONDS))
    fails_at(at, -1, error_document(code))
    run = at.run()
    assert run.reasons == ["MEDIA_EXPIRED"]
    assert run.outcome.end_reason is EndReason.DISCONNECTED
    assert at.clock.monotonic() < 240


# --- trouble that passes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", few_of([*KINDS, "throttled", "answered with 500", "malformed", "not found"]))
@pytest.mark.parametrize("status", [ContactState.DISCONNECTED, ContactState.UNKNOWN])
def test_trouble_that_lasts_through_drain_and_idle_limit_and_then_passes_costs_nothing(
    kind: str, status: ContactState
) -> None:
    ours = call(SECONDS)
    at = world(ours, status=status, policy=Policy(idle_limit=90))
    at.clock.pass_by(SECONDS)
    lasts_s = 75
    until_s = at.clock.monotonic() + lasts_s
    serve = at.source.open

    def body() -> tuple[bytes, MediaSourceError | None]:
        if kind == "malformed":
            # Never the same twice: no damage of the stream, but of the connection.
            return bytes([at.source.reads % 251 + 1]) * 3000, None
        if kind == "not found":
            return error_document(3000), None
        return trouble(kind, at.source.fragments[FAILING])

    def opens(start: object) -> object:
        if at.clock.monotonic() < until_s and len(at.source.served) >= FAILING:
            if kind in {"throttled", "answered with 500"}:
                code = {"throttled": "ClientLimitExceededException", "answered with 500": "500"}[kind]
                raise MediaSourceError(code, "not now", retryable=True)
            data, error = body()
            at.source.bodies.append(broken(data, error))
        elif len(at.source.served) < FAILING:
            fails_at(at, FAILING, b"", RESET)
        else:
            at.source.in_place_of.clear()
        return serve(start)  # type: ignore[arg-type]

    at.source.open = opens  # type: ignore[method-assign, assignment]
    run = at.run()
    if kind == "malformed":
        # The bytes are told as lost: nobody can know that they were not the stream's.
        assert set(run.reasons) <= {"LOST_BYTES", "TRUNCATED_FRAGMENTS"}
    else:
        assert run.reasons == []
    assert same_wav(run.wav, wav_of_call(ours))


def broken(data: bytes, error: MediaSourceError | None):  # type: ignore[no-untyped-def] # noqa: ANN201
    def body(_start: object, _selected: object):  # type: ignore[no-untyped-def] # noqa: ANN202
        if data:
            yield data
        if error is not None:
            raise error

    return body


def test_a_reset_of_a_silent_connection_ends_no_call() -> None:
    # Every connection is reset before it has been silent for the read timeout; the drain never passes through them.
    at = world(call(SECONDS), live=True)
    at.source.fragments[-1:] = []
    serve = at.source._serve

    def resets(start):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        try:
            yield from serve(start)
        except MediaSourceError:
            raise RESET from None

    at.source._serve = resets  # type: ignore[method-assign]
    run = at.run()
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert run.reasons == ["SOURCE_FAILED"]


# --- the continuation token ------------------------------------------------------------------------------------------


def test_a_last_fragment_cut_between_two_blocks_is_truncated_where_the_others_had_their_tokens() -> None:
    ours = call(SECONDS)
    at = world(ours)
    last = at.source.fragments[-1]
    at.source.fragments[-1] = Stored(last.number, last.producer_ms, last.at_ms, between_blocks(last))
    run = at.run()
    assert run.reasons == ["TRUNCATED_FRAGMENTS"]
    assert run.manifest["fragments"]["truncated"] == 1
    expected = wav_of_call(ours)
    assert same_wav(run.wav[44:], expected[44:][: len(run.wav) - 44])
    assert 58 < run.outcome.duration_s < 60


def test_a_fragment_cut_between_two_blocks_that_comes_whole_in_the_end_is_no_loss() -> None:
    ours = call(SECONDS)
    at = world(ours)
    cut = between_blocks(at.source.fragments[-1])
    served = at.source.fragments[:-1]
    at.source.bodies.extend([broken(b"".join(each.data for each in served) + cut, None), broken(cut, None)])
    run = at.run()
    assert run.reasons == []
    assert same_wav(run.wav, wav_of_call(ours))


def test_a_fragment_whose_token_is_missing_before_the_next_document_is_read_again_and_then_truncated() -> None:
    ours = call(SECONDS)
    at = world(ours)
    each = at.source.fragments[FAILING]
    at.source.fragments[FAILING] = Stored(each.number, each.producer_ms, each.at_ms, between_blocks(each))
    run = at.run()
    assert run.manifest["fragments"]["truncated"] == 1
    assert "TRUNCATED_FRAGMENTS" in run.reasons
    expected = wav_of_call(ours)
    assert len(run.wav) == len(expected)
    assert same_wav(run.wav[44 + (FAILING + 1) * 32_768 :], expected[44 + (FAILING + 1) * 32_768 :])


def test_a_fragment_whose_token_was_lost_on_the_way_once_is_no_loss() -> None:
    ours = call(SECONDS)
    at = world(ours)
    fragments = at.source.fragments
    tokenless = [between_blocks(each) if index == 5 else each.data for index, each in enumerate(fragments)]
    at.source.bodies.append(broken(b"".join(tokenless[:10]), None))
    run = at.run()
    assert run.reasons == []
    assert same_wav(run.wav, wav_of_call(ours))


def test_a_stream_without_any_token_is_whole_without_one() -> None:
    ours = call(SECONDS, layout=FragmentLayout(continuation_token=False))
    run = world(ours).run()
    assert run.reasons == []
    assert same_wav(run.wav, wav_of_call(ours))


def test_probes_begin_behind_the_newest_fragment_and_are_few() -> None:
    at = world(call(SECONDS))
    at.clock.pass_by(SECONDS)
    fails_at(at, FAILING, error_document(5000))
    at.run()
    begin_ms = at.source.fragments[FAILING].producer_ms
    probes = [each.ms for each in at.source.selectors if isinstance(each, FromProducerTime)][1:]
    # The first one shows that the stream as a whole can be read.
    assert probes[0] >= DEFAULT_START_MS + SECONDS * 1000
    assert all(begin_ms < ms < begin_ms + 1024 + 200 for ms in probes[1:])
    assert len(probes) <= 8
