"""A measured process is to be as a deployed function without words is.

The development environment has awscrt for the words, and botocore imports it where it is there: 0.07 s of processor
time and 6 MiB a process.
"""

from __future__ import annotations

import sys
from typing import Final

HIDDEN: Final = ("awscrt", "aws_sdk_transcribe_streaming")
"""The packages of the words' layer that a process looks for."""


def hide_words_layer() -> None:
    """Let this process have no layer of words. To be called before boto3 is imported, and in a process of its own."""
    sys.modules.update(dict.fromkeys(HIDDEN))  # type: ignore[arg-type]  # None makes an import fail
