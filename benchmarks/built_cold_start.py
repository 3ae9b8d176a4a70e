"""The cold start of what `sam build` makes: with its bytecode, and as if it shipped none.

`make cold-start`, a minute. It builds the stack into `build/cold-start` and puts the layers into one folder, as Lambda
does. A fresh process has the artifact alone on its path and writes no bytecode. A copy without bytecode is the other
side.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.bounds import Bound, judge

MOST_RATIO: Final = 0.45
"""Limits the CPU until a function can call AWS, in times of the same without bytecode. The run fails beyond it."""
_ROOT: Final = Path(__file__).parents[1]
_BUILD: Final = _ROOT / "build" / "cold-start"
_BARE: Final = _ROOT / "build" / "cold-start-without-bytecode"
_REPETITIONS: Final = 5
_CASES: Final = {
    "TriggerFunction": (
        "import connect_audio.handlers.trigger; "
        "from connect_audio.adapters.consumer_start import lambda_client; lambda_client(1500)"
    ),
    "ConsumerFunction": (
        "import connect_audio.handlers.consumer; from connect_audio.adapters.aws_session import aws_session; "
        "[aws_session().client(n) for n in ('s3', 'connect', 'kinesisvideo', 'kinesis-video-media')]"
    ),
}
_PROGRAM: Final = "import time; began = time.process_time()\n{code}\nprint(time.process_time() - began)"


def main() -> list[Bound]:
    """Build, measure both ways in turn and print the table."""
    _build()
    best: dict[tuple[str, Path], float] = {}
    for _ in range(_REPETITIONS):
        for name in _CASES:
            for folder in (_BARE, _BUILD):
                measured = _fresh(name, folder)
                best[name, folder] = min(measured, best.get((name, folder), measured))
    print(f"{'until it can call AWS':24}{'no bytecode':>14}{'bytecode':>12}{'ratio':>8}")
    bounds = []
    for name in _CASES:
        without, carried = best[name, _BARE], best[name, _BUILD]
        print(f"{name:24}{without:>12.3f} s{carried:>10.3f} s{carried / without:>8.2f}")
        bounds.append(Bound(f"times the CPU without bytecode, {name}", carried / without, at_most=MOST_RATIO))
    return bounds


def _build() -> None:
    """Build the stack, with both layers in one folder, and copy it without the bytecode."""
    machine = "arm64" if os.uname().machine in {"aarch64", "arm64"} else "x86_64"
    environment = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [str(_ROOT / ".venv-sam" / "bin" / "sam"), "build", "--no-cached", "--build-dir", str(_BUILD)]
    parameters = ["--parameter-overrides", f"Architecture={machine} StreamNamePrefix=demo"]
    subprocess.run([*command, *parameters], cwd=_ROOT, env=environment, check=True, capture_output=True)
    shutil.copytree(_BUILD / "BytecodeLayer", _BUILD / "DependenciesLayer", dirs_exist_ok=True)
    shutil.rmtree(_BARE, ignore_errors=True)
    shutil.copytree(_BUILD, _BARE, ignore=shutil.ignore_patterns("__pycache__"))


def _fresh(name: str, folder: Path) -> float:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{folder / name}{os.pathsep}{folder / 'DependenciesLayer' / 'python'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBDA_TASK_ROOT": str(folder / name),
        "AWS_DEFAULT_REGION": "eu-west-2",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    command = [sys._base_executable, "-S", "-c", _PROGRAM.format(code=_CASES[name])]  # type: ignore[attr-defined]  # noqa: SLF001 - the venv's own interpreter
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    judge(main())
