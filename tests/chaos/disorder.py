"""Disorder in a stored stream: what producers and clocks do to blocks, fragments and times.

`disordered` takes a call's log and the kinds to draw from; the log that comes out says of each fragment what the judge
must know (`LogEntry`). Nothing here touches another contact's fragments.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chaos.kinds import Kind
from chaos.log import LogEntry
from connect_audio_local.synthesis.calls import fragment_number
from connect_audio_local.synthesis.fragment_writer import (
    FROM_CUSTOMER,
    TO_CUSTOMER,
    Block,
    FragmentContents,
    FragmentLayout,
    Track,
    write_fragment,
)

_NS = 1_000_000
_SERVER_DELAY_MS = 170
_PAUSE_MS = 200


@dataclass(frozen=True)
class Disordered:
    """What became of a log.

    Args:
        log: in stream order.
        never_stored: fragments of our contact that the producer counted and the stream lacks.
        kinds: what was drawn.
    """

    log: tuple[LogEntry, ...]
    never_stored: tuple[LogEntry, ...]
    kinds: tuple[Kind, ...]


type _Maker = Callable[[list[LogEntry], random.Random], list[LogEntry]]


def disordered(
    log: Sequence[LogEntry], layout: FragmentLayout, kinds: Sequence[Kind], chance: random.Random
) -> Disordered:
    """Put a log into disorder.

    Args:
        log: in stream order, with consecutive counters.
        layout: how the fragments are written.
        kinds: what to do to it, in this order.
        chance: decides where.
    """
    entries = list(log)
    done: list[Kind] = []
    for kind in kinds:
        # Beyond 5 s a track's silence is settled. What else moves a track's time leaves less for the skew.
        maker = _skewed_little if kind is Kind.SKEW and len(kinds) > 1 else _MAKERS[kind]
        changed = maker(entries, chance)
        if changed != entries:
            done.append(kind)
            entries = changed
    never_stored = tuple(entry for entry in entries if entry.never_stored)
    kept = [entry for entry in entries if not entry.never_stored]
    # Nothing is there before its last sample was spoken, nor before what stands before it.
    latest_ms, written = 0, []
    delay_ms = log[0].at_ms - log[0].end_ms
    for entry in kept:
        latest_ms = max(latest_ms, entry.spoken_ms + delay_ms)
        written.append(replace(entry, data=write_fragment(entry.contents, layout), at_ms=latest_ms))
    return Disordered(tuple(written), never_stored, tuple(done))


# --- order -----------------------------------------------------------------------------------------------------------


def _blocks_swapped(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    def shuffled(contents: FragmentContents) -> FragmentContents:
        blocks = list(contents.blocks)
        for _ in range(chance.choice((1, 1, 3, 8))):
            at = chance.randrange(len(blocks) - 1)
            with_it = min(len(blocks) - 1, at + chance.choice((1, 2, 2, 5)))
            blocks[at], blocks[with_it] = blocks[with_it], blocks[at]
        return replace(contents, blocks=tuple(blocks))

    return _some(entries, chance, 5, shuffled, least_blocks=6)


def _numbers_swapped(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    """Whole fragments, with number, server time and all."""
    found = list(entries)
    for at in _pairs(found, chance):
        found[at], found[at + 1] = found[at + 1], found[at]
    return found


def _times_swapped(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    """Whole fragments, under the numbers and server times that the places in the log have."""
    found = list(entries)
    for at in _pairs(found, chance, are_timed=True):
        first, second = found[at], found[at + 1]
        found[at] = _renumbered(second, first.counter, first.contents.server_ms)
        found[at + 1] = _renumbered(first, second.counter, second.contents.server_ms)
    return found


def _pairs(entries: Sequence[LogEntry], chance: random.Random, *, are_timed: bool = False) -> list[int]:
    """Places of neighbours to swap: of our contact, labelled, sent once, not the first, and apart from each other.

    Args:
        entries: in stream order.
        chance: decides which.
        are_timed: their times show alone that they changed places, so neither a leap nor a pause may stand beside them.
    """
    able = [
        at
        for at in range(len(entries) - 1)
        if all(each.ours and each.contents.contact_id and each.contents.blocks for each in entries[at : at + 2])
        and any(each.ours for each in entries[:at])
        and not (are_timed and any(each.leaps for each in entries[max(0, at - 2) : at + 4]))
        and (not are_timed or _runs_on(entries[max(0, at - 1) : at + 3]))
        # Of two that changed times, one that is not there leaves a leap of the other.
        and not (are_timed and any(each.never_stored for each in entries[at : at + 2]))
        and sum(each.contents.producer_ms in _producer_times(entries[at : at + 2]) for each in entries) == 2
    ]
    chosen: list[int] = []
    for at in chance.sample(able, min(len(able), chance.choice((1, 1, 2, 3)))):
        if all(abs(at - other) > 4 for other in chosen):
            chosen.append(at)
    return chosen


def _comes_too_late(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    """Move a whole fragment behind others, with number, server time and all."""
    able = [
        (at, later)
        for at, entry in enumerate(entries)
        if _is_sure(entries[at : at + 1])
        and sum(each.ours for each in entries[:at]) > 1
        and _runs_on(entries[max(0, at - 4) : at + 2])
        for later in range(at + 1, len(entries) - 1)
        if _TOO_LATE_MS < entries[later].end_ms - entry.end_ms < _TOO_LATE_MS + 5000
        and all(each.ours for each in entries[at : later + 2])
        and _runs_on(entries[at : later + 2])
        and _is_sure([entries[later], entries[later + 1]])
        and len({each.stepped_ms for each in entries[max(0, at - 4) : later + 5]}) == 1
        and not any(each.leaps for each in entries[max(0, at - 4) : later + 5])
    ]
    if not able or not _once(entries, [at for at, entry in enumerate(entries) if entry.ours]):
        return entries
    at, later = chance.choice(able)
    moved = replace(entries[at], too_late=True)
    return [*entries[:at], *entries[at + 1 : later + 1], moved, *entries[later + 1 :]]


_TOO_LATE_MS = 6500
"""Silence is settled 5 s behind the newest audio, and up to a fragment of 1 s may be placed at once."""


def _is_sure(entries: Sequence[LogEntry]) -> bool:
    """True if fragments are our contact's by their own labels, with audio."""
    return all(entry.ours and entry.contents.contact_id and entry.contents.blocks for entry in entries)


