"""The list of survivors that are equivalent or harmless: `mutation/survivors.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mutation.mutants import Mutant

PATH: Final = Path(__file__).with_name("survivors.toml")


def listed(path: Path = PATH) -> Mapping[tuple[str, str, str], str]:
    """Return the reason of each listed survivor, by file, scope and change.

    Raises:
        ValueError: an entry lacks a reason, or is there twice.
    """
    reasons: dict[tuple[str, str, str], str] = {}
    for entry in tomllib.loads(path.read_text()).get("survivor", []):
        reason = entry.get("reason", "").strip()
        for change in entry["changes"]:
            key = (entry["file"], entry["scope"], change)
            if not reason or key in reasons:
                raise ValueError(f"survivor without a reason of its own: {key}")
            reasons[key] = reason
    return reasons


def key_of(mutant: Mutant) -> tuple[str, str, str]:
    """Return a mutant's key: file below the package, scope and change. A line number would go stale."""
    return "/".join(mutant.path.parts[-2:]), mutant.scope, mutant.change
