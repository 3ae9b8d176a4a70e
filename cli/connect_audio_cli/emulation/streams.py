"""Captures as streams of the emulator, and the variables that lead an SDK to them: for `emulate` and `cloud`."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connect_audio.core.fragments import Fragment
from connect_audio.library.capture import capture_events
from connect_audio_cli.captures import STANDARD_INPUT, open_capture, read_events
from connect_audio_cli.inspection.inspection import audio_end_ms
from connect_audio_cli.output.arguments import NAME
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.formatting import count, duration
from connect_audio_cli.output.reporting import Form, Report
from connect_audio_local.kvs import CaptureError, EmulatedStream, StoredFragment, read_capture
from connect_audio_local.kvs.unanswered import Unanswered

_MISLEADING: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)
"""Variables of the user's other work that would lead an SDK elsewhere, or stop it."""
_MOST_CONTACTS: Final = 10
"""Contacts of a capture that are shown; `inspect` shows all."""


@dataclass(frozen=True, slots=True)
class ServedContact:
    """A contact in a stream.

    Args:
        contact_id: its id, as the fragments label it.
        first: its first fragment.
    """

    contact_id: str
    first: StoredFragment


@dataclass(frozen=True, slots=True)
class Served:
    """A stream and the capture in it.

    Args:
        stream: the stream.
        capture: name of the capture, fit to be shown.
        fragments: the capture's.
    """

    stream: EmulatedStream
    capture: str
    fragments: Sequence[StoredFragment]

    @property
    def seconds(self) -> float:
        """From the first fragment to the end of the last one's audio, seconds, as `inspect` and `replay` say it."""
        last = self.fragments[-1]
        ends = [
            audio_end_ms(each) for each in capture_events([last.load()], self.capture) if isinstance(each, Fragment)
        ]
        end_ms = ends[-1] if ends and ends[-1] is not None else last.end_ms
        return (end_ms - self.fragments[0].producer_ms) / 1000

    def contacts(self) -> list[ServedContact]:
        """The first contacts, in their order."""
        found: dict[str, StoredFragment] = {}
        for fragment in self.fragments:
            if fragment.contact_id:
                found.setdefault(fragment.contact_id, fragment)
        return [ServedContact(*each) for each in list(found.items())[:_MOST_CONTACTS]]

    def lines(self) -> list[str]:
        """The part of it that the text report holds."""
        return [
            f"Stream   {self.stream.name}",
            f"  ARN    {self.stream.arn}",
            f"  from   {self.capture}: {count(len(self.fragments), 'fragment')}, {duration(self.seconds)}",
            *(
                f"  holds  contact {printable(each.contact_id, 100)}, StartTimestamp {each.first.producer_ms}"
                for each in self.contacts()
            ),
        ]

    def as_json(self) -> dict[str, Any]:
        """The part of it that the JSON report holds."""
        return {
            "name": self.stream.name,
            "arn": self.stream.arn,
            "capture": self.capture,
            "fragments": len(self.fragments),
            "durationSeconds": self.seconds,
            "contacts": [
                {"contactId": printable(each.contact_id, 100), "startTimestamp": each.first.producer_ms}
                for each in self.contacts()
            ],
        }


def read_stored(command: str, capture: str) -> list[StoredFragment]:
    """Index a capture for the emulator.

    Args:
        command: the command that serves it, for the messages.
        capture: path.

    Raises:
        CommandError: no capture, or it cannot be read.
    """
    if capture == STANDARD_INPUT:
        raise CommandError(f"{command} reads a capture many times, which standard input does not allow: name a file")
    with open_capture(capture) as opened:
        # The emulator takes whatever begins like Matroska, to serve captures that are cut off.
        next(read_events(opened.chunks, opened.name))
    try:
        return read_capture(Path(capture))
    except CaptureError as error:
        raise CommandError(printable(str(error))) from error
    except (OSError, ValueError) as error:
        reason = describe(error) if isinstance(error, OSError) else str(error)
        raise CommandError(f"{printable(capture)}: cannot be read: {reason}") from error


def stream_name(capture: str) -> str:
    """Return the file's name without its suffix, in the characters that a stream's name may have."""
    stem = Path(capture).stem
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_.-") else "-" for letter in stem)[
        :256
    ]


class Complaints:
    """Requests that got nothing, a line each on standard error; the same one again is not repeated. Thread-safe.

    Args:
        report: with `--quiet` nothing is said.
        caught_up: say it also where a reader has merely reached the end.
    """

    def __init__(self, report: Report, *, caught_up: bool) -> None:
        self._says = report.form is not Form.QUIET
        self._caught_up = caught_up
        self._lock = threading.Lock()
        self._last = ""

    def __call__(self, unanswered: Unanswered) -> None:
        """Say it."""
        line = f"{NAME}: {printable(str(unanswered), 500)}\n"
        with self._lock:
            if self._says and line != self._last and (self._caught_up or not unanswered.caught_up):
                self._last = line
                sys.stderr.write(line)
                sys.stderr.flush()


def sdk_variables(addresses: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that lead an SDK to services on this machine.

    Args:
        addresses: the variables of the services' addresses.
    """
    return {
        **addresses,
        # Any will do, and an SDK refuses to go without.
        "AWS_ACCESS_KEY_ID": "emulated",
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_DEFAULT_REGION": "eu-west-2",
        "AWS_REGION": "eu-west-2",  # the one that SDKs but botocore read
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",  # it counts if both are set
    }


def exports(variables: Mapping[str, str]) -> str:
    """Return the shell's commands that set the variables and take away what would mislead an SDK."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f"unset {' '.join(_MISLEADING)}"])
