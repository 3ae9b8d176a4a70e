"""The form of a contact id, which becomes part of S3 keys, names of files, execution names and log lines."""

from __future__ import annotations

import re
from typing import Final

# An execution name has 64 characters, and `RecordingRequest.execution_name` shortens an id that leaves no room.
_CONTACT_ID: Final = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z-]{0,48}[0-9A-Za-z])?", re.ASCII)


def is_contact_id(text: str) -> bool:
    """Return whether a text may be a contact id in keys, names of files and log lines: no path trick passes."""
    return _CONTACT_ID.fullmatch(text) is not None
