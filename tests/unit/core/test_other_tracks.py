"""The account of unknown tracks and unsupported formats: sums that lose nothing, lists that stay bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.other_tracks import MAX_LISTED, BlockCount, OtherTracks, UnknownTrack, UnsupportedFormat
from connect_audio.core.pcm import Party
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.core.tracks import TrackChoice, UnsupportedTrack

OPUS = "codec A_OPUS without a MimeType, neither 16-bit PCM nor G.711"
CHOICE = TrackChoice(
    unsupported=(UnsupportedTrack(1, Party.AGENT, OPUS),),
    unknown=((2, "line 2"),),
    silent_numbers=frozenset({3}),
)


def test_blocks_are_counted_by_track_and_by_format() -> None:
    account = OtherTracks().added(CHOICE, [BlockCount(1, 2, 300), BlockCount(2, 1, 40), BlockCount(3, 9, 9000)])
    account = account.added(CHOICE, [BlockCount(1, 1, 100), BlockCount(2, 1, 60)])

    assert account.unsupported == (UnsupportedFormat(party=Party.AGENT, refusal=OPUS, blocks=3, size=400),)
    assert account.unknown == (UnknownTrack(name="line 2", number=2, blocks=2, size=100),)
    assert [account.unsupported_bytes(party) for party in Party] == [0, 400]


def test_the_sentences_name_what_there_is() -> None:
    account = OtherTracks().added(CHOICE, [BlockCount(1, 2, 300), BlockCount(2, 1, 40), BlockCount(7, 5, 50)])

    assert OtherTracks().unknown_sentence() is OtherTracks().unsupported_sentence() is None
    assert account.unsupported_sentence() == (
        f"2 blocks hold audio that cannot be decoded or joined: the agent's is {OPUS}"
    )
    assert account.unknown_sentence() == (
        "6 blocks are on tracks of no known party: track 2 'line 2', track 7, which no TrackEntry declares"
    )


def test_a_sentence_names_four_tracks_or_formats_and_says_that_there_are_others() -> None:
    for count, more in ((4, False), (5, True)):
        refused = tuple(UnsupportedTrack(number, Party.AGENT, f"codec {number}") for number in range(10, 10 + count))
        blocks = [BlockCount(each.number, 1, 1) for each in refused]
        unsupported = OtherTracks().added(TrackChoice(unsupported=refused), blocks).unsupported_sentence() or ""
        unknown = OtherTracks().added(TrackChoice(), blocks).unknown_sentence() or ""

        assert (unsupported.count("codec"), unknown.count("declares")) == (4, 4)
        assert unsupported.endswith("; and others") is unknown.endswith(" and others") is more


def test_the_account_passes_through_a_checkpoint() -> None:
    account = OtherTracks().added(CHOICE, [BlockCount(1, 2, 300), BlockCount(2, 1, 40)])

    assert from_plain(OtherTracks, to_plain(account)) == account


def test_tracks_beyond_the_list_are_counted_together() -> None:
    numbers = range(1, MAX_LISTED + 3)
    account = OtherTracks().added(TrackChoice(), [BlockCount(number, 2, 30) for number in numbers])

    assert [track.number for track in account.unknown] == [*numbers][:MAX_LISTED]
    assert (account.further_blocks, account.further_size) == (4, 60)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9), st.integers(0, 999)), max_size=200))
def test_however_many_tracks_there_are_the_lists_are_bounded_and_the_sums_whole(
    drawn: list[tuple[int, int, int]],
) -> None:
    refused = tuple(UnsupportedTrack(number, Party.AGENT, f"codec {number}") for number in range(20))
    choice = TrackChoice(unsupported=refused)
    account = OtherTracks()
    for number, blocks, size in drawn:
        account = account.added(choice, [BlockCount(number, blocks, size)])

    unknown = [each for each in drawn if each[0] >= 20]
    assert len(account.unknown) == min(MAX_LISTED, len({each[0] for each in unknown}))
    assert len(account.unsupported) <= MAX_LISTED
    assert sum(track.blocks for track in account.unknown) + account.further_blocks == sum(each[1] for each in unknown)
    assert sum(track.size for track in account.unknown) + account.further_size == sum(each[2] for each in unknown)
    assert account.unsupported_bytes(Party.AGENT) == sum(each[2] for each in drawn if each[0] < 20)
