"""The cost of an hour of call from its capture to a WAV on disk: the core, the command `replay`, and ebmlite.

`python -m benchmarks.parse_to_wav`, some 40 s. All place the audio on the same timeline and write the same audio, which
is checked. The call is made beforehand, and ebmlite knows where each fragment ends. `replay` runs as users run it, in a
process of its own. Its start-up, the run of a capture of 5 s, is subtracted. Repetitions take turns.
"""

from __future__ import annotations

import statistics
import struct
import tempfile
import time
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ebmlite import loadSchema

from benchmarks.bounds import Bound
from benchmarks.long_calls import long_call_fragments
from benchmarks.side_by_side.child import run
from benchmarks.side_by_side.trees import ROOT, Tree
from connect_audio.core.admission import StreamEnd
from connect_audio.core.fragments import END, NEED_DATA, Block, Completion, Fragment, FragmentReader
from connect_audio.core.matroska import TrackEntry
from connect_audio.core.recording import CallRecording
from connect_audio.core.wav import HEADER_BYTES, wav_header
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MOST_CPU_S: Final = 0.5
LEAST_RATIO: Final = 5.0
REPLAY: Final = "replay, the command"
CORE: Final = "core"
EBMLITE: Final = "ebmlite, whole fragments"
_HOUR_S: Final = 3600
_START_UP_S: Final = 5
_READ_BYTES: Final = 64 * 1024
_REPETITIONS: Final = 5
_BLOCK_HEAD: Final = struct.Struct(">BhB")


class Way(Protocol):
    """Fragments out of a capture file."""

    def __call__(self, capture: Path, sizes: Sequence[int]) -> Iterable[Fragment]:
        """Read it; `sizes` are the fragments' lengths in bytes."""


def core_fragments(capture: Path, sizes: Sequence[int]) -> Iterator[Fragment]:
    """Read with `FragmentReader`, in 64 KiB reads, as the recorder does."""
    del sizes
    reader = FragmentReader()
    with capture.open("rb", buffering=0) as file:
        while True:
            event = reader.next_event()
            if event is NEED_DATA:
                reader.receive_data(file.read(_READ_BYTES))
            elif type(event) is Fragment:
                yield event
            elif event is END:
                return


def ebmlite_fragments(capture: Path, sizes: Sequence[int]) -> Iterator[Fragment]:
    """Let ebmlite decode each fragment, and read its structure and its blocks from the result."""
    schema: Any = loadSchema("matroska.xml")
    offset = 0
    with capture.open("rb") as file:
        for size in sizes:
            yield _fragment(schema.loads(file.read(size)), offset, size)
            offset += size


def _fragment(document: Any, offset: int, size: int) -> Fragment:
    tags: list[tuple[str, str]] = []
    tracks: list[TrackEntry] = []
    blocks: list[Block] = []
    for element in next(child for child in document if child.name == "Segment"):
        if element.name == "Tags":
            for tag in element:
                for simple_tag in tag:
                    if simple_tag.name == "SimpleTag":
                        names = {child.name: child.value for child in simple_tag}
                        tags.append((names["TagName"], names.get("TagString", "")))
        elif element.name == "Tracks":
            for entry in element:
                names = {child.name: child.value for child in entry}
                tracks.append(
                    TrackEntry(
                        number=names["TrackNumber"],
                        track_type=names["TrackType"],
                        name=names["Name"],
                        codec_id=names["CodecID"],
                    )
                )
        elif element.name == "Cluster":
            timecode = 0
            for child in element:
                if child.name == "Timecode":
                    timecode = child.value
                elif child.name == "SimpleBlock":
                    raw = child.value
                    track, relative, _ = _BLOCK_HEAD.unpack_from(raw)
                    data = bytes(raw[4:])
                    blocks.append(Block(track & 0x7F, (timecode + relative) * 1_000_000, data, 1, len(data)))
    values = dict(tags)
    return Fragment(
        number=values["AWS_KINESISVIDEO_FRAGMENT_NUMBER"],
        server_timestamp_ms=round(float(values["AWS_KINESISVIDEO_SERVER_TIMESTAMP"]) * 1000),
        producer_timestamp_ms=round(float(values["AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"]) * 1000),
        millis_behind_now=int(values["AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"]),
        contact_ids=(values["ContactId"],),
        tags=tuple(tags),
        timecode_scale_ns=1_000_000,
        tracks=tuple(tracks),
        blocks=tuple(blocks),
        errors=(),
        completion=Completion.TOKEN,
        truncation=None,
        offset=offset,
        size=size,
    )


