"""The cost of what the command makes of an hour's call: FLAC, Opus, MP3, pictures, `explain` and the page.

`python -m benchmarks.outputs [CALL.wav]`, some two minutes. A call of a minute, generated or the given one, is repeated
to an hour, cut into fragments and replayed, so that a manifest lies beside the WAV. Each command runs once, in a
process of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
import wave
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.bounds import Bound, judge
from benchmarks.side_by_side.child import Usage, run
from benchmarks.side_by_side.trees import ROOT, Tree
from connect_audio_cli.replay.replay import replay
from connect_audio_local.synthesis.calls import SyntheticCall, synthesize_call
from connect_audio_local.synthesis.speech import two_party_conversation

MOST_PEAK_MIB: Final = 80.0
"""No output holds the whole call: an hour's WAV is 115 MB."""
_MINUTES: Final = 60
_START_MS: Final = 1_782_912_600_000
_WHOLE_OR_NOT: Final = frozenset({0, 3})
"""`explain` ends with 3 where the recording is not whole."""
_WITHOUT_NUMPY: Final = "import sys; sys.modules['numpy'] = None; "
_FORMS: Final = {
    "convert to FLAC": ("call.flac",),
    "convert to Opus": ("call.opus",),
    "convert to MP3": ("call.mp3",),
    "waveform, SVG": ("call.svg",),
    "waveform, PNG": ("wave.png",),
    "spectrogram, PNG": ("spectrum.png", "--spectrogram"),
}


def hour_of(minute: Path | None, folder: Path) -> Path:
    """Record an hour's call into a folder and return its WAV.

    Args:
        minute: a short stereo call at 8 kHz to repeat; None for a generated one.
        folder: gets the WAV and the manifest.
    """
    if minute is None:
        speech = two_party_conversation(60)
        customer, agent = bytes(speech.customer), bytes(speech.agent)
    else:
        with wave.open(str(minute)) as call:
            samples = memoryview(call.readframes(call.getnframes())).cast("h")
        customer, agent = samples[::2].tobytes(), samples[1::2].tobytes()
    call = SyntheticCall(customer=customer * _MINUTES, agent=agent * _MINUTES, start_ms=_START_MS)
    return replay((fragment.data for fragment in synthesize_call(call)), folder, name="hour").wav


def measured(*arguments: str, numpy: bool = True) -> Usage:
    """Run the command in a process of its own, with numpy or as if it were not installed."""
    tree = Tree("now", ROOT)
    python, option, program, *rest = tree.command(*arguments)
    program = program if numpy else _WITHOUT_NUMPY + program
    return run([python, option, program, *rest], tree.environment(), accepted=_WHOLE_OR_NOT)


def main(minute: Path | None = None) -> list[Bound]:
    """Print the figures; return their bounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wav = hour_of(minute, folder)
        page = ("page", str(wav), "-o", str(folder / "call.html"), "--audio", "beside", "--force", "--quiet")
        ways = {
            what: partial(measured, "convert", str(wav), str(folder / target), *options, "--force", "--quiet")
            for what, (target, *options) in _FORMS.items()
        }
        ways["explain"] = partial(measured, "explain", str(wav))
        ways["page, audio beside"] = partial(measured, *page)
        ways["page, audio beside, without numpy"] = partial(measured, *page, numpy=False)
        usages = {what: way() for what, way in ways.items()}
        sizes = {what: (folder / target).stat().st_size / 1e6 for what, (target, *_) in _FORMS.items()}
    print(f"outputs of an hour's call; load {os.getloadavg()[1]:.0f}")
    bounds = []
    for what, usage in usages.items():
        size = f", {sizes[what]:.1f} MB" if what in sizes else ""
        print(f"  {what:34} {usage.cpu_s:6.2f} CPU-s, peak {usage.peak_mib:.0f} MiB{size}")
        bounds.append(Bound(f"{what}, peak MiB", usage.peak_mib, at_most=MOST_PEAK_MIB))
    return bounds


if __name__ == "__main__":
    judge(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
