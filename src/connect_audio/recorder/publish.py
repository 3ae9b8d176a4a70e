"""The end of a recording: WAV and manifest are published from what lies in S3, and everything else is deleted.

How it works. Publishing reads S3 alone and can run again from any point (ADR 3). It looks at the recording's key first.
One `match` over the answer decides:

    Nothing      no object yet: put the WAV there, then look again
    Ours         this execution's WAV, of the whole length or of the first part alone: write the manifest, clean up
    OtherLength  this execution's WAV of a length that this run does not know: touch nothing
    Foreign      an object of another origin: withdraw this execution's recording

If the call had a sink of words, their pages become transcript and captions before the manifest that names them.

The claim is deleted last (`clean_up.py`): until then no other execution touches the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, assert_never

from connect_audio.core.cursor import Cursor
from connect_audio.core.cut_short import cut_short
from connect_audio.core.errors import StorageError
from connect_audio.core.manifest import EndReason, NoteLog, Reason, RecordingFacts, build_manifest
from connect_audio.core.pcm import FRAME_BYTES
from connect_audio.core.recording_facts import WordsFacts
from connect_audio.core.wav import HEADER_BYTES, wav_header
from connect_audio.ports import ObjectKind, UploadedPart
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.clean_up import clean_up
from connect_audio.recorder.continuation import FirstPart
from connect_audio.recorder.end_of_call import EndOfRecording
from connect_audio.recorder.outcome import Outcome, OutcomeStatus
from connect_audio.recorder.parts import (
    EXECUTION_KEY,
    WAV_CONTENT_TYPE,
    Staged,
    create_upload,
    wav_metadata,
)
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.request import WORDS_SINKS
from connect_audio.text import counted
from connect_audio.values import dataclass

MANIFEST: Final = ObjectKind("application/json")
_NO_UPLOAD: Final = "NoSuchUpload"
_NO_KEY: Final = "NoSuchKey"
_INVALID_PART: Final = "InvalidPart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Everything that the record steps left.

    Args:
        checkpoint: the last one.
        parts: the uploaded parts, from number 2 on.
        notes_keys: S3 keys of the staged gaps and errors, in order.
        end: why the recording ended.
        warnings: dangers that did no harm, for the manifest.
        first: state when the first part was full. None where less than the whole is never published.
    """

    checkpoint: Checkpoint
    parts: Sequence[UploadedPart]
    notes_keys: Sequence[str]
    end: EndOfRecording
    warnings: Sequence[Reason] = ()
    first: FirstPart | None = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """No object lies at the key."""


@dataclass(frozen=True, slots=True)
class Ours:
    """This execution's WAV lies at the key.

    Args:
        frames: its length, frames.
    """

    frames: int


@dataclass(frozen=True, slots=True)
class OtherLength:
    """This execution's WAV lies at the key, with a length that the checkpoint does not explain."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An object of another origin lies at the key."""


type AtKey = Nothing | Ours | OtherLength | Foreign


type ManifestWriter = Callable[[RecorderPorts, Mapping[str, Any]], None]
"""Writes a manifest to its place."""


def manifest_body(manifest: Mapping[str, Any]) -> bytes:
    """Return the manifest's object."""
    return json.dumps(manifest, indent=2).encode()


def put_manifest(ports: RecorderPorts, manifest: Mapping[str, Any]) -> None:
    """Write a manifest to its place, in the place of any other.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    ports.store.put(ports.names.manifest, manifest_body(manifest), MANIFEST)


def planned_manifest(ports: RecorderPorts, recorded: Recorded) -> dict[str, Any] | None:
    """Return the manifest that publishing would write; None if the recording's notes are deleted already.

    Args:
        ports: the recorder's dependencies.
        recorded: the record steps' results.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    notes = _read_notes(ports, recorded.notes_keys)
    return None if notes is None else _manifest(ports, recorded, _cursor(recorded), notes, recorded.end.shortcomings)


