"""Places of recordings: a folder, or a prefix of a bucket that is read with the user's own credentials.

Paths are relative to the place, with `/` between their parts. Nothing here writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.output.extras import needs
from connect_audio_cli.recordings.location import S3_SCHEME, Location

SHOWN: Final = (".wav", ".json", ".vtt")
"""Endings of the files that are served: any other file of a place stays unseen."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file of a place.

    Args:
        path: its path in the place.
        size: bytes.
        version: changes with its content.
    """

    path: str
    size: int
    version: str


class Readable(Protocol):
    """A part of a file, open for reading."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...


class Store(Protocol):
    """A place of recordings."""

    name: str

    def children(self, folder: str) -> tuple[list[str], list[Item]]:
        """Return the folders and the files in a folder, sorted by name.

        Args:
            folder: its path, empty for the place itself.
        """
        ...

    def item(self, path: str) -> Item | None:
        """Return a file, None if there is none that is served."""
        ...

    def open(self, item: Item, start: int, length: int) -> AbstractContextManager[Readable]:
        """Open a part of a file for reading."""
        ...

    def location(self, path: str) -> Location:
        """Return the location of a file."""
        ...


class FolderStore:
    """A folder of this machine.

    Args:
        root: the folder.

    Raises:
        CommandError: it is no folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise CommandError(f"{printable(str(root))}: is no folder")
        self._root = Path(os.path.realpath(root))
        self.name = str(root)

    def children(self, folder: str) -> tuple[list[str], list[Item]]:
        """Return the folders and the files in a folder, without links that lead out of the place."""
        path = self._inside(folder)
        if path is None or not path.is_dir():
            return [], []
        names = sorted(each.name for each in path.iterdir() if not each.name.startswith("."))
        paths = [f"{folder}/{name}" if folder else name for name in names]
        folders = [each for each in paths if (found := self._inside(each)) and found.is_dir()]
        return folders, [item for each in paths if (item := self.item(each))]

    def item(self, path: str) -> Item | None:
        """Return a file inside the folder, None for anything else."""
        found = self._inside(path)
        if found is None or not path.endswith(SHOWN) or not found.is_file():
            return None
        facts = found.stat()
        return Item(path, facts.st_size, f"{facts.st_mtime_ns:x}-{facts.st_size:x}")

    @contextmanager
    def open(self, item: Item, start: int, length: int) -> Iterator[Readable]:
        """Open a part of a file."""
        path = self._inside(item.path)
        if path is None:
            raise CommandError(f"{printable(item.path)}: is not there")
        try:
            file = path.open("rb")
        except OSError as error:
            raise CommandError(f"{printable(item.path)}: {describe(error)}") from error
        with file:
            file.seek(start)
            yield _Limited(file, length)

    def location(self, path: str) -> Location:
        """Return the location of a file."""
        return Location(str(self._root / path))

    def _inside(self, path: str) -> Path | None:
        """Return the real path of a file or folder, None if it lies outside or has a hidden part."""
        if "\0" in path or any(part.startswith(".") for part in path.split("/")):
            return None
        real = Path(os.path.realpath(self._root / path))
        return real if real == self._root or self._root in real.parents else None


class BucketStore:
    """A prefix of a bucket.

    Args:
        place: `s3://bucket/prefix`.

    Raises:
        CommandError: it names no bucket, boto3 is not installed, or no client can be made.
    """

    def __init__(self, place: str) -> None:
        self._bucket, _, prefix = place.removeprefix(S3_SCHEME).partition("/")
        if not self._bucket:
            raise CommandError(f"{printable(place)}: names no bucket: s3://BUCKET/PREFIX is expected")
        self._prefix = prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""
        self.name = place
        with needs("s3://"):
            import boto3  # noqa: PLC0415 - a folder does without it
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        self._failures = (BotoCoreError, ClientError)
        try:
            self._s3: Any = boto3.client("s3")
        except BotoCoreError as error:
            raise CommandError(f"{printable(place)}: {printable(str(error))}") from error

    def children(self, folder: str) -> tuple[list[str], list[Item]]:
        """Return the folders and the files below a prefix."""
        prefix = self._prefix + (f"{folder}/" if folder else "")
        folders, items = [], []
        with self._translated(folder):
            for page in self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            ):
                folders += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
                items += [
                    Item(each["Key"][len(self._prefix) :], each["Size"], each["ETag"].strip('"'))
                    for each in page.get("Contents", [])
                    if each["Key"].endswith(SHOWN)
                ]
        return [each[len(self._prefix) :].rstrip("/") for each in folders], items

    def item(self, path: str) -> Item | None:
        """Return an object, None if there is none."""
        if not path.endswith(SHOWN) or ".." in path.split("/"):
            return None
        try:
            facts = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + path)
        except self._failures as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if code in {"404", "NoSuchKey"}:
                return None
            raise self._failure(path, error) from error
        return Item(path, facts["ContentLength"], facts["ETag"].strip('"'))

    @contextmanager
    def open(self, item: Item, start: int, length: int) -> Iterator[Readable]:
        """Open a part of an object; left early, the rest of its body is not read."""
        span = {"Range": f"bytes={start}-{start + length - 1}"} if (start, length) != (0, item.size) and length else {}
        with self._translated(item.path):
            body = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + item.path, **span)["Body"]
            with closing(body):
                yield body

    def location(self, path: str) -> Location:
        """Return the location of an object."""
        return Location(f"{S3_SCHEME}{self._bucket}/{self._prefix}{path}")

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            raise self._failure(path, error) from error

    def _failure(self, path: str, error: Exception) -> CommandError:
        code = getattr(error, "response", {}).get("Error", {}).get("Code") or str(error)
        return CommandError(f"{printable(self.name)}/{printable(path)}: cannot be read: S3 answers {printable(code)}")


def open_store(place: str) -> Store:
    """Open a folder or `s3://bucket/prefix`.

    Raises:
        CommandError: there is no such place.
    """
    return BucketStore(place) if place.startswith(S3_SCHEME) else FolderStore(Path(place))


class _Limited:
    """The next bytes of a file, so many and no more."""

    def __init__(self, file: Readable, length: int) -> None:
        self._file = file
        self._left = length

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data
