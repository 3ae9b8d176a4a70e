"""Everything that the recorder of one call works with, made by the consumer handler."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

from connect_audio.ports import Clock, ContactEnds, ContactStatus, Log, MediaSource, PartStore
from connect_audio.recorder.live_guard import LiveWanted
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.policy import Policy
from connect_audio.request import RecordingRequest
from connect_audio.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderPorts:
    """The recorder's dependencies.

    Args:
        request: the streaming to record.
        names: the recording's objects.
        execution: ARN of the durable execution, for claim and upload.
        source: the Kinesis video stream.
        store: the bucket.
        status: Connect's answers about the contact.
        clock: wall time, monotonic time and sleeping.
        policy: durations and limits.
        logger: takes ids and numbers, never personal data.
        attempt_name: makes the name of one attempt of a step; random, since no two attempts may write the same object.
        jitter: returns 0 to 1, for backoff.
        live: the call's live audio; None where no sink is configured.
        has_event: False where no event of Connect gave the request's start. It proves nothing about the opening then.
        ends: the announced ends of contacts; None where nothing announces them.
        replaces: True if the recording is to replace another one. Then less than the whole is never published.
    """

    request: RecordingRequest
    names: RecordingNames
    execution: str
    source: MediaSource
    store: PartStore
    status: ContactStatus
    clock: Clock
    policy: Policy
    logger: Log
    attempt_name: Callable[[], str] = lambda: secrets.token_hex(4)
    jitter: Callable[[], float] = random.random
    live: LiveWanted | None = None
    has_event: bool = True
    ends: ContactEnds | None = None
    replaces: bool = False
