"""The expected positions of an open fragment's blocks in the recording: the source of live audio.

A preview decides nothing. It tries the blocks on a copy of the recording's timeline, under the rule that admits the
fragment. At the fragment's end the recording decides (`core/live_buffer.py` compares). Only a fragment that names our
contact alone before its Cluster can be previewed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from connect_audio.core.document_search import holds_document
from connect_audio.core.fragments import Block, OpenFragment
from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.matroska import load_schema
from connect_audio.core.pcm import to_mono
from connect_audio.core.recording import CallRecording
from connect_audio.core.runs import runs_of
from connect_audio.core.timeline import Timeline, TimelineState, to_samples
from connect_audio.core.tracks import AudioTrack, choose_tracks

_LONGEST_LEAP_S: Final = 0.5
"""Between two blocks of a track: what is longer may as well be a damaged time, so it waits for the fragment's end."""
BEFORE_FIRST_S: Final = 60
"""Seconds before a call's first block at which the buffer begins: the first block need not be the earliest."""


class LivePreview:
    """Preview one open fragment after the other.

    Args:
        recording: the call so far.
    """

    def __init__(self, recording: CallRecording) -> None:
        load_schema()
        self._recording = recording
        self._fragment: OpenFragment | None = None  # looked at last
        self._seen = 0  # blocks of it that were looked at
        self._tracks: Sequence[AudioTrack] = ()
        self._timeline: Timeline | None = None
        self._rate = 0

    @property
    def rate(self) -> int:
        """Samples a second of what was previewed last."""
        return self._rate

    def look(
        self, fragment: OpenFragment | None, *, allowed: Callable[[int], bool] = lambda _: True
    ) -> Sequence[LiveSamples]:
        """Return the expected positions of the blocks since the last look. To be called after each read.

        Args:
            fragment: the reader's open fragment; None for none.
            allowed: returns True if the caller knows nothing against a fragment whose first block begins at a time, ms
                since the epoch; asked once a fragment.

        Returns:
            Samples with positions since the epoch, in samples. They are empty if the fragment's end must come
            first, or if that time has its audio already.
        """
        if fragment is None:
            return ()
        if fragment is not self._fragment:
            self._fragment, self._seen, self._timeline = fragment, 0, None
        blocks = fragment.blocks[self._seen :]
        if not blocks:
            return ()
        if not self._seen and allowed(blocks[0].time_ns // 1_000_000):
            self._judge(fragment, blocks[0])
        self._seen += len(blocks)
        if self._timeline is None:
            return ()
        if len(fragment.contact_ids) != 1:
            # It is no longer our contact's alone.
            self._timeline = None
            return ()
        return self._place(fragment, self._timeline, blocks)

    def _place(self, fragment: OpenFragment, timeline: Timeline, blocks: Sequence[Block]) -> Sequence[LiveSamples]:
        """Try the blocks, run by run; stop for good at the first one that had better wait for the fragment's end."""
        swallowing = next((index for index, block in enumerate(blocks) if holds_document(block.data)), None)
        if swallowing is not None:
            # A damaged size reaches into the next document, which may be anybody's.
            self._timeline = None
        found: list[LiveSamples] = []
        origin = timeline.origin or 0
        runs, _ = runs_of(blocks[:swallowing], self._tracks)
        for run in runs:
            before = timeline.complete_up_to(run.track.party)
            samples, dangling = to_mono(run.payload, run.track.pcm)
            placed = timeline.place_run(
                run.track.party,
                run.start,
                samples,
                tick_ns=fragment.timecode_scale_ns,
                block_length=run.block_length,
                width=run.track.pcm.frame_bytes,
                dangling=dangling,
            )
            if placed and before and placed[0].start - before > _LONGEST_LEAP_S * timeline.rate:
                self._timeline = None
                break
            found += [LiveSamples(party, origin + start, pcm) for party, start, pcm in placed]
        return found

    def _judge(self, fragment: OpenFragment, block: Block) -> None:
        recording = self._recording
        if not recording.places_at_once(fragment, block):
            return
        mime_type = fragment.tag("MimeType")
        if mime_type is None and not all(entry.codec_id.startswith("A_PCM/INT") for entry in fragment.tracks):
            return  # it may come behind the Cluster, and say something else than we would assume
        tracks = choose_tracks(fragment.tracks, mime_type, recording.track_names).audio
        rate = recording.rate or (tracks[0].pcm.rate if tracks else 0)
        if not tracks or any(track.pcm.rate != rate for track in tracks):
            return
        self._rate = rate
        self._tracks = tracks
        self._timeline = recording.preview(fragment)
        if self._timeline is not None:
            return
        self._timeline = Timeline(TimelineState(rate=rate))
        self._timeline.set_origin(to_samples(block.time_ns, rate) - BEFORE_FIRST_S * rate)
