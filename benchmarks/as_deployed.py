"""A measured process is to be as a deployed function without words is.

The development environment has awscrt for the words, and botocore imports it where it is there: 0.07 s of processor
time and 6 MiB a process.
"""

from __future__ import annotations

import sys


def hide_awscrt() -> None:
    """Let this process have no awscrt. To be called before boto3 is imported, and in a process of its own."""
    sys.modules["awscrt"] = None  # type: ignore[assignment]  # None makes its import fail
