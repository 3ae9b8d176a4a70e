"""The audit and the repair of a recording that is there and not whole, from what its stream still holds.

*How it works.* Three calls follow each other, each safe to run again:

    begin_repair()      claims the key, and lists the stream: what does the recording lack that the stream still has?
    the recorder        records as a new call, into a multipart upload and staged objects: the old one stays as it is.
                        replacing() gives it a bucket in which the old WAV is not there
    publish_repair()    replaces the old recording if the new one is better

Publishing replaces the WAV by one conditional write (`IfMatch` on its ETag), and then the manifest. The new manifest is
staged before, so `finish_interrupted()` completes a run that was killed between the two without the stream. The claim
is held from the first write to the last one, so no other execution records or repairs the call meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from connect_audio.core.audit import (
    Audit,
    AuditResult,
    Replaced,
    counted_on,
    is_proven,
    is_suspect,
    next_audit_number,
    recoverable,
)
from connect_audio.core.comparison import is_better
from connect_audio.core.errors import OUTSIDE_RETENTION, MediaSourceError, StorageError
from connect_audio.core.manifest import SCHEMA_VERSION, EndReason, rfc3339
from connect_audio.ports import Clock, FragmentIndex, Lifetime, ListedFragment, ObjectKind
from connect_audio.recorder.archived_call import QUIET_MS, settled_fragments_between, settled_fragments_of_call
from connect_audio.recorder.checkpoint import Checkpoint
from connect_audio.recorder.claim import AlreadyPublished, Claimant, Granted, Refused, claim_recording
from connect_audio.recorder.claim_object import holds_claim
from connect_audio.recorder.clean_up import clean_up
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.outcome import Outcome, OutcomeStatus
from connect_audio.recorder.parts import EXECUTION_KEY
from connect_audio.recorder.policy import EARLY_MS
from connect_audio.recorder.publish import (
    Recorded,
    planned_manifest,
    publish_recording,
    put_manifest,
)
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.replacing_store import ReplacingStore
from connect_audio.values import dataclass

_BEHIND_MS: Final = 10_000
"""Time behind the last fragment that is listed where the manifest proves the end, ms."""
_NO_KEY: Final = "NoSuchKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The rest of a call in its stream.

    Args:
        audit: the audit so far; its result is final only if there is nothing to record again.
        end: last fragment of the call's time; None if there is nothing to record again.
        newest_ms: end of the newest listed fragment, ms since the epoch; None for none.
    """

    audit: Audit
    end: ListedEnd | None = None
    newest_ms: int | None = None

    def silent_ms(self, now_ms: int) -> int | None:
        """Return the time since the newest listed fragment, ms; None for none.

        Args:
            now_ms: wall clock, ms since the epoch.
        """
        return None if self.newest_ms is None else now_ms - self.newest_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The end of an audit.

    Args:
        result: its outcome; None for a recording that another program has repaired meanwhile.
        manifest: the manifest that is there now.
        audit: the audit; None for an interrupted repair, whose audit is in the manifest.
    """

    result: AuditResult | None
    manifest: Mapping[str, Any]
    audit: Audit | None = None


@dataclass(frozen=True, slots=True)
class ClaimHeld:
    """Another execution holds the claim."""


@dataclass(frozen=True, slots=True)
class NotOver:
    """The call may go on: audit it later.

    Args:
        silent_ms: time since the stream's newest fragment, ms.
    """

    silent_ms: int


@dataclass(frozen=True, slots=True)
class Done:
    """There is nothing to record again.

    Args:
        repaired: the end of the audit.
    """

    repaired: Repaired


@dataclass(frozen=True, slots=True)
class Again:
    """The call is to be recorded again. The claim is held.

    Args:
        found: the audit.
        etag: ETag of the WAV that may be replaced; None where there is none.
        checkpoint: the beginning of the recording.
    """

    found: Found
    etag: str | None
    checkpoint: Checkpoint


type Begun = ClaimHeld | NotOver | Done | Again


def audit_stream(manifest: Mapping[str, Any], index: FragmentIndex, start_ms: int, clock: Clock) -> Found:
    """Find the fragments that a recording lacks and its stream still has.

    Args:
        manifest: the recording's, of schema version 2.
        index: the stream's listing.
        start_ms: StartTimestamp, ms since the epoch.
        clock: for the time and a wait.

    Raises:
        MediaSourceError: ListFragments failed for another cause than the stream's retention.
    """
    time = rfc3339(clock.now_ms()) or ""
    audit = Audit(
        number=next_audit_number(manifest), time=time, listed=0, recoverable=0, result=AuditResult.NOTHING_RECOVERABLE
    )
    try:
        listed = fragments_of_recording(manifest, index, start_ms, clock)
    except MediaSourceError as error:
        if error.code != OUTSIDE_RETENTION:
            raise
        return Found(audit=replace(audit, result=AuditResult.OUTSIDE_RETENTION))
    newest_ms = max((each.producer_ms + each.length_ms for each in listed), default=None)
    lacking = recoverable(manifest, [each.number for each in listed])
    audit = replace(audit, listed=len(listed), recoverable=lacking)
    return Found(audit=audit, end=_end(manifest, listed) if lacking else None, newest_ms=newest_ms)


def fragments_of_recording(
    manifest: Mapping[str, Any], index: FragmentIndex, start_ms: int, clock: Clock
) -> Sequence[ListedFragment]:
    """List the stream for a recording's time.

    Args:
        manifest: the recording's, of schema version 2.
        index: the stream's listing.
        start_ms: StartTimestamp, ms since the epoch.
        clock: for the time and a wait.

    Raises:
        MediaSourceError: ListFragments failed.
    """
    last = manifest["fragments"]["last"]
    if last is None or last["producerTimestamp"] is None or not is_proven(manifest, "end"):
        return settled_fragments_of_call(index, start_ms, clock)
    end_ms = round(datetime.fromisoformat(last["producerTimestamp"]).timestamp() * 1000)
    return settled_fragments_between(index, start_ms - EARLY_MS, max(start_ms, end_ms) + _BEHIND_MS, clock)


def _end(manifest: Mapping[str, Any], listed: Sequence[ListedFragment]) -> ListedEnd:
    """Return the last fragment of the call.

    If the manifest proves the end, it is the recording's own last one, or one that the producer counted directly on.
    """
    last = manifest["fragments"]["last"]
    if last is None or not is_proven(manifest, "end"):
        return ListedEnd(listed[-1].number, is_quiet=True)
    own = int(last["number"])
    behind = [number for each in listed if (number := int(each.number)) > own]
    end = max((own, *counted_on(own, behind, 1)))
    return ListedEnd(str(end), is_quiet=all(number <= end for number in behind))


def replacing(ports: RecorderPorts, etag: str | None) -> RecorderPorts:
    """Return the ports with which a recorder makes a recording that may replace the one at the key.

    Args:
        ports: with an execution's name of the repair's own.
        etag: ETag of the WAV that may be replaced; None where there is none.
    """
    store = ports.store if etag is None else ReplacingStore(ports.store, ports.names.key, etag, ports.execution)
    return replace(ports, store=store, live=None, replaces=True)


def begin_repair(ports: RecorderPorts, index: FragmentIndex, quiet_ms: int = QUIET_MS) -> Begun:
    """Claim the recording, list the stream, and end the audit if there is nothing to record again.

    Args:
        ports: with an execution's name of the repair's own.
        index: the stream's listing.
        quiet_ms: silence of the stream that ends a call, ms. It counts if the manifest does not prove the end.

    Raises:
        MediaSourceError: ListFragments failed; the claim is given up.
        StorageError: S3 failed; safe to try again.
    """
    head = ports.store.head(ports.names.key)
    # An interrupted run of this repair may have replaced the WAV already: its own WAV is not hidden.
    etag = None if head is None or head.metadata.get(EXECUTION_KEY) == ports.execution else head.etag
    hidden = replacing(ports, etag)
    claim = claim_recording(hidden, Claimant.REPAIR)
    if isinstance(claim, Refused):
        return ClaimHeld()
    if isinstance(claim, AlreadyPublished):
        if (finished := finish_interrupted(hidden)) is not None:
            return Done(finished)
        # The bucket's lifecycle deleted the staged manifest: a second recording of the same WAV makes it again.
        claim = Granted()
    manifest = manifest_of(ports)
    if not is_suspect(manifest):
        # Another program has repaired it before the claim.
        clean_up(ports)
        return Done(Repaired(result=None, manifest=manifest))
    try:
        found = audit_stream(manifest, index, ports.request.start_timestamp_ms, ports.clock)
    except MediaSourceError:
        clean_up(ports)
        raise
    silent_ms = found.silent_ms(ports.clock.now_ms())
    if silent_ms is not None and silent_ms < quiet_ms and not is_proven(manifest, "end"):
        clean_up(ports)
        return NotOver(silent_ms)
    if found.end is None:
        return Done(close_audit(hidden, manifest, found, found.audit.result))
    return Again(found, etag, claim.checkpoint().ending_on(found.end))


def manifest_of(ports: RecorderPorts) -> dict[str, Any]:
    """Read the manifest that is there.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    read: dict[str, Any] = json.loads(ports.store.get(ports.names.manifest))
    return read


