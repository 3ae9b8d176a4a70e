"""The place of a recording that is to be repaired: its objects, the store that keeps them, and its request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from connect_audio.core.audit import recoverable
from connect_audio.core.comparison import is_better
from connect_audio.core.errors import RequestError, StorageError
from connect_audio.recorder.object_names import RecordingNames
from connect_audio.request import RecordingRequest
from connect_audio_cli.export.folder_store import FolderStore
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.output.stack_options import is_bucket
from connect_audio_cli.recordings.location import S3_SCHEME, Location, NotThereError
from connect_audio_cli.recordings.manifest_file import manifest_of, read_manifest
from connect_audio_cli.stacks.recordings_place import RecordingsPlace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boto3 import Session

    from connect_audio.ports import PartStore

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MANIFEST: Final = ".json"
_START: Final = re.compile(r"_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})Z\.json$", re.ASCII)
"""The start in a recording's name: of a recording that `record` made, which no event of Connect began."""


@dataclass(frozen=True, slots=True)
class Place:
    """A recording that is there.

    Args:
        names: its objects.
        store: keeps them.
        request: the streaming that was recorded.
        manifest: its manifest, of schema version 2.
    """

    names: RecordingNames
    store: PartStore
    request: RecordingRequest
    manifest: Mapping[str, Any]

    @classmethod
    def of(cls, given: str, session: Session, stack: RecordingsPlace | None = None, staging: str | None = None) -> Self:
        """Find a recording by its manifest.

        Args:
            given: path of the manifest, or its `s3://bucket/key`.
            session: gives credentials.
            stack: the place of the stack's recordings, which the recording is one of; None for no known stack.
            staging: without `stack`, its bucket of staging and claims; None where they lie beside the recordings.

        Raises:
            CommandError: it is no manifest of a recording that a stream was read for, it is none of the stack, or it
                cannot be read.
        """
        location = Location(given)
        if location.suffix != _MANIFEST:
            raise CommandError(f"{location.name}: is no manifest: a manifest's name ends in .json")
        if location.is_s3:
            bucket, _, key = given.removeprefix(S3_SCHEME).partition("/")
            if not (is_bucket(bucket) and key):
                raise CommandError(f"{location.name}: names no object: s3://BUCKET/KEY is expected")
            if stack is not None and not stack.holds(bucket, key):
                raise CommandError(f"{location.name}: is none of the stack's recordings, which lie below {stack}")
            store = (stack or RecordingsPlace(bucket, "", staging)).store(session)
            manifest = _manifest(store, key, location.name)
            request = _request(manifest, location)
            return cls(RecordingNames(bucket, _wav(key), _known_place(manifest)), store, request, manifest)
        if stack is not None or staging is not None:
            option = "--staging-bucket" if stack is None else "--stack"
            raise CommandError(f"{location.name}: lies in no bucket: {option} goes with s3://BUCKET/KEY")
        manifest = read_manifest(location)
        request = _request(manifest, location)
        path = Path(given)
        # An exported recording lies below its folder by the key that the functions would have used.
        key = request.recording_key("").removesuffix(".wav") + _MANIFEST
        root = path.parents[3] if path.as_posix().endswith(f"/{key}") else path.parent
        key = path.relative_to(root).as_posix()
        place = _known_place(manifest) or path.with_suffix(".wav").name
        return cls(RecordingNames(str(root), _wav(key), place), FolderStore(root), request, manifest)


def _manifest(store: PartStore, key: str, name: str) -> dict[str, Any]:
    try:
        data = bytes(store.get(key))
    except StorageError as error:
        kind = NotThereError if error.code in {"NoSuchKey", "NoSuchBucket"} else CommandError
        raise kind(f"{name}: cannot be read: S3 answers {printable(error.code)}") from error
    return manifest_of(data, name)


def _wav(key: str) -> str:
    return key.removesuffix(_MANIFEST) + ".wav"


def _known_place(manifest: Mapping[str, Any]) -> str | None:
    recording = manifest["recording"]
    return None if recording is None else str(recording["location"])


def _request(manifest: Mapping[str, Any], location: Location) -> RecordingRequest:
    """Return the streaming that a manifest is of. Without an event the start is in the recording's name.

    Raises:
        CommandError: the manifest is of a capture, or of a version that does not say it.
    """
    name = location.name
    if not str(manifest["schemaVersion"]).startswith("2."):
        raise CommandError(f"{name}: is of an old version: export the call again in place of a repair")
    try:
        # All that the audit reads later: a manifest of another program fails here, in one line.
        is_better(manifest, manifest)
        recoverable(manifest, ())
        known = (manifest["stream"]["arn"], manifest["instanceId"], manifest["startTimestamp"], manifest["live"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{name}: is no manifest of a recording (docs/manifest.md)") from error
    arn, instance, start, _ = known
    if start is None and (found := _START.search(location.text)) is not None:
        start = "{}-{}-{}T{}:{}:{}.{}Z".format(*found.groups())
    if arn is None or instance is None or start is None:
        raise CommandError(f"{name}: names no stream and start to list: a capture has neither")
    try:
        _, partition, _, region, account, _ = arn.split(":", 5)
        return RecordingRequest(
            contact_id=manifest["contactId"],
            instance_arn=f"arn:{partition}:connect:{region}:{account}:instance/{instance}",
            stream_arn=arn,
            start_timestamp_ms=(datetime.fromisoformat(start) - _EPOCH) // timedelta(milliseconds=1),
            start_fragment_number=manifest.get("startFragmentNumber"),
        )
    except (RequestError, ValueError, TypeError) as error:
        raise CommandError(f"{name}: names no stream and no start: {printable(str(error), 120)}") from error
