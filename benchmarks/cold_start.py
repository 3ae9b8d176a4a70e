"""The cost of a cold start before the first line of a handler runs: importing the handler in a fresh process.

`python -m benchmarks.cold_start`, some 20 s. The environment is Lambda's as far as the libraries look at it, and
bytecode is there, as in what `sam build` makes (`benchmarks/built_cold_start.py` measures that). The
handlers' first call makes the clients.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.as_deployed import HIDDEN
from benchmarks.bounds import Bound

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_RATIO: Final = 2.5
"""Limits the CPU until the trigger can call Lambda, in times of importing boto3 alone.

Connect waits 8 s for the trigger, which runs on a small share of a core. The run fails beyond the limit.
"""
_REPETITIONS: Final = 7
_SOURCE: Final = Path(__file__).parents[1] / "src"
_PROGRAM: Final = """
import json, sys, time
sys.modules.update(dict.fromkeys({hidden}))  # their imports fail
cpu, wall = time.process_time(), time.perf_counter()
{code}
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
import resource
from pathlib import Path
status = Path("/proc/self/status")
if status.exists():
    kib = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
else:
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([wall, cpu, kib / 1024, len(sys.modules)]))
"""
_TRIGGER: Final = "import connect_audio.handlers.trigger"
_CONSUMER: Final = "import connect_audio.handlers.consumer"
_TRIGGER_CLIENT: Final = "from connect_audio.adapters.consumer_start import lambda_client; lambda_client(1500)"
_CLIENTS: Final = (
    "from connect_audio.adapters.aws_session import aws_session; s = aws_session(); "
    "[s.client(n) for n in ('s3', 'connect', 'kinesisvideo', 'kinesis-video-media')]"
)
_UNTRACED: Final = "import os; os.environ['POWERTOOLS_TRACE_DISABLED'] = 'true'"
CASES: Final = {
    "trigger": _TRIGGER,
    "consumer": _CONSUMER,
    "trigger and its client": f"{_TRIGGER}; {_TRIGGER_CLIENT}",
    "consumer and its clients": f"{_CONSUMER}; {_CLIENTS}",
    "trigger and its client, untraced": f"{_UNTRACED}; {_TRIGGER}; {_TRIGGER_CLIENT}",
    "consumer and its clients, untraced": f"{_UNTRACED}; {_CONSUMER}; {_CLIENTS}",
    "the same and that of its last step": f"{_UNTRACED}; {_CONSUMER}; {_CLIENTS}; s.client('events')",
    "boto3 alone, to compare": "import boto3",
}


@dataclass(frozen=True, slots=True)
class Row:
    """The best of the repetitions.

    Args:
        wall_ms: milliseconds.
        cpu_ms: milliseconds.
        mib: the process's peak memory.
        modules: modules imported.
    """

    wall_ms: float
    cpu_ms: float
    mib: float
    modules: int


def measure() -> dict[str, Row]:
    """Measure each case, taking turns."""
    figures: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in CASES}
    for _ in range(_REPETITIONS):
        for name, code in CASES.items():
            figures[name].append(fresh(code))
    return {
        name: Row(
            wall_ms=1000 * min(each[0] for each in measured),
            cpu_ms=1000 * min(each[1] for each in measured),
            mib=min(each[2] for each in measured),
            modules=measured[0][3],
        )
        for name, measured in figures.items()
    }


def main() -> list[Bound]:
    """Print the table."""
    rows = measure()
    base = rows["boto3 alone, to compare"].cpu_ms
    print(f"{'import in a fresh process':36}{'wall':>10}{'CPU':>10}{'ratio':>8}{'peak':>12}{'modules':>10}")
    for name, row in rows.items():
        times = f"{row.wall_ms:>7.0f} ms{row.cpu_ms:>7.0f} ms{row.cpu_ms / base:>8.2f}"
        print(f"{name:36}{times}{row.mib:>8.1f} MiB{row.modules:>10}")
    ratio = rows["trigger and its client"].cpu_ms / base
    return [Bound("times boto3's import until the trigger can call", ratio, at_most=MOST_RATIO)]


def fresh(
    code: str, variables: Mapping[str, str] = os.environ, source: Path = _SOURCE
) -> tuple[float, float, float, int]:
    """Run code in a fresh process that has no layer of words.

    Args:
        code: what is measured.
        variables: the process's environment otherwise.
        source: the function's folder.

    Returns:
        Wall time and CPU, seconds; most memory, MiB; modules imported.
    """
    environment = {
        **variables,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "POWERTOOLS_SERVICE_NAME": "connect-audio",
        # Makes the X-Ray SDK believe that it is in Lambda. Elsewhere it makes an X-Ray client of 20 MiB.
        "LAMBDA_TASK_ROOT": str(source),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM.format(code=code, hidden=HIDDEN)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    wall, cpu, mib, modules = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu, mib, modules


if __name__ == "__main__":
    from benchmarks.bounds import judge

    judge(main())
