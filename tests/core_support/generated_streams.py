"""Hypothesis strategies for whole GetMedia bodies: our contact's call, strangers around it, in every layout.

The tests of `core/` read what comes out of here. A `GeneratedStream` keeps what the generator itself decided, who spoke
which samples when, so that `core_support.expectation` can say what must be recorded without asking the core.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from hypothesis import strategies as st

from connect_audio_local.synthesis.calls import DEFAULT_START_MS, fragment_number
from connect_audio_local.synthesis.fragment_writer import (
    FROM_CUSTOMER,
    LEGACY_TRACK_NAME,
    TO_CUSTOMER,
    AudioTags,
    Block,
    Codec,
    FragmentContents,
    FragmentLayout,
    InBandError,
    Lacing,
    MimeType,
    Placement,
    Spelling,
    Track,
    write_fragment,
)

OURS: Final = "00000000-0000-4000-8000-000000000001"
BEFORE: Final = "11111111-1111-4111-8111-111111111111"
AFTER: Final = "22222222-2222-4222-8222-222222222222"
INSTANCE: Final = "00000000-0000-4000-8000-0000000000aa"
CUSTOMER: Final = "customer"
AGENT: Final = "agent"

STRANGERS_SAMPLE: Final = 0x7777
"""The one value that strangers' audio consists of and that ours never holds."""
_NO_0X77: Final = bytes(0x76 if value == 0x77 else value for value in range(256))
# The magic alone, and what a search would take for a whole document: EBML header, DocType matroska, Segment.
MAGIC: Final = bytes.fromhex("1A45DFA3")
DECOY: Final = bytes.fromhex("1A45DFA38B4282886D6174726F736B61") + bytes.fromhex("1853806701FFFFFFFFFFFFFF")


@dataclass(frozen=True)
class GeneratedBlock:
    """One block of ours or of a stranger, as the generator meant it.

    Args:
        serial: unique in the stream; a replayed block has its original's.
        party: whose track.
        written_ns: the time it is written with, before it is rounded down to a tick.
        pcm: payload.
        continues: serial of the block of the same party that it follows without a pause, or None.
    """

    serial: int
    party: str
    written_ns: int
    pcm: bytes
    continues: int | None


@dataclass(frozen=True)
class GeneratedFragment:
    """One fragment and the truth about it.

    Args:
        data: its bytes.
        contents: what was written.
        layout: how.
        owner: the contact that it truly belongs to.
        labels: the ContactId values that can be read in it.
        blocks: its blocks in stream order.
        end_ns: when its audio ends.
    """

    data: bytes
    contents: FragmentContents
    layout: FragmentLayout
    owner: str
    labels: tuple[str, ...]
    blocks: tuple[GeneratedBlock, ...]
    end_ns: int

    def __repr__(self) -> str:
        """Whose it is and its blocks as party, serial, ms, size and predecessor."""
        blocks = " ".join(
            f"{block.party[0]}{block.serial}@{block.written_ns / 1e6 - DEFAULT_START_MS:.3f}:{len(block.pcm)}"
            + ("" if block.continues is None else f"<{block.continues}")
            for block in self.blocks
        )
        labels = [label[:4] for label in self.labels]
        scale = self.layout.timecode_scale
        return (
            f"owner={self.owner[:4]} {labels=} number=…{self.contents.number[-6:]} {scale=} {len(self.data)} B {blocks}"
        )


class GeneratedStream:
    """One GetMedia body (no dataclass: Hypothesis would print all of its bytes).

    Args:
        fragments: in stream order.
        rate: samples a second.
        body_end: where the body is cut off, bytes; None where it is whole.
    """

    def __init__(self, fragments: tuple[GeneratedFragment, ...], rate: int, body_end: int | None = None) -> None:
        self.fragments = fragments
        self.rate = rate
        self.body_end = body_end

    @property
    def data(self) -> bytes:
        """The whole body, or what comes of it before it is cut off."""
        return b"".join(fragment.data for fragment in self.fragments)[: self.body_end]

    def __repr__(self) -> str:
        """Short enough to read in a failure."""
        lines = [f"  {index}: {fragment!r}" for index, fragment in enumerate(self.fragments)]
        return f"GeneratedStream(rate={self.rate}, body_end={self.body_end}\n" + "\n".join(lines) + ")"


