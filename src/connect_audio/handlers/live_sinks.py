"""Live audio of one call, composed: the settings out of the consumer's input, the sinks over AWS.

Used by the consumer. Nothing here stops a recording. With wrong settings the call is recorded without live audio, and
log, metric and manifest say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final, Literal

import boto3
from aws_lambda_powertools import Logger

from connect_audio.adapters.s3_recording import S3PartStore
from connect_audio.adapters.sinks.segment_bucket import SEGMENT_S3_CONFIG, SegmentBucket, segments_prefix
from connect_audio.core.errors import SettingsError
from connect_audio.live import LivePipeline, LivePolicy, LiveState, NamedSink
from connect_audio.live.makers import make_sinks
from connect_audio.ports import Clock
from connect_audio.recorder import LiveWanted
from connect_audio.request import LIVE, RecordingRequest, live_variables
from connect_audio.settings import ConsumerSettings, LiveSettings
from connect_audio.sinks import AudioSink, MakeSink, SinkSetup

_REFUSED: Final = "SETTINGS_REFUSED"


@contextmanager
def live_audio(
    event: Mapping[str, Any],
    request: RecordingRequest,
    settings: ConsumerSettings,
    *,
    session: boto3.Session,
    clock: Clock,
    logger: Logger,
) -> Iterator[LiveWanted | None]:
    """Provide the live audio of one invocation.

    Args:
        event: the consumer's input.
        request: the request of the recording.
        settings: the consumer's own.
        session: for the sinks' clients.
        clock: the consumer's.
        logger: carries the execution's keys.

    Yields:
        The maker of the pipeline and its store in S3; None without live audio.
    """
    try:
        live = LiveSettings.from_environment(live_variables(event))
    except SettingsError as error:
        detail = str(error)
        logger.error("live settings refused: the call is recorded without live audio", extra={"detail": detail})  # noqa: TRY400 - no bug, and the text says all
        live = None
    if live is not None and not live.sinks:
        yield None
        return
    # Not the recorder's client, which tries for 40 s: for what sinks may still need no recording waits so long.
    with closing(session.client("s3", config=SEGMENT_S3_CONFIG)) as client:
        store = S3PartStore(
            settings.recordings_bucket, client=client, kms_key_arn=settings.recordings_kms_key_arn, clock=clock
        )
        yield LiveWanted(_makes(live, request, settings, session, clock, logger), store)


def _makes(
    live: LiveSettings | None,
    request: RecordingRequest,
    settings: ConsumerSettings,
    session: boto3.Session,
    clock: Clock,
    logger: Logger,
) -> Callable[[LiveState | None], LivePipeline]:
    if live is None:
        return lambda state: LivePipeline([NamedSink(LIVE, None, _REFUSED)], LivePolicy(), clock, logger, state=state)
    # The margin is the recorder's, to save its audio, so sinks get part of it. The longest call of the project's own
    # sinks takes 7 s and cannot be interrupted. Half of a margin of a quarter of a minute holds it.
    margin_s, usual = settings.deadline_margin_seconds, LivePolicy()
    policy = LivePolicy(
        buffer=live.buffer_seconds,
        flush_timeout=min(usual.flush_timeout, margin_s / 8),
        join=min(usual.join, margin_s / 2),
    )
    key = request.recording_key(settings.recordings_prefix)
    setup = SinkSetup(
        contact_id=request.contact_id,
        recording=f"s3://{settings.recordings_bucket}/{key}",
        start_ms=request.start_timestamp_ms,
        segment_seconds=live.segment_seconds,
        options=live.sink_options,
    )
    own = _own_sinks(live, settings, key, session, clock)
    return lambda state: LivePipeline(
        make_sinks(live.sinks, setup, own, logger, state), policy, clock, logger, state=state
    )


def _own_sinks(
    live: LiveSettings, settings: ConsumerSettings, key: str, session: boto3.Session, clock: Clock
) -> dict[str, MakeSink]:
    # Imported where they are wanted: a consumer without live audio shall not pay for them at its cold start.
    from connect_audio.core.segment_wav import WavShape  # noqa: PLC0415

    layout: Literal["stereo", "tracks"] = "tracks" if live.segment_layout == "tracks" else "stereo"
    shape = WavShape(layout, live.segment_rate)

    def segments(setup: SinkSetup) -> AudioSink:
        from connect_audio.adapters.sinks.segments import SegmentFileSink  # noqa: PLC0415

        store = SegmentBucket(
            settings.recordings_bucket,
            segments_prefix(key),
            client=session.client("s3", config=SEGMENT_S3_CONFIG),
            kms_key_arn=settings.recordings_kms_key_arn,
        )
        return SegmentFileSink(
            store,
            contact_id=setup.contact_id,
            recording=setup.recording,
            shape=shape,
            segment_seconds=setup.segment_seconds,
            clock=clock,
        )

    def webhook(setup: SinkSetup) -> AudioSink:
        from connect_audio.adapters.sinks.webhook import WebhookSink  # noqa: PLC0415
        from connect_audio.adapters.sinks.webhook_secret import WebhookSecret  # noqa: PLC0415

        return WebhookSink(
            url=live.webhook_url or "",
            secret=WebhookSecret(live.webhook_secret or "", session=session),
            shape=shape,
            segment_seconds=setup.segment_seconds,
            contact_id=setup.contact_id,
            recording=setup.recording,
            streaming_start_ms=setup.start_ms,
            allow_private=live.webhook_private_addresses,
            clock=clock,
        )

    return {"segments": segments, "webhook": webhook}
