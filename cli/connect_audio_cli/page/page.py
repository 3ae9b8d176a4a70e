"""Makes the page of a recording: reads WAV, manifest and transcript, and writes one HTML file.

How it works. The WAV is read twice: once for its outline, a minute at a time, once to embed it, in pieces. The HTML
goes into an `AtomicFile`. So memory does not grow with the call, but for its outline: 0.7 MB an hour.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, describe, printable
from connect_audio_cli.page.document import write_page
from connect_audio_cli.page.facts import call_facts
from connect_audio_cli.page.outline import Outline, outline_of
from connect_audio_cli.page.transcript import beside, read_transcript


class AudioChoice(StrEnum):
    """The way in which a page gets its audio."""

    EMBED = "embed"
    """FLAC inside the page where soundfile is installed, else WAV."""
    WAV = "wav"
    FLAC = "flac"
    BESIDE = "beside"
    """The WAV stays where it is; a browser plays it from there, but cannot take the parties apart."""


@dataclass(frozen=True, slots=True)
class Made:
    """A page that was made.

    Args:
        path: the page.
        size: its size, bytes.
        facts: facts that it shows, as `call_facts` gives it.
        transcript: transcript whose words are on it; None for none.
    """

    path: Path
    size: int
    facts: Mapping[str, Any]
    transcript: Path | None


_MIME: Final = {AudioChoice.WAV: "audio/wav", AudioChoice.FLAC: "audio/flac"}


def make_page(
    wav: Path,
    output: Path,
    *,
    audio: AudioChoice = AudioChoice.EMBED,
    transcript: Path | None = None,
    force: bool = False,
) -> Made:
    """Make the page of a recording.

    Args:
        wav: the recording; its manifest and its transcript are taken if they lie beside it.
        output: the page.
        audio: the way in which it gets its audio.
        transcript: another transcript than the one beside the recording.
        force: replace a file that is there.

    Raises:
        CommandError: the WAV, its manifest or transcript cannot be read, or the page not be written.
    """
    if output.exists() and not force:
        raise CommandError(f"{printable(str(output))} exists: --force replaces it")
    try:
        with wav.open("rb") as file:
            outline = outline_of(file, printable(str(wav)))
    except OSError as error:
        raise CommandError(f"{printable(str(wav))}: {describe(error)}") from error
    words = transcript or beside(wav)
    kind = _kind(audio)
    facts = call_facts(
        outline,
        _manifest(wav),
        read_transcript(words) if words else [],
        name=wav.stem,
        audio=_audio(kind, wav, output),
    )
    with _embedded(kind, wav, outline) as embedded, AtomicFile(output) as page:
        write_page(
            page.write,
            facts,
            title=_title(facts),
            media="blob:" if embedded else "'self' file:",
            audio=embedded,
        )
        page.seal()
        page.publish()
    return Made(output, output.stat().st_size, facts, words)


def _kind(audio: AudioChoice) -> AudioChoice:
    if audio is not AudioChoice.EMBED:
        return audio
    return AudioChoice.FLAC if find_spec("soundfile") else AudioChoice.WAV


def _audio(kind: AudioChoice, wav: Path, output: Path) -> dict[str, str]:
    if kind is AudioChoice.BESIDE:
        way = os.path.relpath(wav.absolute(), output.absolute().parent)
        return {"kind": "beside", "format": "WAV", "name": wav.name, "source": quote(way)}
    name = wav.with_suffix(f".{kind}").name
    return {"kind": "embedded", "format": kind.upper(), "name": name, "mime": _MIME[kind]}


def _title(facts: Mapping[str, Any]) -> str:
    return f"Call {facts['contactId'] or facts['name']}"


def _manifest(wav: Path) -> dict[str, Any] | None:
    path = wav.with_suffix(".json")
    if not path.is_file():
        return None
    manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return manifest


@contextmanager
def _embedded(kind: AudioChoice, wav: Path, outline: Outline) -> Iterator[IO[bytes] | None]:
    """Open the audio that goes into the page."""
    if kind is AudioChoice.BESIDE:
        yield None
    elif kind is AudioChoice.WAV:
        with wav.open("rb") as file:
            yield file
    else:
        import soundfile  # noqa: PLC0415 - it imports numpy, which WAV does without

        with tempfile.TemporaryFile() as file:
            with (
                soundfile.SoundFile(wav) as source,
                soundfile.SoundFile(file, "w", outline.rate, outline.channels, "PCM_16", format="FLAC") as target,
            ):
                while data := source.buffer_read(65536, dtype="int16"):
                    target.buffer_write(bytes(data), dtype="int16")
            file.seek(0)
            yield file
