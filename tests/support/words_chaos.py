"""A call with live words whose invocations end, or die, at any moment; and the judgement of its words.

The pipeline is the real one, with its state and its tail. The recorder is played: it writes audio ahead, sometimes
other audio than it confirms later, takes frames, and keeps a checkpoint. A kill drops all but checkpoint and store.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.pcm import PARTIES
from connect_audio.core.timeline import Timeline, TimelineState
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import MissingSpan, WordPage, decode_page, page_name
from connect_audio.live import Inline, LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.recorder.publish_words import words_of
from connect_audio.words.live_words import WordsPolicy
from connect_audio.words.words_sink import WordsSink
from support.clock import FakeClock
from support.live_sinks import LOGGER, ORIGIN
from support.scripted_recognizer import RATE, Script, ScriptedRecognizer

NAME = "transcribe"


@dataclass
class PageFolder:
    """Pages in memory; a `put` fails as told.

    Args:
        failures: likelihood that a page is not written.
    """

    random_: random.Random
    failures: float = 0.0
    pages: dict[str, bytes] = field(default_factory=dict)
    puts: list[str] = field(default_factory=list)

    def put(self, name: str, body: bytes, content_type: str) -> None:
        assert content_type == "application/json"
        self.puts.append(name)
        if self.random_.random() < self.failures:
            raise SinkError("SlowDown", name, retryable=True)
        self.pages[name] = body

    def get(self, name: str) -> bytes | None:
        return self.pages.get(name)

    def close(self) -> None:
        """Nothing is held."""

    @property
    def read(self) -> list[WordPage]:
        return [decode_page(number, self.pages[page_name(number)]) for number in range(len(self.pages))]


@dataclass
class Checkpoint:
    """What a kill leaves of the recorder."""

    taken: int
    live: LiveState | None
    tail: bytes


@dataclass
class Outcome:
    """A call's words, and what happened to it."""

    turns: list[Turn]
    missing: list[MissingSpan]
    kills: int
    hand_overs: int
    rewinds: int
    sessions: int
    recognized: int
    dropped: int


