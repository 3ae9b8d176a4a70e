"""Events behind an open break: their order, and how many bytes of them are held."""

from __future__ import annotations

from connect_audio.core.fragments import BytesLost
from connect_audio.recorder.audio_breaks import Break
from connect_audio.recorder.held_events import AcceptedFragment, HeldEvent, HeldEvents, OpenBreak
from core_support.fragments_by_hand import fragment

MIB = 1 << 20
LOST = BytesLost(0, 5, "damaged")


def accepted(counter: int, held_bytes: int) -> AcceptedFragment:
    return AcceptedFragment(fragment(counter, held_bytes=held_bytes), is_new=True, at_ms=counter, found=None)


def test_events_come_out_in_the_order_in_which_they_went_in() -> None:
    held = HeldEvents()
    events: list[HeldEvent] = [accepted(1, 10), LOST, accepted(2, 10)]
    for each in events:
        held.append(each)

    assert list(held) == events
    assert held.first() is events[0]
    assert [held.pop() for _ in events] == events
    assert not held


def test_eight_mebibytes_of_fragments_are_full() -> None:
    held = HeldEvents()
    fullness = []
    for event in (accepted(1, 5 * MIB), LOST, accepted(2, 3 * MIB - 1), accepted(3, 1)):
        held.append(event)
        fullness.append(held.is_full)
    held.pop()
    fullness.append(held.is_full)
    held.append(accepted(4, 5 * MIB))
    fullness.append(held.is_full)

    assert fullness == [False, False, False, True, False, True]


def test_what_is_cleared_holds_nothing_and_has_no_break() -> None:
    held = HeldEvents()
    held.append(accepted(1, 9 * MIB))
    held.behind = OpenBreak(Break(end_ms=1, begin_ms=2, number=3), came_ms=4, due_s=5.0)
    told: list[OpenBreak | None] = [held.behind]
    held.clear()
    told.append(held.behind)

    assert told[1] is None
    assert (len(list(held)), held.is_full) == (0, False)
