"""Each alarm of the template, provoked at its metric's level: the real functions under a fault, their EMF, the alarm.

What the template says of an alarm (namespace, metric, dimensions, statistic, comparison, threshold) is applied to the
lines that the functions wrote. Of metrics that AWS itself emits, names and dimensions are held to its documentation.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from connect_audio import telemetry
from connect_audio.adapters.connect_event import parse_connect_event
from connect_audio_local.cloud import LocalCloud
from connect_audio_local.kvs.capture import stored
from connect_audio_local.kvs.model import EmulatedStream, Live
from connect_audio_local.lambda_.server import Refusal
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_stream
from connect_audio_local.synthesis.fragment_writer import write_fragment
from infrastructure.evaluation import evaluated
from infrastructure.loading import load
from support.emitted import Value, emitted
from support.whole_path import a_call, cloud_of, event_for, serve
from support.wire_server import Exchange, WireServer

ROOT: Final = Path(__file__).parents[2]
PARAMETERS: Final = {"StreamNamePrefix": "calls-", "AlarmsEnabled": "true"}

# "Types of metrics for Lambda functions" and "Viewing metrics for Lambda functions", in the Lambda guide;
# "Available CloudWatch metrics for Amazon SQS" and "Dimensions for Amazon SQS metrics", in the SQS guide.
AWS_METRICS: Final = {
    ("AWS/Lambda", "AsyncEventsDropped"): ["FunctionName"],
    ("AWS/Lambda", "DeadLetterErrors"): ["FunctionName"],
    # "Monitoring durable functions", in the same guide.
    ("AWS/Lambda", "DurableExecutionFailed"): ["FunctionName"],
    ("AWS/Lambda", "DurableExecutionStopped"): ["FunctionName"],
    ("AWS/Lambda", "DurableExecutionTimedOut"): ["FunctionName"],
    ("AWS/Lambda", "Errors"): ["FunctionName"],
    ("AWS/Lambda", "Throttles"): ["FunctionName"],
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): ["QueueName"],
}
STATISTICS: Final[Mapping[str, Callable[[list[float]], float]]] = {"Sum": sum, "Maximum": max, "Minimum": min}
COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}


@dataclass(frozen=True)
class Alarm:
    """An alarm as deployed.

    Args:
        properties: of `AWS::CloudWatch::Alarm`, resolved.
    """

    properties: Mapping[str, Any]

    @property
    def metrics(self) -> dict[str, Mapping[str, Any]]:
        """The metrics it looks at, by their id; the only one of a plain alarm has none."""
        if "MetricName" in self.properties:
            return {"": self.properties}
        return {
            each["Id"]: {**each["MetricStat"]["Metric"], "Statistic": each["MetricStat"]["Stat"]}
            for each in self.properties["Metrics"]
            if "MetricStat" in each
        }

    def is_of_aws(self) -> bool:
        return all(each["Namespace"].startswith("AWS/") for each in self.metrics.values())

    def rings(self, values: list[Value]) -> bool:
        """Whether a period with these values makes the expression true; a metric without values is missing."""
        found = {
            name: STATISTICS[metric["Statistic"]](there)
            for name, metric in self.metrics.items()
            if (there := [each.value for each in values if _is_of(each, metric)])
        }
        for term in self._terms():
            found.setdefault(term, 0)
        if not found:
            assert self.properties["TreatMissingData"] == "notBreaching"
            return False
        return COMPARISONS[self.properties["ComparisonOperator"]](sum(found.values()), self.properties["Threshold"])

    def _terms(self) -> list[str]:
        """Ids in the expression, which must be a sum of `FILL(id, 0)`: that is all that this reads."""
        expressions = [each["Expression"] for each in self.properties.get("Metrics", ()) if "Expression" in each]
        if not expressions:
            return []
        (expression,) = expressions
        terms = [re.fullmatch(r"FILL\((\w+), 0\)", term) for term in expression.split(" + ")]
        names = [term[1] for term in terms if term]
        assert set(names) == set(self.metrics)
        return names


def _is_of(value: Value, metric: Mapping[str, Any]) -> bool:
    dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
    return (value.namespace, value.name, value.dimensions) == (metric["Namespace"], metric["MetricName"], dimensions)


@pytest.fixture(scope="module")
def alarms() -> dict[str, Alarm]:
    """The alarms on metrics of the functions and the queue; tests/infrastructure has the account's concurrency."""
    resources = evaluated(load(ROOT / "template.yaml"), PARAMETERS)["Resources"]
    return {
        name: Alarm(each["Properties"])
        for name, each in resources.items()
        if each["Type"] == "AWS::CloudWatch::Alarm" and name != "ConcurrencyAlarm"
    }


