"""The account of audio that is on no recorded track: unknown tracks and unsupported formats.

Neither is dropped without a word, since a recording without them is not whole. `core/recording.py` counts here, and the
manifest and its reasons show the counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from connect_audio.core.pcm import Party
from connect_audio.core.tracks import TrackChoice, UnsupportedTrack
from connect_audio.text import counted
from connect_audio.values import dataclass

MAX_LISTED: Final = 16
"""Unknown tracks, and formats of unsupported ones, that are listed one by one. KVS allows 3 tracks in a stream, so more
come from damage or malice alone. Further ones are counted together."""
_MAX_NAMED: Final = 4
"""Tracks and formats that a sentence names; the manifest lists all of `MAX_LISTED`."""


class BlockCount(NamedTuple):
    """Blocks of one track.

    Args:
        number: the track's number.
        blocks: how many.
        size: bytes of their payloads.
    """

    number: int
    blocks: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTrack:
    """Blocks on a track that is no party's.

    Args:
        name: the track's name, printable; empty for a track without a name or without a TrackEntry.
        number: its number.
        blocks: blocks of admitted fragments on it.
        size: bytes of their payloads.
    """

    name: str
    number: int
    blocks: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedFormat:
    """Blocks of a party whose samples cannot be decoded or joined to the recording.

    Args:
        party: the party.
        refusal: why, with the codec's name; printable.
        blocks: blocks of admitted fragments.
        size: bytes of their payloads.
    """

    party: Party
    refusal: str
    blocks: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTracks:
    """Audio of admitted fragments that is on no recorded track. Bounded however many tracks a stream has.

    Args:
        unknown: the first `MAX_LISTED` unknown tracks.
        unsupported: the first `MAX_LISTED` unsupported formats.
        further_blocks: blocks on further unknown tracks.
        further_size: bytes of their payloads.
        unsupported_customer: bytes of the customer in an unsupported format.
        unsupported_agent: bytes of the agent in an unsupported format.
    """

    unknown: tuple[UnknownTrack, ...] = ()
    unsupported: tuple[UnsupportedFormat, ...] = ()
    further_blocks: int = 0
    further_size: int = 0
    unsupported_customer: int = 0
    unsupported_agent: int = 0

    def unsupported_bytes(self, party: Party) -> int:
        """Bytes of a party in an unsupported format."""
        return self.unsupported_customer if party is Party.CUSTOMER else self.unsupported_agent

    def unknown_sentence(self) -> str | None:
        """The unknown tracks in one sentence without its full stop; None for none."""
        if not self.unknown:
            return None
        shown = [
            f"track {track.number}" + (f" '{track.name}'" if track.name else ", which no TrackEntry declares")
            for track in self.unknown[:_MAX_NAMED]
        ]
        blocks = self.further_blocks + sum(track.blocks for track in self.unknown)
        more = " and others" if len(self.unknown) > _MAX_NAMED else ""
        are = "is" if blocks == 1 else "are"
        return f"{counted(blocks, 'block')} {are} on tracks of no known party: {', '.join(shown)}{more}"

    def unsupported_sentence(self) -> str | None:
        """The unsupported formats in one sentence without its full stop; None for none."""
        if not self.unsupported:
            return None
        shown = [f"the {each.party}'s is {each.refusal}" for each in self.unsupported[:_MAX_NAMED]]
        blocks = sum(each.blocks for each in self.unsupported)
        more = "; and others" if len(self.unsupported) > _MAX_NAMED else ""
        hold = "holds" if blocks == 1 else "hold"
        return f"{counted(blocks, 'block')} {hold} audio that cannot be decoded or joined: {'; '.join(shown)}{more}"

    def added(self, choice: TrackChoice, counts: Sequence[BlockCount]) -> OtherTracks:
        """This account with the blocks of one more fragment.

        Args:
            choice: the fragment's tracks.
            counts: blocks on tracks that are not recorded.
        """
        account = self
        refused = {track.number: track for track in choice.unsupported}
        names = dict(choice.unknown)
        for count in counts:
            track = refused.get(count.number)
            if track is not None:
                account = _with_unsupported(account, track, count)
            elif count.number not in choice.silent_numbers:
                account = _with_unknown(account, names.get(count.number, ""), count)
        return account


def _with_unknown(account: OtherTracks, name: str, count: BlockCount) -> OtherTracks:
    listed = list(account.unknown)
    for at, each in enumerate(listed):
        if (each.number, each.name) == (count.number, name):
            listed[at] = replace(each, blocks=each.blocks + count.blocks, size=each.size + count.size)
            return replace(account, unknown=tuple(listed))
    if len(listed) < MAX_LISTED:
        new = UnknownTrack(name=name, number=count.number, blocks=count.blocks, size=count.size)
        return replace(account, unknown=(*listed, new))
    return replace(
        account, further_blocks=account.further_blocks + count.blocks, further_size=account.further_size + count.size
    )


def _with_unsupported(account: OtherTracks, track: UnsupportedTrack, count: BlockCount) -> OtherTracks:
    if track.party is Party.CUSTOMER:
        account = replace(account, unsupported_customer=account.unsupported_customer + count.size)
    else:
        account = replace(account, unsupported_agent=account.unsupported_agent + count.size)
    listed = list(account.unsupported)
    for at, each in enumerate(listed):
        if (each.party, each.refusal) == (track.party, track.refusal):
            listed[at] = replace(each, blocks=each.blocks + count.blocks, size=each.size + count.size)
            return replace(account, unsupported=tuple(listed))
    if len(listed) < MAX_LISTED:
        new = UnsupportedFormat(party=track.party, refusal=track.refusal, blocks=count.blocks, size=count.size)
        return replace(account, unsupported=(*listed, new))
    return account
