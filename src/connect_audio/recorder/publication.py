"""Before and after recording: claim the key, and at the end publish WAV and manifest from what lies in S3 alone.

The claim is the arbiter between executions: only its holder opens GetMedia or touches uploads. Publishing looks at the
recording's key first, so it can be run again from any point, and deletes the claim last (ADR 3).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from aws_lambda_powertools import Logger

from connect_audio.core.errors import MediaSourceError, StorageError
from connect_audio.core.manifest import EndReason, LiveSinkFacts, NoteLog, Reason, RecordingFacts, build_manifest
from connect_audio.core.pcm import FRAME_BYTES
from connect_audio.core.recording import Cursor
from connect_audio.core.wav import HEADER_BYTES, wav_header
from connect_audio.live import LiveState
from connect_audio.ports import MediaSource, ObjectBody, ObjectHead, PartStore, UploadedPart, WriteOutcome
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.recorder.other_streamings import OtherStreamings
from connect_audio.request import RecordingRequest

WAV_CONTENT_TYPE: Final = "audio/wav"
_EXECUTION: Final = "execution"
_GONE: Final = "NoSuchUpload"
_NO_KEY: Final = "NoSuchKey"


def object_metadata(request: RecordingRequest, execution: str) -> dict[str, str]:
    """User metadata of the WAV: ids alone.

    Args:
        request: what is recorded.
        execution: who records.
    """
    return {
        "contact-id": request.contact_id,
        "start-timestamp": str(request.start_timestamp_ms),
        _EXECUTION: execution,
    }


def live_facts(state: LiveState) -> tuple[LiveSinkFacts, ...]:
    """The sinks of live audio as the manifest tells of them."""
    return tuple(
        LiveSinkFacts(
            name=name,
            delivered=sink.delivered,
            delivered_frames=sink.delivered_frames,
            dropped_frames=sink.dropped_frames,
            failures=sink.failures,
            circuit_opened=sink.circuit_opened,
            failed=sink.failed,
        )
        for name, sink in state.sinks.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The answer to a claim.

    Args:
        granted: whether this execution may record.
        refusal: why not: `ALREADY_RECORDED` or `CLAIMED`; None where granted.
        retention_hours: DataRetentionInHours of the stream; None where unknown.
        from_ms: see `Checkpoint`.
        repairs: 1 where an interrupted attempt of this execution had claimed the key; else 0.
        published: the WAV is there and ours: a dead execution that this one continues had salvaged what it had.
    """

    granted: bool
    refusal: str | None = None
    retention_hours: int | None = None
    from_ms: int | None = None
    repairs: int = 0
    published: bool = False

    def checkpoint(self) -> Checkpoint:
        """Where the recording begins."""
        return Checkpoint(retention_hours=self.retention_hours, from_ms=self.from_ms)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: the step's result."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**data)


class OutcomeStatus(StrEnum):
    """What an execution ends with."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    EMPTY = "empty"
    REFUSED = "refused"
    """Somebody else records, or has recorded, this streaming."""
    FOREIGN = "foreign"
    """An object that is not ours appeared at the recording's key meanwhile; ours was withdrawn."""
    FAILED = "failed"
    """A step that claims or publishes failed for good; the execution fails with its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an execution returns: ids and numbers, since the execution's history keeps it.

    Args:
        status: whole or not.
        recording: S3 URI of the WAV; None where there is none.
        manifest: S3 URI of the manifest; None where there is none.
        duration_s: seconds of audio.
        reasons: codes of why it is not whole.
        end_reason: why it ended.
        sample_rate: samples a second of the WAV; None where there is none.
        gap_s: seconds in which neither party has audio and fragments may be missing.
        silence_s: seconds of silence filled in, both tracks together.
        audio_end_ms: when the audio ended by the producer's clock, ms since the epoch; None where there is none.
        repairs: what interrupted attempts had left and publishing used or removed.
    """

    status: OutcomeStatus
    recording: str | None = None
    manifest: str | None = None
    duration_s: float = 0.0
    reasons: tuple[str, ...] = ()
    end_reason: EndReason | None = None
    sample_rate: int | None = None
    gap_s: float = 0.0
    silence_s: float = 0.0
    audio_end_ms: int | None = None
    repairs: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "reasons": list(self.reasons)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            **{
                **data,
                "status": OutcomeStatus(data["status"]),
                "reasons": tuple(data["reasons"]),
                "end_reason": data["end_reason"] and EndReason(data["end_reason"]),
            }
        )