@pytest.fixture(scope="module")
def namespace() -> str:
    """What the template sets POWERTOOLS_METRICS_NAMESPACE to, for both functions."""
    template = load(ROOT / "template.yaml")
    everywhere = template["Globals"]["Function"]["Environment"]["Variables"]
    found: str = evaluated({**template, "Resources": {**template["Resources"], "Globals": everywhere}}, PARAMETERS)[
        "Resources"
    ]["Globals"]["POWERTOOLS_METRICS_NAMESPACE"]
    return found


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry._ColdStart, "pending", False)


# --- provocations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Where an alarm is provoked.

    Args:
        moto_server: S3 and EventBridge.
        settings: of both functions.
    """

    moto_server: str
    settings: Mapping[str, str]

    @contextmanager
    def cloud(self, *, invocation_s: float = 900, **more: str) -> Iterator[LocalCloud]:
        with cloud_of(self.moto_server, invocation_s=invocation_s, **{**self.settings, **more}) as cloud:
            yield cloud

    def records(self, cloud: LocalCloud, call: SyntheticCall, *, start_ms: int | None = None, **options: Any) -> None:
        """A call through both functions to its end, whatever that is."""
        assert call.start_ms is not None
        stream = serve(cloud, call, **options)
        answer = cloud.trigger(event_for(stream.arn, start_ms=start_ms or call.start_ms))
        cloud.wait(answer["executionName"], 60)


def now_ms() -> int:
    return int(time.time() * 1000)


def a_whole_call_with_hand_overs(stage: Stage) -> None:
    with stage.cloud(invocation_s=60.8, DEADLINE_MARGIN_SECONDS="60", EVENT_BUS_NAME="default") as cloud:
        stage.records(cloud, a_call(60, start_ms=now_ms()), pace=Live(speed=20))
        assert {each.result["status"] for each in cloud.executions.values()} == {"complete"}


def lambda_refuses_the_start(stage: Stage) -> None:
    with stage.cloud() as cloud:
        cloud.front.refuse_next(Refusal(403, "AccessDeniedException", "no"))
        answer = cloud.trigger(event_for(serve(cloud, a_call(2)).arn))
        assert answer["reason"] == "CONSUMER_NOT_STARTED"


def s3_refuses_the_recording(stage: Stage) -> None:
    with stage.cloud(RECORDINGS_BUCKET="no-such-bucket-here") as cloud:
        stage.records(cloud, a_call(2, start_ms=now_ms()))


def a_dead_execution_holds_the_claim(stage: Stage) -> None:
    with stage.cloud() as cloud:
        call = a_call(2, start_ms=now_ms())
        stream = serve(cloud, call)
        event = event_for(stream.arn, start_ms=call.start_ms or 0)
        request = parse_connect_event(event)
        claim = f"{request.recording_key('recordings')}.claim"
        with closing(cloud.s3()) as s3:
            s3.put_object(Bucket=cloud.bucket, Key=claim, Body=b"arn:aws:lambda:dead")
        answer = cloud.trigger(event)
        cloud.wait(answer["executionName"], 60)


def the_beginning_is_missing(stage: Stage) -> None:
    with stage.cloud() as cloud:
        stage.records(cloud, a_call(5, start_ms=now_ms() + 9000), start_ms=now_ms())


def reading_is_behind(stage: Stage) -> None:
    fragments = [
        replace(each, data=write_fragment(replace(each.contents, millis_behind_now=60_001)))
        for each in synthesize_stream([a_call(5, start_ms=now_ms())])
    ]
    with stage.cloud() as cloud:
        stream = cloud.emulator.add_stream(EmulatedStream("behind", stored(fragments)))
        answer = cloud.trigger(event_for(stream.arn, start_ms=fragments[0].producer_ms))
        cloud.wait(answer["executionName"], 60)


def the_start_waited(stage: Stage) -> None:
    with stage.cloud() as cloud:
        stage.records(cloud, a_call(5, start_ms=now_ms() - 60_001))


def the_margin_is_small(stage: Stage) -> None:
    with stage.cloud(invocation_s=5.8, DEADLINE_MARGIN_SECONDS="5") as cloud:
        stage.records(cloud, a_call(60, start_ms=now_ms()), pace=Live(speed=20))


def the_bus_refuses(stage: Stage) -> None:
    def refuse(http: Exchange) -> None:
        http.respond_json({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InvalidArgument", "ErrorMessage": "no"}]})

    with (
        closing(WireServer(refuse)) as server,
        stage.cloud(EVENT_BUS_NAME="calls", AWS_ENDPOINT_URL_EVENTBRIDGE=server.url) as cloud,
    ):
        stage.records(cloud, a_call(5, start_ms=now_ms()))


def a_sink_of_live_audio_is_not_there(stage: Stage) -> None:
    with stage.cloud(LIVE_SINKS="not-there") as cloud:
        stage.records(cloud, a_call(5, start_ms=now_ms()))
        assert {each.result["status"] for each in cloud.executions.values()} == {"complete"}


def the_settings_of_live_audio_are_refused(stage: Stage) -> None:
    with stage.cloud(LIVE_SINKS="segments", LIVE_SEGMENT_SECONDS="none") as cloud:
        stage.records(cloud, a_call(5, start_ms=now_ms()))
        assert {each.result["status"] for each in cloud.executions.values()} == {"complete"}


PROVOCATIONS: Final[Mapping[str, Callable[[Stage], None]]] = {
    "AnnouncementsFailedAlarm": the_bus_refuses,
    "ClaimsRefusedAlarm": a_dead_execution_holds_the_claim,
    "BehindLiveAlarm": reading_is_behind,
    "DeadlineMarginAlarm": the_margin_is_small,
    "LiveDroppedAlarm": a_sink_of_live_audio_is_not_there,
    "RecordingsFailedAlarm": s3_refuses_the_recording,
    "RecordingsPartialAlarm": the_beginning_is_missing,
    "SettingsRefusedAlarm": the_settings_of_live_audio_are_refused,
    "StartDelayAlarm": the_start_waited,
    "StartsRefusedAlarm": lambda_refuses_the_start,
}


@pytest.fixture
def stage(moto_server: str, namespace: str) -> Stage:
    return Stage(moto_server, {"POWERTOOLS_METRICS_NAMESPACE": namespace})


def test_every_alarm_is_provoked_here_or_stands_on_a_metric_of_aws(alarms: dict[str, Alarm]) -> None:
    assert {name for name, alarm in alarms.items() if not alarm.is_of_aws()} == set(PROVOCATIONS)


@pytest.mark.parametrize("name", list(PROVOCATIONS))
def test_a_fault_makes_its_alarm_ring_and_no_other(
    stage: Stage, alarms: dict[str, Alarm], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    PROVOCATIONS[name](stage)
    values = emitted(capfd.readouterr().out)
    assert [each for each, alarm in alarms.items() if alarm.rings(values)] == [name]


def test_a_whole_call_with_hand_overs_makes_none_ring_though_each_metric_of_theirs_but_the_failures_is_there(
    stage: Stage, alarms: dict[str, Alarm], capfd: pytest.CaptureFixture[str]
) -> None:
    a_whole_call_with_hand_overs(stage)
    values = emitted(capfd.readouterr().out)
    assert [each for each, alarm in alarms.items() if alarm.rings(values)] == []
    names = {value.name for value in values}
    assert {"StartDelaySeconds", "BehindLiveSeconds", "DeadlineMarginSeconds"} <= names


# --- metrics that AWS emits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("TriggerErrorsAlarm", {"<TriggerFunction>"}),
        ("ThrottlesAlarm", {"<TriggerFunction>", "<ConsumerFunction>"}),
        ("DeadLettersAlarm", {"<FailedRecordings.QueueName>", "<ConsumerFunction>"}),
        ("ConsumerErrorsAlarm", {"<ConsumerFunction>"}),
        ("ExecutionsEndedAlarm", {"<ConsumerFunction>"}),
        ("StartsDroppedAlarm", {"<ConsumerFunction>"}),
    ],
)
def test_an_alarm_on_a_metric_of_aws_names_it_as_documented_and_rings_by_any_one(
    alarms: dict[str, Alarm], name: str, of: set[str]
) -> None:
    alarm = alarms[name]
    assert alarm.is_of_aws()
    assert {each["Value"] for metric in alarm.metrics.values() for each in metric["Dimensions"]} == of
    for metric in alarm.metrics.values():
        dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
        assert list(dimensions) == AWS_METRICS[metric["Namespace"], metric["MetricName"]]
        value = Value(metric["Namespace"], dimensions, metric["MetricName"], "Count", 1, {})
        assert alarm.rings([value])
        assert not alarm.rings([replace(value, value=0)])
    assert not alarm.rings([])


def test_no_other_alarm_stands_on_a_metric_of_aws(alarms: dict[str, Alarm]) -> None:
    assert {name for name, alarm in alarms.items() if alarm.is_of_aws()} == {
        "ConsumerErrorsAlarm",
        "DeadLettersAlarm",
        "ExecutionsEndedAlarm",
        "StartsDroppedAlarm",
        "ThrottlesAlarm",
        "TriggerErrorsAlarm",
    }
