"""The manifest of a backfill, written to a file or an object: the calls of an export, for Step Functions to record."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from connect_audio.recorder.backfill import items_of, lines_of
from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.output.existing import refuse_existing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boto3 import Session

    from connect_audio_cli.export.exporter import Exporter
    from connect_audio_cli.export.rows import Row

_S3: Final = "s3://"
_TYPE: Final = "application/jsonl"
_EXISTS: Final = "PreconditionFailed"


def write_manifest(rows: Sequence[Row], place: str, exporter: Exporter, *, force: bool) -> int:
    """Write a manifest.

    Args:
        rows: the calls; one that stands there twice is written once.
        place: a file, or `s3://BUCKET/KEY`.
        exporter: gives the session, and the ARNs of streams.
        force: True to replace what is there.

    Returns:
        The number of items.

    Raises:
        CommandError: there is no such stream, or the place cannot be written or is taken.
        BotoCoreError: AWS cannot be asked.
    """
    calls = {(call.stream_arn, call.start_ms): call for row in rows for call in [exporter.call(row)]}
    items = items_of(calls.values())
    text = lines_of(items).encode()
    if place.startswith(_S3):
        _put(place, text, exporter.session, force=force)
    else:
        refuse_existing([Path(place)], force=force)
        with AtomicFile(Path(place)) as file:
            file.write(text)
            file.publish()
    return len(items)


def _put(place: str, text: bytes, session: Session, *, force: bool) -> None:
    bucket, _, key = place.removeprefix(_S3).partition("/")
    if not bucket or not key or key.endswith("/"):
        raise CommandError(f"--to-manifest {printable(place, 80)} is not of the form s3://BUCKET/KEY")
    with closing(session.client("s3")) as client:
        try:
            if force:
                client.put_object(Bucket=bucket, Key=key, Body=text, ContentType=_TYPE)
            else:
                client.put_object(Bucket=bucket, Key=key, Body=text, ContentType=_TYPE, IfNoneMatch="*")
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "an error")
            if code == _EXISTS:
                raise CommandError(f"{printable(place)}: is there already (--force replaces it)") from error
            raise CommandError(f"{printable(place)}: S3 answers {printable(str(code))}") from error
