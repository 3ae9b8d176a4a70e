"""What is heard of a call that is going on: each sample that the live page puts out."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

TAP: Final = """async () => {
  const {output, context} = connectAudio.sound();
  const taps = context.createScriptProcessor(16384, 2, 2);
  window.taken = [[], []];
  taps.onaudioprocess = ({inputBuffer}) => {
    for (const channel of [0, 1]) window.taken[channel].push(...inputBuffer.getChannelData(channel));
  };
  output.connect(taps);
  taps.connect(context.destination);
}"""
"""Gathers the samples in `window.taken`. The page's policy refuses the script of a worklet, but no tap of this kind.
It has two buffers of 2 s each, so that a busy page loses none."""
TAP_S: Final = 5
"""Seconds after which the last sample has come out of the tap."""


def heard_exactly_once(taken: Sequence[Sequence[float]], channels: Sequence[bytes]) -> None:
    """Assert that each sample of the recording is heard once and in order, and nothing else."""
    for channel, samples in zip(channels, taken, strict=True):
        heard = [round(value * (32767 if value >= 0 else 32768)) for value in samples]
        expected = list(array("h", channel))
        first = next(at for at, value in enumerate(heard) if value)
        sounding = heard[first : first + len(expected)]
        wrong = [at for at, (one, other) in enumerate(zip(sounding, expected, strict=False)) if one != other]
        assert (len(sounding), wrong[:5]) == (len(expected), []), (
            f"{len(wrong)} samples differ, the first ones at these"
        )
        assert not any(heard[first + len(expected) :])
