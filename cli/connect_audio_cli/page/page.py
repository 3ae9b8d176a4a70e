"""Makes the page of a recording: reads WAV, manifest and transcript, and writes one HTML file.

How it works. The WAV is read twice: once for its outline, a minute at a time, once to embed it, in pieces. The HTML
goes into an `AtomicFile`. So memory does not grow with the call, but for its outline: 0.7 MB an hour.
"""

from __future__ import annotations

import os
import tempfile
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final
from urllib.parse import quote

from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.output.existing import refuse_existing
from connect_audio_cli.output.inputs import refuse_inputs
from connect_audio_cli.page.document import write_page
from connect_audio_cli.page.facts import call_facts
from connect_audio_cli.page.outline import Outline, outline_of, whole_reads
from connect_audio_cli.page.transcript import MOST_BYTES, Paragraph, parse_transcript
from connect_audio_cli.recordings.encoding import AudioFormat, check_format, encode
from connect_audio_cli.recordings.location import Location, NotThereError
from connect_audio_cli.recordings.manifest_file import manifest_beside, refuse_foreign

TRANSCRIPTS: Final = (".transcript.json", ".vtt")
"""Endings of the transcripts beside a recording; JSON first, which has the time of each word."""
_READ_FRAMES: Final = 1 << 16


class AudioChoice(StrEnum):
    """The way in which a page gets its audio."""

    EMBED = "embed"
    """FLAC inside the page if soundfile is installed, else WAV."""
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
        facts: facts that it shows, as `call_facts` gives them.
        transcript: transcript whose words are on it; None for none.
    """

    path: Path
    size: int
    facts: Mapping[str, Any]
    transcript: Location | None


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as a page shows it, without its audio.

    Args:
        wav: its WAV.
        outline: outline of the WAV.
        manifest: manifest beside it; None if there is none.
        transcript: transcript beside it or a given one; None if there is none.
        turns: words of the transcript.
    """

    wav: Location
    outline: Outline
    manifest: Mapping[str, Any] | None
    transcript: Location | None
    turns: list[Paragraph]

    @property
    def stem(self) -> str:
        """The recording's name without folder and ending."""
        return PurePosixPath(self.wav.text).stem

    def facts(self, audio: Mapping[str, Any]) -> dict[str, Any]:
        """The facts for the page's script, with kind, format, name and source of the audio."""
        return call_facts(self.outline, self.manifest, self.turns, name=self.stem, audio=audio)


def read_recording(wav: Location, transcript: Location | None = None) -> Recording:
    """Read all of a recording that its page shows.

    Args:
        wav: its WAV; manifest and transcript are taken from beside it.
        transcript: another transcript than the one beside it.

    Raises:
        CommandError: something cannot be read, or manifest or transcript are another WAV's.
    """
    with wav.open() as file:
        outline = outline_of(whole_reads(file), wav.name)
    manifest = manifest_beside(wav)
    refuse_foreign(wav, manifest, frames=outline.frames, rate=outline.rate)
    found, turns = _words(wav, transcript, outline.frames / outline.rate)
    return Recording(wav, outline, manifest, found, turns)


def make_page(
    wav: Location,
    output: Path,
    *,
    audio: AudioChoice = AudioChoice.EMBED,
    transcript: Location | None = None,
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
        CommandError: the WAV, its manifest or transcript cannot be read, or the page not be written. So it is if the
            page would replace one of these.
    """
    words = [transcript] if transcript else [wav.beside(ending) for ending in TRANSCRIPTS]
    refuse_inputs([output], [path for each in (wav, *words) for path in each.files()])
    refuse_existing([output], force=force)
    recording = read_recording(wav, transcript)
    kind = _kind(audio, recording.outline)
    facts = recording.facts(_audio(kind, recording, output))
    with _embedded(kind, recording) as embedded, AtomicFile(output) as page:
        media = "blob:" if embedded else "'self' file:"
        write_page(page.write, facts, title=title_of(facts), media=media, audio=embedded)
        page.seal()
        page.publish()
    return Made(output, output.stat().st_size, facts, recording.transcript)


def title_of(facts: Mapping[str, Any]) -> str:
    """The title of a call's page."""
    return f"Call {facts['contactId'] or facts['name']}"


def _words(wav: Location, given: Location | None, seconds: float) -> tuple[Location | None, list[Paragraph]]:
    for location in [given] if given else [wav.beside(suffix) for suffix in TRANSCRIPTS]:
        try:
            with location.open() as file:
                data = file.read(MOST_BYTES + 1)
        except NotThereError:
            if given:
                raise
        else:
            return location, parse_transcript(data, location.name, seconds)
    return None, []


def _kind(audio: AudioChoice, outline: Outline) -> AudioChoice:
    if audio is AudioChoice.FLAC:
        check_format(AudioFormat.FLAC, outline.rate)
        if outline.channels == 1:
            raise CommandError("--audio flac is for recordings of two channels, and this one has one: take wav")
    if audio is not AudioChoice.EMBED:
        return audio
    return AudioChoice.FLAC if outline.channels > 1 and find_spec("soundfile") else AudioChoice.WAV


def _audio(kind: AudioChoice, recording: Recording, output: Path) -> dict[str, str]:
    if kind is AudioChoice.BESIDE:
        if recording.wav.is_s3:
            raise CommandError("--audio beside needs the WAV in a folder, not in S3")
        way = os.path.relpath(Path(recording.wav.text).absolute(), output.absolute().parent)
        return {"kind": "beside", "format": "WAV", "name": f"{recording.stem}.wav", "source": quote(way)}
    return {"kind": "embedded", "format": kind.upper(), "name": f"{recording.stem}.{kind}", "mime": f"audio/{kind}"}


@contextmanager
def _embedded(kind: AudioChoice, recording: Recording) -> Iterator[IO[bytes] | None]:
    """Open the audio that goes into the page."""
    if kind is AudioChoice.BESIDE:
        yield None
    elif kind is AudioChoice.WAV:
        with recording.wav.open() as file:
            yield whole_reads(file)
    else:
        with tempfile.TemporaryFile() as encoded:
            with recording.wav.open() as file, wave.open(whole_reads(file)) as wav:
                encode(
                    iter(lambda: wav.readframes(_READ_FRAMES), b""),
                    encoded,
                    audio_format=AudioFormat.FLAC,
                    rate=recording.outline.rate,
                    frames=recording.outline.frames,
                )
            encoded.seek(0)
            yield encoded
