"""A recording that is made after the call ends on the last fragment that the stream's listing names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connect_audio.core.errors import MediaSourceError
from connect_audio.core.manifest import EndReason
from connect_audio.ports import StartSelector
from connect_audio.recorder import Checkpoint, OutcomeStatus, Over, PartDone, Policy
from connect_audio.recorder.end_of_call import EndState
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.calls import call
from support.stream import Stored
from support.wav import same_wav, wav_of_call
from support.world import KEPT, World, reasons_of, world

OTHER = "00000000-0000-4000-8000-000000000002"
DROPPED = MediaSourceError("ConnectionError", "the connection is gone", retryable=True)


def knowing(number: str, *, is_quiet: bool = True) -> Checkpoint:
    """Where a recording begins that knows its last fragment."""
    return replace(KEPT, end=EndState(listed=ListedEnd(number, is_quiet)))


def ended_at(at: World, number: str, **options: bool) -> list[str]:
    """Record in one step; the reasons why the recording is not whole."""
    result = at.step(knowing(number, **options))
    assert isinstance(result.next, Over)
    assert result.next.end.reason is EndReason.ARCHIVE_END
    return reasons_of(result)


def test_one_connection_and_no_second_after_the_last_fragment_and_connect_is_never_asked() -> None:
    ours = call(60)
    at = world(ours)
    run = at.run(listed=ListedEnd(at.source.fragments[-1].number, is_quiet=True))
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.outcome.status is OutcomeStatus.COMPLETE
    assert run.outcome.end_reason is EndReason.ARCHIVE_END
    assert run.manifest["evidence"]["end"]["code"] == "ARCHIVE_END"
    assert len(at.source.selectors) == 1
    assert at.clock.monotonic() == 0
    assert at.status.asked_at_ms == []


def test_of_the_next_call_in_the_stream_not_one_fragment_is_recorded() -> None:
    ours = call(30)
    theirs = call(30, contact_id=OTHER, start_ms=DEFAULT_START_MS + 35_000, seed=9)
    at = world(ours, theirs)
    last = at.source.fragments[29]
    assert (last.producer_ms - DEFAULT_START_MS) < 30_000 < at.source.fragments[30].producer_ms - DEFAULT_START_MS
    run = at.run(listed=ListedEnd(last.number, is_quiet=True))
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.manifest["fragments"]["otherContact"] == 0
    assert run.outcome.status is OutcomeStatus.COMPLETE


def test_a_call_of_several_parts_in_fresh_invocations_opens_once_for_each() -> None:
    ours = call(400)
    at = world(ours, policy=Policy(part_bytes=2_000_000))
    at.store.least_part_bytes = 2_000_000
    run = at.run(listed=ListedEnd(at.source.fragments[-1].number, is_quiet=True), fresh_each_step=True)
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.kinds[:-1] == [PartDone] * (len(run.kinds) - 1)
    assert len(run.kinds) > 5
    assert len(at.source.selectors) == len(run.kinds)
    assert at.status.asked_at_ms == []


def test_an_invocation_that_begins_behind_the_last_fragment_opens_nothing() -> None:
    ours = call(20)
    at = world(ours)
    first = at.step(knowing(at.source.fragments[-1].number))
    opened = len(at.source.selectors)
    again = at.step(first.checkpoint)
    assert isinstance(again.next, Over)
    assert again.next.end.reason is EndReason.ARCHIVE_END
    assert len(at.source.selectors) == opened


@pytest.mark.parametrize(("is_quiet", "admitted"), [(True, 20), (False, 19)])
def test_an_unlabelled_last_fragment_is_the_call_s_only_if_nothing_runs_on_from_it(
    *, is_quiet: bool, admitted: int
) -> None:
    at = world(call(20.48))
    unlabelled = world(call(20.48, contact_id=None)).source.fragments[-1]  # type: ignore[arg-type]
    at.source.fragments[-1] = replace(unlabelled, number=at.source.fragments[-1].number)
    run = at.run(listed=ListedEnd(at.source.fragments[-1].number, is_quiet))
    assert run.manifest["fragments"]["admitted"] == admitted


def test_a_stream_that_ends_short_of_the_last_fragment_is_read_again_and_then_partial() -> None:
    at = world(call(20))
    last = at.source.fragments.pop()
    assert ended_at(at, last.number) == ["ENDING_MISSING"]
    assert len(at.source.selectors) == 4
    assert at.clock.monotonic() < 10
    assert at.status.asked_at_ms == []


def test_a_last_fragment_that_comes_at_the_second_reading_makes_the_recording_whole() -> None:
    ours = call(20)
    at = world(ours)

    def short(_: StartSelector, selected: list[Stored]) -> Iterator[bytes]:
        for each in selected[:-1]:
            yield each.data

    at.source.bodies.append(short)
    run = at.run(listed=ListedEnd(at.source.fragments[-1].number, is_quiet=True))
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.reasons == []
    assert len(at.source.selectors) == 2


def test_a_fragment_behind_the_last_one_ends_the_recording_without_being_recorded() -> None:
    ours = call(30)
    theirs = call(10, contact_id=OTHER, start_ms=DEFAULT_START_MS + 31_000, seed=9)
    at = world(ours, theirs)
    gone = at.source.fragments.pop(29)
    assert ended_at(at, gone.number) == ["ENDING_MISSING"]
    assert len(at.source.selectors) == 1


def test_broken_connections_do_not_count_as_a_missing_end() -> None:
    ours = call(20)
    at = world(ours)
    at.source.bodies.extend([DROPPED] * 6)
    run = at.run(listed=ListedEnd(at.source.fragments[-1].number, is_quiet=True))
    assert same_wav(run.wav, wav_of_call(ours))
    assert run.reasons == []
    assert len(at.source.selectors) == 7
