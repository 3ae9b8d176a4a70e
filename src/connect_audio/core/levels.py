"""How loud each channel of a recording is: RMS over all of it and over speech, peak, zero and clipped samples.

Measured on the frames that a recording gives out, so the figures describe the channels of the WAV, filled silence
included. They are the same however the frames are cut and wherever a recording is resumed.

*How it works.* The recording is divided into windows of 200 ms from its first frame on. A window is active if its RMS
level reaches -50 dBFS. `FrameMeter` gathers seconds of both channels and measures them at once with audioop. It passes
over windows of zeros, more than half of an ordinary call. The samples of the open window wait for their window's end.
A checkpoint holds no audio: `ChannelLevels` has integers that say as much about the open window as its samples do.

| state of a meter | changes with |
| --- | --- |
| samples that wait to be measured | `add`, `levels` |
| the levels of the samples before them | a measurement |
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import field
from itertools import compress, repeat
from operator import not_
from struct import Struct
from typing import Final

import audioop

from connect_audio.core.copying import copier
from connect_audio.core.pcm import SAMPLE_BYTES, Party
from connect_audio.values import dataclass

WINDOWS_A_SECOND: Final = 5
"""Activity is judged over 200 ms, the hangover time of ITU-T P.56: shorter pauses belong to speech."""
ACTIVE_DBFS: Final = -50.0
"""Speech lies 20 to 30 dB above it, the noise of a quiet line 10 to 20 dB below."""
BATCH_S: Final = 4
"""Seconds that are measured at once, so that the meter's memory is bounded. Piece by piece they would cost more."""
FULL_SCALE: Final = 1 << 15
ACTIVE_RMS: Final = math.ceil(FULL_SCALE * 10 ** (ACTIVE_DBFS / 20))
"""The least RMS level of an active window, 0 to 32768."""
_ACTIVE_POWER: Final = ACTIVE_RMS**2
_ENDS_OF_SCALE: Final = ((b"\xff\x7f", 0), (b"\x00\x80", -1))
"""The bytes of a sample at either end, and the distance from there to 32767."""
_WIDENED_HIGHEST: Final = b"\x00\x00\xff\x7f"
"""32767 with 16 bits of zeros below it."""
_WIDTHS: Final = repeat(SAMPLE_BYTES)
_MOST_CUTS: Final = 8
"""Numbers of windows in a batch that are prepared for; fragments of one length make two."""
_LOW_BYTES: Final = 256
"""A sample of a smaller magnitude has a low byte of zero only if it is zero."""


