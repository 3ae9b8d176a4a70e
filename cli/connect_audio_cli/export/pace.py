"""Politeness to a stream: its quotas are shared with the live recorder.

Kinesis Video Streams allows five calls of an operation a second and three GetMedia connections, for each stream.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from connect_audio.ports import Clock, FragmentIndex, ListedFragment, MediaSource, MediaStream, StartSelector

CALLS_AT_ONCE: Final = 2
"""Exports of one stream at the same time: the third connection is the live recorder's."""
START_EVERY_S: Final = 0.5
"""Time between the starts of two exports of one stream, s: each asks for two endpoints, of five a second."""
_MEDIA_EVERY_S: Final = 0.3
"""Time between two calls of GetMedia, s: less often than the quota of five a second."""
_LISTING_EVERY_S: Final = 0.5
"""Time between two listings, s: an empty one takes two calls of ListFragments."""


class Pace:
    """One turn after the other, with a pause between them. Thread-safe.

    A turn lasts until its answer is there: a slow request cannot arrive together with the next ones.

    Args:
        every_s: from the end of a turn to the next one, s.
        clock: for the time and the wait.
    """

    def __init__(self, every_s: float, clock: Clock) -> None:
        self._every_s, self._clock = every_s, clock
        self._lock = threading.Lock()
        self._next_s = float("-inf")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Take a turn when it comes."""
        with self._lock:
            wait_s = self._next_s - self._clock.monotonic()
            if wait_s > 0:
                self._clock.sleep(wait_s)
            try:
                yield
            finally:
                self._next_s = self._clock.monotonic() + self._every_s


class StreamPace:
    """The paces of one stream.

    Args:
        clock: for the time and the wait.
    """

    def __init__(self, clock: Clock) -> None:
        self.starts = Pace(START_EVERY_S, clock)
        self.media = Pace(_MEDIA_EVERY_S, clock)
        self.listing = Pace(_LISTING_EVERY_S, clock)


@dataclass(frozen=True, slots=True)
class StreamPaces:
    """The paces of all streams. Thread-safe.

    Args:
        clock: for the time and the wait.
    """

    clock: Clock
    _of: dict[str, StreamPace] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, stream: str) -> StreamPace:
        """Return a stream's pace, the same one each time."""
        with self._lock:
            return self._of.setdefault(stream, StreamPace(self.clock))


@dataclass(frozen=True, slots=True)
class PacedSource:
    """A `MediaSource` that waits for its turn before each GetMedia.

    Args:
        source: the stream.
        pace: the turns.
    """

    source: MediaSource
    pace: Pace

    def retention_hours(self) -> int:
        """DataRetentionInHours of the stream."""
        return self.source.retention_hours()

    def open(self, start: StartSelector) -> MediaStream:
        """Open GetMedia when the turn comes."""
        with self.pace.turn():
            return self.source.open(start)


@dataclass(frozen=True, slots=True)
class PacedIndex:
    """A `FragmentIndex` that waits for its turn before each listing.

    Args:
        index: the stream's listing.
        pace: the turns.
    """

    index: FragmentIndex
    pace: Pace

    def fragments(self, from_ms: int, to_ms: int) -> Sequence[ListedFragment]:
        """Return the fragments that begin in a range of producer time."""
        with self.pace.turn():
            return self.index.fragments(from_ms, to_ms)
