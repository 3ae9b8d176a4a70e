"""The words of `connect-audio demo --live --words`: a call of spoken digits, and its turns as they come in S3.

PocketSphinx recognizes them on this machine, behind a local speech server that the consumer's sink `whisper` calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from connect_audio.core.pcm import PARTIES, SAMPLE_BYTES, Party
from connect_audio.core.transcript import Turn
from connect_audio.core.word_pages import PAGE_TURNS, WordPage, decode_page, page_name, pages_prefix
from connect_audio_cli.output.command_error import CommandError, printable
from connect_audio_cli.output.formatting import count
from connect_audio_local.recognition.digits import DigitRecognizer
from connect_audio_local.recognition.speech import PHRASES, RATE, VOICES, spoken_digits
from connect_audio_local.synthesis.speech import Conversation
from connect_audio_local.whisper.server import speech_server

_FIRST_S: Final = 0.5
_PAUSE_S: Final = 1.0
"""Between two phrases, seconds: more than the pause that ends an utterance."""
_VOICES: Final[Mapping[Party, str]] = dict(zip(PARTIES, VOICES, strict=True))


@dataclass(frozen=True, slots=True)
class SpokenCall:
    """A call of spoken digits.

    Args:
        conversation: its audio.
        phrases: the phrases in their order: speaker and words.
    """

    conversation: Conversation
    phrases: tuple[tuple[Party, str], ...]


def spoken_call(seconds: int) -> SpokenCall:
    """Make a call in which the parties say digits in turn, with as many phrases as there is time for.

    Args:
        seconds: its length.
    """
    tracks = {party: bytearray(seconds * RATE * SAMPLE_BYTES) for party in PARTIES}
    phrases = []
    at_s, number = _FIRST_S, 0
    while True:
        party = (Party.AGENT, Party.CUSTOMER)[number % 2]
        phrase = spoken_digits(_VOICES[party], number // 2 % len(PHRASES))
        begin = round(at_s * RATE) * SAMPLE_BYTES
        if begin + len(phrase.samples) > len(tracks[party]):
            break
        tracks[party][begin : begin + len(phrase.samples)] = phrase.samples
        phrases.append((party, phrase.text))
        at_s += len(phrase.samples) / SAMPLE_BYTES / RATE + _PAUSE_S
        number += 1
    conversation = Conversation(bytes(tracks[Party.CUSTOMER]), bytes(tracks[Party.AGENT]), RATE)
    return SpokenCall(conversation, tuple(phrases))


@contextmanager
def recognizing() -> Iterator[dict[str, str]]:
    """Run the speech server.

    Yields:
        The consumer's settings for it, beside the sinks.

    Raises:
        CommandError: PocketSphinx is not installed.
    """
    try:
        recognizer = DigitRecognizer()
    except ModuleNotFoundError as error:
        raise CommandError("--words needs pocketsphinx, which is not installed: pip install pocketsphinx") from error
    with speech_server(recognizer) as server:
        yield {
            "WHISPER_URL": server.url,
            "WHISPER_MODEL": "digits",
            "WHISPER_PRIVATE_ADDRESSES": "allowed",
            "WORDS_LANGUAGE": "en-US",
        }


class WordsInBucket:
    """The turns of a call under way, out of the pages that the consumer writes.

    Args:
        phrases: the spoken phrases: speaker and words.
    """

    def __init__(self, phrases: Sequence[tuple[Party, str]]) -> None:
        self._phrases = phrases
        self._page = self._next = 0
        self._turns: list[Turn] = []

    def new_lines(self, s3: Any, bucket: str, recording_key: str) -> Iterator[str]:
        """Yield a line for each turn that is new.

        Args:
            s3: the client.
            bucket: the bucket of the recordings.
            recording_key: key of the recording.
        """
        while (page := _read(s3, bucket, pages_prefix(recording_key) + page_name(self._page), self._page)) is not None:
            for each in page.turns:
                if each.number >= self._next:
                    self._next = each.number + 1
                    self._turns.append(each.turn)
                    yield f"{each.turn.start / page.call.rate:>12.1f} s  {each.turn.party}: {printable(each.turn.text)}"
            if len(page.turns) < PAGE_TURNS:
                return
            self._page += 1

    @property
    def verdict(self) -> str:
        """The comparison of the turns with what was spoken, in words."""
        turns = [(turn.party, turn.text) for turn in sorted(self._turns, key=lambda turn: turn.start)]
        spoken = count(len(self._phrases), "turn")
        if turns == list(self._phrases):
            return f"{spoken}, each word as it was spoken"
        right = sum((Counter(turns) & Counter(self._phrases)).values())
        return f"{right} of {spoken} as spoken"


def _read(s3: Any, bucket: str, key: str, number: int) -> WordPage | None:
    try:
        return decode_page(number, s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        return None
