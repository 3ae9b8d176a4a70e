"""Failures of Transcribe and of its SDK as `SinkError`: a code, and whether the same audio may be taken later.

No text of the service is passed on, since it may quote what was said. A code is the exception's own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from connect_audio.core.errors import SinkError

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,63}")
_NAMED_IN_TEXT: Final = re.compile(r"status: (\d+)(?: - id: [^ ]*?#?([A-Za-z]+))?(?: |$)")

_WRAPPERS: Final = frozenset({"OSError", "SmithyError"})
"""Exceptions in which the SDK wraps another that says more."""

_LASTING: Final = frozenset(
    {
        "AccessDeniedException",
        "InvalidSignatureException",
        "MissingDependencyError",
        "OptInRequired",
        "SmithyIdentityError",
        "SubscriptionRequiredException",
        "UnrecognizedClientException",
        "UnsupportedTransportError",
    }
)
"""Failures that a later attempt meets again, until an operator changes something."""
_LASTING_AT_START: Final = frozenset({"BadRequestException", "ResourceNotFoundException", "ValidationException"})
"""Failures that mean the settings at a session's start, and mean this audio or a pause later on."""


def translated(error: BaseException, doing: str, *, has_begun: bool) -> SinkError:
    """The failure as the words' sink counts it.

    Args:
        error: the exception that the SDK raised.
        doing: the work under way, such as `connecting`.
        has_begun: True if Transcribe accepted the session's parameters before.
    """
    if isinstance(error, SinkError):
        return error
    if isinstance(error, TimeoutError):
        return SinkError("TIMEOUT", f"Transcribe: {doing} took too long", retryable=True)
    code = next(_codes(error))
    is_lasting = code in _LASTING or (not has_begun and code in _LASTING_AT_START)
    return SinkError(code, f"Transcribe: {doing} failed", retryable=not is_lasting)


def _codes(error: BaseException) -> Iterator[str]:
    """Names of the failure, the most telling one first."""
    if type(error).__name__ in _WRAPPERS and error.__cause__ is not None:
        yield from _codes(error.__cause__)
    if isinstance(error, KeyError) and error.args and _NAME.fullmatch(str(error.args[0])):
        # The SDK knows no class for this exception event.
        yield str(error.args[0])
    if found := _NAMED_IN_TEXT.search(str(error)):
        # The SDK knows no class for this answer, and puts its name into a text.
        yield found[2] or f"HTTP_{found[1]}"
    name = getattr(error, "name", None)
    if isinstance(name, str) and _NAME.fullmatch(name):
        # awscrt's own name, such as AWS_IO_SOCKET_CLOSED.
        yield name
    yield type(error).__name__
