"""A stream of fragments in memory: GetMedia bodies cut, broken off and refused as a test says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from connect_audio.core.errors import MediaSourceError
from connect_audio.ports import AfterFragment, StartSelector
from connect_audio_local.synthesis.calls import SyntheticFragment
from support.clock import FakeClock

type Body = Callable[[StartSelector, list["Stored"]], Iterator[bytes]]
"""Makes one GetMedia body of the selector and the fragments that it selects; may raise MediaSourceError."""


@dataclass(frozen=True)
class Stored:
    """A fragment as the stream has it. `at_ms`: when it becomes available; it ends then."""

    number: str
    producer_ms: int
    at_ms: int
    data: bytes


class FakeSource:
    """A stream of fragments. Counts connections and what they served.

    Args:
        fragments: in order.
        clock: the recorder's.
        live: fragments come when they end; otherwise all are there.
        chunk: bytes that one read returns at most.
        read_s: time that a read takes.
        keeps: fragments that can be had again once newer ones were served; None for all.
        window_s: fragments older than that are gone; None for never.
        retention: DataRetentionInHours, or the error that DescribeStream answers.

    `in_place_of` has, by fragment number, what every body holds in its place, and the error that follows; None for an
    end in good order.
    """

    def __init__(
        self,
        fragments: Iterable[SyntheticFragment],
        clock: FakeClock,
        *,
        live: bool = False,
        chunk: int = 65_536,
        read_s: float = 0.0,
        keeps: int | None = None,
        window_s: float | None = None,
        retention: int | MediaSourceError = 24,
    ) -> None:
        self.clock = clock
        self.fragments = [
            Stored(each.number, each.producer_ms, each.producer_ms + each.duration_ms, each.data) for each in fragments
        ]
        self.live = live
        self.chunk = chunk
        self.read_s = read_s
        self.keeps = keeps
        self.window_s = window_s
        self.retention = retention
        self.holds_open = live
        self.read_timeout_s = 10.0
        self.selectors: list[StartSelector] = []
        self.bodies: deque[Body | MediaSourceError | None] = deque()
        self.refusal: MediaSourceError | None = None
        self.in_place_of: dict[str, tuple[bytes, MediaSourceError | None]] = {}
        self.served: list[str] = []
        self.reads = 0
        self.open_now = 0
        self.most_open = 0

    def retention_hours(self) -> int:
        if isinstance(self.retention, MediaSourceError):
            raise self.retention
        return self.retention

    def open(self, start: StartSelector) -> FakeStream:
        self.selectors.append(start)
        script = self.bodies.popleft() if self.bodies else None
        if isinstance(script, MediaSourceError):
            raise script
        if script is None and self.refusal is not None:
            raise self.refusal
        body = self._serve(start) if script is None else script(start, self.selected(start))
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        return FakeStream(self, body)

    def selected(self, start: StartSelector) -> list[Stored]:
        """What a start selector means, oldest first."""
        if isinstance(start, AfterFragment):
            return [each for each in self.fragments if int(each.number) > int(start.number)]
        return [each for each in self.fragments if each.at_ms > start.ms]

    def _serve(self, start: StartSelector) -> Iterator[bytes]:
        for each in self.selected(start):
            if self.live:
                waited = 0.0
                while each.at_ms > self.clock.now_ms():
                    left_s = (each.at_ms - self.clock.now_ms()) / 1000
                    waited += min(left_s, self.read_timeout_s)
                    self.clock.pass_by(min(left_s, self.read_timeout_s))
                    if waited >= self.read_timeout_s and each.at_ms > self.clock.now_ms():
                        raise MediaSourceError("ReadTimeoutError", "silent", retryable=True)
            if self._is_gone(each):
                continue
            if each.number in self.in_place_of:
                data, error = self.in_place_of[each.number]
                if data:
                    yield data
                if error is not None:
                    raise error
                return
            self.served.append(each.number)
            yield from cut(each.data, self.chunk)
        if self.holds_open:
            self.clock.pass_by(self.read_timeout_s)
            raise MediaSourceError("ReadTimeoutError", "silent", retryable=True)

    def _is_gone(self, each: Stored) -> bool:
        if self.window_s is not None and each.at_ms < self.clock.now_ms() - self.window_s * 1000:
            return True
        if self.keeps is None or not self.served:
            return False
        newest = max(self.served, key=int)
        behind = sum(int(each.number) < int(other.number) <= int(newest) for other in self.fragments)
        return behind >= self.keeps


class FakeStream:
    def __init__(self, source: FakeSource, body: Iterator[bytes]) -> None:
        self._source = source
        self._body = body
        self._closed = False

    def read(self) -> bytes:
        assert not self._closed, "read after close"
        self._source.reads += 1
        self._source.clock.pass_by(self._source.read_s)
        return next(self._body, b"")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._source.open_now -= 1


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
