"""The buffer against a plain model of it: a dict of samples for each party."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.live_buffer import LiveBuffer, _Side
from connect_audio.core.pcm import PARTIES, Party

BEGINS = 1000


def samples(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "little", signed=True) for value in values)


class BufferAgainstModel(RuleBasedStateMachine):
    """Blocks are told ahead, then the recording has its word, and readers see what was said last."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = LiveBuffer(8000, BEGINS, BEGINS)
        self.told: dict[Party, dict[int, int]] = {party: {} for party in PARTIES}
        self.ends: dict[Party, int] = dict.fromkeys(PARTIES, BEGINS)
        self.confirmed: dict[Party, int] = dict.fromkeys(PARTIES, BEGINS)

    @rule(
        party=st.sampled_from(PARTIES),
        gap=st.integers(-6, 5),
        values=st.lists(st.integers(1, 3), min_size=1, max_size=8),
    )
    def write(self, party: Party, gap: int, values: list[int]) -> None:
        start = max(BEGINS, self.ends[party] + gap)
        changed = self.buffer.write(LiveSamples(party, start, samples(*values)), 0.0)
        self._expect(changed, self._lay(party, start, values))

    def _lay(self, party: Party, start: int, values: list[int]) -> list[int]:
        """Lay values over what is not confirmed; tell the positions that said something else."""
        told, changes = self.told[party], []
        for position, value in enumerate(values, start):
            if position < self.confirmed[party]:
                continue
            if position < self.ends[party] and told.get(position, 0) != value:
                changes.append(position)
                # What was said after it counts no more.
                for later in [at for at in told if at >= position]:
                    del told[later]
                self.ends[party] = position
            told[position] = value
            self.ends[party] = max(self.ends[party], position + 1)
        return changes

    def _expect(self, changed: int | None, changes: list[int]) -> None:
        assert changed == min(changes, default=None)

    @rule(
        gaps=st.lists(st.integers(0, 4), min_size=2, max_size=2),
        lengths=st.lists(st.integers(0, 9), min_size=2, max_size=2),
        agree=st.booleans(),
        silence=st.integers(0, 5),
    )
    def confirm(self, gaps: list[int], lengths: list[int], agree: bool, silence: int) -> None:  # noqa: FBT001
        placements, reached, changes = [], {}, []
        for party, gap, length in zip(PARTIES, gaps, lengths, strict=True):
            told, start = self.told[party], self.confirmed[party] + gap
            values = [told.get(at, 0) if agree else 2 for at in range(start, start + length)]
            end = start + length + silence if length else self.confirmed[party] + silence
            truth: Mapping[int, int] = dict(enumerate(values, start)) if length else {}
            if length:
                placements.append(LiveSamples(party, start, samples(*values)))
            reached[party] = end
            for at in range(self.confirmed[party], self.ends[party]):
                if at >= end or told.get(at, 0) != truth.get(at, 0):
                    changes.append(at)
                    break
            for at in [at for at in told if at >= self.confirmed[party]]:
                del told[at]
            told.update(truth)
            self.confirmed[party] = self.ends[party] = end
        changed = self.buffer.confirm(placements, reached, 0.0)
        self._expect(changed, changes)

    @rule(behind=st.integers(0, 30))
    def free(self, behind: int) -> None:
        # What is not confirmed may be told again, so the pipeline keeps it.
        self.buffer.free(min(self.confirmed.values()) - behind)

    @invariant()
    def readers_see_what_was_said_last(self) -> None:
        begins = max(BEGINS, self.buffer.begins)
        for party in PARTIES:
            end = self.ends[party]
            assert self.buffer.end(party) == end
            told = self.told[party]
            expected = samples(*(told.get(at, 0) for at in range(begins, end))) if end > begins else b""
            assert (self.buffer.read(party, begins, end) if end > begins else b"") == expected
        assert self.buffer.whole_to == min(self.ends.values())


TestBufferAgainstModel = BufferAgainstModel.TestCase


