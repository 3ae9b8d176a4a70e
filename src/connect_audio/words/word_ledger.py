"""The account of a call's words: its turns, what is settled of each party, and the spans without words.

*How it works.* The ledger changes in memory at once, and its pages are written behind that. `settled` is what counts
here and now; `stored` is what the pages in the store say. A new page begins every 50 turns. Pages are written from the
oldest to the newest, so no page settles a turn that an older one lacks. If audio is taken back, the newest page is
written first. Its `settled` makes the turns of older pages leftovers, which the next invocation removes.

Two locks: callers hold the sink's lock for all methods but `write`, which one thread at a time may call without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import (
    PAGE_TURNS,
    DamagedPageError,
    ForeignPageError,
    MissingReason,
    MissingSpan,
    NumberedTurn,
    WordPage,
    WordsCall,
    WordState,
    cut_spans,
    decode_page,
    encode_page,
    page_name,
    turn_before,
    with_span,
)
from connect_audio.words.page_store import PageStore

_KEPT_CHECKS: Final = 2400
"""Segments whose checks are kept, 26 kB: twice the longest buffer, 300 s. Audio that comes again is never older."""
_KEPT_PAGES: Final = 2
"""Pages in memory; an older one is read again if audio is taken back so far."""
_UNTOLD_PAGES: Final = 20
"""Pages in memory while the listener has not got their turns: 1000 turns, some 700 kB. Beyond, the oldest are left out
and counted as untold."""
_DAMAGED: Final = "DAMAGED_WORDS"
_JSON: Final = "application/json"


class WordLedger:
    """The account of one call's words in one invocation.

    Args:
        call: the facts about the call.
        store: keeps the pages.
        lock: the sink's lock.
    """

    def __init__(self, call: WordsCall, store: PageStore, lock: threading.RLock) -> None:
        self.call = call
        self.state = WordState()
        self.untold = 0
        """Stored turns that the listener never gets, since too many waited for it."""
        self._store = store
        self._lock = lock
        self._writing = threading.Lock()
        self._newest = 0
        self._pages: dict[int, list[NumberedTurn]] = {0: []}
        self._unwritten: set[int] = set()
        self._newest_first = False
        self._stored: dict[Party, int] = dict.fromkeys(PARTIES, 0)

    @classmethod
    def read(cls, call: WordsCall, store: PageStore, lock: threading.RLock) -> WordLedger:
        """Continue the words that earlier invocations left.

        Raises:
            SinkError: the store's; `FOREIGN_WORDS`, not retryable, if another call's pages are there.
        """
        ledger = cls(call, store, lock)
        newest = _newest_page(store)
        if newest is None:
            return ledger
        page = ledger._read_whole(newest)
        if page is None:
            page = ledger._behind(newest)
            newest = page.number
        ledger.state = page.state
        ledger._stored = dict(page.state.settled)
        ledger._newest = newest
        ledger._pages = {newest: list(page.turns)}
        for number in range(newest - 1, -1, -1):
            turns = ledger._page(number)
            if turns and all(map(ledger._is_settled, turns)) and not ledger._is_untold(turns):
                break
        ledger._remove_leftovers()
        ledger._drop_old_pages()
        return ledger

    # The present state.

    @property
    def needed(self) -> Mapping[Party, int]:
        """Position from which on each party's words are wanted, frames."""
        return self.state.settled

    @property
    def least(self) -> int:
        """The least of them."""
        return min(self.state.settled.values())

    @property
    def stored(self) -> int:
        """Position before which all words of both parties are in the store, frames."""
        return min(self._stored.values())

    @property
    def is_taking_back(self) -> bool:
        """True until the store has what `take_back` changed."""
        return self._newest_first

    @property
    def has_unwritten_turns(self) -> bool:
        """True if the store lacks a turn or a span."""
        return bool(self._unwritten)

    def unannounced(self) -> list[NumberedTurn]:
        """The stored turns that the listener has not got, by number."""
        with self._lock:
            found = [each for turns in self._pages.values() for each in turns if each.number >= self.state.announced]
            stored = self._stored
        return sorted(
            (each for each in found if each.turn.end <= stored[each.turn.party]), key=lambda each: each.number
        )

    # Its changes.

    def add(self, turn: Turn) -> NumberedTurn | None:
        """Add a final turn; None if its party's words are out up to its end already."""
        settled = self.state.settled[turn.party]
        if turn.end <= settled:
            return None
        if len(self._page(self._newest)) >= PAGE_TURNS:
            self._newest += 1
            self._pages[self._newest] = []
        numbered = NumberedTurn(number=self.state.next_number, turn=replace(turn, start=max(turn.start, settled)))
        self.state.next_number += 1
        self.state.settled[turn.party] = turn.end
        self._pages[self._newest].append(numbered)
        self._unwritten.add(self._newest)
        return numbered

    def settle(self, party: Party, position: int) -> None:
        """Note that all words of a party before a position are out."""
        self.state.settled[party] = max(self.state.settled[party], position)

    def miss(self, until: int, reason: MissingReason) -> None:
        """Note that no words will come of what is not settled before a position."""
        for party in PARTIES:
            span = MissingSpan(party=party, start=self.state.settled[party], end=until, reason=reason)
            if span.start < span.end:
                known = len(self.state.missing)
                self.state.missing = with_span(self.state.missing, span)
                self.state.settled[party] = until
                if len(self.state.missing) > known:
                    self._unwritten.add(self._newest)

    def check(self, number: int, crc: int) -> bool:
        """Note a segment's audio; return True if other audio was in its place before."""
        checks = self.state.checks
        changed = checks.get(number, crc) != crc
        checks[number] = crc
        while len(checks) > _KEPT_CHECKS:
            del checks[min(checks)]
        return changed

    def take_back(self, number: int, position: int) -> list[NumberedTurn]:
        """Take back all words from a position on: other audio has come in its place.

        A turn across the position keeps its words before it, if they have times, under a new number.

        Args:
            number: number of the first segment that differs.
            position: its first frame.

        Returns:
            The turns that are no more.

        Raises:
            SinkError: an older page cannot be read.
        """
        self.state.checks = {key: crc for key, crc in self.state.checks.items() if key < number}
        return self._cut_to(position)

    def cut(self, frames: int) -> list[NumberedTurn]:
        """Take back the words beyond the recording's end: their audio was never recorded.

        Returns:
            The turns that are no more, as `take_back`.

        Raises:
            SinkError: an older page cannot be read.
        """
        removed = self._cut_to(frames)
        if removed:
            self.miss(frames, MissingReason.TAKEN_BACK)
        return removed

    def _cut_to(self, position: int) -> list[NumberedTurn]:
        if max(self.state.settled.values()) <= position:
            return []
        self._load_back_to(position)
        beyond = [each for page in self._pages.values() for each in page if each.turn.end > position]
        settled = {party: min(self.state.settled[party], position) for party in PARTIES}
        kept: list[Turn] = []
        for each in sorted(beyond, key=lambda each: each.number):
            turn = turn_before(each.turn, position)
            if turn is not None:
                kept.append(turn)
            end = each.turn.start if turn is None else turn.end
            settled[each.turn.party] = min(settled[each.turn.party], end)
        self._go_back(settled)
        for turn in kept:
            self._pages[self._newest].append(NumberedTurn(number=self.state.next_number, turn=turn))
            self.state.next_number += 1
        return beyond

    def _load_back_to(self, position: int) -> None:
        """Have all pages in memory that may hold a turn beyond a position."""
        for number in range(self._newest, -1, -1):
            turns = self._page(number)
            if number < self._newest and turns and all(each.turn.end <= position for each in turns):
                break

    def _go_back(self, settled: dict[Party, int]) -> None:
        self.state.settled = settled
        self.state.missing = cut_spans(self.state.missing, settled)
        self._stored = {party: min(self._stored[party], settled[party]) for party in PARTIES}
        self._newest_first = True
        self._unwritten.add(self._newest)
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        for number, turns in self._pages.items():
            kept = [each for each in turns if self._is_settled(each)]
            if len(kept) < len(turns):
                self._pages[number] = kept
                self._unwritten.add(number)

    def _is_settled(self, numbered: NumberedTurn) -> bool:
        return numbered.turn.end <= self.state.settled[numbered.turn.party]

    # The store.

    def write(self) -> None:
        """Write the pages that changed, and the newest with the state as it is now.

        Raises:
            SinkError: the store's. A page that was not written stays due.
        """
        with self._writing:
            with self._lock:
                newest_first = self._newest_first
                due = sorted({*self._unwritten, self._newest}, reverse=newest_first)
                settled = dict(self.state.settled)
                bodies = [(number, self._encoded(number)) for number in due]
                self._unwritten.clear()
            for at, (number, body) in enumerate(bodies):
                try:
                    self._store.put(page_name(number), body, _JSON)
                except BaseException:
                    with self._lock:
                        self._unwritten.update(number for number, _ in bodies[at:])
                    raise
            with self._lock:
                if not newest_first and self._newest_first:
                    return  # taken back meanwhile, and written next
                self._stored = settled
                if newest_first:
                    self._newest_first = False
                self._drop_old_pages()

    def _encoded(self, number: int) -> bytes:
        state = replace(self.state, settled=dict(self.state.settled))
        for later, turns in self._pages.items():
            if later > number:
                # Until the later page is written, this one may be the newest, and must not settle what it lacks.
                for each in turns:
                    party = each.turn.party
                    state.settled[party] = min(state.settled[party], each.turn.start)
        state.missing = cut_spans(state.missing, state.settled)
        return encode_page(WordPage(number=number, call=self.call, state=state, turns=tuple(self._page(number))))

    def _page(self, number: int) -> list[NumberedTurn]:
        if number not in self._pages:
            page = self._read_whole(number)
            self._pages[number] = [] if page is None else list(page.turns)
        return self._pages[number]

    def _read_whole(self, number: int) -> WordPage | None:
        """Read a page; None if it is damaged. Such a page costs its own words, and none of the rest of the call.

        Raises:
            SinkError: the store's; `FOREIGN_WORDS`, not retryable, if the page is another call's.
        """
        try:
            return self._read(number)
        except SinkError as error:
            if error.code != _DAMAGED:
                raise
            return None

    def _behind(self, newest: int) -> WordPage:
        """An empty page behind a damaged newest one, which stays as it is. It goes on from the newest whole page.

        The turns of the damaged page get no numbers a second time, so some numbers are left out.
        """
        for number in range(newest - 1, -1, -1):
            page = self._read_whole(number)
            if page is not None:
                state = page.state
                state.next_number += PAGE_TURNS * (newest - number)
                break
        else:
            state = WordState(next_number=PAGE_TURNS * (newest + 1))
        state.announced = state.next_number
        return WordPage(number=newest + 1, call=self.call, state=state, turns=())

    def _read(self, number: int) -> WordPage:
        text = self._store.get(page_name(number))
        try:
            if text is None:
                raise DamagedPageError("it is missing")
            page = decode_page(number, text)
        except DamagedPageError as exc:
            raise SinkError(_DAMAGED, f"{page_name(number)}: {exc}", retryable=False) from exc
        except ForeignPageError as exc:
            raise SinkError("FOREIGN_WORDS", f"{page_name(number)}: {exc}", retryable=False) from exc
        mine, found = self.call, page.call
        for name in ("contact_id", "recording", "engine", "rate"):
            if getattr(mine, name) != getattr(found, name):
                raise SinkError(
                    "FOREIGN_WORDS", f"{page_name(number)} is of another call: its {name} differs", retryable=False
                )
        return page

    def _drop_old_pages(self) -> None:
        numbers = sorted(self._pages)
        for number in numbers[:-_KEPT_PAGES]:
            turns = self._pages[number]
            is_kept = number in numbers[-_UNTOLD_PAGES:] and self._is_untold(turns)
            if not is_kept and number not in self._unwritten:
                self.untold += sum(each.number >= self.state.announced for each in turns)
                del self._pages[number]

    def _is_untold(self, turns: Iterable[NumberedTurn]) -> bool:
        return any(each.number >= self.state.announced for each in turns)


def _newest_page(store: PageStore) -> int | None:
    """Number of the newest page: pages have no holes, so some reads find it."""
    if store.get(page_name(0)) is None:
        return None
    there, beyond = 0, 1
    while store.get(page_name(beyond)) is not None:
        there, beyond = beyond, 2 * beyond
    while beyond - there > 1:
        middle = (there + beyond) // 2
        if store.get(page_name(middle)) is None:
            beyond = middle
        else:
            there = middle
    return there
