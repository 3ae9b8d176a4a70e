"""The fragment under way: labels, tags, errors, clusters, and what goes on into the next one."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from connect_audio.core.fragment import Block, Completion
from connect_audio.core.matroska import TagValue, TrackEntry
from connect_audio.core.open_fragment import OpenFragment, Part
from core_support.fragments_by_hand import fragment

AWS: Final = "AWS_KINESISVIDEO_"
DAY_MS: Final = 86_400_000


def tags(**values: str) -> list[TagValue]:
    return [TagValue(name if name == "ContactId" else AWS + name, value) for name, value in values.items()]


def draft(**values: str) -> OpenFragment:
    made = OpenFragment(0)
    made.take_tags(tags(**values), 0)
    return made


def track(number: int, kind: int) -> TrackEntry:
    return TrackEntry(number=number, track_type=kind, name="", codec_id="")


def block(track_number: int, time_ns: int) -> Block:
    return Block(track_number, time_ns, b"\1\2", 1, 2)


# --- labels ----------------------------------------------------------------------------------------------------------


def test_four_contacts_are_known_by_name_and_each_once() -> None:
    made = OpenFragment(0)
    for name in ("a", "b", "a", "", "c", "d", "e"):
        made.take_tags(tags(ContactId=name), 0)

    assert made.contact_ids == made.last_labels == ["a", "b", "c", "d"]
    assert made.tags == []


@pytest.mark.parametrize(("chars", "is_hashed"), [(256, False), (257, True)])
def test_a_long_contact_id_is_known_by_its_hash(chars: int, is_hashed: bool) -> None:  # noqa: FBT001
    first, second = draft(ContactId="x" * chars), draft(ContactId="x" * chars + "y")

    assert first.contact_ids != second.contact_ids
    assert (first.contact_ids == ["x" * chars]) is not is_hashed
    assert first.contact_ids[0].startswith("x" * 256)
    assert len(first.contact_ids[0]) == (256 + 1 + 64 if is_hashed else chars)


# --- tags ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [
        ("1782912654.536", 1_782_912_654_536),
        ("1782912654", 1_782_912_654_000),
        ("1.5", 1_500),
        ("1.05", 1_050),
        ("1.0009", 1_000),
        ("1.123456789", 1_123),
        ("123456789012.1", 123_456_789_012_100),
        ("1234567890123", None),
        ("1.1234567890", None),
        ("1.", None),
        (".5", None),
        ("-1", None),
        ("", None),
    ],
)
def test_times_are_seconds_with_a_fraction(seconds: str, milliseconds: int | None) -> None:
    for name in ("SERVER_TIMESTAMP", "SERVER_SIDE_TIMESTAMP"):
        assert draft(**{name: seconds}).server_timestamp_ms == milliseconds
    for name in ("PRODUCER_TIMESTAMP", "PRODUCER_SIDE_TIMESTAMP"):
        assert draft(**{name: seconds}).producer_timestamp_ms == milliseconds


@pytest.mark.parametrize(("value", "is_number"), [("17", True), ("1" * 128, True), ("1" * 129, False), ("x", False)])
def test_a_number_is_decimal(value: str, is_number: bool) -> None:  # noqa: FBT001
    made = draft(FRAGMENT_NUMBER=value, MILLIS_BEHIND_NOW=value)

    assert made.number == (value if is_number else None)
    assert made.number_tag == value
    assert made.millis_behind_now == (int(value) if is_number else None)


def test_a_number_behind_blocks_is_not_the_number_before_them() -> None:
    made = draft(FRAGMENT_NUMBER="1")
    made.blocks.append(block(1, 0))
    made.take_tags(tags(FRAGMENT_NUMBER="2"), 0)

    assert (made.number, made.number_tag) == ("2", "1")


def test_the_continuation_token_is_returned() -> None:
    made = OpenFragment(0)

    assert made.take_tags(tags(FRAGMENT_NUMBER="1"), 0) is None
    assert made.take_tags(tags(CONTINUATION_TOKEN="7"), 0) == "7"


def test_the_first_value_of_a_tag_counts_and_the_document_s_where_there_is_none() -> None:
    made = OpenFragment(0, document_tags=[("A", "document"), ("B", "document"), ("B", "second")])
    made.take_tags([TagValue("A", "own"), TagValue("A", "later")], 0)

    assert [made.tag(name) for name in ("A", "B", "C")] == ["own", "document", None]
    assert made.finish(Completion.SUCCESSOR, None, 0).tags == (
        ("A", "own"),
        ("A", "later"),
        ("B", "document"),
        ("B", "second"),
    )


def test_memory_is_counted_for_tags_and_tracks() -> None:
    made = OpenFragment(0)
    assert made.held_bytes == 1024
    made.take_tags([TagValue("A", "1"), TagValue("B", "2")], 100)
    assert made.held_bytes == 1024 + 2 * 256 + 2 * 100
    made.take_tracks((track(1, 2), track(2, 2), track(3, 1)), 50)
    assert made.held_bytes == 1024 + 712 + 3 * 512 + 2 * 50


def test_tracks_that_are_declared_as_something_else_are_not_audio() -> None:
    made = OpenFragment(0)
    made.take_tracks((track(1, 2), track(2, 0), track(3, 1), track(4, 17)), 0)

    assert made.not_audio == {3, 4}


# --- errors ----------------------------------------------------------------------------------------------------------


def test_a_hundred_errors_are_kept() -> None:
    made = OpenFragment(0)
    for index in range(105):
        made.take_tags(tags(ERROR_CODE=str(4000 + index)), 0)

    assert [each.code for each in made.errors] == list(range(4000, 4100))


def test_an_error_behind_a_token_is_of_the_fragment_before_it() -> None:
    before = fragment(7, "a", "b")
    made = OpenFragment.after(before, Part(begun=False, contact_ids=("b", "c")))
    assert not made.begun
    made.take_tags(tags(ERROR_CODE="4500"), 0)

    assert (made.begun, made.number, made.contact_ids) == (True, before.number, ["b", "c", "a"])


def test_an_error_of_a_fragment_that_has_begun_is_its_own() -> None:
    made = OpenFragment.after(fragment(7, "a"), Part(begun=True))
    made.take_tags(tags(ERROR_CODE="4500"), 0)

    assert (made.number, made.contact_ids) == (None, [])


@pytest.mark.parametrize("begins", ["number", "cluster"])
def test_what_begins_a_fragment_parts_it_from_the_one_before(begins: str) -> None:
    made = OpenFragment.after(fragment(7, "a"), Part(begun=False))
    if begins == "number":
        made.take_tags(tags(FRAGMENT_NUMBER="8"), 0)
    else:
        made.begin_cluster()
    assert made.begun
    made.take_tags(tags(ERROR_CODE="4500"), 0)

    assert made.number == ("8" if begins == "number" else None)


# --- clusters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("producer_ms", "timecode", "zero_ms"),
    [
        (20_000 * DAY_MS, 0, 20_000 * DAY_MS),
        (20_000 * DAY_MS, 5_000, 20_000 * DAY_MS - 5_000),
        (20_000 * DAY_MS, 20_000 * DAY_MS, 0),
        (20_000 * DAY_MS, 20_000 * DAY_MS + 5_000, 0),
        (20_000 * DAY_MS, 19_999 * DAY_MS, 0),
        (20_000 * DAY_MS, 19_999 * DAY_MS - 1, DAY_MS + 1),
        (None, 5_000, 0),
    ],
)
def test_timecodes_that_do_not_count_from_the_epoch_begin_at_the_producer_timestamp(
    producer_ms: int | None, timecode: int, zero_ms: int
) -> None:
    made = OpenFragment(0, producer_timestamp_ms=producer_ms)
    made.begin_cluster()
    made.take_timecode(timecode)
    assert made.zero_ns == zero_ms * 1_000_000

    made.begin_cluster()
    timecodes = [made.cluster_timecode]
    made.take_timecode(timecode + 1)
    timecodes.append(made.cluster_timecode)
    assert (made.zero_ns, timecodes) == (zero_ms * 1_000_000, [None, timecode + 1])


def test_a_timecode_counts_in_ticks() -> None:
    made = OpenFragment(0, producer_timestamp_ms=20_000 * DAY_MS)
    made.take_timecode_scale(2_000_000)
    made.take_timecode(500)

    assert made.zero_ns == (20_000 * DAY_MS - 1_000) * 1_000_000


@pytest.mark.parametrize(
    ("number_tag", "number", "contacts"), [("7", "7", ("a",)), (None, None, ("a",)), (None, "7", ())]
)
def test_labels_go_on_into_a_further_cluster_unless_they_may_be_of_the_end(
    number_tag: str | None, number: str | None, contacts: tuple[str, ...]
) -> None:
    made = OpenFragment(0, contact_ids=["a"], number_tag=number_tag, number=number, zero_ns=5)

    assert made.goes_on() == Part(begun=True, contact_ids=contacts, number_tag=number_tag, zero_ns=5)


@pytest.mark.parametrize(
    ("number_tag", "has_token", "new", "ends"),
    [
        ("7", False, {"FRAGMENT_NUMBER": "8"}, True),
        ("7", False, {"FRAGMENT_NUMBER": "7"}, False),
        (None, False, {"FRAGMENT_NUMBER": "8"}, False),
        ("7", True, {"CONTINUATION_TOKEN": "7"}, True),
        ("7", False, {"CONTINUATION_TOKEN": "7"}, False),
        ("7", True, {"SERVER_TIMESTAMP": "1.0"}, False),
    ],
)
def test_another_number_or_a_second_token_is_of_the_next_fragment(
    number_tag: str | None,
    has_token: bool,  # noqa: FBT001
    new: dict[str, str],
    ends: bool,  # noqa: FBT001
) -> None:
    assert OpenFragment(0, number_tag=number_tag, has_token=has_token).ends_before(tags(**new)) is ends


def test_what_goes_on_from_the_fragment_before_is_its_document_s() -> None:
    before = replace(fragment(7), tags=(("MimeType", "m"), (AWS + "X", "1")), offset=100, size=50)
    made = OpenFragment.after(before, Part(begun=True, number_tag="9", zero_ns=3))

    assert (made.offset, made.document_tags, made.number_tag, made.zero_ns) == (150, [("MimeType", "m")], "9", 3)
    assert (made.tracks, made.timecode_scale_ns, made.before) == (before.tracks, 1_000_000, None)
    assert not made.is_plain


@pytest.mark.parametrize(
    ("has_token", "clusters", "completion", "expected"),
    [
        (True, 0, Completion.SUCCESSOR, Completion.TOKEN),
        (True, 1, Completion.SUCCESSOR, Completion.SUCCESSOR),
        (False, 0, Completion.SUCCESSOR, Completion.SUCCESSOR),
        (True, 0, Completion.TRUNCATED, Completion.TRUNCATED),
    ],
)
def test_a_token_before_the_cluster_completes_a_fragment_without_one(
    has_token: bool,  # noqa: FBT001
    clusters: int,
    completion: Completion,
    expected: Completion,
) -> None:
    made = OpenFragment(10, has_token=has_token, clusters=clusters)

    done = made.finish(completion, None, 35)
    assert (done.completion, done.offset, done.size) == (expected, 10, 25)


# --- documents that may hide in it -----------------------------------------------------------------------------------


def plain() -> OpenFragment:
    made = draft(FRAGMENT_NUMBER="7")
    made.take_tracks((track(1, 2),), 0)
    made.take_timecode_scale(1_000_000)
    made.begin_cluster()
    made.take_timecode(0)
    made.blocks += [block(1, 0), block(2, 0), block(1, 1), block(2, 1)]
    return made


def test_a_fragment_as_kvs_writes_it_hides_nothing() -> None:
    assert plain().hides_nothing("7")


@pytest.mark.parametrize("what", ["tracks", "scale", "number", "timecode", "cluster", "none", "token", "time", "back"])
def test_what_another_document_would_bring_may_hide_it(what: str) -> None:
    made, token = plain(), "7"
    match what:
        case "tracks":
            made.take_tracks((track(1, 2),), 0)
        case "scale":
            made.take_timecode_scale(1_000_000)
        case "number":
            made.take_tags(tags(FRAGMENT_NUMBER="7"), 0)
        case "timecode":
            made.take_timecode(0)
        case "cluster":
            made.begin_cluster()
        case "none":
            made.clusters = 0
        case "token":
            token = "8"
        case "time":
            made.blocks.append(block(2, 1))
        case "back":
            made.blocks.append(block(1, 0))

    assert not made.hides_nothing(token)


def test_a_second_number_before_the_cluster_may_hide_a_document() -> None:
    made = draft(FRAGMENT_NUMBER="7")
    assert made.is_plain
    made.take_tags(tags(FRAGMENT_NUMBER="7"), 0)

    assert not made.is_plain
