"""A command under a pseudo-terminal of a given width, as a person runs it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.command import COMMAND, PATIENCE_S

WIDTHS: Final = (50, 80, 200)
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Screen:
    """What a terminal received.

    Args:
        code: exit code of the command.
        raw: all of it.
    """

    code: int
    raw: str

    @property
    def lines(self) -> list[str]:
        """The lines that stay on the screen: what a carriage return overwrites is gone."""
        return [
            _ESCAPES.sub("", re.split(r"\r|\x1b\[2K", line)[-1]).rstrip()
            for line in self.raw.replace("\r\n", "\n").split("\n")
        ]

    @property
    def text(self) -> str:
        """The lines that stay, as one text."""
        return "\n".join(self.lines)

    @property
    def shown(self) -> str:
        """Everything that was ever shown, without escape sequences."""
        return _ESCAPES.sub("", self.raw)


def cells(line: str) -> int:
    """Columns that a line takes."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in line)


class Terminal:
    """A running command and the terminal that it has as its controlling one."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self._received = b""

    def press_ctrl_c(self) -> None:
        """Have the terminal send SIGINT to every process of its foreground group."""
        os.write(self._master, b"\x03")

    def read_until(self, text: str) -> None:
        """Read until a text was shown."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in _ESCAPES.sub("", self._received.decode(errors="replace")):
            assert time.monotonic() < deadline, f"{text!r} did not come in:\n{self._received.decode(errors='replace')}"
            assert self._read(deadline), f"the command ended without {text!r}:\n{self._received.decode()}"

    def end(self) -> Screen:
        """Read to the command's end."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            assert time.monotonic() < deadline, f"no end:\n{self._received.decode(errors='replace')}"
        return Screen(self.process.wait(PATIENCE_S), self._received.decode(errors="replace"))

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            return False
        self._received += data
        return bool(data)


@contextmanager
def terminal(
    *command: str | Path, columns: int = 80, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Start a command on a terminal of its own; kill it at the end of the block.

    Args:
        command: the command line.
        columns: width of the terminal.
        cwd: where the user stands.
        environment: further variables.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    # `setsid --ctty` makes the pseudo-terminal the controlling one, so that Ctrl-C reaches the whole group.
    # A person's shell ignores no signal, but a caller of the tests may (nohup, a job in the background).
    process = subprocess.Popen(
        ["setsid", "--ctty", "env", "--default-signal=HUP,INT,TERM", *command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
        env={**inherited, "TERM": "xterm-256color", **(environment or {})},
        start_new_session=False,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(master)


def on_terminal(
    *arguments: str | Path, columns: int = 80, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Screen:
    """Run `connect-audio` to its end on a terminal."""
    command: Sequence[str | Path] = [COMMAND, *arguments]
    with terminal(*command, columns=columns, cwd=cwd, environment=environment) as running:
        return running.end()
