"""The sink of words, rule by rule: when a session begins and ends, what is stored when, and what is missing."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import pytest

from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import SinkError
from connect_audio.core.live_audio import LiveSegment
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import MissingReason, NumberedTurn, WordsCall, valid_turns
from connect_audio.ports import Clock
from connect_audio.recorder.publish_words import words_of
from connect_audio.sinks import LiveEnd
from connect_audio.words.live_words import WordsPolicy
from connect_audio.words.words_sink import SEGMENT_S, WordsSink
from support.clock import FakeClock
from support.live_sinks import LOGGER
from support.log_lines import LogLines
from support.scripted_recognizer import RATE, Script, ScriptedRecognizer, Spoken, Trouble
from support.words_chaos import PageFolder
from support.words_sinks import words_sink

C, A = Party.CUSTOMER, Party.AGENT
SHORT = round(SEGMENT_S * RATE)


def word(party: Party, value: int, start_s: float, seconds: float = 0.5) -> Spoken:
    return Spoken(party, value, round(start_s * RATE), round((start_s + seconds) * RATE))


@dataclass
class Listener:
    """Keeps what it gets; refuses as told."""

    refusals: int = 0
    said: list[tuple[int, str]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    heard: list[dict[Party, str]] = field(default_factory=list)
    closed: int = 0
    dropped: int = 0

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise SinkError("ThrottlingException", "no", retryable=True)
        assert call.contact_id == "contact"
        self.said += [(each.number, each.turn.text) for each in turns]

    def taken_back(self, call: WordsCall, numbers: Sequence[int]) -> None:
        assert call.contact_id == "contact"
        self.gone += numbers

    def partials(self, call: WordsCall, turns: Mapping[Party, Turn]) -> None:
        assert call.contact_id == "contact"
        self.heard.append({party: turn.text for party, turn in turns.items()})

    def close(self) -> None:
        self.closed += 1


class Talk:
    """A call into a sink, second by second."""

    def __init__(
        self,
        *words: Spoken,
        seconds: int,
        troubles: Sequence[Trouble] = (),
        policy: WordsPolicy | None = None,
        store: PageFolder | None = None,
    ) -> None:
        self.script = Script(list(words), seconds * RATE)
        self.clock = FakeClock(0)
        self.store = store or PageFolder(random.Random(0))
        self.troubles = list(troubles)
        self.policy = policy or WordsPolicy()
        self.listener = Listener()
        self.log = LogLines()
        self.begin()

    def begin(self) -> None:
        """A new invocation."""
        self.recognizer = ScriptedRecognizer(self.script.lengths, random.Random(1), troubles=self.troubles)
        self.sink = WordsSink(
            self.recognizer,
            self.store,
            contact_id="contact",
            recording="call.wav",
            language=None,
            logger=self.log,
            clock=self.clock,
            policy=self.policy,
            listener=self.listener,
            has_thread=False,
        )

    def segment(self, number: int, length: int = RATE) -> LiveSegment:
        start, stop = number * length, min((number + 1) * length, self.script.frames)
        samples = {party: self.script.samples(party, start, stop) for party in PARTIES}
        return LiveSegment(
            number=number,
            position=start,
            start=start,
            rate=RATE,
            samples=samples,
            before=dict.fromkeys(PARTIES, b"\0\0"),
        )

    def deliver(self, first: int, stop: int) -> None:
        """Deliver the segments from a number up to another one at the pace of a call."""
        for number in range(first, stop):
            self.sink.deliver_segment(self.segment(number))
            self.clock.pass_by(1)
            self.sink.work()

    def deliver_short(self, first_s: float, stop_s: float) -> None:
        """Deliver the sink's own, short segments from a time to another one."""
        for number in range(round(first_s / SEGMENT_S), math.ceil(round(stop_s / SEGMENT_S, 3))):
            self.sink.deliver_segment(self.segment(number, SHORT))
            self.clock.pass_by(SEGMENT_S)
            self.sink.work()

    def end(self) -> None:
        self.sink.end(LiveEnd(frames=self.script.frames, origin=0, rate=RATE))

    def is_closed(self, session: int) -> bool:
        return self.recognizer.sessions[session].closed

    @property
    def texts(self) -> list[str]:
        return [each.turn.text for each in valid_turns(self.store.read)]

    @property
    def missing(self) -> list[tuple[float, float, MissingReason]]:
        """The spans that the customer lacks, seconds."""
        _, _, spans = words_of(self.store.read, self.script.frames)
        return [(span.start / RATE, span.end / RATE, span.reason) for span in spans if span.party is C]


