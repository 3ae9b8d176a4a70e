from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.core.errors import RequestError, SettingsError
from connect_audio.request import LIVE, RecordingMode, RecordingOptions, RecordingRequest, live_variables, stack_mark

REQUEST = RecordingRequest(
    contact_id="0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80",
    instance_arn="arn:aws:connect:eu-west-2:111122223333:instance/6a1f0c2d-7e3b-4d58-8c9a-0b1e2f3a4d5c",
    stream_arn="arn:aws:kinesisvideo:eu-west-2:111122223333:stream/demo-connect-x/1700000000000",
    start_timestamp_ms=1_764_000_000_123,
    start_fragment_number="91343852333181432392682062622220590765191907586",
)


def test_the_key_follows_from_prefix_contact_and_start_in_utc() -> None:
    assert REQUEST.recording_key("audio/calls") == (
        "audio/calls/2025/11/24/0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80_20251124T160000.123Z.wav"
    )


def test_a_second_streaming_of_the_same_contact_has_another_key_and_another_execution() -> None:
    second = replace(REQUEST, start_timestamp_ms=REQUEST.start_timestamp_ms + 1)
    assert second.recording_key("r") != REQUEST.recording_key("r")
    assert second.execution_name != REQUEST.execution_name


def test_two_stacks_that_record_the_same_streaming_have_executions_of_different_names() -> None:
    blue, green = (
        replace(REQUEST, stack=stack_mark(f"arn:aws:lambda:eu-west-2:111122223333:function:{each}:live"))
        for each in ("blue", "green")
    )
    assert blue.execution_name != green.execution_name
    assert {each.execution_name.rsplit("_", 1)[0] for each in (blue, green)} == {REQUEST.execution_name}
    assert {each.recording_key("r") for each in (blue, green)} == {REQUEST.recording_key("r")}


def test_an_input_of_an_earlier_release_keeps_the_name_that_its_execution_has() -> None:
    assert RecordingRequest.from_payload(REQUEST.to_payload()).execution_name == (
        "0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80_1764000000123"
    )


def test_an_input_hands_on_its_stack() -> None:
    request = replace(REQUEST, stack=stack_mark("consumer:live"))
    assert RecordingRequest.from_payload(json.loads(json.dumps(request.to_payload()))) == request


@pytest.mark.parametrize("stack", ["0e332f2", "0e332f220", "0E332F22", "../../..", "0e332f22\n"])
def test_a_stack_that_is_no_mark_is_refused(stack: str) -> None:
    with pytest.raises(RequestError, match=r"^stack is not a mark of 8 hexadecimal digits$"):
        RecordingRequest.from_payload({**REQUEST.to_payload(), "stack": stack})


def test_contact_ids_that_leave_no_room_for_the_stack_have_names_of_their_own() -> None:
    names = {
        replace(REQUEST, contact_id="a" * 49 + last, stack=stack_mark("consumer:live")).execution_name
        for last in "abcdefghij"
    }
    assert len(names) == 10
    assert {len(name) for name in names} == {59}


def test_instance_and_region_are_parts_of_the_arns() -> None:
    assert (REQUEST.instance_id, REQUEST.region) == ("6a1f0c2d-7e3b-4d58-8c9a-0b1e2f3a4d5c", "eu-west-2")


def test_a_payload_survives_json() -> None:
    assert RecordingRequest.from_payload(json.loads(json.dumps(REQUEST.to_payload()))) == REQUEST


def test_an_event_without_a_fragment_number_survives_too() -> None:
    request = replace(REQUEST, start_fragment_number=None)
    assert RecordingRequest.from_payload(request.to_payload()) == request


def test_variables_of_live_audio_lie_beside_the_request_and_change_nothing_of_it() -> None:
    payload = json.loads(json.dumps({**REQUEST.to_payload(), LIVE: {"LIVE_SINKS": "segments"}}))
    assert RecordingRequest.from_payload(payload) == REQUEST
    assert live_variables(payload) == {"LIVE_SINKS": "segments"}


def test_an_input_without_them_wants_no_live_audio() -> None:
    assert live_variables(REQUEST.to_payload()) == {}


@pytest.mark.parametrize("live", [[], "segments", 1, {"LIVE_SEGMENT_SECONDS": 1}, {"LIVE_SINKS": None}])
def test_variables_that_are_no_texts_are_refused_as_settings_so_that_the_request_still_stands(live: object) -> None:
    payload = {**REQUEST.to_payload(), LIVE: live}
    assert RecordingRequest.from_payload(payload) == REQUEST
    with pytest.raises(SettingsError) as caught:
        live_variables(payload)
    assert str(caught.value) == "the consumer's input: live must be an object of texts, as the trigger writes it"


