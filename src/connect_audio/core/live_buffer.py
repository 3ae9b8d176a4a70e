"""The newest seconds of a call, both parties by position: one memory from which every sink reads at its own pace.

*How it works.* Samples are written as soon as they arrive, before the recording has decided on their fragment. The
recording confirms them at the fragment's end. Nearly always it confirms the samples that are there. Sometimes it does
not: bytes were damaged and are sound on a second reading, or a fragment names a second contact. Samples may also fill
silence before the confirmed end. Then the buffer takes over the recording's samples and returns the position from which
on it has changed.

Each party has a list of runs, in order and without overlap. Between two runs lies silence. Two positions move along:
`confirmed` never goes back, and `end` goes back to `confirmed` at most. Positions are samples since the epoch.

`connect_audio.live` holds a lock around every use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party


class BufferedRun(NamedTuple):
    """Consecutive samples that arrived together.

    Args:
        start: position of the first.
        samples: mono 16-bit samples.
        arrived: time of arrival by the writer's clock, seconds; None for silence that nothing follows yet.
    """

    start: int
    samples: bytes
    arrived: float | None

    @property
    def stop(self) -> int:
        """Position after the last."""
        return self.start + len(self.samples) // SAMPLE_BYTES


class _Side:
    """One party's samples.

    Attributes:
        runs: the samples, in the order of their positions.
        end: position before which every sample is here, as far as is known.
        confirmed: position before which the recording has decided.
    """

    def __init__(self, start: int) -> None:
        self.runs: deque[BufferedRun] = deque()
        self.end = start
        self.confirmed = start

    def append(self, start: int, samples: bytes, arrived: float) -> None:
        self.runs.append(BufferedRun(start, samples, arrived))
        self.end = start + len(samples) // SAMPLE_BYTES

    def cut(self, position: int) -> None:
        """Remove everything from a position on."""
        while self.runs and self.runs[-1].stop > position:
            run = self.runs.pop()
            if run.start < position:
                self.runs.append(run._replace(samples=run.samples[: SAMPLE_BYTES * (position - run.start)]))
        self.end = min(self.end, position)

    def free(self, position: int) -> None:
        """Remove the runs that end at or before a position."""
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
        """Arrival of the sample at a position, or of the first run after it."""
        found: float | None = None
        for run in reversed(self.runs):
            if run.stop <= position:
                break
            found = run.arrived
        return found

    def first_difference(self, start: int, samples: bytes) -> int | None:
        """The first position at which the buffer holds another sample than these; None if there is none."""
        stop = min(self.end, start + len(samples) // SAMPLE_BYTES)
        if stop <= start:
            return None
        there = self.read(start, stop)
        if there == samples[: len(there)]:
            return None
        pairs = zip(memoryview(there).cast("h"), memoryview(samples[: len(there)]).cast("h"), strict=True)
        return start + next(index for index, (held, new) in enumerate(pairs) if held != new)

    def fill(self, start: int, samples: bytes, arrived: float) -> None:
        """Write samples where there is silence before the end; where a run lies, it stays."""
        stop = start + len(samples) // SAMPLE_BYTES
        runs: list[BufferedRun] = []
        at = start
        for run in (*self.runs, BufferedRun(stop, b"", None)):
            until = min(run.start, stop)
            if at < until:
                piece = samples[SAMPLE_BYTES * (at - start) : SAMPLE_BYTES * (until - start)]
                runs.append(BufferedRun(at, piece, arrived))
            at = max(at, run.stop)
        self.runs = deque(sorted((*self.runs, *runs)))

    def first_sound(self, start: int, stop: int) -> int | None:
        """The first position of [start, stop) that holds a run; None if all of it is silence."""
        found: int | None = None
        for run in reversed(self.runs):
            if run.stop <= start:
                break
            if run.start < stop:
                found = max(run.start, start)
        return found


class LiveBuffer:
    """Both parties' samples from some position on.

    Args:
        rate: samples a second.
        start: position at which the buffer begins; no reader asks for anything before it.
        origin: position of the recording's first frame; None while that is unknown.
    """

    def __init__(self, rate: int, start: int, origin: int | None = None) -> None:
        self.rate: Final = rate
        self.origin = origin
        self.complete = False
        """True once the call is over, so that nothing follows `whole_to`."""
        self._begins = start
        self._sides: Mapping[Party, _Side] = {party: _Side(start) for party in PARTIES}

    @property
    def begins(self) -> int:
        """Position before which nothing is kept."""
        return self._begins

    def end(self, party: Party) -> int:
        """Position before which every sample of a party is here, as far as is known."""
        return self._sides[party].end

    @property
    def whole_to(self) -> int:
        """Position before which every sample of both parties is here."""
        return min(side.end for side in self._sides.values())

    @property
    def ends(self) -> int:
        """Position after the last sample of either party."""
        return max(side.end for side in self._sides.values())

    def write(self, written: LiveSamples, arrived: float) -> int | None:
        """Write samples that the recording has not decided on yet.

        Args:
            written: the samples; samples before the confirmed end are left out.
            arrived: time of arrival, seconds.

        Returns:
            The position from which on the buffer's content has changed; None if it only grew.
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
        """Take over the recording's samples.

        Args:
            confirmed: the samples that the recording has placed since the last call, each party's in order.
            reached: position up to which the recording has decided, by party; samples beyond it are removed.
            arrived: time of the decision, seconds.

        Returns:
            The position from which on the buffer's content has changed; None if it only grew.
        """
        changes: list[int] = []

        def change(side: _Side, position: int) -> None:
            if position < side.end:
                changes.append(position)
                side.cut(position)

        for party, start, samples in confirmed:
            side = self._sides[party]
            if start < side.confirmed:
                filled = self._filled(side, start, samples[: SAMPLE_BYTES * (side.confirmed - start)], arrived)
                changes += [] if filled is None else [filled]
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
            # Beyond the samples confirmed now all is silence, and beyond the end nothing is known, not even silence.
            sound = side.first_sound(side.confirmed, end)
            change(side, end if sound is None else sound)
            side.confirmed = side.end = end
        return min(changes, default=None)

    def _filled(self, side: _Side, start: int, samples: bytes, arrived: float) -> int | None:
        """Take over samples with which the recording filled silence, and return the first position that changes."""
        samples = samples[SAMPLE_BYTES * max(0, self._begins - start) :]
        start = max(start, self._begins)
        changed = side.first_difference(start, samples)
        if changed is not None:
            side.fill(start, samples, arrived)
        return changed

    def read(self, party: Party, start: int, stop: int) -> bytes:
        """Samples of [start, stop) of a party, with zeros for silence."""
        return self._sides[party].read(start, stop)

    def arrived(self, position: int) -> float | None:
        """Arrival of everything before a position, seconds; None if nothing is known of it."""
        times = [side.arrived(position - 1) for side in self._sides.values()]
        return max((time for time in times if time is not None), default=None)

    def run_after(self, party: Party, position: int) -> BufferedRun | None:
        """The first run of a party from a position on, without its samples before the position; None if none came."""
        runs = self._sides[party].runs
        found: BufferedRun | None = None
        if runs and position - runs[0].start < runs[-1].stop - position:
            # The reader is nearer to the buffer's beginning than to its end, so search from the beginning.
            found = next(run for run in runs if run.stop > position)
        else:
            for run in reversed(runs):
                if run.stop <= position:
                    break
                found = run
        if found is None or found.start >= position:
            return found
        return found._replace(start=position, samples=found.samples[SAMPLE_BYTES * (position - found.start) :])

    def newest(self, samples: int) -> int:
        """Position from which on no party has more than a number of samples; silence between runs does not count."""
        begins = self._begins
        for side in self._sides.values():
            left = samples
            for run in reversed(side.runs):
                left -= run.stop - run.start
                if left < 0:
                    begins = max(begins, run.start - left)
                    break
        return begins

    def free(self, position: int) -> None:
        """Free the memory before a position, which may not lie beyond the confirmed end of either party."""
        self._begins = max(self._begins, position)
        for side in self._sides.values():
            side.free(self._begins)
