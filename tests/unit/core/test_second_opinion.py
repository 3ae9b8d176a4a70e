"""The structure of every layout as ebmlite's DOM reads it; captures have the same in tests/functional."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from core_support.generated_streams import GeneratedStream, generated_streams
from core_support.reading import events_of, fragments_of
from core_support.second_opinion import structures
from support.examples import examples


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(generated_streams())
def test_fragments_of_every_layout_are_what_ebmlite_reads(stream: GeneratedStream) -> None:
    for generated in stream.fragments:
        (seen,) = structures(generated.data)
        (fragment,) = fragments_of(events_of([generated.data]))

        assert fragment.timecode_scale_ns == seen.timecode_scale
        assert [(track.number, track.track_type, track.name) for track in fragment.tracks] == seen.tracks
        assert [(name, value) for name, value in fragment.tags] == [tag for tag in seen.tags if tag[0] != "ContactId"]
        contacts = [value for name, value in seen.tags if name == "ContactId"]
        assert list(fragment.contact_ids) == list(dict.fromkeys(contacts))
        assert [
            (block.track_number, block.time_ns, block.frame_count, block.data) for block in fragment.blocks
        ] == seen.blocks
