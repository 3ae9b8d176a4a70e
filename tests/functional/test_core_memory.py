"""Memory of the core: a formula, and a day's call that stays below it. The call is made as it is read, never stored.

What the core may hold at once, in bytes:

    MAX_BLOCK_BYTES + CHUNK                one element in the making, and what one read brought
    MAX_FRAGMENT_BYTES                     the fragment in the making, all that a Block or tag takes included
    MAX_UNDECIDED_BYTES or one fragment    unlabelled fragments that wait for the next label
    (MAX_SKEW_S + one fragment) of a track what was placed and not settled, 2 bytes a sample
    (2 * COMPARED_S + one fragment) of both what was written and may come again (`core/written.py`)
    2 * (BATCH_S + one fragment) of both    what the meter measures at once, and the joined copy (`core/levels.py`)
    2 * 32 KiB                             frames being interleaved
    FIXED                                  caches of repeated elements, cursors of the last MAX_SKEW_S seconds, counters

Nothing in it grows with the length of the call.
"""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, repeat
from typing import Final

import pytest

from connect_audio.core.admission import MAX_UNDECIDED_BYTES
from connect_audio.core.errors import FragmentError
from connect_audio.core.fragments import MAX_FRAGMENT_BYTES, NEED_DATA, Fragment, FragmentReader
from connect_audio.core.levels import BATCH_S
from connect_audio.core.matroska import MAX_BLOCK_BYTES, decode_tracks
from connect_audio.core.plain import to_plain
from connect_audio.core.recording import CallRecording
from connect_audio.core.timeline import MAX_SKEW_S
from connect_audio.core.written import COMPARED_S
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, fragment_number
from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_TRACKS,
    TO_CUSTOMER,
    Block,
    FragmentContents,
    Track,
    write_fragment,
)
from core_support.elements import (
    DOCUMENT,
    ENDLESS,
    SIMPLE_BLOCK,
    SIMPLE_TAG,
    TAG,
    TAG_NAME,
    TAGS,
    TIMECODE,
    UNKNOWN_CLUSTER,
    element,
    endless,
    named,
    tags,
)
from core_support.reading import read_all

OURS: Final = "00000000-0000-4000-8000-000000000001"
OTHER: Final = "00000000-0000-4000-8000-000000000002"
CHUNK: Final = 64 * 1024
FIXED: Final = 1024 * 1024
CHUNKS_A_CHECKPOINT: Final = 80
"""Chunks between two checkpoints: 5 MiB, as a part."""
GROWTH_AN_HOUR: Final = 1024
"""What a call may take more than an hour ago, bytes: no more than 24 KiB in a day."""
FRAGMENT_MS: Final = 8000
BLOCK_MS: Final = 1000
RATE: Final = 8000


