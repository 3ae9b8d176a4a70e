from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio_local.kvs import CaptureError, StoredFragment, read_capture
from connect_audio_local.kvs.capture import block_ends
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.fragment_writer import (
    Block,
    FragmentContents,
    FragmentLayout,
    Lacing,
    Placement,
    Spelling,
    write_fragment,
)
from connect_audio_local.synthesis.speech import two_party_conversation

CAPTURES = Path(__file__).parents[4] / "shared" / "captures"
START_MS = 1_782_912_654_536
EBML_MAGIC = bytes.fromhex("1A45DFA3")

CONTENTS = FragmentContents(
    number="4711",
    producer_ms=START_MS,
    server_ms=START_MS - 900,
    contact_id="contact",
    instance_id="instance",
    # Audio that looks like an EBML header: only sizes tell it from one.
    blocks=[Block.at_ms(1 + k % 2, START_MS + k // 2 * 64, EBML_MAGIC * 256) for k in range(32)],
)

needs_captures = pytest.mark.skipif(not CAPTURES.exists(), reason="the shared captures are not here")


@pytest.mark.parametrize(
    "layout",
    [
        FragmentLayout(),
        FragmentLayout(segment_size_known=True, cluster_size_known=True, crc_32=True, void_bytes=9, seek_head=True),
        FragmentLayout(size_width=8, spelling=Spelling.FRAGMENT_LIST, contact_tags=Placement.AFTER),
        FragmentLayout(size_width=1, block_groups=True, lacing=Lacing.EBML, blocks_per_cluster=5),
        FragmentLayout(timecode_scale=125_000, track_number_width=3, tags_before_info=True),
    ],
)
def test_a_fragment_is_described_by_its_tags_and_blocks_whatever_the_layout(layout: FragmentLayout) -> None:
    data = write_fragment(CONTENTS, layout)

    stored = StoredFragment.from_bytes(data)

    assert (stored.number, stored.contact_id, stored.instance_id) == ("4711", "contact", "instance")
    assert (stored.producer_ms, stored.server_ms, stored.duration_ms) == (START_MS, START_MS - 900, 1024)
    assert (stored.size, stored.load()) == (len(data), data)
    assert [ms for _, ms in block_ends(data)] == [64 * (k // 2 + 1) for k in range(32)]


def test_a_number_that_is_not_decimal_is_none(tmp_path: Path) -> None:
    (fragment, *_) = synthesize_call(SyntheticCall(customer=bytes(16_000), agent=None))
    path = tmp_path / "odd.mkv"
    path.write_bytes(fragment.data.replace(fragment.number.encode(), b"A" + fragment.number[1:].encode()))

    assert [stored.number for stored in read_capture(path)] == [""]


def test_a_block_ends_where_the_next_one_begins() -> None:
    data = write_fragment(CONTENTS)

    ends = [end for end, _ in block_ends(data)]

    assert ends[0] == data.index(b"\xa3\x01\x00\x00\x00\x00\x00\x04\x04") + 1037
    assert ends == [ends[0] + 1037 * k for k in range(32)]


@needs_captures
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("connect-call-61s.mkv", 60),
        ("test_mixed_tags.mkv", 10),
        ("output_get_media_sparse_fragments.mkv", 3),
        ("empty-mkv-with-tags.mkv", 1),
        ("test_tags_empty_cluster.mkv", 1),
    ],
)
def test_every_byte_of_a_real_capture_belongs_to_a_fragment(name: str, count: int) -> None:
    fragments = read_capture(CAPTURES / name)

    assert len(fragments) == count
    assert b"".join(fragment.load() for fragment in fragments) == (CAPTURES / name).read_bytes()


def test_the_file_is_cut_where_the_fragments_were_joined(tmp_path: Path) -> None:
    speech = two_party_conversation(5)
    fragments = list(synthesize_call(SyntheticCall(customer=speech.customer, agent=speech.agent)))
    path = tmp_path / "call.mkv"
    path.write_bytes(b"".join(fragment.data for fragment in fragments))

    stored = read_capture(path)

    assert [fragment.load() for fragment in stored] == [fragment.data for fragment in fragments]
    assert [fragment.number for fragment in stored] == [fragment.number for fragment in fragments]
    assert [fragment.duration_ms for fragment in stored[:-1]] == [1024] * 4


@given(cut=st.integers(4, len(write_fragment(CONTENTS)) - 1))
def test_a_fragment_cut_off_anywhere_is_served_as_far_as_it_goes(cut: int) -> None:
    data = write_fragment(CONTENTS)[:cut]

    assert StoredFragment.from_bytes(data).load() == data


def test_an_unlabelled_fragment_has_no_contact() -> None:
    data = write_fragment(replace(CONTENTS, contact_id=None))

    assert StoredFragment.from_bytes(data).contact_id is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x02", "byte 0 starts no Matroska element"),
        (b"RIFF and so on", "no EBML header at byte 0, so this is no GetMedia capture"),
    ],
)
def test_what_is_no_capture_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "song.mkv"
    path.write_bytes(content)

    with pytest.raises(CaptureError, match=rf"song\.mkv: {message}"):
        read_capture(path)


def test_garbage_between_fragments_is_refused_with_its_place(tmp_path: Path) -> None:
    data = write_fragment(CONTENTS)
    path = tmp_path / "damaged.mkv"
    path.write_bytes(data + b"\x00\x00" + data)

    with pytest.raises(CaptureError, match=rf"damaged\.mkv: byte {len(data)} starts no Matroska element"):
        read_capture(path)
