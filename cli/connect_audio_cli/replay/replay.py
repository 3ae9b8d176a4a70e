"""One contact's WAV and manifest out of a capture: the core's recording between a reader of files and two files.

`connect-audio replay` uses it; tests compare it with the handlers' path. Memory does not grow with the call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.fragment import Fragment
from connect_audio.core.fragments import OpenFragment
from connect_audio.core.manifest import NoteLog
from connect_audio.core.pcm import FRAME_BYTES
from connect_audio.core.tracks import CONNECT_NAMES, TrackNames
from connect_audio.core.wav import HEADER_BYTES, wav_header
from connect_audio.library.capture import CaptureEvent, capture_events, growing_events
from connect_audio.library.extraction import Extraction, OptionNames
from connect_audio.values import dataclass
from connect_audio_cli.captures import capture_errors, small_pieces
from connect_audio_cli.output.atomic_file import AtomicFile
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.output.inputs import refuse_inputs
from connect_audio_cli.recordings.words_files import WORDS_ENDINGS, words_beside

if TYPE_CHECKING:
    # Its imports would take as long as a plain replay of a short capture.
    from connect_audio_cli.replay.live_replay import LiveOutcome, LiveReplay
    from connect_audio_cli.replay.replayed_words import FinishedWords

_FRAGMENTS_AT_ONCE: Final = 4
"""Fragments whose frames are written together without live audio, unless they are long."""
_FRAMES_AT_ONCE: Final = 32 * 1024
"""Settled frames that are written before further fragments are read: four seconds at 8 kHz."""
_SILENCE: Final = bytes(32 * 1024)
"""The most silence that a recording gives out at a time."""
_OPTIONS: Final = OptionNames(
    contact_id="--contact-id",
    contact_id_given="--contact-id ID",
    accept_unlabelled="--accept-unlabelled",
    both_given="--accept-unlabelled --contact-id ID",
    customer_track="--customer-track",
    agent_track="--agent-track",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The result of a replay.

    Args:
        contact_id: the contact.
        wav: path of the WAV.
        manifest_path: path of the manifest.
        manifest: the manifest.
        other_contacts: further contacts that the capture names, the first 100.
        replaced: earlier results of other content that are gone now; only with `force`, or a manifest of the same WAV.
        live: result of live audio; None without it.
        words: the words, as they were written; None without.
    """

    contact_id: str
    wav: Path
    manifest_path: Path
    manifest: dict[str, Any]
    other_contacts: tuple[str, ...]
    replaced: tuple[str, ...] = ()
    live: LiveOutcome | None = None
    words: FinishedWords | None = None


class NoLiveReplay:
    """Stands in for `LiveReplay` where no live audio is wanted: every method does nothing."""

    is_paced: Final = False
    fragments_at_once: Final = _FRAGMENTS_AT_ONCE
    replaced: Final = ()

    def follow(self, extraction: Extraction) -> None:
        """Take no audio."""

    def grown(self, fragment: OpenFragment | Fragment) -> None:
        """Take no blocks."""

    def confirm(self) -> None:
        """Pass nothing on."""

    def end(self) -> None:
        """End nothing."""

    def outcome(self, frames: int) -> None:
        """Return None: there was no live audio."""

    def words(self, contact_id: str, frames: int, rate: int) -> None:
        """Return None: there are no words."""

    def close(self) -> None:
        """Stop nothing."""


def replay(
    chunks: Iterable[bytes],
    output: Path,
    *,
    name: str,
    contact_id: str | None = None,
    accept_unlabelled: bool = False,
    limit_s: int | None = None,
    track_names: TrackNames = CONNECT_NAMES,
    live: LiveReplay | NoLiveReplay | None = None,
    source: Path | None = None,
    force: bool = False,
) -> Replay:
    """Write `<output>/<contact id>.wav` and `.json`, and with words `.transcript.json` and `.vtt`.

    Args:
        chunks: the capture's bytes; read once.
        output: the directory, made where missing.
        name: name of the capture in messages.
        contact_id: the contact; None for the first contact that the capture names.
        accept_unlabelled: take fragments that name no contact for this contact's.
        limit_s: longest recording, seconds; what a WAV can hold if None.
        track_names: the parties' tracks as the user names them.
        live: gets the audio as well, and sets the pace; changes no byte of the WAV. Closed at the end. None for none.
        source: file of the capture, which is never written over; None for standard input.
        force: True to replace another recording of the same contact.

    Raises:
        CommandError: unusable input or output; nothing was written but live audio delivered by then.
    """
    live = live or NoLiveReplay()
    events: Iterator[CaptureEvent] = (
        growing_events(small_pieces(chunks), name) if live.is_paced else capture_events(chunks, name)
    )
    wav: _WavFile | None = None
    notes = NoteLog()
    with capture_errors(), ExitStack() as cleanup:
        extraction = Extraction(
            events,
            name,
            contact_id=contact_id,
            accept_unlabelled=accept_unlabelled,
            limit_s=limit_s,
            track_names=track_names,
            options=_OPTIONS,
        )
        cleanup.callback(live.close)
        live.follow(extraction)
        unwritten = 0
        for fragment in extraction.fragments():
            live.grown(fragment)
            if isinstance(fragment, OpenFragment):
                continue
            unwritten += 1
            if unwritten < live.fragments_at_once and extraction.recording.settled_frames < _FRAMES_AT_ONCE:
                continue
            unwritten = 0
            wav = _drain(extraction, wav, output, source, cleanup)
            # Only now, when there is a file for the WAV.
            live.confirm()
            notes = notes.extended(extraction.recording.take_notes(), extraction.recording.rate)
        wav = _drain(extraction, wav, output, source, cleanup)
        live.end()
        notes = notes.extended(extraction.recording.take_notes(), extraction.recording.rate)
        return _publish(extraction, wav, output, notes, live, force=force)


