"""A recognizer without speech: a word is a run of one sample value, and its length is known from the value.

Final turns come late, in the measure of audio; long ones are forced. Sessions fail as told. A word of which a session
heard only a part comes out with a question mark, so a cut through a word shows in every text.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.words.recognizer import Results, SessionStart

RATE = 500
PAUSE = round(0.6 * RATE)
"""Silence that ends a turn, frames."""
LONGEST = 8 * RATE
"""A longer turn is forced to its end between two words."""


@dataclass(frozen=True)
class Spoken:
    """A word as it is said."""

    party: Party
    value: int
    start: int
    end: int


@dataclass
class Script:
    """All words of a call."""

    words: list[Spoken]
    frames: int

    def samples(self, party: Party, start: int, stop: int) -> bytes:
        """A party's samples of a span."""
        out = array("h", bytes(2 * (stop - start)))
        for word in self.words:
            if word.party is party and word.start < stop and word.end > start:
                since, until = max(word.start, start), min(word.end, stop)
                out[since - start : until - start] = array("h", [word.value]) * (until - since)
        return out.tobytes()

    @property
    def lengths(self) -> dict[int, int]:
        return {word.value: word.end - word.start for word in self.words}


def random_script(random_: random.Random, seconds: int, rate: int = RATE) -> Script:
    """A call: turns of 1 to 9 words of each party, some at once, some long silences."""
    words: list[Spoken] = []
    pause = PAUSE * rate // RATE
    frames = seconds * rate + random_.randrange(rate)
    for party in PARTIES:
        at = random_.randrange(3 * rate)
        while True:
            for _ in range(random_.randint(1, 9)):
                length = random_.randint(rate // 6, rate // 2)
                if at + length >= frames:
                    break
                words.append(Spoken(party, 1000 + len(words), at, at + length))
                at += length + random_.randint(1, pause // 2)
            at += pause + (random_.randint(60, 90) * rate if random_.random() < 0.05 else random_.randrange(6 * rate))
            if at >= frames - rate:
                break
    return Script(words, frames)


@dataclass
class Trouble:
    """What goes wrong with a session, after so many frames of it; None for nothing."""

    dies: int | None = None
    goes_quiet: int | None = None
    fails_to_open: bool = False
    fails_to_finish: bool = False


@dataclass
class _Heard:
    """What a session knows of one party."""

    value: int = 0
    since: int = 0
    words: list[Spoken] = field(default_factory=list)
    settled: int = 0


class ScriptedSession:
    """One session."""

    def __init__(
        self, start: SessionStart, lengths: Mapping[int, int], trouble: Trouble, latency: random.Random
    ) -> None:
        begin = min(start.needed.values())
        self._begin = self._received = begin
        self._notify = start.notify
        self._lengths = lengths
        self._trouble = trouble
        self._rate = rate = start.rate
        self._pause = PAUSE * rate // RATE
        self._latency = latency.randint(rate // 5, 4 * rate)
        self._heard = {party: _Heard(settled=begin, since=begin) for party in PARTIES}
        self.closed = False
        self.bug: Exception | None = None

    def receive(self, position: int, samples: Mapping[Party, bytes]) -> None:
        assert not self.closed
        if self.bug is not None:
            raise self.bug
        assert position == self._received, "the audio has a gap"
        assert len({len(each) for each in samples.values()}) == 1
        assert 0 < len(samples[Party.AGENT]) <= 2 * self._rate
        if self._trouble.dies is not None and position - self._begin >= self._trouble.dies:
            raise SinkError("DIED", "the connection is gone", retryable=True)
        for party in PARTIES:
            self._scan(party, self._heard[party], position, array("h", samples[party]))
        self._received += len(samples[Party.AGENT]) // 2
        self._notify()

    def _scan(self, party: Party, heard: _Heard, position: int, samples: array[int]) -> None:
        at = position
        for value, run in groupby(samples):
            if value != heard.value:
                self._close_run(party, heard, at)
                heard.value, heard.since = value, at
            at += sum(1 for _ in run)

    def _close_run(self, party: Party, heard: _Heard, at: int) -> None:
        if heard.value:
            heard.words.append(Spoken(party, heard.value, heard.since, at))
        heard.value = 0

    def results(self) -> Results:
        assert not self.closed
        trouble = self._trouble
        if trouble.goes_quiet is not None and self._received - self._begin >= trouble.goes_quiet:
            return Results()
        return self._results(is_over=False)

    def _results(self, *, is_over: bool) -> Results:
        turns: list[Turn] = []
        partials: dict[Party, Turn] = {}
        settled: dict[Party, int] = {}
        for party in PARTIES:
            heard = self._heard[party]
            open_from = heard.since if heard.value else None
            groups = list(_turns(heard.words, self._rate))
            for index, group in enumerate(groups):
                end = group[-1].end
                # A turn with another one behind it is over: by a pause, or by force.
                is_whole = index < len(groups) - 1 or open_from is None or open_from - end >= self._pause
                if not (is_over or (is_whole and self._received >= end + self._pause + self._latency)):
                    open_from = group[0].start
                    partials[party] = self._turn(group)
                    break
                turns.append(self._turn(group))
                del heard.words[: len(group)]
                heard.settled = end
            if open_from is None:
                reached = self._received if is_over else self._received - 2 * self._rate
            else:
                reached = open_from - self._rate // 2
            heard.settled = max(heard.settled, reached)
            settled[party] = heard.settled
        return Results(turns=tuple(turns), partials=partials, settled=settled)

    def _turn(self, group: list[Spoken]) -> Turn:
        words = tuple(
            Word(
                text=f"{each.value}{'' if self._lengths.get(each.value) == each.end - each.start else '?'}",
                start=each.start,
                end=each.end,
            )
            for each in group
        )
        text = " ".join(word.text for word in words)
        return Turn(party=group[0].party, start=words[0].start, end=words[-1].end, text=text, words=words)

    def finish(self, *, is_call_over: bool, timeout_s: float) -> Results:
        assert not self.closed
        assert timeout_s > 0
        if self._trouble.fails_to_finish or self._trouble.goes_quiet is not None:
            raise SinkError("TIMEOUT", "the session did not end in time", retryable=True)
        if is_call_over:
            for party in PARTIES:
                self._close_run(party, self._heard[party], self._received)
            return self._results(is_over=True)
        cut: dict[Party, int] = {}
        for party in PARTIES:
            heard = self._heard[party]
            groups = list(_turns(heard.words, self._rate))
            last = groups[-1] if groups else []
            if heard.value:
                joins = last and heard.since - last[-1].end < self._pause
                cut[party] = last[0].start if joins else heard.since
            elif last and last[-1].end > self._received - round(0.9 * self._rate):
                cut[party] = last[0].start
            if party in cut:
                heard.words = [word for word in heard.words if word.start < cut[party]]
                heard.value = 0
        before = {party: self._heard[party].settled for party in PARTIES}
        results = self._results(is_over=True)
        settled = {
            party: min(at, max(before[party], cut[party] - self._rate // 2)) if party in cut else at
            for party, at in results.settled.items()
        }
        return Results(turns=results.turns, settled=settled)

    @property
    def received(self) -> int:
        """Audio that it was handed, frames."""
        return self._received - self._begin

    def interrupt(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self.closed = True


def _turns(words: list[Spoken], rate: int) -> Iterator[list[Spoken]]:
    """Words in turns: a pause ends one, and so does a great length."""
    group: list[Spoken] = []
    for word in words:
        if group and (
            word.start - group[-1].end >= PAUSE * rate // RATE or word.end - group[0].start > LONGEST * rate // RATE
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


class ScriptedRecognizer:
    """Opens scripted sessions.

    Args:
        lengths: length of each word, by value.
        random_: source of latencies and troubles.
        trouble: likelihood of a trouble in a session.
        troubles: troubles of the first sessions, instead.
    """

    engine = "scripted"

    def __init__(
        self,
        lengths: dict[int, int],
        random_: random.Random,
        trouble: float = 0.0,
        troubles: Sequence[Trouble] = (),
    ) -> None:
        self.lengths = lengths
        self._random = random_
        self._trouble = trouble
        self._troubles = list(troubles)
        self.sessions: list[ScriptedSession] = []
        self.starts: list[SessionStart] = []
        self.closed = False

    def prepare(self) -> None:
        """Nothing is slow."""

    def open(self, start: SessionStart) -> ScriptedSession:
        trouble = self._troubles.pop(0) if self._troubles else Trouble()
        if self._random.random() < self._trouble:
            after = self._random.randrange(30 * RATE)
            trouble = self._random.choice(
                [
                    Trouble(dies=after),
                    Trouble(goes_quiet=after),
                    Trouble(fails_to_open=True),
                    Trouble(fails_to_finish=True),
                ]
            )
        if trouble.fails_to_open:
            raise SinkError("REFUSED", "no session today", retryable=True)
        session = ScriptedSession(start, self.lengths, trouble, self._random)
        self.sessions.append(session)
        self.starts.append(start)
        return session

    def close(self) -> None:
        self.closed = True
