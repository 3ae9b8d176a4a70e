"""The line that shows a live recording: its length, and how loud either party is just now."""

from __future__ import annotations

import sys
from typing import Final

from connect_audio.core.errors import StreamError
from connect_audio.core.fragments import Fragment, FragmentReader
from connect_audio.core.levels import ChannelLevels, ChannelMeter, levels_json
from connect_audio.core.pcm import PARTIES, Party, to_mono
from connect_audio.core.tracks import choose_tracks
from connect_audio_cli.output.formatting import DIGITAL_SILENCE
from connect_audio_cli.output.terminal import cells, is_terminal, width

_CLEAR_LINE: Final = "\r\x1b[2K"
_BAR_CELLS: Final = 8
_LEAST_DBFS: Final = -56.0
"""Level of an empty bar. Each of its cells is 7 dB: the bar of a shout is full."""
_FULL_SCALE_DBFS: Final = 0.0


class Meter:
    """Follows the bytes of the stream, and shows the contact's newest fragment.

    Nothing of another contact is measured. The recorder reads the same bytes on its own: the meter changes nothing.

    Args:
        shown: False where no line is wanted.
    """

    def __init__(self, *, shown: bool) -> None:
        self._out = sys.stderr
        self._is_shown = shown and is_terminal(sys.stderr)
        self._reader = FragmentReader()
        self._contact_id: str | None = None
        self._begin_ms: float | None = None
        self._newest_ms = 0.0

    def wait(self, text: str) -> None:
        """Show a line until the recording begins."""
        self._show(text)

    def follow(self, contact_id: str) -> None:
        """Show a contact from now on."""
        self._contact_id = contact_id

    def take(self, data: bytes) -> None:
        """Take the next bytes of a body; none at the beginning of a body."""
        if not self._is_shown:
            return
        if not data:
            self._reader = FragmentReader()
            return
        try:
            self._reader.receive_data(data)
            while isinstance(event := self._reader.next_event(), Fragment):
                if event.contact_ids == (self._contact_id,):
                    self._show(self._line(event))
        except StreamError:
            # The recorder reports it. The next body begins anew.
            self._reader = FragmentReader()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._out.write(_CLEAR_LINE)
            self._out.flush()

    def _show(self, line: str) -> None:
        if self._is_shown:
            self._out.write(_CLEAR_LINE + line[: max(width() - 1, 1)])
            self._out.flush()

    def _line(self, fragment: Fragment) -> str:
        blocks = fragment.blocks
        if blocks:
            self._begin_ms = blocks[0].time_ns / 1e6 if self._begin_ms is None else self._begin_ms
            self._newest_ms = max(self._newest_ms, blocks[-1].time_ns / 1e6)
        seconds = int((self._newest_ms - (self._begin_ms or self._newest_ms)) / 1000)
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        levels = levels_of(fragment)
        line = "  ".join([f"Recording {clock}", *(f"{party} {_bar(levels.get(party))}" for party in PARTIES)])
        if cells(line) < width():
            return line
        # A narrow terminal has numbers alone.
        numbers = [f"{party} {_number(levels.get(party))}" for party in PARTIES]
        return "  ".join([f"Recording {clock}", *numbers]) + " dBFS"


def levels_of(fragment: Fragment) -> dict[Party, float | None]:
    """Return the RMS level of each party in a fragment, dBFS; None for digital silence."""
    found: dict[Party, float | None] = {}
    for track in choose_tracks(fragment.tracks, fragment.tag("MimeType")).audio:
        payload = b"".join(block.data for block in fragment.blocks if block.track_number == track.number)
        meter = ChannelMeter(ChannelLevels(), track.pcm.rate)
        meter.measure(to_mono(payload, track.pcm)[0])
        found[track.party] = levels_json(meter.levels(), track.pcm.rate)["rmsDbfs"]
    return found


def _number(dbfs: float | None) -> str:
    return "none" if dbfs is None else f"{dbfs:.0f}"


def _bar(dbfs: float | None) -> str:
    """Draw a level: `█████░░░  -21 dBFS`."""
    if dbfs is None:
        return f"{'░' * _BAR_CELLS} {DIGITAL_SILENCE}"
    share = min(1.0, max(0.0, (dbfs - _LEAST_DBFS) / (_FULL_SCALE_DBFS - _LEAST_DBFS)))
    full = round(_BAR_CELLS * share)
    return f"{'█' * full}{'░' * (_BAR_CELLS - full)} {dbfs:.0f} dBFS"
