"""A last fragment without a ContactId is recorded only where silence was heard behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from connect_audio.core.errors import MediaSourceError
from connect_audio.core.manifest import EndReason
from connect_audio.ports import ContactState, StartSelector
from connect_audio.recorder import OutcomeStatus, Policy
from connect_audio_local.synthesis.calls import SyntheticCall, fragment_number
from connect_audio_local.synthesis.fragment_writer import (
    FragmentContents,
    FragmentLayout,
    InBandError,
    write_fragment,
)
from support.calls import call
from support.stream import Stored
from support.wav import same_wav, wav_of, wav_of_call
from support.world import World, world

FRAGMENTS = 20
OURS = call(FRAGMENTS * 1.024, last_unlabelled=True)
OTHER = "00000000-0000-4000-8000-000000000002"
SAMPLES = 8192  # of a fragment and party
STALLED = MediaSourceError("ConnectionError", "the peer closed the connection", retryable=True)


def without_the_last(ours: SyntheticCall) -> bytes:
    customer, agent = ours.customer, ours.agent
    assert isinstance(customer, bytes)
    assert isinstance(agent, bytes)
    return wav_of(customer[: -2 * SAMPLES], agent[: -2 * SAMPLES])


def error(code: int) -> bytes:
    contents = FragmentContents(
        number="1", producer_ms=1, server_ms=1, contact_id=None, instance_id=None, error=InBandError(code, str(code))
    )
    return write_fragment(contents, FragmentLayout(continuation_token=False))


def each_body_ends_with(at: World, tail: Callable[[], Iterator[bytes]]) -> None:
    def body(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected:
            yield each.data
        yield from tail()

    at.source.bodies.extend([body] * 2000)


@pytest.mark.parametrize("live", [False, True], ids=["stored", "live"])
@pytest.mark.parametrize("status", [ContactState.DISCONNECTED, ContactState.UNKNOWN])
def test_behind_it_is_silence_so_it_is_ours(live: bool, status: ContactState) -> None:  # noqa: FBT001 - parametrised
    run = world(OURS, live=live, status=status).run()
    assert same_wav(run.wav, wav_of_call(OURS))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert run.manifest["fragments"]["admittedUnlabelled"] == 1


@pytest.mark.parametrize("code", [5000, 3002, 3000, 4503, 4000, 4500, 9999])
def test_behind_it_is_an_error_of_kvs_so_nobody_can_tell(code: int) -> None:
    at = world(OURS)
    at.clock.pass_by(60)  # no start selector points into the future
    each_body_ends_with(at, lambda: iter([error(code)]))
    run = at.run()
    assert same_wav(run.wav, without_the_last(OURS))
    assert run.outcome.status is OutcomeStatus.PARTIAL
    assert "UNDECIDABLE_FRAGMENTS" in run.reasons


class broken(Iterator[bytes]):  # noqa: N801 - called like a generator
    def __next__(self) -> bytes:
        raise STALLED


def garbage() -> Iterator[bytes]:
    yield bytes(5000)


def half() -> Iterator[bytes]:
    longer = call((FRAGMENTS + 1) * 1.024, last_unlabelled=True)
    yield world(longer).source.fragments[-1].data[:9000]


@pytest.mark.parametrize("tail", [broken, garbage, half])
def test_behind_it_the_stream_breaks_each_time_so_nobody_can_tell(tail: Callable[[], Iterator[bytes]]) -> None:
    at = world(OURS)
    each_body_ends_with(at, tail)
    run = at.run()
    assert same_wav(run.wav[: len(without_the_last(OURS))][44:], without_the_last(OURS)[44:])
    assert run.manifest["fragments"]["admittedUnlabelled"] == 0
    assert "UNDECIDABLE_FRAGMENTS" in run.reasons


def test_behind_it_the_source_fails_so_nobody_can_tell() -> None:
    at = world(OURS)
    at.source.bodies.append(lambda _, selected: iter([each.data for each in selected]))
    at.source.refusal = MediaSourceError("ResourceNotFoundException", "no", retryable=False)
    run = at.run()
    assert run.outcome.end_reason is EndReason.SOURCE_FAILED
    assert same_wav(run.wav, without_the_last(OURS))
    assert set(run.reasons) == {"SOURCE_FAILED", "UNDECIDABLE_FRAGMENTS"}


def test_behind_it_the_recording_is_full_so_nobody_can_tell() -> None:
    at = world(OURS, policy=Policy(limit_s=19))
    run = at.run()
    assert run.outcome.end_reason is EndReason.RECORDING_LIMIT
    assert run.manifest["fragments"]["admittedUnlabelled"] == 0


@pytest.mark.parametrize("pause_ms", [0, 300, 1900])
@pytest.mark.parametrize(
    ("jump", "code"),
    # One session, one time, and silence behind it: nothing would tell it from our own last fragment.
    [(1, 5000), (1, 3002), (1, 9999), (2, None), (1000, None), (1000, 5000)],
)
def test_a_stranger_s_unlabelled_fragment_is_never_recorded_whatever_follows_it(
    pause_ms: int, jump: int, code: int | None
) -> None:
    ours = call(FRAGMENTS * 1.024)
    stranger = call(1.024, contact_id=OTHER, last_unlabelled=True, pause_ms=pause_ms, seed=9)
    at = world(ours, stranger)
    last = at.source.fragments[-1]
    number = fragment_number(FRAGMENTS + jump, last.producer_ms)
    data = last.data.replace(last.number.encode(), number.encode())
    at.source.fragments[-1] = replace(last, number=number, data=data)
    if code is not None:
        each_body_ends_with(at, lambda: iter([error(code)]))
    run = at.run()
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.manifest["fragments"]["undecidable"] == 1
    assert run.outcome.status is OutcomeStatus.PARTIAL
