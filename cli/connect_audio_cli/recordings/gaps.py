"""The gaps of a recording as people read them: one entry a silence, with its parties, its cause and one wording.

A manifest lists gaps of each track. Here the part that both tracks share is one gap of both parties, as the status and
the sums of the manifest see it. `replay`, `explain`, the pictures and the call page use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.silence import BLOCK_HOLE_S
from connect_audio_cli.output.formatting import count


class GapCause(StrEnum):
    """Why a stretch of the recording is silent, as far as the manifest shows it."""

    MISSING = "missing"
    """Fragments are missing by their numbers."""
    PERHAPS_MISSING = "perhaps_missing"
    """The numbers do not show whether fragments are missing."""
    BLOCK_HOLE = "block_hole"
    """A hole inside a fragment, or of at most 1 s between consecutive ones: no fragment is missing."""
    PAUSE = "pause"
    """The producer sent nothing, and the fragments on either side are consecutive."""
    ONE_SIDED = "one_sided"
    """The other party has audio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallGap:
    """A stretch in which one party or both have no audio.

    Args:
        parties: who has none, in channel order.
        start_frame: the first silent frame, counted from the recording's beginning.
        frames: the length, frames.
        rate: samples a second.
        cause: the cause.
        missing_fragments: fragments missing there by their numbers; None if the numbers do not show it.
    """

    parties: tuple[Party, ...]
    start_frame: int
    frames: int
    rate: int
    cause: GapCause
    missing_fragments: int | None

    @property
    def start_s(self) -> float:
        """The start, seconds from the recording's beginning."""
        return self.start_frame / self.rate

    @property
    def seconds(self) -> float:
        """The length, seconds."""
        return self.frames / self.rate

    @property
    def described(self) -> str:
        """The cause in a few words, such as `3 fragments missing`."""
        if self.cause is GapCause.MISSING:
            return f"{count(self.missing_fragments or 0, 'fragment')} missing"
        if self.cause is GapCause.ONE_SIDED:
            return f"only the {self.parties[0]} is silent"
        return WORDS[self.cause]


WORDS: Final[Mapping[GapCause, str]] = {
    GapCause.MISSING: "fragments missing",
    GapCause.PERHAPS_MISSING: "fragments may be missing",
    GapCause.BLOCK_HOLE: "hole inside fragments",
    GapCause.PAUSE: "pause of the producer",
    GapCause.ONE_SIDED: "only one party is silent",
}
"""The one wording of each cause."""


@dataclass(frozen=True, slots=True)
class _Listed:
    start: int
    stop: int
    missing: int | None
    in_one_fragment: bool


def gaps_of(manifest: Mapping[str, Any]) -> list[CallGap]:
    """Return the gaps that a manifest lists, in order of time; a silence of both parties once.

    Args:
        manifest: a manifest of version 1 or 2. It lists the gaps of the first 1000 entries; `gaps.count` has more.
    """
    recording = manifest["recording"]
    if recording is None:
        return []
    rate = recording["sampleRate"]
    listed: dict[str, list[_Listed]] = {party: [] for party in PARTIES}
    for gap in manifest["gaps"]["listed"]:
        after = gap["afterFragment"]
        listed[gap["track"]].append(
            _Listed(
                gap["startFrame"],
                gap["startFrame"] + gap["frames"],
                gap["missingFragments"],
                in_one_fragment=after is not None and after == gap["beforeFragment"],
            )
        )
    customer, agent = (sorted(listed[party], key=lambda each: each.start) for party in PARTIES)
    both = list(_shared(customer, agent, rate))
    found = [
        *both,
        *_one_sided(Party.CUSTOMER, customer, both, rate),
        *_one_sided(Party.AGENT, agent, both, rate),
    ]
    return sorted(found, key=lambda gap: (gap.start_frame, gap.parties))


def _shared(customer: Sequence[_Listed], agent: Sequence[_Listed], rate: int) -> Iterator[CallGap]:
    """Yield the stretches that are in a gap of either track."""
    here, there = iter(customer), iter(agent)
    one, other = next(here, None), next(there, None)
    while one is not None and other is not None:
        start, stop = max(one.start, other.start), min(one.stop, other.stop)
        if start < stop:
            cause, missing = _cause((one, other), (stop - start) / rate)
            yield CallGap(
                parties=PARTIES,
                start_frame=start,
                frames=stop - start,
                rate=rate,
                cause=cause,
                missing_fragments=missing,
            )
        if one.stop <= other.stop:
            one = next(here, None)
        else:
            other = next(there, None)


def _cause(gaps: tuple[_Listed, _Listed], seconds: float) -> tuple[GapCause, int | None]:
    """Find the cause of a silence of both parties.

    The lower number of missing fragments counts: its fragments lie nearer to the silence.
    """
    if any(gap.in_one_fragment for gap in gaps):
        return GapCause.BLOCK_HOLE, 0
    known = [gap.missing for gap in gaps if gap.missing is not None]
    if 0 in known:
        return (GapCause.BLOCK_HOLE if seconds <= BLOCK_HOLE_S else GapCause.PAUSE), 0
    if known:
        return GapCause.MISSING, min(known)
    return GapCause.PERHAPS_MISSING, None


def _one_sided(party: Party, gaps: Sequence[_Listed], both: Iterable[CallGap], rate: int) -> Iterator[CallGap]:
    """Yield the stretches of one track's gaps in which the other track has audio."""
    shared = list(both)
    at = 0
    for gap in gaps:
        start = gap.start
        while at < len(shared) and shared[at].start_frame + shared[at].frames <= start:
            at += 1
        place = at
        while start < gap.stop:
            following = shared[place] if place < len(shared) and shared[place].start_frame < gap.stop else None
            stop = gap.stop if following is None else following.start_frame
            if start < stop:
                yield CallGap(
                    parties=(party,),
                    start_frame=start,
                    frames=stop - start,
                    rate=rate,
                    cause=GapCause.ONE_SIDED,
                    missing_fragments=gap.missing,
                )
            if following is None:
                break
            start = following.start_frame + following.frames
            place += 1
