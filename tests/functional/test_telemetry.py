"""What both functions tell of themselves over whole calls: metrics, log lines, events, and what they never tell."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from connect_audio import telemetry
from connect_audio.handlers import trigger
from connect_audio.request import stack_mark
from connect_audio.telemetry import DEFAULT_NAMESPACE, Metric, Service, emit
from connect_audio_local.cloud import LocalCloud, LocalContext
from connect_audio_local.kvs.model import EmulatedStream, Live
from connect_audio_local.lambda_.kill_points import Kill, Moment
from connect_audio_local.lambda_.server import LambdaFront, Refusal
from connect_audio_local.process_cloud import ProcessCloud, process_cloud
from connect_audio_local.s3.faults import S3Fault, S3FaultPlan, S3Trouble
from connect_audio_local.synthesis.calls import DEFAULT_START_MS
from support.emitted import by_metric, emitted, json_lines
from support.engine_chaos import Schedule, run
from support.event_listener import Listener
from support.trigger_process import trigger_output
from support.whole_path import a_call, cloud_of, contact_id, event_for, is_whole, record, recorded, serve
from support.wire_server import Exchange, WireServer

ROOT: Final = Path(__file__).parents[2]
NAME: Final = f"{contact_id(1)}_{DEFAULT_START_MS}_{stack_mark('consumer:live')}"
_ENDS: Final = ("RecordingsCompleted", "RecordingsPartial", "RecordingsEmpty", "RecordingsFailed", "RecordingsRefused")


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """ColdStart belongs to whichever test comes first; these are not about it."""
    monkeypatch.setattr(telemetry._ColdStart, "pending", False)


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_a_whole_call_is_counted_and_measured_once(moto_server: str, capfd: pytest.CaptureFixture[str]) -> None:
    with cloud_of(moto_server, POWERTOOLS_METRICS_NAMESPACE="ConnectAudio/a-stack") as cloud:
        found = record(cloud, event_for(serve(cloud, a_call(20)).arn))
    assert is_whole(found)
    assert found.manifest is not None
    values = emitted(capfd.readouterr().out)
    metrics = by_metric(values)
    assert metrics[Metric.RECORDINGS_STARTED] == metrics[Metric.RECORDINGS_COMPLETED] == [1]
    assert metrics[Metric.AUDIO_SECONDS] == [found.manifest["recording"]["durationSeconds"]] == [20]
    assert metrics[Metric.GAP_SECONDS] == [0]
    silence = sum(track["silenceSamples"] for track in found.manifest["tracks"].values()) / 8000
    assert metrics[Metric.SILENCE_SECONDS] == [silence]
    assert sum(metrics[Metric.RECONNECTS]) == found.manifest["reconnects"]
    assert sum(metrics[Metric.INTERRUPTED_ATTEMPTS]) == sum(metrics[Metric.DAMAGED_RUNS]) == 0
    assert sum(metrics[Metric.HAND_OVERS]) == 0
    assert metrics[Metric.BEHIND_LIVE_SECONDS] == [0]
    # The call is of July 2026: what is measured from its own time is days.
    assert metrics[Metric.START_DELAY_SECONDS][0] > 86_400
    assert metrics[Metric.FINISH_DELAY_SECONDS][0] > 86_400
    assert all(seconds < 60 for seconds in metrics[Metric.STEP_SECONDS])
    assert not {Metric.RECORDINGS_PARTIAL, Metric.RECORDINGS_FAILED, Metric.ANNOUNCEMENTS_FAILED} & set(metrics)


def test_every_value_has_the_unit_of_the_table_and_service_is_its_only_dimension(
    moto_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with cloud_of(moto_server, POWERTOOLS_METRICS_NAMESPACE="ConnectAudio/a-stack") as cloud:
        record(cloud, event_for(serve(cloud, a_call(5)).arn))
        cloud.trigger({})
    titles = {metric.title: metric for metric in Metric}
    values = emitted(capfd.readouterr().out)
    assert {value.service for value in values} == {"trigger", "consumer"}
    for value in values:
        metric = titles[value.name]
        assert value.namespace == "ConnectAudio/a-stack"
        assert (list(value.dimensions), value.unit) == (["service"], metric.unit.value)
        assert Service(value.service) in metric.services
        if "contact_id" in value.line:
            assert value.line["contact_id"] == contact_id(1)
            assert value.line["execution_name"] == NAME


def test_hand_overs_are_counted_with_what_was_left_of_each_invocation(
    moto_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with cloud_of(moto_server, invocation_s=5.8) as cloud:
        stream = serve(cloud, a_call(60), pace=Live(speed=20))
        answer = cloud.trigger(event_for(stream.arn))
        found = recorded(cloud, answer["executionName"])
    assert found.manifest is not None
    metrics = by_metric(emitted(capfd.readouterr().out))
    assert sum(metrics[Metric.HAND_OVERS]) == found.manifest["handOvers"] >= 2
    assert sum(metrics[Metric.RECONNECTS]) == found.manifest["reconnects"]
    margins = metrics[Metric.DEADLINE_MARGIN_SECONDS]
    assert len(margins) == found.manifest["handOvers"]
    # The deadline margin is 5 s, and saving takes something of it.
    assert all(2 < margin <= 5 for margin in margins)
    assert len(metrics[Metric.RECORDINGS_COMPLETED]) == len(metrics[Metric.FINISH_DELAY_SECONDS]) == 1


def test_parts_are_counted_as_they_become_durable(moto_server: str, capfd: pytest.CaptureFixture[str]) -> None:
    with cloud_of(moto_server) as cloud:
        assert is_whole(record(cloud, event_for(serve(cloud, a_call(400)).arn)))
    metrics = by_metric(emitted(capfd.readouterr().out))
    assert metrics[Metric.PARTS] == [1, 1, 0]
    assert len(metrics[Metric.STEP_SECONDS]) == 3


def test_a_rejected_event_and_a_refused_start_are_told_apart_with_their_reasons_beside_them(
    moto_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with cloud_of(moto_server) as cloud:
        stream = serve(cloud, a_call(5))
        cloud.trigger({})
        cloud.front.refuse_next(Refusal(400, "AccessDeniedException", "no"))
        cloud.trigger(event_for(stream.arn))
        values = emitted(capfd.readouterr().out)
    assert [(value.name, value.line["reason"]) for value in values] == [
        ("RecordingsRejected", "MALFORMED_EVENT"),
        ("StartsRefused", "CONSUMER_NOT_STARTED"),
    ]


def test_a_second_execution_counts_as_refused_and_as_no_recording(
    moto_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with cloud_of(moto_server) as cloud:
        record(cloud, event_for(serve(cloud, a_call(5)).arn))
        payload = json.loads(cloud.front.invocations[0].payload)
        capfd.readouterr()
        assert cloud.consume("another-name", payload).result["status"] == "refused"
    assert by_metric(emitted(capfd.readouterr().out)) == {Metric.RECORDINGS_REFUSED: [1]}


def test_missing_settings_are_counted_by_both_functions(moto_server: str, capfd: pytest.CaptureFixture[str]) -> None:
    with cloud_of(moto_server) as cloud, pytest.MonkeyPatch.context() as patch:
        patch.delenv("RECORDINGS_BUCKET")
        trigger._settings.cache_clear()
        with pytest.raises(Exception, match="RECORDINGS_BUCKET is not set"):
            cloud.trigger({})
        cloud.consume("unset", {})
    refused = [value for value in emitted(capfd.readouterr().out) if value.name == "SettingsRefused"]
    assert [value.service for value in refused] == ["trigger", "consumer"]


def test_a_metric_that_cannot_be_written_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "")
    emit(Service.CONSUMER, {Metric.PARTS: "many"})  # type: ignore[dict-item] # as no caller would
    assert emitted(capfd.readouterr().out) == []
    emit(Service.CONSUMER, {Metric.PARTS: 2}, contact_id=None)
    (value,) = emitted(capfd.readouterr().out)
    assert (value.namespace, value.value, "contact_id" in value.line) == (DEFAULT_NAMESPACE, 2, False)


def test_a_process_s_first_line_counts_the_cold_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(telemetry._ColdStart, "pending", True)
    for _ in range(2):
        emit(Service.TRIGGER, {Metric.RECORDINGS_STARTED: 1})
    assert [value.name for value in emitted(capfd.readouterr().out)] == [
        "ColdStart",
        "RecordingsStarted",
        "RecordingsStarted",
    ]


# --- events ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def listener(moto_server: str) -> Iterator[Listener]:
    with closing(Listener(moto_server)) as made:
        yield made


def test_a_whole_recording_is_announced_once_with_where_it_lies(moto_server: str, listener: Listener) -> None:
    with cloud_of(moto_server, EVENT_BUS_NAME=listener.bus) as cloud:
        found = record(cloud, event_for(serve(cloud, a_call(5)).arn))
        payload = json.loads(cloud.front.invocations[0].payload)
        assert cloud.consume("another-name", payload).result["status"] == "refused"
        steps = cloud.executions[NAME].steps
        (event,) = listener.events()
        assert event["detail-type"] == "Recording Completed"
        detail = event["detail"]
        assert (detail["executionName"], detail["status"]) == (NAME, "complete")
        assert (detail["recordingUri"], detail["manifestUri"]) == (found.result["recording"], found.result["manifest"])
        assert detail["recordingUri"] == f"s3://{detail['bucket']}/{detail['key']}"
        assert (detail["durationSeconds"], detail["sampleRate"], detail["channels"]) == (5, 8000, 2)
    assert steps[-2:] == ("finish", "announce")


def test_partial_empty_and_failed_recordings_are_counted_and_announced_as_what_they_are(
    moto_server: str, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    with cloud_of(moto_server, EVENT_BUS_NAME=listener.bus) as cloud:
        late = serve(cloud, a_call(5, start_ms=DEFAULT_START_MS + 9000)).arn
        silent = cloud.emulator.add_stream(EmulatedStream("silent", [])).arn
        missing = silent.replace("/silent/", "/missing/")
        arns = {1: late, 2: silent, 3: missing}
        names = [cloud.trigger(event_for(arn, contact=at))["executionName"] for at, arn in arns.items()]
        results = [recorded(cloud, name).result for name in names]
    assert [result["status"] for result in results] == ["partial", "empty", "empty"]
    events = {event["detail"]["contactId"]: event for event in listener.events()}
    assert [(events[contact_id(at)]["detail-type"], events[contact_id(at)]["detail"]["reasons"]) for at in arns] == [
        ("Recording Partial", ["OPENING_MISSING"]),
        ("Recording Failed", ["NO_AUDIO"]),
        ("Recording Failed", ["SOURCE_FAILED", "NO_AUDIO"]),
    ]
    values = [value for value in emitted(capfd.readouterr().out) if value.name in _ENDS]
    assert {value.line["contact_id"]: (value.name, value.line["end_reason"]) for value in values} == {
        contact_id(1): ("RecordingsPartial", "DISCONNECTED"),
        # Nobody could read the one; of the other all was read that there was.
        contact_id(2): ("RecordingsEmpty", "IDLE"),
        contact_id(3): ("RecordingsFailed", "SOURCE_FAILED"),
    }
    assert len(values) == 3


def test_a_claim_that_fails_for_good_is_counted_and_announced_and_fails_the_execution(
    moto_server: str, listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    with cloud_of(moto_server, EVENT_BUS_NAME=listener.bus, RECORDINGS_BUCKET="no-such-bucket-here") as cloud:
        answer = cloud.trigger(event_for(serve(cloud, a_call(5)).arn))
        execution = cloud.wait(answer["executionName"], 60)
    assert (execution.status, execution.steps) == ("FAILED", ("claim", "failed", "announce"))
    (event,) = listener.events()
    assert (event["detail-type"], event["detail"]["status"]) == ("Recording Failed", "failed")
    assert event["detail"]["reasons"] == ["STEP_FAILED"]
    assert by_metric(emitted(capfd.readouterr().out))[Metric.RECORDINGS_FAILED] == [1]


class RefusingBus:
    """An EventBridge that refuses the first entries, then takes them."""

    def __init__(self, code: str, times: int) -> None:
        self.asked = 0
        self._code, self._times = code, times

    def __call__(self, http: Exchange) -> None:
        self.asked += 1
        assert http.request.headers["x-amz-target"] == "AWSEvents.PutEvents"
        (entry,) = http.request.json()["Entries"]
        assert entry["Source"] == "connect-audio"
        if self.asked <= self._times:
            http.respond_json({"FailedEntryCount": 1, "Entries": [{"ErrorCode": self._code, "ErrorMessage": "no"}]})
        else:
            http.respond_json({"FailedEntryCount": 0, "Entries": [{"EventId": str(uuid.uuid4())}]})


@contextmanager
def refusing(moto_server: str, bus: RefusingBus) -> Iterator[LocalCloud]:
    with (
        closing(WireServer(bus)) as server,
        cloud_of(moto_server, EVENT_BUS_NAME="calls", AWS_ENDPOINT_URL_EVENTBRIDGE=server.url) as cloud,
    ):
        yield cloud
        assert server.failures == []


def test_a_bus_that_refuses_for_good_fails_no_recording_and_is_counted(
    moto_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bus = RefusingBus("NotAuthorizedForSourceException", 1000)
    with refusing(moto_server, bus) as cloud:
        assert is_whole(record(cloud, event_for(serve(cloud, a_call(5)).arn)))
        assert cloud.executions[NAME].steps[-3:] == ("finish", "announce", "announce-failed")
    assert bus.asked == 1
    failures = [value for value in emitted(capfd.readouterr().out) if value.name == "AnnouncementsFailed"]
    assert [value.value for value in failures] == [1]
    assert "NotAuthorizedForSourceException" in failures[0].line["error"]


def test_a_bus_that_is_throttled_for_a_while_takes_the_event_in_the_end(
    moto_server: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bus = RefusingBus("ThrottlingException", 3)
    with refusing(moto_server, bus) as cloud:
        assert is_whole(record(cloud, event_for(serve(cloud, a_call(5)).arn)))
        assert cloud.executions[NAME].steps[-2:] == ("finish", "announce")
    assert bus.asked == 4
    assert Metric.ANNOUNCEMENTS_FAILED not in by_metric(emitted(capfd.readouterr().out))


# --- kills, and what stands in the log -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessCloud]:
    with process_cloud(
        {"POWERTOOLS_LOG_LEVEL": "DEBUG", "POWERTOOLS_METRICS_NAMESPACE": "ConnectAudio/killed"}
    ) as cloud:
        yield cloud


@pytest.mark.parametrize(
    ("number", "operation", "moment", "events"),
    [
        (8011, "events:PutEvents", Moment.BEFORE, 1),
        (8012, "events:PutEvents", Moment.AFTER, 2),
        (8013, "engine:checkpoint *SUCCEED announce*", Moment.BEFORE, 2),
        (8014, "engine:checkpoint *SUCCEED announce*", Moment.AFTER, 1),
    ],
)
def test_a_kill_around_the_announcement_leaves_one_recording_and_at_least_one_event_with_the_same_id(
    processes: ProcessCloud, number: int, operation: str, moment: Moment, events: int
) -> None:
    with closing(Listener(processes.s3_url)) as listener:
        processes.host.environment["EVENT_BUS_NAME"] = listener.bus
        found = run(processes, Schedule(0, "short", (Kill(operation, 1, moment),)), number)
        told = listener.events()
    assert len(found.killed) == 1
    assert [execution.result["status"] for execution in found.executions] == ["complete"]
    assert [key.rsplit(".", 1)[1] for key in found.keys] == ["json", "wav"]
    assert len(told) == events
    assert {event["detail"]["executionName"] for event in told} == {found.request.execution_name}
    assert len({json.dumps(event["detail"]) for event in told}) == 1


def test_a_killed_step_is_counted_as_interrupted_by_the_next(processes: ProcessCloud) -> None:
    before = len(processes.function_log())
    kills = (Kill("s3:PutObject wav.claim", 1, Moment.AFTER), Kill("s3:PutObject json", 1, Moment.BEFORE))
    found = run(processes, Schedule(0, "short", kills), 8001)
    assert len(found.killed) == 2
    metrics = by_metric(emitted(processes.function_log()[before:]))
    # The claim was there, and so was the WAV.
    assert sum(metrics[Metric.INTERRUPTED_ATTEMPTS]) == 2
    assert metrics[Metric.RECORDINGS_COMPLETED] == [1]


def test_a_publication_that_s3_refuses_for_good_is_counted_and_announced_and_fails_the_execution(
    processes: ProcessCloud,
) -> None:
    before = len(processes.function_log())
    # Claim, staged audio, WAV, manifest.
    refused = S3FaultPlan((S3Fault("PutObject", 4, S3Trouble.PRECONDITION_FAILED),))
    with closing(Listener(processes.s3_url)) as listener:
        processes.host.environment["EVENT_BUS_NAME"] = listener.bus
        found = run(processes, Schedule(0, "short", (), s3_faults=refused), 8005)
        (event,) = listener.events()
    assert [execution.status for execution in found.executions] == ["FAILED"]
    assert (event["detail-type"], event["detail"]["status"]) == ("Recording Failed", "failed")
    metrics = by_metric(emitted(processes.function_log()[before:]))
    assert metrics[Metric.RECORDINGS_FAILED] == [1]
    # What a redrive needs is still there.
    assert "wav.claim" in {key.split("/")[-1].partition(".")[2].partition("Z.")[2] for key in found.keys}


def test_every_line_of_the_consumer_says_which_call_and_which_request_it_is_about(processes: ProcessCloud) -> None:
    before = len(processes.function_log())
    found = run(processes, Schedule(0, "long", (), invocation_s=20), 8002)
    written = processes.function_log()[before:]
    lines = [line for line in json_lines(written) if "message" in line]
    assert len(lines) > 5
    # Nothing but these and the metrics.
    assert len(list(json_lines(written))) == len(written.splitlines())
    assert {line["message"] for line in lines} >= {"recording claimed", "part recorded", "recording finished"}
    assert {line["contact_id"] for line in lines} == {found.request.contact_id}
    assert {line["execution_name"] for line in lines} == {found.request.execution_name}
    assert all(line["function_request_id"] for line in lines)
    assert len({line["function_request_id"] for line in lines}) == len(found.invocations)


def test_a_library_s_lines_about_a_failure_say_so_too(processes: ProcessCloud) -> None:
    before = len(processes.function_log())
    gone = S3FaultPlan((S3Fault("UploadPart", 1, S3Trouble.UPLOAD_GONE),))
    found = run(processes, Schedule(0, "long", (), s3_faults=gone), 8004)
    assert found.executions[0].result["status"] == "partial"
    written = processes.function_log()[before:]
    lines = [line for line in json_lines(written) if "message" in line]
    assert len(list(json_lines(written))) == len(written.splitlines())
    # The durable SDK's, of the step that failed for good.
    assert [line["level"] for line in lines if "failed step" in line["message"]] == ["ERROR"]
    assert {line["contact_id"] for line in lines} == {found.request.contact_id}


def test_every_line_of_the_trigger_says_which_call_and_which_request_it_is_about() -> None:
    good, chat = (
        json.loads((ROOT / "events" / name).read_text("utf-8")) for name in ("connect_voice.json", "connect_chat.json")
    )
    with LambdaFront(lambda _name, _payload: None) as front:
        lines = [line for line in json_lines(trigger_output(front.url, [good, chat])) if "message" in line]
    assert [line["message"] for line in lines] == ["recording started", "recording rejected"]
    for line, event in zip(lines, (good, chat), strict=True):
        assert line["contact_id"] == event["Details"]["ContactData"]["ContactId"]
        assert line["function_request_id"] == LocalContext().aws_request_id
    # A warm function's second event is about another call.
    assert ["execution_name" in line for line in lines] == [True, False]


def test_nothing_personal_is_in_all_that_both_functions_write_at_their_most_talkative(processes: ProcessCloud) -> None:
    secrets = ("+447700900123", "447700900", "+448000000000", "Ada Lovelace", "GB29NWBK60161331926819", "gold tier")
    event = json.loads((ROOT / "events" / "connect_voice.json").read_text("utf-8"))
    data = event["Details"]["ContactData"]
    data["CustomerEndpoint"] = {"Address": secrets[0], "Type": "TELEPHONE_NUMBER"}
    data["SystemEndpoint"] = {"Address": secrets[2], "Type": "TELEPHONE_NUMBER"}
    data["Attributes"] = {"name": secrets[3], "tier": secrets[5]}
    data["Name"] = data["Description"] = secrets[3]
    event["Details"]["Parameters"] = {"account": secrets[4]}
    broken = json.loads(json.dumps(event))
    broken["Details"]["ContactData"]["MediaStreams"]["Customer"]["Audio"]["StartTimestamp"] = secrets[3]
    with LambdaFront(lambda _name, _payload: None) as front:
        written = trigger_output(front.url, [event, broken, {"Details": {"ContactData": {"ContactId": secrets[3]}}}])
        written += json.dumps(list(front.executions.values()))
    run(processes, Schedule(0, "busy", ()), 8003)
    written += processes.function_log()
    assert "recording finished" in written
    assert "recording rejected" in written
    assert [secret for secret in secrets if secret in written] == []
