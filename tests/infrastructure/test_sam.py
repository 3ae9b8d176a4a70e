"""SAM CLI's own word: the other half of the choice of architecture builds. Its linter is in test_linters.py."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.binaries import architectures

pytestmark = pytest.mark.sam


def test_a_build_holds_binaries_of_the_chosen_architecture_alone(
    sam: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    # The build for x86_64 is that of tests/functional/test_built_artifact.py, which looks at its binaries.
    sam(
        "sam",
        "build",
        "DependenciesLayer",
        "--no-cached",
        "--build-dir",
        str(tmp_path),
        "--parameter-overrides",
        "Architecture=arm64 StreamNamePrefix=demo",
    )
    assert architectures(tmp_path / "DependenciesLayer") == {"arm64"}
