"""A Python program of this package in a process of its own, which ends with its caller, however the caller ends.

The S3 server and the durable engine run so. Such a program prints its port once it listens. It exits at the end of its
standard input, so that a caller which is killed leaves none.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO


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
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        process_group=0,
    )
    try:
        if process.stdout is None:  # pragma: no cover - it was asked for
            raise StandInError(f"{name} has no pipe")
        port = process.stdout.readline().decode().strip()
        if not port:
            raise StandInError(f"{name} did not start")
        yield int(port)
    finally:
        # It keeps nothing, so it need not end in good order, which a stuck one or one that still starts would not do.
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
