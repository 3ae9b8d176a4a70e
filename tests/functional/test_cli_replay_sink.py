"""`replay --sink NAME`: a sink of the user's own gets the call, and its faults are said in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

from support.calls import call, capture_of, noise
from support.command import run_here

MODULE: Final = """
from pathlib import Path

class Blocks:
    def __init__(self, setup): self.folder = Path(setup.options["folder"])
    def prepare(self): pass
    def deliver_block(self, block):
        with (self.folder / f"{block.party}.pcm").open("ab") as file: file.write(block.samples)
    def end(self, end): (self.folder / "end").write_text(str(end.frames))
    def interrupt(self): pass
    def close(self): (self.folder / "closed").touch()

class Refusing(Blocks):
    def deliver_block(self, block): raise RuntimeError("no")

def failing(setup): raise ValueError("the key is wrong")
def neither(setup): return object()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a capture, and a package with four entry points on the path."""
    (tmp_path / "own_sinks.py").write_text(MODULE, "utf-8")
    info = tmp_path / "own_sinks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-sinks\nVersion: 1.0\n", "utf-8")
    entries = {"blocks": "Blocks", "refusing": "Refusing", "failing": "failing", "neither": "neither", "gone": "gone"}
    lines = [f"{name} = own_sinks:{value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[connect_audio.sinks]", *lines]), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_sinks", raising=False)
    (tmp_path / "call.mkv").write_bytes(capture_of(call(4)))
    return tmp_path


def replayed(folder: Path, *options: str) -> list[str | Path]:
    return ["replay", folder / "call.mkv", "--output", folder / "out", *options]


def test_a_sink_of_blocks_gets_all_audio_of_both_parties_and_the_end(folder: Path) -> None:
    done = run_here(*replayed(folder, "--sink", "blocks", "--sink-option", f"folder={folder}"))

    assert (done.code, done.err) == (0, "")
    frames = int((folder / "end").read_text("utf-8"))
    for party, seed in (("customer", 1), ("agent", 1001)):
        sent = noise(4, seed=seed)
        got = (folder / f"{party}.pcm").read_bytes()
        assert len(got) == 2 * frames
        # The last fragment is padded up to a whole block.
        assert got[: len(sent)] == sent
        assert not any(got[len(sent) :])
    assert (folder / "closed").exists()


def test_a_sink_that_refuses_costs_the_recording_nothing_and_ends_with_3(folder: Path) -> None:
    done = run_here(*replayed(folder, "--sink", "refusing", "--sink-option", f"folder={folder}"))

    assert done.code == 3
    assert "is whole, but not all of its live audio was taken; refusing did not get " in done.complaint
    assert done.complaint.endswith("RuntimeError")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--sink", "absent"], "--sink absent: UNKNOWN_SINK: no sink and no entry point of the group "),
        (["--sink", "failing"], "--sink failing cannot be made: ValueError: the key is wrong"),
        (["--sink", "gone"], "--sink gone cannot be made: AttributeError: "),
        (["--sink", "blocks"], "--sink blocks cannot be made: KeyError: 'folder'"),
        (["--sink", "neither"], "--sink neither: builtins.object is no sink: it needs either deliver_block, or "),
        (["--sink", "webhook"], "--sink webhook has an option of its own: --webhook"),
        (["--sink", "blocks", "--sink", "blocks"], "--sink blocks is given twice"),
        (["--sink-option", "a=b"], "--sink-option is for a sink of your own; add --sink NAME"),
        (["--sink", "blocks", "--sink-option", "folder"], "--sink-option 'folder' is not of the form KEY=VALUE"),
    ],
)
def test_a_sink_that_cannot_be_made_is_said_in_one_line_and_nothing_is_written(
    folder: Path, options: list[str], complaint: str
) -> None:
    done = run_here(*replayed(folder, *options))

    assert done.code == 2
    assert done.complaint.startswith(complaint)
    assert not list((folder / "out").glob("*"))