# --- layouts ---------------------------------------------------------------------------------------------------------


def layouts(
    *,
    contact_tags: st.SearchStrategy[Placement] | None = None,
    mime_is_free: bool = True,
    scales: Sequence[int] = (1_000_000,),
) -> st.SearchStrategy[FragmentLayout]:
    """Every way to write a fragment that producers are known to use.

    Args:
        contact_tags: where ContactId may stand.
        mime_is_free: whether the MimeType tag may be missing although the codec does not tell the rate.
        scales: TimecodeScales to choose from, ns.
    """

    def rate_is_told(layout: FragmentLayout) -> bool:
        silent = layout.mime_type is MimeType.MISSING or layout.producer_tags is Placement.NOWHERE
        return mime_is_free or not silent or layout.codec is Codec.PCM

    return st.builds(
        FragmentLayout,
        segment_size_known=st.booleans(),
        cluster_size_known=st.booleans(),
        size_width=st.none() | st.integers(1, 8),
        crc_32=st.booleans(),
        void_bytes=st.none() | st.integers(0, 150),
        seek_head=st.booleans(),
        tags_before_info=st.booleans(),
        contact_tags=st.sampled_from(Placement) if contact_tags is None else contact_tags,
        producer_tags=st.sampled_from(Placement),
        blocks_per_cluster=st.none() | st.integers(1, 3),
        empty_cluster=st.booleans(),
        block_groups=st.booleans(),
        lacing=st.sampled_from(Lacing),
        laced_frames=st.integers(1, 5),
        track_number_width=st.integers(1, 3),
        name_padding=st.integers(0, 3),
        codec=st.sampled_from(Codec),
        mime_type=st.sampled_from(MimeType),
        audio_tags=st.sampled_from(AudioTags),
        spelling=st.sampled_from(Spelling),
        timecode_scale=st.sampled_from(scales),
        continuation_token=st.booleans(),
    ).filter(rate_is_told)


# --- calls -----------------------------------------------------------------------------------------------------------

# (rate, ms a block): Connect's, telephony's 20 ms, and rates whose samples do not fall on milliseconds.
_FORMATS: Final = ((8000, 64), (8000, 20), (16000, 20), (11025, 40), (44100, 20), (48000, 10))
_FINE_SCALES: Final = (1_000_000, 100_000, 125_000, 22_675)
_COARSE_SCALES: Final = (*_FINE_SCALES, 10_000_000)
_NUMBERS: Final = (1, 2, 3, 126, 127, 128, 300, 1 << 28)
_NS: Final = 1_000_000_000
_MS: Final = 1_000_000


