from __future__ import annotations

import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ebmlite import loadSchema
from ebmlite.core import MasterElement
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio_local.synthesis.fragment_writer import (
    CONNECT_LAYOUT,
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
from support.examples import examples

CAPTURES = Path(__file__).parents[4] / "shared" / "captures"
START_MS = 1_782_912_654_536
NUMBER = "91343852333181551234925834077012571618243808844"
CONTACT = "00000000-0000-4000-8000-000000000001"
INSTANCE = "00000000-0000-4000-8000-0000000000aa"
SCHEMA = loadSchema("matroska.xml")
BLOCK, BLOCK_DURATION = 0xA1, 0x9B  # ebmlite's schema does not know their names

CONTENTS = FragmentContents(
    number=NUMBER,
    producer_ms=START_MS,
    server_ms=START_MS + 170,
    contact_id=CONTACT,
    instance_id=INSTANCE,
    blocks=[Block.at_ms(1 + k % 2, START_MS + k // 2 * 64, bytes([k]) * 1024) for k in range(32)],
    millis_behind_now=131207,
)

needs_captures = pytest.mark.skipif(not CAPTURES.exists(), reason="the shared captures are not here")

layouts = st.builds(
    FragmentLayout,
    segment_size_known=st.booleans(),
    cluster_size_known=st.booleans(),
    size_width=st.none() | st.integers(1, 8),
    crc_32=st.booleans(),
    void_bytes=st.none() | st.integers(0, 300),
    seek_head=st.booleans(),
    tags_before_info=st.booleans(),
    contact_tags=st.sampled_from(Placement),
    producer_tags=st.sampled_from(Placement),
    blocks_per_cluster=st.none() | st.integers(1, 40),
    empty_cluster=st.booleans(),
    block_groups=st.booleans(),
    lacing=st.sampled_from(Lacing),
    laced_frames=st.integers(1, 9),
    track_number_width=st.integers(1, 8),
    name_padding=st.integers(0, 5),
    codec=st.sampled_from(Codec),
    mime_type=st.sampled_from(MimeType),
    audio_tags=st.sampled_from(AudioTags),
    spelling=st.sampled_from(Spelling),
    timecode_scale=st.sampled_from([1_000_000, 125_000, 100_000, 1_000, 64_000_000]),
    continuation_token=st.booleans(),
)
tracks = st.lists(
    st.builds(Track, st.integers(1, 1 << 30), st.sampled_from([FROM_CUSTOMER, TO_CUSTOMER, LEGACY_TRACK_NAME])),
    min_size=1,
    max_size=2,
    unique_by=lambda track: track.number,
)


@st.composite
def contents(draw: st.DrawFn) -> FragmentContents:
    drawn = draw(tracks)
    numbers = st.sampled_from([track.number for track in drawn])
    blocks = st.builds(
        Block, numbers, st.integers(-2_000, 40_000).map(lambda ms: (START_MS + ms) * 1_000_000), st.binary(max_size=700)
    )
    return replace(CONTENTS, tracks=drawn, blocks=draw(st.lists(blocks, max_size=12)))


# --- a reading of its own, on ebmlite's DOM --------------------------------------------------------------------------


def children(data: bytes) -> list[Any]:
    """Level-1 elements of the fragment; a Cluster of unknown size is cut where ebmlite does."""
    document = SCHEMA.loads(data)
    segment = next(element for element in document if element.name == "Segment")
    return list(segment)


def tags_of(elements: list[Any]) -> list[tuple[str, str]]:
    return [
        (str(simple.value[0].value), str(simple.value[1].value))
        for element in elements
        if element.name == "Tags"
        for tag in element
        if tag.name == "Tag"
        for simple in tag
    ]


def vint(data: bytes, at: int) -> tuple[int, int, int]:
    """Value, width and the position behind a variable-size integer."""
    width = 9 - data[at].bit_length()
    return int.from_bytes(data[at : at + width], "big") & (1 << 7 * width) - 1, width, at + width


def frames(payload: bytes) -> tuple[int, int, list[bytes]]:
    """Track number, relative timecode and frames of a block, by RFC 9559 section 10."""
    track, _, at = vint(payload, 0)
    relative = int.from_bytes(payload[at : at + 2], "big", signed=True)
    flags, at = payload[at + 2], at + 3
    lacing = flags & 0x06
    if not lacing:
        return track, relative, [payload[at:]]
    count, at = payload[at] + 1, at + 1
    sizes: list[int] = []
    if lacing == 0x02:
        for _ in range(count - 1):
            size = 0
            while payload[at] == 255:
                size, at = size + 255, at + 1
            sizes.append(size + payload[at])
            at += 1
    elif lacing == 0x06:
        for index in range(count - 1):
            value, width, at = vint(payload, at)
            sizes.append(sizes[-1] + value - ((1 << 7 * width - 1) - 1) if index else value)
    else:
        assert (len(payload) - at) % count == 0
        sizes = [(len(payload) - at) // count] * (count - 1)
    found = []
    for size in sizes:
        found.append(payload[at : at + size])
        at += size
    return track, relative, [*found, payload[at:]]


def blocks_of(elements: list[Any], scale: int) -> list[Block]:
    found = []
    for cluster in (element for element in elements if element.name == "Cluster"):
        timecode = next(int(element.value) for element in cluster if element.name == "Timecode")
        for element in cluster:
            if element.name == "BlockGroup":
                payload = bytes(next(child.value for child in element if child.id == BLOCK))
            elif element.name == "SimpleBlock":
                payload = bytes(element.value)
            else:
                continue
            track, relative, parts = frames(payload)
            found.append(Block(track, (timecode + relative) * scale, b"".join(parts)))
    return found


# --- the default layout ----------------------------------------------------------------------------------------------


@needs_captures
def test_the_default_layout_has_the_elements_offsets_and_sizes_of_a_real_connect_fragment() -> None:
    wanted = [
        (int(match[1]), int(match[2]), match[3])
        for line in (CAPTURES / "connect-fragment-layout.txt").read_text().splitlines()
        if (match := re.match(r" *(\d+) +(\d+) +(\w+)", line)) and match[3] != "MatroskaDocument"
    ]

    data = write_fragment(CONTENTS)

    found: list[tuple[int, int, str]] = []

    def visit(element: Any) -> None:
        found.append((element.offset, element.size, element.name))
        if isinstance(element, MasterElement):
            for child in element:
                visit(child)

    for element in SCHEMA.loads(data):
        visit(element)
    # ebmlite shows no EBML header in a document; the next test compares its bytes.
    assert found == [row for row in wanted if row[0] >= 40]
    assert len(data) == 34768


@needs_captures
def test_the_default_layout_is_byte_for_byte_that_of_the_rebuilt_capture() -> None:
    captured = (CAPTURES / "connect-call-61s.mkv").read_bytes()[:34768]
    blocks = [
        Block.at_ms(1 + k % 2, START_MS + k // 2 * 64, captured[997 + 1037 * k : 997 + 1037 * k + 1024])
        for k in range(32)
    ]

    assert write_fragment(replace(CONTENTS, blocks=blocks, millis_behind_now=243712)) == captured


# --- every other layout ----------------------------------------------------------------------------------------------


@given(contents=contents(), layout=layouts)
@settings(max_examples=examples(150), deadline=None)
def test_ebmlite_reads_the_same_blocks_tags_and_tracks_whatever_the_layout(
    contents: FragmentContents, layout: FragmentLayout
) -> None:
    elements = children(write_fragment(contents, layout))

    scale = layout.timecode_scale
    assert blocks_of(elements, scale) == [
        Block(block.track_number, block.time_ns // scale * scale, block.pcm) for block in contents.blocks
    ]
    entries = [
        entry for element in elements if element.name == "Tracks" for entry in element if entry.name == "TrackEntry"
    ]
    assert [(entry_value(entry, "TrackNumber"), entry_value(entry, "Name").rstrip("\0")) for entry in entries] == [
        (track.number, track.name) for track in contents.tracks
    ]
    tags = tags_of(elements)
    names = [name for name, _ in tags]
    assert (
        names.count("ContactId")
        == {
            Placement.BEFORE_AND_AFTER: 2,
            Placement.BEFORE: 1,
            Placement.AFTER: 1,
            Placement.NOWHERE: 0,
        }[layout.contact_tags]
    )
    assert ("AWS_KINESISVIDEO_FRAGMENT_NUMBER", NUMBER) in tags
    assert (names[-1] == "AWS_KINESISVIDEO_CONTINUATION_TOKEN") == layout.continuation_token


def entry_value(entry: Any, name: str) -> Any:
    return next(child.value for child in entry if child.name == name)


@pytest.mark.parametrize("width", range(1, 9))
def test_a_declared_size_takes_the_width_asked_for_or_as_much_as_it_needs(width: int) -> None:
    layout = FragmentLayout(size_width=width, segment_size_known=True)

    data = write_fragment(replace(CONTENTS, blocks=()), layout)

    at = data.index(bytes.fromhex("18538067")) + 4
    size, found, body = vint(data, at)
    assert size == len(data) - body
    assert found == max(width, 2)


def test_an_unknown_size_is_all_ones_in_the_width_asked_for() -> None:
    data = write_fragment(CONTENTS, FragmentLayout(size_width=2))

    assert bytes.fromhex("18538067 7FFF") in data
    assert bytes.fromhex("1F43B675 7FFF") in data


def test_a_crc_32_covers_what_follows_it_in_its_master() -> None:
    data = write_fragment(CONTENTS, FragmentLayout(crc_32=True))

    at = data.index(bytes.fromhex("1549A966")) + 4
    size, _, body = vint(data, at)
    assert data[body : body + 2] == b"\xbf\x84"
    assert int.from_bytes(data[body + 2 : body + 6], "little") == zlib.crc32(data[body + 6 : body + size])


def test_contact_id_stands_only_after_the_cluster_where_the_layout_says_so() -> None:
    data = write_fragment(CONTENTS, FragmentLayout(contact_tags=Placement.AFTER))

    assert data.count(CONTACT.encode()) == 1
    assert data.index(CONTACT.encode()) > data.index(bytes.fromhex("1F43B675"))


def test_tags_stand_before_info_where_the_layout_says_so() -> None:
    names = [element.name for element in children(write_fragment(CONTENTS, FragmentLayout(tags_before_info=True)))]

    assert names[:6] == ["Tags"] * 5 + ["Info"]


def test_a_fragment_without_blocks_has_a_cluster_only_on_demand() -> None:
    silent = replace(CONTENTS, blocks=())

    assert bytes.fromhex("1F43B675") not in write_fragment(silent)
    assert bytes.fromhex("1F43B675") in write_fragment(silent, FragmentLayout(empty_cluster=True))


def test_clusters_are_split_after_the_number_of_blocks_asked_for() -> None:
    elements = children(write_fragment(CONTENTS, FragmentLayout(blocks_per_cluster=12, cluster_size_known=True)))

    clusters = [element for element in elements if element.name == "Cluster"]
    assert [sum(child.name == "SimpleBlock" for child in cluster) for cluster in clusters] == [12, 12, 8]


def test_the_audio_tags_contradict_the_track_numbers_as_in_the_dump() -> None:
    tags = tags_of(children(write_fragment(CONTENTS)))
    agreeing = tags_of(children(write_fragment(CONTENTS, FragmentLayout(audio_tags=AudioTags.TRACK_NUMBER))))

    assert (TO_CUSTOMER, "2") in tags
    assert (TO_CUSTOMER, "1") in agreeing


def test_the_pcm_codec_comes_with_an_audio_master() -> None:
    data = write_fragment(replace(CONTENTS, rate=16000), FragmentLayout(codec=Codec.PCM))

    entry = next(element for element in children(data) if element.name == "Tracks").value[0]
    audio = next(child for child in entry if child.name == "Audio")
    assert entry_value(entry, "CodecID") == "A_PCM/INT/LIT"
    assert {child.name: child.value for child in audio} == {"SamplingFrequency": 16000.0, "Channels": 1, "BitDepth": 16}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (MimeType.CONNECT, "audio/L16;rate=16000;channels=1;"),
        (MimeType.NO_TRAILING_SEMICOLON, "audio/L16;rate=16000;channels=1"),
    ],
)
def test_the_mime_type_names_the_rate(form: MimeType, text: str) -> None:
    tags = tags_of(children(write_fragment(replace(CONTENTS, rate=16000), FragmentLayout(mime_type=form))))

    assert ("MimeType", text) in tags


def test_an_in_band_error_is_spelt_as_each_api_spells_it() -> None:
    failed = replace(CONTENTS, error=InBandError(4000, "FRAGMENT_NOT_FOUND"))

    media = dict(tags_of(children(write_fragment(failed))))
    listed = dict(tags_of(children(write_fragment(failed, FragmentLayout(spelling=Spelling.FRAGMENT_LIST)))))

    assert media["AWS_KINESISVIDEO_ERROR_ID"] == "4000"
    assert media["AWS_KINESISVIDEO_ERROR_CODE"] == "FRAGMENT_NOT_FOUND"
    assert listed["AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE"] == "4000"
    assert listed["AWS_KINESISVIDEO_SERVER_SIDE_TIMESTAMP"] == "1782912654.706"


def test_a_block_group_tells_its_duration_in_ticks() -> None:
    layout = replace(CONNECT_LAYOUT, block_groups=True, timecode_scale=125_000, cluster_size_known=True)

    cluster = next(e for e in children(write_fragment(CONTENTS, layout)) if e.name == "Cluster")

    group = next(element for element in cluster if element.name == "BlockGroup")
    duration = next(child.value for child in group if child.id == BLOCK_DURATION)
    assert int.from_bytes(duration, "big") == 64 * 8


@pytest.mark.parametrize(
    ("lacing", "sizes"),
    [
        (Lacing.XIPH, [544, 180, 544, 180, 2552]),
        (Lacing.EBML, [544, 180, 544, 180, 2552]),
        (Lacing.FIXED, [800, 800, 800, 800, 800]),
    ],
)
def test_a_laced_block_is_split_into_the_frames_asked_for(lacing: Lacing, sizes: list[int]) -> None:
    layout = FragmentLayout(lacing=lacing, laced_frames=5, cluster_size_known=True)
    pcm = bytes(range(250)) * 16
    data = write_fragment(replace(CONTENTS, blocks=[Block.at_ms(1, START_MS, pcm)]), layout)

    cluster = next(element for element in children(data) if element.name == "Cluster")

    _, _, parts = frames(bytes(next(e for e in cluster if e.name == "SimpleBlock").value))
    assert [len(part) for part in parts] == sizes
    assert b"".join(parts) == pcm


def test_a_xiph_size_that_is_a_multiple_of_255_ends_with_a_zero_byte() -> None:
    layout = FragmentLayout(lacing=Lacing.XIPH, laced_frames=2)

    data = write_fragment(replace(CONTENTS, blocks=[Block.at_ms(1, START_MS, b"pcm!" * 340)]), layout)

    assert bytes.fromhex("81 0000 82 01 FF FF 00") + b"pcm!" in data  # the first frame has 510 bytes
