from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_START_MS,
    AudioFileError,
    Gap,
    ShortBlock,
    SyntheticCall,
    SyntheticFragment,
    fragment_number,
    from_wav_files,
    synthesize_call,
    synthesize_stream,
)
from connect_audio_local.synthesis.fragment_writer import FROM_CUSTOMER, LEGACY_TRACK_NAME, TO_CUSTOMER, Track
from connect_audio_local.synthesis.speech import Party, endless_speech, pitch_hz, two_party_conversation

SPEECH = two_party_conversation(5)
CALL = SyntheticCall(customer=SPEECH.customer, agent=SPEECH.agent)


def sent(fragments: Iterable[SyntheticFragment], name: str) -> bytes:
    """All bytes that one track carried."""
    pcm = bytearray()
    for fragment in fragments:
        numbers = {track.number for track in fragment.contents.tracks if track.name == name}
        pcm += b"".join(block.pcm for block in fragment.contents.blocks if block.track_number in numbers)
    return bytes(pcm)


def names(fragment: SyntheticFragment) -> list[str]:
    return [track.name for track in fragment.contents.tracks]


def test_everything_that_was_said_is_sent_on_its_own_track() -> None:
    fragments = list(synthesize_call(CALL))

    assert sent(fragments, FROM_CUSTOMER) == SPEECH.customer
    assert sent(fragments, TO_CUSTOMER) == SPEECH.agent


def test_fragments_last_1024_ms_and_the_last_one_is_shorter() -> None:
    fragments = list(synthesize_call(CALL))

    assert [fragment.duration_ms for fragment in fragments] == [1024, 1024, 1024, 1024, 904]
    assert [fragment.producer_ms - DEFAULT_START_MS for fragment in fragments] == [0, 1024, 2048, 3072, 4096]
    assert all(fragment.server_ms == fragment.producer_ms + 170 for fragment in fragments)


def test_a_fragment_is_as_long_as_connects() -> None:
    assert len(next(synthesize_call(CALL)).data) == 34768 - len("131207") + len("0")


def test_blocks_of_64_ms_alternate_between_the_tracks() -> None:
    blocks = next(synthesize_call(CALL)).contents.blocks

    assert [block.track_number for block in blocks] == [1, 2] * 16
    assert [block.time_ns // 1_000_000 - DEFAULT_START_MS for block in blocks[::2]] == [64 * k for k in range(16)]
    assert {len(block.pcm) for block in blocks} == {1024}


def test_fragment_numbers_increase_and_hold_the_server_timestamp() -> None:
    fragments = list(synthesize_call(CALL))
    numbers = [int(fragment.number) for fragment in fragments]

    assert numbers == sorted(set(numbers))
    assert [number >> 28 & (1 << 64) - 1 for number in numbers] == [fragment.server_ms for fragment in fragments]
    assert len(fragment_number(1, DEFAULT_START_MS)) == 47


def test_the_shorter_side_is_sent_as_silence_to_the_end() -> None:
    fragments = list(synthesize_call(replace(CALL, agent=SPEECH.agent[:16000])))

    assert sent(fragments, TO_CUSTOMER) == SPEECH.agent[:16000] + bytes(len(SPEECH.customer) - 16000)


def test_audio_comes_as_bytes_iterator_or_function_alike() -> None:
    def pieces() -> Iterator[bytes]:
        yield from (SPEECH.customer[at : at + 333] for at in range(0, len(SPEECH.customer), 333))

    wanted = [fragment.data for fragment in synthesize_call(CALL)]
    assert [fragment.data for fragment in synthesize_call(replace(CALL, customer=pieces()))] == wanted
    assert [fragment.data for fragment in synthesize_call(replace(CALL, customer=pieces))] == wanted


def test_an_endless_call_is_made_only_as_far_as_it_is_read() -> None:
    call = replace(CALL, customer=endless_speech(Party.CUSTOMER), agent=endless_speech(Party.AGENT))

    assert len(list(islice(synthesize_call(call), 100))) == 100


def test_seconds_end_an_endless_call() -> None:
    call = replace(CALL, customer=endless_speech(Party.CUSTOMER), agent=endless_speech(Party.AGENT), seconds=2.5)

    assert len(sent(synthesize_call(call), TO_CUSTOMER)) == 2.5 * 16000


def test_a_one_sided_call_declares_one_track() -> None:
    fragments = list(synthesize_call(replace(CALL, agent=None)))

    assert {name for fragment in fragments for name in names(fragment)} == {FROM_CUSTOMER}


def test_a_late_agent_track_is_declared_from_the_fragment_in_which_it_begins() -> None:
    fragments = list(synthesize_call(replace(CALL, agent_joins_ms=1500)))

    assert [names(fragment) for fragment in fragments[:2]] == [[FROM_CUSTOMER], [TO_CUSTOMER, FROM_CUSTOMER]]
    # 1500 ms rounded up to the grid of 64 ms
    assert sent(fragments, TO_CUSTOMER) == SPEECH.agent[1536 * 16 :]


def test_a_gap_ends_a_fragment_early_and_delays_what_follows() -> None:
    fragments = list(synthesize_call(replace(CALL, gaps=(Gap(at_ms=1280, length_ms=10_000),))))

    assert [fragment.producer_ms - DEFAULT_START_MS for fragment in fragments[:3]] == [0, 1024, 11_280]
    assert fragments[1].duration_ms == 256
    assert sent(fragments, FROM_CUSTOMER) == SPEECH.customer


def test_a_short_block_leaves_the_blocks_after_it_on_the_grid() -> None:
    call = replace(CALL, short_blocks=(ShortBlock(FROM_CUSTOMER, 3, 192), ShortBlock(TO_CUSTOMER, 5, 1001)))

    blocks = next(synthesize_call(call)).contents.blocks

    assert [len(block.pcm) for block in blocks[6:12]] == [1024, 192, 1024, 1024, 1001, 1024]
    assert blocks[9].time_ns - blocks[7].time_ns == 64_000_000


def test_unlabelled_fragments_carry_no_contact_id() -> None:
    fragments = list(synthesize_call(replace(CALL, unlabelled=frozenset({0, 2}), last_unlabelled=True)))

    assert [fragment.contact_id is None for fragment in fragments] == [True, False, True, False, True]
    assert DEFAULT_CONTACT_ID.encode() not in fragments[0].data


def test_the_next_contact_follows_in_the_same_stream_with_the_numbers_running_on() -> None:
    second = replace(CALL, contact_id="another", pause_ms=3000)

    fragments = list(synthesize_stream([CALL, second]))

    assert [fragment.contact_id for fragment in fragments] == [DEFAULT_CONTACT_ID] * 5 + ["another"] * 5
    assert fragments[5].producer_ms == fragments[4].producer_ms + 904 + 3000
    numbers = [int(fragment.number) for fragment in fragments]
    assert numbers == sorted(set(numbers))


def test_a_call_that_starts_within_its_predecessor_is_refused() -> None:
    with pytest.raises(ValueError, match="contact another starts at 1782912654537 ms, before its predecessor's end"):
        list(synthesize_stream([CALL, replace(CALL, contact_id="another", start_ms=DEFAULT_START_MS + 1)]))


def test_the_legacy_single_track_carries_the_customer() -> None:
    call = replace(CALL, agent=None, tracks=(Track(1, LEGACY_TRACK_NAME),))

    assert sent(synthesize_call(call), LEGACY_TRACK_NAME) == SPEECH.customer


def test_blocks_of_20_ms_and_other_rates_keep_every_sample() -> None:
    speech = two_party_conversation(3, 16000)
    call = SyntheticCall(customer=speech.customer, agent=speech.agent, rate=16000, block_ms=20, blocks_per_fragment=50)

    fragments = list(synthesize_call(call))

    assert [fragment.duration_ms for fragment in fragments] == [1000, 1000, 1000]
    assert sent(fragments, FROM_CUSTOMER) == speech.customer


def test_a_block_of_no_whole_number_of_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="64 ms at 11025 samples a second are no whole number of samples"):
        replace(CALL, rate=11025)


