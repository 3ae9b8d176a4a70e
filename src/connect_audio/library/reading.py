"""`connect_audio.read` and `connect_audio.contacts`: a whole source in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Final

from connect_audio.core.cursor import GapNote, Note
from connect_audio.core.errors import CaptureError
from connect_audio.core.fragments import Fragment
from connect_audio.core.manifest import NoteLog
from connect_audio.core.tracks import choose_tracks, track_names
from connect_audio.library.call import Call, Gap
from connect_audio.library.capture import capture_events
from connect_audio.library.extraction import Extraction
from connect_audio.library.moment import moment
from connect_audio.library.recording_file import read_recording
from connect_audio.library.sources import OpenSource, Source, open_source

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact that a capture names.

    Args:
        contact_id: its id.
        fragments: how many fragments name it and no other contact.
        start: when its first sample was said, UTC; None if it has no audio, or a time beyond the calendar.
        duration: seconds from its first sample to its last, whichever party's; 0 if it has no audio.
    """

    contact_id: str
    fragments: int
    start: datetime | None
    duration: float


def read(
    source: Source,
    contact_id: str | None = None,
    *,
    accept_unlabelled: bool = False,
    customer_track: str | int | None = None,
    agent_track: str | int | None = None,
) -> Call:
    """Read one call.

    A damaged or truncated capture gives a call of status `"partial"` with reasons, not an exception.

    Args:
        source: a GetMedia capture: a path, bytes, an open binary file, the `Payload` of GetMedia, or an iterable of
            bytes, read to its end. Or the path of a WAV that the stack or `connect-audio replay` has written, with its
            manifest beside it.
        contact_id: the call's contact id; None for the first contact that the capture names. Audio of other contacts
            is left out.
        accept_unlabelled: take fragments that name no contact for this call's. For captures in which nothing names a
            contact and all audio is of one call.
        customer_track: name or number of the customer's track; None for Connect's names. For captures with other names.
        agent_track: the same for the agent's track.

    Raises:
        CaptureError: the source cannot be read, is no capture, holds no audio of the contact, or no such track. The
            message says what to do. Errors that the caller's own file or iterable raises pass unchanged.

    Example:
        >>> import connect_audio
        >>> call = connect_audio.read("call.mkv")
        >>> call.duration, call.rate, str(call.status)
        (30.0, 8000, 'complete')
    """
    with open_source(source) as opened:
        if opened.is_wav:
            return read_recording(opened.chunks, _wav_path(opened), contact_id)
        extraction = Extraction(
            capture_events(opened.chunks, opened.name),
            opened.name,
            contact_id=contact_id,
            accept_unlabelled=accept_unlabelled,
            track_names=track_names(customer_track, agent_track),
        )
        stereo = bytearray()
        notes = NoteLog()
        gaps: list[Gap] = []
        # Once more at the end, when the rest is settled.
        for _ in chain(extraction.fragments(), [None]):
            recording = extraction.recording
            for frames in recording.take():
                stereo += frames
            taken = recording.take_notes()
            notes = notes.extended(taken, recording.rate)
            gaps += _gaps(taken, recording.rate)
        manifest = extraction.manifest(notes)
        return Call(stereo, manifest, gaps=tuple(gaps), other_contacts=extraction.other_contacts)


def contacts(source: Source) -> list[Contact]:
    """List the contacts that a capture names, in order of their first fragment.

    Args:
        source: as for `read`, but no WAV.

    Raises:
        CaptureError: the source cannot be read or is no capture.

    Example:
        >>> import connect_audio
        >>> [(each.contact_id, each.duration) for each in connect_audio.contacts("call.mkv")]
        [('00000000-0000-4000-8000-000000000001', 30.0)]
    """
    found: dict[str, _Span] = {}
    with open_source(source) as opened:
        if opened.is_wav:
            raise CaptureError(f"{opened.name}: is a WAV, which holds one call: use connect_audio.read")
        for event in capture_events(opened.chunks, opened.name):
            if isinstance(event, Fragment) and len(event.contact_ids) == 1:
                found.setdefault(event.contact_ids[0], _Span()).add(event)
    return [span.contact(contact_id) for contact_id, span in found.items()]


@dataclass(slots=True)
class _Span:
    """How far a contact's audio reaches. Times in ns since the epoch."""

    fragments: int = 0
    start: int | None = None
    end: int = 0

    def add(self, fragment: Fragment) -> None:
        self.fragments += 1
        tracks = choose_tracks(fragment.tracks, fragment.tag("MimeType")).audio
        formats = {track.number: track.pcm for track in tracks}
        for block in fragment.blocks:
            pcm = formats.get(block.track_number)
            if pcm is not None and block.data:
                samples = len(block.data) // pcm.frame_bytes
                self.start = block.time_ns if self.start is None else min(self.start, block.time_ns)
                self.end = max(self.end, block.time_ns + samples * _NS // pcm.rate)

    def contact(self, contact_id: str) -> Contact:
        start = self.start
        return Contact(
            contact_id=contact_id,
            fragments=self.fragments,
            start=None if start is None else moment(start),
            duration=0.0 if start is None else (self.end - start) / _NS,
        )


def _gaps(notes: Sequence[Note], rate: int | None) -> list[Gap]:
    return [
        Gap(
            party=note.gap.party,
            start_frame=note.gap.start,
            frames=note.gap.length,
            start_seconds=note.gap.start / (rate or 1),
            seconds=note.gap.length / (rate or 1),
            missing_fragments=note.missing_fragments,
        )
        for note in notes
        if isinstance(note, GapNote)
    ]


def _wav_path(opened: OpenSource) -> Path:
    if opened.path is None:
        raise CaptureError(
            f"{opened.name}: is a WAV: pass its path, so that the manifest beside it is found, "
            "or read the WAV with soundfile"
        )
    return opened.path
