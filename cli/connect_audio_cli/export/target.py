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
from connect_audio_cli.output.stack_options import is_bucket
from connect_audio_cli.stacks.recordings_place import RecordingsPlace

if TYPE_CHECKING:
    from argparse import Namespace

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
        place: the target as a user would give it.
    """

    bucket: str
    prefix: str
    store: PartStore
    owner: str
    place: str

    @classmethod
    def named(cls, options: Namespace, session: Session) -> Self:
        """Return the target that a command's options name: by `--stack`, or by `--output` and `--staging-bucket`.

        Args:
            options: the command's, with `stack`, `output` and `staging_bucket`.
            session: gives credentials, and the stack's region.

        Raises:
            CommandError: as `of`, or the stack does not say its buckets.
            BotoCoreError: AWS did not answer, or there can be no client.
        """
        if options.stack is None:
            return cls.of(options.output or ".", session, options.staging_bucket)
        by_hand = "give -o s3://BUCKET/PREFIX and --staging-bucket"
        return cls._in_bucket(RecordingsPlace.of_stack(session, options.stack, otherwise=by_hand), session)

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
        return cls._in_bucket(RecordingsPlace(bucket, prefix, staging), session)

    @classmethod
    def _in_bucket(cls, place: RecordingsPlace, session: Session) -> Self:
        return cls(place.bucket, place.prefix, place.store(session), f"@{socket.gethostname()}", str(place))

    @property
    def is_in_bucket(self) -> bool:
        """True for a bucket, False for a folder."""
        return bool(self.owner)

    def claimant(self, request: RecordingRequest) -> str:
        """Return the owner under which this command claims a recording.

        The next run after a kill has the same one, and takes the claim over.
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
