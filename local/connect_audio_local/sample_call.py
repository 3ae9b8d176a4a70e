"""The call of the sample events in `events/`, as a stream of the emulator and as an execution of Lambda.

`connect-audio cloud` serves both.

Each sample event that is `STARTED` leads to a recording. The audio is generated; the ids are the events' own, and
`tests/functional/test_cli_cloud.py` holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from connect_audio_local.kvs.capture import StoredFragment
from connect_audio_local.kvs.model import EmulatedStream
from connect_audio_local.lambda_.server import EndedExecution
from connect_audio_local.synthesis.calls import SyntheticCall, unwritten_stream
from connect_audio_local.synthesis.fragment_writer import write_fragment
from connect_audio_local.synthesis.speech import two_party_conversation

_CONTACT: Final = "0f5c7a3e-1b2d-4c6f-9a8e-3d4b5c6a7f80"
_INSTANCE: Final = "6a1f0c2d-7e3b-4d58-8c9a-0b1e2f3a4d5c"
_ACCOUNT: Final = "111122223333"
_STREAM: Final = "demo-connect-example-contact-2b7d9e10-4f3a-4c21-8e65-9a0b1c2d3e4f"
_CREATED_MS: Final = 1_700_000_000_000
_START_MS: Final = 1_764_000_000_123
_FIRST_FRAGMENT: Final = 91343852333181432392682062622220590765191907586
_SECONDS: Final = 20
_REGION: Final = "eu-west-2"
_STACK: Final = "28c26d9b"
_EXECUTION: Final = "5e0d9c7a-0000-3000-8000-000000000001"
_TIMEOUT_MS: Final = 172_800_000
"""The template's ExecutionTimeout."""
_COUNTER_BIT: Final = 92
"""The bit of a fragment number that steps from fragment to fragment, as in `fragment_number`."""


def sample_stream() -> EmulatedStream:
    """Make the stream of the sample events: one call of 20 s, ended."""
    return EmulatedStream(_STREAM, list(_fragments()), account=_ACCOUNT, created_ms=_CREATED_MS)


def sample_execution() -> EndedExecution:
    """Make the execution of the sample events that Lambda ended: it recorded the call of `sample_stream`."""
    name = f"{_CONTACT}_{_START_MS}_{_STACK}"
    return EndedExecution(
        arn=f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:function:consumer:1/durable-execution/{name}/{_EXECUTION}",
        status="TIMED_OUT",
        payload={
            "contactId": _CONTACT,
            "instanceArn": f"arn:aws:connect:{_REGION}:{_ACCOUNT}:instance/{_INSTANCE}",
            "stack": _STACK,
            "startFragmentNumber": str(_FIRST_FRAGMENT),
            "startTimestamp": _START_MS,
            "streamArn": f"arn:aws:kinesisvideo:{_REGION}:{_ACCOUNT}:stream/{_STREAM}/{_CREATED_MS}",
        },
        started_ms=_START_MS + 5000,
        ended_ms=_START_MS + 5000 + _TIMEOUT_MS,
    )


def _fragments() -> Iterator[StoredFragment]:
    speech = two_party_conversation(_SECONDS)
    call = SyntheticCall(
        customer=speech.customer,
        agent=speech.agent,
        contact_id=_CONTACT,
        instance_id=_INSTANCE,
        start_ms=_START_MS,
    )
    for index, fragment in enumerate(unwritten_stream([call])):
        contents = replace(fragment.contents, number=str(_FIRST_FRAGMENT + (index << _COUNTER_BIT)))
        yield StoredFragment.from_bytes(write_fragment(contents, fragment.layout), fragment.duration_ms)
