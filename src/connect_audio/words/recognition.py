"""Hands a call's audio to a recognizer, session by session, and takes its words into the ledger.

*How it works.* A session begins at the least position that a party still needs. The settled audio of the other party
is handed on as zeros. Silence opens no session: its newest second is held, so that a word's onset is not lost, and the
audio before it is settled. These end a session:

- its failure: `recognize` raises, and the audio from the least position on is to be delivered again;
- dropped audio: the session's last words are taken, and the span without audio is missing;
- long silence, or an old age in any silence: nothing can be cut, so all its words are taken;
- a pause without deliveries, a very old age, a hand-over: a turn may be cut short, so its audio is needed again.

`recognize` and `finish` belong to one thread at a time, `take` may come from another. The lock guards session and
ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from zlib import crc32

import audioop

from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import MissingReason, NumberedTurn
from connect_audio.ports import Clock
from connect_audio.words.live_words import WordsPolicy
from connect_audio.words.recognizer import RecognitionSession, Recognizer, Results, SessionStart
from connect_audio.words.word_ledger import WordLedger

_QUIET_S: Final = 1.0
"""Silence that is held before the first sound, and in which an old session may end, seconds. A pause within words is
shorter."""


class _Open:
    """A session under way.

    Args:
        session: the recognizer's.
        begin: position of its first frame.
        needed: position from which on each party's words are wanted.
        opened_at: monotonic seconds.
    """

    def __init__(self, session: RecognitionSession, begin: int, needed: Mapping[Party, int], opened_at: float) -> None:
        self.session = session
        self.needed = needed
        self.opened_at = opened_at
        self.received = begin
        self.last_sound = begin
        self.last_progress = begin


class Recognition:
    """One call's audio on its way to the recognizer, in one invocation.

    Args:
        recognizer: opens the sessions.
        ledger: the account of the words.
        policy: durations and limits.
        clock: measures.
        lock: guards session and ledger.
        notify: to be called by the sessions once they have results.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        ledger: WordLedger,
        policy: WordsPolicy,
        clock: Clock,
        lock: threading.RLock,
        notify: Callable[[], None],
    ) -> None:
        self._recognizer = recognizer
        self._ledger = ledger
        self._policy = policy
        self._clock = clock
        self._lock = lock
        self._notify = notify
        self._open: _Open | None = None
        self._failure: SinkError | None = None
        self._held: list[LiveSegment] = []  # silent, one behind the other
        self.partials: Mapping[Party, Turn] = {}
        """The turns of the session that are not final yet, as they read now; another object after each change."""
        self._delivered_at = clock.monotonic()

    # The audio's side.

    def changed_by(self, segment: LiveSegment) -> list[NumberedTurn] | None:
        """Take back the words from a segment on, if other audio was in its place before.

        Returns:
            The turns that are no more; None if the audio is new or the same.

        Raises:
            SinkError: an older page cannot be read.
        """
        ledger, number = self._ledger, segment.number
        crc = 0
        for party in PARTIES:
            crc = crc32(segment.samples[party], crc)
        with self._lock:
            if not ledger.check(number, crc):
                return None
            self._drop()
            self._failure = None
            self._held = []
            removed = ledger.take_back(number, segment.position)
            ledger.check(number, crc)
            return removed

    def recognize(self, segment: LiveSegment) -> None:
        """Hand a segment to the recognizer.

        Raises:
            SinkError: the recognizer's, with the position from which on the audio is needed again.
        """
        self._delivered_at = self._clock.monotonic()
        start, stop = segment.position, segment.position + segment.length
        with self._lock:
            failure, self._failure = self._failure, None
            if failure is not None and self._ledger.least < stop:
                raise self._again(failure)
            self._ledger.state.ended = False
        opened = self._open
        if opened is not None and start > opened.received:
            self._pass_over(start)
        if opened is not None and self._is_limit_reached(segment.rate):
            self._end_quietly()
        is_silent = self._is_silent(segment)
        if opened is not None and is_silent and self._age_s(opened) >= self._policy.rotation:
            quiet = stop - opened.last_sound
            if quiet >= _QUIET_S * segment.rate:
                self._end_quietly()
        if self._open is None and not self._begin(segment, is_silent=is_silent):
            return
        self._hand_on(segment)
        opened = self._open
        if opened is None:
            return
        if not is_silent:
            opened.last_sound = max(opened.last_sound, stop)
        elif stop - opened.last_sound >= self._policy.silence * segment.rate:
            self._end_quietly()
        self._check_age(segment.rate)

    def _pass_over(self, position: int) -> None:
        """Go on behind audio that was dropped."""
        self._end_quietly()
        with self._lock:
            self._ledger.miss(position, MissingReason.DROPPED)

    def _end_quietly(self) -> None:
        """End the session where nothing is cut, or where what is cut never comes again."""
        try:
            self.finish(is_call_over=True, timeout_s=self._policy.hand_over)
        except SinkError as error:
            raise self._again(error) from error

    def _is_limit_reached(self, rate: int) -> bool:
        minutes = self._policy.maximum_minutes
        return minutes is not None and self._ledger.state.recognized >= minutes * 60 * rate

    def _is_silent(self, segment: LiveSegment) -> bool:
        peak = max(audioop.max(samples, SAMPLE_BYTES) for samples in segment.samples.values())
        return peak <= self._policy.silent_peak

    def _age_s(self, opened: _Open) -> float:
        return self._clock.monotonic() - opened.opened_at

    def _begin(self, segment: LiveSegment, *, is_silent: bool) -> bool:
        """Begin a session with a segment, or with the held one before it; return True if there is one now."""
        ledger, start, stop = self._ledger, segment.position, segment.position + segment.length
        with self._lock:
            if ledger.least >= stop:
                return False
            if self._is_limit_reached(segment.rate):
                ledger.miss(stop, MissingReason.LIMIT)
                return False
            held = self._held = self._held_before(start)
            known_from = held[0].position if held else start
            if ledger.least < known_from:
                ledger.miss(known_from, MissingReason.DROPPED)
            if is_silent:
                self._hold(segment)
                return False
            begin, needed = ledger.least, dict(ledger.needed)
        notify = self._notify
        session = self._recognizer.open(SessionStart(rate=segment.rate, needed=needed, notify=notify))
        with self._lock:
            self._open = _Open(session, begin, needed, self._clock.monotonic())
            self._held = []
        for each in held:
            self._hand_on(each)
        return self._open is not None

    def _held_before(self, position: int) -> list[LiveSegment]:
        """The held segments that lead up to a position. Silence before dropped audio is settled."""
        held = [each for each in self._held if each.position < position]
        if held and (end := held[-1].position + held[-1].length) != position:
            self._settle(end)
            return []
        return held

    def _hold(self, segment: LiveSegment) -> None:
        """Hold a silent segment, and settle the audio before the newest second of silence."""
        held = [*self._held, segment]
        stop = segment.position + segment.length
        while len(held) > 1 and stop - held[1].position >= _QUIET_S * segment.rate:
            del held[0]
        self._held = held
        self._settle(held[0].position)

    def _hand_on(self, segment: LiveSegment) -> None:
        opened = self._open
        stop = segment.position + segment.length
        if opened is None or stop <= opened.received:
            return
        position = max(segment.position, opened.received)
        samples = {
            party: _masked(segment.samples[party], segment.position, position, opened.needed[party])
            for party in PARTIES
        }
        try:
            opened.session.receive(position, samples)
        except BaseException as error:
            with self._lock:
                self._drop()
                failure, self._failure = self._failure, None
            if isinstance(error, Exception):
                raise self._again(failure or error) from error
            raise
        with self._lock:
            opened.received = stop
            self._ledger.state.recognized += stop - position

    def _check_age(self, rate: int) -> None:
        opened = self._open
        if opened is None:
            return
        if opened.received - opened.last_progress > self._policy.stall * rate:
            with self._lock:
                self._drop()
            raise self._again(SinkError("STALLED", "the session gives no results any more", retryable=True))
        if self._age_s(opened) >= self._policy.longest_session:
            self._end_and_repeat()

    def _end_and_repeat(self) -> None:
        """End the session in the midst of words; what this cuts is wanted again with the next delivery."""
        try:
            self.finish(is_call_over=False, timeout_s=self._policy.hand_over)
        except SinkError as error:
            self._failure = self._again(error)

    def _again(self, error: Exception) -> SinkError:
        """The error, with the position from which on the audio is needed again."""
        least = self._ledger.least
        if isinstance(error, SinkError):
            text = str(error).removeprefix(f"{error.code}: ")
            return SinkError(error.code, text, retryable=error.retryable, resend_from=least, is_fatal=error.is_fatal)
        kind = type(error).__name__
        return SinkError(kind, "the recognizer raised an exception of its own", retryable=False, resend_from=least)

    # The words' side.

    def take(self) -> None:
        """Take what the session has recognized. A failure is raised by the next `recognize`."""
        with self._lock:
            opened = self._open
            if opened is None:
                return
            try:
                self._apply(opened, opened.session.results())
            except Exception as error:  # noqa: BLE001 - it is raised where the driver can count it
                self._drop()
                self._failure = self._again(error)

    def end_if_idle(self) -> None:
        """End the session if nothing has been delivered for long: it costs money, and would end by itself."""
        opened = self._open
        if opened is not None and self._clock.monotonic() - self._delivered_at >= self._policy.idle:
            self._end_and_repeat()

    def finish(self, *, is_call_over: bool, timeout_s: float) -> None:
        """End the session, and take its last words.

        Args:
            is_call_over: True to take all words, also a turn that the end of the audio cuts short.
            timeout_s: longest wait, seconds.

        Raises:
            SinkError: the session has failed, or did not end in time.
        """
        with self._lock:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            opened = self._open
            if opened is None:
                return
            try:
                self._apply(opened, opened.session.finish(is_call_over=is_call_over, timeout_s=timeout_s))
            except Exception as error:
                raise self._again(error) from error
            finally:
                self._drop()
            if is_call_over or self._ledger.least >= opened.last_sound:
                self._settle(opened.received)
            elif self._ledger.least < opened.received:
                text = "the session has ended before a turn was whole"
                self._failure = self._again(SinkError("SESSION_ENDED", text, retryable=True))

    def end(self, frames: int, timeout_s: float) -> list[NumberedTurn]:
        """Take the call's last words, and account for what lacks.

        Args:
            frames: length of the recording.
            timeout_s: longest wait, seconds.

        Returns:
            Turns that lie beyond the recording, and are taken back.

        Raises:
            SinkError: the session has failed, or did not end in time.
        """
        self.finish(is_call_over=True, timeout_s=timeout_s)
        with self._lock:
            held, ledger = self._held, self._ledger
            if held:
                self._settle(min(held[-1].position + held[-1].length, frames))
            removed = ledger.cut(frames)
            ledger.miss(frames, MissingReason.DROPPED)
            ledger.state.ended = True
            return removed

    def interrupt(self) -> None:
        """Make the session's call under way fail soon."""
        opened = self._open
        if opened is not None:
            opened.session.interrupt()

    def close(self) -> None:
        """Close the session, if there is one."""
        with self._lock:
            self._drop()

    def _apply(self, opened: _Open, results: Results) -> None:
        before = self._ledger.least
        for turn in results.turns:
            self._ledger.add(turn if turn.end <= opened.received else _cut_to(turn, opened.received))
        for party, position in results.settled.items():
            self._ledger.settle(party, min(position, opened.received))
        self.partials = results.partials
        if self._ledger.least > before:
            opened.last_progress = opened.received

    def _settle(self, position: int) -> None:
        for party in PARTIES:
            self._ledger.settle(party, position)

    def _drop(self) -> None:
        opened, self._open = self._open, None
        self.partials = {}
        if opened is not None:
            opened.session.close()


def _masked(samples: bytes, start: int, position: int, needed: int) -> bytes:
    """The samples from a position on, as zeros up to where a party's words are needed.

    Args:
        samples: samples of one party.
        start: position of the first.
        position: position of the first that is wanted.
        needed: position before which zeros are handed on.
    """
    wanted = samples[SAMPLE_BYTES * (position - start) :]
    zeros = min(len(wanted), SAMPLE_BYTES * max(0, needed - position))
    return bytes(zeros) + wanted[zeros:] if zeros else wanted


def _cut_to(turn: Turn, end: int) -> Turn:
    """A turn that ends with the audio: recognizers round."""
    words = tuple(replace(word, start=min(word.start, end), end=min(word.end, end)) for word in turn.words)
    return replace(turn, start=min(turn.start, end), end=end, words=words)
