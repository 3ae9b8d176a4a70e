"""Ctrl-C and other ends from outside: one line, the right code, nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import boto3
import psutil
import pytest

from connect_audio_local.s3.server import s3_server
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation
from support.command import COMMAND, PATIENCE_S
from support.terminal import WIDTHS, Screen, terminal

# Each line is what a place of the demo has just shown.
PLACES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "while the services start": ("starting S3", ()),
    "when they are up": ("they are up", ()),
    "while the call is recorded": ("recording ", ("--seconds", "600")),
    "while segments come in": (" 1 s ", ("--live", "--seconds", "600")),
}


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that a command has started, and those that they have started."""
    return psutil.Process(pid).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The ones that run; a zombie whose parent is gone is init's."""
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def last_line(screen: Screen) -> str:
    return [line for line in screen.lines if line][-1].removeprefix("^C")


@pytest.mark.parametrize("place", PLACES)
def test_ctrl_c_ends_a_demo_in_one_line_wherever_it_stands(place: str, tmp_path: Path, temporary: Path) -> None:
    text, options = PLACES[place]
    command: tuple[str | Path, ...] = (COMMAND, "demo", *options, "--output", tmp_path / "out")
    with terminal(*command, environment={"TMPDIR": str(temporary)}) as running:
        running.read_until(text)
        started = descendants(running.process.pid)

        running.press_ctrl_c()
        screen = running.end()

    assert screen.code == 130
    assert last_line(screen) == "connect-audio: interrupted"
    assert "Traceback" not in screen.shown
    assert screen.shown.count("connect-audio: ") == 1
    psutil.wait_procs(started, PATIENCE_S)
    assert alive(started) == []
    assert list(temporary.iterdir()) == []
    assert [path.name for path in tmp_path.glob("out/*")] in ([], ["functions.log"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_terminated_leaves_no_child(number: signal.Signals, tmp_path: Path) -> None:
    with terminal(COMMAND, "demo", "--seconds", "600", "--output", tmp_path) as running:
        running.read_until("recording ")
        started = descendants(running.process.pid)
        assert started, "the S3 server is a process of its own"

        running.process.send_signal(number)
        screen = running.end()

    assert (screen.code, last_line(screen)) == (128 + number, "connect-audio: terminated")
    psutil.wait_procs(started, PATIENCE_S)
    assert alive(started) == []


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    speech = two_party_conversation(60)
    path = tmp_path / "call.mkv"
    call = SyntheticCall(customer=speech.customer, agent=speech.agent)
    path.write_bytes(b"".join(fragment.data for fragment in synthesize_call(call)))
    return path


@pytest.mark.parametrize("columns", WIDTHS)
def test_ctrl_c_ends_a_paced_replay_and_leaves_no_half_file(columns: int, capture: Path, tmp_path: Path) -> None:
    command = (COMMAND, "replay", capture, "--speed", "1", "--output", tmp_path / "out")
    with terminal(*command, columns=columns) as running:
        running.read_until("Replaying")

        running.press_ctrl_c()
        screen = running.end()

    assert (screen.code, last_line(screen)) == (130, "connect-audio: interrupted")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_ctrl_c_ends_an_emulator_in_one_line_and_frees_its_port(capture: Path) -> None:
    with terminal(COMMAND, "emulate", capture) as running:
        running.read_until("Ctrl-C ends it.")
        listening = psutil.Process(running.process.pid).net_connections("tcp")

        running.press_ctrl_c()
        screen = running.end()

    assert (screen.code, last_line(screen)) == (130, "connect-audio: interrupted")
    (port,) = {each.laddr.port for each in listening}
    assert not [each for each in psutil.net_connections("tcp") if each.laddr and each.laddr.port == port]


STUCK: Final = """
import sys, threading
from connect_audio_cli import main as command
def stuck(arguments):
    try:
        print("working", flush=True)
        threading.Event().wait()
    finally:
        threading.Event().wait()
command._command = stuck
sys.exit(command.main([]))
"""
LEFT_THREAD: Final = """
import sys, threading
from connect_audio_cli import main as command
def work(arguments):
    threading.Thread(target=threading.Event().wait).start()
    print("working", flush=True)
    threading.Event().wait()
command._command = work
sys.exit(command.main([]))
"""


@pytest.mark.parametrize("program", [STUCK, LEFT_THREAD], ids=["a release that does not end", "a thread that goes on"])
def test_an_interrupt_ends_the_process_whatever_holds_it_up(program: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        try:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()

    assert (process.returncode, said) == (130, "connect-audio: interrupted\n")


@pytest.fixture
def s3_process() -> Iterator[psutil.Process]:
    before = set(psutil.Process().children())
    with s3_server() as url:
        (started,) = set(psutil.Process().children()) - before
        client = boto3.client(
            "s3", endpoint_url=url, region_name="eu-west-2", aws_access_key_id="a", aws_secret_access_key="b"
        )
        client.create_bucket(Bucket="held", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        yield started
        # The client's connection is open still when the server is asked to end.
    client.close()
    assert not started.is_running()


def test_a_stuck_s3_server_is_killed_and_its_end_raises_nothing(s3_process: psutil.Process) -> None:
    s3_process.suspend()


def test_ctrl_c_on_a_terminal_does_not_reach_the_s3_server(s3_process: psutil.Process) -> None:
    assert psutil.Process().pid != s3_process.pid
    with subprocess.Popen(["ps", "-o", "pgid=", "-p", str(s3_process.pid)], stdout=subprocess.PIPE) as ps:
        assert ps.communicate()[0].split() == [str(s3_process.pid).encode()]
