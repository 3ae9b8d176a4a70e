"""The page of an hour's call: its cost and size, the time until it is shown and plays, and frames while zooming.

`python -m benchmarks.call_page [CALL.wav]`, some 30 s. A call of a minute, generated or the given one, is repeated to
an hour. `connect-audio page` runs in a process of its own. Chromium opens the page from the disk, if it is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from benchmarks.bounds import Bound, judge
from connect_audio_local.synthesis.speech import two_party_conversation

MOST_CPU_S: Final = 2.0
MOST_PEAK_MIB: Final = 64.0
MOST_MB: Final = {"beside": 1.5, "flac": 62.0}
MOST_LOAD_MS: Final = 1500.0
MOST_FRAME_MS: Final = 17.5
"""Median of a frame: 60 frames a second are 16.7 ms each."""
_HOUR_S: Final = 3600
_RATE: Final = 8000
_WAYS: Final = ("beside", "flac", "wav")
_PLAYABLE: Final = """async () => {
  const {element} = connectAudio.sound;
  while (element.readyState < 2) await new Promise((done) => setTimeout(done, 5));
  return performance.now();
}"""
_ZOOM: Final = """async () => {
  const {player, call} = connectAudio;
  const times = [];
  for (let i = 0; i < 240; i++) {
    // In to some seconds and out to the whole, once.
    player.zoom(i < 120 ? 0.945 : 1 / 0.945, call.duration / 2);
    times.push(await new Promise(requestAnimationFrame));
  }
  const frames = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b);
  return [frames[Math.floor(frames.length / 2)], frames[Math.floor(frames.length * 0.95)]];
}"""


def hour_of(minute: Path | None, target: Path) -> None:
    """Write an hour's call.

    Args:
        minute: a short stereo call to repeat; None for a generated one.
        target: the WAV.
    """
    if minute is None:
        speech = two_party_conversation(60)
        pairs = zip(memoryview(speech.customer).cast("h"), memoryview(speech.agent).cast("h"), strict=True)
        frames = b"".join(
            left.to_bytes(2, "little", signed=True) + right.to_bytes(2, "little", signed=True) for left, right in pairs
        )
    else:
        with wave.open(str(minute)) as call:
            frames = call.readframes(call.getnframes())
    with wave.open(str(target), "wb") as hour:
        hour.setnchannels(2)
        hour.setsampwidth(2)
        hour.setframerate(_RATE)
        left = _HOUR_S * _RATE * 4
        while left:
            hour.writeframesraw(frames[:left])
            left -= min(left, len(frames))


def made(wav: Path, way: str) -> tuple[Path, float, float]:
    """Make the page in a process of its own; return it, CPU seconds and peak MiB."""
    page = wav.with_name(f"{way}.html")
    command = Path(sys.executable).with_name("connect-audio")
    process = subprocess.Popen([command, "page", wav, "-o", page, "--audio", way, "--quiet"])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"connect-audio page ended with {process.returncode}")
    return page, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def in_browser(page: Path) -> tuple[float, float, tuple[float, float]] | None:
    """Open the page and zoom; None without Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(page.as_uri(), wait_until="commit")
        opened.wait_for_load_state("load")
        shown_ms = opened.evaluate("connectAudio.readyMs")
        load_ms = opened.evaluate(_PLAYABLE)
        median, worst = opened.evaluate(_ZOOM)
        browser.close()
    return shown_ms, load_ms, (median, worst)


def main(minute: Path | None = None) -> list[Bound]:
    """Print the figures; return their bounds."""
    bounds = []
    with tempfile.TemporaryDirectory() as folder:
        hour = Path(folder) / "hour.wav"
        hour_of(minute, hour)
        print("page of an hour's call")
        for way in _WAYS:
            page, cpu_s, peak_mib = made(hour, way)
            seen = in_browser(page)
            size_mb = page.stat().st_size / 1e6
            shown = "no Chromium here"
            if seen:
                shown_ms, load_ms, (median, worst) = seen
                shown = f"shown after {shown_ms:.0f} ms, plays after {load_ms:.0f} ms"
                shown += f", a frame {median:.1f} ms, 95 % {worst:.1f} ms"
                bounds.append(Bound(f"page {way}, shown after, ms", shown_ms, at_most=MOST_LOAD_MS))
                if way != "wav":
                    bounds.append(Bound(f"page {way}, plays after, ms", load_ms, at_most=MOST_LOAD_MS))
                bounds.append(Bound(f"page {way}, median of a frame, ms", median, at_most=MOST_FRAME_MS))
            print(f"  {way:6} {size_mb:7.2f} MB, {cpu_s:.2f} CPU-s, peak {peak_mib:.0f} MiB; {shown}")
            bounds.append(Bound(f"page {way}, peak MiB", peak_mib, at_most=MOST_PEAK_MIB))
            bounds.append(Bound(f"page {way}, CPU-s", cpu_s, at_most=MOST_CPU_S))
            if way in MOST_MB:
                bounds.append(Bound(f"page {way}, MB", size_mb, at_most=MOST_MB[way]))
    return bounds


if __name__ == "__main__":
    judge(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
