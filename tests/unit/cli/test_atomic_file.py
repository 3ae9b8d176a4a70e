from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_name_appears_when_the_file_is_published_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "made" / "call.wav"

    with AtomicFile(target) as file:
        file.write(b"....body")
        file.write_start(b"head")
        assert not target.exists()
        file.seal()
        assert not target.exists()
        file.publish()

    assert target.read_bytes() == b"headbody"
    assert names(target.parent) == ["call.wav"]


def test_an_earlier_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "call.wav"
    target.write_bytes(b"earlier")

    with AtomicFile(target) as file:
        file.write(b"later")
        assert target.read_bytes() == b"earlier"
        file.seal()
        file.publish()

    assert target.read_bytes() == b"later"


def test_nothing_remains_of_a_file_that_is_given_up(tmp_path: Path) -> None:
    class Trouble(BaseException):
        pass

    with pytest.raises(Trouble), AtomicFile(tmp_path / "call.wav") as file:  # noqa: PT012 - the exit is tested
        file.write(b"half")
        raise Trouble

    assert names(tmp_path) == []


def test_others_may_read_the_file_as_far_as_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with AtomicFile(tmp_path / "call.wav") as file:
            file.seal()
            file.publish()
    finally:
        os.umask(before)

    assert (tmp_path / "call.wav").stat().st_mode & 0o777 == 0o644


def test_a_failed_write_names_the_file_that_was_to_be(tmp_path: Path) -> None:
    file = AtomicFile(tmp_path / "call.wav")
    os.close(file._file.fileno())
    try:
        with pytest.raises(CommandError, match=r"call\.wav: cannot be written: Bad file descriptor"):
            file.write(b"x")
    finally:
        file.discard()

    assert names(tmp_path) == []


def test_what_is_skipped_reads_as_zeros_and_takes_no_room(tmp_path: Path) -> None:
    target = tmp_path / "call.wav"

    with AtomicFile(target) as file:
        file.write(b"head")
        file.skip(10_000_000)
        file.write(b"body")
        file.skip(5)
        file.write_start(b"HEAD")
        file.seal()
        file.publish()

    assert target.read_bytes() == b"HEAD" + bytes(10_000_000) + b"body" + bytes(5)
    if not holes_are_known(tmp_path):
        pytest.skip("the file system knows no holes")
    assert target.stat().st_blocks * 512 < 1_000_000


def holes_are_known(directory: Path) -> bool:
    probe = directory / "probe"
    with probe.open("wb") as file:
        file.truncate(10_000_000)
    return probe.stat().st_blocks * 512 < 1_000_000


_KILLED_MIDWAY = """
import os, signal, sys
from pathlib import Path
from connect_audio_cli.output.atomic_file import AtomicFile
file = AtomicFile(Path(sys.argv[1]))
file.write(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_file_of_a_killed_process_is_removed_by_the_next_one_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED_MIDWAY, str(tmp_path / "call.wav")], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)

    with AtomicFile(tmp_path / "first.wav") as first, AtomicFile(tmp_path / "second.wav") as second:
        assert left not in names(tmp_path)
        assert len(names(tmp_path)) == 2
        for file in (first, second):
            file.seal()
            file.publish()

    assert names(tmp_path) == ["first.wav", "second.wav"]


def test_a_sealed_file_that_is_not_published_yet_is_no_leftover(tmp_path: Path) -> None:
    with AtomicFile(tmp_path / "first.wav") as first:
        first.write(b"whole")
        first.seal()
        with AtomicFile(tmp_path / "second.wav"):
            pass
        first.publish()

    assert (tmp_path / "first.wav").read_bytes() == b"whole"


def test_no_other_file_is_taken_for_a_leftover(tmp_path: Path) -> None:
    other = tmp_path / "precious.wav"
    other.write_bytes(b"precious")
    (tmp_path / ".connect-audio-link.partial").symlink_to(other)
    os.mkfifo(tmp_path / ".connect-audio-pipe.partial")
    (tmp_path / "my.partial").write_bytes(b"mine")

    with AtomicFile(tmp_path / "call.wav"):
        pass

    assert names(tmp_path) == [
        ".connect-audio-link.partial",
        ".connect-audio-pipe.partial",
        "my.partial",
        "precious.wav",
    ]
    assert other.read_bytes() == b"precious"


def test_where_locks_are_unknown_no_leftover_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available", descriptor, operation)

    monkeypatch.setattr("fcntl.flock", refused)
    (tmp_path / ".connect-audio-1.partial").write_bytes(b"whose?")

    with AtomicFile(tmp_path / "call.wav") as file:
        file.seal()
        file.publish()

    assert names(tmp_path) == [".connect-audio-1.partial", "call.wav"]


def test_a_device_or_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(CommandError, match=f"^{pipe}: cannot be written: is no regular file$"):
        AtomicFile(pipe)

    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
