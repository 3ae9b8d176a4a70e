"""Cuts one party's audio into utterances, for recognizers that take one piece of audio at a time.

*How it works.* The audio is judged in frames of 30 ms (`VoiceDetector`). Three voiced frames of five open an utterance,
which begins up to 0.45 s earlier. 0.6 s without a voiced frame close it, 0.1 s after the last one. Speech that goes on
is cut at 15 s at the latest, at the quietest frame of its last five seconds. The frames that may still belong to an
utterance stay buffered. `settled` is the position before them. Nothing depends on how the samples were cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import audioop

from connect_audio.core.pcm import SAMPLE_BYTES

FRAME_MS: Final = 30
"""Length of a frame, ms: the longest that webrtcvad takes."""
_OPENING: Final = 3
_OPENING_WINDOW: Final = 5
"""So many voiced frames in a window of so many open an utterance."""
_KEPT_BEFORE: Final = 15
"""Frames that an utterance has up to its opening, 0.45 s: the first sound of a word is often unvoiced."""
_CLOSING: Final = 20
"""Frames without voice that close an utterance, 0.6 s: a pause within a sentence is shorter."""
_LONGEST: Final = 500
"""Frames after which an utterance is cut, 15 s: some servers take no more than 30 s, and words must not wait longer."""
_CUT_WITHIN: Final = 167
"""Frames before `_LONGEST`, 5 s, of which the quietest one is the cut's."""
_KEPT_BEHIND_MS: Final = 100
"""Audio behind the last voiced frame that belongs to the utterance, ms."""
_QUIET: Final = 150
"""RMS that no voice of a telephone call falls below; of 32 768 at full scale."""


class VoiceDetector(Protocol):
    """Judges frames one after the other; it may learn from the frames before."""

    def is_voiced(self, frame: bytes) -> bool:
        """Judge the next frame.

        Args:
            frame: 30 ms of mono 16-bit little-endian samples.
        """


class LoudnessDetector:
    """Takes for voice what is three times as loud as the quietest of late. It needs no package."""

    def __init__(self) -> None:
        self._floor = 0.0

    def is_voiced(self, frame: bytes) -> bool:
        """Judge the next frame by its RMS."""
        rms = audioop.rms(frame, SAMPLE_BYTES)
        # It falls at once and rises by a percent a frame, so a sentence's own pauses hold it down.
        self._floor = min(float(rms), self._floor * 1.01 + 1)
        return rms > max(_QUIET, 3 * self._floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """Speech of one party between two pauses.

    Args:
        start: position of its first sample, frames since the recording's first.
        samples: mono 16-bit little-endian samples.
        speech_start: position of the first voiced sample.
        speech_end: position behind the last voiced sample.
    """

    start: int
    samples: bytes = field(repr=False)
    speech_start: int
    speech_end: int

    @property
    def end(self) -> int:
        """Position behind its last sample."""
        return self.start + len(self.samples) // SAMPLE_BYTES


@dataclass(slots=True)
class _Frame:
    is_voiced: bool
    rms: int


class UtteranceCutter:
    """Cuts the audio of one party.

    Args:
        rate: samples a second.
        start: position of the first sample that will be received.
        detector: judges the frames.
    """

    def __init__(self, rate: int, start: int, detector: VoiceDetector) -> None:
        self._rate = rate
        self._detector = detector
        self._frame = rate * FRAME_MS // 1000
        self._unjudged = bytearray()
        # The judged frames that may belong to an utterance, and the position of the first.
        self._samples = bytearray()
        self._frames: list[_Frame] = []
        self._begin = start
        self._open = False
        # Nothing before it may belong to a further utterance.
        self._free = start

    @property
    def settled(self) -> int:
        """Position before which nothing can be in an utterance that is still to come."""
        return max(self._begin, self._free)

    def receive(self, samples: bytes) -> list[Utterance]:
        """Take the next samples, and return the utterances that end in them.

        Args:
            samples: mono 16-bit little-endian samples.
        """
        self._unjudged += samples
        size = self._frame * SAMPLE_BYTES
        found: list[Utterance] = []
        whole = len(self._unjudged) // size * size
        for at in range(0, whole, size):
            found += self._judge(bytes(self._unjudged[at : at + size]))
        del self._unjudged[:whole]
        return found

    def finish(self) -> list[Utterance]:
        """Return the utterance that the end of the audio closes; everything is settled then."""
        end = self._begin + (len(self._samples) + len(self._unjudged)) // SAMPLE_BYTES
        self._samples += self._unjudged
        self._unjudged.clear()
        found = self._closed(end) if self._open else []
        self._samples.clear()
        self._frames.clear()
        self._begin = self._free = end
        return found

    def _judge(self, samples: bytes) -> list[Utterance]:
        self._samples += samples
        self._frames.append(_Frame(self._detector.is_voiced(samples), audioop.rms(samples, SAMPLE_BYTES)))
        if not self._open:
            self._open = sum(frame.is_voiced for frame in self._frames[-_OPENING_WINDOW:]) >= _OPENING
            self._drop(len(self._frames) - _KEPT_BEFORE)
            return []
        if not any(frame.is_voiced for frame in self._frames[-_CLOSING:]):
            found = self._closed(self._position(len(self._frames)))
            self._drop(len(self._frames) - _KEPT_BEFORE)
            return found
        return self._cut() if len(self._frames) >= _LONGEST else []

    def _closed(self, limit: int) -> list[Utterance]:
        """End the open utterance behind its last voiced frame."""
        self._open = False
        voiced = self._voiced()
        if not voiced:
            return []
        end = min(self._position(voiced[-1] + 1) + self._rate * _KEPT_BEHIND_MS // 1000, limit)
        utterance = self._utterance(voiced, end)
        self._free = end
        return [utterance]

    def _cut(self) -> list[Utterance]:
        """End the open utterance at its quietest frame of late; what follows the cut is the next one."""
        late = range(len(self._frames) - _CUT_WITHIN, len(self._frames))
        quietest = min(late, key=lambda at: self._frames[at].rms)
        voiced = [at for at in self._voiced() if at < quietest]
        found = [self._utterance(voiced, self._position(quietest))] if voiced else []
        self._free = self._position(quietest)
        self._drop(quietest)
        return found

    def _utterance(self, voiced: list[int], end: int) -> Utterance:
        start = self.settled
        return Utterance(
            start=start,
            samples=bytes(self._samples[(start - self._begin) * SAMPLE_BYTES : (end - self._begin) * SAMPLE_BYTES]),
            speech_start=max(start, self._position(voiced[0])),
            speech_end=min(end, self._position(voiced[-1] + 1)),
        )

    def _voiced(self) -> list[int]:
        """Indexes of the voiced frames that no utterance has yet."""
        return [at for at, frame in enumerate(self._frames) if frame.is_voiced and self._position(at + 1) > self._free]

    def _position(self, index: int) -> int:
        return self._begin + index * self._frame

    def _drop(self, count: int) -> None:
        if count > 0:
            del self._frames[:count]
            del self._samples[: count * self._frame * SAMPLE_BYTES]
            self._begin += count * self._frame
