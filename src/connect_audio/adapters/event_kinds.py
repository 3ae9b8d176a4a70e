"""Recognises events that no recording can be made from, for an answer that says what to send instead.

Used by `adapters/connect_event.py`. The trigger is easily wired to the wrong source: a rule of EventBridge, a stream of
contact records, a payload of another sample. Each kind is recognised by its keys and by fixed words alone, so no value
of the event reaches a log line or an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

FLOW_EVENT: Final = 'the event that the flow block "Invoke AWS Lambda function" sends'
"""The name of the event that the trigger records, for a person."""


class EventKind(NamedTuple):
    """A kind of event that reaches a trigger by mistake.

    Args:
        looks_like: the kind, for a person.
        instead: the remedy, for a person.
    """

    looks_like: str
    instead: str


type _Test = Callable[[Mapping[str, Any]], bool]

_CALL_FROM_A_FLOW: Final = "call this function from a contact flow, behind Start media streaming"


def kind_of(event: object) -> EventKind | None:
    """Recognise an event that is not a flow's.

    Args:
        event: the decoded JSON, any value.

    Returns:
        None for an event of no known kind.
    """
    if isinstance(event, str):
        return EventKind("JSON inside a text", "pass the object itself, not its text")
    if not isinstance(event, Mapping):
        return None
    return next((kind for test, kind in _KINDS if test(event)), None)


def _has(*names: str) -> _Test:
    return lambda event: all(name in event for name in names)


def _from_bridge(source: str) -> _Test:
    return lambda event: "detail-type" in event and event.get("source") == source


def _records_of(source: str) -> _Test:
    def test(event: Mapping[str, Any]) -> bool:
        records = event.get("Records")
        first = records[0] if isinstance(records, list) and records else None
        return isinstance(first, Mapping) and source in {first.get("eventSource"), first.get("EventSource")}

    return test


_KINDS: Final[tuple[tuple[_Test, EventKind], ...]] = (
    (
        _from_bridge("aws.chime"),
        EventKind(
            "an EventBridge event of Amazon Chime SDK",
            "this stack records Amazon Connect alone: Chime's streams name no contact",
        ),
    ),
    (
        _from_bridge("aws.connect"),
        EventKind(
            "an EventBridge event of Amazon Connect",
            f"it names no stream: {_CALL_FROM_A_FLOW}",
        ),
    ),
    (_has("detail-type", "source"), EventKind("an EventBridge event", _CALL_FROM_A_FLOW)),
    (
        _has("AWSContactTraceRecordFormatVersion"),
        EventKind("a contact record", f"it comes when the contact is over: {_CALL_FROM_A_FLOW}"),
    ),
    (
        _records_of("aws:kinesis"),
        EventKind(
            "records of a Kinesis data stream, such as contact records",
            f"they come when a contact is over: {_CALL_FROM_A_FLOW}",
        ),
    ),
    (_has("Records"), EventKind("a batch of records of SQS, SNS, S3 or the like", _CALL_FROM_A_FLOW)),
    (
        _has("requestContext"),
        EventKind("an HTTP request through API Gateway or a function URL", _CALL_FROM_A_FLOW),
    ),
    (
        _has("sessionState"),
        EventKind("an event of Amazon Lex", f"a bot has no stream: {_CALL_FROM_A_FLOW}"),
    ),
    (
        _has("streamARN", "connectContactId"),
        EventKind(
            "the payload of the transcription samples for their second function",
            f"{_CALL_FROM_A_FLOW}; this function starts the consumer itself",
        ),
    ),
    (
        _has("streamArn", "contactId"),
        EventKind("the input of this stack's consumer", "send it to the consumer's alias"),
    ),
    (
        _has("key1", "key2", "key3"),
        EventKind(
            "the test event of the Lambda console",
            "paste an event of the folder events/ into the console's test",
        ),
    ),
    (lambda event: not event, EventKind("an empty object", _CALL_FROM_A_FLOW)),
)
"""Tests in the order in which they are tried: the narrower one first."""
