from __future__ import annotations

from collections.abc import Callable

import pytest

from connect_audio.adapters.words.transcribe_results import Item, Result, SessionClock, SessionResults
from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.words.recognizer import SessionStart
from support.clock import FakeClock

RATE = 1000
CUSTOMER, AGENT = PARTIES


def results(customer: int = 0, agent: int = 0, now: Callable[[], float] = lambda: 0.0) -> SessionResults:
    return SessionResults(SessionStart(rate=RATE, needed={CUSTOMER: customer, AGENT: agent}, notify=lambda: None), now)


def at_pace(book: SessionResults, clock: FakeClock, seconds: int, position: int = 0) -> None:
    """Send so many seconds of audio, each after it was spoken."""
    for second in range(seconds):
        clock.pass_by(1)
        book.sent(position + second * RATE, RATE)


def word(text: str, start: float, end: float) -> Item:
    return Item(text=text, start_s=start, end_s=end, is_word=True, confidence=0.9)


def mark(text: str) -> Item:
    return Item(text=text, start_s=0, end_s=0, is_word=False, confidence=None)


def result(*items: Item, party: Party = CUSTOMER, number: int = 1, is_partial: bool = False) -> Result:
    words = [item for item in items if item.is_word]
    return Result(
        result_id=f"{party}-{number}",
        party=party,
        start_s=words[0].start_s,
        end_s=words[-1].end_s,
        is_partial=is_partial,
        text="as Transcribe wrote it",
        items=items,
    )


def test_punctuation_belongs_to_the_word_before_it_and_at_the_begin_to_the_first() -> None:
    book = results()
    book.sent(0, 5000)
    book.add([result(mark("¿"), word("Qué", 1.0, 1.2), word("hora", 1.3, 1.6), mark("?"))])
    (turn,) = book.take().turns
    assert [(each.text, each.start, each.end) for each in turn.words] == [("¿Qué", 1000, 1200), ("hora?", 1300, 1600)]
    assert (turn.text, turn.start, turn.end) == ("as Transcribe wrote it", 1000, 1600)


def test_a_session_that_begins_later_counts_from_its_own_begin() -> None:
    book = results(customer=7000, agent=9000)
    book.sent(7000, 5000)
    book.add([result(word("yes", 0.5, 0.8))])
    (turn,) = book.take().turns
    assert (turn.start, turn.end) == (7500, 7800)


def test_words_before_the_needed_position_are_left_out_and_one_across_it_begins_there() -> None:
    book = results(customer=2000)
    book.sent(0, 5000)
    book.add([result(word("old", 1.0, 1.9), word("half", 1.9, 2.2), word("new", 2.3, 2.5))])
    (turn,) = book.take().turns
    assert [(each.text, each.start) for each in turn.words] == [("half", 2000), ("new", 2300)]
    assert (turn.text, turn.start) == ("half new", 2000)
    book.add([result(word("gone", 1.0, 1.9), party=CUSTOMER, number=2)])
    assert book.take().turns == ()


def test_a_final_result_comes_once_and_replaces_its_partial_ones() -> None:
    book = results()
    book.sent(0, 5000)
    book.add([result(word("see", 1.0, 1.2), is_partial=True)])
    assert book.take().partials[CUSTOMER].words[0].text == "see"
    final = result(word("seven", 1.0, 1.4))
    book.add([final, final])
    taken = book.take()
    assert [turn.words[0].text for turn in taken.turns] == ["seven"]
    assert taken.partials == {}
    book.add([result(word("late", 1.0, 1.2), is_partial=True)])
    assert book.take().partials == {}


