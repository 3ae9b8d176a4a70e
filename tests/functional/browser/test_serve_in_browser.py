"""`serve` in a browser: the list, a call's page over HTTP, and a call that is going on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from connect_audio_cli.serving.stores import FolderStore
from support.browser import AXE_RULES, axe_script, until
from support.browser_sound import levels
from support.call_pages import RMS, edited, recording_with_a_gap
from support.calls import call, capture_of
from support.command import COMMAND, PATIENCE_S, recording
from support.live_tap import heard_exactly_once
from support.served import Served, serving

SLOW_START = """
  const resume = AudioContext.prototype.resume;
  AudioContext.prototype.resume = async function () {
    await resume.call(this);
    await new Promise((done) => setTimeout(done, 1200));
  };
"""
RECORD = """async () => {
  const {output, context} = connectAudio.sound();
  const code = `registerProcessor('tap', class extends AudioWorkletProcessor {
    process([input]) { this.port.postMessage(input.map((channel) => channel.slice())); return true; }
  });`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], {type: 'text/javascript'})));
  const tap = new AudioWorkletNode(context, 'tap', {channelCount: 2, channelCountMode: 'explicit'});
  window.taken = [[], []];
  tap.port.onmessage = ({data}) => data.forEach((samples, channel) => window.taken[channel].push(...samples));
  output.connect(tap);
  tap.connect(context.destination);
}"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, one of which is whole by its manifest."""
    root = tmp_path_factory.mktemp("place")
    recording_with_a_gap(root / "partial")
    whole = recording_with_a_gap(root / "whole")
    edited(whole, lambda manifest: manifest.update(status="complete", reasons=[], contactId="other"))
    return root


@pytest.fixture
def served(place: Path) -> Iterator[Served]:
    with serving(FolderStore(place)) as running:
        yield running


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Iterator[Page]:
    """The list, opened by the printed address."""
    faults: list[str] = []
    opened = context.new_page()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.goto(served.server.address)
    until(opened, "document.documentElement.dataset.ready")
    yield opened
    assert faults == []


def test_the_list_is_searched_and_filtered(page: Page, served: Served) -> None:
    assert page.url == f"{served.base}/"
    rows = page.locator("#rows tr")
    assert rows.count() == 2
    expect(page.locator("#count")).to_have_text("2 of 2 recordings")
    page.get_by_label("Status").select_option("Not whole")
    assert [text.split("\t")[2:] for text in rows.all_inner_texts()] == [["30 s", "Not whole", "stream holes"]]
    page.get_by_label("Status").select_option("All")
    page.get_by_label("Search").fill("OTHER")
    assert page.locator("#rows a").all_inner_texts() == ["other"]
    page.get_by_label("Search").fill("")
    page.get_by_label("From").fill("2026-07-02")
    assert rows.count() == 0
    page.get_by_label("From").fill("2026-07-01")
    assert rows.count() == 2


def test_words_are_searched_in_all_calls_and_a_hit_leads_to_its_second(page: Page) -> None:
    rows = page.locator("#rows tr")
    page.get_by_label("Words").fill("order IS")
    expect(page.locator("#count")).to_have_text("2 of 2 recordings; said 2 times")
    assert rows.locator("li").all_inner_texts() == ["0:09 Agent: your order is here"] * 2
    assert page.locator("mark").all_inner_texts() == ["order is"] * 2
    page.get_by_label("Search").fill("other")
    expect(page.locator("#count")).to_have_text("1 of 2 recordings; said 1 time")
    page.get_by_label("Words").fill("never said")
    expect(page.locator("#count")).to_have_text("0 of 2 recordings; said 0 times")
    page.get_by_label("Words").fill("four")
    page.get_by_role("link", name="0:04").click()
    until(page, "connectAudio.sound.element.readyState >= 2")
    until(page, "connectAudio.sound.place === 4")


def test_a_call_of_the_list_is_heard_and_each_party_can_be_muted(page: Page) -> None:
    page.get_by_role("link", name="other").click()
    until(page, "connectAudio.sound.element.readyState >= 2")
    assert levels(page, 3) == pytest.approx((RMS, 0), abs=0.01)
    page.get_by_role("button", name="Mute customer").click()
    assert levels(page, 3) == (0, 0)
    page.get_by_role("link", name="All recordings").click()
    until(page, "document.documentElement.dataset.ready")


