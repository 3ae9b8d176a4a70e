"""A session of the engine `whisper` with a speech server on loopback, and calls of marker words."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from connect_audio.adapters.endpoint.secret import SecretSource
from connect_audio.adapters.words.whisper import WhisperRecognizer, WhisperSession
from connect_audio.adapters.words.whisper_server import WhisperOptions
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn
from connect_audio.words.recognizer import Results, SessionStart
from connect_audio_local.recognition.markers import marker_speech

RATE: Final = 8_000
# Nothing in a test takes this long; it turns a hang into a failure.
PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Said:
    """Words of a party.

    Args:
        party: the speaker.
        at: their begin, seconds.
        words: the words.
    """

    party: Party
    at: float
    words: tuple[str, ...]


def said(party: Party, at: float, words: str) -> Said:
    return Said(party, at, tuple(words.split()))


def call(parts: Sequence[Said], seconds: float, rate: int = RATE) -> dict[Party, bytes]:
    """The samples of both parties."""
    tracks = {party: bytearray(2 * round(seconds * rate)) for party in PARTIES}
    for part in parts:
        speech = marker_speech(part.words, rate)
        first = 2 * round(part.at * rate)
        tracks[part.party][first : first + len(speech)] = speech
    return {party: bytes(track) for party, track in tracks.items()}


@contextmanager
def recognizer(url: str, key: SecretSource | None = None, **changed: Any) -> Iterator[WhisperRecognizer]:
    """An engine that leaves no thread behind."""
    options = WhisperOptions(**{"url": url, "model": "test-model", "allow_private": True, **changed})
    with closing(WhisperRecognizer(options, key)) as engine:
        yield engine
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("whisper-", "endpoint-"))]


class Notified:
    """Waits for what a session says that it has."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, PATIENCE_S)


@contextmanager
def session(
    engine: WhisperRecognizer,
    *,
    needed: Mapping[Party, int] | None = None,
    rate: int = RATE,
    notify: Notified | None = None,
) -> Iterator[WhisperSession]:
    start = SessionStart(
        rate=rate, needed=needed or dict.fromkeys(PARTIES, 0), notify=notify if notify is not None else Notified()
    )
    with closing(engine.open(start)) as opened:
        yield opened


def feed(opened: WhisperSession, tracks: Mapping[Party, bytes], *, first: int = 0, rate: int = RATE) -> None:
    """Hand a session the call from a position on, a second at a time."""
    frames = len(tracks[Party.AGENT]) // 2
    for at in range(first, frames, rate):
        opened.receive(at, {party: samples[2 * at : 2 * min(at + rate, frames)] for party, samples in tracks.items()})


def recognize(
    engine: WhisperRecognizer, tracks: Mapping[Party, bytes], *, is_call_over: bool = True, rate: int = RATE
) -> Results:
    """Recognize a whole call in one session."""
    with session(engine, rate=rate) as opened:
        feed(opened, tracks, rate=rate)
        return opened.finish(is_call_over=is_call_over, timeout_s=PATIENCE_S)


def texts(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    """Who said what, by time."""
    return [(turn.party.value, turn.text) for turn in sorted(turns, key=lambda turn: turn.start)]
