"""Composes a call's live audio for the consumer: the settings out of its input, the sinks over AWS.

Nothing here keeps a call from being recorded. If the settings are refused, the call is recorded without live audio,
and log, metric and manifest say so. Modules of live audio are imported only for a call that has sinks, so a cold
start without live audio does not pay for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import boto3
from aws_lambda_powertools import Logger

from connect_audio.adapters.s3_recording import S3PartStore
from connect_audio.core.errors import SettingsError
from connect_audio.ports import Clock
from connect_audio.recorder import LiveWanted
from connect_audio.request import LIVE, WORDS_SINKS, RecordingRequest, live_variables
from connect_audio.settings import ConsumerSettings, LiveSettings

if TYPE_CHECKING:
    from connect_audio.adapters.endpoint.secret import SecretSource
    from connect_audio.adapters.recording_events import EventBridgeBus
    from connect_audio.adapters.sinks.composition import SinkOptions, WebhookSinkOptions, WordsSinkOptions
    from connect_audio.adapters.sinks.segment_store import SegmentStore
    from connect_audio.core.live_state import LiveState
    from connect_audio.live import LivePipeline
    from connect_audio.sinks import SinkSetup
    from connect_audio.words.live_words import WordsListener
    from connect_audio.words.page_store import PageStore
    from connect_audio.words.recognizer import Recognizer

    type MakePipeline = Callable[[LiveState | None], LivePipeline]

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
    """Compose the live audio of one invocation.

    Args:
        event: the consumer's input.
        request: the recording.
        settings: the consumer's settings.
        session: makes the sinks' clients.
        clock: the consumer's clock.
        logger: carries the execution's keys.

    Yields:
        The maker of the pipeline, and the store of its tail; None for a call without live audio.
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
    from connect_audio.adapters.sinks.segment_bucket import SEGMENT_S3_CONFIG  # noqa: PLC0415

    # The recorder's own client tries for 40 s. No recording waits so long for live audio.
    with closing(session.client("s3", config=SEGMENT_S3_CONFIG)) as client:
        store = S3PartStore(
            settings.recordings_bucket, client=client, kms_key_arn=settings.recordings_kms_key_arn, clock=clock
        )
        make = (
            _refused(clock, logger) if live is None else _pipeline_of(live, request, settings, session, clock, logger)
        )
        yield LiveWanted(make, store)


def _refused(clock: Clock, logger: Logger) -> MakePipeline:
    from connect_audio.live import LivePipeline, LivePolicy, NamedSink  # noqa: PLC0415

    return lambda state: LivePipeline([NamedSink(LIVE, None, _REFUSED)], LivePolicy(), clock, logger, state=state)


def _pipeline_of(
    live: LiveSettings,
    request: RecordingRequest,
    settings: ConsumerSettings,
    session: boto3.Session,
    clock: Clock,
    logger: Logger,
) -> MakePipeline:
    from connect_audio.adapters.sinks.composition import sinks_from  # noqa: PLC0415
    from connect_audio.live import LivePipeline, LivePolicy  # noqa: PLC0415
    from connect_audio.live.makers import make_sinks  # noqa: PLC0415
    from connect_audio.sinks import SinkSetup  # noqa: PLC0415

    # The margin is for the recorder to save its audio, so sinks get part of it. A call of S3 that
    # nothing can interrupt takes up to 7 s, about half of a margin of 15 s.
    margin_s, usual = settings.deadline_margin_seconds, LivePolicy()
    policy = LivePolicy(
        buffer=live.buffer_seconds,
        flush_timeout=min(usual.flush_timeout, margin_s / 8),
        join=min(usual.join, margin_s / 2),
        longest_end=min(usual.longest_end, margin_s / 6),
    )
    key = request.recording_key(settings.recordings_prefix)
    setup = SinkSetup(
        contact_id=request.contact_id,
        recording=f"s3://{settings.recordings_bucket}/{key}",
        start_ms=request.start_timestamp_ms,
        segment_seconds=live.segment_seconds,
        options=live.sink_options,
    )
    own = sinks_from(_sink_options(live, settings, key, session, clock, logger))
    return lambda state: LivePipeline(
        make_sinks(live.sinks, setup, own, logger, state), policy, clock, logger, state=state
    )


def _sink_options(
    live: LiveSettings, settings: ConsumerSettings, key: str, session: boto3.Session, clock: Clock, logger: Logger
) -> SinkOptions:
    from connect_audio.adapters.sinks.composition import SinkOptions, WebhookSinkOptions  # noqa: PLC0415

    def open_store() -> SegmentStore:
        from connect_audio.adapters.sinks.segment_bucket import (  # noqa: PLC0415
            SegmentBucket,
            segment_client,
            segments_prefix,
        )

        return SegmentBucket(
            settings.recordings_bucket,
            segments_prefix(key),
            client=segment_client(session),
            kms_key_arn=settings.recordings_kms_key_arn,
        )

    def secret() -> SecretSource:
        from connect_audio.adapters.endpoint.stored_secret import StoredSecret  # noqa: PLC0415

        return StoredSecret(live.webhook_secret or "", session=session)

    webhook = WebhookSinkOptions(
        url=live.webhook_url or "", secret=secret, allow_private=live.webhook_private_addresses
    )
    return SinkOptions(
        layout="tracks" if live.segment_layout == "tracks" else "stereo",
        rate=live.segment_rate,
        open_store=open_store,
        webhook=webhook,
        clock=clock,
        logger=logger,
        words=_words_options(live, settings, key, session, _posts(live, webhook, clock, logger)),
    )


