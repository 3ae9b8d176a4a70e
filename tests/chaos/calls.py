"""A random call in a stream that is re-used, and what must be recorded of it: positions and samples as generated.

The chaos schedules (`chaos.schedule`) record what comes out of here. The expectation knows the generator's blocks
alone, no line of the core.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from connect_audio_local.synthesis.calls import (
    DEFAULT_CONTACT_ID,
    DEFAULT_START_MS,
    Gap,
    ShortBlock,
    SyntheticCall,
    fragment_number,
    synthesize_stream,
)
from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_LAYOUT,
    FROM_CUSTOMER,
    TO_CUSTOMER,
    FragmentContents,
    FragmentLayout,
    Placement,
    write_fragment,
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
class LogEntry:
    """A fragment in the stream's log.

    Args:
        contents: what was written.
        data: its bytes.
        at_ms: when it becomes available, ms since the epoch.
        end_ms: when its audio ends.
        ours: whether it is our contact's.
    """

    contents: FragmentContents
    data: bytes
    at_ms: int
    end_ms: int
    ours: bool

    @property
    def number(self) -> str:
        return self.contents.number


@dataclass(frozen=True)
class RandomCall:
    """A call and its stream.

    Args:
        log: the stream, in order.
        rate: samples a second.
        end_ms: when our audio ends, ms since the epoch.
        dangling: whether a block of ours holds half a sample.
        gaps: whether there are pauses in our streaming.
        words: for the one who reads a failure.
    """

    log: tuple[LogEntry, ...]
    rate: int
    end_ms: int
    dangling: bool
    gaps: bool
    words: str

    @property
    def ours(self) -> tuple[LogEntry, ...]:
        return tuple(entry for entry in self.log if entry.ours)


def random_call(chance: random.Random, *, live_delay_ms: int) -> RandomCall:
    """Make a call.

    Args:
        chance: decides.
        live_delay_ms: how long after its end a fragment becomes available.
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
        and (not has_after or pause_after_ms > 2100),
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
    if has_after:
        blocks_after = chance.randrange(20, 900)
        calls.append(
            SyntheticCall(
                customer=b"\x77" * (blocks_after * full),
                agent=b"\x77" * (blocks_after * full),
                contact_id=AFTER,
                rate=rate,
                pause_ms=pause_after_ms,
                layout=layout,
            )
        )
    pieces = [(each.contents, each.duration_ms) for each in synthesize_stream(calls)]
    owners = _owners(pieces, calls)
    # Nobody can tell whose a rewound fragment is that names nobody, at the end of a call.
    rewinds = 0 if ours.last_unlabelled else chance.choice((0, 0, 0, 1, 2))
    log = _with_rewinds(pieces, owners, layout, chance, live_delay_ms, rewinds)
    mine = [entry for entry in log if entry.ours]
    dangling = any(len(block.pcm) % 2 for entry in mine for block in entry.contents.blocks)
    words = (
        f"{blocks * _BLOCK_MS / 1000:.1f} s at {rate} Hz, {sides}, joins {joins_ms} ms, gaps "
        f"{[(gap.at_ms, gap.length_ms) for gap in gaps]}, short {len(short)}, unlabelled {sorted(unlabelled)}"
        f"{' and the last' if ours.last_unlabelled else ''}, before {has_before}, after {has_after} "
        f"({pause_after_ms} ms), rewinds {rewinds}"
    )
    return RandomCall(log, rate, max(entry.end_ms for entry in mine), dangling, bool(gaps), words)


def _noise(chance: random.Random, size: int) -> bytes:
    """PCM in which no two places are alike and no sample is silent or a stranger's."""
    return bytes(chance.randbytes(size).translate(_OUR_BYTES))


_OUR_BYTES = bytes(1 if value in {0, 0x77} else value for value in range(256))


def _owners(pieces: Sequence[tuple[FragmentContents, int]], calls: Sequence[SyntheticCall]) -> list[bool]:
    """Whose fragments are ours, the unlabelled ones too: they stand between ours or behind the last of them."""
    labels = [contents.contact_id for contents, _ in pieces]
    first = labels.index(OURS)
    others_after = [at for at, label in enumerate(labels) if label == AFTER]
    end = others_after[0] if others_after else len(labels)
    assert len(calls) <= 3
    return [first <= at < end for at in range(len(labels))]


def _with_rewinds(
    pieces: Sequence[tuple[FragmentContents, int]],
    owners: Sequence[bool],
    layout: FragmentLayout,
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
    latest_ms = 0
    for counter, index in enumerate(order, 1):
        contents, duration_ms = pieces[index]
        end_ms = contents.producer_ms + duration_ms
        latest_ms = max(latest_ms, end_ms)
        number = fragment_number(counter, contents.server_ms)
        contents = replace(contents, number=number)
        entries.append(
            LogEntry(contents, write_fragment(contents, layout), latest_ms + live_delay_ms, end_ms, owners[index])
        )
    return tuple(entries)


# --- what must be recorded -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """What must come out of some fragments.

    Args:
        stereo: the frames as bytes.
        origin_ms: time of the first, ms since the epoch.
        spans: by fragment number, which frames its time covers.
    """

    stereo: bytes
    origin_ms: int
    spans: dict[str, tuple[int, int]]


def expected_of(entries: Collection[LogEntry], rate: int) -> Expected:
    """Say what must be recorded: every sample at its time, silence elsewhere.

    Args:
        entries: admitted fragments, in order.
        rate: samples a second.
    """
    first = next(entry for entry in entries if entry.contents.blocks)
    origin_ms = min(block.time_ns for block in first.contents.blocks) // 1_000_000

    def position(time_ns: int) -> int:
        samples, rest = divmod((time_ns // 1_000_000 - origin_ms) * rate, 1000)
        assert rest == 0, "the generator keeps to whole samples"
        return samples

    sides = {FROM_CUSTOMER: bytearray(), TO_CUSTOMER: bytearray()}
    spans: dict[str, tuple[int, int]] = {}
    for entry in entries:
        names = {track.number: track.name for track in entry.contents.tracks}
        starts, ends = [], []
        for block in entry.contents.blocks:
            start = position(block.time_ns)
            if start < 0:
                continue  # sent again, and its first sending, with which the recording would begin, was not whole
            pcm = block.pcm[: len(block.pcm) // 2 * 2]
            side = sides[names[block.track_number]]
            if len(side) < 2 * start + len(pcm):
                side.extend(bytes(2 * start + len(pcm) - len(side)))
            side[2 * start : 2 * start + len(pcm)] = pcm
            starts.append(start)
            ends.append(start + len(pcm) // 2)
        if starts:
            spans[entry.number] = (min(starts), max(ends))
    left, right = sides.values()
    length = max(len(left), len(right))
    left.extend(bytes(length - len(left)))
    right.extend(bytes(length - len(right)))
    stereo = bytearray(2 * length)
    stereo[0::4], stereo[1::4], stereo[2::4], stereo[3::4] = left[0::2], left[1::2], right[0::2], right[1::2]
    return Expected(bytes(stereo), origin_ms, spans)
