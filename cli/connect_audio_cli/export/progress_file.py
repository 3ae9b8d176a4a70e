"""The file of progress that lets an interrupted export go on.

It has one line for each call that was tried. A call is not tried again if its line says that the recording is
whole, or that it exists. One export at a time works with the file.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connect_audio_cli.export.run_lock import locked
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.folders import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from connect_audio_cli.export.rows import Row

DONE: Final = frozenset({"complete", "exists"})
"""Statuses of a call that is not tried again."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the progress file.

    Args:
        stream: the row's stream.
        start: the row's start, ms since the epoch.
        status: `complete`, `partial`, `empty`, `key_taken`, `exists` or `failed`.
        key: the recording's key; None where there is none.
        detail: the reasons' codes, or the failure; empty where all is well.
    """

    stream: str
    start: int
    status: str
    key: str | None = None
    detail: str = ""


class ProgressFile:
    """The file of progress. Lines of another target are left alone and do not count.

    Args:
        path: the file, which is there and locked (`progress_file`).
        target: the target as the user gives it.

    Raises:
        CommandError: the file cannot be read or written.
    """

    def __init__(self, path: Path, target: str) -> None:
        self._path = path
        self._target = target if target.startswith("s3://") else ""
        self._status: dict[tuple[str, int], str] = {}
        try:
            text = self._path.read_text("utf-8")
            if text and not text.endswith("\n"):
                # A killed run left half a line: it would spoil the next one.
                text = text[: text.rfind("\n") + 1]
                self._path.write_text(text, "utf-8")
        except OSError as error:
            raise CommandError(f"{self._path}: {describe(error)}") from error
        for line in text.splitlines():
            try:
                found = json.loads(line)
                if found.get("target", "") == self._target:
                    self._status[found["stream"], found["start"]] = found["status"]
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def left(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that no earlier run has done, each call once."""
        return list({(row.stream_name, row.start_ms): row for row in rows if not self.is_done(row)}.values())

    def is_done(self, row: Row) -> bool:
        """Return True if an earlier run has this call's recording."""
        return self._status.get((row.stream, row.start_ms)) in DONE

    def add(self, line: Line) -> None:
        """Append a line.

        Raises:
            CommandError: the file cannot be written.
        """
        self._status[line.stream, line.start] = line.status
        try:
            with self._path.open("a", encoding="utf-8") as file:
                target = {"target": self._target} if self._target else {}
                file.write(json.dumps({**asdict(line), **target}) + "\n")
        except OSError as error:
            raise CommandError(f"{self._path}: {describe(error)}") from error


@contextmanager
def progress_file(path: Path, target: str) -> Iterator[ProgressFile]:
    """Open a file of progress for one export, and make it where missing.

    Args:
        path: the file; its folder is made where missing.
        target: the target as the user gives it. A folder is locked, too.

    Raises:
        CommandError: another export uses the file or the folder, or it cannot be read or written.
    """
    with ExitStack() as stack:
        make_folder(path.parent)
        if not target.startswith("s3://"):
            make_folder(Path(target))
        try:
            path.touch()
        except OSError as error:
            raise CommandError(f"{printable(str(path))}: {describe(error)}") from error
        for each in (path,) if target.startswith("s3://") else (Path(target), path):
            stack.enter_context(locked(each))
        yield ProgressFile(path, target)