def publish_recording(
    ports: RecorderPorts,
    recorded: Recorded,
    manifest: Mapping[str, Any] | None = None,
    write: ManifestWriter = put_manifest,
) -> Outcome:
    """Publish the recording and clean up. May be run again from any point.

    Args:
        ports: the recorder's dependencies.
        recorded: the record steps' results.
        manifest: the recording's manifest; None makes it here.
        write: puts the manifest in its place; by default in the place of any other.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    notes = _read_notes(ports, recorded.notes_keys)
    cursor = _cursor(recorded)
    at_key = _look(ports, recorded, cursor)
    # An attempt published this WAV and died before it could say so.
    repairs = 1 if isinstance(at_key, Ours) else 0
    if isinstance(at_key, Nothing) and cursor.frames and notes is not None:
        _put_wav(ports, recorded, cursor)
        at_key = _look(ports, recorded, cursor)
    match at_key:
        case Ours(frames):
            return _finish(ports, recorded, cursor, notes, frames, repairs, manifest, write)
        case Nothing() if not cursor.frames:
            return _finish(ports, recorded, cursor, notes, 0, repairs, manifest, write)
        case OtherLength():
            pass
        case Nothing() | Foreign():
            clean_up(ports)
        case _:
            assert_never(at_key)
    return Outcome(status=OutcomeStatus.KEY_TAKEN, end_reason=recorded.end.reason)


def _cursor(recorded: Recorded) -> Cursor:
    cursor = recorded.checkpoint.cursor
    # A few frames may have been taken before the first fragment's end: without a rate they are no recording.
    return replace(cursor, frames=0) if cursor.timeline is None else cursor


def _look(ports: RecorderPorts, recorded: Recorded, cursor: Cursor) -> AtKey:
    """Look what lies at the recording's key."""
    head = ports.store.head(ports.names.key)
    if head is None:
        return Nothing()
    if head.metadata.get(EXECUTION_KEY) != ports.execution:
        return Foreign()
    first = recorded.checkpoint.parts.first
    data_bytes = head.size - HEADER_BYTES
    if data_bytes in {cursor.frames * FRAME_BYTES, first.size if first else 0}:
        return Ours(data_bytes // FRAME_BYTES)
    return OtherLength()


def _finish(
    ports: RecorderPorts,
    recorded: Recorded,
    cursor: Cursor,
    notes: NoteLog | None,
    frames: int,
    repairs: int,
    given: Mapping[str, Any] | None,
    write: ManifestWriter,
) -> Outcome:
    """The WAV is in its place, or there is none to be: write the manifest and clean up."""
    reasons = recorded.end.shortcomings
    if frames < cursor.frames:
        lost = cursor.frames - frames
        detail = f"the multipart upload is gone, and with it {counted(lost, 'frame')} behind its first part"
        reasons = (*reasons, Reason("UPLOAD_LOST", detail))
        recorded, cursor = _first_part_alone(recorded)
        notes = notes and _read_notes(ports, recorded.notes_keys)
    manifest = given
    if manifest is None and notes is not None:
        words = _words(ports, recorded, cursor)
        manifest = _manifest(ports, recorded, cursor, notes, reasons, words)
    if manifest is None:
        # An earlier run has cleaned up, so its manifest is there.
        written: dict[str, Any] = json.loads(ports.store.get(ports.names.manifest))
        manifest = written
    else:
        write(ports, manifest)
    repairs += clean_up(ports)
    outcome = Outcome(
        status=OutcomeStatus(manifest["status"]),
        manifest=ports.names.manifest_uri,
        reasons=tuple(reason["code"] for reason in manifest["reasons"]),
        end_reason=recorded.end.reason,
        repairs=repairs,
    )
    timeline = cursor.timeline
    if timeline is None or not cursor.frames:
        return outcome
    silence = sum(track["silenceSamples"] for track in manifest["tracks"].values())
    return replace(
        outcome,
        recording=ports.names.uri,
        duration_s=cursor.frames / timeline.rate,
        sample_rate=timeline.rate,
        gap_s=manifest["gaps"]["streamHoleSeconds"],
        silence_s=silence / timeline.rate,
        audio_end_ms=((timeline.origin or 0) + cursor.frames) * 1000 // timeline.rate,
    )


def _words(ports: RecorderPorts, recorded: Recorded, cursor: Cursor) -> WordsFacts | None:
    """Publish the transcript of a call whose words were wanted; modules are imported for such a call alone."""
    live = recorded.checkpoint.live
    names = [] if live is None else [name for name in WORDS_SINKS if name in live.sinks]
    if not names or cursor.timeline is None or not cursor.frames:
        return None
    from connect_audio.recorder.publish_words import publish_words  # noqa: PLC0415

    return publish_words(ports, names[0], cursor.frames, cursor.timeline.rate)


def _manifest(
    ports: RecorderPorts,
    recorded: Recorded,
    cursor: Cursor,
    notes: NoteLog,
    reasons: Sequence[Reason],
    words: WordsFacts | None = None,
) -> dict[str, Any]:
    request, checkpoint = ports.request, recorded.checkpoint
    is_cut = recorded.end.reason is EndReason.RECORDER_FAILED or cursor.frames < checkpoint.cursor.frames
    if is_cut and cursor.timeline is not None:
        # No further step accounts for the frames behind the cursor.
        rate = cursor.timeline.rate
        cursor, last = cut_short(request.contact_id, cursor)
        notes = notes.extended(last, rate)
    facts = RecordingFacts(
        contact_id=request.contact_id,
        recording=ports.names.uri,
        end_reason=recorded.end.reason,
        instance_id=request.instance_id,
        stream_arn=request.stream_arn,
        retention_hours=checkpoint.read.retention_hours,
        start_timestamp_ms=request.start_timestamp_ms if ports.has_event else None,
        start_fragment=request.start_fragment_number,
        late_s=checkpoint.read.late_s,
        stop_fragment=checkpoint.end.stop_fragment,
        reconnects=checkpoint.read.reconnects,
        hand_overs=checkpoint.counts.hand_overs,
        reasons=reasons,
        warnings=recorded.warnings,
        live=checkpoint.live,
        words=words,
    )
    return build_manifest(cursor, facts, notes)


def _read_notes(ports: RecorderPorts, keys: Sequence[str]) -> NoteLog | None:
    """Join the staged notes; None where an earlier run has deleted them."""
    log = NoteLog()
    for key in keys:
        try:
            data = ports.store.get(key)
        except StorageError as error:
            if error.code != _NO_KEY:
                raise
            return None
        log = log.joined(NoteLog.from_json(json.loads(data)))
    return log


def _first_part_alone(recorded: Recorded) -> tuple[Recorded, Cursor]:
    """Return what there was to publish when the first part was full, and the cursor of then."""
    first = recorded.first
    if first is None:
        raise ValueError("only the first part is left, and its accounts are not known")
    return replace(recorded, notes_keys=recorded.notes_keys[: first.notes]), first.cursor


def _put_wav(ports: RecorderPorts, recorded: Recorded, cursor: Cursor) -> None:
    """Put the WAV at its key. Another execution may be faster: the caller looks again."""
    if recorded.checkpoint.parts.number == 1:
        _put_whole(ports, recorded.checkpoint, cursor)
    else:
        _join_parts(ports, recorded, cursor)


def _put_whole(ports: RecorderPorts, checkpoint: Checkpoint, cursor: Cursor) -> None:
    """Put a recording that has no whole part."""
    staged = checkpoint.parts.staged
    try:
        wav = bytearray(HEADER_BYTES) if staged is None else ports.store.get(staged.key, headroom=HEADER_BYTES)
    except StorageError as error:
        if error.code != _NO_KEY:
            raise
        # Another run of this step has just published it and cleaned up. If not, only a stream may have the audio.
        if not ports.replaces and ports.store.head(ports.names.key) is None:
            raise
        return
    wav[:HEADER_BYTES] = _header(cursor, cursor.frames * FRAME_BYTES)
    _put_new(ports, wav)


def _put_new(ports: RecorderPorts, wav: bytearray) -> None:
    ports.store.put_new(ports.names.key, wav, ObjectKind(WAV_CONTENT_TYPE, metadata=wav_metadata(ports)))


def _header(cursor: Cursor, data_bytes: int) -> bytes:
    if cursor.timeline is None:
        raise ValueError("a recording without audio has no header")
    return wav_header(data_bytes=data_bytes, rate=cursor.timeline.rate)


def _join_parts(ports: RecorderPorts, recorded: Recorded, cursor: Cursor) -> None:
    """Complete the multipart upload: the staged rest is its last part, header and first PCM are its first one.

    One part is in memory at a time, the larger one first: the heap keeps its room for the smaller one.
    """
    key, store, state = ports.names.key, ports.store, recorded.checkpoint.parts
    upload_id = state.upload_id or create_upload(ports)
    try:
        first = _first_part(ports, state.first)
        first[:HEADER_BYTES] = _header(cursor, cursor.frames * FRAME_BYTES)
        joined = [store.upload_part(key, upload_id, 1, first), *recorded.parts]
        del first
        if state.staged is not None:
            joined.append(store.upload_part(key, upload_id, state.number, store.get(state.staged.key)))
        store.complete_upload(key, upload_id, joined)
    except StorageError as error:
        if state.upload_id is None:
            # No checkpoint names it, and another holder's clean-up may have listed the uploads before.
            store.abort_upload(key, upload_id)
        if error.code == _INVALID_PART and ports.replaces:
            message = f"another program that publishes {key} has uploaded a part again"
            raise StorageError(_INVALID_PART, message, retryable=True) from error
        if error.code not in {_NO_UPLOAD, _NO_KEY}:
            raise
        # The answer of an earlier completion was lost, or another object took the key: the caller looks which.
        if store.head(key) is None:
            if ports.replaces:
                return  # the stream, or the recording that is there, is better than a first part
            if error.code == _NO_KEY:
                raise  # the staged audio is gone, and no recording holds it
            # The upload was aborted. The staged first part is all that is left of the recording.
            ports.logger.warning("upload is gone: only the first part is published", extra={"code": error.code})
            wav = _first_part(ports, state.first)
            wav[:HEADER_BYTES] = _header(cursor, len(wav) - HEADER_BYTES)
            _put_new(ports, wav)


def _first_part(ports: RecorderPorts, first: Staged | None) -> bytearray:
    """Return the PCM of part 1 behind room for the header."""
    return bytearray(HEADER_BYTES) if first is None else ports.store.get(first.key, headroom=HEADER_BYTES)