def test_silence_opens_no_session_and_the_second_before_the_first_sound_goes_with_it() -> None:
    talk = Talk(word(C, 1000, 20.01), seconds=30)
    talk.deliver(0, 20)
    assert talk.recognizer.starts == []
    assert talk.sink.settled is not None
    assert talk.sink.settled >= 14 * RATE
    talk.deliver(20, 30)
    talk.end()
    (start,) = talk.recognizer.starts
    assert dict(start.needed) == {C: 19 * RATE, A: 19 * RATE}
    assert (talk.texts, talk.missing) == (["1000"], [])


def test_of_short_silent_segments_the_newest_second_goes_with_the_first_sound() -> None:
    at_s = 80 * SEGMENT_S  # at the begin of a segment
    talk = Talk(word(C, 1000, at_s), seconds=30)
    talk.deliver_short(0, at_s)
    assert talk.recognizer.starts == []
    talk.deliver_short(at_s, 30)
    (start,) = talk.recognizer.starts
    # Four segments are more than a second, three are less.
    assert start.needed == dict.fromkeys(PARTIES, 76 * SHORT)
    assert talk.recognizer.sessions[0].received == talk.script.frames - 76 * SHORT
    talk.end()
    assert talk.texts == ["1000"]
    assert talk.missing == []


@pytest.mark.parametrize("back", [1, 3, 4])
def test_short_silent_segments_that_come_again_cost_no_audio(back: int) -> None:
    at_s = 80 * SEGMENT_S
    talk = Talk(word(C, 1000, at_s), seconds=30)
    talk.deliver_short(0, at_s)
    talk.deliver_short(at_s - back * SEGMENT_S, 30)
    talk.end()
    assert talk.texts == ["1000"]
    assert talk.missing == []
    assert talk.recognizer.starts[0].needed == dict.fromkeys(PARTIES, 76 * SHORT)


def test_short_silent_segments_before_dropped_audio_lack_no_words() -> None:
    talk = Talk(word(C, 1000, 20), seconds=30)
    talk.deliver_short(0, 10.24)
    talk.deliver_short(12.8, 30)
    talk.end()
    assert talk.texts == ["1000"]
    assert talk.missing == [(10.24, 12.8, MissingReason.DROPPED)]


def test_an_old_session_ends_in_no_pause_between_two_words() -> None:
    each_s = 4 * SEGMENT_S  # a word, and two silent segments and more
    words = [word(C, 1000 + number, 1 + number * each_s, 0.3) for number in range(20)]
    talk = Talk(*words, seconds=60, policy=WordsPolicy(rotation=5))
    talk.deliver_short(0, 21)
    assert not talk.is_closed(0)
    talk.deliver_short(21, 60)
    assert talk.is_closed(0)
    talk.end()
    assert " ".join(talk.texts).split() == [str(1000 + number) for number in range(20)]


