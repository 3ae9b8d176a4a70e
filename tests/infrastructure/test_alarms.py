"""Alarms and dashboard: each watches a metric that is emitted, says why and leads to a heading of the runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from connect_audio.telemetry import Metric, Service
from infrastructure.evaluation import evaluated

type Json = dict[str, Any]

RUNBOOK = Path(__file__).parents[2] / "docs" / "operations.md"
NAMESPACE = "ConnectAudio/calls"
TOPIC = "arn:aws:sns:eu-west-2:111122223333:alarms"
AT_LEAST, ABOVE, BELOW = "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold"
# Alarm: its heading, and what makes it go off.
ALARMS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "StartsRefusedAlarm": ("starts-refused", ("trigger", "StartsRefused", "Sum", AT_LEAST, 1)),
    "TriggerErrorsAlarm": ("trigger-errors", ("<TriggerFunction>", "Errors", "Sum", AT_LEAST, 1)),
    "SettingsRefusedAlarm": ("settings-refused", ("trigger", "SettingsRefused", "Sum", AT_LEAST, 1)),
    "RecordingsFailedAlarm": ("recordings-failed", ("consumer", "RecordingsFailed", "Sum", AT_LEAST, 1)),
    "ClaimsRefusedAlarm": ("claims-refused", ("consumer", "ClaimsRefused", "Sum", AT_LEAST, 1)),
    "RecordingsPartialAlarm": ("recordings-partial", ("consumer", "RecordingsPartial", "Sum", AT_LEAST, 1)),
    "BehindLiveAlarm": ("behind-live", ("consumer", "BehindLiveSeconds", "Maximum", ABOVE, 60)),
    "StartDelayAlarm": ("start-delay", ("consumer", "StartDelaySeconds", "Maximum", ABOVE, 60)),
    "ThrottlesAlarm": ("throttles", ("FILL(trigger, 0) + FILL(consumer, 0)", AT_LEAST, 1)),
    "DeadLettersAlarm": ("dead-letters", ("FILL(waiting, 0) + FILL(lost, 0)", AT_LEAST, 1)),
    "ConsumerErrorsAlarm": ("consumer-errors", ("<ConsumerFunction>", "Errors", "Sum", AT_LEAST, 1)),
    "ExecutionsEndedAlarm": (
        "executions-ended",
        ("FILL(failed, 0) + FILL(timedout, 0) + FILL(stopped, 0)", AT_LEAST, 1),
    ),
    "StartsDroppedAlarm": ("starts-dropped", ("<ConsumerFunction>", "AsyncEventsDropped", "Sum", AT_LEAST, 1)),
    "ConcurrencyAlarm": ("concurrency", ("100 * used / SERVICE_QUOTA(used)", ABOVE, 80)),
    "DeadlineMarginAlarm": ("deadline-margin", ("consumer", "DeadlineMarginSeconds", "Minimum", BELOW, 15)),
    "AnnouncementsFailedAlarm": ("announcements-failed", ("consumer", "AnnouncementsFailed", "Sum", AT_LEAST, 1)),
    "LiveDroppedAlarm": ("live-audio-dropped", ("FILL(dropped, 0) + FILL(failed, 0) + FILL(messages, 0)", ABOVE, 0)),
}


INSTANCE = "arn:aws:connect:eu-west-2:111122223333:instance/9a8b7c6d-0000-4000-8000-000000000001"
OF_FLOWS = {
    "FlowErrorsAlarm": ("ContactFlowErrors", "flow-errors"),
    "FlowFatalErrorsAlarm": ("ContactFlowFatalErrors", "flow-fatal-errors"),
}


def deployed(template: Json, **parameters: object) -> Json:
    found: Json = evaluated(template, {"StreamNamePrefix": "live", **parameters})["Resources"]
    return found


def alarms(template: Json, **parameters: object) -> Json:
    there = deployed(template, **parameters)
    return {name: one["Properties"] for name, one in there.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


def what_sets_it_off(alarm: Json) -> tuple[Any, ...]:
    bound = (alarm["ComparisonOperator"], alarm["Threshold"])
    if "Metrics" in alarm:
        return (*[one["Expression"] for one in alarm["Metrics"] if "Expression" in one], *bound)
    (dimension,) = alarm["Dimensions"]
    return (dimension["Value"], alarm["MetricName"], alarm["Statistic"], *bound)


def test_contact_events_bring_an_alarm_on_the_errors_of_their_function(template: Json) -> None:
    (name,) = set(alarms(template, ContactEvents="on")) - set(ALARMS)
    alarm = alarms(template, ContactEvents="on")[name]
    assert what_sets_it_off(alarm) == ("<ContactEndedFunction>", "Errors", "Sum", AT_LEAST, 1)
    assert alarm["AlarmDescription"].endswith("#contact-event-errors")


def test_each_alarm_goes_off_at_what_the_runbook_treats(template: Json) -> None:
    assert {name: what_sets_it_off(alarm) for name, alarm in alarms(template).items()} == {
        name: what for name, (_, what) in ALARMS.items()
    }


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_at_five_minutes_and_takes_no_news_for_good_news(template: Json, name: str) -> None:
    alarm = alarms(template)[name]
    assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "notBreaching")
    periods = {one["MetricStat"]["Period"] for one in alarm.get("Metrics", []) if "MetricStat" in one}
    assert (periods or {alarm["Period"]}) == {300}


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_leads_to_its_heading_in_the_runbook(template: Json, name: str) -> None:
    # How the anchors of headings are made: lower case, spaces to hyphens.
    headings = {
        line.lstrip("# ").lower().replace(" ", "-")
        for line in RUNBOOK.read_text("utf-8").splitlines()
        if re.match("#+ ", line)
    }
    anchor, _ = ALARMS[name]
    assert anchor in headings
    assert alarms(template)[name]["AlarmDescription"].endswith(f" docs/operations.md#{anchor}")
    elsewhere = alarms(template, RunbookUrl="https://wiki.example/runbook")[name]["AlarmDescription"]
    assert elsewhere.endswith(f" https://wiki.example/runbook#{anchor}")


def test_alarms_are_sent_to_the_topic_if_there_is_one(template: Json) -> None:
    assert all("AlarmActions" not in one for one in alarms(template).values())
    assert all("OKActions" not in one for one in alarms(template).values())
    told = alarms(template, AlarmTopicArn=TOPIC, ConnectInstanceArn=INSTANCE).values()
    assert all(one["AlarmActions"] == one["OKActions"] == [TOPIC] for one in told)


@pytest.mark.parametrize("name", OF_FLOWS)
def test_the_errors_of_a_known_instance_s_flows_have_an_alarm(template: Json, name: str) -> None:
    metric, anchor = OF_FLOWS[name]
    assert name not in alarms(template)
    assert name not in alarms(template, ConnectInstanceArn=INSTANCE, AlarmsEnabled="false")
    alarm = alarms(template, ConnectInstanceArn=INSTANCE)[name]
    (query,) = alarm["Metrics"]
    # One alarm, one query: Metrics Insights takes no second one into an expression.
    assert query["Expression"] == (
        f'SELECT SUM({metric}) FROM SCHEMA("AWS/Connect", ContactFlowName, InstanceId, MetricGroup)'  # noqa: S608
        " WHERE InstanceId = '9a8b7c6d-0000-4000-8000-000000000001'"
    )
    assert query["Period"] == 300
    assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "notBreaching")
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == (AT_LEAST, 1)
    assert alarm["AlarmDescription"].endswith(f" docs/operations.md#{anchor}")


def test_the_minutes_of_words_of_a_day_have_an_alarm_at_the_number_that_is_given(template: Json) -> None:
    assert set(alarms(template, WordsDailyMinutesAlarm=0)) == set(ALARMS)
    assert not alarms(template, WordsDailyMinutesAlarm=500, AlarmsEnabled="false")
    (name,) = set(alarms(template, WordsDailyMinutesAlarm=500)) - set(ALARMS)
    alarm = alarms(template, WordsDailyMinutesAlarm=500, AlarmTopicArn=TOPIC)[name]
    assert what_sets_it_off(alarm) == ("seconds / 60", AT_LEAST, 500)
    assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "notBreaching")
    (day,) = [one["MetricStat"] for one in alarm["Metrics"] if "MetricStat" in one]
    assert (day["Metric"]["Namespace"], day["Metric"]["MetricName"]) == (NAMESPACE, Metric.RECOGNIZED_SECONDS.title)
    assert day["Metric"]["Dimensions"] == [{"Name": "service", "Value": "consumer"}]
    assert (day["Stat"], day["Period"]) == ("Sum", 24 * 3600)
    assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]
    assert "got 500 minutes" in alarm["AlarmDescription"]
    assert alarm["AlarmDescription"].endswith(" docs/operations.md#words-of-a-day")
    assert "\n## Words of a day\n" in RUNBOOK.read_text("utf-8")


def test_the_account_s_concurrency_is_held_against_its_quota(template: Json) -> None:
    (metric,) = [one["MetricStat"] for one in alarms(template)["ConcurrencyAlarm"]["Metrics"] if "MetricStat" in one]
    # "Lambda: AWS usage metrics", in the CloudWatch guide: what SERVICE_QUOTA knows the quota of.
    assert metric["Metric"]["Namespace"] == "AWS/Usage"
    assert {one["Name"]: one["Value"] for one in metric["Metric"]["Dimensions"]} == {
        "Class": "None",
        "Resource": "ConcurrentExecutions",
        "Service": "Lambda",
        "Type": "Resource",
    }
    assert metric["Stat"] == "Maximum"


def test_alarms_and_dashboard_can_each_be_left_out(template: Json) -> None:
    assert not alarms(template, AlarmsEnabled="false")
    assert "Dashboard" in deployed(template, AlarmsEnabled="false")
    assert "Dashboard" not in deployed(template, DashboardEnabled="false")
    assert alarms(template, DashboardEnabled="false")


# Which metrics they look at


def dashboard(template: Json) -> Json:
    body: Json = json.loads(deployed(template)["Dashboard"]["Properties"]["DashboardBody"])
    return body


def on_the_dashboard(template: Json) -> list[list[Any]]:
    """The metrics as the dashboard's body has them: namespace, name, dimension, value, options."""
    widgets = [one["properties"] for one in dashboard(template)["widgets"] if one["type"] == "metric"]
    return [metric for one in widgets for metric in one["metrics"]]


