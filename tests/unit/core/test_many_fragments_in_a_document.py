"""A document may hold many fragments, merged or remuxed: each Cluster behind a token or a number opens the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connect_audio.core.admission import StreamEnd
from connect_audio.core.fragments import MAX_FRAGMENT_BYTES, Completion, Fragment
from connect_audio.core.recording import CallRecording
from connect_audio_local.synthesis.calls import DEFAULT_CONTACT_ID, SyntheticCall, synthesize_call, synthesize_stream
from connect_audio_local.synthesis.fragment_writer import FROM_CUSTOMER, TO_CUSTOMER, FragmentLayout, Placement
from core_support.elements import tags
from core_support.generated_streams import chunkings
from core_support.many_in_one import merged, remuxed
from core_support.reading import Event, byte_by_byte, events_in_file_mode, events_of, fragments_of, record
from support.examples import examples

CASES = Path(__file__).parents[4] / "shared" / "cases"
OTHER = "00000000-0000-4000-8000-000000000009"
SPEECH = bytes(value * 7 % 251 for value in range(4 * 16_000))
CALL = SyntheticCall(customer=SPEECH, agent=SPEECH[::-1], seconds=3.072)
TOKEN = "AWS_KINESISVIDEO_CONTINUATION_TOKEN"
NUMBER = "AWS_KINESISVIDEO_FRAGMENT_NUMBER"


def documents(call: SyntheticCall = CALL) -> list[bytes]:
    return [fragment.data for fragment in synthesize_call(call)]


def heard(events: list[Event], contact_id: str = DEFAULT_CONTACT_ID) -> bytes:
    return record(events, contact_id).stereo


def without_token(data: bytes) -> bytes:
    """The fragment without the Tags element that holds its continuation token, which is its last."""
    return data[: data.rindex(bytes.fromhex("1254C367"))]


def token_first(data: bytes) -> bytes:
    """The fragment with its continuation token in front of all other tags."""
    at = data.index(bytes.fromhex("1254C367"))
    return data[:at] + tags((TOKEN, "9")) + without_token(data[at:])


@pytest.mark.parametrize("change", [bytes, without_token, token_first], ids=["token", "no token", "token first"])
@pytest.mark.parametrize(
    "layout",
    [
        FragmentLayout(),
        FragmentLayout(contact_tags=Placement.BEFORE),
        FragmentLayout(cluster_size_known=True, blocks_per_cluster=5, empty_cluster=True),
    ],
    ids=["Connect's", "labels before", "several Clusters"],
)
def test_merged_fragments_come_one_by_one_with_all_their_audio(layout: FragmentLayout, change: type[bytes]) -> None:
    apart = [change(data) for data in documents(replace(CALL, layout=layout))]

    events = events_of([merged(apart)])

    assert [(fragment.number, list(fragment.blocks)) for fragment in fragments_of(events)] == [
        (fragment.number, list(fragment.blocks)) for fragment in fragments_of(events_of(apart))
    ]
    assert [fragment.contact_ids for fragment in fragments_of(events)] == [(DEFAULT_CONTACT_ID,)] * 3
    assert heard(events) == heard(events_of(documents()))
    assert sum(fragment.size for fragment in fragments_of(events)) == len(merged(apart))


@given(data=st.data())
@settings(max_examples=examples(20))
def test_merged_fragments_are_the_same_in_any_cut(data: st.DataObject) -> None:
    whole = merged(documents(replace(CALL, block_ms=32, blocks_per_fragment=4, seconds=0.5)))

    assert events_of(data.draw(chunkings(whole))) == events_of([whole]) == events_of(byte_by_byte(whole))


def test_merged_fragments_of_two_contacts_keep_their_own_labels() -> None:
    other = replace(CALL, contact_id=OTHER, start_ms=None)
    for layout in (FragmentLayout(), FragmentLayout(contact_tags=Placement.BEFORE)):
        calls = [replace(CALL, layout=layout), replace(other, layout=layout)]

        events = events_of([merged(fragment.data for fragment in synthesize_stream(calls))])

        labels = [fragment.contact_ids for fragment in fragments_of(events)]
        assert labels == [(DEFAULT_CONTACT_ID,)] * 3 + [(OTHER,)] * 3


def test_an_unlabelled_fragment_behind_a_token_is_not_labelled_by_the_one_before_it() -> None:
    call = replace(CALL, unlabelled=frozenset({1}), layout=FragmentLayout(contact_tags=Placement.BEFORE))

    events = events_of([merged(documents(call))])

    assert [fragment.contact_ids for fragment in fragments_of(events)] == [
        (DEFAULT_CONTACT_ID,),
        (),
        (DEFAULT_CONTACT_ID,),
    ]


def test_a_merged_fragment_without_its_producers_tags_has_those_of_its_document() -> None:
    first, second, _ = documents()
    bare = documents(replace(CALL, layout=FragmentLayout(producer_tags=Placement.NOWHERE)))[1]

    fragments = fragments_of(events_of([merged([first, bare])]))

    assert [fragment.tag("MimeType") for fragment in fragments] == ["audio/L16;rate=8000;channels=1;"] * 2
    assert fragments[1].blocks == fragments_of(events_of([second]))[0].blocks


@pytest.mark.parametrize("sized", [True, False])
def test_each_cluster_of_a_remuxed_document_is_a_fragment_of_its_own(sized: bool) -> None:  # noqa: FBT001 - a parameter of the test
    payloads = [[bytes([cluster, index]) * 80 for index in range(10)] for cluster in range(3)]
    data = remuxed(payloads, names=[FROM_CUSTOMER, TO_CUSTOMER], block_ticks=10, sized=sized)

    fragments = fragments_of(events_of([data]))

    assert [[block.data for block in fragment.blocks] for fragment in fragments] == payloads
    assert [fragment.completion for fragment in fragments] == [
        Completion.SUCCESSOR,
        Completion.SUCCESSOR,
        Completion.END_OF_BODY,
    ]
    assert len({fragment.tracks for fragment in fragments}) == 1


def test_a_remuxed_documents_contact_is_that_of_all_its_clusters() -> None:
    data = remuxed(
        [[bytes(160)] * 2] * 3,
        names=[FROM_CUSTOMER, TO_CUSTOMER],
        block_ticks=10,
        sized=True,
        head=tags(("ContactId", OTHER)),
    )

    assert [fragment.contact_ids for fragment in fragments_of(events_of([data]))] == [(OTHER,)] * 3


def test_a_number_behind_a_cluster_is_that_clusters_and_so_are_the_labels_beside_it() -> None:
    clusters = [[bytes(160)] * 2] * 2
    first, second = (tags((NUMBER, number), ("ContactId", contact)) for number, contact in (("1", "a"), ("2", "b")))
    data = remuxed(clusters[:1], names=[FROM_CUSTOMER, TO_CUSTOMER], block_ticks=10, sized=True)
    cluster = data[data.index(bytes.fromhex("1F43B675")) :]

    fragments = fragments_of(events_of([data + first + cluster + second]))

    assert [(fragment.number, fragment.contact_ids) for fragment in fragments] == [("1", ("a",)), ("2", ("b",))]


@pytest.mark.slow
def test_a_remuxed_document_may_be_larger_than_any_fragment() -> None:
    second = [bytes(16_000)] * 2
    data = remuxed([second * 5] * 120, names=[FROM_CUSTOMER, TO_CUSTOMER], block_ticks=1000, sized=True)
    assert len(data) > MAX_FRAGMENT_BYTES

    recording = CallRecording("any", accept_unlabelled=True)
    for event in events_of([data]):
        assert isinstance(event, Fragment)
        assert event.held_bytes < MAX_FRAGMENT_BYTES // 64
        recording.add(event)
        for _ in recording.take():
            pass
    recording.end(StreamEnd.END_OF_INPUT)
    for _ in recording.take():
        pass

    assert recording.cursor().frames == 120 * 5 * 8000


def test_a_merged_document_that_numbers_its_first_fragment_alone_is_read_to_its_end() -> None:
    head = tags((NUMBER, "7"), ("ContactId", OTHER))
    data = remuxed(
        [[bytes(16_000)] * 10] * 120, names=[FROM_CUSTOMER, TO_CUSTOMER], block_ticks=1000, sized=False, head=head
    )

    fragments = fragments_of(events_of([data]))

    assert sum(len(fragment.blocks) for fragment in fragments) == 1200
    assert {fragment.contact_ids for fragment in fragments} == {(OTHER,)}
    assert [fragment.number for fragment in fragments] == ["7"] + [None] * (len(fragments) - 1)


def test_a_token_before_the_cluster_ends_no_fragment() -> None:
    apart = [token_first(data) for data in documents()]

    fragments = fragments_of(events_of([b"".join(apart)]))

    assert [fragment.blocks for fragment in fragments] == [
        fragment.blocks for fragment in fragments_of(events_of(documents()))
    ]
    assert [fragment.completion for fragment in fragments] == [
        Completion.SUCCESSOR,
        Completion.SUCCESSOR,
        Completion.END_OF_BODY,
    ]


def test_a_fragment_of_nothing_but_tags_and_its_token_is_complete() -> None:
    data = documents()[0]
    empty = data[: data.index(bytes.fromhex("1F43B675"))] + tags((TOKEN, "1"))

    first, second = fragments_of(events_of([empty + empty]))

    assert (first.completion, second.completion) == (Completion.TOKEN, Completion.TOKEN)
    assert not first.blocks


def test_empty_fragments_anywhere_leave_a_recording_complete() -> None:
    apart = documents()
    head = apart[0][: apart[0].index(bytes.fromhex("1254C367"))]
    nothing = head + tags(("ContactId", DEFAULT_CONTACT_ID))
    numbered = head + tags(("ContactId", DEFAULT_CONTACT_ID), (NUMBER, "1"), (TOKEN, "1"))
    stranger = head + tags(("testTag_0", "testTag_0_Value"))
    for empty in (numbered, stranger):
        for place in range(4):
            data = b"".join([*apart[:place], empty, *apart[place:]])

            recorded = record(events_of([data]), DEFAULT_CONTACT_ID)

            assert recorded.manifest(DEFAULT_CONTACT_ID)["status"] == "complete"
            assert recorded.stereo == heard(events_of(apart))
    # Without the token that all others had, an empty one may be one that was cut off before its first block.
    recorded = record(events_of([b"".join(apart) + nothing]), DEFAULT_CONTACT_ID)
    assert [reason["code"] for reason in recorded.manifest(DEFAULT_CONTACT_ID)["reasons"]] == ["TRUNCATED_FRAGMENTS"]


@pytest.mark.parametrize(("name", "seconds"), [("merged10", 10.0), ("token_first", 2.048), ("odd_number", 4.096)])
def test_the_shared_cases_are_recorded_to_their_end(name: str, seconds: float) -> None:
    path = CASES / f"{name}.mkv"
    if not path.exists():
        pytest.skip(f"the shared case {name}.mkv is not here")
    events, errors = events_in_file_mode([path.read_bytes()])

    assert not errors
    assert len(heard(events, "11111111-1111-4111-8111-111111111111")) == seconds * 32_000
