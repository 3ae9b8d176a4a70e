"""The core against the shared captures: structure as ebmlite reads it, and the audio of the one that has any."""

from __future__ import annotations

from pathlib import Path

import pytest

from connect_audio.core.fragments import Completion, Fragment, fragment_counter
from connect_audio.core.pcm import Party
from core_support.reading import byte_by_byte, events_of, fragments_of, record
from core_support.second_opinion import pcm_of, structures

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
CONTACT = "00000000-0000-4000-8000-000000000001"
NAMES = (
    "connect-call-61s.mkv",
    "test_mixed_tags.mkv",
    "output_get_media_sparse_fragments.mkv",
    "empty-mkv-with-tags.mkv",
    "test_tags_empty_cluster.mkv",
)


def capture(name: str) -> bytes:
    path = CAPTURES / name
    if not path.exists():
        pytest.skip(f"the shared capture {name} is not here")
    return path.read_bytes()


def milliseconds(seconds: str | None) -> int | None:
    return None if seconds is None else round(float(seconds) * 1000)


@pytest.mark.parametrize("name", NAMES)
def test_no_fragment_of_a_capture_is_lost_and_each_is_what_ebmlite_reads(name: str) -> None:
    data = capture(name)
    events = events_of([data])
    fragments = fragments_of(events)
    seen = structures(data)

    assert len(fragments) == len(seen)
    assert sum(fragment.size for fragment in fragments) == len(data)
    assert Completion.TRUNCATED not in {fragment.completion for fragment in fragments}
    for fragment, structure in zip(fragments, seen, strict=True):
        tags = dict(structure.tags)
        assert fragment.number == tags.get("AWS_KINESISVIDEO_FRAGMENT_NUMBER")
        assert fragment.server_timestamp_ms == milliseconds(tags.get("AWS_KINESISVIDEO_SERVER_TIMESTAMP"))
        assert fragment.producer_timestamp_ms == milliseconds(tags.get("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"))
        assert [tuple(tag) for tag in fragment.tags] == [tag for tag in structure.tags if tag[0] != "ContactId"]
        assert [(track.number, track.track_type, track.name) for track in fragment.tracks] == structure.tracks
        assert fragment.timecode_scale_ns == structure.timecode_scale
        # A video producer's Cluster timecodes may count from its fragment or its session. Then the first Cluster begins
        # at the producer timestamp.
        first_ns = (structure.first_timecode or 0) * structure.timecode_scale
        zero_ns = (fragment.producer_timestamp_ms or 0) * 1_000_000 - first_ns
        zero_ns = zero_ns if zero_ns > 86_400_000_000_000 else 0
        assert [(block.track_number, block.time_ns, block.frame_count, block.size) for block in fragment.blocks] == [
            (track, zero_ns + time_ns, frames, len(payload)) for track, time_ns, frames, payload in structure.blocks
        ]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "output_get_media_sparse_fragments.mkv"])
def test_a_capture_reads_the_same_byte_by_byte(name: str) -> None:
    data = capture(name)[:300_000]

    assert events_of(byte_by_byte(data)) == events_of([data])


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_producer_of_video_has_no_pcm_audio(name: str) -> None:
    fragments = fragments_of(events_of([capture(name)]))

    result = record(fragments, CONTACT)
    assert result.manifest(CONTACT)["status"] == "empty"


def test_real_fragment_numbers_count_up_by_one() -> None:
    for name in NAMES[1:3]:
        counters = [fragment_counter(fragment.number) for fragment in fragments_of(events_of([capture(name)]))]
        assert None not in counters
        assert counters == sorted(counters, key=lambda counter: counter or 0)


# --- the call --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def call() -> bytes:
    return capture("connect-call-61s.mkv")


def test_the_call_is_recorded_to_the_sample_customer_left_and_agent_right(call: bytes) -> None:
    customer, agent = pcm_of(call, ["AUDIO_FROM_CUSTOMER", "AUDIO_TO_CUSTOMER"])
    assert len(customer) == len(agent) > 60 * 16_000
    assert customer != agent

    result = record(events_of([call]), CONTACT)

    left = b"".join(result.stereo[at : at + 2] for at in range(0, len(result.stereo), 4))
    right = b"".join(result.stereo[at : at + 2] for at in range(2, len(result.stereo), 4))
    assert left == customer
    assert right == agent


def test_the_call_is_whole(call: bytes) -> None:
    fragments = fragments_of(events_of([call]))
    manifest = record(fragments, CONTACT).manifest(CONTACT)

    assert manifest["status"] == "complete"
    assert manifest["fragments"]["admitted"] == len(fragments) == 60
    assert manifest["gaps"]["count"] == 0
    for party in Party:
        assert manifest["tracks"][party]["silenceSamples"] == 0


def test_to_another_contact_the_call_gives_nothing(call: bytes) -> None:
    fragments: list[Fragment] = fragments_of(events_of([call]))

    result = record(fragments, "00000000-0000-4000-8000-000000000002")
    assert (result.stereo, result.cursor.fragments.other_contact) == (b"", 60)
