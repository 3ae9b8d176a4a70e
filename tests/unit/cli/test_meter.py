"""The line of a live recording: whose levels it shows, and how it fits the terminal."""

from __future__ import annotations

import io
import re
import sys
from array import array
from dataclasses import replace

import pytest

from connect_audio_cli.listening.meter import Meter
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID
from support.calls import call, fragments

OTHER = "00000000-0000-4000-8000-000000000002"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(monkeypatch: pytest.MonkeyPatch, data: bytes, columns: int = 100) -> list[str]:
    """The pictures of a meter that follows the default contact."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = Meter(shown=True)
    shown.follow(DEFAULT_CONTACT_ID)
    for at in range(0, len(data), 1000):
        shown.take(data[at : at + 1000])
    return [each for each in re.split(r"\r\x1b\[2K", terminal.getvalue()) if each]


def tone(level: int, seconds: int) -> bytes:
    return array("h", [level, -level] * (4000 * seconds)).tobytes()


def test_each_fragment_shows_both_parties_levels_and_the_length_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = call(3, customer=tone(32_767, 3), agent=tone(328, 3))
    data = b"".join(each.data for each in fragments(ours))

    assert lines(monkeypatch, data) == [
        f"Recording 0:00:0{second}  customer ████████ -0 dBFS  agent ██░░░░░░ -40 dBFS" for second in range(3)
    ]


def test_digital_silence_has_its_name_and_is_none_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = call(1, customer=bytes(16_000), agent=tone(328, 1))
    data = b"".join(each.data for each in fragments(ours))

    assert lines(monkeypatch, data)[0].startswith("Recording 0:00:00  customer ░░░░░░░░ digital silence  agent")
    assert lines(monkeypatch, data, columns=50) == ["Recording 0:00:00  customer none  agent -40 dBFS"]


def test_nothing_of_another_contact_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = replace(call(3), contact_id=OTHER)

    assert lines(monkeypatch, b"".join(each.data for each in fragments(theirs))) == []


def test_bytes_that_are_no_fragments_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(monkeypatch, b"\x1a\x45\xdf\xa3\xff" + bytes(5000)) == []
