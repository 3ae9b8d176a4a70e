"""numpy arrays of a call's samples; scipy where another rate is wanted. `Call` uses it, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd
from typing import TYPE_CHECKING, Any, Final

from connect_audio.core.errors import MissingPackageError
from connect_audio.core.pcm import MAX_RATE, MIN_RATE, PARTIES

try:
    import numpy as np
except ImportError as error:
    raise MissingPackageError(
        "arrays need numpy, which is not installed: pip install numpy; Call.stereo and Call.pcm do without",
        name="numpy",
    ) from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FULL_SCALE: Final = 32768
_DTYPES: Final = ("float32", "float64", "int16")
_LAYOUTS: Final = ("channels_first", "frames_first")


def one(stereo: bytearray, index: int) -> NDArray[np.float32]:
    """Return one channel as contiguous float32 in [-1, 1).

    Args:
        stereo: interleaved 16-bit little-endian samples.
        index: 0 for the left channel, 1 for the right one.
    """
    samples = _frames(stereo)[:, index].astype(np.float32)
    samples /= _FULL_SCALE
    return samples


def mono(pcm: bytes) -> NDArray[np.float32]:
    """Return mono 16-bit little-endian samples as float32 in [-1, 1)."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    samples /= _FULL_SCALE
    return samples


def mask(frames: int, gaps: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return True for each frame that lies in no gap.

    Args:
        frames: length of the mask.
        gaps: start and length of each gap, frames.
    """
    received = np.ones(frames, dtype=np.bool_)
    for start, length in gaps:
        received[start : start + length] = False
    return received


def both(stereo: bytearray, rate: int, *, dtype: str, layout: str, new_rate: int | None) -> NDArray[Any]:
    """Return both channels; see `Call.to_numpy`."""
    wanted = _checked_dtype(dtype)
    if layout not in _LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(_LAYOUTS)}, not {layout!r}")
    if new_rate is not None:
        _check_rate(new_rate)
    up, down = _ratio(new_rate or rate, rate)
    if up != down and wanted == np.int16:
        raise ValueError('resampled samples are floats: leave rate away, or take dtype "float32" and convert it')
    frames = _frames(stereo)
    count = -(-len(frames) * up // down)
    array = np.empty((len(PARTIES), count) if layout == "channels_first" else (count, len(PARTIES)), dtype=wanted)
    channels = array if layout == "channels_first" else array.T
    if up != down:
        _resample(frames, up, down, channels)
    else:
        channels[...] = frames.T
    if wanted != np.int16:
        channels /= _FULL_SCALE
    return array


def _frames(stereo: bytearray) -> NDArray[np.int16]:
    """View the samples as (n, 2), without a copy."""
    return np.frombuffer(stereo, dtype="<i2").reshape(-1, len(PARTIES))


def _checked_dtype(dtype: Any) -> np.dtype[Any]:
    try:
        wanted: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(np.void)
    # numpy takes None for float64.
    if dtype is None or wanted not in [np.dtype(name) for name in _DTYPES]:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, not {dtype!r}")
    return wanted


def _check_rate(rate: int) -> None:
    if not isinstance(rate, int) or not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"rate must be a whole number from {MIN_RATE} to {MAX_RATE} samples a second, not {rate!r}")


def _ratio(new_rate: int, rate: int) -> tuple[int, int]:
    divisor = gcd(new_rate, rate)
    return new_rate // divisor, rate // divisor


def _resample(frames: NDArray[np.int16], up: int, down: int, channels: NDArray[Any]) -> None:
    """Resample each channel in one piece, so that no seam and no drift can come in."""
    try:
        from scipy.signal import resample_poly  # noqa: PLC0415 - only who resamples needs scipy
    except ImportError as error:
        raise MissingPackageError(
            "another rate needs scipy, which is not installed: pip install scipy, or leave rate away", name="scipy"
        ) from error
    for index, channel in enumerate(channels):
        channel[...] = resample_poly(frames[:, index].astype(channels.dtype), up, down)
