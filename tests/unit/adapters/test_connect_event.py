from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connect_audio.adapters.connect_event import MAX_EVENT_BYTES, contact_id_of, parse_connect_event
from connect_audio.core.errors import RequestError
from connect_audio.request import Location, RecordingRequest

ROOT = Path(__file__).parents[3]
CONTACT = "0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"
STREAM = "stream/demo-connect-example-contact-2b7d9e10-4f3a-4c21-8e65-9a0b1c2d3e4f/1700000000000"
EXPECTED = RecordingRequest(
    contact_id=CONTACT,
    instance_arn="arn:aws:connect:eu-west-2:111122223333:instance/6a1f0c2d-7e3b-4d58-8c9a-0b1e2f3a4d5c",
    stream_arn=f"arn:aws:kinesisvideo:eu-west-2:111122223333:{STREAM}",
    start_timestamp_ms=1_764_000_000_123,
    start_fragment_number="91343852333181432392682062622220590765191907586",
)
WANTED_ARN = "arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CREATED"
ABSENT: Any = object()


def sample(name: str) -> Any:
    return json.loads((ROOT / "events" / name).read_text("utf-8"))


def shared(name: str) -> Any:
    path = ROOT.parent / "shared" / "events" / name
    if not path.exists():
        pytest.skip(f"needs the shared sample event {name}")
    return json.loads(path.read_text("utf-8"))


def changed(event: Any, path: str, value: Any) -> Any:
    """A copy of an event in which one path holds another value, or is absent."""
    result = copy.deepcopy(event)
    *parents, last = path.split(".")
    at = result
    for name in parents:
        at = at[name]
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return result


def refusal(event: Any) -> tuple[str, str]:
    with pytest.raises(RequestError) as caught:
        parse_connect_event(event)
    return caught.value.reason, str(caught.value)


VOICE = sample("connect_voice.json")
CONTACT_DATA = "Details.ContactData"
AUDIO = f"{CONTACT_DATA}.MediaStreams.Customer.Audio"
NOT_STARTED_HINT = (
    "the usual causes: live media streaming is not enabled for the instance (Connect console, Data storage). "
    'Or the flow has no "Start media streaming" before this function. Or that block took its error branch. '
    "Or the stream was stopped before"
)
FLOW_EVENT = 'the event that the flow block "Invoke AWS Lambda function" sends'


@pytest.mark.parametrize(
    "name", ["connect_voice.json", "connect_voice_stopped.json", "tutorial_short_form_completed.json"]
)
def test_each_kind_of_event_leads_to_the_same_request(name: str) -> None:
    assert parse_connect_event(sample(name)) == EXPECTED


def test_the_request_is_what_the_consumer_s_sample_payload_says() -> None:
    handed_over = sample("consumer_payload.json")
    # The event knows no stack: the trigger adds its mark.
    assert handed_over.pop("stack")
    assert parse_connect_event(VOICE).to_payload() == handed_over


def test_powertools_full_sample_event_is_recorded() -> None:
    request = parse_connect_event(shared("powertools_connectContactFlowEventAll.json"))
    assert request.execution_name == "5ca32fbd-8f92-46af-92a5-6b0f970f0efe_1565781909613"


def test_powertools_minimal_sample_event_has_no_stream() -> None:
    event = shared("powertools_connectContactFlowEventMin.json")
    assert refusal(event) == ("MEDIA_STREAMING_NOT_STARTED", f"{AUDIO} has no StreamARN: {NOT_STARTED_HINT}")


def test_the_tutorial_s_event_is_rejected_as_it_stands_and_recorded_once_completed() -> None:
    event = shared("connect_event_started_and_stopped_audio.json")
    assert refusal(event) == ("MALFORMED_EVENT", "ContactId is missing, write it beside MediaStreams")
    event["ContactId"] = CONTACT
    assert refusal(event) == ("MALFORMED_EVENT", "InstanceARN is missing, write it beside MediaStreams")
    request = parse_connect_event({**event, "InstanceARN": EXPECTED.instance_arn})
    assert request.stream_arn == "arn:aws:kinesisvideo:eu-west-2:123456789012:stream/ivr-kvs-connect-xxx/nnnn"
    assert request.start_timestamp_ms == 1_641_312_355_374


