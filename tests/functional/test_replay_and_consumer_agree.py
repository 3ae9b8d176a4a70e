"""`connect-audio replay` and the consumer's recorder make the same of every stream: status, reasons, sums and audio.

The recorder reads the capture's bytes from an in-memory GetMedia, which serves everything behind a fragment number
again as often as it is asked. Its event names the capture's first contact and that contact's first producer time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio.core.fragments import Fragment
from connect_audio.core.recording_facts import Status
from connect_audio.library.capture import capture_events
from connect_audio.ports import AfterFragment, ContactAnswer, ContactState, StartSelector
from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.replay.replay import replay
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, Gap, SyntheticCall, SyntheticFragment
from connect_audio_local.synthesis.fragment_writer import InBandError, write_fragment
from support.calls import call, fragments, joined
from support.clock import FakeClock
from support.stream import FakeSource, cut
from support.world import REQUEST, FakeStatus, World

SHARED: Final = Path(__file__).parents[3] / "shared"
FILES: Final = sorted([*SHARED.glob("captures/*.mkv"), *SHARED.glob("cases/*.mkv")])
OTHER_ID: Final = "22222222-2222-4222-8222-222222222222"
SUMS: Final = ("tracks", "gaps", "fragments", "lostBytes", "lostByteRuns")
BEYOND_THE_END: Final = frozenset({"otherContact", "unlabelledElsewhere"})
"""Counts of fragments behind the recorder's end: it ends once another contact's audio has lasted 30 s."""
ONLY_IN_FILES: Final = frozenset({"odd_number.mkv", "cut_then_rest.mkv"})
"""Captures that no GetMedia serves: numbers that are not decimal cannot be resumed, and none comes twice in a body. The
recorder reads them again and again, so only the status is compared."""
EARLIEST_MS: Final = 946_684_800_000
"""The earliest StartTimestamp that an event may have, ms since the epoch: the year 2000."""


class CaptureSource(FakeSource):
    """GetMedia over a capture's bytes as they are, damage included."""

    def __init__(self, data: bytes, clock: FakeClock, *, later: bytes | None = None) -> None:
        """Serve `data`, from the second connection on `later`, which differs in errors that have passed."""
        super().__init__([], clock)
        self._data = data
        self._later = data if later is None else later
        self._ends = {
            event.number: event.offset + event.size
            for event in capture_events(iter([self._later]), "capture")
            if isinstance(event, Fragment) and event.number is not None
        }

    def _serve(self, start: StartSelector) -> Iterator[bytes]:
        at = self._ends[start.number] if isinstance(start, AfterFragment) else 0
        data = self._data if len(self.selectors) == 1 else self._later
        yield from cut(data[at:], self.chunk)


class Disconnected(FakeStatus):
    """Connect says of every contact that it is over."""

    def describe(
        self, instance_id: str, contact_id: str, *, stream_arn: str, start_fragment: str | None
    ) -> ContactAnswer:
        del instance_id, contact_id, stream_arn, start_fragment
        return ContactAnswer(ContactState.DISCONNECTED)


def replayed(data: bytes, folder: Path) -> dict[str, Any] | None:
    """The manifest that replay writes; None where it writes nothing."""
    try:
        return dict(replay(iter([data]), folder, name="capture").manifest)
    except CommandError:
        return None


def recorded(data: bytes, *, later: bytes | None = None) -> dict[str, Any]:
    """The manifest that the consumer's recorder writes of the same bytes."""
    found = [event for event in capture_events(iter([data]), "capture") if isinstance(event, Fragment)]
    contact_id = next((each.contact_ids[0] for each in found if len(each.contact_ids) == 1), DEFAULT_CONTACT_ID)
    times = [each.producer_timestamp_ms for each in found if each.producer_timestamp_ms is not None]
    mine = [each.producer_timestamp_ms for each in found if contact_id in each.contact_ids]
    start_ms = next((each for each in mine if each is not None), min(times, default=0))
    if start_ms < EARLIEST_MS:
        start_ms = REQUEST.start_timestamp_ms
    clock = FakeClock(max(times, default=start_ms) + 600_000)
    at = World(
        CaptureSource(data, clock, later=later),
        clock,
        Disconnected(clock),
        request=replace(REQUEST, contact_id=contact_id, start_timestamp_ms=start_ms),
    )
    return at.run().manifest


def assert_agreement(data: bytes, folder: Path, *, later: bytes | None = None) -> None:
    theirs, mine = recorded(data, later=later), replayed(data, folder)
    if mine is None:
        assert theirs["status"] == Status.EMPTY
        return
    assert theirs["status"] == mine["status"]
    assert theirs["reasons"] == mine["reasons"]
    assert theirs["evidence"]["middle"] == mine["evidence"]["middle"]
    assert {**theirs["recording"], "location": ""} == {**mine["recording"], "location": ""}
    assert sums_of(theirs) == sums_of(mine)


def codes_of(manifest: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in manifest["reasons"]]


def sums_of(manifest: dict[str, Any]) -> dict[str, Any]:
    fragments = {name: count for name, count in manifest["fragments"].items() if name not in BEYOND_THE_END}
    return {**{name: manifest[name] for name in SUMS}, "fragments": fragments}