@given(start=st.integers(0, 20), stop=st.integers(0, 20))
def test_any_stretch_can_be_read(start: int, stop: int) -> None:
    buffer = LiveBuffer(8000, 0, 0)
    buffer.write(LiveSamples(Party.AGENT, 3, samples(1, 2, 3)), 0.0)
    buffer.write(LiveSamples(Party.AGENT, 6, samples(4)), 0.0)
    buffer.write(LiveSamples(Party.AGENT, 10, samples(5, 6)), 0.0)
    whole = samples(0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 5, 6, *[0] * 10)
    start, stop = sorted((start, stop))
    assert buffer.read(Party.AGENT, start, stop) == whole[2 * start : 2 * stop]


def test_a_block_sent_again_with_the_same_samples_changes_nothing() -> None:
    buffer = LiveBuffer(8000, 0, 0)
    assert buffer.write(LiveSamples(Party.CUSTOMER, 0, samples(1, 2, 3)), 0.0) is None
    assert buffer.write(LiveSamples(Party.CUSTOMER, 0, samples(1, 2, 3, 4)), 1.0) is None
    assert buffer.end(Party.CUSTOMER) == 4
    run = buffer.run_after(Party.CUSTOMER, 3)
    assert run is not None
    assert (run.start, run.samples, run.arrived) == (3, samples(4), 1.0)


def test_where_a_second_reading_differs_the_buffer_tells_from_where_on_and_forgets_what_followed() -> None:
    buffer = LiveBuffer(8000, 0, 0)
    buffer.write(LiveSamples(Party.CUSTOMER, 0, samples(1, 2, 3, 4, 5)), 0.0)
    assert buffer.write(LiveSamples(Party.CUSTOMER, 0, samples(1, 2, 9)), 0.0) == 2
    assert buffer.end(Party.CUSTOMER) == 3
    assert buffer.read(Party.CUSTOMER, 0, 3) == samples(1, 2, 9)


def test_what_the_recording_does_not_take_is_taken_back() -> None:
    buffer = LiveBuffer(8000, 0, 0)
    buffer.write(LiveSamples(Party.CUSTOMER, 0, samples(1, 2, 3, 4, 5)), 0.0)
    changed = buffer.confirm([LiveSamples(Party.CUSTOMER, 0, samples(1, 2))], {Party.CUSTOMER: 2, Party.AGENT: 0}, 0.0)
    assert (changed, buffer.end(Party.CUSTOMER), buffer.whole_to) == (2, 2, 0)


def test_the_arrival_of_a_stretch_is_that_of_its_last_samples() -> None:
    buffer = LiveBuffer(8000, 0, 0)
    buffer.write(LiveSamples(Party.CUSTOMER, 0, samples(1, 2)), 1.0)
    buffer.write(LiveSamples(Party.CUSTOMER, 2, samples(3, 4)), 3.0)
    buffer.write(LiveSamples(Party.AGENT, 0, samples(1, 2, 3, 4)), 2.0)
    assert buffer.arrived(2) == 2.0
    assert buffer.arrived(4) == 3.0
    assert LiveBuffer(8000, 0).arrived(1) is None


def test_samples_that_fill_confirmed_silence_are_taken_over_and_told() -> None:
    buffer = LiveBuffer(8000, 0, 0)
    first, last = LiveSamples(Party.CUSTOMER, 0, samples(1, 2)), LiveSamples(Party.CUSTOMER, 6, samples(7, 8))
    buffer.confirm([first, last], dict.fromkeys(PARTIES, 8), 1.0)
    middle = LiveSamples(Party.CUSTOMER, 2, samples(3, 4))

    assert buffer.confirm([middle], dict.fromkeys(PARTIES, 8), 2.0) == 2
    assert buffer.read(Party.CUSTOMER, 0, 8) == samples(1, 2, 3, 4, 0, 0, 7, 8)
    # Read again behind a kill, it changes nothing.
    assert buffer.confirm([middle], dict.fromkeys(PARTIES, 8), 3.0) is None


def test_a_cut_at_a_run_s_begin_removes_it_whole() -> None:
    side = _Side(0)
    side.append(0, samples(1, 2), 0.0)
    side.append(2, samples(3, 4), 1.0)
    side.cut(2)
    assert [(run.start, run.stop) for run in side.runs] == [(0, 2)]
    assert side.end == 2