def test_the_documented_form_wins_where_an_event_has_both() -> None:
    assert parse_connect_event({**VOICE, "MediaStreams": None, "ContactId": "other"}) == EXPECTED


def test_the_short_form_may_name_its_channel() -> None:
    event = sample("tutorial_short_form_completed.json")
    assert parse_connect_event({**event, "Channel": "VOICE"}) == EXPECTED
    assert refusal({**event, "Channel": "CHAT"})[0] == "NOT_VOICE"


@pytest.mark.parametrize("value", [None, ABSENT, ""])
def test_an_event_without_a_start_fragment_number_is_recorded(value: Any) -> None:
    request = parse_connect_event(changed(VOICE, f"{AUDIO}.StartFragmentNumber", value))
    assert request.start_fragment_number is None


def test_numbers_are_taken_for_the_digits_that_connect_writes() -> None:
    event = changed(VOICE, f"{AUDIO}.StartTimestamp", 1_764_000_000_123)
    event = changed(event, f"{AUDIO}.StartFragmentNumber", 91343852333181432392682062622220590765191907586)
    assert parse_connect_event(event) == EXPECTED


@pytest.mark.parametrize("method", ["TRANSFER", "WEBRTC_API", "WHATEVER_COMES", None])
def test_an_unknown_initiation_method_does_not_matter(method: str | None) -> None:
    assert parse_connect_event(changed(VOICE, f"{CONTACT_DATA}.InitiationMethod", method)) == EXPECTED


@pytest.mark.parametrize("path", ["CustomerEndpoint", "Queue", "SystemEndpoint", "Attributes"])
@pytest.mark.parametrize("value", [None, ABSENT, "odd", []])
def test_what_is_not_used_is_not_judged(path: str, value: Any) -> None:
    assert parse_connect_event(changed(VOICE, f"{CONTACT_DATA}.{path}", value)) == EXPECTED


@pytest.mark.parametrize("channel", ["CHAT", "TASK", "EMAIL", "voice", "HOLOGRAM"])
def test_only_the_voice_channel_is_recorded(channel: str) -> None:
    assert refusal(changed(VOICE, f"{CONTACT_DATA}.Channel", channel)) == (
        "NOT_VOICE",
        f"{CONTACT_DATA}.Channel is not VOICE, only voice contacts have audio",
    )


@pytest.mark.parametrize(
    ("path", "value", "state"),
    [
        (f"{CONTACT_DATA}.MediaStreams", ABSENT, "missing"),
        (f"{CONTACT_DATA}.MediaStreams", None, "null"),
        (f"{CONTACT_DATA}.MediaStreams.Customer", ABSENT, "missing"),
        (f"{CONTACT_DATA}.MediaStreams.Customer", None, "null"),
        (AUDIO, ABSENT, "missing"),
        (AUDIO, None, "null"),
    ],
)
def test_streaming_that_never_started_is_told_from_a_malformed_event(path: str, value: Any, state: str) -> None:
    assert refusal(changed(VOICE, path, value)) == (
        "MEDIA_STREAMING_NOT_STARTED",
        f"{path} is {state}: {NOT_STARTED_HINT}",
    )


