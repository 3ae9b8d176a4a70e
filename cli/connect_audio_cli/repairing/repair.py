"""The repair of one recording: audit, recording, and the replacement of the old one if the new one is better."""

from __future__ import annotations

import logging
import socket
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connect_audio.adapters.kvs_index import KvsFragmentIndex
from connect_audio.adapters.system_clock import SystemClock
from connect_audio.core.audit import is_proven, is_suspect, next_audit_number
from connect_audio.core.errors import MediaSourceError, StorageError
from connect_audio.recorder import Policy, RecorderPorts
from connect_audio.recorder.archived_call import QUIET_MS
from connect_audio.recorder.claim_object import read_claim
from connect_audio.recorder.clean_up import clean_up
from connect_audio.recorder.late_recording import NotAsked, recorded_to_its_end
from connect_audio.recorder.repair import (
    Again,
    ClaimHeld,
    Done,
    NotOver,
    audit_stream,
    begin_repair,
    fragments_of_recording,
    manifest_of,
    publish_repair,
    replacing,
)
from connect_audio_cli.export.folder_store import FolderStore
from connect_audio_cli.export.pace import PacedIndex
from connect_audio_cli.export.stream_source import Api, stream_source
from connect_audio_cli.output.command_error import CommandError, ExitCode, printable
from connect_audio_cli.output.formatting import count
from connect_audio_cli.repairing.machine_lock import only_repair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from boto3 import Session

    from connect_audio.core.audit import Audit
    from connect_audio.ports import FragmentIndex, ListedFragment, MediaSource
    from connect_audio.recorder.repair import Repaired
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
        audit: the audit; None where the stream was not listed.
    """

    result: str
    manifest: Mapping[str, Any]
    audit: Audit | None = None


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
        names = self._place.names
        place = str(Path(names.bucket).resolve()) if isinstance(self._place.store, FolderStore) else names.bucket
        with only_repair(f"{place}/{names.key} {self._names_of_runs}"):
            return self._with_stream(self._run)

    def _with_stream(self, work: Callable[[FragmentIndex, MediaSource], Audited]) -> Audited:
        arn = self._place.request.stream_arn
        with ExitStack() as stack:
            listing = stack.enter_context(closing(KvsFragmentIndex(arn, session=self._session)))
            index = PacedIndex(listing, self._pace.listing)
            # GetMedia has left out what lacks, maybe without an error. The archive gives each fragment that is listed.
            source = stream_source(
                arn,
                Api.AUTO,
                lambda: self._listed(index),
                session=self._session,
                pace=self._pace,
                archive_first=True,
            )
            media = stack.enter_context(source)
            try:
                return work(index, media)
            except MediaSourceError as error:
                raise CommandError(f"AWS refuses: {printable(str(error))}", ExitCode.NOT_WHOLE) from error
            except StorageError as error:
                raise CommandError(f"cannot be read or written: {printable(str(error))}", ExitCode.NOT_WHOLE) from error

    def _listed(self, index: FragmentIndex) -> Sequence[ListedFragment]:
        start_ms = self._place.request.start_timestamp_ms
        return fragments_of_recording(self._place.manifest, index, start_ms, self._clock)

    def _dry_run(self, index: FragmentIndex) -> Audited:
        manifest = self._place.manifest
        found = audit_stream(manifest, index, self._place.request.start_timestamp_ms, self._clock)
        silent_ms = found.silent_ms(self._clock.now_ms())
        if silent_ms is not None and silent_ms < QUIET_MS and not is_proven(manifest, "end"):
            raise _may_go_on(silent_ms)
        return Audited(found.audit.result.value if found.end is None else FOUND, manifest, found.audit)

    def _run(self, index: FragmentIndex, source: MediaSource) -> Audited:
        place = self._place
        ports = RecorderPorts(
            request=place.request,
            names=place.names,
            execution=self._left() or f"{self._names_of_runs}{next_audit_number(place.manifest)}",
            source=source,
            store=place.store,
            status=NotAsked(),
            clock=self._clock,
            policy=Policy(),
            logger=logging.getLogger("connect_audio.repair"),
            has_event=place.manifest["startTimestamp"] is not None,
        )
        match begin_repair(ports, index):
            case ClaimHeld():
                raise CommandError("another program records or repairs this call", ExitCode.NOT_WHOLE)
            case NotOver(silent_ms):
                raise _may_go_on(silent_ms)
            case Done(repaired):
                return _of(repaired)
            case Again(found, etag, checkpoint):
                hidden = replacing(ports, etag)
                try:
                    recorded = recorded_to_its_end(hidden, checkpoint)
                except MediaSourceError:
                    clean_up(ports)
                    raise
                return _of(publish_repair(hidden, recorded, manifest_of(ports), found))

    @property
    def _names_of_runs(self) -> str:
        """Begin of the names under which this machine claims the recording: each audit has a number of its own."""
        owner = "" if isinstance(self._place.store, FolderStore) else f"@{socket.gethostname()}"
        return f"connect-audio-repair:{self._place.request.execution_name}{owner}#"

    def _left(self) -> str | None:
        """Return the name under which an interrupted run of this machine holds the claim; None where none does."""
        try:
            claim = read_claim(self._place.store, self._place.names)
        except StorageError as error:
            raise CommandError(f"cannot be read: {printable(str(error))}", ExitCode.NOT_WHOLE) from error
        return claim.holder if claim is not None and claim.holder.startswith(self._names_of_runs) else None


def _may_go_on(silent_ms: int) -> CommandError:
    minutes = (QUIET_MS - silent_ms) // 60_000 + 1
    message = f"the call may go on: the stream's newest audio is {silent_ms // 1000} s old. "
    return CommandError(f"{message}Try again in {count(minutes, 'minute')}", ExitCode.NOT_WHOLE)


def _of(repaired: Repaired) -> Audited:
    return Audited(WHOLE if repaired.result is None else repaired.result.value, repaired.manifest, repaired.audit)
