"""A recording to look at in a browser, whose every second is known, and pages of it."""

from __future__ import annotations

import json
import math
import wave
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from connect_audio_cli.page.page import AudioChoice, make_page
from connect_audio_cli.recordings.location import Location
from connect_audio_cli.replay.replay import replay
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call

RATE: Final = 8000
SECONDS: Final = 30
CUSTOMER_SPEAKS: Final = ((1, 7), (14, 16))
AGENT_SPEAKS: Final = ((8, 13), (22, 24))
LOST_FRAGMENT: Final = 17
"""Number of the fragment, from 0, that the stream lost."""
GAP: Final = (17 * 1.024, 1.024)
"""Beginning and length of the gap that it leaves, seconds: a fragment lasts 1.024 s."""
AMPLITUDE: Final = 8000
RMS: Final = AMPLITUDE / 32768 / math.sqrt(2)
"""Level of either tone while it sounds, full scale 1."""
START: Final = "2026-07-01T13:30:00.000Z"
START_MS: Final = 1_782_912_600_000
WORDS: Final = (
    ("customer", ((1.0, "good"), (2.0, "morning"), (3.0, "order"), (4.0, "four"), (5.0, "two"))),
    ("agent", ((8.0, "your"), (9.0, "order"), (10.0, "is"), (11.0, "here"))),
    ("customer", ((14.0, "thank"), (15.0, "you"))),
)


def tone(hertz: int, when: Iterable[tuple[int, int]]) -> bytes:
    """A tone at some times and digital silence at all others."""
    samples = array("h", bytes(2 * RATE * SECONDS))
    for start, stop in when:
        for at in range(start * RATE, stop * RATE):
            samples[at] = round(AMPLITUDE * math.sin(2 * math.pi * hertz * at / RATE))
    return samples.tobytes()


def recording_with_a_gap(folder: Path) -> Path:
    """A recording as `replay` makes it of a stream that lost a fragment; with a transcript beside it."""
    call = SyntheticCall(customer=tone(440, CUSTOMER_SPEAKS), agent=tone(880, AGENT_SPEAKS), start_ms=START_MS)
    fragments = list(synthesize_call(call))
    kept = [each.data for number, each in enumerate(fragments) if number != LOST_FRAGMENT]
    wav = replay(kept, folder, name="call").wav
    write_transcript(wav.with_name(f"{wav.stem}.transcript.json"), WORDS)
    return wav


def write_transcript(path: Path, turns: Sequence[tuple[str, Sequence[tuple[float, str]]]]) -> None:
    """Write words of 0.8 s each."""
    document = {
        "schemaVersion": "1.0",
        "turns": [
            {
                "id": str(number),
                "participant": party,
                "start": words[0][0],
                "end": words[-1][0] + 0.8,
                "text": " ".join(text for _, text in words),
                "words": [{"text": text, "start": start, "end": start + 0.8} for start, text in words],
            }
            for number, (party, words) in enumerate(turns)
        ],
    }
    path.write_text(json.dumps(document), "utf-8")


def write_wav(path: Path, frames: bytes, *, channels: int = 2, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(channels)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(frames)
    return path


def page_of(wav: Path, *, audio: str = "wav", output: Path | None = None) -> Path:
    return make_page(Location(str(wav)), output or wav.with_suffix(".html"), audio=AudioChoice(audio), force=True).path


def edited(wav: Path, change: Any) -> None:
    """Change the manifest beside a recording."""
    path = wav.with_suffix(".json")
    manifest = json.loads(path.read_text("utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), "utf-8")
