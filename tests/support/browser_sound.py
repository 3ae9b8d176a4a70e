"""What is heard of a page: read by an AnalyserNode of each channel behind the page's own graph."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Page

LEVELS: Final = """async (seconds) => {
  const {sound, player} = connectAudio;
  const failed = (samples) => {
    let longest = 0;
    let run = 0;
    for (const value of samples) {
      run = value === 0 ? run + 1 : 0;
      longest = Math.max(longest, run);
    }
    return longest > 16 && longest < samples.length;
  };
  const silent = (samples) => samples.every((value) => value === 0);
  if (seconds !== null) player.seek(seconds);
  await sound.play();
  const splitter = sound.context.createChannelSplitter(2);
  sound.output.connect(splitter);
  const analysers = [0, 1].map((channel) => {
    const analyser = sound.context.createAnalyser();
    analyser.fftSize = 2048;
    splitter.connect(analyser, channel);
    return analyser;
  });
  const from = sound.place;
  const begun = performance.now();
  // A window of the analyser is 256 ms: half a second of the call has gone through it. A busy machine lets the sound
  // fail for moments: the first window without such a hole counts, or the last one within a second and a half. Silence
  // is waited out in the same way.
  const next = () => new Promise(requestAnimationFrame);
  const late = () => performance.now() > begun + 8000;
  const window = () => analysers.map((analyser) => {
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    return samples;
  });
  while (sound.place < from + 0.5 && !late()) await next();
  let heard = window();
  while ((heard.some(failed) || heard.every(silent)) && sound.place < from + 1.5 && !late()) {
    await next();
    heard = window();
  }
  const levels = heard.map((samples) => (
    Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length)
  ));
  sound.pause();
  return levels;
}"""

FIRST_SAMPLES: Final = """async (seconds) => {
  const {sound, player} = connectAudio;
  await sound.play();
  sound.pause();
  const taken = [];
  const taps = sound.context.createScriptProcessor(1024, 2, 2);
  taps.onaudioprocess = (event) => taken.push(...event.inputBuffer.getChannelData(0));
  sound.output.connect(taps);
  taps.connect(sound.context.destination);
  const sought = new Promise((done) => sound.element.addEventListener('seeked', done, {once: true}));
  player.seek(seconds);
  await sought;
  taken.length = 0;
  await sound.play();
  const begun = performance.now();
  while (taken.filter(Boolean).length < 2000 && performance.now() < begun + 8000) {
    await new Promise((done) => setTimeout(done, 20));
  }
  sound.pause();
  return taken;
}"""


def levels(page: Page, seconds: float | None) -> tuple[float, float]:
    """RMS levels, left and right, half a second after playing from a place; full scale is 1.

    Args:
        page: an open page of a call.
        seconds: the place; None for where it stands.
    """
    left, right = page.evaluate(LEVELS, seconds)
    return left, right


def first_samples(page: Page, seconds: float) -> list[int]:
    """The left samples that come out after a seek, without the silence before them, as 16-bit numbers."""
    return as_numbers(page.evaluate(FIRST_SAMPLES, seconds))


def as_numbers(taken: list[float]) -> list[int]:
    """Samples as 16-bit numbers, without the silence before them."""
    samples = [round(value * 32768) for value in taken]
    first = next((at for at, value in enumerate(samples) if value), len(samples))
    return samples[first:]
