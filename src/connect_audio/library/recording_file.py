"""A recording of the stack or of `connect-audio replay`, WAV and manifest, read back into a `Call`."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from connect_audio.core.errors import CaptureError
from connect_audio.core.pcm import FRAME_BYTES, MAX_RATE, MIN_RATE, Party
from connect_audio.core.wav import HEADER_BYTES, wav_header
from connect_audio.library.call import Call, Gap
from connect_audio.text import printable

_SCHEMA: Final = "2."
"""Versions of the manifest that can be read: a new major version may rename what is read here."""


def read_recording(chunks: Iterator[bytes], path: Path, contact_id: str | None) -> Call:
    """Read a WAV and the manifest beside it, as the stack and `connect-audio replay` write them.

    Args:
        chunks: the WAV's bytes.
        path: the WAV's path; the manifest has the same name with `.json`.
        contact_id: the expected contact id; None for any.

    Raises:
        CaptureError: the manifest is missing or belongs to another WAV, or the call is another contact's.
    """
    name = printable(str(path))
    manifest = _read_manifest(path.with_suffix(".json"), name)
    if contact_id is not None and manifest["contactId"] != contact_id:
        raise CaptureError(f"{name}: is of contact {printable(str(manifest['contactId']))}, not {contact_id}")
    recording = manifest["recording"]
    data = bytearray()
    for chunk in chunks:
        data += chunk
    expected = wav_header(data_bytes=recording["frames"] * FRAME_BYTES, rate=recording["sampleRate"])
    if bytes(data[:HEADER_BYTES]) != expected or len(data) != HEADER_BYTES + recording["frames"] * FRAME_BYTES:
        raise CaptureError(
            f"{name}: is not as its manifest says, {recording['frames']} frames at {recording['sampleRate']} Hz: "
            "fetch both files again, or read the WAV with soundfile"
        )
    del data[:HEADER_BYTES]
    if f"{zlib.crc32(data):08x}" != recording["dataCrc32"]:
        raise CaptureError(
            f"{name}: its samples differ from its manifest's dataCrc32: fetch both files again, "
            "or read the WAV with soundfile"
        )
    return Call(data, manifest, gaps=_gaps(manifest))


def _read_manifest(path: Path, wav: str) -> dict[str, Any]:
    name = printable(str(path))
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CaptureError(
            f"{wav}: is a WAV, and its manifest {name} is not there: fetch it as well, or read the WAV with soundfile"
        ) from error
    except OSError as error:
        raise CaptureError(f"{name}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CaptureError(f"{name}: is no manifest: {printable(str(error))}") from error
    try:
        _check(manifest)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CaptureError(
            f"{name}: is no manifest of a recording, or not of version {_SCHEMA}x (docs/manifest.md)"
        ) from error
    return dict(manifest)


def _check(manifest: dict[str, Any]) -> None:
    """Read everything that a `Call` reads of its manifest; whatever fails here would fail in the user's hands."""
    recording = manifest["recording"]
    if not manifest["schemaVersion"].startswith(_SCHEMA):
        raise ValueError(manifest["schemaVersion"])
    for value, kind in (
        (recording["frames"], int),
        (recording["sampleRate"], int),
        (recording["dataCrc32"], str),
        (manifest["contactId"], str),
    ):
        if not isinstance(value, kind):
            raise TypeError(value)
    if not MIN_RATE <= recording["sampleRate"] <= MAX_RATE:
        raise ValueError(recording["sampleRate"])
    # Refuses a negative length, and one that no WAV has.
    wav_header(data_bytes=recording["frames"] * FRAME_BYTES, rate=recording["sampleRate"])
    call = Call(bytearray(), manifest, gaps=_gaps(manifest))
    known = (call.rate, call.start, call.status, call.reasons, call.tracks, manifest["gaps"]["count"] - len(call.gaps))
    del known


def _gaps(manifest: dict[str, Any]) -> tuple[Gap, ...]:
    return tuple(
        Gap(
            party=Party(gap["track"]),
            start_frame=gap["startFrame"],
            frames=gap["frames"],
            start_seconds=gap["startSeconds"],
            seconds=gap["frames"] / manifest["recording"]["sampleRate"],
            missing_fragments=gap["missingFragments"],
        )
        for gap in manifest["gaps"]["listed"]
    )
