"""Programs in processes of their own end with their caller, also if it is asked to end while it starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from connect_audio_local.child_process import child_with_port, signals_held

PROGRAM = "import sys; print(1, flush=True); sys.stdin.read()"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Asked(BaseException):
    """A signal came."""


def ask(number: int, frame: FrameType | None) -> None:
    del frame
    raise Asked(number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {each: signal.signal(each, ask) for each in SIGNALS}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_a_process_is_started_leaves_none(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(Asked), child_with_port(PROGRAM, (), name="it"):
        pytest.fail("the signal was forgotten")
    (process,) = started
    assert process.returncode == -signal.SIGKILL


def test_a_signal_is_held_to_the_end_of_the_block_and_given_once() -> None:
    seen = []
    with pytest.raises(Asked), signals_held():  # noqa: PT012 - what is behind the signals counts
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        seen.append("the block went on")
    assert seen == ["the block went on"]
    assert signal.getsignal(signal.SIGTERM) is ask


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals_held():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_other_threads_start_processes_too() -> None:
    ports: list[int] = []

    def start() -> None:
        with child_with_port(PROGRAM, (), name="it") as port:
            ports.append(port)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert ports == [1]
