"""The newest seconds of a call, both parties by position: one memory from which every sink reads at its own pace.

Blocks are written the moment they are in, before anybody can say what becomes of their fragment; the recording confirms
them at the fragment's end. Nearly always it confirms what is there. Where it does not (damaged bytes that a second
reading mends, a fragment that names two contacts), the buffer takes the recording's word and tells from where on.

Positions are samples since the epoch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party


class Run(NamedTuple):
    """Samples that came together.

    Args:
        start: position of the first.
        samples: mono 16-bit samples.
        arrived: when they came, as the writer's clock has it, seconds.
    """

    start: int
    samples: bytes
    arrived: float

    @property
    def stop(self) -> int:
        """Position after the last."""
        return self.start + len(self.samples) // SAMPLE_BYTES


class _Side:
    """One party's samples."""

    def __init__(self, start: int) -> None:
        self.runs: deque[Run] = deque()
        self.end = start
        self.confirmed = start

    def append(self, start: int, samples: bytes, arrived: float) -> None:
        self.runs.append(Run(start, samples, arrived))
        self.end = start + len(samples) // SAMPLE_BYTES

    def cut(self, position: int) -> None:
        """Forget everything from a position on."""
        while self.runs and self.runs[-1].stop > position:
            run = self.runs.pop()
            if run.start < position:
                self.runs.append(run._replace(samples=run.samples[: SAMPLE_BYTES * (position - run.start)]))
        self.end = min(self.end, position)

    def forget(self, position: int) -> None:
        """Forget what ends at or before a position."""
        while self.runs and self.runs[0].stop <= position:
            self.runs.popleft()

    def read(self, start: int, stop: int) -> bytes:
        pieces: list[bytes] = []
        at = stop
        for run in reversed(self.runs):
            if run.stop <= start:
                break
            if run.start >= at:
                continue
            until = min(run.stop, at)
            since = max(run.start, start)
            pieces.append(bytes(SAMPLE_BYTES * (at - until)))
            pieces.append(run.samples[SAMPLE_BYTES * (since - run.start) : SAMPLE_BYTES * (until - run.start)])
            at = since
        pieces.append(bytes(SAMPLE_BYTES * (at - start)))
        return b"".join(reversed(pieces))

    def arrived(self, position: int) -> float | None:
        """When what lies at a position came, or what came first after it."""
        found: float | None = None
        for run in reversed(self.runs):
            if run.stop <= position:
                break
            found = run.arrived
        return found

    def first_difference(self, start: int, samples: bytes) -> int | None:
        """Where what is written from a position on first differs from these samples; None where it does not."""
        stop = min(self.end, start + len(samples) // SAMPLE_BYTES)
        if stop <= start:
            return None
        there = self.read(start, stop)
        if there == samples[: len(there)]:
            return None
        pairs = zip(memoryview(there).cast("h"), memoryview(samples[: len(there)]).cast("h"), strict=True)
        return start + next(index for index, (ours, theirs) in enumerate(pairs) if ours != theirs)

    def first_sound(self, start: int, stop: int) -> int | None:
        """Where the first run within a stretch begins that is to be silence."""
        found: int | None = None
        for run in reversed(self.runs):
            if run.stop <= start:
                break
            if run.start < stop:
                found = max(run.start, start)
        return found


class LiveBuffer:
    """Both parties' samples from some position on.

    Not safe for threads by itself: `connect_audio.live` holds a lock around it.

    Args:
        rate: samples a second.
        start: position where it begins; what lies before is never asked for.
        origin: position of the recording's first frame; None while that is unknown.
    """

    def __init__(self, rate: int, start: int, origin: int | None = None) -> None:
        self.rate: Final = rate
        self.origin = origin
        self._begins = start
        self._sides: Mapping[Party, _Side] = {party: _Side(start) for party in PARTIES}

    @property
    def begins(self) -> int:
        """Position before which nothing is kept."""
        return self._begins

    def end(self, party: Party) -> int:
        """Before which position everything of a party is here, as far as can be told."""
        return self._sides[party].end

    @property
    def whole_to(self) -> int:
        """Before which position everything of both is here."""
        return min(side.end for side in self._sides.values())

    @property
    def ends(self) -> int:
        """Position after the last sample of either."""
        return max(side.end for side in self._sides.values())

    def write(self, written: LiveSamples, arrived: float) -> int | None:
        """Write a block's samples ahead of the recording's word.

        Args:
            written: the samples; what lies before the confirmed end is no news.
            arrived: when they came, seconds.

        Returns:
            From which position on the buffer changed what it had said before; None where it only grew.
        """
        party, start, samples = written
        side = self._sides[party]
        if start < side.confirmed:
            samples = samples[SAMPLE_BYTES * (side.confirmed - start) :]
            start = side.confirmed
        if not samples:
            return None
        changed = None
        if start < side.end:
            changed = side.first_difference(start, samples)
            if changed is not None:
                side.cut(changed)
            fresh = side.end - start
            samples, start = samples[SAMPLE_BYTES * fresh :], side.end
        if samples:
            side.append(start, samples, arrived)
        return changed

    def confirm(self, confirmed: Iterable[LiveSamples], reached: Mapping[Party, int], arrived: float) -> int | None:
        """Take the recording's word.

        Args:
            confirmed: what it has placed since the last time, each party's in order.
            reached: before which position nothing more will come, by party; beyond it nothing counts.
            arrived: when this was known, seconds.

        Returns:
            From which position on the buffer changed what it had said before; None where it only grew.
        """
        changes: list[int] = []

        def change(side: _Side, position: int) -> None:
            if position < side.end:
                changes.append(position)
                side.cut(position)

        for party, start, samples in confirmed:
            side = self._sides[party]
            if start < side.confirmed:
                samples = samples[SAMPLE_BYTES * (side.confirmed - start) :]  # noqa: PLW2901 - the rest of it
                start = side.confirmed  # noqa: PLW2901 - the same
            if not samples:
                continue
            sound = side.first_sound(side.confirmed, start)
            if sound is not None:
                change(side, sound)
            different = side.first_difference(start, samples)
            if different is not None:
                change(side, different)
            fresh = max(0, side.end - start)
            if SAMPLE_BYTES * fresh < len(samples):
                side.append(start + fresh, samples[SAMPLE_BYTES * fresh :], arrived)
            side.confirmed = start + len(samples) // SAMPLE_BYTES
        for party, side in self._sides.items():
            end = max(side.confirmed, reached.get(party, 0))
            # Beyond what is confirmed now all is silence, and beyond the end nothing is known, not even that.
            sound = side.first_sound(side.confirmed, end)
            change(side, end if sound is None else sound)
            side.confirmed = side.end = end
        return min(changes, default=None)

    def read(self, party: Party, start: int, stop: int) -> bytes:
        """Samples of [start, stop) of a party, silence where there are none."""
        return self._sides[party].read(start, stop)

    def arrived(self, position: int) -> float | None:
        """When all that lies before a position had come, seconds; None where nothing is known of it."""
        times = [side.arrived(position - 1) for side in self._sides.values()]
        return max((time for time in times if time is not None), default=None)

    def run_after(self, party: Party, position: int) -> Run | None:
        """The first samples of a party from a position on that came together; None where there are none yet."""
        runs = self._sides[party].runs
        found: Run | None = None
        if runs and position - runs[0].start < runs[-1].stop - position:
            # A reader that is behind, so behind that the buffer begins for its sake: look from there.
            found = next(run for run in runs if run.stop > position)
        else:
            for run in reversed(runs):
                if run.stop <= position:
                    break
                found = run
        if found is None or found.start >= position:
            return found
        return Run(position, found.samples[SAMPLE_BYTES * (position - found.start) :], found.arrived)

    def newest(self, samples: int) -> int:
        """From which position on no party has more than so many samples; silence where nothing came does not count."""
        begins = self._begins
        for side in self._sides.values():
            left = samples
            for run in reversed(side.runs):
                left -= run.stop - run.start
                if left < 0:
                    begins = max(begins, run.start - left)
                    break
        return begins

    def forget(self, position: int) -> None:
        """Keep nothing from before a position, which no track's confirmed end may lie before."""
        self._begins = max(self._begins, position)
        for side in self._sides.values():
            side.forget(self._begins)
