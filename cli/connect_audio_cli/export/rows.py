"""The calls of an export, and how a CSV file gives them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connect_audio_cli.output.command_error import CommandError, describe, printable

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
