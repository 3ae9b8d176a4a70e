"""Pages in a browser, as tests name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import axe_playwright_python
from playwright.sync_api import Page

AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def axe_script() -> str:
    """axe-core, which finds faults of accessibility."""
    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")


class Open(Protocol):
    """Opens a page from the disk."""

    def __call__(self, path: Path, fragment: str = "") -> Page:
        """Open it, at a fragment such as `#t=12`."""
        ...


def place(page: Page) -> float:
    """Where the page plays, seconds from the call's beginning."""
    seconds: float = page.evaluate("connectAudio.sound.place")
    return seconds


def seek(page: Page, seconds: float) -> None:
    page.evaluate("(seconds) => connectAudio.player.seek(seconds)", seconds)


def until(page: Page, condition: str, seconds: float = 10) -> None:
    """Wait until an expression is true of the page. (Playwright's own wait is refused by the page's policy.)

    What the page's script has yet to define is not true.
    """
    page.evaluate(
        f"""async () => {{
          const end = performance.now() + {1000 * seconds};
          const holds = async () => {{
            try {{
              return {condition};
            }} catch (error) {{
              if (error instanceof ReferenceError) return false;
              throw error;
            }}
          }};
          while (!await holds()) {{
            if (performance.now() > end) throw new Error('never true: ' + {json.dumps(condition)});
            await new Promise((done) => setTimeout(done, 10));
          }}
        }}"""
    )
