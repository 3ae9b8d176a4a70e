"""The installed command `connect-audio`, run as a user runs it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import wave
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connect_audio_cli.main import main

COMMAND: Final = Path(sys.executable).with_name("connect-audio")
# Nothing in a test takes this long; it turns a hang into a failure.
PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run left."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that every failure is said in."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"one line on stderr was expected, not:\n{self.err}"
        assert lines[0].startswith("connect-audio: ")
        return lines[0].removeprefix("connect-audio: ")


def run(*arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None, under: Sequence[str] = ()) -> Finished:
    """Run to the end, `under` a command that starts it if one is given."""
    process = subprocess.run(
        [*under, COMMAND, *arguments], input=stdin, capture_output=True, timeout=PATIENCE_S, check=False, cwd=cwd
    )
    return Finished(process.returncode, process.stdout.decode(), process.stderr.decode())


def run_here(*arguments: str | Path) -> Finished:
    """Run in this process, for tests of many small cases: it saves the start of a process.

    Standard output is UTF-8 text here, as in a pipe.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    texts = [each.detach().getvalue().decode() for each in (out, err)]
    return Finished(code, *texts)


@dataclass(frozen=True, slots=True)
class Recording:
    """A WAV and its manifest as others read them."""

    rate: int
    left: bytes
    right: bytes
    manifest: dict[str, Any]


def recording(directory: Path, contact_id: str) -> Recording:
    """Read what `replay` wrote, with the standard library's reader."""
    with wave.open(str(directory / f"{contact_id}.wav"), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        frames = file.readframes(file.getnframes())
        rate = file.getframerate()
    left, right = bytearray(len(frames) // 2), bytearray(len(frames) // 2)
    for byte in range(2):
        left[byte::2] = frames[byte::4]
        right[byte::2] = frames[byte + 2 :: 4]
    manifest = json.loads((directory / f"{contact_id}.json").read_bytes())
    return Recording(rate, bytes(left), bytes(right), manifest)
