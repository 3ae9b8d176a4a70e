"""WAVs by the standard library: written, read and compared."""

from __future__ import annotations

import io
import wave
from pathlib import Path

from connect_audio_local.synthesis.calls import SyntheticCall


def interleaved(left: bytes, right: bytes) -> bytes:
    """Stereo frames of two equally long channels."""
    frames = bytearray(2 * len(left))
    for at, side in ((0, left), (2, right)):
        frames[at::4], frames[at + 1 :: 4] = side[0::2], side[1::2]
    return bytes(frames)


def stereo_wav(frames: bytes, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(frames)
    return file.getvalue()


def wav_of(customer: bytes, agent: bytes, *, rate: int = 8000) -> bytes:
    """What the recording must be, written by the standard library."""
    length = max(len(customer), len(agent))
    return stereo_wav(interleaved(customer.ljust(length, b"\0"), agent.ljust(length, b"\0")), rate)


def wav_of_call(each: SyntheticCall) -> bytes:
    assert isinstance(each.customer, bytes)
    assert isinstance(each.agent, bytes)
    return wav_of(each.customer, each.agent, rate=each.rate)


def pcm(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as opened:
        frames: bytes = opened.readframes(opened.getnframes())
    return frames


def joined_wavs(folder: Path, pattern: str = "??????.wav") -> bytes:
    """The samples of a folder's WAVs in the order of their names."""
    return b"".join(pcm(path.read_bytes()) for path in sorted(folder.glob(pattern)))


def same_wav(found: bytes, expected: bytes) -> bool:
    """Compare in words, where pytest would print megabytes.

    Raises:
        AssertionError: they differ; the message tells where first.
    """
    if found != expected:
        first = next((at for at, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), "its end")
        raise AssertionError(f"WAV of {len(found)} bytes, expected {len(expected)}; the first difference is at {first}")
    return True
