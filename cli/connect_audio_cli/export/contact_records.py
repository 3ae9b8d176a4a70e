"""Calls out of Amazon Connect's contact records, as Firehose writes them: JSON objects one behind the other, or gzip.

A record comes again with each update, and its newest copy counts. Its times are whole seconds, while the functions'
keys have the event's milliseconds. So a row of a record begins within a second (`Row.slack_ms`).
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from connect_audio_cli.export.streaming_entries import rows_of_entries
from connect_audio_cli.output.command_error import CommandError, describe, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from boto3 import Session

    from connect_audio_cli.export.rows import Row

_S3: Final = "s3://"
_GZIP: Final = b"\x1f\x8b"
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def rows_of_records(place: str, session: Session) -> list[Row]:
    """Read the calls with live media streaming out of contact records.

    Args:
        place: a file, a folder, or `s3://BUCKET/PREFIX`.
        session: gives credentials.

    Returns:
        The calls in the order of their starts, each once.

    Raises:
        CommandError: a file cannot be read, or holds no JSON objects; the message names it.
        BotoCoreError: S3 cannot be asked.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for name, data in _objects(place, session) if place.startswith(_S3) else _files(Path(place)):
        for record in _records(name, data):
            contact_id = record.get("ContactId")
            if isinstance(contact_id, str) and _updated(record) >= _updated(newest.get(contact_id, {})):
                newest[contact_id] = record
    rows = {(row.stream, row.start_ms): row for record in newest.values() for row in _rows(record)}
    return sorted(rows.values(), key=lambda row: row.start_ms)


def _updated(record: Mapping[str, Any]) -> str:
    # Times of one form: their order is the texts' order.
    return str(record.get("LastUpdateTimestamp") or "")


def _rows(record: Mapping[str, Any]) -> Iterator[Row]:
    instance = record.get("InstanceARN")
    return rows_of_entries(
        record.get("Recordings"), record["ContactId"], instance if isinstance(instance, str) else None
    )


def _records(name: str, data: bytes) -> Iterator[Mapping[str, Any]]:
    """Read the objects of a file; Firehose need not put a line break between them."""
    decoder = json.JSONDecoder()
    try:
        text = (gzip.decompress(data) if data.startswith(_GZIP) else data).decode("utf-8-sig")
        at = _end_of_space(text, 0)
        while at < len(text):
            record, at = decoder.raw_decode(text, at)
            if not isinstance(record, dict):
                raise TypeError("no object")
            yield record
            at = _end_of_space(text, at)
    except (OSError, EOFError, zlib.error, ValueError, TypeError, RecursionError) as error:
        raise CommandError(f"{printable(name)} holds no contact records: JSON objects, or gzip of them") from error


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    try:
        paths = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        for path in paths:
            yield str(path), path.read_bytes()
    except OSError as error:
        raise CommandError(f"{printable(str(place))}: {describe(error)}") from error


def _objects(place: str, session: Session) -> Iterator[tuple[str, bytes]]:
    bucket, _, prefix = place.removeprefix(_S3).partition("/")
    with closing(session.client("s3")) as client:
        try:
            pages: Iterable[Any] = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for page in pages:
                for each in page.get("Contents", []):
                    with client.get_object(Bucket=bucket, Key=each["Key"])["Body"] as body:
                        yield f"{_S3}{bucket}/{each['Key']}", body.read()
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "an error")
            raise CommandError(f"{printable(place)}: S3 answers {printable(str(code))}") from error
