"""From Transcribe's results to turns: times of a session to positions, and how far each party is settled.

*How it works.* `SessionClock` knows which position each frame sent had. `SessionResults` takes results as they come. A
partial result replaces the one with its ResultId. A final one becomes a turn, and settles its party to 50 ms behind
its end. Silence settles a party as well: up to 2 s before the newest result of any party, which shows how far
Transcribe has come. If no result comes at all, silence settles up to 12 s before the place that Transcribe has reached
at the pace of a call. A backlog is sent faster than that, and counts for nothing before its time. An open partial
result holds its party 0.5 s before its begin.

An end of the input before the end of the call cuts words in two. A final result close to it is left out then, and its
party stays 0.5 s before its begin.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn, Word
from connect_audio.words.recognizer import Results, SessionStart

BEHIND_FINAL_S: Final = 0.05
"""Audio behind a final result that belongs to it, seconds: a recogniser's ends are a little early."""
BEFORE_OPEN_S: Final = 0.5
"""Audio before an unsettled result that is kept with it, seconds. Its begin may still move; with less, first words were
lost."""
BEHIND_RESULTS_S: Final = 2.0
"""Distance behind the newest result at which no result is silence, seconds."""
BEHIND_PACE_S: Final = 12.0
"""Distance at which no result is silence, seconds behind the audio sent, had it been sent at the pace of a call. A peer
that hangs takes some 5 s of audio at 8 kHz before `send` fails, so a hang is not taken for silence."""
FORCED_S: Final = 0.9
"""Distance from the end of the input within which a final result may have been cut short, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A word or a punctuation mark.

    Args:
        text: as Transcribe wrote it.
        start_s: its begin, seconds of the session.
        end_s: its end.
        is_word: False for punctuation, whose times say nothing.
        confidence: from 0 to 1; None if none was given.
    """

    text: str
    start_s: float
    end_s: float
    is_word: bool
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One result as Transcribe gave it.

    Args:
        result_id: the same for all partial results of an utterance and its final one.
        party: the speaker, known by the channel.
        start_s: its begin, seconds of the session.
        end_s: its end.
        is_partial: True if it may still change.
        text: the whole text.
        items: its words and punctuation.
    """

    result_id: str
    party: Party
    start_s: float
    end_s: float
    is_partial: bool
    text: str
    items: Sequence[Item]


@dataclass(slots=True)
class _Stretch:
    """Audio that was sent in one go: real audio, or zeros that stand at one position.

    Args:
        first: its first frame, counted from the session's first.
        position: position of that frame.
        frames: its length; 0 for zeros that are no part of the recording.
    """

    first: int
    position: int
    frames: int


class SessionClock:
    """Position of each time of a session.

    Args:
        rate: samples a second.
        position: position of the first sample that will be sent.
    """

    def __init__(self, rate: int, position: int) -> None:
        self._rate = rate
        self._stretches = [_Stretch(0, position, 0)]
        self._frames = 0

    @property
    def end(self) -> int:
        """Position behind the audio sent."""
        last = self._stretches[-1]
        return last.position + last.frames

    def sent(self, position: int, frames: int) -> None:
        """Note real audio."""
        last = self._stretches[-1]
        if position == self.end and last.first + last.frames == self._frames:
            last.frames += frames
        else:
            self._stretches.append(_Stretch(self._frames, position, frames))
        self._frames += frames

    def padded(self, frames: int) -> None:
        """Note zeros that are no part of the recording."""
        self._frames += frames

    def position_of(self, seconds: float) -> int:
        """Position of a time; within zeros, that of the audio before them."""
        frame = round(seconds * self._rate)
        stretch = next((each for each in reversed(self._stretches) if each.first <= frame), self._stretches[0])
        return stretch.position + max(0, min(frame - stretch.first, stretch.frames))


@dataclass(slots=True)
class _PartyResults:
    """One party's results.

    Args:
        needed: position from which on its words are wanted.
        settled: position that the last results gave as settled.
        final: position behind its last final turn; `needed` before the first.
        turns: final turns that were not taken yet.
        open: newest partial turn of each ResultId.
        last_final: ResultId of the last final result.
        held: position that it stays before, because of a turn left out; None without.
    """

    needed: int
    settled: int
    final: int
    turns: list[Turn] = field(default_factory=list)
    open: dict[str, Turn] = field(default_factory=dict)
    last_final: str = ""
    held: int | None = None


class SessionResults:
    """The results of one session, not safe for threads.

    Args:
        start: the facts that the session begins with.
        now: monotonic time, seconds.
    """

    def __init__(self, start: SessionStart, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._now = start.rate, now
        first = min(start.needed.values())
        self._clock = SessionClock(start.rate, first)
        self._parties = {
            party: _PartyResults(start.needed[party], start.needed[party], start.needed[party]) for party in PARTIES
        }
        self._shown = first
        # The place of Transcribe if it works at the pace of a call, and the time when that was so.
        self._paced, self._paced_at = first, now()
        self._input_end: int | None = None

    def sent(self, position: int, frames: int) -> None:
        """Note audio that is sent."""
        self._keep_pace()
        self._clock.sent(position, frames)

    def padded(self, frames: int) -> None:
        """Note zeros that were sent and are no part of the recording."""
        self._clock.padded(frames)

    def end_input(self, *, is_call_over: bool) -> None:
        """Note that no audio follows; final results from here on may have been cut short, if the call goes on."""
        self._input_end = None if is_call_over else self._clock.end

    def add(self, results: Iterable[Result]) -> None:
        """Take results."""
        for result in results:
            self._shown = max(self._shown, self._clock.position_of(result.end_s))
            book = self._parties[result.party]
            if result.result_id == book.last_final:
                continue
            turn = self._turn(result, book)
            if result.is_partial:
                if turn is not None:
                    book.open[result.result_id] = turn
                continue
            book.open.clear()
            book.last_final = result.result_id
            end = self._clock.position_of(result.end_s)
            if turn is not None and self._is_cut_short(max(turn.end, end)):
                held = turn.start - self._frames(BEFORE_OPEN_S)
                book.held = held if book.held is None else min(book.held, held)
            elif turn is not None:
                book.turns.append(turn)
                book.final = max(book.final, turn.end)

    def take(self) -> Results:
        """Give what is new."""
        self._keep_pace()
        quiet = max(self._shown - self._frames(BEHIND_RESULTS_S), self._paced - self._frames(BEHIND_PACE_S))
        return self._results(quiet)

    def last(self, *, is_call_over: bool) -> Results:
        """Give what is new, once the answer has come to its end.

        Raises:
            SinkError: the answer ended before its last final results.
        """
        if any(book.open for book in self._parties.values()):
            raise SinkError("INCOMPLETE", "Transcribe ended its answer before the last final result", retryable=True)
        return self._results(self._clock.end - (0 if is_call_over else self._frames(BEHIND_RESULTS_S)))

    def _results(self, quiet: int) -> Results:
        turns: list[Turn] = []
        for book in self._parties.values():
            book.settled = max(book.settled, self._settled(book, quiet))
            turns += book.turns
            book.turns = []
        return Results(
            turns=tuple(turns),
            partials={
                party: min(book.open.values(), key=lambda turn: turn.start)
                for party, book in self._parties.items()
                if book.open
            },
            settled={party: book.settled for party, book in self._parties.items()},
        )

    def _settled(self, book: _PartyResults, quiet: int) -> int:
        begins = [turn.start for turn in book.open.values()]
        limits = [begin - self._frames(BEFORE_OPEN_S) for begin in begins]
        if book.held is not None:
            limits.append(book.held)
        margin = self._frames(BEHIND_FINAL_S) if book.final > book.needed else 0
        behind_final = max(book.final, min(book.final + margin, self._clock.end))
        return max(min([quiet, *limits]), min([behind_final, *(max(book.final, begin) for begin in begins)]))

    def _keep_pace(self) -> None:
        now = self._now()
        self._paced = min(self._clock.end, self._paced + self._frames(now - self._paced_at))
        self._paced_at = now

    def _is_cut_short(self, end: int) -> bool:
        return self._input_end is not None and end > self._input_end - self._frames(FORCED_S)

    def _turn(self, result: Result, book: _PartyResults) -> Turn | None:
        """The turn of a result; None if it says nothing, or nothing that is wanted."""
        floor = max(book.settled, book.final)
        words = [word for word in self._words(result.items) if word.end > book.needed]
        text = result.text.strip()
        if result.items:
            if not words:
                return None
            if len(words) < sum(item.is_word for item in result.items):
                text = " ".join(word.text for word in words)
            start, end = words[0].start, max(word.end for word in words)
        else:
            start, end = (self._clock.position_of(seconds) for seconds in (result.start_s, result.end_s))
            if not text or end <= book.needed:
                return None
        return Turn(
            party=result.party,
            start=max(start, floor),
            end=max(end, floor),
            text=text,
            words=tuple(_not_before(word, floor) for word in words),
        )

    def _words(self, items: Iterable[Item]) -> list[Word]:
        """Words with the punctuation behind each; marks before the first word go to it."""
        words: list[Word] = []
        before = ""
        for item in items:
            if item.is_word:
                start, end = (self._clock.position_of(seconds) for seconds in (item.start_s, item.end_s))
                words.append(
                    Word(text=before + item.text, start=start, end=max(start, end), confidence=item.confidence)
                )
                before = ""
            elif words:
                last = words[-1]
                words[-1] = Word(text=last.text + item.text, start=last.start, end=last.end, confidence=last.confidence)
            else:
                before += item.text
        return words

    def _frames(self, seconds: float) -> int:
        return round(seconds * self._rate)


def _not_before(word: Word, floor: int) -> Word:
    if word.start >= floor:
        return word
    return Word(text=word.text, start=floor, end=max(word.end, floor), confidence=word.confidence)
