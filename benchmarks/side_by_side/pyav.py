"""PyAV, to compare with: installed into a folder of its own for one run, as `requirements/bench.txt` pins it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.side_by_side.trees import ROOT

_REQUIREMENTS: Final = ROOT / "requirements" / "bench.txt"
_PROGRAM: Final = """
import sys
from pathlib import Path
import av
# FFmpeg takes Connect's word that the track is AAC; the packets are the PCM, and nothing has to be decoded.
with av.open(sys.argv[1]) as container:
    files = {stream.index: Path(sys.argv[2], f"{stream.index}.pcm").open("wb") for stream in container.streams.audio}
    for packet in container.demux():
        if packet.size:
            files[packet.stream_index].write(packet)
    for file in files.values():
        file.close()
"""


class NotInstallableError(Exception):
    """PyAV cannot be installed here; the message is the installer's last line."""


def pyav_command(folder: Path) -> Callable[[Path], list[str]]:
    """Install PyAV and return what makes the command that writes the PCM of both tracks of a capture to files.

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
    return lambda capture: [str(python), "-c", _PROGRAM, str(capture), str(folder)]
