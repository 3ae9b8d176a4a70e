"""The metrics of both functions: names, units and meanings in one table, and how they reach CloudWatch.

The handlers emit them, the template's alarms and dashboard and `docs/observability.md` name them; tests hold all three
to this table. A metric is a line of EMF on the standard output (Powertools Metrics), so emitting one calls no API.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

logger = Logger(child=True)

DEFAULT_NAMESPACE: Final = "ConnectAudio"
"""Where POWERTOOLS_METRICS_NAMESPACE is unset; the template sets one for each stack."""


class Service(StrEnum):
    """The value of the only dimension, `service`: one for each function."""

    TRIGGER = "trigger"
    CONSUMER = "consumer"


_TRIGGER: Final = (Service.TRIGGER,)
_CONSUMER: Final = (Service.CONSUMER,)
_COUNT: Final = MetricUnit.Count
_SECONDS: Final = MetricUnit.Seconds


class Metric(Enum):
    """A metric.

    Args:
        title: its name in CloudWatch.
        unit: its unit there.
        services: which functions emit it.
        meaning: one sentence for the reader of the table.
    """

    RECORDINGS_STARTED = (
        "RecordingsStarted",
        _COUNT,
        _TRIGGER,
        "A start that Lambda accepted; a duplicate event, which finds the recording started, counts too.",
    )
    RECORDINGS_REJECTED = (
        "RecordingsRejected",
        _COUNT,
        _TRIGGER,
        "An event that cannot be recorded, for example of a chat; the line's `reason` says why.",
    )
    STARTS_REFUSED = (
        "StartsRefused",
        _COUNT,
        _TRIGGER,
        "An event that could have been recorded, but the consumer was not started: a call is lost.",
    )
    SETTINGS_REFUSED = (
        "SettingsRefused",
        _COUNT,
        (Service.TRIGGER, Service.CONSUMER),
        "An invocation whose settings were missing or wrong; if only those of live audio were, the call is recorded.",
    )
    COLD_START = ("ColdStart", _COUNT, (Service.TRIGGER, Service.CONSUMER), "A process's first line of metrics.")
    START_DELAY_SECONDS = (
        "StartDelaySeconds",
        _SECONDS,
        _CONSUMER,
        "From the event's StartTimestamp to the claim; where the stream keeps nothing, 300 s lose the beginning.",
    )
    BEHIND_LIVE_SECONDS = (
        "BehindLiveSeconds",
        _SECONDS,
        _CONSUMER,
        "How far the newest fragment that a record step read was behind the stream's head, as KVS tells.",
    )
    RECONNECTS = ("Reconnects", _COUNT, _CONSUMER, "How often a record step opened GetMedia again.")
    PARTS = ("Parts", _COUNT, _CONSUMER, "Parts of recordings made durable in S3.")
    HAND_OVERS = ("HandOvers", _COUNT, _CONSUMER, "How often an invocation handed over to a fresh one, or paused.")
    DEADLINE_MARGIN_SECONDS = (
        "DeadlineMarginSeconds",
        _SECONDS,
        _CONSUMER,
        "What was left of an invocation when its last record step had ended, at a hand-over.",
    )
    REPAIRS = (
        "Repairs",
        _COUNT,
        _CONSUMER,
        "What an interrupted attempt had left and the next one used or removed, and runs of damaged bytes passed over.",
    )
    STEP_SECONDS = ("StepSeconds", _SECONDS, _CONSUMER, "How long a record step lasted.")
    RECORDINGS_COMPLETED = ("RecordingsCompleted", _COUNT, _CONSUMER, "A recording that is whole.")
    RECORDINGS_PARTIAL = ("RecordingsPartial", _COUNT, _CONSUMER, "A recording that lacks something; its manifest why.")
    RECORDINGS_EMPTY = ("RecordingsEmpty", _COUNT, _CONSUMER, "A call of which no audio came: a manifest, no WAV.")
    RECORDINGS_FAILED = (
        "RecordingsFailed",
        _COUNT,
        _CONSUMER,
        "No WAV although there should be one: the stream could not be read, or S3 refused the publication for good.",
    )
    RECORDINGS_REFUSED = (
        "RecordingsRefused",
        _COUNT,
        _CONSUMER,
        "A second execution of a streaming that another one records or has recorded.",
    )
    AUDIO_SECONDS = ("AudioSeconds", _SECONDS, _CONSUMER, "Length of a recording.")
    GAP_SECONDS = (
        "GapSeconds",
        _SECONDS,
        _CONSUMER,
        "Of it, where neither party has audio and fragments may be missing.",
    )
    SILENCE_SECONDS = (
        "SilenceSeconds",
        _SECONDS,
        _CONSUMER,
        "Silence filled in, both tracks together: what a party's track had no audio for.",
    )
    FINISH_DELAY_SECONDS = (
        "FinishDelaySeconds",
        _SECONDS,
        _CONSUMER,
        "From the end of the last audio, by the producer's clock, to the published WAV; the drain is part of it.",
    )
    ANNOUNCEMENTS_FAILED = (
        "AnnouncementsFailed",
        _COUNT,
        _CONSUMER,
        "An event that EventBridge did not take, after all tries; the recording is not touched by it.",
    )
    LIVE_DELIVERIES = ("LiveDeliveries", _COUNT, _CONSUMER, "Pieces of live audio that sinks took.")
    LIVE_FAILURES = ("LiveFailures", _COUNT, _CONSUMER, "Tries to hand live audio to a sink that failed.")
    LIVE_DROPPED_SECONDS = (
        "LiveDroppedSeconds",
        _SECONDS,
        _CONSUMER,
        "Live audio that a sink did not get: too slow, refused, not used, or left over at the end.",
    )
    LIVE_LAG_SECONDS = (
        "LiveLagSeconds",
        _SECONDS,
        _CONSUMER,
        "Longest time of a record step from the arrival of a piece's last sample to a sink's having taken the piece.",
    )
    LIVE_CIRCUITS_OPENED = (
        "LiveCircuitsOpened",
        _COUNT,
        _CONSUMER,
        "How often a sink had failed so many times in a row that it was left alone for a while.",
    )
    LIVE_SINKS_FAILED = (
        "LiveSinksFailed",
        _COUNT,
        _CONSUMER,
        "A sink of live audio that could not be made, or is not used any more.",
    )

    def __init__(self, title: str, unit: MetricUnit, services: tuple[Service, ...], meaning: str) -> None:
        self.title = title
        self.unit = unit
        self.services = services
        self.meaning = meaning


class _ColdStart:
    """Whether this process has emitted nothing yet."""

    pending = True


def emit(service: Service, values: Mapping[Metric, float], **metadata: str | None) -> None:
    """Write one line of EMF; where that fails, a log line says so and the caller goes on.

    In the consumer from inside a step alone: the engine replays everything else in each invocation.

    Args:
        service: whose metrics.
        values: what to count or measure, in the metrics' units.
        metadata: ids and codes beside them, to find the line by; no dimension, and never personal data.
    """
    try:
        _write(service, values, metadata)
    except Exception:
        # Whatever it was: no recording fails for a metric.
        logger.exception("metrics not written")


def _write(service: Service, values: Mapping[Metric, float], metadata: Mapping[str, str | None]) -> None:
    # Not `Metrics`: its values are shared by all instances of a process.
    line = EphemeralMetrics(service=service.value)
    if not line.namespace:
        line.namespace = DEFAULT_NAMESPACE
    if _ColdStart.pending:
        _ColdStart.pending = False
        values = {Metric.COLD_START: 1, **values}
    for metric, value in values.items():
        line.add_metric(name=metric.title, unit=metric.unit, value=value)
    for key, text in metadata.items():
        if text is not None:
            line.add_metadata(key=key, value=text)
    line.flush_metrics()