def publish_repair(ports: RecorderPorts, recorded: Recorded, old: Mapping[str, Any], found: Found) -> Repaired:
    """Replace the old recording if the new one is better, else drop the new one; clean up. May be run again.

    Args:
        ports: from `replacing`.
        recorded: the record steps' results.
        old: manifest of the recording that is there.
        found: the audit that led to it.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    if _is_ours(ports) and (finished := finish_interrupted(ports)) is not None:
        return finished
    new = planned_manifest(ports, recorded)
    if new is None or not is_better(old, new):
        return close_audit(ports, old, found, AuditResult.NOTHING_GAINED)
    etag = ports.store.etag if isinstance(ports.store, ReplacingStore) else None
    recording = old["recording"]
    replaced = Replaced(status=old["status"], etag=etag, crc32=recording and recording["dataCrc32"])
    audit = replace(found.audit, result=AuditResult.REPAIRED, replaced=replaced)
    manifest = {**new, **_kept(old, new), "audit": audit.to_json()}
    body = json.dumps(manifest).encode()
    ports.store.put(ports.names.staged_manifest, body, ObjectKind("application/json", lifetime=Lifetime.TEMPORARY))
    outcome = publish_recording(ports, recorded, manifest)
    if outcome.status is OutcomeStatus.KEY_TAKEN:
        # Another program replaced or deleted the old recording meanwhile: its word stands.
        clean_up(ports)
        return Repaired(result=AuditResult.NOTHING_GAINED, manifest=old)
    return Repaired(result=AuditResult.REPAIRED, manifest=manifest, audit=audit)


def close_audit(ports: RecorderPorts, old: Mapping[str, Any], found: Found, result: AuditResult) -> Repaired:
    """Note in the old manifest that an audit changed nothing, and clean up. May be run again.

    Args:
        ports: from `replacing`.
        old: manifest of the recording that is there.
        found: the audit.
        result: its outcome.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    audit = replace(found.audit, result=result)
    manifest = {**old, "schemaVersion": SCHEMA_VERSION, "audit": audit.to_json()}
    put_manifest(ports, manifest)
    clean_up(ports)
    return Repaired(result=result, manifest=manifest, audit=audit)


