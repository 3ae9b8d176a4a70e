"""The repair of one recording: audit, recording, and the replacement of the old one if the new one is better."""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.adapters.kvs_media import KvsMediaSource
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.audit import is_proven, is_suspect, next_audit_number
from connect_audio.core.errors import MediaSourceError, StorageError
from connect_audio.recorder import AlreadyPublished, Policy, RecorderPorts, Refused, claim_recording
from connect_audio.recorder.archived_call import QUIET_MS
from connect_audio.recorder.late_recording import NotAsked, recorded_to_its_end
from connect_audio.recorder.publish import clean_up
from connect_audio.recorder.repair import (
    Found,
    Repaired,
    audit_stream,
    close_audit,
    finish_interrupted,
    publish_repair,
    repair_ports,
)
from connect_audio_cli.export.folder_store import FolderStore
from connect_audio_cli.export.pace import PacedIndex, PacedSource
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from boto3 import Session

    from connect_audio.ports import FragmentIndex, MediaSource
    from connect_audio_cli.export.pace import StreamPace
    from connect_audio_cli.repairing.place import Place

WHOLE: Final = "WHOLE"
"""The result of a recording that lacks nothing: it is left alone."""
FOUND: Final = "RECOVERABLE"
"""The result of a dry run: the stream has fragments that the recording lacks."""


@dataclass(frozen=True, slots=True)
class Audited:
    """The end of one recording's audit.

    Args:
        result: an `AuditResult`, `WHOLE` or `FOUND`.
        manifest: the manifest that is there now.
        found: the rest of the call in its stream; None where it was not listed.
    """

    result: str
    manifest: Mapping[str, Any]
    found: Found | None = None


class RecordingRepair:
    """One recording's audit and repair.

    Args:
        place: the recording.
        session: gives credentials.
        pace: the stream's pace.
    """

    def __init__(self, place: Place, *, session: Session, pace: StreamPace) -> None:
        self._place, self._session, self._pace = place, session, pace
        self._clock = SystemClock()

    def audited(self) -> Audited:
        """Say what could be repaired. Nothing is written, and no media is read.

        Raises:
            CommandError: AWS refused.
        """
        if not is_suspect(self._place.manifest):
            return Audited(WHOLE, self._place.manifest)
        return self._with_stream(lambda index, _: self._dry_run(index))

    def repaired(self) -> Audited:
        """Audit the recording, and record the call again where the stream has more of it.

        Raises:
            CommandError: the call may go on, another program records it, or AWS or the target refused.
        """
        if not is_suspect(self._place.manifest) and self._left() is None:
            return Audited(WHOLE, self._place.manifest)
        return self._with_stream(self._run)

    def _with_stream(self, work: Callable[[FragmentIndex, MediaSource], Audited]) -> Audited:
        arn = self._place.request.stream_arn
        with ExitStack() as stack:
            media = stack.enter_context(closing(KvsMediaSource(arn, session=self._session)))
            index = stack.enter_context(closing(KvsFragmentIndex(arn, session=self._session)))
            try:
                return work(PacedIndex(index, self._pace.listing), PacedSource(media, self._pace.media))
            except MediaSourceError as error:
                raise CommandError(f"AWS refuses: {printable(str(error))}", ExitCode.NOT_WHOLE) from error
            except StorageError as error:
                raise CommandError(f"cannot be read or written: {printable(str(error))}", ExitCode.NOT_WHOLE) from error

    def _dry_run(self, index: FragmentIndex) -> Audited:
        found = self._listed(self._place.manifest, index)
        return Audited(found.audit.result.value if found.end is None else FOUND, self._place.manifest, found)

    def _run(self, index: FragmentIndex, source: MediaSource) -> Audited:
        place = self._place
        execution = self._left() or f"{self._names_of_runs}{next_audit_number(place.manifest)}"
        ports = repair_ports(
            RecorderPorts(
                request=place.request,
                names=place.names,
                execution=execution,
                source=source,
                store=place.store,
                status=NotAsked(),
                clock=self._clock,
                policy=Policy(),
                logger=logging.getLogger("connect_audio.repair"),
            )
        )
        claim = claim_recording(ports)
        if isinstance(claim, Refused):
            raise CommandError("another program records or repairs this call", ExitCode.NOT_WHOLE)
        if isinstance(claim, AlreadyPublished):
            return _of(finish_interrupted(ports))
        # Another program may have repaired it before the claim.
        manifest = place.again()
        if not is_suspect(manifest) or self._is_audited(manifest, execution):
            clean_up(ports)
            return Audited(WHOLE if not is_suspect(manifest) else manifest["audit"]["result"], manifest)
        try:
            found = self._listed(manifest, index)
        except (MediaSourceError, CommandError):
            clean_up(ports)
            raise
        if found.end is None:
            return _of(close_audit(ports, manifest, found, found.audit.result), found)
        recorded = recorded_to_its_end(ports, claim.checkpoint().ending_on(found.end))
        return _of(publish_repair(ports, recorded, manifest, found), found)

    @property
    def _names_of_runs(self) -> str:
        """Begin of the names under which this machine claims the recording: each audit has a number of its own."""
        owner = "" if isinstance(self._place.store, FolderStore) else f"@{socket.gethostname()}"
        return f"connect-audio-repair:{self._place.request.execution_name}{owner}#"

    def _left(self) -> str | None:
        """Return the name under which an interrupted run of this machine holds the claim; None where none does."""
        try:
            holder = bytes(self._place.store.get(self._place.names.claim)).decode(errors="replace")
        except StorageError as error:
            if error.code != "NoSuchKey":
                raise CommandError(f"cannot be read: {printable(str(error))}", ExitCode.NOT_WHOLE) from error
            return None
        return holder if holder.startswith(self._names_of_runs) else None

    def _is_audited(self, manifest: Mapping[str, Any], execution: str) -> bool:
        """Return True if an interrupted run of this name had written its audit already."""
        audit = manifest.get("audit")
        return audit is not None and execution == f"{self._names_of_runs}{audit['number']}"

    def _listed(self, manifest: Mapping[str, Any], index: FragmentIndex) -> Found:
        """Audit the stream.

        Raises:
            CommandError: the manifest does not prove the call's end, and the stream's newest audio is not old.
        """
        found = audit_stream(manifest, index, self._place.request.start_timestamp_ms, self._clock)
        if found.newest_ms is not None and not is_proven(manifest, "end"):
            quiet_ms = self._clock.now_ms() - found.newest_ms
            if quiet_ms < QUIET_MS:
                minutes = (QUIET_MS - quiet_ms) // 60_000 + 1
                message = f"the call may go on: the stream's newest audio is {quiet_ms // 1000} s old. "
                raise CommandError(f"{message}Try again in {minutes} minutes", ExitCode.NOT_WHOLE)
        return found


def _of(repaired: Repaired, found: Found | None = None) -> Audited:
    return Audited(repaired.result.value, repaired.manifest, found)