def test_silence_settles_behind_the_newest_result_of_any_party_and_else_far_behind_the_audio() -> None:
    clock = FakeClock(0)
    book = results(now=clock.monotonic)
    at_pace(book, clock, 11)
    assert book.take().settled == {CUSTOMER: 0, AGENT: 0}
    at_pace(book, clock, 9, 11_000)
    clock.pass_by(1)
    assert book.take().settled == {CUSTOMER: 8000, AGENT: 8000}
    book.add([result(word("so", 18.0, 18.5), party=AGENT, is_partial=True)])
    # The agent's open result holds the agent 0.5 s before its begin, which is later than 2 s before its end.
    assert book.take().settled == {CUSTOMER: 16_500, AGENT: 16_500}
    book.add([result(word("so", 18.0, 19.9), party=AGENT, is_partial=True)])
    assert book.take().settled == {CUSTOMER: 17_900, AGENT: 17_500}


def test_a_final_result_settles_its_party_to_just_behind_its_end() -> None:
    book = results()
    book.sent(0, 6000)
    book.add([result(word("two", 5.0, 5.3))])
    assert book.take().settled == {CUSTOMER: 5350, AGENT: 3300}
    # The next utterance has begun within these 50 ms.
    book = results()
    book.sent(0, 6000)
    book.add([result(word("two", 5.0, 5.3)), result(word("four", 5.32, 5.4), number=2, is_partial=True)])
    assert book.take().settled[CUSTOMER] == 5320


def test_a_backlog_is_no_silence_before_transcribe_has_had_the_time_for_it() -> None:
    clock = FakeClock(0)
    book = results(now=clock.monotonic)
    book.sent(0, 60_000)
    clock.pass_by(13)
    assert book.take().settled == {CUSTOMER: 1000, AGENT: 1000}
    clock.pass_by(100)
    assert book.take().settled == {CUSTOMER: 48_000, AGENT: 48_000}


def test_settled_never_falls_and_no_turn_begins_before_it() -> None:
    clock = FakeClock(0)
    book = results(now=clock.monotonic)
    book.sent(0, 30_000)
    clock.pass_by(30)
    assert book.take().settled[CUSTOMER] == 18_000
    book.add([result(word("late", 17.5, 18.4))])
    taken = book.take()
    assert (taken.turns[0].start, taken.turns[0].words[0].start, taken.turns[0].end) == (18_000, 18_000, 18_400)
    book.add([result(word("more", 18.2, 18.9), number=2)])
    assert book.take().turns[0].start == 18_450


def test_a_final_result_near_the_end_of_input_holds_its_party_before_its_begin() -> None:
    book = results()
    book.sent(0, 10_000)
    book.end_input(is_call_over=False)
    book.add([result(word("whole", 8.0, 9.1)), result(word("cut", 8.5, 9.2), party=AGENT)])
    last = book.last(is_call_over=False)
    assert [turn.words[0].text for turn in last.turns] == ["whole"]
    assert last.settled == {CUSTOMER: 9150, AGENT: 8000}


def test_the_same_at_the_end_of_the_call_is_kept_and_everything_is_settled() -> None:
    book = results()
    book.sent(0, 10_000)
    book.end_input(is_call_over=True)
    book.add([result(word("bye", 9.5, 10.0))])
    last = book.last(is_call_over=True)
    assert [turn.words[0].text for turn in last.turns] == ["bye"]
    assert last.settled == {CUSTOMER: 10_000, AGENT: 10_000}


def test_an_answer_that_ends_with_an_open_result_is_not_whole() -> None:
    book = results()
    book.sent(0, 10_000)
    book.add([result(word("un", 9.5, 9.7), is_partial=True)])
    with pytest.raises(SinkError, match="INCOMPLETE: Transcribe ended its answer before the last final result"):
        book.last(is_call_over=False)


def test_zeros_between_the_pieces_are_no_time_of_the_recording() -> None:
    clock = SessionClock(RATE, 500)
    clock.sent(500, 1000)
    clock.padded(200)
    clock.padded(200)
    clock.sent(1500, 1000)
    clock.sent(2500, 1000)
    assert [clock.position_of(at) for at in (0, 0.9, 1.0, 1.2, 1.4, 1.5, 3.4, 9.0)] == [
        500,
        1400,
        1500,
        1500,
        1500,
        1600,
        3500,
        3500,
    ]
    assert clock.end == 3500
