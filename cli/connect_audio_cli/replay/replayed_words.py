"""The words of one replay: their pages in memory, their turns on the screen, transcript and captions in the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connect_audio.core.pcm import Party
from connect_audio.core.recording_facts import WordsFacts
from connect_audio.core.transcript import Turn
from connect_audio.core.transcript_document import TranscriptFacts
from connect_audio.core.webvtt import webvtt
from connect_audio.core.word_pages import NumberedTurn, WordsCall, decode_page, page_name
from connect_audio.recorder.publish_words import transcript_facts, transcript_file, words_facts
from connect_audio_cli.output.command_error import printable
from connect_audio_cli.output.existing import refuse_existing
from connect_audio_cli.output.inputs import refuse_inputs
from connect_audio_cli.recordings.words_files import WORDS_ENDINGS
from connect_audio_cli.replay.words_options import WordsOptions

_LONGEST_TEXT = 10_000
"""Characters of a turn that are printed. 15 s of speech have some hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedWords:
    """The words of a recording, to be written beside it.

    Args:
        content: the transcript's content.
        files: each file's ending and content.
        facts: the manifest's facts.
    """

    content: TranscriptFacts
    files: Sequence[tuple[str, bytes]]
    facts: WordsFacts


class ReplayedWords:
    """The words of one replay, as the place of their pages.

    A replay needs no page behind its own end, so the pages lie in memory: 35 kB for 50 turns.

    Args:
        options: the recognizer.
        folder: the folder of the recording.
        source: file of the capture, which is never written over; None for standard input.
        force: True to replace files of an earlier replay.
    """

    def __init__(self, options: WordsOptions, folder: Path, *, source: Path | None, force: bool) -> None:
        self.options = options
        self._folder = folder
        self._source = source
        self._force = force
        self._pages: dict[str, bytes] = {}

    def check(self, contact_id: str) -> None:
        """Find out before the first word is paid for whether the files may be written.

        Raises:
            CommandError: one is there already, or is the capture.
        """
        targets = [self._folder / f"{contact_id}{ending}" for ending in WORDS_ENDINGS]
        refuse_inputs(targets, () if self._source is None else (self._source,))
        refuse_existing(targets, force=self._force)

    def put(self, name: str, body: bytes, content_type: str) -> None:
        """Keep a page."""
        del content_type
        self._pages[name] = body

    def get(self, name: str) -> bytes | None:
        """Return a page; None if there is none."""
        return self._pages.get(name)

    def close(self) -> None:
        """The pages stay until the files are made of them."""

    def finished(self, contact_id: str, frames: int, rate: int) -> FinishedWords:
        """Make transcript and captions, once the sink is closed.

        Args:
            contact_id: the call's contact.
            frames: length of the recording, frames.
            rate: its samples a second.
        """
        pages = [decode_page(number, self._pages[page_name(number)]) for number in range(len(self._pages))]
        content = transcript_facts(pages, frames, rate, contact_id=contact_id, engine=self.options.name)
        files = (transcript_file(content) + b"\n", webvtt(content.turns, rate).encode())
        return FinishedWords(
            content=content,
            files=tuple(zip(WORDS_ENDINGS, files, strict=True)),
            facts=words_facts(content, *(f"{contact_id}{ending}" for ending in WORDS_ENDINGS)),
        )


class FollowedWords:
    """A listener that prints a line for each final turn on standard output: time, speaker, text.

    Turns that are taken back were printed already, so a line says which.
    """

    dropped: Final = 0

    def __init__(self) -> None:
        self._heads: dict[int, str] = {}

    def turns(self, call: WordsCall, turns: Sequence[NumberedTurn]) -> None:
        """Print turns."""
        for each in turns:
            head = self._heads[each.number] = f"{_clock(each.turn.start / call.rate)}  {each.turn.party:<8}"
            _print(f"{head}  {printable(each.turn.text, _LONGEST_TEXT)}")

    def taken_back(self, call: WordsCall, numbers: Sequence[int]) -> None:
        """Print which turns are no more."""
        del call
        for number in numbers:
            if number in self._heads:
                _print(f"{self._heads.pop(number)}  (taken back: other audio has come in its place)")

    def partials(self, call: WordsCall, turns: Mapping[Party, Turn]) -> None:
        """Do nothing: a line is for what stays."""

    def close(self) -> None:
        """Do nothing."""


def _clock(time_s: float) -> str:
    """A time in the call: `0:03.4`, `1:02:03.4`."""
    tenths = int(time_s * 10)
    hours, minutes, seconds = tenths // 36_000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"


def _print(line: str) -> None:
    """Print a line at once. A reader that has gone, as `head` does, ends no replay; the report notices it."""
    with suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