@pytest.mark.parametrize("audio", [{}, {"StreamARN": None}, {"StreamARN": "", "StartTimestamp": ""}])
def test_an_audio_object_of_nothing_is_streaming_that_never_started(audio: Any) -> None:
    assert refusal(changed(VOICE, AUDIO, audio))[0] == "MEDIA_STREAMING_NOT_STARTED"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("Details", ABSENT, f"Details is missing: the event must be {FLOW_EVENT}; events/ has samples"),
        ("Details", None, "Details is null"),
        ("Details", [], "Details is a list, it must be an object"),
        (CONTACT_DATA, ABSENT, "Details.ContactData is missing"),
        (CONTACT_DATA, "x", "Details.ContactData is a string, it must be an object"),
        (f"{CONTACT_DATA}.ContactId", ABSENT, "Details.ContactData.ContactId is missing"),
        (f"{CONTACT_DATA}.ContactId", None, "Details.ContactData.ContactId is null"),
        (f"{CONTACT_DATA}.ContactId", "", "Details.ContactData.ContactId is empty"),
        (f"{CONTACT_DATA}.ContactId", 12, "Details.ContactData.ContactId is a number, it must be a string"),
        (f"{CONTACT_DATA}.Channel", ABSENT, "Details.ContactData.Channel is missing"),
        (f"{CONTACT_DATA}.Channel", 1, "Details.ContactData.Channel is a number, it must be a string"),
        (f"{CONTACT_DATA}.InstanceARN", None, "Details.ContactData.InstanceARN is null"),
        (f"{CONTACT_DATA}.InstanceARN", {}, "Details.ContactData.InstanceARN is an object, it must be a string"),
        (f"{CONTACT_DATA}.MediaStreams", [], f"{CONTACT_DATA}.MediaStreams is a list, it must be an object"),
        (f"{CONTACT_DATA}.MediaStreams.Customer", True, f"{AUDIO[:-6]} is a boolean, it must be an object"),
        (AUDIO, "x", f"{AUDIO} is a string, it must be an object"),
        (f"{AUDIO}.StreamARN", None, f"{AUDIO}.StreamARN is null"),
        (f"{AUDIO}.StreamARN", 5, f"{AUDIO}.StreamARN is a number, it must be a string"),
        (f"{AUDIO}.StartTimestamp", ABSENT, f"{AUDIO}.StartTimestamp is missing"),
        (f"{AUDIO}.StartTimestamp", True, f"{AUDIO}.StartTimestamp is a boolean, it must be a string"),
        (f"{AUDIO}.StartTimestamp", 1.5, f"{AUDIO}.StartTimestamp is a number, it must be a string"),
        (f"{AUDIO}.StartFragmentNumber", [], f"{AUDIO}.StartFragmentNumber is a list, it must be a string"),
    ],
)  # fmt: skip  # one case a line
def test_a_missing_or_wrong_path_is_named(path: str, value: Any, message: str) -> None:
    assert refusal(changed(VOICE, path, value)) == ("MALFORMED_EVENT", message)