def _words_options(
    live: LiveSettings,
    settings: ConsumerSettings,
    key: str,
    session: boto3.Session,
    posts: Callable[[SinkSetup], WordsListener],
) -> WordsSinkOptions | None:
    """The sink of words, if LIVE_SINKS names one; its modules are imported for such a call alone."""
    if not set(WORDS_SINKS) & set(live.sinks):
        return None
    from connect_audio.adapters.sinks.composition import WordsSinkOptions  # noqa: PLC0415
    from connect_audio.core.word_pages import pages_prefix  # noqa: PLC0415
    from connect_audio.words.live_words import WordsPolicy  # noqa: PLC0415

    def open_pages() -> PageStore:
        from connect_audio.adapters.sinks.segment_bucket import SegmentBucket, segment_client  # noqa: PLC0415

        return SegmentBucket(
            settings.recordings_bucket,
            pages_prefix(key),
            client=segment_client(session),
            kms_key_arn=settings.recordings_kms_key_arn,
        )

    return WordsSinkOptions(
        recognizers=_recognizers(live, session),
        open_pages=open_pages,
        language=live.words_language,
        policy=WordsPolicy(maximum_minutes=live.words_maximum_minutes),
        listeners=_listeners(live, settings, session, posts),
    )


def _posts(
    live: LiveSettings, webhook: WebhookSinkOptions, clock: Clock, logger: Logger
) -> Callable[[SinkSetup], WordsListener]:
    """The maker of the posts of words to the webhook."""

    def posts(setup: SinkSetup) -> WordsListener:
        from connect_audio.adapters.sinks.composition import word_posts  # noqa: PLC0415

        return word_posts(setup, webhook, clock, logger, has_partials=live.words_webhook == "all")

    return posts


def _listeners(
    live: LiveSettings,
    settings: ConsumerSettings,
    session: boto3.Session,
    posts: Callable[[SinkSetup], WordsListener],
) -> Sequence[Callable[[SinkSetup], WordsListener]]:
    """The makers of the listeners to live words; the webhook comes first, since it never refuses."""

    def events(_setup: SinkSetup) -> WordsListener:
        from connect_audio.adapters.recording_events import EVENTS_CONFIG, EventBridgeBus  # noqa: PLC0415
        from connect_audio.adapters.words.word_events import WordEvents  # noqa: PLC0415
        from connect_audio.recorder.recording_event import SOURCE  # noqa: PLC0415

        bus = settings.event_bus_name or ""

        def open_bus(resources: ExitStack) -> EventBridgeBus:
            client = resources.enter_context(closing(session.client("events", config=EVENTS_CONFIG)))
            return EventBridgeBus(bus, source=SOURCE, client=client)

        return WordEvents(open_bus)

    has_events = live.words_events and settings.event_bus_name is not None
    return (*([posts] if live.words_webhook else []), *([events] if has_events else []))


def _recognizers(live: LiveSettings, session: boto3.Session) -> Mapping[str, Callable[[SinkSetup], Recognizer]]:
    """The makers of the recognizers, by the name of their sink."""

    def transcribe(_setup: SinkSetup) -> Recognizer:
        from connect_audio.adapters.aws_session import botocore_session  # noqa: PLC0415
        from connect_audio.adapters.words.transcribe import TranscribeRecognizer  # noqa: PLC0415

        return TranscribeRecognizer(live.transcribe_options(), botocore_session)

    return {"transcribe": transcribe, "whisper": lambda _setup: _whisper(live, session)}


def _whisper(live: LiveSettings, session: boto3.Session) -> Recognizer:
    from connect_audio.adapters.endpoint.stored_secret import StoredSecret  # noqa: PLC0415
    from connect_audio.adapters.words.whisper import WhisperRecognizer  # noqa: PLC0415
    from connect_audio.adapters.words.whisper_server import WhisperOptions  # noqa: PLC0415

    options = WhisperOptions(
        url=live.whisper_url or "",
        model=live.whisper_model,
        # Whisper knows languages and no regions.
        language=None if live.words_language is None else live.words_language.partition("-")[0],
        allow_private=live.whisper_private_addresses,
    )
    key = (
        None
        if live.whisper_secret is None
        else StoredSecret(live.whisper_secret, session=session, owner="speech server")
    )
    return WhisperRecognizer(options, key)