@pytest.mark.skipif(not FILES, reason="the shared captures and cases are not here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_capture_and_a_case_are_judged_alike(path: Path, tmp_path: Path) -> None:
    if path.name in ONLY_IN_FILES:
        mine = replayed(path.read_bytes(), tmp_path)
        assert mine is not None
        assert recorded(path.read_bytes())["status"] == mine["status"]
        return
    assert_agreement(path.read_bytes(), tmp_path)


def ours(seconds: float = 8, **options: Any) -> SyntheticCall:
    return call(seconds, **options)


def error_of(each: SyntheticFragment, code: int) -> bytes:
    """A document of KVS that holds an error and nothing else, in the place of a fragment."""
    error = InBandError(code, "ERROR")
    return write_fragment(replace(each.contents, contact_id=None, instance_id=None, blocks=(), error=error))


def ended_by(code: int) -> bytes:
    stream = fragments(ours())
    return joined(stream[:-1]) + error_of(stream[-1], code)


def with_error_inside(code: int) -> bytes:
    stream = fragments(ours())
    return joined(stream[:4]) + error_of(stream[4], code) + joined(stream[4:])


def without(*indices: int) -> bytes:
    return joined(each for index, each in enumerate(fragments(ours())) if index not in indices)


def swapped(first: int, second: int) -> bytes:
    stream = fragments(ours())
    stream[first], stream[second] = stream[second], stream[first]
    return joined(stream)


def without_blocks(first: int, last: int) -> bytes:
    """Our call whose fourth fragment lacks some blocks of both parties."""
    stream = fragments(ours())
    contents = stream[3].contents
    kept = (*contents.blocks[:first], *contents.blocks[last:])
    return joined(stream[:3]) + write_fragment(replace(contents, blocks=kept)) + joined(stream[4:])


def unlabelled(*indices: int, other_s: float = 0) -> bytes:
    """Our call with fragments that name no contact, perhaps with another contact's call behind it."""
    stream = fragments(ours(), *([ours(other_s, contact_id=OTHER_ID, pause_ms=500)] if other_s else []))
    return b"".join(
        write_fragment(replace(each.contents, contact_id=None)) if index in indices else each.data
        for index, each in enumerate(stream)
    )


STREAMS: Final[dict[str, Callable[[], bytes]]] = {
    "whole": lambda: joined(fragments(ours())),
    "one party": lambda: joined(fragments(ours(agent=None))),
    "a party that joins late": lambda: joined(fragments(ours(agent_joins_ms=2000))),
    "a pause of the producer": lambda: joined(fragments(ours(gaps=(Gap(at_ms=2048, length_ms=3000),)))),
    "a fragment missing": lambda: without(3),
    "the first ones missing": lambda: without(0, 1),
    "garbage inside": lambda: joined(fragments(ours())[:3]) + b"garbage" * 300 + joined(fragments(ours())[3:]),
    "another contact behind": lambda: joined(fragments(ours(), ours(40, contact_id=OTHER_ID, pause_ms=5000))),
    "another contact before": lambda: joined(fragments(ours(8, contact_id=OTHER_ID), ours(pause_ms=60_000))),
    "unlabelled inside": lambda: unlabelled(2, 3),
    "unlabelled at the end": lambda: unlabelled(7),
    "unlabelled before another contact": lambda: unlabelled(7, other_s=40),
    "ended by 4500": lambda: ended_by(4500),
    "ended by 4506": lambda: ended_by(4506),
    "ended by 3000": lambda: ended_by(3000),
    "ended by 3002": lambda: ended_by(3002),
    "ended by 4503": lambda: ended_by(4503),
    "ended by 5000": lambda: ended_by(5000),
    "ended by an error of another number": lambda: ended_by(4999),
    "fragments swapped": lambda: swapped(3, 4),
    "blocks missing": lambda: without_blocks(2, 9),
    "ended by an error behind another contact": lambda: (
        joined(fragments(ours(), ours(40, contact_id=OTHER_ID, pause_ms=5000)))
        + error_of(fragments(ours(40, contact_id=OTHER_ID, pause_ms=5000))[-1], 4500)
    ),
    "nothing but an error": lambda: error_of(fragments(ours())[0], 4500),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_judged_alike(name: str, tmp_path: Path) -> None:
    assert_agreement(STREAMS[name](), tmp_path)


def test_an_error_that_passes_takes_nothing_from_either(tmp_path: Path) -> None:
    data, later = with_error_inside(5000), joined(fragments(ours()))

    assert_agreement(data, tmp_path, later=later)
    assert recorded(data, later=later)["status"] == "complete"


@pytest.mark.parametrize("length", [-9000, 50_000])
def test_a_stream_that_is_cut_off_is_partial_for_the_same_cause(length: int, tmp_path: Path) -> None:
    data = joined(fragments(ours()))[:length]

    theirs, mine = recorded(data), replayed(data, tmp_path)

    assert mine is not None
    assert theirs["status"] == mine["status"] == "partial"
    # The recorder also says that reading failed for good; only a capture has bytes behind the last whole block.
    assert codes_of(theirs) == ["SOURCE_FAILED", "TRUNCATED_FRAGMENTS"]
    assert codes_of(mine) == ["TRUNCATED_FRAGMENTS", "LOST_BYTES"]
    assert theirs["recording"]["dataCrc32"] == mine["recording"]["dataCrc32"]


@pytest.mark.parametrize("code", [3002, 4500, 4506, 5000])
def test_a_stream_that_ends_in_an_error_is_partial_and_names_it(code: int, tmp_path: Path) -> None:
    manifest = replayed(ended_by(code), tmp_path)

    assert manifest is not None
    assert (manifest["status"], [reason["code"] for reason in manifest["reasons"]]) == ("partial", ["IN_BAND_ERROR"])
    assert str(code) in manifest["reasons"][0]["detail"]
    assert (manifest["evidence"]["end"]["state"], manifest["evidence"]["end"]["code"]) == (
        "not_proven",
        "IN_BAND_ERROR",
    )


def test_a_capture_of_nothing_but_an_error_is_refused_with_the_error_s_name(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="KVS reports 4500 inside the stream: access denied to the stream's KMS key"):
        replay(iter([STREAMS["nothing but an error"]()]), tmp_path, name="capture")
