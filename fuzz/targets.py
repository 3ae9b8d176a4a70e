"""What must hold whatever the bytes: used by the engine (`__main__.py`) and by the bounded run among the tests.

Each check raises AssertionError, or lets an exception out that no docstring names: both are findings.
"""

from __future__ import annotations

import json
import os
import tempfile
import tracemalloc
import wave
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

from aws_lambda_powertools import Logger

from connect_audio.adapters.connect_event import contact_id_of, parse_connect_event
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.admission import StreamEnd
from connect_audio.core.cursor import Cursor
from connect_audio.core.errors import RequestError, StreamError
from connect_audio.core.fragments import END, NEED_DATA, Block, BytesLost, Fragment, FragmentReader
from connect_audio.core.live_audio import LiveBlock, LiveSegment
from connect_audio.core.live_preview import LivePreview
from connect_audio.core.manifest import EndReason, NoteLog, RecordingFacts, build_manifest
from connect_audio.core.pcm import FRAME_BYTES, PARTIES, interleave
from connect_audio.core.plain import from_plain, to_plain
from connect_audio.core.recording import CallRecording
from connect_audio.live import Inline, LivePipeline, LivePolicy, NamedSink
from connect_audio.request import RecordingRequest, stack_mark
from connect_audio.sinks import LiveEnd
from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.replay.replay import replay
from fuzz.seeds import FOREIGN, OURS
from fuzz.steps import StepCount
from fuzz.two_ways import both_ways

LIMIT_S: Final = 20
"""Longest recording while fuzzing: a broken clock may ask for hours of silence, which say nothing new."""

MOST_REPEATED_BYTES: Final = 1024 * 1024
"""Longer streams are not repeated for `check_shapes`: they take long enough as they are."""

STEPS: Final = 60_000
STEPS_A_BYTE: Final = 40
STEPS_A_KIB_OUT: Final = 20
"""Calls and loop rounds that an input may take: so much, so much a byte of it, and so much a KiB that comes out."""

FIXED_BYTES: Final = 3 * 1024 * 1024
BYTES_A_BYTE: Final = 256
"""Memory that an input may take: so much, and so much a byte of it (a block of 6 bytes is an object of some 250)."""
MAX_BYTES: Final = 34 * 1024 * 1024
"""And never more than this, as tests/functional/test_core_memory.py adds it up."""


def chunks_of(data: bytes) -> Iterator[bytes]:
    """Cut an input: how depends on the input alone."""
    rng = Random(zlib.crc32(data))
    longest = rng.choice((90, 1500, 1500, 16_000, 1 << 20))
    at = 0
    while at < len(data):
        size = rng.randint(1, longest)
        yield data[at : at + size]
        at += size


def read(data: bytes) -> Iterator[Fragment | BytesLost]:
    """Read as a file reader does; nothing but StreamError may come up, each one behind the last."""
    reader = FragmentReader()
    errors = 0
    ahead: list[Block] = []  # of the fragment under way, as it stood when more data was asked for
    for chunk in (*chunks_of(data), b""):
        reader.receive_data(chunk)
        while True:
            try:
                event = reader.next_event()
            except StreamError as error:
                errors += 1
                assert 0 <= error.offset <= len(data)  # noqa: PT017 - the next error may come
                assert errors <= len(data)
                reader.resynchronise(str(error))
                continue
            if event is NEED_DATA or event is END:
                assert (event is END) == (chunk == b"")
                assert event is NEED_DATA or reader.open is None
                ahead = [] if reader.open is None else list(reader.open.blocks)
                break
            if isinstance(event, Fragment):
                held = min(len(ahead), len(event.blocks))
                assert list(event.blocks[:held]) == ahead[:held], "a fragment holds other blocks than it held before"
                assert held == len(ahead) or event.truncation, "a whole fragment has lost blocks"
                assert event.offset + event.size <= len(data)
                ahead = []
            assert isinstance(event, Fragment | BytesLost)
            yield event