def watched(template: Json) -> set[tuple[str, ...]]:
    """Every metric in an alarm or on the dashboard: namespace, name, dimension, value."""
    found = {tuple(part for part in metric if isinstance(part, str)) for metric in on_the_dashboard(template)}
    for alarm in alarms(template).values():
        for one in [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each] or [
            alarm
        ]:
            if one["Namespace"] == "AWS/Usage":
                continue  # the account's: a test of its own
            (dimension,) = one["Dimensions"]
            found.add((one["Namespace"], one["MetricName"], dimension["Name"], dimension["Value"]))
    return found


def test_alarms_and_dashboard_watch_nothing_that_no_function_emits(template: Json) -> None:
    ours = {one[1:] for one in watched(template) if one[0] == NAMESPACE}
    emitted = {(metric.title, "service", service.value) for metric in Metric for service in metric.services}
    assert ours <= emitted
    aws = {one for one in watched(template) if one[0] != NAMESPACE}
    assert {one[0] for one in aws} == {"AWS/Lambda", "AWS/SQS"}
    functions = {one[3] for one in aws if one[0] == "AWS/Lambda" and len(one) > 2}
    assert functions == {"<TriggerFunction>", "<ConsumerFunction>"}
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    assert {one[1] for one in aws if one[0] == "AWS/Lambda"} == {
        "AsyncEventsDropped",
        "ConcurrentExecutions",
        "DeadLetterErrors",
        "Duration",
        "DurableExecutionFailed",
        "DurableExecutionStopped",
        "DurableExecutionTimedOut",
        "Errors",
        "Throttles",
    }
    assert {one[1:] for one in aws if one[0] == "AWS/SQS"} == {
        ("ApproximateNumberOfMessagesVisible", "QueueName", "<FailedRecordings.QueueName>")
    }


