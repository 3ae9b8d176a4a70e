"""The ledger over the borders of pages: whichever page was the last one, no turn is lost and none stands twice."""

from __future__ import annotations

import random
import threading

import pytest

from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import PAGE_TURNS, WordPage, WordsCall, decode_page, page_name, valid_turns
from connect_audio.words.word_ledger import WordLedger
from support.words_chaos import PageFolder

CALL = WordsCall(contact_id="contact", recording="call.wav", engine="scripted", language=None, rate=8000)
STEP = 1000


class KilledError(Exception):
    """The process is gone."""


class Killing(PageFolder):
    """Takes some pages, and is killed at the next one."""

    def __init__(self, left: int) -> None:
        super().__init__(random.Random(0))
        self.left = left

    def put(self, name: str, body: bytes, content_type: str) -> None:
        if self.left == 0:
            raise KilledError
        self.left -= 1
        super().put(name, body, content_type)


def turn(number: int) -> Turn:
    """Turns of both parties by turns, one every 1000 frames."""
    return Turn(party=PARTIES[number % 2], start=STEP * number, end=STEP * number + 900, text=str(number))


def opened(store: PageFolder) -> WordLedger:
    return WordLedger.read(CALL, store, threading.RLock())


def add(ledger: WordLedger, first: int, stop: int) -> None:
    """Give the turns that a recognizer would give from the settled positions on."""
    for number in range(first, stop):
        if turn(number).start >= ledger.needed[turn(number).party]:
            ledger.add(turn(number))


def page(store: PageFolder, number: int) -> WordPage:
    return decode_page(number, store.pages[page_name(number)])


def texts(store: PageFolder) -> list[str]:
    return [each.turn.text for each in valid_turns(store.read)]


@pytest.mark.parametrize("left", range(7))
def test_a_kill_at_any_page_loses_no_turn_that_counts_as_settled(left: int) -> None:
    store = Killing(left)
    ledger = opened(store)
    added = 0
    try:
        for stop in (PAGE_TURNS - 3, PAGE_TURNS + 5, 2 * PAGE_TURNS + 20):
            add(ledger, added, stop)
            added = stop
            ledger.write()
    except KilledError:
        pass
    store.left = 100
    again = opened(store)
    add(again, 0, 3 * PAGE_TURNS)
    again.write()
    assert texts(store) == [str(number) for number in range(3 * PAGE_TURNS)]


@pytest.mark.parametrize("left", range(4))
def test_a_kill_while_turns_are_taken_back_leaves_none_of_them(left: int) -> None:
    store = Killing(10**6)
    ledger = opened(store)
    for number in range(3 * PAGE_TURNS - 5):
        ledger.add(turn(number))
        ledger.write()
    kept = PAGE_TURNS + 10
    store.left = left
    try:
        removed = ledger.take_back(0, kept * STEP)
        assert [each.turn.text for each in removed] == [str(each) for each in range(kept, 3 * PAGE_TURNS - 5)]
        ledger.write()
    except KilledError:
        pass
    store.left = 100
    if left:
        assert texts(store) == [str(number) for number in range(kept)]
    again = opened(store)
    if not left:
        again.take_back(0, kept * STEP)
    other = Turn(party=Party.AGENT, start=kept * STEP + 500, end=9999 * STEP, text="other")
    again.add(other)
    again.write()
    assert texts(store) == [*(str(number) for number in range(kept)), "other"]


def test_a_turn_that_comes_while_a_page_is_written_is_not_stored_by_it() -> None:
    store = PageFolder(random.Random(0))
    ledger = opened(store)

    class Busy(PageFolder):
        def put(self, name: str, body: bytes, content_type: str) -> None:
            super().put(name, body, content_type)
            if len(self.puts) == 1:
                ledger.add(turn(2))
                ledger.add(turn(3))

    busy = Busy(random.Random(0))
    ledger = opened(busy)
    ledger.add(turn(0))
    ledger.add(turn(1))
    ledger.write()
    assert ledger.stored == turn(0).end
    assert ledger.has_unwritten_turns
    ledger.write()
    assert ledger.stored == turn(2).end
    assert texts(busy) == ["0", "1", "2", "3"]


def test_the_newest_page_of_many_is_found() -> None:
    store = PageFolder(random.Random(0))
    ledger = opened(store)
    for number in range(11 * PAGE_TURNS + 1):
        ledger.add(turn(number))
        if number % 7 == 0:
            ledger.write()
    ledger.write()
    assert len(store.pages) == 12
    again = opened(store)
    assert again.state.next_number == 11 * PAGE_TURNS + 1
    assert again.least == turn(11 * PAGE_TURNS - 1).end


def test_a_page_that_is_no_page_is_not_written_over_and_words_begin_behind_it() -> None:
    store = PageFolder(random.Random(0), pages={page_name(0): b"{}"})
    ledger = opened(store)
    add(ledger, 0, 1)
    ledger.write()
    assert store.pages[page_name(0)] == b"{}"
    assert [each.turn.text for each in page(store, 1).turns] == ["0"]


def test_a_page_reads_back_as_it_was_written() -> None:
    store = PageFolder(random.Random(0))
    ledger = opened(store)
    ledger.check(3, 7)
    ledger.check(5, 9)
    ledger.add(turn(0))
    ledger.write()
    page = decode_page(0, store.pages[page_name(0)])
    assert page.call == CALL
    assert page.state == ledger.state
    assert page.state.checks == {3: 7, 5: 9}


def test_a_damaged_newest_page_is_begun_anew_and_the_call_goes_on_behind_the_page_before() -> None:
    store = PageFolder(random.Random(0))
    ledger = opened(store)
    add(ledger, 0, PAGE_TURNS + 10)
    ledger.write()
    store.pages[page_name(1)] = b"cut off"
    again = opened(store)
    assert again.least <= turn(PAGE_TURNS).start
    add(again, PAGE_TURNS + 20, PAGE_TURNS + 25)
    again.write()
    assert store.pages[page_name(1)] == b"cut off"
    assert [each.turn.text for each in page(store, 0).turns] == [str(number) for number in range(PAGE_TURNS)]
    behind = page(store, 2).turns
    assert [each.turn.text for each in behind] == [str(number) for number in range(PAGE_TURNS + 20, PAGE_TURNS + 25)]
    # No number is used twice.
    assert behind[0].number >= PAGE_TURNS + 10


def test_a_damaged_older_page_stops_no_words() -> None:
    store = PageFolder(random.Random(0))
    ledger = opened(store)
    add(ledger, 0, 2 * PAGE_TURNS + 1)
    ledger.write()
    store.pages[page_name(1)] = b"{}"
    again = opened(store)
    assert again.least == turn(2 * PAGE_TURNS - 1).end
    again.take_back(0, turn(10).start)
    again.write()
    assert [each.turn.text for each in page(store, 0).turns] == [str(number) for number in range(10)]
    assert store.pages[page_name(1)] == b"{}"
