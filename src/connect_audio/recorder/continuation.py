"""State that a failed execution leaves to its successor, so that redriving loses no recorded audio.

An execution that failed for good has its steps' results in its history and its audio in S3. `connect-audio redrive`
gathers the results into the new execution's input. The consumer goes on behind the last result. It uses the identity of
the failed execution, so that claim, upload and recording are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Self

from connect_audio.core.cursor import Cursor
from connect_audio.core.errors import RequestError
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.ports import UploadedPart
from connect_audio.recorder.step_result import Over, StepResult
from connect_audio.request import MALFORMED
from connect_audio.values import dataclass

CONTINUES: Final = "continues"
"""The field of the consumer's input that holds a continuation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPart:
    """State of a recording when its first part was full. It accounts for a recording that has nothing more.

    Args:
        cursor: the recording's.
        notes: how many staged gaps and errors there were.
    """

    cursor: Cursor
    notes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """State of an execution when it failed.

    Args:
        execution: ARN of the execution whose name claim and upload bear: the first one of a row of redriven ones.
        last: its last record step's result; None where it had none.
        parts: the parts that it had uploaded.
        notes_keys: S3 keys of the gaps and errors that it had staged.
        first: state when the first part was full; None before that.
    """

    execution: str
    last: StepResult | None = None
    parts: tuple[UploadedPart, ...] = ()
    notes_keys: tuple[str, ...] = ()
    first: FirstPart | None = None

    @property
    def over(self) -> bool:
        """True if all was recorded, and only publishing is left."""
        return self.last is not None and isinstance(self.last.next, Over)

    def after(self, result: StepResult) -> Self:
        """Return the state one record step later."""
        checkpoint, first = result.checkpoint, self.first
        notes_keys = (*self.notes_keys, result.notes_key) if result.notes_key else self.notes_keys
        if first is None and checkpoint.parts.first is not None:
            first = FirstPart(cursor=checkpoint.cursor, notes=len(notes_keys))
        parts = (*self.parts, result.part) if result.part else self.parts
        return replace(self, last=result, parts=parts, notes_keys=notes_keys, first=first)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return to_plain(self)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self | None:
        """Read a continuation out of the consumer's input; None where there is none.

        Raises:
            RequestError: it is not what `to_json` wrote; `reason` is `MALFORMED_EVENT`.
        """
        data = payload.get(CONTINUES)
        if data is None:
            return None
        try:
            return from_plain(cls, data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RequestError(
                MALFORMED,
                f"the consumer's input: {CONTINUES} is not what the redrive command writes ({type(error).__name__})",
            ) from error
