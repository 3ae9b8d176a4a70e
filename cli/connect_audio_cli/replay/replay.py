"""One contact's WAV and manifest out of a capture: the core's recording between a reader of files and two files.

`connect-audio replay` uses it; tests compare it with the handlers' path. Memory does not grow with the call.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.errors import UnsupportedAudioError
from connect_audio.core.fragments import BytesLost, Fragment
from connect_audio.core.manifest import EndReason, NoteLog, RecordingFacts, build_manifest
from connect_audio.core.pcm import FRAME_BYTES, SAMPLE_BYTES, audio_tracks, level_dbfs
from connect_audio.core.recording import CallRecording
from connect_audio.core.wav import HEADER_BYTES, wav_header
from connect_audio.request import is_contact_id
from connect_audio_cli.captures import read_events
from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, printable

if TYPE_CHECKING:
    # Its imports would take as long as a plain replay of a short capture.
    from connect_audio_cli.replay.live_replay import LiveOutcome, LiveReplay

_MAX_HELD_BYTES: Final = 32 * 1024 * 1024
"""Fragments that wait for the contact's name where unlabelled ones are accepted: 17 minutes of a call."""
_COST_OF_AN_EVENT: Final = 4096
_SILENCE: Final = bytes(32 * 1024)
"""As much as a recording gives out at a time."""
_MAX_LISTED: Final = 100
"""Contacts and tracks that are remembered for messages, however many a capture holds."""
_NO_CONTACT_ID: Final = "is no contact id: 1 to 50 letters, digits and inner hyphens"
_TRACK_TYPES: Final = {1: "video", 2: "audio", 17: "subtitle"}
_NOBODY: Final = ""
"""A contact id that no fragment has: empty ContactId tags are not taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay left.

    Args:
        contact_id: whose recording.
        wav: where it lies.
        manifest_path: where the manifest lies.
        manifest: the manifest.
        levels: RMS level of the left and the right channel, dBFS; minus infinity for silence.
        other_contacts: further contacts that the capture names, the first 100.
        live: what became of live audio; None where none was wanted.
    """

    contact_id: str
    wav: Path
    manifest_path: Path
    manifest: dict[str, Any]
    levels: tuple[float, float]
    other_contacts: tuple[str, ...]
    live: LiveOutcome | None = None


