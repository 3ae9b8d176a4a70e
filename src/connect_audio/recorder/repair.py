"""The audit and the repair of a recording that is there and not whole, from what its stream still holds.

*How it works.* Four calls follow each other, each safe to run again:

    audit_stream()      lists the stream for the call's time: what does the recording lack that the stream still has?
    repair_ports()      gives the recorder a bucket in which the old WAV is not there, and an execution of its own
    claim and record    as for a new call, into a multipart upload and staged objects: nothing of the old one changes
    publish_repair()    replaces the old recording if the new one is better

Publishing replaces the WAV by one conditional write (`IfMatch` on its ETag), and then the manifest. The new manifest is
staged before, so `finish_interrupted()` completes a run that was killed between the two without the stream. The claim
is held from the first write to the last one, so no other execution records or repairs the call meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from connect_audio.core.audit import Audit, AuditResult, Replaced, is_proven, next_audit_number, recoverable
from connect_audio.core.comparison import is_better
from connect_audio.core.errors import OUTSIDE_RETENTION, MediaSourceError, StorageError
from connect_audio.core.manifest import SCHEMA_VERSION, rfc3339
from connect_audio.ports import Clock, FragmentIndex, Lifetime, ListedFragment, ObjectKind
from connect_audio.recorder.archived_call import settled_fragments_between, settled_fragments_of_call
from connect_audio.recorder.listed_end import ListedEnd
from connect_audio.recorder.outcome import OutcomeStatus
from connect_audio.recorder.parts import EXECUTION_KEY
from connect_audio.recorder.policy import EARLY_MS
from connect_audio.recorder.publish import Recorded, clean_up, planned_manifest, publish_recording, put_manifest
from connect_audio.recorder.recorder_ports import RecorderPorts
from connect_audio.recorder.replacing_store import ReplacingStore

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The end of an audit.

    Args:
        result: its outcome.
        manifest: the manifest that is there now.
    """

    result: AuditResult
    manifest: Mapping[str, Any]


def audit_stream(manifest: Mapping[str, Any], index: FragmentIndex, start_ms: int, clock: Clock) -> Found:
    """List the stream for a recording's time.

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
        listed = _listed(manifest, index, start_ms, clock)
    except MediaSourceError as error:
        if error.code != OUTSIDE_RETENTION:
            raise
        return Found(audit=replace(audit, result=AuditResult.OUTSIDE_RETENTION))
    newest_ms = max((each.producer_ms + each.length_ms for each in listed), default=None)
    lacking = recoverable(manifest, [each.number for each in listed])
    audit = replace(audit, listed=len(listed), recoverable=lacking)
    return Found(audit=audit, end=_end(manifest, listed) if lacking else None, newest_ms=newest_ms)


def _listed(manifest: Mapping[str, Any], index: FragmentIndex, start_ms: int, clock: Clock) -> Sequence[ListedFragment]:
    last = manifest["fragments"]["last"]
    if last is None or last["producerTimestamp"] is None or not is_proven(manifest, "end"):
        return settled_fragments_of_call(index, start_ms, clock)
    end_ms = round(datetime.fromisoformat(last["producerTimestamp"]).timestamp() * 1000)
    return settled_fragments_between(index, start_ms - EARLY_MS, max(start_ms, end_ms) + _BEHIND_MS, clock)


def _end(manifest: Mapping[str, Any], listed: Sequence[ListedFragment]) -> ListedEnd:
    """Return the last fragment of the call: the recording's own where the manifest proves the end."""
    last = manifest["fragments"]["last"]
    if last is None or not is_proven(manifest, "end"):
        return ListedEnd(listed[-1].number, is_quiet=True)
    return ListedEnd(last["number"], is_quiet=int(listed[-1].number) <= int(last["number"]))


def repair_ports(ports: RecorderPorts) -> RecorderPorts:
    """Return the ports with which a recorder makes a recording that may replace the one at the key.

    Args:
        ports: with an execution's name of the repair's own.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    head = ports.store.head(ports.names.key)
    if head is None or head.metadata.get(EXECUTION_KEY) == ports.execution:
        # No WAV is there, or an interrupted run of this repair has replaced it already.
        return replace(ports, replaces=True)
    return replace(ports, store=ReplacingStore(ports.store, ports.names.key, head.etag), replaces=True)


def publish_repair(ports: RecorderPorts, recorded: Recorded, old: Mapping[str, Any], found: Found) -> Repaired:
    """Replace the old recording if the new one is better, else drop the new one; clean up. May be run again.

    Args:
        ports: from `repair_ports`.
        recorded: the record steps' results.
        old: manifest of the recording that is there.
        found: the audit that led to it.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    head = ports.store.head(ports.names.key)
    if head is not None and head.metadata.get(EXECUTION_KEY) == ports.execution:
        return finish_interrupted(ports)
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
        # The old recording was replaced or deleted by another program meanwhile: it is that program's word.
        return Repaired(result=AuditResult.NOTHING_GAINED, manifest=old)
    return Repaired(result=AuditResult.REPAIRED, manifest=manifest)


def close_audit(ports: RecorderPorts, old: Mapping[str, Any], found: Found, result: AuditResult) -> Repaired:
    """Note in the old manifest that an audit changed nothing, and clean up. May be run again.

    Args:
        ports: from `repair_ports`.
        old: manifest of the recording that is there.
        found: the audit.
        result: its outcome.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    manifest = {**old, "schemaVersion": SCHEMA_VERSION, "audit": replace(found.audit, result=result).to_json()}
    put_manifest(ports, manifest)
    clean_up(ports)
    return Repaired(result=result, manifest=manifest)


def finish_interrupted(ports: RecorderPorts) -> Repaired:
    """Complete a repair that was killed behind the replacement of the WAV. The stream is not needed.

    Args:
        ports: from `repair_ports`.

    Raises:
        StorageError: S3 failed; safe to try again.
    """
    manifest: Mapping[str, Any]
    try:
        manifest = json.loads(ports.store.get(ports.names.staged_manifest))
    except StorageError as error:
        if error.code != _NO_KEY:
            raise
        # The manifest was written too, and the staged one is deleted.
        manifest = json.loads(ports.store.get(ports.names.manifest))
    else:
        put_manifest(ports, manifest)
    clean_up(ports)
    return Repaired(result=AuditResult.REPAIRED, manifest=manifest)


def _kept(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the old manifest that stays true: live audio went out then, and is not delivered again."""
    if old["live"] is None:
        return {}
    known = {each["code"] for each in new["warnings"]}
    live = [each for each in old["warnings"] if each["code"].startswith("LIVE_") and each["code"] not in known]
    return {"live": old["live"], "warnings": [*new["warnings"], *live]}