def finish_interrupted(ports: RecorderPorts) -> Repaired | None:
    """Complete a repair that was killed behind the replacement of the WAV. The stream is not needed.

    Args:
        ports: from `replacing`.

    Returns:
        The end of the audit; None if neither the staged manifest nor the one that is there is of the new WAV.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    manifest: Mapping[str, Any]
    try:
        manifest = json.loads(ports.store.get(ports.names.staged_manifest))
    except StorageError as error:
        if error.code != _NO_KEY:
            raise
        manifest = manifest_of(ports)
        audit = manifest.get("audit")
        if audit is None or audit["result"] != AuditResult.REPAIRED:
            return None
        # The manifest was written too, and the staged one is deleted.
    else:
        put_manifest(ports, manifest)
    clean_up(ports)
    return Repaired(result=AuditResult.REPAIRED, manifest=manifest)


def give_up_repair(ports: RecorderPorts) -> None:
    """Clean up behind a repair that failed for good. A WAV that it has replaced already gets its manifest first.

    Args:
        ports: with the repair's name.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    if holds_claim(ports.store, ports.names, ports.execution) and _is_ours(ports):
        finish_interrupted(ports)
    clean_up(ports)


def _is_ours(ports: RecorderPorts) -> bool:
    """Return True if the WAV at the key is this repair's."""
    head = ports.store.head(ports.names.key)
    return head is not None and head.metadata.get(EXECUTION_KEY) == ports.execution


def outcome_of(ports: RecorderPorts, manifest: Mapping[str, Any]) -> Outcome:
    """Return the outcome that a manifest describes.

    Args:
        ports: the recorder's dependencies.
        manifest: the recording's, of schema version 2.
    """
    outcome = Outcome(
        status=OutcomeStatus(manifest["status"]),
        manifest=ports.names.manifest_uri,
        reasons=tuple(reason["code"] for reason in manifest["reasons"]),
        end_reason=EndReason(manifest["endReason"]),
    )
    recording = manifest["recording"]
    if recording is None:
        return outcome
    silence = sum(track["silenceSamples"] for track in manifest["tracks"].values())
    return replace(
        outcome,
        recording=ports.names.uri,
        duration_s=recording["durationSeconds"],
        sample_rate=recording["sampleRate"],
        gap_s=manifest["gaps"]["streamHoleSeconds"],
        silence_s=silence / recording["sampleRate"],
    )


def _kept(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the old manifest that stays true: live audio went out then, and is not delivered again."""
    if old["live"] is None:
        return {}
    known = {each["code"] for each in new["warnings"]}
    live = [each for each in old["warnings"] if each["code"].startswith("LIVE_") and each["code"] not in known]
    # A transcript counts from the recording's first sample.
    begins = [(each["recording"] or {}).get("startTime") for each in (old, new)]
    words = old.get("words") if begins[0] == begins[1] else None
    return {"live": old["live"], "words": words, "warnings": [*new["warnings"], *live]}
