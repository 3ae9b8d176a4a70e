"""The window over a stream's bytes: offsets, what is kept behind a mark, and how much."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest

from connect_audio.core.byte_window import ByteWindow

DATA: Final = Random(5).randbytes(4096)
MOST: Final = 4 * 1024 * 1024


def received(*pieces: bytes) -> ByteWindow:
    window = ByteWindow()
    for each in pieces:
        window.receive(each)
        window.join()
    return window


def test_received_and_consumed_bytes_are_counted() -> None:
    window = ByteWindow()
    assert (window.last_read, window.received, window.size, window.waits) == (0, 0, 0, False)
    window.receive(b"abc")
    window.receive(b"de")
    assert (window.waits, window.size, window.received, window.last_read) == (True, 5, 5, 2)
    window.join()
    window.position = 2
    assert (window.waits, window.buffer, window.offset, window.size) == (False, b"abcde", 2, 3)
    window.receive(b"f")
    window.join()
    assert (window.buffer, window.base, window.position, window.offset, window.size) == (b"cdef", 2, 0, 2, 4)
    assert not window.ended
    window.receive(b"")
    assert (window.ended, window.waits, window.last_read) == (True, False, 1)


@pytest.mark.parametrize("mark", [0, 3, 7])
@pytest.mark.parametrize("step", [1, 2, 5])
def test_bytes_behind_a_mark_are_there_again_however_they_came(mark: int, step: int) -> None:
    window = received(DATA[:8])
    window.position = mark
    window.mark(mark)
    for at in range(8, 40, step):
        window.position = len(window.buffer)
        window.receive(DATA[at : at + step])
        window.join()
    offset = window.offset
    assert window.recall()

    assert window.offset == offset
    assert window.buffer[mark - window.base : window.position] == DATA[mark:offset]
    assert window.recall()
    assert window.offset == offset


def test_without_a_mark_nothing_is_kept() -> None:
    window = received(DATA[:8])
    window.mark(0)
    window.position = 8
    window.receive(DATA[8:16])
    window.join()
    window.unmark()
    assert not window.recall()
    assert (window.base, window.buffer) == (8, DATA[8:16])
    assert window.since_mark(8, 12) == b""
    window.mark(8)
    window.position = 8
    window.receive(DATA[16:20])
    window.join()
    assert window.recall()
    assert (window.base, window.buffer, window.position) == (8, DATA[8:20], 8)


def test_a_new_mark_forgets_what_was_kept_for_the_last_one() -> None:
    window = received(DATA[:8])
    window.mark(0)
    window.position = 8
    window.receive(DATA[8:16])
    window.join()
    window.mark(10)
    window.position = 6
    window.receive(DATA[16:20])
    window.join()
    assert window.recall()

    assert (window.base, window.buffer, window.position) == (10, DATA[10:20], 4)


@pytest.mark.parametrize(("consumed", "is_kept"), [(MOST, True), (MOST + 1, False)])
def test_so_many_consumed_bytes_are_read_again(consumed: int, is_kept: bool) -> None:  # noqa: FBT001
    window = received(bytes(1000))
    window.mark(0)
    left = consumed
    while left:
        used = min(1000, left)
        window.position += used
        left -= used
        window.receive(bytes(used))
        window.join()

    assert window.recall() is is_kept
    if is_kept:
        assert (window.base, window.position) == (0, MOST)


def test_memory_behind_a_mark_is_bounded_by_that_and_one_piece() -> None:
    window = received(bytes(1 << 20))
    window.mark(0)
    for _ in range(12):
        window.position = len(window.buffer)
        window.receive(bytes(1 << 20))
        window.join()
        assert sum(map(len, window._aside)) <= MOST + (1 << 20)
    assert sum(map(len, window._aside)) >= MOST


def test_consumed_bytes_between_two_offsets_are_returned() -> None:
    window = received(DATA[:20])
    window.position = 5
    window.mark(5)
    window.position = 15
    window.receive(DATA[20:30])
    window.join()

    assert window.since_mark(7, 12) == DATA[7:12]
    assert window.since_mark(5, 15) == DATA[5:15]
    assert window.since_mark(4, 15) == b""
