"""Live audio of a replay: the stack's own pipeline and sinks between a capture and a folder or a webhook.

Without a pace nothing is live: the replay waits for its sinks, and what one still refuses after some tries is given up.
With one, blocks come when they would have come in the call, and sinks are treated as they are then. Sinks are made with
the first audio, whose contact names them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connect_audio.adapters.endpoint.address import endpoint_of
from connect_audio.adapters.endpoint.secret import KnownSecret
from connect_audio.adapters.sinks.composition import (
    SinkOptions,
    WebhookSinkOptions,
    WordsSinkOptions,
    sinks_from,
    word_posts,
)
from connect_audio.adapters.sinks.segment_folder import SegmentFolder
from connect_audio.adapters.sinks.segment_index import HEAD_NAME
from connect_audio.core.errors import SinkError
from connect_audio.core.fragments import Block, Fragment, OpenFragment
from connect_audio.core.live_audio import LiveSamples
from connect_audio.core.live_preview import LivePreview
from connect_audio.core.live_state import LiveState, SinkState
from connect_audio.core.recording import CallRecording
from connect_audio.core.timeline import Timeline
from connect_audio.core.tracks import choose_tracks
from connect_audio.library.extraction import Extraction
from connect_audio.live import Inline, LivePipeline, LivePolicy, NamedSink, Threads
from connect_audio.live.makers import entry_point
from connect_audio.ports import Clock
from connect_audio.sinks import BlockSink, SegmentSink, SinkSetup
from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.formatting import count
from connect_audio_cli.replay.live_options import LiveOptions
from connect_audio_cli.replay.observed_sink import ObservedBlocks, ObservedSegments
from connect_audio_cli.replay.pacing import Pacer

if TYPE_CHECKING:
    # Without words a replay needs none of it.
    from connect_audio.adapters.words.word_posts import WordPosts
    from connect_audio.words.live_words import WordsListener
    from connect_audio_cli.replay.replayed_words import FinishedWords, ReplayedWords

_MOST_TRIES: Final = 4
"""Most tries of a piece in a replay that waits: after some seconds it goes on without the piece."""
_LAST_FLUSH_S: Final = 10
"""No deadline presses here, but a receiver that does not answer must not hold the end up for long."""

_OF_SEGMENTS: Final = re.compile(r"index(?:-\d{5,})?\.json|\d{6,}(?:\.(?:customer|agent))?\.wav", re.ASCII)
"""Names of an index, its pages and its segments (segment_index). No other file of the folder is touched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOutcome:
    """The result of one sink.

    Args:
        name: name of the sink.
        state: the sink's state after the last delivery, with its counts.
        where: the folder, the receiver's host, or the class of a sink of the user's own.
        unit: `segment` or `block`, of which it takes one at a time.
        ended: True if it has taken the end of the call.
        code: why it last refused anything; None where it never did.
        message_code: why the first of its messages did not reach the webhook; None where all did.
    """

    name: str
    state: SinkState
    where: str
    unit: str
    ended: bool
    code: str | None
    message_code: str | None = None

    @property
    def lacks(self) -> bool:
        """True if any audio did not reach it, or any message of it the webhook."""
        counts = self.state.counts
        return bool(counts.dropped_frames or counts.dropped_messages or self.state.failure or not self.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOutcome:
    """The result of live audio.

    Args:
        sinks: each one.
        state: all sinks' states; None without sinks.
        longest_lag_s: longest time from the arrival of a segment's last sample to its delivery, seconds; None
            without a pace.
    """

    sinks: Sequence[SinkOutcome]
    state: LiveState | None
    longest_lag_s: float | None


def _silent_logger() -> logging.Logger:
    """A logger that writes nothing: the summary names each sink's failures."""
    logger = logging.getLogger("connect-audio-replay")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


class LiveReplay:
    """Live audio of one replay: `follow` first, then `grown` and `confirm` for each fragment, `end` last.

    Args:
        options: sinks and pace.
        clock: for the sinks.
        pace_clock: for the pace.
        force: True to replace the segments of an earlier call.
        words: the words of the replay; None for none.

    Attributes:
        replaced: the segments that were replaced, in words; empty for none.
        fragments_at_once: fragments after which the WAV is written; live audio follows it.
    """

    fragments_at_once: Final = 1

    def __init__(
        self,
        options: LiveOptions,
        clock: Clock,
        pace_clock: Clock,
        *,
        force: bool = False,
        words: ReplayedWords | None = None,
    ) -> None:
        self.replaced: tuple[str, ...] = ()
        self._force = force
        self._words = words
        self._has_ended = False
        self._options = options
        self._clock = clock
        self._pacer = None if options.speed is None else Pacer(pace_clock, options.speed, self._interrupt_overdue)
        self._extraction: Extraction | None = None
        self._sinks: list[ObservedSegments | ObservedBlocks] = []
        self._posts: WordPosts | None = None
        self._pipeline: LivePipeline | None = None
        self._preview: tuple[CallRecording, LivePreview] | None = None
        self._waited = (0, 0)  # for which fragment's blocks, by its offset, and for how many of them

    @property
    def is_paced(self) -> bool:
        """True if blocks come when they would have come in the call."""
        return self._pacer is not None

    def follow(self, extraction: Extraction) -> None:
        """Take the audio of an extraction."""
        self._extraction = extraction

    def grown(self, fragment: OpenFragment | Fragment) -> None:
        """Take the new blocks of a fragment under way, or of one that was added to the recording.

        Raises:
            CommandError: a sink cannot be made, or its place is taken.
        """
        if self._pacer is not None:
            self._wait_for(fragment, self._pacer)
        if isinstance(fragment, Fragment):
            self.begin()
        elif self._pacer is not None and self._pipeline is not None and self._extraction is not None:
            recording = self._extraction.recording
            if self._preview is None or self._preview[0] is not recording:
                self._preview = recording, LivePreview(recording)
            preview = self._preview[1]
            placements = preview.look(fragment)
            if placements:
                self._pipeline.write(placements, preview.rate)

    def _wait_for(self, fragment: OpenFragment | Fragment, pacer: Pacer) -> None:
        """Let the contact's new blocks come when they would have come; other contacts' audio takes no time."""
        contact_id, named = self._contact_id, fragment.contact_ids
        if contact_id is not None and named and contact_id not in named:
            return
        offset, count = self._waited
        for block in fragment.blocks[count if fragment.offset == offset else 0 :]:
            pacer.wait(block.time_ns, block.time_ns + _length_ns(fragment, block))
        self._waited = fragment.offset, len(fragment.blocks)

    def begin(self) -> None:
        """Make the sinks, once there is audio; writes nothing yet.

        Raises:
            CommandError: one cannot be made, or its place is taken.
        """
        timeline = self._timeline
        if self._pipeline is not None or timeline is None:
            return
        contact_id = self._contact_id or ""
        if self._words is not None:
            self._words.check(contact_id)
        setup = SinkSetup(
            contact_id=contact_id,
            recording=f"{contact_id}.wav",
            # A capture holds no start of its streaming. The first sample distinguishes streamings as well.
            start_ms=(timeline.origin or 0) * 1000 // timeline.rate,
            segment_seconds=self._options.segment_seconds,
            options={},
        )
        with ExitStack() as made:
            for name, make in sinks_from(self._sink_options()).items():
                sink = make(setup)
                made.callback(sink.close)
                self._sinks.append(ObservedSegments(name, sink, self._where(name)))
                if name == "segments":
                    self._check_folder(sink)
            for name in self._options.sinks:
                own = _own_sink(name, replace(setup, options=self._options.sink_options))
                made.callback(own.close)
                self._sinks.append(own)
            made.pop_all()
        is_paced = self._pacer is not None
        self._pipeline = LivePipeline(
            [NamedSink.of(sink.name, sink) for sink in self._sinks],
            LivePolicy(buffer=self._options.buffer_seconds, flush_timeout=_LAST_FLUSH_S)
            if is_paced
            # Audio that a recognizer wants again must still be there.
            else LivePolicy(most_tries=_MOST_TRIES, buffer=self._options.buffer_seconds),
            self._clock,
            # A command says what came of it in the end, in one line.
            _silent_logger(),
            driver=Threads if is_paced else Inline,
        )

    def confirm(self) -> None:
        """The extraction has decided on fragments."""
        if self._pipeline is not None and self._timeline is not None:
            self._pipeline.confirm(self._timeline, self._placed())
            self._interrupt_overdue()

    def end(self) -> None:
        """The call is over: let the sinks have the rest, for some seconds, and close them."""
        self.begin()
        if self._pipeline is not None:
            self._pipeline.end(self._timeline, self._placed())
            self._pipeline.flush()
            self._pipeline.close()
        self._has_ended = True

    def words(self, contact_id: str, frames: int, rate: int) -> FinishedWords | None:
        """Return the words after `end`; None without.

        Args:
            contact_id: the contact.
            frames: length of the recording, frames.
            rate: its samples a second.
        """
        return None if self._words is None else self._words.finished(contact_id, frames, rate)

    def outcome(self, frames: int) -> LiveOutcome:
        """Return the result.

        Args:
            frames: length of the recording.
        """
        if self._pipeline is None:
            return LiveOutcome(sinks=(), state=None, longest_lag_s=None)
        state, _ = self._pipeline.state(frames)
        return LiveOutcome(
            sinks=tuple(
                SinkOutcome(
                    name=sink.name,
                    state=state.sinks[sink.name],
                    where=sink.where,
                    unit=sink.unit,
                    ended=sink.ended,
                    code=sink.code,
                    message_code=None if self._posts is None else self._posts.first_code,
                )
                for sink in self._sinks
            ),
            state=state if self._sinks else None,
            longest_lag_s=None if self._pacer is None else self._pipeline.take_longest_lag(),
        )

    def close(self) -> None:
        """Stop the sinks, whatever they are at; no thread runs afterwards."""
        if self._pipeline is not None:
            if not self._has_ended and self._words is not None:
                # No words come of it any more, so there is no answer to wait for.
                for sink in self._sinks:
                    if sink.name == self._words.options.name:
                        sink.interrupt()
            self._pipeline.close()

    def _placed(self) -> Sequence[LiveSamples]:
        """Samples that the extraction has placed since the last `confirm`, each party's in order."""
        return () if self._extraction is None else self._extraction.added.live_samples()

    @property
    def _timeline(self) -> Timeline | None:
        return None if self._extraction is None else self._extraction.recording.timeline

    @property
    def _contact_id(self) -> str | None:
        return None if self._extraction is None else self._extraction.contact_id

    def _interrupt_overdue(self) -> None:
        if self._pipeline is not None:
            self._pipeline.interrupt_overdue()

    def _sink_options(self) -> SinkOptions:
        folder, webhook, shape = self._options.segments, self._options.webhook, self._options.shape
        target = None
        if webhook is not None:
            target = WebhookSinkOptions(
                url=webhook.url,
                secret=lambda: KnownSecret(webhook.secret),
                allow_private=webhook.allow_private,
                ca_file=webhook.ca_file,
            )
        return SinkOptions(
            layout=shape.layout,
            rate=shape.rate,
            open_store=None if folder is None else lambda: SegmentFolder(folder),
            webhook=target,
            clock=self._clock,
            logger=_silent_logger(),
            words=None if self._words is None else _words_sink(self._words, self._listeners(self._words, target)),
        )

    def _listeners(
        self, words: ReplayedWords, webhook: WebhookSinkOptions | None
    ) -> Iterator[Callable[[SinkSetup], WordsListener]]:
        """The makers of the listeners to the words; the webhook comes first, since it never refuses."""
        which = self._options.words_webhook
        if webhook is not None and which:

            def posts(setup: SinkSetup) -> WordPosts:
                self._posts = word_posts(setup, webhook, self._clock, _silent_logger(), has_partials=which == "all")
                return self._posts

            yield posts
        if words.options.is_followed:
            from connect_audio_cli.replay.replayed_words import FollowedWords  # noqa: PLC0415 - see above

            yield lambda _setup: FollowedWords()

    def _where(self, name: str) -> str:
        webhook, words = self._options.webhook, self._options.words
        if words is not None and name == words.name:
            return words.where
        if name == "webhook" and webhook is not None:
            return endpoint_of(webhook.url).authority  # the rest of a URL may hold a token
        return printable(str(self._options.segments))

    def _check_folder(self, sink: SegmentSink) -> None:
        """Find out before the first second whether the folder can be written to.

        Raises:
            CommandError: the folder cannot take the segments.
        """
        folder = self._options.segments
        if folder is None:
            return
        AtomicFile(folder / HEAD_NAME).discard()
        self._clear(folder)
        try:
            sink.prepare()
        except SinkError as error:
            name = printable(str(folder))
            raise CommandError(f"{name}: cannot take the segments: {error}; choose another folder") from error

    def _clear(self, folder: Path) -> None:
        """Remove an earlier call's segments: the new index would not list the ones that it does not replace.

        Raises:
            CommandError: there are some, and they may not be replaced, or cannot be removed.
        """
        earlier = [path for path in folder.iterdir() if _OF_SEGMENTS.fullmatch(path.name) and path.is_file()]
        if not earlier:
            return
        name = printable(str(folder))
        segments = count(sum(path.suffix == ".wav" for path in earlier), "segment file")
        if not self._force:
            raise CommandError(
                f"{name} holds {segments} of an earlier replay: --force replaces them, or choose another folder"
            )
        try:
            # The index goes first: what it lists must be there.
            for path in sorted(earlier, key=lambda each: (each.name != HEAD_NAME, each.name)):
                path.unlink()
        except OSError as error:
            raise CommandError(f"{name}: cannot be written: {describe(error)}") from error
        self.replaced = (f"{segments} in {folder}",)


def _words_sink(words: ReplayedWords, listeners: Iterable[Callable[[SinkSetup], WordsListener]]) -> WordsSinkOptions:
    options = words.options
    return WordsSinkOptions(
        recognizers={options.name: lambda _setup: options.make()},
        open_pages=lambda: words,
        language=options.language,
        policy=options.policy,
        listeners=tuple(listeners),
    )


def _own_sink(name: str, setup: SinkSetup) -> ObservedSegments | ObservedBlocks:
    """Make a sink that an installed package brings.

    Raises:
        CommandError: there is none of this name, its maker fails, or it is of neither kind.
    """
    try:
        sink = entry_point(name)(setup)
        where = f"{type(sink).__module__}.{type(sink).__qualname__}"
        is_of_blocks, is_of_segments = isinstance(sink, BlockSink), isinstance(sink, SegmentSink)
        observed: ObservedBlocks | ObservedSegments = (
            ObservedBlocks(name, sink, where) if isinstance(sink, BlockSink) else ObservedSegments(name, sink, where)
        )
    except SinkError as error:
        raise CommandError(f"--sink {printable(name, 60)}: {printable(str(error))}") from error
    except Exception as error:
        said = printable(f"{type(error).__name__}: {error}")
        raise CommandError(f"--sink {printable(name, 60)} cannot be made: {said}") from error
    if is_of_blocks == is_of_segments or NamedSink.of(name, observed).failure is not None:
        raise CommandError(
            f"--sink {printable(name, 60)}: {where} is no sink: it needs either deliver_block, or deliver_segment and "
            "segment_seconds from 0.1 to 60, beside prepare, end, interrupt and close (docs/live.md)"
        )
    return observed


def _length_ns(fragment: OpenFragment | Fragment, block: Block) -> int:
    """How long a block lasts; 0 where it is no audio that we know."""
    for track in choose_tracks(fragment.tracks, fragment.tag("MimeType")).audio:
        if track.number == block.track_number:
            return block.size * 1_000_000_000 // (track.pcm.frame_bytes * track.pcm.rate)
    return 0
