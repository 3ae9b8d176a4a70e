"""The calls of a CSV file, and the file of progress that lets an interrupted export go on.

`progress.jsonl` has one line for each call that was tried. A call is not tried again if its line
says that the recording is whole, or that it exists.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connect_audio_cli.output.command_error import CommandError, describe, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

DONE: Final = frozenset({"complete", "exists"})
"""Statuses of a call that is not tried again."""
_NEEDED: Final = ("stream_arn", "start_ms")
_KNOWN: Final = (*_NEEDED, "contact_id", "instance_arn")


@dataclass(frozen=True, slots=True)
class Row:
    """One call.

    Args:
        stream: the stream's ARN or name.
        start_ms: StartTimestamp, ms since the epoch.
        contact_id: the contact; None for the stream's own.
        instance_arn: the Connect instance; None for the stream's own.
        slack_ms: how far the start may be off, ms. A recording that began so near is the call's.
    """

    stream: str
    start_ms: int
    contact_id: str | None = None
    instance_arn: str | None = None
    slack_ms: int = 0

    @property
    def stream_name(self) -> str:
        """The stream's name, of its ARN too."""
        return self.stream.split("/")[1] if self.stream.startswith("arn:") and "/" in self.stream else self.stream


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


def rows_of(path: Path) -> list[Row]:
    """Read a CSV file with a header.

    Args:
        path: the file: `stream_arn` and `start_ms`; if wanted `contact_id` and `instance_arn`. Others are ignored.

    Raises:
        CommandError: the file cannot be read, or a line cannot be used; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise CommandError(
                    f"{printable(str(path))} has no column {missing[0]}: its first line names {', '.join(_KNOWN)}"
                )
            return [_row(values, f"{printable(str(path))}, line {reader.line_num}") for values in reader]
    except OSError as error:
        raise CommandError(f"{printable(str(path))}: cannot be read: {describe(error)}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise CommandError(f"{printable(str(path))} is no CSV file: {printable(str(error))}") from error


def _row(values: dict[str, str | None], place: str) -> Row:
    stream, start = (values.get("stream_arn") or "").strip(), (values.get("start_ms") or "").strip()
    if not stream:
        raise CommandError(f"{place}: stream_arn is empty")
    if not (start.isascii() and start.isdecimal()):
        raise CommandError(f"{place}: start_ms {printable(start, 40)!r} is no number of milliseconds")
    return Row(stream, int(start), (values.get("contact_id") or "").strip() or None, _text(values, "instance_arn"))


def _text(values: dict[str, str | None], name: str) -> str | None:
    return (values.get(name) or "").strip() or None


class ProgressFile:
    """The file of progress. Lines of another target are left alone and do not count.

    Args:
        path: the file; its folder is made where missing.
        target: the target as the user gives it.

    Raises:
        CommandError: the file cannot be read or written.
    """

    def __init__(self, path: Path, target: str) -> None:
        self._path = path
        self._target = target if target.startswith("s3://") else ""
        self._status: dict[tuple[str, int], str] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = self._path.read_text("utf-8") if self._path.exists() else ""
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