def test_a_click_is_not_lost_if_the_list_is_drawn_anew_in_the_midst_of_it(page: Page) -> None:
    link = page.get_by_role("link", name="other")
    link.hover()
    page.mouse.down()
    page.get_by_label("Search").hover()
    page.mouse.up()
    # No click came of it, and the list is drawn as ever.
    page.get_by_label("Search").fill("other")
    expect(page.locator("#count")).to_have_text("1 of 2 recordings")

    link.hover()
    page.mouse.down()
    # A live call makes the list draw itself every few seconds.
    page.evaluate("document.getElementById('filters').dispatchEvent(new Event('input'))")
    page.mouse.up()
    page.wait_for_url("**/call/**")
    until(page, "connectAudio.sound.element.readyState >= 2")
    page.get_by_role("link", name="All recordings").click()
    until(page, "document.documentElement.dataset.ready")


@pytest.mark.parametrize("context", [{"bypass_csp": True}], indirect=True)
def test_a_call_that_is_going_on_is_played_to_its_end_every_sample_once(
    context: BrowserContext, tmp_path: Path
) -> None:
    capture = tmp_path / "call.mkv"
    # Long enough for a busy machine: the call goes on when its page is open.
    sent = call(15)
    capture.write_bytes(capture_of(sent))
    folder = tmp_path / "place" / f"{sent.contact_id}.segments"
    folder.parent.mkdir()
    command: list[str | Path] = [
        COMMAND,
        "replay",
        capture,
        "-o",
        folder.parent,
        "--segments",
        folder,
        "--speed",
        "1",
        "--quiet",
    ]
    with subprocess.Popen(command) as replaying, serving(FolderStore(folder.parent)) as served:
        page = context.new_page()
        # A browser may take its time to start its audio, as Firefox does: looks at the index come between.
        page.add_init_script(SLOW_START)
        page.goto(served.server.address)
        until(page, f"(await fetch('/api/live/{folder.name}')).ok")
        until(page, "!document.getElementById('reload').disabled")
        page.get_by_role("button", name="Look again").click()
        page.locator("#rows a").click()
        until(page, "connectAudio.shown.length >= 1")
        expect(page.locator("#state")).to_have_text("Live")
        page.get_by_role("button", name="From the beginning").click()
        until(page, "connectAudio.sound()")
        page.evaluate(RECORD)
        assert replaying.wait(PATIENCE_S) == 0
        expect(page.locator("#state")).to_have_text("Ended")
        # As much is left to be heard as had been said before the button was pressed.
        until(page, "connectAudio.sound().place > connectAudio.sound().end + 0.3", seconds=30)
        taken = page.evaluate("window.taken")
        assert page.evaluate("connectAudio.sound().late") == 0
        page.get_by_role("link", name="Open the recording.").click()
        until(page, "connectAudio.call")

    replayed = recording(tmp_path / "place", sent.contact_id)
    heard_exactly_once(taken, (replayed.left, replayed.right))


@pytest.mark.parametrize("context", [{"bypass_csp": True}], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_list_and_the_live_page(page: Page, served: Served, place: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    _segments(place)
    for address in ("/", "/live/live.segments"):
        page.goto(served.base + address)
        until(page, "document.documentElement.dataset.ready || (window.connectAudio && connectAudio.shown.length)")
        if address == "/":
            page.get_by_label("Words").fill("order")
            expect(page.locator("mark")).to_have_count(4)
        page.evaluate(axe_script())
        found = page.evaluate("(rules) => axe.run(document, {runOnly: rules})", AXE_RULES)
        assert len(found["passes"]) > 10
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found["violations"]] == []


@pytest.mark.parametrize("context", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_phone_shows_the_list_in_its_width(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def _segments(place: Path) -> None:
    """Live segments of a short call, once."""
    folder = place / "live.segments"
    if not folder.exists():
        capture = place / "call.mkv"
        capture.write_bytes(capture_of(call(2)))
        subprocess.run([COMMAND, "replay", capture, "-o", place, "--segments", folder, "--quiet"], check=True)
