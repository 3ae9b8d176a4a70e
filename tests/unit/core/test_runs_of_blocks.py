"""A run of equal blocks is decoded in one go; nobody must be able to tell."""

from __future__ import annotations

import pytest

from connect_audio.core.errors import StreamError
from connect_audio.core.fragments import END, NEED_DATA, BytesLost, FragmentReader
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call


def _broken_in_the_midst_of_a_run() -> bytes:
    """Two fragments; in the first, the sixth block's track number is no variable-size integer."""
    call = SyntheticCall(customer=bytes(32_768), agent=bytes(32_768))
    fragments = [fragment.data for fragment in synthesize_call(call)]
    first = bytearray(fragments[0])
    block = b"\xa3\x01\x00\x00\x00\x00\x00\x04\x04"
    at = first.index(block) + 5 * (len(block) + 4 + 1024)
    assert first.startswith(block, at)
    first[at + len(block)] = 0
    return bytes(first) + fragments[1]


def _report(data: bytes, step: int) -> list[str]:
    reader = FragmentReader()
    report: list[str] = []
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    for piece in [*pieces, b""]:
        reader.receive_data(piece)
        while True:
            try:
                event = reader.next_event()
            except StreamError as error:
                report.append(str(error))
                reader.resynchronise("broken")
                continue
            if event is NEED_DATA or event is END:
                break
            report.append(str(event) if isinstance(event, BytesLost) else f"Fragment of {len(event.blocks)} blocks")
    return report


@pytest.mark.parametrize("step", [1000, 5000, 1_000_000])
def test_a_bad_block_in_a_run_is_reported_and_passed_over_as_if_the_blocks_came_one_by_one(step: int) -> None:
    data = _broken_in_the_midst_of_a_run()
    report = _report(data, step)
    assert report == _report(data, 1)
    assert report[:2] == [
        "block: a variable-size integer runs beyond the data (at byte 6169)",
        "Fragment of 5 blocks",
    ]
    assert any(line.startswith("BytesLost(offset=6169,") for line in report)
