"""Chromium under Playwright: what a page says and shows, and what is heard of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from support.browser import Open, until
from support.call_pages import page_of, recording_with_a_gap

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# Without the network flags Chromium looks for its maker's hosts at every start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not here: scripts/setup-chromium.sh says why")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh profile in London, an hour ahead of UTC in summer; `parametrize` it with further options."""
    options = {
        "viewport": {"width": 1280, "height": 900},
        "timezone_id": "Europe/London",
        **getattr(request, "param", {}),
    }
    made = browser.new_context(**options)
    made.set_default_timeout(10_000)
    yield made
    made.close()


@pytest.fixture
def open_page(context: BrowserContext) -> Iterator[Open]:
    """Opens a page from the disk without a network, and fails at the end if it had an error or asked for anything."""
    faults: list[str] = []

    def open_(path: Path, fragment: str = "") -> Page:
        context.set_offline(offline=True)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on("request", lambda asked: faults.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(path.as_uri() + fragment)
        until(page, "window.connectAudio && connectAudio.sound.element.readyState >= 2")
        return page

    yield open_
    assert faults == []


@pytest.fixture(scope="session")
def call_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("call")


@pytest.fixture(scope="session")
def recording(call_folder: Path) -> Path:
    return recording_with_a_gap(call_folder)


@pytest.fixture(scope="session")
def call_page(recording: Path) -> Path:
    return page_of(recording)


@pytest.fixture
def page(open_page: Open, call_page: Path) -> Page:
    """The page of the call, open."""
    return open_page(call_page)
