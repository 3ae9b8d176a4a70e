"""The parties' tracks of a fragment: which track is the customer's, which the agent's, and which is no party's.

`core/recording.py` and `core/live_preview.py` use it. A track is recorded, unsupported, which means that its samples
cannot be decoded, or unknown, which means that its name is no party's. `core/other_tracks.py` counts the last two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from connect_audio.core.audio_format import claims_disagree, pcm_format
from connect_audio.core.errors import UnsupportedAudioError
from connect_audio.core.matroska import TrackEntry
from connect_audio.core.pcm import PARTIES, Party, PcmFormat
from connect_audio.text import printable
from connect_audio.values import dataclass

_MAX_NAME: Final = 64
"""Characters of a track's name in the manifest; KVS allows 256, and Connect's have 19."""
_AUDIO_TYPES: Final = frozenset({2, 0})
"""TrackType of audio, and of an entry without one."""

_BY_NAME: Final[Mapping[str, Party]] = {
    "audio_from_customer": Party.CUSTOMER,
    "audio_to_customer": Party.AGENT,
    # Before Connect streamed both directions there was one track of this name, carrying what the customer says.
    "track_audio/l16": Party.CUSTOMER,
}


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """One track that goes into a recording.

    Args:
        number: the TrackEntry's number.
        party: its party.
        pcm: format of its payload.
    """

    number: int
    party: Party
    pcm: PcmFormat


@dataclass(frozen=True, slots=True)
class UnsupportedTrack:
    """A party's track whose samples cannot be decoded or joined to the recording.

    Args:
        number: the TrackEntry's number.
        party: its party.
        refusal: why, with the codec's name; printable.
    """

    number: int
    party: Party
    refusal: str


@dataclass(frozen=True, slots=True)
class TrackNames:
    """The parties' tracks as a user names them: by name or number each. None leaves a party to Connect's names.

    Args:
        customer: the customer's track.
        agent: the agent's track.
    """

    customer: str | None = None
    agent: str | None = None


CONNECT_NAMES: Final = TrackNames()
"""Connect's names alone."""


def track_names(customer: str | int | None, agent: str | int | None) -> TrackNames:
    """Make the names of tracks that a user gives, by name or number."""
    return TrackNames(*(None if given is None else str(given) for given in (customer, agent)))


@dataclass(frozen=True, slots=True)
class TrackChoice:
    """The audio tracks of a fragment by what becomes of them.

    Args:
        audio: tracks that are recorded, at most one a party.
        unsupported: the parties' tracks that cannot be recorded.
        unknown: audio tracks of no party, by number, with their printable names.
        silent_numbers: numbers of tracks that hold no audio, for example video.
        claims_disagree: True if MimeType and TrackEntry of a recorded track contradict each other.
    """

    audio: tuple[AudioTrack, ...] = ()
    unsupported: tuple[UnsupportedTrack, ...] = ()
    unknown: tuple[tuple[int, str], ...] = ()
    silent_numbers: frozenset[int] = frozenset()
    claims_disagree: bool = False


@lru_cache(maxsize=64)
def choose_tracks(
    tracks: tuple[TrackEntry, ...], mime_type: str | None, names: TrackNames = CONNECT_NAMES
) -> TrackChoice:
    """Find the parties' tracks of a fragment.

    A track's name alone decides its party: track numbers come in either order and the tags `AUDIO_*` contradict it.
    Names compare without case and padding. A single audio track of any other name is the customer's. If a party has two
    tracks, the first counts and the other is unknown.

    Args:
        tracks: the fragment's TrackEntries.
        mime_type: the fragment's MimeType tag, None where absent.
        names: the parties' tracks as a user names them.
    """
    entries = {entry.number: entry for entry in reversed(tracks) if entry.track_type in _AUDIO_TYPES}
    entries = {entry.number: entry for entry in tracks if entries.get(entry.number) is entry}
    parties = _parties(list(entries.values()), names)
    audio: list[AudioTrack] = []
    unsupported: list[UnsupportedTrack] = []
    disagree = False
    for number, party in parties.items():
        entry = entries[number]
        try:
            pcm = pcm_format(entry, mime_type, connect_names_it=_normal(entry.name) in _BY_NAME)
        except UnsupportedAudioError as error:
            unsupported.append(UnsupportedTrack(number, party, str(error)))
            continue
        audio.append(AudioTrack(number, party, pcm))
        disagree = disagree or claims_disagree(entry, mime_type)
    return TrackChoice(
        audio=tuple(audio),
        unsupported=tuple(unsupported),
        unknown=tuple((number, shown_name(entry.name)) for number, entry in entries.items() if number not in parties),
        silent_numbers=frozenset(entry.number for entry in tracks if entry.number not in entries),
        claims_disagree=disagree,
    )


@lru_cache(maxsize=64)
def at_rate(choice: TrackChoice, rate: int) -> TrackChoice:
    """Move the audio tracks of another rate than the recording's to the unsupported ones.

    Args:
        choice: the tracks of a fragment.
        rate: samples a second of the recording.
    """
    others = [track for track in choice.audio if track.pcm.rate != rate]
    if not others:
        return choice
    refused = [
        UnsupportedTrack(track.number, track.party, f"audio at {track.pcm.rate} Hz in a recording of {rate} Hz")
        for track in others
    ]
    return replace(
        choice,
        audio=tuple(track for track in choice.audio if track.pcm.rate == rate),
        unsupported=(*choice.unsupported, *refused),
    )


def find_track(tracks: Sequence[TrackEntry], wanted: str) -> TrackEntry | None:
    """Find the audio track that a user names.

    Args:
        tracks: TrackEntries.
        wanted: a track's name, or its number where no track has that name.
    """
    audio = [entry for entry in tracks if entry.track_type in _AUDIO_TYPES]
    wanted = _normal(wanted)
    by_name = (entry for entry in audio if _normal(entry.name) == wanted)
    by_number = (entry for entry in audio if str(entry.number) == wanted)
    return next(by_name, None) or next(by_number, None)


def shown_name(name: str) -> str:
    """A track's name as documents show it: printable and bounded."""
    return printable(name.strip(), _MAX_NAME)


def _normal(name: str) -> str:
    return name.strip(" \0\t\r\n").casefold()


def _parties(entries: Sequence[TrackEntry], names: TrackNames) -> dict[int, Party]:
    """The party of each track that has one, by number."""
    found: dict[int, Party] = {}
    named = {Party.CUSTOMER: names.customer, Party.AGENT: names.agent}
    for party in PARTIES:
        wanted = named[party]
        entry = None if wanted is None else find_track(entries, wanted)
        if entry is not None:
            found.setdefault(entry.number, party)
    for entry in entries:
        known = _BY_NAME.get(_normal(entry.name))
        if known is None and len(entries) == 1 and names == CONNECT_NAMES:
            known = Party.CUSTOMER
        if known is not None and named[known] is None and known not in found.values():
            found.setdefault(entry.number, known)
    return found
