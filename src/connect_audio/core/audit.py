"""The audit of a recording: the rest of the call in its stream, and what was done about it.

The manifest keeps the newest audit (`docs/manifest.md`). Pure: `recorder/repair.py` lists the stream and records again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from connect_audio.core.fragment import fragment_counter
from connect_audio.core.pcm import PARTIES
from connect_audio.values import dataclass

_WHOLE: Final = "complete"
_MOST_MISSING: Final = 900
"""Most fragments that a difference of counters alone counts as missing. A new producer session of Connect continues
at about the next thousand, so a greater difference shows a new session."""


class AuditResult(StrEnum):
    """The outcome of an audit."""

    REPAIRED = "REPAIRED"
    """The call was recorded again, and the better recording has replaced the old one."""
    NOTHING_GAINED = "NOTHING_GAINED"
    """The call was recorded again, and that recording was no better: it was dropped."""
    NOTHING_RECOVERABLE = "NOTHING_RECOVERABLE"
    """The stream's listing names no fragment that the recording lacks."""
    OUTSIDE_RETENTION = "OUTSIDE_RETENTION"
    """The stream does not keep the call any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One audit.

    Args:
        number: 1 for the first audit of the recording.
        time: when the stream was listed, RFC 3339.
        listed: fragments of the call's time that the listing names.
        recoverable: the part of them that the recording lacks or holds in part.
        result: its outcome.
        replaced: the recording that was replaced; None where none was.
    """

    number: int
    time: str
    listed: int
    recoverable: int
    result: AuditResult
    replaced: Replaced | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's `audit`."""
        return {
            "number": self.number,
            "time": self.time,
            "listedFragments": self.listed,
            "recoverableFragments": self.recoverable,
            "result": self.result.value,
            "replaced": self.replaced and self.replaced.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A recording that was replaced by a better one.

    Args:
        status: its status.
        etag: ETag of its WAV; None where it had none.
        crc32: its `dataCrc32`; None where it had no WAV.
    """

    status: str
    etag: str | None
    crc32: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's `audit.replaced`."""
        return {"status": self.status, "etag": self.etag, "dataCrc32": self.crc32}


def next_audit_number(manifest: Mapping[str, Any]) -> int:
    """Return the number of a recording's next audit.

    Args:
        manifest: the recording's; none had an audit before version 2.2.
    """
    audit = manifest.get("audit")
    return 1 if audit is None else int(audit["number"]) + 1


def is_suspect(manifest: Mapping[str, Any]) -> bool:
    """Return True if something of the call is missing, by the manifest or by the counters in its fragment numbers.

    Args:
        manifest: the recording's, of schema version 2.
    """
    return manifest["status"] != _WHOLE or missing_by_counters(manifest) > 0


def missing_by_counters(manifest: Mapping[str, Any]) -> int:
    """Return how many fragments between the first and the last one the counters name and the recording lacks.

    Args:
        manifest: the recording's, of schema version 2.
    """
    fragments = manifest["fragments"]
    first, last = (fragments[place] and fragments[place]["number"] for place in ("first", "last"))
    return missing_between(first, last, int(fragments["admitted"]))


def missing_between(first: str | None, last: str | None, admitted: int) -> int:
    """Return how many fragments between two the counters name beyond the admitted ones.

    Args:
        first: number of the first admitted fragment; None without any.
        last: number of the last one; None without any.
        admitted: how many were admitted.
    """
    counters = [None if number is None else fragment_counter(number) for number in (first, last)]
    if counters[0] is None or counters[1] is None:
        return 0
    lacking = counters[1] - counters[0] + 1 - admitted
    return lacking if 0 < lacking <= _MOST_MISSING else 0


def recoverable(manifest: Mapping[str, Any], numbers: Sequence[str]) -> int:
    """Return how many listed fragments a recording lacks or holds in part, at the most.

    A listing names no contact. Between the first and the last fragment of a recording all belong to its contact. Before
    and behind them they may. They count if the manifest does not prove that border, or if the producer counted them
    directly on. A call has a producer session of its own.

    Args:
        manifest: the recording's, of schema version 2.
        numbers: numbers of the listed fragments of the call's time.
    """
    listed = [int(number) for number in numbers]
    fragments = manifest["fragments"]
    marks = [fragments[place] and fragments[place]["number"] for place in ("first", "last")]
    if None in marks:
        return len(listed)
    first, last = (int(number) for number in marks)
    whole = int(fragments["admitted"]) - int(fragments["truncated"])
    # The stream may have lost other fragments than the recording: the count alone would balance them.
    found = max(0, sum(first <= each <= last for each in listed) - whole, _in_gaps(manifest, listed))
    before, behind = [each for each in listed if each < first], [each for each in listed if each > last]
    found += len(counted_on(first, before, -1) if is_proven(manifest, "opening") else before)
    found += len(counted_on(last, behind, 1) if is_proven(manifest, "end") else behind)
    return found


def counted_on(number: int, others: Sequence[int], step: int) -> Sequence[int]:
    """Return the fragments that the producer counted directly on from one, without a number between.

    Args:
        number: fragment number to begin with.
        others: fragment numbers before or behind it, in any order.
        step: 1 for the ones behind, -1 for the ones before.
    """
    found: list[int] = []
    counter = fragment_counter(str(number))
    for each in sorted(others, reverse=step < 0):
        if counter is None or fragment_counter(str(each)) != counter + step:
            break
        found.append(each)
        counter += step
    return found


def _in_gaps(manifest: Mapping[str, Any], listed: Sequence[int]) -> int:
    """Return how many listed fragments lie where the manifest lists a gap of both parties."""
    # A call of two days has 170 000 fragments, and a manifest lists up to 1000 gaps.
    in_order = sorted(listed)
    inside: dict[str, set[int]] = {party.value: set() for party in PARTIES}
    for gap in manifest["gaps"]["listed"]:
        if gap["afterFragment"] and gap["beforeFragment"]:
            begin = bisect_right(in_order, int(gap["afterFragment"]))
            inside[gap["track"]].update(in_order[begin : bisect_left(in_order, int(gap["beforeFragment"]))])
    return len(set.intersection(*inside.values()))


def is_proven(manifest: Mapping[str, Any], part: str) -> bool:
    """Return True if the manifest proves a part of the call, or nothing asked for a proof.

    Args:
        manifest: the recording's, of schema version 2.
        part: `opening`, `middle` or `end`.
    """
    return bool(manifest["evidence"][part]["state"] != "not_proven")
