"""A call's page and `serve` in Firefox: what is heard, the keyboard, a call that is going on, and frames while zooming.

`make test-firefox` runs them. Chromium's tests say the rest: these are what two browsers may do differently.
"""

from __future__ import annotations

import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from connect_audio_cli.serving.stores import FolderStore
from support.browser_sound import FIRST_SAMPLES, LEVELS, as_numbers
from support.call_pages import GAP, RMS, page_of, recording_with_a_gap, write_wav
from support.calls import call, capture_of
from support.command import COMMAND, PATIENCE_S, recording
from support.firefox import Firefox, firefox
from support.live_tap import TAP, TAP_S, heard_exactly_once
from support.served import serving

pytestmark = pytest.mark.firefox

LEFT, RIGHT, HOME, END, SHIFT = "\ue012", "\ue014", "\ue011", "\ue010", "\ue008"
"""Keys as WebDriver numbers them."""
FRAMES = """async () => {
  const {player, call} = connectAudio;
  const times = [];
  for (let i = 0; i < 120; i++) {
    player.zoom(i < 60 ? 0.945 : 1 / 0.945, call.duration / 2);
    times.push(await new Promise(requestAnimationFrame));
  }
  const frames = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b);
  return [frames[Math.floor(frames.length / 2)], frames[Math.floor(frames.length * 0.95)]];
}"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with firefox(tmp_path_factory.mktemp("firefox")) as session:
        yield session


@pytest.fixture(scope="module")
def call_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recording_with_a_gap(tmp_path_factory.mktemp("call"))


@pytest.fixture
def page(browser: Firefox, call_wav: Path) -> Firefox:
    """The page of a call, open from the disk."""
    return _opened(browser, page_of(call_wav))


def _opened(browser: Firefox, page: Path) -> Firefox:
    browser.open(page.as_uri())
    browser.until("window.connectAudio && connectAudio.sound.element.readyState >= 2")
    return browser


def test_a_page_from_the_disk_is_heard_each_party_in_its_ear(page: Firefox) -> None:
    assert page.evaluate("() => document.getElementById('words').querySelectorAll('.word').length") == 11
    assert page.evaluate(LEVELS, 3) == pytest.approx([RMS, 0], abs=0.01)
    assert page.evaluate(LEVELS, 10) == pytest.approx([0, RMS], abs=0.01)
    page.press("1")
    assert page.evaluate(LEVELS, 3) == [0, 0]


@pytest.mark.parametrize(("audio", "frame"), [("wav", 0), ("wav", 9876), ("flac", 9876)])
def test_a_seek_lands_on_the_sample(browser: Firefox, tmp_path: Path, audio: str, frame: int) -> None:
    ramp = array("h", (value for at in range(4 * 8000) for value in (at + 1, at + 1)))
    page = _opened(browser, page_of(write_wav(tmp_path / "ramp.wav", ramp.tobytes()), audio=audio))
    # A busy machine may lose the first of what comes out, never gain any: the earliest of three tries counts.
    tries = [as_numbers(page.evaluate(FIRST_SAMPLES, frame / 8000)) for _ in range(3)]
    assert min(samples[0] for samples in tries) == pytest.approx(frame + 1, abs=1)
    assert all(len(samples) > 1000 for samples in tries)


def test_the_keyboard_alone_suffices(page: Firefox) -> None:
    place = "() => connectAudio.sound.place"
    page.press("k")
    page.until("connectAudio.sound.place > 0.2")
    page.press("k")
    assert page.evaluate("() => connectAudio.sound.playing") is False
    page.press(HOME, RIGHT)
    assert page.evaluate(place) == 5
    page.press(LEFT)
    assert page.evaluate(place) == 0
    page.press("g")
    assert page.evaluate(place) == pytest.approx(GAP[0] - 1, abs=0.01)
    page.press("+")
    assert page.evaluate("() => connectAudio.player.waves.span") == pytest.approx(15, abs=0.1)
    page.press("0", END)
    assert page.evaluate(place) == pytest.approx(page.evaluate("() => connectAudio.call.duration"), abs=0.01)


def test_a_served_call_is_heard_and_found_by_its_words(browser: Firefox, call_wav: Path) -> None:
    with serving(FolderStore(call_wav.parent)) as served:
        browser.open(served.server.address)
        browser.until("document.documentElement.dataset.ready")
        browser.evaluate("""() => {
          const words = document.getElementById('said');
          words.value = 'order is';
          words.dispatchEvent(new Event('input', {bubbles: true}));
        }""")
        browser.until("document.querySelector('.hits a')")
        browser.open(browser.evaluate("() => document.querySelector('.hits a').href"))
        browser.until("window.connectAudio && connectAudio.sound.element.readyState >= 2")
        assert browser.evaluate("() => connectAudio.sound.place") == 9
        assert browser.evaluate(LEVELS, 3) == pytest.approx([RMS, 0], abs=0.01)
        browser.open("about:blank")


def test_a_call_that_is_going_on_is_played_to_its_end_every_sample_once(browser: Firefox, tmp_path: Path) -> None:
    sent = call(5)
    capture = tmp_path / "call.mkv"
    capture.write_bytes(capture_of(sent))
    folder = tmp_path / "place" / f"{sent.contact_id}.segments"
    folder.parent.mkdir()
    command: list[str | Path] = [COMMAND, "replay", capture, "-o", folder.parent, "--segments", folder]
    with (
        subprocess.Popen([*command, "--speed", "1", "--quiet"]) as replaying,
        serving(FolderStore(folder.parent)) as served,
    ):
        browser.open(served.server.address)
        browser.until(f"(await fetch('/api/live/{folder.name}')).ok")
        browser.open(f"{served.base}/live/{folder.name}")
        browser.until("connectAudio.shown.length >= 1")
        assert browser.evaluate("() => document.getElementById('state').textContent") == "Live"
        browser.evaluate("() => document.getElementById('beginning').click()")
        browser.until("connectAudio.sound()")
        browser.evaluate(TAP)
        assert replaying.wait(PATIENCE_S) == 0
        browser.until("document.getElementById('state').textContent === 'Ended'")
        browser.until(f"connectAudio.sound().place > connectAudio.sound().end + {TAP_S}")
        assert browser.evaluate("() => connectAudio.sound().late") == 0
        taken = browser.evaluate("() => window.taken")
        browser.open("about:blank")
    replayed = recording(tmp_path / "place", sent.contact_id)
    heard_exactly_once(taken, (replayed.left, replayed.right))


def test_zooming_draws_a_frame_each_time_and_its_length_is_told(page: Firefox) -> None:
    median, worst = page.evaluate(FRAMES)
    sys.stdout.write(f"\nFirefox {page.version}: a frame while zooming {median:.1f} ms, 95 % below {worst:.1f} ms\n")
    assert page.evaluate("() => connectAudio.player.waves.span") == pytest.approx(
        page.evaluate("() => connectAudio.call.duration")
    )
