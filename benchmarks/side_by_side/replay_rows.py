"""Rows of the command `replay`, which users run, and of the core alone."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.side_by_side.captures import capture
from benchmarks.side_by_side.child import Medians, Usage, in_turn, medians, run
from benchmarks.side_by_side.lines import Line, absolute_line, ratio_line
from benchmarks.side_by_side.pyav import NotInstallableError, pyav_commands
from benchmarks.side_by_side.trees import BUILD, Tree, Trees

HOUR_S: Final = 3600
START_UP_S: Final = 5
"""Length of the capture whose median run is the start-up, subtracted from each other run."""
_WRITTEN: Final = frozenset({0, 3})
"""Exit codes of a replay that wrote a recording."""
_OTHER_SHAPES: Final = {"10-s": "fragments of 10 s", "dropped": "every second fragment missing"}
_SHORT_SHAPES: Final = {"mixed": "twelve layouts in turn", "damaged": "damaged in a twelfth of the fragments"}
_SHORT_S: Final = 1200


class DifferentAudioError(Exception):
    """Two contenders wrote different audio, so their costs cannot be compared."""


class Replay:
    """`replay` of one capture by one tree.

    Args:
        tree: the tree.
        file: the capture.
    """

    def __init__(self, tree: Tree, file: Path) -> None:
        self._tree = tree
        self._file = file
        self.audio: set[str] = set()

    def __call__(self) -> Usage:
        """Run it once, and note a digest of the WAV."""
        with tempfile.TemporaryDirectory(dir=BUILD) as output:
            command = self._tree.command("replay", str(self._file), "--output", output)
            usage = run(command, self._tree.environment(), _WRITTEN)
            (wav,) = Path(output).glob("*.wav")
            with wav.open("rb") as written:
                self.audio.add(hashlib.file_digest(written, "blake2b").hexdigest())
        return usage


def cost(usages: Mapping[tuple[str, float], Sequence[Usage]], name: str, seconds: float) -> Medians:
    """Return the CPU-seconds a call-hour beyond start-up, and the peak.

    Args:
        usages: each contender's runs, by name and length of call.
        name: the contender.
        seconds: the length of call.
    """
    start_up, whole = medians(usages[name, START_UP_S]), medians(usages[name, seconds])
    return Medians(cpu_s=(whole.cpu_s - start_up.cpu_s) * HOUR_S / seconds, peak_mib=whole.peak_mib)


def replay_1h(trees: Trees, repeats: int) -> Iterator[Line]:
    """`replay` of 1 h in Connect's layout, beside the same of PyAV."""
    others: dict[str, Callable[[Path], list[str]]] = {}
    note = ""
    with tempfile.TemporaryDirectory(prefix="pyav-") as folder:
        try:
            others = pyav_commands(Path(folder))
        except NotInstallableError as error:
            note = f"skipped: {error}"
        usages = _replayed(trees, "connect", HOUR_S, repeats, others)
    before, now = (cost(usages, tree.name, HOUR_S) for tree in trees)
    yield ratio_line("replay, 1 h, Connect's layout", "CPU-s/h", before.cpu_s, now.cpu_s, trees.limit(0.38))
    if note:
        yield Line(what="replay, 1 h, and PyAV's PCM", unit="CPU-s/h", now=now.cpu_s, against="PyAV", note=note)
    else:
        pyav = cost(usages, "PyAV", HOUR_S)
        yield ratio_line("replay, 1 h, and PyAV's PCM", "CPU-s/h", pyav.cpu_s, now.cpu_s, 0.65, against="PyAV")
        streamed = cost(usages, "PyAV 2", HOUR_S)
        yield ratio_line(
            "replay, 1 h, and PyAV packet by packet", "CPU-s/h", streamed.cpu_s, now.cpu_s, None, against="PyAV 2"
        )
        yield ratio_line("replay, 1 h, peak", "MiB", pyav.peak_mib, now.peak_mib, None, against="PyAV")
    yield ratio_line("replay, 1 h, peak", "MiB", before.peak_mib, now.peak_mib, None)


def replay_20ms(trees: Trees, repeats: int) -> Iterator[Line]:
    """`replay` of 1 h in blocks of 20 ms and fragments of 200 ms."""
    yield _compared(trees, "20-ms", HOUR_S, repeats, "replay, 1 h, 20 ms in 200 ms fragments", 0.35)


def replay_shapes(trees: Trees, repeats: int) -> Iterator[Line]:
    """`replay` of long fragments, dropped ones, mixed layouts and damaged streams."""
    for shape, what in _OTHER_SHAPES.items():
        yield _compared(trees, shape, HOUR_S, repeats, f"replay, 1 h, {what}", 1.0)
    for shape, what in _SHORT_SHAPES.items():
        yield _compared(trees, shape, _SHORT_S, repeats, f"replay, 20 min, {what}", 1.0)


