"""For which machines the binaries of a build are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_ELF_MACHINES: Final = {62: "x86_64", 183: "arm64"}
"""e_machine of the ELF header."""


def architectures(folder: Path) -> set[str]:
    """The architectures of all shared libraries below a folder; a number where the machine is another one."""
    numbers = {int.from_bytes(path.read_bytes()[18:20], "little") for path in folder.rglob("*.so")}
    return {_ELF_MACHINES.get(number, str(number)) for number in numbers}
