"""What a person does on a call's page, with the mouse, with the keyboard alone and with a screen reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from support.browser import AXE_RULES, Open, axe_script, place, seek, until
from support.call_pages import GAP, edited, page_of, recording_with_a_gap, write_transcript

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_the_header_gives_the_time_of_the_reader_and_utc_and_the_length(page: Page) -> None:
    assert page.locator("#title").inner_text() == "Call of 2026-07-01, 14:30:00"
    assert page.locator("#when").inner_text() == "UTC+01:00 · 2026-07-01 13:30:00 UTC"
    assert page.locator("#facts").inner_text() == "30 s · 8000 Hz"
    seek(page, 12)
    expect(page.locator("#clock")).to_have_text("14:30:12 · 13:30:12 UTC")


@pytest.mark.parametrize("context", [{"timezone_id": "UTC"}], indirect=True)
def test_a_reader_in_utc_sees_each_time_once(page: Page) -> None:
    assert page.locator("#when").inner_text() == "UTC"
    assert page.locator("#clock").inner_text() == "13:30:00 UTC"


def test_it_says_why_the_recording_is_not_whole_and_lists_the_gap_with_its_cause(page: Page) -> None:
    assert page.locator("#status").inner_text() == "Not whole"
    assert page.locator("#reasons li").all_inner_texts() == ["1 gap, 1.024 s: 1 fragment missing"]
    assert page.locator("#gaps button").all_inner_texts() == ["0:17.4 · 1.0 s · both parties\n1 fragment missing"]


def test_the_figures_say_who_speaks_how_long(page: Page) -> None:
    # The tones last 8 s and 7 s of 30 s, in whole windows of 200 ms.
    assert page.locator("#figures div").all_inner_texts() == [
        "Customer\n0:08 · 27 %",
        "Agent\n0:07 · 23 %",
        "Both at once\n0:00 · 0 %",
        "Silence\n0:15 · 50 %",
    ]


def test_a_click_into_the_waveform_seeks(page: Page) -> None:
    box = page.locator("#slider").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 3, box["y"] + 40)
    assert place(page) == pytest.approx(10, abs=0.05)


def test_a_click_into_a_zoomed_waveform_seeks_to_what_is_drawn_there(page: Page) -> None:
    seek(page, 15)
    page.get_by_role("button", name="Zoom in").click()
    box = page.locator("#slider").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 40)
    assert place(page) == pytest.approx(15, abs=0.05)
    page.mouse.click(box["x"] + 1, box["y"] + 40)
    assert place(page) == pytest.approx(7.5, abs=0.05)


@pytest.mark.parametrize(("fragment", "seconds"), [("#t=12.5", 12.5), ("#t=0:08", 8), ("#t=nonsense", 0), ("", 0)])
def test_a_link_leads_to_a_second(open_page: Open, call_page: Path, fragment: str, seconds: float) -> None:
    page = open_page(call_page, fragment)
    expect(page.locator("#now")).to_have_text(f"0:{seconds:04.1f}")
    assert place(page) == seconds


def test_the_address_follows_the_place(page: Page) -> None:
    seek(page, 12.34)
    page.wait_for_url("**#t=12.3")


def test_the_keyboard_alone_suffices(page: Page) -> None:
    keys = page.keyboard
    keys.press("k")
    until(page, "connectAudio.sound.place > 0.2")
    keys.press("k")
    assert page.evaluate("connectAudio.sound.playing") is False
    keys.press("Home")
    assert place(page) == 0
    keys.press("ArrowRight")
    keys.press("Shift+ArrowRight")
    assert place(page) == 6
    keys.press("ArrowLeft")
    assert place(page) == 1
    keys.press("g")
    assert place(page) == pytest.approx(GAP[0] - 1, abs=0.01)
    keys.press("1")
    assert page.evaluate("connectAudio.sound.gainOf(0)") == 0
    keys.press("+")
    assert page.evaluate("connectAudio.player.waves.span") == pytest.approx(15, abs=0.1)
    keys.press("0")
    assert page.evaluate("connectAudio.player.waves.span") == pytest.approx(page.evaluate("connectAudio.call.duration"))
    keys.press("End")
    assert place(page) == pytest.approx(page.evaluate("connectAudio.call.duration"), abs=0.01)


def test_every_control_is_reached_by_tab_and_the_words_are_one_stop(page: Page) -> None:
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("""() => {
          const at = document.activeElement;
          return at.closest('#words') ? 'words' : at.id || at.getAttribute('aria-label') || at.textContent.trim();
        }""")
        )
        if len(reached) > 1 and reached[-1] == reached[0]:
            break
    for wanted in ("play", "back", "speed", "skip", "Mute customer", "Solo agent", "slider", "zoom-in", "find"):
        assert wanted in reached, (wanted, reached)
    assert reached.count("words") == 1


def test_the_slider_says_where_it_is_and_who_speaks(page: Page) -> None:
    slider = page.get_by_role("slider", name="Place in the call")
    slider.focus()
    for key, said in (("Home", "0:00 of 0:30, silence"), ("ArrowRight", "0:05 of 0:30, customer speaks")):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuetext", said)
    seek(page, GAP[0] + 0.5)
    expect(slider).to_have_attribute("aria-valuetext", "0:17 of 0:30, gap, both parties: 1 fragment missing")


def test_turns_are_paragraphs_and_a_click_on_a_word_plays_it(page: Page) -> None:
    paragraphs = page.locator("#words li").all_inner_texts()
    assert [text.split() for text in paragraphs] == [
        ["0:01", "Customer", "good", "morning", "order", "four", "two"],
        ["0:08", "Agent", "your", "order", "is", "here"],
        ["0:14", "Customer", "thank", "you"],
    ]
    page.get_by_text("here", exact=True).click()
    until(page, "connectAudio.sound.place > 11")
    expect(page.locator(".word.now")).to_have_text("here")
    assert place(page) < 12


def test_the_words_are_used_by_keyboard_alone(page: Page) -> None:
    page.locator("#words button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#said")).to_have_text("order")
    page.keyboard.press("Enter")
    until(page, "connectAudio.sound.place > 9")
    assert place(page) < 10


def test_a_search_counts_its_hits_and_enter_plays_one_after_the_other(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("order")
    expect(page.locator("#hits")).to_have_text("2 hits")
    page.keyboard.press("Enter")
    until(page, "connectAudio.sound.place > 3 && connectAudio.sound.place < 4")
    expect(page.locator("#said")).to_have_text("Hit 1 of 2, at 0:03")
    page.keyboard.press("Enter")
    until(page, "connectAudio.sound.place > 9 && connectAudio.sound.place < 10")
    page.locator("#find").fill("order four")
    expect(page.locator("#hits")).to_have_text("1 hit")


def test_the_downloads_are_the_wav_the_manifest_and_the_words(page: Page, recording: Path) -> None:
    def saved(name: str) -> tuple[str, bytes]:
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        return download.value.suggested_filename, download.value.path().read_bytes()

    assert saved("WAV") == (recording.name, recording.read_bytes())
    name, manifest = saved("Manifest")
    assert (name, json.loads(manifest)) == (
        f"{recording.stem}.json",
        json.loads(recording.with_suffix(".json").read_bytes()),
    )
    name, words = saved("Words")
    assert name == f"{recording.stem}.vtt"
    assert words.decode().startswith(
        "WEBVTT\n\n00:00:01.000 --> 00:00:05.800\n<v Customer>good morning order four two\n"
    )


@pytest.mark.parametrize("context", [{"bypass_csp": True}], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.get_by_text("Keys", exact=True).click()
    page.evaluate(axe_script())
    found = page.evaluate("(rules) => axe.run(document, {runOnly: rules})", AXE_RULES)
    assert len(found["passes"]) > 20
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]] == []


def test_the_dark_page_is_dark_and_so_are_its_waveforms(page: Page) -> None:
    brightness = """() => {
      const canvas = document.getElementById('lanes');
      const [red, green, blue] = canvas.getContext('2d').getImageData(4, canvas.height / 4 + 30, 1, 1).data;
      const body = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
      return [red + green + blue, body.reduce((sum, value) => sum + value)];
    }"""
    assert min(page.evaluate(brightness)) > 600
    page.emulate_media(color_scheme="dark")
    until(page, f"({brightness})()[0] < 200")
    assert max(page.evaluate(brightness)) < 200


@pytest.mark.parametrize("context", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_phone_shows_everything_in_its_width_and_keeps_play_in_reach(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_in_viewport()


def test_on_paper_stand_the_words_and_no_buttons(page: Page) -> None:
    page.emulate_media(media="print")
    assert not page.locator("#play").is_visible()
    assert not page.locator("#find").is_visible()
    assert page.get_by_text("morning", exact=True).is_visible()
    assert page.locator("#lanes").is_visible()


def test_no_text_of_a_call_becomes_markup(open_page: Open, tmp_path: Path) -> None:
    wav = recording_with_a_gap(tmp_path)
    write_transcript(wav.with_name(f"{wav.stem}.transcript.json"), [("customer", [(1, HOSTILE)])])
    edited(wav, lambda manifest: manifest.update(contactId=HOSTILE, reasons=[{"code": "X", "detail": HOSTILE}]))
    page = open_page(page_of(wav))
    assert page.locator("#words .word").inner_text() == HOSTILE
    assert page.locator("#contact code").inner_text() == HOSTILE
    assert page.locator("#reasons li").inner_text() == HOSTILE
    assert page.locator("img").count() == 0


def test_the_policy_of_the_page_refuses_scripts_that_are_not_its_own(context: BrowserContext, call_page: Path) -> None:
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(call_page.as_uri())
    page.evaluate("""() => {
      const script = document.createElement('script');
      script.textContent = 'window.intruder = true';
      document.body.append(script);
    }""")
    assert page.evaluate("window.intruder") is None
    assert any("Content Security Policy" in text for text in refused)


def test_forced_colors_give_waveforms_and_pressed_buttons_the_system_s_own(page: Page) -> None:
    page.get_by_role("button", name="Solo customer").click()
    before = page.evaluate(COLORS)
    page.emulate_media(forced_colors="active")
    until(page, f"!({COLORS})().canvas.includes(({COLORS})().party)")

    shown = page.evaluate(COLORS)

    assert before["party"] in before["canvas"]
    assert shown["CanvasText"] in shown["canvas"]
    assert shown["pressed"] == shown["Highlight"]
    assert shown["play"] == shown["ButtonText"]


# The colors of the system and those that stand on the lanes, as red,green,blue.
COLORS = """() => {
  const named = (name) => {
    const probe = document.createElement('i');
    probe.style.cssText = `forced-color-adjust: none; color: ${name}`;
    document.body.append(probe);
    const color = getComputedStyle(probe).color;
    probe.remove();
    return color;
  };
  const background = (element) => getComputedStyle(element).backgroundColor;
  const lanes = document.getElementById('lanes');
  const {data} = lanes.getContext('2d').getImageData(0, 0, lanes.width, lanes.height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] === 255) seen.add(`rgb(${data[at]}, ${data[at + 1]}, ${data[at + 2]})`);
  }
  return {
    canvas: [...seen],
    party: 'rgb(29, 91, 201)',
    pressed: background(document.querySelector('[aria-pressed=true]')),
    play: background(document.getElementById('play')),
    ...Object.fromEntries(['CanvasText', 'Highlight', 'ButtonText'].map((name) => [name, named(name)])),
  };
}"""


def test_a_screen_reader_finds_regions_names_and_states_and_is_spoken_to_only_when_asked(page: Page) -> None:
    tree = page.locator("body").aria_snapshot()

    for line in (
        '- navigation "Downloads":',
        '- region "Player":',
        '- button "Play"',
        '- slider "Place in the call"',
        '- button "Mute customer"',
        '- slider "Volume of agent, per cent"',
        '- region "Words":',
        '- region "Who speaks":',
        '- region "Gaps":',
        '- group "Zoom":',
    ):
        assert line in tree, f"{line} is not in\n{tree}"
    spoken = "[...document.querySelectorAll('[aria-live], output, [role=status], [role=alert]')].map((each) => each.id)"
    assert page.evaluate(spoken) == ["said", "hits"]
    page.evaluate(
        """() => { window.spoken = []; for (const id of ['said', 'hits'])
          new MutationObserver((changes) => spoken.push(...changes)).observe(document.getElementById(id),
            {childList: true, characterData: true, subtree: true}); }"""
    )
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "connectAudio.sound.place > 0.4")
    assert page.evaluate("spoken.length") == 0, "the place that runs on is not read aloud"
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("button", name="Next gap").click()
    expect(page.locator("#said")).not_to_be_empty()