class WordsCallUnderFire:
    """One call.

    Args:
        script: what is said.
        random_: source of all that happens.
        trouble: likelihood of a trouble in each session.
        is_corrected: True if audio written ahead is other audio at times.
    """

    def __init__(self, script: Script, random_: random.Random, *, trouble: float, is_corrected: bool) -> None:
        self.script = script
        self.random = random_
        self.store = PageFolder(random_, failures=0.05 if trouble else 0.0)
        self.kills = self.hand_overs = self.rewinds = self.sessions = self.dropped = 0
        self._trouble = trouble
        self._is_corrected = is_corrected
        self._clock = FakeClock(0)
        self._checkpoint = Checkpoint(0, None, b"")
        self._begin()

    def _begin(self) -> None:
        recognizer = ScriptedRecognizer(self.script.lengths, self.random, self._trouble)
        self._recognizer = recognizer
        self._sink = WordsSink(
            recognizer,
            self.store,
            contact_id="contact",
            recording="call.wav",
            language=None,
            logger=LOGGER,
            clock=self._clock,
            policy=WordsPolicy(),
            has_thread=False,
        )
        kept = self._checkpoint
        self._pipeline = LivePipeline(
            [NamedSink.of(NAME, self._sink)],
            LivePolicy(most_tries=4),
            self._clock,
            LOGGER,
            state=kept.live,
            driver=Inline,
            jitter=lambda: 1.0,
        )
        state = (
            TimelineState(rate=RATE, origin=ORIGIN, settled=kept.taken)
            if kept.taken
            else TimelineState(rate=RATE, origin=ORIGIN)
        )
        self._timeline = Timeline(state, taken=kept.taken)
        self._at = kept.taken
        if kept.taken:
            self._pipeline.resume(self._timeline, kept.tail)

    def run(self) -> Outcome:
        while self._at < self.script.frames:
            length = min(round(self.random.uniform(0.3, 3) * RATE), self.script.frames - self._at)
            self._fragment(length)
            if self.random.random() < 0.7:
                self._sink.work()
            happens = self.random.random()
            if happens < 0.05:
                self._kill()
            elif happens < 0.10:
                self._hand_over()
            elif happens < 0.25:
                self._save()
            elif happens < 0.27:
                self._clock.pass_by(12)
        self._timeline.close()
        self._take()
        self._pipeline.end(self._timeline)
        self._pipeline.flush()
        self._pipeline.close()
        self._count(is_killed=False)
        turns, _, missing = words_of(self.store.read, self.script.frames)
        return Outcome(
            turns,
            missing,
            self.kills,
            self.hand_overs,
            self.rewinds,
            self.sessions,
            self.store.read[-1].state.recognized if self.store.pages else 0,
            self.dropped,
        )

    def _fragment(self, length: int) -> None:
        """Audio comes, and the recording decides on it."""
        start, stop = self._at, self._at + length
        if self.random.random() < 0.5:
            is_other = self._is_corrected and self.random.random() < 0.1
            self.rewinds += is_other
            for party in PARTIES:
                self._pipeline.write(
                    [
                        LiveSamples(
                            party,
                            ORIGIN + start,
                            self._other(length) if is_other else self.script.samples(party, start, stop),
                        )
                    ],
                    RATE,
                )
            if self.random.random() < 0.5:
                self._sink.work()
            if self.random.random() < 0.05:
                self._kill()
                return
        self._clock.pass_by(length / RATE)
        placed: list[LiveSamples] = []
        for party in PARTIES:
            for each in self._timeline.place(
                party, ORIGIN + start, self.script.samples(party, start, stop), tick_ns=1_000_000
            ):
                placed += [LiveSamples(each.party, ORIGIN + each.start, each.samples)]
        self._timeline.settle()
        self._pipeline.confirm(self._timeline, placed)
        self._at = stop

    def _other(self, length: int) -> bytes:
        """Another contact's audio."""
        return b"".join(
            self.random.randrange(20_000, 30_000).to_bytes(2, "little") * (RATE // 5)
            for _ in range(1 + 5 * length // RATE)
        )[: 2 * length]

    def _take(self) -> None:
        for _ in self._timeline.take():
            pass

    def _save(self) -> None:
        self._take()
        state, tail = self._pipeline.state(self._timeline.taken)
        self._checkpoint = Checkpoint(self._timeline.taken, state, tail)

    def _count(self, *, is_killed: bool) -> None:
        """Count what this invocation did; a kill's losses stand in no state that comes after it."""
        self.sessions += len(self._recognizer.sessions)
        state, _ = self._pipeline.state(self._timeline.taken)
        before = self._checkpoint.live if is_killed else None
        self.dropped += state.sinks[NAME].counts.dropped_frames
        self.dropped -= 0 if before is None else before.sinks[NAME].counts.dropped_frames

    def _kill(self) -> None:
        self.kills += 1
        self._count(is_killed=True)
        self._begin()

    def _hand_over(self) -> None:
        self.hand_overs += 1
        self._pipeline.flush()
        self._pipeline.close()
        self.sessions += len(self._recognizer.sessions)
        self._save()
        self._begin()


def faults(script: Script, outcome: Outcome) -> list[str]:
    """Everything that is wrong with a call's words; empty for a call whose words are exact."""
    found: list[str] = []
    for party in PARTIES:
        mine = [turn for turn in outcome.turns if turn.party is party]
        heard = [word for turn in sorted(mine, key=lambda turn: turn.start) for word in turn.words]
        spans = [span for span in outcome.missing if span.party is party]
        texts = Counter(word.text for word in heard)
        order = [word.start for word in heard]
        if order != sorted(order):
            found.append(f"{party}: words are out of order")
        for first, second in pairwise(mine):
            if second.start < first.end and second.end > first.start:
                found.append(f"{party}: two turns overlap at {first.start}")
        said = {f"{word.value}": word for word in script.words if word.party is party}
        for word in said.values():
            excused = any(span.start < word.end and span.end > word.start for span in spans)
            count = texts.pop(f"{word.value}", 0)
            cut = texts.pop(f"{word.value}?", 0)
            if count > 1 or count + cut > 1:
                found.append(f"{party}: {word.value} stands {count + cut} times")
            if count != 1 and not excused:
                found.append(
                    f"{party}: {word.value} at {word.start} is {'cut' if cut else 'lost'}, and nothing says so"
                )
        if texts:
            found.append(f"{party}: nobody said {sorted(texts)}")
        times = {word.text: (word.start, word.end) for word in heard}
        if any(times[text] != (said[text].start, said[text].end) for text in times if text in said):
            found.append(f"{party}: a word has another time")
        missing = sum(span.end - span.start for span in spans)
        if missing > outcome.dropped + outcome.rewinds * 3 * RATE:
            found.append(f"{party}: {missing} frames are missing, but only {outcome.dropped} were dropped")
    return found
