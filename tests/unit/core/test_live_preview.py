"""What is told ahead of a fragment's end is what the recording says at its end, and never another contact's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect_audio.core.admission import StreamEnd
from connect_audio.core.fragments import END, NEED_DATA, Fragment, FragmentReader
from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.live_buffer import LiveBuffer
from connect_audio.core.live_preview import LivePreview
from connect_audio.core.pcm import PARTIES, interleave
from connect_audio.core.recording import CallRecording
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_START_MS,
    SyntheticCall,
    fragment_number,
    synthesize_call,
)
from connect_audio_local.synthesis.fragment_writer import (
    FROM_CUSTOMER,
    Block,
    FragmentContents,
    FragmentLayout,
    Track,
    write_fragment,
)
from connect_audio_local.synthesis.fragment_writer import Placement as TagPlacement
from core_support.expectation import expected_recording
from core_support.generated_streams import OURS, GeneratedStream, generated_streams
from core_support.reading import events_of, record

STRANGERS = b"\x77\x77"


@dataclass
class Listener:
    """Reads a body as the recorder does and writes a buffer."""

    contact_id: str
    buffer: LiveBuffer | None = None
    ahead: int = 0
    """Samples that were told before their fragment was over."""
    told: list[LiveSamples] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)

    def hear(self, chunks: list[bytes]) -> Listener:
        reader = FragmentReader()
        recording = CallRecording(self.contact_id)
        preview = LivePreview(recording)
        for chunk in (*chunks, b""):
            reader.receive_data(chunk)
            while (event := reader.next_event()) is not NEED_DATA and event is not END:
                if isinstance(event, Fragment):
                    self._confirm(recording, recording.add(event).live_samples())
            self._write(preview.look(reader.open), preview)
        self._confirm(recording, recording.end(StreamEnd.END_OF_INPUT).live_samples())
        return self

    def _write(self, placements: Any, preview: LivePreview) -> None:
        for placement in placements:
            self.told.append(placement)
            self.ahead += len(placement.samples) // 2
            if self.buffer is None:
                self.buffer = LiveBuffer(preview.rate, placement.start - 3600 * preview.rate)
            changed = self.buffer.write(placement, 0.0)
            assert changed is None, "a block is told where another was"

    def _confirm(self, recording: CallRecording, placed: list[LiveSamples]) -> None:
        timeline = recording.timeline
        if timeline is None or timeline.origin is None:
            self.buffer = None
            return
        if self.buffer is None:
            self.buffer = LiveBuffer(timeline.rate, timeline.origin)
        self.buffer.origin = origin = timeline.origin
        reached = {party: origin + timeline.complete_up_to(party) for party in PARTIES}
        changed = self.buffer.confirm(placed, reached, 0.0)
        if changed is not None:
            self.changes.append(changed)

    @property
    def stereo(self) -> bytes:
        buffer = self.buffer
        if buffer is None or buffer.origin is None:
            return b""
        return interleave(*(buffer.read(party, buffer.origin, buffer.whole_to) for party in PARTIES))


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(stream=generated_streams(), size=st.integers(100, 100_000))
def test_the_buffer_is_the_recording_and_what_was_told_ahead_is_on_it(stream: GeneratedStream, size: int) -> None:
    heard = Listener(OURS).hear(pieces(stream.data, size))
    assert heard.stereo == expected_recording(stream).stereo
    assert heard.changes == [], "something was told that the recording takes back"
    for placement in heard.told:
        assert STRANGERS not in [placement.samples[at : at + 2] for at in range(0, len(placement.samples), 2)]


def call(**options: Any) -> list[bytes]:
    speech = bytes(value % 100 + 1 for value in range(6 * 16_000))
    made = SyntheticCall(customer=speech, agent=speech[::-1], **options)
    return [each.data for each in synthesize_call(made)]


def test_a_fragment_that_names_its_contact_first_is_told_block_by_block_and_the_recording_agrees() -> None:
    heard = Listener(DEFAULT_CONTACT_ID).hear(pieces(b"".join(call()), 256))
    assert heard.ahead == 2 * 6 * 8000
    assert heard.changes == []
    assert heard.stereo == record_of(call())


def record_of(fragments: list[bytes]) -> bytes:
    return record(events_of(fragments), DEFAULT_CONTACT_ID).stereo


def test_a_fragment_that_names_its_contact_last_is_told_at_its_end() -> None:
    fragments = call(layout=FragmentLayout(contact_tags=TagPlacement.AFTER))
    heard = Listener(DEFAULT_CONTACT_ID).hear(fragments)
    assert heard.ahead == 0
    assert heard.stereo == record_of(fragments)


def test_another_contact_s_fragment_is_not_told() -> None:
    heard = Listener("somebody-else").hear(call())
    assert (heard.ahead, heard.stereo) == (0, b"")


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_a_track_that_joins_late_is_told_from_where_it_joins(rate: int) -> None:
    fragments = call(rate=rate, agent_joins_ms=2048)
    heard = Listener(DEFAULT_CONTACT_ID).hear(fragments)
    assert heard.changes == []
    assert heard.stereo == record_of(fragments)


def test_a_fragment_that_comes_again_tells_no_jitter_of_its_times_as_new_audio() -> None:
    # The second block begins 4 samples behind the first one's end, and joins it.
    blocks = [Block.at_ms(2, DEFAULT_START_MS + 8 * step, bytes(range(1, 121))) for step in range(2)]
    fragment = write_fragment(
        FragmentContents(
            number=fragment_number(1, DEFAULT_START_MS),
            producer_ms=DEFAULT_START_MS,
            server_ms=DEFAULT_START_MS,
            contact_id=DEFAULT_CONTACT_ID,
            instance_id=None,
            tracks=[Track(2, FROM_CUSTOMER)],
            blocks=blocks,
        )
    )
    heard = Listener(DEFAULT_CONTACT_ID).hear(pieces(2 * fragment, 64))
    assert heard.ahead == 120
    assert heard.changes == []
    assert heard.stereo == record_of([fragment, fragment])
