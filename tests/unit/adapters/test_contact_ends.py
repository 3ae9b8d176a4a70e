"""The announced ends of contacts, and who waits for them, as objects in a bucket."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from connect_audio.adapters.contact_ends import StoredContactEnds
from connect_audio.core.errors import StorageError
from support.store import MemoryStore

CONTACT, NAME = "11111111-1111-4111-8111-111111111111", "an-execution"
OTHER = f"{CONTACT}2"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def ends(store: MemoryStore) -> StoredContactEnds:
    return StoredContactEnds(store, "recordings")


def test_nothing_is_known_of_a_contact_at_first(ends: StoredContactEnds) -> None:
    assert ends.ended_ms(CONTACT) is None
    assert ends.waiting(CONTACT) == []


def test_an_end_is_known_from_its_note_on(ends: StoredContactEnds) -> None:
    ends.end(CONTACT, 1234)
    assert (ends.ended_ms(CONTACT), ends.ended_ms(OTHER)) == (1234, None)


def test_an_execution_waits_with_its_newest_callback_until_it_leaves(ends: StoredContactEnds) -> None:
    ends.wait(CONTACT, NAME, "first")
    ends.wait(CONTACT, NAME, "second")
    ends.wait(CONTACT, "of-another-streaming", "third")
    ends.wait(OTHER, NAME, "of another contact")
    assert sorted(ends.waiting(CONTACT)) == ["second", "third"]
    ends.leave(CONTACT, NAME)
    ends.leave(CONTACT, NAME)
    assert ends.waiting(CONTACT) == ["third"]


@pytest.mark.parametrize("order", sorted(set(itertools.permutations("ffee"))), ids="".join)
def test_in_every_order_of_the_two_sides_one_finds_the_other(ends: StoredContactEnds, order: tuple[str, ...]) -> None:
    """The function notes, then looks who waits; the execution enters, then looks for the note."""
    found: list[bool] = []
    sides: dict[str, Iterator[Callable[[], None]]] = {
        "f": iter((lambda: ends.end(CONTACT, 7), lambda: found.append(ends.waiting(CONTACT) == ["a"]))),
        "e": iter((lambda: ends.wait(CONTACT, NAME, "a"), lambda: found.append(ends.ended_ms(CONTACT) == 7))),
    }
    for side in order:
        next(sides[side])()
    assert any(found)


def test_all_of_it_is_temporary(ends: StoredContactEnds, store: MemoryStore) -> None:
    ends.end(CONTACT, 7)
    ends.wait(CONTACT, NAME, "a")
    assert store.temporary == set(store.objects)


def test_a_failure_of_the_bucket_is_no_answer(ends: StoredContactEnds, store: MemoryStore) -> None:
    store.failures.append(StorageError("SlowDown", "later", retryable=True))
    with pytest.raises(StorageError, match="SlowDown"):
        ends.ended_ms(CONTACT)
