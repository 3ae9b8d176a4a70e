"""Live audio says when it begins and how long it lasts."""

from __future__ import annotations

from connect_audio.core.live_audio import LiveBlock, LiveSegment
from connect_audio.core.pcm import Party


def test_a_block_knows_its_time_and_duration() -> None:
    block = LiveBlock(party=Party.AGENT, start=8_000_012, rate=8000, samples=bytes(1024), position=None)
    assert (block.length, block.start_ms, block.seconds) == (512, 1_000_001, 0.064)


def test_a_segment_is_as_long_as_its_longer_party() -> None:
    samples = {Party.CUSTOMER: bytes(320), Party.AGENT: bytes(160)}
    segment = LiveSegment(number=0, position=0, start=8_000_012, rate=8000, samples=samples, before={})
    assert (segment.length, segment.start_ms, segment.seconds) == (160, 1_000_001, 0.02)


def test_a_segment_of_nobody_is_empty_and_not_the_last() -> None:
    segment = LiveSegment(number=0, position=0, start=0, rate=8000, samples={}, before={})
    assert (segment.length, segment.last) == (0, False)
