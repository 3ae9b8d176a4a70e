"""The content of a stream in which no audio of the contact was recorded: what was seen instead.

The reason NO_AUDIO and the one line of `connect-audio replay` say it.
"""

from __future__ import annotations

from connect_audio.core.cursor import Cursor
from connect_audio.text import counted


def seen_instead(cursor: Cursor) -> str:
    """Say what a stream had in the place of the contact's audio, the likeliest cause first.

    Args:
        cursor: the final one of a recording without frames.

    Returns:
        A sentence with numbers, without its full stop and without personal data but for names of tracks.
    """
    tracks, counts = cursor.other_tracks, cursor.fragments
    understood = tracks.unsupported_sentence() or tracks.unknown_sentence()
    if understood is not None:
        return f"no audio of this contact is on a track that can be recorded: {understood}"
    if counts.without_audio:
        return f"{counted(counts.without_audio, 'fragment')} of this contact came without an audio track"
    if cursor.timeline is not None or cursor.levels.customer.samples:
        return "audio of this contact came, and none of it could be placed"
    if counts.admitted:
        return f"{counted(counts.admitted, 'fragment')} of this contact came without any block"
    others = [
        f"{counted(number, 'fragment')} {whose}"
        for number, whose in (
            (counts.other_contact, "of other contacts"),
            (counts.other_streaming, "of another streaming of this contact"),
            (counts.undecidable + counts.unlabelled_elsewhere, "that name no contact"),
            (counts.contradictory, "that name more than one contact"),
        )
        if number
    ]
    if others:
        return f"nothing of this contact came, only {', '.join(others)}"
    if cursor.stream.lost_bytes:
        return f"no fragment came, only {counted(cursor.stream.lost_bytes, 'byte')} of no readable fragment"
    return "nothing came: the stream had no fragment at all"
