"""A call of spoken digits by two voices, which also talk at once: made of the committed speech, recognized for real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connect_audio.core.pcm import PARTIES, Party
from connect_audio_local.recognition.speech import RATE, Phrase, spoken_digits

VOICE: Final = {Party.CUSTOMER: "rms", Party.AGENT: "awb"}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A phrase in its place.

    Args:
        party: the speaker.
        at: begin of the phrase's samples, seconds.
        number: its number in the speech.
    """

    party: Party
    at: float
    number: int

    @property
    def phrase(self) -> Phrase:
        return spoken_digits(VOICE[self.party], self.number)

    @property
    def start(self) -> float:
        """Begin of its sound in the call, seconds."""
        return self.at + self.phrase.start

    @property
    def end(self) -> float:
        return self.at + self.phrase.end


DIGIT_CALL: Final = (
    Spoken(Party.AGENT, 1.0, 0),
    Spoken(Party.CUSTOMER, 4.0, 1),
    Spoken(Party.AGENT, 5.0, 2),  # over the customer
    Spoken(Party.CUSTOMER, 8.5, 3),
)
SECONDS: Final = 12


def digit_tracks() -> dict[Party, bytes]:
    """The samples of both parties at the telephone's rate."""
    tracks = {party: bytearray(2 * SECONDS * RATE) for party in PARTIES}
    for spoken in DIGIT_CALL:
        first = 2 * round(spoken.at * RATE)
        samples = spoken.phrase.samples
        tracks[spoken.party][first : first + len(samples)] = samples
    return {party: bytes(track) for party, track in tracks.items()}
