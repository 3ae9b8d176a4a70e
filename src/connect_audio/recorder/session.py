"""The live state of a recording inside one invocation: an open GetMedia, its reader, the call so far, the part so far.

A local of the handler, closed in its `finally`, never a module global. It is used again by the next step only if it
stands exactly where that step's checkpoint does; otherwise a new one is made of the checkpoint and the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from connect_audio.core.fragments import Fragment, FragmentReader
from connect_audio.core.manifest import EndReason, Reason
from connect_audio.core.recording import CallRecording
from connect_audio.ports import AfterFragment, FromProducerTime, MediaSource, MediaStream, ObjectBody, StartSelector
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.live_guard import GuardedLiveAudio
from connect_audio.recorder.policy import Policy


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a recording ends.

    Args:
        reason: for the manifest.
        shortcomings: why it is not whole, beyond what the cursor tells.
    """

    reason: EndReason
    shortcomings: tuple[Reason, ...] = ()


class Session:
    """Live state.

    Args:
        checkpoint: where to go on.
        staged: PCM of the part in the making, as staged; empty where nothing is.
        contact_id: whose audio is wanted.
        start: where to begin while no fragment has been completed.
        policy: limits.
        hears: whether somebody wants the call's live audio.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        staged: ObjectBody,
        *,
        contact_id: str,
        start: FromProducerTime,
        policy: Policy,
        hears: bool = False,
    ) -> None:
        self.checkpoint: Checkpoint | None = checkpoint
        """Where this session stands; None while a step is under way."""
        self.recording = CallRecording(
            contact_id,
            cursor=checkpoint.cursor,
            from_ms=checkpoint.from_ms,
            until_ms=checkpoint.until_ms,
            limit_s=policy.limit_s,
            watched=hears,
        )
        self.live: GuardedLiveAudio | None = None
        """The call's live audio, where somebody wants it."""
        self.part = bytearray(staged)
        """PCM of the part in the making."""
        self.frames: Iterator[bytes] = iter(())
        """Settled frames that are being given out; a part may be cut in their midst."""
        self.position = checkpoint.cursor.fragment
        """Number of the newest completed fragment, decided or not: reading resumes after it."""
        self.provisional: Fragment | None = None
        """A fragment that the end of a body may have cut: it is read again, and counts only if it never comes."""
        self.reader = FragmentReader()
        self.malformed_after: tuple[str | None] | None = None
        """The position after which bytes were malformed last, in a tuple since there may be no position yet."""
        self.errors_met = 0
        """How often in this connection the bytes behind that position were malformed."""
        self.errors_known = 0
        """How many of those errors come with every connection."""
        self.suspicious = False
        """Whether the error behind those has been met once."""
        self.lost_at: tuple[str | None, int] | None = None
        """Where lost bytes were counted last, as position and error behind it."""
        self.salvaging = False
        """Whether the next truncated fragment is all that will ever be had of it."""
        self.reached_ms: int | None = None
        """Where, by the producer's clock, the newest fragment ended; ms since the epoch."""
        self.gone = 0
        """How often in a row the stream has said that the fragment after `position` is gone."""
        self.skip_ms: int | None = None
        """Where reading goes on behind a fragment that is gone, ms since the epoch; None where none is."""
        self.listening_since: float | None = None
        """Since when, by the monotonic clock, the stream has been listened to without being refused."""
        self.enough_listening = 0.0
        """How long, in seconds, silence must have been listened to before it means anything."""
        self.ending: Ending | None = None
        """Set once the call is over; what is left is being given out."""
        self._start = start
        self._stream: MediaStream | None = None

    @property
    def stream(self) -> MediaStream | None:
        """The open body, if any."""
        return self._stream

    def selector(self) -> StartSelector:
        """Where GetMedia has to begin."""
        if self.skip_ms is not None:
            return FromProducerTime(self.skip_ms)
        return self._start if self.position is None else AfterFragment(self.position)

    def reached(self, end_ms: int | None) -> None:
        """A fragment came that ended there: whatever was gone before it is passed, unless it is an older one.

        Where damage has taken its times it says nothing: it may be met again with each connection.
        """
        if end_ms is not None and end_ms > (self.reached_ms or 0):
            self.reached_ms = end_ms
            self.gone, self.skip_ms = 0, None

    def open(self, source: MediaSource) -> None:
        """Open GetMedia after the newest completed fragment, with a fresh reader."""
        self.close_stream()
        self.errors_met = 0
        self._stream = source.open(self.selector())

    def close_stream(self) -> None:
        """Close the connection and forget the bytes of an unfinished fragment: they will be read again."""
        stream, self._stream = self._stream, None
        self.reader = FragmentReader()
        self.salvaging = False
        if stream is not None:
            stream.close()

    def close(self) -> None:
        """Close the connection and stop the sinks."""
        try:
            self.close_stream()
        finally:
            if self.live is not None:
                self.live.close()
