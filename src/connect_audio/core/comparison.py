"""Which of two recordings of one call is the better one, by their manifests alone. Used before one replaces the other.

*How it works.* `is_better` asks three questions, and one answer of no ends the comparison:

    does the new one lose nothing?   status, each party's audio, begin, end, and the time of each gap
    does it miss no more?            fragments that it lacks or could not use, for the same length of time
    does it gain anything?           a better status, more audio of a party, or fewer of these fragments

Equal recordings are not better: a replacement costs a second version of the object, and gains nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from connect_audio.core.pcm import PARTIES
from connect_audio.core.recording_facts import Status

_RANKS: Final = {Status.EMPTY.value: 0, Status.PARTIAL.value: 1, Status.COMPLETE.value: 2}
_TOLERANCE_S: Final = Fraction(2, 1000)
"""Difference of two times that counts as none, s: a manifest gives the begin of a recording in whole milliseconds."""
_UNUSED: Final = ("truncated", "undecidable", "contradictory", "unsupportedAudio")
"""Fragments that a recording met and could not use as a whole, by their names in the manifest."""

type _Span = tuple[Fraction, Fraction]


def is_better(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return True if a recording is to replace another one of the same call.

    Args:
        old: manifest of the recording that is there, of schema version 2.
        new: manifest of the other one, of schema version 2.

    Raises:
        KeyError: one of them is no manifest of a recording.
    """
    if _rank(new) < _rank(old) or not _keeps_audio(old, new):
        return False
    spans = _span(old), _span(new)
    same_span = spans[0] is not None and spans[1] is not None and _covers(spans[0], spans[1])
    if same_span and missing(new) > missing(old):
        return False
    gains_audio = any(_audio_s(new, party.value) > _audio_s(old, party.value) for party in PARTIES)
    return _rank(new) > _rank(old) or gains_audio or (same_span and missing(new) < missing(old))


def missing(manifest: Mapping[str, Any]) -> int:
    """Return how many fragments a recording lacks or could not use as a whole, as far as their numbers show it.

    Args:
        manifest: the recording's, of schema version 2.
    """
    fragments = manifest["fragments"]
    lacking: int = manifest["gaps"]["missingFragments"]
    return lacking + sum(int(fragments[name]) for name in _UNUSED)


def _rank(manifest: Mapping[str, Any]) -> int:
    return _RANKS[manifest["status"]]


def _keeps_audio(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return True if the new recording has audio wherever the old one has some."""
    old_span, new_span = _span(old), _span(new)
    if old_span is None:
        return True
    if new_span is None or not _covers(new_span, old_span):
        return False
    return all(
        _audio_s(new, party.value) >= _audio_s(old, party.value)
        and _gaps_are_old(party.value, old, old_span, new, new_span)
        for party in PARTIES
    )


def _gaps_are_old(party: str, old: Mapping[str, Any], old_span: _Span, new: Mapping[str, Any], new_span: _Span) -> bool:
    """Return True if each gap of the new recording is one of the old recording too, or lies outside of its time."""
    if old["gaps"]["count"] > len(old["gaps"]["listed"]):
        # The rest of the old gaps is unknown: the sums of audio decide.
        return True
    old_gaps = _gaps(party, old, old_span)
    begins = [begin for begin, _ in old_gaps]
    for gap in _gaps(party, new, new_span):
        within = _common(gap, old_span)
        if within is None:
            continue
        # Joined gaps do not overlap: only the last one that begins before it may cover it.
        at = bisect_right(begins, within[0] + _TOLERANCE_S)
        if not at or not _covers(old_gaps[at - 1], within):
            return False
    return True


def _gaps(party: str, manifest: Mapping[str, Any], span: _Span) -> Sequence[_Span]:
    """Return the listed gaps of a party, in seconds since the epoch. Two gaps that touch are one."""
    rate = manifest["recording"]["sampleRate"]
    joined: list[_Span] = []
    for gap in manifest["gaps"]["listed"]:
        if gap["track"] != party:
            continue
        begin = span[0] + Fraction(gap["startFrame"], rate)
        end = begin + Fraction(gap["frames"], rate)
        if joined and begin - joined[-1][1] <= _TOLERANCE_S:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def _common(gap: _Span, span: _Span) -> _Span | None:
    """Return the part of a gap that lies within a span; None where nothing worth a word does."""
    begin, end = max(gap[0], span[0]), min(gap[1], span[1])
    return (begin, end) if end - begin > _TOLERANCE_S else None


def _covers(outer: _Span, inner: _Span) -> bool:
    return outer[0] <= inner[0] + _TOLERANCE_S and inner[1] <= outer[1] + _TOLERANCE_S


def _span(manifest: Mapping[str, Any]) -> _Span | None:
    """Return the begin and the end of a recording, in seconds since the epoch; None where it has no audio."""
    recording = manifest["recording"]
    if recording is None:
        return None
    time = datetime.fromisoformat(recording["startTime"])
    begin = Fraction((time - datetime.fromtimestamp(0, time.tzinfo)) // timedelta(milliseconds=1), 1000)
    return begin, begin + Fraction(recording["frames"], recording["sampleRate"])


def _audio_s(manifest: Mapping[str, Any], party: str) -> Fraction:
    recording = manifest["recording"]
    return Fraction(manifest["tracks"][party]["audioSamples"], recording["sampleRate"]) if recording else Fraction(0)