@dataclass
class _Output:
    """What `take` gave out: its length and CRC, and whether a foreign contact is heard in it."""

    size: int = 0
    crc32: int = 0
    foreign: bool = False
    _tails: list[bytes] = field(default_factory=lambda: [b"", b""])

    def write(self, frames: bytes) -> None:
        assert frames
        assert len(frames) <= 32 * 1024
        assert len(frames) % FRAME_BYTES == 0
        self.size += len(frames)
        self.crc32 = zlib.crc32(frames, self.crc32)
        for index in (0, 1):
            mono = bytearray(len(frames) // 2)
            mono[0::2], mono[1::2] = frames[2 * index :: 4], frames[2 * index + 1 :: 4]
            heard = self._tails[index] + mono
            self.foreign = self.foreign or _MARK in heard
            self._tails[index] = bytes(heard[-len(_MARK) :])


_MARK: Final = FOREIGN * 8
_FACTS: Final = RecordingFacts(contact_id=OURS, recording="call.wav", end_reason=EndReason.END_OF_INPUT)


def _record(
    events: Sequence[Fragment | BytesLost], output: _Output, cursor: Cursor | None = None, stop: int | None = None
) -> tuple[Cursor, NoteLog]:
    """Record as replay does, with every cursor going through JSON; `stop` breaks off behind so many events."""
    recording = CallRecording(OURS, cursor=cursor, limit_s=LIMIT_S)
    notes = NoteLog()
    for event in events[:stop]:
        if isinstance(event, BytesLost):
            recording.lose(event)
            continue
        recording.add(event)
        for frames in recording.take():
            output.write(frames)
        now = recording.cursor()
        assert from_plain(Cursor, json.loads(json.dumps(to_plain(now)))) == now
        notes = notes.extended(recording.take_notes(), recording.rate)
    if stop is None:
        recording.end(StreamEnd.END_OF_INPUT)
        for frames in recording.take():
            output.write(frames)
    last = recording.cursor()
    return last, notes.extended(recording.take_notes(), recording.rate)


def check_recording(data: bytes, *, labels_kept: bool = False) -> None:
    """Read and record a stream; break off somewhere, go on from the cursor, and get the same.

    Args:
        data: the stream.
        labels_kept: whether all audio in it still stands under its own contact.
    """
    events = list(read(data))
    lost = [event for event in events if isinstance(event, BytesLost)]
    assert all(event.count >= 0 for event in lost)
    assert sum(event.count for event in lost) <= len(data)
    output = _Output()
    cursor, notes = _record(events, output)
    assert cursor.frames * FRAME_BYTES == output.size
    assert cursor.crc32 == output.crc32
    assert not (labels_kept and output.foreign), "another contact's audio is in the recording"
    manifest = build_manifest(cursor, _FACTS, NoteLog.from_json(json.loads(json.dumps(notes.to_json()))))
    json.dumps(manifest, allow_nan=False).encode()
    assert (manifest["recording"] is None) == (output.size == 0)
    assert manifest["lostBytes"] == sum(event.count for event in lost)
    for track in manifest["tracks"].values():
        assert all(value >= 0 for value in track.values() if isinstance(value, int))
    _check_going_on(data, events, cursor)


def _check_going_on(data: bytes, events: Sequence[Fragment | BytesLost], whole: Cursor) -> None:
    """Break off somewhere and read again what lies behind the cursor, as after a kill."""
    numbers = [event.number for event in events if isinstance(event, Fragment)]
    if None in numbers or len(set(numbers)) != len(numbers) or not numbers:
        return  # the cursor is a fragment's number: here none tells one fragment from all others
    output = _Output()
    kept, _ = _record(events, output, stop=zlib.crc32(data) % (len(events) + 1))
    again = 0
    if kept.fragment is not None:
        at = numbers.index(kept.fragment)
        again = 1 + [index for index, event in enumerate(events) if isinstance(event, Fragment)][at]
    resumed, _ = _record(events[again:], output, cursor=from_plain(Cursor, json.loads(json.dumps(to_plain(kept)))))
    assert (resumed.frames, resumed.crc32, resumed.timeline) == (whole.frames, whole.crc32, whole.timeline), (
        f"going on behind event {again} of {len(events)} gives another recording"
    )


def check_live(data: bytes, *, labels_kept: bool = False) -> None:
    """Hear a stream while it is read: what sinks get is the recording, and what is told ahead is nobody else's.

    Args:
        data: the stream.
        labels_kept: whether all audio in it still stands under its own contact.
    """
    reader = FragmentReader()
    recording = CallRecording(OURS, limit_s=LIMIT_S)
    preview = LivePreview(recording)
    segments, blocks = _Segments(), _Blocks()
    sinks = [NamedSink.of("segments", segments), NamedSink.of("blocks", blocks)]
    pipeline = LivePipeline(sinks, LivePolicy(), SystemClock(), Logger(service="fuzz", level="CRITICAL"), driver=Inline)
    output = bytearray()
    for chunk in (*chunks_of(data), b""):
        reader.receive_data(chunk)
        while True:
            try:
                event = reader.next_event()
            except StreamError as error:
                reader.resynchronise(str(error))
                continue
            if event is NEED_DATA or event is END:
                break
            if isinstance(event, Fragment):
                added = recording.add(event)
                frames = recording.take()
                if recording.timeline is None:
                    pipeline.discard()
                else:
                    pipeline.confirm(recording.timeline, added.live_samples())
                output += b"".join(frames)
        placements = preview.look(reader.open)
        if placements:
            pipeline.write(placements, preview.rate)
    added = recording.end(StreamEnd.END_OF_INPUT)
    frames = recording.take()
    pipeline.end(recording.timeline, added.live_samples())
    output += b"".join(frames)
    pipeline.close()
    heard = segments.stereo()
    assert heard[: len(output)] == output, "a sink heard something else than was recorded"
    assert [end.frames for end in segments.ends] == [len(output) // FRAME_BYTES]
    if labels_kept:
        assert not any(_MARK in samples for samples in blocks.pieces), "another contact's audio was told to a sink"


class _LiveSink:
    """Notes how the call ended."""

    def __init__(self) -> None:
        self.ends: list[LiveEnd] = []

    def prepare(self) -> None:
        """Nothing to make ready."""

    def end(self, end: LiveEnd) -> None:
        """Keep it."""
        self.ends.append(end)

    def interrupt(self) -> None:
        """Never under way."""

    def close(self) -> None:
        """Nothing is held."""


class _Blocks(_LiveSink):
    """Keeps the blocks that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def deliver_block(self, block: LiveBlock) -> None:
        """Keep it."""
        self.pieces.append(block.samples)


class _Segments(_LiveSink):
    """Keeps the segments that it gets, the later counting."""

    segment_seconds = 1

    def __init__(self) -> None:
        super().__init__()
        self._segments: dict[int, bytes] = {}

    def deliver_segment(self, segment: LiveSegment) -> None:
        """Keep it."""
        self._segments[segment.number] = interleave(*(segment.samples[party] for party in PARTIES))

    def stereo(self) -> bytes:
        """All segments joined."""
        assert sorted(self._segments) == list(range(len(self._segments))), "a segment is missing"
        return b"".join(self._segments[number] for number in range(len(self._segments)))


_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
_SCRATCH: Final = str(_SHARED_MEMORY) if os.access(_SHARED_MEMORY, os.W_OK) else None


def check_replay(data: bytes, *, labels_kept: bool = False) -> None:
    """Replay a stream into files, as `connect-audio replay` does.

    Args:
        data: the stream.
        labels_kept: whether all audio in it still stands under its own contact.
    """
    rng = Random(zlib.crc32(data))
    contact_id = OURS if labels_kept else rng.choice((OURS, None))
    accept_unlabelled = not labels_kept and rng.random() < 0.3
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as name:
        output = Path(name)
        try:
            done = replay(
                chunks_of(data),
                output,
                name="fuzz",
                contact_id=contact_id,
                accept_unlabelled=accept_unlabelled,
                limit_s=LIMIT_S,
            )
        except CommandError as error:
            assert str(error).isprintable(), "the message could steer a terminal"  # noqa: PT017 - none need come
            assert not list(output.iterdir()), "a failed replay left files"
            return
        assert sorted(output.iterdir()) == sorted((done.wav, done.manifest_path))
        assert json.loads(done.manifest_path.read_text()) == done.manifest
        with wave.open(str(done.wav)) as file:
            frames = file.readframes(file.getnframes())
            recording = done.manifest["recording"]
            assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
            assert file.getframerate() == recording["sampleRate"]
        assert len(frames) == recording["frames"] * FRAME_BYTES
        assert done.wav.stat().st_size == recording["sizeBytes"]
        assert f"{zlib.crc32(frames):08x}" == recording["dataCrc32"]
        assert (done.manifest["status"] == "complete") == (not done.manifest["reasons"])
        heard = _Output()
        for at in range(0, len(frames), 32 * 1024):
            heard.write(frames[at : at + 32 * 1024])
        assert not (labels_kept and heard.foreign), "another contact's audio is in the WAV"


def check_event(data: bytes) -> None:
    """Parse what the trigger may be given: any JSON."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return
    contact_id_of(event)
    try:
        request = parse_connect_event(event)
    except RequestError as error:
        message = str(error)
        assert message.isprintable()
        assert len(message) < 600
        return
    assert RecordingRequest.from_payload(json.loads(json.dumps(request.to_payload()))) == request
    assert len(replace(request, stack=stack_mark("consumer:live")).execution_name) <= 64
    assert request.recording_key("p").startswith("p/")


def check_cost(data: bytes) -> None:
    """Count the steps that reading and recording take, and the memory they need at the most."""
    frames = _Sink()
    with StepCount() as count:
        frames.consume(data)
    allowed = STEPS + STEPS_A_BYTE * len(data) + STEPS_A_KIB_OUT * (frames.size // 1024)
    assert count.steps <= allowed, f"{len(data)} bytes took {count.steps} steps, at most {allowed} are allowed"
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        _Sink().consume(data)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if started:
            tracemalloc.stop()
    allowed = min(MAX_BYTES, FIXED_BYTES + BYTES_A_BYTE * len(data))
    assert peak <= allowed, f"{len(data)} bytes took {peak} bytes of memory, at most {allowed} are allowed"


class _Sink:
    """Reads and records in one pass, and keeps nothing."""

    def __init__(self) -> None:
        self.size = 0

    def consume(self, data: bytes) -> None:
        recording = CallRecording(OURS, limit_s=LIMIT_S)
        for event in read(data):
            if isinstance(event, BytesLost):
                recording.lose(event)
                continue
            recording.add(event)
            self._take(recording)
            recording.take_notes()
        recording.end(StreamEnd.END_OF_INPUT)
        self._take(recording)

    def _take(self, recording: CallRecording) -> None:
        for frames in recording.take():
            self.size += len(frames)


def check_shapes(data: bytes) -> None:
    """Read a stream by shapes and element by element: both have to say the same, in any cut.

    Args:
        data: the stream. It is repeated, so that its fragments come again in the layout that they had.
    """
    if len(data) <= MOST_REPEATED_BYTES:
        data += data
    looks = zlib.crc32(data) % 2 == 0
    in_pieces = both_ways(chunks_of(data), looks=looks)
    whole = both_ways([data], looks=False)
    assert in_pieces.events == whole.events, "what a stream says depends on how it is cut"


def check_anything(data: bytes) -> None:
    """Check one input of the engine: an event where it begins as JSON objects do, else a stream."""
    if data.startswith(b"{"):
        check_event(data)
        return
    check_recording(data)
    check_live(data)
    check_shapes(data)
    check_replay(data)
    if zlib.crc32(data) % 16 == 0:
        check_cost(data)
