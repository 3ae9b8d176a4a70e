"""A sink of somebody else's that takes three segments and never returns from the fourth, whatever it is told.

`install` makes it a distribution with an entry point; what it goes through it appends to a file, since it runs in the
function's processes.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from connect_audio.sinks import ENTRY_POINTS, AudioSink, LiveEnd, LiveSegment, SinkSetup

TAKES: Final = 3


class StuckSink:
    """See above.

    Args:
        diary: the file.
    """

    def __init__(self, diary: Path) -> None:
        self._diary = diary
        self._taken = 0

    @property
    def segment_seconds(self) -> int:
        return 1

    def prepare(self) -> None:
        pass

    def deliver_segment(self, segment: LiveSegment) -> None:
        self._note(f"deliver {segment.number}")
        if self._taken == TAKES:
            threading.Event().wait()
        self._taken += 1

    def end(self, end: LiveEnd) -> None:
        self._note(f"end {end.frames}")

    def interrupt(self) -> None:
        self._note("interrupt")

    def close(self) -> None:
        self._note("close")

    def _note(self, what: str) -> None:
        with self._diary.open("a", encoding="utf-8") as diary:
            diary.write(f"{os.getpid()} {what}\n")


def make(setup: SinkSetup) -> AudioSink:
    """The entry point."""
    return StuckSink(Path(setup.options["STUCK_DIARY"]))


def install(folder: Path) -> dict[str, str]:
    """Make a distribution in an empty folder that names `make` as the sink `stuck`.

    Returns:
        The variables that make a new interpreter find it.
    """
    about = folder / "stuck_sink-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck-sink\nVersion: 1\n", "utf-8")
    (about / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nstuck = {__name__}:make\n", "utf-8")
    paths = (str(folder), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    return {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
