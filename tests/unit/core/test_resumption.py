"""KVS is the log and the cursor a position in it: killed anywhere, a recording goes on to the same bytes (ADR 3)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect_audio.core.cursor import Cursor, Note
from connect_audio.core.fragments import Fragment
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.core.recording import CallRecording
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, fragment_number
from connect_audio_local.synthesis.fragment_writer import FROM_CUSTOMER, Block, FragmentContents, Track, write_fragment
from core_support.generated_streams import AFTER, OURS, GeneratedStream, generated_streams
from core_support.reading import Recorded, events_of, fragments_of, record
from support.examples import examples

_patiently = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@dataclass
class Saved:
    """What outlives a kill: frames, notes and a cursor, as the recorder keeps them."""

    cursor: Cursor = field(default_factory=Cursor)
    stereo: bytes = b""
    notes: list[Note] = field(default_factory=list)


def through_json(cursor: Cursor) -> Cursor:
    return from_plain(Cursor, json.loads(json.dumps(to_plain(cursor))))


def after(fragments: Sequence[Fragment], number: str | None) -> list[Fragment]:
    """What GetMedia gives after a fragment number."""
    if number is None:
        return list(fragments)
    return list(fragments[[fragment.number for fragment in fragments].index(number) + 1 :])


def go_on(saved: Saved, fragments: Sequence[Fragment], *, killed_after: int, chunks: int | None) -> Saved:
    """Read some fragments after the cursor, take frames, save, die.

    Args:
        saved: what the life before left.
        fragments: the whole log.
        killed_after: fragments that this life lives to see.
        chunks: how many chunks of settled frames it takes each time; None for all.
    """
    recording = CallRecording(OURS, cursor=through_json(saved.cursor))
    stereo = saved.stereo
    for fragment in after(fragments, saved.cursor.fragment)[:killed_after]:
        recording.add(fragment)
        stereo += b"".join(islice(recording.take(), chunks))
    cursor = recording.cursor()
    return Saved(cursor, stereo, saved.notes + recording.take_notes())


def finish(saved: Saved, fragments: Sequence[Fragment]) -> Recorded:
    rest = record(after(fragments, saved.cursor.fragment), OURS, cursor=through_json(saved.cursor))
    return Recorded(saved.stereo + rest.stereo, rest.cursor, saved.notes + rest.notes)


def assert_same(resumed: Recorded, uninterrupted: Recorded) -> None:
    assert resumed.stereo == uninterrupted.stereo
    assert resumed.cursor == uninterrupted.cursor
    assert resumed.notes == uninterrupted.notes
    assert resumed.manifest(OURS) == uninterrupted.manifest(OURS)
    assert resumed.cursor.crc32 == zlib.crc32(resumed.stereo)


@settings(max_examples=examples(100), suppress_health_check=_patiently)
@given(generated_streams(unique_numbers=True), st.sampled_from((None, 0, 1)))
def test_a_recording_killed_after_any_fragment_goes_on_to_the_same_bytes(
    stream: GeneratedStream, chunks: int | None
) -> None:
    fragments = fragments_of(events_of([stream.data]))
    uninterrupted = record(fragments, OURS)

    for killed_after in range(len(fragments) + 1):
        saved = go_on(Saved(), fragments, killed_after=killed_after, chunks=chunks)
        assert_same(finish(saved, fragments), uninterrupted)


@settings(max_examples=examples(100), suppress_health_check=_patiently)
@given(generated_streams(unique_numbers=True), st.lists(st.integers(0, 6), max_size=8))
def test_a_recording_killed_again_and_again_goes_on_to_the_same_bytes(
    stream: GeneratedStream, lives: list[int]
) -> None:
    fragments = fragments_of(events_of([stream.data]))

    saved = Saved()
    for killed_after in lives:
        saved = go_on(saved, fragments, killed_after=killed_after, chunks=None)

    assert_same(finish(saved, fragments), record(fragments, OURS))


def long_fragment(index: int, contact_id: str | None, *, at_s: float | None = None) -> Fragment:
    """Three seconds of one party in blocks of a quarter of a second."""
    start_ms = DEFAULT_START_MS + round(1000 * (3 * index if at_s is None else at_s))
    blocks = [Block.at_ms(2, start_ms + 250 * step, bytes([index, step]) * 2000) for step in range(12)]
    contents = FragmentContents(
        number=fragment_number(1000 + index, start_ms),
        producer_ms=start_ms,
        server_ms=start_ms,
        contact_id=contact_id,
        instance_id=None,
        tracks=[Track(2, FROM_CUSTOMER)],
        blocks=blocks,
    )
    (fragment,) = fragments_of(events_of([write_fragment(contents)]))
    return fragment


def test_a_kill_among_fragments_that_were_decided_together_decides_the_rest_alike() -> None:
    # Fragments longer than the 2 s that may lie between neighbours: where ours ended matters to each of them.
    log = [
        long_fragment(0, OURS),
        *(long_fragment(index, None) for index in (1, 2, 3)),
        long_fragment(4, AFTER, at_s=30),
        long_fragment(5, AFTER, at_s=33),
    ]
    uninterrupted = record(log, OURS)
    assert uninterrupted.cursor.fragments.admitted_unlabelled == 3

    cursors = set()
    for chunks in range(12):
        saved = go_on(Saved(), log, killed_after=5, chunks=chunks)
        cursors.add(saved.cursor.fragment)
        assert_same(finish(saved, log), uninterrupted)
    assert {each.number for each in log[:2]} <= cursors
