"""Shapes are bounded: how many are kept, which one goes, and when one that fits in vain is dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from connect_audio.core.fragments import Fragment
from connect_audio.core.shapes import Shapes
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from core_support.reading import events_of, fragments_of

CALL: Final = SyntheticCall(customer=bytes(range(200)) * 16, agent=bytes(range(200)) * 16, blocks_per_fragment=2)


def layouts(count: int) -> list[tuple[bytes, Fragment]]:
    """Fragments of one layout each, which differ in the length of their contact's ID, and what they say."""
    found = []
    for number in range(count):
        raw = next(iter(synthesize_call(replace(CALL, contact_id="c" * (8 + number))))).data
        found.append((raw, fragments_of(events_of([raw]))[0]))
    return found


def learnt(count: int) -> tuple[Shapes, list[tuple[bytes, Fragment]]]:
    shapes, made = Shapes(), layouts(count)
    for raw, fragment in made:
        shapes.learn(raw, fragment, leaves_open=False)
    return shapes, made


def known(shapes: Shapes, made: list[tuple[bytes, Fragment]]) -> list[int]:
    return [index for index, (raw, _) in enumerate(made) if shapes.match(raw, 0, 0) is not None]


def test_eight_shapes_are_known_and_the_oldest_goes() -> None:
    shapes, made = learnt(10)

    assert known(shapes, made) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_of_eight_shapes_the_one_that_matched_longest_ago_goes() -> None:
    shapes, made = learnt(8)
    assert shapes.match(made[0][0], 0, 0) == made[0][1]
    raw, fragment = layouts(9)[8]
    shapes.learn(raw, fragment, leaves_open=False)

    assert known(shapes, [*made, (raw, fragment)]) == [0, 2, 3, 4, 5, 6, 7, 8]


def test_a_fragment_is_matched_at_its_place_once_all_of_it_is_there() -> None:
    shapes, ((raw, fragment),) = learnt(1)

    assert shapes.match(b"abc" + raw, 3, 0) == fragment
    assert shapes.match(raw + b"abc", 0, 0) == fragment
    assert shapes.match(raw[:-1], 0, 0) is None
    assert shapes.match(b"abc" + raw[:-1], 3, 0) is None
    found = shapes.match(raw, 0, 700)
    assert found is not None
    assert (found.offset, found.size) == (700, len(raw))


def test_a_shape_whose_ends_fit_in_vain_eight_times_in_a_row_is_dropped() -> None:
    for misses, is_known in ((7, True), (8, False)):
        shapes, ((raw, _),) = learnt(1)
        # The head of the second block of each track: neither the first fixed part nor the last one.
        at = raw.index(b"\xa3\1\0\0\0\0\0\4", raw.index(b"\x1f\x43\xb6\x75") + 100)
        broken = raw[: at + 5] + b"\1" + raw[at + 6 :]
        assert shapes.match(broken, 0, 0) is None
        assert shapes.match(raw, 0, 0) is not None
        for _ in range(misses):
            assert shapes.match(broken, 0, 0) is None
        assert (shapes.match(raw, 0, 0) is not None) is is_known


def test_a_fragment_with_errors_or_without_blocks_has_no_shape() -> None:
    for raw, fragment in layouts(1):
        shapes = Shapes()
        shapes.learn(raw, replace(fragment, blocks=()), leaves_open=False)
        assert shapes.match(raw, 0, 0) is None


def test_whether_its_segment_goes_on_is_told_with_the_match() -> None:
    for leaves_open in (False, True):
        shapes = Shapes()
        assert not shapes.leaves_open
        ((raw, fragment),) = layouts(1)
        shapes.learn(raw, fragment, leaves_open=leaves_open)
        shapes.match(raw, 0, 0)
        assert shapes.leaves_open is leaves_open


def test_a_fragment_is_waited_for_if_its_reads_are_a_thirty_second_of_it() -> None:
    shapes, ((raw, _),) = learnt(1)
    least = -(-len(raw) // 32)

    assert shapes.may_match(raw[:10], 0, least)
    # It goes on to be waited for, however small the reads are.
    assert shapes.may_match(raw[:11], 0, 1)
    assert not shapes.may_match(raw, 0, least)
    assert not shapes.may_match(raw[:10], 0, least - 1)
    assert shapes.may_match(b"abc" + raw[:10], 3, least)
    assert not shapes.may_match(b"x" + raw[1:10], 0, least)


def test_what_fitted_so_far_is_waited_for_until_it_does_not_fit() -> None:
    shapes, ((raw, _),) = learnt(1)
    half = len(raw) // 2
    assert shapes.may_match(raw[:half], 0, half)
    at = raw.index(b"MimeType")

    assert not shapes.may_match(raw[:at] + b"x" + raw[at + 1 : half], 0, half) or at < half
    assert shapes.may_match(raw[: half + 100], 0, 100)
    assert not shapes.may_match(bytes(half + 200), 0, half)


def test_two_fragments_are_learnt_at_once_and_the_next_after_four_matches() -> None:
    shapes, made = Shapes(), layouts(4)
    told = []
    for raw, fragment in made[:3]:
        told.append(shapes.elementwise())
        if told[-1]:
            shapes.learn(raw, fragment, leaves_open=False)
    assert told == [True, True, False]
    for count in range(4):
        assert not shapes.elementwise() or count
        shapes.match(made[0][0], 0, 0)

    assert shapes.elementwise()
