"""What it costs to turn an hour of call into a WAV on disk: the core, and ebmlite on whole fragments for the same job.

`python -m benchmarks.parse_to_wav`, some 30 s. Both ways place the audio on the same timeline and write the same file,
which is checked. The call is made beforehand; ebmlite is spared looking for where a fragment ends. Repetitions take
turns, so that what else the machine does meets both.
"""

from __future__ import annotations

import statistics
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ebmlite import loadSchema

from benchmarks.bounds import Bound
from benchmarks.long_calls import long_call_fragments
from connect_audio.core.fragments import END, NEED_DATA, Block, Completion, Fragment, FragmentReader
from connect_audio.core.matroska import TrackEntry
from connect_audio.core.recording import CallRecording
from connect_audio.core.wav import HEADER_BYTES, wav_header
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_CPU_S: Final = 1.0
LEAST_RATIO: Final = 2.0
_HOUR_S: Final = 3600
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
    """Have ebmlite decode each fragment, its structure and its blocks, and read those off it."""
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


WAYS: Final[dict[str, Way]] = {"core": core_fragments, "ebmlite, whole fragments": ebmlite_fragments}


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
        recording.end()
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


def measure(seconds: float = _HOUR_S, repetitions: int = _REPETITIONS) -> list[Row]:
    """Measure both ways."""
    with tempfile.TemporaryDirectory(prefix="parse-to-wav-") as directory:
        capture, wav = Path(directory, "call.mkv"), Path(directory, "call.wav")
        sizes: list[int] = []
        with capture.open("wb") as file:
            sizes.extend(file.write(fragment.data) for fragment in long_call_fragments(seconds))
        times: dict[str, list[float]] = {name: [] for name in WAYS}
        checksums: set[int] = set()
        for _ in range(repetitions):
            for name, way in WAYS.items():
                before = time.process_time()
                checksums.add(write_wav(way(capture, sizes), wav))
                times[name].append((time.process_time() - before) * _HOUR_S / seconds)
    if len(checksums) != 1:
        raise RuntimeError("the two ways wrote different audio")
    return [Row(name, min(measured), statistics.median(measured)) for name, measured in times.items()]


def main() -> list[Bound]:
    """Print the table."""
    rows = measure()
    core, whole = rows
    print(f"{'parse to WAV, CPU-s a call-hour':34}{'best':>8}{'median':>9}{'ratio':>8}")
    for row in rows:
        print(f"{row.name:34}{row.best_s:>8.2f}{row.median_s:>9.2f}{row.best_s / core.best_s:>8.1f}")
    return [
        Bound("CPU-s a call-hour", core.best_s, at_most=MOST_CPU_S),
        Bound("times cheaper than ebmlite", whole.best_s / core.best_s, at_least=LEAST_RATIO),
    ]


if __name__ == "__main__":
    from benchmarks.bounds import judge

    judge(main())
