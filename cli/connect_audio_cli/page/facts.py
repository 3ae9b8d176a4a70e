"""The facts of a call that its page carries beside the audio: outline, gaps, speech, reasons and words, as JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from connect_audio.core.pcm import PARTIES
from connect_audio_cli.output.formatting import count, duration
from connect_audio_cli.page.outline import Outline
from connect_audio_cli.page.speech import figures_of, noise_of, speech_of
from connect_audio_cli.page.transcript import Paragraph, as_json
from connect_audio_cli.recordings.gaps import WORDS, CallGap, GapCause, gaps_of

_STATUS: Final = {"complete": "Whole", "partial": "Not whole", "empty": "Nothing recorded"}
_NAMES: Final = {1: ("Call",), 2: ("Customer", "Agent")}
"""Names of the channels by their number."""
_PEAK_OF_NOISE: Final = 4
"""Ratio of peak to RMS of the noise of a line: its peaks are drawn as a line, what is louder as speech."""


def call_facts(
    outline: Outline,
    manifest: Mapping[str, Any] | None,
    turns: Sequence[Paragraph],
    *,
    name: str,
    audio: Mapping[str, Any],
) -> dict[str, Any]:
    """Put together what the page's script reads.

    Args:
        outline: outline of the WAV.
        manifest: manifest of the recording; None if there is none.
        turns: its words; empty without a transcript.
        name: the recording's name without its suffix.
        audio: kind, format, name and, unless embedded, source of the audio.
    """
    facts = manifest or {}
    gaps = gaps_of(manifest) if manifest else []
    talk = [speech_of(levels, outline.seconds) for levels in outline.levels]
    return {
        "name": name,
        "contactId": facts.get("contactId"),
        "status": facts.get("status"),
        "statusText": _STATUS.get(str(facts.get("status")), "No manifest"),
        "reasons": _reasons(facts, gaps),
        "startTime": (facts.get("recording") or {}).get("startTime"),
        "duration": outline.seconds,
        "rate": outline.rate,
        "parties": _NAMES[outline.channels],
        "bucketFrames": outline.bucket_frames,
        "peaks": [base64.b64encode(peaks).decode() for peaks in outline.peaks],
        "noise": [min(255, noise_of(levels) * _PEAK_OF_NOISE >> 7) for levels in outline.levels],
        "talk": talk,
        "figures": asdict(figures_of(outline)),
        "gaps": [_gap(gap) for gap in gaps],
        "gapSummary": _gap_summary(facts, gaps),
        "turns": as_json(turns),
        "audio": audio,
        "manifest": manifest,
    }


def _gap(gap: CallGap) -> dict[str, Any]:
    return {
        "start": gap.start_s,
        "seconds": gap.seconds,
        "parties": [PARTIES.index(party) for party in gap.parties],
        "cause": gap.described,
    }


def _gap_summary(facts: Mapping[str, Any], gaps: Sequence[CallGap]) -> str:
    if not facts:
        return "Unknown: no manifest lies beside the WAV."
    if not gaps:
        return "None: every sample came out of the stream."
    listed, every = len(facts["gaps"]["listed"]), facts["gaps"]["count"]
    text = f"{count(len(gaps), 'gap')}, {duration(sum(gap.seconds for gap in gaps))}"
    return text if every <= listed else f"{text}; the manifest lists the first {listed} of {every} tracks' gaps"


def _reasons(facts: Mapping[str, Any], gaps: Sequence[CallGap]) -> list[str]:
    """Reasons and warnings as sentences; for holes of the stream, what the gaps show."""
    holes = [gap for gap in gaps if gap.cause in {GapCause.MISSING, GapCause.PERHAPS_MISSING}]
    texts = [
        _holes(holes) if reason["code"] == "STREAM_HOLES" and holes else reason["detail"]
        for reason in facts.get("reasons", [])
    ]
    return texts + [warning["detail"] for warning in facts.get("warnings", [])]


def _holes(holes: Sequence[CallGap]) -> str:
    cause = WORDS[GapCause.PERHAPS_MISSING]
    if all(gap.missing_fragments is not None for gap in holes):
        cause = f"{count(sum(gap.missing_fragments or 0 for gap in holes), 'fragment')} missing"
    return f"{count(len(holes), 'gap')}, {duration(sum(gap.seconds for gap in holes))}: {cause}"
