"""A recording that is not whole is repaired by the consumer: second event, metric, audit; all real but for AWS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Final

import pytest

from connect_audio import telemetry
from connect_audio.telemetry import Metric
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs import EmulatedStream, FaultPlan, stored
from connect_audio_local.kvs.faults import AtFragment, Garbage, InLog, LeftOut, Missing, OnCall, Refuse
from connect_audio_local.synthesis.calls import SyntheticFragment, synthesize_stream
from support.emitted import by_metric, emitted
from support.event_listener import Listener
from support.wav import same_wav, wav_of_call
from support.whole_path import a_call, cloud_of, event_for, is_whole, record, serve

SPOILT: Final = FaultPlan((AtFragment(4, Garbage(size=64, after=500), times=2),))
"""The fragment is spoilt for two connections: the recorder skips a part of it. Later it is whole."""


@pytest.fixture
def listener(moto_server: str) -> Iterator[Listener]:
    with closing(Listener(moto_server)) as listening:
        yield listening


@pytest.fixture
def cloud(moto_server: str, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    monkeypatch.setattr(telemetry._ColdStart, "pending", False)
    with cloud_of(moto_server, EVENT_BUS_NAME=listener.bus, REPAIR_RECORDINGS="on") as running:
        yield running


def steps_of(cloud: LocalCloud) -> tuple[str, ...]:
    (execution,) = cloud.executions.values()
    return execution.steps


def test_a_recording_that_is_not_whole_is_replaced_and_announced_again(
    cloud: LocalCloud, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    call = a_call(7)
    found = record(cloud, event_for(serve(cloud, call, faults=SPOILT).arn))

    assert is_whole(found)
    assert found.wav is not None
    assert found.manifest is not None
    assert same_wav(found.wav, wav_of_call(call))
    assert (found.manifest["audit"]["result"], found.manifest["audit"]["replaced"]["status"]) == ("REPAIRED", "partial")
    steps = ("announce", "pause-audit-00001", "audit-00001", "repair-00001", "replace", "announce-repair")
    assert steps_of(cloud)[-6:] == steps
    events = [(each["detail-type"], each["detail"]["status"]) for each in listener.events()]
    assert events == [("Recording Partial", "partial"), ("Recording Repaired", "complete")]
    metrics = by_metric(emitted(capfd.readouterr().out))
    assert metrics[Metric.RECORDINGS_PARTIAL] == metrics[Metric.RECORDINGS_REPAIRED] == [1]


def test_what_the_stream_lacks_too_is_noted_and_not_announced_again(cloud: LocalCloud, listener: Listener) -> None:
    call = a_call(7)
    stream = serve(cloud, call, faults=FaultPlan((InLog(4, Missing(2)),)))
    found = record(cloud, event_for(stream.arn))

    assert found.manifest is not None
    assert (found.result["status"], found.manifest["audit"]["result"]) == ("partial", "NOTHING_RECOVERABLE")
    assert steps_of(cloud)[-1] == "audit-00001"
    assert [each["detail-type"] for each in listener.events()] == ["Recording Partial"]
    assert len(found.objects) == 2


def test_what_get_media_leaves_out_is_taken_from_the_archive(cloud: LocalCloud) -> None:
    call = a_call(7)
    stream = serve(cloud, call, faults=FaultPlan((AtFragment(4, LeftOut(), times=None),)))
    found = record(cloud, event_for(stream.arn))

    assert is_whole(found)
    assert found.wav is not None
    assert found.manifest is not None
    assert same_wav(found.wav, wav_of_call(call))
    assert (found.manifest["audit"]["result"], stream.faults.calls("GetMediaForFragmentList")) == ("REPAIRED", 1)


def test_a_repair_whose_archive_is_denied_reads_by_get_media_and_says_so(
    cloud: LocalCloud, caplog: pytest.LogCaptureFixture
) -> None:
    call = a_call(7)
    stream = serve(cloud, call, faults=SPOILT)
    stream.denied_apis = frozenset({"GetMediaForFragmentList"})
    found = record(cloud, event_for(stream.arn))

    assert is_whole(found)
    assert found.wav is not None
    assert same_wav(found.wav, wav_of_call(call))
    (denied,) = [each for each in caplog.records if "operation denied" in each.message]
    assert (denied.levelname, denied.__dict__["operation"]) == ("WARNING", "GetMediaForFragmentList")


def test_a_whole_recording_has_no_further_step(cloud: LocalCloud) -> None:
    call = a_call(5)
    found = record(cloud, event_for(serve(cloud, call).arn))
    assert is_whole(found)
    assert steps_of(cloud)[-1] == "announce"


def test_a_whole_recording_whose_counters_name_another_fragment_is_audited(cloud: LocalCloud) -> None:
    # The producer counted a number that no fragment has: the times show no hole.
    drawn = list(synthesize_stream([a_call(7)]))
    fragments = [each if place < 4 else counted_on(each) for place, each in enumerate(drawn)]
    stream = cloud.emulator.add_stream(EmulatedStream("counted-on", stored(fragments)))
    found = record(cloud, event_for(stream.arn))

    assert is_whole(found)
    assert found.manifest is not None
    assert steps_of(cloud)[-2:] == ("pause-audit-00001", "audit-00001")
    audit = found.manifest["audit"]
    assert (audit["result"], audit["listedFragments"]) == ("NOTHING_RECOVERABLE", len(fragments))


def counted_on(fragment: SyntheticFragment) -> SyntheticFragment:
    """The fragment with the next counter in its number."""
    number = str(int(fragment.number) + (1 << 92))
    data = fragment.data.replace(fragment.number.encode(), number.encode())
    assert len(data) == len(fragment.data)
    return replace(fragment, data=data, contents=replace(fragment.contents, number=number))


def test_a_listing_that_is_denied_changes_nothing_about_the_recording(
    cloud: LocalCloud, capfd: pytest.CaptureFixture[str]
) -> None:
    call = a_call(7)
    denied = OnCall(1, Refuse("NotAuthorizedException"), api="ListFragments", times=None)
    found = record(cloud, event_for(serve(cloud, call, faults=FaultPlan((*SPOILT.faults, denied))).arn))

    assert found.manifest is not None
    assert (found.result["status"], found.manifest["audit"]) == ("partial", None)
    assert steps_of(cloud)[-3:] == ("audit-00001", "not-audited", "give-up")
    assert len(found.objects) == 2
    assert by_metric(emitted(capfd.readouterr().out))[Metric.REPAIRS_FAILED] == [1]


def test_calls_are_not_repaired_unless_the_stack_says_so(moto_server: str) -> None:
    call = a_call(7)
    with cloud_of(moto_server) as cloud:
        found = record(cloud, event_for(serve(cloud, call, faults=SPOILT).arn))
        (payload,) = cloud.front.executions.values()
    assert found.result["status"] == "partial"
    assert "repair" not in payload
