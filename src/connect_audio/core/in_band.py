"""Errors that KVS reports as tags inside a 200 response, with AWS's meaning; the recorder acts on their remedy.

Codes: GetMedia API reference, "Errors"; GetMediaForFragmentList spells them with other tag names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Self

from connect_audio.values import dataclass


class Remedy(StrEnum):
    """The remedy of an in-band error."""

    RECONNECT = "RECONNECT"
    """Transient: ask again after the last completed fragment."""
    SKIP_FRAGMENT = "SKIP_FRAGMENT"
    """KVS does not find the fragment: ask again, then go on with the next."""
    OPERATOR = "OPERATOR"
    """An operator has to change keys or permissions."""


_MEANINGS: Final = {
    3002: ("error writing to the stream", Remedy.RECONNECT),
    # No list of AWS has it. It often passes (aws-sdk-js issue 3217), and so may any fragment that is not found.
    3000: ("the requested fragment is not found", Remedy.SKIP_FRAGMENT),
    4000: ("the requested fragment is not found", Remedy.SKIP_FRAGMENT),
    4500: ("access denied to the stream's KMS key", Remedy.OPERATOR),
    4501: ("the stream's KMS key is disabled", Remedy.OPERATOR),
    4502: ("validation error on the stream's KMS key", Remedy.OPERATOR),
    4503: ("the stream's KMS key is unavailable", Remedy.RECONNECT),
    4504: ("invalid usage of the stream's KMS key", Remedy.OPERATOR),
    4505: ("invalid state of the stream's KMS key", Remedy.OPERATOR),
    4506: ("the stream's KMS key is not found", Remedy.OPERATOR),
    5000: ("internal service error", Remedy.RECONNECT),
}

ERROR_TAGS: Final = frozenset(
    {
        "AWS_KINESISVIDEO_ERROR_ID",
        "AWS_KINESISVIDEO_ERROR_CODE",
        "AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE",
        "AWS_KINESISVIDEO_EXCEPTION_MESSAGE",
    }
)
"""One of a pair of these holds the number and the other a text; sources disagree which, so whichever is a number is."""


MAX_TEXT_CHARS: Final = 1000
"""Longest text of an error that is kept; AWS's have a line. The rest is cut off, since notes outlive their fragment."""


@dataclass(frozen=True, slots=True)
class InBandError:
    """One error inside a stream.

    Args:
        code: AWS's number, or None where no tag held one.
        text: AWS's text beside it, its first `MAX_TEXT_CHARS`; empty if absent.
    """

    code: int | None
    text: str

    @classmethod
    def from_tags(cls, values: Sequence[str]) -> Self:
        """Read the values of the error tags of one Tags element."""
        numbers = [int(value) for value in values if re.fullmatch(r"[0-9]{1,9}", value)]
        texts = [value for value in values if not re.fullmatch(r"[0-9]{1,9}", value)]
        return cls(numbers[0] if numbers else None, texts[0][:MAX_TEXT_CHARS] if texts else "")

    @property
    def meaning(self) -> str:
        """AWS's meaning of the code."""
        return _MEANINGS[self.code][0] if self.code in _MEANINGS else "an error code unknown to this version"

    @property
    def sentence(self) -> str:
        """The error for a person: AWS's code and its meaning."""
        return f"KVS reports {self.code} inside the stream: {self.meaning}"

    @property
    def reason_code(self) -> str:
        """The manifest's code of the reason for a place, or a recording, that ends with this error."""
        return "MEDIA_EXPIRED" if self.remedy is Remedy.SKIP_FRAGMENT else "IN_BAND_ERROR"

    @property
    def remedy(self) -> Remedy:
        """The remedy; an unknown code is worth another try."""
        return _MEANINGS[self.code][1] if self.code in _MEANINGS else Remedy.RECONNECT