def formula(*, fragment: int, undecided: int) -> int:
    """The most that the core may hold, bytes.

    Args:
        fragment: what the largest fragment of the stream holds.
        undecided: what waits for a label.
    """
    skew = 2 * RATE * (MAX_SKEW_S + FRAGMENT_MS // 1000)
    element = 2 * RATE * BLOCK_MS // 1000
    written = 2 * 2 * RATE * (2 * COMPARED_S + FRAGMENT_MS // 1000)
    metered = 2 * 2 * 2 * RATE * (BATCH_S + FRAGMENT_MS // 1000)
    return element + CHUNK + fragment + undecided + skew + written + metered + 2 * 32 * 1024 + FIXED


FRAGMENT: Final = 2 * 2 * RATE * FRAGMENT_MS // 1000 + 16 * 1024
"""What one of our fragments holds: eight seconds of two tracks, and its blocks and tags."""
LARGEST: Final = MAX_BLOCK_BYTES + CHUNK + MAX_FRAGMENT_BYTES + MAX_UNDECIDED_BYTES + 5 * 1024 * 1024
"""The formula with every bound at its largest, and what decoding one element of 256 KiB takes in passing."""


def call(
    fragments: range, *, agent_speaks: Callable[[int], bool], label: Callable[[int], str | None]
) -> Iterator[bytes]:
    """A part of a call in fragments of eight seconds, cut into chunks.

    Args:
        fragments: their indices since the start of the call.
        agent_speaks: whether the agent's track is there in the fragment of an index.
        label: the ContactId of the fragment of an index.
    """
    pcm = {track.number: bytes([track.number, 7]) * (RATE * BLOCK_MS // 1000) for track in CONNECT_TRACKS}
    for index in fragments:
        start_ms = DEFAULT_START_MS + FRAGMENT_MS * index
        tracks: list[Track] = [track for track in CONNECT_TRACKS if agent_speaks(index) or track.name != TO_CUSTOMER]
        data = write_fragment(
            FragmentContents(
                number=fragment_number(index, start_ms),
                producer_ms=start_ms,
                server_ms=start_ms,
                contact_id=label(index),
                instance_id=None,
                tracks=tracks,
                blocks=[
                    Block.at_ms(track.number, start_ms + at_ms, pcm[track.number])
                    for at_ms in range(0, FRAGMENT_MS, BLOCK_MS)
                    for track in tracks
                ],
            )
        )
        yield from (data[at : at + CHUNK] for at in range(0, len(data), CHUNK))


class Listener:
    """Reads and records as the recorder does, and throws frames and notes away."""

    def __init__(self) -> None:
        self.reader = FragmentReader()
        self.recording = CallRecording(OURS)
        self.frames = 0

    def hear(self, chunks: Iterable[bytes]) -> None:
        for number, chunk in enumerate(chunks):
            self.reader.receive_data(chunk)
            while (event := self.reader.next_event()) is not NEED_DATA:
                if isinstance(event, Fragment):
                    self.recording.add(event)
                    self.frames += sum(len(frames) for frames in self.recording.take()) // 4
                    self.recording.take_notes()
            if number % CHUNKS_A_CHECKPOINT == 0:
                self.recording.cursor()


def peak_of(work: Callable[[], object]) -> int:
    """Most bytes held at once during some work."""
    tracemalloc.reset_peak()
    work()
    return tracemalloc.get_traced_memory()[1]


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    # ebmlite's schema is loaded once in a process and is no part of a stream's memory.
    decode_tracks(bytes.fromhex("1654AE6B80"), offset=0)
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_the_ninth_hour_of_a_call_takes_what_the_seventh_took() -> None:
    listener = Listener()
    per_hour = 3_600_000 // FRAGMENT_MS

    def hear(number: int) -> None:
        listener.hear(
            call(
                range(number * per_hour, (number + 1) * per_hour),
                agent_speaks=lambda index: index % 40 < 30,  # or minutes of one side alone
                label=lambda index: OURS if index % 10 else None,
            )
        )

    def peak_of_hour(number: int) -> int:
        return peak_of(lambda: hear(number))

    first = [peak_of_hour(number) for number in range(2)]
    # An hour that is measured takes three times as long as another.
    tracemalloc.stop()
    for number in range(2, 6):
        hear(number)
    # By now the shapes of the fragments are known (`core/shapes.py`), and 2700 fragments have filled the bounded lists
    # of the cursor and the caches of the process.
    tracemalloc.start()
    last = [peak_of_hour(number) for number in range(6, 9)]

    assert listener.frames > (9 * 3600 - FRAGMENT_MS // 1000 - MAX_SKEW_S - 1) * RATE
    assert max(first + last) < formula(fragment=FRAGMENT, undecided=2 * FRAGMENT)
    # It grows by 200 bytes an hour. A number kept for each fragment would be 20 KiB an hour.
    for early, late in pairwise(last):
        assert late - early < GROWTH_AN_HOUR
    assert len(json.dumps(to_plain(listener.recording.cursor()))) < 12_000


def test_without_labels_what_waits_stays_below_its_bound() -> None:
    listener = Listener()
    part = call(range(1000), agent_speaks=lambda _: True, label=lambda index: None if index else OURS)

    peak = peak_of(lambda: listener.hear(part))

    assert MAX_UNDECIDED_BYTES < peak < formula(fragment=FRAGMENT, undecided=MAX_UNDECIDED_BYTES)
    assert listener.recording.fragments.undecidable > 900


@pytest.mark.parametrize(
    ("what", "piece"),
    [
        ("a stranger's fragments", DOCUMENT + tags(("ContactId", OTHER))),
        ("unlabelled fragments without audio", DOCUMENT + tags(("Events", "x" * 200))),
        ("documents of nothing", DOCUMENT),
        ("in-band errors", DOCUMENT + tags(("ContactId", OTHER)) + tags(("AWS_KINESISVIDEO_ERROR_CODE", "3002"))),
        ("empty blocks", DOCUMENT + UNKNOWN_CLUSTER + element(TIMECODE, b"\1") + element(SIMPLE_BLOCK, b"\x81\0\0\0")),
    ],
    ids=named,
)
def test_whatever_follows_a_call_that_ends_unevenly_takes_no_more_than_its_bound(what: str, piece: bytes) -> None:
    listener = Listener()
    # The agent's track ends with the first fragment, so that the end of the call never settles.
    listener.hear(call(range(2), agent_speaks=lambda index: index == 0, label=lambda _: OURS))

    # Some 4 000 to 23 000 fragments.
    peak = peak_of(lambda: listener.hear(repeat(piece * (CHUNK // len(piece)), 10)))

    assert peak < formula(fragment=0, undecided=MAX_UNDECIDED_BYTES) + MAX_UNDECIDED_BYTES // 2, what


@pytest.mark.parametrize("name", ENDLESS)
def test_a_fragment_without_end_is_refused_before_it_holds_more_than_its_bound(name: str) -> None:
    def read() -> None:
        with pytest.raises(FragmentError):
            read_all(FragmentReader(), endless(name))

    assert peak_of(read) < LARGEST


def test_hostile_elements_do_not_stay_in_the_caches() -> None:
    bulk = bytes.fromhex("67C883 45A380") * 1500

    def fragments() -> Iterator[bytes]:
        for index in range(20):
            own = element(SIMPLE_TAG, element(TAG_NAME, str(index).encode()))
            yield DOCUMENT + element(TAGS, element(TAG, own + bulk))

    read_all(FragmentReader(), fragments())

    gc.collect()
    assert tracemalloc.get_traced_memory()[0] < 512 * 1024
