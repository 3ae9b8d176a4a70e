"""A call, or several in one stream, as Connect would stream them: lazily, fragment by fragment, in constant memory.

The emulator serves what comes out of here, tests and benchmarks read it directly. Audio comes as bytes, as an iterator
for calls of any length, or from two WAV files.
"""

from __future__ import annotations

import warnings
import wave
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_LAYOUT,
    CONNECT_TRACKS,
    TO_CUSTOMER,
    Block,
    FragmentContents,
    FragmentLayout,
    Track,
    write_fragment,
)

DEFAULT_START_MS = 1_782_912_654_536
DEFAULT_CONTACT_ID = "00000000-0000-4000-8000-000000000001"
DEFAULT_INSTANCE_ID = "00000000-0000-4000-8000-0000000000aa"

type AudioSource = bytes | Iterable[bytes] | Callable[[], Iterable[bytes]]
"""s16le mono: whole, in pieces of any length, or as a function that yields the pieces afresh each time."""


class AudioFileError(ValueError):
    """A WAV file that cannot be one party of a call; the message names the file and the fix."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Time that passes without anything being streamed; no audio is lost, what follows is later.

    Args:
        at_ms: position in the call's audio, rounded up to a block.
        length_ms: how long nothing comes.
    """

    at_ms: int
    length_ms: int


@dataclass(frozen=True, slots=True)
class ShortBlock:
    """A block that carries fewer bytes than its place on the grid; what is cut off is never sent.

    Args:
        track_name: the track.
        index: the block's place on the call's grid, from 0.
        size: bytes it carries, odd numbers too.
    """

    track_name: str
    index: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticCall:
    """One contact's streaming.

    The call lasts as long as the longer side; the shorter one is sent as silence to the end.

    Args:
        customer: audio from the customer (AUDIO_FROM_CUSTOMER), or None for no such track.
        agent: audio to the customer (AUDIO_TO_CUSTOMER), or None for no such track.
        contact_id: the ContactId tag.
        instance_id: the InstanceId tag.
        start_ms: producer timestamp of the first fragment, milliseconds since the epoch. None: where the call before
            it in the stream ended, after `pause_ms`; for a first call `DEFAULT_START_MS`.
        pause_ms: time between the end of the call before and this one's start.
        seconds: end the call after so much audio; needed for endless sources.
        rate: samples a second.
        block_ms: length of a block.
        blocks_per_fragment: blocks of each track in a fragment; 16 of 64 ms make Connect's 1.024 s.
        server_offset_ms: server timestamp minus producer timestamp; may be negative.
        tracks: the TrackEntries in their order; blocks alternate in the same order. A track of another name than
            AUDIO_TO_CUSTOMER, such as the legacy one, carries the customer's audio.
        agent_joins_ms: the agent's track is not there before this position; its audio up to there is not sent.
        gaps: pauses in the streaming.
        unlabelled: fragments of this call, from 0, that carry no ContactId.
        last_unlabelled: True leaves the call's last fragment without ContactId.
        short_blocks: blocks with less audio than their place.
        layout: how the fragments are written.
    """

    customer: AudioSource | None
    agent: AudioSource | None
    contact_id: str = DEFAULT_CONTACT_ID
    instance_id: str = DEFAULT_INSTANCE_ID
    start_ms: int | None = None
    pause_ms: int = 0
    seconds: float | None = None
    rate: int = 8000
    block_ms: int = 64
    blocks_per_fragment: int = 16
    server_offset_ms: int = 170
    tracks: tuple[Track, ...] = CONNECT_TRACKS
    agent_joins_ms: int = 0
    gaps: tuple[Gap, ...] = ()
    unlabelled: frozenset[int] = frozenset()
    last_unlabelled: bool = False
    short_blocks: tuple[ShortBlock, ...] = ()
    layout: FragmentLayout = CONNECT_LAYOUT

    def __post_init__(self) -> None:
        if self.customer is None and self.agent is None:
            raise ValueError("a call needs the audio of the customer or of the agent")
        if self.rate * self.block_ms % 1000:
            raise ValueError(f"{self.block_ms} ms at {self.rate} samples a second are no whole number of samples")


@dataclass(frozen=True, slots=True)
class SyntheticFragment:
    """One fragment of a synthetic stream.

    Args:
        data: the fragment as GetMedia would send it.
        contents: its content: number, timestamps, ContactId, tracks, blocks.
        duration_ms: length of its audio in milliseconds, rounded up.
    """

    data: bytes
    contents: FragmentContents
    duration_ms: int

    @property
    def number(self) -> str:
        """The fragment number."""
        return self.contents.number

    @property
    def producer_ms(self) -> int:
        """The producer timestamp, milliseconds since the epoch."""
        return self.contents.producer_ms

    @property
    def server_ms(self) -> int:
        """The server timestamp, milliseconds since the epoch."""
        return self.contents.server_ms

    @property
    def contact_id(self) -> str | None:
        """The ContactId tag."""
        return self.contents.contact_id