@given(
    contact_id=st.from_regex(re.compile(r"[0-9A-Za-z]([0-9A-Za-z-]{0,48}[0-9A-Za-z])?", re.ASCII), fullmatch=True),
    start=st.integers(946_684_800_000, 253_402_300_799_999),
    stack=st.text().map(stack_mark),
)
def test_every_request_has_a_lawful_execution_name_and_a_key_within_its_prefix(
    contact_id: str, start: int, stack: str
) -> None:
    request = replace(REQUEST, contact_id=contact_id, start_timestamp_ms=start, stack=stack)
    # With the number that redrive gives to the 999th execution of a recording, too.
    assert re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", f"{request.execution_name}-r999")
    assert re.fullmatch(r"r/\d{4}/\d\d/\d\d/[0-9A-Za-z-]+_\d{8}T\d{6}\.\d{3}Z\.wav", request.recording_key("r"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("contactId", None, "the consumer's input: contactId is missing, it must be a str"),
        ("contactId", 7, "the consumer's input: contactId is a int, it must be a str"),
        ("startTimestamp", "1764000000123", "the consumer's input: startTimestamp is a str, it must be a int"),
        ("startTimestamp", True, "the consumer's input: startTimestamp is a bool, it must be a int"),
        ("startFragmentNumber", 5, "the consumer's input: startFragmentNumber is a int, it must be a str"),
        ("streamArn", [], "the consumer's input: streamArn is a list, it must be a str"),
    ],
)
def test_a_payload_s_wrong_field_is_named(field: str, value: Any, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        RecordingRequest.from_payload({**REQUEST.to_payload(), field: value})
    assert (caught.value.reason, str(caught.value)) == ("MALFORMED_EVENT", message)


@pytest.mark.parametrize("payload", [None, [], "x", 1])
def test_a_payload_that_is_no_object_is_refused(payload: object) -> None:
    with pytest.raises(RequestError, match="must be a JSON object"):
        RecordingRequest.from_payload(payload)


@pytest.mark.parametrize(
    "contact_id",
    [
        "",
        "..",
        "../../etc/passwd",
        "a/b",
        "a\\b",
        "a%2fb",
        "-a",
        "a-",
        "a b",
        "a\n",
        "a\x00",
        "ä",
        "x" * 51,
        "a_b",
        "a.b",
    ],
)
def test_a_contact_id_that_could_leave_its_key_is_refused_and_not_repeated(contact_id: str) -> None:
    with pytest.raises(RequestError) as caught:
        replace(REQUEST, contact_id=contact_id)
    assert str(caught.value) == (
        f"contact id of {len(contact_id)} characters is not 1 to 50 letters, digits and inner hyphens"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instance_arn", "6a1f0c2d"),
        ("instance_arn", "arn:aws:connect:eu-west-2:1111:instance/a"),
        ("stream_arn", "arn:aws:kinesisvideo::eu-west-2:111122223333:stream/a/1"),
        ("stream_arn", "arn:aws:kinesisvideo:eu-west-2:111122223333:stream/a/../1"),
        ("stream_arn", "arn:aws:kinesis:eu-west-2:111122223333:stream/a/1"),
        ("start_timestamp_ms", 1_764_000_000),
        ("start_timestamp_ms", -1),
        ("start_timestamp_ms", 253_402_300_800_000),
        ("start_fragment_number", "12a"),
        ("start_fragment_number", "1" * 129),
        ("start_fragment_number", ""),
    ],
)
def test_a_field_that_is_not_of_its_form_is_refused(field: str, value: Any) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(RequestError) as caught:
        replace(REQUEST, **changes)
    assert caught.value.reason == "MALFORMED_EVENT"


def test_the_options_of_a_recording_are_read_as_they_were_written() -> None:
    for mode in RecordingMode:
        for contact_events, repair in product((False, True), repeat=2):
            options = RecordingOptions(mode=mode, contact_events=contact_events, repair=repair)
            assert RecordingOptions.from_payload(options.to_payload()) == options


def test_a_live_recording_without_contact_events_or_repair_adds_nothing_to_the_input() -> None:
    assert RecordingOptions().to_payload() == {}


@pytest.mark.parametrize("mode", [None, 7, "ARCHIVE", "later"])
def test_a_mode_of_another_release_is_recorded_live(mode: object) -> None:
    assert RecordingOptions.from_payload({"mode": mode}) == RecordingOptions()
