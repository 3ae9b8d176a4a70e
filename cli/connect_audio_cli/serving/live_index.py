"""The segments of a call from a number on, out of its index: a reader that polls gets what is new and no more."""

from __future__ import annotations

import json
from typing import Any, Final

from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.serving.stores import Store

_MOST_SEGMENTS: Final = 600
"""Segments of one answer: a page of the index. A reader that is further behind asks again."""
_MOST_BYTES: Final = 4 * 1024 * 1024
"""A page of 600 segments has about 110 kB."""
_FACTS: Final = ("contactId", "startTime", "segmentSeconds", "layout", "sampleRate", "state", "durationSeconds")


def segments_from(store: Store, folder: str, first: int) -> dict[str, Any] | None:
    """Return the head's facts and the segments from a number on; None if there is no index.

    Args:
        store: the place.
        folder: the folder of the segments.
        first: the first number; a negative one counts from the newest.

    Raises:
        CommandError: the index cannot be read.
    """
    head = _read(store, f"{folder}/index.json")
    if head is None:
        return None
    try:
        wanted = [page for page in head["pages"] if first < 0 or page["first"] + head["segmentsPerPage"] > first]
        found: list[dict[str, Any]] = []
        for page in wanted[-1:] if first < 0 else wanted:
            listed = _read(store, f"{folder}/{page['name']}") or {"segments": []}
            found += [segment for segment in listed["segments"] if first < 0 or segment["number"] >= first]
            if len(found) >= _MOST_SEGMENTS:
                break
        kept = found[first:] if first < 0 else found[:_MOST_SEGMENTS]
        return {**{name: head.get(name) for name in _FACTS}, "segments": kept}
    except (KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{folder}/index.json is no index of segments") from error


def _read(store: Store, path: str) -> Any:
    item = store.item(path)
    if item is None:
        return None
    with store.open(item, 0, item.size) as file:
        data = file.read(_MOST_BYTES)
    try:
        return json.loads(data)
    except ValueError as error:
        raise CommandError(f"{path} is no JSON") from error
