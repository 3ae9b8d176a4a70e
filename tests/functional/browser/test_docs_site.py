"""The docs site: `make docs` fails at what is broken, the pages ask no other host, and search finds them."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest
from drawing import Drawing
from pictures import PICTURES
from playwright.sync_api import BrowserContext

import connect_audio
import connect_audio.sinks
from connect_audio_cli.main import COMMANDS

ROOT: Final = Path(__file__).parents[3]
SPHINX: Final = (sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E", "-c", str(ROOT / "docs_site"))
LOADS: Final = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href", "object": "data"}


def _build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SPHINX, "-d", str(target / "doctrees"), "-b", "html", str(source), str(target / "html")],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this tree, built as `make docs` builds it."""
    target = tmp_path_factory.mktemp("site")
    done = _build(ROOT, target)
    assert (done.returncode, done.stderr) == (0, "")
    return target / "html"


def test_make_docs_builds_as_strictly_as_these_tests_do() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert " ".join(SPHINX[1:-1]) + " docs_site " in makefile


def test_whatever_is_broken_ends_the_build(tmp_path: Path) -> None:
    pages = tmp_path / "docs"
    (pages / "adr").mkdir(parents=True)
    (pages / "index.md").write_text(
        "# Home\n\n[page](nowhere.md) [heading](there.md#nowhere) [file](../nowhere.json) ![picture](nowhere.png)\n\n"
        "## List\n\n- [There](there.md)\n",
        "utf-8",
    )
    (pages / "there.md").write_text("# There\n\n[fine](index.md#list)\n", "utf-8")
    (pages / "unlisted.md").write_text("# Nobody links here\n", "utf-8")

    done = _build(tmp_path, tmp_path / "built")

    assert done.returncode == 1
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    for fault in ("'nowhere.md'", "'docs/there': 'nowhere'", "'../nowhere.json'", "docs/nowhere.png", "unlisted.md"):
        assert len([each for each in warnings if fault in each]) == 1, fault
    assert len(warnings) == 5


class _Loaded(HTMLParser):
    """The addresses that a browser loads for a page; links that a reader follows are none."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs).get(LOADS.get(tag, ""))
        if found is not None:
            self.addresses.append(found)


def test_no_page_or_style_loads_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        parser = _Loaded()
        parser.feed(page.read_text("utf-8"))
        assert [each for each in parser.addresses if re.match(r"(?:\w+:)?//", each)] == [], page.name
    for style in site.rglob("*.css"):
        loaded = re.findall(r"url\([\"']?([^)\"']+)|@import\s+[\"']([^\"']+)", style.read_text("utf-8"))
        assert [one for one, two in loaded if re.match(r"(?:https?:)?//", one or two)] == [], style.name


def test_the_pictures_are_what_the_program_draws() -> None:
    for name, draw in PICTURES.items():
        assert (ROOT / "docs" / "pictures" / f"{name}.svg").read_text("utf-8") == draw().svg(), name


def test_a_text_that_leaves_its_box_is_refused() -> None:
    with pytest.raises(ValueError, match="'a long text' is wider than its box of 60 px"):
        Drawing(200, 100, "").box(10, 10, 60, "a long text")
    with pytest.raises(ValueError, match="the box 'x' leaves the picture"):
        Drawing(200, 100, "").box(150, 10, 60, "x")


def test_the_command_reference_has_every_commands_help(site: Path) -> None:
    text = (site / "docs" / "reference" / "command.html").read_text("utf-8")
    assert re.findall(r'<section id="([a-z]+)">', text) == list(COMMANDS)
    assert text.count("Exit codes:") == len(COMMANDS)


def test_the_reference_has_every_public_name(site: Path) -> None:
    for page, module in (("library", connect_audio), ("sinks", connect_audio.sinks)):
        text = (site / "docs" / "reference" / f"{page}.html").read_text("utf-8")
        described = {
            each.removeprefix(f"{module.__name__}.") for each in re.findall(r'<dt class="[^>]*id="([^"]+)"', text)
        }
        # Party is described once, with the library.
        assert set(module.__all__) - described <= ({"Party"} if page == "sinks" else set())


def test_search_finds_a_page_from_the_disk_and_asks_no_host(site: Path, context: BrowserContext) -> None:
    context.set_offline(offline=True)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")

    page.get_by_placeholder("Search").fill("redrive")
    page.keyboard.press("Enter")

    page.locator("#search-results a", has_text="Operations").first.wait_for()
    assert [url for url in asked if not url.startswith("file:")] == []
