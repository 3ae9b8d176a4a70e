"""What is heard of a call's page: each party where it belongs, and every place to the sample."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from playwright.sync_api import Page

from support.browser import Open, place, seek, until
from support.browser_sound import first_samples, levels
from support.call_pages import GAP, RMS, page_of, write_wav

CUSTOMER_S, AGENT_S = 3, 10
"""Places at which only one of them speaks."""
NEAR = 0.01


def test_the_customer_is_heard_left_and_the_agent_right(page: Page) -> None:
    assert levels(page, CUSTOMER_S) == pytest.approx((RMS, 0), abs=NEAR)
    assert levels(page, AGENT_S) == pytest.approx((0, RMS), abs=NEAR)


def test_a_muted_party_is_not_heard_and_the_other_one_is(page: Page) -> None:
    page.get_by_role("button", name="Mute customer").click()
    assert levels(page, CUSTOMER_S) == (0, 0)
    assert levels(page, AGENT_S) == pytest.approx((0, RMS), abs=NEAR)
    assert page.get_by_role("button", name="Mute customer").get_attribute("aria-pressed") == "true"


def test_solo_leaves_one_party_alone_until_it_is_taken_back(page: Page) -> None:
    page.get_by_role("button", name="Solo agent").click()
    assert levels(page, CUSTOMER_S) == (0, 0)
    assert levels(page, AGENT_S) == pytest.approx((0, RMS), abs=NEAR)
    page.get_by_role("button", name="Solo agent").click()
    assert levels(page, CUSTOMER_S) == pytest.approx((RMS, 0), abs=NEAR)


def test_each_party_has_a_volume_of_its_own(page: Page) -> None:
    page.get_by_role("slider", name="Volume of customer").fill("50")
    assert levels(page, CUSTOMER_S) == pytest.approx((RMS / 2, 0), abs=NEAR)
    assert levels(page, AGENT_S) == pytest.approx((0, RMS), abs=NEAR)


def test_both_ears_get_both_parties(page: Page) -> None:
    page.get_by_label("Both ears").check()
    assert levels(page, CUSTOMER_S) == pytest.approx((RMS, RMS), abs=NEAR)


def test_a_gap_is_silent_and_next_gap_leads_a_second_before_it(page: Page) -> None:
    start, length = GAP
    page.get_by_role("button", name="Next gap").click()
    assert place(page) == pytest.approx(start - 1, abs=0.01)
    assert page.locator("#said").inner_text() == "Gap at 0:17, 1.0 s, both parties: 1 fragment missing"
    assert levels(page, start + length / 4) == (0, 0)


@pytest.mark.parametrize(("audio", "frame"), [("wav", 0), ("wav", 9876), ("wav", 24_001), ("flac", 9876)])
def test_a_seek_lands_on_the_sample(open_page: Open, tmp_path: Path, audio: str, frame: int) -> None:
    # Each frame holds its own number, so that what comes out says where it is.
    ramp = array("h", (value for at in range(4 * 8000) for value in (at + 1, at + 1)))
    page = open_page(page_of(write_wav(tmp_path / "ramp.wav", ramp.tobytes()), audio=audio))

    # A busy machine may lose the first of what comes out, never gain any: the earliest of three tries counts.
    tries = [first_samples(page, frame / 8000) for _ in range(3)]

    # Web Audio scales by 32767 or 32768, which moves a number by one at most.
    assert min(samples[0] for samples in tries) == pytest.approx(frame + 1, abs=1)
    assert all(len(samples) > 1000 for samples in tries)


def test_speed_changes_how_fast_the_place_moves(page: Page) -> None:
    page.get_by_label("Speed").select_option("2")
    rate = page.evaluate("""async () => {
      const {sound, player} = connectAudio;
      player.seek(2);
      await sound.play();
      while (sound.place < 2.3) await new Promise(requestAnimationFrame);
      const [place, time] = [sound.place, performance.now()];
      while (sound.place < 5.5) await new Promise(requestAnimationFrame);
      sound.pause();
      return (5.5 - place) / (performance.now() - time) * 1000;
    }""")
    assert rate == pytest.approx(2, rel=0.15)


def test_skip_silence_leaps_over_a_stretch_in_which_no_party_speaks(page: Page) -> None:
    page.get_by_label("Skip silence").check()
    passed = page.evaluate("""async () => {
      const {sound, player} = connectAudio;
      player.seek(15.5);
      await sound.play();
      const places = [];
      while (sound.place < 22.5) { places.push(sound.place); await new Promise(requestAnimationFrame); }
      sound.pause();
      return places;
    }""")
    # Speech ends at 16 and begins at 22: what lies well inside is not played.
    assert not [at for at in passed if 17.2 < at < 21.5]


def test_a_mixed_recording_without_a_manifest_plays_in_both_ears(open_page: Open, tmp_path: Path) -> None:
    samples = array("h", (8000 if at // 8 % 2 else -8000 for at in range(4 * 8000)))
    page = open_page(page_of(write_wav(tmp_path / "mixed.wav", samples.tobytes(), channels=1)))
    assert levels(page, 1) == pytest.approx((8000 / 32768, 8000 / 32768), abs=NEAR)
    assert page.locator("#status").inner_text() == "No manifest"
    assert page.get_by_role("button", name="Solo").count() == 0


def test_a_file_beside_the_page_plays_and_the_page_says_why_parties_cannot_be_muted(
    open_page: Open, recording: Path
) -> None:
    page = open_page(page_of(recording, audio="beside", output=recording.with_name("beside.html")))
    assert page.get_by_role("button", name="Mute customer").is_disabled()
    assert "connect-audio serve" in page.locator("#note").inner_text()
    seek(page, 3)
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "connectAudio.sound.place > 3.3")
