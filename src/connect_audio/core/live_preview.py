"""Where a block of a fragment that is not over yet will lie in the recording: what live audio is made of.

A preview decides nothing. It tries the blocks on a copy of the recording's timeline, under the rule that admits the
fragment; what becomes of it at its end is the recording's to say (`core/live_buffer.py` compares). Only where a
fragment names our contact, and nobody else, before its Cluster is there anything to preview.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from connect_audio.core.errors import UnsupportedAudioError
from connect_audio.core.fragments import Block, FragmentReader, holds_document
from connect_audio.core.pcm import AudioTrack, audio_tracks, to_mono
from connect_audio.core.recording import CallRecording
from connect_audio.core.timeline import Placement, Timeline, TimelineState, to_samples

_LONGEST_LEAP_S: Final = 0.5
"""Between two blocks of a track: what is longer may as well be a damaged time, so it waits for the fragment's end."""
BEFORE_FIRST_S: Final = 60
"""Of a call's first fragment the first block need not be the earliest; no fragment is so long."""


class LivePreview:
    """Preview one fragment after the other.

    Args:
        recording: the call so far.
        reader: what the blocks come out of.
    """

    def __init__(self, recording: CallRecording, reader: FragmentReader) -> None:
        self._recording = recording
        self._reader = reader
        self._judged = False
        self._tracks: Mapping[int, AudioTrack] = {}
        self._timeline: Timeline | None = None
        self._rate = 0

    @property
    def rate(self) -> int:
        """Samples a second of what was previewed last."""
        return self._rate

    def block(self, block: Block, *, allowed: bool = True) -> Sequence[Placement]:
        """Tell where the block that the reader has just given out will lie.

        Args:
            block: the block.
            allowed: whether the caller knows nothing against the fragment; asked at its first block.

        Returns:
            Its samples with positions since the epoch, in samples; nothing where its fragment's end has to be waited
            for, or where that time has its audio already.
        """
        if not self._judged:
            self._judged = True
            if allowed:
                self._judge(block)
        timeline = self._timeline
        if timeline is None:
            return ()
        if len(self._reader.open_contact_ids) != 1 or holds_document(block.data):
            # It is no longer ours alone, or a damaged size reaches into the next document, which may be anybody's.
            self._timeline = None
            return ()
        track = self._tracks.get(block.track_number)
        if track is None:
            return ()
        before = timeline.reached(track.party)
        samples, dangling = to_mono(block.data, track.pcm)
        timeline.place(
            track.party,
            to_samples(block.time_ns, timeline.rate),
            samples,
            tick_ns=self._reader.open_timecode_scale_ns,
            dangling=dangling,
        )
        placed = timeline.take_placements()
        origin = timeline.origin or 0
        if placed and before and placed[0].start - before > _LONGEST_LEAP_S * timeline.rate:
            self._timeline = None
            return ()
        return [Placement(party, origin + start, pcm) for party, start, pcm in placed]

    def over(self) -> None:
        """The fragment is over, or its connection is: the next block begins another."""
        self._judged = False
        self._timeline = None

    def _judge(self, block: Block) -> None:
        reader, recording = self._reader, self._recording
        if not recording.admits_at_once(reader.open_contact_ids, block.time_ns // 1_000_000):
            return
        entries = tuple(reader.open_tracks)
        mime_type = reader.open_tag("MimeType")
        if mime_type is None and not all(entry.codec_id.startswith("A_PCM/INT") for entry in entries):
            return  # it may come behind the Cluster, and say something else than we would assume
        try:
            tracks = audio_tracks(entries, mime_type)
        except UnsupportedAudioError:
            return
        rate = recording.rate or (tracks[0].pcm.rate if tracks else 0)
        if not tracks or any(track.pcm.rate != rate for track in tracks):
            return
        self._rate = rate
        self._tracks = {track.number: track for track in tracks}
        if recording.timeline is not None:
            self._timeline = recording.timeline.preview()
            return
        self._timeline = Timeline(TimelineState(rate=rate), watched=True)
        self._timeline.set_origin(to_samples(block.time_ns, rate) - BEFORE_FIRST_S * rate)
