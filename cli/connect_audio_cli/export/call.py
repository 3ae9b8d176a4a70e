"""The export of one call: the functions' recorder, on a call that is over."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.errors import OUTSIDE_RETENTION, MediaSourceError, StorageError, StreamError
from connect_audio.recorder import (
    AlreadyPublished,
    Checkpoint,
    Policy,
    RecorderPorts,
    Refused,
    claim_recording,
    publish_recording,
)
from connect_audio.recorder.archived_call import QUIET_MS, settled_fragments_of_call
from connect_audio.recorder.claim import Refusal
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.request import RecordingRequest
from connect_audio_cli.export.after_the_call import NotAsked, recorded_to_its_end
from connect_audio_cli.export.labels import labels_at
from connect_audio_cli.export.pace import PacedIndex, PacedSource
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from boto3 import Session

    from connect_audio.ports import FragmentIndex, ListedFragment, MediaSource
    from connect_audio_cli.export.pace import StreamPace
    from connect_audio_cli.export.target import Target


@dataclass(frozen=True, slots=True)
class Exported:
    """The end of a call's export.

    Args:
        key: the recording's key.
        status: the recorder's status; `exists` for a whole recording that was there.
        detail: the reasons' codes; empty for a whole one.
    """

    key: str
    status: str
    detail: str = ""


class CallExport:
    """One call's export.

    Args:
        stream_arn: the stream's ARN.
        start_ms: StartTimestamp of the streaming, ms since the epoch.
        target: gets the recording, under the key that the functions would use.
        session: gives credentials.
        pace: the stream's pace.
        contact_id: the contact; None for the one that the stream names at that time.
        instance_arn: the Connect instance's ARN; None for the one that the stream names.
        slack_ms: how far the start may be off, ms; 0 for the event's own.
    """

    def __init__(
        self,
        stream_arn: str,
        start_ms: int,
        target: Target,
        *,
        session: Session,
        pace: StreamPace,
        contact_id: str | None = None,
        instance_arn: str | None = None,
        slack_ms: int = 0,
    ) -> None:
        self._stream_arn, self._start_ms = stream_arn, start_ms
        self._target, self._session, self._pace = target, session, pace
        self._contact_id, self._instance_arn, self._slack_ms = contact_id, instance_arn, slack_ms
        self._clock = SystemClock()

    def size(self) -> tuple[int, int]:
        """Return how much the recorder would read, by the stream's listing: fragments and bytes, at most.

        Raises:
            CommandError: as `run`; nothing is written.
        """
        with closing(KvsFragmentIndex(self._stream_arn, session=self._session)) as index:
            try:
                listed = self._listed(PacedIndex(index, self._pace.listing))
            except MediaSourceError as error:
                raise CommandError(self._explained(error)) from error
        return len(listed), sum(each.size for each in listed)

    def run(self, on_audio: Callable[[Checkpoint], None] = lambda _: None) -> Exported:
        """Record the call.

        Args:
            on_audio: is called after each part of the recording.

        Returns:
            The end of it. A recording that is there is left alone.

        Raises:
            CommandError: the stream does not keep that time, the call may go on, or AWS or the target refused.
        """
        with ExitStack() as stack:
            media = stack.enter_context(closing(KvsMediaSource(self._stream_arn, session=self._session)))
            source = PacedSource(media, self._pace.media)
            index = stack.enter_context(closing(KvsFragmentIndex(self._stream_arn, session=self._session)))
            try:
                if (recorded := self._recorded_before()) is not None:
                    return recorded
                end = self._end(PacedIndex(index, self._pace.listing))
                request = self._request(source)
                return self._record(request, source, end, on_audio)
            except MediaSourceError as error:
                raise CommandError(self._explained(error)) from error
            except StreamError as error:
                raise CommandError(f"the stream holds no fragments of Connect: {error}") from error
            except StorageError as error:
                raise CommandError(f"cannot be written: {printable(str(error))}") from error

    def _end(self, index: FragmentIndex) -> ListedEnd:
        return ListedEnd(self._listed(index)[-1].number, is_quiet=True)

    def _listed(self, index: FragmentIndex) -> Sequence[ListedFragment]:
        listed = settled_fragments_of_call(index, self._start_ms, self._clock)
        if not listed:
            raise CommandError("the stream has no audio at that time (--start is in milliseconds since 1970)")
        quiet_ms = self._clock.now_ms() - max(each.producer_ms + each.length_ms for each in listed)
        if quiet_ms < QUIET_MS:
            raise CommandError(
                f"the call may go on: the stream's newest audio is {quiet_ms // 1000} s old. "
                f"Try again in {(QUIET_MS - quiet_ms) // 60_000 + 1} minutes"
            )
        return listed

    def _request(self, source: MediaSource) -> RecordingRequest:
        contact_id, instance_arn = self._contact_id, self._instance_arn
        if contact_id is None or instance_arn is None:
            labels = labels_at(source, self._start_ms)
            if labels is None and contact_id is None:
                raise CommandError("no fragment names a contact at that time: name it with --contact-id")
            contact_id = contact_id or (labels.contact_id if labels else None)
            instance_arn = instance_arn or (labels.instance_arn(self._stream_arn) if labels else None)
            if instance_arn is None:
                raise CommandError("no fragment names the Connect instance: name it with --instance")
        return self._named(contact_id or "", instance_arn)

    def _named(self, contact_id: str, instance_arn: str) -> RecordingRequest:
        """Return the request, with the start of a recording that began within the slack."""
        request = RecordingRequest(
            contact_id=contact_id,
            instance_arn=instance_arn,
            stream_arn=self._stream_arn,
            start_timestamp_ms=self._start_ms,
            start_fragment_number=None,
        )
        if not self._slack_ms:
            return request
        before = replace(request, start_timestamp_ms=self._start_ms - self._slack_ms - 1)
        starts = OtherStreamings(before, self._names(before), self._target.store)
        # The start may be cut to the second.
        known = starts.first_between(before.start_timestamp_ms, self._start_ms + self._slack_ms + 999)
        return request if known is None else replace(request, start_timestamp_ms=known)

    def _names(self, request: RecordingRequest) -> RecordingNames:
        return RecordingNames(self._target.bucket, request.recording_key(self._target.prefix))

    def _recorded_before(self) -> Exported | None:
        """Return a finished recording of a contact that is named: the stream need not be asked."""
        if self._contact_id is None or self._instance_arn is None:
            return None
        names = self._names(self._named(self._contact_id, self._instance_arn))
        if self._target.store.head(names.key) is None or self._target.store.head(names.claim) is not None:
            return None
        return self._existing(names)

    def _record(
        self, request: RecordingRequest, source: MediaSource, end: ListedEnd, on_audio: Callable[[Checkpoint], None]
    ) -> Exported:
        names = self._names(request)
        ports = RecorderPorts(
            request=request,
            names=names,
            execution=self._target.execution(request),
            source=source,
            store=self._target.store,
            status=NotAsked(),
            clock=self._clock,
            policy=Policy(),
            logger=logging.getLogger("connect_audio.export"),
        )
        claim = claim_recording(ports)
        if isinstance(claim, Refused):
            if claim.reason is Refusal.CLAIMED:
                raise CommandError(f"{names.key} is being recorded by another program", ExitCode.NOT_WHOLE)
            return self._existing(names)
        if isinstance(claim, AlreadyPublished) and not claim.repairs:
            ports.store.delete([names.claim])
            return self._existing(names)
        # A run that was killed after the WAV may have left no manifest: publishing the same samples again writes it.
        begin = Checkpoint() if isinstance(claim, AlreadyPublished) else claim.checkpoint()
        outcome = publish_recording(ports, recorded_to_its_end(ports, begin.ending_on(end), on_audio))
        return Exported(names.key, str(outcome.status), ", ".join(outcome.reasons))

    def _existing(self, names: RecordingNames) -> Exported:
        shortcomings = self._target.shortcomings(names)
        return Exported(names.key, "exists") if shortcomings is None else Exported(names.key, "partial", shortcomings)

    def _explained(self, error: MediaSourceError) -> str:
        age_h = (self._clock.now_ms() - self._start_ms) / 3_600_000
        if error.code == OUTSIDE_RETENTION:
            return f"the stream no longer keeps this call: it began {age_h:.0f} hours ago"
        if error.code == "ResourceNotFoundException":
            return "there is no such stream in this account"
        return f"AWS refuses: {printable(str(error))}"