def _runs_on(entries: Sequence[LogEntry]) -> bool:
    """True without a hole: beside swapped fragments its numbers do not tell whether one is missing."""
    return all(later.contents.producer_ms == before.end_ms for before, later in pairwise(entries) if later.ours)


def _producer_times(entries: Sequence[LogEntry]) -> set[int]:
    return {entry.contents.producer_ms for entry in entries}


def _renumbered(entry: LogEntry, counter: int, server_ms: int) -> LogEntry:
    contents = replace(entry.contents, number=fragment_number(counter, server_ms), server_ms=server_ms)
    return replace(entry, contents=contents, counter=counter)


def _skewed(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    return _skewed_by(entries, chance.choice((4, 11, 16, 20, 40, 62)))  # 0.26 to 3.97 s


def _skewed_little(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    return _skewed_by(entries, chance.choice((4, 11, 16)))


def _skewed_by(entries: list[LogEntry], rows: int) -> list[LogEntry]:
    """The agent's blocks travel some rows of 64 ms later than their times; the last ones in fragments of their own."""
    mine = [at for at, entry in enumerate(entries) if entry.ours]
    if any(_side_blocks(entries[at], TO_CUSTOMER) == () for at in mine) or not _once(entries, mine):
        return entries
    if any(entries[later].contents.producer_ms - entries[at].end_ms > _PAUSE_MS for at, later in pairwise(mine)):
        # Behind a pause nothing is under way any more.
        return entries
    queue: list[Block] = []
    found = list(entries)
    for at in mine:
        contents = found[at].contents
        queue += _side_blocks(found[at], TO_CUSTOMER)
        ready = max(0, len(queue) - rows)
        moved, queue = queue[:ready], queue[ready:]
        number = _track(contents, TO_CUSTOMER).number
        others = [block for block in contents.blocks if block.track_number != number]
        blocks = _interleaved(others, moved)
        tracks = contents.tracks if moved else tuple(t for t in contents.tracks if t.name != TO_CUSTOMER)
        if not blocks:
            return entries
        found[at] = replace(found[at], contents=replace(contents, blocks=blocks, tracks=tracks))
    last = found[mine[-1]]
    tail = []
    for at in range(0, len(queue), 16):
        blocks = tuple(queue[at : at + 16])
        # A Cluster begins with its first block.
        start_ms = blocks[0].time_ns // _NS
        counter = last.counter + at // 16 + 1
        spoken_ms = last.end_ms + (at + len(blocks)) * 64
        server_ms = spoken_ms + _SERVER_DELAY_MS
        contents = replace(
            last.contents,
            contact_id=entries[mine[0]].contents.contact_id,
            number=fragment_number(counter, server_ms),
            producer_ms=start_ms,
            server_ms=server_ms,
            blocks=blocks,
            tracks=tuple(track for track in entries[mine[-1]].contents.tracks if track.name == TO_CUSTOMER),
        )
        end_ms = start_ms + 64 * len(blocks)
        tail.append(replace(last, contents=contents, counter=counter, end_ms=end_ms, spoken_ms=spoken_ms))
    behind = mine[-1] + 1
    rest = found[behind:]
    if rest and tail and rest[0].contents.producer_ms < tail[-1].spoken_ms:
        return entries
    rest = [_renumbered(each, each.counter + len(tail), each.contents.server_ms) for each in rest]
    return found[:behind] + tail + rest


def _interleaved(customer: Sequence[Block], agent: Sequence[Block]) -> tuple[Block, ...]:
    both = []
    for at in range(max(len(customer), len(agent))):
        both += [*agent[at : at + 1], *customer[at : at + 1]]
    return tuple(both)


# --- what is not there -----------------------------------------------------------------------------------------------


def _never_stored(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    able = [
        at
        for at, entry in enumerate(entries)
        if entry.ours
        and any(each.ours for each in entries[:at])
        and any(each.ours for each in entries[at + 1 :])
        # A fragment without a label beside it would lose a neighbour, and with it its owner.
        and all(each.contents.contact_id for each in entries[max(0, at - 4) : at + 5])
        and _once(entries, [at])
    ]
    if not able:
        return entries
    chosen: set[int] = set()
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.choice(able)
        chosen |= set(range(at, at + chance.choice((1, 1, 2, 3)))) & set(able)
    return [replace(entry, never_stored=at in chosen) for at, entry in enumerate(entries)]


def _block_holes(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    """Rows of both tracks, neither the first nor the last of a fragment."""

    def thinned(contents: FragmentContents) -> FragmentContents:
        times = sorted({block.time_ns for block in contents.blocks})[1:-1]
        gone = set(chance.sample(times, min(len(times), chance.choice((1, 2, 5)))))
        return replace(contents, blocks=tuple(block for block in contents.blocks if block.time_ns not in gone))

    return _some(entries, chance, 20, thinned, least_blocks=8)


# --- clocks ----------------------------------------------------------------------------------------------------------


def _leap(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    place = _leap_place(entries, chance)
    if place is None:
        return entries
    at, shift_ms = place
    entry = entries[at]
    contents = entry.contents
    # The producer's timestamp leaps with its Cluster: the writer has one time for both.
    leaped = replace(contents, producer_ms=contents.producer_ms + shift_ms, blocks=_moved(contents.blocks, shift_ms))
    found = list(entries)
    found[at] = replace(entry, contents=leaped, shift_ms=shift_ms, end_ms=entry.end_ms + shift_ms)
    return found


def _calm_places(entries: Sequence[LogEntry]) -> list[int]:
    """Fragments of ours whose neighbours show where they belong: they stand there, or are missing by their numbers."""
    return [
        at
        for at, entry in enumerate(entries)
        if entry.ours
        and not entry.never_stored
        and entry.contents.contact_id
        and sum(each.ours and not each.never_stored for each in entries[:at]) > 1
        and sum(each.ours and not each.never_stored for each in entries[at + 1 :]) > 1
        and _once(entries, [at])
        and all(each.ours for each in entries[at - 1 : at + 2])
        and not any(each.leaps for each in entries[max(0, at - 4) : at + 5])
        # Beside a step of the clock or a pause, nobody can tell which of the two is the leap.
        and len({each.stepped_ms for each in entries[max(0, at - 4) : at + 5]}) == 1
        and all(
            later.contents.producer_ms - before.end_ms <= _PAUSE_MS
            for before, later in pairwise(entries[max(0, at - 4) : at + 5])
        )
    ]


def _block_leap(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    """Blocks of one fragment, of one track or of both, stand in their places and have another time."""
    able = [
        at
        for at in _calm_places(entries)
        # A block at an edge belongs to the neighbour that it joins.
        if not any(each.never_stored for each in entries[max(0, at - 4) : at + 5])
        and len({block.time_ns for block in entries[at].contents.blocks}) >= 6
        and _is_even(entries[at].contents)
    ]
    if not able:
        return entries
    at = chance.choice(able)
    entry = entries[at]
    times = sorted({block.time_ns for block in entry.contents.blocks})
    # The first and the last block of a track have one neighbour in the fragment. A short leap of theirs may be a pause.
    edge = chance.random() < 0.3
    time_ns = chance.choice((times[0], times[-1])) if edge else chance.choice(times[2:-2])
    shift_ms = chance.choice((-1, 1)) * chance.choice((2500, 8000, 60_000) if edge else (300, 2500, 8000, 60_000))
    numbers = [track.number for track in entry.contents.tracks]
    leaping = set(numbers if chance.random() < 0.5 else chance.sample(numbers, 1))
    if edge:
        # The neighbour on the same track shows where it belongs.
        leaping &= _heard(entries[at + 1 if time_ns == times[-1] else at - 1].contents)
    blocks, true_ns = [], {}
    for block in entry.contents.blocks:
        if block.time_ns != time_ns or block.track_number not in leaping:
            blocks.append(block)
            continue
        true_ns[block.pcm] = block.time_ns
        blocks.append(replace(block, time_ns=block.time_ns + shift_ms * _NS))
    found = list(entries)
    found[at] = replace(entry, contents=replace(entry.contents, blocks=tuple(blocks)), true_ns=true_ns)
    return found


def _leap_place(entries: list[LogEntry], chance: random.Random) -> tuple[int, int] | None:
    """Draw the index of the fragment that leaps, and by how many ms; None where none may."""
    able = _calm_places(entries)
    if not able:
        return None
    at = chance.choice(able)
    shift_ms = chance.choice((-1, 1)) * chance.choice((2500, 8000, 30_000, 60_000))
    # A leap back into the hole that missing fragments leave looks like shorter missing fragments.
    stored = next(entry for entry in reversed(entries[:at]) if not entry.never_stored)
    hole_ms = entries[at].contents.producer_ms - stored.end_ms
    return None if -hole_ms - _PAUSE_MS <= shift_ms < 0 else (at, shift_ms)


def _cluster_leap(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    """KVS takes the producer timestamp from elsewhere: it keeps to the clock."""
    place = _leap_place(entries, chance)
    if place is None:
        return entries
    at, shift_ms = place
    entry = entries[at]
    contents = entry.contents
    leaped = replace(contents, cluster_ms=contents.producer_ms + shift_ms, blocks=_moved(contents.blocks, shift_ms))
    found = list(entries)
    found[at] = replace(entry, contents=leaped, shift_ms=shift_ms)
    return found


def _is_even(contents: FragmentContents) -> bool:
    """True if each track's blocks follow each other in equal steps."""
    for track in contents.tracks:
        times = [block.time_ns for block in contents.blocks if block.track_number == track.number]
        if len({later - before for before, later in pairwise(times)}) != 1:
            return False
    return True


def _step_back(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    # No rest of a block or a hole of 10 ms or less, which passes for jitter: blocks last 64 ms.
    return _stepped(entries, chance, -chance.choice((20, 100, 500, 940, 1500)))


def _step_ahead(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    return _stepped(entries, chance, chance.choice((20, 100, 500, 1500)))


def _stepped(entries: list[LogEntry], chance: random.Random, shift_ms: int) -> list[LogEntry]:
    """All from a fragment of ours on, the next contact's as well: it is one producer's clock."""
    able = [
        at
        for at, entry in enumerate(entries)
        if entry.ours
        and sum(each.ours for each in entries[:at]) > 2
        and entry.contents.contact_id
        # Beside a short block the clock's step may leave a rest of 10 ms or less, which passes for jitter.
        and len({len(block.pcm) for each in entries[at - 1 : at + 1] for block in each.contents.blocks}) == 1
    ]
    if not able or not _once(entries, [at for at, entry in enumerate(entries) if entry.ours]):
        return entries
    first = chance.choice(able)
    found = list(entries)
    for at in range(first, len(entries)):
        entry = entries[at]
        contents = replace(
            entry.contents,
            producer_ms=entry.contents.producer_ms + shift_ms,
            blocks=_moved(entry.contents.blocks, shift_ms),
        )
        found[at] = replace(
            entry, contents=contents, end_ms=entry.end_ms + shift_ms, stepped_ms=entry.stepped_ms + shift_ms
        )
    return found


def _moved(blocks: Sequence[Block], shift_ms: int) -> tuple[Block, ...]:
    return tuple(replace(block, time_ns=block.time_ns + shift_ms * _NS) for block in blocks)


# --- tracks ----------------------------------------------------------------------------------------------------------


def _renamed(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    change = chance.choice((str.lower, str.title, "  {} ".format))
    first = chance.choice((0, chance.randrange(len(entries))))

    def renamed(track: Track) -> Track:
        return replace(track, name=change(track.name))

    return [
        replace(entry, contents=replace(entry.contents, tracks=tuple(map(renamed, entry.contents.tracks))))
        if entry.ours and at >= first
        else entry
        for at, entry in enumerate(entries)
    ]


def _own_track_unknown(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    """A party's track under another name. A fragment's only track is the customer's under any name."""
    able = [at for at, entry in enumerate(entries) if entry.ours and len(_parties_heard(entry.contents)) > 1]
    if not able:
        return entries
    party, name = chance.choice((FROM_CUSTOMER, TO_CUSTOMER)), chance.choice(("AUDIO_2", "audio from agent", "Kanal 1"))
    first = chance.choice((0, chance.randrange(len(able))))
    chosen = able[first : chance.choice((len(able), first + chance.randint(1, 5)))]

    def renamed(track: Track) -> Track:
        return replace(track, name=name) if track.name == party else track

    found = list(entries)
    for at in chosen:
        contents = found[at].contents
        found[at] = replace(found[at], contents=replace(contents, tracks=tuple(map(renamed, contents.tracks))))
    return found


def _parties_heard(contents: FragmentContents) -> set[str]:
    """Names of the parties whose tracks have blocks. A stranger's track beside a single party's is none of them."""
    heard = _heard(contents)
    return {track.name for track in contents.tracks if track.number in heard} & {FROM_CUSTOMER, TO_CUSTOMER}


def _heard(contents: FragmentContents) -> set[int]:
    """Numbers of the tracks that have blocks."""
    return {block.track_number for block in contents.blocks}


def _unknown_track(entries: list[LogEntry], chance: random.Random) -> list[LogEntry]:
    """A third track beside the parties', in some fragments."""
    name = chance.choice(("AUDIO_FROM_SUPERVISOR", "audio_1", "Track_3"))

    def added(contents: FragmentContents) -> FragmentContents:
        number = max(track.number for track in contents.tracks) + 1
        extra = [
            Block(number, heard.time_ns, chance.randbytes(len(heard.pcm)).translate(_STRANGER))
            for heard in contents.blocks
            if heard.track_number == contents.tracks[0].number
        ]
        tracks = (*contents.tracks, Track(number, name, uid=9))
        blocks = tuple(sorted((*contents.blocks, *extra), key=lambda block: block.time_ns))
        return replace(contents, tracks=tracks, blocks=blocks)

    return _some(entries, chance, chance.choice((1, 5, 400)), added, least_blocks=1)


_STRANGER = bytes([0x78] * 256)


# --- which -----------------------------------------------------------------------------------------------------------


def _some(
    entries: list[LogEntry],
    chance: random.Random,
    most: int,
    change: Callable[[FragmentContents], FragmentContents],
    *,
    least_blocks: int,
) -> list[LogEntry]:
    """Change some of our fragments; one that was sent twice is changed twice alike, or it would be two."""
    able = [at for at, entry in enumerate(entries) if entry.ours and len(entry.contents.blocks) >= least_blocks]
    chosen = chance.sample(able, min(len(able), chance.randint(1, most)))
    found = list(entries)
    for at in chosen:
        if _once(entries, [at]):
            found[at] = replace(entries[at], contents=change(entries[at].contents))
    return found


def _once(entries: Sequence[LogEntry], which: Sequence[int]) -> bool:
    """True if these were sent once: no producer rewound over them."""
    times = [entry.contents.producer_ms for entry in entries]
    return all(times.count(times[at]) == 1 for at in which)


def _side_blocks(entry: LogEntry, name: str) -> tuple[Block, ...]:
    numbers = {track.number for track in entry.contents.tracks if track.name == name}
    return tuple(block for block in entry.contents.blocks if block.track_number in numbers)


def _track(contents: FragmentContents, name: str) -> Track:
    return next(track for track in contents.tracks if track.name == name)


_MAKERS: dict[Kind, _Maker] = {
    Kind.SKEW: _skewed,
    Kind.BLOCK_HOLES: _block_holes,
    Kind.UNKNOWN_TRACK: _unknown_track,
    Kind.BLOCKS_SWAPPED: _blocks_swapped,
    Kind.NEVER_STORED: _never_stored,
    Kind.STEP_BACK: _step_back,
    Kind.STEP_AHEAD: _step_ahead,
    Kind.LEAP: _leap,
    Kind.CLUSTER_LEAP: _cluster_leap,
    Kind.BLOCK_LEAP: _block_leap,
    Kind.TIMES_SWAPPED: _times_swapped,
    Kind.NUMBERS_SWAPPED: _numbers_swapped,
    Kind.COMES_TOO_LATE: _comes_too_late,
    Kind.OWN_TRACK_UNKNOWN: _own_track_unknown,
    Kind.RENAMED: _renamed,
}
IN_THE_LOG = tuple(_MAKERS)
"""Kinds that a stored stream can have, in the order in which they are done to it."""
