"""The end of a recording whose next step failed for good. Used where its saved audio is published.

A part may be cut inside a hole, or inside a fragment. Then frames lie in the recording behind its cursor: carried
audio, and silence that no gap names yet. The next step would account for them. If there is none, `cut_short` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from connect_audio.core.admission import StreamEnd
from connect_audio.core.cursor import Cursor, Note
from connect_audio.core.recording import CallRecording


def cut_short(contact_id: str, cursor: Cursor) -> tuple[Cursor, Sequence[Note]]:
    """Account for the frames behind a cursor, and end the recording there.

    Args:
        contact_id: the contact.
        cursor: the last one.

    Returns:
        The cursor of the recording that ends there, and the notes that it adds.
    """
    recording = CallRecording(contact_id, cursor=cursor)
    recording.end(StreamEnd.UNREAD)
    return recording.cursor(), recording.take_notes()
