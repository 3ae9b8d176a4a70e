"""A call's words as WebVTT, `<key>.vtt`: a cue for each turn, with the speaker as its voice.

Players show the cues under the recording. WebVTT wants `&` and `<` escaped, and no `-->` in a text (W3C, WebVTT 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio.core.transcript import Turn


def webvtt(turns: Sequence[Turn], rate: int) -> str:
    """Make a WebVTT file.

    Args:
        turns: the turns, in any order.
        rate: samples a second of their positions.
    """
    cues = [
        f"{_time(turn.start, rate)} --> {_time(max(turn.end, turn.start + rate // 1000 + 1), rate)}\n"
        f"<v {turn.party.value.upper()}>{_escaped(turn.text)}\n"
        for turn in sorted(turns, key=lambda turn: turn.start)
        if turn.text.strip()
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _escaped(text: str) -> str:
    # A line break within a text would end the cue; `>` needs no escape but as the end of an arrow.
    one_line = " ".join(text.split())
    return one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(frames: int, rate: int) -> str:
    ms = frames * 1000 // rate
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
