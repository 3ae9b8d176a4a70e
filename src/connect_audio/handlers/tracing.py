"""X-Ray around a handler, where it is wanted: `POWERTOOLS_TRACE_DISABLED=true` leaves the X-Ray SDK unimported.

Powertools' Tracer imports the SDK even where it is disabled, which costs memory and time at each cold start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connect_audio.settings import is_tracing_on


def traced[T](handler: Callable[..., T]) -> Callable[..., T]:
    """Trace a handler and its calls of AWS; hand it back as it is where tracing is off."""
    if not is_tracing_on():
        return handler
    from aws_lambda_powertools import Tracer  # noqa: PLC0415 - see the module

    # Patching botocore alone: patching all that the X-Ray SDK knows would import it, too.
    tracer = Tracer(patch_modules=["botocore"])
    wrapped: Any = tracer.capture_lambda_handler(handler, capture_response=False)
    return wrapped  # type: ignore[no-any-return]
