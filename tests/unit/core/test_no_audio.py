"""NO_AUDIO says what the stream had instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from connect_audio.core.cursor import Cursor, StreamCounts
from connect_audio.core.fragments import Fragment
from connect_audio.core.matroska import TrackEntry
from connect_audio.core.no_audio import seen_instead
from core_support.fragments_by_hand import AGENT_TRACK, CUSTOMER_TRACK, fragment
from core_support.reading import record

OURS: Final = "ours"
OTHER: Final = "other"
OPUS: Final = replace(CUSTOMER_TRACK, codec_id="A_OPUS")
VIDEO: Final = TrackEntry(number=1, track_type=1, name="", codec_id="V_MPEG4/ISO/AVC")
NAMELESS: Final = (replace(CUSTOMER_TRACK, name="audio_1"), replace(AGENT_TRACK, name="audio_2"))


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ([], "nothing came: the stream had no fragment at all"),
        ([fragment(0, OTHER), fragment(1, OTHER)], "nothing of this contact came, only 2 fragments of other contacts"),
        ([fragment(0)], "nothing of this contact came, only 1 fragment that name no contact"),
        (
            [fragment(0, OTHER), fragment(1), fragment(2, OURS, OTHER)],
            (
                "nothing of this contact came, only 1 fragment of other contacts, 1 fragment that name no contact, "
                "1 fragment that name more than one contact"
            ),
        ),
        (
            [fragment(0, OURS, tracks=NAMELESS)],
            (
                "no audio of this contact is on a track that can be recorded: "
                "32 blocks are on tracks of no known party: "
                "track 1 'audio_1', track 2 'audio_2'"
            ),
        ),
        (
            [fragment(0, OURS, tracks=[OPUS], mime_type=None, blocks=fragment(0).blocks[::2])],
            (
                "no audio of this contact is on a track that can be recorded: "
                "16 blocks hold audio that cannot be decoded "
                "or joined: the customer's is codec A_OPUS without a MimeType, neither 16-bit PCM nor G.711"
            ),
        ),
        (
            [fragment(0, OURS, tracks=[VIDEO], blocks=fragment(0).blocks[::2])],
            "1 fragment of this contact came without an audio track",
        ),
        ([fragment(0, OURS, blocks=())], "1 fragment of this contact came without any block"),
    ],
)
def test_what_was_seen_in_place_of_audio_is_said(log: list[Fragment], sentence: str) -> None:
    recorded = record(log, OURS)

    assert seen_instead(recorded.cursor) == sentence
    reasons = {reason["code"]: reason["detail"] for reason in recorded.manifest(OURS)["reasons"]}
    assert reasons["NO_AUDIO"] == sentence


def test_a_stream_of_garbage_is_no_empty_stream() -> None:
    cursor = Cursor(stream=StreamCounts(lost_bytes=7, lost_byte_runs=1))

    assert seen_instead(cursor) == "no fragment came, only 7 bytes of no readable fragment"