class UnwrittenFragment(NamedTuple):
    """A fragment of a synthetic stream before it is written.

    Args:
        contents: its content.
        duration_ms: length of its audio in milliseconds, rounded up.
        layout: how it is written.
    """

    contents: FragmentContents
    duration_ms: int
    layout: FragmentLayout


def synthesize_call(call: SyntheticCall) -> Iterator[SyntheticFragment]:
    """Yield the fragments of one call, each made when it is asked for."""
    return synthesize_stream([call])


def synthesize_stream(calls: Iterable[SyntheticCall]) -> Iterator[SyntheticFragment]:
    """Yield the fragments of calls that follow each other in one stream, as Connect re-uses its streams.

    Raises:
        ValueError: a call starts before the one before it has ended.
    """
    return (
        SyntheticFragment(write_fragment(contents, layout), contents, duration_ms)
        for contents, duration_ms, layout in unwritten_stream(calls)
    )


def unwritten_stream(calls: Iterable[SyntheticCall]) -> Iterator[UnwrittenFragment]:
    """Yield what `synthesize_stream` writes, for a caller that changes it first.

    Raises:
        ValueError: a call starts before the one before it has ended.
    """
    counter, end_ms = 1, None
    for call in calls:
        if call.start_ms is not None:
            start_ms = call.start_ms
        else:
            start_ms = DEFAULT_START_MS if end_ms is None else end_ms + call.pause_ms
        if end_ms is not None and start_ms < end_ms:
            raise ValueError(
                f"contact {call.contact_id} starts at {start_ms} ms, before its predecessor's end at {end_ms}"
            )
        for fragment in _fragments(call, start_ms, counter):
            yield fragment
            counter += 1
            end_ms = fragment.contents.producer_ms + fragment.duration_ms


def fragment_number(counter: int, server_ms: int) -> str:
    """Make a fragment number with the anatomy of the real ones (undocumented; bits inferred from captures).

    Args:
        counter: steps by one from fragment to fragment.
        server_ms: server timestamp, milliseconds since the epoch.
    """
    noise = (counter * 2_654_435_761 ^ server_ms) & 0xFFF_FFFF
    return str(1 << 156 | counter << 92 | server_ms << 28 | noise)


def from_wav_files(
    customer: Path,
    agent: Path,
    *,
    rate: int = 8000,
    contact_id: str = DEFAULT_CONTACT_ID,
    instance_id: str = DEFAULT_INSTANCE_ID,
    start_ms: int | None = None,
) -> SyntheticCall:
    """Make a call of two WAV files, one per party; further options through `dataclasses.replace`.

    A file of another rate or sample width is converted. Files of different length are fine.

    Args:
        customer: mono WAV of the customer.
        agent: mono WAV of the agent.
        rate: samples a second in the stream.
        contact_id: the ContactId tag.
        instance_id: the InstanceId tag.
        start_ms: producer timestamp of the first fragment, milliseconds since the epoch.

    Raises:
        AudioFileError: not a PCM WAV, not mono, or without any audio.
        OSError: a file cannot be read.
    """
    return SyntheticCall(
        customer=_wav_source(customer, rate),
        agent=_wav_source(agent, rate),
        rate=rate,
        contact_id=contact_id,
        instance_id=instance_id,
        start_ms=start_ms,
    )


# --- blocks into fragments -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """The samples of all tracks in one block's time."""

    time_ms: int
    blocks: tuple[Block, ...]
    after_gap: bool


def _fragments(call: SyntheticCall, start_ms: int, counter: int) -> Iterator[UnwrittenFragment]:
    rows: list[_Row] = []
    index = 0
    for row in _rows(call, start_ms):
        if rows and (row.after_gap or len(rows) == call.blocks_per_fragment):
            yield _fragment(call, rows, index, counter + index, last=False)
            rows = []
            index += 1
        rows.append(row)
    if rows:
        yield _fragment(call, rows, index, counter + index, last=True)


