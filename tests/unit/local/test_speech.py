from __future__ import annotations

import struct
import time
from itertools import islice

import pytest

from connect_audio_local.synthesis.speech import Party, endless_speech, pitch_hz, two_party_conversation


def samples(pcm: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(pcm) // 2}h", pcm)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_parties_differ_in_pitch_by_figures(rate: int, seed: int) -> None:
    conversation = two_party_conversation(12, rate, seed)

    assert pitch_hz(conversation.customer, rate) == pytest.approx(115, rel=0.05)
    assert pitch_hz(conversation.agent, rate) == pytest.approx(210, rel=0.05)


def test_the_parties_differ_in_level() -> None:
    conversation = two_party_conversation(12)

    assert max(map(abs, samples(conversation.customer))) == 9_000
    assert max(map(abs, samples(conversation.agent))) == 16_000


def test_each_party_is_digital_silence_while_the_other_speaks() -> None:
    conversation = two_party_conversation(30)

    both = sum(1 for a, b in zip(samples(conversation.customer), samples(conversation.agent), strict=True) if a and b)
    assert both == 0
    for side in (conversation.customer, conversation.agent):
        assert sum(1 for sample in samples(side) if sample) > 30 * 8000 // 5


def test_both_sides_have_the_length_asked_for() -> None:
    conversation = two_party_conversation(1.2345, 16000)

    assert len(conversation.customer) == len(conversation.agent) == round(1.2345 * 16000) * 2


def test_the_same_seed_speaks_the_same_words_and_another_seed_others() -> None:
    assert two_party_conversation(5, seed=3) == two_party_conversation(5, seed=3)
    assert two_party_conversation(5, seed=3) != two_party_conversation(5, seed=4)


def test_a_longer_conversation_begins_like_a_shorter_one() -> None:
    assert two_party_conversation(20).agent.startswith(two_party_conversation(5).agent)


def test_endless_speech_comes_in_pieces_of_bounded_length() -> None:
    assert max(len(piece) for piece in islice(endless_speech(Party.CUSTOMER), 500)) < 8 * 8000 * 2


def test_a_minute_is_made_in_less_than_two_seconds_of_cpu() -> None:
    started = time.process_time()

    two_party_conversation(60)

    assert time.process_time() - started < 2


def test_silence_has_no_pitch() -> None:
    assert pitch_hz(bytes(16000)) == 0.0
    assert pitch_hz(b"") == 0.0


def test_a_rate_too_low_for_the_voices_is_refused() -> None:
    with pytest.raises(ValueError, match="a rate of 4000 samples a second cannot carry these voices"):
        two_party_conversation(1, 4000)
