"""Sessions of the engine `transcribe` with the stand-in, and what comes out of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import botocore.session

from connect_audio.adapters.words.transcribe import TranscribeRecognizer
from connect_audio.core.pcm import PARTIES, Party
from connect_audio.core.transcript import Turn
from connect_audio.words.recognizer import RecognitionSession, Results, SessionStart
from connect_audio.words.transcribe_options import TranscribeOptions
from connect_audio_local.recognition.word_recognizer import WordRecognizer
from connect_audio_local.transcribe.faults import Behaviour
from connect_audio_local.transcribe.model import TranscribeModel
from connect_audio_local.transcribe.server import TranscribeEndpoint, transcribe_endpoint
from support.spoken_words import SpokenWords

KEY, SECRET = "testing", "testing"
CUSTOMER, AGENT = PARTIES
RATE = 8000


@contextmanager
def transcribe_service(
    *behaviours: Behaviour, recognizer: WordRecognizer | None = None, **rules: Any
) -> Iterator[TranscribeEndpoint]:
    model = TranscribeModel(recognizer or SpokenWords(), secrets={KEY: SECRET, "local": "local"}, **rules)
    with transcribe_endpoint(model, behaviours) as endpoint:
        yield endpoint


def transcribe_recognizer(
    endpoint: TranscribeEndpoint, *, secret: str = SECRET, options: TranscribeOptions | None = None, quiet_s: float = 8
) -> TranscribeRecognizer:
    session = botocore.session.Session()
    session.set_credentials(KEY, secret)
    return TranscribeRecognizer(
        options or TranscribeOptions(language="en-US"),
        lambda: session,
        endpoint=endpoint.url,
        ca_file=endpoint.ca_file,
        quiet_s=quiet_s,
    )


class HeardSession:
    """A session that is fed, and its results so far."""

    def __init__(
        self, recognizer: TranscribeRecognizer, needed: Mapping[Party, int] | None = None, rate: int = RATE
    ) -> None:
        self._changed = threading.Event()
        self.rate = rate
        start = SessionStart(rate=rate, needed=needed or dict.fromkeys(PARTIES, 0), notify=self._changed.set)
        self.position = min(start.needed.values())
        self.session: RecognitionSession = recognizer.open(start)
        self.turns: list[Turn] = []
        self.partials: Mapping[Party, Turn] = {}
        self.settled: Mapping[Party, int] = {}

    def feed(self, customer: bytes, agent: bytes = b"") -> None:
        """Deliver both parties' samples, the shorter ones with silence behind, in pieces of a second."""
        size = max(len(customer), len(agent))
        samples = {CUSTOMER: customer.ljust(size, b"\0"), AGENT: agent.ljust(size, b"\0")}
        for at in range(0, size, 2 * self.rate):
            piece = {party: data[at : at + 2 * self.rate] for party, data in samples.items()}
            self.session.receive(self.position, piece)
            self.position += len(piece[CUSTOMER]) // 2

    def feed_and_wait(self, customer: bytes) -> None:
        """Deliver samples and wait for a failure."""
        self.feed(customer)
        self.wait_for(lambda _: False)

    def take(self, results: Results) -> None:
        self.turns += results.turns
        self.partials, self.settled = results.partials, results.settled

    def wait_for(self, condition: Callable[[HeardSession], bool], patience_s: float = 20) -> None:
        """Take results until a condition holds."""
        while True:
            self._changed.clear()
            self.take(self.session.results())
            if condition(self):
                return
            assert self._changed.wait(patience_s), f"no result: {self.turns} {self.partials} {self.settled}"

    def finish(self, *, is_call_over: bool = True, timeout_s: float = 20) -> None:
        self.take(self.session.finish(is_call_over=is_call_over, timeout_s=timeout_s))

    def texts(self, party: Party) -> list[str]:
        return [turn.text for turn in self.turns if turn.party is party]


@contextmanager
def heard_session(
    recognizer: TranscribeRecognizer, needed: Mapping[Party, int] | None = None, rate: int = RATE
) -> Iterator[HeardSession]:
    heard = HeardSession(recognizer, needed, rate)
    try:
        yield heard
    finally:
        heard.session.close()
