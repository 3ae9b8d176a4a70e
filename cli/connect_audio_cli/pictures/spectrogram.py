"""The spectrum of a call over time, as pixels for the lanes of a picture. It needs numpy, from the extra `formats`.

Windows of 32 ms (256 samples at 8 kHz) overlap by half. Each column shows the strongest of its windows, so that short
sounds stay visible in a long call. Memory grows with the columns, not with the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from connect_audio_cli.recordings.encoding import Channels, laid_out_as

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WINDOW_S: Final = 0.032
_FLOOR_DB: Final = -100.0
"""Level of the darkest color, dB below a sine of full scale."""
_CEILING_DB: Final = -10.0
"""Level of the brightest color."""
_COLORS: Final = ((8, 8, 24), (60, 16, 100), (160, 40, 100), (235, 105, 50), (255, 245, 180))
"""Colors from the floor to the ceiling, red, green, blue; between them the mean of both."""


def spectrograms(
    chunks: Iterable[bytes], *, rate: int, frames: int, columns: int, lanes: Sequence[Channels]
) -> list[NDArray[np.uint8]]:
    """Return the pixels of each lane.

    Args:
        chunks: all stereo frames.
        rate: samples a second.
        frames: how many they are.
        columns: columns of the picture.
        lanes: the lanes, each of one channel.

    Returns:
        For each lane an array of rows, columns and red, green, blue. The first row is half the rate, the last 0 Hz.
    """
    window = 1 << max(4, round(_WINDOW_S * rate).bit_length() - 1)
    found = [_Spectra(window, frames, columns) for _ in lanes]
    for chunk in chunks:
        for lane, spectra in zip(lanes, found, strict=True):
            (mono,) = laid_out_as(lane, [chunk])
            spectra.add(np.frombuffer(mono, "<i2"))
    return [spectra.pixels() for spectra in found]


class _Spectra:
    """The strongest spectrum of each column of one lane."""

    def __init__(self, window: int, frames: int, columns: int) -> None:
        self._window = window
        self._hop = window // 2
        self._frames = frames
        self._shape = np.hanning(window).astype(np.float32) / np.float32(32768 * window / 4)
        self._power = np.zeros((columns, window // 2 + 1), np.float32)
        # Half a window of nothing before the call, so that its first sample is in the middle of a window.
        self._held: NDArray[np.int16] = np.zeros(self._hop, np.int16)
        self._windows = 0

    def add(self, samples: NDArray[np.int16]) -> None:
        held = np.concatenate([self._held, samples])
        number = max(0, (len(held) - self._window) // self._hop + 1)
        if number:
            self._take(held, number)
        self._held = held[number * self._hop :]

    def pixels(self) -> NDArray[np.uint8]:
        self.add(np.zeros(self._window, np.int16))
        power = self._power
        # A call with fewer windows than columns leaves columns without one: they repeat the one before.
        filled = np.flatnonzero(self._has_window())
        power = power[filled[np.searchsorted(filled, np.arange(len(power)), side="right").clip(1) - 1]]
        level = 10 * np.log10(np.maximum(power, 1e-20))
        share = ((level - _FLOOR_DB) / (_CEILING_DB - _FLOOR_DB)).clip(0, 1)
        points = np.linspace(0, 1, len(_COLORS))
        colors = np.array(_COLORS, np.float64)
        image = np.stack([np.interp(share, points, colors[:, index]) for index in range(3)], axis=-1)
        return np.ascontiguousarray(image.astype(np.uint8).transpose(1, 0, 2)[::-1])

    def _take(self, held: NDArray[np.int16], number: int) -> None:
        windows = np.lib.stride_tricks.sliding_window_view(held, self._window)[:: self._hop][:number]
        spectrum = np.abs(np.fft.rfft(windows * self._shape, axis=1)) ** 2
        middles = (self._windows + np.arange(number)) * self._hop
        columns = np.minimum(middles * len(self._power) // self._frames, len(self._power) - 1)
        np.maximum.at(self._power, columns, spectrum.astype(np.float32))
        self._windows += number

    def _has_window(self) -> NDArray[np.bool_]:
        middles = np.arange(self._windows) * self._hop
        has = np.zeros(len(self._power), np.bool_)
        has[np.minimum(middles * len(self._power) // self._frames, len(self._power) - 1)] = True
        return has