def _fragment(call: SyntheticCall, rows: list[_Row], index: int, counter: int, *, last: bool) -> UnwrittenFragment:
    blocks = tuple(block for row in rows for block in row.blocks)
    present = {block.track_number for block in blocks}
    producer_ms = rows[0].time_ms
    server_ms = producer_ms + call.server_offset_ms
    labelled = index not in call.unlabelled and not (last and call.last_unlabelled)
    contents = FragmentContents(
        number=fragment_number(counter, server_ms),
        producer_ms=producer_ms,
        server_ms=server_ms,
        contact_id=call.contact_id if labelled else None,
        instance_id=call.instance_id,
        # Kinesis Video Streams demands a frame of every declared track, so a track is declared only where it sends.
        tracks=tuple(track for track in call.tracks if track.number in present),
        blocks=blocks,
        rate=call.rate,
    )
    last_samples = max(len(block.pcm) for block in rows[-1].blocks) // 2
    full_samples = call.rate * call.block_ms // 1000
    tail_ms = call.block_ms if last_samples >= full_samples else -(-last_samples * 1000 // call.rate)
    duration_ms = rows[-1].time_ms - producer_ms + tail_ms
    return UnwrittenFragment(contents, duration_ms, call.layout)


def _rows(call: SyntheticCall, start_ms: int) -> Iterator[_Row]:
    size = call.rate * call.block_ms // 1000 * 2
    limit = None if call.seconds is None else round(call.seconds * call.rate) * 2
    readers: list[tuple[Track, _Reader, int]] = []
    for track in call.tracks:
        source, joins_ms = (call.agent, call.agent_joins_ms) if track.name == TO_CUSTOMER else (call.customer, 0)
        if source is not None:
            readers.append((track, _Reader(source, limit), joins_ms))
    short = {(block.track_name, block.index): block.size for block in call.short_blocks}
    gaps = sorted(call.gaps, key=lambda gap: gap.at_ms)
    time_ms, index = start_ms, 0
    while True:
        taken = [(track, reader.read(size), joins_ms) for track, reader, joins_ms in readers]
        longest = max(len(pcm) for _, pcm, _ in taken)
        if not longest:
            return
        position_ms = index * call.block_ms
        after_gap = False
        while gaps and gaps[0].at_ms <= position_ms:
            time_ms += gaps.pop(0).length_ms
            after_gap = True
        blocks = tuple(
            Block.at_ms(track.number, time_ms, pcm.ljust(longest, b"\0")[: short.get((track.name, index), longest)])
            for track, pcm, joins_ms in taken
            if position_ms >= joins_ms
        )
        if blocks:
            yield _Row(time_ms, blocks, after_gap)
        time_ms += call.block_ms
        index += 1


class _Reader:
    """Pieces of any length in, blocks of a wanted length out."""

    def __init__(self, source: AudioSource, limit: int | None) -> None:
        if isinstance(source, bytes):
            pieces: Iterable[bytes] = [source]
        else:
            pieces = source() if callable(source) else source
        self._pieces = iter(pieces)
        self._limit = limit
        self._buffer = b""
        self._at = 0  # start of the next block in it

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer where the audio ends, none from then on."""
        if self._limit is not None:
            size = min(size, self._limit)
        while len(self._buffer) - self._at < size and (piece := next(self._pieces, None)) is not None:
            self._buffer = self._buffer[self._at :] + piece
            self._at = 0
        taken = self._buffer[self._at : self._at + size]
        self._at += len(taken)
        if self._limit is not None:
            self._limit -= len(taken)
        return taken


# --- WAV files -------------------------------------------------------------------------------------------------------


def _wav_source(path: Path, rate: int) -> AudioSource:
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, file_rate, frames = file.getparams()[:4]
            if channels != 1:
                raise AudioFileError(f"{path}: has {channels} channels, give one mono file per party")
            if not frames:
                raise AudioFileError(f"{path}: holds no audio")
            if (width, file_rate) == (2, rate):
                return lambda: _wav_pieces(path)
            return _convert(file.readframes(frames), width, file_rate, rate)
    except (wave.Error, EOFError) as exc:
        raise AudioFileError(f"{path}: is no PCM WAV file ({exc or 'it ends within its header'})") from exc


def _wav_pieces(path: Path) -> Iterator[bytes]:
    with wave.open(str(path), "rb") as file:
        while piece := file.readframes(8192):
            yield piece


def _convert(pcm: bytes, width: int, file_rate: int, rate: int) -> bytes:
    with warnings.catch_warnings():
        # At its import pydub misses ffmpeg, which only compressed formats need.
        warnings.filterwarnings("ignore", message="Couldn't find ffmpeg", category=RuntimeWarning)
        from pydub import AudioSegment  # noqa: PLC0415 - 18 ms that only a conversion should cost
    if width == 1:
        # 8-bit WAV is unsigned, pydub takes bare samples as signed.
        pcm = pcm.translate(bytes(sample ^ 0x80 for sample in range(256)))
    segment = AudioSegment(data=pcm, sample_width=width, frame_rate=file_rate, channels=1)
    return bytes(segment.set_sample_width(2).set_frame_rate(rate).raw_data)
