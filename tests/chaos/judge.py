"""The judge of a recording: knows what the generator sent, reads the WAV and the manifest, and nothing of the core.

*How it works.* `Sheet` lays every sample that was sent of our contact at its place on the sender's clock, by the
generator's blocks alone, and keeps the generator's own sums. `Judge` holds a recording against it, both ways:

- `complete`: every sample sent is in the WAV at its place, the WAV holds no other sample, and every sum is exact;
- `partial`: something is missing, or the schedule made a doubt that nobody can decide (`Doubt`). The reasons name it,
  and the manifest's numbers say how much.

The generator's audio has no sample of value 0 and no byte of a stranger's, so the WAV alone tells silence from
audio, and our contact's audio from another's.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chaos.log import LogEntry

CUSTOMER, AGENT = "customer", "agent"
_IS_AUDIO = bytes([0] + [1] * 255)
_SIDES = {"audio_from_customer": CUSTOMER, "audio_to_customer": AGENT}
STRANGERS = (b"\x77", b"\x78")
"""Bytes that only another contact's audio, and tracks of no party, are made of."""

_ACCOUNTS = (
    "written",
    "repeated",
    "late",
    "outOfRange",
    "conflicting",
    "beyondLimit",
    "unsupported",
    "dangling",
)
"""Every byte received of a party is in one of these."""
SKIPPED = "KVS reports an error at it, or beside it"
"""Why a fragment is excused that a reader may pass over; if it has the fragment all the same, nothing is in doubt."""


class Doubt(StrEnum):
    """What a schedule made undecidable, so that a whole recording may be called partial."""

    NOT_KEPT = "the stream is not known to keep anything, and was not read for minutes"
    UNREADABLE = "a fragment could not be read, and its audio came once more"
    NAMELESS = "nobody can tell whose a fragment without a label is"
    END_UNREAD = "what lies behind the last audio could not be read"
    OLD_COPY = "audio came again more than 5 s of media behind the newest, and is compared no more"
    TIMES = "the times in the stream contradict each other"
    CLOCK = "the producer's clock stepped, and its times agree with each other"


_MAY_SAY: Mapping[Doubt, frozenset[str]] = {
    Doubt.NOT_KEPT: frozenset({"MEDIA_EXPIRED", "OPENING_MISSING"}),
    Doubt.UNREADABLE: frozenset(
        {
            "TRUNCATED_FRAGMENTS",
            "LOST_BYTES",
            "MEDIA_EXPIRED",
            "STREAM_HOLES",
            "UNDECIDABLE_FRAGMENTS",
            "IN_BAND_ERROR",
            "SOURCE_FAILED",
            "LATE_AUDIO",
            "OPENING_MISSING",
            "OUT_OF_RANGE_AUDIO",
        }
    ),
    Doubt.NAMELESS: frozenset({"UNDECIDABLE_FRAGMENTS"}),
    Doubt.END_UNREAD: frozenset({"IN_BAND_ERROR", "SOURCE_FAILED", "UNDECIDABLE_FRAGMENTS", "MEDIA_EXPIRED"}),
    # A pause that comes again with it is no pause by the server's clock.
    Doubt.OLD_COPY: frozenset({"CONFLICTING_AUDIO", "TIMES_DISAGREE"}),
    Doubt.TIMES: frozenset({"TIMES_DISAGREE"}),
    Doubt.CLOCK: frozenset({"TIMES_DISAGREE"}),
}


@dataclass(frozen=True)
class Stretch:
    """A block's samples at their place.

    Args:
        side: whose.
        start: position of the first, frames since the origin; may be negative.
        pcm: whole samples.
        number: of its fragment.
        elsewhere: the place where they were spoken, if their times leap; frames since the origin.
        too_late: they come when silence at their place is settled.
    """

    side: str
    start: int
    pcm: bytes
    number: str
    elsewhere: int | None
    too_late: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.pcm) // 2

    @property
    def place(self) -> int:
        """Where they belong."""
        return self.start if self.elsewhere is None else self.elsewhere


