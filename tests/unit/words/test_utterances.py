"""One party's audio cut into utterances: which frames open and close one, and that no sample is in two."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.words.utterances import LoudnessDetector, Utterance, UtteranceCutter

RATES: Final = (8_000, 11_025, 16_000, 44_100, 48_000)


class Marked:
    """Takes a frame for voice whose first sample is above zero, so that a test says which frames are."""

    def is_voiced(self, frame: bytes) -> bool:
        return int.from_bytes(frame[:2], "little", signed=True) > 0


def frame_of(rate: int) -> int:
    return rate * 30 // 1000


def audio(voiced: Iterable[bool | int], rate: int = 8_000, level: int = 1_000) -> bytes:
    """A frame of 30 ms for each value."""
    loud, quiet = level.to_bytes(2, "little", signed=True), bytes(2)
    return b"".join((loud if each else quiet) * frame_of(rate) for each in voiced)


def cut(samples: bytes, rate: int = 8_000, start: int = 0, pieces: Sequence[int] = (960,)) -> list[Utterance]:
    cutter = UtteranceCutter(rate, start, Marked())
    found: list[Utterance] = []
    at = number = 0
    while at < len(samples):
        size = 2 * pieces[number % len(pieces)]
        before = cutter.settled
        found += cutter.receive(samples[at : at + size])
        assert cutter.settled >= before
        at += size
        number += 1
    found += cutter.finish()
    assert cutter.settled == start + len(samples) // 2
    return found


def test_silence_has_no_utterance_and_is_settled_up_to_what_a_word_may_begin_with() -> None:
    cutter = UtteranceCutter(8_000, 500, Marked())

    assert cutter.receive(audio([0] * 100)) == []

    assert cutter.settled == 500 + (100 - 15) * 240


@pytest.mark.parametrize("window", [[1, 1, 0, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 0, 0]])
def test_three_voiced_frames_of_five_open_an_utterance(window: list[int]) -> None:
    (utterance,) = cut(audio([0] * 30 + window + [0] * 40))

    last = max(at for at, voiced in enumerate(window) if voiced)
    assert (utterance.speech_start, utterance.speech_end) == (30 * 240, (31 + last) * 240)


@pytest.mark.parametrize("window", [[1, 1, 0, 0, 0, 1, 1], [1, 0, 0, 0, 1], [1, 0, 1, 0, 0, 1]])
def test_fewer_open_none(window: list[int]) -> None:
    assert cut(audio([0] * 30 + window + [0] * 40)) == []


@pytest.mark.parametrize("rate", RATES)
def test_an_utterance_has_the_time_before_its_opening_and_a_tenth_of_a_second_behind_its_last_voice(rate: int) -> None:
    frame = frame_of(rate)
    (utterance,) = cut(audio([0] * 40 + [1] * 10 + [0] * 40, rate), rate, start=7)

    assert utterance.start == 7 + (40 + 3 - 15) * frame
    assert utterance.end == 7 + 50 * frame + rate // 10
    assert (utterance.speech_start, utterance.speech_end) == (7 + 40 * frame, 7 + 50 * frame)


def test_a_pause_of_less_than_six_tenths_of_a_second_does_not_close_it() -> None:
    assert len(cut(audio([1] * 5 + [0] * 19 + [1] * 5 + [0] * 30))) == 1
    assert len(cut(audio([1] * 5 + [0] * 20 + [1] * 5 + [0] * 30))) == 2


def test_an_open_utterance_is_not_settled_and_the_end_of_the_call_closes_it() -> None:
    cutter = UtteranceCutter(8_000, 0, Marked())
    assert cutter.receive(audio([0] * 40 + [1] * 10)) == []
    assert cutter.settled == (40 + 3 - 15) * 240

    (utterance,) = cutter.finish()

    assert (utterance.start, utterance.end, cutter.settled) == (28 * 240, 50 * 240, 50 * 240)


def test_speech_without_a_pause_is_cut_after_fifteen_seconds_at_its_quietest_frame_of_late() -> None:
    frames = [audio([1])] * 600
    frames[200] = audio([1], level=10)  # quieter, but too early
    frames[420] = audio([1], level=100)
    first, second = cut(b"".join(frames))

    assert (first.start, first.end) == (0, 420 * 240)
    assert (second.start, second.end) == (420 * 240, 600 * 240)
    assert second.speech_start == 420 * 240


@given(
    flags=st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=20),
    pieces=st.lists(st.integers(1, 9_000), min_size=1, max_size=5),
    rate=st.sampled_from(RATES),
)
def test_utterances_never_overlap_hold_the_samples_of_their_place_and_do_not_depend_on_the_pieces(
    flags: list[tuple[bool, int]], pieces: list[int], rate: int
) -> None:
    generator = random.Random(len(flags))
    samples = b"".join(
        (generator.randint(1, 20_000) if voiced else -generator.randint(0, 20_000)).to_bytes(2, "little", signed=True)
        * frame_of(rate)
        for voiced, count in flags
        for _ in range(count)
    )
    start = 1_234
    found = cut(samples, rate, start, pieces)

    assert found == cut(samples, rate, start)
    assert all(one.end <= other.start for one, other in pairwise(found))
    for utterance in found:
        at = 2 * (utterance.start - start)
        assert at >= 0
        assert samples[at : at + len(utterance.samples)] == utterance.samples
        assert utterance.start <= utterance.speech_start < utterance.speech_end <= utterance.end
        assert utterance.end - utterance.start <= 15 * rate


@given(flags=st.lists(st.booleans(), max_size=200), at=st.integers(0, 200))
def test_a_cutter_that_begins_at_a_settled_position_finds_what_is_left(flags: list[bool], at: int) -> None:
    samples = audio(flags)
    whole = UtteranceCutter(8_000, 0, Marked())
    before = whole.receive(samples[: 480 * at])
    settled = whole.settled
    after = whole.receive(samples[480 * at :]) + whole.finish()

    again = UtteranceCutter(8_000, settled, Marked())
    found = again.receive(samples[2 * settled :]) + again.finish()

    voiced = [(each.speech_start, each.speech_end) for each in found]
    assert all(each.start >= settled for each in after)
    assert all(each.end <= settled for each in before)
    # The second cutter sees no frame before its begin, so it may open a frame or two later.
    assert [end for _, end in voiced] == [each.speech_end for each in after]


def test_loudness_tells_a_voice_from_the_noise_that_it_stands_in() -> None:
    detector = LoudnessDetector()
    noise, voice = audio([1], level=300), audio([1], level=2_000)

    for _ in range(120):
        detector.is_voiced(noise)

    assert not detector.is_voiced(noise)
    assert detector.is_voiced(voice)
    assert not detector.is_voiced(noise)
    assert not detector.is_voiced(audio([1], level=100))