def test_the_last_segment_of_a_fragment_ends_with_the_fragment() -> None:
    for rate in (8000, 16_000, 48_000):
        assert (1024 * rate // 1000) % round(SEGMENT_S * rate) == 0


def test_a_minute_of_silence_ends_the_session_and_the_next_sound_begins_one() -> None:
    talk = Talk(word(C, 1000, 1), word(A, 1001, 100), seconds=110)
    talk.deliver(0, 61)
    assert not talk.is_closed(0)
    talk.deliver(61, 63)
    assert talk.is_closed(0)
    talk.deliver(63, 110)
    talk.end()
    assert len(talk.recognizer.sessions) == 2
    assert (talk.texts, talk.missing) == (["1000", "1001"], [])


def test_a_pause_without_deliveries_ends_the_session_and_a_cut_turn_is_asked_for_again() -> None:
    talk = Talk(word(C, 1000, 1), word(C, 1001, 4.6, 0.8), seconds=12)
    talk.deliver(0, 5)
    talk.clock.pass_by(10)
    talk.sink.work()
    assert talk.is_closed(0)
    with pytest.raises(SinkError) as caught:
        talk.sink.deliver_segment(talk.segment(5))
    assert (caught.value.code, caught.value.retryable) == ("SESSION_ENDED", True)
    again = caught.value.resend_from
    assert again is not None
    assert again <= 4.6 * RATE
    talk.deliver(again // RATE, 12)
    talk.end()
    assert (talk.texts, talk.missing) == (["1000", "1001"], [])


def test_an_old_session_ends_in_the_next_silence() -> None:
    talk = Talk(*(word(C, 1000 + at, at, 0.9) for at in range(6)), word(C, 1010, 8), seconds=12)
    talk.deliver(0, 2)
    talk.clock.pass_by(13_800)
    talk.deliver(2, 6)
    assert not talk.is_closed(0)
    talk.deliver(6, 12)
    assert talk.is_closed(0)
    talk.end()
    assert len(talk.recognizer.sessions) == 2
    assert " ".join(talk.texts) == "1000 1001 1002 1003 1004 1005 1010"
    assert talk.missing == []


def test_beyond_the_limit_nothing_is_recognized_and_the_span_says_so() -> None:
    talk = Talk(*(word(C, 1000 + at, 2 * at) for at in range(60)), seconds=120, policy=WordsPolicy(maximum_minutes=1))
    talk.deliver(0, 120)
    talk.end()
    assert sum(each.received for each in talk.recognizer.sessions) == 60 * RATE
    assert " ".join(talk.texts) == " ".join(str(1000 + at) for at in range(30))
    assert talk.missing == [(60.0, 120.0, MissingReason.LIMIT)]


def test_the_limit_holds_over_all_invocations() -> None:
    talk = Talk(*(word(C, 1000 + at, 2 * at) for at in range(60)), seconds=120, policy=WordsPolicy(maximum_minutes=1))
    talk.deliver(0, 50)
    talk.sink.close()
    heard = talk.store.read[-1].state.recognized
    talk.begin()
    assert talk.sink.recognized == 0
    talk.deliver(40, 120)
    assert talk.sink.recognized == 60 * RATE
    talk.end()
    assert heard == 50 * RATE
    assert sum(each.received for each in talk.recognizer.sessions) == 10 * RATE


def test_a_session_that_gives_nothing_of_a_minute_of_speech_has_failed() -> None:
    talk = Talk(
        *(word(C, 1000 + at, 2 * at) for at in range(60)), seconds=120, troubles=[Trouble(goes_quiet=10 * RATE)]
    )
    with pytest.raises(SinkError) as caught:
        talk.deliver(0, 120)
    assert (caught.value.code, caught.value.retryable) == ("STALLED", True)
    assert caught.value.resend_from is not None
    talk.deliver(caught.value.resend_from // RATE, 120)
    talk.end()
    assert " ".join(talk.texts) == " ".join(str(1000 + at) for at in range(60))


def test_the_settled_party_is_handed_on_as_zeros() -> None:
    talk = Talk(word(C, 1000, 1, 6.8), word(A, 1001, 1), word(A, 1002, 7), seconds=20)
    talk.deliver(0, 6)
    talk.sink.close()
    settled = talk.store.read[-1].state.settled
    assert settled[C] < 1 * RATE < settled[A]
    talk.begin()
    talk.deliver(0, 20)
    talk.end()
    assert sorted(talk.texts) == ["1000", "1001", "1002"]


def test_a_position_is_settled_only_once_its_words_are_stored() -> None:
    talk = Talk(word(C, 1000, 1), seconds=20)
    talk.deliver(0, 1)
    talk.store.failures = 1.0
    talk.deliver(1, 9)
    assert (talk.sink.settled, talk.store.pages) == (0, {})
    talk.store.failures = 0.0
    talk.deliver(9, 12)
    assert talk.texts == ["1000"]
    assert talk.sink.settled is not None
    assert talk.sink.settled > 1.5 * RATE


def test_a_page_that_is_not_written_is_tried_again_after_a_pause() -> None:
    talk = Talk(word(C, 1000, 1), seconds=20)
    talk.store.failures = 1.0
    for number in range(8):
        talk.sink.deliver_segment(talk.segment(number))
    for _ in range(30):
        talk.sink.work()
        talk.clock.pass_by(0.1)
    assert 0 < len(talk.store.puts) <= 2
    talk.store.failures = 0.0
    talk.clock.pass_by(2)
    talk.sink.work()
    assert talk.texts == ["1000"]


def test_pages_of_another_call_stay_as_they_are() -> None:
    first = Talk(word(C, 1000, 1), seconds=10)
    first.deliver(0, 10)
    first.end()
    before = dict(first.store.pages)
    other = Talk(word(C, 1000, 1), seconds=10, store=first.store)
    other.sink = WordsSink(
        other.recognizer,
        first.store,
        contact_id="another",
        recording="call.wav",
        language=None,
        logger=LOGGER,
        clock=other.clock,
        has_thread=False,
    )
    with pytest.raises(SinkError) as caught:
        other.deliver(0, 1)
    assert (caught.value.code, caught.value.retryable) == ("FOREIGN_WORDS", False)
    assert first.store.pages == before


def test_partial_turns_come_as_they_change_and_an_invocation_closes_its_listener() -> None:
    talk = Talk(word(C, 1000, 1, 4), word(A, 1001, 2, 1), seconds=20)
    talk.deliver(0, 20)
    # The scripted recognizer gives words as partial from their end on, until their pause is long enough.
    assert [each for each in talk.listener.heard if each] == [{A: "1001"}, {A: "1001", C: "1000"}, {C: "1000"}]
    assert talk.listener.heard[-1] == {}
    assert all(one != two for one, two in pairwise(talk.listener.heard))
    assert (len(talk.listener.said), talk.listener.closed) == (2, 0)
    talk.sink.close()
    assert talk.listener.closed == 1


def test_other_audio_in_the_place_of_a_segment_takes_its_words_back() -> None:
    talk = Talk(word(C, 1000, 1), word(C, 1001, 3), seconds=20)
    talk.deliver(0, 10)
    assert talk.texts == ["1000", "1001"]
    talk.script.words = [word(C, 1000, 1), word(A, 1002, 3.5)]
    talk.recognizer.lengths[1002] = RATE // 2
    talk.deliver(3, 20)
    talk.end()
    assert talk.texts == ["1000", "1002"]
    assert talk.listener.gone == [1]
    assert talk.missing == []


def test_words_beyond_the_end_of_the_recording_are_taken_back() -> None:
    talk = Talk(word(C, 1000, 1), word(C, 1001, 6), seconds=14)
    talk.deliver(0, 14)
    assert talk.texts == ["1000", "1001"]
    talk.script.frames = 5 * RATE
    talk.end()
    assert (talk.texts, talk.missing, talk.listener.gone) == (["1000"], [], [])
    talk.sink.close()
    assert talk.listener.gone == [1]


def test_turns_are_told_once_they_are_stored_and_again_if_they_were_not_taken() -> None:
    talk = Talk(word(C, 1000, 1), seconds=20)
    talk.listener.refusals = 1
    talk.store.failures = 1.0
    talk.deliver(0, 8)
    assert talk.listener.refusals == 1
    talk.store.failures = 0.0
    talk.deliver(8, 14)
    assert talk.listener.said == [(0, "1000")]


def test_turns_that_no_reader_takes_up_to_the_call_s_end_are_counted_and_the_log_says_why() -> None:
    talk = Talk(word(C, 1000, 1), word(C, 1001, 6), seconds=20)
    talk.listener.refusals = 1000
    talk.deliver(0, 20)
    talk.end()
    assert talk.sink.dropped_messages == 0  # the last chance is at the end
    talk.sink.close()
    assert talk.sink.dropped_messages == 2
    refused = ("warning", {"code": "ThrottlingException", "retryable": True})
    assert talk.log.of("words not handed to their reader: tried again") == [refused]


def test_turns_that_wait_for_their_reader_at_a_hand_over_come_in_the_next_invocation_and_are_not_counted() -> None:
    talk = Talk(word(C, 1000, 1), seconds=20)
    talk.listener.refusals = 1000
    talk.deliver(0, 12)
    talk.sink.close()
    assert talk.sink.dropped_messages == 0
    talk.listener.refusals = 0
    talk.begin()
    talk.deliver(12, 20)
    assert talk.listener.said == [(0, "1000")]


def long_talk() -> Talk:
    """A call of 240 turns, on five pages."""
    return Talk(*(word(C, 1000 + number, 1 + 2 * number) for number in range(240)), seconds=490)


def test_turns_of_many_pages_come_once_their_reader_takes_them_again_some_at_a_time() -> None:
    talk = long_talk()
    talk.listener.refusals = 1000
    talk.deliver(0, 400)
    talk.sink.close()
    settled = talk.sink.settled
    assert settled is not None
    talk.begin()  # another invocation reads them back
    talk.listener.refusals = 0
    at_once: list[int] = []
    for number in range(settled // RATE, 490):
        before = len(talk.listener.said)
        talk.deliver(number, number + 1)
        at_once.append(len(talk.listener.said) - before)
    talk.end()
    talk.sink.close()
    assert talk.listener.said == [(number, str(1000 + number)) for number in range(240)]
    assert max(at_once) == 20
    assert talk.sink.dropped_messages == 0


def test_of_too_many_turns_without_a_reader_the_oldest_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connect_audio.words.word_ledger._UNTOLD_PAGES", 3)
    talk = long_talk()
    talk.listener.refusals = 1000
    talk.deliver(0, 480)
    talk.listener.refusals = 0
    talk.deliver(480, 490)
    talk.end()
    talk.sink.close()
    assert talk.listener.said == [(number, str(1000 + number)) for number in range(100, 240)]
    assert talk.sink.dropped_messages == 100


def test_a_reader_s_own_losses_are_counted_too() -> None:
    talk = Talk(word(C, 1000, 1), seconds=20)
    talk.listener.dropped = 3
    assert talk.sink.dropped_messages == 3


def test_a_page_that_is_not_stored_has_one_line_in_the_log() -> None:
    talk = Talk(word(C, 1000, 1), seconds=20)
    talk.store.failures = 1.0
    talk.deliver(0, 15)
    ((level, told),) = talk.log.of("words not stored: tried again")
    assert (level, told["retryable"]) == ("warning", True)
    assert len(talk.log.lines) == 1


def test_a_kill_before_the_words_are_told_has_the_next_invocation_tell_them() -> None:
    talk = Talk(word(C, 1000, 1), seconds=20)
    talk.listener.refusals = 1000
    talk.deliver(0, 9)
    assert talk.texts == ["1000"]
    talk.listener.refusals = 0
    talk.begin()
    talk.deliver(0, 9)
    assert talk.listener.said == [(0, "1000")]


def test_an_exception_of_the_recognizer_tells_its_kind_and_no_words() -> None:
    talk = Talk(word(C, 1000, 1), seconds=20)
    talk.deliver(0, 3)

    talk.recognizer.sessions[0].bug = KeyError("secret words")
    with pytest.raises(SinkError) as caught:
        talk.sink.deliver_segment(talk.segment(3))
    assert (caught.value.code, caught.value.retryable) == ("KeyError", False)
    assert "secret" not in str(caught.value)
    assert talk.is_closed(0)


def wait_for(condition: Callable[[], bool]) -> None:
    waiter = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waiter.wait(0.01)
    raise AssertionError("it never happens")


def test_the_thread_stores_words_that_come_between_two_deliveries_and_ends_with_the_sink() -> None:
    script = Script([word(C, 1000, 0.1)], 10 * RATE)
    talk = Talk(word(C, 1000, 0.1), seconds=10)
    clock: Clock = SystemClock()
    recognizer = ScriptedRecognizer(script.lengths, random.Random(1))
    sink = WordsSink(
        recognizer, talk.store, contact_id="contact", recording="call.wav", language=None, clock=clock, logger=LOGGER
    )
    sink.prepare()
    for number in range(7):
        sink.deliver_segment(talk.segment(number))
    wait_for(lambda: talk.texts == ["1000"])
    assert any(thread.name == "words" for thread in threading.enumerate())
    sink.close()
    assert not any(thread.name == "words" for thread in threading.enumerate())
    assert recognizer.closed


class Closing(PageFolder):
    """Notes that it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class BrokenListener(Listener):
    """Has a bug, whose exception holds words."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:  # noqa: ARG002 - the port's names
        raise self.error


def broken(error: BaseException) -> tuple[WordsSink, ScriptedRecognizer, Closing, Talk]:
    """A sink of which the thread has failed; its pages have the first turn."""
    talk, store = Talk(word(C, 1000, 0.1), seconds=10), Closing(random.Random(0))
    recognizer = ScriptedRecognizer(talk.script.lengths, random.Random(1))
    sink = words_sink(recognizer, store, listener=BrokenListener(error))
    for number in range(7):
        sink.deliver_segment(talk.segment(number))
    wait_for(lambda: not any(thread.name == "words" for thread in threading.enumerate()))
    return sink, recognizer, store, talk


@pytest.mark.parametrize("error", [KeyError("secret words"), SystemExit("secret words")])
@pytest.mark.parametrize("is_end", [False, True])
def test_an_exception_in_the_thread_comes_out_of_the_next_call_as_the_end_of_the_sink(
    error: BaseException, *, is_end: bool
) -> None:
    sink, recognizer, store, talk = broken(error)
    end = partial(sink.end, LiveEnd(frames=talk.script.frames, origin=0, rate=RATE))
    with pytest.raises(SinkError) as caught:
        (end if is_end else partial(sink.deliver_segment, talk.segment(7)))()
    assert (caught.value.code, caught.value.retryable, caught.value.is_fatal) == (type(error).__name__, False, True)
    assert "secret" not in str(caught.value)
    with pytest.raises(type(error)):
        sink.close()  # what it tried once more
    assert (recognizer.closed, store.closed) == (True, True)


def test_a_thread_s_exception_that_no_call_has_told_comes_out_of_close() -> None:
    sink, recognizer, store, _ = broken(KeyError("secret words"))
    sink._pages._listener.error = SinkError("BUSY", "no", retryable=True)  # type: ignore[attr-defined]
    with pytest.raises(SinkError, match="KeyError: the thread of the words failed"):
        sink.close()
    assert (recognizer.closed, store.closed) == (True, True)


def test_a_thread_that_hangs_in_the_store_hangs_no_close() -> None:
    released, in_hand = threading.Event(), threading.Event()

    class Hanging(Closing):
        def put(self, name: str, body: bytes, content_type: str) -> None:  # noqa: ARG002 - the port's names
            in_hand.set()
            assert released.wait(10)

    talk, store = Talk(word(C, 1000, 0.1), seconds=10), Hanging(random.Random(0))
    recognizer = ScriptedRecognizer(talk.script.lengths, random.Random(1))
    sink = words_sink(recognizer, store, policy=WordsPolicy(join=0.05))
    for number in range(7):
        sink.deliver_segment(talk.segment(number))
    assert in_hand.wait(10)
    with pytest.raises(SinkError, match="LEFT_BEHIND"):
        sink.close()
    assert (recognizer.closed, store.closed) == (True, True)
    released.set()
    wait_for(lambda: not any(thread.name == "words" for thread in threading.enumerate()))