class Publication:
    """Claim and publish one recording.

    Args:
        request: what is recorded.
        names: the recording's keys.
        bucket: where, for the URIs.
        execution: who records.
        store: the bucket's adapter.
        logger: for ids and numbers.
    """

    def __init__(
        self,
        request: RecordingRequest,
        names: RecordingNames,
        *,
        bucket: str,
        execution: str,
        store: PartStore,
        logger: Logger,
    ) -> None:
        self._request = request
        self._names = names
        self._bucket = bucket
        self._execution = execution
        self._store = store
        self._logger = logger

    def claim(self, source: MediaSource) -> Claim:
        """Claim the key for this execution and look at the stream's retention.

        Raises:
            StorageError: S3 failed; safe to try again.
        """
        body, repairs = self._execution.encode(), 0
        if self._store.put_new(self._names.claim, body, content_type="text/plain") is WriteOutcome.EXISTS:
            try:
                mine = self._store.get(self._names.claim) == body
            except StorageError as error:
                if error.retryable or error.code != _NO_KEY:
                    raise
                # Deleted between the two calls: its holder has just finished.
                return Claim(granted=False, refusal="ALREADY_RECORDED")
            if not mine:
                return Claim(granted=False, refusal="CLAIMED")
            repairs = 1
        head = self._store.head(self._names.key)
        if head is not None and not self._is_ours(head):
            self._store.delete([self._names.claim])
            return Claim(granted=False, refusal="ALREADY_RECORDED")
        try:
            retention: int | None = source.retention_hours()
        except MediaSourceError as error:
            # Reading will tell more; not knowing the retention loses nothing.
            self._logger.warning("retention unknown", extra={"code": error.code})
            retention = None
        if retention is not None and retention < 1:
            self._logger.warning("the stream keeps nothing: what is not read within 5 minutes is gone")
        earlier = OtherStreamings(self._request, self._names, self._store).latest_before()
        return Claim(
            granted=True,
            retention_hours=retention,
            from_ms=None if earlier is None else self._request.start_timestamp_ms,
            repairs=repairs,
            published=head is not None,
        )

    def finish(
        self,
        checkpoint: Checkpoint,
        parts: Sequence[UploadedPart],
        notes_keys: Sequence[str],
        end_reason: EndReason,
        reasons: Sequence[Reason],
    ) -> Outcome:
        """Publish the recording and clean up. Reads S3 alone, and may be run again from any point.

        Args:
            checkpoint: the last one.
            parts: the uploaded parts, from number 2 on.
            notes_keys: staged gaps and errors, in order.
            end_reason: why the recording ended.
            reasons: why it is not whole, beyond what the cursor tells.

        Raises:
            StorageError: S3 failed; safe to try again.
        """
        facts = RecordingFacts(
            contact_id=self._request.contact_id,
            recording=self._uri(self._names.key),
            end_reason=end_reason,
            instance_id=self._request.instance_id,
            stream_arn=self._request.stream_arn,
            retention_hours=checkpoint.retention_hours,
            start_timestamp_ms=self._request.start_timestamp_ms,
            resumes=checkpoint.resumes,
            hand_overs=checkpoint.hand_overs,
            reasons=reasons,
            live=None if checkpoint.live is None else live_facts(checkpoint.live),
        )
        notes = self._read_notes(notes_keys)
        cursor = checkpoint.cursor
        if cursor.timeline is None:
            # A few frames may have been taken before the first fragment's end: without a rate they are no recording.
            cursor = replace(cursor, frames=0)
        frames: int | None = 0
        repairs = 0
        if cursor.frames:
            there = self._store.head(self._names.key) is not None
            if not there and notes is not None:
                self._publish_wav(checkpoint, parts)
            frames = self._frames_at_key(checkpoint)
            # What is ours and lay there already was published by an attempt that did not live to say so.
            repairs += there and frames is not None
        elif self._store.head(self._names.key) is not None:
            # Nor would a manifest of ours belong beside another's recording.
            frames = None
        if frames is None:
            if not self._is_ours(self._store.head(self._names.key)):
                self._clean_up()
            return Outcome(status=OutcomeStatus.FOREIGN, end_reason=end_reason)
        if frames < cursor.frames:
            detail = (
                f"the multipart upload is gone, and with it the {cursor.frames - frames} frames behind its first part"
            )
            facts = replace(facts, reasons=(*reasons, Reason("UPLOAD_LOST", detail)))
            cursor = self._cut_to(cursor, frames)
        if notes is None:
            # An earlier run of this step came as far as cleaning up, so its manifest is there.
            manifest: dict[str, Any] = json.loads(self._store.get(self._names.manifest))
        else:
            manifest = build_manifest(cursor, facts, notes)
            body = json.dumps(manifest, indent=2).encode()
            self._store.put(self._names.manifest, body, content_type="application/json")
        repairs += self._clean_up()
        outcome = Outcome(
            status=OutcomeStatus(manifest["status"]),
            manifest=self._uri(self._names.manifest),
            reasons=tuple(reason["code"] for reason in manifest["reasons"]),
            end_reason=end_reason,
            repairs=repairs,
        )
        timeline = cursor.timeline
        if timeline is None or not cursor.frames:
            return outcome
        silence = sum(track["silenceSamples"] for track in manifest["tracks"].values())
        return replace(
            outcome,
            recording=self._uri(self._names.key),
            duration_s=cursor.frames / timeline.rate,
            sample_rate=timeline.rate,
            gap_s=manifest["gaps"]["streamHoleSeconds"],
            silence_s=silence / timeline.rate,
            audio_end_ms=((timeline.origin or 0) + cursor.frames) * 1000 // timeline.rate,
        )

    def _uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _read_notes(self, keys: Sequence[str]) -> NoteLog | None:
        """Join the staged notes; None where they have been cleaned up."""
        log = NoteLog()
        for key in keys:
            try:
                data = self._store.get(key)
            except StorageError as error:
                if error.code != _NO_KEY:
                    raise
                return None
            log = log.joined(NoteLog.from_json(json.loads(data)))
        return log

    def _publish_wav(self, checkpoint: Checkpoint, parts: Sequence[UploadedPart]) -> None:
        """Put the WAV at its key; who asks what lies there afterwards may find another's."""
        if checkpoint.part == 1:
            self._put_whole(checkpoint)
        else:
            self._join_parts(checkpoint, parts)

    def _frames_at_key(self, checkpoint: Checkpoint) -> int | None:
        """How many frames the recording at our key holds; None where there is none of ours."""
        head = self._store.head(self._names.key)
        if head is None or not self._is_ours(head):
            return None
        data_bytes = head.size - HEADER_BYTES
        ours = {checkpoint.cursor.frames * FRAME_BYTES, checkpoint.first.size if checkpoint.first else 0}
        return data_bytes // FRAME_BYTES if data_bytes in ours else None

    def _is_ours(self, head: ObjectHead | None) -> bool:
        """Whether what lies at our key is a recording of ours, whatever it holds."""
        return head is not None and head.metadata.get(_EXECUTION) == self._execution

    def _cut_to(self, cursor: Cursor, frames: int) -> Cursor:
        """The cursor of a recording of which only the beginning is left, for its manifest."""
        timeline = cursor.timeline
        if timeline is not None:
            customer = replace(timeline.customer, audio=min(timeline.customer.audio, frames))
            agent = replace(timeline.agent, audio=min(timeline.agent.audio, frames))
            timeline = replace(timeline, customer=customer, agent=agent)
        crc32 = zlib.crc32(self._store.get(self._names.key)[HEADER_BYTES:])
        return replace(cursor, frames=frames, crc32=crc32, timeline=timeline)

    def _header(self, checkpoint: Checkpoint, data_bytes: int) -> bytes:
        timeline = checkpoint.cursor.timeline
        if timeline is None:
            raise ValueError("a recording without audio has no header")
        return wav_header(data_bytes=data_bytes, rate=timeline.rate)

    def _put_whole(self, checkpoint: Checkpoint) -> None:
        try:
            audio = b"" if checkpoint.staged is None else self._store.get(checkpoint.staged.key)
        except StorageError as error:
            if error.code != _NO_KEY or self._store.head(self._names.key) is None:
                raise
            return  # published and cleaned up by another run of this step, just now
        self._put_wav(self._header(checkpoint, checkpoint.cursor.frames * FRAME_BYTES) + audio)

    def _put_wav(self, body: bytes) -> None:
        self._store.put_new(
            self._names.key,
            body,
            content_type=WAV_CONTENT_TYPE,
            metadata=object_metadata(self._request, self._execution),
        )

    def _join_parts(self, checkpoint: Checkpoint, parts: Sequence[UploadedPart]) -> None:
        key, store = self._names.key, self._store
        upload_id = checkpoint.upload_id or store.open_upload(
            key, content_type=WAV_CONTENT_TYPE, metadata=object_metadata(self._request, self._execution)
        )
        first: ObjectBody = b""
        try:
            first = b"" if checkpoint.first is None else store.get(checkpoint.first.key)
            joined = list(parts)
            if checkpoint.staged is not None:
                joined.append(store.upload_part(key, upload_id, checkpoint.part, store.get(checkpoint.staged.key)))
            header = self._header(checkpoint, checkpoint.cursor.frames * FRAME_BYTES)
            joined.insert(0, store.upload_part(key, upload_id, 1, header + first))
            store.complete_upload(key, upload_id, joined)
        except StorageError as error:
            if error.code not in {_GONE, _NO_KEY}:
                raise
            # Completed before with the answer lost, or another's object took the key: the caller's head tells which.
            if store.head(key) is None:
                if error.code == _NO_KEY:
                    raise  # what was staged is gone, and nobody has made a recording of it
                # Aborted by somebody. What lies in the staging is all that is left, and it begins at the beginning.
                self._logger.exception("the upload is gone: only the first part can be published")
                self._put_wav(self._header(checkpoint, len(first)) + first)

    def _clean_up(self) -> int:
        """Leave nothing but WAV and manifest. The claim goes last: until then nobody else may touch the rest.

        Returns:
            How much of what was removed no undisturbed run leaves: uploads, and second attempts of the same step.
        """
        uploads = self._store.find_uploads(self._names.key)
        for upload_id in uploads:
            self._store.abort_upload(self._names.key, upload_id)
        staged = self._store.list_keys(self._names.staging)
        self._store.delete(staged)
        self._store.delete([self._names.claim])
        return len(uploads) + len(staged) - len({key.rpartition("-")[0] for key in staged})
