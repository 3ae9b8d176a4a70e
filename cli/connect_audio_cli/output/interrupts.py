"""Ctrl-C and other signals that ask for the end: one exception, no noise meanwhile, and an end that cannot be held up.

`cli.main` alone uses it. Commands release what they hold in `finally`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

_SIGNALS: Final = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "terminated"}
"""The signals, each with the word that the command ends with."""
_PATIENCE_S: Final = 2.0
"""Seconds that commands have to release what they hold. Beyond: the process ends as it stands."""


class Interrupted(KeyboardInterrupt):
    """A signal asks for the end; no Exception, so that only `finally` meets it on the way.

    Args:
        number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
        self.line = f"connect-audio: {_SIGNALS[signal.Signals(number)]}\n"


def take_signals() -> None:
    """Have each of the signals raise `Interrupted`, once. A signal that the caller ignores (nohup) stays ignored."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def end_of_work() -> None:
    """Drop the deadline of a signal that was taken: the command has ended."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def end_interrupted(interrupted: Interrupted) -> int:
    """Write the one line, and return the exit code; with threads that still run, end the process here."""
    end_of_work()
    _say(interrupted.line)
    if threading.active_count() > 1:
        # The interpreter would wait for the stand-ins' threads, which wait for the end of a call.
        os._exit(interrupted.exit_code)
    return interrupted.exit_code


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    interrupted = Interrupted(number)

    def abandon(_number: int, _frame: FrameType | None) -> NoReturn:
        _say(interrupted.line)
        os._exit(interrupted.exit_code)

    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, abandon)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_S)
    # Threads whose sockets are closed under them say so, each in many lines.
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end of the process
    raise interrupted


def _say(line: str) -> None:
    """Write to the real standard error, if there is one."""
    try:
        os.write(2, line.encode())
    except OSError:
        return
