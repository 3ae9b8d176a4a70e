"""A folder as the recorder's `PartStore`: the same keys, conditional writes and uploads as in a bucket.

An object appears under its name only once it is whole. Metadata, open uploads and unfinished files lie in
`.connect-audio` at the top of the folder. A killed run leaves them there, and the next run of the same call uses or
removes them.

*How it works.* A file is written under a passing name and renamed. A change that depends on what is there holds the
folder's lock (`folder_lock.py`). So two commands in one folder meet as two programs in one bucket do.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final

from connect_audio.core.errors import StorageError
from connect_audio.ports import ObjectBody, ObjectHead, ObjectKind, UploadedPart, WriteOutcome
from connect_audio_cli.export.folder_lock import FolderLock
from connect_audio_cli.output.passing_file import create_passing, remove_leftovers

_WORK: Final = ".connect-audio"
_KEY_FILE: Final = "key.json"


class FolderStore:
    """One folder, which is made where missing. Threads may share the store, and processes the folder.

    Args:
        folder: its path.

    Every method raises `StorageError` for what the file system refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work = folder / _WORK
        # Also: a folder that one makes for a file is not removed as empty by another before the file is in it.
        self._lock = FolderLock(self._work / "lock")
        # Files of killed processes are looked for once.
        self._is_clean = False

    def put(self, key: str, body: ObjectBody, kind: ObjectKind) -> None:
        """Write an object, replacing any."""
        with self._failures(key), self._passing(body) as passing, self._lock.held():
            self._keep_metadata(key, kind.metadata)
            passing.replace(self._made(key))

    def put_new(self, key: str, body: ObjectBody, kind: ObjectKind) -> WriteOutcome:
        """Write an object only where the key is free."""
        with self._failures(key), self._passing(body) as passing:
            return self._publish(key, passing, kind.metadata)

    def replace(self, key: str, body: ObjectBody, kind: ObjectKind, etag: str) -> WriteOutcome:
        """Write an object only in the place of one version."""
        with self._failures(key), self._passing(body) as passing:
            return self._exchange(key, passing, kind.metadata, etag)

    def get(self, key: str, *, headroom: int = 0) -> bytearray:
        """Read a whole object behind so many zero bytes."""
        with self._failures(key):
            return bytearray(headroom) + self._path(key).read_bytes()

    def head(self, key: str) -> ObjectHead | None:
        """Return size and metadata; None if there is no such object."""
        # Nothing is written where there is nothing.
        held = self._lock.held() if self._work.is_dir() else nullcontext()
        with self._failures(key), held:
            path = self._path(key)
            if not path.is_file():
                return None
            metadata = {}
            with suppress(FileNotFoundError):
                metadata = json.loads(self._metadata(key).read_text())
            return ObjectHead(path.stat().st_size, metadata, _etag(path))

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, and the folders that become empty; a missing one is no error."""
        for key in keys:
            with self._failures(key), self._lock.held():
                self._remove(key)

    def delete_version(self, key: str, etag: str) -> None:
        """Delete an object if it is one version; another version stays, and a missing one is no error."""
        with self._failures(key), self._lock.held():
            path = self._path(key)
            if path.is_file() and _etag(path) == etag:
                self._remove(key)

    def list_keys(self, prefix: str) -> Sequence[str]:
        """Return all keys under a prefix, in order."""
        with self._failures(prefix):
            return sorted(
                key for each in self._level(prefix) for key in (self._below(each) if each.endswith("/") else (each,))
            )

    def list_level(self, prefix: str) -> Sequence[str]:
        """Return the keys under a prefix that have no further `/`, and the folders there, ending in `/`, in order."""
        with self._failures(prefix):
            return sorted(self._level(prefix))

    def create_upload(self, key: str, kind: ObjectKind) -> str:
        """Create an upload to `key` and return its id."""
        with self._failures(key):
            upload_id = secrets.token_hex(8)
            path = self._upload(upload_id)
            path.mkdir(parents=True)
            with self._passing(json.dumps({"key": key, "metadata": dict(kind.metadata)}).encode()) as passing:
                passing.replace(path / _KEY_FILE)
            return upload_id

    def find_uploads(self, key: str) -> Sequence[str]:
        """Return the ids of the open uploads to exactly `key`."""
        with self._failures(key):
            return sorted(
                path.parent.name for path in self._work.glob(f"uploads/*/{_KEY_FILE}") if _key_in(path) == key
            )

    def upload_part(
        self, key: str, upload_id: str, number: int, body: ObjectBody, *, crc32: int | None = None
    ) -> UploadedPart:
        """Write (or replace) one part."""
        crc = zlib.crc32(body)
        if crc32 not in (None, crc):
            raise StorageError("BadDigest", f"part {number} of {key} is not what was to be written", retryable=True)
        with self._failures(key):
            self._upload_of(key, upload_id)
            with self._passing(body) as passing:
                passing.replace(self._part(upload_id, number))
        checksum = base64.b64encode(crc.to_bytes(4, "big")).decode()
        return UploadedPart(number=number, etag=f'"{crc:08x}"', size=len(body), checksum_crc32=checksum)

    def complete_upload(
        self, key: str, upload_id: str, parts: Sequence[UploadedPart], *, replaces: str | None = None
    ) -> WriteOutcome:
        """Join the parts into the object, only where the key is free or has the version that is to be replaced."""
        with self._failures(key):
            metadata = self._upload_of(key, upload_id)
            with self._passing(b"") as joined:
                with joined.open("wb") as whole:
                    for each in parts:
                        with self._part(upload_id, each.number).open("rb") as part:
                            shutil.copyfileobj(part, whole)
                if replaces is None:
                    outcome = self._publish(key, joined, metadata)
                else:
                    outcome = self._exchange(key, joined, metadata, replaces)
            if outcome is WriteOutcome.WRITTEN:
                # Another program may abort it at this moment.
                shutil.rmtree(self._upload(upload_id), ignore_errors=True)
            return outcome

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an upload; one that is gone is no error."""
        with self._failures(key):
            shutil.rmtree(self._upload(upload_id), ignore_errors=True)

    # --- files ---

    def _level(self, prefix: str) -> Iterator[str]:
        """Give one level of keys.

        A day's folder has the files of all its calls, and each call looks for its own. So no other call's file gets a
        `Path`.
        """
        folder, slash, begin = prefix.rpartition("/")
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._folder / folder) as entries:
            for each in entries:
                if each.name.startswith(begin) and (folder or each.name != _WORK):
                    yield f"{folder}{slash}{each.name}" + ("/" if each.is_dir() else "")

    def _below(self, folder: str) -> Iterator[str]:
        """Give all keys below a folder, which ends in `/`."""
        for each in self._level(folder):
            if each.endswith("/"):
                yield from self._below(each)
            else:
                yield each

    def _path(self, key: str) -> Path:
        path = self._folder / key
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise StorageError("InvalidKey", "a key leads out of the folder", retryable=False)
        return path

    def _made(self, key: str) -> Path:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _metadata(self, key: str) -> Path:
        return self._work / "metadata" / f"{key}.json"

    def _upload(self, upload_id: str) -> Path:
        return self._work / "uploads" / upload_id

    def _part(self, upload_id: str, number: int) -> Path:
        return self._upload(upload_id) / f"{number:05d}.part"

    def _upload_of(self, key: str, upload_id: str) -> dict[str, str]:
        """Return the metadata of an open upload."""
        try:
            found = json.loads((self._upload(upload_id) / _KEY_FILE).read_text())
        except FileNotFoundError:
            found = {}
        if found.get("key") != key:
            raise StorageError("NoSuchUpload", f"there is no upload {upload_id} of {key}", retryable=False)
        metadata: dict[str, str] = found["metadata"]
        return metadata

    @contextmanager
    def _passing(self, body: ObjectBody) -> Iterator[Path]:
        """Write a file of a passing name. It is gone at the end, if it was not renamed."""
        self._work.mkdir(parents=True, exist_ok=True)
        if not self._is_clean:
            remove_leftovers(self._work)
            self._is_clean = True
        path, descriptor = create_passing(self._work)
        with os.fdopen(descriptor, "wb") as file:
            try:
                file.write(body)
                file.flush()
                yield path
            finally:
                path.unlink(missing_ok=True)

    def _publish(self, key: str, path: Path, metadata: Mapping[str, str]) -> WriteOutcome:
        """Give a whole file its name, if no file has it."""
        with self._lock.held():
            target = self._made(key)
            if target.exists():
                return WriteOutcome.EXISTS
            # Before the file: a run that is killed between the two finds no file. In the other order, its next run
            # would find a recording that seems to be another one's.
            self._keep_metadata(key, metadata)
            try:
                os.link(path, target)
            except FileExistsError:
                # Another program wrote it, which knows nothing of the lock.
                self._keep_metadata(key, {})
                return WriteOutcome.EXISTS
        return WriteOutcome.WRITTEN

    def _exchange(self, key: str, path: Path, metadata: Mapping[str, str], etag: str) -> WriteOutcome:
        """Give a whole file the name of another one, if that one is the version that is meant."""
        with self._lock.held():
            target = self._path(key)
            if not target.is_file() or _etag(target) != etag:
                return WriteOutcome.CHANGED
            # Before the file: a run that is killed between the two finds no recording of its own.
            self._keep_metadata(key, {})
            path.replace(target)
            self._keep_metadata(key, metadata)
        return WriteOutcome.WRITTEN

    def _keep_metadata(self, key: str, metadata: Mapping[str, str]) -> None:
        path = self._metadata(key)
        if not metadata:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._passing(json.dumps(dict(metadata)).encode()) as passing:
            passing.replace(path)

    def _remove(self, key: str) -> None:
        for path in (self._path(key), self._metadata(key)):
            path.unlink(missing_ok=True)
            self._remove_empty(path.parent)

    def _remove_empty(self, folder: Path) -> None:
        with suppress(OSError):
            while folder not in {self._folder, folder.parent}:
                folder.rmdir()
                folder = folder.parent

    @contextmanager
    def _failures(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise StorageError("NoSuchKey", f"there is no {key}", retryable=False) from error
        except OSError as error:
            message = f"{key}: {error.strerror or type(error).__name__}"
            raise StorageError(type(error).__name__, message, retryable=False) from error


def _key_in(path: Path) -> str | None:
    """Return the key of an open upload; None if it is ended at this moment."""
    with suppress(FileNotFoundError):
        key: str = json.loads(path.read_text())["key"]
        return key
    return None


def _etag(path: Path) -> str:
    """Return the name of a file's version: each write makes a file of its own."""
    found = path.stat()
    return f'"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"'
