"""A process is killed at each request of a recording that is made after the call; the recording is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

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
    names = list(dict.fromkeys(each.name for each in cloud.gate.crossings))
    for step in ("claim", "await-00001", "enter-00001", "settle-00001", "look-00001", "record-00001", "finish"):
        assert any(step in name for name in names)
    moments = (Moment.BEFORE, Moment.AFTER)
    kills = [Kill(name, 1, moments[at % 2]) for at, name in enumerate(names)]
    left = survived(cloud, kills, calm)
    # A kill makes another crossing's name come no more at times: those are tried alone. A process that ends behind its
    # last request may be gone before its kill, and a busy machine asks again where another does not.
    still = [kill for each in left for kill in survived(cloud, [each], calm)]
    assert len(still) <= len(kills) // 5, still


def survived(cloud: ProcessCloud, kills: Sequence[Kill], calm: Run) -> list[Kill]:
    """Record the call with some kills in each run; return the kills that did not happen."""
    assert calm.manifest is not None
    left: list[Kill] = []
    for first in range(0, len(kills), A_RUN):
        armed = kills[first : first + A_RUN]
        found = recorded(cloud, armed)
        assert is_whole(found)
        assert found.manifest is not None
        assert lasting(found.manifest) == lasting(calm.manifest)
        left += [kill for kill in armed if f"{kill.operation} ({kill.moment})" not in found.killed]
    return left