WAYS: Final[dict[str, Way]] = {CORE: core_fragments, EBMLITE: ebmlite_fragments}


def write_wav(fragments: Iterable[Fragment], wav: Path) -> int:
    """Put a contact's fragments on the timeline and on disk.

    Returns:
        CRC-32 of the audio.
    """
    recording = CallRecording(DEFAULT_CONTACT_ID)
    with wav.open("wb") as file:
        file.write(bytes(HEADER_BYTES))
        for fragment in fragments:
            recording.add(fragment)
            for frames in recording.take():
                file.write(frames)
        recording.end(StreamEnd.END_OF_INPUT)
        for frames in recording.take():
            file.write(frames)
        data_bytes = file.tell() - HEADER_BYTES
        file.seek(0)
        file.write(wav_header(data_bytes=data_bytes, rate=recording.rate or 0))
    return recording.cursor().crc32


@dataclass(frozen=True, slots=True)
class Row:
    """One way.

    Args:
        name: its name.
        best_s: CPU-seconds a call-hour, best repetition.
        median_s: the median repetition.
    """

    name: str
    best_s: float
    median_s: float


def measure(seconds: float = _HOUR_S, repetitions: int = _REPETITIONS) -> dict[str, Row]:
    """Measure all of them, each once a round.

    Raises:
        RuntimeError: they wrote different audio.
    """
    with tempfile.TemporaryDirectory(prefix="parse-to-wav-") as directory:
        capture, short, wav = Path(directory, "call.mkv"), Path(directory, "short.mkv"), Path(directory, "call.wav")
        sizes = _write_call(capture, seconds)
        _write_call(short, _START_UP_S)
        checksums: set[int] = set()

        def cpu_s(way: Way) -> float:
            before = time.process_time()
            checksums.add(write_wav(way(capture, sizes), wav))
            return time.process_time() - before

        def replay_cpu_s() -> float:
            start_up_s, _ = _replay(short)
            whole_s, checksum = _replay(capture)
            checksums.add(checksum)
            return whole_s - start_up_s

        contenders: dict[str, Callable[[], float]] = {name: partial(cpu_s, way) for name, way in WAYS.items()}
        contenders[REPLAY] = replay_cpu_s
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(repetitions):
            for name, contender in contenders.items():
                times[name].append(contender() * _HOUR_S / seconds)
    if len(checksums) != 1:
        raise RuntimeError("they wrote different audio")
    return {name: Row(name, min(measured), statistics.median(measured)) for name, measured in times.items()}


def _write_call(capture: Path, seconds: float) -> list[int]:
    """Write a capture and return the fragments' lengths in bytes."""
    with capture.open("wb") as file:
        return [file.write(fragment.data) for fragment in long_call_fragments(seconds)]


def _replay(capture: Path) -> tuple[float, int]:
    """Run the command in a process of its own; returns its CPU-seconds, and the CRC-32 of the audio it wrote."""
    tree = Tree("now", ROOT)
    with tempfile.TemporaryDirectory(dir=capture.parent) as output:
        usage = run(tree.command("replay", str(capture), "--output", output), tree.environment())
        (wav,) = Path(output).glob("*.wav")
        with wav.open("rb") as file:
            file.seek(HEADER_BYTES)
            checksum = 0
            while data := file.read(1 << 20):
                checksum = zlib.crc32(data, checksum)
    return usage.cpu_s, checksum


def main() -> list[Bound]:
    """Print the table."""
    rows = measure()
    core = rows[CORE]
    print(f"{'parse to WAV, CPU-s a call-hour':34}{'best':>8}{'median':>9}{'ratio':>8}")
    for row in rows.values():
        print(f"{row.name:34}{row.best_s:>8.2f}{row.median_s:>9.2f}{row.best_s / core.best_s:>8.1f}")
    return [
        Bound("CPU-s a call-hour", core.best_s, at_most=MOST_CPU_S),
        Bound("times cheaper than ebmlite", rows[EBMLITE].best_s / core.best_s, at_least=LEAST_RATIO),
    ]


if __name__ == "__main__":
    from benchmarks.bounds import judge

    judge(main())