def test_a_call_without_any_audio_is_refused() -> None:
    with pytest.raises(ValueError, match="a call needs the audio of the customer or of the agent"):
        replace(CALL, customer=None, agent=None)


# --- WAV files -------------------------------------------------------------------------------------------------------


def write_wav(path: Path, pcm: bytes, *, rate: int = 8000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


def test_two_wav_files_of_different_length_become_a_call(tmp_path: Path) -> None:
    customer = write_wav(tmp_path / "customer.wav", SPEECH.customer)
    agent = write_wav(tmp_path / "agent.wav", SPEECH.agent[:32000])

    fragments = list(synthesize_call(from_wav_files(customer, agent)))

    assert sent(fragments, FROM_CUSTOMER) == SPEECH.customer
    assert sent(fragments, TO_CUSTOMER) == SPEECH.agent[:32000].ljust(len(SPEECH.customer), b"\0")


def test_a_wav_of_another_rate_is_converted(tmp_path: Path) -> None:
    customer = write_wav(tmp_path / "customer.wav", two_party_conversation(5, 44100).customer, rate=44100)
    agent = write_wav(tmp_path / "agent.wav", SPEECH.agent)

    pcm = sent(synthesize_call(from_wav_files(customer, agent)), FROM_CUSTOMER)

    assert len(pcm) == pytest.approx(5 * 16000, abs=4)
    assert pitch_hz(pcm) == pytest.approx(115, rel=0.05)


def test_a_wav_of_8_bits_is_converted(tmp_path: Path) -> None:
    quiet = write_wav(tmp_path / "quiet.wav", b"\x80" * 8000, width=1)

    assert sent(synthesize_call(from_wav_files(quiet, quiet)), TO_CUSTOMER) == bytes(16000)


def test_a_stereo_wav_is_refused_by_name(tmp_path: Path) -> None:
    stereo = write_wav(tmp_path / "stereo.wav", bytes(400), channels=2)

    with pytest.raises(AudioFileError, match=r"stereo\.wav: has 2 channels, give one mono file per party"):
        from_wav_files(stereo, stereo)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wav at all, but long enough to be one"])
def test_what_is_no_wav_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.wav"
    path.write_bytes(content)

    with pytest.raises(AudioFileError, match=r"no\.wav: is no PCM WAV file"):
        from_wav_files(path, path)


def test_an_empty_wav_is_refused_by_name(tmp_path: Path) -> None:
    empty = write_wav(tmp_path / "empty.wav", b"")

    with pytest.raises(AudioFileError, match=r"empty\.wav: holds no audio"):
        from_wav_files(empty, empty)
