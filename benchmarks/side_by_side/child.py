"""One measured run of a command in a process of its own, and several commands in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
# ru_maxrss counts KiB on Linux and bytes on macOS.
_MAXRSS_PER_MIB: Final = 1024 * 1024 if sys.platform == "darwin" else 1024


class CommandFailedError(Exception):
    """A measured command ended with a code that it should not end with; the message holds its last lines."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The cost of one run.

    Args:
        cpu_s: user and system CPU-seconds.
        peak_mib: the most memory that was ever resident, MiB.
        output: the last line of the standard output.
    """

    cpu_s: float
    peak_mib: float
    output: str = ""


@dataclass(frozen=True, slots=True)
class Medians:
    """The medians of several runs' figures.

    Args:
        cpu_s: CPU-seconds.
        peak_mib: MiB.
    """

    cpu_s: float
    peak_mib: float


def run(command: Sequence[str], environment: Mapping[str, str], accepted: frozenset[int] = frozenset({0})) -> Usage:
    """Run a command and measure it.

    Args:
        command: the program's path and its arguments.
        environment: the process's whole environment.
        accepted: exit codes of a run that counts.

    Raises:
        CommandFailedError: the command ended with another code.
    """
    with tempfile.NamedTemporaryFile("r") as report:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_LAUNCHER), report.name, *command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        figures = report.read().split()
    if done.returncode or int(figures[0]) not in accepted:
        code = figures[0] if figures else "no code"
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-8:])
        raise CommandFailedError(f"{' '.join(command)[:400]}\nended with {code}:\n{tail}")
    output = done.stdout.splitlines()
    return Usage(
        cpu_s=float(figures[1]) + float(figures[2]),
        peak_mib=int(figures[3]) / _MAXRSS_PER_MIB,
        output=output[-1] if output else "",
    )


def in_turn[Key](contenders: Mapping[Key, Callable[[], Usage]], repeats: int) -> dict[Key, list[Usage]]:
    """Run each contender once a round, so that the machine's other work meets all of them."""
    usages: dict[Key, list[Usage]] = {key: [] for key in contenders}
    for _ in range(repeats):
        for key, contender in contenders.items():
            usages[key].append(contender())
    return usages


def medians(usages: Sequence[Usage]) -> Medians:
    """Return the medians of the runs."""
    return Medians(
        cpu_s=statistics.median(usage.cpu_s for usage in usages),
        peak_mib=statistics.median(usage.peak_mib for usage in usages),
    )