def replay(
    chunks: Iterable[bytes],
    output: Path,
    *,
    name: str,
    contact_id: str | None = None,
    accept_unlabelled: bool = False,
    limit_s: int | None = None,
    live: LiveReplay | None = None,
) -> Replay:
    """Write `<output>/<contact id>.wav` and `.json`.

    Args:
        chunks: the capture's bytes; read once.
        output: the directory, made where missing.
        name: what to call the capture in messages.
        contact_id: whose audio; None for the first contact that the capture names.
        accept_unlabelled: take fragments that name no contact for this contact's.
        limit_s: longest recording, seconds; what a WAV can hold if None.
        live: gets the audio as well, and sets the pace; changes no byte of the WAV. Closed at the end.

    Raises:
        CommandError: unusable input or output; nothing was written, but what live audio had been told by then.
    """
    if contact_id is not None and not is_contact_id(contact_id):
        raise CommandError(f"--contact-id '{printable(contact_id, 60)}' {_NO_CONTACT_ID}")
    seen = _Seen()
    events = seen.watch(read_events(chunks, name, None if live is None else live.on_growth))
    if contact_id is None and accept_unlabelled:
        contact_id, events = _first_contact(events, name, seen)
    recording = CallRecording(
        contact_id or _NOBODY, accept_unlabelled=accept_unlabelled, limit_s=limit_s, watched=live is not None
    )
    wav: _WavFile | None = None
    notes = NoteLog()
    with ExitStack() as cleanup:
        if live is not None:
            cleanup.callback(live.close)
            live.hear(recording, contact_id)
        for event in events:
            if isinstance(event, BytesLost):
                recording.lose(event)
                continue
            if contact_id is None and len(event.contact_ids) == 1:
                contact_id = _as_file_name(event.contact_ids[0], name)
                recording = _named(recording, contact_id, limit_s, watched=live is not None)
                if live is not None:
                    live.hear(recording, contact_id)
            recording.add(event)
            if live is not None:
                live.begin()
            wav = _drain(recording, wav, output, contact_id, cleanup)
            if live is not None:
                # Only now, when there is a file for the WAV.
                live.confirm()
            notes = notes.extended(recording.take_notes(), recording.rate)
        recording.end()
        wav = _drain(recording, wav, output, contact_id, cleanup)
        if live is not None:
            live.end()
        cursor = recording.cursor()
        notes = notes.extended(recording.take_notes(), recording.rate)
        if contact_id is None or wav is None:
            raise CommandError(f"{name}: {seen.why_nothing(contact_id, accept_unlabelled=accept_unlabelled)}")
        heard = None if live is None else live.outcome(cursor.frames)
        wav_path, manifest_path = output / f"{contact_id}.wav", output / f"{contact_id}.json"
        facts = RecordingFacts(
            contact_id=contact_id,
            recording=wav_path.name,
            end_reason=EndReason.END_OF_INPUT,
            instance_id=seen.instances.get(contact_id),
            live=[sink.facts for sink in heard.sinks] if heard is not None and heard.sinks else None,
        )
        manifest = build_manifest(cursor, facts, notes)
        with AtomicFile(manifest_path) as manifest_file:
            manifest_file.write(json.dumps(manifest, indent=2).encode() + b"\n")
            manifest_file.seal()
            wav.seal()
            # The manifest comes last: where it lies, its WAV lies too.
            wav.file.publish()
            manifest_file.publish()
        return Replay(
            contact_id=contact_id,
            wav=wav_path,
            manifest_path=manifest_path,
            manifest=manifest,
            levels=wav.levels(),
            other_contacts=tuple(other for other in seen.contacts if other != contact_id),
            live=heard,
        )


def _as_file_name(contact_id: str, name: str) -> str:
    """The capture's contact id, which becomes a file's name: one rule keeps all path tricks out."""
    if not is_contact_id(contact_id):
        raise CommandError(
            f"{name}: its first contact '{printable(contact_id, 60)}' {_NO_CONTACT_ID}; "
            "name another contact with --contact-id"
        )
    return contact_id


def _named(nobody: CallRecording, contact_id: str, limit_s: int | None, *, watched: bool) -> CallRecording:
    """Go on under a contact's name: until now every fragment was nobody's, but what was counted counts."""
    # The cursor's own tally ends with the last fragment, bytes lost since then are only in the recording's.
    cursor = replace(nobody.cursor(), tally=nobody.tally)
    return CallRecording(contact_id, cursor=cursor, limit_s=limit_s, watched=watched)


def _first_contact(
    events: Iterator[Fragment | BytesLost], name: str, seen: _Seen
) -> tuple[str, Iterator[Fragment | BytesLost]]:
    """Find the first contact and give the events back from the start: unlabelled fragments are to be its own."""
    held: list[Fragment | BytesLost] = []
    held_bytes = 0
    for event in events:
        held.append(event)
        held_bytes += _COST_OF_AN_EVENT
        if isinstance(event, Fragment):
            if len(event.contact_ids) == 1:
                return _as_file_name(event.contact_ids[0], name), chain(held, events)
            held_bytes += sum(len(block.data) for block in event.blocks)
        if held_bytes > _MAX_HELD_BYTES:
            raise CommandError(
                f"{name}: names no contact within {_MAX_HELD_BYTES} bytes of audio; name the files with --contact-id ID"
            )
    raise CommandError(f"{name}: {seen.why_nothing(None, accept_unlabelled=True)}")


def _drain(
    recording: CallRecording, wav: _WavFile | None, output: Path, contact_id: str | None, cleanup: ExitStack
) -> _WavFile | None:
    """Write what is settled; the file is opened by its first frames, and its removal arranged in the same breath."""
    for frames in recording.take():
        if wav is None:
            wav = _WavFile(output / f"{contact_id}.wav", recording.rate or 0)
            cleanup.callback(wav.file.discard)
        wav.write(frames)
    return wav


