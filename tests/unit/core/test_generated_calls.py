"""The central promise: whatever the layout and the cut, what was sent is what is recorded, or the manifest says so."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core_support.expectation import expected_recording
from core_support.generated_streams import OURS, STRANGERS_SAMPLE, GeneratedStream, chunkings, generated_streams
from core_support.reading import Recorded, byte_by_byte, events_in_file_mode, events_of, record
from support.examples import examples

_STRANGERS_BYTES = STRANGERS_SAMPLE.to_bytes(2, "little")
# A stream is a large drawing, and Hypothesis would rather have small ones.
_patiently = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def strangers_frames(stereo: bytes) -> int:
    return sum(stereo[at : at + 2] == _STRANGERS_BYTES for at in range(0, len(stereo), 2))


def check(stream: GeneratedStream, recorded: Recorded) -> None:
    expected = expected_recording(stream)
    manifest: dict[str, Any] = recorded.manifest(OURS)

    assert strangers_frames(recorded.stereo) == 0
    assert recorded.stereo == expected.stereo
    assert recorded.cursor.frames == len(expected.stereo) // 4
    silent = manifest["status"] == "complete" and not manifest["fragments"]["unlabelledElsewhere"]
    if expected.lost or expected.block_cut or expected.dangling:
        assert not silent, manifest["reasons"]
    if not (expected.lost or expected.doubtful or expected.dangling or expected.holes) and stream.body_end is None:
        assert manifest["status"] == "complete", manifest["reasons"]


@settings(max_examples=examples(100), suppress_health_check=_patiently)
@given(generated_streams())
def test_what_was_sent_is_what_is_recorded(stream: GeneratedStream) -> None:
    check(stream, record(events_of([stream.data]), OURS))


@settings(max_examples=examples(100), suppress_health_check=_patiently)
@given(generated_streams(cut=True))
def test_of_a_body_cut_at_any_byte_every_whole_block_is_recorded_and_the_cut_reported(stream: GeneratedStream) -> None:
    check(stream, record(events_of([stream.data]), OURS))


@settings(max_examples=examples(30), suppress_health_check=_patiently)
@given(generated_streams(), st.data())
def test_events_do_not_depend_on_how_the_bytes_were_cut(stream: GeneratedStream, data: st.DataObject) -> None:
    whole = events_of([stream.data])

    assert events_of(byte_by_byte(stream.data)) == whole
    assert events_of(data.draw(chunkings(stream.data))) == whole
    assert events_in_file_mode(data.draw(chunkings(stream.data))) == (whole, [])