def test_the_dashboard_shows_every_metric_that_a_function_emits(template: Json) -> None:
    shown = {(metric[1], metric[3]) for metric in on_the_dashboard(template) if metric[0] == NAMESPACE}
    assert shown == {(metric.title, service.value) for metric in Metric for service in metric.services}


@pytest.mark.parametrize("function", ["TriggerFunction", "ConsumerFunction"])
def test_the_functions_emit_where_the_alarms_look(template: Json, function: str) -> None:
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    assert shared["POWERTOOLS_METRICS_NAMESPACE"] == {"Fn::Sub": "ConnectAudio/${AWS::StackName}"}
    own = template["Resources"][function]["Properties"]["Environment"]["Variables"]
    assert own["POWERTOOLS_SERVICE_NAME"] in set(Service)


def test_the_dashboard_s_widgets_lie_side_by_side_in_the_stack_s_region(template: Json) -> None:
    covered: set[tuple[int, int]] = set()
    for one in dashboard(template)["widgets"]:
        area = {
            (x, y) for x in range(one["x"], one["x"] + one["width"]) for y in range(one["y"], one["y"] + one["height"])
        }
        assert not covered & area
        assert max(x for x, _ in area) < 24  # columns
        covered |= area
        assert one["type"] == "text" or one["properties"]["region"] == "eu-west-2"


def test_the_dashboard_draws_the_alarms_bounds(template: Json) -> None:
    drawn: dict[str, int] = {}
    for one in dashboard(template)["widgets"]:
        for line in one["properties"].get("annotations", {}).get("horizontal", []):
            drawn |= {metric[1]: line["value"] for metric in one["properties"]["metrics"]}
    for name in ("BehindLiveAlarm", "StartDelayAlarm", "DeadlineMarginAlarm"):
        alarm = alarms(template)[name]
        assert drawn[alarm["MetricName"]] == alarm["Threshold"]