class _WavFile:
    """A WAV whose header gets its lengths at the end, and the channels' levels on the way."""

    def __init__(self, target: Path, rate: int) -> None:
        self.file = AtomicFile(target)
        self._rate = rate
        self._data_bytes = 0
        self._energy = [0.0, 0.0]
        try:
            self.file.write(bytes(HEADER_BYTES))
        except BaseException:
            self.file.discard()
            raise

    def write(self, frames: bytes) -> None:
        self._data_bytes += len(frames)
        if _SILENCE.startswith(frames):
            # Few bytes of a capture can ask for hours of it, up to the 4 GiB of a WAV: those must not fill the disk.
            self.file.skip(len(frames))
            return
        self.file.write(frames)
        mono = bytearray(len(frames) // 2)
        for index, first in enumerate((0, SAMPLE_BYTES)):
            # Slices: pydub splits frames sample by sample, which would take a quarter of a replay's time.
            mono[0::2], mono[1::2] = frames[first::FRAME_BYTES], frames[first + 1 :: FRAME_BYTES]
            self._energy[index] += len(frames) * 10 ** (level_dbfs(bytes(mono)) / 10)

    def seal(self) -> None:
        self.file.write_start(wav_header(data_bytes=self._data_bytes, rate=self._rate))
        self.file.seal()

    def levels(self) -> tuple[float, float]:
        left, right = (10 * math.log10(energy / self._data_bytes) if energy else -math.inf for energy in self._energy)
        return left, right


class _Seen:
    """What a capture holds, for the words that say why there is nothing to write."""

    def __init__(self) -> None:
        self.contacts: dict[str, None] = {}
        self.instances: dict[str, str] = {}
        self._tracks: dict[str, None] = {}
        self._unsupported: str | None = None
        self._pcm = False

    def watch(self, events: Iterator[Fragment | BytesLost]) -> Iterator[Fragment | BytesLost]:
        for event in events:
            if isinstance(event, Fragment):
                self._look_at(event)
            yield event

    def _look_at(self, fragment: Fragment) -> None:
        for contact_id in fragment.contact_ids:
            if contact_id not in self.contacts and len(self.contacts) < _MAX_LISTED:
                self.contacts[contact_id] = None
                instance_id = fragment.tag("InstanceId")
                if instance_id:
                    self.instances[contact_id] = printable(instance_id, 100)
        if self._pcm:
            return
        try:
            self._pcm = bool(audio_tracks(fragment.tracks, fragment.tag("MimeType")))
        except UnsupportedAudioError as error:
            self._unsupported = self._unsupported or str(error)
        for track in fragment.tracks:
            if len(self._tracks) < _MAX_LISTED:
                kind = _TRACK_TYPES.get(track.track_type, f"type {track.track_type}")
                self._tracks[f"{kind} {track.codec_id or 'of no codec'}"] = None

    def why_nothing(self, contact_id: str | None, *, accept_unlabelled: bool) -> str:
        if not self._pcm:
            if self._unsupported:
                return f"there is no PCM audio track in it: {printable(self._unsupported)}"
            only = f", only {printable(', '.join(self._tracks))}" if self._tracks else ""
            return f"there is no PCM audio track in it{only}"
        unlabelled = "if all its audio is of one call, add --accept-unlabelled"
        if contact_id is None:
            if accept_unlabelled:
                return "no fragment names a contact; name the files with --contact-id ID"
            return f"no fragment names a contact; {unlabelled} --contact-id ID"
        if contact_id not in self.contacts and not accept_unlabelled:
            if not self.contacts:
                return f"no fragment names contact {contact_id} or any other; {unlabelled}"
            others = printable(", ".join(self.contacts), 200)
            return f"no fragment names contact {contact_id}; it holds {others}"
        return f"no fragment of contact {contact_id} holds audio that can be decoded"
