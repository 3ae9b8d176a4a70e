"""The choice of the parties' tracks: by name without case and padding, by a user's word, and nothing dropped unseen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connect_audio.core.matroska import TrackEntry
from connect_audio.core.pcm import Party, PcmFormat
from connect_audio.core.tracks import (
    AudioTrack,
    TrackNames,
    UnsupportedTrack,
    at_rate,
    choose_tracks,
    find_track,
    shown_name,
    track_names,
)

FROM = TrackEntry(number=2, track_type=2, name="AUDIO_FROM_CUSTOMER", codec_id="A_AAC")
TO = TrackEntry(number=1, track_type=2, name="AUDIO_TO_CUSTOMER", codec_id="A_AAC")
ANY = replace(FROM, name="microphone")
VIDEO = TrackEntry(number=3, track_type=1, name="AUDIO_FROM_CUSTOMER", codec_id="V_MPEG4/ISO/AVC")
FIRST, SECOND = replace(FROM, number=1, name="audio_1"), replace(FROM, number=2, name="audio_2")
L16 = "audio/L16;rate=8000;channels=1;"
PCM = PcmFormat(8000, 1)
CUSTOMER, AGENT = AudioTrack(2, Party.CUSTOMER, PCM), AudioTrack(1, Party.AGENT, PCM)


def audio(*tracks: TrackEntry, mime_type: str | None = L16, names: TrackNames | None = None) -> tuple[AudioTrack, ...]:
    return choose_tracks(tracks, mime_type, names or TrackNames()).audio


def test_connect_s_tracks_are_known_by_their_names_in_either_order() -> None:
    assert audio(TO, FROM) == (AGENT, CUSTOMER)
    assert audio(FROM, TO) == (CUSTOMER, AGENT)


@pytest.mark.parametrize("written", ["audio_from_customer", "Audio_From_Customer", " AUDIO_FROM_CUSTOMER\0\0 "])
def test_names_compare_without_case_and_padding(written: str) -> None:
    assert audio(replace(FROM, name=written), TO) == (CUSTOMER, AGENT)


def test_the_legacy_single_track_is_the_customer_s() -> None:
    assert audio(replace(FROM, name="Track_audio/L16")) == (CUSTOMER,)


def test_a_single_track_of_any_name_is_the_customer_s_where_it_is_known_to_be_pcm() -> None:
    assert audio(ANY) == (CUSTOMER,)
    assert audio(replace(ANY, codec_id="A_PCM/INT/LIT"), mime_type=None) == (CUSTOMER,)
    choice = choose_tracks((ANY,), None)
    assert choice.audio == ()
    refusal = "codec A_AAC without a MimeType, neither 16-bit PCM nor G.711"
    assert choice.unsupported == (UnsupportedTrack(2, Party.CUSTOMER, refusal),)


def test_beside_a_known_track_a_track_of_any_name_is_unknown() -> None:
    choice = choose_tracks((ANY, TO), L16)

    assert (choice.audio, choice.unknown) == ((AGENT,), ((2, "microphone"),))


def test_two_tracks_without_a_party_s_name_are_unknown() -> None:
    choice = choose_tracks((FIRST, SECOND), L16)

    assert (choice.audio, choice.unknown) == ((), ((1, "audio_1"), (2, "audio_2")))


def test_the_second_track_of_one_party_is_unknown() -> None:
    choice = choose_tracks((FROM, replace(FROM, number=9)), L16)

    assert (choice.audio, choice.unknown) == ((CUSTOMER,), ((9, "AUDIO_FROM_CUSTOMER"),))


def test_a_track_number_that_is_declared_twice_is_the_first_entry_s() -> None:
    assert audio(FROM, replace(TO, number=2)) == (CUSTOMER,)


def test_a_video_track_is_no_party_s_whatever_its_name() -> None:
    choice = choose_tracks((VIDEO, TO), L16)

    assert (choice.audio, choice.unknown, choice.silent_numbers) == ((AGENT,), (), frozenset({3}))
    assert audio(VIDEO) == audio() == ()


def test_a_party_s_track_that_cannot_be_decoded_leaves_the_other_party_s() -> None:
    choice = choose_tracks((replace(FROM, codec_id="A_OPUS"), TO), None)

    assert choice.audio == (AGENT,)
    assert [(track.number, track.party) for track in choice.unsupported] == [(2, Party.CUSTOMER)]


def test_a_track_of_another_rate_than_the_recording_s_is_unsupported_and_its_neighbour_is_not() -> None:
    pcm = replace(TO, codec_id="A_PCM/INT/LIT", sampling_frequency=16000.0)
    choice = choose_tracks((replace(FROM, codec_id="A_PCM/INT/LIT", sampling_frequency=8000.0), pcm), None)

    joined = at_rate(choice, 8000)

    assert joined.audio == (CUSTOMER,)
    assert joined.unsupported == (UnsupportedTrack(1, Party.AGENT, "audio at 16000 Hz in a recording of 8000 Hz"),)
    assert at_rate(joined, 8000) is joined


# --- a user's word ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("customer", "agent"), [("audio_2", "audio_1"), (2, 1), ("2", "1"), (" AUDIO_2 ", 1), ("audio_2", "1")]
)
def test_a_user_says_which_track_is_which_by_name_or_number(customer: str | int, agent: str | int) -> None:
    assert audio(FIRST, SECOND, names=track_names(customer, agent)) == (CUSTOMER, AGENT)


def test_a_user_s_word_goes_before_connect_s_names() -> None:
    swapped = track_names("AUDIO_TO_CUSTOMER", "AUDIO_FROM_CUSTOMER")

    assert audio(FROM, TO, names=swapped) == (AudioTrack(1, Party.CUSTOMER, PCM), AudioTrack(2, Party.AGENT, PCM))


def test_a_party_that_the_user_does_not_name_keeps_connect_s_name() -> None:
    assert audio(TO, SECOND, names=track_names("audio_2", None)) == (CUSTOMER, AGENT)


def test_a_track_that_the_user_names_and_a_fragment_lacks_is_not_replaced_by_another() -> None:
    choice = choose_tracks((FROM, TO), L16, track_names("audio_2", None))

    assert (choice.audio, choice.unknown) == ((AGENT,), ((2, "AUDIO_FROM_CUSTOMER"),))
    assert audio(ANY, names=track_names("audio_2", None)) == ()


def test_a_track_whose_name_is_a_number_goes_before_the_track_of_that_number() -> None:
    assert find_track((TO, replace(FROM, name="1")), "1") == replace(FROM, name="1")
    assert find_track((VIDEO, TO), "3") is None


def test_names_are_shown_printable_and_bounded() -> None:
    assert shown_name("\x1b[2Jcall\u202e") == "\\x1b[2Jcall\\u202e"
    assert shown_name("n" * 1000) == "n" * 64 + "…"