@dataclass
class Sums:
    """The generator's sums of one party.

    Args:
        received: bytes, half samples included.
        sent: whole samples.
        covered: positions that they cover.
        repeated: samples of value and place of earlier ones.
        conflicting: samples at places of earlier ones with other values.
        late: samples that came too late.
        dangling: bytes of half samples.
        dangling_once: the same without those of copies and of what comes too late.
    """

    received: int = 0
    sent: int = 0
    covered: int = 0
    repeated: int = 0
    conflicting: int = 0
    late: int = 0
    dangling: int = 0
    dangling_once: int = 0


class Sheet:
    """Everything that was sent of our contact, at its place.

    Args:
        entries: our fragments, in stream order.
        rate: samples a second.
        origin_ms: time of position 0, ms since the epoch.
    """

    def __init__(self, entries: Sequence[LogEntry], rate: int, origin_ms: int) -> None:
        self.rate = rate
        self.origin_ms = origin_ms
        self.stretches: list[Stretch] = []
        self.sums = {CUSTOMER: Sums(), AGENT: Sums()}
        self.unknown: dict[str, tuple[int, int]] = {}
        """Blocks and bytes by the name of a track that is no party's."""
        self._halves: set[tuple[str, int]] = set()
        for entry in entries:
            self._lay(entry)
        self.length = max((stretch.end for stretch in self.stretches if stretch.elsewhere is None), default=0)
        self._add_up()

    def position(self, time_ns: int) -> int:
        """A time's position, frames since the origin."""
        samples, rest = divmod((time_ns // 1_000_000 - self.origin_ms) * self.rate, 1000)
        assert rest == 0, "the generator keeps to whole samples"
        return samples

    def _lay(self, entry: LogEntry) -> None:
        names = {track.number: track.name for track in entry.contents.tracks}
        for block in entry.contents.blocks:
            name = names[block.track_number]
            side = _SIDES.get(name.strip().lower())
            if side is None:
                name = name.strip()
                blocks, size = self.unknown.get(name, (0, 0))
                self.unknown[name] = (blocks + 1, size + len(block.pcm))
                continue
            whole = len(block.pcm) // 2 * 2
            sums = self.sums[side]
            sums.received += len(block.pcm)
            sums.sent += whole // 2
            sums.dangling += len(block.pcm) - whole
            start = self.position(block.time_ns)
            if len(block.pcm) > whole and not entry.too_late and (side, start) not in self._halves:
                self._halves.add((side, start))
                sums.dangling_once += 1
            spoken_ns = entry.true_ns.get(block.pcm, block.time_ns - entry.shift_ms * 1_000_000)
            truth = None if spoken_ns == block.time_ns else self.position(spoken_ns)
            self.stretches.append(Stretch(side, start, block.pcm[:whole], entry.number, truth, entry.too_late))

    def _add_up(self) -> None:
        """What is repeated and what conflicts: the first at a place is there."""
        lowest = min((stretch.place for stretch in self.stretches), default=0)
        for side, sums in self.sums.items():
            mine = [stretch for stretch in self.stretches if stretch.side == side]
            end = max((stretch.place + len(stretch.pcm) // 2 for stretch in mine), default=lowest)
            canvas = bytearray(2 * (end - lowest))
            for stretch in mine:
                if stretch.too_late:
                    sums.late += len(stretch.pcm) // 2
                    continue
                at = 2 * (stretch.place - lowest)
                there = canvas[at : at + len(stretch.pcm)]
                if not any(there):
                    canvas[at : at + len(stretch.pcm)] = stretch.pcm
                    continue
                if there == stretch.pcm:
                    sums.repeated += len(stretch.pcm) // 2
                    continue
                self._overlap(sums, canvas, at, stretch.pcm)
            sums.covered = sums.sent - sums.repeated - sums.conflicting - sums.late

    @staticmethod
    def _overlap(sums: Sums, canvas: bytearray, at: int, pcm: bytes) -> None:
        """Samples of which some have a place that is taken: repeated if all of these are the same."""
        taken = [index for index in range(0, len(pcm), 2) if canvas[at + index]]
        if all(canvas[at + index : at + index + 2] == pcm[index : index + 2] for index in taken):
            sums.repeated += len(taken)
        else:
            sums.conflicting += len(taken)
        for index in set(range(0, len(pcm), 2)) - set(taken):
            canvas[at + index : at + index + 2] = pcm[index : index + 2]


@dataclass(frozen=True)
class Circumstances:
    """What the schedule did to the reading, as the generator knows.

    Args:
        ours: our fragments in the stream, in order.
        never_stored: fragments of ours that the stream never had.
        rate: samples a second.
        excused: fragments that could not be read whole, and why.
        garbled: those of them whose bytes may be there in part, or changed.
        doubts: what nobody can decide.
        read_once: nothing in a body came twice, so that the sums are exact.
        cut_short: the recording may end anywhere: a step failed for good, or its upload was lost.
    """

    ours: Sequence[LogEntry]
    never_stored: Sequence[LogEntry]
    rate: int
    excused: Mapping[str, str] = field(default_factory=dict)
    garbled: Collection[str] = ()
    doubts: Collection[Doubt] = ()
    read_once: bool = True
    cut_short: bool = False


class Judge:
    """One recording held against what was sent.

    Args:
        wav: the recording.
        manifest: the document beside it.
        known: what the schedule did.
    """

    def __init__(self, wav: bytes, manifest: Mapping[str, Any], known: Circumstances) -> None:
        self.frames = wav[44:]
        self.length = len(self.frames) // 4
        self.manifest = manifest
        self.known = known
        self.codes = {reason["code"] for reason in manifest["reasons"]}
        samples = array("h", self.frames)
        self.channels = {CUSTOMER: samples[0::2].tobytes(), AGENT: samples[1::2].tobytes()}
        # No byte of a sample of ours is 0: a sample's first byte tells it from silence.
        self.audible = {side: channel[0::2].translate(_IS_AUDIO) for side, channel in self.channels.items()}
        started = datetime.fromisoformat(manifest["recording"]["startTime"])
        self.sheet = Sheet(known.ours, known.rate, round(started.timestamp() * 1000))
        self.explained = {side: bytearray(self.length) for side in self.channels}
        self.missing: dict[str, int] = {}
        """Samples that are in the WAV at no place where they may be, by fragment."""

    def judge(self) -> list[str]:
        """Hold it.

        Returns:
            Why it is not whole, in the schedule's words; nothing for a whole one.

        Raises:
            AssertionError: the status, a number or a sample is false.
        """
        self._no_stranger()
        self._explain()
        self._everything_explained()
        self._nothing_lost()
        self._status()
        if not self.known.cut_short:
            self._told()
            self._sums()
            self._silence()
        return sorted({self.known.excused.get(number, "by its times") for number in self.missing})

    # --- the WAV ---

    def _no_stranger(self) -> None:
        for byte in STRANGERS:
            at = self.frames.find(byte)
            assert at < 0, f"another contact's or track's audio at frame {at // 4}"

    def _explain(self) -> None:
        """Find each sample that was sent."""
        for stretch in self.sheet.stretches:
            places = [stretch.start] if stretch.elsewhere is None else [stretch.start, stretch.elsewhere]
            lost = min(self._explain_at(stretch, place) for place in places)
            if lost:
                self.missing[stretch.number] = self.missing.get(stretch.number, 0) + lost

    def _explain_at(self, stretch: Stretch, place: int) -> int:
        """Mark the positions that hold these samples, and return how many do not, and no others sent there either."""
        channel, explained = self.channels[stretch.side], self.explained[stretch.side]
        size = len(stretch.pcm) // 2
        first, stop = max(0, -place), min(size, self.length - place)
        if first == 0 and stop == size and channel[2 * place : 2 * (place + size)] == stretch.pcm:
            explained[place : place + size] = b"\1" * size
            return 0
        for index in range(first, stop):
            at = place + index
            if channel[2 * at : 2 * at + 2] == stretch.pcm[2 * index : 2 * index + 2]:
                explained[at] = 1
        return size - sum(explained[place + first : place + stop]) if stop > first else size

    def _everything_explained(self) -> None:
        """No sample is in the WAV that was not sent for its place."""
        for side, audible in self.audible.items():
            allowed = bytearray(self.explained[side])
            for stretch in self.sheet.stretches:
                if stretch.number in self.known.garbled:
                    start, end = max(0, stretch.start), max(0, min(self.length, stretch.end))
                    allowed[start:end] = b"\1" * (end - start)
            if _as_int(audible) & ~_as_int(allowed):
                at = next(at for at in range(self.length) if audible[at] and not allowed[at])
                raise AssertionError(f"frame {at} of {self.length}: the {side}'s sample was not sent for this place")

    def _nothing_lost(self) -> None:
        """What could be read is there, at its place."""
        unread = {entry.number for entry in self.known.ours if entry.too_late} | set(self.known.excused)
        excused = {side: bytearray(self.length) for side in self.channels}
        for stretch in self.sheet.stretches:
            if stretch.number in self.known.excused:
                start, end = max(0, stretch.start), max(0, min(self.length, stretch.end))
                # A second copy may have come when silence, or what could be read of the first, was settled.
                excused[stretch.side][start:end] = b"\1" * (end - start)
        lost: dict[str, int] = {}
        for stretch in self.sheet.stretches:
            if stretch.number not in self.missing or stretch.number in unread or stretch.elsewhere is not None:
                continue
            start, end = (min(self.length, max(0, at)) for at in (stretch.start, stretch.end))
            found = _as_int(self.explained[stretch.side][start:end]) | _as_int(excused[stretch.side][start:end])
            there = found.bit_count()
            beyond = 0 if self.known.cut_short else max(0, stretch.end - max(self.length, stretch.start))
            before = 0 if self.known.excused else max(0, min(0, stretch.end) - stretch.start)
            count = end - start - there + beyond + before
            if count:
                lost[stretch.number] = lost.get(stretch.number, 0) + count
        assert not lost, f"samples missing by fragment: {self._described(lost)}"

    def _described(self, lost: Mapping[str, int]) -> str:
        places = {entry.number: at for at, entry in enumerate(self.known.ours)}
        return ", ".join(f"{places[number]}. of ours: {count}" for number, count in list(lost.items())[:5])

    # --- the status ---

    def _status(self) -> None:
        lacks = self._lacks()
        if self.manifest["status"] == "complete":
            assert not self.codes, f"complete, and yet {self.codes}"
            assert not lacks, f"complete, and yet {'; '.join(lacks)}"
            assert Doubt.TIMES not in self.known.doubts, "complete, and yet the times contradict each other"
            return
        assert self.manifest["status"] == "partial"
        assert self.codes, "partial without a reason"
        if self.known.cut_short:
            return
        may_say = set(self._reasons_by_count())
        for doubt in self.known.doubts:
            may_say |= _MAY_SAY[doubt]
        if self.missing or set(self.known.excused.values()) - {SKIPPED}:
            may_say |= _MAY_SAY[Doubt.UNREADABLE]
        assert self.codes <= may_say, f"{sorted(self.codes - may_say)} without a cause; it may say {sorted(may_say)}"

    def _told(self) -> None:
        """What is wrong with the stream itself is named, counted and has its time in the manifest."""
        read = [entry for entry in self.known.ours if entry.number not in self.known.excused]
        silent = self._must_say(read) - self.codes
        assert not silent, f"{sorted(silent)} not told"
        if not self._is_exact():
            return
        times = self.manifest["timesDisagree"]["kinds"]
        leaps = sum(bool(entry.shift_ms) for entry in read), sum(len(entry.true_ns) for entry in read)
        assert (times["leap"], times["blockLeap"]) == leaps, f"{times}, expected {leaps} leaps and block leaps"
        missing = len(self._never_stored_between())
        told = self.manifest["gaps"]["missingFragments"]
        assert told == missing, f"{told} fragments missing by their numbers, expected {missing}"

    def _must_say(self, read: Sequence[LogEntry]) -> set[str]:
        """Codes that the fragments that could be read demand.

        Args:
            read: our fragments without the excused ones.
        """
        codes = set()
        if any(entry.leaps for entry in read):
            codes.add("TIMES_DISAGREE")
        if any(entry.too_late for entry in read):
            codes.add("LATE_AUDIO")
        names = {track.name.strip().lower() for entry in read for track in entry.contents.tracks}
        if names - set(_SIDES):
            codes.add("UNKNOWN_TRACK")
        if self._is_exact():
            sums = self.sheet.sums.values()
            codes |= {"STREAM_HOLES"} if self._never_stored_between() else set()
            codes |= {"CONFLICTING_AUDIO"} if any(each.conflicting for each in sums) else set()
            # The half sample of a block that conflicts is counted with it, as `_sums` allows for.
            is_dangling = any(each.dangling_once and not each.conflicting for each in sums)
            codes |= {"DANGLING_BYTES"} if is_dangling else set()
        return codes

    def _is_exact(self) -> bool:
        """True if each of our fragments was read, and once."""
        return self.known.read_once and not self.known.excused

    def _lacks(self) -> list[str]:
        """Why the recording is not whole."""
        lacks = [f"{sum(self.missing.values())} samples missing"] if self.missing else []
        if self._never_stored_between():
            lacks.append("fragments were never stored")
        lacks += [f"{sums.conflicting} samples conflict" for sums in self.sheet.sums.values() if sums.conflicting]
        lacks += [f"{sums.dangling} bytes of half a sample" for sums in self.sheet.sums.values() if sums.dangling]
        lacks += [f"{size} bytes of track {name}" for name, (_, size) in self.sheet.unknown.items()]
        return lacks

    def _reasons_by_count(self) -> set[str]:
        """Reasons that the stream itself gives."""
        sums = self.sheet.sums.values()
        codes = set()
        if any(each.dangling for each in sums):
            codes.add("DANGLING_BYTES")
        if any(each.conflicting for each in sums):
            codes |= {"CONFLICTING_AUDIO", "TIMES_DISAGREE"}
        if self._never_stored_between():
            codes.add("STREAM_HOLES")
        if self.sheet.unknown:
            codes.add("UNKNOWN_TRACK")
        if any(entry.too_late for entry in self.known.ours):
            codes |= {"LATE_AUDIO", "STREAM_HOLES"}
        if self.known.ours and self.sheet.origin_ms > self._first_ms() + 5000:
            codes.add("OPENING_MISSING")
        if self.missing and set(self.missing) & set(self.known.excused):
            codes.add("OPENING_MISSING")
        return codes

    def _first_ms(self) -> int:
        return min(entry.contents.producer_ms for entry in self.known.ours)

    def _never_stored_between(self) -> list[LogEntry]:
        counters = [entry.counter for entry in self.known.ours]
        return [entry for entry in self.known.never_stored if min(counters) < entry.counter < max(counters)]

    # --- the numbers ---

    def _sums(self) -> None:
        """The manifest's counts are the generator's."""
        exact = self._is_exact()
        for side in self.channels:
            track, sums = self.manifest["tracks"][side], self.sheet.sums[side]
            audible = self.audible[side].count(1)
            if not self.known.garbled:
                _equal(side, "audioSamples", track, audible)
                _equal(side, "writtenBytes", track, 2 * audible)
            _equal(side, "silenceSamples", track, self.length - track["audioSamples"])
            if "receivedBytes" in track:
                accounted = sum(track[f"{account}Bytes"] for account in _ACCOUNTS)
                _equal(side, "receivedBytes", track, accounted - track["carriedBytes"])
                # Of a fragment that is garbled anew in each reading, a killed process may have had more.
                if Doubt.NOT_KEPT not in self.known.doubts and not self.known.excused:
                    _equal(side, "carriedBytes", track, 0)
            if not exact:
                continue
            _equal(side, "receivedBytes", track, sums.received)
            _equal(side, "audioSamples", track, sums.covered)
            _equal(side, "lateSamples", track, sums.late)
            # The half sample of a copy, or of a block that is late or conflicts, is counted with its block.
            least = 0 if sums.conflicting else sums.dangling_once
            assert least <= track["danglingBytes"] <= sums.dangling, f"{side}: {track['danglingBytes']} dangling"
            if "conflictingSamples" in track:
                self._copies(side, track, sums)
        if exact and "unknownTracks" in self.manifest:
            told: dict[str, tuple[int, int]] = {}
            for each in self.manifest["unknownTracks"]:
                # One name may have several numbers.
                blocks, size = told.get(each["name"], (0, 0))
                told[each["name"]] = (blocks + each["blocks"], size + each["bytes"])
            assert told == self.sheet.unknown, f"unknownTracks {told}, sent {self.sheet.unknown}"

    def _copies(self, side: str, track: Mapping[str, Any], sums: Sums) -> None:
        if Doubt.OLD_COPY in self.known.doubts:
            told = track["repeatedSamples"] + track["conflictingSamples"]
            assert told == sums.repeated + sums.conflicting, f"{side}: {told} repeated or conflicting"
            return
        _equal(side, "repeatedSamples", track, sums.repeated)
        _equal(side, "conflictingSamples", track, sums.conflicting)

    def _silence(self) -> None:
        """Silence by cause, worked out of the WAV and the fragments' places."""
        audible = (_as_int(self.audible[CUSTOMER]) | _as_int(self.audible[AGENT])).to_bytes(self.length, "little")
        causes = self._causes([each.span() for each in re.finditer(rb"\0+", audible)])
        for side in self.channels:
            told = self.manifest["tracks"][side].get("silence")
            if told is None or self.known.garbled:
                continue
            one_sided = audible.count(1) - self.audible[side].count(1)
            _equal(side, "oneSidedSamples", told, one_sided)
            for cause, (least, most) in causes.items():
                found = told[f"{cause}Samples"]
                assert least <= found <= most, f"{side}: {cause} {found}, expected {least} to {most}"

    def _causes(self, runs: Sequence[tuple[int, int]]) -> dict[str, tuple[int, int]]:
        """The least and the most samples of each cause of silence of both parties."""
        bounds = {cause: [0, 0] for cause in ("streamHole", "producerPause", "blockHole")}
        spans = self._spans()
        for start, end in runs:
            may_be = self._cause_of(start, end, spans)
            if may_be == {"streamHole"}:
                self._is_listed(start, end)
            for cause in may_be:
                bounds[cause][1] += end - start
                if len(may_be) == 1:
                    bounds[cause][0] += end - start
        return {cause: (least, most) for cause, (least, most) in bounds.items()}

    def _is_listed(self, start: int, end: int) -> None:
        """The manifest lists this silence of both parties, with its time and that fragments are missing there."""
        gaps = self.manifest["gaps"]
        if len(gaps["listed"]) < gaps["count"] or self.known.garbled:
            return
        holes = [gap for gap in gaps["listed"] if gap["missingFragments"]]
        assert any(gap["startFrame"] <= start and end <= gap["startFrame"] + gap["frames"] for gap in holes), (
            f"the hole from frame {start} to {end} is not listed among {holes}"
        )

    def _spans(self) -> list[tuple[int, int, int, bool]]:
        """Start, end, counter and readability of our fragments."""
        found: dict[str, list[int]] = {}
        for stretch in self.sheet.stretches:
            if stretch.too_late:
                continue
            start, end = stretch.place, stretch.place + len(stretch.pcm) // 2
            span = found.setdefault(stretch.number, [start, end])
            span[0], span[1] = min(span[0], start), max(span[1], end)
        return [
            (found[entry.number][0], found[entry.number][1], entry.counter, entry.number in self.known.excused)
            for entry in self.known.ours
            if entry.number in found
        ]

    def _cause_of(self, start: int, end: int, spans: Sequence[tuple[int, int, int, bool]]) -> set[str]:
        unread = any(lost and low < end and high > start for low, high, _, lost in spans)
        if unread:
            return {"streamHole", "producerPause", "blockHole"}
        if any(low < start and end < high for low, high, _, _ in spans):
            return {"blockHole"}
        before = max((span for span in spans if span[1] <= start), key=lambda span: span[1], default=None)
        after = min((span for span in spans if span[0] >= end), key=lambda span: span[0], default=None)
        if any(span is not None and span[3] for span in (before, after)):
            # A killed process saw the neighbour, and its successor did not: the silence was taken without its cause.
            return {"streamHole", "producerPause", "blockHole"}
        if before is None or after is None:
            return {"streamHole", "producerPause", "blockHole"}
        too_late = [entry for entry in self.known.ours if entry.too_late]
        if any(before[2] < entry.counter < after[2] for entry in (*self.known.never_stored, *too_late)):
            return {"streamHole"}
        return {"producerPause", "blockHole"} if end - start <= self.sheet.rate else {"producerPause"}


def _as_int(flags: bytes | bytearray) -> int:
    return int.from_bytes(flags, "little")


def _equal(side: str, name: str, told: Mapping[str, Any], expected: int) -> None:
    """Compare one number, where the manifest has it."""
    assert told.get(name, expected) == expected, f"{side}: {name} {told[name]}, expected {expected}"
