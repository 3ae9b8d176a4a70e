"""SAM CLI's own word: both halves of the choice of architecture build. Its linter is in test_linters.py."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.sam

ELF_MACHINES = {"x86_64": 62, "arm64": 183}  # e_machine of the ELF header


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_a_build_holds_binaries_of_the_chosen_architecture_alone(
    sam: Callable[..., subprocess.CompletedProcess[str]], architecture: str, tmp_path: Path
) -> None:
    sam(
        "sam",
        "build",
        "DependenciesLayer",
        "--no-cached",
        "--build-dir",
        str(tmp_path),
        "--parameter-overrides",
        f"Architecture={architecture} StreamNamePrefix=demo",
    )
    binaries = list((tmp_path / "DependenciesLayer").rglob("*.so"))
    assert binaries
    machines = {int.from_bytes(path.read_bytes()[18:20], "little") for path in binaries}
    assert machines == {ELF_MACHINES[architecture]}
