"""Errors that KVS reports as tags inside a 200 response, with AWS's meaning; the recorder acts on their remedy.

Codes: GetMedia API reference, "Errors"; GetMediaForFragmentList spells them with other tag names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Remedy(StrEnum):
    """What can be done about an in-band error."""

    RECONNECT = "RECONNECT"
    """Transient: ask again after the last completed fragment."""
    FRAGMENT_GONE = "FRAGMENT_GONE"
    """That fragment will not come any more; go on with the next."""
    HUMAN = "HUMAN"
    """Only a change of keys or permissions helps."""


_MEANINGS: Final = {
    3002: ("error writing to the stream", Remedy.RECONNECT),
    4000: ("the requested fragment is not found", Remedy.FRAGMENT_GONE),
    4500: ("access denied to the stream's KMS key", Remedy.HUMAN),
    4501: ("the stream's KMS key is disabled", Remedy.HUMAN),
    4502: ("validation error on the stream's KMS key", Remedy.HUMAN),
    4503: ("the stream's KMS key is unavailable", Remedy.RECONNECT),
    4504: ("invalid usage of the stream's KMS key", Remedy.HUMAN),
    4505: ("invalid state of the stream's KMS key", Remedy.HUMAN),
    4506: ("the stream's KMS key is not found", Remedy.HUMAN),
    5000: ("internal service error", Remedy.RECONNECT),
}

ERROR_CODE_TAGS: Final = frozenset({"AWS_KINESISVIDEO_ERROR_CODE", "AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE"})


@dataclass(frozen=True, slots=True)
class InBandError:
    """One error inside a stream.

    Args:
        code: AWS's number, or None where the tag held none.
        error_id: AWS's id or message beside the code; empty where absent.
    """

    code: int | None
    error_id: str

    @property
    def meaning(self) -> str:
        """AWS's meaning of the code."""
        return _MEANINGS[self.code][0] if self.code in _MEANINGS else "an error code unknown to this version"

    @property
    def remedy(self) -> Remedy:
        """What can be done; an unknown code is worth another try."""
        return _MEANINGS[self.code][1] if self.code in _MEANINGS else Remedy.RECONNECT
