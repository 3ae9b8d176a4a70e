"""What a command has left in a folder of recordings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

_OWN: Final = re.compile(r"(.*/)?\.connect-audio/(metadata/.*|lock)")
"""The command's own: each object's kind, and what keeps two processes apart."""


def files_in(folder: Path) -> set[str]:
    """The files beside the command's own, as paths below the folder."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if not _OWN.fullmatch(name)}


def manifest_in(folder: Path, key: str) -> dict[str, Any]:
    """The manifest of the recording with a key, which comes without suffix."""
    found: dict[str, Any] = json.loads((folder / f"{key}.json").read_text())
    return found
