"""PyAV, to compare with: installed into a folder of its own for one run, as `requirements/bench.txt` pins it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.side_by_side.trees import ROOT

_REQUIREMENTS: Final = ROOT / "requirements" / "bench.txt"
# FFmpeg believes Connect's claim that the tracks are AAC. The packets are the PCM, so nothing has to be decoded.
_HANDED_OUT: Final = """
import sys
from pathlib import Path
import av
with av.open(sys.argv[1]) as container:
    tracks = {stream.index: bytearray() for stream in container.streams.audio}
    for packet in container.demux():
        if packet.size:
            tracks[packet.stream_index] += bytes(packet)
for index, pcm in tracks.items():
    Path(sys.argv[2], f"{index}.pcm").write_bytes(pcm)
"""
_STREAMED: Final = """
import sys
from pathlib import Path
import av
with av.open(sys.argv[1]) as container:
    files = {stream.index: Path(sys.argv[2], f"{stream.index}.pcm").open("wb") for stream in container.streams.audio}
    for packet in container.demux():
        if packet.size:
            files[packet.stream_index].write(packet)
    for file in files.values():
        file.close()
"""
PROGRAMS: Final = {"PyAV": _HANDED_OUT, "PyAV 2": _STREAMED}
"""Two ways to use it: the PCM of both tracks as two values, then files; and each packet at once to its track's file."""


class NotInstallableError(Exception):
    """PyAV cannot be installed here; the message is the installer's last line."""


def pyav_commands(folder: Path) -> dict[str, Callable[[Path], list[str]]]:
    """Install PyAV and return what makes the commands that write the PCM of both tracks of a capture to files.

    Args:
        folder: an empty folder for the environment and for the output.

    Raises:
        NotInstallableError: no installer, no index, or no wheel for this machine.
    """
    python = folder / "venv" / "bin" / "python"
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise NotInstallableError("uv is not here")
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")],
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            str(python),
            "--require-hashes",
            "--requirement",
            str(_REQUIREMENTS),
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotInstallableError((done.stderr.strip().splitlines() or ["uv failed"])[-1])

    def started(program: str, capture: Path) -> list[str]:
        return [str(python), "-c", program, str(capture), str(folder)]

    return {name: partial(started, program) for name, program in PROGRAMS.items()}