WRONG_SOURCES: list[tuple[str, Any, str, str]] = [
    (
        "stringified.json",
        json.dumps(VOICE),
        "JSON inside a text",
        "pass the object itself",
    ),
    (
        "chime_voice_connector.json",
        {"version": "0", "source": "aws.chime", "detail-type": "Chime VoiceConnector Streaming Status", "detail": {}},
        "an EventBridge event of Amazon Chime SDK",
        "records Amazon Connect alone",
    ),
    (
        "connect_contact_event.json",
        {"source": "aws.connect", "detail-type": "Amazon Connect Contact Event", "detail": {"contactId": CONTACT}},
        "an EventBridge event of Amazon Connect",
        "call this function from a contact flow",
    ),
    (
        "",
        {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
        "an EventBridge event",
        "call this function from a contact flow",
    ),
    (
        "ctr_kinesis.json",
        {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": "e30="}}]},
        "records of a Kinesis data stream, such as contact records",
        "call this function from a contact flow",
    ),
    (
        "",
        {"AWSContactTraceRecordFormatVersion": "2017-03-10", "ContactId": CONTACT, "MediaStreams": [{"Type": "AUDIO"}]},
        "a contact record",
        "it comes when the contact is over",
    ),
    ("", {"Records": [{"EventSource": "aws:sns"}]}, "a batch of records", "call this function from a contact flow"),
    ("", {"Records": []}, "a batch of records", "call this function from a contact flow"),
    ("", {"requestContext": {"http": {}}, "body": "{}"}, "an HTTP request", "call this function from a contact flow"),
    ("", {"sessionState": {}, "bot": {}}, "an event of Amazon Lex", "call this function from a contact flow"),
    (
        "transcriber_payload.json",
        {"streamARN": EXPECTED.stream_arn, "startFragmentNum": "1", "connectContactId": CONTACT},
        "the payload of the transcription samples",
        "this function starts the consumer itself",
    ),
    ("", EXPECTED.to_payload(), "the input of this stack's consumer", "send it to the consumer's alias"),
    (
        "console_hello.json",
        {"key1": "value1", "key2": "value2", "key3": "value3"},
        "the test event of the Lambda console",
        "paste an event of the folder events/",
    ),
    ("", {}, "an empty object", "call this function from a contact flow"),
]


@pytest.mark.parametrize(("event", "looks_like", "instead"), [each[1:] for each in WRONG_SOURCES])
def test_an_event_of_another_source_is_told_what_it_looks_like_and_what_to_send(
    event: Any, looks_like: str, instead: str
) -> None:
    reason, message = refusal(event)
    assert reason == "MALFORMED_EVENT"
    assert message.startswith(f"the event looks like {looks_like}")
    assert f"not like {FLOW_EVENT}: " in message
    assert instead in message
    assert CONTACT not in message
    assert EXPECTED.stream_arn not in message


@pytest.mark.parametrize(("name", "looks_like"), [(name, looks) for name, _, looks, _ in WRONG_SOURCES if name])
def test_what_else_reaches_a_trigger_is_recognised(name: str, looks_like: str) -> None:
    path = ROOT.parent / "shared" / "cases" / "events" / name
    if not path.exists():
        pytest.skip(f"needs the shared event {name}")
    assert refusal(json.loads(path.read_text("utf-8")))[1].startswith(f"the event looks like {looks_like}")


@pytest.mark.parametrize("name", ["StreamARN", "streamARN"])
def test_a_stream_in_the_block_s_parameters_is_said_to_be_unread(name: str) -> None:
    event = changed(VOICE, AUDIO, None)
    event["Details"]["Parameters"] = {name: EXPECTED.stream_arn}
    reason, message = refusal(event)
    assert reason == "MEDIA_STREAMING_NOT_STARTED"
    assert message.endswith("The stream in Details.Parameters is not read: the block needs no parameters")


@pytest.mark.parametrize(
    ("location", "what"),
    [
        (Location("aws", "eu-west-2"), None),
        (None, None),
        (Location("aws", "us-east-1"), "region"),
        (Location("aws-us-gov", "eu-west-2"), "partition"),
    ],
)
def test_a_stream_elsewhere_than_the_stack_is_refused(location: Location | None, what: str | None) -> None:
    if what is None:
        assert parse_connect_event(VOICE, location) == EXPECTED
        return
    with pytest.raises(RequestError, match=f"StreamARN names another {what} than the one of this stack: deploy"):
        parse_connect_event(VOICE, location)


@pytest.mark.parametrize("event", [None, [], 3, True])
def test_an_event_that_is_no_object_is_malformed(event: object) -> None:
    assert refusal(event)[0] == "MALFORMED_EVENT"


@pytest.mark.parametrize(
    "text", ["-1", "1764000000.123", "2025-11-24T16:00:00Z", "9" * 5000, "\u0661\u0662", " 1", "²"]
)
def test_a_start_that_is_no_count_of_milliseconds_is_malformed(text: str) -> None:
    assert refusal(changed(VOICE, f"{AUDIO}.StartTimestamp", text)) == (
        "MALFORMED_EVENT",
        f"{AUDIO}.StartTimestamp is not a number of milliseconds since the epoch",
    )


def test_a_start_in_seconds_is_malformed_and_quoted_nowhere() -> None:
    reason, message = refusal(changed(VOICE, f"{AUDIO}.StartTimestamp", "1764000000"))
    assert (reason, "1764000000" in message) == ("MALFORMED_EVENT", False)
    assert "start timestamp is not in epoch milliseconds" in message


@pytest.mark.parametrize("contact_id", ["../../x", "a/b", "..", "%2e%2e%2f", "a\n", "\ud800", "x" * 300])
def test_a_hostile_contact_id_is_malformed_and_repeated_nowhere(contact_id: str) -> None:
    event = changed(VOICE, f"{CONTACT_DATA}.ContactId", contact_id)
    reason, message = refusal(event)
    assert reason == "MALFORMED_EVENT"
    assert contact_id not in message
    assert contact_id_of(event) is None


@pytest.mark.parametrize(
    "arn", [f"arn:aws:kinesisvideo::eu-west-2:{STREAM}", f"arn:aws:kinesisvideo:eu-west-2::{STREAM}"]
)
def test_a_stream_arn_without_an_account_is_malformed_and_the_message_says_what_to_write(arn: str) -> None:
    assert refusal(changed(VOICE, f"{AUDIO}.StreamARN", arn)) == (
        "MALFORMED_EVENT",
        f"{AUDIO}.StreamARN has no region and 12-digit account, write {WANTED_ARN}",
    )


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
def test_the_tutorials_spelling_of_a_stream_arn_is_read_in_every_partition(partition: str) -> None:
    odd = f"arn:{partition}:kinesisvideo::us-gov-west-1:111122223333:{STREAM}"
    request = parse_connect_event(changed(VOICE, f"{AUDIO}.StreamARN", odd))
    assert request.stream_arn == odd.replace("::", ":")
    assert request.region == "us-gov-west-1"


def test_an_event_bigger_than_connect_sends_is_malformed() -> None:
    attributes = {"a": "x" * MAX_EVENT_BYTES}
    reason, message = refusal(changed(VOICE, f"{CONTACT_DATA}.Attributes", attributes))
    assert reason == "MALFORMED_EVENT"
    assert message.endswith(f"bytes, Connect sends at most {MAX_EVENT_BYTES}")


def test_all_the_attributes_that_connect_allows_fit() -> None:
    event = changed(VOICE, f"{CONTACT_DATA}.Attributes", {"a": "あ" * (32_768 // 3)})
    event = changed(event, "Details.Parameters", {"b": "x" * 32_768})
    assert parse_connect_event(event) == EXPECTED


def test_an_event_nested_without_end_is_malformed() -> None:
    deep: Any = {}
    for _ in range(200_000):
        deep = {"a": deep}
    assert refusal({**VOICE, "Attributes": deep})[0] == "MALFORMED_EVENT"
    while deep:  # freed step by step: releasing the nest at once would recurse, too
        deep = deep["a"]


@pytest.mark.parametrize(
    ("event", "contact_id"),
    [
        (VOICE, CONTACT),
        (sample("tutorial_short_form_completed.json"), CONTACT),
        (sample("tutorial_short_form.json"), None),
        ({"Details": 3}, None),
        ({"Details": {"ContactData": []}}, None),
        ({"ContactId": 7}, None),
        (None, None),
    ],
)
def test_the_contact_id_for_a_log_line_is_taken_from_any_event(event: object, contact_id: str | None) -> None:
    assert contact_id_of(event) == contact_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    "Details",
    CONTACT_DATA,
    *(f"{CONTACT_DATA}.{name}" for name in VOICE["Details"]["ContactData"]),
    f"{CONTACT_DATA}.MediaStreams.Customer",
    AUDIO,
    *(f"{AUDIO}.{name}" for name in ("StreamARN", "StartTimestamp", "StartFragmentNumber")),
]


@given(path=st.sampled_from(PATHS), value=JSON)
def test_any_value_anywhere_is_read_or_refused_with_a_reason(path: str, value: Any) -> None:
    try:
        outcome = parse_connect_event(changed(VOICE, path, value)).execution_name
    except RequestError as exc:
        outcome = exc.reason
    assert outcome in {EXPECTED.execution_name, "MALFORMED_EVENT", "NOT_VOICE", "MEDIA_STREAMING_NOT_STARTED"} or (
        path in {f"{CONTACT_DATA}.ContactId", f"{AUDIO}.StartTimestamp"}
    )
