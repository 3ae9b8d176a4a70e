"""A random call in a stream that is re-used, and what must be recorded of it: positions and samples as generated.

The chaos schedules (`chaos.schedule`) record what comes out of here. The expectation knows the generator's blocks
alone, no line of the core.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from chaos.disorder import IN_THE_LOG, disordered
from chaos.kinds import Kind
from chaos.log import LogEntry
from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_START_MS,
    Gap,
    ShortBlock,
    SyntheticCall,
    fragment_number,
    unwritten_stream,
)
from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_LAYOUT,
    FROM_CUSTOMER,
    TO_CUSTOMER,
    FragmentContents,
    FragmentLayout,
    Placement,
)

OURS = DEFAULT_CONTACT_ID
BEFORE = "11111111-1111-4111-8111-111111111111"
AFTER = "22222222-2222-4222-8222-222222222222"
_BLOCK_MS = 64
_LAYOUTS = (
    CONNECT_LAYOUT,
    CONNECT_LAYOUT,
    CONNECT_LAYOUT,
    FragmentLayout(contact_tags=Placement.AFTER),
    FragmentLayout(segment_size_known=True, cluster_size_known=True, crc_32=True, void_bytes=9, seek_head=True),
    FragmentLayout(blocks_per_cluster=4, block_groups=True, tags_before_info=True),
)


@dataclass(frozen=True)
class Companion:
    """Another streaming of the same contact, which has a recording of its own.

    Args:
        log: the stream, in order, with the other streaming's fragments as ours.
        is_later: whether it is the second one.
        start_ms: StartTimestamp of the second one by Connect's clock, ms since the epoch.
        begins_ms: when its first fragment is in the stream, ms since the epoch.
    """

    log: tuple[LogEntry, ...]
    is_later: bool
    start_ms: int
    begins_ms: int

    @property
    def ours(self) -> tuple[LogEntry, ...]:
        return tuple(entry for entry in self.log if entry.ours)


@dataclass(frozen=True)
class RandomCall:
    """A call and its stream.

    Args:
        log: the stream, in order.
        rate: samples a second.
        end_ms: when our audio ends, ms since the epoch.
        dangling: whether a block of ours holds half a sample.
        gaps: whether there are pauses in our streaming.
        kinds: the disorder in the log.
        contact_end_ms: when our contact ends, ms since the epoch.
        companion: the contact's other streaming; None for none.
        never_stored: fragments that the producer counted and the stream lacks.
        words: for the one who reads a failure.
    """

    log: tuple[LogEntry, ...]
    rate: int
    end_ms: int
    dangling: bool
    gaps: bool
    kinds: tuple[Kind, ...]
    never_stored: tuple[LogEntry, ...]
    words: str
    contact_end_ms: int
    companion: Companion | None = None

    @property
    def ours(self) -> tuple[LogEntry, ...]:
        return tuple(entry for entry in self.log if entry.ours)


def random_call(
    chance: random.Random, *, live_delay_ms: int, kinds: Collection[Kind] = (), disorder: random.Random | None = None
) -> RandomCall:
    """Make a call.

    Args:
        chance: decides.
        live_delay_ms: how long after its end a fragment becomes available.
        kinds: disorder to put into the log.
        disorder: decides about that alone, so that the call is otherwise the same.
    """
    rate = chance.choice((8000, 8000, 8000, 16_000))
    seconds = chance.choice((chance.uniform(3, 20), chance.uniform(20, 60), chance.uniform(60, 180)))
    if rate != 8000:
        seconds /= 2
    sides = chance.choice(("both", "both", "both", "customer", "agent"))
    blocks = max(1, round(seconds * 1000 / _BLOCK_MS))
    fragments = -(-blocks // 16)
    full = rate * _BLOCK_MS // 1000 * 2
    gaps = tuple(
        Gap(
            chance.randrange(1, blocks) * _BLOCK_MS, chance.choice((300, 1500, 5000, 40_000, chance.randrange(200_000)))
        )
        for _ in range(chance.choice((0, 0, 0, 1, 2)) if blocks > 1 else 0)
    )
    short = tuple(
        ShortBlock(
            chance.choice((FROM_CUSTOMER, TO_CUSTOMER)),
            chance.randrange(blocks),
            chance.choice((192, 192, full // 2, 191)),
        )
        for _ in range(chance.choice((0, 0, 1, 3)))
    )
    joins_ms = chance.choice((0, 0, 0, chance.randrange(1, 40) * _BLOCK_MS * 4)) if sides == "both" else 0
    joins_ms = min(joins_ms, (blocks - 1) * _BLOCK_MS)
    has_before, has_after = chance.random() < 0.5, chance.random() < 0.5
    pause_after_ms = chance.choice((0, 500, 1900, 2500, 6000, 20_000))
    disorder = disorder or random.Random(0)
    has_stranger = Kind.UNLABELLED_STRANGER in kinds
    # The first must be longer than the clocks lie apart. A pause of its own may be the border as well.
    streams_twice = Kind.SECOND_STREAMING in kinds and not gaps and seconds > 10
    has_after = has_after or has_stranger
    new_session = disorder.random() < 0.7
    # Without a label behind them, and without a new session, they are ours by all the evidence that there is.
    nameless_after = frozenset(range(disorder.choice((1, 1, 2, 5) if new_session else (1,)) if has_stranger else 0))
    unlabelled = frozenset(
        chance.sample(range(1, max(2, fragments - 1)), k=chance.choice((0, 0, 1, 2, 5)) % max(1, fragments - 2))
        if fragments > 3 and not gaps
        else ()
    )
    layout = chance.choice(_LAYOUTS)
    ours = SyntheticCall(
        customer=None if sides == "agent" else _noise(chance, blocks * full),
        agent=None if sides == "customer" else _noise(chance, blocks * full),
        contact_id=OURS,
        start_ms=DEFAULT_START_MS + chance.choice((0, 0, 700, 3000)),
        rate=rate,
        agent_joins_ms=joins_ms,
        gaps=gaps,
        unlabelled=unlabelled,
        # Nobody may be near behind it, or nobody can tell whose it is.
        last_unlabelled=fragments > 2
        and not gaps
        and chance.random() < 0.3
        and (not has_after or pause_after_ms > 2100)
        and not has_stranger
        and not streams_twice,
        short_blocks=short,
        layout=layout,
    )
    calls = [ours]
    if has_before:
        blocks_before = chance.randrange(40, 200)
        calls.insert(
            0,
            SyntheticCall(
                customer=b"\x77" * (blocks_before * full),
                agent=b"\x77" * (blocks_before * full),
                contact_id=BEFORE,
                rate=rate,
                start_ms=DEFAULT_START_MS - blocks_before * _BLOCK_MS - chance.choice((0, 400, 10_000)),
                layout=layout,
            ),
        )
    if streams_twice:
        size = disorder.randrange(50, 600) * full
        calls.append(
            SyntheticCall(
                customer=_noise(disorder, size),
                agent=_noise(disorder, size),
                contact_id=OURS,
                rate=rate,
                pause_ms=disorder.choice((600, 1500, 3000, 20_000)),
                layout=layout,
            )
        )
    if has_after:
        blocks_after = chance.randrange(20, 900)
        calls.append(
            SyntheticCall(
                customer=b"\x77" * (blocks_after * full),
                agent=b"\x77" * (blocks_after * full),
                contact_id=AFTER,
                rate=rate,
                pause_ms=pause_after_ms,
                unlabelled=nameless_after,
                layout=layout,
            )
        )
    pieces = [(each.contents, each.duration_ms) for each in unwritten_stream(calls)]
    owners = [not any(b"\x77" in block.pcm for block in contents.blocks) for contents, _ in pieces]
    # Nobody can tell whose a rewound fragment is that names nobody, at the end of a call.
    rewinds = 0 if ours.last_unlabelled else chance.choice((0, 0, 0, 1, 2))
    rewinds = 0 if streams_twice else rewinds
    log = _with_rewinds(pieces, owners, chance, live_delay_ms, rewinds)
    if streams_twice:
        log = _with_second(log)
    if has_stranger and new_session:
        log = _with_new_session(log)
    found = disordered(log, layout, [kind for kind in IN_THE_LOG if kind in kinds], disorder)
    log = found.log
    contact_end_ms = max(entry.spoken_ms for entry in log if entry.ours)
    companion = None
    if streams_twice:
        log, companion = _shared(log, disorder)
    mine = [entry for entry in log if entry.ours]
    dangling = any(len(block.pcm) % 2 for entry in mine for block in entry.contents.blocks)
    words = (
        f"{blocks * _BLOCK_MS / 1000:.1f} s at {rate} Hz, {sides}, joins {joins_ms} ms, gaps "
        f"{[(gap.at_ms, gap.length_ms) for gap in gaps]}, short {len(short)}, unlabelled {sorted(unlabelled)}"
        f"{' and the last' if ours.last_unlabelled else ''}, before {has_before}, after {has_after} "
        f"({pause_after_ms} ms), rewinds {rewinds}, {'' if companion is None else _in_words(log, companion)}"
        f"{' '.join(found.kinds) or 'in order'}"
    )
    return RandomCall(
        log,
        rate,
        max(entry.spoken_ms for entry in mine),
        dangling,
        bool(gaps),
        (*found.kinds, *((Kind.UNLABELLED_STRANGER,) if has_stranger else ())),
        found.never_stored,
        words,
        contact_end_ms,
        companion,
    )


def _shared(log: Sequence[LogEntry], chance: random.Random) -> tuple[tuple[LogEntry, ...], Companion]:
    """Give each of two streamings its log, and say which one is under test."""
    second = next(entry for entry in log if entry.streaming == 2)
    start_ms = second.contents.producer_ms + chance.choice((-4000, -1500, -300, 0, 300, 1500, 4000))
    is_later = chance.random() < 0.5
    logs = [tuple(replace(entry, ours=entry.ours and entry.streaming == number) for entry in log) for number in (1, 2)]
    return logs[not is_later], Companion(logs[is_later], is_later, start_ms, second.at_ms)


def _in_words(log: Sequence[LogEntry], companion: Companion) -> str:
    second = companion.ours if companion.is_later else [entry for entry in log if entry.ours]
    return (
        f"{'first' if companion.is_later else 'second'} of two streamings, the second begins "
        f"{second[0].contents.producer_ms - DEFAULT_START_MS} and starts {companion.start_ms - DEFAULT_START_MS} ms, "
    )


def _noise(chance: random.Random, size: int) -> bytes:
    """PCM in which no two places are alike and no sample is silent or a stranger's."""
    return bytes(chance.randbytes(size).translate(_OUR_BYTES))