def replay_12h(trees: Trees, repeats: int) -> Iterator[Line]:
    """An hour of a `replay` of 12 h, against one of 1 h; a capture of 1.5 GB."""
    lengths = (START_UP_S, HOUR_S, 12 * HOUR_S)
    replays: dict[tuple[str, float], Replay] = {
        (trees.now.name, seconds): Replay(trees.now, capture("connect", seconds)) for seconds in lengths
    }
    usages = in_turn(replays, repeats)
    one, twelve = (cost(usages, trees.now.name, seconds) for seconds in lengths[1:])
    yield ratio_line("replay, 12 h, of each hour", "CPU-s/h", one.cpu_s, twelve.cpu_s, 1.1, against="1 h, now")
    yield ratio_line("replay, 12 h, peak", "MiB", one.peak_mib, twelve.peak_mib, None, against="1 h, now")


def core_ebmlite(trees: Trees, repeats: int) -> Iterator[Line]:
    """The core alone, 1 h to a WAV, and ebmlite for the same."""
    program = (
        "import json; from benchmarks import parse_to_wav as bench; "
        f"rows = bench.measure(repetitions={repeats}); "
        "print(json.dumps([rows[name].median_s for name in (bench.CORE, bench.EBMLITE)]))"
    )
    usage = run([sys.executable, "-c", program], trees.now.environment())
    core, ebmlite = json.loads(usage.output)
    yield ratio_line("core, 1 h to a WAV", "CPU-s/h", ebmlite, core, 0.2, against="ebmlite")


def start_up(trees: Trees, repeats: int) -> Iterator[Line]:
    """`--help`, and `replay` of a capture of 5 s."""
    helps = {tree.name: partial(run, tree.command("--help"), tree.environment()) for tree in trees}
    replays = {tree.name: Replay(tree, capture("connect", START_UP_S)) for tree in trees}
    for what, usages in (
        ("connect-audio --help", in_turn(helps, repeats)),
        (f"replay of {START_UP_S} s", in_turn(replays, repeats)),
    ):
        before, now = (medians(usages[tree.name]) for tree in trees)
        yield ratio_line(what, "CPU-ms", 1000 * before.cpu_s, 1000 * now.cpu_s, 0.6)
        yield ratio_line(f"{what}, peak", "MiB", before.peak_mib, now.peak_mib, None)


def library_import(trees: Trees, repeats: int) -> Iterator[Line]:
    """`import connect_audio`, and of its `read`, beyond Python's own start."""
    programs = {"Python": "pass", "bare": "import connect_audio", "read": "from connect_audio import read"}
    environment = trees.now.environment()
    runs = {name: partial(run, [sys.executable, "-c", code], environment) for name, code in programs.items()}
    cpu_ms = {name: 1000 * medians(usages).cpu_s for name, usages in in_turn(runs, repeats).items()}
    yield absolute_line("import connect_audio", "CPU-ms", cpu_ms["bare"] - cpu_ms["Python"], 60)
    yield Line(what="from connect_audio import read", unit="CPU-ms", now=cpu_ms["read"] - cpu_ms["Python"], against="")


def _compared(trees: Trees, shape: str, seconds: float, repeats: int, what: str, at_most: float) -> Line:
    usages = _replayed(trees, shape, seconds, repeats, {})
    before, now = (cost(usages, tree.name, seconds) for tree in trees)
    return ratio_line(what, "CPU-s/h", before.cpu_s, now.cpu_s, at_most)


def _replayed(
    trees: Trees, shape: str, seconds: float, repeats: int, others: Mapping[str, Callable[[Path], list[str]]]
) -> dict[tuple[str, float], list[Usage]]:
    """Run `replay` of both trees, and other commands on the same captures, in turn."""
    files = {length: capture(shape, length) for length in (START_UP_S, seconds)}
    replays = {(tree.name, length): Replay(tree, file) for length, file in files.items() for tree in trees}
    contenders: dict[tuple[str, float], Callable[[], Usage]] = {**replays}
    for name, command in others.items():
        for length, file in files.items():
            contenders[name, length] = partial(run, command(file), trees.now.environment())
    usages = in_turn(contenders, repeats)
    for length, file in files.items():
        if len(set.union(*(replays[tree.name, length].audio for tree in trees))) != 1:
            raise DifferentAudioError(f"the trees wrote different audio of {file.name}")
    return usages
