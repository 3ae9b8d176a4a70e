"""What a dead execution leaves to the one that is started in its place: redriving loses nothing that was recorded.

An execution that failed for good has its steps' results in its history and its audio in S3. `connect-audio redrive`
gathers the results into the new execution's input; the consumer goes on behind the last of them, under the dead one's
identity, so that claim, upload and recording are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from connect_audio.core.errors import RequestError
from connect_audio.ports import UploadedPart
from connect_audio.recorder.checkpoint import StepResult, StepVerdict
from connect_audio.request import MALFORMED

CONTINUES: Final = "continues"
"""The field of the consumer's input that holds one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """Where an execution stood when it died.

    Args:
        execution: its ARN, or that of the first one where it had continued another: whose name claim and upload bear.
        last: its last record step's result; None where it had none.
        parts: the parts it had uploaded.
        notes_keys: S3 keys of the gaps and errors it had staged.
    """

    execution: str
    last: StepResult | None = None
    parts: tuple[UploadedPart, ...] = ()
    notes_keys: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether all was recorded, and publishing is all that is left."""
        return self.last is not None and self.last.verdict is StepVerdict.OVER

    def after(self, result: StepResult) -> Self:
        """Where it stood one record step later."""
        return replace(
            self,
            last=result,
            parts=(*self.parts, result.part) if result.part else self.parts,
            notes_keys=(*self.notes_keys, result.notes_key) if result.notes_key else self.notes_keys,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "last": self.last and self.last.to_json()}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self | None:
        """Read it out of the consumer's input; None where that continues nothing.

        Raises:
            RequestError: it is not what `to_json` wrote; `reason` is `MALFORMED_EVENT`.
        """
        data = payload.get(CONTINUES)
        if data is None:
            return None
        try:
            return cls(
                execution=str(data["execution"]),
                last=data["last"] and StepResult.from_json(data["last"]),
                parts=tuple(UploadedPart(**part) for part in data["parts"]),
                notes_keys=tuple(map(str, data["notes_keys"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RequestError(
                MALFORMED,
                f"the consumer's input: {CONTINUES} is not what the redrive command writes ({type(error).__name__})",
            ) from error
