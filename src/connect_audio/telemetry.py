"""The metrics of the functions: names, units and meanings in one table, and how they reach CloudWatch.

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
"""The namespace if POWERTOOLS_METRICS_NAMESPACE is unset; the template sets one for each stack."""


class Service(StrEnum):
    """The value of the only dimension, `service`: one for each function."""

    TRIGGER = "trigger"
    CONSUMER = "consumer"
    EXECUTION_ENDED = "execution-ended"


_TRIGGER: Final = (Service.TRIGGER,)
_CONSUMER: Final = (Service.CONSUMER,)
_COUNT: Final = MetricUnit.Count
_SECONDS: Final = MetricUnit.Seconds


class Metric(Enum):
    """A metric.

    Args:
        title: its name in CloudWatch.
        unit: its unit there.
        services: the functions that emit it.
        meaning: one sentence for the reader of the table.
    """

    RECORDINGS_STARTED = (
        "RecordingsStarted",
        _COUNT,
        _TRIGGER,
        "Starts that Lambda accepted, including starts from duplicate events.",
    )
    RECORDINGS_REJECTED = (
        "RecordingsRejected",
        _COUNT,
        _TRIGGER,
        "Events that cannot be recorded, for example of a chat; the line's `reason` says why.",
    )
    STARTS_REFUSED = (
        "StartsRefused",
        _COUNT,
        _TRIGGER,
        "Valid events whose consumer was not started: a call is lost.",
    )
    SETTINGS_REFUSED = (
        "SettingsRefused",
        _COUNT,
        (Service.TRIGGER, Service.CONSUMER),
        "Invocations with missing or wrong settings; if only live audio's are wrong, the call is recorded.",
    )
    COLD_START = ("ColdStart", _COUNT, (Service.TRIGGER, Service.CONSUMER), "First line of metrics of a process.")
    START_DELAY_SECONDS = (
        "StartDelaySeconds",
        _SECONDS,
        _CONSUMER,
        "Time from the event's StartTimestamp to the claim; beyond 300 s a stream without retention loses audio.",
    )
    BEHIND_LIVE_SECONDS = (
        "BehindLiveSeconds",
        _SECONDS,
        _CONSUMER,
        "Distance of the newest fragment of a record step from the stream's head, as KVS reports it.",
    )
    RECONNECTS = ("Reconnects", _COUNT, _CONSUMER, "Times that a record step opened GetMedia again.")
    PARTS = ("Parts", _COUNT, _CONSUMER, "Parts of recordings saved in S3.")
    HAND_OVERS = ("HandOvers", _COUNT, _CONSUMER, "Times that an invocation handed over to the next one, or paused.")
    DEADLINE_MARGIN_SECONDS = (
        "DeadlineMarginSeconds",
        _SECONDS,
        _CONSUMER,
        "Time left of an invocation after its last record step, at a hand-over.",
    )
    ENDS_ANNOUNCED = (
        "EndsAnnounced",
        _COUNT,
        _CONSUMER,
        "Calls recorded after their end whose end a contact event announced.",
    )
    ENDS_FOUND = (
        "EndsFound",
        _COUNT,
        _CONSUMER,
        "Calls recorded after their end whose end was found by a question to Connect, not by a contact event.",
    )
    INTERRUPTED_ATTEMPTS = (
        "InterruptedAttempts",
        _COUNT,
        _CONSUMER,
        "Remains of an interrupted attempt that the next attempt used or removed; no audio is lost.",
    )
    DAMAGED_RUNS = (
        "DamagedRuns",
        _COUNT,
        _CONSUMER,
        "Runs of damaged bytes that the recorder skipped; the manifest counts their bytes.",
    )
    STEP_SECONDS = ("StepSeconds", _SECONDS, _CONSUMER, "Duration of a record step.")
    RECORDINGS_COMPLETED = ("RecordingsCompleted", _COUNT, _CONSUMER, "Recordings published whole.")
    RECORDINGS_PARTIAL = (
        "RecordingsPartial",
        _COUNT,
        _CONSUMER,
        "Recordings published with audio missing; the manifest lists the reasons.",
    )
    ACCOUNTS_DISAGREE = (
        "AccountsDisagree",
        _COUNT,
        _CONSUMER,
        "The part of RecordingsPartial whose sums do not add up: a fault of this project.",
    )
    RECORDINGS_EMPTY = ("RecordingsEmpty", _COUNT, _CONSUMER, "Calls without any audio: a manifest and no WAV.")
    RECORDINGS_FAILED = (
        "RecordingsFailed",
        _COUNT,
        _CONSUMER,
        "Recordings without a WAV: the stream could not be read, or S3 refused the publication for good.",
    )
    RECORDINGS_REFUSED = (
        "RecordingsRefused",
        _COUNT,
        _CONSUMER,
        "Second executions of a streaming that another execution records or has recorded.",
    )
    CLAIMS_REFUSED = (
        "ClaimsRefused",
        _COUNT,
        _CONSUMER,
        "The part of RecordingsRefused whose recording another execution claims; a dead one puts its audio at risk.",
    )
    RECORDINGS_REPAIRED = (
        "RecordingsRepaired",
        _COUNT,
        _CONSUMER,
        "Recordings replaced by a better one that the stream still had; each was counted before as partial or empty.",
    )
    REPAIRS_FAILED = (
        "RepairsFailed",
        _COUNT,
        _CONSUMER,
        "Audits and repairs that failed for good; the recording that is there stays as it is.",
    )
    AUDIO_SECONDS = ("AudioSeconds", _SECONDS, _CONSUMER, "Length of the recordings.")
    GAP_SECONDS = (
        "GapSeconds",
        _SECONDS,
        _CONSUMER,
        "Length of the gaps in which fragments may be missing and neither party has audio.",
    )
    SILENCE_SECONDS = (
        "SilenceSeconds",
        _SECONDS,
        _CONSUMER,
        "Length of the silence filled into both tracks, added up.",
    )
    FINISH_DELAY_SECONDS = (
        "FinishDelaySeconds",
        _SECONDS,
        _CONSUMER,
        "Time from the end of the last audio, by the producer's clock, to the published WAV, drain included.",
    )
    EXECUTIONS_ENDED = (
        "ExecutionsEnded",
        _COUNT,
        (Service.EXECUTION_ENDED,),
        "Executions that Lambda ended before their recording was published, and that did not report it themselves.",
    )
    ANNOUNCEMENTS_FAILED = (
        "AnnouncementsFailed",
        _COUNT,
        _CONSUMER,
        "Events that EventBridge did not take after all retries; the recording is not affected.",
    )
    LIVE_DELIVERIES = ("LiveDeliveries", _COUNT, _CONSUMER, "Pieces of live audio delivered to sinks.")
    LIVE_FAILURES = ("LiveFailures", _COUNT, _CONSUMER, "Failed attempts to deliver live audio to a sink.")
    LIVE_DROPPED_SECONDS = (
        "LiveDroppedSeconds",
        _SECONDS,
        _CONSUMER,
        "Live audio dropped for a sink: it was too slow, refused the audio, had failed, or the call had ended.",
    )
    LIVE_DROPPED_MESSAGES = (
        "LiveDroppedMessages",
        _COUNT,
        _CONSUMER,
        "Live words, as final turns and retractions, that the webhook or the bus did not get; transcripts have them.",
    )
    LIVE_LAG_SECONDS = (
        "LiveLagSeconds",
        _SECONDS,
        _CONSUMER,
        "Longest time in a record step from the arrival of a piece's last sample to the piece's delivery.",
    )
    LIVE_CIRCUITS_OPENED = (
        "LiveCircuitsOpened",
        _COUNT,
        _CONSUMER,
        "Times that a sink failed so often in a row that deliveries paused.",
    )
    LIVE_SINKS_FAILED = (
        "LiveSinksFailed",
        _COUNT,
        _CONSUMER,
        "Sinks of live audio that could not be made, or that are not used any more.",
    )
    RECOGNIZED_SECONDS = (
        "RecognizedSeconds",
        _SECONDS,
        _CONSUMER,
        "Audio that a recognizer of words was given while calls lasted; audio that was sent twice counts twice.",
    )

    def __init__(self, title: str, unit: MetricUnit, services: tuple[Service, ...], meaning: str) -> None:
        self.title = title
        self.unit = unit
        self.services = services
        self.meaning = meaning


class _ColdStart:
    """State of the process: true until its first line of metrics."""

    pending = True


def emit(service: Service, values: Mapping[Metric, float], **metadata: str | None) -> None:
    """Write one line of EMF. A failure is logged, and the caller goes on.

    The consumer calls this inside steps alone: the engine replays everything else in each invocation.

    Args:
        service: the function that emits.
        values: the values, in the metrics' units.
        metadata: ids and codes by which the line is found; no dimensions, and never personal data.
    """
    try:
        _write(service, values, metadata)
    except Exception:
        # No recording fails for a metric.
        logger.exception("metrics not written")


def _write(service: Service, values: Mapping[Metric, float], metadata: Mapping[str, str | None]) -> None:
    # Not `Metrics`: its values are shared by all instances of a process.
    line = EphemeralMetrics(service=service.value)
    if not line.namespace:
        line.namespace = DEFAULT_NAMESPACE
    if _ColdStart.pending and service in Metric.COLD_START.services:
        _ColdStart.pending = False
        values = {Metric.COLD_START: 1, **values}
    for metric, value in values.items():
        line.add_metric(name=metric.title, unit=metric.unit, value=value)
    for key, text in metadata.items():
        if text is not None:
            line.add_metadata(key=key, value=text)
    line.flush_metrics()
