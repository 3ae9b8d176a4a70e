"""Makes this project's own sinks, `segments`, `webhook` and the sinks of words, for the consumer and for replay.

The caller says where segments are stored and where the webhook's secret comes from. A sink's module is imported when
the sink is made, so a caller without live audio does not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from connect_audio.adapters.endpoint.secret import SecretSource
    from connect_audio.adapters.sinks.segment_store import SegmentStore
    from connect_audio.adapters.words.word_posts import WordPosts
    from connect_audio.ports import Clock, Log
    from connect_audio.sinks import SegmentSink, SinkSetup
    from connect_audio.words.live_words import WordsListener, WordsPolicy
    from connect_audio.words.page_store import PageStore
    from connect_audio.words.recognizer import Recognizer

type Layout = Literal["stereo", "tracks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSinkOptions:
    """The receiver of the sink `webhook`.

    Args:
        url: address to post to.
        secret: makes the source of the signing secret.
        allow_private: True if private, loopback and link-local addresses are allowed.
        ca_file: certificates to trust besides the system's; None for no others.
    """

    url: str = field(repr=False)
    secret: Callable[[], SecretSource] = field(repr=False)
    allow_private: bool = False
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsSinkOptions:
    """The sinks of words; a call has one of them at most.

    Args:
        recognizers: makes the recognizer of each sink, by the sink's name. It imports the engine's modules when called.
        open_pages: opens the place of the pages.
        language: the language that is asked for; None if the recognizer finds it.
        policy: durations and limits; None for the usual ones.
        listeners: makes the listeners to live words; one that never refuses comes first.
    """

    recognizers: Mapping[str, Callable[[SinkSetup], Recognizer]]
    open_pages: Callable[[], PageStore]
    language: str | None = None
    policy: WordsPolicy | None = None
    listeners: Sequence[Callable[[SinkSetup], WordsListener]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOptions:
    """The wanted sinks, and the form of their WAVs.

    Args:
        layout: `stereo` for one WAV a segment, `tracks` for one of each party.
        rate: samples a second of the WAVs; None for the stream's own.
        open_store: opens the place of the segments; None for no sink `segments`.
        webhook: the receiver; None for no sink `webhook`.
        clock: for deadlines and signatures.
        logger: gets codes and numbers.
        words: the recognizers; None for no sink of words.
    """

    layout: Layout
    rate: int | None
    open_store: Callable[[], SegmentStore] | None
    webhook: WebhookSinkOptions | None
    clock: Clock
    logger: Log
    words: WordsSinkOptions | None = None


def sinks_from(options: SinkOptions) -> Mapping[str, Callable[[SinkSetup], SegmentSink]]:
    """The makers of the wanted sinks.

    Args:
        options: the wanted sinks.

    Returns:
        Each sink's maker, by the sink's name. A maker raises `SinkError` if its sink cannot be made.
    """
    makers: dict[str, Callable[[SinkSetup], SegmentSink]] = {}
    open_store, webhook = options.open_store, options.webhook
    if open_store is not None:
        makers["segments"] = lambda setup: _segments(setup, options, open_store)
    if webhook is not None:
        makers["webhook"] = lambda setup: _webhook(setup, options, webhook)
    words = options.words
    if words is not None:
        for name, recognizer in words.recognizers.items():
            makers[name] = lambda setup, recognizer=recognizer: _words(setup, options, words, recognizer)  # type: ignore[misc]
    return makers


def word_posts(
    setup: SinkSetup, webhook: WebhookSinkOptions, clock: Clock, logger: Log, *, has_partials: bool
) -> WordPosts:
    """Make the posts of a call's words to the webhook.

    Args:
        setup: the facts about the call.
        webhook: the receiver.
        clock: for signatures and pauses.
        logger: gets codes.
        has_partials: False for final turns and retractions alone.

    Raises:
        SinkError: nothing can be posted to the URL.
    """
    from connect_audio.adapters.sinks.webhook_requests import WebhookCall, WebhookRequests  # noqa: PLC0415
    from connect_audio.adapters.words.word_posts import WordPosts  # noqa: PLC0415

    call = WebhookCall(contact_id=setup.contact_id, recording=setup.recording, streaming_start_ms=setup.start_ms)
    requests = WebhookRequests(
        url=webhook.url,
        secret=webhook.secret(),
        call=call,
        clock=clock,
        allow_private=webhook.allow_private,
        ca_file=webhook.ca_file,
    )
    return WordPosts(requests, call, clock, logger, has_partials=has_partials)


def _segments(setup: SinkSetup, options: SinkOptions, open_store: Callable[[], SegmentStore]) -> SegmentSink:
    from connect_audio.adapters.sinks.segments import SegmentFileSink  # noqa: PLC0415 - see the module's docstring
    from connect_audio.core.segment_wav import WavShape  # noqa: PLC0415

    return SegmentFileSink(
        open_store(),
        contact_id=setup.contact_id,
        recording=setup.recording,
        shape=WavShape(options.layout, options.rate),
        segment_seconds=setup.segment_seconds,
        clock=options.clock,
    )


def _webhook(setup: SinkSetup, options: SinkOptions, webhook: WebhookSinkOptions) -> SegmentSink:
    from connect_audio.adapters.sinks.webhook import WebhookSink  # noqa: PLC0415
    from connect_audio.core.segment_wav import WavShape  # noqa: PLC0415

    return WebhookSink(
        url=webhook.url,
        secret=webhook.secret(),
        shape=WavShape(options.layout, options.rate),
        segment_seconds=setup.segment_seconds,
        contact_id=setup.contact_id,
        recording=setup.recording,
        streaming_start_ms=setup.start_ms,
        allow_private=webhook.allow_private,
        ca_file=webhook.ca_file,
        clock=options.clock,
    )


def _words(
    setup: SinkSetup, options: SinkOptions, words: WordsSinkOptions, recognizer: Callable[[SinkSetup], Recognizer]
) -> SegmentSink:
    from connect_audio.words.live_words import Listeners  # noqa: PLC0415
    from connect_audio.words.words_sink import WordsSink  # noqa: PLC0415

    return WordsSink(
        recognizer(setup),
        words.open_pages(),
        contact_id=setup.contact_id,
        recording=setup.recording,
        language=words.language,
        clock=options.clock,
        logger=options.logger,
        policy=words.policy,
        listener=Listeners([make(setup) for make in words.listeners]),
    )
