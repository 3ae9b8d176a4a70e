"""A manifest put into words: what the recording holds, what it lacks, what proves it, and what to do.

Manifests of version 1.x have no evidence, no levels and no silence by cause. The explanation says so, and shows the
remaining facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from connect_audio.core.evidence import CallPart, ProofState
from connect_audio.core.pcm import PARTIES
from connect_audio.core.recording_facts import Status
from connect_audio_cli.explanation.advice import remedy
from connect_audio_cli.output.command_error import printable
from connect_audio_cli.output.formatting import count, duration, speech
from connect_audio_cli.pictures.layout import clock
from connect_audio_cli.recordings.gaps import CallGap, GapCause

_SHOWN_GAPS: Final = 5
ENDS: Final[Mapping[str, str]] = {
    "DISCONNECTED": "Connect says that the contact is disconnected",
    "OTHER_CONTACT": "another contact uses the stream",
    "OTHER_STREAMING": "a later streaming of the contact began",
    "STREAMING_STOPPED": "the streaming was stopped",
    "ARCHIVE_END": "the stream was read to the call's last fragment, after the call",
    "IDLE": "no more audio came",
    "RECORDING_LIMIT": "the longest recording was reached",
    "SOURCE_FAILED": "the stream could not be read any more",
    "RECORDER_FAILED": "the recorder could not go on",
    "INTERRUPTED": "the user ended the recording",
    "END_OF_INPUT": "the capture ended",
}
"""The end of a recording in words, by its end reason."""
AUDITS: Final[Mapping[str, str]] = {
    "REPAIRED": "repaired: a better recording replaced the first one",
    "NOTHING_GAINED": "recorded again without a gain: the recording stayed",
    "NOTHING_RECOVERABLE": "the stream had nothing more of the call",
    "OUTSIDE_RETENTION": "the stream did not keep the call any more",
}
"""The outcome of an audit in words."""
_STATES: Final[Mapping[str, str]] = {
    "proven": "proven",
    "not_proven": "not proven",
    "not_asked": "not asked",
}
_SILENCE: Final = (
    ("streamHoleSamples", "with fragments missing or perhaps missing"),
    ("blockHoleSamples", "in holes inside fragments"),
    ("producerPauseSamples", "in pauses of the producer"),
    ("oneSidedSamples", "while the other party has audio"),
)


def facts(manifest: Mapping[str, Any], gaps: Sequence[CallGap]) -> Iterator[tuple[str, str]]:
    """Yield a name and a line for each thing to know about a recording.

    Args:
        manifest: the manifest.
        gaps: its gaps.
    """
    yield "Call", _call(manifest)
    yield "Verdict", verdict(manifest)
    for party in PARTIES:
        yield party.value.capitalize(), _party(manifest, party.value)
    yield from _gap_lines(manifest, gaps)
    yield from _evidence(manifest)
    if isinstance(audit := manifest.get("audit"), Mapping):
        yield "Audit", _audit(audit)
    for reason in manifest["reasons"]:
        yield "Reason", f"{printable(reason['code'], 60)}: {printable(reason['detail'])}"
        yield "  do", remedy(reason["code"])
    for warning in manifest["warnings"]:
        yield "Warning", f"{printable(warning['code'], 60)}: {printable(warning['detail'])}"
        yield "  do", remedy(warning["code"])


def _audit(audit: Mapping[str, Any]) -> str:
    result = AUDITS.get(audit["result"], printable(str(audit["result"]), 60))
    listed = f"{count(audit['recoverableFragments'], 'fragment')} of {audit['listedFragments']} listed ones to recover"
    return f"{_moment(audit['time'])}: {result} ({listed})"


def verdict(manifest: Mapping[str, Any]) -> str:
    """Say in a line whether the recording is whole."""
    status = manifest["status"]
    if status == Status.COMPLETE:
        if isinstance(evidence := manifest.get("evidence"), Mapping):
            open_parts = [part.value for part in CallPart if evidence[part.value]["state"] != ProofState.PROVEN]
            if not open_parts:
                return "complete: opening, middle and end are proven"
            return f"complete: nothing is missing inside it; it does not show the call's {' and '.join(open_parts)}"
        version = printable(manifest["schemaVersion"], 20)
        return f"complete, as version {version} of the manifest says it: nothing complained, and nothing was proven"
    causes = ", ".join(dict.fromkeys(printable(reason["code"], 60) for reason in manifest["reasons"]))
    if status == Status.EMPTY:
        return f"empty: no audio of the contact was recorded ({causes or 'no reason is given'})"
    return f"{printable(status, 20)}: something is missing or may be missing ({causes or 'no reason is given'})"


def _call(manifest: Mapping[str, Any]) -> str:
    recording = manifest["recording"]
    contact = printable(manifest["contactId"], 60)
    end = ENDS.get(manifest["endReason"], printable(manifest["endReason"], 60))
    if recording is None:
        return f"contact {contact}, without a recording; it ended because {end}"
    length = duration(recording["frames"] / recording["sampleRate"])
    return f"contact {contact}, {_moment(recording.get('startTime'))}, {length}; it ended because {end}"


def _moment(text: object) -> str:
    """A time of the manifest, to the second."""
    try:
        return f"{datetime.fromisoformat(str(text)):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return "at an unknown time"


def _party(manifest: Mapping[str, Any], party: str) -> str:
    track, recording = manifest["tracks"][party], manifest["recording"]
    if recording is None:
        return "no audio"
    rate, frames = recording["sampleRate"], recording["frames"]
    parts = [f"{duration(track['audioSamples'] / rate)} of audio"]
    if not track["audioSamples"]:
        parts = ["no audio at all: a dead track, or the party never spoke into it"]
    elif isinstance(active := track.get("activeSeconds"), int | float):
        parts.append(speech(track.get("activeRmsDbfs"), active * rate / frames, track.get("peakDbfs")))
    by_cause = track.get("silence")
    silent = frames - track["audioSamples"]
    if silent and isinstance(by_cause, Mapping):
        causes = [f"{duration(by_cause[key] / rate)} {words}" for key, words in _SILENCE if by_cause.get(key)]
        parts.append(f"filled with silence: {', '.join(causes)}" if causes else "")
    elif silent:
        parts.append(f"{duration(silent / rate)} filled with silence")
    return "; ".join(part for part in parts if part)


def _gap_lines(manifest: Mapping[str, Any], gaps: Sequence[CallGap]) -> Iterator[tuple[str, str]]:
    if not gaps:
        yield "Gaps", "none"
        return
    # The longest losses say most; silence of one party is in its own line already.
    heavy = [gap for gap in gaps if gap.cause is not GapCause.ONE_SIDED]
    shown = sorted(sorted(heavy or gaps, key=lambda gap: -gap.frames)[:_SHOWN_GAPS], key=lambda gap: gap.start_frame)
    listed = "; ".join(f"{clock(gap.start_s)} {duration(gap.seconds)}, {gap.described}" for gap in shown)
    more = len(gaps) - len(shown)
    unlisted = manifest["gaps"]["count"] - len(manifest["gaps"]["listed"])
    line = f"{count(len(gaps), 'gap')}: {listed}"
    if more:
        line += f"; and {more} more"
    if unlisted > 0:
        line += f"; the manifest counts {unlisted} further ones and lists none of them"
    yield "Gaps", line


def _evidence(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    evidence = manifest.get("evidence")
    if not isinstance(evidence, Mapping):
        version = printable(manifest["schemaVersion"], 20)
        yield (
            "Evidence",
            f"none: a manifest of version {version} does not say what opening, middle and end were proven by",
        )
        return
    for part in CallPart:
        proof = evidence[part.value]
        state = _STATES.get(proof["state"], printable(str(proof["state"]), 20))
        yield part.value.capitalize(), f"{state} ({printable(proof['code'], 60)}): {printable(proof['detail'])}"


def document(manifest: Mapping[str, Any], gaps: Sequence[CallGap]) -> dict[str, Any]:
    """The explanation for scripts: gaps with their causes, and remedies beside the reasons."""
    return {
        "contactId": manifest["contactId"],
        "status": manifest["status"],
        "endReason": manifest["endReason"],
        "verdict": verdict(manifest),
        "evidence": manifest.get("evidence"),
        "audit": manifest.get("audit"),
        "gaps": [
            {
                "parties": [party.value for party in gap.parties],
                "startSeconds": gap.start_s,
                "seconds": gap.seconds,
                "cause": gap.cause.value,
                "missingFragments": gap.missing_fragments,
            }
            for gap in gaps
        ],
        "reasons": [_with_remedy(reason) for reason in manifest["reasons"]],
        "warnings": [_with_remedy(warning) for warning in manifest["warnings"]],
    }


def _with_remedy(reason: Mapping[str, str]) -> dict[str, str]:
    return {"code": reason["code"], "detail": reason["detail"], "remedy": remedy(reason["code"])}
