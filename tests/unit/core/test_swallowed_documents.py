"""Captures joined end to end, the first one cut off inside a block: its size reaches into the next contact's audio."""

from __future__ import annotations

from itertools import islice

import pytest

from connect_audio.core.fragments import BytesLost, Completion, Fragment
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.fragment_writer import FragmentLayout
from core_support.reading import events_in_file_mode, fragments_of, record

OURS = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
MARK = b"\x5a\x5b" * 8
SECOND = 16_000


def joined(layout: FragmentLayout, cut_at: int, *, block_ms: int = 500) -> bytes:
    """Our fragment up to a byte of its second block, and another contact's whole fragment behind it."""
    ours, others = (
        next(
            islice(
                synthesize_call(
                    SyntheticCall(
                        customer=pcm,
                        agent=None,
                        contact_id=contact_id,
                        block_ms=block_ms,
                        blocks_per_fragment=2,
                        layout=layout,
                    )
                ),
                1,
            )
        )
        for contact_id, pcm in ((OURS, b"\x01\x02" * (SECOND // 2)), (OTHER, b"\x5a\x5b" * (SECOND // 2)))
    )
    second_block = ours.data.index(b"\xa3", ours.data.index(b"\x01\x02" * 100) + SECOND // 2)
    return ours.data[: second_block + cut_at] + others.data


@pytest.mark.parametrize("layout", [FragmentLayout(), FragmentLayout(void_bytes=3), FragmentLayout(seek_head=True)])
@pytest.mark.parametrize("cut_at", [20, 500, 3000])
def test_what_a_cut_block_took_from_the_next_contact_is_not_in_the_recording(
    layout: FragmentLayout, cut_at: int
) -> None:
    events, _ = events_in_file_mode([joined(layout, cut_at)])

    recorded = record(events, OURS)

    assert MARK not in recorded.stereo[0::4] + recorded.stereo[1::4]
    left = bytes(byte for at in range(0, len(recorded.stereo), 4) for byte in recorded.stereo[at : at + 2])
    assert left == b"\x01\x02" * (SECOND // 4)
    assert recorded.manifest(OURS)["status"] == "partial"
    first = fragments_of(events)[0]
    assert (first.completion, len(first.blocks)) == (Completion.TRUNCATED, 1)
    size = sum(event.size for event in events if isinstance(event, Fragment))
    lost = sum(event.count for event in events if isinstance(event, BytesLost))
    assert size + lost == len(joined(layout, cut_at))