@dataclass(slots=True)
class ChannelLevels:
    """The levels of one channel so far: integers, as long for a day as for a minute; changes in place.

    Args:
        samples: samples measured.
        energy: sum over all closed windows of samples times squared RMS, the RMS rounded down to an integer.
        active_energy: the same over active windows.
        active: samples in active windows.
        peak: largest magnitude of a sample, 0 to 32768.
        zeros: samples of value 0 outside of active windows. Counting them in speech would cost as much as the rest.
        clipped: samples at either end of the scale, 32767 and -32768.
        open_samples: samples in the open window.
        open_squares: sum of their squares.
        open_zeros: how many of them are 0.
    """

    samples: int = 0
    energy: int = 0
    active_energy: int = 0
    active: int = 0
    peak: int = 0
    zeros: int = 0
    clipped: int = 0
    open_samples: int = 0
    open_squares: int = 0
    open_zeros: int = 0

    def close_window(self) -> None:
        """Close the open window, shorter than others if the recording ends in it."""
        if not self.open_samples:
            return
        rms = math.isqrt(self.open_squares // self.open_samples)
        energy = self.open_samples * rms * rms
        self.energy += energy
        if rms >= ACTIVE_RMS:
            self.active_energy += energy
            self.active += self.open_samples
        else:
            self.zeros += self.open_zeros
        self.open_samples = self.open_squares = self.open_zeros = 0

    def closed(self) -> ChannelLevels:
        """A copy with the open window closed, as at a recording's end."""
        levels = _copied(self)
        levels.close_window()
        return levels

    def open_window(self, samples: bytes) -> None:
        """Add samples to the open window."""
        values = array("h", samples)
        self.open_samples += len(values)
        self.open_squares += int(math.sumprod(values, values))
        self.open_zeros += _zeros_in(samples, FULL_SCALE)

    def scan(self, pieces: Sequence[bytes], joined: bytes) -> int:
        """Take peak and clipping of samples, and return their peak.

        Args:
            pieces: the samples, cut anywhere.
            joined: the same in one piece. More of the recording's samples may be in it.
        """
        peak = audioop.max(joined, SAMPLE_BYTES)
        self.peak = max(self.peak, peak)
        if peak >= FULL_SCALE - 1:
            # Seldom, and then in few of the pieces as a rule.
            for piece, highest in zip(pieces, map(audioop.max, pieces, _WIDTHS), strict=False):
                if highest >= FULL_SCALE - 1:
                    self.clipped += _clipped_in(piece)
        return peak


_copied: Final = copier(ChannelLevels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The levels of both channels so far."""

    customer: ChannelLevels = field(default_factory=ChannelLevels)
    agent: ChannelLevels = field(default_factory=ChannelLevels)

    def of(self, party: Party) -> ChannelLevels:
        """The levels of a party's channel."""
        return self.customer if party is Party.CUSTOMER else self.agent


def levels_json(levels: ChannelLevels, rate: int) -> dict[str, float | int | None]:
    """The levels of a channel in the manifest's words.

    Args:
        levels: the channel's levels at the recording's end.
        rate: samples a second.
    """
    closed = levels.closed()
    return {
        "rmsDbfs": rms_dbfs(closed.energy, closed.samples),
        "activeRmsDbfs": rms_dbfs(closed.active_energy, closed.active),
        "activeSeconds": closed.active / rate,
        "peakDbfs": peak_dbfs(closed.peak),
        "zeroSamples": closed.zeros,
        "clippedSamples": closed.clipped,
    }


SILENT: Final = Levels()
"""The levels before the first frame."""


def rms_dbfs(energy: int, samples: int) -> float | None:
    """RMS level in dB below full scale; None for silence or no samples.

    Args:
        energy: sum of the samples' squares.
        samples: how many.
    """
    return 10 * math.log10(energy / samples / FULL_SCALE**2) if energy else None


def peak_dbfs(peak: int) -> float | None:
    """Peak level in dB below full scale; None for silence.

    Args:
        peak: largest magnitude of a sample.
    """
    return 20 * math.log10(peak / FULL_SCALE) if peak else None


class FrameMeter:
    """Measure both channels of a recording.

    Memory: `BATCH_S`, the newest piece and a window of each channel, twice while they are measured.

    Args:
        levels: levels to go on from.
        rate: samples a second.
    """

    def __init__(self, levels: Levels, rate: int) -> None:
        self._waiting: list[tuple[bytes, bytes]] = []
        self._batch: Final = BATCH_S * rate * SAMPLE_BYTES
        self._missing = self._batch  # bytes of a channel to a batch
        self._customer, self._agent = (ChannelMeter(levels.of(party), rate) for party in Party)

    def add(self, left: bytes, right: bytes) -> None:
        """Measure the next samples of both channels.

        Args:
            left: the customer's, mono 16-bit little-endian.
            right: as many of the agent.
        """
        self._waiting += ((left, right),)
        self._missing -= len(left)
        if self._missing <= 0:
            self._measure()

    def levels(self) -> Levels:
        """The levels of all samples so far."""
        self._measure()
        return Levels(customer=self._customer.levels(), agent=self._agent.levels())

    def _measure(self) -> None:
        if self._waiting:
            left, right = zip(*self._waiting, strict=True)
            self._waiting = []
            self._customer.measure(*left)
            self._agent.measure(*right)
        self._missing = self._batch


class ChannelMeter:
    """Measure one channel.

    Memory: a window.

    Args:
        levels: levels to go on from.
        rate: samples a second.
    """

    def __init__(self, levels: ChannelLevels, rate: int) -> None:
        self._levels: Final = _copied(levels)
        self._open = b""  # samples of the open window that `_levels` does not know
        self.rate: Final = rate
        """Samples a second."""
        self._silence: Final = bytes(rate // WINDOWS_A_SECOND * SAMPLE_BYTES)
        self._cuts: dict[int, Struct] = {}  # by number of windows

    def measure(self, *pieces: bytes) -> None:
        """Measure the next samples, cut anywhere."""
        levels, window = self._levels, len(self._silence)
        known = len(self._open)
        samples = b"".join((self._open, *pieces))
        levels.samples += (len(samples) - known) // SAMPLE_BYTES
        first = 0
        if levels.open_samples:
            # The recording was resumed inside of a window.
            first = window - SAMPLE_BYTES * levels.open_samples
            if len(samples) < first:
                self._open = samples
                return
            levels.open_window(samples[:first])
            levels.scan((samples[:first],), samples[:first])
            levels.close_window()
        end = len(samples) - (len(samples) - first) % window
        self._open = samples[end:]
        self._measure_windows(samples, range(first, end, window))

    def _measure_windows(self, samples: bytes, starts: range) -> None:
        """Measure whole windows.

        Args:
            samples: these and others.
            starts: start of each window in them, bytes.
        """
        levels, silence, count = self._levels, self._silence, len(starts)
        pieces: Sequence[bytes] = self._cut(count).unpack_from(samples, starts.start)
        if silence in pieces:
            pieces = [piece for piece in pieces if piece != silence]
            levels.zeros += len(silence) // SAMPLE_BYTES * (count - len(pieces))
        if pieces:
            self._measure_noise(samples, pieces, list(map(audioop.rms, pieces, _WIDTHS)), is_all=len(pieces) == count)

    def _measure_noise(self, samples: bytes, pieces: Sequence[bytes], rms: Sequence[int], *, is_all: bool) -> None:
        """Measure whole windows that are not silent.

        Args:
            samples: these and others.
            pieces: each window.
            rms: each window's.
            is_all: True if `samples` has no other whole window.
        """
        levels, length = self._levels, len(self._silence) // SAMPLE_BYTES
        energy = length * int(math.sumprod(rms, rms))
        levels.energy += energy
        loud: Sequence[bytes] = pieces
        quiet: Sequence[bytes] = ()
        if min(rms) < ACTIVE_RMS:
            is_loud = [each >= ACTIVE_RMS for each in rms]
            loud, quiet = list(compress(pieces, is_loud)), list(compress(pieces, map(not_, is_loud)))
            rms = list(compress(rms, is_loud))
            energy = length * int(math.sumprod(rms, rms))
        if loud:
            levels.active_energy += energy
            levels.active += length * len(loud)
            # To join the windows of a batch that is loud throughout would be a copy more.
            levels.scan(loud, samples if is_all and not quiet else b"".join(loud))
        if quiet:
            noise = b"".join(quiet)
            levels.zeros += _zeros_in(noise, levels.scan((noise,), noise))

    def _cut(self, count: int) -> Struct:
        """The cutter of whole windows out of samples.

        Args:
            count: how many windows.
        """
        cut = self._cuts.get(count)
        if cut is None:
            if len(self._cuts) >= _MOST_CUTS:
                self._cuts.clear()
            cut = self._cuts[count] = Struct(f"{len(self._silence)}s" * count)
        return cut

    def levels(self) -> ChannelLevels:
        """The levels of all samples so far."""
        if self._open:
            self._levels.open_window(self._open)
            self._levels.scan((self._open,), self._open)
            self._open = b""
        return _copied(self._levels)


def _clipped_in(samples: bytes) -> int:
    """Count the samples at either end of the scale."""
    found = 0
    for end, shift in _ENDS_OF_SCALE:
        # So quick a look also finds bytes of two neighbours, but seldom anything.
        if samples.count(end):
            # audioop adds with wrap-around: both ends become 32767. Widened, no two neighbours look like that.
            highest = audioop.bias(samples, SAMPLE_BYTES, shift)
            found += audioop.lin2lin(highest, SAMPLE_BYTES, 2 * SAMPLE_BYTES).count(_WIDENED_HIGHEST)
    return found


def _zeros_in(samples: bytes, peak: int) -> int:
    """Count the samples of value 0, at a thirtieth of what `array.count` takes.

    Args:
        samples: the samples.
        peak: their largest magnitude.
    """
    if peak < _LOW_BYTES:
        return samples[::SAMPLE_BYTES].count(0)
    # 256 times as large, and clipped where that is too large, a sample has a high byte of zero only if it is zero.
    return audioop.mul(samples, SAMPLE_BYTES, _LOW_BYTES)[1::SAMPLE_BYTES].count(0)
