"""From elements to fragments: how each ends, what its tags say, what comes out at once and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.errors import MatroskaError
from connect_audio.core.fragments import (
    END,
    NEED_DATA,
    Block,
    BytesLost,
    Completion,
    Fragment,
    FragmentReader,
    fragment_counter,
)
from connect_audio.core.in_band import InBandError, Remedy
from connect_audio.core.matroska import TrackEntry
from connect_audio_local.synthesis import fragment_writer as writer
from connect_audio_local.synthesis.calls import DEFAULT_START_MS, fragment_number
from connect_audio_local.synthesis.fragment_writer import FragmentContents, FragmentLayout, Lacing, Placement, Spelling
from core_support.elements import (
    BLOCK,
    BLOCK_GROUP,
    CODEC_ID,
    DOCUMENT,
    INFO,
    NAME,
    SEGMENT_OF_UNKNOWN_SIZE,
    SIMPLE_BLOCK,
    TIMECODE,
    TIMECODE_SCALE,
    TRACK_ENTRY,
    TRACK_NUMBER,
    TRACK_TYPE,
    TRACKS,
    UNKNOWN_CLUSTER,
    element,
    named,
    tags,
    track_entry,
)
from core_support.reading import events_in_file_mode, events_of, fragments_of

CONTACT: Final = "00000000-0000-4000-8000-000000000001"
CONTENTS: Final = FragmentContents(
    number="91343852333181551234925834077012571618243808844",
    producer_ms=DEFAULT_START_MS,
    server_ms=DEFAULT_START_MS - 7,
    contact_id=CONTACT,
    instance_id="instance",
    blocks=[writer.Block.at_ms(1 + k % 2, DEFAULT_START_MS + 64 * (k // 2), bytes([k, 0]) * 512) for k in range(4)],
    millis_behind_now=1234,
)
NUMBER: Final = "AWS_KINESISVIDEO_FRAGMENT_NUMBER"
TOKEN: Final = tags(("AWS_KINESISVIDEO_CONTINUATION_TOKEN", "1"))
BLOCKS: Final = DOCUMENT + UNKNOWN_CLUSTER + element(TIMECODE, b"\1")


def written(contents: FragmentContents = CONTENTS, **layout: Any) -> bytes:
    return writer.write_fragment(contents, replace(FragmentLayout(), **layout))


def read_one(data: bytes) -> Fragment:
    (fragment,) = fragments_of(events_of([data]))
    return fragment


# --- a whole fragment ------------------------------------------------------------------------------------------------


def test_a_connect_fragment_is_read_with_all_it_says() -> None:
    data = written()
    fragment = read_one(data)

    assert fragment.number == CONTENTS.number
    assert fragment.server_timestamp_ms == CONTENTS.server_ms
    assert fragment.producer_timestamp_ms == CONTENTS.producer_ms
    assert fragment.millis_behind_now == 1234
    assert fragment.contact_ids == (CONTACT,)
    assert fragment.tag("MimeType") == "audio/L16;rate=8000;channels=1;"
    assert fragment.tag("AUDIO_FROM_CUSTOMER") == "1"
    assert fragment.tag("no such tag") is None
    assert fragment.timecode_scale_ns == 1_000_000
    assert fragment.tracks == (
        TrackEntry(number=1, track_type=2, name="AUDIO_TO_CUSTOMER", codec_id="A_AAC", codec_private=b"\x11\x90"),
        TrackEntry(number=2, track_type=2, name="AUDIO_FROM_CUSTOMER", codec_id="A_AAC", codec_private=b"\x11\x90"),
    )
    assert fragment.blocks == tuple(
        Block(block.track_number, block.time_ns, block.pcm, 1, 1024) for block in CONTENTS.blocks
    )
    assert (fragment.completion, fragment.truncation, fragment.errors) == (Completion.TOKEN, None, ())
    assert (fragment.offset, fragment.size) == (0, len(data))


def test_a_fragment_that_says_nothing_is_read_as_nothing() -> None:
    assert read_one(DOCUMENT) == Fragment(
        number=None,
        server_timestamp_ms=None,
        producer_timestamp_ms=None,
        millis_behind_now=None,
        contact_ids=(),
        tags=(),
        timecode_scale_ns=1_000_000,
        tracks=(),
        blocks=(),
        errors=(),
        completion=Completion.END_OF_BODY,
        truncation=None,
        offset=0,
        size=len(DOCUMENT),
        held_bytes=1024,
    )


def test_both_spellings_of_the_timestamp_tags_are_read() -> None:
    fragment = read_one(written(spelling=Spelling.FRAGMENT_LIST))

    assert fragment.server_timestamp_ms == CONTENTS.server_ms
    assert fragment.producer_timestamp_ms == CONTENTS.producer_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1782912654.536", 1_782_912_654_536),
        ("1782912654.5", 1_782_912_654_500),
        ("1782912654", 1_782_912_654_000),
        ("1.123456789", 1123),
        ("0.0", 0),
        ("1.", None),
        (".5", None),
        ("-1.5", None),
        ("1e9", None),
        ("9999999999999", None),
        ("", None),
        ("\u0661", None),
    ],
)
def test_timestamps_are_seconds_with_a_fraction_or_nothing(text: str, ms: int | None) -> None:
    assert read_one(DOCUMENT + tags(("AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", text))).producer_timestamp_ms == ms


def test_milliseconds_behind_now_that_are_no_number_are_none() -> None:
    assert read_one(DOCUMENT + tags(("AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", "soon"))).millis_behind_now is None


@pytest.mark.parametrize("number", ["", "12a", "-1", "1" * 129, "\u0661"])
def test_a_fragment_number_that_is_not_decimal_costs_no_audio(number: str) -> None:
    fragment = read_one(BLOCKS + element(SIMPLE_BLOCK, b"\x81\0\0\0ab") + tags((NUMBER, number)))

    assert (fragment.number, fragment.tag(NUMBER)) == (None, number)
    assert [block.data for block in fragment.blocks] == [b"ab"]


def test_two_contacts_whose_names_begin_alike_at_any_length_contradict_each_other() -> None:
    alike = "a" * 10_000

    first, second = read_one(DOCUMENT + tags(("ContactId", alike), ("ContactId", alike + "b"))).contact_ids

    assert first != second
    assert max(len(first), len(second)) < 400


def test_tracks_and_errors_of_a_fragment_weigh_what_they_hold() -> None:
    light = read_one(DOCUMENT + element(TRACKS, track_entry(1)))
    heavy = read_one(DOCUMENT + element(TRACKS, track_entry(1) * 2000))
    long = "x" * 100_000

    (error,) = read_one(DOCUMENT + tags(("AWS_KINESISVIDEO_ERROR_CODE", long))).errors

    assert heavy.held_bytes > light.held_bytes + 2000 * 200
    assert error.text == long[:1000]


def test_of_many_contacts_a_fragment_keeps_enough_to_contradict_itself() -> None:
    named = b"".join(tags(("ContactId", str(index))) for index in range(100))

    assert read_one(DOCUMENT + named).contact_ids == ("0", "1", "2", "3")


def test_every_contact_that_a_fragment_names_is_kept_once_and_in_order() -> None:
    named = tags(("ContactId", "b"), ("ContactId", "")) + tags(("ContactId", "a")) + tags(("ContactId", "b"))

    assert read_one(DOCUMENT + named).contact_ids == ("b", "a")


def test_laced_frames_are_joined_and_counted() -> None:
    block = read_one(written(lacing=Lacing.EBML, laced_frames=4)).blocks[0]

    assert (block.frame_count, block.data) == (4, CONTENTS.blocks[0].pcm)


def test_the_payload_of_what_is_no_audio_is_not_kept() -> None:
    video = element(TRACK_ENTRY, element(TRACK_NUMBER, b"\2") + element(TRACK_TYPE, b"\1"))
    data = DOCUMENT + element(TRACKS, track_entry(1) + video) + UNKNOWN_CLUSTER + element(TIMECODE, b"\1")
    data += element(SIMPLE_BLOCK, b"\x81\0\0\0audio") + element(SIMPLE_BLOCK, b"\x82\0\0\0video!")

    assert read_one(data).blocks == (Block(1, 1_000_000, b"audio", 1, 5), Block(2, 1_000_000, b"", 1, 6))


def test_timecodes_are_scaled_and_relative_to_their_cluster() -> None:
    data = DOCUMENT + element(INFO, element(TIMECODE_SCALE, (125_000).to_bytes(4))) + tags((NUMBER, "1"))
    for timecode in (b"\1\0", b"\2\0"):
        data += UNKNOWN_CLUSTER + element(TIMECODE, timecode) + element(SIMPLE_BLOCK, b"\x81\xff\xff\0ab")

    assert [block.time_ns for block in read_one(data).blocks] == [255 * 125_000, 511 * 125_000]


# --- how fragments end -----------------------------------------------------------------------------------------------


def test_a_fragment_is_complete_at_its_continuation_token_without_waiting_for_the_next() -> None:
    events = events_of([written()], end=False)

    assert isinstance(events[-1], Fragment)
    assert events[-1].completion is Completion.TOKEN


def test_a_fragment_without_a_token_is_complete_when_the_next_begins() -> None:
    first = written(continuation_token=False)
    assert fragments_of(events_of([first], end=False)) == []

    assert [fragment.completion for fragment in fragments_of(events_of([first + written()]))] == [
        Completion.SUCCESSOR,
        Completion.TOKEN,
    ]


def test_the_last_fragment_needs_no_successor() -> None:
    fragment = read_one(written(continuation_token=False))

    assert (fragment.completion, fragment.truncation) == (Completion.END_OF_BODY, None)


def test_a_fragment_cut_inside_an_element_is_truncated_and_keeps_its_whole_blocks() -> None:
    data = written()
    at = data.index(CONTENTS.blocks[2].pcm) + 17
    events = events_of([data[:at]])

    (fragment,) = fragments_of(events)
    assert fragment.completion is Completion.TRUNCATED
    assert fragment.truncation == "stream ends after 30 bytes of a 1028-byte SimpleBlock"
    assert len(fragment.blocks) == 2
    assert events[-1] == BytesLost(at - 30, 30, fragment.truncation)


def test_a_fragment_cut_inside_what_is_passed_over_is_truncated_too() -> None:
    data = written(void_bytes=100, producer_tags=Placement.NOWHERE)
    events = events_of([data[:90]])

    fragment, lost = events
    assert isinstance(fragment, Fragment)
    assert isinstance(lost, BytesLost)
    assert fragment.completion is Completion.TRUNCATED
    assert fragment.size + lost.count == 90


def test_garbage_truncates_the_fragment_it_meets() -> None:
    events, errors = events_in_file_mode([BLOCKS + element(SIMPLE_BLOCK, b"\x81\0\0\0ab") + b"\0\0" + DOCUMENT])

    first, second = fragments_of(events)
    assert (first.completion, first.truncation) == (Completion.TRUNCATED, str(errors[0]))
    assert len(first.blocks) == 1
    assert second.completion is Completion.END_OF_BODY
    assert [event for event in events if isinstance(event, BytesLost)] == [
        BytesLost(first.size, 2, f"byte 0x00 starts no element ID (at byte {first.size})")
    ]


def test_after_the_end_there_is_nothing_but_the_end() -> None:
    reader = FragmentReader()
    reader.receive_data(written()[:500])
    reader.receive_data(b"")
    assert [type(reader.next_event()) for _ in range(2)] == [Fragment, BytesLost]

    assert [reader.next_event() for _ in range(3)] == [END, END, END]


def test_an_empty_body_ends_at_once() -> None:
    assert events_of([]) == []


# --- live ------------------------------------------------------------------------------------------------------------


def test_a_block_is_in_the_open_fragment_with_its_last_byte() -> None:
    data = written()
    end = data.index(CONTENTS.blocks[0].pcm) + 1024
    reader = FragmentReader()
    reader.receive_data(data[: end - 1])
    assert reader.next_event() is NEED_DATA
    assert reader.open is not None
    assert reader.open.blocks == []
    reader.receive_data(data[end - 1 : end])
    assert reader.next_event() is NEED_DATA

    assert reader.open.blocks == [Block(1, CONTENTS.blocks[0].time_ns, CONTENTS.blocks[0].pcm, 1, 1024)]


def test_no_fragment_is_open_before_the_first_and_after_a_whole_one() -> None:
    reader = FragmentReader()
    assert reader.open is None
    reader.receive_data(written())
    assert isinstance(reader.next_event(), Fragment)

    assert reader.open is None


def test_a_whole_fragment_that_the_look_at_the_open_one_came_upon_is_the_next_event() -> None:
    reader = FragmentReader()
    reader.receive_data(written())
    assert reader.open is None

    event = reader.next_event()

    assert isinstance(event, Fragment)
    assert event.number == CONTENTS.number
    assert reader.next_event() is NEED_DATA


def test_an_error_that_the_look_at_the_open_fragment_came_upon_is_raised_by_the_next_event() -> None:
    reader = FragmentReader()
    reader.receive_data(DOCUMENT + UNKNOWN_CLUSTER + element(SIMPLE_BLOCK, bytes(8)))
    reader.receive_data(b"")
    assert reader.open is not None

    with pytest.raises(MatroskaError, match="a block before its Cluster's Timecode"):
        reader.next_event()


def test_each_fragment_is_open_as_an_object_of_its_own() -> None:
    data = written()
    reader = FragmentReader()
    reader.receive_data(data[:3000])
    assert reader.next_event() is NEED_DATA
    first = reader.open
    reader.receive_data(data[3000:] + data[:3000])
    assert isinstance(reader.next_event(), Fragment)
    assert reader.next_event() is NEED_DATA

    assert first is not None
    assert reader.open is not None
    assert reader.open is not first
    assert (first.offset, reader.open.offset) == (0, len(data))


def test_for_whom_a_block_is_can_be_told_while_its_fragment_is_open() -> None:
    data = written()
    reader = FragmentReader()
    reader.receive_data(data[:3000])
    assert reader.next_event() is NEED_DATA

    assert reader.open is not None
    assert reader.open.contact_ids == [CONTACT]
    assert reader.open.tag("MimeType") == "audio/L16;rate=8000;channels=1;"
    assert [track.name for track in reader.open.tracks] == ["AUDIO_TO_CUSTOMER", "AUDIO_FROM_CUSTOMER"]


# --- errors inside the stream ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", Spelling)
def test_an_error_beside_the_token_comes_with_its_fragment(spelling: Spelling) -> None:
    contents = replace(CONTENTS, error=writer.InBandError(4500, "KmsKeyAccessDenied"))

    (error,) = read_one(written(contents, spelling=spelling)).errors

    assert error == InBandError(4500, "KmsKeyAccessDenied")
    assert error.remedy is Remedy.OPERATOR


def test_an_error_without_any_fragment_is_heard() -> None:
    fragment = read_one(DOCUMENT + tags(("AWS_KINESISVIDEO_ERROR_ID", "3002")))

    assert (fragment.number, fragment.errors) == (None, (InBandError(3002, ""),))


def test_an_error_behind_the_continuation_token_is_heard_as_a_fragment_without_audio() -> None:
    error = tags(("AWS_KINESISVIDEO_ERROR_ID", "5000"), ("AWS_KINESISVIDEO_ERROR_CODE", "InternalError"))

    for tail, completion in ((b"", Completion.END_OF_BODY), (DOCUMENT, Completion.SUCCESSOR)):
        fragment, report, *_ = fragments_of(events_of([written() + error + tail]))
        assert fragment.completion is Completion.TOKEN
        assert report.errors == (InBandError(5000, "InternalError"),)
        assert (report.number, report.contact_ids, report.blocks) == (CONTENTS.number, (CONTACT,), ())
        assert report.completion is completion


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DOCUMENT + UNKNOWN_CLUSTER + element(SIMPLE_BLOCK, b"\x81\0\0\0"), "a block before its Cluster's Timecode"),
        (BLOCKS + UNKNOWN_CLUSTER + element(SIMPLE_BLOCK, b"\x81\0\0\0"), "a block before its Cluster's Timecode"),
        (SEGMENT_OF_UNKNOWN_SIZE, "a Segment without an EBML header before it"),
        (
            BLOCKS + element(BLOCK_GROUP, element(BLOCK, b"\x81")),
            "block: a block of 1 byte has no room for its header",
        ),
    ],
    ids=named,
)
def test_a_block_or_segment_out_of_place_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(MatroskaError) as error:
        events_of([data])

    assert str(error.value).startswith(f"{message} (at byte ")


def test_the_blocks_before_a_bad_one_are_in_the_open_fragment_at_its_error() -> None:
    good, bad = element(SIMPLE_BLOCK, b"\x81\0\0\0ab"), element(SIMPLE_BLOCK, b"\0\0\0\0ab")
    reader = FragmentReader()
    reader.receive_data(BLOCKS + good + good + bad + good)

    with pytest.raises(MatroskaError, match=rf"\(at byte {len(BLOCKS) + 30}\)$"):
        reader.next_event()
    assert reader.open is not None
    assert [block.data for block in reader.open.blocks] == [b"ab"] * 2


# --- fragment numbers ------------------------------------------------------------------------------------------------


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 45))
def test_the_producers_count_is_read_out_of_a_fragment_number(counter: int, server_ms: int) -> None:
    assert fragment_counter(fragment_number(counter, server_ms)) == counter


def test_a_number_of_another_anatomy_holds_no_count() -> None:
    assert [fragment_counter(number) for number in (None, "1", str(1 << 157), str((1 << 156) - 1))] == [None] * 4


def test_the_number_of_the_published_dump_holds_a_count() -> None:
    assert fragment_counter(CONTENTS.number) is not None


def test_names_and_codecs_of_tracks_come_as_written() -> None:
    entry = track_entry(1, element(NAME, b"any\0"), element(CODEC_ID, b"A_OPUS"))

    assert read_one(DOCUMENT + element(TRACKS, entry)).tracks == (
        TrackEntry(number=1, track_type=2, name="any", codec_id="A_OPUS"),
    )


@pytest.mark.parametrize(
    "head",
    [
        b"\xa3\x01" + b"%b" + b"\x81\x00\x00\x06\xff",
        b"\xa3\x01" + b"%b" + b"\x81\x00\x00\x00\xff",
        b"\xa5\x01" + b"%b" + b"\x81\x00\x00\x00\xff",
    ],
    ids=["a block of impossible laces", "a block", "something to be passed over"],
)
def test_fragments_inside_an_element_of_a_damaged_size_are_found_all_the_same(head: bytes) -> None:
    whole = [writer.write_fragment(replace(CONTENTS, number=fragment_number(k, DEFAULT_START_MS))) for k in range(1, 9)]
    broken = whole[0]
    # The first block takes the four fragments behind it for its own content.
    at = broken.index(b"\xa3", broken.index(CONTENTS.blocks[0].pcm) - 20)
    size = len(b"".join(whole[:5])) - at - 9
    swallows = broken[:at] + head % size.to_bytes(7) + broken[at + 14 :]
    events, errors = events_in_file_mode([swallows, *whole[1:]])
    assert len(errors) == 1
    found = [each.number for each in fragments_of(events) if each.completion is Completion.TOKEN]
    assert found == [fragment_number(k, DEFAULT_START_MS) for k in range(2, 9)]