def _publish(
    extraction: Extraction,
    wav: _WavFile | None,
    output: Path,
    notes: NoteLog,
    live: LiveReplay | NoLiveReplay,
    *,
    force: bool,
) -> Replay:
    """Make the manifest and give both files their names.

    Raises:
        CommandError: another recording would be lost.
    """
    outcome = None if wav is None else live.outcome(wav.frames)
    words = (
        None
        if wav is None or extraction.contact_id is None
        else live.words(extraction.contact_id, wav.frames, extraction.recording.rate or 0)
    )
    manifest = extraction.manifest(
        notes, live=None if outcome is None else outcome.state, words=None if words is None else words.facts
    )
    if wav is None:  # pragma: no cover - the manifest of a recording without frames has been refused
        raise CommandError("no frame was written")
    contact_id = manifest["contactId"]
    manifest_path = output / f"{contact_id}.json"
    with ExitStack() as written:
        manifest_file = written.enter_context(AtomicFile(manifest_path))
        manifest_file.write(json.dumps(manifest, indent=2).encode() + b"\n")
        manifest_file.seal()
        word_files = []
        for ending, content in () if words is None else words.files:
            word_files.append(written.enter_context(AtomicFile(output / f"{contact_id}{ending}")))
            word_files[-1].write(content)
            word_files[-1].seal()
        wav.seal()
        replaced = _replaced(wav.file, manifest_file, force=force)
        replaced += [str(file.target) for file in word_files if file.replaces()]
        if words is None and wav.file.replaces():
            # The words of the recording that was here would be read as the words of this one.
            for earlier in words_beside(wav.file.target):
                earlier.unlink()
                replaced.append(str(earlier))
        # The manifest comes last: where it lies, its WAV and its transcript lie too.
        for file in (wav.file, *word_files, manifest_file):
            file.publish()
    return Replay(
        contact_id=contact_id,
        wav=wav.file.target,
        manifest_path=manifest_path,
        manifest=manifest,
        other_contacts=extraction.other_contacts,
        replaced=(*replaced, *live.replaced),
        live=outcome,
        words=words,
    )


def _replaced(wav: AtomicFile, manifest: AtomicFile, *, force: bool) -> list[str]:
    """Return the results that are about to be replaced.

    The same recording again replaces nothing. Beside the same WAV a manifest may be replaced, since the options of a
    replay and the version of this program are in it.

    Raises:
        CommandError: another recording would be lost, and `force` is not given.
    """
    is_same_wav = wav.target.exists() and not wav.replaces()
    replaced = [file.target for file in (wav, manifest) if file.replaces()]
    if replaced and not force and not is_same_wav:
        raise CommandError(
            f"{printable(str(replaced[0]))} is there already and of another recording: --force replaces it, "
            "or choose another --output"
        )
    return [str(path) for path in replaced]


def _drain(
    extraction: Extraction, wav: _WavFile | None, output: Path, source: Path | None, cleanup: ExitStack
) -> _WavFile | None:
    """Write the settled frames; the first ones open the file, and its removal is arranged in the same breath."""
    recording = extraction.recording
    for frames in recording.take():
        if wav is None:
            targets = (output / f"{extraction.contact_id}{suffix}" for suffix in (".wav", ".json", *WORDS_ENDINGS))
            refuse_inputs(targets, () if source is None else (source,))
            wav = _WavFile(output / f"{extraction.contact_id}.wav", recording.rate or 0)
            cleanup.callback(wav.file.discard)
        wav.write(frames)
    return wav


class _WavFile:
    """A WAV whose header gets its lengths at the end."""

    def __init__(self, target: Path, rate: int) -> None:
        self.file = AtomicFile(target)
        self._rate = rate
        self._data_bytes = 0
        try:
            self.file.write(bytes(HEADER_BYTES))
        except BaseException:
            self.file.discard()
            raise

    def write(self, frames: bytes) -> None:
        self._data_bytes += len(frames)
        if _SILENCE.startswith(frames):
            # Few bytes of a capture can ask for hours of silence, up to 4 GiB of WAV. They must not fill the disk.
            self.file.skip(len(frames))
            return
        self.file.write(frames)

    @property
    def frames(self) -> int:
        return self._data_bytes // FRAME_BYTES

    def seal(self) -> None:
        self.file.write_start(wav_header(data_bytes=self._data_bytes, rate=self._rate))
        self.file.seal()
