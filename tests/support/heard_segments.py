"""The judge of live segments in a bucket: against their index, the manifest and the recording, sample for sample.

It shares no code with what writes them: WAVs are read by `wave`, 16 kHz is what docs/live-segments.md says of it.
"""

from __future__ import annotations

import io
import json
import wave
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

PARTIES: Final = ("customer", "agent")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a judged set of segments was.

    Args:
        segments: numbers of those that the index lists.
        missing: of the recording's, numbers of those that it does not list.
        dropped_s: what the manifest says that the sink did not get, seconds.
    """

    segments: tuple[int, ...]
    missing: tuple[int, ...]
    dropped_s: float


def judged(objects: Mapping[str, bytes], wav: bytes, manifest: Mapping[str, Any]) -> Heard:
    """Hold the segments of a call that is over against its recording.

    Args:
        objects: what lies in its folder of segments, by name.
        wav: the recording.
        manifest: the recording's.

    Raises:
        AssertionError: something is there that should not be, lacks without being counted, or is not what was recorded.
    """
    (told,) = [sink for sink in manifest["live"]["sinks"] if sink["name"] == "segments"]
    assert told["failure"] is None, told
    head = json.loads(objects["index.json"])
    recorded = _stereo(wav)
    rate, seconds = recorded.rate, head["segmentSeconds"]
    assert (head["state"], head["durationSeconds"]) == ("ended", manifest["recording"]["durationSeconds"])
    count = -(-len(recorded.samples) // (2 * seconds * rate))
    listed = _listed(objects, head)
    assert all(number < count for number in listed), f"{count} segments, listed are {sorted(listed)}"
    missing = tuple(number for number in range(count) if number not in listed)
    told_missing = {number for each in head["missing"] for number in range(each["first"], each["last"] + 1)}
    assert told_missing == set(missing)
    for number, entry in listed.items():
        _is_recorded(objects, head, number, entry, recorded)
    lacking_s = sum(_length(recorded, number, seconds) for number in missing) / rate
    assert lacking_s <= told["droppedSeconds"], f"{missing} are missing, the manifest counts {told['droppedSeconds']} s"
    if not told["droppedSeconds"]:
        names = {name for entry in listed.values() for name in entry["files"]}
        # What was cut from a fragment that proved another's lies beyond the end, and nobody lists it.
        beyond = {name for name in objects if name.endswith(".wav") and int(name.split(".")[0]) >= count}
        pages = {page["name"] for page in head["pages"]}
        assert set(objects) - beyond == names | pages | {"index.json"}
    return Heard(tuple(sorted(listed)), missing, told["droppedSeconds"])


@dataclass(frozen=True, slots=True)
class _Samples:
    rate: int
    channels: int
    samples: array[int]


def _stereo(wav: bytes) -> _Samples:
    with wave.open(io.BytesIO(wav)) as opened:
        return _Samples(
            opened.getframerate(), opened.getnchannels(), array("h", opened.readframes(opened.getnframes()))
        )


def _listed(objects: Mapping[str, bytes], head: Mapping[str, Any]) -> dict[int, Any]:
    listed: dict[int, Any] = {}
    for page in head["pages"]:
        entries = json.loads(objects[page["name"]])["segments"]
        numbers = [each["number"] for each in entries]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == page["segments"]
        listed |= {each["number"]: each for each in entries}
    assert len(listed) == head["segments"]
    return listed


def _length(recorded: _Samples, number: int, seconds: int) -> int:
    """Frames of the recording in a segment; only the last one is short."""
    return min(seconds * recorded.rate, len(recorded.samples) // 2 - number * seconds * recorded.rate)


def _is_recorded(
    objects: Mapping[str, bytes], head: Mapping[str, Any], number: int, entry: Mapping[str, Any], recorded: _Samples
) -> None:
    """One segment: whole, as long as it should be, and the recording's own samples in its place."""
    first = number * head["segmentSeconds"] * recorded.rate
    length = _length(recorded, number, head["segmentSeconds"])
    suffixes = [""] if head["layout"] == "stereo" else [f".{party}" for party in PARTIES]
    assert entry["files"] == [f"{number:06d}{suffix}.wav" for suffix in suffixes]
    for index, name in enumerate(entry["files"]):
        found = _stereo(objects[name])
        assert found.rate == head["sampleRate"]
        assert found.channels == (2 if head["layout"] == "stereo" else 1)
        assert len(found.samples) // found.channels == entry["frames"] == length * found.rate // recorded.rate
        for channel in range(found.channels):
            side = index + channel
            # With the one before, which the first resampled one lies next to.
            before = recorded.samples[2 * (first - 1) + side] if first else 0
            source = recorded.samples[2 * first + side : 2 * (first + length) : 2]
            heard = found.samples[channel :: found.channels]
            assert _same(heard, before, source), f"{name}, {PARTIES[side]}: not what was recorded there"


def _same(heard: array[int], before: int, source: array[int]) -> bool:
    if len(heard) == len(source):
        return heard == source
    # Twice the rate: each sample, and before it what lies midway between it and the one before, rounded either way.
    if heard[1::2] != source:
        return False
    previous = array("h", [before]) + source[:-1]
    pairs = zip(heard[0::2], previous, source, strict=True)
    return all(abs(2 * midway - left - right) <= 1 for midway, left, right in pairs)
