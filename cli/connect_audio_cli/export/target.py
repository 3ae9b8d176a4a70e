"""The place that exported recordings go to: a folder, or a prefix of an S3 bucket."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from connect_audio.recorder.object_names import RecordingNames
from connect_audio_cli.export.folder_store import FolderStore
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.output.folders import refuse_file
from connect_audio_cli.output.staging_option import is_bucket
from connect_audio_cli.recordings.stack_store import stack_store

if TYPE_CHECKING:
    from boto3 import Session

    from connect_audio.ports import PartStore
    from connect_audio.request import RecordingRequest

_S3: Final = "s3://"
_PREFIX: Final = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,512}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """The place of the recordings.

    Args:
        bucket: the bucket's name, or the folder's path.
        prefix: the keys' prefix, without a slash at either end; empty for a folder.
        store: keeps the objects.
        owner: keeps the claims of two machines apart in a bucket; empty for a folder.
        place: the target as the user gave it.
    """

    bucket: str
    prefix: str
    store: PartStore
    owner: str
    place: str

    @classmethod
    def of(cls, given: str, session: Session, staging: str | None = None) -> Self:
        """Return the target that the user names.

        Args:
            given: a folder, or `s3://bucket` with the stack's RecordingsPrefix behind it.
            session: gives credentials.
            staging: the stack's bucket of staging and claims; None where they lie beside the recordings.

        Raises:
            CommandError: the name of a bucket or a prefix that cannot be one, or a folder with a bucket of staging.
            BotoCoreError: there can be no client of S3.
        """
        if not given.startswith(_S3):
            if staging is not None:
                raise CommandError("--staging-bucket goes with -o s3://BUCKET/PREFIX")
            refuse_file(Path(given))
            return cls(given, "", FolderStore(Path(given)), "", given)
        bucket, _, prefix = given.removeprefix(_S3).partition("/")
        prefix = prefix.strip("/")
        if not (is_bucket(bucket) and _PREFIX.fullmatch(prefix)):
            raise CommandError(f"-o {printable(given, 80)} is not of the form s3://BUCKET/PREFIX")
        return cls(bucket, prefix, stack_store(session, bucket, staging), f"@{socket.gethostname()}", given)

    def execution(self, request: RecordingRequest) -> str:
        """Return the name under which this command claims a recording.

        The next run after a kill claims under the same name, and goes on with what is there.
        """
        return f"connect-audio-export:{request.execution_name}{self.owner}"

    def names(self, request: RecordingRequest) -> RecordingNames:
        """Return the keys of a recording."""
        key = request.recording_key(self.prefix)
        # A folder's manifests name the file beside them, as `replay` writes them.
        return RecordingNames(self.bucket, key, None if self.owner else key.rpartition("/")[2])

    def shown(self, key: str) -> str:
        """Return the place of a recording, for people."""
        return f"{_S3}{self.bucket}/{key}" if self.owner else str(Path(self.bucket) / key)
