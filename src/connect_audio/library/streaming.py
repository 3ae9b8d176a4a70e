"""`connect_audio.stream`: the audio of a call while its GetMedia body is read.

How it works: each read may add blocks to the fragment under way. If that fragment names the contact before its audio,
as Connect's do, `LivePreview` places the blocks at once. Everything else waits until the recording has decided
on the fragment. `_Sender` keeps how far each party was yielded, so that no moment is yielded twice.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from connect_audio.core.errors import CaptureError
from connect_audio.core.fragments import OpenFragment
from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.live_preview import LivePreview
from connect_audio.core.pcm import SAMPLE_BYTES, Party
from connect_audio.core.recording import CallRecording
from connect_audio.library.capture import growing_events
from connect_audio.library.extraction import Extraction
from connect_audio.library.moment import moment
from connect_audio.library.sources import Source, open_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioBlock:
    """Audio of one party that has just come in: one block of the stream, or some that came together.

    Args:
        contact_id: the call's contact id.
        party: the speaker.
        start: position of the first sample, samples since the epoch.
        rate: samples a second.
        pcm: 16-bit little-endian mono samples.
    """

    contact_id: str
    party: Party
    start: int
    rate: int
    pcm: bytes

    @property
    def time(self) -> datetime | None:
        """When the first sample was said, UTC; None if the stream's clock is beyond the calendar."""
        return moment(self.start * _NS // self.rate)

    @property
    def frames(self) -> int:
        """Length in samples."""
        return len(self.pcm) // SAMPLE_BYTES

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate

    @property
    def samples(self) -> NDArray[np.float32]:
        """The samples as float32 in [-1, 1).

        Raises:
            MissingPackageError: numpy is not installed.
        """
        from connect_audio.library import arrays  # noqa: PLC0415 - only who wants arrays needs numpy

        return arrays.mono(self.pcm)


def stream(source: Source, contact_id: str | None = None, *, accept_unlabelled: bool = False) -> Generator[AudioBlock]:
    """Yield one call's audio while its bytes come in.

    Each block is yielded as soon as its last byte is in, if its fragment names the contact before its audio, as
    Connect's do. Otherwise it is yielded as soon as its fragment is admitted: at the fragment's end, or at the next
    fragment that names a contact. Audio of another contact is never yielded.

    The blocks of one party come in order of time, and no moment comes twice. A time without audio has no block: compare
    `start` with the end of the block before. Put at their places into zeros, all blocks are the call that `read` gives.
    Only damage that shows at a fragment's end makes a difference: what was yielded cannot be taken back.

    Args:
        source: as for `read`, best the `Payload` of a GetMedia answer. Kinesis Video Streams ends every body after some
            45 minutes, also in mid-call.
        contact_id: the call's contact id; None for the first contact that the stream names. The first fragment then
            comes at its end.
        accept_unlabelled: as for `read`.

    Yields:
        The blocks; none if the body ends without audio of the contact.

    Raises:
        CaptureError: the source cannot be read or is no capture. Errors that the caller's own file or iterable raises
            pass unchanged.

    Example:
        >>> import connect_audio
        >>> for block in connect_audio.stream("call.mkv"):
        ...     print(block.party, block.time, block.duration)
        ...     break
        agent 2026-07-01 13:30:54.536000+00:00 1.024
    """
    with open_source(source) as opened:
        if opened.is_wav:
            raise CaptureError(f"{opened.name}: is a WAV and no stream: use connect_audio.read")
        if not opened.first:
            return
        extraction = Extraction(
            growing_events(opened.chunks, opened.name),
            opened.name,
            contact_id=contact_id,
            accept_unlabelled=accept_unlabelled,
        )
        sender = _Sender(extraction)
        # Once more at the end, when the recording has decided on what had waited.
        for fragment in chain(extraction.fragments(), [None]):
            yield from sender.growth(fragment) if isinstance(fragment, OpenFragment) else sender.decided()


class _Sender:
    """Make blocks of what is known of the stream, each moment of a party once.

    Args:
        extraction: the contact's extraction.
    """

    def __init__(self, extraction: Extraction) -> None:
        self._extraction = extraction
        self._recording: CallRecording = extraction.recording
        self._preview = LivePreview(self._recording)
        self._sent: dict[Party, int] = {}  # position after the last sample yielded, samples since the epoch

    def growth(self, fragment: OpenFragment) -> Iterator[AudioBlock]:
        """Yield the new blocks of the fragment under way, if they can be placed ahead."""
        return self._unsent(self._preview.look(fragment), self._preview.rate)

    def decided(self) -> Iterator[AudioBlock]:
        """Yield the blocks that the recording has admitted and that were not yielded ahead."""
        recording = self._extraction.recording
        if recording is not self._recording:
            self._recording, self._preview = recording, LivePreview(recording)
        for _ in recording.take():
            pass  # the frames are not wanted, and would fill the memory
        recording.take_notes()
        timeline = recording.timeline
        if timeline is None:
            return iter(())
        return self._unsent(self._extraction.added.live_samples(), timeline.rate)

    def _unsent(self, placed: Sequence[LiveSamples], rate: int) -> Iterator[AudioBlock]:
        contact_id = self._extraction.contact_id or ""
        for party, start, pcm in placed:
            new = max(0, self._sent.get(party, start) - start)
            samples = pcm[SAMPLE_BYTES * new :]
            if samples:
                self._sent[party] = start + len(pcm) // SAMPLE_BYTES
                yield AudioBlock(contact_id=contact_id, party=party, start=start + new, rate=rate, pcm=samples)
