"""Captions: one cue a turn, with the speaker as its voice, whatever is said."""

from __future__ import annotations

from connect_audio.core.pcm import Party
from connect_audio.core.transcript import Turn
from connect_audio.core.webvtt import webvtt


def test_a_text_that_looks_like_markup_stays_a_text() -> None:
    said = Turn(party=Party.AGENT, start=0, end=8000, text="a < b & c --> d\n\nNOTE e")
    assert webvtt([said], 8000) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v AGENT>a &lt; b &amp; c --&gt; d NOTE e\n"
    )


def test_times_have_hours_and_no_cue_is_empty() -> None:
    rate = 8000
    at = (2 * 3600 + 3 * 60 + 4) * rate + 40
    said = Turn(party=Party.CUSTOMER, start=at, end=at, text="yes")
    silent = Turn(party=Party.AGENT, start=0, end=8000, text=" ")
    assert webvtt([said, silent], rate) == "WEBVTT\n\n02:03:04.005 --> 02:03:04.006\n<v CUSTOMER>yes\n"
