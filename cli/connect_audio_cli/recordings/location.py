"""The place of a recording's file: a path, or an object in S3 that is read with the user's own credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.extras import needs

S3_SCHEME: Final = "s3://"
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


class ByteReader:
    """An open file or the body of an object, read forward alone.

    Args:
        name: its name in messages.
        raw: the file or the body.
        failures: the errors of its reads.
    """

    def __init__(self, name: str, raw: RawReader, failures: tuple[type[Exception], ...]) -> None:
        self._name = name
        self._raw = raw
        self._failures = failures

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end.

        Raises:
            CommandError: it cannot be read.
        """
        found: list[bytes] = []
        try:
            while size and (data := self._raw.read(size)):
                found.append(data)
                size -= len(data)
        except self._failures as error:
            why = describe(error) if isinstance(error, OSError) else printable(str(error))
            raise CommandError(f"{self._name}: cannot be read: {why}") from error
        return b"".join(found)


class RawReader(Protocol):
    """A binary file, or the body of an answer."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...


class NotThereError(CommandError):
    """There is no such file or object."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file or an object in S3.

    Args:
        text: its path, or its `s3://bucket/key`.
    """

    text: str

    @property
    def is_s3(self) -> bool:
        """True for an object in S3."""
        return self.text.startswith(S3_SCHEME)

    @property
    def name(self) -> str:
        """The name in messages."""
        return printable(self.text)

    @property
    def suffix(self) -> str:
        """The ending of the name, such as `.wav`, in small letters."""
        return PurePosixPath(self.text).suffix.lower()

    def beside(self, suffix: str) -> Location:
        """Return the file or object of the same name with another ending."""
        stem = self.text.removesuffix(PurePosixPath(self.text).suffix)
        return Location(stem + suffix)

    def files(self) -> list[Path]:
        """Return the files that a command reads of this recording: itself, its manifest and transcript; none in S3."""
        if self.is_s3:
            return []
        return [Path(each.text) for each in (self, self.beside(".json"), self.beside(".transcript.json"))]

    @contextmanager
    def open(self) -> Iterator[ByteReader]:
        """Open it for reading.

        Raises:
            NotThereError: it does not exist.
            CommandError: it cannot be read.
        """
        if self.is_s3:
            with self._open_object() as body:
                yield body
            return
        try:
            file = Path(self.text).open("rb")  # noqa: SIM115 - closed below
        except FileNotFoundError as error:
            raise NotThereError(f"{self.name}: cannot be read: {describe(error)}") from error
        except (OSError, ValueError) as error:
            raise self._unreadable(describe(error) if isinstance(error, OSError) else str(error)) from error
        with file:
            yield ByteReader(self.name, file, (OSError,))

    @contextmanager
    def _open_object(self) -> Iterator[ByteReader]:
        bucket, _, key = self.text.removeprefix(S3_SCHEME).partition("/")
        if not bucket or not key:
            raise CommandError(f"{self.name}: names no object: s3://BUCKET/KEY is expected")
        with needs("s3://"):
            import boto3  # noqa: PLC0415 - files do without it
            from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415
        with ExitStack() as cleanup:
            try:
                s3 = cleanup.enter_context(closing(boto3.client("s3")))
                body = cleanup.enter_context(closing(s3.get_object(Bucket=bucket, Key=key)["Body"]))
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "unknown error")
                kind = NotThereError if code in _ABSENT else CommandError
                raise kind(f"{self.name}: cannot be read: S3 answers {printable(code)}") from error
            except (BotoCoreError, HTTPClientError, ValueError) as error:
                raise self._unreadable(printable(str(error))) from error
            yield ByteReader(self.name, body, (BotoCoreError, HTTPClientError, OSError))

    def _unreadable(self, why: str) -> CommandError:
        return CommandError(f"{self.name}: cannot be read: {why}")
