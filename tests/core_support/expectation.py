"""What must be recorded of a generated stream: a dict from position to sample for each party, and no line of the core.

It restates the design (admission by labels, one timeline) over the generator's own values, as plainly as it can be said
with the whole stream in hand.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from core_support.generated_streams import AGENT, CUSTOMER, OURS, GeneratedBlock, GeneratedFragment, GeneratedStream

_RUN_ON_NS: Final = 2_000_000_000
_SEGMENT_ID: Final = bytes.fromhex("18538067")


@dataclass(frozen=True)
class Seen:
    """What of a fragment lies before the end of the body.

    Args:
        fragment: the generated one.
        labels: the ContactId values whose tags are whole.
        blocks: the blocks that are whole.
        block_cut: whether the body ends inside one of its blocks.
        ended: whether the body shows that nothing of it is missing.
    """

    fragment: GeneratedFragment
    labels: tuple[str, ...]
    blocks: tuple[GeneratedBlock, ...]
    block_cut: bool
    ended: bool


@dataclass(frozen=True)
class PartySums:
    """The sums of one party.

    Args:
        received: bytes of its blocks that are admitted, copies included.
        repeated: bytes of blocks with a sample that came before.
        heard: positions with a sample of it.
        alone_silent: positions with a sample of the other party alone.
    """

    received: int = 0
    repeated: int = 0
    heard: int = 0
    alone_silent: int = 0


@dataclass(frozen=True)
class Expected:
    """What must come out.

    Args:
        stereo: the frames as bytes.
        lost: blocks of ours, serials, that came and that no rule allows to be recorded.
        doubtful: whether audio was left out that may have been ours for all its labels tell.
        block_cut: whether the body ends inside a block of ours.
        holes: whether there is time in which neither party is heard.
        dangling: bytes that make no whole sample.
        sums: those of each party.
    """

    stereo: bytes
    lost: frozenset[int]
    doubtful: bool
    block_cut: bool
    holes: bool
    dangling: int
    sums: Mapping[str, PartySums]


def expected_recording(stream: GeneratedStream) -> Expected:
    """Say what of a stream must be recorded."""
    seen = _before_the_cut(stream)
    admitted = [item for index, item in enumerate(seen) if _is_ours(seen, index)]
    samples: dict[str, dict[int, int]] = {CUSTOMER: {}, AGENT: {}}
    ends: dict[int, int] = {}
    origin: int | None = None
    dangling = 0
    received, repeated = Counter[str](), Counter[str]()
    for item in admitted:
        for block in item.blocks:
            dangling += len(block.pcm) % 2
            received[block.party] += len(block.pcm)
            # Half a sample at the end of a repeated block is counted with the block.
            repeated[block.party] += len(block.pcm) if block.serial in ends and len(block.pcm) > 1 else 0
        positions = [_nearest_sample(block, item, stream.rate) for block in item.blocks]
        if origin is None and positions:
            origin = min(positions)
        for block, absolute in zip(item.blocks, positions, strict=True):
            if block.serial in ends or origin is None:
                continue  # the same block once more changes nothing
            values = struct.unpack(f"<{len(block.pcm) // 2}h", block.pcm[: len(block.pcm) // 2 * 2])
            before = None if block.continues is None else ends.get(block.continues)
            start = absolute - origin if before is None else before
            ends[block.serial] = start + len(values)
            samples[block.party].update(
                (start + offset, value) for offset, value in enumerate(values) if start + offset >= 0
            )
    length = max((max(party, default=-1) + 1 for party in samples.values()), default=0)
    left, right = samples[CUSTOMER], samples[AGENT]
    stereo = _interleaved(left, right, length)
    ours = {block.serial for item in seen if item.fragment.owner == OURS for block in item.blocks if block.pcm}
    heard = set(left) | set(right)
    block_cut = any(item.block_cut for item in seen if item.fragment.owner == OURS)
    doubtful = any(item.blocks and len(item.labels) != 1 and item not in admitted for item in seen)
    sums = {
        party: PartySums(
            received[party], repeated[party], len(_within(samples[party])), len(_within(other) - set(samples[party]))
        )
        for party, other in ((CUSTOMER, right), (AGENT, left))
    }
    return Expected(stereo, frozenset(ours - set(ends)), doubtful, block_cut, len(heard) < length, dangling, sums)


def _interleaved(left: Mapping[int, int], right: Mapping[int, int], length: int) -> bytes:
    """Frames, with zeros where a side has nothing: most of a call with a long pause."""
    frames = bytearray(4 * length)
    for side, samples in enumerate((left, right)):
        for position, value in samples.items():
            struct.pack_into("<h", frames, 4 * position + 2 * side, value)
    return bytes(frames)


def _within(side: Mapping[int, int]) -> set[int]:
    return {position for position in side if position >= 0}


def _nearest_sample(block: GeneratedBlock, item: Seen, rate: int) -> int:
    """The block's written time, rounded down to a tick, as the nearest sample."""
    scale = item.fragment.layout.timecode_scale
    return int(Fraction(block.written_ns // scale * scale * rate, 1_000_000_000) + Fraction(1, 2))


def _is_ours(seen: Sequence[Seen], index: int) -> bool:
    """The rule of admission, with the whole stream in hand."""
    item = seen[index]
    if item.labels:
        return item.labels == (OURS,)
    left = next((other for other in reversed(seen[:index]) if other.labels), None)
    right = next((other for other in seen[index + 1 :] if other.labels), None)
    if left is None or left.labels != (OURS,):
        return False
    if right is not None and right.labels == (OURS,):
        return True
    # Our call ends somewhere here: the unlabelled ones are ours as far as they run on from ours without a break, in
    # time and in the producer's count, unless others' audio may run on from them. One that may be cut off could have
    # been labelled at its end.
    first = next(at for at in range(index, -1, -1) if seen[at].labels) + 1
    last = next((at for at in range(index, len(seen)) if seen[at].labels), len(seen)) - 1
    before = [other for at, other in enumerate(seen[:first]) if _is_ours(seen, at)]
    ends = [_end(other) for other in before if other.blocks]
    if not ends:
        return False
    end, counter = max(ends), max(_counter(other) for other in before)
    broken: Seen | None = None
    for at in range(first, last + 1):
        other = seen[at]
        is_next = _counter(other) == counter + 1
        if other.blocks:
            runs_on = is_next and other.ended and abs(_start(other) - end) <= _RUN_ON_NS
            broken = broken or (None if runs_on else other)
            end = end if broken else _end(other)
        counter += is_next and broken is None
        if at == index and broken is not None:
            return False
    if broken is not None:
        # The end of the bytes may cut our own last fragment, which is no stranger then.
        is_cut = right is None and not broken.ended
        return is_cut or _start(broken) - end > _RUN_ON_NS
    if right is None:
        return True
    start = _start(right) if right.blocks else right.fragment.contents.producer_ms * 1_000_000
    return start - end > _RUN_ON_NS


def _counter(item: Seen) -> int:
    """The producer's count in a fragment number: the bits above the 92 lowest, without the mark at bit 156."""
    return int(item.fragment.contents.number) // 2**92 - 2**64


def _start(item: Seen) -> int:
    return min(block.written_ns for block in item.blocks)


def _end(item: Seen) -> int:
    return max(block.written_ns for block in item.blocks)


def _before_the_cut(stream: GeneratedStream) -> list[Seen]:
    """Fragments as far as the body goes: an element is there when its last byte is."""
    seen: list[Seen] = []
    start = 0
    for fragment, successor in zip(stream.fragments, [*stream.fragments[1:], None], strict=True):
        end = len(stream.data) - start
        start += len(fragment.data)
        if end >= len(fragment.data):
            succeeded = successor is not None and end - len(fragment.data) >= successor.data.index(_SEGMENT_ID)
            ended = succeeded or fragment.layout.continuation_token
            seen.append(Seen(fragment, fragment.labels, fragment.blocks, block_cut=False, ended=ended))
        elif end > 0:
            # Our blocks hold noise and every payload is the last thing in its element, so is every tag's value.
            at, blocks, block_cut = 0, [], False
            for block in fragment.blocks:
                start_at = fragment.data.index(block.pcm, at)
                at = start_at + len(block.pcm)
                if at <= end:
                    blocks.append(block)
                block_cut = block_cut or start_at < end < at
            labels = tuple(
                label for label in fragment.labels if 0 <= fragment.data.find(label.encode()) + len(label) <= end
            )
            seen.append(Seen(fragment, labels, tuple(blocks), block_cut, ended=False))
    return seen
