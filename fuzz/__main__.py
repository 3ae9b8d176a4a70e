"""`python -m fuzz SECONDS`, also `make fuzz`: coverage-guided fuzzing by Atheris, its inputs mutated by `mutation.py`.

Prints what was run and reached; a finding ends it with status 1, its input kept and the command that repeats it shown.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

from fuzz.mutation import mutate_event, mutate_keeping_labels, mutate_stream
from fuzz.seeds import capture_seeds, event_seeds, stream_seeds

_ROOT: Final = Path(__file__).parent.parent
_WORK: Final = _ROOT / "build" / "fuzz"
_CORPUS: Final = _WORK / "corpus"
_MAX_INPUT_BYTES: Final = 128 * 1024
_PACKAGES: Final = (
    "connect_audio.core",
    "connect_audio.library",
    "connect_audio.adapters.connect_event",
    "connect_audio_cli.replay.replay",
)
_REPORTED: Final = (
    *sorted((_ROOT / "src" / "connect_audio" / "core").glob("*.py")),
    *sorted((_ROOT / "src" / "connect_audio" / "library").glob("*.py")),
    _ROOT / "src" / "connect_audio" / "adapters" / "connect_event.py",
    *(_ROOT / "cli" / "connect_audio_cli" / name for name in ("replay/replay.py", "captures.py")),
)


def main() -> int:
    """Run the engine in a process of its own, then say what its corpus reaches."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of the engine and of the mutations")
    parser.add_argument("--captures", type=Path, help="a directory of captures to start from too")
    parser.add_argument("--labels", type=int, help="check the stream of this seed alone for another contact's audio")
    parser.add_argument("--input", type=Path, help="check this input alone")
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.labels is not None:
        _check_labels(arguments.labels)
        return 0
    if arguments.input is not None:
        from fuzz.targets import check_anything  # noqa: PLC0415 - the engine must import it under instrumentation

        check_anything(arguments.input.read_bytes())
        return 0
    if arguments.engine:
        return _engine(arguments.seconds, arguments.seed)
    _CORPUS.mkdir(parents=True, exist_ok=True)
    seeds = [*stream_seeds(), *event_seeds()]
    if arguments.captures is not None:
        seeds += capture_seeds(arguments.captures)
    for number, seed in enumerate(seeds):
        (_CORPUS / f"seed-{number:03d}").write_bytes(seed)
    began = time.perf_counter()
    engine = subprocess.run(
        [sys.executable, "-m", "fuzz", "--engine", str(arguments.seconds), "--seed", str(arguments.seed)],
        check=False,
        cwd=_ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    spent = time.perf_counter() - began
    executions = re.findall(r"^(?:Done |stat::number_of_executed_units: +)(\d+)", engine.stderr, re.MULTILINE)
    print(f"fuzz: {executions[0] if executions else '?'} executions in {spent:.0f} s, seed {arguments.seed}")
    _print_coverage()
    labels_hold = _search_for_leaks(arguments.seconds / 4, 1_000_000 * arguments.seed)
    if engine.returncode:
        print(engine.stderr[-6000:])
        found = re.findall(r"Test unit written to (\S+)", engine.stderr)
        print(f"fuzz: FOUND something; again: python -m fuzz --input {found[-1] if found else '(no input written)'}")
        return 1
    return 0 if labels_hold else 1


def _search_for_leaks(seconds: float, first: int) -> bool:
    """Look for another contact's audio in recordings of streams whose labels all stand; no coverage guides that."""
    seed, end = first, time.perf_counter() + seconds
    while time.perf_counter() < end:
        try:
            _check_labels(seed)
        except Exception as error:  # noqa: BLE001 - whatever comes is a finding
            print(f"fuzz: FOUND {type(error).__name__}: {error}; again: python -m fuzz --labels {seed}")
            return False
        seed += 1
    print(f"fuzz: in {seed - first} streams whose labels stand, no contact's audio got into another's recording")
    return True


def _check_labels(seed: int) -> None:
    from fuzz.targets import check_recording, check_replay  # noqa: PLC0415 - the engine must import it instrumented

    rng = Random(seed)
    data = mutate_keeping_labels(rng.choice(stream_seeds()), rng)
    check_recording(data, labels_kept=True)
    check_replay(data, labels_kept=True)


def _engine(seconds: int, seed: int) -> int:
    import atheris  # noqa: PLC0415 - not on every platform, and needed here alone

    with atheris.instrument_imports(include=list(_PACKAGES)):
        from fuzz.targets import check_anything  # noqa: PLC0415 - as above

    streams, events = stream_seeds(), event_seeds()

    def mutate(data: bytes, max_size: int, number: int) -> bytes:
        rng = Random(number)
        if data.startswith(b"{"):
            return mutate_event(data, rng)[:max_size]
        if len(data) < 16:
            return rng.choice(streams if rng.random() < 0.9 else events)
        if rng.random() < 0.1:
            mutated: bytes = atheris.Mutate(data, max_size)
            return mutated
        return mutate_stream(data, rng.choice(streams), rng)[:max_size]

    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={_MAX_INPUT_BYTES}", "-timeout=30"]
    options += [f"-artifact_prefix={_WORK}/", "-rss_limit_mb=1024", "-print_final_stats=1", str(_CORPUS)]
    atheris.Setup(["fuzz", *options], check_anything, custom_mutator=mutate)
    atheris.Fuzz()
    return 0


def _print_coverage() -> None:
    from fuzz.steps import LineCoverage, lines_of_functions  # noqa: PLC0415 - only here
    from fuzz.targets import check_anything  # noqa: PLC0415 - the engine must import it under instrumentation

    inputs = sorted(_CORPUS.iterdir())
    with LineCoverage((_ROOT / "src", _ROOT / "cli", _ROOT / "local")) as coverage:
        for path in inputs:
            try:
                check_anything(path.read_bytes())
            except Exception as error:  # noqa: BLE001 - a finding of the engine's, which it has told already
                print(f"fuzz: {path.name}: {type(error).__name__}")
    print(f"fuzz: {len(inputs)} inputs in the corpus reach, of the lines inside functions:")
    for path in _REPORTED:
        lines = lines_of_functions(path)
        if lines:
            reached = len(lines & coverage.lines[str(path)])
            print(f"  {path.relative_to(_ROOT)!s:<52} {reached:>4} of {len(lines):>4}  {reached / len(lines):6.1%}")


if __name__ == "__main__":
    sys.exit(main())
