"""Gaps and in-band errors of a whole recording, as the manifest lists them: joined over steps, the first ones kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from connect_audio.core.cursor import ErrorNote, GapNote, Note
from connect_audio.values import dataclass

MAX_GAPS: Final = 1000
"""Gaps that a manifest lists; further ones are counted."""
MAX_ERRORS: Final = 100
"""In-band errors that a manifest lists; further ones are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteLog:
    """Gaps and in-band errors as the manifest lists them: the first ones, and how many in all.

    Args:
        gaps: the first `MAX_GAPS`, as JSON.
        gap_count: all of them.
        errors: the first `MAX_ERRORS`, as JSON.
        error_count: all of them.
    """

    gaps: Sequence[Mapping[str, Any]] = ()
    gap_count: int = 0
    errors: Sequence[Mapping[str, Any]] = ()
    error_count: int = 0

    def extended(self, notes: Sequence[Note], rate: int | None) -> NoteLog:
        """This log with more notes behind it.

        Args:
            notes: in timeline order.
            rate: samples a second.
        """
        if not notes:
            return self
        gaps = [_gap_json(note, rate or 1) for note in notes if isinstance(note, GapNote)]
        errors = [_error_json(note) for note in notes if isinstance(note, ErrorNote)]
        return self.joined(NoteLog(gaps=gaps, gap_count=len(gaps), errors=errors, error_count=len(errors)))

    def joined(self, other: NoteLog) -> NoteLog:
        """This log with another behind it."""
        return NoteLog(
            gaps=[*self.gaps, *other.gaps][:MAX_GAPS],
            gap_count=self.gap_count + other.gap_count,
            errors=[*self.errors, *other.errors][:MAX_ERRORS],
            error_count=self.error_count + other.error_count,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for a staged object."""
        return {
            "gaps": list(self.gaps),
            "gapCount": self.gap_count,
            "errors": list(self.errors),
            "errorCount": self.error_count,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NoteLog:
        """Read what `to_json` wrote."""
        return cls(gaps=data["gaps"], gap_count=data["gapCount"], errors=data["errors"], error_count=data["errorCount"])


def _gap_json(note: GapNote, rate: int) -> dict[str, Any]:
    return {
        "track": note.gap.party.value,
        "startSeconds": note.gap.start / rate,
        "startFrame": note.gap.start,
        "frames": note.gap.length,
        "afterFragment": note.after,
        "beforeFragment": note.before,
        "missingFragments": note.missing_fragments,
    }


def _error_json(note: ErrorNote) -> dict[str, Any]:
    return {
        "code": note.error.code,
        "meaning": note.error.meaning,
        "text": note.error.text[:128],
        "fragment": note.fragment,
    }
