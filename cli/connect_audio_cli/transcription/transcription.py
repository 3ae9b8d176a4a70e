"""Makes the words of a recording by a recognizer, and of stretches that it fails on spans without words.

*How it works.* The recording goes through the recognizer's session a second at a time, both parties together. Audio
that is not settled stays buffered. If a session fails, the next one begins at the settled positions. A stretch of 30 s
that fails twice without progress is skipped, and its party lacks words there. Three such stretches in a row end the
work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from connect_audio.core.errors import SinkError
from connect_audio.core.pcm import FRAME_BYTES, PARTIES, SAMPLE_BYTES, Party, channel
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import MissingReason, MissingSpan
from connect_audio.words.recognizer import RecognitionSession, Recognizer, Results, SessionStart
from connect_audio_cli.output.command_error import CommandError
from connect_audio_cli.recordings.wav_file import OpenWav
from connect_audio_cli.transcription.speech_server import said

_SKIPPED_S: Final = 30
"""Length of a stretch that is skipped, seconds: longer than any utterance."""
_MOST_FAILURES: Final = 2
"""Sessions that may fail at one place. The recognizer itself has tried each request several times by then."""
_MOST_SKIPPED: Final = 3
"""Stretches in a row that may be skipped. Beyond: the server is taken to be gone."""
_LAST_S: Final = 3600.0
"""Longest wait for the last words, seconds; each request has its own, shorter limit."""


@dataclass(slots=True)
class Words:
    """The words of a recording.

    Args:
        turns: the turns, each party's in order.
        missing: the spans without words.
    """

    turns: list[Turn] = field(default_factory=list)
    missing: list[MissingSpan] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Piece:
    position: int
    samples: Mapping[Party, bytes]

    @property
    def end(self) -> int:
        return self.position + len(self.samples[PARTIES[0]]) // SAMPLE_BYTES


def make_words(wav: OpenWav, recognizer: Recognizer) -> Words:
    """Make the words of a recording.

    Args:
        wav: the open recording; its chunks are used up.
        recognizer: makes turns; the caller closes it.

    Raises:
        CommandError: the recording cannot be read, the recognizer refuses it, or fails too often.
    """
    transcription = _Transcription(wav, recognizer)
    try:
        for piece in _pieces(wav):
            transcription.receive(piece)
        return transcription.finish()
    finally:
        transcription.close()


class _Transcription:
    def __init__(self, wav: OpenWav, recognizer: Recognizer) -> None:
        self._rate = wav.rate
        self._recognizer = recognizer
        self._words = Words()
        self._session: RecognitionSession | None = None
        self._needed = dict.fromkeys(PARTIES, 0)
        self._buffered: deque[_Piece] = deque()
        self._sent = 0  # pieces of the buffer that the session has
        # Failures since the last progress, and stretches skipped since the last turn.
        self._failures = 0
        self._skipped = 0
        self._end = 0
        self._newest: SinkError | None = None

    def receive(self, piece: _Piece) -> None:
        """Take the next second."""
        self._buffered.append(piece)
        self._end = piece.end
        self._deliver()

    def finish(self) -> Words:
        """Take the last words."""
        while any(needed < self._end for needed in self._needed.values()):
            try:
                self._deliver()
                self._take(self._opened().finish(is_call_over=True, timeout_s=_LAST_S))
            except SinkError as error:
                self._recover(error)
        if self._newest is not None and self._words.missing and not self._words.turns:
            raise self._gave_up(self._newest)
        return self._words

    def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _deliver(self) -> None:
        while self._sent < len(self._buffered):
            piece = self._buffered[self._sent]
            begin = min(self._needed.values())
            try:
                if piece.end > begin:
                    self._send(self._opened(), piece, max(piece.position, begin) if self._sent == 0 else piece.position)
                self._sent += 1
                self._take(self._opened().results())
            except SinkError as error:
                self._recover(error)

    def _opened(self) -> RecognitionSession:
        if self._session is None:
            start = SessionStart(rate=self._rate, needed=dict(self._needed), notify=lambda: None)
            self._session = self._recognizer.open(start)
        return self._session

    def _send(self, session: RecognitionSession, piece: _Piece, begin: int) -> None:
        samples = {}
        for party, data in piece.samples.items():
            zeros = min(max(self._needed[party] - begin, 0), piece.end - begin)
            first = begin - piece.position + zeros
            samples[party] = bytes(zeros * SAMPLE_BYTES) + data[first * SAMPLE_BYTES :]
        session.receive(begin, samples)

    def _take(self, results: Results) -> None:
        self._words.turns += results.turns
        if results.turns:
            self._skipped = 0
        if any(position > self._needed[party] for party, position in results.settled.items()):
            self._failures = 0
        self._needed.update(results.settled)
        self._drop_settled()

    def _drop_settled(self) -> None:
        begin = min(self._needed.values())
        while self._sent and self._buffered and self._buffered[0].end <= begin:
            self._buffered.popleft()
            self._sent -= 1

    def _recover(self, error: SinkError) -> None:
        """Begin again at what is settled, or behind it if that has failed too often."""
        if not error.retryable:
            raise CommandError(said(error)) from error
        if self._session is not None:
            with suppress(SinkError):
                self._take(self._session.results())
        self.close()
        self._sent = 0
        self._newest = error
        self._failures += 1
        if self._failures < _MOST_FAILURES:
            return
        if self._skipped >= _MOST_SKIPPED:
            raise self._gave_up(error)
        self._failures = 0
        self._skipped += 1
        party = min(PARTIES, key=lambda each: self._needed[each])
        begin = self._needed[party]
        end = min(begin + _SKIPPED_S * self._rate, self._end)
        self._words.missing.append(MissingSpan(party=party, start=begin, end=end, reason=MissingReason.DROPPED))
        self._needed[party] = end

    @staticmethod
    def _gave_up(error: SinkError) -> CommandError:
        return CommandError(f"the words cannot be had, nothing is written: {said(error)}")


def _pieces(wav: OpenWav) -> Iterator[_Piece]:
    """Yield the recording a second at a time."""
    size = wav.rate * FRAME_BYTES
    left = bytearray()
    position = 0
    for chunk in wav.chunks:
        left += chunk
        while len(left) >= size:
            yield _piece(position, bytes(left[:size]))
            position += wav.rate
            del left[:size]
    if left:
        yield _piece(position, bytes(left))


def _piece(position: int, stereo: bytes) -> _Piece:
    return _Piece(position, {party: channel(stereo, index) for index, party in enumerate(PARTIES)})
