"""A process is killed at each request of a recording that is made after the call; the recording is the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import count, cycle

import pytest

from connect_audio.adapters.contact_ends import StoredContactEnds
from connect_audio.adapters.s3_recording import S3PartStore
from connect_audio.request import RecordingMode, RecordingOptions
from connect_audio_local.lambda_.kill_points import Kill, Moment
from connect_audio_local.process_cloud import BUCKET, ProcessCloud, process_cloud
from support.engine_chaos import Run, Schedule, lasting, run, scene
from support.wav import same_wav

NUMBERS = count(1)
A_RUN = 5
"""Kills of one run: Lambda gives an invocation up after nine failures in a row."""
REQUESTS = (
    "s3:PutObject wav.claim",
    "s3:HeadObject wav",
    "kvs:describeStream",
    "s3:ListObjectsV2",
    "engine:checkpoint *SUCCEED claim",
    "engine:checkpoint *START await-00001",
    "s3:PutObject json",
    "s3:GetObject json",
    "engine:checkpoint *SUCCEED enter-00001",
    "engine:checkpoint *START settle-00001",
    "kvs:getDataEndpoint",
    "kvs:listFragments",
    "s3:DeleteObjects",
    "engine:checkpoint *SUCCEED look-00001",
    "kvs:getMedia",
    "media:fragment",
    "s3:PutObject wav.staging",
    "engine:checkpoint *SUCCEED record-00001",
    "s3:GetObject wav.staging",
    "s3:PutObject wav",
    "s3:ListMultipartUploads",
    "s3:HeadObject wav.claim",
    "s3:GetObject wav.claim",
    "s3:DeleteObject wav.claim",
    "engine:checkpoint *START finish*",
    "engine:checkpoint *SUCCEED finish*",
    "engine:checkpoint *SUCCEED announce",
)
"""Every kind of request that an execution makes, in the order of their first times, as patterns of names.

A step's checkpoints come in one batch or in two, as the machine is quick or slow: a pattern finds its update in either.
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[ProcessCloud]:
    with process_cloud() as running:
        yield running


def recorded(cloud: ProcessCloud, kills: Sequence[Kill]) -> Run:
    """Record a call of 24 s that is over, and whose end was announced before the claim."""
    number, stage = next(NUMBERS), scene("short")
    ends = StoredContactEnds(S3PartStore(BUCKET, client=cloud.s3), "recordings")
    ends.end(f"10000000-0000-4000-8000-{number:012d}", stage.start_ms + 24_000)
    options = RecordingOptions(mode=RecordingMode.ARCHIVE, contact_events=True)
    return run(cloud, Schedule(0, "short", tuple(kills), options=options), number)


def is_whole(found: Run) -> bool:
    assert [each.status for each in found.executions] == ["SUCCEEDED"], found.executions
    assert found.wav is not None
    assert found.manifest is not None
    assert same_wav(found.wav, scene("short").wav)
    assert (found.manifest["status"], found.manifest["endReason"]) == ("complete", "ARCHIVE_END")
    left = [key.rsplit("/", 1)[1].rsplit(".", 1)[1] for key in found.keys if "/contacts/" not in key]
    assert left == ["json", "wav"]
    assert [key.rsplit("/", 1)[1] for key in found.keys if "/contacts/" in key] == ["ended.json"]
    assert found.open_uploads == []
    return True


def test_a_kill_at_each_request_of_the_execution_changes_nothing(cloud: ProcessCloud) -> None:
    calm = recorded(cloud, ())
    assert is_whole(calm)
    assert calm.manifest is not None
    # A busy machine looks more often, and tells the start of a step by itself.
    asked = {re.sub(r"-\d{5}", "-00001", each.name) for each in cloud.gate.crossings}
    asked = {each for each in asked if not re.fullmatch(r"engine:checkpoint START [\w-]+", each)}
    assert [name for name in asked if not any(fnmatchcase(name, request) for request in REQUESTS)] == []

    moments = cycle((Moment.BEFORE, Moment.AFTER))
    kills = [Kill(request, 1, moment) for request, moment in zip(REQUESTS, moments, strict=False)]
    # Requests that follow each other may come as one, so no run has both.
    runs = -(-len(kills) // A_RUN)
    for armed in (kills[first::runs] for first in range(runs)):
        found = recorded(cloud, armed)
        assert is_whole(found)
        assert found.manifest is not None
        assert lasting(found.manifest) == lasting(calm.manifest)
        missed = [kill for kill in armed if not is_done(kill, found)]
        assert missed == []


def is_done(kill: Kill, found: Run) -> bool:
    """True if a process was there, and was killed at the request."""
    return any(fnmatchcase(each, f"{kill.operation} ({kill.moment})") for each in found.killed)