@dataclass(frozen=True)
class _Form:
    """What stays the same through a stream."""

    rate: int
    block_length: int
    scales: tuple[int, ...]
    tick: int
    tolerance: int
    most_jitter: int

    @property
    def least_known_again(self) -> int:
        """Samples that hold two cells of `core/written.py` wherever they begin: fewer are known in place alone."""
        return 3 * (self.rate // 250)

    def short_blocks(self, *, sent_again: bool) -> tuple[int, int] | None:
        """Samples of a block that is too short to be taken for jitter, and long enough not to be: None if none is.

        Args:
            sent_again: whether a producer may send it again as new audio.
        """
        low, high = 2 * self.tick + 3, self.block_length - self.tolerance - self.tick - 2 * self.most_jitter - 6
        if sent_again:
            low = max(low, self.least_known_again)
        return (low, high) if low <= high else None


@st.composite
def _forms(draw: st.DrawFn) -> _Form:
    rate, block_ms = draw(st.sampled_from(_FORMATS))
    length = rate * block_ms // 1000
    usable = _COARSE_SCALES if block_ms >= 60 else _FINE_SCALES
    scales = tuple(draw(st.lists(st.sampled_from(usable), min_size=1, max_size=2)))
    # Blocks that differ by the tolerance of the design (10 ms, half a block, a tick) from their place join their
    # predecessor. Both of two blocks may be off, and rounded down to a tick each.
    tick = -(-max(scales) * rate // _NS)
    tolerance = min(rate // 100, length // 2)
    jitter = max(0, min(20, (tolerance - tick - 5) // 2))
    return _Form(rate, length, scales, tick, max(tolerance, tick), jitter)


class _Noise:
    """Samples of ours: noise with the EBML magic in it, without the strangers' value."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def block(self, size: int) -> bytes:
        pcm = bytearray(self._random.randbytes(size).translate(_NO_0X77))
        for bait in (MAGIC, DECOY):
            if size > len(bait) and self._random.random() < 0.1:
                at = self._random.randrange(size - len(bait))
                pcm[at : at + len(bait)] = bait
        return bytes(pcm)

    def chance(self, one_in: int) -> bool:
        return self._random.randrange(one_in) == 0

    def between(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


@dataclass(frozen=True)
class _Row:
    """What one block's time holds."""

    blocks: tuple[GeneratedBlock, ...]
    end_ns: int


@st.composite
def _our_rows(
    draw: st.DrawFn, form: _Form, start_ns: int, noise: _Noise, serials: count[int], *, sent_again: bool
) -> list[list[_Row]]:
    """Rows of our call, grouped into fragments."""
    short_blocks = form.short_blocks(sent_again=sent_again)
    off_place = not sent_again or form.block_length > form.least_known_again  # what comes again is known there, too
    parties = draw(st.sampled_from(((CUSTOMER, AGENT), (AGENT, CUSTOMER), (CUSTOMER, AGENT), (CUSTOMER,), (AGENT,))))
    fragments = draw(st.integers(1, 6))
    rows_each = draw(st.integers(1, 3))
    joins_row = draw(st.sampled_from((0, 0, 1, rows_each, 2 * rows_each)))  # of the second party
    lag_rows = draw(st.sampled_from((0, 0, 0, 1, rows_each, 3)))  # the second party's blocks come so much later
    odd_things = draw(st.booleans())  # odd sizes, short blocks, single missing blocks
    jitter = form.most_jitter if draw(st.booleans()) and off_place else 0
    longest_hole_ms = 1200 if lag_rows else 12_000
    # Before each fragment: samples of time without audio; never near the borders of the 2 s rule.
    holes = [
        draw(st.sampled_from((0, 0, 0, 60, 1200, longest_hole_ms))) * form.rate // 1000 if index else 0
        for index in range(fragments)
    ]
    clock = 0  # samples since the start of the call
    pending: list[GeneratedBlock] = []  # of the lagging party
    previous: dict[str, int | None] = dict.fromkeys(parties)
    grouped: list[list[_Row]] = []
    odd_left = 4  # odd blocks drift one sample each against the clock
    row_index = 0
    for hole in holes:
        if hole:
            clock += hole
            previous = dict.fromkeys(parties)
        rows: list[_Row] = []
        for _ in range(rows_each):
            blocks: list[GeneratedBlock] = []
            for place, party in enumerate(parties):
                if place and row_index < joins_row:
                    continue
                if odd_things and noise.chance(12) and not (grouped == [] and place == 0):
                    previous[party] = None  # this block is missing
                    continue
                size = 2 * form.block_length
                whole = True
                if odd_things and odd_left and noise.chance(8):
                    odd_left -= 1
                    if noise.chance(2):
                        size -= off_place
                    elif short_blocks:
                        size, whole = 2 * noise.between(*short_blocks) * noise.between(0, 1), False
                off = 0 if previous[party] is None or not whole else noise.between(-jitter, jitter)
                block = GeneratedBlock(
                    next(serials),
                    party,
                    start_ns + (clock + off) * _NS // form.rate,
                    noise.block(size),
                    previous[party],
                )
                previous[party] = block.serial if whole else None
                if place and lag_rows:
                    pending.append(block)
                else:
                    blocks.append(block)
            if row_index >= lag_rows and pending:
                blocks.append(pending.pop(0))
            clock += form.block_length
            row_index += 1
            rows.append(_Row(tuple(blocks), start_ns + clock * _NS // form.rate))
        grouped.append(rows)
    return grouped


def _strangers_rows(form: _Form, start_ns: int, fragments: int, serials: count[int]) -> list[list[_Row]]:
    """Rows of another contact's call."""
    pcm = STRANGERS_SAMPLE.to_bytes(2, "little") * form.block_length
    grouped = []
    for index in range(fragments):
        at, end = (start_ns + (index + step) * form.block_length * _NS // form.rate for step in (0, 1))
        blocks = tuple(GeneratedBlock(next(serials), party, at, pcm, None) for party in (CUSTOMER, AGENT))
        grouped.append([_Row(blocks, end)])
    return grouped


@st.composite
def _tracks(draw: st.DrawFn, parties: frozenset[str]) -> dict[str, Track]:
    """Track entries by party, in the order in which they are declared."""
    first, second = draw(st.permutations(_NUMBERS))[:2]
    uid = draw(st.integers(1, 5))
    legacy = parties == {CUSTOMER} and draw(st.booleans())
    entries = {
        CUSTOMER: Track(first, LEGACY_TRACK_NAME if legacy else FROM_CUSTOMER, uid=uid),
        AGENT: Track(second, TO_CUSTOMER, uid=uid + 1),
    }
    order = draw(st.permutations(sorted(parties)))
    return {party: entries[party] for party in order}


@dataclass(frozen=True)
class _Part:
    """One contact's part of a stream."""

    owner: str
    rows: list[list[_Row]]


@st.composite
def generated_streams(draw: st.DrawFn, *, cut: bool = False, unique_numbers: bool = False) -> GeneratedStream:
    """Whole bodies with our call in them.

    Args:
        cut: whether the body may end at any byte.
        unique_numbers: give replayed fragments numbers of their own, as a producer that rewinds does.
    """
    form = draw(_forms())
    noise = _Noise(draw(st.integers(0, 1 << 32)))
    serials = count()
    start_ns = (DEFAULT_START_MS + draw(st.integers(0, 1000))) * 1_000_000
    parts: list[_Part] = []
    if draw(st.booleans()):
        rows = _strangers_rows(form, start_ns, draw(st.integers(1, 3)), serials)
        parts.append(_Part(BEFORE, rows))
        start_ns = _whole_ms(rows[-1][-1].end_ns) + draw(st.sampled_from((0, 400, 4000))) * 1_000_000
    ours = draw(_our_rows(form, start_ns, noise, serials, sent_again=unique_numbers))
    parts.append(_Part(OURS, ours))
    if draw(st.booleans()):
        start_ns = _whole_ms(ours[-1][-1].end_ns) + draw(st.sampled_from((0, 400, 4000))) * 1_000_000
        parts.append(_Part(AFTER, _strangers_rows(form, start_ns, draw(st.integers(1, 3)), serials)))

    written = [fragment for part in parts for fragment in draw(_written(part, form, noise))]
    fragments = _numbered(written, noise, unique_numbers=unique_numbers)
    stream = GeneratedStream(tuple(fragments), form.rate)
    if cut:
        return GeneratedStream(stream.fragments, form.rate, draw(st.integers(1, len(stream.data))))
    return stream


def _whole_ms(time_ns: int) -> int:
    return -(-time_ns // 1_000_000) * 1_000_000


@st.composite
def _written(draw: st.DrawFn, part: _Part, form: _Form, noise: _Noise) -> list[GeneratedFragment]:
    """The fragments of one contact, without their final numbers."""
    ours = part.owner == OURS
    parties = frozenset(block.party for rows in part.rows for row in rows for block in row.blocks)
    tracks = draw(_tracks(parties or frozenset({CUSTOMER})))
    labelled = st.sampled_from((Placement.BEFORE_AND_AFTER, Placement.BEFORE, Placement.AFTER))
    choices = draw(
        st.lists(
            layouts(contact_tags=labelled, mime_is_free=form.rate == 8000, scales=form.scales), min_size=1, max_size=2
        )
    )
    # A stranger's last fragment is labelled: with no label at all nobody could tell it from the end of our call.
    last = len(part.rows) - (1 if ours else 2)
    unlabelled = draw(st.sets(st.integers(0, last), max_size=3)) if last >= 0 and draw(st.booleans()) else set()
    fragments: list[GeneratedFragment] = []
    for index, rows in enumerate(part.rows):
        layout = choices[index % len(choices)]
        blocks = tuple(block for row in rows for block in row.blocks)
        labels: tuple[str, ...] = () if index in unlabelled else (part.owner,)
        other_tags: list[tuple[str, str]] = [("Events", "x" * noise.between(0, 5))] if noise.chance(3) else []
        if ours and labels and noise.chance(25):
            # A fragment that names two contacts is nobody's.
            other_tags.append(("ContactId", AFTER))
            if layout.producer_tags is not Placement.NOWHERE:
                labels = (OURS, AFTER)
        present = {block.party for block in blocks}
        contents = FragmentContents(
            number="0",
            producer_ms=min((block.written_ns for block in blocks), default=rows[0].end_ns) // 1_000_000,
            server_ms=rows[-1].end_ns // 1_000_000,
            contact_id=part.owner if labels else None,
            instance_id=INSTANCE,
            tracks=[track for party, track in tracks.items() if party in present] or list(tracks.values()),
            blocks=[Block(tracks[block.party].number, block.written_ns, block.pcm) for block in blocks],
            rate=form.rate,
            millis_behind_now=noise.between(0, 5000) if noise.chance(2) else None,
            error=InBandError(noise.between(4500, 4508), "KMS") if noise.chance(15) else None,
            other_tags=other_tags,
        )
        fragments.append(GeneratedFragment(b"", contents, layout, part.owner, labels, blocks, rows[-1].end_ns))
        # What was never recorded cannot come again: replays and missing labels do not meet.
        if ours and not unlabelled and noise.chance(6):
            again = fragments[-min(len(fragments), noise.between(1, 2)) :]
            fragments += again
        if ours and noise.chance(12):
            # A fragment that has tags and no audio, with a Cluster or without.
            empty = FragmentContents(
                number="0",
                producer_ms=rows[-1].end_ns // 1_000_000,
                server_ms=rows[-1].end_ns // 1_000_000,
                contact_id=part.owner if labels else None,
                instance_id=INSTANCE,
                tracks=list(tracks.values()),
                rate=form.rate,
            )
            fragments.append(
                GeneratedFragment(b"", empty, layout, part.owner, (part.owner,) if labels else (), (), rows[-1].end_ns)
            )
    return fragments


def _numbered(written: list[GeneratedFragment], noise: _Noise, *, unique_numbers: bool) -> list[GeneratedFragment]:
    """Give fragments their numbers and write them. A replay has its original's number, or one of its own.

    Fragments reach the server one after the other, with delays that differ by up to a second. So does one that the
    producer sends again under a new number. Numbers are missing only where time is.
    """
    numbers: dict[int, tuple[str, int]] = {}
    counter = server_ms = end_ns = 0
    numbered = []
    for fragment in written:
        contents = fragment.contents
        if unique_numbers or id(fragment) not in numbers:
            begins_ns = min((block.written_ns for block in fragment.blocks), default=fragment.end_ns)
            room = (begins_ns - end_ns) // max(fragment.end_ns - begins_ns, _MS)
            counter += 1 + (noise.between(1, min(3, room)) if end_ns and room > 0 and noise.chance(4) else 0)
            end_ns = max(end_ns, fragment.end_ns)
            server_ms = max(server_ms, contents.server_ms + noise.between(0, 1000))
            numbers[id(fragment)] = fragment_number(counter, server_ms), server_ms
        number, arrived_ms = numbers[id(fragment)]
        contents = FragmentContents(
            number=number,
            producer_ms=contents.producer_ms,
            server_ms=arrived_ms,
            contact_id=contents.contact_id,
            instance_id=contents.instance_id,
            tracks=contents.tracks,
            blocks=contents.blocks,
            rate=contents.rate,
            millis_behind_now=contents.millis_behind_now,
            error=contents.error,
            other_tags=contents.other_tags,
        )
        numbered.append(
            GeneratedFragment(
                write_fragment(contents, fragment.layout),
                contents,
                fragment.layout,
                fragment.owner,
                fragment.labels,
                fragment.blocks,
                fragment.end_ns,
            )
        )
    return numbered


@st.composite
def chunkings(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Cut bytes at random places."""
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < stop]


@st.composite
def out_of_order(draw: st.DrawFn, stream: GeneratedStream) -> bytes:
    """Swap neighbours among the fragments of a stream, and send some again at any place."""
    fragments = [fragment.data for fragment in stream.fragments]
    for at in draw(st.lists(st.integers(0, max(0, len(fragments) - 2)), max_size=3)):
        fragments[at : at + 2] = reversed(fragments[at : at + 2])
    for at in draw(st.lists(st.integers(0, len(fragments) - 1), max_size=2)):
        fragments.insert(draw(st.integers(0, len(fragments))), fragments[at])
    return b"".join(fragments)
