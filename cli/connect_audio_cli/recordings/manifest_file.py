"""A manifest read for people: of the present version or an older one, and checked before a command shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from connect_audio.core.pcm import PARTIES
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.recordings.gaps import gaps_of
from connect_audio_cli.recordings.location import Location, NotThereError

MAX_BYTES: Final = 16 * 1024 * 1024
"""The largest manifest that is read. 1000 gaps and 100 errors with the longest numbers take 1 MiB."""
_MAJORS: Final = ("1", "2")
"""Major versions of the manifest whose gaps, tracks and reasons have the places that the commands read."""


def read_manifest(location: Location) -> dict[str, Any]:
    """Read a manifest.

    Raises:
        NotThereError: it does not exist.
        CommandError: it cannot be read, is no manifest, or of a version that this command does not know.
    """
    with location.open() as file:
        data = file.read(MAX_BYTES + 1)
    return manifest_of(data, location.name)


def manifest_of(data: bytes, name: str) -> dict[str, Any]:
    """Return the manifest that some bytes are.

    Args:
        data: a file's or an object's content.
        name: its name in messages.

    Raises:
        CommandError: it is no manifest, or of a version that this command does not know.
    """
    if len(data) > MAX_BYTES:
        raise CommandError(f"{name}: is no manifest: it has more than {MAX_BYTES} bytes")
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{name}: is no manifest: {_no_json(error)}") from error
    version = manifest.get("schemaVersion") if isinstance(manifest, dict) else None
    if not isinstance(version, str):
        raise CommandError(f"{name}: is no manifest of a recording: it has no schemaVersion")
    if version.partition(".")[0] not in _MAJORS:
        raise CommandError(
            f"{name}: is of version {printable(version, 20)}, and this command reads 1 and 2: "
            "install a later connect-audio"
        )
    try:
        _check(manifest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{name}: is no manifest of a recording (docs/manifest.md)") from error
    return dict(manifest)


def _no_json(error: Exception) -> str:
    # The codec's own message speaks of bytes and positions: a capture or a WAV was named in place of a manifest.
    if isinstance(error, UnicodeDecodeError):
        return "it holds no text (a manifest is the .json beside the WAV)"
    return printable(str(error), 120)


def manifest_beside(location: Location) -> dict[str, Any] | None:
    """Read the manifest of a WAV, which has the same name with `.json`; None where it is not there.

    Raises:
        CommandError: it cannot be read.
    """
    with suppress(NotThereError):
        return read_manifest(location.beside(".json"))
    return None


def refuse_foreign(wav: Location, manifest: Mapping[str, Any] | None, *, frames: int, rate: int) -> None:
    """Refuse the manifest of another WAV: its gaps would be shown where they are not.

    Args:
        wav: the WAV.
        manifest: the manifest beside it; None where there is none.
        frames: length of the WAV.
        rate: its samples a second.

    Raises:
        CommandError: length or rate differ.
    """
    if manifest is None:
        return
    recording = manifest["recording"]
    if recording is None or (recording["frames"], recording["sampleRate"]) != (frames, rate):
        raise CommandError(f"{wav.name}: is not the WAV of {wav.beside('.json').name}, by its length or rate")


def _check(manifest: Mapping[str, Any]) -> None:
    """Read what the commands read; whatever fails here would fail in the middle of a screen."""
    for key in ("status", "endReason", "contactId"):
        if not isinstance(manifest[key], str):
            raise TypeError(key)
    recording = manifest["recording"]
    if recording is not None:
        for value in (recording["frames"], recording["sampleRate"]):
            if not isinstance(value, int) or value <= 0:
                raise ValueError(value)
    for listed in (manifest["reasons"], manifest["warnings"]):
        for each in listed:
            if not isinstance(each["code"] + each["detail"], str):
                raise TypeError(each)
    for party in PARTIES:
        if not isinstance(manifest["tracks"][party]["audioSamples"], int):
            raise TypeError(party)
    for gap in gaps_of(manifest):
        if not isinstance(gap.start_frame, int) or gap.frames < 0 or gap.start_frame < 0:
            raise ValueError(gap.start_frame)
