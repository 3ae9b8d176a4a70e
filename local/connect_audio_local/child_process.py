"""A Python program of this package in a process of its own, which ends with its caller, however the caller ends.

The S3 server and the durable engine run so. Such a program prints its port once it listens. It exits at the end of its
standard input, so that a caller which is killed leaves none.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, Final

_HELD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals whose handlers may raise."""


class StandInError(RuntimeError):
    """A stand-in did not start."""


@contextmanager
def child_with_port(
    program: str, arguments: Sequence[str], *, name: str, stderr: IO[bytes] | None = None
) -> Iterator[int]:
    """Run a program for the length of a `with` block.

    Ctrl-C on a terminal does not reach it: it is in a process group of its own, and its caller ends it.

    Args:
        program: Python source.
        arguments: `sys.argv[1:]` of the program.
        name: its name in messages.
        stderr: file of its standard error; this process's own if None.

    Yields:
        Its port.

    Raises:
        StandInError: it did not start.
    """
    process = None
    try:
        with signals_held():
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [sys.executable, "-W", "ignore", "-c", program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                process_group=0,
            )
        if process.stdout is None:  # pragma: no cover - it was asked for
            raise StandInError(f"{name} has no pipe")
        port = process.stdout.readline().decode().strip()
        if not port:
            raise StandInError(f"{name} did not start")
        yield int(port)
    finally:
        if process is not None:
            # It keeps nothing, so it need not end in good order, which a stuck one or one that starts would not do.
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


@contextmanager
def signals_held() -> Iterator[None]:
    """Have signals that ask for the end wait for the end of a `with` block, so that nothing is left half made in it.

    A handler that raises while a process is being started would leave one behind. Outside of the main
    thread, where no handler runs, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))

    known = {each: handler for each in _HELD if callable(handler := signal.getsignal(each))}
    for each in known:
        signal.signal(each, hold)
    try:
        yield
    finally:
        for each, handler in known.items():
            signal.signal(each, handler)
        for number, frame in came[:1]:
            known[signal.Signals(number)](number, frame)
