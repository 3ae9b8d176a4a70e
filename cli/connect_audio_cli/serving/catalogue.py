"""The recordings of a place: found by their names, newest first, and described by their manifests.

How it works. Names alone say what is there: `x.wav`, `x.json`, `x.segments/`. Folders are looked into from the last
name to the first, which is from the newest day to the oldest, until enough recordings are found. A manifest is read
when its row is shown, and kept until the file changes.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import Any, Final

from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.page.page import TRANSCRIPTS
from connect_audio_cli.serving.stores import Item, Store

MOST_RECORDINGS: Final = 1000
"""Recordings of a list. A longer list is of no use: a narrower place shows older ones."""
_MOST_DEPTH: Final = 12
"""Folders within each other: beyond it lies no recording of this project."""
_MOST_FACTS: Final = 5000
"""Manifests whose facts are kept."""
_MOST_MANIFEST_BYTES: Final = 16 * 1024 * 1024
SEGMENTS: Final = ".segments"
_WORDS: Final = ".words"
_NAME: Final = re.compile(r"(?P<contact>.+)_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording, or a call that is going on.

    Args:
        path: path without an ending; the folder of segments if there is nothing else.
        wav: the WAV; None if there is none yet.
        manifest: the manifest; None if there is none yet.
        segments: folder of its segments; None if there is none.
        transcript: its words; None if there are none yet.
    """

    path: str
    wav: Item | None
    manifest: Item | None
    segments: str | None
    transcript: Item | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry as the list reads it."""
        name = self.path.rsplit("/", 1)[-1]
        found = _NAME.fullmatch(name)
        day = "{}-{}-{}T{}:{}:{}.{}Z".format(*found.groups()[1:]) if found else None
        return {
            "path": self.path,
            "name": found["contact"] if found else name,
            "startTime": day,
            "sizeBytes": self.wav.size if self.wav else None,
            "hasPage": self.wav is not None,
            "hasManifest": self.manifest is not None,
            "hasWords": self.transcript is not None,
            "segments": self.segments,
        }


@dataclass(slots=True)
class Catalogue:
    """The recordings of a place.

    Args:
        store: the place.
    """

    store: Store
    _facts: OrderedDict[tuple[str, str], Mapping[str, Any]] = field(default_factory=OrderedDict)
    _transcripts: Mapping[str, Item] | None = None
    _lock: Lock = field(default_factory=Lock)

    def entries(self) -> tuple[list[Entry], bool]:
        """Return the newest recordings, and True if there are more."""
        found = list(islice(self._below("", 0), MOST_RECORDINGS + 1))
        listed = found[:MOST_RECORDINGS]
        self._transcripts = {entry.path: entry.transcript for entry in listed if entry.transcript}
        return listed, len(found) > MOST_RECORDINGS

    def transcript(self, path: str) -> Item | None:
        """Return the transcript of a recording as it was when the list was last made: a search asks S3 for no list.

        Args:
            path: path of its entry.
        """
        if self._transcripts is None:
            self.entries()
        return (self._transcripts or {}).get(path)

    def facts(self, entry_paths: Iterable[str]) -> dict[str, Any]:
        """Describe recordings.

        Args:
            entry_paths: paths of their entries.

        Returns:
            By path: status, start, length and contact; None for one that cannot be read.
        """
        return {path: self._described(path) for path in entry_paths}

    def _below(self, folder: str, depth: int) -> Iterator[Entry]:
        folders, items = self.store.children(folder)
        by_path = {item.path: item for item in items}
        if f"{folder}/index.json".lstrip("/") in by_path and any(_is_index_page(path) for path in by_path):
            # Segments that `replay --segments` wrote into a folder of any name.
            yield Entry(folder, None, None, folder)
            return
        segments = {each.removesuffix(SEGMENTS): each for each in folders if each.endswith(SEGMENTS)}
        wavs = {path.removesuffix(".wav") for path in by_path if path.endswith(".wav")}
        manifests = {
            path.removesuffix(".json")
            for path in by_path
            if path.endswith(".json") and not path.endswith(".transcript.json")
        }
        for stem in sorted(wavs | manifests | set(segments), reverse=True):
            yield Entry(
                stem,
                by_path.get(f"{stem}.wav"),
                by_path.get(f"{stem}.json"),
                segments.get(stem),
                next((by_path[stem + ending] for ending in TRANSCRIPTS if stem + ending in by_path), None),
            )
        for each in sorted(folders, reverse=True):
            if depth < _MOST_DEPTH and not each.endswith((SEGMENTS, _WORDS)):
                yield from self._below(each, depth + 1)

    def _described(self, path: str) -> Mapping[str, Any] | None:
        try:
            manifest = self.store.item(f"{path}.json")
            if manifest is not None:
                return self._kept(manifest, _manifest_facts)
            for folder in (path + SEGMENTS, path):
                head = self.store.item(f"{folder}/index.json")
                if head is not None:
                    return self._kept(head, _segment_facts)
        except CommandError:
            return None
        return None

    def _kept(self, item: Item, read: Any) -> Mapping[str, Any] | None:
        key = (item.path, item.version)
        with self._lock:
            if key in self._facts:
                self._facts.move_to_end(key)
                return self._facts[key]
        with self.store.open(item, 0, item.size) as file:
            data = file.read(_MOST_MANIFEST_BYTES)
        try:
            facts: Mapping[str, Any] = read(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        with self._lock:
            self._facts[key] = facts
            while len(self._facts) > _MOST_FACTS:
                self._facts.popitem(last=False)
        return facts


def _is_index_page(path: str) -> bool:
    return re.fullmatch(r"(?:.*/)?index-\d{5,}\.json", path) is not None


def _manifest_facts(manifest: Any) -> dict[str, Any]:
    recording = manifest["recording"] or {}
    return {
        "status": str(manifest["status"]),
        "contactId": str(manifest["contactId"]),
        "startTime": recording.get("startTime") or manifest.get("startTimestamp"),
        "durationSeconds": recording.get("durationSeconds"),
        "reasons": [str(reason["code"]) for reason in manifest["reasons"]],
    }


def _segment_facts(head: Any) -> dict[str, Any]:
    return {
        "status": "live" if head["state"] == "live" else "segments",
        "contactId": str(head["contactId"]),
        "startTime": head["startTime"],
        "durationSeconds": head["durationSeconds"],
        "reasons": [],
    }