_OUR_BYTES = bytes(1 if value in {0, 0x77, 0x78} else value for value in range(256))


def _with_rewinds(
    pieces: Sequence[tuple[FragmentContents, int]],
    owners: Sequence[bool],
    chance: random.Random,
    live_delay_ms: int,
    rewinds: int,
) -> tuple[LogEntry, ...]:
    """A producer that reconnects may send its last fragments again: new numbers, the same producer times."""
    order = list(range(len(pieces)))
    mine = [at for at, ours in enumerate(owners) if ours]
    for _ in range(rewinds):
        last = chance.choice(mine[:-1]) if len(mine) > 2 else mine[0]
        at = len(order) - 1 - order[::-1].index(last)
        again = list(range(max(mine[0], last - chance.randrange(4)), last + 1))
        order[at + 1 : at + 1] = again
    entries = []
    latest_ms = server_ms = 0
    for counter, index in enumerate(order, 1):
        contents, duration_ms = pieces[index]
        end_ms = contents.producer_ms + duration_ms
        latest_ms = max(latest_ms, end_ms)
        # The server's clock goes on, whatever the producer sends again.
        server_ms = max(server_ms, contents.server_ms)
        contents = replace(contents, number=fragment_number(counter, server_ms), server_ms=server_ms)
        entries.append(
            LogEntry(
                contents,
                b"",
                latest_ms + live_delay_ms,
                end_ms,
                owners[index],
                counter=counter,
                spoken_ms=end_ms,
            )
        )
    return tuple(entries)


def _with_second(log: Sequence[LogEntry]) -> tuple[LogEntry, ...]:
    """Mark the fragments behind the longest pause of our contact, the only one."""
    mine = [at for at, entry in enumerate(log) if entry.ours]
    border = max(pairwise(mine), key=lambda pair: log[pair[1]].contents.producer_ms - log[pair[0]].end_ms)[1]
    return tuple(replace(entry, streaming=2) if at >= border else entry for at, entry in enumerate(log))


def _with_new_session(log: Sequence[LogEntry]) -> tuple[LogEntry, ...]:
    """The next contact's producer counts from elsewhere."""
    behind = max(at for at, entry in enumerate(log) if entry.ours) + 1
    jumped = [
        replace(
            entry,
            counter=entry.counter + 70_000,
            contents=replace(entry.contents, number=fragment_number(entry.counter + 70_000, entry.contents.server_ms)),
        )
        for entry in log[behind:]
    ]
    return (*log[:behind], *jumped)
