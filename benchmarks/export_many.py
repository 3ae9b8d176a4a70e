"""1000 calls exported on this machine, killed on the way and resumed: `make export-many`, some minutes.

It holds three claims of docs/export.md. The memory is flat however many calls there are. After a SIGKILL no call is
recorded twice, and none is missing. No request exceeds the service's quotas. The streams are the emulator's with the
real limits. The export is the command in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import psutil

from benchmarks.bounds import Bound, judge
from connect_audio_local.kvs import EmulatedStream, KvsEmulator, Limits, stored
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, SyntheticCall, synthesize_call

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from connect_audio_local.synthesis.calls import SyntheticFragment

CALLS: Final = 1000
_OF_A_STREAM: Final = 5
_GAP_MS: Final = 30_000
_SECONDS: Final = 4
_RATE: Final = 8000
_WAV_HEADER: Final = 44
_NOISE: Final = bytes(range(250)) * 64


@dataclass(slots=True)
class Figures:
    """What the run gave.

    Args:
        calls: calls in all.
        killed_after: calls with a line when the first process was killed.
        mib: resident memory of the second process, MiB: the median of each hundred calls, by the last one's number.
        seconds: wall time of both processes.
        cpu_s: processor time of the second process, s.
        recorded: calls with a whole recording, whose samples are the manifest's.
        read: how often GetMedia was called, beyond twice a call: once for the labels and once for the recording.
        lines: lines of progress with each status.
        twice: calls with more than one line that says `complete`.
        refused: requests that the emulator refused.
    """

    calls: int
    killed_after: int = 0
    mib: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_s: float = 0.0
    recorded: int = 0
    read: int = 0
    lines: Counter[str] = field(default_factory=Counter)
    twice: int = 0
    refused: int = 0


def run(calls: int, kill_after: int, folder: Path, *, every: int = 100) -> Figures:
    """Export calls, kill the export, and let it go on.

    Args:
        calls: how many.
        kill_after: lines of progress after which the first process is killed.
        folder: gets everything; empty.
        every: calls of a figure of the memory.
    """
    refused: list[object] = []
    figures = Figures(calls)
    rows, out = folder / "calls.csv", folder / "out"
    with KvsEmulator(limits=Limits(), on_unanswered=refused.append) as emulator:
        streams = [emulator.add_stream(each) for each in _streams(calls)]
        starts = [(f"calls-{at // _OF_A_STREAM}", _start(at)) for at in range(calls)]
        rows.write_text("stream_arn,start_ms\n" + "".join(f"{name},{start}\n" for name, start in starts))
        command: list[str | Path] = [
            Path(sys.executable).with_name("connect-audio"),
            "export",
            "--csv",
            rows,
            "-o",
            out,
        ]
        environment = {**os.environ, **emulator.environment(), **_CREDENTIALS}
        began_s = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as first:
            for figures.killed_after, _ in enumerate(_lines(first), 1):
                if figures.killed_after == kill_after:
                    first.kill()
                    break
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as second:
            process = psutil.Process(second.pid)
            seen: list[float] = []
            for number, line in enumerate(_lines(second), 1):
                if line.startswith(f"{calls} calls"):
                    break
                seen.append(process.memory_info().rss / 2**20)
                if number % every == 0:
                    figures.mib[number] = median(seen[-every:])
                    figures.cpu_s = sum(process.cpu_times()[:2])
        figures.seconds = time.monotonic() - began_s
        figures.read = sum(stream.faults.calls("GetMedia") for stream in streams) - 2 * calls
    figures.refused = len(refused)
    _judge_folder(figures, out)
    return figures


def _lines(process: subprocess.Popen[str]) -> Iterable[str]:
    return process.stdout or ()


_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-2",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def _start(number: int) -> int:
    return DEFAULT_START_MS + number % _OF_A_STREAM * _GAP_MS


def _streams(calls: int) -> Iterator[EmulatedStream]:
    for begin in range(0, calls, _OF_A_STREAM):
        numbers = range(begin, min(begin + _OF_A_STREAM, calls))
        fragments = [each for number in numbers for each in _fragments(number)]
        yield EmulatedStream(f"calls-{begin // _OF_A_STREAM}", stored(fragments))


def _fragments(number: int) -> Iterator[SyntheticFragment]:
    # The samples are the call's own: one that stands under another's name would show.
    pcm = (number.to_bytes(2, "little") + _NOISE)[: 2 * 4001] * _SECONDS * 2
    call = SyntheticCall(
        customer=pcm[: 2 * _RATE * _SECONDS],
        agent=pcm[: 2 * _RATE * _SECONDS],
        contact_id=f"00000000-0000-4000-8000-{number:012}",
        start_ms=_start(number),
    )
    return iter(synthesize_call(call))


def _judge_folder(figures: Figures, out: Path) -> None:
    whole: Counter[tuple[str, int]] = Counter()
    for text in (out / "progress.jsonl").read_text().splitlines():
        line = json.loads(text)
        figures.lines[line["status"]] += 1
        whole[line["stream"], line["start"]] += line["status"] == "complete"
    figures.twice = sum(count > 1 for count in whole.values())
    for path in out.glob("2*/**/*.wav"):
        manifest = json.loads(path.with_suffix(".json").read_bytes())
        data = path.read_bytes()[_WAV_HEADER:]
        sound = manifest["status"] == "complete" and int(manifest["recording"]["dataCrc32"], 16) == zlib.crc32(data)
        number = int(manifest["contactId"].rsplit("-", 1)[1])
        figures.recorded += sound and data[:2] == number.to_bytes(2, "little")


def main() -> list[Bound]:
    """Run it with 1000 calls and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        figures = run(CALLS, CALLS * 2 // 5, Path(folder))
    print(f"export of {figures.calls} calls of {_SECONDS} s, killed after {figures.killed_after}, and resumed")
    print("calls after the resumption, MiB: " + ", ".join(f"{at}: {mib:.1f}" for at, mib in figures.mib.items()))
    print(f"{figures.seconds:.0f} s in all, {figures.cpu_s:.0f} s of processor in the second process")
    print(f"lines: {dict(figures.lines)}; GetMedia beyond two a call: {figures.read}")
    mib = list(figures.mib.values())
    return [
        Bound("calls with a whole recording", figures.recorded, at_least=CALLS, at_most=CALLS),
        Bound("calls recorded twice", figures.twice, at_most=0),
        # The second process does not know what the killed one asked for in the same second.
        Bound("requests beyond a quota", figures.refused, at_most=8),
        # It levels off as the allocator's arenas of the eight threads fill: docs/benchmarks.md has 2500 calls.
        Bound("memory of the last 100 calls, MiB", mib[-1], at_most=110),
        Bound("memory of the last 100 calls as a multiple of the second 100's", mib[-1] / mib[1], at_most=1.25),
    ]


if __name__ == "__main__":
    judge(main())
